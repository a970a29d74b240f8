//! JSON as serde_json reads it, with nothing lost: members in their order, repeated keys too.
//!
//! Owns the comparison of such a tree with the flat list of a walked line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sidewake::event::json::doc::ValueKind;

/// One JSON value.
#[derive(Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    /// By its bits: integers as they are, the rest as `f64`.
    Number(u64),
    String(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// What the walk calls it.
    pub(crate) fn kind(&self) -> ValueKind {
        match self {
            Tree::Null => ValueKind::Null,
            Tree::Bool(_) => ValueKind::Bool,
            Tree::Number(_) => ValueKind::Number,
            Tree::String(_) => ValueKind::String,
            Tree::Array(_) => ValueKind::Array,
            Tree::Object(_) => ValueKind::Object,
        }
    }

    /// Levels of containers.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Tree::Array(items) => 1 + items.iter().map(Tree::depth).max().unwrap_or(0),
            Tree::Object(members) => {
                1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// What a walk must list: members, and elements that are strings or containers, in the order of
    /// the bytes; each with its path and its depth.
    pub(crate) fn members<'a>(&'a self, path: &str, depth: u8, out: &mut Vec<Listed<'a>>) {
        let mut list = |path: String, value: &'a Tree| {
            out.push(Listed { path: path.clone(), depth, value });
            value.members(&path, depth + 1, out);
        };
        match self {
            Tree::Object(members) => {
                for (key, value) in members {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    list(path, value);
                }
            }
            Tree::Array(items) => {
                let is_listed = |item: &&Tree| {
                    matches!(item, Tree::String(_) | Tree::Array(_) | Tree::Object(_))
                };
                items.iter().filter(is_listed).for_each(|item| list(format!("{path}[]"), item));
            }
            _ => {}
        }
    }
}

/// One entry that a walk must list.
pub(crate) struct Listed<'a> {
    pub(crate) path: String,
    pub(crate) depth: u8,
    pub(crate) value: &'a Tree,
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.cast_unsigned()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}
