//! What the spool says of itself to `admin`.

use super::error::SpoolError;
use super::route::Route;
use super::tier::{State, Tier};

/// One tier's log now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierStatus {
    /// The tier's name.
    pub tier: String,
    /// Segments in the log, and how many of them are packed.
    pub n_segments: usize,
    /// See above.
    pub n_packed: usize,
    /// Bytes of their files.
    pub stored_bytes: u64,
    /// Bytes that they may have.
    pub bytes_max: u64,
    /// Position of the oldest byte that is kept.
    pub oldest: u64,
    /// Position behind the last durable frame.
    pub durable: u64,
    /// Memory of batches that are not written yet.
    pub pending_bytes: usize,
    /// Memory of batches kept for cursors at the end of the log.
    pub tail_bytes: usize,
    /// Why nothing can be written now: a disk error, or [`SpoolError::Full`] where a route blocks.
    pub stuck: Option<SpoolError>,
    /// The last error, also when it has passed.
    pub last_error: Option<SpoolError>,
    /// Stretches of the log quarantined since the start.
    pub n_quarantined: u64,
    /// Bytes of the log, as appended, that were missing at the start and in no quarantine. How many
    /// events they held nobody knows.
    pub missing_bytes: u64,
    /// Sources whose positions had to be forgotten since the start, because there were too many.
    pub n_forgotten_sources: u64,
    /// Bytes written to its segments since the start, what packing wrote not among them.
    pub n_written_bytes: u64,
    /// Syncs of them.
    pub n_syncs: u64,
    /// The tier's routes.
    pub routes: Vec<RouteStatus>,
}

/// One route's cursor now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteStatus {
    /// The sink's name.
    pub sink: String,
    /// Everything before this is settled.
    pub acked: u64,
    /// Where the next frame is taken from.
    pub read: u64,
    /// Bytes of the log, as appended, that are not settled.
    pub lag_bytes: u64,
    /// Events in them.
    pub lag_events: u64,
    /// Observed time of the oldest of them, in nanoseconds since 1970.
    pub oldest_ns: Option<i64>,
}

impl TierStatus {
    pub(super) fn of(tier: &Tier) -> Self {
        let state = tier.lock();
        let packed = super::segment::Form::Packed;
        Self {
            tier: tier.name.clone(),
            n_segments: state.segments.len(),
            n_packed: state.segments.iter().filter(|segment| segment.form == packed).count(),
            stored_bytes: state.stored_bytes(),
            bytes_max: tier.bytes_max,
            oldest: state.segments.front().map_or(state.durable, |segment| segment.base),
            durable: state.durable,
            pending_bytes: state.pending_bytes,
            tail_bytes: state.tail.bytes(),
            stuck: state.stuck.clone(),
            last_error: state.last_error.clone(),
            n_quarantined: state.n_quarantined,
            missing_bytes: state.missing_bytes,
            n_forgotten_sources: state.sources.n_forgotten(),
            n_written_bytes: state.n_written_bytes,
            n_syncs: state.n_syncs,
            routes: state.routes.iter().map(|route| RouteStatus::of(&state, route)).collect(),
        }
    }
}

impl RouteStatus {
    fn of(state: &State, route: &Route) -> Self {
        let acked = route.floor();
        Self {
            sink: route.sink.clone(),
            acked,
            read: route.read(),
            lag_bytes: state.durable.saturating_sub(acked),
            lag_events: route.n_waiting(),
            oldest_ns: state.oldest_ns(route),
        }
    }
}
