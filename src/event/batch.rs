//! Many events of one origin: a slab of bytes and a table of fixed records over it.
//!
//! The same two arrays are the frame on disk ([`super::frame`]). A batch is read by sinks; only
//! `protect` and the frame decoder make one that leaves the pipeline (see `protect::Protected`).

use std::sync::Arc;

use super::origin::Origin;
use super::record::{NO_SPAN, Record};
use super::slab::Slab;

/// A slab of events and the table over it.
#[derive(Debug, Default)]
pub struct Batch {
    /// One entry per event, in the order of their bytes and of their source.
    pub table: Vec<Record>,
    /// The events' bytes, a newline behind each.
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

    /// A batch of those `events` (indices into the table) alone, with the same origin and
    /// positions.
    #[must_use]
    pub fn only(&self, events: impl IntoIterator<Item = usize>) -> Self {
        let (mut table, mut slab) = (Vec::new(), Slab::default());
        for event in events.into_iter().filter_map(|index| self.event(index)) {
            let off = slab.len() as u32;
            slab.extend_from_slice(event.bytes);
            slab.extend_from_slice(b"\n");
            table.push(Record { off, ..*event.record });
        }
        let origin = Arc::clone(&self.origin);
        let Self { source_key, source_base, source_end, observed_ns, .. } = *self;
        Self { table, slab, origin, source_key, source_base, source_end, observed_ns }
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
    pub fn trace_id(&self) -> Option<&'a [u8]> {
        self.span(self.record.trace_id_off, 32)
    }

    /// The 16 hex digits of the span id.
    #[must_use]
    pub fn span_id(&self) -> Option<&'a [u8]> {
        self.span(self.record.span_id_off, 16)
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
