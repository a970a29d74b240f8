//! The way out: collects one tier's protected lines and seals them.
//!
//! The lines that come in here must be what [`super::replace`] wrote, or lines in which nothing was
//! to be replaced; nothing else in the program can make a [`Protected`] out of bytes.

use std::sync::Arc;

use super::protected::Protected;
use crate::event::batch::Batch;
use crate::event::origin::Origin;
use crate::event::record::Record;
use crate::event::slab::Slab;

/// The kept, protected lines of one tier of one chunk.
#[derive(Debug, Default)]
pub struct TierOutput {
    table: Vec<Record>,
    slab: Slab,
}

impl TierOutput {
    /// Collects into `slab` and `table`, both empty, for instance of a pool and of an earlier
    /// batch.
    #[must_use]
    pub fn new(slab: Slab, table: Vec<Record>) -> Self {
        Self { table, slab }
    }

    /// Copies a protected line, without its newline; where it lies is written into `record`.
    pub fn push_line(&mut self, bytes: &[u8], record: Record) {
        // A slab never reaches 4 GiB: a frame has at most 64 MiB.
        let (off, len) = (self.slab.len() as u32, bytes.len() as u32);
        self.slab.reserve(bytes.len() + 1);
        self.slab.extend_from_slice(bytes);
        self.slab.extend_from_slice(b"\n");
        self.table.push(Record { off, len, ..record });
    }

    /// Number of lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes of the lines, newlines included.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.slab.len()
    }

    /// Seals what was collected. `source_base` and `source_end` are the positions that the chunk
    /// covered, kept or not; see [`Batch`].
    #[must_use]
    pub fn finish(
        self,
        origin: Arc<Origin>,
        source_key: u64,
        source_base: u64,
        source_end: u64,
        observed_ns: i64,
    ) -> Protected {
        let Self { table, slab } = self;
        Protected::seal(Batch {
            table,
            slab,
            origin,
            source_key,
            source_base,
            source_end,
            observed_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_where_the_records_say() {
        let mut output = TierOutput::default();
        assert!(output.is_empty());
        output.push_line(b"one", Record::new(77, 77));
        output.push_line(b"", Record::new(0, 0));
        output.push_line(b"three", Record { source_off: 9, ..Record::new(0, 0) });
        assert_eq!((output.len(), output.n_bytes()), (3, 11));
        let batch = output.finish(Arc::default(), 1, 100, 200, 5);
        let lines: Vec<&[u8]> = batch.events().map(|event| event.bytes).collect();
        assert_eq!(lines, [&b"one"[..], b"", b"three"]);
        assert_eq!(batch.event(2).expect("third").source_position(), 109);
        assert_eq!((batch.source_end, batch.observed_ns), (200, 5));
    }
}
