//! The most that a route sends in a second, in bytes or in events. One check per body.
//!
//! # Why
//! governor's own clocks run on while a test's is paused; tokio's does not.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Duration, Instant};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// Bytes before compression, as the destination's limits count them.
    Bytes,
    /// Events.
    Events,
}

/// A limit; its burst is one second's worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many of `unit` in a second.
    pub per_second: NonZeroU32,
    /// What is counted.
    pub unit: RateUnit,
}

/// Time since the limiter was made.
#[derive(Clone, Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets a route's bodies pass at its rate.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    limit: RateLimit,
    inner: Arc<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>>,
}

impl Limiter {
    pub(super) fn new(limit: RateLimit) -> Self {
        let clock = TokioClock(Instant::now());
        let quota = Quota::per_second(limit.per_second);
        Self { limit, inner: Arc::new(RateLimiter::direct_with_clock(quota, clock)) }
    }

    /// Resolves when a body of that size may go. One larger than the burst pays in several parts.
    pub(super) async fn pass(&self, n_bytes: usize, n_events: usize) {
        let cost = match self.limit.unit {
            RateUnit::Bytes => n_bytes,
            RateUnit::Events => n_events,
        };
        let burst = self.limit.per_second;
        let mut unpaid = u64::try_from(cost).unwrap_or(u64::MAX);
        while unpaid > 0 {
            let part = u32::try_from(unpaid).unwrap_or(u32::MAX).min(burst.get());
            let Some(part) = NonZeroU32::new(part) else { return };
            match self.inner.check_n(part) {
                Ok(Ok(())) => unpaid -= u64::from(part.get()),
                Ok(Err(not_until)) => {
                    let now = self.inner.clock().now();
                    // At least a millisecond: the timer knows no less and would spin.
                    let wait = not_until.wait_time_from(now).max(Duration::from_millis(1));
                    tokio::time::sleep(wait).await;
                }
                Err(_) => unreachable!("BUG: a part is never larger than the burst"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bodies_pass_at_the_rate() {
        let per_second = NonZeroU32::new(1000).expect("not zero");
        for (unit, n_bytes, n_events) in
            [(RateUnit::Bytes, 500, 1), (RateUnit::Events, 1, 500), (RateUnit::Bytes, 2500, 1)]
        {
            let limiter = Limiter::new(RateLimit { per_second, unit });
            let begun = Instant::now();
            for _ in 0..6 {
                limiter.pass(n_bytes, n_events).await;
            }
            let paid = 6 * n_bytes.max(n_events) as u128;
            // The burst is free, the rest comes at the rate.
            let expected = paid - 1000;
            let took = begun.elapsed().as_millis();
            assert!(took >= expected && took < expected + 20, "{took} for {expected}");
        }
    }
}
