//! How far each tier's log has come in the streams of one source that can be read again.
//!
//! # Why
//! A chunk becomes durable tier by tier, and a kill may come between two: a tier that misses its
//! part of the chunk must get it again. So a stream is read on from where the *last* of all tiers
//! stands, and a tier that the log says nothing of stands at its start. Most streams have no lines
//! for some tier, ever; those would be read from their start at every start. So a tier that had no
//! line for long is told the position alone, and every tier is at a clean end.

use std::collections::HashMap;

use crate::protect::outputs::Sealed;

/// A tier is told a position that it is this far behind: after a kill that much is read again.
pub(super) const TOLD_EVERY: u64 = 16 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Positions(HashMap<u64, Stream>);

#[derive(Debug)]
struct Stream {
    end: u64,
    observed_ns: i64,
    /// Where each tier stands, once all is durable that was appended.
    tiers: Vec<u64>,
}

impl Positions {
    /// A stream whose tiers' logs hold it up to `held`.
    pub(super) fn begin(&mut self, key: u64, held: &[u64]) {
        let (end, observed_ns) = (0, 0);
        let stream = || Stream { end, observed_ns, tiers: held.to_vec() };
        self.0.entry(key).or_insert_with(stream);
    }

    /// The stream was read up to `end`; `appended` are the tiers whose logs will say so.
    pub(super) fn note(&mut self, key: u64, end: u64, observed_ns: i64, appended: &[Sealed]) {
        let Some(stream) = self.0.get_mut(&key) else { return };
        (stream.end, stream.observed_ns) = (end, observed_ns);
        for sealed in appended {
            stream.tiers[sealed.tier] = end;
        }
    }

    /// Forgets the stream.
    pub(super) fn forget(&mut self, key: u64) {
        self.0.remove(&key);
    }

    /// The position of `key` for those tiers that are at least `by` bytes behind it.
    pub(super) fn tell(&mut self, key: u64, by: u64) -> Vec<Sealed> {
        self.0.get_mut(&key).map_or_else(Vec::new, |stream| stream.tell(key, by))
    }

    /// The positions of all streams for all tiers that are behind them.
    pub(super) fn tell_all(&mut self) -> Vec<Sealed> {
        self.0.iter_mut().flat_map(|(key, stream)| stream.tell(*key, 1)).collect()
    }
}

impl Stream {
    fn tell(&mut self, key: u64, by: u64) -> Vec<Sealed> {
        let mut told = Vec::new();
        for (index, tier) in self.tiers.iter_mut().enumerate() {
            if self.end.saturating_sub(*tier) >= by {
                *tier = self.end;
                told.push(Sealed::position(index, key, self.end, self.observed_ns));
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::chunk::{Chunk, Lines};
    use crate::event::slab::Slab;
    use crate::protect::outputs::Outputs;

    fn said(told: &[Sealed]) -> Vec<(usize, u64, u64)> {
        let one = |sealed: &Sealed| {
            assert!(sealed.batch.is_empty());
            (sealed.tier, sealed.batch.source_key, sealed.batch.source_end)
        };
        told.iter().map(one).collect()
    }

    #[test]
    fn only_those_behind_are_told_and_once() {
        let mut positions = Positions::default();
        positions.begin(7, &[0, 40, 0]);
        let has_lines = Outputs::of(
            Chunk {
                slab: Slab::default(),
                lines: Lines::Plain,
                origin: Arc::default(),
                source_key: 7,
                source_base: 40,
                source_end: 100,
                observed_ns: 1,
            },
            3,
        );
        positions.note(7, 100, 1, &has_lines.0.seal(0));
        assert_eq!(said(&positions.tell(7, 61)), [(2, 7, 100)]);
        assert_eq!(said(&positions.tell_all()), [(1, 7, 100)]);
        assert_eq!(said(&positions.tell_all()), []);
        positions.note(7, 120, 1, &[]);
        positions.forget(7);
        assert_eq!(said(&positions.tell_all()), []);
    }
}
