//! Cuts the log files that container runtimes write: takes each line out of its framing (CRI or
//! docker json-file), puts partial lines together, joins tracebacks, all per stream.
//!
//! Works in place: contents move to the front of the slab, over framing that is done with, and the
//! table tells where each began in the file. Deliberately only for files: the bytes behind what a
//! cut consumes are spoilt and must be read again.
//!
//! # Why
//! - *A chunk ends where nothing is open on either stream.* A partial line on stdout may have whole
//!   lines of stderr between its parts; ending the chunk between them would lose the one or double
//!   the others after a crash.
//! - *What is forced is split, never lost.* When the slab is full or a line stays partial for long,
//!   everything open is closed as it stands; only what exceeds `max_line_bytes` is dropped,
//!   counted.

use memchr::memchr;

use super::join::{Joiner, Step};
use super::lines::{Cut, Limits, Mode, floor_char};
use crate::event::chunk::{Line, Lines};
use crate::event::record::Flags;
use crate::event::slab::Slab;

pub(super) mod cri;
pub(super) mod docker;

/// The framings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// containerd, CRI-O: `time stream tag content`.
    Cri,
    /// Docker's json-file driver: `{"log":"content\n","stream":"stdout","time":"time"}`.
    Docker,
}

/// What one line of a framing holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where the content begins in the line given.
    pub(super) start: usize,
    /// Bytes of content.
    pub(super) len: usize,
    /// Which stream: standard error or output.
    pub(super) is_stderr: bool,
    /// Whether the line goes on in the stream's next piece.
    pub(super) is_partial: bool,
    /// When the runtime read it, ns since 1970; 0 if it did not say.
    pub(super) ts_ns: i64,
}

impl Piece {
    /// A line that is none of the framing's: kept as it stands.
    fn unframed(len: usize) -> Self {
        Self { start: 0, len, is_stderr: false, is_partial: false, ts_ns: 0 }
    }
}

/// The longest raw line that is waited for: content, escapes, framing.
pub(super) fn raw_line_bytes_max(limits: Limits) -> usize {
    limits.max_line_bytes * 2 + 1024
}

/// Cuts framed lines.
#[derive(Debug)]
pub(super) struct FramedCutter {
    framing: Framing,
    limits: Limits,
    dropping: Dropping,
}

/// What is being dropped because its head was taken already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropping {
    /// Per stream: pieces up to the end of the line.
    pub(super) pieces: [bool; 2],
    /// The rest of the raw line.
    pub(super) raw: bool,
}

impl FramedCutter {
    /// A cutter that goes on where `dropping` was the state.
    pub(super) fn new(framing: Framing, limits: Limits, dropping: Dropping) -> Self {
        Self { framing, limits, dropping }
    }

    /// Cuts what `slab` holds; everything behind `consumed` is spoilt.
    pub(super) fn cut(&mut self, slab: &mut Slab, mode: Mode) -> Cut {
        let raw_len = slab.len();
        let unterminated = mode == Mode::Last && raw_len > 0 && slab.last() != Some(&b'\n');
        if unterminated {
            slab.extend_from_slice(b"\n");
        }
        let raw_line_max = raw_line_bytes_max(self.limits);
        let mut assembly = Assembly::new(self, slab.content_mut());
        let mut start = 0;
        while let Some(len) = memchr(b'\n', &assembly.bytes[start..]) {
            let forced = unterminated && start + len == raw_len;
            assembly.raw_line(start, start + len, if forced { Flags::PARTIAL } else { 0 });
            start += len + 1;
        }
        let tail = raw_len.saturating_sub(start);
        if tail > raw_line_max || (tail > 0 && assembly.dropping.raw) {
            assembly.raw_line(start, raw_len, Flags::TRUNCATED);
            assembly.dropping.raw = true;
            start = raw_len;
        }
        let holds = assembly.finish(start, mode);
        let done = assembly.done;
        let mut table = std::mem::take(&mut assembly.table);
        table.truncate(done.n_lines);
        self.dropping = done.dropping;
        Cut {
            consumed: done.raw.min(raw_len),
            content: done.content,
            n_events: table.len() as u64,
            lines: Lines::Table(table),
            n_truncated: done.n_truncated,
            holds,
        }
    }
}

/// The last point at which nothing was open.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    raw: usize,
    content: usize,
    n_lines: usize,
    n_truncated: u64,
    dropping: Dropping,
}

/// What is open on one stream.
#[derive(Debug, Default)]
struct Open {
    /// Content of the partial line, and how many pieces it has so far.
    partial: Vec<u8>,
    n_pieces: u32,
    /// Lines of the open block.
    block: Vec<u8>,
    n_block_lines: u32,
    joiner: Joiner,
    partial_from: From,
    block_from: From,
}

/// Where and when something began.
#[derive(Clone, Copy, Debug, Default)]
struct From {
    source_off: u32,
    ts_ns: i64,
    flags: u16,
}

/// One pass over a slab.
struct Assembly<'a> {
    bytes: &'a mut [u8],
    framing: Framing,
    limits: Limits,
    dropping: Dropping,
    streams: [Open; 2],
    /// Where the next content goes. Never behind the raw line at hand: contents are shorter than
    /// the lines that they came from.
    write: usize,
    table: Vec<Line>,
    n_truncated: u64,
    done: Done,
    /// The line at hand, where it may have to wait.
    scratch: Vec<u8>,
}

impl<'a> Assembly<'a> {
    fn new(cutter: &FramedCutter, bytes: &'a mut [u8]) -> Self {
        let joiner = Joiner::new(cutter.limits.max_line_bytes);
        let open = || Open { joiner: joiner.clone(), ..Open::default() };
        Self {
            bytes,
            framing: cutter.framing,
            limits: cutter.limits,
            dropping: cutter.dropping,
            streams: [open(), open()],
            write: 0,
            table: Vec::new(),
            n_truncated: 0,
            done: Done { dropping: cutter.dropping, ..Done::default() },
            scratch: Vec::new(),
        }
    }

    /// Takes the raw line from `start` to `end`.
    fn raw_line(&mut self, start: usize, end: usize, flags: u16) {
        if self.dropping.raw {
            self.dropping.raw = false;
        } else if end > start {
            let line = &mut self.bytes[start..end];
            let mut piece = match self.framing {
                Framing::Cri => cri::parse(line),
                Framing::Docker => docker::parse(line, &mut self.scratch),
            };
            piece.start += start;
            self.piece(piece, start, flags);
        }
        if self.streams.iter().all(|open| open.n_pieces == 0 && open.n_block_lines == 0) {
            self.note_done(end + 1);
        }
    }

    fn note_done(&mut self, raw: usize) {
        self.done = Done {
            raw,
            content: self.write,
            n_lines: self.table.len(),
            n_truncated: self.n_truncated,
            dropping: self.dropping,
        };
    }

    fn piece(&mut self, piece: Piece, start: usize, flags: u16) {
        let stream = usize::from(piece.is_stderr);
        let is_partial = piece.is_partial && flags == 0;
        if self.dropping.pieces[stream] {
            self.dropping.pieces[stream] = is_partial;
            return;
        }
        let stderr = if piece.is_stderr { Flags::STDERR } else { 0 };
        let from = From { source_off: start as u32, ts_ns: piece.ts_ns, flags: flags | stderr };
        let range = piece.start..piece.start + piece.len;
        let open = &mut self.streams[stream];
        if !is_partial && open.n_pieces == 0 {
            return self.line_in_place(stream, range, from);
        }
        if open.n_pieces == 0 {
            open.partial_from = from;
        } else {
            open.partial_from.flags |= Flags::JOINED | flags;
        }
        open.n_pieces += 1;
        // Four bytes more than the limit, to find a character border and to know that it was more.
        let room = (self.limits.max_line_bytes + 4).saturating_sub(open.partial.len());
        open.partial.extend_from_slice(&self.bytes[range.start..range.end.min(range.start + room)]);
        if open.partial.len() > self.limits.max_line_bytes {
            self.dropping.pieces[stream] = is_partial;
            self.close_partial(stream);
        } else if !is_partial {
            self.close_partial(stream);
        }
    }

    /// The partial line of `stream` is complete, or treated as such.
    fn close_partial(&mut self, stream: usize) {
        let open = &mut self.streams[stream];
        if open.n_pieces == 0 {
            return;
        }
        open.n_pieces = 0;
        let mut line = std::mem::take(&mut open.partial);
        let from = open.partial_from;
        self.line(stream, &line, from);
        line.clear();
        self.streams[stream].partial = line;
    }

    /// A whole line that lies in the slab at `range`.
    fn line_in_place(&mut self, stream: usize, range: std::ops::Range<usize>, from: From) {
        let line = &self.bytes[range.clone()];
        let ordinary = line.first() == Some(&b'{')
            && line.last() != Some(&b'\r')
            && line.len() <= self.limits.max_line_bytes
            && self.streams[stream].n_block_lines == 0;
        if ordinary {
            let (write, len) = (self.write, range.len());
            self.bytes.copy_within(range, write);
            return self.note_line(len, from);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(line);
        self.line(stream, &scratch, from);
        self.scratch = scratch;
    }

    /// A whole line, outside the slab.
    fn line(&mut self, stream: usize, line: &[u8], mut from: From) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let open = &mut self.streams[stream];
        let step = if self.limits.join { open.joiner.step(line) } else { Step::Alone };
        if step == Step::Joins {
            open.block.push(b'\n');
            open.block.extend_from_slice(line);
            open.n_block_lines += 1;
            open.block_from.flags |= Flags::JOINED | from.flags;
            return;
        }
        self.close_block(stream);
        if step == Step::Begins {
            let open = &mut self.streams[stream];
            open.block.extend_from_slice(line);
            open.n_block_lines = 1;
            open.block_from = from;
            return;
        }
        let mut len = line.len();
        if len > self.limits.max_line_bytes {
            len = floor_char(line, self.limits.max_line_bytes);
            from.flags |= Flags::TRUNCATED;
        }
        self.write_line(&line[..len], from);
    }

    fn close_block(&mut self, stream: usize) {
        let open = &mut self.streams[stream];
        if open.n_block_lines == 0 {
            return;
        }
        open.n_block_lines = 0;
        let from = open.block_from;
        let mut block = std::mem::take(&mut open.block);
        self.write_line(block.trim_ascii_end(), from);
        block.clear();
        self.streams[stream].block = block;
    }

    /// Writes a line to the front; an empty one is no event.
    fn write_line(&mut self, line: &[u8], from: From) {
        if line.is_empty() {
            return;
        }
        self.bytes[self.write..self.write + line.len()].copy_from_slice(line);
        self.note_line(line.len(), from);
    }

    /// Enters the `len` bytes that were written at `self.write`.
    fn note_line(&mut self, len: usize, from: From) {
        self.bytes[self.write + len] = b'\n';
        self.n_truncated += u64::from(from.flags & Flags::TRUNCATED != 0);
        self.table.push(Line {
            start: self.write as u32,
            len: len as u32,
            source_off: from.source_off,
            flags: from.flags,
            ts_ns: from.ts_ns,
        });
        self.write += len + 1;
    }

    /// Closes what `mode` allows to close; returns whether something stays open.
    fn finish(&mut self, raw: usize, mode: Mode) -> bool {
        if mode >= Mode::Stale {
            for stream in [0, 1] {
                self.streams[stream].partial_from.flags |= Flags::PARTIAL;
                self.close_partial(stream);
            }
        }
        let is_whole = self.streams.iter().all(|open| open.n_pieces == 0);
        if mode >= Mode::Quiet && is_whole {
            self.close_block(0);
            self.close_block(1);
        }
        let holds = self.streams.iter().any(|open| open.n_pieces + open.n_block_lines > 0);
        if !holds {
            self.note_done(raw);
        }
        holds
    }
}

#[cfg(test)]
mod tests;
