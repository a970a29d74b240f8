//! Puts the spool together from what recovery found.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::telemetry::DropReason;

use super::cursor_file::{CursorFile, Positions};
use super::disk::Disk;
use super::log::Log;
use super::options::{Options, RouteOptions, TierOptions};
use super::place;
use super::recovery::{Known, Recovered, TierReport, recover};
use super::route::Route;
use super::tail::Tail;
use super::tier::{State, Tier};
use super::{RecoveryReport, SpoolError};

/// Recovers every tier below `root`.
pub(super) fn open_tiers(
    disk: &Arc<dyn Disk>,
    root: &Path,
    mut options: Options,
) -> Result<(Vec<Log>, RecoveryReport), SpoolError> {
    disk.create_dir(root).map_err(|error| SpoolError::disk("create", root, &error))?;
    let lock = root.join("lock");
    match disk.lock(&lock) {
        Ok(true) => {}
        Ok(false) => return Err(SpoolError::Locked(root.display().to_string())),
        Err(error) => return Err(SpoolError::disk("lock", &lock, &error)),
    }
    let mut report = RecoveryReport::default();
    let mut logs = Vec::with_capacity(options.tiers.len());
    for tier in std::mem::take(&mut options.tiers) {
        let (log, found) = open_tier(disk, root, &options, tier)?;
        tell(&found);
        report.tiers.push(found);
        logs.push(log);
    }
    let listed = disk.list(root).unwrap_or_default();
    let known = |name: &str| logs.iter().any(|log: &Log| log.tier.name == name);
    let strangers = listed.into_iter().filter(|entry| entry.is_dir && !known(&entry.name));
    report.strangers.extend(strangers.map(|entry| entry.name));
    Ok((logs, report))
}

fn open_tier(
    disk: &Arc<dyn Disk>,
    root: &Path,
    options: &Options,
    tier: TierOptions,
) -> Result<(Log, TierReport), SpoolError> {
    let dir = root.join(&tier.name);
    let bytes_max = options.tier_bytes(&tier);
    disk.create_dir(&dir).map_err(|error| SpoolError::disk("create", &dir, &error))?;
    let (cursor_file, positions) = CursorFile::load(disk, &dir);
    let known = Known::of(positions.as_ref(), &tier.routes);
    let mut recovered = recover(&**disk, &dir, &tier.name, known)?;
    // The file is made before the first segment.
    let is_gone = cursor_file.is_new() && recovered.report.n_segments > 0;
    recovered.report.cursors_lost = positions.is_none() || is_gone;
    let mut positions = positions.unwrap_or_default();
    // Sinks may have named what they wrote by positions: none is ever given out again.
    positions.absent.append(&mut positions.routes);
    let known_ends = positions.absent.iter().map(|(_, position)| *position);
    let end = known_ends.chain([recovered.end(), positions.log_end]).max().unwrap_or(0);
    let mut routes = Vec::with_capacity(tier.routes.len());
    for route in tier.routes {
        let known = positions.absent.iter().position(|(sink, _)| *sink == route.sink);
        let stored = known.map_or(0, |index| positions.absent.swap_remove(index).1);
        let segments = &recovered.segments;
        let at = place::segment_at(segments, stored);
        let walked = at.and_then(|(_, segment)| place::walk(&**disk, &dir, segment, stored));
        let (position, unread) = place::place(segments, stored, walked, end);
        let lost = recovered.report.quarantined.iter().filter(|bad| bad.from >= stored);
        let lost: u64 = lost.map(|bad| bad.n_events).sum();
        route.counters.events_in.add(lost);
        route.counters.dropped(DropReason::Quarantined).add(lost);
        routes.push(Route::new(route, position, unread));
    }
    let report = recovered.report.clone();
    let mut state = state(recovered, routes, (end, known.synced), options.tail_bytes);
    state.absent = positions.absent;
    state.settle();
    let tier = Tier {
        name: tier.name,
        dir,
        disk: Arc::clone(disk),
        bytes_max,
        segment_bytes: options.segment_bytes.min(bytes_max / 4),
        pending_bytes_max: options.pending_bytes,
        retention_ns: retention_ns(tier.retention).into(),
        cursor_file: Mutex::new(cursor_file),
        state: Mutex::new(state),
    };
    Ok((Log::new(Arc::new(tier)), report))
}

impl Known {
    /// What the positions say, as far as it concerns `routes`.
    fn of(positions: Option<&Positions>, routes: &[RouteOptions]) -> Self {
        let Some(positions) = positions else { return Self::default() };
        let is_configured = |sink: &str| routes.iter().any(|route| route.sink == *sink);
        let owed = positions.routes.iter().filter(|(sink, _)| is_configured(sink));
        Self { synced: positions.log_end, owed_from: owed.map(|(_, position)| *position).min() }
    }
}

/// A tier's retention, bounded by what a time can say.
pub(super) fn retention_ns(retention: Duration) -> i64 {
    i64::try_from(retention.as_nanos()).unwrap_or(i64::MAX)
}

fn state(
    recovered: Recovered,
    routes: Vec<Route>,
    (end, synced): (u64, u64),
    tail_bytes: usize,
) -> State {
    State {
        durable: end,
        data_end: recovered.data_end(),
        tail: Tail::new(tail_bytes),
        routes,
        absent: Vec::new(),
        n_quarantined: recovered.report.quarantined.len() as u64,
        missing_bytes: recovered.report.missing.iter().map(|gap| gap.to - gap.from).sum(),
        n_written_bytes: 0,
        n_syncs: 0,
        segments: recovered.segments,
        sources: recovered.sources,
        pending: std::collections::VecDeque::new(),
        pending_bytes: 0,
        n_undecided: 0,
        stuck: None,
        leftovers: Vec::new(),
        damaged: recovered.unread,
        synced,
        last_error: recovered.report.errors.last().cloned(),
        closed: false,
        ended: false,
        // The first turn writes down which sinks there are.
        moved: true,
    }
}

/// Says in our own log what recovery found, without any of its content.
fn tell(report: &TierReport) {
    let TierReport { tier, n_segments, n_events, torn_bytes, .. } = report;
    tracing::info!(tier, n_segments, n_events, torn_bytes, "opened the spool");
    for bad in &report.quarantined {
        let (file, from, n_bytes, reason) = (&bad.file, bad.from, bad.n_bytes, &bad.reason);
        tracing::error!(tier, file, from, n_bytes, reason, "quarantined a part of the log");
    }
    for gap in &report.missing {
        tracing::error!(tier, from = gap.from, to = gap.to, "a part of the spool is missing");
    }
    if report.cursors_lost {
        tracing::warn!(
            tier,
            "the positions of its sinks are gone or unreadable: all is sent again"
        );
    }
    for error in &report.errors {
        tracing::warn!(tier, %error, "could not recover all at once");
    }
}
