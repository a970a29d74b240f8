//! What the spool is opened with, and what of it can be used.
//!
//! Deliberately knows nothing of YAML: `config` resolves names, sizes and durations to these.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::SpoolError;
use crate::telemetry::RouteCounters;

/// Routes that one tier can have; a cursor file has room for as many.
pub(super) const ROUTES_MAX: usize = 32;
/// Bytes that a tier's or a sink's name may have.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// The least that a tier's share may come to: four segments of the smallest size.
pub(super) const TIER_BYTES_MIN: u64 = 16 << 10;

/// Index into [`Options::tiers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TierId(pub u8);

/// Where the logs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In memory: a crash loses what is queued. The same segments, positions and bounds.
    Memory,
    /// In files below `path`, one folder a tier.
    Disk {
        /// The spool's folder; made when it does not exist, held by one process at a time.
        path: PathBuf,
    },
}

/// What happens to a route when its tier's share is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The lagging cursor is moved to the next segment and what it missed is counted.
    #[default]
    DropOldest,
    /// Appends wait, and with them those sources that can be read again later.
    Block,
}

/// One (tier, sink) pair.
#[derive(Clone, Debug)]
pub struct RouteOptions {
    /// The sink's name in the config; the cursor is kept under it.
    pub sink: String,
    /// What happens at the bound.
    pub when_full: WhenFull,
    /// Where the route's events are counted.
    pub counters: Arc<RouteCounters>,
}

/// One tier's log.
#[derive(Clone, Debug)]
pub struct TierOptions {
    /// The tier's name, which is also its folder's.
    pub name: String,
    /// Part of [`Options::max_bytes`] that this tier may use, above 0 and at most 1.
    pub share: f64,
    /// Events older than this are dropped from cursors that lag, and leave the disk: by whole
    /// segments, once all in them is older.
    pub retention: Duration,
    /// The cursors on this log.
    pub routes: Vec<RouteOptions>,
}

/// What the spool is opened with; [`Options::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the logs are kept.
    pub backend: Backend,
    /// Bytes of all tiers' segments together.
    pub max_bytes: u64,
    /// A segment is sealed when it has this many bytes, or a quarter of its tier's share.
    pub segment_bytes: u64,
    /// The longest that an append waits for its sync while others go on writing.
    pub sync_after: Duration,
    /// Unsynced bytes at which a sync is due at once.
    pub sync_bytes: u64,
    /// Memory, per tier, for batches that cursors at the tail take without reading them back.
    pub tail_bytes: usize,
    /// Memory, per tier, for batches that cannot be written now (disk error, full share). Beyond it
    /// the oldest are dropped and counted, but for those of sources that can be read again: these
    /// wait. The slab pool must hold more than all tiers' tail and pending bytes together, else
    /// sources that cannot wait would wait for a slab.
    pub pending_bytes: usize,
    /// The tiers; [`TierId`] is an index into them.
    pub tiers: Vec<TierOptions>,
}

impl Options {
    /// The defaults: 1 GiB, segments of 4 MiB, synced after 10 ms or 1 MiB, 2 MiB of tail.
    #[must_use]
    pub fn new(backend: Backend, tiers: Vec<TierOptions>) -> Self {
        Self {
            backend,
            max_bytes: 1 << 30,
            segment_bytes: 4 << 20,
            sync_after: Duration::from_millis(10),
            sync_bytes: 1 << 20,
            tail_bytes: 2 << 20,
            pending_bytes: 2 << 20,
            tiers,
        }
    }

    /// Bytes that `tier`'s segments may use.
    #[must_use]
    pub fn tier_bytes(&self, tier: &TierOptions) -> u64 {
        // A share is a fraction of a byte count far below 2^53: the cast rounds, never wraps.
        (self.max_bytes as f64 * tier.share) as u64
    }

    /// Refuses what cannot work; `config` has said the same with a line number before.
    pub(super) fn check(&self) -> Result<(), SpoolError> {
        let refuse = |why: String| Err(SpoolError::Options(why));
        if self.tiers.len() > usize::from(u8::MAX) {
            return refuse(format!("{} tiers; at most 255 are possible", self.tiers.len()));
        }
        for (index, tier) in self.tiers.iter().enumerate() {
            if !is_folder_name(&tier.name) {
                return refuse(format!(
                    "tier \"{}\": a name has letters, digits, '_', '-' and '.', at most \
                     {NAME_BYTES_MAX}, and does not begin with '.'",
                    tier.name
                ));
            }
            if self.tiers[..index].iter().any(|other| other.name == tier.name) {
                return refuse(format!("tier \"{}\" is there twice", tier.name));
            }
            if !(tier.share > 0.0 && tier.share <= 1.0) {
                return refuse(format!("tier \"{}\": a share is above 0, at most 1", tier.name));
            }
            if self.tier_bytes(tier) < TIER_BYTES_MIN {
                return refuse(format!(
                    "tier \"{}\": its share comes to less than {TIER_BYTES_MIN} bytes",
                    tier.name
                ));
            }
            for (index, route) in tier.routes.iter().enumerate() {
                let others = tier.routes[..index].iter().map(|other| &*other.sink);
                check_route(&tier.name, &route.sink, others)?;
            }
        }
        Ok(())
    }
}

/// Refuses a route of `tier` to `sink` that cannot work beside those to `others`.
pub(super) fn check_route<'a>(
    tier: &str,
    sink: &str,
    mut others: impl ExactSizeIterator<Item = &'a str>,
) -> Result<(), SpoolError> {
    let refuse = |why: String| Err(SpoolError::Options(format!("tier \"{tier}\": {why}")));
    if others.len() >= ROUTES_MAX {
        return refuse(format!("more than {ROUTES_MAX} sinks"));
    }
    if sink.is_empty() || sink.len() > NAME_BYTES_MAX {
        return refuse(format!("a sink's name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    if others.any(|other| other == sink) {
        return refuse(format!("sink \"{sink}\" is there twice"));
    }
    Ok(())
}

fn is_folder_name(name: &str) -> bool {
    let usual = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(name: &str, share: f64, sinks: &[&str]) -> TierOptions {
        let routes = sinks.iter().map(|sink| RouteOptions {
            sink: (*sink).to_owned(),
            when_full: WhenFull::DropOldest,
            counters: Arc::default(),
        });
        let retention = Duration::from_secs(60);
        TierOptions { name: name.into(), share, retention, routes: routes.collect() }
    }

    /// Names become paths and shares become bounds: neither may surprise.
    #[test]
    fn refuses_what_cannot_work() {
        let cases = [
            (vec![tier("a", 0.5, &["x", "y"]), tier("b", 0.5, &["x"])], None),
            (vec![tier("../a", 0.5, &[])], Some("../a")),
            (vec![tier(".hidden", 0.5, &[])], Some(".hidden")),
            (vec![tier("a", 0.5, &[]), tier("a", 0.5, &[])], Some("twice")),
            (vec![tier("a", 0.0, &[])], Some("share")),
            (vec![tier("a", f64::NAN, &[])], Some("share")),
            (vec![tier("a", 1e-9, &[])], Some("less than")),
            (vec![tier("a", 1.0, &["x", "x"])], Some("twice")),
            (vec![tier("a", 1.0, &[""])], Some("name")),
        ];
        for (tiers, expected) in cases {
            let result = Options::new(Backend::Memory, tiers).check();
            match (result, expected) {
                (Ok(()), None) => {}
                (Err(error), Some(word)) => assert!(error.to_string().contains(word), "{error}"),
                (result, expected) => panic!("{result:?}, expected {expected:?}"),
            }
        }
    }
}
