//! Values that are rare: what of a field is seldom enough to be kept whatever the rate.
//!
//! Owns how often each value came, in this process and of late: counts are halved again and again,
//! so that what was rare last week may be common today. Bounded: of a field with more values than
//! [`VALUES_MAX`] those that came too late are common, or a field of its own for each event would
//! end all sampling.
//!
//! # Why
//! A rule that names the rare label has to know it. Until enough events have come to tell, each is
//! rare: a label that comes once must not be lost for being the first.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::pipeline::condition::{Field, FieldSource};
use crate::pipeline::roles::token;

/// Values that are counted.
const VALUES_MAX: usize = 1024;
/// Counts are halved when so many times the events came that a share needs to be told by.
const HALVED_AFTER: f64 = 100.0;

/// Which values of a field are rare.
#[derive(Clone, Debug, PartialEq)]
pub struct Rare {
    /// The field.
    pub field: Field,
    /// The share below which a value is rare, above 0 and below 1.
    pub below: f64,
}

/// How often each value came.
#[derive(Clone, Debug, Default)]
pub(in crate::pipeline) struct Rarity {
    counts: HashMap<u64, u32>,
    total: u32,
}

impl Rarity {
    /// Counts the event; whether its value is rare.
    pub(in crate::pipeline) fn is_rare(&mut self, rare: &Rare, event: &dyn FieldSource) -> bool {
        let Some(found) = event.value(0, &rare.field) else { return false };
        if token::is_null(found.token) {
            return false;
        }
        let is_full = self.counts.len() >= VALUES_MAX;
        let value = xxh3_64(token::text(found.token));
        if is_full && !self.counts.contains_key(&value) {
            return false;
        }
        let count = self.counts.entry(value).or_default();
        // Before this one: what comes for the first time is rare.
        let before = f64::from(*count);
        *count += 1;
        self.total += 1;
        let total = f64::from(self.total);
        if total * rare.below >= HALVED_AFTER {
            self.halve();
        }
        before < total * rare.below || total * rare.below < 1.0
    }

    fn halve(&mut self) {
        self.counts.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
        self.total = self.counts.values().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::record::{Kind, Level};
    use crate::pipeline::condition::Found;
    use crate::pipeline::roles::Role;

    struct Event(String);

    impl FieldSource for Event {
        fn level(&self) -> Level {
            Level::Info
        }

        fn kind(&self) -> Kind {
            Kind::Prediction
        }

        fn value(&self, _: usize, _: &Field) -> Option<Found<'_>> {
            Some(Found { token: self.0.as_bytes(), key: b"label" })
        }
    }

    fn rare() -> Rare {
        Rare { field: Field::Role(Role::Label), below: 0.01 }
    }

    fn is_rare(rarity: &mut Rarity, label: &impl ToString) -> bool {
        rarity.is_rare(&rare(), &Event(label.to_string()))
    }

    #[test]
    fn what_comes_seldom_is_rare() {
        let mut rarity = Rarity::default();
        assert!((0..99).all(|_| is_rare(&mut rarity, &"common")), "nobody can tell yet");
        let mut n_rare = 0;
        for n in 0..50_000 {
            n_rare += usize::from(n % 500 == 0 && is_rare(&mut rarity, &"fraud"));
            assert!(!is_rare(&mut rarity, &"common") || n < 2, "{n}");
        }
        assert_eq!(n_rare, 100, "a fifth of a percent");
        // It becomes common.
        let n_kept = (0..2_000).filter(|_| is_rare(&mut rarity, &"fraud")).count();
        assert!(n_kept < 300, "{n_kept}");
        assert!(!is_rare(&mut rarity, &"null"));
    }

    #[test]
    fn a_value_of_its_own_for_each_event_is_nothing_rare() {
        let mut rarity = Rarity::default();
        let n_kept = (0..100_000).filter(|n| is_rare(&mut rarity, n)).count();
        assert!(n_kept < 25_000, "{n_kept}");
        assert!(rarity.counts.len() <= VALUES_MAX);
    }
}
