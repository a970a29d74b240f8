//! Rows as the JSON that insertAll takes, made of rows as protobuf.
//!
//! Owns how each type of column is spelled there. Knows no request and no answer.
//!
//! Source: BigQuery REST v2, `tabledata.insertAll`; "Streaming data into BigQuery"; how Google's
//! own clients spell values (`google-cloud-bigquery`, `_helpers.py`).
//!
//! # Why
//! - **Of protobuf**, and not of the row: what joins halves, marks rows and finds columns works on
//!   that, and is there once. This is the way to fall back on; the benchmark says what it costs.
//! - **INT64 as text**: a number of JSON is a double to some of those who read it.
//! - **JSON columns as text** that holds JSON: so its numbers keep their digits.
//! - **What is not told is left out**, which is NULL; zero, empty and false are told.

use time::OffsetDateTime;

use super::layout::Layout;
use crate::event::otlp::wire::{Field, Reader};
use crate::sinks::json;
use crate::sinks::row::field::{Leaf, Shape};

/// What stands before the rows of a request.
///
/// # Why
/// Rows that are not valid are not skipped: then BigQuery stores none for the sake of one (it says
/// `stopped` of the others, which are sent again), and the rows of one event land together or not
/// at all. Skipped, a batch could be in the table and in the dead letters, and a replay of those
/// would write some of its rows a second time, long after the insertId is forgotten. A bad row
/// costs one request more. Nor are unknown values ignored: what a table has no column for goes to
/// the JSON column, and is never dropped.
pub(super) const HEAD: &[u8] = br#"{"skipInvalidRows":false,"ignoreUnknownValues":false,"rows":["#;
/// What stands behind them.
pub(super) const TAIL: &[u8] = b"]}";

/// Writes rows; keeps what it needs for one.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Those of the row that is written.
    fields: Vec<Field>,
}

impl Objects {
    /// The number of the field that is the row's id, behind those of all columns: a table may have
    /// no column for it.
    pub(super) fn id_number(layout: &Layout) -> u32 {
        layout.columns.len() as u32 + 1
    }

    /// Adds `row`, with a comma before it where it is not the first one.
    pub(super) fn push(&mut self, row: &[u8], layout: &Layout, out: &mut Vec<u8>) {
        self.fields.clear();
        let mut reader = Reader::new(row, 0, row.len());
        while let Ok(Some(field)) = reader.read() {
            self.fields.push(field);
        }
        // A mark stands behind all others, and belongs to the list that it is of.
        if !self.fields.is_sorted_by_key(Field::number) {
            self.fields.sort_by_key(Field::number);
        }
        let fields = self.fields.as_slice();
        out.extend_from_slice(if out.is_empty() { b"{" } else { b",{" });
        let id_number = Self::id_number(layout);
        if let Some(id) = fields.last().filter(|field| field.number() == id_number) {
            out.extend_from_slice(b"\"insertId\":");
            push_text(id.of(row), out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"json\":{");
        let mut is_first = true;
        for run in fields.chunk_by(|one, other| one.number() == other.number()) {
            let Some(first) = run.first() else { continue };
            let column = layout.columns.get(first.number() as usize - 1);
            let Some((name, shape)) = column.and_then(Option::as_ref) else { continue };
            push_name(name, &mut is_first, out);
            match shape {
                Shape::Leaf(leaf, _) => push_leaf(row, *run.last().unwrap_or(first), *leaf, out),
                Shape::List(leaf) => {
                    push_list(run, out, |field, out| push_leaf(row, field, *leaf, out));
                }
                Shape::Structs(members) => {
                    push_list(run, out, |field, out| push_struct(row, field, members, out));
                }
            }
        }
        out.extend_from_slice(b"}}");
    }
}

/// The name of a member, and the comma before it. Names of columns need no escape.
fn push_name(name: &str, is_first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(is_first) {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn push_list(run: &[Field], out: &mut Vec<u8>, mut push: impl FnMut(Field, &mut Vec<u8>)) {
    out.push(b'[');
    for (n, field) in run.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        push(*field, out);
    }
    out.push(b']');
}

fn push_struct(row: &[u8], of: Field, members: &[(&str, Leaf, bool)], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    let mut fields = Reader::of(row, of);
    while let Ok(Some(field)) = fields.read() {
        if let Some((name, leaf, _)) = members.get(field.number() as usize - 1) {
            push_name(name, &mut is_first, out);
            push_leaf(row, field, *leaf, out);
        }
    }
    out.push(b'}');
}

fn push_leaf(row: &[u8], field: Field, leaf: Leaf, out: &mut Vec<u8>) {
    match leaf {
        Leaf::Text | Leaf::Json => push_text(field.of(row), out),
        Leaf::Integer => {
            push_printed(format_args!("\"{}\"", field.number_in(row).cast_signed()), out);
        }
        Leaf::Double => push_double(f64::from_bits(field.number_in(row)), out),
        Leaf::Bool => {
            let is_so = field.number_in(row) != 0;
            out.extend_from_slice(if is_so { b"true" } else { b"false" });
        }
        Leaf::Micros => push_micros(field.number_in(row).cast_signed(), out),
    }
}

fn push_text(bytes: &[u8], out: &mut Vec<u8>) {
    json::write_string(out, &json::utf8(bytes));
}

/// What JSON has no number for is one of three words there.
fn push_double(number: f64, out: &mut Vec<u8>) {
    match number {
        _ if number.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        _ => serde_json::to_writer(out, &number).expect("BUG: a vector takes every write"),
    }
}

/// RFC 3339, to the microsecond. A time that BigQuery has no year for becomes a number that it has
/// no time for: the row is refused, as by protobuf.
fn push_micros(micros: i64, out: &mut Vec<u8>) {
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000) else {
        return push_printed(format_args!("{micros}"), out);
    };
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, micro) = time.to_hms_micro();
    let month = u8::from(month);
    push_printed(
        format_args!(
            "\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z\""
        ),
        out,
    );
}

fn push_printed(text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    use std::io::Write as _;
    out.write_fmt(text).expect("BUG: a vector takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number};
    use crate::sinks::row::schema::Schema;

    fn pushed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn numbers() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(pushed(|out| push_double(number, out)), text);
        }
    }

    #[test]
    fn times() {
        for (micros, text) in [
            (0, "\"1970-01-01T00:00:00.000000Z\""),
            (-1, "\"1969-12-31T23:59:59.999999Z\""),
            (1_767_522_600_000_001, "\"2026-01-04T10:30:00.000001Z\""),
            (253_402_300_799_999_999, "\"9999-12-31T23:59:59.999999Z\""),
            (-62_135_596_800_000_000, "\"0001-01-01T00:00:00.000000Z\""),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(pushed(|out| push_micros(micros, out)), text);
        }
    }

    /// Every type, a list that comes in two places, a column of another name, and fields that the
    /// table has no column for.
    #[test]
    fn a_row() {
        let scores = &[("label", Leaf::Text, false), ("score", Leaf::Double, false)];
        let column = |name: &str, shape| Some((name.to_owned(), shape));
        let layout = Layout {
            columns: vec![
                column("ID", Shape::Leaf(Leaf::Text, false)),
                column("n", Shape::Leaf(Leaf::Integer, true)),
                None,
                column("words", Shape::List(Leaf::Text)),
                column("scores", Shape::Structs(scores)),
                column("json", Shape::Leaf(Leaf::Json, true)),
                column("is_so", Shape::Leaf(Leaf::Bool, true)),
            ],
            ..Layout::whole(Schema::Predictions)
        };
        let mut row = Vec::new();
        push_bytes(&mut row, 1, "a\"\u{1}é\n".as_bytes());
        push_number(&mut row, 2, i64::MIN.cast_unsigned());
        push_bytes(&mut row, 4, b"");
        for (label, score) in [("x", 0.5), ("y", f64::NAN)] {
            push_message(&mut row, 5, |out| {
                push_bytes(out, 1, label.as_bytes());
                push_fixed64(out, 2, score.to_bits());
            });
        }
        push_bytes(&mut row, 6, br#"{"amount":1.50}"#);
        push_number(&mut row, 7, 0);
        push_bytes(&mut row, Objects::id_number(&layout), b"id-1");
        push_bytes(&mut row, 4, b"MARK");
        let expected = concat!(
            r#"{"insertId":"id-1","json":{"ID":"a\"\u0001é\n","n":"-9223372036854775808","#,
            r#""words":["","MARK"],"scores":[{"label":"x","score":0.5},"#,
            r#"{"label":"y","score":"NaN"}],"json":"{\"amount\":1.50}","is_so":false}}"#,
        );
        let mut objects = Objects::default();
        let both = pushed(|out| {
            objects.push(&row, &layout, out);
            objects.push(b"", &layout, out);
        });
        assert_eq!(both, format!("{expected},{{\"json\":{{}}}}"));
    }
}
