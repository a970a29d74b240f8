//! When to try again: exponential backoff with full jitter, and what `Retry-After` says.
//!
//! Source: RFC 9110 10.2.3 (`Retry-After` is seconds or a date); "full jitter" draws the wait
//! evenly between nothing and a ceiling that doubles, which spreads a fleet of sidecars best.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

/// When and how often to try again.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Ceiling of the first wait.
    pub initial: Duration,
    /// Ceiling of every later one.
    pub max: Duration,
    /// The longest that a destination's `Retry-After` is followed.
    pub retry_after_max: Duration,
    /// Wait between attempts while credentials or address are wrong.
    pub unauthorised: Duration,
    /// A body that failed this often goes to the dead letters; never by default.
    pub attempts_max: Option<u32>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(300),
            unauthorised: Duration::from_secs(60),
            attempts_max: None,
        }
    }
}

impl Retry {
    /// The wait after the `n_failures`-th failure in a row (from 1).
    #[must_use]
    pub fn backoff(&self, n_failures: u32, jitter: &mut Jitter) -> Duration {
        let doublings = n_failures.saturating_sub(1).min(31);
        let ceiling = self.initial.saturating_mul(1 << doublings).min(self.max);
        jitter.below(ceiling)
    }

    /// The wait that a destination asked for, capped, and spread a little so that a fleet that was
    /// told the same second does not come back in it.
    #[must_use]
    pub fn retry_after(&self, asked: Duration, jitter: &mut Jitter) -> Duration {
        asked.min(self.retry_after_max) + jitter.below(self.initial)
    }
}

/// Reads a `Retry-After` header. A date is taken relative to `date`, the answer's own `Date`, where
/// it has one: the two clocks need not agree.
#[must_use]
pub fn parse_retry_after(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let sent = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    Some(at.duration_since(sent).unwrap_or_default())
}

/// A small random source (xorshift64*), good for spreading waits and for nothing else.
#[derive(Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Seeded by the process's random state.
    #[must_use]
    pub fn from_random_state() -> Self {
        Self::from_seed(RandomState::new().hash_one(0))
    }

    /// For tests.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Evenly between nothing and `ceiling`.
    fn below(&mut self, ceiling: Duration) -> Duration {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        ceiling.mul_f64(drawn as f64 / (1u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_fill_a_ceiling_that_doubles_and_ends() {
        let retry = Retry::default();
        let mut jitter = Jitter::from_seed(42);
        for (n_failures, ceiling_ms) in [(1, 500), (2, 1000), (4, 4000), (7, 30_000), (99, 30_000)]
        {
            let ceiling = Duration::from_millis(ceiling_ms);
            let waits: Vec<_> = (0..200).map(|_| retry.backoff(n_failures, &mut jitter)).collect();
            assert!(waits.iter().all(|wait| *wait <= ceiling), "{n_failures}");
            assert!(waits.iter().any(|wait| *wait > ceiling.mul_f64(0.9)), "{n_failures}");
            assert!(waits.iter().any(|wait| *wait < ceiling.mul_f64(0.1)), "{n_failures}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + 100);
        let own_date = Some("Sun, 06 Nov 1994 08:49:30 GMT");
        for (value, date, seconds) in [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("Sun, 06 Nov 1994 08:52:37 GMT", None, Some(80)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", own_date, Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, Some(0)),
            ("soon", None, None),
            ("-1", None, None),
        ] {
            let found = parse_retry_after(value, date, now);
            assert_eq!(found, seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn retry_after_is_capped() {
        let retry = Retry::default();
        let wait = retry.retry_after(Duration::from_secs(1 << 40), &mut Jitter::from_seed(1));
        assert!(wait <= retry.retry_after_max + retry.initial);
    }
}
