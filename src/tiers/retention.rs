//! Retention of the embedded store: which day folders are past their tier's retention, and their
//! removal. Planned first, so that a person can see what would go; applied from the plan alone.
//!
//! A day folder goes when its *end* (midnight UTC) lies a whole retention back, so nothing goes
//! early. Only regular files with names of ours are removed; a folder that holds anything else
//! stays, and is reported. What a killed writer left (`.….tmp`) goes after [`LEFTOVER_AGE`].
//!
//! # Why
//! Everything goes by handles of folders opened without following links (`openat`, `unlinkat`):
//! whoever may write into the store must not be able to point its cleaner at another folder, not
//! even between plan and removal.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use rustix::io::Errno;
use time::Date;

use crate::sinks::files::name;

/// A temporary file this old has no writer any more: one is written within seconds.
pub const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// How long a tier keeps what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The tier, which is the name of its folder.
    pub tier: String,
    /// The time from the end of a day to its removal.
    pub keep: Duration,
}

/// What would be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Day folders past their tier's retention, tier by tier, oldest first.
    pub days: Vec<Day>,
    /// Temporary files without a writer, in any folder.
    pub leftovers: Vec<Leftover>,
}

/// A day folder past its tier's retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// The tier.
    pub tier: String,
    /// The day.
    pub day: Date,
    /// Names of its files.
    pub files: Vec<String>,
    /// Their bytes.
    pub n_bytes: u64,
    /// Entries that are not ours and keep the folder in place.
    pub n_foreign: usize,
}

/// A temporary file without a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The tier.
    pub tier: String,
    /// The day.
    pub day: Date,
    /// Its name.
    pub file: String,
    /// Its bytes.
    pub n_bytes: u64,
}

/// What was removed.
#[derive(Debug, Default)]
pub struct Report {
    /// Files, leftovers included.
    pub n_files: usize,
    /// Their bytes.
    pub n_bytes: u64,
    /// Day folders.
    pub n_folders: usize,
    /// What could not be removed; it is planned again next time.
    pub failures: Vec<(PathBuf, io::Error)>,
}

/// Finds what is past its retention in the store at `root` at the moment `now_ns` (nanoseconds
/// since 1970). Tiers without a folder, and a root that does not exist yet, have nothing.
///
/// # Errors
/// When the root or a tier's folder cannot be read.
pub fn plan(root: &Path, tiers: &[Retention], now_ns: i64) -> io::Result<Plan> {
    let mut plan = Plan::default();
    let Some(root) = optional(open_root(root))? else { return Ok(plan) };
    for retention in tiers {
        if !name::is_tier(&retention.tier) {
            continue;
        }
        let Some(tier) = optional(open_folder(&root, &retention.tier))? else { continue };
        let mut days: Vec<Date> =
            entries(&tier)?.iter().filter_map(|folder| name::parse_day(folder)).collect();
        days.sort_unstable();
        for day in days {
            plan_day(&tier, retention, day, now_ns, &mut plan)?;
        }
    }
    Ok(plan)
}

fn plan_day(
    tier: &OwnedFd,
    retention: &Retention,
    day: Date,
    now_ns: i64,
    plan: &mut Plan,
) -> io::Result<()> {
    // A link or a file under a day's name is foreign, whatever it points at.
    let Ok(folder) = open_folder(tier, &name::day_folder(day)) else { return Ok(()) };
    let is_expired = is_expired(day, retention.keep, now_ns);
    let tier = &retention.tier;
    let mut expired = Day { tier: tier.clone(), day, files: Vec::new(), n_bytes: 0, n_foreign: 0 };
    for file in entries(&folder)? {
        let Ok(stat) = statat(&folder, &file, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let n_bytes = u64::try_from(stat.st_size).unwrap_or_default();
        let age_ns = i128::from(now_ns) - i128::from(stat.st_mtime) * 1_000_000_000;
        if is_file && name::is_temporary(&file) && age_ns > LEFTOVER_AGE.as_nanos() as i128 {
            plan.leftovers.push(Leftover { tier: tier.clone(), day, file, n_bytes });
        } else if is_file && name::parse_file(&file).is_some() {
            expired.files.push(file);
            expired.n_bytes += n_bytes;
        } else {
            expired.n_foreign += 1;
        }
    }
    if is_expired {
        expired.files.sort_unstable();
        plan.days.push(expired);
    }
    Ok(())
}

/// Whether the day's end lies `keep` or more before `now_ns`.
fn is_expired(day: Date, keep: Duration, now_ns: i64) -> bool {
    let Some(next) = day.next_day() else { return false };
    let end_ns = next.midnight().assume_utc().unix_timestamp_nanos();
    end_ns + keep.as_nanos() as i128 <= i128::from(now_ns)
}

/// Removes what `plan` lists below `root`. Never stops at a failure: the rest is still removed.
#[must_use]
pub fn apply(root: &Path, plan: &Plan) -> Report {
    let mut report = Report::default();
    for leftover in &plan.leftovers {
        let path = [&leftover.tier, &name::day_folder(leftover.day), &leftover.file];
        let removed = folder_of(root, &leftover.tier, leftover.day)
            .and_then(|(_, folder)| remove(&folder, &leftover.file));
        match removed {
            Ok(()) => report.removed(1, leftover.n_bytes),
            Err(error) => report.failures.push((path.iter().collect(), error)),
        }
    }
    for day in &plan.days {
        if let Err(error) = apply_day(root, day, &mut report) {
            let path = [&day.tier, &name::day_folder(day.day)];
            report.failures.push((path.iter().collect(), error));
        }
    }
    report
}

fn apply_day(root: &Path, day: &Day, report: &mut Report) -> io::Result<()> {
    let (tier, folder) = folder_of(root, &day.tier, day.day)?;
    let size = |file: &str| {
        statat(&folder, file, AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| stat.st_size)
            .unwrap_or_default()
    };
    for file in &day.files {
        let n_bytes = u64::try_from(size(file)).unwrap_or_default();
        remove(&folder, file)?;
        report.removed(1, n_bytes);
    }
    match unlinkat(&tier, name::day_folder(day.day), AtFlags::REMOVEDIR) {
        Ok(()) => report.n_folders += 1,
        // Something foreign or new lies in it: it stays.
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

impl Report {
    fn removed(&mut self, n_files: usize, n_bytes: u64) {
        self.n_files += n_files;
        self.n_bytes += n_bytes;
    }
}

/// Removes one file that is still what the plan saw; one that is gone is as good as removed.
fn remove(folder: &OwnedFd, file: &str) -> io::Result<()> {
    let stat = match statat(folder, file, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat?,
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("no longer a regular file"));
    }
    Ok(unlinkat(folder, file, AtFlags::empty())?)
}

fn folder_of(root: &Path, tier: &str, day: Date) -> io::Result<(OwnedFd, OwnedFd)> {
    let tier = open_folder(&open_root(root)?, tier)?;
    let folder = open_folder(&tier, &name::day_folder(day))?;
    Ok((tier, folder))
}

/// The root is config's word and may be a link.
fn open_root(root: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(root, flags, Mode::empty())?)
}

fn open_folder(parent: &OwnedFd, folder: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, folder, flags, Mode::empty())?)
}

fn optional(opened: io::Result<OwnedFd>) -> io::Result<Option<OwnedFd>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Names in a folder; those that are not UTF-8 are replaced by what is no name of ours.
fn entries(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let entry = entry.file_name().to_string_lossy();
        if entry != "." && entry != ".." {
            names.push(entry.into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
