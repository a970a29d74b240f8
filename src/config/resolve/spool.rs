//! The spool: its folder, its size and the tiers' shares.

use std::path::Path;

use crate::diagnostic::{list, offer};
use crate::units::{ByteSize, Ratio};

use super::super::Tier;
use super::super::named::Named;
use super::super::sources::Source;
use super::super::spool::{RawSpool, Spool};
use super::super::tiers::Signal;
use super::super::tree::{Step, steps};
use super::Resolver;

/// Room for a few segments of every default tier.
const DISK_MIN: ByteSize = ByteSize::mib(64);
const MEMORY_MIN: ByteSize = ByteSize::mib(4);
/// What a tier gets that nothing feeds: enough to open its log in the smallest spool.
const UNFED_SHARE: f64 = 0.01;

impl Resolver<'_> {
    pub(super) fn spool(
        &mut self,
        raw: Option<RawSpool>,
        tiers: &[Tier],
        (sources, derives): (&[(String, Source)], bool),
        data_dir: &Path,
    ) -> Spool {
        let feeds = |tier: &Tier| {
            let is_derived = derives && tier.signal == Signal::Metrics;
            is_derived || sources.iter().any(|(_, source)| source.feeds(tier.signal))
        };
        let fed: Vec<bool> = tiers.iter().map(|tier| feeds(tier) && !is_kindless(tier)).collect();
        let default_path = data_dir.join("spool");
        let (path, max, least, shares) = match raw.unwrap_or(RawSpool::Disk(Default::default())) {
            RawSpool::Disk(disk) => {
                if let Some(path) = &disk.path {
                    let place = steps!["spool", "path"];
                    self.absolute(&place, "the path of the spool", path, "/var/lib/sidewake/spool");
                }
                let path = disk.path.unwrap_or(default_path);
                (Some(path), disk.max.unwrap_or(Spool::DISK_MAX), DISK_MIN, disk.shares)
            }
            RawSpool::Memory(memory) => {
                (None, memory.max.unwrap_or(Spool::MEMORY_MAX), MEMORY_MIN, memory.shares)
            }
        };
        if max < least {
            let message = format!("a spool of {max} is too small to work with");
            self.at_value(&steps!["spool", "max"], message, format!("Write {least} or more."));
        }
        for (tier, _) in &shares {
            if !tiers.iter().any(|known| known.name == *tier) {
                self.unknown_tier(&steps!["spool", "shares", tier.as_str()], tier, tiers);
            }
        }
        Spool { path, max, shares: self.shares(&shares, tiers, &fed) }
    }

    /// Tiers without a share of their own divide what the others leave; of it, a tier that no
    /// source feeds gets [`UNFED_SHARE`] only.
    fn shares(
        &mut self,
        written: &Named<Ratio>,
        tiers: &[Tier],
        fed: &[bool],
    ) -> Vec<(String, f64)> {
        let sum: f64 = written.iter().map(|(_, share)| share.get()).sum();
        let others = tiers.iter().filter(|tier| written.get(&tier.name).is_none()).count();
        let path = steps!["spool", "shares"];
        // Tenths do not add up exactly.
        if sum > 1.0 + 1e-9 {
            let message = format!("the shares add up to {:.0}%", sum * 100.0);
            self.at_key(&path, message, "Keep their sum within 100%.");
        } else if others > 0 && sum > 1.0 - 1e-9 {
            let names = tiers.iter().map(|tier| tier.name.as_str());
            let names = list(names.filter(|name| written.get(name).is_none()));
            let message = format!("these shares leave nothing for {names}");
            self.at_key(&path, message, "Leave some, or give every tier its share.");
        }
        if let Some((tier, _)) = written.iter().find(|(_, share)| *share == Ratio::ZERO) {
            let path = steps!["spool", "shares", tier.as_str()];
            let message = format!("tier \"{tier}\" would have no room in the spool");
            self.at_value(&path, message, "Write a share above 0%, or remove the line.");
        }
        let tiers = || tiers.iter().zip(fed);
        let has_none = |tier: &Tier| written.get(&tier.name).is_none();
        let n_unfed = tiers().filter(|(tier, is_fed)| has_none(tier) && !**is_fed).count();
        let n_fed = others - n_unfed;
        let even = (1.0 - sum) / others.max(1) as f64;
        let unfed = if n_fed > 0 { even.min(UNFED_SHARE) } else { even };
        let even_of_fed = (1.0 - sum - unfed * n_unfed as f64) / n_fed.max(1) as f64;
        let of = |is_fed: bool| if is_fed { even_of_fed } else { unfed };
        let share = |tier: &Tier, is_fed: bool| {
            written.get(&tier.name).map_or(of(is_fed), |share| share.get())
        };
        tiers().map(|(tier, is_fed)| (tier.name.clone(), share(tier, *is_fed))).collect()
    }

    /// A name that should be a tier's.
    pub(super) fn unknown_tier(&mut self, path: &[Step], name: &str, tiers: &[Tier]) {
        let known: Vec<&str> = tiers.iter().map(|tier| tier.name.as_str()).collect();
        let written = self.document.keys(&steps!["tiers"]);
        if !written.contains(&name) {
            let hint = offer(name, "Tiers", known);
            self.at_key(path, format!("tier \"{name}\" is not defined"), hint);
        }
    }
}

/// A tier of logs that no kind goes to.
fn is_kindless(tier: &Tier) -> bool {
    tier.signal == Signal::Logs && tier.kinds.is_empty()
}
