//! A tier's log in memory: what the spool promises to delivery, kept to the letter, and asserted.

use std::sync::{Arc, Mutex};

use sidewake::deliver::{Frame, Frames};
use sidewake::telemetry::RouteCounters;
use tokio::sync::watch;

#[derive(Default)]
struct State {
    frames: Vec<Frame>,
    ended: bool,
    acked: u64,
}

/// The writer's end.
#[derive(Clone)]
pub(crate) struct Log {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    counters: Arc<RouteCounters>,
}

/// The reader's end.
pub(crate) struct Cursor {
    log: Log,
    changed: watch::Receiver<u64>,
    position: u64,
}

impl Log {
    pub(crate) fn new(counters: &Arc<RouteCounters>) -> Self {
        Self {
            state: Arc::default(),
            changed: watch::Sender::new(0),
            counters: Arc::clone(counters),
        }
    }

    /// A reader that begins at what was acknowledged, as after a restart.
    pub(crate) fn cursor(&self) -> Cursor {
        let position = self.acked();
        Cursor { log: self.clone(), changed: self.changed.subscribe(), position }
    }

    pub(crate) fn append(&self, frame: Frame) {
        self.counters.events_in.add(frame.batch.len() as u64);
        self.counters.spooled.add(frame.batch.len() as i64);
        self.state.lock().expect("unpoisoned").frames.push(frame);
        self.changed.send_modify(|n| *n += 1);
    }

    /// No frame will follow.
    pub(crate) fn end(&self) {
        self.state.lock().expect("unpoisoned").ended = true;
        self.changed.send_modify(|n| *n += 1);
    }

    /// Behind what was acknowledged.
    pub(crate) fn acked(&self) -> u64 {
        self.state.lock().expect("unpoisoned").acked
    }

    /// A crash after which less is known to be acknowledged.
    pub(crate) fn forget_acked(&self, to: u64) {
        self.state.lock().expect("unpoisoned").acked = to;
    }

    /// Waits until everything before `to` is acknowledged.
    pub(crate) async fn acked_to(&self, to: u64) {
        let mut changed = self.changed.subscribe();
        while self.acked() < to {
            changed.changed().await.expect("the log lives");
        }
    }

    /// `in = delivered + sampled_out + dead_letters + dropped + spooled`.
    pub(crate) fn assert_balanced(&self) {
        let counters = &self.counters;
        let dropped: u64 = counters.dropped.iter().map(|counter| counter.get()).sum();
        let out = counters.delivered.get() + counters.sampled_out.get();
        let sum = out + counters.dead_letters.get() + dropped + counters.spooled.get() as u64;
        assert_eq!(counters.events_in.get(), sum, "{counters:?}");
    }
}

impl Cursor {
    fn poll(&mut self) -> Option<Option<Frame>> {
        let state = self.log.state.lock().expect("unpoisoned");
        let next = state.frames.iter().find(|frame| frame.range.from >= self.position);
        match next {
            Some(frame) => {
                self.position = frame.range.to;
                Some(Some(frame.clone()))
            }
            None if state.ended => Some(None),
            None => None,
        }
    }
}

impl Frames for Cursor {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(next) = self.poll() {
                return next;
            }
            self.changed.changed().await.ok()?;
        }
    }

    fn try_next(&mut self) -> Option<Frame> {
        self.poll().flatten()
    }

    fn ack(&mut self, to: u64) -> u64 {
        let mut state = self.log.state.lock().expect("unpoisoned");
        assert!(to > state.acked, "acknowledged {to} after {}", state.acked);
        assert!(to <= self.position, "acknowledged what was not read");
        assert!(state.frames.iter().any(|frame| frame.range.to == to), "not the end of a frame");
        let passed = state.frames.iter().filter(|frame| frame.range.to <= to);
        let passed = passed.filter(|frame| frame.range.to > state.acked);
        let n_events: i64 = passed.map(|frame| frame.batch.len() as i64).sum();
        self.log.counters.spooled.add(-n_events);
        state.acked = to;
        drop(state);
        self.log.changed.send_modify(|n| *n += 1);
        n_events as u64
    }

    fn rewind(&mut self, to: u64) {
        assert!(to >= self.log.acked(), "rewound behind what was acknowledged");
        self.position = to;
    }

    fn position(&self) -> u64 {
        self.position
    }
}
