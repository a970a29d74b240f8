//! The seal: a batch in which every kept event went through protection.
//!
//! The spool accepts only [`Protected`], sinks read only what the spool gives, so no byte that
//! redaction has not seen reaches disk, network, dead letters, tap or our own log. There are two
//! ways to one: `protect` itself (the constructor is private to its module), and reading back a
//! frame that a `Protected` wrote.

use std::ops::Deref;
use std::sync::Arc;

use crate::event::batch::Batch;
use crate::event::frame::{self, FrameError};
use crate::event::record::Record;
use crate::event::slab::Slab;

/// A batch that may leave the pipeline.
#[derive(Debug)]
pub struct Protected(Batch);

impl Protected {
    /// Seals `batch`. Only `protect` and its output builder may say so.
    pub(in crate::protect) fn seal(batch: Batch) -> Self {
        Self(batch)
    }

    /// Reads a frame that was written from a `Protected`; the spool's read path.
    ///
    /// # Errors
    /// [`FrameError`] for anything that is not a whole, sound frame.
    pub fn from_frame(bytes: &[u8]) -> Result<Self, FrameError> {
        frame::decode(bytes).map(Self)
    }

    /// The same events in two batches, `None` where there is only one event. The first one covers
    /// nothing of its source: only when the second is durable may what both hold be skipped.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let (first, second) = self.table.split_at_checked(self.table.len() / 2)?;
        if first.is_empty() {
            return None;
        }
        let covers_nothing = Batch { source_end: self.source_base, ..self.with(first) };
        Some((Self(covers_nothing), Self(self.with(second))))
    }

    /// A batch of `records`, which are some of this one's.
    fn with(&self, records: &[Record]) -> Batch {
        let lines = records.iter().map(|record| record.len as usize + 1).sum();
        let mut slab = Slab::with_capacity(lines);
        let mut table = records.to_vec();
        for record in &mut table {
            let (from, len) = (record.off as usize, record.len as usize);
            record.off = slab.len() as u32;
            slab.extend_from_slice(self.slab.get(from..from + len).unwrap_or_default());
            slab.extend_from_slice(b"\n");
        }
        let origin = Arc::clone(&self.origin);
        let Batch { source_key, source_base, source_end, observed_ns, .. } = self.0;
        Batch { table, slab, origin, source_key, source_base, source_end, observed_ns }
    }
}

impl Deref for Protected {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.0
    }
}
