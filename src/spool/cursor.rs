//! One sink's reader of a tier's log.
//!
//! At the end of the log it takes batches out of memory; where it lags it reads them back, a window
//! at a time, on a blocking thread. It sees durable frames only: a frame that a crash could
//! renumber or lose has never been handed out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::task::JoinHandle;
use tokio_stream::Stream;

use crate::event::log_range::LogRange;
use crate::protect::protected::Protected;

use super::Spool;
use super::reader::{FrameReader, ReadError, Stored, read_ahead};
use super::segment::Segment;
use super::tier::{Damaged, State, Tier};

/// A batch out of the log and where it lies in it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Positions of the frame; `to` is what [`Cursor::ack`] takes.
    pub range: LogRange,
    /// The batch; it has at least one event.
    pub batch: Arc<Protected>,
}

/// The reader of one route. There is one at a time; dropped, the next one begins at the first frame
/// that was not acknowledged.
#[derive(Debug)]
pub struct Cursor {
    spool: Arc<Spool>,
    tier: Arc<Tier>,
    /// The sink whose route it is. Routes come and go, so that their numbers change.
    sink: String,
    /// Frames that were read ahead.
    ready: VecDeque<Stored>,
    /// The route's epoch when they were read.
    epoch: u64,
    reader: Option<FrameReader>,
    reading: Option<JoinHandle<Done>>,
}

/// What to do for the next frame.
enum Step {
    Entry(Entry),
    Read(Plan),
    Wait,
    Ended,
}

/// A read on a blocking thread.
struct Plan {
    tier: Arc<Tier>,
    segment: Segment,
    /// Where the route stood, and where reading begins: further when no segment holds the former.
    read: u64,
    start: u64,
    epoch: u64,
    reader: Option<FrameReader>,
}

/// What came of it.
#[derive(Debug)]
struct Done {
    segment: Segment,
    read: u64,
    epoch: u64,
    result: Result<(Vec<Stored>, u64), ReadError>,
    reader: Option<FrameReader>,
}

impl Plan {
    fn run(self) -> Done {
        let Self { tier, segment, read, start, epoch, reader } = self;
        let usable = reader.filter(|reader| reader.is_at(segment.base, start));
        let opened = usable
            .map_or_else(|| FrameReader::open(&*tier.disk, &tier.dir, &segment), Ok)
            .and_then(|mut reader| {
                let found = read_ahead(&mut reader, start, segment.end)?;
                Ok((found, reader))
            });
        match opened {
            Ok((found, reader)) => {
                Done { segment, read, epoch, result: Ok(found), reader: Some(reader) }
            }
            Err(error) => Done { segment, read, epoch, result: Err(error), reader: None },
        }
    }
}

impl Cursor {
    pub(super) fn new(spool: Arc<Spool>, tier: Arc<Tier>, sink: String) -> Self {
        Self { spool, tier, sink, ready: VecDeque::new(), epoch: 0, reader: None, reading: None }
    }

    /// The next batch, waiting for it; `None` when the spool was closed and all was handed out.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Entry> {
        std::future::poll_fn(|cx| self.poll_entry(cx)).await
    }

    /// The next batch if there is one, read back on this thread where it must be.
    pub fn try_next(&mut self) -> Option<Entry> {
        loop {
            match self.step(None) {
                Step::Entry(entry) => return Some(entry),
                Step::Read(plan) => {
                    let done = plan.run();
                    self.absorb(done);
                }
                Step::Wait | Step::Ended => return None,
            }
        }
    }

    /// Settles all frames that end at or before `to`: delivered, or in the dead letters. The caller
    /// counts which; `spooled` is taken down here. Returns the events that were settled.
    pub fn ack(&mut self, to: u64) -> u64 {
        let mut state = self.tier.lock();
        let Some(index) = state.route_of(&self.sink) else { return 0 };
        let route = &mut state.routes[index];
        let before = route.floor();
        let n_events = route.ack(to);
        let floor = route.floor();
        if floor == before && n_events == 0 {
            return 0;
        }
        state.moved = true;
        state.gauge(index);
        let frees = state.segments.len() > 1 && state.segments[0].end <= floor;
        drop(state);
        self.spool.note_move(&self.tier);
        if frees {
            self.spool.signal.nudge();
        }
        n_events
    }

    /// Goes back to the first frame at or behind `to` that was handed out and not acknowledged.
    pub fn rewind(&mut self, to: u64) {
        self.ready.clear();
        let mut state = self.tier.lock();
        if let Some(index) = state.route_of(&self.sink) {
            state.routes[index].rewind(to);
        }
        state.settle();
    }

    /// Where the next frame is taken from.
    #[must_use]
    pub fn position(&self) -> u64 {
        let state = self.tier.lock();
        state.route_of(&self.sink).map_or(0, |index| state.routes[index].read())
    }

    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Option<Entry>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let done = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                match done {
                    Ok(done) => self.absorb(done),
                    Err(error) => {
                        // The runtime is going away, or the read panicked; begin it anew.
                        tracing::error!(%error, "a read of the spool did not end");
                        if error.is_cancelled() {
                            return Poll::Ready(None);
                        }
                    }
                }
            }
            match self.step(Some(cx.waker())) {
                Step::Entry(entry) => return Poll::Ready(Some(entry)),
                Step::Read(plan) => {
                    self.reading = Some(tokio::task::spawn_blocking(move || plan.run()));
                }
                Step::Wait => return Poll::Pending,
                Step::Ended => return Poll::Ready(None),
            }
        }
    }

    fn step(&mut self, waker: Option<&Waker>) -> Step {
        let Self { tier, sink, ready, epoch, reader, .. } = self;
        let mut state = tier.lock();
        let Some(route) = state.route_of(sink) else { return Step::Ended };
        if *epoch != state.routes[route].epoch() {
            *epoch = state.routes[route].epoch();
            ready.clear();
        }
        let epoch = *epoch;
        let read = state.routes[route].read();
        while ready.front().is_some_and(|stored| stored.range.to <= read) {
            ready.pop_front();
        }
        let next_ready = ready.front().filter(|stored| stored.covers_from <= read);
        if next_ready.is_none() {
            ready.clear();
        }
        if let Some(stored) = ready.pop_front() {
            return Step::Entry(hand_out(&mut state, route, stored));
        }
        if let Some(stored) = state.tail.find(read).cloned() {
            *reader = None;
            return Step::Entry(hand_out(&mut state, route, stored));
        }
        let segment = state.segment_at(read).map(|(_, segment)| *segment);
        let Some(segment) = segment.filter(|_| read < state.data_end) else {
            // A removed segment's room is free only when nobody has it open: on a full disk nothing
            // could be written any more, and so nothing would come that lets go of it.
            *reader = None;
            let durable = state.durable;
            state.routes[route].pass_empty(durable);
            if state.ended {
                return Step::Ended;
            }
            state.routes[route].waker = waker.cloned();
            return Step::Wait;
        };
        if state.damaged.iter().any(|damaged| damaged.base == segment.base) {
            state.routes[route].waker = waker.cloned();
            return Step::Wait;
        }
        let start = read.max(segment.base);
        let reader = reader.take();
        Step::Read(Plan { tier: Arc::clone(tier), segment, read, start, epoch, reader })
    }

    /// Takes what was read; what could not be is reported to the writer.
    fn absorb(&mut self, done: Done) {
        self.reader = done.reader;
        let mut state = self.tier.lock();
        // The route was rewound, or moved on, meanwhile: what was read is not what comes next.
        let Some(index) = state.route_of(&self.sink) else { return };
        let route = &state.routes[index];
        let is_current = (route.read(), route.epoch()) == (done.read, done.epoch);
        match done.result {
            Ok((found, reached)) if is_current => {
                if found.is_empty() {
                    state.routes[index].pass_empty(reached);
                }
                self.ready = found.into();
                // Between where the route stands and where reading began there is nothing.
                if let Some(first) = self.ready.front_mut() {
                    first.covers_from = done.read;
                }
            }
            Ok(_) => {}
            Err(_) => {
                // Packed or passed meanwhile: look again. Still there: it is damaged.
                let Segment { base, form, .. } = done.segment;
                let same = |other: &Segment| (other.base, other.form) == (base, form);
                let known = state.damaged.iter().any(|damaged| damaged.base == base);
                if state.segments.iter().any(same) && !known {
                    state.damaged.push(Damaged::new(base));
                    drop(state);
                    self.spool.signal.nudge();
                }
            }
        }
    }
}

fn hand_out(state: &mut State, route: usize, stored: Stored) -> Entry {
    state.routes[route].hand_out(&stored);
    state.settle();
    Entry { range: stored.range, batch: stored.batch }
}

impl Stream for Cursor {
    type Item = Entry;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Entry>> {
        self.get_mut().poll_entry(cx)
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        let mut state = self.tier.lock();
        if let Some(index) = state.route_of(&self.sink) {
            let route = &mut state.routes[index];
            route.rewind(0);
            route.taken = false;
            route.waker = None;
        }
        state.settle();
    }
}
