//! The thread that writes, syncs and tidies all tiers: one turn after the other.
//!
//! A turn writes what is pending, syncs if a sync is due, and then does what else has to be done:
//! segments that were passed or have expired go, damaged ones are taken apart, cursors are written
//! down. It takes the time as an argument, so that a test drives the very same code by hand.
//!
//! # Why
//! One thread for all tiers: their syncs are one group, and there is one place where files change.
//! It sleeps until somebody nudges it or something falls due; an idle spool wakes once a minute.

use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{sync::Arc, thread};

use super::error::SpoolError;
use super::log::Log;
use super::signal::{Intake, Signal};
use super::{pack, positions, repair, room};

/// Retention is looked at this often.
const TICK: Duration = Duration::from_secs(60);

/// When the writer wants to look again by itself.
#[derive(Clone, Copy, Debug)]
struct Next {
    at: Instant,
    /// A sync is due by then.
    armed: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) signal: Arc<Signal>,
    pub(super) logs: Vec<Log>,
    pub(super) sync_after: Duration,
    pub(super) sync_bytes: u64,
    /// Tells the packer that there may be work. `None` when a test packs by hand.
    pub(super) packer: Option<SyncSender<()>>,
    pub(super) first_unsynced: Option<Instant>,
    pub(super) n_segments: usize,
    pub(super) ended: bool,
}

impl Writer {
    /// Runs until the spool goes away.
    pub(super) fn run(mut self) {
        loop {
            let (next, intake) = self.turn(Instant::now(), wall_ns());
            if intake.stopping {
                return self.let_go();
            }
            self.signal.wait(Some(next.at), next.armed);
        }
    }

    /// Answers whoever still waits: nothing is written any more.
    fn let_go(&self) {
        for log in &self.logs {
            let mut state = log.tier.lock();
            state.closed = true;
            state.ended = true;
            let pending = std::mem::take(&mut state.pending);
            let wakers = state.wakers();
            drop(state);
            for pending in pending {
                let _ = pending.answer.send(Err(SpoolError::Closed));
            }
            wakers.into_iter().for_each(std::task::Waker::wake);
        }
        self.signal.end();
    }

    /// One turn without a thread.
    pub(super) fn turn_by_hand(&mut self, now: Instant, wall_ns: i64) {
        self.turn(now, wall_ns);
    }

    fn turn(&mut self, now: Instant, wall_ns: i64) -> (Next, Intake) {
        let intake = self.signal.take();
        let last = intake.closing || intake.stopping;
        self.logs.iter_mut().for_each(|log| log.write_pending(now));
        if self.commit_if_due(now, intake.all_wait || last) {
            self.signal.synced(intake.n_appended);
        }
        for log in &mut self.logs {
            if tidy(log, now, wall_ns) && log.tier.lock().stuck == Some(SpoolError::Full) {
                // There is room now.
                self.signal.nudge();
            }
            positions::write_and_sync(&log.tier, now, intake.stopping);
        }
        if last && !self.ended && self.logs.iter().all(Log::is_drained) {
            self.end(now);
        }
        self.nudge_packer();
        (self.next(now), intake)
    }

    /// Syncs if that is due; whether nothing is left unsynced.
    fn commit_if_due(&mut self, now: Instant, at_once: bool) -> bool {
        let unsynced: u64 = self.logs.iter().map(Log::unsynced_bytes).sum();
        if unsynced == 0 {
            self.first_unsynced = None;
            return self.logs.iter().all(Log::is_drained);
        }
        let first = *self.first_unsynced.get_or_insert(now);
        let late = now.saturating_duration_since(first) >= self.sync_after;
        if at_once || late || unsynced >= self.sync_bytes {
            self.logs.iter_mut().for_each(|log| log.commit_or_fail(now));
            self.first_unsynced = None;
        }
        self.logs.iter().all(Log::is_drained)
    }

    /// All that was appended before the close is durable.
    fn end(&mut self, now: Instant) {
        self.ended = true;
        for log in &mut self.logs {
            log.close(now);
            // Also when no cursor moved: the file says that all of the log was synced.
            log.tier.lock().moved = true;
            positions::write_and_sync(&log.tier, now, true);
            let mut state = log.tier.lock();
            state.ended = true;
            let wakers = state.wakers();
            drop(state);
            wakers.into_iter().for_each(std::task::Waker::wake);
        }
        self.signal.end();
    }

    fn nudge_packer(&mut self) {
        let n_segments = self.logs.iter().map(|log| log.tier.lock().segments.len()).sum();
        if n_segments > self.n_segments
            && let Some(packer) = &self.packer
        {
            // Full means that it has been told.
            let _ = packer.try_send(());
        }
        self.n_segments = n_segments;
    }

    fn next(&self, now: Instant) -> Next {
        let sync = self.first_unsynced.map(|first| first + self.sync_after);
        let others = self.logs.iter().flat_map(|log| {
            let cursors = positions::due_at(&log.tier);
            let state = log.tier.lock();
            let waits = !state.pending.is_empty() && state.stuck != Some(SpoolError::Full);
            let retry = log.retry_at().filter(|_| waits);
            let damaged = state.damaged.iter().filter_map(|damaged| damaged.retry_at).min();
            [retry, cursors, damaged, log.doomed_retry_at()]
        });
        let at = others.flatten().chain(sync).min().unwrap_or(now + TICK).min(now + TICK);
        Next { at, armed: sync.is_some() }
    }
}

/// Removes and mends segments; whether one went.
fn tidy(log: &mut Log, now: Instant, wall_ns: i64) -> bool {
    let tier = Arc::clone(&log.tier);
    let is_damaged = |base| tier.lock().damaged.iter().any(|damaged| damaged.base == base);
    if log.may_try(now) && log.active_base().is_some_and(is_damaged) {
        log.close(now);
    }
    repair::repair(&tier, log.active_base(), now);
    let horizon_ns = wall_ns.saturating_sub(tier.retention_ns.load(Ordering::Relaxed));
    log.remove_leftovers(now);
    let mut freed = free(log, horizon_ns, now);
    if log.is_outlived(horizon_ns, now) {
        log.succeed(now);
        freed |= free(log, horizon_ns, now);
    }
    log.remove_doomed(now);
    freed
}

/// Removes what all cursors passed, and what they should have but is too old; whether one went.
fn free(log: &mut Log, horizon_ns: i64, now: Instant) -> bool {
    let tier = Arc::clone(&log.tier);
    let mut gone = Vec::new();
    let mut expired = false;
    {
        let mut state = tier.lock();
        loop {
            if let Some(segment) = room::passed(&mut state) {
                gone.push(segment);
            } else if room::expire(&mut state, horizon_ns) {
                expired = true;
            } else {
                break;
            }
        }
    }
    gone.iter().for_each(|segment| log.remove(segment, now));
    expired || !gone.is_empty()
}

/// Packs until nothing is left, then waits to be told of more.
pub(super) fn pack_until_told_to_stop(
    tiers: &[Arc<super::tier::Tier>],
    signal: &Signal,
    told: &std::sync::mpsc::Receiver<()>,
) {
    while told.recv().is_ok() {
        while tiers.iter().any(|tier| pack::pack_one(tier)) {
            if tiers.iter().any(|tier| tier.lock().stuck == Some(SpoolError::Full)) {
                signal.nudge();
            }
            if matches!(told.try_recv(), Err(std::sync::mpsc::TryRecvError::Disconnected)) {
                return;
            }
            thread::yield_now();
        }
    }
}

/// Nanoseconds since 1970.
fn wall_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
