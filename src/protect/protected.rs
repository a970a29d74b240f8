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
}

impl Deref for Protected {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.0
    }
}
