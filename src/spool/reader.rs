//! Reads a segment's frames one after the other with large `pread`s.
//!
//! Used by cursors that lag and by the packer; memory is one window of [`WINDOW_BYTES`], or one
//! frame where that is longer.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::event::frame::FrameError;
use crate::event::log_range::LogRange;
use crate::protect::protected::Protected;

use super::disk::{Disk, DiskFile};
use super::segment::{self, Form, FrameAt, Segment};

/// Bytes that are read at once, and, roughly, that one read ahead may hold.
pub(super) const WINDOW_BYTES: usize = 256 << 10;

/// Why a frame could not be read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the disk refused the read")]
    Io(#[from] io::Error),
    #[error("no sound frame")]
    Frame(#[from] FrameError),
}

/// A place in a segment and the bytes behind it.
#[derive(Debug)]
pub(super) struct FrameReader {
    file: Box<dyn DiskFile>,
    form: Form,
    base: u64,
    /// Logical position and file offset of the next frame.
    position: u64,
    offset: u64,
    /// Room for a window; not blanked between two reads, which cost half as much as they do.
    room: Vec<u8>,
    /// Bytes of `room` that are the file's, from `window_offset` on.
    window_len: usize,
    window_offset: u64,
}

impl FrameReader {
    /// Opens `segment` of the tier in `dir` at its first frame.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, segment: &Segment) -> Result<Self, ReadError> {
        let file = disk.open(&segment.path(dir))?;
        let (form, base) = (segment.form, segment.base);
        let (room, window_len, window_offset) = (Vec::new(), 0, 0);
        Ok(Self { file, form, base, position: base, offset: 0, room, window_len, window_offset })
    }

    /// Whether it stands in the segment at `base`, in front of `position`, so that reading can go
    /// on.
    pub(super) fn is_at(&self, base: u64, position: u64) -> bool {
        self.base == base && self.position <= position
    }

    /// The position that was reached.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Passes the frames that end at or before `position`.
    fn skip_to(&mut self, position: u64, stop: u64) -> Result<(), ReadError> {
        while self.position < position.min(stop) {
            let Some(frame) = self.peek()? else { break };
            if frame.to > position {
                break;
            }
            self.pass(&frame);
        }
        Ok(())
    }

    /// The next frame that ends at or before `stop`, whole.
    pub(super) fn next(&mut self, stop: u64) -> Result<Option<(FrameAt, &[u8])>, ReadError> {
        if self.position >= stop {
            return Ok(None);
        }
        let Some(frame) = self.peek()? else { return Ok(None) };
        if frame.to > stop {
            return Err(FrameError::Lengths.into());
        }
        let start = (self.offset - self.window_offset) as usize;
        let whole = self.fill(start, self.form.prefix_len() + frame.header.frame_len())?;
        let frame = segment::frame_at(self.window(), whole, self.form, self.position)?;
        self.pass(&frame);
        Ok(Some((frame, frame.bytes(self.window()))))
    }

    /// What the next frame's header says; `None` at the end of a packed file.
    fn peek(&mut self) -> Result<Option<FrameAt>, ReadError> {
        let start = (self.offset - self.window_offset) as usize;
        let start = self.fill(start, self.form.prefix_len() + segment::HEADER_LEN)?;
        let rest = &self.window()[start..];
        if rest.is_empty() && self.form == Form::Packed {
            return Ok(None);
        }
        let frame = segment::header_at(rest, self.form, self.position)?;
        if frame.from < self.position {
            return Err(FrameError::Lengths.into());
        }
        Ok(Some(frame))
    }

    fn pass(&mut self, frame: &FrameAt) {
        self.offset += (self.form.prefix_len() + frame.header.frame_len()) as u64;
        self.position = frame.to;
    }

    /// Makes `len` bytes from the window's `start` on available, or all that the file has; returns
    /// where they start now.
    fn fill(&mut self, start: usize, len: usize) -> Result<usize, ReadError> {
        if start + len <= self.window_len {
            return Ok(start);
        }
        let wanted = len.max(WINDOW_BYTES);
        if self.room.len() < wanted {
            self.room.resize(wanted, 0);
        }
        (self.window_offset, self.window_len) = (self.offset, 0);
        self.window_len = self.file.read_at(self.offset, &mut self.room[..wanted])?;
        Ok(0)
    }

    fn window(&self) -> &[u8] {
        &self.room[..self.window_len]
    }
}

/// A frame with events, out of the log.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// A cursor anywhere from here to `range.from` gets this frame next.
    pub(super) covers_from: u64,
    pub(super) range: LogRange,
    pub(super) batch: Arc<Protected>,
}

/// Reads the frames with events from `position` on, about [`WINDOW_BYTES`] of them and at least
/// one; also returns the position reached.
pub(super) fn read_ahead(
    reader: &mut FrameReader,
    position: u64,
    stop: u64,
) -> Result<(Vec<Stored>, u64), ReadError> {
    reader.skip_to(position, stop)?;
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut covers_from = position;
    while bytes < WINDOW_BYTES {
        let (frame, whole) = match reader.next(stop) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok((found, stop)),
            // What was read before the damage is handed out first; the damage is met again.
            Err(_) if !found.is_empty() => return Ok((found, covers_from)),
            Err(error) => return Err(error),
        };
        // One bit makes nothing of one event: only a sound frame may say that it has none.
        if frame.header.n_records == 0 && frame.is_sound_alone(whole) {
            continue;
        }
        let batch = match Protected::from_frame(whole) {
            Ok(batch) => Arc::new(batch),
            Err(_) if !found.is_empty() => return Ok((found, covers_from)),
            Err(error) => return Err(error.into()),
        };
        bytes += batch.slab.len();
        let range = LogRange { from: frame.from, to: frame.to };
        found.push(Stored { covers_from, range, batch });
        covers_from = frame.to;
    }
    Ok((found, covers_from))
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::*;
    use crate::spool::disk::memory::MemoryDisk;
    use crate::spool::testing::frame_of;

    /// Whatever bit flips: the event is there, or the damage is noticed.
    #[test]
    fn no_flipped_bit_makes_an_event_vanish() {
        let frame = frame_of(3, 0, 9, &[b"one"]);
        let segment = Segment { end: frame.len() as u64, ..Segment::empty(0, Form::Raw) };
        let read = |bytes: &[u8]| {
            let disk = MemoryDisk::default();
            let file = disk.create(&segment.path(Path::new("t"))).expect("made");
            file.write_at(0, &mut [IoSlice::new(bytes)]).expect("written");
            let mut reader = FrameReader::open(&disk, Path::new("t"), &segment).expect("opened");
            read_ahead(&mut reader, 0, segment.end).map(|(found, _)| found.len())
        };
        assert_eq!(read(&frame).expect("sound"), 1);
        for bit in 0..frame.len() * 8 {
            let mut bad = frame.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
    }
}
