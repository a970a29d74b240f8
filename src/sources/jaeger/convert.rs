//! A batch of spans as Jaeger's clients send it, written as the OTLP request that would have said
//! the same.
//!
//! Owns the mapping of a batch: its process to a resource, its spans to spans, grouped by their
//! scope. Below it, `message.rs` knows what is around a batch, `thrift.rs` and `proto.rs` the two
//! encodings. Deliberately reads no socket and protects nothing: what comes out is a request like
//! any client's, and goes the way of those. `emitZipkinBatch`, sampling (5778, 5779) and the
//! statistics that clients send along are not for us.
//!
//! # Why
//! - *Bytes to bytes.* There is no tree in between: a span's lists are found first, and read again
//!   where they are written. So memory is that of the request made.
//!   Tests hold its bound for any bytes at all: [`GROWTH_MAX`] times what came.
//! - *A field that lacks is empty, as long as the bytes are sound.* A batch is only refused as a
//!   whole: for one span without a name all others would be lost. A span without ids is refused
//!   alone, since receivers would refuse everything for it.
//!
//! Reference: jaeger-idl `thrift/jaeger.thrift` and `agent.thrift`; the mapping is that of the
//! OpenTelemetry Collector's Jaeger receiver, and `meaning.rs` says where it is not.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::meaning::Scope;
use super::message::{self, Protocol};
use super::proto::push_set_text;
use super::span::Span;
use super::tags::{Keys, Value, attribute};
use super::thrift::{List, Reader, ThriftError, Type};
use crate::event::otlp::wire::{push_head, push_message, varint_len};

/// How many times longer a request may be than the batch that it is made of: a reference of five
/// bytes becomes a link of sixty-six. Batches as they are grow by a third.
pub const GROWTH_MAX: usize = 16;

/// A batch as OTLP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// An `ExportTraceServiceRequest` (opentelemetry-proto 1.9) with one `ResourceSpans`. Empty
    /// when no span is in it.
    pub request: Vec<u8>,
    /// Spans in it.
    pub n_spans: u32,
    /// Spans left out, since their trace id or span id was zero.
    pub n_invalid: u32,
}

/// Makes an OTLP request of one datagram or body.
///
/// # Errors
/// [`ThriftError`] when the bytes are no batch; then nothing of it can be had. What is behind the
/// batch does not matter.
pub fn spans(bytes: &[u8], protocol: Protocol) -> Result<Converted, ThriftError> {
    let mut reader = message::batch(bytes, protocol)?;
    let (mut process, mut has_spans, mut last_id) = (None, false, 0);
    let (mut keys, mut converted) = (Keys::default(), Converted::default());
    let mut grouped = Grouped { spans: Vec::with_capacity(bytes.len()), ..Grouped::default() };
    while let Some((id, kind)) = reader.field(&mut last_id)? {
        match (id, kind) {
            (1, Type::Struct) => {
                process = Some(reader);
                reader.skip(kind)?;
            }
            (2, Type::List) => {
                has_spans = true;
                reader.structs(|reader| {
                    let span = Span::read(reader, &mut keys)?;
                    if !span.is_valid() {
                        converted.n_invalid += 1;
                        return Ok(());
                    }
                    converted.n_spans += 1;
                    grouped.push(span, &mut keys)
                })?;
            }
            _ => reader.skip(kind)?,
        }
    }
    let mut process = process.ok_or(ThriftError::Missing("process"))?;
    if !has_spans {
        return Err(ThriftError::Missing("spans"));
    }
    if converted.n_spans > 0 {
        converted.request = grouped.request(&resource(&mut process, &mut keys)?);
    }
    Ok(converted)
}

/// The process as field 1 of a `ResourceSpans`.
fn resource<'a>(process: &mut Reader<'a>, keys: &mut Keys<'a>) -> Result<Vec<u8>, ThriftError> {
    let (mut service, mut tags, mut last_id): (&[u8], _, _) = (b"", List::default(), 0);
    let mut version = None;
    keys.clear();
    while let Some((id, kind)) = process.field(&mut last_id)? {
        match (id, kind) {
            (1, Type::Bytes) => service = process.bytes()?,
            (2, Type::List) => {
                version = None;
                tags = keys.learn(process, |tag| {
                    if tag.key == b"jaeger.version" {
                        version = Some(tag.value);
                    }
                })?;
            }
            _ => process.skip(kind)?,
        }
    }
    let is_host_named = keys.have(b"host.name");
    let version = match version {
        Some(Value::Text(version)) if !keys.have(EXPORTER_VERSION) => Some(version),
        _ => None,
    };
    let mut out = Vec::new();
    push_message(&mut out, 1, |out| {
        if !service.is_empty() && !keys.have(b"service.name") {
            attribute(out, 1, b"service.name", Value::Text(service));
        }
        if let Some(version) = version {
            let version = [b"Jaeger-".as_slice(), version].concat();
            attribute(out, 1, EXPORTER_VERSION, Value::Text(&version));
        }
        keys.write(out, 1, tags, |key| match key {
            b"hostname" if !is_host_named => Some(b"host.name"),
            b"jaeger.version" if version.is_some() => None,
            _ => Some(key),
        })
    })?;
    Ok(out)
}

/// Where the version of Jaeger's client goes.
const EXPORTER_VERSION: &[u8] = b"opencensus.exporterversion";

/// Spans as they came, and which scope each belongs to.
#[derive(Debug, Default)]
struct Grouped<'a> {
    /// Each as field 2 of a `ScopeSpans`.
    spans: Vec<u8>,
    /// The number of the scope of each, and where it stands.
    placed: Vec<(usize, Range<usize>)>,
    numbers: HashMap<Scope<'a>, usize>,
    /// In the order of their first span.
    scopes: Vec<Group<'a>>,
}

/// The spans of one scope.
#[derive(Debug)]
struct Group<'a> {
    scope: Scope<'a>,
    n_bytes: usize,
}

impl<'a> Grouped<'a> {
    fn push(&mut self, span: Span<'a>, keys: &mut Keys<'a>) -> Result<(), ThriftError> {
        let start = self.spans.len();
        let scope = span.write(&mut self.spans, keys)?;
        let place = start..self.spans.len();
        let number = match self.numbers.entry(scope) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.scopes.push(Group { scope, n_bytes: 0 });
                *new.insert(self.scopes.len() - 1)
            }
        };
        self.scopes[number].n_bytes += place.len();
        self.placed.push((number, place));
        Ok(())
    }

    /// The request: every length is known by now.
    fn request(mut self, resource: &[u8]) -> Vec<u8> {
        let mut heads = Vec::with_capacity(self.scopes.len());
        let mut len = resource.len();
        for group in &self.scopes {
            let head = scope(group.scope);
            len += message_len(head.len() + group.n_bytes);
            heads.push(head);
        }
        let mut out = Vec::with_capacity(message_len(len));
        push_head(&mut out, 1, len);
        out.extend_from_slice(resource);
        // In the order of their scopes; those of one scope stay in theirs.
        self.placed.sort_by_key(|(number, _)| *number);
        let mut placed = self.placed.into_iter().peekable();
        for (number, (group, head)) in self.scopes.iter().zip(&heads).enumerate() {
            push_head(&mut out, 2, head.len() + group.n_bytes);
            out.extend_from_slice(head);
            while let Some((_, place)) = placed.next_if(|(of, _)| *of == number) {
                out.extend_from_slice(&self.spans[place]);
            }
        }
        out
    }
}

/// Bytes of a message of `len` bytes with its head.
fn message_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// A scope as field 1 of a `ScopeSpans`; nothing for none.
fn scope(scope: Scope<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    if scope != Scope::default() {
        push_message(&mut out, 1, |out| {
            push_set_text(out, 1, scope.name);
            push_set_text(out, 2, scope.version);
        });
    }
    out
}
