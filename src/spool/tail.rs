//! The frames just appended, kept in memory for the cursors that stand at the end of the log.
//!
//! Bounded by the bytes of the buffers that it keeps alive, not by those in use in them: a batch
//! may pin a pooled slab much larger than its lines. At the bound the oldest go; a cursor that
//! wanted them reads them back. Requests are not bound by it before a cursor could come for them:
//! clients that send at one time make more bytes durable by one sync than the tail keeps, and each
//! sync would push a part of them out, to be read back at once. Their source bounds what it holds.

use std::collections::VecDeque;

use super::reader::Stored;
use crate::event::signal::Signal;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<(Stored, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Takes the newest frame; call [`Self::bound`] when all are in.
    pub(super) fn push(&mut self, stored: Stored) {
        let cost = stored.batch.memory();
        self.bytes += cost;
        self.entries.push_back((stored, cost));
    }

    /// Lets the oldest go that are beyond the bound, but for requests among the newest `n_new`.
    pub(super) fn bound(&mut self, n_new: usize) {
        while self.bytes > self.bytes_max {
            let is_new = self.entries.len() <= n_new;
            let front = self.entries.front().map(|(stored, _)| stored.batch.signal);
            if is_new && front.is_some_and(|signal| signal != Signal::Logs) {
                return;
            }
            self.pop();
        }
    }

    /// The frame that a cursor at `position` gets next, if it is here.
    pub(super) fn find(&self, position: u64) -> Option<&Stored> {
        let index = self.entries.partition_point(|(stored, _)| stored.range.to <= position);
        let (stored, _) = self.entries.get(index)?;
        (stored.covers_from <= position && position <= stored.range.from).then_some(stored)
    }

    /// Lets go of the frames that every cursor has, those that end at or before `position`.
    pub(super) fn release(&mut self, position: u64) {
        while self.entries.front().is_some_and(|(stored, _)| stored.range.to <= position) {
            self.pop();
        }
    }

    /// Lets go of the frames that begin within `range`: they must be read back, or not at all.
    pub(super) fn purge(&mut self, range: std::ops::Range<u64>) {
        let Self { entries, bytes, .. } = self;
        entries.retain(|(stored, cost)| {
            let stays = !range.contains(&stored.range.from);
            *bytes -= if stays { 0 } else { *cost };
            stays
        });
    }

    /// Bytes kept alive.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn pop(&mut self) {
        if let Some((_, cost)) = self.entries.pop_front() {
            self.bytes -= cost;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::log_range::LogRange;
    use crate::spool::testing::{batch_of, request_of};

    fn stored(covers_from: u64, from: u64, to: u64) -> Stored {
        let batch = Arc::new(batch_of(1, 0, 1, &[b"x"]));
        Stored { covers_from, range: LogRange { from, to }, batch }
    }

    #[test]
    fn finds_only_what_comes_next_and_stays_in_bounds() {
        let one = stored(0, 0, 1).batch.memory();
        let mut tail = Tail::new(one * 2);
        tail.push(stored(0, 10, 20));
        tail.push(stored(20, 30, 40));
        for (position, found) in
            [(0, Some(10)), (10, Some(10)), (20, Some(30)), (25, Some(30)), (40, None), (15, None)]
        {
            let next = tail.find(position).map(|stored| stored.range.from);
            assert_eq!(next, found, "{position}");
        }
        tail.push(stored(40, 40, 50));
        tail.bound(1);
        assert!(tail.find(0).is_none() && tail.bytes() == one * 2);
        tail.release(40);
        assert_eq!((tail.find(20).is_some(), tail.find(40).is_some()), (false, true));
        tail.release(50);
        assert_eq!(tail.bytes(), 0);
    }

    /// What one sync made durable stays until the next one, where its source bounds it.
    #[test]
    fn requests_stay_until_a_cursor_could_come() {
        let one = request_of(0).memory();
        let mut tail = Tail::new(one * 2);
        let ranges: Vec<_> = (0..5).map(|n| LogRange { from: n * 10, to: n * 10 + 10 }).collect();
        for range in &ranges {
            let batch = Arc::new(request_of(range.from));
            tail.push(Stored { covers_from: range.from, range: *range, batch });
        }
        tail.bound(5);
        assert!(tail.find(0).is_some() && tail.bytes() == one * 5);
        tail.push(stored(50, 50, 60));
        tail.bound(1);
        assert!(tail.bytes() <= one * 2, "those before go");
        assert!(tail.find(0).is_none() && tail.find(50).is_some());
    }
}
