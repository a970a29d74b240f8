//! The small condition language of `keep` rules and own classification rules.
//!
//! ```text
//! level >= "error"                 latency_ms > 500 and not model_name == "canary"
//! prediction.label in ["fraud"]    message ~ "CUDA*memory"     exists(features.amount)
//! ```
//!
//! Owns the typed tree and its evaluation. Parsing is in `parse`, the errors that point are in
//! `error`. Deliberately has no arithmetic, no functions but `exists` and `field`, and no
//! regular expressions: a condition costs a few nanoseconds and cannot run away.
//!
//! # Why
//! *Typed at load*: `level > 3` or `confidence < "0.6"` would silently never hold, so they are
//! errors with a caret. *Three values*: a comparison with a field that the event does not have is
//! neither true nor false but unknown, `not unknown` is unknown, and an unknown condition does not
//! hold (SQL's rule). So `not confidence > 0.6` never keeps the lines that have no confidence at
//! all; who wants those writes `not exists(confidence)`.

mod error;
mod eval;
mod glob;
mod lex;
mod parse;
mod types;

use crate::event::record::{Kind, Level};

use super::roles::Role;
pub use error::ConditionError;
pub(super) use eval::number;

/// A compiled condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    root: Node,
    fields: Vec<Field>,
}

/// A field that a condition reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The event's level.
    Level,
    /// The event's kind.
    Kind,
    /// Whatever member plays the role.
    Role(Role),
    /// The member at this very path (`prediction.label`), keys as in the line.
    Path(Box<str>),
}

impl Field {
    /// The field that a condition would call `name`, or the path that is written so.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if name == "kind" {
            return Some(Self::Kind);
        }
        let read = |source: &str| Condition::parse(source).ok()?.fields.into_iter().next();
        let is_path = !name.is_empty() && !name.contains(['"', '\\', '(', ')']);
        let quoted = || read(&format!("exists(field(\"{name}\"))"));
        read(&format!("exists({name})")).or_else(|| is_path.then(quoted)?)
    }
}

/// A member's value as an event gives it to a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The raw token: a string with its quotes and escapes, a number, a bare word of logfmt.
    pub token: &'a [u8],
    /// The member's key, which may name a unit (`latency_us`); empty where there is none.
    pub key: &'a [u8],
}

/// What conditions are asked about: one event.
pub trait FieldSource {
    /// The event's level.
    fn level(&self) -> Level;

    /// The event's kind as understood so far.
    fn kind(&self) -> Kind;

    /// The value of `field`, which is the condition's field number `index`; `None` if the event
    /// has no such member. Never asked for [`Field::Level`] and [`Field::Kind`].
    fn value(&self, index: usize, field: &Field) -> Option<Found<'_>>;

    /// The same of `field`, which is the plan's field `number`: events that know their fields by
    /// number need not look for it.
    fn value_at(&self, _number: usize, field: &Field) -> Option<Found<'_>> {
        self.value(0, field)
    }
}

impl Condition {
    /// Compiles `source`.
    ///
    /// # Errors
    /// [`ConditionError`] with the place of the first mistake and how to mend it.
    pub fn parse(source: &str) -> Result<Self, ConditionError> {
        parse::parse(source)
    }

    /// The fields that the condition reads, each once; a skeleton finds their spans once.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The paths among them, as in the line.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter_map(|field| match field {
            Field::Path(path) => Some(&**path),
            _ => None,
        })
    }

    /// Whether it reads the event's kind.
    #[must_use]
    pub fn reads_kind(&self) -> bool {
        self.root.any(&|test| matches!(test, Test::KindIn(_)))
    }

    /// Whether the condition holds for the event. Allocates nothing.
    #[must_use]
    pub fn eval(&self, event: &dyn FieldSource) -> bool {
        eval::eval(&self.root, &self.fields, event) == Some(true)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Exists(u16),
    Test(Test),
}

impl Node {
    /// Whether any comparison in it is `wanted`.
    fn any(&self, wanted: &dyn Fn(&Test) -> bool) -> bool {
        match self {
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(|node| node.any(wanted)),
            Node::Not(node) => node.any(wanted),
            Node::Exists(_) => false,
            Node::Test(test) => wanted(test),
        }
    }
}

/// One comparison; the left side is a field number.
#[derive(Clone, Debug, PartialEq)]
enum Test {
    Level(Order, Level),
    LevelIn(Vec<Level>),
    KindIn(Vec<Kind>),
    Number(u16, Order, f64),
    Equal(u16, Literal),
    In(u16, Vec<Literal>),
    Like(u16, Box<[u8]>),
}

/// A value written in a condition.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Text(Box<[u8]>),
    Number(f64),
    Bool(bool),
}

/// How a number or level is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Order {
    fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Order::Less => left < right,
            Order::LessOrEqual => left <= right,
            Order::Equal => left == right,
            Order::GreaterOrEqual => left >= right,
            Order::Greater => left > right,
        }
    }
}

#[cfg(test)]
mod tests;
