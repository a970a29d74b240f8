//! What became of requests: the few words about each that outlive its events, until all of its
//! signals are decided by them.
//!
//! A request is known by [`Key`]s: the random bits of its trace id and of its request id. Only two
//! things are remembered: that one of its signals met a keep rule, and which two keys are one
//! request. A request of which there is nothing to remember takes no room: its fate follows from
//! its key and the rates.
//!
//! # Why
//! - *Bounded.* 24 bytes an entry and a fixed number of them, in two generations: the older one is
//!   forgotten as a whole, which costs nothing an entry. A generation that is full before its time
//!   is counted ([`Fates::n_turned_early`]): requests may then be decided without what was
//!   forgotten.
//! - *One lock a batch*, and none where no window is configured.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sample::Randomness;

/// What a request is known by: see [`Randomness::of_event`].
pub type Key = u64;

/// Something about a request that is worth remembering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The key of the event: of its trace, where it has one.
    pub key: Key,
    /// The key of its request id, where it has both.
    pub request: Option<Key>,
    /// The keep rule that one of its signals met, as in a record's top byte.
    pub rule: Option<u8>,
}

/// What is remembered of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// It is kept, by this rule.
    pub rule: Option<u8>,
    /// The randomness that all of its signals share.
    pub randomness: Randomness,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The other key of the same request; 0 for none.
    other: Key,
    /// 0 for none.
    rule: u8,
    /// The other key is the trace's, whose bits decide.
    is_other_trace: bool,
}

#[derive(Debug, Default)]
struct Generations {
    now: HashMap<Key, Entry>,
    before: HashMap<Key, Entry>,
    turned_at_ns: i64,
}

/// See the module.
#[derive(Debug)]
pub struct Fates {
    generations: Mutex<Generations>,
    entries_max: usize,
    hold_ns: i64,
    n_turned_early: AtomicU64,
}

impl Fates {
    /// Remembers at most twice `entries_max` keys, each for `hold` at least unless there are more.
    #[must_use]
    pub fn new(entries_max: usize, hold: Duration) -> Self {
        Self {
            generations: Mutex::default(),
            entries_max: entries_max.max(1),
            hold_ns: i64::try_from(hold.as_nanos()).unwrap_or(i64::MAX),
            n_turned_early: AtomicU64::new(0),
        }
    }

    /// Remembers `notes`, made at `now_ns` (nanoseconds since 1970).
    pub fn note(&self, now_ns: i64, notes: &[Note]) {
        if notes.is_empty() {
            return;
        }
        let mut generations = self.lock();
        for note in notes {
            self.turn(&mut generations, now_ns);
            match note.request.filter(|request| *request != note.key) {
                Some(request) => generations.join(note.key, request, note.rule.unwrap_or(0)),
                None => generations.mark(note.key, note.rule.unwrap_or(0)),
            }
        }
    }

    /// What is remembered of the request known by `key`.
    #[must_use]
    pub fn of(&self, key: Key) -> Fate {
        let generations = self.lock();
        let entry = generations.get(key).unwrap_or_default();
        let other = (entry.other != 0).then(|| generations.get(entry.other)).flatten();
        let rule = [entry.rule, other.map_or(0, |other| other.rule)];
        let decides = if entry.is_other_trace { entry.other } else { key };
        Fate {
            rule: rule.into_iter().find(|rule| *rule != 0),
            randomness: Randomness::new(decides),
        }
    }

    /// How often a generation was full before its time.
    #[must_use]
    pub fn n_turned_early(&self) -> u64 {
        self.n_turned_early.load(Ordering::Relaxed)
    }

    fn turn(&self, generations: &mut Generations, now_ns: i64) {
        let is_old = now_ns.saturating_sub(generations.turned_at_ns) >= self.hold_ns;
        // Two keys may come in at once.
        let is_full = generations.now.len() + 2 > self.entries_max;
        if !is_old && !is_full {
            return;
        }
        if !is_old {
            self.n_turned_early.fetch_add(1, Ordering::Relaxed);
        }
        let Generations { now, before, turned_at_ns } = generations;
        std::mem::swap(now, before);
        now.clear();
        *turned_at_ns = now_ns;
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&self, key: Key) -> Option<Entry> {
        self.now.get(&key).or_else(|| self.before.get(&key)).copied()
    }

    /// Writes to the younger generation, with what the older knows.
    fn mark(&mut self, key: Key, rule: u8) {
        let mut entry = self.get(key).unwrap_or_default();
        // The first rule stays.
        entry.rule = if entry.rule == 0 { rule } else { entry.rule };
        self.now.insert(key, entry);
    }

    fn join(&mut self, trace: Key, request: Key, rule: u8) {
        let known = |key| self.get(key).map_or(0, |entry: Entry| entry.rule);
        let rule = [known(trace), known(request), rule].into_iter().find(|rule| *rule != 0);
        let rule = rule.unwrap_or(0);
        self.now.insert(trace, Entry { other: request, rule, is_other_trace: false });
        self.now.insert(request, Entry { other: trace, rule, is_other_trace: true });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn note(key: Key, request: Option<Key>, rule: Option<u8>) -> Note {
        Note { key, request, rule }
    }

    #[test]
    fn one_signal_decides_for_all_of_its_request() {
        let fates = Fates::new(100, Duration::from_secs(10));
        assert_eq!(fates.of(5), Fate { rule: None, randomness: Randomness::new(5) });
        // A line without a trace, then one with both, then the spans.
        fates.note(S, &[note(7, None, Some(16))]);
        fates.note(S, &[note(5, Some(7), None)]);
        for key in [5, 7] {
            assert_eq!(fates.of(key), Fate { rule: Some(16), randomness: Randomness::new(5) });
        }
        // The other way round.
        fates.note(S, &[note(50, Some(70), None), note(70, None, Some(17))]);
        assert_eq!(fates.of(50).rule, Some(17));
        fates.note(S, &[note(51, Some(71), None), note(51, None, Some(18))]);
        assert_eq!((fates.of(71).rule, fates.of(71).randomness), (Some(18), Randomness::new(51)));
    }

    #[test]
    fn what_is_old_is_forgotten_and_the_bound_is_told() {
        let fates = Fates::new(4, Duration::from_secs(10));
        fates.note(100 * S, &[note(1, None, Some(16))]);
        fates.note(109 * S, &[note(2, None, Some(16))]);
        assert_eq!((fates.of(1).rule, fates.n_turned_early()), (Some(16), 0));
        fates.note(111 * S, &[note(3, None, Some(16))]);
        assert_eq!(fates.of(1).rule, Some(16), "in the older generation");
        fates.note(122 * S, &[note(4, None, Some(16))]);
        assert_eq!((fates.of(1).rule, fates.of(3).rule), (None, Some(16)));
        for key in 10..20 {
            fates.note(122 * S, &[note(key, None, Some(16))]);
        }
        assert!(fates.n_turned_early() > 0);
        assert_eq!((fates.of(10).rule, fates.of(19).rule), (None, Some(16)));
    }
}
