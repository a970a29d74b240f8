//! One span: Jaeger's struct, written as a `Span` of OTLP.
//!
//! Owns which field becomes which: ids, times, parent and links, logs. What tags mean is
//! `meaning.rs`. Deliberately does not carry `flags` over: the sampling decision in them was
//! obeyed by the client, else the span would not be here.
//!
//! # Why
//! The lists are written when the whole struct is known, as fields may come in any order: a link is
//! told from a parent by `parentSpanId`, an attribute from a status by all other tags.

use super::meaning::{Said, Scope, Status};
use super::proto::{push_set_fixed64, push_set_number, push_set_text};
use super::tags::{Keys, Value, attribute};
use super::thrift::{List, Reader, ThriftError, Type};
use crate::event::otlp::wire::{push_bytes, push_message};

/// `SpanRefType`.
const CHILD_OF: i32 = 0;
const FOLLOWS_FROM: i32 = 1;

/// A trace id, its high and its low half. On the wire the low half is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TraceId {
    high: i64,
    low: i64,
}

/// A span as it came. Its tags have been looked at, the other lists are unread.
#[derive(Debug, Default)]
pub(super) struct Span<'a> {
    trace: TraceId,
    id: i64,
    parent_id: i64,
    name: &'a [u8],
    references: List<'a>,
    start_us: i64,
    duration_us: i64,
    tags: List<'a>,
    said: Said<'a>,
    logs: List<'a>,
}

impl TraceId {
    const NONE: Self = Self { high: 0, low: 0 };

    fn to_bytes(self) -> [u8; 16] {
        ((self.high as u64 as u128) << 64 | self.low as u64 as u128).to_be_bytes()
    }
}

impl<'a> Span<'a> {
    /// Reads a span. `keys` are then those of its tags.
    pub(super) fn read(reader: &mut Reader<'a>, keys: &mut Keys<'a>) -> Result<Self, ThriftError> {
        let (mut span, mut last_id) = (Self::default(), 0);
        while let Some((id, kind)) = reader.field(&mut last_id)? {
            match (id, kind) {
                (1, Type::I64) => span.trace.low = reader.i64()?,
                (2, Type::I64) => span.trace.high = reader.i64()?,
                (3, Type::I64) => span.id = reader.i64()?,
                (4, Type::I64) => span.parent_id = reader.i64()?,
                (5, Type::Bytes) => span.name = reader.bytes()?,
                (6, Type::List) => span.references = reader.structs_later()?,
                (8, Type::I64) => span.start_us = reader.i64()?,
                (9, Type::I64) => span.duration_us = reader.i64()?,
                (10, Type::List) => {
                    span.said = Said::default();
                    span.tags = keys.learn(reader, |tag| span.said.look(tag))?;
                }
                (11, Type::List) => span.logs = reader.structs_later()?,
                _ => reader.skip(kind)?,
            }
        }
        Ok(span)
    }

    /// Whether OpenTelemetry would know it: no id may be zero. Receivers refuse a whole request for
    /// one span without.
    pub(super) fn is_valid(&self) -> bool {
        self.trace != TraceId::NONE && self.id != 0
    }

    /// Writes the span as field 2 of a `ScopeSpans`, and says of which. `keys` must be those that
    /// [`Self::read`] left.
    pub(super) fn write(
        mut self,
        out: &mut Vec<u8>,
        keys: &mut Keys<'a>,
    ) -> Result<Scope<'a>, ThriftError> {
        let said = &mut self.said;
        let (kind, scope) = (said.kind(), said.scope());
        let (status, trace_state) = (said.status(kind), said.trace_state());
        let parent_id = self.parent()?;
        let end_us = self.start_us.saturating_add(self.duration_us);
        push_message(out, 2, |out| {
            push_bytes(out, 1, &self.trace.to_bytes());
            push_bytes(out, 2, &self.id.to_be_bytes());
            push_set_text(out, 3, trace_state);
            if parent_id != 0 {
                push_bytes(out, 4, &parent_id.to_be_bytes());
            }
            push_set_text(out, 5, self.name);
            push_set_number(out, 6, kind);
            push_set_fixed64(out, 7, nanoseconds(self.start_us));
            push_set_fixed64(out, 8, nanoseconds(end_us));
            keys.write(out, 9, self.tags, |key| (!self.said.is_taken(key)).then_some(key))?;
            self.write_events(out, keys)?;
            self.write_links(out, parent_id)?;
            if status != Status::default() {
                push_message(out, 15, |out| {
                    push_set_text(out, 2, status.message);
                    push_set_number(out, 3, status.code);
                });
            }
            Ok(scope)
        })
    }

    /// `parentSpanId`, else the first reference to the same trace that says CHILD_OF, else the
    /// first that says FOLLOWS_FROM; 0 for a root.
    fn parent(&self) -> Result<i64, ThriftError> {
        if self.parent_id != 0 {
            return Ok(self.parent_id);
        }
        let (mut followed, mut references) = (0, self.references);
        while let Some(reader) = references.next() {
            let reference = Reference::read(reader)?;
            match reference.kind {
                _ if reference.trace != self.trace => {}
                CHILD_OF => return Ok(reference.span_id),
                FOLLOWS_FROM if followed == 0 => followed = reference.span_id,
                _ => {}
            }
        }
        Ok(followed)
    }

    /// A link for each reference but the one that says who the parent is.
    fn write_links(&self, out: &mut Vec<u8>, parent_id: i64) -> Result<(), ThriftError> {
        let mut references = self.references;
        while let Some(reader) = references.next() {
            let reference = Reference::read(reader)?;
            let is_parent = reference.kind == CHILD_OF
                && reference.trace == self.trace
                && reference.span_id == parent_id;
            if is_parent || reference.trace == TraceId::NONE || reference.span_id == 0 {
                continue;
            }
            let kind: &[u8] =
                if reference.kind == CHILD_OF { b"child_of" } else { b"follows_from" };
            push_message(out, 13, |out| {
                push_bytes(out, 1, &reference.trace.to_bytes());
                push_bytes(out, 2, &reference.span_id.to_be_bytes());
                attribute(out, 4, b"opentracing.ref_type", Value::Text(kind));
            });
        }
        Ok(())
    }

    fn write_events(&self, out: &mut Vec<u8>, keys: &mut Keys<'a>) -> Result<(), ThriftError> {
        let mut logs = self.logs;
        while let Some(reader) = logs.next() {
            let log = Log::read(reader, keys)?;
            push_message(out, 11, |out| log.write(out, keys))?;
        }
        Ok(())
    }
}

/// `SpanRef`.
#[derive(Debug, Default)]
struct Reference {
    kind: i32,
    trace: TraceId,
    span_id: i64,
}

impl Reference {
    fn read(reader: &mut Reader<'_>) -> Result<Self, ThriftError> {
        let (mut reference, mut last_id) = (Self::default(), 0);
        while let Some((id, kind)) = reader.field(&mut last_id)? {
            match (id, kind) {
                (1, Type::I32) => reference.kind = reader.i32()?,
                (2, Type::I64) => reference.trace.low = reader.i64()?,
                (3, Type::I64) => reference.trace.high = reader.i64()?,
                (4, Type::I64) => reference.span_id = reader.i64()?,
                _ => reader.skip(kind)?,
            }
        }
        Ok(reference)
    }
}

/// `Log`: a time and fields, of which one may be the event's name.
#[derive(Debug, Default)]
struct Log<'a> {
    time_us: i64,
    fields: List<'a>,
    name: Option<Value<'a>>,
}

impl<'a> Log<'a> {
    fn read(reader: &mut Reader<'a>, keys: &mut Keys<'a>) -> Result<Self, ThriftError> {
        let (mut log, mut last_id) = (Self::default(), 0);
        while let Some((id, kind)) = reader.field(&mut last_id)? {
            match (id, kind) {
                (1, Type::I64) => log.time_us = reader.i64()?,
                (2, Type::List) => {
                    log.name = None;
                    log.fields = keys.learn(reader, |tag| {
                        if tag.key == b"event" {
                            log.name = Some(tag.value);
                        }
                    })?;
                }
                _ => reader.skip(kind)?,
            }
        }
        Ok(log)
    }

    /// Writes the content of a `Span.Event`: the field `event` is its name.
    fn write(&self, out: &mut Vec<u8>, keys: &Keys<'a>) -> Result<(), ThriftError> {
        push_set_fixed64(out, 1, nanoseconds(self.time_us));
        let Some(Value::Text(name)) = self.name else {
            return keys.write(out, 3, self.fields, Some);
        };
        push_set_text(out, 2, name);
        keys.write(out, 3, self.fields, |key| (key != b"event").then_some(key))
    }
}

/// Of microseconds. A time before 1970 is none.
fn nanoseconds(us: i64) -> u64 {
    u64::try_from(us).unwrap_or(0).saturating_mul(1000)
}
