//! Sampling windows: once a minute a line for each tier, stratum and rule says what was seen and
//! what was kept of it, and one for each route what was lost on its way. They are events of the
//! kind `sampling`, told only where a tier takes that kind.
//!
//! Owns when they are told, and their words. What is counted is `pipeline::tally`'s.
//!
//! # Why
//! - A row of predictions says by itself how likely it was to be kept. That the numbers add up, and
//!   that nothing was lost beside them, has to be said by those who saw what is not there.
//! - Each line is about the time since the one before it: a process that is killed takes at most a
//!   minute of counts with it, and says so by a window that is missing.
//! - They go through the pipeline as all lines do, protection too: a rule's name is the condition
//!   as it was written, and may hold what must not leave.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config::Config;
use crate::event::chunk::{Chunk, Lines};
use crate::event::origin::Origin;
use crate::event::record::Kind;
use crate::event::slab::Slab;
use crate::pipeline::rules::{RawRule, Rules};
use crate::pipeline::sample::Sampler;
use crate::pipeline::tally::Tally;
use crate::pipeline::{Pipeline, Plan};
use crate::sources::{new_source_key, now_ns};
use crate::spool::TierId;
use crate::telemetry::RouteCounters;

use super::build::tier_plans;
use super::feed::Feed;
use super::routes::Prepared;
use super::ticker::Work;
use super::{DaemonError, windows};

/// The name of what is not received from anywhere.
pub(super) const SOURCE: &str = "sampling";
const WINDOW: Duration = Duration::from_secs(60);

/// How the config that holds wants it told.
pub(super) struct Telling {
    plan: Arc<Plan>,
    /// Names of the tiers, by number.
    tiers: Vec<String>,
    attributes: Vec<(String, String)>,
    /// Tier, sink and counters of each route.
    routes: Vec<(String, String, Arc<RouteCounters>)>,
}

/// Whether anything is told.
pub(super) fn is_wanted(config: &Config) -> bool {
    config.tiers.iter().any(|tier| tier.kinds.contains(&Kind::Sampling))
}

/// What counts, where anything is told.
pub(super) fn tally(config: &Config) -> Option<Arc<Tally>> {
    let has_window = config.tiers.iter().map(|tier| tier.window.is_some()).collect();
    is_wanted(config).then(|| Arc::new(Tally::new(has_window)))
}

impl Telling {
    /// What `config` wants told.
    ///
    /// # Errors
    /// As [`super::plan`].
    pub(super) fn new<'a>(
        config: &Config,
        routes: impl Iterator<Item = &'a Prepared>,
    ) -> Result<Option<Arc<Self>>, DaemonError> {
        if !is_wanted(config) {
            return Ok(None);
        }
        let (tiers, tier_of_kind) = tier_plans(config)?;
        // Whatever they say, it is about sampling.
        let all = RawRule { when: r#"level == "info""#.to_owned(), kind: "sampling".to_owned() };
        let rules = Rules::compile(&[all]).unwrap_or_default();
        let keyring = config.key.clone().map(Arc::new);
        let plan = Plan::new(tiers, tier_of_kind, rules, Sampler::default(), keyring);
        let route = |route: &Prepared| {
            (route.tier.clone(), route.sink.clone(), Arc::clone(&route.counters))
        };
        let mut attributes = config.service.attributes.clone();
        attributes.sort();
        Ok(Some(Arc::new(Self {
            plan,
            tiers: config.tiers.iter().map(|tier| tier.name.clone()).collect(),
            attributes,
            routes: routes.filter(|route| route.sink != windows::SINK).map(route).collect(),
        })))
    }
}

/// Who tells.
pub(super) struct Teller {
    feed: Arc<Feed>,
    tally: Arc<Tally>,
    /// The stream of what is told, how much of it there is, and its name in the lines.
    source_key: u64,
    n_bytes: u64,
    /// When the window began.
    start_ns: i64,
    /// What was lost on each route before, by tier and sink.
    lost: HashMap<(String, String), (u64, u64)>,
}

impl Teller {
    pub(super) fn new(feed: Arc<Feed>, tally: Arc<Tally>) -> Self {
        let (source_key, start_ns) = (new_source_key(), now_ns());
        Self { feed, tally, source_key, n_bytes: 0, start_ns, lost: HashMap::new() }
    }

    /// The lines of the window that ends at `end_ns`.
    fn lines(&mut self, telling: &Telling, end_ns: i64) -> String {
        let replica = format!("{:016x}", self.source_key);
        // A clock that was set back in between: no window ends before it begins.
        let (start, end) = (rfc3339(self.start_ns.min(end_ns)), rfc3339(end_ns));
        let mut text = String::new();
        let mut push = |mut line: serde_json::Value| {
            line["event"] = json!("sampling_window");
            line["level"] = json!("info");
            line["timestamp"] = json!(end);
            line["window_start"] = json!(start);
            line["window_end"] = json!(end);
            line["replica"] = json!(replica);
            let _ = writeln!(text, "{line}");
        };
        for ((tier, stratum, rule), counts) in self.tally.take() {
            push(json!({
                "tier": telling.tiers.get(tier),
                "stratum": stratum.as_str(),
                "rule": rule,
                "seen": counts.kept + counts.sampled_out,
                "kept": counts.kept,
                "sampled_out": counts.sampled_out,
            }));
        }
        for (tier, sink, counters) in &telling.routes {
            let dropped: u64 = counters.dropped.iter().map(|counter| counter.get()).sum();
            let lost = (dropped, counters.dead_letters.get());
            let before = self.lost.insert((tier.clone(), sink.clone()), lost).unwrap_or_default();
            if lost != before {
                push(json!({
                    "tier": tier,
                    "sink": sink,
                    "dropped": lost.0 - before.0,
                    "dead_letters": lost.1 - before.1,
                }));
            }
        }
        text
    }
}

impl Work for Teller {
    /// Until the minute is over.
    fn wait(&self) -> Duration {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let into_ns = now.as_nanos() % WINDOW.as_nanos();
        WINDOW.saturating_sub(Duration::from_nanos(u64::try_from(into_ns).unwrap_or_default()))
    }

    fn run(&mut self, _is_last: bool) {
        let Some(telling) = self.feed.current().telling else { return };
        let end_ns = now_ns();
        let text = self.lines(&telling, end_ns);
        self.start_ns = end_ns;
        if text.is_empty() {
            return;
        }
        let attributes = telling.attributes.clone();
        let origin = Origin { source: SOURCE.into(), attributes, ..Origin::default() };
        let source_base = self.n_bytes;
        self.n_bytes += text.len() as u64;
        let chunk = Chunk {
            slab: Slab::from_bytes(text.as_bytes()),
            lines: Lines::Plain,
            origin: Arc::new(origin),
            source_key: self.source_key,
            source_base,
            source_end: self.n_bytes,
            observed_ns: end_ns,
        };
        for sealed in Pipeline::new(Arc::clone(&telling.plan)).process(chunk) {
            let (tier, sampled_out) = (TierId(sealed.tier as u8), sealed.sampled_out.total());
            let ticket = self.feed.spool.append(tier, sealed.batch, sampled_out);
            if ticket.wait().is_err() {
                tracing::warn!("a sampling window was not taken: the spool is closed");
            }
        }
    }
}

fn rfc3339(ns: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns / 1000 * 1000));
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}
