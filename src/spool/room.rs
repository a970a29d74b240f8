//! Which segments can go, and what gives way when a tier's share is used up.
//!
//! Pure decisions over a tier's [`State`]; the writer removes the files.
//!
//! # Why
//! A segment goes only once the head of the next one, which repeats all source positions, is
//! durable: else a crash could forget how far the sources were. A tier that has fallen silent gets
//! a next one without events, when all in its last one is older than the tier's retention.

use crate::telemetry::DropReason;

use super::options::WhenFull;
use super::segment::Segment;
use super::tier::State;

/// What must happen before bytes can be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Nothing.
    Fits,
    /// This segment, which is no longer in the log, is removed.
    Remove(Segment),
    /// The head of the second segment becomes durable.
    Commit,
    /// The only segment is sealed, so that it can go.
    Roll,
    /// A route that blocks still needs the oldest segment.
    Full,
}

/// Makes room for `need` bytes within `bytes_max`, one step at a time.
pub(super) fn make(state: &mut State, need: u64, bytes_max: u64) -> Room {
    if state.stored_bytes() + need <= bytes_max {
        return Room::Fits;
    }
    if let Some(segment) = passed(state) {
        return Room::Remove(segment);
    }
    let Some(front) = state.segments.front().copied() else { return Room::Fits };
    let Some(second) = state.segments.get(1).copied() else {
        // A frame may be larger than what is left of a small share beside an empty head.
        return if front.n_events > 0 { Room::Roll } else { Room::Fits };
    };
    if state.routes.iter().all(|route| route.floor() >= front.end) {
        // Not yet passed although nobody needs it: the second one's head is not durable.
        return if second.end > second.base { Room::Full } else { Room::Commit };
    }
    let lags = |when_full| {
        let mut routes = state.routes.iter().filter(move |route| route.when_full == when_full);
        routes.any(|route| route.floor() < front.end)
    };
    if lags(WhenFull::Block) {
        return Room::Full;
    }
    give_up_front(state, DropReason::SpoolFull);
    passed(state).map_or(Room::Commit, Room::Remove)
}

/// Whether the oldest segment would go if there were a next one.
pub(super) fn is_front_passed(state: &State) -> bool {
    let front = state.segments.front();
    front.is_some_and(|front| state.routes.iter().all(|route| route.floor() >= front.end))
}

/// Takes the oldest segment out of the log if every cursor passed it.
pub(super) fn passed(state: &mut State) -> Option<Segment> {
    let front = state.segments.front()?;
    let second = state.segments.get(1)?;
    let durable = second.end > second.base;
    let settled = state.routes.iter().all(|route| route.floor() >= front.end);
    if durable && settled { state.segments.pop_front() } else { None }
}

/// Moves every cursor past the oldest segment if all its events are older than `horizon_ns`.
/// The last segment never expires: see [`is_last_outlived`]. Returns whether one did.
pub(super) fn expire(state: &mut State, horizon_ns: i64) -> bool {
    let Some(front) = state.segments.front().copied() else { return false };
    let expired = state.segments.len() > 1
        && front.n_events > 0
        && front.newest_ns < horizon_ns
        && state.routes.iter().any(|route| route.floor() < front.end);
    if expired {
        give_up_front(state, DropReason::Expired);
    }
    expired
}

/// Whether there is only one segment, all its events are older than `horizon_ns`, and none come
/// after them. One that could not be read is left to `repair`.
pub(super) fn is_last_outlived(state: &State, horizon_ns: i64) -> bool {
    let outlived = |last: &Segment| {
        let is_damaged = state.damaged.iter().any(|damaged| damaged.base == last.base);
        last.n_events > 0 && last.newest_ns < horizon_ns && !is_damaged
    };
    state.segments.len() == 1
        && state.segments.front().is_some_and(outlived)
        && state.pending.is_empty()
        && !state.closed
}

/// Whether there is an oldest sealed segment that cursors still need and none insists on.
pub(super) fn can_give_up_front(state: &State) -> bool {
    let needed = |front: &Segment| state.routes.iter().any(|route| route.floor() < front.end);
    state.segments.len() > 1 && !state.blocks() && state.segments.front().is_some_and(needed)
}

/// Moves every cursor past the oldest segment; what they missed is counted.
pub(super) fn give_up_front(state: &mut State, reason: DropReason) {
    let Some(front) = state.segments.front().copied() else { return };
    let unread = state.events_behind(0);
    for route in &mut state.routes {
        route.give_up(front.end, unread, reason);
    }
    state.moved = true;
    state.settle();
}
