//! What the daemon keeps beside the spool's logs, and for how long: the embedded store's days, what
//! the spool put into quarantine, and the dead letters of each route, also of routes that the
//! config no longer has.
//!
//! Owns which folder is under which tier's retention. Deliberately has no schedule, and removes
//! nothing itself: `tiers::retention`, the spool and `DeadLetters` do.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::{self, Config};
use crate::deliver::DeadLetters;
use crate::deliver::dead_letters::MAX_BYTES;
use crate::spool::expire_quarantined;
use crate::tiers::retention::{self, Retention};

use super::routes::Running;
use super::windows;

/// See the module.
pub(super) struct Kept {
    stores: Vec<PathBuf>,
    tiers: Vec<Retention>,
    spool: Option<PathBuf>,
    /// Where the letters of all routes are, those that the config has and others.
    letters_root: Option<PathBuf>,
    /// Letters that are being written, by tier.
    letters: Vec<(usize, DeadLetters)>,
}

impl Kept {
    /// What `config` promises, and the letters that `routes` write.
    pub(super) fn new(config: &Config, routes: &[Running]) -> Self {
        let stores = config.sinks.iter().filter_map(|(_, sink)| match sink {
            config::sinks::Sink::Files(files) => Some(files.path.clone()),
            _ => None,
        });
        let letters = |route: &Running| (route.prepared.tier_index, route.letters.clone());
        let of_tier =
            |tier: &config::Tier| Retention { tier: tier.name.clone(), keep: tier.retention.0 };
        Self {
            stores: stores.collect(),
            tiers: config.tiers.iter().map(of_tier).collect(),
            spool: config.spool.path.clone(),
            letters_root: config.spool.path.as_deref().map(DeadLetters::root),
            letters: routes.iter().map(letters).collect(),
        }
    }

    /// Removes what is too old now.
    pub(super) fn enforce(&self) {
        let now = SystemTime::now();
        let now_ns = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        self.enforce_stores(now_ns);
        self.enforce_quarantine(now);
        self.enforce_letters(now_ns);
    }

    fn enforce_stores(&self, now_ns: i64) {
        for store in self.stores.iter().filter(|store| store.exists()) {
            match retention::plan(store, &self.tiers, now_ns) {
                Ok(plan) => {
                    let report = retention::apply(store, &plan);
                    say(report.n_files, report.n_bytes, &report.failures);
                }
                Err(error) => {
                    tracing::warn!(store = %store.display(), %error, "could not plan retention");
                }
            }
        }
    }

    fn enforce_quarantine(&self, now: SystemTime) {
        let Some(spool) = &self.spool else { return };
        let logs = |tier: &Retention| {
            [tier.tier.clone(), windows::kept_name(&tier.tier)].map(|log| (log, tier.keep))
        };
        let is_there = |(log, _): &(String, Duration)| spool.join(log).is_dir();
        for (tier, keep) in self.tiers.iter().flat_map(logs).filter(is_there) {
            match expire_quarantined(spool, &tier, keep, now) {
                Ok(expired) => say(expired.n_files, expired.n_bytes, &expired.failures),
                Err(error) => tracing::warn!(tier, %error, "could not list what is in quarantine"),
            }
        }
    }

    fn enforce_letters(&self, now_ns: i64) {
        for (tier, letters) in &self.letters {
            expire(letters, self.tiers[*tier].keep, now_ns);
        }
        let Some(Ok(folders)) = self.letters_root.as_ref().map(std::fs::read_dir) else { return };
        let written: HashSet<_> =
            self.letters.iter().filter_map(|(_, letters)| letters.path()).collect();
        for folder in folders.flatten().map(|folder| folder.path()) {
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // Nobody writes to those of a sink that is gone: only the tier is known by its name.
            if let Some(keep) = self.keep_of(name).filter(|_| !written.contains(&folder)) {
                expire(&DeadLetters::new(folder, MAX_BYTES), keep, now_ns);
            }
        }
    }

    /// The retention of the tier that the folder `<tier>-<sink>` belongs to.
    fn keep_of(&self, folder: &str) -> Option<Duration> {
        let of_tier = |tier: &&Retention| {
            folder.strip_prefix(&*tier.tier).is_some_and(|sink| sink.starts_with('-'))
        };
        // A tier's name may be the beginning of another's.
        let tiers = self.tiers.iter().filter(of_tier);
        tiers.max_by_key(|tier| tier.tier.len()).map(|tier| tier.keep)
    }
}

fn expire(letters: &DeadLetters, keep: Duration, now_ns: i64) {
    let keep_ns = i64::try_from(keep.as_nanos()).unwrap_or(i64::MAX);
    match letters.expire(now_ns.saturating_sub(keep_ns)) {
        Ok(expired) => say(expired.n_files, expired.n_bytes, &expired.failures),
        Err(error) => tracing::warn!(%error, "could not list dead letters"),
    }
}

fn say(n_files: usize, n_bytes: u64, failures: &[(PathBuf, std::io::Error)]) {
    for (path, error) in failures {
        tracing::warn!(path = %path.display(), %error, "could not enforce retention");
    }
    if n_files > 0 {
        tracing::info!(n_files, n_bytes, "retention");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::batch::Batch;
    use crate::event::frame;

    const DAY_NS: i64 = 86_400_000_000_000;

    fn tier(name: &str, days: u64) -> Retention {
        Retention { tier: name.into(), keep: Duration::from_secs(days * 86_400) }
    }

    /// A sink that the config no longer has left letters: their tier's promise holds all the same.
    #[test]
    fn letters_of_a_route_that_is_gone_expire_too() {
        let spool = tempfile::tempdir().expect("a folder");
        let batch = Batch { observed_ns: DAY_NS, ..Batch::default() };
        let letter = frame::encode(&batch).head;
        let files = ["app-loki", "app-gone", "other-gone"].map(|folder| {
            let folder = DeadLetters::root(spool.path()).join(folder);
            std::fs::create_dir_all(&folder).expect("made");
            let file = folder.join("00000000000000000001.frames");
            std::fs::write(&file, &letter).expect("written");
            file
        });
        let folder = DeadLetters::folder(spool.path(), "app", "loki");
        let kept = Kept {
            stores: Vec::new(),
            tiers: vec![tier("app", 30)],
            spool: None,
            letters_root: Some(DeadLetters::root(spool.path())),
            letters: vec![(0, DeadLetters::new(folder, MAX_BYTES))],
        };
        let there = || files.each_ref().map(|file| file.exists());
        kept.enforce_letters(31 * DAY_NS);
        assert_eq!(there(), [true, true, true]);
        kept.enforce_letters(31 * DAY_NS + 1);
        // Nobody promised anything for a tier that is not known.
        assert_eq!(there(), [false, false, true]);
    }

    /// What could not be read is kept as long as what could.
    #[test]
    fn what_is_in_quarantine_goes_with_its_tiers_time() {
        let spool = tempfile::tempdir().expect("a folder");
        let names = ["0000000000000000.quarantine", "0000000000000010-7.quarantine", "cursors"];
        let paths = ["app", "other"].map(|tier| {
            std::fs::create_dir(spool.path().join(tier)).expect("made");
            names.map(|name| {
                let path = spool.path().join(tier).join(name);
                std::fs::write(&path, "bytes").expect("written");
                path
            })
        });
        let day = Duration::from_secs(86_400);
        let now = SystemTime::now();
        let file = std::fs::File::options().write(true).open(&paths[0][0]).expect("opened");
        file.set_modified(now - 5 * day).expect("set");
        let kept = Kept {
            stores: Vec::new(),
            tiers: vec![tier("app", 30), tier("not yet there", 7)],
            spool: Some(spool.path().to_owned()),
            letters_root: None,
            letters: Vec::new(),
        };
        let there = || paths.each_ref().map(|of| of.each_ref().map(|path| path.exists()));
        kept.enforce_quarantine(now + 24 * day);
        assert_eq!(there(), [[true, true, true], [true, true, true]]);
        kept.enforce_quarantine(now + 26 * day);
        assert_eq!(there(), [[false, true, true], [true, true, true]]);
        kept.enforce_quarantine(now + 31 * day);
        assert_eq!(there(), [[false, false, true], [true, true, true]]);
    }

    #[test]
    fn a_folder_belongs_to_the_tier_that_names_it() {
        let tiers = vec![tier("app", 30), tier("app-debug", 7)];
        let (stores, letters) = (Vec::new(), Vec::new());
        let kept = Kept { stores, tiers, spool: None, letters_root: None, letters };
        let days = |folder| kept.keep_of(folder).map(|keep| keep.as_secs() / 86_400);
        assert_eq!(days("app-loki"), Some(30));
        assert_eq!(days("app-debug-loki"), Some(7));
        assert_eq!(days("app"), None);
        assert_eq!(days("application-loki"), None);
    }
}
