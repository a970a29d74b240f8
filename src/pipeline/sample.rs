//! Consistent probability sampling: one randomness per request, a threshold per kind, and keep
//! rules that win.
//!
//! Owns the decision ([`Sampler::decide`]), where its randomness comes from ([`Randomness`]) and
//! OpenTelemetry's encodings ([`Threshold`]). Deliberately holds no state and no clock: the same
//! event gets the same decision in every replica and for every signal of its request. But for what
//! is rare, which each pipeline counts for itself.
//!
//! # Why
//! Thresholds depend on an event's attributes only, never on its randomness, so the inclusion
//! probability `1 - T / 2^56` is exact and sums of its inverse are unbiased. With several rules the
//! lowest threshold wins; a keep rule's is 0. A threshold that came along from upstream can only be
//! raised, for what was dropped there is gone (OTel probability sampling, "Downstream samplers").

mod randomness;
mod rarity;
mod threshold;

use super::condition::{Condition, FieldSource};
use crate::event::record::Kind;
pub use randomness::Randomness;
pub use rarity::Rare;
pub(super) use rarity::Rarity;
pub use threshold::Threshold;

/// Which rule a kept record's threshold comes from; the top byte of `Record::threshold`.
pub mod rule {
    /// No rate is set for the kind: all are kept.
    pub const WHOLE: u8 = 0;
    /// The rate of the event's kind.
    pub const RATE: u8 = 1;
    /// Upstream's threshold was the higher one.
    pub const UPSTREAM: u8 = 2;
    /// Not decided yet: its window is not over.
    pub const UNDECIDED: u8 = crate::event::record::UNDECIDED;
    /// The rate of its kind, before its window was over: there was no room to wait.
    pub const EARLY: u8 = 4;
    /// The first keep rule; rule `n` is `KEEP + n`, and those beyond the last number share it.
    pub const KEEP: u8 = 16;
}

/// What is to become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is kept.
    pub keep: bool,
    /// The final threshold; the inclusion probability follows from it.
    pub threshold: Threshold,
    /// A number of [`rule`].
    pub rule: u8,
    /// The incoming threshold contradicted the randomness (it should have been dropped upstream):
    /// it was ignored, and an outgoing `th` must be left out.
    pub inconsistent: bool,
}

impl Decision {
    /// As stored in `Record::threshold`: the rule in the top byte, the threshold below.
    #[must_use]
    pub fn packed(&self) -> u64 {
        u64::from(self.rule) << 56 | self.threshold.bits()
    }
}

/// The compiled sampling rules.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    rates: [Option<Threshold>; Kind::ALL.len()],
    span_rate: Option<Threshold>,
    keep: Vec<Condition>,
    rare: Option<Rare>,
}

impl Sampler {
    /// Keeps everything until [`Self::set_rate`]; what one of `keep` holds for, in any case.
    #[must_use]
    pub fn new(keep: Vec<Condition>) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Sets the rate of a kind. A kind with no rate is kept whole, as requests and predictions
    /// should be.
    pub fn set_rate(&mut self, kind: Kind, threshold: Threshold) {
        self.rates[kind as usize] = Some(threshold);
    }

    /// Keeps what is rare, as by one more rule behind the others.
    pub fn set_rare(&mut self, rare: Option<Rare>) {
        self.rare = rare;
    }

    /// What is kept for being rare.
    #[must_use]
    pub fn rare(&self) -> Option<&Rare> {
        self.rare.as_ref()
    }

    /// Sets the rate of spans.
    pub fn set_span_rate(&mut self, threshold: Threshold) {
        self.span_rate = Some(threshold);
    }

    /// Whether spans can be dropped.
    #[must_use]
    pub fn samples_spans(&self) -> bool {
        self.span_rate.is_some_and(|threshold| threshold != Threshold::ALL)
    }

    /// The keep rules, in their order.
    #[must_use]
    pub fn keep_rules(&self) -> &[Condition] {
        &self.keep
    }

    /// Whether any event at all can be dropped: else no randomness need be read.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.rates.iter().any(|rate| rate.is_some_and(|threshold| threshold != Threshold::ALL))
    }

    /// Whether events of this kind can be dropped.
    #[must_use]
    pub fn is_sampled(&self, kind: Kind) -> bool {
        self.rates[kind as usize].is_some_and(|threshold| threshold != Threshold::ALL)
    }

    /// The first keep rule that holds for the event. Worth asking only if its kind is sampled.
    #[must_use]
    pub fn keep_rule(&self, event: &dyn FieldSource) -> Option<u8> {
        let at = self.keep.iter().position(|condition| condition.eval(event))?;
        Some(u8::try_from(at).unwrap_or(u8::MAX))
    }

    /// The same, or the rule of what is rare, by what `rarity` counted: it counts the event.
    pub(super) fn keep_rule_or_rare(
        &self,
        event: &dyn FieldSource,
        rarity: &mut Rarity,
    ) -> Option<u8> {
        let is_rare = self.rare.as_ref().is_some_and(|rare| rarity.is_rare(rare, event));
        let behind = u8::try_from(self.keep.len()).unwrap_or(u8::MAX);
        self.keep_rule(event).or(is_rare.then_some(behind))
    }

    /// Decides about an event of `kind`.
    ///
    /// `incoming` is the threshold that came along (`th`), `keep_rule` the rule that
    /// [`Self::keep_rule`] found.
    #[must_use]
    pub fn decide(
        &self,
        kind: Kind,
        randomness: Randomness,
        incoming: Option<Threshold>,
        keep_rule: Option<u8>,
    ) -> Decision {
        decide(self.rates[kind as usize], randomness, incoming, keep_rule)
    }

    /// Decides about a span, as [`Self::decide`].
    #[must_use]
    pub fn decide_span(
        &self,
        randomness: Randomness,
        incoming: Option<Threshold>,
        keep_rule: Option<u8>,
    ) -> Decision {
        decide(self.span_rate, randomness, incoming, keep_rule)
    }
}

fn decide(
    rate: Option<Threshold>,
    randomness: Randomness,
    incoming: Option<Threshold>,
    keep_rule: Option<u8>,
) -> Decision {
    let (own, own_rule) = match (keep_rule, rate) {
        (Some(n), _) => (Threshold::ALL, rule::KEEP.saturating_add(n)),
        (None, Some(rate)) => (rate, rule::RATE),
        (None, None) => (Threshold::ALL, rule::WHOLE),
    };
    let inconsistent = incoming.is_some_and(|incoming| !incoming.keeps(randomness));
    let upstream = incoming.filter(|incoming| !inconsistent && *incoming > own);
    let (threshold, rule) = match upstream {
        Some(upstream) => (upstream, rule::UPSTREAM),
        None => (own, own_rule),
    };
    Decision { keep: threshold.keeps(randomness), threshold, rule, inconsistent }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u64 = 1 << 55;

    fn sampler() -> Sampler {
        let mut sampler = Sampler::new(Vec::new());
        sampler.set_rate(Kind::Application, Threshold::from_probability(0.5).expect("a rate"));
        sampler
    }

    /// One row per way to a decision.
    #[test]
    fn decisions() {
        let quarter = Threshold::from_probability(0.25).expect("a rate");
        let three = Threshold::from_probability(0.75).expect("a rate");
        let app = Kind::Application;
        for (kind, r, incoming, keep_rule, keep, rule, inconsistent) in [
            (app, HALF, None, None, true, rule::RATE, false),
            (app, HALF - 1, None, None, false, rule::RATE, false),
            (app, 0, None, Some(2), true, rule::KEEP + 2, false),
            (Kind::Prediction, 0, None, None, true, rule::WHOLE, false),
            (app, u64::MAX >> 8, Some(quarter), None, true, rule::UPSTREAM, false),
            (app, HALF, Some(three), None, true, rule::RATE, false),
            (app, HALF, Some(quarter), None, true, rule::RATE, true),
            (app, 0, Some(three), Some(0), true, rule::KEEP, true),
            (app, u64::MAX >> 8, Some(quarter), Some(0), true, rule::UPSTREAM, false),
            (app, 0, None, Some(255), true, 255, false),
        ] {
            let decision = sampler().decide(kind, Randomness::new(r), incoming, keep_rule);
            let got = (decision.keep, decision.rule, decision.inconsistent);
            assert_eq!(
                got,
                (keep, rule, inconsistent),
                "{kind:?} {r:x} {incoming:?} {keep_rule:?}"
            );
        }
    }

    /// The record stores rule and threshold in one word and reads them back.
    #[test]
    fn packed_as_records_read_it() {
        let decision = sampler().decide(Kind::Application, Randomness::new(HALF), None, None);
        let mut record = crate::event::record::Record::new(0, 0);
        record.threshold = decision.packed();
        assert_eq!(record.probability(), 0.5);
        assert_eq!(record.sampling_rule(), rule::RATE);
    }

    #[test]
    fn an_idle_sampler_says_so() {
        assert!(!Sampler::default().is_active());
        assert!(sampler().is_active() && !sampler().is_sampled(Kind::Prediction));
        let mut whole = Sampler::default();
        whole.set_rate(Kind::Application, Threshold::ALL);
        assert!(!whole.is_active());
    }
}
