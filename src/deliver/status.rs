//! What the operator sees of a route beside its counters: what it does, and what last went wrong.
//!
//! Also the one place that logs delivery failures, so that they are logged at a bounded rate: the
//! first of an outage, then once a minute, then the recovery. Words are the destination's,
//! shortened by the sink; no payload.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::sinks::Truncated;

/// At most one line in this time while an outage lasts.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What a route is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing to deliver.
    #[default]
    Waiting,
    /// Bodies are being filled or are in flight, and the last one came through.
    Delivering,
    /// The destination does not take bodies now.
    Retrying,
    /// Credentials or address are wrong.
    Unauthorised,
    /// The route is over.
    Stopped,
}

impl State {
    /// All states.
    pub const ALL: [State; 5] =
        [State::Waiting, State::Delivering, State::Retrying, State::Unauthorised, State::Stopped];

    /// The word in `/status` and `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Delivering => "delivering",
            State::Retrying => "retrying",
            State::Unauthorised => "unauthorised",
            State::Stopped => "stopped",
        }
    }
}

/// An outage that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Failures in a row.
    pub n_failures: u32,
    /// When the first of them was.
    pub since: SystemTime,
    /// When the next attempt will be.
    pub next: SystemTime,
}

/// A failure, over or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// What was said.
    pub text: String,
    /// When.
    pub at: SystemTime,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What the route is doing.
    pub state: State,
    /// Set while `state` is retrying or unauthorised.
    pub outage: Option<Outage>,
    /// The last failure or refusal.
    pub last_error: Option<LastError>,
    /// When a body last came through.
    pub last_delivered_at: Option<SystemTime>,
}

/// Written by the route, read by `admin`.
#[derive(Debug, Default)]
pub struct RouteStatus(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    shown: Snapshot,
    logged_at: Option<SystemTime>,
    refusal_logged_at: Option<SystemTime>,
    truncated_logged_at: Option<SystemTime>,
}

impl RouteStatus {
    /// The state now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.lock().shown.clone()
    }

    /// The route has bodies to deliver, or none. Says nothing over an outage.
    pub(super) fn busy(&self, is_busy: bool) {
        let mut inner = self.lock();
        if inner.shown.outage.is_none() {
            inner.shown.state = if is_busy { State::Delivering } else { State::Waiting };
        }
    }

    pub(super) fn stopped(&self) {
        self.lock().shown.state = State::Stopped;
    }

    /// The destination answered a body for good, and took it or some of it if `is_taken`.
    pub(super) fn answered(&self, route: &str, is_taken: bool) {
        let mut inner = self.lock();
        if is_taken {
            inner.shown.last_delivered_at = Some(SystemTime::now());
        }
        let Some(outage) = inner.shown.outage.take() else { return };
        inner.shown.state = State::Delivering;
        inner.logged_at = None;
        let outage_s = outage.since.elapsed().unwrap_or_default().as_secs();
        tracing::info!(route, outage_s, attempts = outage.n_failures, "delivering again");
    }

    /// A body did not; `wait` until the next attempt.
    pub(crate) fn failed(
        &self,
        route: &str,
        state: State,
        n_failures: u32,
        wait: Duration,
        text: &str,
    ) {
        let now = SystemTime::now();
        let mut inner = self.lock();
        let since = inner.shown.outage.map_or(now, |outage| outage.since);
        inner.shown.state = state;
        inner.shown.outage = Some(Outage { n_failures, since, next: now + wait });
        inner.shown.last_error = Some(LastError { text: text.to_owned(), at: now });
        if !is_due(inner.logged_at, now) {
            return;
        }
        inner.logged_at = Some(now);
        drop(inner);
        let retry_in_s = wait.as_secs_f32();
        match state {
            State::Unauthorised => tracing::error!(
                route,
                reason = text,
                retry_in_s,
                "the destination refuses this sink (credentials or address); data is kept"
            ),
            _ => tracing::warn!(
                route,
                reason = text,
                n_failures,
                retry_in_s,
                "could not deliver a batch, retrying"
            ),
        }
    }

    /// Events were refused for good.
    pub(super) fn refused(&self, route: &str, n_events: u64, text: &str) {
        let now = SystemTime::now();
        let mut inner = self.lock();
        inner.shown.last_error = Some(LastError { text: text.to_owned(), at: now });
        if is_due(inner.refusal_logged_at, now) {
            inner.refusal_logged_at = Some(now);
            drop(inner);
            tracing::error!(route, n_events, reason = text, "events were refused for good");
        }
    }

    /// Values were delivered that the destination is known to cut.
    pub(super) fn truncated(&self, route: &str, truncated: &Truncated) {
        let now = SystemTime::now();
        let mut inner = self.lock();
        if is_due(inner.truncated_logged_at, now) {
            inner.truncated_logged_at = Some(now);
            drop(inner);
            let Truncated { n_values, example } = truncated;
            tracing::warn!(
                route,
                n_values,
                example,
                "longer than the receiver keeps: it cuts them"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_due(logged_at: Option<SystemTime>, now: SystemTime) -> bool {
    // A clock that was set back makes the difference an error: then log.
    logged_at
        .is_none_or(|at| now.duration_since(at).is_ok_and(|gone| gone >= LOG_EVERY) || at > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_lasts_and_ends() {
        let status = RouteStatus::default();
        status.busy(true);
        assert_eq!(status.snapshot().state, State::Delivering);
        for n_failures in 1..=3 {
            let wait = Duration::from_secs(2);
            status.failed("app-loki", State::Retrying, n_failures, wait, "503 sick");
            status.busy(false);
        }
        let shown = status.snapshot();
        assert_eq!(shown.state, State::Retrying);
        let outage = shown.outage.expect("an outage");
        assert_eq!(outage.n_failures, 3);
        assert!(outage.next > outage.since);
        status.answered("app-loki", true);
        let shown = status.snapshot();
        assert_eq!((shown.state, shown.outage), (State::Delivering, None));
        assert_eq!(shown.last_error.expect("remembered").text, "503 sick");
    }
}
