//! Thrift written from a tree: the other way round than the product goes, to test it with.
//!
//! Owns both encodings of any value, and Jaeger's structs as trees. Does not know OTLP. Taken in by
//! path, from unit tests and from an integration test, whose module names the two enums.

use super::{Encoding, Protocol};

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Bool(bool),
    I8(u8),
    I16(i16),
    I32(i32),
    I64(i64),
    Double(f64),
    Bytes(Vec<u8>),
    Uuid([u8; 16]),
    /// Elements are of the first one's type.
    List(Vec<Tree>),
    Set(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
    Struct(Vec<(i16, Tree)>),
}

pub(crate) fn text(text: &str) -> Tree {
    Tree::Bytes(text.as_bytes().to_vec())
}

/// A tag; the tree's type says which.
pub(crate) fn tag(key: &str, value: Tree) -> Tree {
    let (kind, field) = match value {
        Tree::Double(_) => (1, 4),
        Tree::Bool(_) => (2, 5),
        Tree::I64(_) => (3, 6),
        _ => (0, 3),
    };
    Tree::Struct(vec![(1, text(key)), (2, Tree::I32(kind)), (field, value)])
}

/// A span with ids, and `more`.
pub(crate) fn span(id: i64, more: Vec<(i16, Tree)>) -> Tree {
    let mut fields = vec![(1, Tree::I64(0xab)), (2, Tree::I64(0)), (3, Tree::I64(id))];
    fields.extend(more);
    Tree::Struct(fields)
}

/// A reference: its kind, the low half of its trace id, its span id.
pub(crate) fn reference(kind: i32, low: i64, id: i64) -> Tree {
    let fields = [Tree::I32(kind), Tree::I64(low), Tree::I64(0), Tree::I64(id)];
    Tree::Struct((1..).zip(fields).collect())
}

/// A span with these tags.
pub(crate) fn tagged(id: i64, tags: Vec<Tree>) -> Tree {
    span(id, vec![(10, Tree::List(tags))])
}

pub(crate) fn process(tags: Vec<Tree>) -> Tree {
    Tree::Struct(vec![(1, text("scorer")), (2, Tree::List(tags))])
}

pub(crate) fn batch(process: Tree, spans: Vec<Tree>) -> Tree {
    Tree::Struct(vec![(1, process), (2, Tree::List(spans))])
}

/// A batch as `protocol` sends it.
pub(crate) fn message(batch: Tree, protocol: Protocol) -> Vec<u8> {
    let (mut bytes, encoding) = match protocol {
        Protocol::Bare => return written(&batch, Encoding::Binary),
        Protocol::Compact => (b"\x82\x81\x00\x09emitBatch".to_vec(), Encoding::Compact),
        Protocol::Binary => {
            (b"\x80\x01\x00\x04\x00\x00\x00\x09emitBatch\0\0\0\0".to_vec(), Encoding::Binary)
        }
    };
    bytes.extend(written(&Tree::Struct(vec![(1, batch)]), encoding));
    bytes
}

pub(crate) fn written(tree: &Tree, encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    match encoding {
        Encoding::Compact => tree.compact(&mut out),
        Encoding::Binary => tree.binary(&mut out),
    }
    out
}

fn varint(out: &mut Vec<u8>, value: u64) {
    prost::encoding::encode_varint(value, out);
}

fn zigzag(out: &mut Vec<u8>, value: i64) {
    varint(out, (value << 1 ^ value >> 63) as u64);
}

impl Tree {
    /// The type's number in the compact and in the binary protocol.
    fn codes(&self) -> (u8, u8) {
        match self {
            Tree::Bool(true) => (1, 2),
            Tree::Bool(false) => (2, 2),
            Tree::I8(_) => (3, 3),
            Tree::I16(_) => (4, 6),
            Tree::I32(_) => (5, 8),
            Tree::I64(_) => (6, 10),
            Tree::Double(_) => (7, 4),
            Tree::Bytes(_) => (8, 11),
            Tree::List(_) => (9, 15),
            Tree::Set(_) => (10, 14),
            Tree::Map(_) => (11, 13),
            Tree::Struct(_) => (12, 12),
            Tree::Uuid(_) => (13, 16),
        }
    }

    fn compact(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Bool(value) => out.push(if *value { 1 } else { 2 }),
            Tree::I8(value) => out.push(*value),
            Tree::I16(value) => zigzag(out, i64::from(*value)),
            Tree::I32(value) => zigzag(out, i64::from(*value)),
            Tree::I64(value) => zigzag(out, *value),
            Tree::Double(value) => out.extend(value.to_le_bytes()),
            Tree::Uuid(bytes) => out.extend(bytes),
            Tree::Bytes(bytes) => {
                varint(out, bytes.len() as u64);
                out.extend(bytes);
            }
            Tree::List(trees) | Tree::Set(trees) => {
                let code = trees.first().map_or(0, |tree| tree.codes().0);
                let n = trees.len();
                out.push((n.min(15) as u8) << 4 | code);
                if n >= 15 {
                    varint(out, n as u64);
                }
                trees.iter().for_each(|tree| tree.compact(out));
            }
            Tree::Map(pairs) => {
                varint(out, pairs.len() as u64);
                if let Some((key, value)) = pairs.first() {
                    out.push(key.codes().0 << 4 | value.codes().0);
                }
                for (key, value) in pairs {
                    key.compact(out);
                    value.compact(out);
                }
            }
            Tree::Struct(fields) => {
                let mut last = 0;
                for (id, tree) in fields {
                    tree.compact_field(out, *id, last);
                    last = *id;
                }
                out.push(0);
            }
        }
    }

    fn compact_field(&self, out: &mut Vec<u8>, id: i16, last: i16) {
        let code = self.codes().0;
        match id.wrapping_sub(last) {
            distance @ 1..=15 => out.push((distance as u8) << 4 | code),
            _ => {
                out.push(code);
                zigzag(out, i64::from(id));
            }
        }
        // A boolean's value is its type.
        if !matches!(self, Tree::Bool(_)) {
            self.compact(out);
        }
    }

    fn binary(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Bool(value) => out.push(u8::from(*value)),
            Tree::I8(value) => out.push(*value),
            Tree::I16(value) => out.extend(value.to_be_bytes()),
            Tree::I32(value) => out.extend(value.to_be_bytes()),
            Tree::I64(value) => out.extend(value.to_be_bytes()),
            Tree::Double(value) => out.extend(value.to_be_bytes()),
            Tree::Uuid(bytes) => out.extend(bytes),
            Tree::Bytes(bytes) => {
                out.extend((bytes.len() as u32).to_be_bytes());
                out.extend(bytes);
            }
            Tree::List(trees) | Tree::Set(trees) => {
                out.push(trees.first().map_or(0, |tree| tree.codes().1));
                out.extend((trees.len() as u32).to_be_bytes());
                trees.iter().for_each(|tree| tree.binary(out));
            }
            Tree::Map(pairs) => {
                let (key, value) =
                    pairs.first().map_or((0, 0), |(key, value)| (key.codes().1, value.codes().1));
                out.extend([key, value]);
                out.extend((pairs.len() as u32).to_be_bytes());
                for (key, value) in pairs {
                    key.binary(out);
                    value.binary(out);
                }
            }
            Tree::Struct(fields) => {
                for (id, tree) in fields {
                    out.push(tree.codes().1);
                    out.extend(id.to_be_bytes());
                    tree.binary(out);
                }
                out.push(0);
            }
        }
    }
}
