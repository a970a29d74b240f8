//! Keeps a sick destination from being hammered: after a failure all bodies of the route wait
//! together, then one goes ahead to see; the others follow when it came through.
//!
//! # Why
//! With a backoff per body, a route with four bodies in flight hits a recovering Loki four times as
//! often, and each body's wait grows apart from what the others have learned.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::drain::Drain;
use super::retry::{Jitter, Retry};

/// Why a body did not come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The destination is sick or busy; it may have said for how long.
    Sick(Option<Duration>),
    /// Credentials or address are wrong.
    Unauthorised,
}

/// One per route.
#[derive(Debug)]
pub(super) struct Gate {
    retry: Retry,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// In a row; 0 while the gate is open.
    n_failures: u32,
    not_before: Instant,
    /// The wait is our own guess, so that the end of the process may cut it short, once.
    may_cut: bool,
    probing: bool,
    jitter: Jitter,
}

/// The right to send one body once.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    gate: &'a Gate,
    probe: bool,
}

impl Gate {
    pub(super) fn new(retry: Retry, jitter: Jitter) -> Self {
        let state = State {
            n_failures: 0,
            not_before: Instant::now(),
            may_cut: true,
            probing: false,
            jitter,
        };
        Self { retry, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Waits until a body may be sent; `None` when that will not be before the drain's deadline.
    pub(super) async fn pass(&self, drain: &mut Drain) -> Option<Ticket<'_>> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let deadline = drain.deadline();
            let wake_at = match self.try_pass(deadline) {
                Ok(ticket) => return Some(ticket),
                Err(wake_at) => wake_at,
            };
            if let (Some(at), Some(deadline)) = (wake_at, deadline)
                && at >= deadline
            {
                return None;
            }
            tokio::select! {
                () = &mut changed => {}
                _ = drain.begun(), if deadline.is_none() => {}
                () = sleep_until(wake_at) => {}
            }
        }
    }

    /// A ticket, or when to ask again (unknown while another body is ahead to see).
    fn try_pass(&self, deadline: Option<Instant>) -> Result<Ticket<'_>, Option<Instant>> {
        let mut state = self.lock();
        if state.n_failures == 0 {
            return Ok(Ticket { gate: self, probe: false });
        }
        if state.probing {
            return Err(None);
        }
        if deadline.is_some() && std::mem::take(&mut state.may_cut) {
            state.not_before = Instant::now();
        }
        if Instant::now() < state.not_before {
            return Err(Some(state.not_before));
        }
        state.probing = true;
        Ok(Ticket { gate: self, probe: true })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// The destination answered as a sound one does. Returns the failures that went before.
    pub(super) fn succeed(self) -> u32 {
        let mut state = self.gate.lock();
        state.may_cut = true;
        std::mem::take(&mut state.n_failures)
    }

    /// It did not. Returns the failures in a row and when the next body may go.
    pub(super) fn fail(self, failure: Failure) -> (u32, Instant) {
        // Told to come back at once, perhaps for ever: that says no more than nothing.
        let failure = match failure {
            Failure::Sick(Some(asked)) if asked.is_zero() => Failure::Sick(None),
            other => other,
        };
        let mut guard = self.gate.lock();
        let state = &mut *guard;
        let retry = &self.gate.retry;
        // Bodies that were already on their way when the gate closed tell nothing new.
        let is_news = self.probe || state.n_failures == 0;
        if is_news {
            state.n_failures = state.n_failures.saturating_add(1);
        }
        let wait = match failure {
            Failure::Sick(Some(asked)) => retry.retry_after(asked, &mut state.jitter),
            Failure::Sick(None) => retry.backoff(state.n_failures, &mut state.jitter),
            Failure::Unauthorised => retry.unauthorised,
        };
        if is_news || failure != Failure::Sick(None) {
            let at = Instant::now() + wait;
            state.not_before = if is_news { at } else { state.not_before.max(at) };
            state.may_cut &= failure == Failure::Sick(None);
        }
        (state.n_failures, state.not_before)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.gate.lock().probing = false;
        }
        self.gate.changed.notify_waiters();
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::drain::drain;

    fn gate() -> Gate {
        Gate::new(Retry::default(), Jitter::from_seed(7))
    }

    /// A destination that asks for no wait at all, again and again, is asked ever more rarely.
    #[tokio::test(start_paused = true)]
    async fn a_wait_of_nothing_is_none() {
        let (_switch, mut drain) = drain();
        let gate = gate();
        let begun = Instant::now();
        for _ in 0..20 {
            let ticket = gate.pass(&mut drain).await.expect("no end");
            ticket.fail(Failure::Sick(Some(Duration::ZERO)));
        }
        assert!(begun.elapsed() > Duration::from_secs(60), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_body_goes_ahead_to_see() {
        let (_switch, mut drain) = drain();
        let gate = gate();
        let first = gate.pass(&mut drain).await.expect("open");
        let second = gate.pass(&mut drain).await.expect("open");
        assert_eq!(first.fail(Failure::Sick(Some(Duration::from_secs(9)))).0, 1);
        // The second was under way: its failure counts once, and does not shorten the wait.
        let (n_failures, next) = second.fail(Failure::Sick(None));
        assert_eq!(n_failures, 1);
        assert!(next >= Instant::now() + Duration::from_secs(9));

        let probe = gate.pass(&mut drain).await.expect("time is over");
        assert!(Instant::now() >= next);
        let mut other = drain.clone();
        {
            let behind = gate.pass(&mut other);
            tokio::pin!(behind);
            assert!(futures_are_pending(&mut behind).await, "only one goes ahead");
            assert_eq!(probe.succeed(), 1);
            assert!(behind.await.is_some());
        }
    }

    async fn futures_are_pending<F: Future + Unpin>(future: &mut F) -> bool {
        tokio::time::timeout(Duration::from_secs(3600), future).await.is_err()
    }

    /// An aborted probe (shutdown) does not lock the others out.
    #[tokio::test(start_paused = true)]
    async fn a_dropped_probe_frees_its_place() {
        let (_switch, mut drain) = drain();
        let gate = gate();
        gate.pass(&mut drain).await.expect("open").fail(Failure::Sick(None));
        drop(gate.pass(&mut drain).await.expect("probe"));
        assert!(gate.pass(&mut drain).await.is_some());
    }

    /// The end of the process cuts our own wait short, once, but not one that was asked for.
    #[tokio::test(start_paused = true)]
    async fn draining_tries_once_more_and_gives_up_early() {
        for (failure, tries) in
            [(Failure::Sick(None), 1), (Failure::Sick(Some(Duration::from_secs(60))), 0)]
        {
            let (switch, mut drain) = drain();
            let retry = Retry { initial: Duration::from_secs(1 << 20), ..Retry::default() };
            let retry = Retry { max: Duration::from_secs(1 << 20), ..retry };
            let gate = Gate::new(retry, Jitter::from_seed(7));
            gate.pass(&mut drain).await.expect("open").fail(failure);
            let begun = Instant::now();
            switch.begin(begun + Duration::from_secs(5));
            let mut n_tries = 0;
            while let Some(ticket) = gate.pass(&mut drain).await {
                ticket.fail(failure);
                n_tries += 1;
            }
            assert_eq!(n_tries, tries, "{failure:?}");
            assert_eq!(Instant::now(), begun, "{failure:?}");
        }
    }
}
