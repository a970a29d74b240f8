//! Writes down where cursors stand, each time one moved.
//!
//! # Why
//! What a SIGKILL repeats is what was acknowledged and not handed to `write(2)`, so nothing lies
//! between the two: who acknowledges writes, some ten microseconds into the page cache. When the
//! writer's thread did this in its turns, each sync kept it from it, and of 1,000 kills in a storm
//! 73 repeated what had been answered; a thread that an acknowledgement wakes comes too late on a
//! busy machine (46); so it is 7, most of them within the half millisecond that an answer takes
//! from the socket to here in a build without optimisation. On a machine with seven times more to
//! do than it can it was 34, and 70 with the woken thread.
//!
//! That thread is there all the same, for a disk that refuses or was slow a second ago: the one who
//! acknowledges runs all of delivery and the admin server, and must not wait where the disk does.
//! Moves that come while it writes go with the next. Syncs of the file stay with the writer's
//! thread, which loses nothing by waiting.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::cursor_file::{CursorFile, Positions};
use super::error::SpoolError;
use super::signal::Signal;
use super::tier::{State, Tier};

/// Wakes the thread that writes positions.
#[derive(Debug, Default)]
pub(super) struct Bell {
    state: Mutex<Rung>,
    wake: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rung {
    #[default]
    No,
    Yes,
    /// The spool goes away.
    ForTheLastTime,
}

impl Bell {
    /// A cursor moved.
    pub(super) fn ring(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == Rung::No {
            *state = Rung::Yes;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Lets the thread end.
    pub(super) fn stop(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Rung::ForTheLastTime;
        self.wake.notify_one();
    }

    /// Waits for a ring; `false` at the end.
    fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wake.wait_while(state, |state| *state == Rung::No);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if *state == Rung::Yes {
            *state = Rung::No;
            return true;
        }
        false
    }
}

/// Writes positions until told to stop. `signal` wakes the writer, who syncs them.
pub(super) fn write_until_told_to_stop(tiers: &[Arc<Tier>], bell: &Bell, signal: &Signal) {
    while bell.wait() {
        let now = Instant::now();
        if tiers.iter().filter(|tier| write(tier, now)).count() > 0 {
            signal.nudge();
        }
    }
}

/// Writes where the cursors of `tier` stand if one moved; whether there is something to sync or to
/// try again later that there was not before.
pub(super) fn write(tier: &Tier, now: Instant) -> bool {
    let mut file = tier.cursor_file();
    if file.retry_at().is_some_and(|at| now < at) {
        return false;
    }
    write_locked(tier, &mut file, now)
}

fn write_locked(tier: &Tier, file: &mut CursorFile, now: Instant) -> bool {
    let was_synced = file.sync_due().is_none();
    match write_moved(tier, file, now) {
        Ok(()) => was_synced && file.sync_due().is_some(),
        Err(error) => {
            refused(tier, file, error, now);
            true
        }
    }
}

/// As `write`, for who acknowledges; `None` when that would mean to wait for others, or perhaps
/// for the disk, and the bell should be rung.
pub(super) fn write_if_quick(tier: &Tier) -> Option<bool> {
    let mut file = tier.cursor_file.try_lock().ok()?;
    let now = Instant::now();
    file.is_quick(now).then(|| write_locked(tier, &mut file, now))
}

/// As `write`, and makes it durable if that is due, or `at_once`. For the writer's thread alone:
/// there is one sync at a time.
pub(super) fn write_and_sync(tier: &Tier, now: Instant, at_once: bool) {
    let mut file = tier.cursor_file();
    if !at_once && file.retry_at().is_some_and(|at| now < at) {
        return;
    }
    if let Err(error) = write_moved(tier, &mut file, now) {
        return refused(tier, &mut file, error, now);
    }
    let is_due = at_once || file.sync_due().is_some_and(|at| at <= now);
    let Some(sync) = is_due.then(|| file.begin_sync()).flatten() else { return };
    // Whoever acknowledges meanwhile is written down meanwhile.
    drop(file);
    let result = sync.wait();
    let mut file = tier.cursor_file();
    file.synced(&sync, result.is_ok());
    if let Err(error) = result {
        refused(tier, &mut file, error, now);
    }
}

/// When the writer should look at the file again.
pub(super) fn due_at(tier: &Tier) -> Option<Instant> {
    let file = tier.cursor_file();
    // Before a retry nothing is synced either.
    file.retry_at().or(file.sync_due())
}

fn write_moved(tier: &Tier, file: &mut CursorFile, now: Instant) -> Result<(), SpoolError> {
    let positions = {
        let mut state = tier.lock();
        std::mem::take(&mut state.moved).then(|| positions(&state))
    };
    positions.map_or(Ok(()), |positions| file.write(positions, now))
}

fn refused(tier: &Tier, file: &mut CursorFile, error: SpoolError, now: Instant) {
    file.put_off(now);
    let mut state = tier.lock();
    state.moved = true;
    state.last_error = Some(error);
}

fn positions(state: &State) -> Positions {
    let routes = state.routes.iter().map(|route| (route.sink.clone(), route.floor()));
    let (routes, absent) = (routes.collect(), state.absent.clone());
    Positions { routes, absent, log_end: state.durable }
}
