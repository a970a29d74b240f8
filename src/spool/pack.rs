//! Rewrites sealed segments that a cursor lags behind as zstd frames.
//!
//! # Why
//! A share of the disk should hold hours of an outage. Frames stay what they are, one by one, so
//! positions, boundaries and checksums keep their meaning and one frame is read without its
//! neighbours. The two newest sealed segments are left alone: a cursor that is a moment late would
//! make work for nothing. It runs on a thread of its own so that no group commit waits for zstd.

use std::io::{self, IoSlice};

use crate::event::frame;

use super::mark::{self, OwnKind};
use super::reader::{FrameReader, ReadError};
use super::segment::{self, Form, FrameAt, Segment};
use super::tier::{State, Tier};

/// Segments behind which one is packed: the active one and the two sealed before it.
pub(super) const PACK_BEHIND: usize = 3;

/// Packs one segment of `tier`; whether there was one.
pub(super) fn pack_one(tier: &Tier) -> bool {
    let Some(segment) = candidate(&tier.lock()) else { return false };
    let packed = match pack(tier, &segment) {
        Ok(packed) => packed,
        Err(error) => {
            tracing::debug!(tier = %tier.name, base = segment.base, %error, "could not pack");
            let _ = tier.disk.remove(&tmp_path(tier, &segment));
            // It may have its name already, though not durably.
            remove(tier, segment::path(&tier.dir, segment.base, Form::Packed));
            None
        }
    };
    let mut state = tier.lock();
    let found = state.segments.iter_mut().find(|other| **other == segment);
    let goes = match (found, packed) {
        (Some(found), Some(stored_bytes)) => {
            (found.form, found.stored_bytes) = (Form::Packed, stored_bytes);
            Form::Raw
        }
        (Some(found), None) => {
            found.unpackable = true;
            return true;
        }
        // Passed, or taken apart, meanwhile.
        (None, _) => Form::Packed,
    };
    drop(state);
    remove(tier, segment::path(&tier.dir, segment.base, goes));
    true
}

/// Removes the form of a segment that does not count. Left there, it would be found at the next
/// start, long after those behind it have gone.
fn remove(tier: &Tier, path: std::path::PathBuf) {
    match tier.disk.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tier.lock().leftovers.push(path);
        }
        _ => {}
    }
}

fn candidate(state: &State) -> Option<Segment> {
    let n = state.segments.len().saturating_sub(PACK_BEHIND);
    let sealed = state.segments.iter().take(n).filter(|segment| {
        segment.form == Form::Raw && !segment.unpackable && segment.end > segment.base
    });
    let wanted = |segment: &&Segment| {
        let lagging = state.routes.iter().any(|route| route.floor() < segment.end);
        let reading =
            state.routes.iter().any(|route| (segment.base..segment.end).contains(&route.read()));
        let damaged = state.damaged.iter().any(|damaged| damaged.base == segment.base);
        lagging && !reading && !damaged
    };
    sealed.copied().find(|segment| wanted(&segment))
}

/// Writes the packed file beside the raw one; its length, or `None` when nothing would be gained.
fn pack(tier: &Tier, segment: &Segment) -> Result<Option<u64>, ReadError> {
    let mut reader = FrameReader::open(&*tier.disk, &tier.dir, segment)?;
    let tmp = tmp_path(tier, segment);
    let file = tier.disk.create(&tmp)?;
    let mut len = 0;
    while let Some((frame, bytes)) = reader.next(segment.end)? {
        let is_last = frame.to == segment.end;
        let Some(parts) = packed_parts(&frame, bytes, is_last)? else { continue };
        let mut slices = parts.each_ref().map(|part| IoSlice::new(part));
        file.write_at(len, &mut slices)?;
        len += parts.iter().map(|part| part.len() as u64).sum::<u64>();
    }
    if reader.position() < segment.end || len >= segment.stored_bytes / 10 * 9 {
        tier.disk.remove(&tmp)?;
        return Ok(None);
    }
    file.sync()?;
    let path = segment::path(&tier.dir, segment.base, Form::Packed);
    tier.disk.rename(&tmp, &path)?;
    tier.disk.sync_dir(&tier.dir)?;
    Ok(Some(len))
}

/// Prefix, head and body of a packed frame. Marks have done their duty and are left out, unless the
/// segment would seem to end before its end.
fn packed_parts(frame: &FrameAt, bytes: &[u8], is_last: bool) -> io::Result<Option<[Vec<u8>; 3]>> {
    let prefix = segment::prefix(frame.from, frame.to).to_vec();
    match frame.own() {
        Some(OwnKind::Mark) if !is_last => Ok(None),
        Some(OwnKind::Footer) if mark::read_footer(bytes).is_some() => {
            Ok(Some([prefix, bytes.to_vec(), Vec::new()]))
        }
        _ => {
            let batch = frame::decode(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let parts = frame::encode_packed(&batch)?;
            Ok(Some([prefix, parts.head, parts.table.into_owned()]))
        }
    }
}

fn tmp_path(tier: &Tier, segment: &Segment) -> std::path::PathBuf {
    segment::path(&tier.dir, segment.base, Form::Packed).with_extension("tmp")
}
