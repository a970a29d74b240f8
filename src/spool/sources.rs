//! How far each source's bytes stand durably in a tier's log.
//!
//! # Why
//! Kept in memory and written whole at the head of every segment, so that it survives the freeing
//! of old segments. Streams that cannot be read again draw a new key at each start and would
//! collect for ever, so at most [`SOURCES_MAX`] are kept; those not heard of for longest go first.
//! A file that is forgotten while it is still there would be read again from its start after a
//! restart: that is counted, and said.

use std::collections::HashMap;

use super::mark::SourceEnd;

/// Sources that one tier remembers: 1.5 MiB of a 4 MiB segment at worst, where there are so many.
pub(super) const SOURCES_MAX: usize = 64 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sources {
    ends: HashMap<u64, (u64, i64)>,
    n_forgotten: u64,
}

impl Sources {
    /// Takes note of a durable frame. Positions in a stream only grow: a frame read again after a
    /// crash does not take it back.
    pub(super) fn note(&mut self, source: SourceEnd) {
        if source.key == 0 {
            return;
        }
        let known = self.ends.entry(source.key).or_insert((source.end, source.observed_ns));
        known.0 = known.0.max(source.end);
        known.1 = known.1.max(source.observed_ns);
        if self.ends.len() > SOURCES_MAX {
            self.evict();
        }
    }

    /// The position that the source `key` reached.
    pub(super) fn end(&self, key: u64) -> Option<u64> {
        self.ends.get(&key).map(|(end, _)| *end)
    }

    /// Sources that had to be forgotten for want of room, since the start.
    pub(super) fn n_forgotten(&self) -> u64 {
        self.n_forgotten
    }

    /// Forgets the source `key`.
    pub(super) fn forget(&mut self, key: u64) {
        self.ends.remove(&key);
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = SourceEnd> + '_ {
        let source = |(key, (end, observed_ns)): (&u64, &(u64, i64))| SourceEnd {
            key: *key,
            end: *end,
            observed_ns: *observed_ns,
        };
        self.ends.iter().map(source)
    }

    /// Lets an eighth of them go at once, so that it is not done at every frame.
    fn evict(&mut self) {
        let mut seen: Vec<i64> = self.ends.values().map(|(_, seen)| *seen).collect();
        let n = seen.len() / 8;
        let (_, limit, _) = seen.select_nth_unstable(n);
        let limit = *limit;
        self.n_forgotten += n as u64;
        let mut n_left = n;
        self.ends.retain(|_, (_, seen)| {
            let goes = *seen <= limit && n_left > 0;
            n_left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_grow_and_the_longest_silent_are_forgotten() {
        let mut sources = Sources::default();
        let note = |sources: &mut Sources, key, end, observed_ns| {
            sources.note(SourceEnd { key, end, observed_ns });
        };
        note(&mut sources, 1, 50, 1);
        note(&mut sources, 1, 40, 2);
        assert_eq!((sources.end(1), sources.end(2)), (Some(50), None));
        for key in 2..=SOURCES_MAX as u64 + 1 {
            note(&mut sources, key, 1, key.cast_signed() + 1);
        }
        assert!(sources.iter().count() <= SOURCES_MAX);
        assert_eq!(sources.end(1), None);
        assert_eq!(sources.end(SOURCES_MAX as u64), Some(1));
        let n_left = sources.iter().count() as u64;
        assert_eq!(sources.n_forgotten() + n_left, SOURCES_MAX as u64 + 1);
        sources.forget(SOURCES_MAX as u64);
        assert_eq!(sources.end(SOURCES_MAX as u64), None);
    }
}
