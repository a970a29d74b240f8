//! One target, scraped at fixed times, for as long as the source runs.
//!
//! Owns the schedule, one scrape at a time, what is skipped, what is logged, and the farewell.

use std::rc::Rc;
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use xxhash_rust::xxh3::xxh3_64;

use super::family::Treatment;
use super::fetch::Fetch;
use super::scrape::{self, Reading};
use super::told::Told;
use crate::event::signal::Signal;
use crate::sources::net::budget::Hold;
use crate::sources::net::inlet::Inlet;
use crate::sources::{NotTaken, Stage, Stop, now_ns};
use crate::telemetry::SkipReason;

/// How often a target that fails is told of.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// What a series' next point must at least be later: Prometheus counts milliseconds.
const TIME_STEP_NS: i64 = 1_000_000;

/// What all targets of a source share.
pub(super) struct Shared<F> {
    pub(super) inlet: Inlet,
    pub(super) client: F,
    pub(super) every: Duration,
    pub(super) timeout: Duration,
    /// Whatever makes this process scrape at other times than its like.
    pub(super) seed: u64,
}

/// See the module.
pub(super) struct Target<F> {
    shared: Rc<Shared<F>>,
    url: Url,
    /// The URL as it is told.
    name: String,
    treatment: Treatment,
    told: Told,
    /// The time of what was told last; 0 before anything was.
    last_ns: i64,
    trouble: Trouble,
}

/// What goes wrong with a target, for the log.
#[derive(Debug, Default)]
struct Trouble {
    n_failures: u64,
    logged_at: Option<Instant>,
}

impl<F: Fetch> Target<F> {
    pub(super) fn new(shared: Rc<Shared<F>>, url: Url, treatment: Treatment) -> Self {
        let mut shown = url.clone();
        shown.set_query(None);
        Self {
            shared,
            url,
            name: shown.into(),
            treatment,
            told: Told::default(),
            last_ns: 0,
            trouble: Trouble::default(),
        }
    }

    /// Scrapes until `stop` says so, and says that there will be nothing more.
    pub(super) async fn run(mut self, stop: Stop) {
        let every = self.shared.every;
        let key = xxh3_64(self.url.as_str().as_bytes()) ^ self.shared.seed;
        let mut last = Instant::now() + wait(key, every, now_ns());
        let mut ticks = interval_at(last, every);
        // Behind a scrape that took too long, the times stay what they were.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let at = tokio::select! {
                biased;
                () = stop.reached(Stage::Drain) => break,
                at = ticks.tick() => at,
            };
            let n_missed = (at - last).as_nanos() / every.as_nanos().max(1);
            last = at;
            self.skip(SkipReason::Overrun, (n_missed as u64).saturating_sub(1));
            if !self.scrape(&stop).await {
                break;
            }
        }
        self.farewell(&stop).await;
    }

    fn skip(&self, reason: SkipReason, n: u64) {
        self.shared.inlet.context.counters.skipped_scrapes(reason).add(n);
    }

    /// One scrape; whether there may be another.
    async fn scrape(&mut self, stop: &Stop) -> bool {
        let shared = Rc::clone(&self.shared);
        if shared.inlet.must_wait(Signal::Metrics) {
            // Its values would be old when there is room; the next ones will not.
            self.skip(SkipReason::SpoolUnavailable, 1);
            self.trouble.log(|n| {
                let (source, target) = (&shared.inlet.context.name, &self.name);
                tracing::warn!(source, target, n, "not scraped: the spool takes nothing");
            });
            return true;
        }
        let mut hold = shared.inlet.budget.begin();
        let (begun, time_ns) = (Instant::now(), now_ns().max(self.last_ns + TIME_STEP_NS));
        let asked = timeout(shared.timeout, shared.client.fetch(&self.url, &mut hold));
        let fetched = tokio::select! {
            biased;
            () = stop.reached(Stage::Drain) => return false,
            fetched = asked => fetched,
        };
        let (attributes, mut n_bytes) = (&shared.inlet.context.attributes, 0);
        let read = match fetched {
            Err(_) => Err(format!("no answer after {:?} (timeout)", shared.timeout)),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok(fetched)) => {
                n_bytes = fetched.body.len();
                let body = (&fetched.body[..], fetched.format);
                scrape::read(body, &self.treatment, attributes, &mut self.told, time_ns)
                    .map_err(|refused| refused.to_string())
            }
        };
        let is_up = read.is_ok();
        let reading = match read {
            Ok(reading) => {
                self.recovered();
                reading
            }
            Err(error) => {
                self.failed(&error);
                Reading::of_nothing(&self.told, attributes, time_ns)
            }
        };
        let n_twice = reading.numbers.n_twice;
        let labels = &self.treatment.labels;
        let (requests, told) = reading.finish(is_up, begun.elapsed(), labels, time_ns);
        shared.inlet.context.counters.rejected.add(n_twice as u64);
        (self.told, self.last_ns) = (told, time_ns);
        self.push(requests, n_bytes, hold, stop).await
    }

    /// Hands requests on, one at a time; whether more would be taken.
    async fn push(
        &self,
        requests: Vec<Vec<u8>>,
        mut n_bytes: usize,
        _paid: Hold,
        stop: &Stop,
    ) -> bool {
        let inlet = &self.shared.inlet;
        for request in requests {
            let _busy = inlet.begin();
            match inlet.push(Signal::Metrics, request, std::mem::take(&mut n_bytes)) {
                Ok(_) => {}
                Err(NotTaken::Closed) => return false,
                Err(error) => {
                    inlet.context.counters.errors.add(1);
                    let source = &inlet.context.name;
                    tracing::error!(source, %error, "what was scraped was not taken");
                    continue;
                }
            }
            drop(_busy);
            // In the end all are made durable together.
            tokio::select! {
                biased;
                () = stop.reached(Stage::Drain) => {}
                _ = inlet.stored(Signal::Metrics, 0) => {}
            }
        }
        true
    }

    /// Says that there will be nothing more of any series.
    async fn farewell(mut self, stop: &Stop) {
        let inlet = &self.shared.inlet;
        if self.last_ns == 0 || inlet.must_wait(Signal::Metrics) {
            return;
        }
        let time_ns = now_ns().max(self.last_ns + TIME_STEP_NS);
        let attributes = &inlet.context.attributes;
        let reading = Reading::of_nothing(&self.told, attributes, time_ns);
        let requests = reading.farewell(&self.treatment.labels, time_ns);
        self.last_ns = time_ns;
        let hold = inlet.budget.begin();
        self.push(requests, 0, hold, stop).await;
    }

    fn failed(&mut self, error: &str) {
        let inlet = &self.shared.inlet;
        inlet.context.counters.errors.add(1);
        let (source, target) = (&inlet.context.name, &self.name);
        self.trouble.log(|n| {
            tracing::warn!(source, target, error, n, "a target cannot be scraped");
        });
    }

    fn recovered(&mut self) {
        let Trouble { n_failures, .. } = std::mem::take(&mut self.trouble);
        if n_failures > 0 {
            let (source, target) = (&self.shared.inlet.context.name, &self.name);
            tracing::info!(source, target, n_failures, "a target is scraped again");
        }
    }
}

impl Trouble {
    /// Tells of trouble the first time, and then once in a while, with how often it was until now.
    fn log(&mut self, tell: impl FnOnce(u64)) {
        self.n_failures += 1;
        let now = Instant::now();
        if self.logged_at.is_none_or(|at| now - at >= LOG_EVERY) {
            self.logged_at = Some(now);
            tell(self.n_failures);
        }
    }
}

/// How long until the first scrape: a time of its own in each interval, by the clock that all
/// share, so that a restart does not move it and a thousand pods do not scrape at once.
fn wait(key: u64, every: Duration, now_ns: i64) -> Duration {
    let every_ns = (every.as_nanos() as u64).max(1);
    let (offset, now) = (key % every_ns, now_ns.max(0).cast_unsigned() % every_ns);
    Duration::from_nanos((offset + every_ns - now) % every_ns)
}

#[cfg(test)]
mod tests;
