//! What the writer does about a segment that a reader could not read.
//!
//! # Why
//! A reader only reports: one thread changes files, so a segment is never taken apart twice. A disk
//! that refuses a read is asked again with growing pauses, for about ten seconds, before the segment
//! is set aside; cursors that need it wait meanwhile, others go on.

use std::io;
use std::time::{Duration, Instant};

use super::error::SpoolError;
use super::mark::SourceEnd;
use super::salvage::{self, Quarantined, Salvaged};
use super::scan::{self, Depth, Scan};
use super::segment::{Form, Segment};
use super::tier::{Damaged, State, Tier};

const REFUSALS_MAX: u32 = 7;
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// Looks at the reported segments whose time has come; `active`, which is being written, waits
/// until it is sealed.
pub(super) fn repair(tier: &Tier, active: Option<u64>, now: Instant) {
    let due: Vec<Damaged> = {
        let state = tier.lock();
        let due = state
            .damaged
            .iter()
            .filter(|bad| Some(bad.base) != active && bad.retry_at.is_none_or(|at| at <= now));
        due.copied().collect()
    };
    for damaged in due {
        let (mut wakers, segment) = {
            let mut state = tier.lock();
            let at = state.segments.iter().find(|segment| segment.base == damaged.base).copied();
            (state.wakers(), at)
        };
        let Some(segment) = segment else {
            tier.lock().damaged.retain(|other| other.base != damaged.base);
            wakers.drain(..).for_each(std::task::Waker::wake);
            continue;
        };
        match take_apart(tier, &segment, damaged.n_refusals) {
            Ok((salvaged, scan)) => {
                let mut state = tier.lock();
                replace(&mut state, &segment, &salvaged, &scan);
                wakers.extend(state.wakers());
                drop(state);
                salvaged.quarantined.iter().for_each(|bad| report(tier, bad));
            }
            Err(error) => refused(tier, &segment, &error, now),
        }
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}

fn take_apart(tier: &Tier, segment: &Segment, n_refusals: u32) -> io::Result<(Salvaged, Scan)> {
    let (disk, dir) = (&*tier.disk, &*tier.dir);
    let (base, form) = (segment.base, segment.form);
    let len = if form == Form::Raw { segment.end - base } else { u64::MAX };
    let bytes = match scan::load(disk, &segment.path(dir), len) {
        Err(error) if error.kind() == io::ErrorKind::NotFound || n_refusals >= REFUSALS_MAX => {
            let n_bytes = segment.stored_bytes;
            let salvaged = salvage::set_aside(disk, dir, (base, form), n_bytes, error.to_string())?;
            return Ok((salvaged, Scan::default()));
        }
        loaded => loaded?,
    };
    let scan = scan::scan(&bytes, form, base, segment.end, Depth::Decode);
    if scan.damage.is_empty() && !scan.frames.is_empty() {
        // Read well this time, or cut at a frame's end by somebody else.
        let whole = salvage::segment_of_frames(&scan.frames, form, base);
        return Ok((Salvaged { segments: vec![whole], quarantined: Vec::new() }, scan));
    }
    Ok((salvage::salvage(disk, dir, (base, form), &bytes, &scan)?, scan))
}

/// Puts what was saved in the place of `old` and takes what was lost off the books.
fn replace(state: &mut State, old: &Segment, salvaged: &Salvaged, scan: &Scan) {
    state.damaged.retain(|damaged| damaged.base != old.base);
    let Some(index) = state.segments.iter().position(|segment| segment.base == old.base) else {
        return;
    };
    let behind = state.events_behind(index);
    state.segments.remove(index);
    for frame in &scan.frames {
        // One that could not be read at the start brings its positions now.
        let (key, end) = (frame.header.source_key, frame.header.source_end);
        state.sources.note(SourceEnd { key, end, observed_ns: frame.header.observed_ns });
    }
    for (offset, segment) in salvaged.segments.iter().enumerate() {
        state.segments.insert(index + offset, *segment);
    }
    for route in state.routes.iter_mut().filter(|route| route.read() < old.end) {
        let left = scan.frames.iter().filter(|frame| frame.from >= route.read());
        let left = left.map(|frame| u64::from(frame.header.n_records)).sum::<u64>();
        // A route that stands further back is owed what lies between, too.
        let between = if route.read() <= old.base {
            route.unread().saturating_sub(old.n_events + behind)
        } else {
            0
        };
        route.recount(between + left + behind);
    }
    for route in &mut state.routes {
        let ends = scan.frames.iter().map(|frame| frame.from).chain([old.end]);
        let mut from = old.base;
        for (start, frame) in ends.zip(scan.frames.iter().map(Some).chain([None])) {
            route.lose(from..start);
            from = frame.map_or(old.end, |frame| frame.to);
        }
    }
    state.tail.purge(old.base..old.end);
    state.n_quarantined += salvaged.quarantined.len() as u64;
    state.moved = true;
    state.settle();
}

fn report(tier: &Tier, bad: &Quarantined) {
    let Quarantined { file, from, n_bytes, reason, .. } = bad;
    tracing::error!(tier = %tier.name, file, from, n_bytes, reason, "cannot read part of the spool");
}

fn refused(tier: &Tier, segment: &Segment, error: &io::Error, now: Instant) {
    let mut state = tier.lock();
    let path = segment.path(&tier.dir);
    state.last_error = Some(SpoolError::disk("read", &path, error));
    if let Some(damaged) = state.damaged.iter_mut().find(|bad| bad.base == segment.base) {
        damaged.retry_at = Some(now + RETRY_FIRST * (1 << damaged.n_refusals.min(REFUSALS_MAX)));
        damaged.n_refusals += 1;
    }
}
