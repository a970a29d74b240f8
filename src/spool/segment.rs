//! One file of a tier's log: its name, its form, what is known of it without reading it.
//!
//! Owns the two forms: *raw*, frames as they were appended, where the logical position of a frame is
//! the segment's base plus its offset in the file; and *packed*, zstd frames of which each is
//! preceded by its logical position:
//!
//! ```text
//! offset size  packed entry (little-endian)
//!      0    8  position         logical position of the frame as it was appended
//!      8    4  logical_len      bytes that it had there
//!     12    4  crc32            over bytes 0..12
//!     16    .  frame            codec zstd, or stored for the spool's own frames
//! ```

use std::path::{Path, PathBuf};

use crate::event::frame::{self, FrameError, Header};

use super::mark::{Footer, OwnKind};

pub(super) use frame::HEADER_LEN;

/// Bytes in front of a packed frame.
pub(super) const PREFIX_LEN: usize = 16;

/// How a segment's file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Raw,
    Packed,
}

impl Form {
    fn extension(self) -> &'static str {
        match self {
            Self::Raw => "seg",
            Self::Packed => "pack",
        }
    }

    /// Bytes of a file that stand in front of each frame.
    pub(super) fn prefix_len(self) -> usize {
        match self {
            Self::Raw => 0,
            Self::Packed => PREFIX_LEN,
        }
    }
}

/// A segment of a tier's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Logical position of its first byte.
    pub(super) base: u64,
    /// Logical position behind its last durable frame; the next segment's base may lie further.
    pub(super) end: u64,
    /// Events in its durable frames.
    pub(super) n_events: u64,
    /// Lowest and highest observed time of its frames; `i64::MAX` and `MIN` while it has none.
    pub(super) oldest_ns: i64,
    pub(super) newest_ns: i64,
    /// How the file is laid out.
    pub(super) form: Form,
    /// Bytes of the file.
    pub(super) stored_bytes: u64,
    /// Set once packing it failed or gained nothing.
    pub(super) unpackable: bool,
}

impl Segment {
    /// A segment that begins at `base` and holds nothing yet.
    pub(super) fn empty(base: u64, form: Form) -> Self {
        Self {
            base,
            end: base,
            n_events: 0,
            oldest_ns: i64::MAX,
            newest_ns: i64::MIN,
            form,
            stored_bytes: 0,
            unpackable: false,
        }
    }

    /// Takes `n_events` observed at `observed_ns` into the sums.
    pub(super) fn count(&mut self, n_events: u64, observed_ns: i64) {
        if n_events > 0 {
            self.n_events += n_events;
            self.oldest_ns = self.oldest_ns.min(observed_ns);
            self.newest_ns = self.newest_ns.max(observed_ns);
        }
    }

    /// What the segment says of itself when it is sealed with a footer at its end.
    pub(super) fn footer(&self, at: u64) -> Footer {
        let Self { base, n_events, oldest_ns, newest_ns, .. } = *self;
        Footer { at, base, n_events, oldest_ns, newest_ns }
    }

    /// Where the segment lies below `dir`.
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        path(dir, self.base, self.form)
    }
}

/// The path of the segment that begins at `base`.
pub(super) fn path(dir: &Path, base: u64, form: Form) -> PathBuf {
    dir.join(format!("{base:016x}.{}", form.extension()))
}

/// The base and form that a file's name says; `None` for files that are not segments.
pub(super) fn parse_name(name: &str) -> Option<(u64, Form)> {
    let (base, extension) = name.split_once('.')?;
    let form = match extension {
        "seg" => Form::Raw,
        "pack" => Form::Packed,
        _ => return None,
    };
    let digits = base.len() == 16 && base.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    Some((u64::from_str_radix(base, 16).ok().filter(|_| digits)?, form))
}

/// A frame's place, and what its header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameAt {
    /// Logical positions.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Offset of the frame (behind any prefix) in the bytes looked at.
    pub(super) offset: usize,
    pub(super) header: Header,
}

impl FrameAt {
    /// The frame's bytes within the bytes that it was found in.
    pub(super) fn bytes<'a>(&self, within: &'a [u8]) -> &'a [u8] {
        &within[self.offset..self.next()]
    }

    /// Offset behind the frame.
    pub(super) fn next(&self) -> usize {
        self.offset + self.header.frame_len()
    }

    /// Which of the spool's own frames it is.
    pub(super) fn own(&self) -> Option<OwnKind> {
        OwnKind::of(&self.header)
    }

    /// Whether it is an own frame that proves all before it to have been synced.
    pub(super) fn is_proof(&self) -> bool {
        self.own().is_some_and(OwnKind::is_proof) && self.header.source_end == self.from
    }

    /// Whether the frame's checksum holds.
    pub(super) fn is_sound(&self, within: &[u8]) -> bool {
        self.is_sound_alone(self.bytes(within))
    }

    /// The same of the frame's own bytes.
    pub(super) fn is_sound_alone(&self, bytes: &[u8]) -> bool {
        crc32fast::hash(&bytes[8..]) == self.header.crc
    }
}

/// Parses what stands at `offset` of a segment's bytes: lengths are checked, the checksum is not.
/// `position` is the logical position of `offset` in a raw segment; a packed entry names its own.
///
/// # Errors
/// [`FrameError::Short`] when the bytes end inside the frame, else why there is none.
pub(super) fn frame_at(
    bytes: &[u8],
    offset: usize,
    form: Form,
    position: u64,
) -> Result<FrameAt, FrameError> {
    let rest = bytes.get(offset..).ok_or(FrameError::Short)?;
    let mut frame = header_at(rest, form, position)?;
    frame.offset += offset;
    if frame.next() > bytes.len() { Err(FrameError::Short) } else { Ok(frame) }
}

/// As [`frame_at`] the start of `bytes`, of which only prefix and header must be there.
///
/// # Errors
/// [`FrameError`] for what is no frame's head.
pub(super) fn header_at(bytes: &[u8], form: Form, position: u64) -> Result<FrameAt, FrameError> {
    let (prefix, rest) = bytes.split_at_checked(form.prefix_len()).ok_or(FrameError::Short)?;
    let header = Header::parse(rest)?;
    let (from, len) = match form {
        Form::Raw => (position, header.frame_len() as u64),
        Form::Packed => read_prefix(prefix)?,
    };
    Ok(FrameAt { from, to: from + len, offset: form.prefix_len(), header })
}

/// The prefix of a packed frame.
pub(super) fn prefix(from: u64, to: u64) -> [u8; PREFIX_LEN] {
    let mut prefix = [0; PREFIX_LEN];
    prefix[..8].copy_from_slice(&from.to_le_bytes());
    prefix[8..12].copy_from_slice(&((to - from) as u32).to_le_bytes());
    let crc = crc32fast::hash(&prefix[..12]);
    prefix[12..].copy_from_slice(&crc.to_le_bytes());
    prefix
}

fn read_prefix(prefix: &[u8]) -> Result<(u64, u64), FrameError> {
    let prefix: &[u8; PREFIX_LEN] = prefix.first_chunk().ok_or(FrameError::Short)?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, crc @ ..] = *prefix;
    let position = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let len = u32::from_le_bytes([i, j, k, l]);
    let bounded = (frame::HEADER_LEN..=frame::FRAME_BYTES_MAX).contains(&(len as usize));
    if crc32fast::hash(&prefix[..12]) != u32::from_le_bytes(crc) {
        return Err(FrameError::Checksum);
    }
    if !bounded || position.checked_add(u64::from(len)).is_none() {
        return Err(FrameError::Lengths);
    }
    Ok((position, u64::from(len)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::mark;

    #[test]
    fn names_round_trip_and_strangers_are_left_alone() {
        let dir = Path::new("t");
        for (base, form) in [(0, Form::Raw), (u64::MAX, Form::Packed), (0x0040_0000, Form::Raw)] {
            let path = path(dir, base, form);
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert_eq!(parse_name(name), Some((base, form)));
        }
        for name in ["cursors", "0.seg", "+000000000000000.seg", "000000000000000A.seg", "x.tmp"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_packed_frame_keeps_its_position() {
        let frame = mark::mark(1000);
        let mut bytes = prefix(1000, 1000 + frame.len() as u64).to_vec();
        bytes.extend_from_slice(&frame);
        let found = frame_at(&bytes, 0, Form::Packed, 0).expect("sound");
        assert_eq!((found.from, found.to), (1000, 1000 + frame.len() as u64));
        assert!(found.is_proof() && found.is_sound(&bytes));
        assert_eq!(found.next(), bytes.len());
        for at in 0..PREFIX_LEN {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(frame_at(&bad, 0, Form::Packed, 0).is_err(), "byte {at}");
        }
    }
}
