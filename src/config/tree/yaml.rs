//! serde-saphyr's events as a tree with positions.
//!
//! Aliases and merge keys (`<<`) are followed by the parser, under its limits; what comes through
//! them is positioned where it is used.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Spanned};

use crate::diagnostic::Source;

use super::{Entry, Node, Scalar, Value};

/// Parses the one document in `source`.
pub(super) fn parse(source: &Source) -> Result<Node, Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // "on" and "yes" are words, as in YAML 1.2; who reads a switch knows them.
        strict_booleans: true,
        // Duplicates are reported by the tree, with both positions.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
    };
    let root: Spanned<Written> = serde_saphyr::from_str_with_options(source.text(), options)?;
    let mut builder = Builder { source, next_id: 0 };
    Ok(builder.node(root))
}

/// A node as the parser sees it.
enum Written {
    Null,
    /// A number or boolean by YAML's rules: its text is the source's.
    Typed,
    Text(String),
    List(Vec<Spanned<Written>>),
    Map(Vec<(Spanned<Written>, Spanned<Written>)>),
}

struct Builder<'a> {
    source: &'a Source,
    next_id: u32,
}

impl Builder<'_> {
    fn node(&mut self, written: Spanned<Written>) -> Node {
        self.next_id += 1;
        let id = self.next_id;
        let span = self.range(written.referenced);
        let value = match written.value {
            Written::Null => Value::Null,
            Written::List(items) => {
                Value::List(items.into_iter().map(|item| self.node(item)).collect())
            }
            Written::Map(entries) => {
                Value::Map(entries.into_iter().map(|(key, node)| self.entry(key, node)).collect())
            }
            Written::Text(text) => Value::Scalar(Scalar { text, variable: None }),
            Written::Typed => {
                Value::Scalar(Scalar { text: self.slice(written.defined), variable: None })
            }
        };
        Node { id, span, value }
    }

    fn entry(&mut self, key: Spanned<Written>, node: Spanned<Written>) -> Entry {
        let key_span = self.range(key.referenced);
        // A key that is a list or a map names no field: its source text will be "unknown".
        let key = match key.value {
            Written::Text(text) => text,
            _ => self.slice(key.defined),
        };
        Entry { key, key_span, node: self.node(node) }
    }

    fn slice(&self, location: Location) -> String {
        self.source.text().get(self.range(location)).unwrap_or_default().to_owned()
    }

    fn range(&self, location: Location) -> Range<usize> {
        let span = location.span();
        match (span.byte_offset(), span.byte_len()) {
            (Some(offset), Some(len)) => offset as usize..(offset + len) as usize,
            _ => {
                let at = self.source.offset(location.line() as usize, location.column() as usize);
                at..at
            }
        }
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(WrittenVisitor)
    }
}

struct WrittenVisitor;

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written::Null)
    }

    fn visit_none<E>(self) -> Result<Written, E> {
        Ok(Written::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Written, E> {
        Ok(Written::Typed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Written, E> {
        Ok(Written::Typed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Written, E> {
        Ok(Written::Typed)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Written, E> {
        Ok(Written::Typed)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Written, E> {
        Ok(Written::Typed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Written, E> {
        Ok(Written::Typed)
    }

    fn visit_str<E>(self, text: &str) -> Result<Written, E> {
        Ok(Written::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Written, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Written::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Written, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Written::Map(map))
    }
}
