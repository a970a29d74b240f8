//! Puts a finished body into the store so that a reader never sees half a file: written beside
//! under a temporary name, synced, renamed, and the folder synced. Blocking; for a thread that may
//! wait. What a killed writer leaves is `tiers`' to clean.
//!
//! # Why
//! After a crash a route starts again at the same position, but its first batch may end elsewhere
//! (its minute began anew), so the name alone does not make a repeat overwrite itself. The files
//! of one batch begin at the same position *with the same event*, and an event's record id is
//! never given twice; so what begins like the new file is an earlier cut of it and goes once the
//! new one is in place. What has the same positions but begins with another event comes from
//! another log (the spool was lost, or lives in memory): it is kept, and the new file gets a
//! number.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::file::reader::{ChunkReader, FileReader};
use parquet::file::serialized_reader::SerializedFileReader;

use crate::sinks::files::{Format, name, parquet::FIRST_RECORD_ID};
use crate::sinks::json;

/// Writes `bytes` to `root/file_name` (as [`crate::sinks::Body`] has them) and removes earlier cuts
/// of the same batch. Returns where the file is.
///
/// # Errors
/// What the file system says, or that the name is not one of the store's; the files in place are
/// then untouched, but for cuts that could not be removed.
pub fn place(root: &Path, file_name: &str, bytes: &Bytes) -> io::Result<PathBuf> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "not a name of the store");
    let mut parts = file_name.split('/');
    let (Some(tier), Some(day), Some(file), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(invalid());
    };
    let (range, format) = name::parse_file(file).ok_or_else(invalid)?;
    if !name::is_tier(tier) || name::parse_day(day).is_none() {
        return Err(invalid());
    }
    let folder = root.join(tier).join(day);
    create_folders(root, &folder)?;
    let temporary = folder.join(name::temporary(file));
    let placed = write_synced(&temporary, bytes).and_then(|()| {
        let first = first_of(format, bytes);
        let cuts = begins_at(&folder, range.from, format)?;
        let (cuts, others): (Vec<_>, Vec<_>) =
            cuts.into_iter().partition(|path| first.is_some() && first_in(format, path) == first);
        let free = (1..).map(|n| folder.join(name::numbered(range, format, n)));
        let path = free.into_iter().find(|path| !others.contains(path)).ok_or_else(invalid)?;
        fs::rename(&temporary, &path)?;
        cuts.iter().filter(|cut| **cut != path).try_for_each(fs::remove_file)?;
        Ok(path)
    });
    if placed.is_err() {
        // Best effort: the disk may be full, and half a file would only keep it so.
        let _ = fs::remove_file(&temporary);
    }
    let path = placed?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// The folder's files of this format that begin at position `from`.
fn begins_at(folder: &Path, from: u64, format: Format) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let parsed = entry.file_name().to_str().and_then(name::parse_file);
        if parsed.is_some_and(|(range, of)| range.from == from && of == format) {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// The record id of a body's first event.
fn first_of(format: Format, bytes: &Bytes) -> Option<String> {
    match format {
        Format::Parquet => first_row(bytes.clone()),
        Format::Lines => first_line(&bytes[..memchr::memchr(b'\n', bytes)?]),
    }
}

/// The record id of a file's first event; none where it cannot be read, which keeps the file.
fn first_in(format: Format, path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    match format {
        Format::Parquet => first_row(file),
        Format::Lines => {
            let mut line = Vec::new();
            BufReader::new(file).read_until(b'\n', &mut line).ok()?;
            first_line(&line)
        }
    }
}

fn first_row<R: ChunkReader + 'static>(reader: R) -> Option<String> {
    let file = SerializedFileReader::new(reader).ok()?;
    let pairs = file.metadata().file_metadata().key_value_metadata()?;
    let first = pairs.iter().find(|pair| pair.key == FIRST_RECORD_ID)?;
    first.value.clone().filter(|id| !id.is_empty())
}

fn first_line(line: &[u8]) -> Option<String> {
    let member = |object, key| {
        let members: Vec<json::Member<'_>> = json::object(object)?;
        members.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    };
    let known = member(std::str::from_utf8(line).ok()?, "_sidewake")?;
    json::string(member(known, "record_id")?).map(std::borrow::Cow::into_owned)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Creates what is missing of `folder` and syncs each parent that got a new entry: a synced file
/// in a folder whose own entry was lost would be lost with it.
fn create_folders(root: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if folder != root {
        create_folders(root, parent)?;
    }
    match if folder == root { fs::create_dir_all(folder) } else { fs::create_dir(folder) } {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // The root's own parent may be unreadable to us (a mounted volume); the root is not ours alone.
    if folder == root { Ok(()) } else { File::open(parent)?.sync_all() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::LogRange;

    fn line(record_id: &str, n_lines: usize) -> Bytes {
        let line = format!("{{\"a\":1,\"_sidewake\":{{\"record_id\":\"{record_id}\"}}}}\n");
        Bytes::from(line.repeat(n_lines))
    }

    fn file_name(from: u64, to: u64) -> String {
        format!("t/2026-01-04/{}", name::file(LogRange { from, to }, Format::Lines))
    }

    fn names(root: &Path) -> Vec<String> {
        let entries = fs::read_dir(root.join("t/2026-01-04")).expect("a folder");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    /// A crash between file and acknowledgement: the same events are cut at another place.
    #[test]
    fn a_later_cut_replaces_an_earlier_one() {
        let root = tempfile::tempdir().expect("folder");
        let store = root.path().join("sidewake-data");
        for (to, bytes) in [(9, line("a-0", 2)), (9, line("a-0", 2)), (5, line("a-0", 1))] {
            let path = place(&store, &file_name(0, to), &bytes).expect("placed");
            assert_eq!(fs::read(path).expect("read"), bytes);
            assert_eq!(names(&store), [&file_name(0, to)[13..]]);
        }
        place(&store, &file_name(5, 9), &line("a-5", 1)).expect("placed");
        assert_eq!(names(&store).len(), 2);
    }

    /// Positions that begin anew (a lost spool) never cost what is there already.
    #[test]
    fn another_log_at_the_same_positions_is_kept() {
        let root = tempfile::tempdir().expect("folder");
        for (record_id, to) in [("a-0", 9), ("b-0", 9), ("c-0", 5), ("b-0", 9), ("", 9)] {
            place(root.path(), &file_name(0, to), &line(record_id, 1)).expect("placed");
        }
        let stem = "0000000000000000-0000000000000009";
        let expected = [format!("{stem}.2.jsonl"), format!("{stem}.3.jsonl")];
        assert_eq!(names(root.path())[1..3], expected);
        assert_eq!(names(root.path()).len(), 4);
    }

    /// Where the final name cannot be taken, the error comes back and no temporary stays.
    #[test]
    fn a_failed_rename_cleans_up() {
        let root = tempfile::tempdir().expect("folder");
        let blocked = root.path().join("t/2026-01-04");
        fs::create_dir_all(blocked.join(name::temporary(&file_name(0, 9)[13..]))).expect("made");
        assert!(place(root.path(), &file_name(0, 9), &line("a-0", 1)).is_err());
        for name in ["", "x", "../t/2026-01-04/x", "t/2026-01-04/x.jsonl", "/etc/passwd"] {
            assert!(place(root.path(), name, &Bytes::new()).is_err(), "{name}");
        }
    }
}
