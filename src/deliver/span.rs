//! Which events of a tier's log a body holds, and which before its end are not done with.
//!
//! # Why
//! A position in the log names a frame. A body may end within one (a frame that is larger than a
//! body, a body that was halved), and an event before its end may wait for another one. What the
//! next process has to do is therefore said by events: all from one on, and some before it.

use crate::deliver::load::Piece;

/// An event of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Where the frame begins.
    pub frame: u64,
    /// The event's number in it.
    pub event: u32,
}

impl At {
    /// The beginning of the frame at `position`.
    #[must_use]
    pub fn frame(position: u64) -> Self {
        Self { frame: position, event: 0 }
    }
}

/// Events of one frame that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The first.
    pub from: At,
    /// How many.
    pub len: u32,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// What the body holds.
    pub held: Vec<Run>,
    /// What stands before `to` and is neither in it nor done with.
    pub left: Vec<Run>,
    /// All from there on was not read.
    pub to: At,
}

impl Span {
    /// What is to be done if the body is stored, or if it `is_void`: events before `to`, in order.
    #[must_use]
    pub fn undone(&self, is_void: bool) -> Vec<Run> {
        let held = self.held.iter().filter(|_| is_void);
        let mut runs: Vec<Run> = held.chain(&self.left).copied().collect();
        runs.sort_unstable();
        runs
    }
}

/// Those of `pieces`.
pub(super) fn runs(pieces: &[Piece]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for at in pieces.iter().flat_map(Piece::places) {
        match runs.last_mut() {
            Some(run) if run.from.frame == at.frame && run.from.event + run.len == at.event => {
                run.len += 1;
            }
            _ => runs.push(Run { from: at, len: 1 }),
        }
    }
    runs
}

/// Where reading goes on after a restart.
#[derive(Clone, Debug, Default)]
pub(super) struct Undone {
    /// Sorted.
    runs: Vec<Run>,
    to: At,
}

impl Undone {
    pub(super) fn new(runs: Vec<Run>, to: At) -> Self {
        Self { runs, to }
    }

    /// Whether every frame from `position` on is to be taken as it is.
    pub(super) fn is_over(&self, position: u64) -> bool {
        position > self.to.frame || (position == self.to.frame && self.to.event == 0)
    }

    /// Of a body that ends at `to`, before all of it was read: what is left to be done, and where
    /// it ends for the next process.
    pub(super) fn add_to(&self, left: &mut Vec<Run>, to: &mut At) {
        let end = |run: &Run| At { event: run.from.event + run.len, ..run.from };
        for run in self.runs.iter().filter(|run| end(run) > *to) {
            let from = run.from.max(*to);
            left.push(Run { from, len: end(run).event - from.event });
        }
        *to = self.to.max(*to);
    }

    /// The ranges of a frame's `n_events` that are to be done.
    pub(super) fn of_frame(&self, frame: u64, n_events: usize) -> Vec<std::ops::Range<usize>> {
        let clamp = |event: u32| (event as usize).min(n_events);
        let runs = self.runs.iter().filter(|run| run.from.frame == frame);
        let mut ranges: Vec<_> = runs
            .map(|run| clamp(run.from.event)..clamp(run.from.event.saturating_add(run.len)))
            .collect();
        if frame == self.to.frame {
            ranges.push(clamp(self.to.event)..n_events);
        }
        ranges.retain(|range| !range.is_empty());
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_do() {
        let run = |frame, event, len| Run { from: At { frame, event }, len };
        let span = Span {
            held: vec![run(10, 0, 2), run(20, 0, 5)],
            left: vec![run(10, 2, 1)],
            to: At { frame: 30, event: 4 },
        };
        assert_eq!(span.undone(false), [run(10, 2, 1)]);
        let undone = Undone::new(span.undone(true), span.to);
        assert!(!undone.is_over(30) && undone.is_over(31));
        assert_eq!(undone.of_frame(10, 9), [0..2, 2..3]);
        assert!(undone.of_frame(15, 9).is_empty());
        assert_eq!(undone.of_frame(20, 3), vec![0..3; 1]);
        assert_eq!(undone.of_frame(30, 9), vec![4..9; 1]);
        assert!(Undone::new(Vec::new(), At::frame(30)).is_over(30));
        let (mut left, mut to) = (vec![run(10, 2, 1)], At { frame: 20, event: 3 });
        undone.add_to(&mut left, &mut to);
        assert_eq!((left, to), (vec![run(10, 2, 1), run(20, 3, 2)], At { frame: 30, event: 4 }));
    }
}
