//! Which prefix of the log is done: bodies land in any order, the cursor moves in theirs.

use std::collections::VecDeque;

/// What became of a body's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Taken by the sink.
    pub(super) delivered: u64,
    /// Written to the dead letters.
    pub(super) dead_letters: u64,
    /// Dropped because the dead letters were full.
    pub(super) dead_letters_full: u64,
    /// Dropped because the dead letters could not be written.
    pub(super) spool_error: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.dead_letters += other.dead_letters;
        self.dead_letters_full += other.dead_letters_full;
        self.spool_error += other.spool_error;
    }

    /// All of them.
    pub(super) fn n_events(&self) -> u64 {
        self.delivered + self.dead_letters + self.dead_letters_full + self.spool_error
    }

    /// What is left of it without `other`.
    pub(super) fn less(&self, other: Self) -> Self {
        Self {
            delivered: self.delivered.saturating_sub(other.delivered),
            dead_letters: self.dead_letters.saturating_sub(other.dead_letters),
            dead_letters_full: self.dead_letters_full.saturating_sub(other.dead_letters_full),
            spool_error: self.spool_error.saturating_sub(other.spool_error),
        }
    }

    /// The same for `n_settled` events: those beyond were given up by the spool while they were in
    /// flight, and are counted there.
    pub(super) fn at_most(self, n_settled: u64) -> Self {
        let mut left = n_settled;
        let mut take = |n: u64| {
            let taken = n.min(left);
            left -= taken;
            taken
        };
        Self {
            delivered: take(self.delivered),
            dead_letters: take(self.dead_letters),
            dead_letters_full: take(self.dead_letters_full),
            spool_error: take(self.spool_error),
        }
    }
}

#[derive(Debug)]
struct Slot {
    /// Position behind the last frame that ends in this body; none for the head of a cut frame.
    ack_to: Option<u64>,
    oldest_ns: i64,
    tally: Option<Tally>,
}

/// Bodies that were begun and are not yet acknowledged, oldest first.
#[derive(Debug, Default)]
pub(super) struct Acks {
    slots: VecDeque<Slot>,
    /// Number of the first slot.
    first: u64,
    /// Of bodies that landed while the frame they end in had not.
    carried: Tally,
}

impl Acks {
    /// Takes a body in; its number.
    pub(super) fn begin(&mut self, ack_to: Option<u64>, oldest_ns: i64) -> u64 {
        self.slots.push_back(Slot { ack_to, oldest_ns, tally: None });
        self.first + self.slots.len() as u64 - 1
    }

    /// The body `number` is over. Returns where the cursor may move to now, and what became of the
    /// events it passes; the counters follow the cursor, so that a route's sum is always right.
    pub(super) fn land(&mut self, number: u64, tally: Tally) -> Option<(u64, Tally)> {
        let index = usize::try_from(number - self.first).ok();
        if let Some(slot) = index.and_then(|index| self.slots.get_mut(index)) {
            slot.tally = Some(tally);
        }
        let mut moved = None;
        while let Some(Slot { tally: Some(tally), ack_to, .. }) = self.slots.front() {
            self.carried.add(*tally);
            if let Some(to) = *ack_to {
                let passed = moved.get_or_insert((to, Tally::default()));
                passed.0 = to;
                passed.1.add(std::mem::take(&mut self.carried));
            }
            self.slots.pop_front();
            self.first += 1;
        }
        moved
    }

    /// Whether every body is acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Observed time of the oldest event among them.
    pub(super) fn oldest_ns(&self) -> Option<i64> {
        self.slots.front().map(|slot| slot.oldest_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(delivered: u64) -> Tally {
        Tally { delivered, ..Tally::default() }
    }

    #[test]
    fn only_a_whole_prefix_is_acknowledged() {
        let mut acks = Acks::default();
        let numbers = [Some(10), None, Some(20), Some(30)].map(|to| acks.begin(to, 7));
        assert_eq!(acks.land(numbers[3], of(4)), None);
        assert_eq!(acks.land(numbers[0], of(1)), Some((10, of(1))));
        assert_eq!(acks.land(numbers[1], of(2)), None);
        assert_eq!(acks.oldest_ns(), Some(7));
        assert_eq!(acks.land(numbers[2], of(3)), Some((30, of(9))));
        assert_eq!(acks.oldest_ns(), None);
        let next = acks.begin(Some(40), 9);
        assert_eq!(acks.land(next, of(1)), Some((40, of(1))));
    }
}
