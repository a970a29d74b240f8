//! What a spool's folder holds, read from the files alone: for `sidewake spool`, beside a running
//! daemon or without one.
//!
//! Takes no lock and writes nothing. A segment that goes meanwhile is left out; the end of one that
//! is being written looks torn for a moment, which is why that is told apart from damage.

use std::io;
use std::path::Path;

use super::cursor_file::{self, Positions};
use super::disk::os::OsDisk;
use super::peek::{SEGMENT_MAX, oldest_first};
use super::scan::{self, Damage, Depth, Scan};
use super::segment::{self, Form};

/// One tier's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierFiles {
    /// The tier's name.
    pub tier: String,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentFile>,
    /// Its sinks, those that no config names any more among them.
    pub sinks: Vec<SinkPlace>,
    /// Whether neither copy of the sinks' positions could be read.
    pub cursors_unreadable: bool,
    /// What could not be read before and was put aside: file and bytes.
    pub quarantined: Vec<(String, u64)>,
}

/// One segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its name below the tier's folder.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether it is packed.
    pub is_packed: bool,
    /// Position of its first byte, and behind its last sound frame.
    pub base: u64,
    /// See above.
    pub end: u64,
    /// Events in its sound frames.
    pub n_events: u64,
    /// When the first and the last of them were observed, in nanoseconds since 1970.
    pub span_ns: Option<(i64, i64)>,
    /// Stretches that hold no frame and were durable once.
    pub damage: Vec<BadBytes>,
    /// Bytes at its end that were never synced, or are being written.
    pub torn_bytes: u64,
}

/// A stretch of a file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBytes {
    /// Offset in the file.
    pub offset: u64,
    /// How many.
    pub len: u64,
    /// What is wrong with the first of them.
    pub reason: String,
    /// Events that the first frame says it has, where that can still be read.
    pub n_events: u64,
}

/// Where one sink stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPlace {
    /// The sink's name.
    pub sink: String,
    /// Everything before this position is settled.
    pub position: u64,
    /// Events from there on.
    pub n_waiting: u64,
    /// Bytes of the log, as appended, from there on.
    pub waiting_bytes: u64,
}

/// Reads the folders of all tiers below `root`, checking every byte of every frame.
///
/// # Errors
/// When `root` cannot be listed.
pub fn inspect(root: &Path) -> io::Result<Vec<TierFiles>> {
    let mut tiers = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let (Ok(name), path) = (entry.file_name().into_string(), entry.path()) else { continue };
        if let Some(tier) = tier_files(&path, name)? {
            tiers.push(tier);
        }
    }
    tiers.sort_by(|a, b| a.tier.cmp(&b.tier));
    Ok(tiers)
}

/// The tier in the folder `dir`; `None` for a folder that is none's.
fn tier_files(dir: &Path, tier: String) -> io::Result<Option<TierFiles>> {
    if !dir.is_dir() {
        return Ok(None);
    }
    let mut found = TierFiles { tier, ..TierFiles::default() };
    let mut segments = Vec::new();
    let mut has_cursors = false;
    for entry in std::fs::read_dir(dir)?.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        has_cursors |= name == "cursors";
        if let Some(segment) = segment::parse_name(&name) {
            segments.push(segment);
        } else if name.ends_with(".quarantine") {
            let len = entry.metadata().map_or(0, |metadata| metadata.len());
            found.quarantined.push((name, len));
        }
    }
    if segments.is_empty() && !has_cursors {
        return Ok(None);
    }
    found.quarantined.sort();
    let segments = oldest_first(segments);
    let positions = cursor_file::peek(&OsDisk::default(), dir);
    found.cursors_unreadable = has_cursors && positions.is_none();
    let positions = positions.unwrap_or_default();
    let synced = positions.log_end;
    let mut places = places(positions);
    let n_segments = segments.len();
    for (index, (base, form)) in segments.into_iter().enumerate() {
        let path = segment::path(dir, base, form);
        let Ok(bytes) = scan::load(&OsDisk::default(), &path, SEGMENT_MAX) else { continue };
        let scan = scan::scan(&bytes, form, base, u64::MAX, Depth::Decode);
        places.iter_mut().for_each(|place| place.count(&scan));
        // Behind the last proof of the last segment nothing was ever acknowledged.
        let is_last = index + 1 == n_segments;
        let proof = scan.last_proof().unwrap_or(base).max(synced);
        let proof = if is_last { proof } else { u64::MAX };
        found.segments.push(segment_file(&path, (base, form), &bytes, &scan, proof));
    }
    found.sinks = places;
    Ok(Some(found))
}

fn places(positions: Positions) -> Vec<SinkPlace> {
    let place = |(sink, position)| SinkPlace { sink, position, n_waiting: 0, waiting_bytes: 0 };
    positions.routes.into_iter().chain(positions.absent).map(place).collect()
}

impl SinkPlace {
    fn count(&mut self, scan: &Scan) {
        for frame in scan.frames.iter().filter(|frame| frame.to > self.position) {
            let n_events = u64::from(frame.header.n_records);
            self.n_waiting += n_events;
            self.waiting_bytes += if n_events > 0 { frame.to - frame.from } else { 0 };
        }
    }
}

fn segment_file(
    path: &Path,
    (base, form): (u64, Form),
    bytes: &[u8],
    scan: &Scan,
    proof: u64,
) -> SegmentFile {
    let is_torn = |damage: &&Damage| damage.from >= proof;
    let with_events = || scan.frames.iter().filter(|frame| frame.header.n_records > 0);
    let times = || with_events().map(|frame| frame.header.observed_ns);
    let bad = |damage: &Damage| BadBytes {
        offset: damage.start as u64,
        len: (damage.end - damage.start) as u64,
        reason: damage.reason.to_string(),
        n_events: damage.n_events,
    };
    SegmentFile {
        file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: bytes.len() as u64,
        is_packed: form == Form::Packed,
        base,
        end: scan.frames.last().map_or(base, |frame| frame.to),
        n_events: with_events().map(|frame| u64::from(frame.header.n_records)).sum(),
        span_ns: times().min().zip(times().max()),
        damage: scan.damage.iter().filter(|damage| !is_torn(damage)).map(bad).collect(),
        torn_bytes: scan
            .damage
            .iter()
            .filter(is_torn)
            .map(|one| (one.end - one.start) as u64)
            .sum(),
    }
}
