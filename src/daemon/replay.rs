//! Sends dead letters once more, by the config, in a process of its own, beside the daemon or
//! without one.
//!
//! # Why
//! Not by the daemon: what it delivers is counted against what the spool holds, and letters have
//! left the spool. A letter is claimed file by file ([`Replay`]), so that both may work at once.

use std::time::{Duration, Instant};

use crate::config::{self, Config};
use crate::deliver::{DeadLetters, Replay, drain};

use super::DaemonError;
use super::routes::{Prepared, Shared, connect, prepare};

/// What is left of the time when delivery is told to come to its end.
const DRAIN: Duration = Duration::from_secs(2);

/// Which letters, and for how long.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Only this tier's.
    pub tier: Option<String>,
    /// Only this sink's.
    pub sink: Option<String>,
    /// A route gives up after this; its letters stay.
    pub timeout: Duration,
}

/// What became of one route's letters, in events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The route.
    pub tier: String,
    /// The route.
    pub sink: String,
    /// Events in the letters that were found.
    pub n_events: u64,
    /// Taken by the sink.
    pub delivered: u64,
    /// Refused again, and letters again.
    pub refused: u64,
    /// Dropped, for want of room for new letters.
    pub dropped: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Replayed {
    /// Events that were not sent, or not answered: their letters stay.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.n_events.saturating_sub(self.delivered + self.refused + self.dropped)
    }
}

/// Sends the letters of every wanted route that `config` has, one route after the other. Routes
/// without letters are not listed.
///
/// # Errors
/// [`DaemonError`] when a sink cannot be set up, or a folder not be read.
pub fn replay(config: &Config, options: &ReplayOptions) -> Result<Vec<Replayed>, DaemonError> {
    let Some(spool) = &config.spool.path else { return Ok(Vec::new()) };
    let config = &at_least_once(config.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let is_wanted = |route: &Prepared| {
        options.tier.as_ref().is_none_or(|tier| *tier == route.tier)
            && options.sink.as_ref().is_none_or(|sink| *sink == route.sink)
            && !writes_files(config, &route.sink)
    };
    let mut done = Vec::new();
    for prepared in prepare(config).into_iter().filter(is_wanted) {
        let letters = Replay::claim(&DeadLetters::folder(spool, &prepared.tier, &prepared.sink))?;
        if letters.n_events() > 0 {
            done.push(runtime.block_on(send(config, &prepared, letters, options.timeout))?);
        }
    }
    Ok(done)
}

/// What lands exactly once does so by what a route writes down, and that is the daemon's.
fn at_least_once(mut config: Config) -> Config {
    for (_, sink) in &mut config.sinks {
        if let config::sinks::Sink::BigQuery(sink) = sink {
            sink.delivery = Some(config::sinks::Delivery::AtLeastOnce);
        }
    }
    config
}

/// Files are named by places in the spool, which letters have none of.
fn writes_files(config: &Config, sink: &str) -> bool {
    matches!(config.sink(sink), Some(config::sinks::Sink::Files(_)))
}

async fn send(
    config: &Config,
    prepared: &Prepared,
    letters: Replay,
    timeout: Duration,
) -> Result<Replayed, DaemonError> {
    let n_events = letters.n_events();
    let (switch, drained) = drain();
    let running = connect(config, prepared, &Shared::new(config))?.run(letters, drained);
    tokio::pin!(running);
    tokio::select! {
        () = &mut running => {}
        () = stopped(timeout) => {
            switch.begin((Instant::now() + DRAIN).into());
            running.await;
        }
    }
    let counters = &prepared.counters;
    let dropped = crate::telemetry::DropReason::ALL.map(|reason| counters.dropped(reason).get());
    Ok(Replayed {
        tier: prepared.tier.clone(),
        sink: prepared.sink.clone(),
        n_events,
        delivered: counters.delivered.get(),
        refused: counters.dead_letters.get(),
        dropped: dropped.iter().sum(),
        last_error: prepared.status.snapshot().last_error.map(|error| error.text),
    })
}

/// The time is over, or somebody pressed Ctrl-C.
async fn stopped(timeout: Duration) {
    tokio::select! {
        () = tokio::time::sleep(timeout) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
