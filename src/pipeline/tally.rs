//! What sampling saw and kept, by tier, stratum and rule, until somebody takes the counts to tell
//! them.
//!
//! Owns the counting, per batch. Who tells, and when, is the daemon's.
//!
//! # Why
//! - Counted where a batch goes into its log: what is counted as kept is what the sinks are given.
//! - An event that is not kept is dropped by its kind's rate, and by nothing else: keep rules keep
//!   all that they hold for, and a threshold from upstream never drops here. So each event is
//!   counted under one rule, and the counts of all rules are all events.
//! - What waits for its window is counted when it is decided.
//! - A rule's number means what the config of that moment says: counts stand beside its words, and
//!   a reload in the middle of a window names no rule for another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::sample::rule;
use crate::event::batch::Batch;
use crate::event::strata::{SampledOut, Stratum};
use crate::protect::outputs::Sealed;

/// What is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Of {
    /// Index of the tier.
    tier: usize,
    stratum: Stratum,
    /// A number of [`rule`].
    rule: u8,
}

/// Events by their fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kept.
    pub kept: u64,
    /// Not kept.
    pub sampled_out: u64,
}

/// Counts, by the words for the rules.
type All = BTreeMap<Arc<[String]>, BTreeMap<Of, Counts>>;

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    /// Tiers that decide by a window, by index.
    has_window: Vec<bool>,
    counts: Mutex<All>,
}

impl Tally {
    /// Counts nothing yet. `has_window`: whether each tier decides by a window.
    #[must_use]
    pub fn new(has_window: Vec<bool>) -> Self {
        Self { has_window, counts: Mutex::default() }
    }

    /// Counts what the pipeline made of a chunk or a request for one tier, by rules of these names.
    pub fn note(&self, sealed: &Sealed, names: &Arc<[String]>) {
        if !self.has_window.get(sealed.tier).copied().unwrap_or(false) {
            self.add(names, sealed.tier, &sealed.batch, sealed.sampled_out);
        }
    }

    /// Counts what became of `before` when its window was over.
    pub fn note_decided(
        &self,
        names: &Arc<[String]>,
        tier: usize,
        before: &Batch,
        kept: Option<&Batch>,
    ) {
        let count = |batch: &Batch| {
            let mut counts = SampledOut::default();
            decided(batch).for_each(|(stratum, _)| counts.add(stratum, 1));
            counts
        };
        let nothing = Batch::default();
        let kept = kept.unwrap_or(&nothing);
        self.add(names, tier, kept, count(before).less(&count(kept)));
    }

    fn add(&self, names: &Arc<[String]>, tier: usize, kept: &Batch, sampled_out: SampledOut) {
        let mut all = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = all.entry(Arc::clone(names)).or_default();
        for run in decided(kept).collect::<Vec<_>>().chunk_by(|one, other| one == other) {
            let (stratum, rule) = run[0];
            counts.entry(Of { tier, stratum, rule }).or_default().kept += run.len() as u64;
        }
        for (stratum, n) in sampled_out.each() {
            let of = Of { tier, stratum, rule: rule::RATE };
            counts.entry(of).or_default().sampled_out += n;
        }
    }

    /// Takes the counts, by tier, stratum and the rule's name: they begin anew.
    #[must_use]
    pub fn take(&self) -> BTreeMap<(usize, Stratum, String), Counts> {
        let all = std::mem::take(&mut *self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        let mut by_name: BTreeMap<_, Counts> = BTreeMap::new();
        for (names, counts) in all {
            for (Of { tier, stratum, rule }, more) in counts {
                let name = names.get(usize::from(rule)).cloned().unwrap_or_default();
                let counts = by_name.entry((tier, stratum, name)).or_default();
                counts.kept += more.kept;
                counts.sampled_out += more.sampled_out;
            }
        }
        by_name
    }
}

/// Stratum and rule of each event that can be sampled.
fn decided(batch: &Batch) -> impl Iterator<Item = (Stratum, u8)> {
    batch.table.iter().filter_map(|record| {
        let stratum = Stratum::of_event(batch.signal, record.kind())?;
        Some((stratum, record.sampling_rule()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::record::{Kind, Record};

    fn batch(rules: &[(Kind, u8)]) -> Batch {
        let record = |(kind, rule): &(Kind, u8)| {
            let mut record = Record::new(0, 0);
            record.kind = *kind as u8;
            record.threshold = u64::from(*rule) << 56;
            record
        };
        Batch { table: rules.iter().map(record).collect(), ..Batch::default() }
    }

    fn word(rule: u8) -> String {
        format!("{rule:03}")
    }

    fn names(suffix: &str) -> Arc<[String]> {
        (0..=255).map(|rule| word(rule) + suffix).collect()
    }

    /// A reload between two events, and one that changes nothing.
    #[test]
    fn a_rule_is_named_by_the_config_that_had_it() {
        let tally = Tally::new(vec![false]);
        for names in [names(""), names(" new"), names("")] {
            let kept = batch(&[(Kind::Application, rule::KEEP)]);
            tally.note(&Sealed::request(0, kept, 0), &names);
        }
        let counts = tally.take();
        let all: Vec<_> = counts.iter().map(|((.., name), n)| (name.as_str(), n.kept)).collect();
        assert_eq!(all, [("016", 2), ("016 new", 1)]);
    }

    #[test]
    fn each_event_is_counted_under_one_rule() {
        use Kind::{Application, Model};
        let tally = Tally::new(vec![false, true]);
        let names = names("");
        let kept = batch(&[(Application, rule::RATE), (Model, rule::KEEP), (Model, rule::WHOLE)]);
        let sampled_out = SampledOut::of(Stratum::of(Application), 9);
        tally.note(&Sealed { sampled_out, ..Sealed::request(0, kept, 0) }, &names);
        // Not decided yet.
        let undecided = || batch(&[(Application, rule::UNDECIDED); 5]);
        tally.note(&Sealed::request(1, undecided(), 0), &names);
        tally.note_decided(&names, 1, &undecided(), Some(&batch(&[(Application, rule::EARLY); 2])));
        tally.note_decided(&names, 1, &undecided(), None);
        let counts: Vec<_> = tally
            .take()
            .into_iter()
            .map(|((tier, of, rule), n)| ((tier, of.as_str(), rule), (n.kept, n.sampled_out)))
            .collect();
        assert_eq!(
            counts,
            [
                ((0, "application", word(rule::RATE)), (1, 9)),
                ((0, "model", word(rule::WHOLE)), (1, 0)),
                ((0, "model", word(rule::KEEP)), (1, 0)),
                ((1, "application", word(rule::RATE)), (0, 8)),
                ((1, "application", word(rule::EARLY)), (2, 0)),
            ]
        );
        assert!(tally.take().is_empty());
    }
}
