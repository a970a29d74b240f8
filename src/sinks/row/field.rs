//! What a field of a row is, and how it tells its values to whatever holds columns.
//!
//! Owns the types that columns have and the way from a Rust type to one of them. Knows no format:
//! `files` makes Parquet of it, `bigquery` protobuf.

use std::borrow::Cow;

use super::{Json, Micros};

/// What one leaf column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// UTF-8 text.
    Text,
    /// JSON text.
    Json,
    /// 64-bit integer.
    Integer,
    /// 64-bit float.
    Double,
    /// Boolean.
    Bool,
    /// Microseconds since 1970, UTC.
    Micros,
}

/// What a field of a row is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One leaf; the flag says whether it may be null.
    Leaf(Leaf, bool),
    /// A list of leaves that are never null.
    List(Leaf),
    /// A list of structs with these members.
    Structs(&'static [(&'static str, Leaf, bool)]),
}

impl Shape {
    /// How many leaves it has.
    #[must_use]
    pub const fn n_leaves(self) -> usize {
        match self {
            Shape::Leaf(..) | Shape::List(_) => 1,
            Shape::Structs(members) => members.len(),
        }
    }
}

/// A value of one leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text, and JSON as text.
    Text(&'a str),
    /// Integers and microseconds.
    Integer(i64),
    /// Floats.
    Double(f64),
    /// Booleans.
    Bool(bool),
}

/// Where a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number among the fields.
    pub field: usize,
    /// The number of its first leaf among all leaves.
    pub leaf: usize,
}

/// Whatever takes a row's values, field by field in their order.
pub trait Columns {
    /// The value of the plain field at `place`; fields without one are not told.
    fn value(&mut self, place: Place, value: Value<'_>);

    /// The `n`th element of the list at `place`, by its leaves.
    fn element(&mut self, place: Place, n: usize, leaves: &[Option<Value<'_>>]);
}

/// A field of a row.
pub(in crate::sinks) trait Field {
    /// What it is in the table.
    const SHAPE: Shape;

    /// Tells what it holds.
    fn tell(&self, place: Place, columns: &mut impl Columns);
}

/// A Rust type of one leaf.
pub(in crate::sinks) trait Plain {
    /// What its column holds.
    const LEAF: Leaf;

    /// It, as a value.
    fn value(&self) -> Value<'_>;
}

impl<T: Plain> Field for T {
    const SHAPE: Shape = Shape::Leaf(T::LEAF, false);

    #[inline]
    fn tell(&self, place: Place, columns: &mut impl Columns) {
        columns.value(place, self.value());
    }
}

impl<T: Plain> Field for Option<T> {
    const SHAPE: Shape = Shape::Leaf(T::LEAF, true);

    #[inline]
    fn tell(&self, place: Place, columns: &mut impl Columns) {
        if let Some(value) = self {
            columns.value(place, value.value());
        }
    }
}

/// An element of a list.
pub(in crate::sinks) trait Element {
    /// The list's shape.
    const LIST: Shape;

    /// Tells its leaves to `each`.
    fn leaves(&self, each: impl FnOnce(&[Option<Value<'_>>]));
}

impl<T: Element> Field for Vec<T> {
    const SHAPE: Shape = T::LIST;

    fn tell(&self, place: Place, columns: &mut impl Columns) {
        for (n, element) in self.iter().enumerate() {
            element.leaves(|leaves| columns.element(place, n, leaves));
        }
    }
}

impl Plain for Cow<'_, str> {
    const LEAF: Leaf = Leaf::Text;

    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl Plain for Json<'_> {
    const LEAF: Leaf = Leaf::Json;

    fn value(&self) -> Value<'_> {
        Value::Text(&self.0)
    }
}

impl Plain for i64 {
    const LEAF: Leaf = Leaf::Integer;

    fn value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl Plain for Micros {
    const LEAF: Leaf = Leaf::Micros;

    fn value(&self) -> Value<'_> {
        Value::Integer(self.0)
    }
}

impl Plain for f64 {
    const LEAF: Leaf = Leaf::Double;

    fn value(&self) -> Value<'_> {
        Value::Double(*self)
    }
}

impl Plain for bool {
    const LEAF: Leaf = Leaf::Bool;

    fn value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
}

impl Element for Cow<'_, str> {
    const LIST: Shape = Shape::List(Leaf::Text);

    fn leaves(&self, each: impl FnOnce(&[Option<Value<'_>>])) {
        each(&[Some(Value::Text(self))]);
    }
}
