//! One sink's place in a tier's log, and its books.
//!
//! Three places matter. Frames before the *floor* are settled. Frames between floor and *read* are
//! in flight: handed out, not acknowledged. Frames from read on are unread. Every event of the log
//! is in exactly one of these, so `spooled = in flight + unread` at any moment, and each way out
//! (acknowledged, dropped with a reason) takes the event out of `spooled` once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use crate::telemetry::{DropReason, RouteCounters};

use super::options::{RouteOptions, WhenFull};
use super::reader::Stored;

/// A frame that was handed out and not acknowledged.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    from: u64,
    to: u64,
    n_events: u64,
    observed_ns: i64,
    /// Set when its bytes were given up in the log: it can be acknowledged, not read again.
    lost: Option<DropReason>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) sink: String,
    pub(super) when_full: WhenFull,
    pub(super) counters: Arc<RouteCounters>,
    /// Where the next frame is taken from.
    read: u64,
    /// Events of durable frames at or behind `read`.
    unread: u64,
    in_flight: VecDeque<InFlight>,
    /// Changes when frames behind `read` were taken off the books: what a cursor read ahead before
    /// that is no longer owed to it.
    epoch: u64,
    /// Whether a `Cursor` has this route.
    pub(super) taken: bool,
    pub(super) waker: Option<Waker>,
}

impl Route {
    /// The route at `position` with `unread` events from there on, which are counted as come in.
    pub(super) fn new(options: RouteOptions, position: u64, unread: u64) -> Self {
        options.counters.events_in.add(unread);
        options.counters.spooled.add(signed(unread));
        Self {
            sink: options.sink,
            when_full: options.when_full,
            counters: options.counters,
            read: position,
            unread,
            in_flight: VecDeque::new(),
            epoch: 0,
            taken: false,
            waker: None,
        }
    }

    pub(super) fn read(&self) -> u64 {
        self.read
    }

    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Events in the log that are neither acknowledged nor dropped.
    pub(super) fn n_waiting(&self) -> u64 {
        self.unread + self.in_flight.iter().map(|frame| frame.n_events).sum::<u64>()
    }

    /// Everything before this is settled and need not be kept.
    pub(super) fn floor(&self) -> u64 {
        let kept = self.in_flight.iter().find(|frame| frame.lost.is_none());
        kept.map_or(self.read, |frame| frame.from)
    }

    /// The observed time of the oldest frame in flight.
    pub(super) fn oldest_in_flight_ns(&self) -> Option<i64> {
        self.in_flight.front().map(|frame| frame.observed_ns)
    }

    /// `n_events` more have become durable behind the end of the log.
    pub(super) fn published(&mut self, n_events: u64) {
        self.unread += n_events;
    }

    /// Takes `stored`, which is what comes next.
    pub(super) fn hand_out(&mut self, stored: &Stored) {
        let n_events = stored.batch.len() as u64;
        let (from, to) = (stored.range.from, stored.range.to);
        let observed_ns = stored.batch.observed_ns;
        self.unread = self.unread.saturating_sub(n_events);
        self.in_flight.push_back(InFlight { from, to, n_events, observed_ns, lost: None });
        self.read = to;
    }

    /// Moves over positions that hold no events.
    pub(super) fn pass_empty(&mut self, position: u64) {
        self.read = self.read.max(position);
    }

    /// Settles what ends at or before `to`; returns the events.
    pub(super) fn ack(&mut self, to: u64) -> u64 {
        let mut n_events = 0;
        while let Some(frame) = self.in_flight.front().filter(|frame| frame.to <= to) {
            n_events += frame.n_events;
            self.in_flight.pop_front();
        }
        self.counters.spooled.add(-signed(n_events));
        n_events
    }

    /// Takes frames in flight from `to` on back, to be handed out again; those whose bytes are gone
    /// are dropped.
    pub(super) fn rewind(&mut self, to: u64) {
        while let Some(frame) = self.in_flight.back().copied().filter(|frame| frame.from >= to) {
            self.in_flight.pop_back();
            match frame.lost {
                Some(reason) => self.drop_events(frame.n_events, reason),
                None => {
                    self.unread += frame.n_events;
                    self.read = frame.from;
                }
            }
        }
    }

    /// Gives up all before `position`, behind which `unread` events lie: unread ones are dropped,
    /// those in flight may still be acknowledged.
    pub(super) fn give_up(&mut self, position: u64, unread: u64, reason: DropReason) {
        for frame in self.in_flight.iter_mut().filter(|frame| frame.from < position) {
            frame.lost.get_or_insert(reason);
        }
        if self.read < position {
            self.drop_events(self.unread.saturating_sub(unread), reason);
            self.read = position;
            self.unread = unread;
        }
    }

    /// The log was looked through again: from `read` on there are `unread`. What is missing was lost;
    /// more than thought (a count read from a damaged head) has come in.
    pub(super) fn recount(&mut self, unread: u64) {
        self.drop_events(self.unread.saturating_sub(unread), DropReason::Quarantined);
        let found = unread.saturating_sub(self.unread);
        self.counters.events_in.add(found);
        self.counters.spooled.add(signed(found));
        self.unread = unread;
        self.epoch += 1;
    }

    /// Frames in flight that begin within `range` cannot be read again.
    pub(super) fn lose(&mut self, range: std::ops::Range<u64>) {
        for frame in self.in_flight.iter_mut().filter(|frame| range.contains(&frame.from)) {
            frame.lost.get_or_insert(DropReason::Quarantined);
        }
    }

    fn drop_events(&self, n_events: u64, reason: DropReason) {
        self.counters.dropped(reason).add(n_events);
        self.counters.spooled.add(-signed(n_events));
    }
}

/// Event counts are far below 2^63.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::log_range::LogRange;
    use crate::spool::testing::batch_of;

    fn frame(from: u64, n: usize) -> Stored {
        let batch = Arc::new(batch_of(1, 0, 1, &vec![&b"x"[..]; n]));
        Stored { covers_from: from, range: LogRange { from, to: from + 10 }, batch }
    }

    fn route(unread: u64) -> Route {
        let counters = Arc::default();
        let when_full = WhenFull::DropOldest;
        Route::new(RouteOptions { sink: "s".into(), when_full, counters }, 0, unread)
    }

    fn dropped(route: &Route, reason: DropReason) -> u64 {
        route.counters.dropped(reason).get()
    }

    #[test]
    fn acked_rewound_and_acked_again_counts_once() {
        let mut route = route(6);
        for (from, n) in [(0, 1), (10, 2), (20, 3)] {
            route.hand_out(&frame(from, n));
        }
        assert_eq!(route.ack(10), 1);
        assert_eq!((route.floor(), route.read(), route.n_waiting()), (10, 30, 5));
        route.rewind(20);
        assert_eq!((route.read(), route.unread), (20, 3));
        route.hand_out(&frame(20, 3));
        assert_eq!(route.ack(30), 5);
        assert_eq!((route.floor(), route.n_waiting(), route.counters.spooled.get()), (30, 0, 0));
    }

    /// What is in flight while its segment goes may still be delivered: it is not dropped twice.
    #[test]
    fn given_up_in_flight_is_counted_when_its_fate_is_known() {
        let mut route = route(6);
        route.hand_out(&frame(0, 1));
        route.hand_out(&frame(10, 2));
        route.give_up(30, 0, DropReason::SpoolFull);
        assert_eq!(dropped(&route, DropReason::SpoolFull), 3);
        assert_eq!((route.floor(), route.read()), (30, 30));
        assert_eq!(route.ack(10), 1);
        route.rewind(0);
        assert_eq!(dropped(&route, DropReason::SpoolFull), 5);
        assert_eq!((route.read(), route.n_waiting(), route.counters.spooled.get()), (30, 0, 0));
    }

    #[test]
    fn a_recount_drops_what_is_gone() {
        let mut route = route(9);
        route.hand_out(&frame(0, 1));
        route.recount(5);
        route.lose(0..10);
        assert_eq!(dropped(&route, DropReason::Quarantined), 3);
        assert_eq!((route.n_waiting(), route.counters.spooled.get()), (6, 6));
        route.rewind(0);
        assert_eq!((dropped(&route, DropReason::Quarantined), route.n_waiting()), (4, 5));
    }
}
