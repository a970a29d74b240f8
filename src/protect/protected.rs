//! The seal: a batch in which every kept event went through protection.
//!
//! The spool accepts only [`Protected`], sinks read only what the spool gives, so no byte that
//! redaction has not seen reaches disk, network, dead letters, tap or our own log. There are two
//! ways to one: `protect` itself (the constructor is private to its module), and reading back a
//! frame that a `Protected` wrote.

use std::ops::Deref;

use crate::event::batch::Batch;
use crate::event::frame::{self, FrameError};

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
        let (middle, end) = (self.len() / 2, self.len());
        if middle == 0 {
            return None;
        }
        let covers_nothing = Batch { source_end: self.source_base, ..self.only(0..middle) };
        Some((Self(covers_nothing), Self(self.only(middle..end))))
    }

    /// Some of its events, copied.
    #[must_use]
    pub fn part(&self, events: impl IntoIterator<Item = usize>) -> Self {
        Self(self.0.only(events))
    }

    /// The same events of an origin that lacks those attributes that are `unwanted`.
    #[must_use]
    pub fn without_attributes(self, unwanted: impl Fn(&str) -> bool) -> Self {
        let mut origin = (*self.0.origin).clone();
        origin.attributes.retain(|(name, _)| !unwanted(name));
        Self(Batch { origin: origin.into(), ..self.0 })
    }
}

impl Deref for Protected {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.0
    }
}
