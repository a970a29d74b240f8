//! Cuts unframed bytes into lines: where a chunk may end, and which lines need more than a newline
//! to be told (CR LF, over-long, joined, the unterminated last one).
//!
//! Deliberately stateless between cuts but for one bit, "the rest of this line is dropped": what is
//! not consumed is given again, from its first byte.
//!
//! # Why
//! A chunk of ordinary lines stays [`Lines::Plain`]: one pass of memchr with a look at each line's
//! first and last byte, no table, no write. The table is made when the first line needs it.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use super::join::{Joiner, Step};
use crate::event::chunk::{Line, Lines};
use crate::event::record::Flags;
use crate::event::slab::Slab;

/// How much of what is open a cut may close. Ordered: each closes what the ones before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// Nothing: more bytes may come at any moment.
    More,
    /// Blocks: nothing came for a while.
    Quiet,
    /// Partial lines of a framing, too: nothing came for long, or the slab is full.
    Stale,
    /// Everything: the stream has ended.
    Last,
}

/// The bounds of one source's lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Longer lines are cut and marked.
    pub(super) max_line_bytes: usize,
    /// Whether tracebacks are joined.
    pub(super) join: bool,
}

/// What a cut took from the front of a slab.
#[derive(Debug)]
pub(super) struct Cut {
    /// Bytes of the stream that are done with. What lies behind them must be given again.
    pub(super) consumed: usize,
    /// Bytes of the slab that make the chunk; all behind is not the chunk's.
    pub(super) content: usize,
    /// The lines in it.
    pub(super) lines: Lines,
    /// How many events they are.
    pub(super) n_events: u64,
    /// How many of those were cut.
    pub(super) n_truncated: u64,
    /// Whether something is held back that a later mode would release.
    pub(super) holds: bool,
}

/// Cuts plain lines.
#[derive(Debug)]
pub(super) struct PlainCutter {
    limits: Limits,
    discarding: bool,
}

impl PlainCutter {
    /// A cutter at the start of a line; `discarding`: inside one whose head was taken already.
    pub(super) fn new(limits: Limits, discarding: bool) -> Self {
        Self { limits, discarding }
    }

    /// Cuts what `slab` holds. May write to the bytes that it consumes, never behind them (but for
    /// the newline that [`Mode::Last`] appends).
    pub(super) fn cut(&mut self, slab: &mut Slab, mode: Mode) -> Cut {
        let raw_len = slab.len();
        let first = if self.discarding { memchr(b'\n', slab).map(|at| at + 1) } else { Some(0) };
        let first = first.unwrap_or(raw_len);
        self.discarding &= first == raw_len && slab.last() != Some(&b'\n');
        let unterminated = mode == Mode::Last && first < raw_len && slab.last() != Some(&b'\n');
        if unterminated {
            slab.extend_from_slice(b"\n");
        }
        let partial_at = if unterminated { raw_len } else { usize::MAX };
        let mut scan = Scan::new(slab, first, partial_at, self.limits);
        scan.lines();
        let (end, holds) = scan.finish(mode);
        self.discarding |= scan.discarding;
        let Scan { table, blanks, n_events, n_truncated, .. } = scan;
        let content = slab.content_mut();
        for blank in blanks {
            content[blank].fill(0);
        }
        for line in table.iter().flatten() {
            content[(line.start + line.len) as usize] = b'\n';
        }
        // A chunk without events only carries its position.
        let (content, table) = if n_events == 0 { (0, Some(Vec::new())) } else { (end, table) };
        let lines = table.map_or(Lines::Plain, Lines::Table);
        Cut { consumed: end.min(raw_len), content, lines, n_events, n_truncated, holds }
    }
}

/// One pass over a slab.
struct Scan<'a> {
    bytes: &'a [u8],
    limits: Limits,
    joiner: Joiner,
    /// Where the lines begin: behind the rest of a dropped one.
    first: usize,
    /// The newline that stands where the stream ended.
    partial_at: usize,
    /// Start of the line at hand.
    start: usize,
    /// Start and number of lines of the open block.
    block: Option<(usize, u32)>,
    table: Option<Vec<Line>>,
    blanks: Vec<Range<usize>>,
    n_events: u64,
    n_truncated: u64,
    discarding: bool,
}

impl<'a> Scan<'a> {
    fn new(bytes: &'a [u8], first: usize, partial_at: usize, limits: Limits) -> Self {
        // Behind a dropped rest the first bytes are no line.
        let mut blanks = Vec::new();
        let table = (first > 0).then(Vec::new);
        blanks.extend((first > 0).then_some(0..first));
        Self {
            bytes,
            limits,
            joiner: Joiner::new(limits.max_line_bytes),
            first,
            partial_at,
            start: first,
            block: None,
            table,
            blanks,
            n_events: 0,
            n_truncated: 0,
            discarding: false,
        }
    }

    /// All terminated lines.
    fn lines(&mut self) {
        let bytes = self.bytes;
        for newline in memchr_iter(b'\n', &bytes[self.first..]) {
            let newline = self.first + newline;
            let start = self.start;
            // The common line: JSON, of ordinary length, with a bare newline, outside any block.
            let ordinary = bytes[start] == b'{'
                && bytes[newline - 1] != b'\r'
                && newline - start <= self.limits.max_line_bytes
                && self.block.is_none()
                && self.table.is_none()
                && newline != self.partial_at;
            if ordinary {
                self.n_events += 1;
            } else {
                self.line(newline);
            }
            self.start = newline + 1;
        }
    }

    /// Any line, from `self.start` to `newline`.
    fn line(&mut self, newline: usize) {
        let start = self.start;
        let has_cr = newline > start && self.bytes[newline - 1] == b'\r';
        let end = newline - usize::from(has_cr);
        let step = match self.limits.join {
            true => self.joiner.step(&self.bytes[start..end]),
            false => Step::Alone,
        };
        match (step, &mut self.block) {
            (Step::Joins, Some((_, n_lines))) => *n_lines += 1,
            (Step::Begins, _) => {
                self.close_block();
                self.block = Some((start, 1));
            }
            _ => {
                self.close_block();
                self.alone(start, newline);
            }
        }
    }

    /// Ends the open block in front of `self.start`.
    fn close_block(&mut self) {
        let Some((start, n_lines)) = self.block.take() else { return };
        let newline = self.start - 1;
        if n_lines == 1 {
            return self.alone(start, newline);
        }
        // A traceback may have taken the empty lines behind it.
        let len = trim_line_ends(&self.bytes[start..newline]).len();
        self.n_events += 1;
        self.push(start, len, Flags::JOINED | self.partial(newline));
    }

    /// The flag of an event that ends at `newline`.
    fn partial(&self, newline: usize) -> u16 {
        if newline == self.partial_at { Flags::PARTIAL } else { 0 }
    }

    /// One line as an event; an empty one is none.
    fn alone(&mut self, start: usize, newline: usize) {
        let bytes = self.bytes;
        let has_cr = newline > start && bytes[newline - 1] == b'\r';
        let end = newline - usize::from(has_cr);
        if end == start {
            // A chunk without a table would show the CR as a line.
            if has_cr {
                self.table_before(start);
            }
            return;
        }
        self.n_events += 1;
        if end - start > self.limits.max_line_bytes {
            self.truncated(start, newline);
        } else if has_cr || self.table.is_some() || newline == self.partial_at {
            self.push(start, end - start, self.partial(newline));
        }
    }

    /// The head of an over-long line whose bytes reach to `end` at least.
    fn truncated(&mut self, start: usize, end: usize) {
        let len = floor_char(&self.bytes[start..], self.limits.max_line_bytes);
        self.n_truncated += 1;
        self.push(start, len, Flags::TRUNCATED);
        self.blanks.push(start + len..end);
    }

    fn push(&mut self, start: usize, len: usize, flags: u16) {
        self.table_before(start).push(line(start, len, flags));
    }

    /// The table; made, if there is none yet, of the lines in front of `start`, which until now were
    /// what their newlines say.
    fn table_before(&mut self, start: usize) -> &mut Vec<Line> {
        let (bytes, first) = (self.bytes, self.first);
        self.table.get_or_insert_with(|| {
            let mut from = first;
            let mut table = Vec::new();
            for newline in memchr_iter(b'\n', &bytes[first..start]) {
                let end = first + newline;
                if end > from {
                    table.push(line(from, end - from, 0));
                }
                from = end + 1;
            }
            table
        })
    }

    /// Decides what becomes of an open block and of the unterminated tail; returns where the chunk
    /// ends and whether something is held.
    fn finish(&mut self, mode: Mode) -> (usize, bool) {
        let len = self.bytes.len();
        // One more than the limit may still turn out to be a CR.
        if len - self.start > self.limits.max_line_bytes + 1 {
            let start = self.start;
            self.close_block();
            self.n_events += 1;
            self.truncated(start, len);
            self.discarding = true;
            return (len, false);
        }
        if let Some((start, _)) = self.block
            && mode == Mode::More
        {
            return (start, true);
        }
        self.close_block();
        (self.start, false)
    }
}

fn line(start: usize, len: usize, flags: u16) -> Line {
    let (start, len) = (start as u32, len as u32);
    Line { start, len, source_off: start, flags, ts_ns: 0 }
}

/// `bytes` without CRs and newlines at its end.
fn trim_line_ends(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    &bytes[..end.map_or(0, |end| end + 1)]
}

/// The last character border of `bytes` at or before `at`, as UTF-8 goes.
pub(super) fn floor_char(bytes: &[u8], at: usize) -> usize {
    let continues = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (at.saturating_sub(3)..=at).rev().find(|at| !continues(*at)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
