//! Which format a file has, and the cutter that goes on in it from any position where a chunk
//! ended.
//!
//! # Why
//! The cutter's only memory is "the rest of this line is dropped". After a restart it is read off
//! the bytes before the position, so that nothing but the position has to be kept: a chunk ends
//! inside a line only when the line's head was taken and is over-long.

use std::fs::File;
use std::io;

use super::super::framed::{Dropping, FramedCutter, Framing, cri, docker, raw_line_bytes_max};
use super::super::lines::{Cut, Limits, Mode, PlainCutter};
use super::identity::read_at_most;
use crate::event::slab::Slab;

/// How a file's bytes are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Told by the first line.
    #[default]
    Auto,
    /// A line is a line.
    Plain,
    /// Kubernetes' container logs.
    Cri,
    /// Docker's json-file driver.
    Docker,
}

/// How much of a file is looked at for its first line: docker splits at 16 KiB before escaping.
const FIRST_LINE_BYTES: usize = 128 << 10;
/// How far before a position is looked first.
const LOOK_BACK_BYTES: usize = 4 << 10;

/// A cutter of either kind.
#[derive(Debug)]
pub(super) enum Cutter {
    Plain(PlainCutter),
    Framed(FramedCutter),
}

impl Cutter {
    /// The cutter for `file` at `position`; `None` while its first line is not complete.
    pub(super) fn open(
        file: &File,
        position: u64,
        format: Format,
        limits: Limits,
    ) -> io::Result<Option<Self>> {
        let Some(framing) = framing(file, format)? else { return Ok(None) };
        Ok(Some(match framing {
            None => {
                let discarding = is_inside_long_line(file, position, limits)?;
                Self::Plain(PlainCutter::new(limits, discarding))
            }
            Some(framing) => {
                let dropping = dropping_before(file, position, framing, limits)?;
                Self::Framed(FramedCutter::new(framing, limits, dropping))
            }
        }))
    }

    pub(super) fn plain(limits: Limits) -> Self {
        Self::Plain(PlainCutter::new(limits, false))
    }

    pub(super) fn cut(&mut self, slab: &mut Slab, mode: Mode) -> Cut {
        match self {
            Self::Plain(cutter) => cutter.cut(slab, mode),
            Self::Framed(cutter) => cutter.cut(slab, mode),
        }
    }

    /// What a slab must be able to hold before anything is forced: an open block and a line.
    pub(super) fn slab_bytes_max(&self, limits: Limits) -> usize {
        match self {
            Self::Plain(_) => limits.max_line_bytes * 2 + 4096,
            Self::Framed(_) => raw_line_bytes_max(limits) * 2,
        }
    }
}

/// `None` while it cannot be told; `Some(None)` for plain.
fn framing(file: &File, format: Format) -> io::Result<Option<Option<Framing>>> {
    match format {
        Format::Plain => return Ok(Some(None)),
        Format::Cri => return Ok(Some(Some(Framing::Cri))),
        Format::Docker => return Ok(Some(Some(Framing::Docker))),
        Format::Auto => {}
    }
    let mut bytes = vec![0; LOOK_BACK_BYTES];
    let mut n = read_at_most(file, &mut bytes, 0)?;
    if n == bytes.len() && memchr::memchr(b'\n', &bytes).is_none() {
        bytes.resize(FIRST_LINE_BYTES, 0);
        n = read_at_most(file, &mut bytes, 0)?;
    }
    let end = memchr::memchr(b'\n', &bytes[..n]);
    if end.is_none() && n < FIRST_LINE_BYTES {
        return Ok(None);
    }
    let line = &bytes[..end.unwrap_or(n)];
    Ok(Some(if cri::is_cri(line) {
        Some(Framing::Cri)
    } else if docker::is_docker(line) {
        Some(Framing::Docker)
    } else {
        None
    }))
}

/// The bytes of `file` before `position`, at most `len`.
fn before(file: &File, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(position).unwrap_or(usize::MAX).min(len);
    let mut bytes = vec![0; len];
    let n = read_at_most(file, &mut bytes, position - len as u64)?;
    bytes.truncate(n);
    Ok(bytes)
}

fn is_inside_long_line(file: &File, position: u64, limits: Limits) -> io::Result<bool> {
    if before(file, position, 1)?.last().is_none_or(|byte| *byte == b'\n') {
        return Ok(false);
    }
    let bytes = before(file, position, limits.max_line_bytes + 1)?;
    let has_start = memchr::memchr(b'\n', &bytes).is_some();
    Ok(!has_start && bytes.len() > limits.max_line_bytes)
}

fn dropping_before(
    file: &File,
    position: u64,
    framing: Framing,
    limits: Limits,
) -> io::Result<Dropping> {
    let mut dropping = Dropping::default();
    let mut scratch = Vec::new();
    let far = raw_line_bytes_max(limits) * 2 + LOOK_BACK_BYTES;
    for len in [LOOK_BACK_BYTES, far] {
        let mut bytes = before(file, position, len)?;
        let Some(end) = memchr::memrchr(b'\n', &bytes) else {
            // No line at all: either the file's start, or a raw line beyond every bound.
            dropping.raw = bytes.len() == far;
            continue;
        };
        dropping.raw = bytes.len() - end - 1 > raw_line_bytes_max(limits);
        let at_start = bytes.len() as u64 == position;
        let first = memchr::memchr(b'\n', &bytes).unwrap_or(end);
        let lines = if at_start { 0 } else { first + 1 };
        let mut runs = [0, 0];
        for line in bytes[lines.min(end + 1)..=end].split_mut(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let piece = match framing {
                Framing::Cri => cri::parse(line),
                Framing::Docker => docker::parse(line, &mut scratch),
            };
            let run = &mut runs[usize::from(piece.is_stderr)];
            *run = if piece.is_partial { *run + piece.len } else { 0 };
        }
        dropping.pieces = runs.map(|run| run > limits.max_line_bytes);
        if runs == [0, 0] {
            break;
        }
    }
    Ok(dropping)
}

#[cfg(test)]
mod tests;
