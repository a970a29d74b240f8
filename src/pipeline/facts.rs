//! What a key says, remembered: the hint of its name and the action of each tier's policy.
//!
//! Working these out folds the key and tries patterns, some hundred nanoseconds; lines that fit no
//! skeleton have a dozen keys each, and the same ones for ever. Bounded: a memo that is full is
//! emptied. The hash is seeded at random, so that no input can aim at a collision. Tier and form
//! stand beside it and not in its seed, which xxh3 only adds to keys of up to three bytes: `abc` of
//! one tier was `abd` of the next.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::event::json::doc::Doc;
use crate::protect::context::{self, KeyHint};
use crate::protect::policy::Action;

use super::plan::TierPlan;

/// Keys remembered at most.
const KEYS_MAX: usize = 4096;

/// What is known of one key under one tier's policy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Facts {
    /// What its name says.
    pub hint: KeyHint,
    /// What the policy does to its value.
    pub action: Action,
}

impl Facts {
    /// Whether the key alone is reason to search the value, whatever the prefilter says of it.
    #[must_use]
    pub fn is_telling(self) -> bool {
        let hint = self.hint;
        hint.wants_numbers() || hint.has(KeyHint::SECRET) || hint.has(KeyHint::IP)
    }
}

/// Facts by path and tier.
#[derive(Debug)]
pub struct KeyMemo {
    seed: u64,
    known: HashMap<(u64, Form), Facts>,
}

/// Tier, and whether the key is a path (0), or stands in text as any (1) or as a member (2).
type Form = (u32, u8);

impl Default for KeyMemo {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0u8), known: HashMap::new() }
    }
}

impl KeyMemo {
    /// Writes the facts of every member of `doc` to `facts`, which is cleared first.
    pub fn facts_of(
        &mut self,
        doc: &Doc<'_>,
        tier: usize,
        tiers: &[TierPlan],
        facts: &mut Vec<Facts>,
    ) {
        facts.clear();
        for member in doc.members() {
            facts.push(self.of(doc.path(member), tier, tiers));
        }
    }

    /// The facts of one path.
    pub fn of(&mut self, path: &[u8], tier: usize, tiers: &[TierPlan]) -> Facts {
        let hash = (xxh3_64_with_seed(path, self.seed), (tier as u32, 0));
        if let Some(known) = self.known.get(&hash) {
            return *known;
        }
        let hint = context::of_path(path);
        let action = tiers.get(tier).map_or(Action::Mask, |tier| tier.policy.action(path, hint));
        self.keep(hash, Facts { hint, action })
    }

    /// What is declared of a key in text, where no path is known; see [`Policy::declared`]. Keys of
    /// secrets are the detectors' there.
    ///
    /// [`Policy::declared`]: crate::protect::policy::Policy::declared
    pub fn of_text(
        &mut self,
        key: &[u8],
        is_member: bool,
        tier: usize,
        tiers: &[TierPlan],
    ) -> Facts {
        let form = (tier as u32, 1 + u8::from(is_member));
        let hash = (xxh3_64_with_seed(key, self.seed), form);
        if let Some(known) = self.known.get(&hash) {
            return *known;
        }
        let action = |tier: &TierPlan| tier.policy.declared(key, is_member);
        let action = tiers.get(tier).map_or(Action::Mask, action);
        self.keep(hash, Facts { hint: context::of_path(key), action })
    }

    fn keep(&mut self, hash: (u64, Form), facts: Facts) -> Facts {
        if self.known.len() >= KEYS_MAX {
            self.known.clear();
        }
        self.known.insert(hash, facts);
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protect::policy::{Policy, PolicySpec};

    /// Short keys of many tiers, each tier with a field of its own.
    #[test]
    fn tiers_do_not_answer_for_each_other() {
        let names: Vec<String> = (b'a'..=b'p').map(|last| format!("k{}", last as char)).collect();
        let tiers: Vec<TierPlan> = names
            .iter()
            .map(|name| {
                let fields = vec![(name.clone(), Action::Drop)];
                let spec = PolicySpec { fields, ..PolicySpec::default() };
                let policy = Policy::compile(&spec, false).expect("a sound policy");
                TierPlan { name: name.clone(), policy }
            })
            .collect();
        let mut memo = KeyMemo::default();
        for tier in 0..tiers.len() {
            for (n, name) in names.iter().enumerate() {
                let expected = if n == tier { Action::Drop } else { Action::Inspect };
                let key = name.as_bytes();
                assert_eq!(memo.of(key, tier, &tiers).action, expected, "{name} of {tier}");
                for is_member in [false, true] {
                    let facts = memo.of_text(key, is_member, tier, &tiers);
                    assert_eq!(facts.action, expected, "{name} of {tier}");
                }
            }
        }
    }
}
