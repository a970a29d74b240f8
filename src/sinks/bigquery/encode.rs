//! Rows as the protobuf that BigQuery reads, one after the other.
//!
//! Owns the bytes of a row. Which columns there are is [`super::layout`]'s.
//!
//! # Why
//! - Rows have the presence of proto2: what is told is written, zero, empty and false too; what is
//!   not told is NULL.
//! - Straight from the borrowed row into the body: no message object, no copy of a text but the
//!   one.

use std::ops::Range;
use std::sync::Arc;

use super::join::{Half, Halves, Met, Side};
use super::layout::{Layout, Use};
use super::objects::Objects;
use crate::event::batch::{Batch, Event};
use crate::event::otlp::wire::{push_bytes, push_fixed64, push_head, push_message, push_number};
use crate::sinks::row::build::Builder;
use crate::sinks::row::field::{Columns, Leaf, Place, Shape, Value};
use crate::sinks::row::schema::Schema;
use crate::sinks::row::{Micros, Row};
use crate::sinks::{Refused, json};

/// The field of `ProtoRows` that is a row.
const ROWS: u32 = 1;
/// BigQuery refuses rows of a partitioned table that lie further ahead.
const AHEAD_MICROS: i64 = 86_400_000_000;

/// Rows in the making.
#[derive(Debug)]
pub(super) struct Rows {
    builder: Builder,
    layout: Arc<Layout>,
    /// How long the table keeps a row.
    retention_micros: i64,
    /// `ProtoRows`, or the objects of insertAll.
    pub(super) bytes: Vec<u8>,
    /// Where rows become JSON once they are whole.
    objects: Option<Objects>,
    pub(super) n_rows: u32,
    /// Events that were taken.
    n_events: u32,
    /// The events of each row, by their numbers: twice the same, but for one of two halves.
    pub(super) events: Vec<(u32, u32)>,
    pub(super) halves: Halves,
    row: RowBytes,
}

#[derive(Debug, Default)]
struct RowBytes {
    bytes: Vec<u8>,
    /// Members of the JSON object of what has no column, each with a comma before it.
    rest: Vec<u8>,
}

impl Rows {
    pub(super) fn new(builder: Builder, layout: Arc<Layout>, retention_micros: i64) -> Self {
        Self {
            builder,
            layout,
            retention_micros,
            bytes: Vec::new(),
            objects: None,
            n_rows: 0,
            n_events: 0,
            events: Vec::new(),
            halves: Halves::default(),
            row: RowBytes::default(),
        }
    }

    /// The same, in the form of insertAll.
    pub(super) fn with_objects(self) -> Self {
        Self { objects: Some(Objects::default()), ..self }
    }

    /// Adds events; those that can never be rows. Halves are kept aside if they are `joined`.
    pub(super) fn push(
        &mut self,
        batch: &Batch,
        events: Range<usize>,
        is_joined: bool,
    ) -> Vec<Refused> {
        let mut refused = Vec::new();
        for index in events {
            let Some(event) = batch.event(index) else { continue };
            if let Err(reason) = self.push_event(event, is_joined) {
                refused.push(Refused { event: index, reason });
            }
        }
        refused
    }

    fn push_event(&mut self, event: Event<'_>, is_joined: bool) -> Result<(), &'static str> {
        let Self { builder, layout, bytes, objects, n_rows, events, halves, row, .. } = self;
        let (number, observed_ns) = (self.n_events, event.batch.observed_ns);
        let retention_micros = self.retention_micros;
        builder.rows(event, |one| {
            let one = &clamped(one, retention_micros);
            row.write(one, layout);
            if objects.is_some() {
                push_bytes(&mut row.bytes, Objects::id_number(layout), one.record_id.as_bytes());
            }
            let side = Side::of(one).filter(|_| is_joined);
            let met = side
                .map(|side| halves.offer(&one.request_id, &row.bytes, (side, number, observed_ns)));
            let other = match &met {
                Some(Met::Waits) => return,
                Some(Met::Joined(whole, other)) => {
                    push_row(bytes, objects, layout, whole);
                    *other
                }
                Some(Met::Twin) | None => {
                    push_row(bytes, objects, layout, &row.bytes);
                    number
                }
            };
            *n_rows += 1;
            events.push((number.min(other), number.max(other)));
        })?;
        self.n_events += 1;
        Ok(())
    }

    /// Makes rows of halves that are alone.
    pub(super) fn push_alone(&mut self, halves: impl Iterator<Item = (Half, Vec<u8>)>) {
        let mark = marked(self.layout.schema, NOT_JOINED);
        for (half, mut row) in halves {
            row.extend_from_slice(&mark);
            push_row(&mut self.bytes, &mut self.objects, &self.layout, &row);
            self.n_rows += 1;
            self.events.push((half.event, half.event));
        }
    }

    /// The events with these numbers are another body's: those behind them move up.
    pub(super) fn renumber(&mut self, gone: &[u32]) {
        let moved = |number: u32| number - gone.partition_point(|one| *one < number) as u32;
        for (first, last) in &mut self.events {
            (*first, *last) = (moved(*first), moved(*last));
        }
        self.n_events -= gone.len() as u32;
    }

    /// Whether each row is the event of its own number.
    pub(super) fn is_plain(&self) -> bool {
        let own = |(n, pair): (u32, &(u32, u32))| *pair == (n, n);
        self.n_rows == self.n_events && (0..).zip(&self.events).all(own)
    }

    /// Gives the builder back, which has learned.
    pub(super) fn into_builder(self) -> Builder {
        self.builder
    }
}

/// Adds a row that is whole, in the form that is asked for.
fn push_row(bytes: &mut Vec<u8>, objects: &mut Option<Objects>, layout: &Layout, row: &[u8]) {
    match objects {
        None => push_bytes(bytes, ROWS, row),
        Some(objects) => objects.push(row, layout, bytes),
    }
}

/// What `logging_errors` says of a half whose other half did not come in time.
const NOT_JOINED: &str = "NOT_JOINED";

/// A value of the column `logging_errors`, as it is appended to a row.
pub fn marked(schema: Schema, word: &str) -> Vec<u8> {
    let column = schema.shapes().iter().position(|(name, _)| *name == "logging_errors");
    let mut mark = Vec::new();
    if let Some(column) = column {
        push_bytes(&mut mark, column as u32 + 1, word.as_bytes());
    }
    mark
}

/// A clock that is wrong by more than the table's retention would put the row into a partition that
/// is gone already, one that is far ahead into one that BigQuery refuses.
fn clamped<'r, 'a>(row: &'r Row<'a>, retention_micros: i64) -> std::borrow::Cow<'r, Row<'a>> {
    let (at, read) = (row.event_ts.0, row.ingest_ts.0);
    if at > read.saturating_sub(retention_micros) && at < read.saturating_add(AHEAD_MICROS) {
        return std::borrow::Cow::Borrowed(row);
    }
    let mut clamped = row.clone();
    clamped.event_ts = Micros(read);
    clamped.ts_source = Some("clamped".into());
    clamped.logging_errors.push("CLOCK_CLAMPED".into());
    std::borrow::Cow::Owned(clamped)
}

impl RowBytes {
    fn write(&mut self, row: &Row<'_>, layout: &Layout) {
        self.bytes.clear();
        self.rest.clear();
        layout.schema.tell(row, &mut Writer { row: self, layout });
        if !self.rest.is_empty() {
            // The row itself told nothing for the rest.
            let mut object = std::mem::take(&mut self.rest);
            object[0] = b'{';
            object.push(b'}');
            push_bytes(&mut self.bytes, layout.rest as u32 + 1, &object);
            self.rest = object;
        }
    }
}

struct Writer<'r> {
    row: &'r mut RowBytes,
    layout: &'r Layout,
}

impl Columns for Writer<'_> {
    #[inline]
    fn value(&mut self, place: Place, value: Value<'_>) {
        let number = place.field as u32 + 1;
        if place.field == self.layout.rest
            && let (Value::Text(object), false) = (value, self.row.rest.is_empty())
        {
            return self.row.merge(object);
        }
        match self.layout.uses.get(place.field) {
            Some(Use::Column) => push_value(&mut self.row.bytes, number, value),
            _ => {
                self.row.begin_rest(self.layout.schema, place.field);
                match (value, is_json(self.layout.schema, place.field)) {
                    (Value::Text(json), true) => self.row.rest.extend_from_slice(json.as_bytes()),
                    _ => push_json(&mut self.row.rest, value),
                }
            }
        }
    }

    fn element(&mut self, place: Place, n: usize, leaves: &[Option<Value<'_>>]) {
        let number = place.field as u32 + 1;
        let is_column = matches!(self.layout.uses.get(place.field), Some(Use::Column));
        match (is_column, leaves) {
            (true, [Some(value)]) => push_value(&mut self.row.bytes, number, *value),
            (true, leaves) => push_message(&mut self.row.bytes, number, |out| {
                for (number, leaf) in (1..).zip(leaves) {
                    if let Some(value) = leaf {
                        push_value(out, number, *value);
                    }
                }
            }),
            (false, leaves) => {
                if n == 0 {
                    self.row.begin_rest(self.layout.schema, place.field);
                    self.row.rest.push(b'[');
                } else if let Some(end) = self.row.rest.last_mut() {
                    // The bracket behind the element before.
                    *end = b',';
                }
                push_list(&mut self.row.rest, leaves);
                self.row.rest.push(b']');
            }
        }
    }
}

impl RowBytes {
    /// Begins a member of the rest, named as its column would be.
    fn begin_rest(&mut self, schema: Schema, field: usize) {
        let name = schema.shapes().get(field).map_or("", |(name, _)| name);
        self.rest.extend_from_slice(b",\"");
        self.rest.extend_from_slice(name.as_bytes());
        self.rest.extend_from_slice(b"\":");
    }

    /// Adds the members of `object`, the event's own rest.
    fn merge(&mut self, object: &str) {
        match json::inside(object.as_bytes()) {
            Some(b"") => {}
            Some(members) => {
                self.rest.push(b',');
                self.rest.extend_from_slice(members);
            }
            None => self.rest.extend_from_slice(format!(",\"attributes\":{object}").as_bytes()),
        }
    }
}

/// Whether the field's texts are JSON already.
fn is_json(schema: Schema, field: usize) -> bool {
    schema.shapes().get(field).is_some_and(|(_, shape)| matches!(shape, Shape::Leaf(Leaf::Json, _)))
}

#[inline]
fn push_value(out: &mut Vec<u8>, number: u32, value: Value<'_>) {
    match value {
        Value::Text(text) => push_bytes(out, number, text.as_bytes()),
        Value::Integer(n) => push_number(out, number, n.cast_unsigned()),
        Value::Double(n) => push_fixed64(out, number, n.to_bits()),
        Value::Bool(is_so) => push_number(out, number, u64::from(is_so)),
    }
}

/// A value as JSON.
pub(super) fn push_json(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Text(text) => json::write_string(out, text),
        Value::Integer(n) => out.extend_from_slice(n.to_string().as_bytes()),
        // What JSON has no number for is null there.
        Value::Double(n) => {
            out.extend_from_slice(serde_json::Value::from(n).to_string().as_bytes());
        }
        Value::Bool(is_so) => out.extend_from_slice(if is_so { b"true" } else { b"false" }),
    }
}

fn push_list(out: &mut Vec<u8>, leaves: &[Option<Value<'_>>]) {
    out.push(b'[');
    for (n, leaf) in leaves.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        match leaf {
            Some(value) => push_json(out, *value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b']');
}

/// What stands before the rows in `ProtoData`: the descriptor, and the head of the rows.
pub(super) fn head(layout: &Layout, n_bytes: usize, out: &mut Vec<u8>) {
    push_message(out, 1, |out| push_bytes(out, 1, &layout.descriptor));
    push_head(out, 2, n_bytes);
}
