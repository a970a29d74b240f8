//! How a row's fields meet the columns of a table that is there: which go where they belong, which
//! go into the JSON column for the rest, and the descriptor by which BigQuery reads rows.
//!
//! Source: BigQuery Storage Write API, "Data type conversions" and "protocol buffer descriptors":
//! a descriptor stands for itself, its fields are columns, and a field that is not there is NULL.

use super::table::{Column, Table};
use crate::event::otlp::wire::{push_bytes, push_message, push_number};
use crate::sinks::row::field::{Leaf, Shape};
use crate::sinks::row::schema::Schema;

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It has a column.
    Column,
    /// It goes into the JSON column for what has none.
    Unmapped,
}

/// See the module. Field `n` of a row is number `n + 1` in what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) schema: Schema,
    pub(super) uses: Vec<Use>,
    /// By field the name of its column, where it has one, and its shape.
    pub(super) columns: Vec<Option<(String, Shape)>>,
    /// The field that takes what has no column.
    pub(super) rest: usize,
    /// The `DescriptorProto`.
    pub(super) descriptor: Vec<u8>,
}

/// The field that takes what has no column of its own, unless the config names another.
pub const REST: &str = "attributes";

impl Layout {
    /// That of a table with all columns.
    #[must_use]
    pub fn whole(schema: Schema) -> Self {
        let columns = schema.shapes().iter().map(|(name, shape)| Column::of(name, *shape));
        let all: Vec<Column> = columns.collect();
        Self::of(schema, &all, REST).unwrap_or_else(|problem| unreachable!("BUG: {problem}"))
    }

    /// The layout of rows of `schema` for a table, whose column `rest` takes what has none.
    ///
    /// # Errors
    /// Why rows cannot be written there, and what to do.
    pub fn new(schema: Schema, table: &Table, rest: &str) -> Result<Self, String> {
        Self::of(schema, &table.schema.fields, rest)
    }

    fn of(schema: Schema, columns: &[Column], rest: &str) -> Result<Self, String> {
        let shapes = schema.shapes();
        let find = |name: &str| columns.iter().find(|one| one.name.eq_ignore_ascii_case(name));
        let known = |name: &str| shapes.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut problems = Vec::new();
        for column in columns.iter().filter(|one| one.is_required() && !known(&one.name)) {
            problems.push(format!(
                "its column {} is REQUIRED, but nothing is written there: make it NULLABLE",
                column.name
            ));
        }
        let (mut uses, mut descriptor) = (Vec::new(), Descriptor::default());
        let (mut columns_of, mut n_unmapped) = (Vec::new(), 0);
        for (number, (name, shape)) in (1..).zip(shapes) {
            let is_rest = *name == REST;
            let column = find(if is_rest { rest } else { name });
            match column {
                Some(column) if fits(column, *shape) => {
                    descriptor.push(number, &column.name, *shape);
                    uses.push(Use::Column);
                    columns_of.push(Some((column.name.clone(), *shape)));
                }
                Some(column) => problems.push(format!(
                    "its column {} is {}, but {} is written there: rename or drop it, or name \
                     another table",
                    column.name,
                    column.kind(),
                    Column::of(name, *shape).kind()
                )),
                None if is_rest => {
                    problems.push(format!(
                        "it has no column \"{rest}\" of type JSON for what events say beside, and \
                         for the {n_unmapped} fields that have no column of their own: add it, \
                         name another with unmapped, or set add_columns: true"
                    ));
                    uses.push(Use::Unmapped);
                    columns_of.push(None);
                }
                None => {
                    n_unmapped += 1;
                    uses.push(Use::Unmapped);
                    columns_of.push(None);
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }
        let rest = shapes.len() - 1;
        Ok(Self { schema, uses, columns: columns_of, rest, descriptor: descriptor.0 })
    }
}

/// The columns that `table` lacks, as they can be added to one that has rows: not required.
pub fn missing(schema: Schema, table: &Table, rest: &str) -> Vec<Column> {
    let has =
        |name: &str| table.schema.fields.iter().any(|one| one.name.eq_ignore_ascii_case(name));
    let named = |name: &'static str| if name == REST { rest } else { name };
    let missing = schema.shapes().iter().filter(|(name, _)| !has(named(name)));
    let added = missing.map(|(name, shape)| {
        let column = Column::of(named(name), *shape);
        let mode = if column.is_repeated() { "REPEATED" } else { "NULLABLE" };
        Column { mode: mode.to_owned(), ..column }
    });
    added.collect()
}

fn fits(column: &Column, shape: Shape) -> bool {
    match shape {
        Shape::Leaf(leaf, _) => !column.is_repeated() && column.takes(leaf),
        Shape::List(leaf) => column.is_repeated() && column.takes(leaf),
        Shape::Structs(members) => {
            let member = |(name, leaf, _): &(&str, Leaf, bool)| {
                let found = column.fields.iter().find(|one| one.name.eq_ignore_ascii_case(name));
                found.is_some_and(|one| !one.is_repeated() && one.takes(*leaf))
            };
            column.is_repeated() && members.iter().all(member)
        }
    }
}

/// A `DescriptorProto` in the making.
struct Descriptor(Vec<u8>);

/// Labels and types of `FieldDescriptorProto`.
mod proto {
    pub(super) const OPTIONAL: u64 = 1;
    pub(super) const REPEATED: u64 = 3;
    pub(super) const DOUBLE: u64 = 1;
    pub(super) const INT64: u64 = 3;
    pub(super) const BOOL: u64 = 8;
    pub(super) const STRING: u64 = 9;
    pub(super) const MESSAGE: u64 = 11;
}

impl Default for Descriptor {
    fn default() -> Self {
        let mut out = Vec::new();
        push_bytes(&mut out, 1, b"Row");
        Self(out)
    }
}

impl Descriptor {
    fn push(&mut self, number: u64, name: &str, shape: Shape) {
        let out = &mut self.0;
        match shape {
            Shape::Leaf(leaf, _) => {
                push_field(out, (name, number), proto::OPTIONAL, type_of(leaf), None);
            }
            Shape::List(leaf) => {
                push_field(out, (name, number), proto::REPEATED, type_of(leaf), None);
            }
            Shape::Structs(members) => {
                let nested = format!("T{number}");
                let field = (name, number);
                push_field(out, field, proto::REPEATED, proto::MESSAGE, Some(&nested));
                push_message(out, 3, |out| {
                    push_bytes(out, 1, nested.as_bytes());
                    for (number, (name, leaf, _)) in (1..).zip(members) {
                        push_field(out, (name, number), proto::OPTIONAL, type_of(*leaf), None);
                    }
                });
            }
        }
    }
}

fn type_of(leaf: Leaf) -> u64 {
    match leaf {
        Leaf::Text | Leaf::Json => proto::STRING,
        Leaf::Integer | Leaf::Micros => proto::INT64,
        Leaf::Double => proto::DOUBLE,
        Leaf::Bool => proto::BOOL,
    }
}

fn push_field(
    out: &mut Vec<u8>,
    (name, number): (&str, u64),
    label: u64,
    of_type: u64,
    type_name: Option<&str>,
) {
    push_message(out, 2, |out| {
        push_bytes(out, 1, name.as_bytes());
        push_number(out, 3, number);
        push_number(out, 4, label);
        push_number(out, 5, of_type);
        if let Some(type_name) = type_name {
            push_bytes(out, 6, type_name.as_bytes());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str, &str)]) -> Table {
        let column = |&(name, of_type, mode): &(&str, &str, &str)| Column {
            name: name.to_owned(),
            r#type: of_type.to_owned(),
            mode: mode.to_owned(),
            ..Column::default()
        };
        let mut table = Table::default();
        table.schema.fields = columns.iter().map(column).collect();
        table
    }

    #[test]
    fn a_table_of_somebody_else() {
        let theirs = table(&[
            ("Request_ID", "STRING", "NULLABLE"),
            ("event_ts", "TIMESTAMP", "REQUIRED"),
            ("features", "STRING", ""),
            ("rest", "JSON", "NULLABLE"),
            ("team", "STRING", "NULLABLE"),
        ]);
        let schema = Schema::Predictions;
        let layout = Layout::new(schema, &theirs, "rest").expect("a layout");
        let used = layout.uses.iter().filter(|one| **one == Use::Column).count();
        assert_eq!(used, 4);
        assert!(layout.descriptor.windows(10).any(|part| part == b"Request_ID"));
        assert_eq!(missing(schema, &theirs, "rest").len(), schema.shapes().len() - 4);
        let error = Layout::new(schema, &theirs, "attributes").expect_err("no place for the rest");
        assert!(error.contains("no column \"attributes\" of type JSON"), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_told_all_at_once() {
        let theirs = table(&[
            ("request_id", "INTEGER", "NULLABLE"),
            ("confidence", "FLOAT", "REPEATED"),
            ("team", "STRING", "REQUIRED"),
            ("attributes", "JSON", "NULLABLE"),
        ]);
        let error = Layout::new(Schema::Predictions, &theirs, REST).expect_err("it does not fit");
        for part in
            ["column request_id is INT64, but STRING", "is ARRAY<FLOAT64>", "team is REQUIRED"]
        {
            assert!(error.contains(part), "{error}");
        }
    }

    /// What an event says beside its columns has to go somewhere, also where those are all there.
    #[test]
    fn a_table_without_the_column_for_the_rest() {
        for schema in Schema::ALL {
            let own = schema.shapes().iter().map(|(name, shape)| Column::of(name, *shape));
            let mut table = Table::default();
            table.schema.fields = own.filter(|column| column.name != REST).collect();
            let error = Layout::new(schema, &table, REST).expect_err("no place for the rest");
            assert!(error.contains("no column \"attributes\" of type JSON"), "{error}");
        }
    }

    #[test]
    fn the_whole_table_has_a_column_for_all() {
        for schema in Schema::ALL {
            assert!(Layout::whole(schema).uses.iter().all(|one| *one == Use::Column));
        }
    }
}
