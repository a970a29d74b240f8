//! Events that a sink left out of a body because others belong to them: they begin the next one.
//!
//! Owns how much may wait, and until when. Which events wait is the encoder's to say.
//!
//! # Why
//! An event that waits is copied out of its frame: it would keep a slab from the sources. The
//! cursor stays before it, so after a crash it is read again.

use std::sync::Arc;
use std::time::Duration;

use super::held::{Held, Share};
use super::load::Piece;
use super::span::{Run, runs};

/// See the module.
pub(super) struct Waiting {
    pieces: Vec<Piece>,
    /// What they keep in memory.
    held: Held,
    /// When the oldest was observed.
    oldest_ns: i64,
}

impl Waiting {
    /// Those of `pieces`, each of one event.
    pub(super) fn of(pieces: Vec<Piece>, share: &Share) -> Option<Self> {
        let oldest_ns = pieces.iter().map(|piece| piece.batch.observed_ns).min()?;
        let mut held = share.begin();
        let mut compact: Vec<Piece> = Vec::new();
        let mut pieces = pieces.into_iter().peekable();
        while let Some(first) = pieces.next() {
            let mut numbers = vec![first.number(first.events.start)];
            let mut events = vec![first.events.start];
            while let Some(next) = pieces.next_if(|next| Arc::ptr_eq(&next.batch, &first.batch)) {
                numbers.push(next.number(next.events.start));
                events.push(next.events.start);
            }
            let batch = Arc::new(first.batch.part(events));
            held.grow(batch.memory());
            let events = 0..batch.len();
            compact.push(Piece {
                batch,
                events,
                frame: first.frame,
                numbers: Some(numbers.into()),
            });
        }
        Some(Self { pieces: compact, held, oldest_ns })
    }

    /// How much they keep in memory.
    pub(super) fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// The frame of the oldest, behind which the cursor must not go.
    pub(super) fn frame(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.frame).min().unwrap_or(u64::MAX)
    }

    /// When the first of them has waited for all of `window`, in nanoseconds since 1970.
    pub(super) fn due_ns(&self, window: Duration) -> i64 {
        self.oldest_ns.saturating_add(i64::try_from(window.as_nanos()).unwrap_or(i64::MAX))
    }

    /// When the oldest was observed.
    pub(super) fn oldest_ns(&self) -> i64 {
        self.oldest_ns
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        runs(&self.pieces)
    }

    pub(super) fn into_pieces(self) -> Vec<Piece> {
        self.pieces
    }
}
