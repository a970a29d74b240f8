//! What wakes the writer thread, and who waits for it.
//!
//! # Why
//! A sync costs the same for one batch and for a hundred (65 to 90 us of CPU), so it is put off
//! until everybody who may still write waits for one, or has gone to rest; nothing is then kept
//! waiting for company that cannot come. Wake-ups are edges: nothing here is "still true" while a
//! disk is failing, so the thread cannot spin on it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Pending bytes at which the writer is woken to write before a sync is due.
pub(super) const WRITE_BYTES: usize = 256 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    wake: Condvar,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    n_writers: usize,
    n_waiting: usize,
    pending_bytes: usize,
    /// Appends so far, and those of them that are known to be durable.
    n_appended: u64,
    n_synced: u64,
    nudged: bool,
    /// The writer will look again soon by itself: small appends need not wake it.
    armed: bool,
    closing: bool,
    stopping: bool,
    ended: bool,
}

/// What the writer finds when it looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intake {
    /// Everybody who may still write waits.
    pub(super) all_wait: bool,
    /// Appends before this look; see [`Signal::synced`].
    pub(super) n_appended: u64,
    /// No append comes any more: write and sync without delay.
    pub(super) closing: bool,
    /// The spool goes away: a last try, then end.
    pub(super) stopping: bool,
}

impl State {
    fn all_wait(&self) -> bool {
        let is_wanted = self.n_waiting > 0 || self.n_appended > self.n_synced;
        is_wanted && self.n_waiting >= self.n_writers
    }
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nudge_locked(&self, mut state: MutexGuard<'_, State>) {
        if !state.nudged {
            state.nudged = true;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Something changed that the writer must look at now.
    pub(super) fn nudge(&self) {
        self.nudge_locked(self.lock());
    }

    /// `bytes` were appended.
    pub(super) fn appended(&self, bytes: usize) {
        let mut state = self.lock();
        state.pending_bytes += bytes;
        state.n_appended += 1;
        if !state.armed || state.pending_bytes >= WRITE_BYTES || state.all_wait() {
            self.nudge_locked(state);
        }
    }

    /// Takes what came since the last time.
    pub(super) fn take(&self) -> Intake {
        let mut state = self.lock();
        state.nudged = false;
        state.pending_bytes = 0;
        let State { n_appended, closing, stopping, .. } = *state;
        Intake { all_wait: state.all_wait(), n_appended, closing, stopping }
    }

    /// The first `n_appended` appends are durable.
    pub(super) fn synced(&self, n_appended: u64) {
        self.lock().n_synced = n_appended;
    }

    /// Waits until nudged, or until `deadline`. `armed` says that a sync is due by then, so that
    /// small appends may wait for it too.
    pub(super) fn wait(&self, deadline: Option<Instant>, armed: bool) {
        let mut state = self.lock();
        state.armed = armed;
        while !state.nudged {
            state = match deadline {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.wake.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.armed = false;
    }

    /// No append comes any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.nudge_locked(state);
    }

    /// The spool goes away.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        self.nudge_locked(state);
    }

    /// Everything that was appended before [`Signal::close`] is durable.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.ended.notify_all();
    }

    /// Waits for [`Signal::end`] until `deadline`; whether it came.
    pub(super) fn wait_ended(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.ended.wait_timeout_while(self.lock(), left, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }
}

/// Says that its holder may append. Held around a read and what follows from it, not while idle.
#[derive(Debug)]
pub struct WriterGuard(Arc<Signal>);

impl WriterGuard {
    pub(super) fn new(signal: Arc<Signal>) -> Self {
        signal.lock().n_writers += 1;
        Self(signal)
    }
}

impl Drop for WriterGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.n_writers -= 1;
        if state.all_wait() {
            self.0.nudge_locked(state);
        }
    }
}

/// Says that its holder waits for a sync.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Signal);

impl<'a> Waiting<'a> {
    pub(super) fn new(signal: &'a Signal) -> Self {
        let mut state = signal.lock();
        state.n_waiting += 1;
        if state.all_wait() {
            signal.nudge_locked(state);
        }
        Self(signal)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().n_waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wait_when_nobody_is_left_who_could_write() {
        let signal = Arc::new(Signal::default());
        assert!(!signal.take().all_wait);
        let first = WriterGuard::new(Arc::clone(&signal));
        let second = WriterGuard::new(Arc::clone(&signal));
        let waiting = Waiting::new(&signal);
        assert!(!signal.take().all_wait, "the second may still write");
        drop(second);
        assert!(signal.lock().nudged);
        assert!(signal.take().all_wait);
        assert!(!signal.lock().nudged, "an edge, taken once");
        drop(waiting);
        assert!(!signal.take().all_wait);
        drop(first);
        // Nobody registered: who waits is enough.
        let waiting = Waiting::new(&signal);
        assert!(signal.take().all_wait);
        drop(waiting);
        // Nor does what was appended wait, once nobody is left who could add to it.
        let writer = WriterGuard::new(Arc::clone(&signal));
        signal.appended(1);
        assert!(!signal.take().all_wait);
        drop(writer);
        assert!(signal.lock().nudged);
        let intake = signal.take();
        assert!(intake.all_wait);
        signal.synced(intake.n_appended);
        assert!(!signal.take().all_wait);
    }
}
