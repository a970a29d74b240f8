//! Finds a file again after it was renamed or copied away.
//!
//! # Why
//! A copy (`copytruncate`) has another inode, and as often as not its name matches the patterns. It
//! is told by its name (the original's with a suffix), by the head, and by its last bytes being
//! those of the original at the same place. While that holds it is not read as a file of its own;
//! when the original is truncated, the old stream goes on in it. Workers that log under `app.log`
//! and `app.log.2` with one banner look like that at first, and no more after a line of their own.
//! What nothing can tell: that a file of which only such a banner was read was begun anew while we
//! were down.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use super::identity::{Facts, FileId, Head, Mark, read_at_most};
use super::registry::Entry;
use super::tracked::{Place, Tracked};

/// How much of the ends of two files is compared.
const TAIL_BYTES: u64 = 256;
/// How far back the start of the last line is looked for.
const LAST_LINE_BYTES: u64 = 256 << 10;

/// The file of a registry entry: where it was, renamed within its directory, or copied.
pub(super) fn find(entry: &Entry, position: u64) -> Option<(PathBuf, Facts, Place)> {
    // A mark of another position than the spool's is of no use.
    let mark = entry.mark.filter(|mark| mark.position == position);
    let is_it = |path: &Path, facts: &Facts| {
        let is_known = || {
            let file = File::open(path)?;
            let is_short_copy = entry.is_rotated && facts.size < position;
            let is_marked = mark.is_none() || is_short_copy || is_marked(&file, mark)?;
            Ok::<_, io::Error>(entry.head.matches(&file)? && is_marked)
        };
        facts.is_file
            && facts.id.is_same(entry.id)
            && (facts.size >= position || entry.is_rotated)
            && is_known().unwrap_or(false)
    };
    let dir = entry.path.parent()?;
    let here = Facts::at(&entry.path).ok().filter(|facts| is_it(&entry.path, facts));
    if let Some(facts) = here {
        let place = if entry.is_rotated { Place::Rotated } else { Place::Here };
        return Some((entry.path.clone(), facts, place));
    }
    if let Some((path, facts)) = find_inode(dir, entry.id)
        && is_it(&path, &facts)
    {
        return Some((path, facts, Place::Rotated));
    }
    if entry.is_rotated {
        return None;
    }
    let copy = find_copy(&entry.path, &entry.head, mark, position);
    copy.map(|(path, facts)| (path, facts, Place::Rotated))
}

fn is_marked(file: &File, mark: Option<Mark>) -> io::Result<bool> {
    mark.map_or(Ok(false), |mark| mark.matches(file))
}

/// The entry of `dir` that is the file `id`.
pub(super) fn find_inode(dir: &Path, id: FileId) -> Option<(PathBuf, Facts)> {
    let entries = std::fs::read_dir(dir).ok()?;
    let mut same = entries.flatten().filter(|entry| entry.ino() == id.ino);
    same.find_map(|entry| {
        let facts = Facts::at(&entry.path()).ok()?;
        facts.id.is_same(id).then(|| (entry.path(), facts))
    })
}

/// The youngest copy of what once stood at `path` and began with `head`: a sibling with a suffix to
/// its name. If it reaches to `position`, it must have the marked bytes before it, or at least a
/// line's end where no mark is known.
pub(super) fn find_copy(
    path: &Path,
    head: &Head,
    mark: Option<Mark>,
    position: u64,
) -> Option<(PathBuf, Facts)> {
    if head.is_empty() {
        return None;
    }
    let own_name = path.file_name()?;
    let is_copy = |candidate: &Path| -> io::Result<Option<Facts>> {
        let file = File::open(candidate)?;
        let facts = Facts::of(&file)?;
        let mut last = [b'\n'];
        if position > 0 && facts.size >= position {
            read_at_most(&file, &mut last, position - 1)?;
        }
        let fits = match mark {
            Some(mark) if facts.size >= position => mark.matches(&file)?,
            _ => last == [b'\n'],
        };
        Ok((facts.is_file && fits && head.matches(&file)?).then_some(facts))
    };
    let entries = std::fs::read_dir(path.parent()?).ok()?;
    let copies = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        if name == own_name || !has_suffix(&name, own_name) {
            return None;
        }
        Some((entry.path(), is_copy(&entry.path()).ok()??))
    });
    copies.max_by_key(|(_, facts)| (facts.size >= position, facts.modified))
}

fn has_suffix(name: &OsStr, of: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(of.as_encoded_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), Some(b'.' | b'-' | b'_')))
}

/// The names that `path` would be a copy of, going by its own: `a.log.1` of `a.log` and of `a`.
pub(super) fn names_it_may_copy(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let ends = name.char_indices().rev().filter(|(at, c)| *at > 0 && ".-_".contains(*c));
    ends.map(|(at, _)| path.with_file_name(&name[..at]))
}

/// Whether the file at `path` is, as far as it goes, a copy of `original`.
pub(super) fn is_copy(path: &Path, facts: &Facts, original: &Tracked) -> io::Result<bool> {
    if facts.size == 0 {
        // Too early to tell; its first byte brings it here again.
        return Ok(true);
    }
    let copy = File::open(path)?;
    if is_marked(&copy, original.mark)? && original.head.matches(&copy)? && original.position > 0 {
        return Ok(true);
    }
    if !original.head.is_empty() && !original.head.matches(&copy)? && has_whole_head(facts) {
        return Ok(false);
    }
    let file = match &original.file {
        Some(file) => file,
        None => &File::open(&original.path)?,
    };
    if Facts::of(file)?.size < facts.size {
        // The original is shorter: either truncated since, or never as long.
        return Ok(!original.head.is_empty()
            && original.head.matches(&copy)?
            && original.size >= facts.size);
    }
    let from = facts.size.saturating_sub(TAIL_BYTES);
    let (mut a, mut b) = ([0; TAIL_BYTES as usize], [0; TAIL_BYTES as usize]);
    let len = (facts.size - from) as usize;
    let n_a = read_at_most(file, &mut a[..len], from)?;
    let n_b = read_at_most(&copy, &mut b[..len], from)?;
    Ok(n_a == n_b && a[..n_a] == b[..n_b])
}

/// Whether the file is long enough for any head to be compared.
fn has_whole_head(facts: &Facts) -> bool {
    facts.size >= TAIL_BYTES
}

/// Where the last line of a file of `size` begins: behind the last newline.
pub(super) fn last_line_start(file: &File, size: u64) -> io::Result<u64> {
    let from = size.saturating_sub(LAST_LINE_BYTES);
    let mut bytes = vec![0; (size - from) as usize];
    let n = read_at_most(file, &mut bytes, from)?;
    let newline = memchr::memrchr(b'\n', &bytes[..n]);
    Ok(newline.map_or(if from == 0 { 0 } else { size }, |at| from + at as u64 + 1))
}
