//! Opens a tier's folder after whatever happened to it.
//!
//! 1. Unfinished files (`*.tmp`) go; of a segment that is there raw and packed, the packed one
//!    stays if it ends in its footer.
//! 2. A segment that is not the last was synced before the next one began. Its footer is trusted;
//!    without one it is read whole, and what is damaged in it is quarantined. What stands behind
//!    the next one's base does not count.
//! 3. The last segment is read whole. Damage in front of its last mark, or of what the cursor file
//!    says was synced, is quarantined. At the first damage behind these the log ends: nothing there
//!    was ever acknowledged. The file is cut there; if sound frames lie behind the cut, their bytes
//!    are kept in quarantine.
//! 4. What stands behind the last proof is written again and synced before anybody sees it: after a
//!    SIGKILL it may be in the page cache only, and after a failed sync the kernel takes it for
//!    clean and would not write it by itself. While the disk refuses that, the segment counts as
//!    one that cannot be read yet: what was shown before it is durable would be gone after a power
//!    cut, and its sources would not know.
//! 5. Source positions are read from the last snapshot and the frames behind it.
//!
//! Only the last segment and the footers are read: a spool of a gigabyte opens in milliseconds.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;

use crate::event::log_range::LogRange;

use super::disk::Disk;
use super::error::SpoolError;
use super::mark::{self, FOOTER_LEN, OwnKind, SourceEnd};
use super::salvage::{self, Quarantined, Salvaged};
use super::scan::{self, Depth, Scan};
use super::segment::{self, Form, Segment};
use super::sources::Sources;
use super::tier::Damaged;

/// What was found when the spool was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// One entry a tier, in the order of the options.
    pub tiers: Vec<TierReport>,
    /// Folders that look like tiers and are in no config; they are left alone.
    pub strangers: Vec<String>,
}

/// What was found of one tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierReport {
    /// The tier's name.
    pub tier: String,
    /// Segments found.
    pub n_segments: usize,
    /// Bytes of their files.
    pub n_bytes: u64,
    /// Events in them, passed by cursors or not.
    pub n_events: u64,
    /// Bytes cut off the end: torn writes that were never acknowledged.
    pub torn_bytes: u64,
    /// What could not be read.
    pub quarantined: Vec<Quarantined>,
    /// Positions that no segment holds though the log was durable behind them, a sink has still to
    /// get them, and no quarantine explains it. How many events they held nobody knows: none is
    /// counted. After a power cut, what all sinks got in the last second may be among them.
    pub missing: Vec<LogRange>,
    /// The routes' positions are gone, or both copies unreadable: all sinks begin at the oldest
    /// frame.
    pub cursors_lost: bool,
    /// What the disk refused meanwhile.
    pub errors: Vec<SpoolError>,
}

/// A tier's log as found.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) segments: VecDeque<Segment>,
    pub(super) sources: Sources,
    /// Segments that the disk refused to read.
    pub(super) unread: Vec<Damaged>,
    pub(super) report: TierReport,
}

impl Recovered {
    /// Position behind the last frame.
    pub(super) fn end(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.end)
    }

    fn is_unread(&self, base: u64) -> bool {
        self.unread.iter().any(|unread| unread.base == base)
    }

    /// A position at or behind the end of the last frame with events.
    pub(super) fn data_end(&self) -> u64 {
        let may_have_events =
            |segment: &&Segment| segment.n_events > 0 || self.is_unread(segment.base);
        let with_events = self.segments.iter().rev().find(may_have_events);
        with_events.map_or(0, |segment| segment.end)
    }
}

/// What the file of positions says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// Positions below this were durable.
    pub(super) synced: u64,
    /// What lies behind this a sink has still to get, that had a route and has one.
    pub(super) owed_from: Option<u64>,
}

/// Opens the tier `name` in `dir`, which exists.
///
/// # Errors
/// Only when the folder cannot be listed.
pub(super) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    known: Known,
) -> Result<Recovered, SpoolError> {
    let listed = disk.list(dir).map_err(|error| SpoolError::disk("list", dir, &error))?;
    let mut recovery = Recovery { disk, dir, known, out: Recovered::default() };
    recovery.out.report.tier = name.to_owned();
    let mut files: BTreeMap<u64, Vec<(Form, u64)>> = BTreeMap::new();
    let mut quarantines = Vec::new();
    for entry in listed.iter().filter(|entry| !entry.is_dir) {
        if entry.name.ends_with(".tmp") {
            recovery.note("remove", &dir.join(&entry.name), disk.remove(&dir.join(&entry.name)));
        } else if let Some((base, form)) = segment::parse_name(&entry.name) {
            files.entry(base).or_default().push((form, entry.len));
        } else if entry.name.ends_with(".quarantine") {
            quarantines.extend(kept_range(&entry.name));
        }
    }
    let bases: Vec<u64> = files.keys().copied().collect();
    for (index, (base, forms)) in files.into_iter().enumerate() {
        let (form, len) = recovery.choose(base, &forms);
        let next = bases.get(index + 1).copied();
        let read = match next {
            Some(next) => recovery.sealed(base, form, next),
            None => recovery.last(base, form).is_some(),
        };
        if !read {
            recovery.unread(base, form, len, next);
        }
    }
    let kept = recovery.out.report.quarantined.iter();
    quarantines.extend(kept.filter_map(|bad| kept_range(&bad.file)));
    recovery.find_missing(&quarantines);
    recovery.find_sources();
    let report = &mut recovery.out.report;
    report.n_segments = recovery.out.segments.len();
    report.n_bytes = recovery.out.segments.iter().map(|segment| segment.stored_bytes).sum();
    report.n_events = recovery.out.segments.iter().map(|segment| segment.n_events).sum();
    Ok(recovery.out)
}

/// A segment that was looked at again, and what it holds.
#[derive(Debug, Default)]
pub(super) struct Mended {
    pub(super) salvaged: Salvaged,
    pub(super) scan: Scan,
    pub(super) sources: Sources,
}

/// The last segment once more, when the disk refused to read it at the start.
///
/// # Errors
/// The refusal.
pub(super) fn read_last(
    disk: &dyn Disk,
    dir: &Path,
    (base, form): (u64, Form),
    synced: u64,
) -> Result<Mended, SpoolError> {
    let known = Known { synced, ..Known::default() };
    let mut recovery = Recovery { disk, dir, known, out: Recovered::default() };
    let scan = recovery.last(base, form);
    recovery.find_sources();
    let Recovered { segments, sources, mut report, .. } = recovery.out;
    match (scan, report.errors.pop()) {
        (Some(scan), None) => {
            let segments = segments.into();
            let salvaged = Salvaged { segments, quarantined: report.quarantined };
            Ok(Mended { salvaged, scan, sources })
        }
        (_, error) => Err(error.unwrap_or(SpoolError::Closed)),
    }
}

/// The positions whose bytes a file in quarantine holds, by its name: `<from>-<bytes>`, or that of
/// a whole segment.
fn kept_range(name: &str) -> Option<Range<u64>> {
    let from = u64::from_str_radix(name.get(..16)?, 16).ok()?;
    let n_bytes = name.get(16..)?.strip_prefix('-').and_then(|rest| rest.split('.').next());
    let n_bytes = n_bytes.map_or(Some(u64::MAX), |n_bytes| n_bytes.parse().ok())?;
    Some(from..from.saturating_add(n_bytes))
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    known: Known,
    out: Recovered,
}

impl Recovery<'_> {
    /// Takes note of a refusal that recovery can live with.
    fn note<T>(&mut self, op: &'static str, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.out.report.errors.push(SpoolError::disk(op, path, &error));
                None
            }
        }
    }

    /// Of a segment that is there twice (a crash while it was packed) one goes.
    fn choose(&mut self, base: u64, forms: &[(Form, u64)]) -> (Form, u64) {
        let [only] = forms else {
            let packed = self.footer(base, Form::Packed, u64::MAX).is_some();
            let (stays, goes): (Vec<_>, Vec<_>) =
                forms.iter().partition(|(form, _)| (*form == Form::Packed) == packed);
            for (form, _) in goes {
                let path = segment::path(self.dir, base, form);
                self.note("remove", &path, self.disk.remove(&path));
            }
            return stays.first().copied().unwrap_or((Form::Raw, 0));
        };
        *only
    }

    /// The segment at `base` as its footer describes it, if that stands where it should.
    fn footer(&self, base: u64, form: Form, limit: u64) -> Option<Segment> {
        let file = self.disk.open(&segment::path(self.dir, base, form)).ok()?;
        let stored_bytes = file.len().ok()?;
        let offset = stored_bytes.checked_sub(FOOTER_LEN as u64)?;
        let mut bytes = [0; FOOTER_LEN];
        file.read_at(offset, &mut bytes).ok()?;
        let footer = mark::read_footer(&bytes)?;
        let end = footer.at + FOOTER_LEN as u64;
        let in_place = form == Form::Packed || footer.at == base + offset;
        (footer.base == base && in_place && end <= limit).then_some(Segment {
            end,
            n_events: footer.n_events,
            oldest_ns: footer.oldest_ns,
            newest_ns: footer.newest_ns,
            stored_bytes,
            ..Segment::empty(base, form)
        })
    }

    /// Whether the disk let it be read.
    fn sealed(&mut self, base: u64, form: Form, limit: u64) -> bool {
        if let Some(segment) = self.footer(base, form, limit) {
            self.out.segments.push_back(segment);
            return true;
        }
        let len_max = if form == Form::Raw { limit - base } else { u64::MAX };
        self.cut_beyond(base, form, len_max);
        let Some((bytes, scan)) = self.scan(base, form, len_max, limit) else { return false };
        self.take(base, form, &bytes, &scan);
        true
    }

    /// What counts in the last segment; `None` when the disk refuses to read it, or to make it
    /// durable.
    fn last(&mut self, base: u64, form: Form) -> Option<Scan> {
        let (mut bytes, mut scan) = self.scan(base, form, u64::MAX, u64::MAX)?;
        let proof = scan.last_proof();
        let synced = self.known.synced;
        let unproven =
            |bad: &scan::Damage| bad.from >= synced && proof.is_none_or(|proof| bad.from > proof);
        let torn = scan.damage.iter().position(unproven);
        if let Some(torn) = torn {
            let cut = scan.damage[torn];
            let whole = scan.frames.len();
            scan.frames.retain(|frame| frame.offset < cut.start);
            scan.damage.truncate(torn);
            if scan.frames.len() < whole {
                self.keep_unsynced(cut.from, &bytes[cut.start..]);
            }
            self.out.report.torn_bytes += (bytes.len() - cut.start) as u64;
            bytes.truncate(cut.start);
        }
        // Also where nothing is cut: room that was reserved behind the end is given back.
        self.cut(base, form, bytes.len() as u64);
        let proven = proof.unwrap_or(base).max(self.known.synced).saturating_sub(base);
        self.write_again(base, form, proven, &bytes)?;
        self.take(base, form, &bytes, &scan);
        self.note("sync", self.dir, self.disk.sync_dir(self.dir));
        Some(scan)
    }

    /// A segment that cannot be read now stays in the log with its events uncounted: cursors wait
    /// in front of it until the writer has read it after all, or set it aside.
    fn unread(&mut self, base: u64, form: Form, stored_bytes: u64, next: Option<u64>) {
        let end = next.unwrap_or(base.saturating_add(stored_bytes));
        let segment = Segment { end, stored_bytes, ..Segment::empty(base, form) };
        self.out.segments.push_back(segment);
        self.out.unread.push(Damaged { is_end: next.is_none(), ..Damaged::new(base) });
    }

    fn scan(&mut self, base: u64, form: Form, len: u64, limit: u64) -> Option<(Vec<u8>, Scan)> {
        let path = segment::path(self.dir, base, form);
        let bytes = self.note("read", &path, scan::load(self.disk, &path, len))?;
        let scan = scan::scan(&bytes, form, base, limit, Depth::Checksum);
        Some((bytes, scan))
    }

    /// Takes a scanned segment into the log, in pieces if it is damaged.
    fn take(&mut self, base: u64, form: Form, bytes: &[u8], scan: &Scan) {
        let path = segment::path(self.dir, base, form);
        if bytes.is_empty() && scan.frames.is_empty() {
            self.note("remove", &path, self.disk.remove(&path));
            return;
        }
        let whole = || salvage::segment_of_frames(&scan.frames, form, base);
        if scan.damage.is_empty() {
            self.out.segments.push_back(whole());
            return;
        }
        let salvaged = salvage::salvage(self.disk, self.dir, (base, form), bytes, scan);
        match self.note("quarantine", &path, salvaged) {
            Some(Salvaged { segments, quarantined }) => {
                self.out.segments.extend(segments);
                self.out.report.quarantined.extend(quarantined);
            }
            // Left as it is: the first reader that meets the damage asks for it again.
            None => self.out.segments.push_back(whole()),
        }
    }

    /// What stands behind the next segment's base was given up, and must not count again when that
    /// segment goes first. A disk that refuses is asked again at the next start.
    fn cut_beyond(&mut self, base: u64, form: Form, len_max: u64) {
        let path = segment::path(self.dir, base, form);
        let cut = self.disk.open(&path).and_then(|file| {
            if file.len()? > len_max {
                file.truncate(len_max)?;
                file.sync()?;
            }
            Ok(())
        });
        self.note("truncate", &path, cut);
    }

    fn cut(&mut self, base: u64, form: Form, len: u64) {
        let path = segment::path(self.dir, base, form);
        let cut = self.disk.open(&path).and_then(|file| file.truncate(len));
        self.note("truncate", &path, cut);
    }

    /// Makes the segment durable as it is now, and with it where it was cut: a power cut must bring
    /// nothing back that was given up. `None` when the disk refuses.
    fn write_again(&mut self, base: u64, form: Form, proven: u64, bytes: &[u8]) -> Option<()> {
        // A packed segment was synced whole before it got its name.
        let start = if form == Form::Packed { bytes.len() } else { proven as usize };
        let unproven = bytes.get(start..).unwrap_or_default();
        let path = segment::path(self.dir, base, form);
        let written = self.disk.open(&path).and_then(|file| {
            if !unproven.is_empty() {
                file.write_at(start as u64, &mut [IoSlice::new(unproven)])?;
            }
            file.sync()
        });
        self.note("sync", &path, written)
    }

    fn keep_unsynced(&mut self, from: u64, bytes: &[u8]) {
        let file = format!("{from:016x}-{}.quarantine", bytes.len());
        let path = self.dir.join(&file);
        let kept = self.disk.create(&path).and_then(|kept| {
            kept.write_at(0, &mut [IoSlice::new(bytes)])?;
            kept.sync()
        });
        if self.note("create", &path, kept).is_some() {
            let n_bytes = bytes.len() as u64;
            let reason = "never synced: it stood behind a torn write".to_owned();
            let quarantined = Quarantined { file, from, n_bytes, n_events: 0, reason };
            self.out.report.quarantined.push(quarantined);
        }
    }

    fn find_missing(&mut self, quarantines: &[Range<u64>]) {
        let segments = &self.out.segments;
        let mut gaps = Vec::new();
        // A segment goes when all have passed it: in front of the first one nobody stands.
        if let (Some(owed_from), Some(first)) = (self.known.owed_from, segments.front()) {
            gaps.push((owed_from..first.base, first.form == Form::Packed));
        }
        for (before, behind) in segments.iter().zip(segments.iter().skip(1)) {
            let is_packed = [before, behind].iter().any(|segment| segment.form == Form::Packed);
            gaps.push((before.end..behind.base, is_packed));
        }
        // The file of positions knows how far the log was durable.
        let last = segments.back();
        if !last.is_some_and(|last| self.out.is_unread(last.base)) {
            let is_packed = last.is_some_and(|last| last.form == Form::Packed);
            gaps.push((self.out.end()..self.known.synced, is_packed));
        }
        for (gap, is_packed) in gaps {
            let is_in = |kept: &&Range<u64>| {
                let has_end = kept.end < u64::MAX;
                gap.contains(&kept.start) || (has_end && kept.contains(&gap.start))
            };
            let kept = quarantines.iter().filter(is_in);
            // How much of the log packed bytes were, their length does not say.
            let to = kept.map(|kept| if is_packed { u64::MAX } else { kept.end }).max();
            let from = to.unwrap_or(gap.start);
            if from < gap.end {
                self.out.report.missing.push(LogRange { from, to: gap.end });
            }
        }
    }

    /// Reads back from the end until a snapshot is met.
    fn find_sources(&mut self) {
        let mut behind: Vec<Vec<SourceEnd>> = Vec::new();
        // What is not known to be durable brings its positions when it is.
        let is_end = |base| self.out.unread.iter().any(|bad| bad.is_end && bad.base == base);
        let segments = self.out.segments.iter().filter(|segment| !is_end(segment.base));
        let segments: Vec<Segment> = segments.copied().collect();
        for segment in segments.iter().rev() {
            let len = if segment.form == Form::Raw { segment.end - segment.base } else { u64::MAX };
            let Some((bytes, scan)) = self.scan(segment.base, segment.form, len, segment.end)
            else {
                continue;
            };
            let snapshot = scan.frames.iter().find(|frame| frame.own() == Some(OwnKind::Snapshot));
            let known = snapshot.and_then(|frame| mark::read_snapshot(frame.bytes(&bytes)));
            let ends = scan.frames.iter().map(|frame| SourceEnd {
                key: frame.header.source_key,
                end: frame.header.source_end,
                observed_ns: frame.header.observed_ns,
            });
            behind.push(ends.collect());
            if let Some(known) = known {
                behind.push(known);
                break;
            }
        }
        let ends = behind.into_iter().rev().flatten();
        ends.for_each(|end| self.out.sources.note(end));
    }
}
