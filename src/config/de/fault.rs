//! What can be wrong with one value, as serde says it, and where it is.

use std::fmt;
use std::ops::Range;

use serde::de::{Expected, Unexpected};

use super::super::tree::Step;

/// A reason why a value cannot be read. It learns its place on the way out of the tree.
#[derive(Debug)]
pub(crate) struct Error {
    pub(super) fault: Fault,
    pub(super) at: Option<At>,
    /// The steps passed on the way out, innermost first.
    pub(super) way_out: Vec<Step>,
}

/// The place of an error.
#[derive(Debug)]
pub(super) struct At {
    /// What to point at.
    pub(super) span: Range<usize>,
    /// The node without which reading can go on.
    pub(super) skip: u32,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum Fault {
    UnknownField {
        field: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    MissingField(&'static str),
    /// `fields` are those that the wanted map could have, where that is known.
    Shape {
        wanted: String,
        found: &'static str,
        fields: &'static [&'static str],
    },
    Wrong {
        message: String,
        hint: Option<String>,
    },
}

impl Fault {
    pub(super) fn wrong(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Fault::Wrong { message: message.into(), hint: Some(hint.into()) }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self { fault, at: None, way_out: Vec::new() }
    }
}

impl Error {
    /// The same at a place, unless it has one already: the innermost is the most precise.
    pub(super) fn or_at(mut self, span: Range<usize>, skip: u32) -> Self {
        self.at.get_or_insert(At { span, skip });
        self
    }

    /// The same one step further out.
    pub(super) fn out_of(mut self, step: impl Into<Step>) -> Self {
        self.way_out.push(step.into());
        self
    }

    /// The path from the root: to the struct for what concerns its fields, else to the value.
    pub(super) fn path(&self) -> Vec<Step> {
        self.way_out.iter().rev().cloned().collect()
    }
}

impl serde::de::Error for Error {
    /// The first line is the message, the second one the hint; see [`super::wrong`].
    fn custom<T: fmt::Display>(text: T) -> Self {
        let text = text.to_string();
        match text.split_once('\n') {
            Some((message, hint)) => Fault::wrong(message, hint).into(),
            None => Fault::Wrong { message: text, hint: None }.into(),
        }
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "nothing",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a map",
            _ => "a single value",
        };
        Fault::Shape { wanted: wanted.to_string(), found, fields: &[] }.into()
    }

    /// Only numbers get here: words and texts have errors of their own.
    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let number = match found {
            Unexpected::Signed(n) => n.to_string(),
            Unexpected::Unsigned(n) => n.to_string(),
            _ => "the number".to_owned(),
        };
        let is_low = number == "0" || number.starts_with('-');
        let hint = match wanted.to_string() {
            wanted if is_low && wanted.contains("nonzero") => "Write a whole number from 1.",
            _ if is_low => "Write a whole number from 0.",
            _ => "Write a smaller number.",
        };
        Fault::wrong(format!("{number} is out of range here"), hint).into()
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownField { field: field.to_owned(), known }.into()
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownWord { word: word.to_owned(), known }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::MissingField(field).into()
    }
}

/// For serde's sake: users see the diagnostic that `report` makes of it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

impl std::error::Error for Error {}
