//! One tier's log as appenders, cursors and the writer see it: what is pending, what is durable,
//! where each route stands. One lock, held for bookkeeping only, never across I/O; the file that
//! positions are written to has one of its own.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::event::frame::{self, FRAME_BYTES_MAX};
use crate::protect::protected::Protected;
use crate::telemetry::DropReason;

use super::cursor_file::CursorFile;
use super::disk::Disk;
use super::error::SpoolError;
use super::mark::SourceEnd;
use super::options::WhenFull;
use super::place;
use super::reader::Stored;
use super::route::{Route, signed};
use super::segment::Segment;
use super::sources::Sources;
use super::tail::Tail;
use super::ticket::Answer;

/// A batch on its way into the log.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) batch: Arc<Protected>,
    /// Bytes of its frame.
    pub(super) len: u64,
    /// Memory that it keeps alive.
    pub(super) cost: usize,
    /// Its source has it no more: while nothing can be written it may be dropped.
    pub(super) is_sole: bool,
    pub(super) answer: Answer,
}

/// Where a frame was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) pending: Pending,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A segment that a reader could not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged {
    pub(super) base: u64,
    /// Refusals of the disk so far, which may pass.
    pub(super) n_refusals: u32,
    /// When it is looked at again.
    pub(super) retry_at: Option<Instant>,
    /// It is the last one found at the start, and the disk refused to read it: where the log ends
    /// is not known, and nothing is written before it is.
    pub(super) is_end: bool,
}

impl Damaged {
    /// The segment at `base`, just reported.
    pub(super) fn new(base: u64) -> Self {
        Self { base, n_refusals: 0, retry_at: None, is_end: false }
    }
}

/// What does not change while the spool is open, and the lock on what does.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    /// Bytes that its segments may use.
    pub(super) bytes_max: u64,
    pub(super) segment_bytes: u64,
    pub(super) pending_bytes_max: usize,
    pub(super) retention_ns: AtomicI64,
    /// Taken before `state` where both are, and held while it is written.
    pub(super) cursor_file: Mutex<CursorFile>,
    pub(super) state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
pub(super) struct State {
    /// Oldest first. The last one is the active one, if the writer has one.
    pub(super) segments: VecDeque<Segment>,
    /// Position behind the last durable frame. Cursors see nothing beyond.
    pub(super) durable: u64,
    /// Position behind the last durable frame with events.
    pub(super) data_end: u64,
    pub(super) tail: Tail,
    pub(super) routes: Vec<Route>,
    /// Where sinks stood that have no route now.
    pub(super) absent: Vec<(String, u64)>,
    pub(super) sources: Sources,
    pub(super) pending: VecDeque<Pending>,
    pub(super) pending_bytes: usize,
    /// Events that were appended and are neither durable nor dropped.
    pub(super) n_undecided: u64,
    /// Why pending batches cannot be written now: a disk error, or [`SpoolError::Full`].
    pub(super) stuck: Option<SpoolError>,
    /// Files of segments in their other form, which could not be removed.
    pub(super) leftovers: Vec<PathBuf>,
    pub(super) damaged: Vec<Damaged>,
    /// The last error and how many there were.
    pub(super) last_error: Option<SpoolError>,
    pub(super) n_quarantined: u64,
    /// Bytes of the log that were missing at the start.
    pub(super) missing_bytes: u64,
    /// Bytes written to segments, and syncs of them, since the start.
    pub(super) n_written_bytes: u64,
    pub(super) n_syncs: u64,
    /// Positions below this were durable at the start, as the cursor file said.
    pub(super) synced: u64,
    /// No append comes any more.
    pub(super) closed: bool,
    /// ... and all that came is durable.
    pub(super) ended: bool,
    /// A cursor moved since the cursor file was written.
    pub(super) moved: bool,
}

impl State {
    /// Bytes of all segments' files.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.stored_bytes).sum()
    }

    /// The segment that holds `position`, or the next one behind it.
    pub(super) fn segment_at(&self, position: u64) -> Option<(usize, &Segment)> {
        place::segment_at(&self.segments, position)
    }

    /// Events in the segments behind the one with number `index`.
    pub(super) fn events_behind(&self, index: usize) -> u64 {
        place::events_behind(&self.segments, index)
    }

    /// Number of the route to `sink`.
    pub(super) fn route_of(&self, sink: &str) -> Option<usize> {
        self.routes.iter().position(|route| route.sink == sink)
    }

    /// Whether a route would rather wait than drop.
    pub(super) fn blocks(&self) -> bool {
        self.routes.iter().any(|route| route.when_full == WhenFull::Block)
    }

    /// Whether the share is full and a route blocks, or the disk refuses.
    pub(super) fn is_stuck(&self) -> bool {
        match &self.stuck {
            Some(SpoolError::Full) => self.blocks(),
            Some(_) => true,
            None => false,
        }
    }

    /// Brings the gauges of route `index` up to date.
    pub(super) fn gauge(&self, index: usize) {
        let route = &self.routes[index];
        let lag = self.durable - route.floor().min(self.durable);
        route.counters.spooled_bytes.set(signed(lag));
        route.counters.oldest_undelivered_ns.set(self.oldest_ns(route).unwrap_or(0));
    }

    /// The observed time of the oldest event that `route` still waits for; within a segment that
    /// it lags behind, that of the segment.
    pub(super) fn oldest_ns(&self, route: &Route) -> Option<i64> {
        if route.n_waiting() == 0 {
            return None;
        }
        let in_tail = || self.tail.find(route.read()).map(|stored| stored.batch.observed_ns);
        let stored = || self.segment_at(route.read()).map(|(_, segment)| segment.oldest_ns);
        route.oldest_in_flight_ns().or_else(in_tail).or_else(stored)
    }

    /// What was written up to `next` is durable: shows it to the cursors.
    pub(super) fn publish(&mut self, written: &[Written], next: u64) -> Vec<Waker> {
        if let Some(segment) = self.segments.back_mut() {
            segment.end = next;
        }
        let mut n_new = 0;
        for frame in written {
            let batch = &frame.pending.batch;
            let (key, end, observed_ns) = (batch.source_key, batch.source_end, batch.observed_ns);
            self.sources.note(SourceEnd { key, end, observed_ns });
            if batch.is_empty() {
                continue;
            }
            let n_events = batch.len() as u64;
            self.n_undecided -= n_events;
            if let Some(segment) = self.segments.back_mut() {
                segment.count(n_events, observed_ns);
            }
            let range = crate::event::log_range::LogRange { from: frame.from, to: frame.to };
            let covers_from = self.data_end;
            self.tail.push(Stored { covers_from, range, batch: Arc::clone(batch) });
            n_new += 1;
            self.data_end = frame.to;
            self.routes.iter_mut().for_each(|route| route.published(n_events));
        }
        self.tail.bound(n_new);
        self.durable = next;
        self.settle();
        self.wakers()
    }

    /// Lets routes pass what holds no events, the tail let go of what all have, gauges follow.
    pub(super) fn settle(&mut self) {
        for route in &mut self.routes {
            if route.read() >= self.data_end {
                route.pass_empty(self.durable);
            }
        }
        let all_have = self.routes.iter().map(Route::read).min().unwrap_or(self.durable);
        self.tail.release(all_have);
        (0..self.routes.len()).for_each(|index| self.gauge(index));
    }

    /// The cursors that wait for something to happen.
    pub(super) fn wakers(&mut self) -> Vec<Waker> {
        self.routes.iter_mut().filter_map(|route| route.waker.take()).collect()
    }

    /// Drops the oldest pending batch that may be, and says why.
    fn drop_pending(&mut self, why: &SpoolError) -> Option<(Answer, SpoolError)> {
        let index = self.pending.iter().position(|pending| pending.is_sole)?;
        let pending = self.pending.remove(index)?;
        self.pending_bytes -= pending.cost;
        let (reason, error) = match why {
            SpoolError::Full => (DropReason::SpoolFull, SpoolError::Full),
            _ => (DropReason::SpoolError, SpoolError::Refused),
        };
        self.n_undecided -= pending.batch.len() as u64;
        self.count_dropped(pending.batch.len(), reason);
        Some((pending.answer, error))
    }

    /// Takes `n_events` that never reached the log off every route's books.
    pub(super) fn count_dropped(&self, n_events: usize, reason: DropReason) {
        for route in &self.routes {
            route.counters.dropped(reason).add(n_events as u64);
            route.counters.spooled.add(-signed(n_events as u64));
        }
    }
}

impl Tier {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cursor_file(&self) -> MutexGuard<'_, CursorFile> {
        self.cursor_file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `batch` on its way; returns the bytes that it will keep in memory until it is written.
    /// One that `is_sole` is dropped before the pending ones take more than their bound.
    pub(super) fn append(
        &self,
        batch: Protected,
        sampled_out: u64,
        is_sole: bool,
        answer: Answer,
    ) -> usize {
        let n_events = batch.len();
        let len = frame_len(&batch);
        let mut state = self.lock();
        if state.closed {
            drop(state);
            let _ = answer.send(Err(SpoolError::Closed));
            return 0;
        }
        for route in &state.routes {
            route.counters.events_in.add(n_events as u64 + sampled_out);
            route.counters.sampled_out.add(sampled_out);
            route.counters.spooled.add(signed(n_events as u64));
        }
        if batch.is_empty() && batch.source_key == 0 {
            // Neither events nor a position: nothing to keep.
            drop(state);
            let _ = answer.send(Ok(()));
            return 0;
        }
        if len > self.frame_bytes_max() {
            state.count_dropped(n_events, DropReason::SpoolError);
            drop(state);
            tracing::error!(tier = self.name, len, "dropped a line larger than its tier's share");
            let _ = answer.send(Err(SpoolError::TooLarge(len)));
            return 0;
        }
        let batch = Arc::new(batch);
        let cost = batch.memory();
        state.pending_bytes += cost;
        state.n_undecided += n_events as u64;
        state.pending.push_back(Pending { batch, len, cost, is_sole, answer });
        let dropped = self.drop_pending_beyond(&mut state);
        drop(state);
        for (answer, error) in dropped {
            let _ = answer.send(Err(error));
        }
        cost
    }

    /// Whether `batch` fits into a frame of this log.
    pub(super) fn takes(&self, batch: &Protected) -> bool {
        frame_len(batch) <= self.frame_bytes_max()
    }

    fn frame_bytes_max(&self) -> u64 {
        (FRAME_BYTES_MAX as u64).min(self.bytes_max / 2)
    }

    /// While nothing can be written, memory for what is pending is bounded.
    fn drop_pending_beyond(&self, state: &mut State) -> Vec<(Answer, SpoolError)> {
        let mut dropped = Vec::new();
        if let Some(why) = state.stuck.clone() {
            while state.pending_bytes > self.pending_bytes_max && state.pending.len() > 1 {
                let Some(one) = state.drop_pending(&why) else { break };
                dropped.push(one);
            }
        }
        dropped
    }

    /// Puts back what could not be written, in front of what came since.
    pub(super) fn give_back(&self, batches: impl DoubleEndedIterator<Item = Pending>) {
        let mut state = self.lock();
        for pending in batches.rev() {
            state.pending_bytes += pending.cost;
            state.pending.push_front(pending);
        }
    }

    /// Whether sources that can be read again should pause.
    pub(super) fn must_wait(&self) -> bool {
        let state = self.lock();
        state.is_stuck() || state.pending_bytes >= self.pending_bytes_max
    }
}

/// Bytes of `batch` as a frame.
fn frame_len(batch: &Protected) -> u64 {
    let text = |text: &str| 2 + text.len() as u64;
    let origin = &batch.origin;
    let attributes = origin.attributes.iter().map(|(key, value)| text(key) + text(value));
    let origin = 10 + text(&origin.source) + text(&origin.stream) + attributes.sum::<u64>();
    let table = std::mem::size_of_val(batch.table.as_slice());
    (frame::HEADER_LEN + table + batch.slab.len()) as u64 + origin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::testing::{batch_of, frame_of};

    /// The bound is checked before anything is encoded, so the lengths must agree.
    #[test]
    fn a_frames_length_is_known_beforehand() {
        let lines: [&[u8]; 2] = [b"one", b"three"];
        let frame = frame_of(3, 0, 9, &lines);
        assert_eq!(frame_len(&batch_of(3, 0, 9, &lines)), frame.len() as u64);
    }
}
