//! From the sections as written to the config that runs: defaults, names, and what must agree.
//!
//! Collects every problem and goes on with a harmless value. What was reported while reading is
//! absent here, so a check must not complain of an absence before it has asked the document.

mod derive;
mod prometheus;
mod protect;
mod service;
mod sinks;
mod sources;
mod spool;
mod tiers;

use std::path::{Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::pipeline::condition::Field;
use crate::units::ByteSize;

use super::env::Env;
use super::sample::Sample;
use super::tree::{Document, Step, steps};
use super::{Config, DATA_DIR, Overrides, raw};

/// The collector of problems and all that is needed to find them.
pub(super) struct Resolver<'a> {
    pub(super) document: &'a Document,
    pub(super) env: &'a dyn Env,
    pub(super) overrides: &'a Overrides,
    pub(super) problems: Vec<Diagnostic>,
}

/// Below that, a few lines of the longest length fill the budget.
const MEMORY_MIN: ByteSize = ByteSize::mib(8);
/// Longest name of a source, sink or tier: they become file names, labels and metric labels.
const NAME_LEN_MAX: usize = 64;

impl Resolver<'_> {
    pub(super) fn resolve(&mut self, raw: raw::Config) -> Config {
        self.names();
        let data_dir = self.data_dir();
        let memory_limit = self.memory_limit(&raw.memory);
        let key = raw.protect.key.as_ref().and_then(|key| self.key(key));
        self.hash_without_key(&raw);
        let sources = self.sources(raw.sources, memory_limit);
        self.conditions();
        let sinks = self.sinks(raw.sinks, &data_dir, memory_limit);
        let mut tiers = self.tiers(raw.tiers, &raw.protect, &sinks);
        self.windows(&mut tiers, &raw.sample);
        self.rare(&raw.sample);
        self.formats(&sinks, &tiers);
        let derive = self.derive(raw.derive, &tiers);
        let spool = self.spool(raw.spool, &tiers, (&sources, derive.is_some()), &data_dir);
        self.deliveries(&sinks, spool.path.is_some());
        Config {
            service: self.service(raw.service),
            sources,
            key,
            classify: raw.classify.rules,
            sample: raw.sample,
            derive,
            tiers,
            sinks,
            spool,
            memory_limit,
            admin: raw.admin.listen.0,
            admin_required: self.document.keys(&steps!["admin"]).contains(&"listen"),
            echo: self.overrides.echo.or(raw.echo),
            data_dir,
        }
    }

    /// A problem with a key.
    fn at_key(&mut self, path: &[Step], message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(self.document.at_key(path, message).with_hint(hint));
    }

    /// A problem with a value.
    fn at_value(&mut self, path: &[Step], message: impl Into<String>, hint: impl Into<String>) {
        let problem = self.document.at_value(path, message).with_hint(hint);
        self.problems.push(self.document.conceal(path, problem));
    }

    /// Names become file names and labels.
    fn names(&mut self) {
        let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        for (section, noun) in [("sources", "source"), ("sinks", "sink"), ("tiers", "tier")] {
            let names = self.document.keys(&steps![section]).into_iter().map(str::to_owned);
            for name in names.collect::<Vec<_>>() {
                let in_range = !name.is_empty() && name.len() <= NAME_LEN_MAX;
                if in_range && name.bytes().all(valid) {
                    continue;
                }
                let hint = format!(
                    "Use lower-case letters, digits, \"_\" and \"-\", at most {NAME_LEN_MAX}."
                );
                let message = format!("\"{name}\" cannot be the name of a {noun}");
                self.at_key(&steps![section, name.as_str()], message, hint);
            }
        }
    }

    fn data_dir(&self) -> PathBuf {
        // systemd gives a list where a unit has several state directories; ours is the first.
        let state = self.env.var("STATE_DIRECTORY").filter(|list| !list.is_empty());
        let state = state.and_then(|list| list.split(':').next().map(PathBuf::from));
        let given = self.overrides.data_dir.clone().or(state);
        given.unwrap_or_else(|| PathBuf::from(DATA_DIR))
    }

    fn memory_limit(&mut self, memory: &raw::Memory) -> ByteSize {
        if memory.limit < MEMORY_MIN {
            self.at_value(
                &steps!["memory", "limit"],
                format!("a memory limit of {} is too small to work in", memory.limit),
                format!("Write {MEMORY_MIN} or more. The default is 32MiB."),
            );
        }
        memory.limit
    }

    /// What is kept for being rare must be a field, and not everything.
    fn rare(&mut self, sample: &Sample) {
        let Some(rare) = &sample.rare else { return };
        if matches!(Field::parse(&rare.field), None | Some(Field::Level | Field::Kind)) {
            let message = format!("\"{}\" is no field that can be rare", rare.field);
            let hint = "Write prediction_label, or a path as it stands in the event.";
            self.at_value(&steps!["sample", "rare", "field"], message, hint);
        }
        if rare.below.get() > 0.1 {
            let message = format!("what is {} of all is not rare", rare.below);
            self.at_value(&steps!["sample", "rare", "below"], message, "Write 10% or less.");
        }
    }

    /// A path that must not depend on where sidewake is started: what lies there must be found
    /// again.
    fn absolute(&mut self, path: &[Step], what: &str, value: &Path, example: &str) {
        if !value.is_absolute() {
            let message = format!("{what} must be absolute, and \"{}\" is not", value.display());
            self.at_value(path, message, format!("Begin it with \"/\": {example}."));
        }
    }
}
