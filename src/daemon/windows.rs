//! The tiers that decide by a window: their second logs in the spool, the tasks between the two,
//! and what was known of requests before a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;

use crate::config::{Config, Tier};
pub(super) use crate::deliver::window::SINK;
use crate::deliver::window::Window;
use crate::deliver::{DrainSwitch, drain};
use crate::pipeline::fates::Fates;
use crate::pipeline::plan::Windows;
use crate::pipeline::window::recall;
use crate::spool::{self, Spool, TierId};
use crate::units::HumanDuration;

use super::feed::Feed;
use super::routes::Prepared;

/// What is behind the name of a tier's log of decided events. No tier can be named so.
const KEPT: &str = ".kept";
/// Requests that are remembered in each of two generations.
const FATES_MAX: usize = 1 << 16;
/// How many windows late a signal may come and still find its request's fate.
const LATE_WINDOWS: u32 = 6;
const HOLD_MIN: Duration = Duration::from_secs(60);
/// Half of its log may be undecided.
const EARLY_DIVISOR: u64 = 2;

/// The tiers with windows, by their numbers; each has the log behind all tiers' own, in this order.
pub(super) fn of(config: &Config) -> impl Iterator<Item = (usize, Duration)> {
    let windows = config.tiers.iter().enumerate();
    windows.filter_map(|(index, tier)| tier.window.map(|window| (index, window.0)))
}

/// Gives a tier a window of no length that has none any more, and whose log of decided events is
/// still there: its sinks go on in that log, and nothing of it is left behind.
pub(super) fn adopt(config: &mut Config) {
    let Some(spool) = config.spool.path.clone() else { return };
    for tier in config.tiers.iter_mut().filter(|tier| tier.window.is_none()) {
        if spool.join(kept_name(&tier.name)).is_dir() {
            tier.window = Some(HumanDuration(Duration::ZERO));
        }
    }
}

/// The log that the sinks of a tier read.
pub(super) fn log_of(config: &Config, tier: usize) -> TierId {
    let place = of(config).position(|(index, _)| index == tier);
    TierId(place.map_or(tier, |place| config.tiers.len() + place) as u8)
}

/// The spool's logs, each with its tier and its name: every tier's own, then those of decided
/// events.
pub(super) fn logs(config: &Config) -> impl Iterator<Item = (&Tier, String)> {
    let own = config.tiers.iter().map(|tier| (tier, tier.name.clone()));
    let kept = of(config).map(|(index, _)| &config.tiers[index]);
    own.chain(kept.map(|tier| (tier, kept_name(&tier.name))))
}

/// The part of the spool that each log of `tier` may use: one with a window has two.
pub(super) fn log_share(config: &Config, tier: &Tier) -> f64 {
    let share = config.spool.shares.iter().find(|(name, _)| *name == tier.name);
    let share = share.map_or(0.25, |(_, share)| *share);
    if tier.window.is_some() { share / 2.0 } else { share }
}

/// The name of the log of decided events.
pub(super) fn kept_name(tier: &str) -> String {
    format!("{tier}{KEPT}")
}

/// The books of the routes that decide.
pub(super) fn prepare(config: &Config) -> Vec<Prepared> {
    let prepared = |(tier_index, _)| Prepared {
        tier_index,
        log: TierId(tier_index as u8),
        tier: config.tiers[tier_index].name.clone(),
        sink: SINK.to_owned(),
        counters: Arc::default(),
        status: Arc::default(),
    };
    of(config).map(prepared).collect()
}

/// What the pipeline needs to know of windows; nothing where there is none.
pub(super) fn plan(config: &Config) -> Option<Windows> {
    let longest = of(config).map(|(_, window)| window).max()?;
    let fates = Arc::new(Fates::new(FATES_MAX, hold(longest)));
    if let Some(path) = &config.spool.path {
        remember(path, hold(longest), &fates);
    }
    let tiers = config.tiers.iter().map(|tier| tier.window.is_some()).collect();
    Some(Windows { tiers, fates })
}

fn hold(window: Duration) -> Duration {
    (window * LATE_WINDOWS).max(HOLD_MIN)
}

/// Reads what the logs say of requests of late.
fn remember(spool: &Path, hold: Duration, fates: &Fates) {
    let now = SystemTime::now();
    let now_ns = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
    let since = now.checked_sub(hold).unwrap_or(UNIX_EPOCH);
    for tier in std::fs::read_dir(spool).into_iter().flatten().flatten() {
        spool::peek_since(&tier.path(), since, &mut |batch| {
            let mut notes = Vec::new();
            recall(batch, &mut notes);
            fates.note(now_ns, &notes);
        });
    }
}

/// A window that runs.
pub(super) struct Running {
    switch: DrainSwitch,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts every tier's window.
    pub(super) fn start(
        config: &Config,
        books: &[Prepared],
        spool: &Arc<Spool>,
        feed: &Arc<Feed>,
    ) -> Vec<Self> {
        let run = |(index, window): (usize, Duration)| {
            let prepared = books.iter().find(|books| books.is(index, SINK))?;
            let cursor = spool.cursor(TierId(index as u8), SINK)?;
            let share = log_share(config, &config.tiers[index]);
            let bytes = (config.spool.max.0 as f64 * share) as u64 / EARLY_DIVISOR;
            let plan = Arc::clone(feed);
            let window = Window {
                cursor,
                spool: Arc::clone(spool),
                kept: log_of(config, index),
                position_key: xxhash_rust::xxh3::xxh3_64(prepared.tier.as_bytes()).max(1),
                window,
                early_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
                plan: move || plan.current().plan,
                tally: feed.tally.clone().map(|tally| (index, tally)),
                counters: Arc::clone(&prepared.counters),
                status: Arc::clone(&prepared.status),
            };
            let (switch, drain) = drain();
            Some(Self { switch, task: tokio::spawn(window.run(drain)) })
        };
        of(config).filter_map(run).collect()
    }

    /// Ends all windows: what is undecided is decided, until `deadline`.
    pub(super) async fn end_all(windows: Vec<Self>, deadline: Instant) {
        windows.iter().for_each(|window| window.switch.begin(deadline.into()));
        for window in windows {
            if tokio::time::timeout_at(deadline.into(), window.task).await.is_err() {
                tracing::warn!("some events stay undecided until the next start");
            }
        }
    }
}
