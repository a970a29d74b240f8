//! Many events of one origin: a slab of bytes and a table of fixed records over it.
//!
//! Logs are lines, a newline behind each. Spans and metrics are the items of one OTLP request, and
//! the slab is that request: what items share (resource, scope) lies between them, see
//! [`super::otlp`].
//!
//! The same two arrays are the frame on disk ([`super::frame`]). A batch is read by sinks; only
//! `protect` and the frame decoder make one that leaves the pipeline (see `protect::Protected`).

use std::borrow::Cow;
use std::sync::Arc;

use super::origin::Origin;
use super::otlp::subset;
use super::record::{NO_SPAN, Record};
use super::signal::Signal;
use super::slab::Slab;

/// Bytes of a trace id.
pub const TRACE_ID_LEN: usize = 16;
/// Bytes of a span id.
pub const SPAN_ID_LEN: usize = 8;

/// A slab of events and the table over it.
#[derive(Debug, Default)]
pub struct Batch {
    /// One entry per event, in the order of their bytes and of their source.
    pub table: Vec<Record>,
    /// What the events are.
    pub signal: Signal,
    /// The events' bytes: lines with a newline behind each, or a whole request.
    pub slab: Slab,
    /// What all of them share.
    pub origin: Arc<Origin>,
    /// See [`super::chunk::Chunk::source_key`].
    pub source_key: u64,
    /// Position in the source of the first byte that this batch covers.
    pub source_base: u64,
    /// Position in the source behind the last byte that this batch covers, kept or not.
    pub source_end: u64,
    /// When the bytes were read, in nanoseconds since 1970.
    pub observed_ns: i64,
}

impl Batch {
    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no event (a batch that only carries a position).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes of the buffers that it keeps alive, used or not.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.slab.padded().len() + self.table.capacity() * size_of::<Record>()
    }

    /// A view of each event.
    pub fn events(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        self.table.iter().map(|record| Event {
            record,
            bytes: line(&self.slab, record),
            batch: self,
        })
    }

    /// The event at `index` of the table.
    #[must_use]
    pub fn event(&self, index: usize) -> Option<Event<'_>> {
        let record = self.table.get(index)?;
        Some(Event { record, bytes: line(&self.slab, record), batch: self })
    }

    /// A batch of those `events` (rising indices into the table) alone, with the same origin and
    /// positions.
    #[must_use]
    pub fn only(&self, events: impl IntoIterator<Item = usize>) -> Self {
        let (table, slab) = match self.signal {
            Signal::Logs => self.lines_only(events),
            Signal::Traces | Signal::Metrics => self.items_only(events),
        };
        let origin = Arc::clone(&self.origin);
        let Self { signal, source_key, source_base, source_end, observed_ns, .. } = *self;
        Self { table, signal, slab, origin, source_key, source_base, source_end, observed_ns }
    }

    fn lines_only(&self, events: impl IntoIterator<Item = usize>) -> (Vec<Record>, Slab) {
        let (mut table, mut slab) = (Vec::new(), Slab::default());
        for event in events.into_iter().filter_map(|index| self.event(index)) {
            let off = slab.len() as u32;
            slab.extend_from_slice(event.bytes);
            slab.extend_from_slice(b"\n");
            table.push(Record { off, ..*event.record });
        }
        (table, slab)
    }

    fn items_only(&self, events: impl IntoIterator<Item = usize>) -> (Vec<Record>, Slab) {
        let mut table: Vec<Record> =
            events.into_iter().filter_map(|index| self.table.get(index)).copied().collect();
        let mut wanted = table.iter().map(|record| record.off as usize).peekable();
        let mut request = Vec::new();
        let is_wanted = |_, at: usize| wanted.next_if_eq(&at).is_some();
        // The frame's own checks and the pipeline let only sound requests into a batch.
        let cut = subset::only(&self.slab, is_wanted, &mut request);
        let mut left = table.iter_mut();
        let placed = cut.and_then(|()| {
            subset::items(&request, |place| {
                if let Some(record) = left.next() {
                    record.off = place.item.start as u32;
                }
            })
        });
        debug_assert!(placed.is_ok() && left.next().is_none(), "BUG: a batch of broken items");
        (table, Slab::from_bytes(&request))
    }

    /// The stable id of the event with this `record`, equal whenever the same bytes are read again.
    #[must_use]
    #[inline]
    pub fn record_id(&self, record: &Record) -> RecordId {
        // Only a broken writer's frame could overflow, and reading one must not panic.
        let position = self.source_base.saturating_add(u64::from(record.source_off));
        RecordId { source_key: self.source_key, position }
    }
}

/// The record's bytes; empty when the record points outside (the frame decoder refuses such).
fn line<'a>(slab: &'a [u8], record: &Record) -> &'a [u8] {
    slab.get(record.off as usize..(record.off as usize).saturating_add(record.len as usize))
        .unwrap_or_default()
}

/// A borrowed view of one event; never stored.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What is known of it.
    pub record: &'a Record,
    /// The line itself, without its newline.
    pub bytes: &'a [u8],
    /// The batch it lies in.
    pub batch: &'a Batch,
}

impl<'a> Event<'a> {
    /// The request id as it stands in the line (JSON escapes and all), if the line has one.
    #[must_use]
    pub fn request_id(&self) -> Option<&'a [u8]> {
        self.span(self.record.request_id_off, usize::from(self.record.request_id_len))
    }

    /// The 32 hex digits of the trace id.
    #[must_use]
    pub fn trace_id(&self) -> Option<Cow<'a, [u8]>> {
        self.hex(self.record.trace_id_off, TRACE_ID_LEN)
    }

    /// The 16 hex digits of the span id.
    #[must_use]
    pub fn span_id(&self) -> Option<Cow<'a, [u8]>> {
        self.hex(self.record.span_id_off, SPAN_ID_LEN)
    }

    /// Lines hold ids as digits, items as bytes.
    fn hex(&self, off: u32, len: usize) -> Option<Cow<'a, [u8]>> {
        match self.batch.signal {
            Signal::Logs => self.span(off, 2 * len).map(Cow::Borrowed),
            Signal::Traces | Signal::Metrics => {
                let digits = data_encoding::HEXLOWER.encode(self.span(off, len)?);
                Some(Cow::Owned(digits.into_bytes()))
            }
        }
    }

    /// What it is, in a word: a log's kind, else `span` or `metric`.
    #[must_use]
    pub fn kind_word(&self) -> &'static str {
        match self.batch.signal {
            Signal::Logs => self.record.kind().as_str(),
            Signal::Traces => "span",
            Signal::Metrics => "metric",
        }
    }

    /// The position of the event in its source.
    #[must_use]
    pub fn source_position(&self) -> u64 {
        self.record_id().position
    }

    /// See [`Batch::record_id`].
    #[must_use]
    pub fn record_id(&self) -> RecordId {
        self.batch.record_id(self.record)
    }

    fn span(&self, off: u32, len: usize) -> Option<&'a [u8]> {
        if off == NO_SPAN || len == 0 {
            return None;
        }
        self.bytes.get(off as usize..(off as usize).checked_add(len)?)
    }
}

/// Identifies an event for ever: the same line read twice has the same id. Prints as
/// `0011223344556677-8899aabbccddeeff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordId {
    /// The stream.
    pub source_key: u64,
    /// Where in it.
    pub position: u64,
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{:016x}", self.source_key, self.position)
    }
}
