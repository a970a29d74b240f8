//! Tags and log fields, which become attributes.
//!
//! Owns Jaeger's `Tag` with its five types, and the rule that an attribute's key is there once: of
//! a repeated one the last counts. Does not know what any key means.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::proto::push_set_text;
use super::thrift::{List, Reader, ThriftError, Type};
use crate::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number, push_text};

/// A key and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Value<'a>,
}

/// A tag's value, by `vType`. What is not there is empty, 0 or false.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    Double(f64),
    Bool(bool),
    Long(i64),
    Binary(&'a [u8]),
    /// Of a type that this version of Jaeger does not have.
    Unknown,
}

impl<'a> Tag<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ThriftError> {
        let (mut key, mut kind): (&[u8], _) = (b"", 0);
        let (mut text, mut binary): (&[u8], &[u8]) = (b"", b"");
        let (mut double, mut bool, mut long, mut last_id) = (0.0, false, 0, 0);
        while let Some((id, wire)) = reader.field(&mut last_id)? {
            match (id, wire) {
                (1, Type::Bytes) => key = reader.bytes()?,
                (2, Type::I32) => kind = reader.i32()?,
                (3, Type::Bytes) => text = reader.bytes()?,
                (4, Type::Double) => double = reader.double()?,
                (5, Type::Bool) => bool = reader.bool()?,
                (6, Type::I64) => long = reader.i64()?,
                (7, Type::Bytes) => binary = reader.bytes()?,
                _ => reader.skip(wire)?,
            }
        }
        let value = match kind {
            0 => Value::Text(text),
            1 => Value::Double(double),
            2 => Value::Bool(bool),
            3 => Value::Long(long),
            4 => Value::Binary(binary),
            _ => Value::Unknown,
        };
        Ok(Self { key, value })
    }
}

/// Where each key of one list stands for the last time. One serves all lists, one after the other.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    last: HashMap<&'a [u8], u32, Seeded>,
}

/// Hashes keys: several times as fast as the standard hasher, and seeded by it, so that nobody can
/// choose keys that collide.
#[derive(Debug)]
struct Seeded(u64);

/// A hash so far.
struct Hash(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(()))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Hash;

    fn build_hasher(&self) -> Hash {
        Hash(self.0)
    }
}

impl Hasher for Hash {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The length of the key, which comes before it.
    fn write_usize(&mut self, n: usize) {
        self.0 ^= n as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'a> Keys<'a> {
    /// Reads a list of tags, looks at each, and learns their keys instead of those of the list
    /// before.
    pub(super) fn learn(
        &mut self,
        reader: &mut Reader<'a>,
        mut look: impl FnMut(&Tag<'a>),
    ) -> Result<List<'a>, ThriftError> {
        self.last.clear();
        let mut n = 0;
        reader.structs(|reader| {
            let tag = Tag::read(reader)?;
            look(&tag);
            self.last.insert(tag.key, n);
            n += 1;
            Ok(())
        })
    }

    /// Forgets all: the next list may not be there.
    pub(super) fn clear(&mut self) {
        self.last.clear();
    }

    pub(super) fn have(&self, key: &[u8]) -> bool {
        self.last.contains_key(key)
    }

    /// Writes the tags that were learnt as attributes, `name` saying under which key, or that one
    /// is left out.
    pub(super) fn write<'k>(
        &self,
        out: &mut Vec<u8>,
        field: u32,
        mut tags: List<'a>,
        name: impl Fn(&'a [u8]) -> Option<&'k [u8]>,
    ) -> Result<(), ThriftError>
    where
        'a: 'k,
    {
        for n in 0.. {
            let Some(reader) = tags.next() else { break };
            let tag = Tag::read(reader)?;
            if self.last.get(tag.key) == Some(&n)
                && let Some(key) = name(tag.key)
            {
                attribute(out, field, key, tag.value);
            }
        }
        Ok(())
    }
}

/// Writes one `KeyValue`.
pub(super) fn attribute(out: &mut Vec<u8>, field: u32, key: &[u8], value: Value<'_>) {
    push_message(out, field, |out| {
        push_set_text(out, 1, key);
        push_message(out, 2, |out| any_value(out, value));
    });
}

/// The content of an `AnyValue`; none for a type that is not known.
fn any_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Text(text) => push_text(out, 1, text),
        Value::Bool(bool) => push_number(out, 2, u64::from(bool)),
        Value::Long(long) => push_number(out, 3, long as u64),
        Value::Double(double) => push_fixed64(out, 4, double.to_bits()),
        Value::Binary(bytes) => push_bytes(out, 7, bytes),
        Value::Unknown => {}
    }
}
