//! What delivery needs of a spool's cursor; [`Cursor`] is it, tests have one in memory.

use std::future::Future;
use std::sync::Arc;

use crate::protect::protected::Protected;
use crate::sinks::LogRange;
use crate::spool::{Cursor, Entry};

/// One frame of a tier's log.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it lies. `range.to` of one frame is at or before `range.from` of the next.
    pub range: LogRange,
    /// Its events; none in a frame that only carries a position.
    pub batch: Arc<Protected>,
}

/// A cursor on one tier's log.
pub trait Frames: Send + 'static {
    /// The next frame, waiting for one; `None` when there will never be another.
    ///
    /// Cancel safe: when the future is dropped before it is ready, no frame is lost.
    fn next(&mut self) -> impl Future<Output = Option<Frame>> + Send;

    /// The next frame, if there is one now.
    fn try_next(&mut self) -> Option<Frame>;

    /// Everything before `to` is done with. Called with rising positions. Returns the events that
    /// this settled: fewer than lie before `to` where the spool gave some of them up meanwhile and
    /// counted them as dropped.
    fn ack(&mut self, to: u64) -> u64;

    /// Reading goes on at `to` (or at what the spool still has behind it).
    fn rewind(&mut self, to: u64);

    /// Where reading goes on.
    fn position(&self) -> u64;
}

impl From<Entry> for Frame {
    fn from(Entry { range, batch }: Entry) -> Self {
        Self { range, batch }
    }
}

impl Frames for Cursor {
    async fn next(&mut self) -> Option<Frame> {
        Cursor::next(self).await.map(Frame::from)
    }

    fn try_next(&mut self) -> Option<Frame> {
        Cursor::try_next(self).map(Frame::from)
    }

    fn ack(&mut self, to: u64) -> u64 {
        Cursor::ack(self, to)
    }

    fn rewind(&mut self, to: u64) {
        Cursor::rewind(self, to);
    }

    fn position(&self) -> u64 {
        Cursor::position(self)
    }
}
