//! The groups of events that sampling tells apart, and a count for each.

use super::record::Kind;
use super::signal::Signal;

/// Kinds of logs by their numbers, then spans.
const N_STRATA: usize = Kind::ALL.len() + 1;

/// The kind of a log, or spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stratum(u8);

impl Stratum {
    /// Spans.
    pub const SPANS: Self = Self(Kind::ALL.len() as u8);

    /// That of logs of a kind.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Self(kind as u8)
    }

    /// That of an event of `signal`; metrics are not sampled.
    #[must_use]
    pub fn of_event(signal: Signal, kind: Kind) -> Option<Self> {
        match signal {
            Signal::Logs => Some(Self::of(kind)),
            Signal::Traces => Some(Self::SPANS),
            Signal::Metrics => None,
        }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Kind::ALL.get(usize::from(self.0)).map_or("spans", |kind| kind.as_str())
    }
}

/// How many events sampling did not keep, by stratum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampledOut([u64; N_STRATA]);

impl SampledOut {
    /// `n` of one stratum.
    #[must_use]
    pub fn of(stratum: Stratum, n: u64) -> Self {
        let mut counts = Self::default();
        counts.add(stratum, n);
        counts
    }

    /// Adds `n` events of a stratum.
    pub fn add(&mut self, stratum: Stratum, n: u64) {
        self.0[usize::from(stratum.0)] += n;
    }

    /// What is left of them without `others`.
    #[must_use]
    pub fn less(&self, others: &Self) -> Self {
        Self(std::array::from_fn(|n| self.0[n].saturating_sub(others.0[n])))
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those of which there are any.
    pub fn each(&self) -> impl Iterator<Item = (Stratum, u64)> {
        (0..).map(Stratum).zip(self.0).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_stratum() {
        let mut counts = SampledOut::of(Stratum::SPANS, 2);
        counts.add(Stratum::of(Kind::Data), 3);
        let all: Vec<_> = counts.each().map(|(stratum, n)| (stratum.as_str(), n)).collect();
        assert_eq!((all, counts.total()), (vec![("data", 3), ("spans", 2)], 5));
        assert_eq!(counts.less(&SampledOut::of(Stratum::SPANS, 2)).total(), 3);
        assert_eq!(Stratum::of_event(Signal::Metrics, Kind::Application), None);
    }
}
