//! Where a cursor goes on that stood somewhere in the log: at the beginning of a frame, with the
//! events from there on counted.

use std::collections::VecDeque;
use std::path::Path;

use super::disk::Disk;
use super::reader::FrameReader;
use super::segment::Segment;

/// How far a segment was read to find a place in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// Which segment.
    base: u64,
    /// The frame's beginning that was reached.
    position: u64,
    /// Events in front of it.
    n_passed: u64,
}

/// The segment that holds `position`, or the next one behind it.
pub(super) fn segment_at(segments: &VecDeque<Segment>, position: u64) -> Option<(usize, &Segment)> {
    let index = segments.partition_point(|segment| segment.end <= position);
    Some((index, segments.get(index)?))
}

/// Events in the segments behind the one with number `index`.
pub(super) fn events_behind(segments: &VecDeque<Segment>, index: usize) -> u64 {
    segments.iter().skip(index + 1).map(|segment| segment.n_events).sum()
}

/// Reads `segment` up to `stored`; `None` when that is not within it.
pub(super) fn walk(disk: &dyn Disk, dir: &Path, segment: &Segment, stored: u64) -> Option<Walked> {
    let base = segment.base;
    if stored <= base {
        return None;
    }
    // Where damage is met the cursor begins with the segment: its first read reports it, and what
    // is counted here from a damaged head would never be put right.
    let at_base = Walked { base, position: base, n_passed: 0 };
    let Ok(mut reader) = FrameReader::open(disk, dir, segment) else { return Some(at_base) };
    let mut n_passed = 0;
    loop {
        let position = reader.position();
        let reached = Walked { base, position, n_passed };
        match reader.next(segment.end) {
            Ok(Some((frame, _))) if frame.to > stored => return Some(reached),
            Ok(Some((frame, bytes))) if frame.is_sound_alone(bytes) => {
                n_passed += u64::from(frame.header.n_records);
            }
            Ok(None) => return Some(reached),
            _ => return Some(at_base),
        }
    }
}

/// Where to go on for whom stood at `stored`, and the durable events from there on. Behind all
/// segments that is `end`; what was not walked, or is gone meanwhile, is begun with.
pub(super) fn place(
    segments: &VecDeque<Segment>,
    stored: u64,
    walked: Option<Walked>,
    end: u64,
) -> (u64, u64) {
    let Some((index, segment)) = segment_at(segments, stored) else { return (end, 0) };
    let behind = events_behind(segments, index);
    match walked.filter(|walked| walked.base == segment.base) {
        Some(Walked { position, n_passed, .. }) => {
            (position, segment.n_events.saturating_sub(n_passed) + behind)
        }
        None => (segment.base, segment.n_events + behind),
    }
}
