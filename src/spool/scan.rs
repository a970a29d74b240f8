//! Looks at a whole segment: which frames are sound, which bytes are not, where soundness resumes.
//!
//! # Why
//! Behind damage the next frame is first sought where the damaged frame says it ends. Only when its
//! header is gone too are the bytes searched, and a frame found that way must lead, head by head,
//! to one of the spool's own frames at its own position or to the end of the file: a log line may
//! quote the bytes of a frame, but it does not know where in the log it will stand.

use std::io;
use std::path::Path;

use crate::event::frame::{self, FrameError};

use super::disk::Disk;
use super::segment::{self, Form, FrameAt};

/// Candidates that a search tries before it gives the rest up: bounds the work on hostile bytes.
const CANDIDATES_MAX: usize = 4096;
const MAGIC: &[u8] = b"SWK1";

/// How much of a frame is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Lengths and checksum.
    Checksum,
    /// Everything that a reader checks.
    Decode,
}

/// A stretch of a segment's bytes that holds no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Offsets in the file.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Logical position of its first byte (in a packed segment, of the first frame that may be
    /// lost).
    pub(super) from: u64,
    /// What was wrong with the first frame.
    pub(super) reason: FrameError,
    /// Events of the first frame, where its header could still be read.
    pub(super) n_events: u64,
}

/// What a segment's bytes hold, in order.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) frames: Vec<FrameAt>,
    pub(super) damage: Vec<Damage>,
}

impl Scan {
    /// Position of the last frame that proves all before it to have been synced.
    pub(super) fn last_proof(&self) -> Option<u64> {
        self.frames.iter().rev().find(|frame| frame.is_proof()).map(|frame| frame.from)
    }
}

/// The bytes of the segment at `path`, at most `len_max` of them.
///
/// # Errors
/// The disk's.
pub(super) fn load(disk: &dyn Disk, path: &Path, len_max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let len = file.len()?.min(len_max);
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Finds the frames of a segment that begins at `base` and of which positions below `limit` count.
pub(super) fn scan(bytes: &[u8], form: Form, base: u64, limit: u64, depth: Depth) -> Scan {
    let segment = Bytes { bytes, form, base, depth };
    let mut scan = Scan::default();
    let mut offset = 0;
    let mut reached = base;
    while offset < bytes.len() && reached < limit {
        match segment.sound_at(offset, reached) {
            Ok(frame) if frame.to > limit => break,
            Ok(frame) => {
                offset = frame.next();
                reached = frame.to;
                scan.frames.push(frame);
            }
            Err(reason) => {
                let resumed = segment.resume(offset, reached);
                let end = resumed.map_or(bytes.len(), |(offset, _)| offset);
                let n_events = segment.claimed_events(offset, reached);
                let from = reached;
                scan.damage.push(Damage { start: offset, end, from, reason, n_events });
                let Some((next, position)) = resumed else { break };
                offset = next;
                reached = position;
            }
        }
    }
    scan
}

#[derive(Clone, Copy)]
struct Bytes<'a> {
    bytes: &'a [u8],
    form: Form,
    base: u64,
    depth: Depth,
}

impl Bytes<'_> {
    /// The sound frame at `offset`, which follows the position `reached`.
    fn sound_at(&self, offset: usize, reached: u64) -> Result<FrameAt, FrameError> {
        let frame = self.frame_at(offset)?;
        if frame.from < reached {
            return Err(FrameError::Lengths);
        }
        if !frame.is_sound(self.bytes) {
            return Err(FrameError::Checksum);
        }
        // Own frames name their position: one that stands elsewhere was copied there.
        if frame.own().is_some() && frame.header.source_end != frame.from {
            return Err(FrameError::Record);
        }
        if self.depth == Depth::Decode {
            frame::decode(frame.bytes(self.bytes))?;
        }
        Ok(frame)
    }

    fn frame_at(&self, offset: usize) -> Result<FrameAt, FrameError> {
        segment::frame_at(self.bytes, offset, self.form, self.base + offset as u64)
    }

    fn claimed_events(&self, offset: usize, reached: u64) -> u64 {
        let claimed = self.frame_at(offset).ok().filter(|frame| frame.from >= reached);
        claimed.map_or(0, |frame| u64::from(frame.header.n_records))
    }

    /// Offset and position of the first frame behind the damage at `offset`.
    fn resume(&self, offset: usize, reached: u64) -> Option<(usize, u64)> {
        if let Ok(damaged) = self.frame_at(offset)
            && let Ok(next) = self.sound_at(damaged.next(), reached)
        {
            return Some((damaged.next(), next.from));
        }
        let from = offset + 1 + self.form.prefix_len();
        let found = memchr::memmem::find_iter(self.bytes.get(from..)?, MAGIC);
        let candidates = found.map(|at| from + at - self.form.prefix_len()).take(CANDIDATES_MAX);
        for candidate in candidates {
            if let Ok(frame) = self.sound_at(candidate, reached)
                && self.is_anchored(frame)
            {
                return Some((candidate, frame.from));
            }
        }
        None
    }

    /// Whether the frames from `frame` on lead to an own frame or to the end of the bytes; over
    /// more damage too, as long as the damaged frames' heads can be read.
    fn is_anchored(&self, mut frame: FrameAt) -> bool {
        loop {
            let is_own = frame.own().is_some() && frame.header.source_end == frame.from;
            if is_own || frame.next() == self.bytes.len() {
                return true;
            }
            match self.frame_at(frame.next()) {
                Ok(next) if next.from >= frame.to => frame = next,
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::mark;
    use crate::spool::testing::frame_of;

    /// mark, frame, frame, mark, frame: the offsets of each and the bytes.
    fn segment() -> (Vec<usize>, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut offsets = Vec::new();
        for n in 0..5u64 {
            offsets.push(bytes.len());
            match n {
                0 | 3 => bytes.extend(mark::mark(100 + bytes.len() as u64)),
                _ => bytes.extend(frame_of(7, n, n + 1, &[b"line"])),
            }
        }
        (offsets, bytes)
    }

    fn scanned(bytes: &[u8]) -> Scan {
        scan(bytes, Form::Raw, 100, u64::MAX, Depth::Decode)
    }

    #[test]
    fn damage_is_passed_and_frames_behind_it_found() {
        let (offsets, sound) = segment();
        let whole = scanned(&sound);
        assert_eq!((whole.frames.len(), whole.damage.len()), (5, 0));
        assert_eq!(whole.last_proof(), Some(100 + offsets[3] as u64));
        // In the body: the header still says where the next frame is.
        // In the magic or the lengths: the next frame is searched for.
        for at in [70, 0, 12, 20] {
            let mut bytes = sound.clone();
            bytes[offsets[1] + at] ^= 0x40;
            let scan = scanned(&bytes);
            assert_eq!(scan.frames.len(), 4, "byte {at}");
            let [damage] = scan.damage[..] else { panic!("one damage at {at}") };
            assert_eq!((damage.start, damage.end), (offsets[1], offsets[2]));
            assert_eq!(damage.from, 100 + offsets[1] as u64);
        }
    }

    #[test]
    fn the_end_cut_anywhere_leaves_the_frames_before_it() {
        let (offsets, sound) = segment();
        for cut in 1..sound.len() {
            let scan = scanned(&sound[..cut]);
            let whole = offsets.iter().filter(|offset| **offset <= cut).count() - 1;
            assert_eq!(scan.frames.len(), whole, "cut at {cut}");
        }
    }

    /// A line that quotes a frame must not be taken for one when its own frame is damaged.
    #[test]
    fn a_quoted_frame_is_not_believed() {
        let quoted = frame_of(9, 0, 1, &[b"forged"]);
        let mut bytes = frame_of(7, 0, 1, &[&quoted, b"and more"]);
        bytes[0] ^= 1;
        bytes.extend(mark::mark(100 + bytes.len() as u64));
        let scan = scanned(&bytes);
        assert_eq!(scan.frames.len(), 1);
        assert!(scan.frames[0].own().is_some());
    }
}
