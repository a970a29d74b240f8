//! Takes a damaged segment apart: sound frames stay in the log, everything else goes to files named
//! `*.quarantine` that nothing deletes.
//!
//! # Why
//! The pieces become segments of their own, named by their positions, so no reader has to know of
//! holes inside a file. The order of the steps (bad bytes saved, later pieces made, the original
//! cut) makes a crash between any two of them harmless: what stands in the original behind the next
//! segment's base does not count, and doing it again gives the same.

use std::io::{self, IoSlice};
use std::path::Path;

use super::disk::Disk;
use super::scan::Scan;
use super::segment::{self, Form, FrameAt, Segment};

/// Bytes that were no frames and were set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The file's name in the tier's folder; empty when there was nothing to keep.
    pub file: String,
    /// Log position of the first byte.
    pub from: u64,
    /// How many bytes.
    pub n_bytes: u64,
    /// Events that were lost with it, as far as its headers still say.
    pub n_events: u64,
    /// Why, in a few words.
    pub reason: String,
}

/// What became of a damaged segment.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    pub(super) segments: Vec<Segment>,
    pub(super) quarantined: Vec<Quarantined>,
}

/// The frames of one stretch without damage.
struct Piece<'a> {
    frames: &'a [FrameAt],
    start: usize,
    end: usize,
}

/// Takes the segment at `base` apart; `scan` is what `bytes` hold.
pub(super) fn salvage(
    disk: &dyn Disk,
    dir: &Path,
    (base, form): (u64, Form),
    bytes: &[u8],
    scan: &Scan,
) -> io::Result<Salvaged> {
    if scan.frames.is_empty() {
        let reason = scan.damage.first().map_or("empty".to_owned(), |bad| bad.reason.to_string());
        return set_aside(disk, dir, (base, form), bytes.len() as u64, reason);
    }
    let mut salvaged = Salvaged::default();
    for bad in &scan.damage {
        let content = &bytes[bad.start..bad.end];
        let file = format!("{:016x}-{}.quarantine", bad.from, content.len());
        write_whole(disk, &dir.join(&file), content)?;
        salvaged.quarantined.push(Quarantined {
            file,
            from: bad.from,
            n_bytes: content.len() as u64,
            n_events: bad.n_events,
            reason: bad.reason.to_string(),
        });
    }
    let mut head = None;
    for piece in pieces(&scan.frames, form) {
        let at_head = piece.start == 0;
        let segment = segment_of(&piece, form, if at_head { base } else { piece.frames[0].from });
        if at_head {
            head = Some(piece.end as u64);
        } else {
            let path = segment.path(dir);
            let tmp = path.with_extension("tmp");
            write_whole(disk, &tmp, &bytes[piece.start..piece.end])?;
            disk.rename(&tmp, &path)?;
        }
        salvaged.segments.push(segment);
    }
    disk.sync_dir(dir)?;
    let original = segment::path(dir, base, form);
    match head {
        Some(len) => {
            let file = disk.open(&original)?;
            file.truncate(len)?;
            file.sync()?;
        }
        // A first piece that begins at `base` without its head has taken the file's place.
        None if salvaged.segments.iter().any(|segment| segment.base == base) => {}
        None => disk.remove(&original)?,
    }
    Ok(salvaged)
}

/// Renames the whole segment at `base` to `*.quarantine`.
pub(super) fn set_aside(
    disk: &dyn Disk,
    dir: &Path,
    (base, form): (u64, Form),
    n_bytes: u64,
    reason: String,
) -> io::Result<Salvaged> {
    let path = segment::path(dir, base, form);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut file = format!("{name}.quarantine");
    match disk.rename(&path, &dir.join(&file)) {
        Ok(()) => disk.sync_dir(dir)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.clear(),
        Err(error) => return Err(error),
    }
    let quarantined = Quarantined { file, from: base, n_bytes, n_events: 0, reason };
    Ok(Salvaged { segments: Vec::new(), quarantined: vec![quarantined] })
}

/// The segment that `frames`, without a hole, make.
pub(super) fn segment_of_frames(frames: &[FrameAt], form: Form, base: u64) -> Segment {
    let mut segment = Segment::empty(base, form);
    for frame in frames {
        segment.count(u64::from(frame.header.n_records), frame.header.observed_ns);
        segment.end = frame.to;
        segment.stored_bytes = frame.next() as u64;
    }
    segment
}

fn segment_of(piece: &Piece<'_>, form: Form, base: u64) -> Segment {
    let stored_bytes = (piece.end - piece.start) as u64;
    Segment { stored_bytes, ..segment_of_frames(piece.frames, form, base) }
}

fn pieces(frames: &[FrameAt], form: Form) -> impl Iterator<Item = Piece<'_>> {
    let adjacent = move |a: &FrameAt, b: &FrameAt| a.next() + form.prefix_len() == b.offset;
    frames.chunk_by(adjacent).map(move |frames| Piece {
        frames,
        start: frames[0].offset - form.prefix_len(),
        end: frames[frames.len() - 1].next(),
    })
}

fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(path)?;
    file.write_at(0, &mut [IoSlice::new(bytes)])?;
    file.sync()
}
