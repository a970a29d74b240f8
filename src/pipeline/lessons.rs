//! The shapes that a stream has taught, and which to try first.
//!
//! The shape that followed the last one the last time is tried first, then the others by how
//! recently they fitted. Bounded in number; the one that fitted longest ago makes room. Learning is
//! paid from a budget that lines refill, so that a stream in which no two lines are alike costs a
//! walk a line and not a lesson a line.

use crate::event::json::block::Native;
use crate::event::json::doc::Doc;
use crate::event::json::skeleton::{Found, Skeleton};

use super::facts::Facts;
use super::meaning::Meaning;

/// Shapes kept per stream; 2 to 6 KiB each.
const LESSONS_MAX: usize = 64;
/// Shapes compared with one line at most.
const TRIES_MAX: usize = 24;
/// Lessons that may be learned at once, and lines that earn another.
const CREDIT_MAX: u32 = 64;
const LINES_PER_CREDIT: u32 = 256;
/// Slots for the fingerprints of shapes seen once.
const SEEN: usize = 512;

/// A shape and what it means.
#[derive(Debug)]
pub struct Lesson {
    /// How such a line looks.
    pub skeleton: Skeleton,
    /// What it means, over the skeleton's values.
    pub meaning: Meaning,
    /// The shape that came after it the last time.
    next: u8,
}

/// The shapes of one stream.
#[derive(Debug)]
pub struct Lessons {
    lessons: Vec<Lesson>,
    /// Indices of lessons, the most recently fitted first.
    recent: Vec<u8>,
    last: u8,
    credit: u32,
    lines: u32,
    seen: Box<[u64; SEEN]>,
}

impl Default for Lessons {
    fn default() -> Self {
        Self {
            lessons: Vec::new(),
            recent: Vec::new(),
            last: 0,
            credit: CREDIT_MAX,
            lines: 0,
            seen: Box::new([0; SEEN]),
        }
    }
}

impl Lessons {
    /// Finds the shape of the line at `start`: its index and the position of the line's newline.
    #[inline]
    pub fn fit(
        &mut self,
        bytes: &[u8],
        start: usize,
        limit: usize,
        found: &mut Found,
    ) -> Option<(usize, usize)> {
        let expected = self.lessons.get(usize::from(self.last)).map(|last| last.next)?;
        if let Some(lesson) = self.lessons.get(usize::from(expected))
            && let Some(end) = lesson.skeleton.fit::<Native>(bytes, start, limit, found)
        {
            self.last = expected;
            return Some((usize::from(expected), end));
        }
        self.search(bytes, start, limit, expected, found)
    }

    fn search(
        &mut self,
        bytes: &[u8],
        start: usize,
        limit: usize,
        tried: u8,
        found: &mut Found,
    ) -> Option<(usize, usize)> {
        for place in 0..self.recent.len().min(TRIES_MAX) {
            let index = self.recent[place];
            if index == tried {
                continue;
            }
            let skeleton = &self.lessons[usize::from(index)].skeleton;
            let Some(end) = skeleton.fit::<Native>(bytes, start, limit, found) else { continue };
            self.recent[..=place].rotate_right(1);
            self.lessons[usize::from(self.last)].next = index;
            self.last = index;
            return Some((usize::from(index), end));
        }
        None
    }

    /// Lends the shapes out; [`Self::give_back`] before the next line.
    pub(super) fn lend(&mut self) -> Vec<Lesson> {
        std::mem::take(&mut self.lessons)
    }

    /// See [`Self::lend`].
    pub(super) fn give_back(&mut self, lessons: Vec<Lesson>) {
        self.lessons = lessons;
    }

    /// Number of shapes known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lessons.len()
    }

    /// Whether no shape is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lessons.is_empty()
    }

    /// Whether a walked line should teach its shape: seen the second time, learnable at all, and
    /// within the budget. The caller sees to it that its keys hold nothing to be redacted.
    pub(super) fn wants(&mut self, doc: &Doc<'_>, meaning: &Meaning) -> bool {
        self.lines += 1;
        if self.lines >= LINES_PER_CREDIT {
            self.lines = 0;
            self.credit = CREDIT_MAX.min(self.credit + 1);
        }
        meaning.learnable && self.credit > 0 && self.seen_before(doc, meaning)
    }

    /// Learns the shape of a walked line.
    pub(super) fn learn(&mut self, doc: &Doc<'_>, meaning: &Meaning, facts: &[Facts]) {
        let gate = |index: usize, _: &_| meaning.gate(index, facts);
        let Some((skeleton, value_of)) = Skeleton::learn::<Native>(doc, gate) else { return };
        let Some(meaning) = meaning.remap(doc, &value_of, skeleton.n_values()) else { return };
        self.credit -= 1;
        self.keep(Lesson { skeleton, meaning, next: 0 });
    }

    fn keep(&mut self, mut lesson: Lesson) {
        let index = if self.lessons.len() < LESSONS_MAX {
            self.lessons.len() as u8
        } else {
            self.recent.pop().unwrap_or(0)
        };
        lesson.next = index;
        if usize::from(index) < self.lessons.len() {
            self.lessons[usize::from(index)] = lesson;
        } else {
            self.lessons.push(lesson);
        }
        self.recent.insert(0, index);
        self.last = index;
    }

    /// Whether a line with the same keys in the same order, and the same deciding values, came
    /// before.
    fn seen_before(&mut self, doc: &Doc<'_>, meaning: &Meaning) -> bool {
        let mut hash = xxhash_rust::xxh3::xxh3_64(&doc.found.paths);
        for &index in &meaning.decided_by {
            if let Some(member) = doc.members().get(usize::from(index)) {
                hash = xxhash_rust::xxh3::xxh3_64_with_seed(doc.value(member), hash);
            }
        }
        let slot = &mut self.seen[hash as usize % SEEN];
        let before = *slot == hash;
        *slot = hash;
        before
    }
}
