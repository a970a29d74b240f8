//! The bounded log of what one route can never deliver.
//!
//! ```text
//! <spool>/dead-letters/<tier>-<sink>/00000000000000000001.frames   frames, one behind the other
//! ```
//! A letter is synced before the cursor passes its events. A new file is begun at every start, at
//! every [`FILE_BYTES`] and for events of another day, so that a torn write can only be the end of
//! a file, and that what was read can be deleted file by file, which is how room is made. Deletes a
//! file itself only when told a time ([`DeadLetters::expire`]) that all its events lie before.
//!
//! # Why
//! A tier's retention is a promise about the letters too, which hold its events. By whole files, as
//! the store goes by whole days: nothing goes early, and nothing stays a day longer.
//!
//! Frames rather than JSON lines: the events are bytes with a table, and a frame keeps all that is
//! known of them (sampling, positions, flags), so that they can be delivered after all.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};

use super::letters::Letter;
use crate::event::frame::{HEADER_LEN, Header};
use crate::protect::protected::Protected;

pub use super::letters::{N_REFUSED, REASON, SINK, TIER};

/// A file is followed by the next one when it has this many bytes.
pub const FILE_BYTES: u64 = 4 << 20;
/// The default bound of one route's dead letters.
pub const MAX_BYTES: u64 = 64 << 20;
/// Events of one file were observed within this time.
const DAY_NS: i64 = 86_400_000_000_000;
pub(super) const EXTENSION: &str = "frames";
/// A file that a replay has taken: nobody writes to it any more.
pub(super) const CLAIMED_EXTENSION: &str = "replay";

/// One route's dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetters(Option<Arc<Mutex<Log>>>);

/// What became of letters.
#[derive(Debug)]
pub(super) enum Fate {
    /// Durable.
    Written,
    /// No room.
    Full,
    /// The disk refused.
    Failed(io::Error),
}

/// What [`DeadLetters::expire`] removed.
#[derive(Debug, Default)]
pub struct Expired {
    /// Files.
    pub n_files: usize,
    /// Their bytes.
    pub n_bytes: u64,
    /// What could not be looked at or removed.
    pub failures: Vec<(PathBuf, io::Error)>,
}

#[derive(Debug)]
struct Log {
    folder: PathBuf,
    max_bytes: u64,
    open: Option<Open>,
}

/// The file that is written to.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    len: u64,
    /// The lowest and the highest observed time in it.
    span_ns: (i64, i64),
}

impl Open {
    /// Whether a letter observed at `observed_ns` may follow here. The file is locked then.
    fn takes(&self, observed_ns: i64) -> bool {
        let (oldest, newest) = self.widened(observed_ns);
        // Locked by another, or not at its place any more: it is being replayed, or was deleted.
        // What follows there would go with it.
        self.len < FILE_BYTES
            && newest.saturating_sub(oldest) < DAY_NS
            && flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && is_at(&self.file, &self.path)
    }

    fn widened(&self, observed_ns: i64) -> (i64, i64) {
        (self.span_ns.0.min(observed_ns), self.span_ns.1.max(observed_ns))
    }
}

impl DeadLetters {
    /// Letters below `folder`, which is made when the first one comes. `max_bytes` bounds them all.
    #[must_use]
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(Log { folder, max_bytes, open: None }))))
    }

    /// No room at all: what is refused is dropped and counted. For a spool in memory.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The folder of a route's letters below the spool's.
    #[must_use]
    pub fn folder(spool: &Path, tier: &str, sink: &str) -> PathBuf {
        Self::root(spool).join(format!("{tier}-{sink}"))
    }

    /// The folder of all routes' letters below the spool's.
    #[must_use]
    pub fn root(spool: &Path) -> PathBuf {
        spool.join("dead-letters")
    }

    /// The folders of all routes that have letters, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be listed; none is no error.
    pub fn folders(spool: &Path) -> io::Result<Vec<PathBuf>> {
        let listed = match std::fs::read_dir(Self::root(spool)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut folders: Vec<_> =
            listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        folders.sort();
        Ok(folders)
    }

    /// Where the letters are kept.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        let log = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(log.folder.clone())
    }

    /// Removes the files of which all events were observed before `horizon_ns` (nanoseconds since
    /// 1970). Never stops at a failure: the rest is still removed.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn expire(&self, horizon_ns: i64) -> io::Result<Expired> {
        let Some(log) = &self.0 else { return Ok(Expired::default()) };
        // Under the lock: nothing is written to a file that goes.
        log.lock().unwrap_or_else(PoisonError::into_inner).expire(horizon_ns)
    }

    /// Appends `letters` and syncs them, or none of them.
    pub(super) async fn write(&self, letters: Arc<[Letter]>) -> Fate {
        let Some(log) = self.0.clone() else { return Fate::Full };
        let write = move || {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.write(&letters)
        };
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(true)) => Fate::Written,
            Ok(Ok(false)) => Fate::Full,
            Ok(Err(error)) => Fate::Failed(error),
            Err(error) => Fate::Failed(io::Error::other(error)),
        }
    }
}

impl Log {
    fn write(&mut self, letters: &[Letter]) -> io::Result<bool> {
        let new: u64 = letters.iter().map(|letter| letter.frame.len() as u64).sum();
        // Counted anew each time: letters are rare, and an operator may have deleted some.
        let used: u64 = files(&self.folder)?
            .iter()
            .filter_map(|path| path.metadata().ok())
            .map(|metadata| metadata.len())
            .sum();
        if used.saturating_add(new) > self.max_bytes {
            return Ok(false);
        }
        let written = self.append(letters);
        if written.is_err() {
            // The file may end in half a letter: nothing may follow it there.
            self.open = None;
        }
        written.map(|()| true)
    }

    fn append(&mut self, letters: &[Letter]) -> io::Result<()> {
        for letter in letters {
            let observed_ns = letter.observed_ns;
            let mut open = match self.open.take() {
                Some(open) if open.takes(observed_ns) => open,
                full => {
                    full.map_or(Ok(()), |full| full.file.sync_data())?;
                    let span_ns = (observed_ns, observed_ns);
                    let (file, path) = self.begin_file()?;
                    Open { file, path, len: 0, span_ns }
                }
            };
            open.file.write_all(&letter.frame)?;
            open.len += letter.frame.len() as u64;
            open.span_ns = open.widened(observed_ns);
            self.open = Some(open);
        }
        let Some(open) = &self.open else { return Ok(()) };
        open.file.sync_data()?;
        // A lock that cannot be let go of keeps replays off, until the next file.
        let _ = flock(&open.file, FlockOperation::Unlock);
        Ok(())
    }

    fn expire(&self, horizon_ns: i64) -> io::Result<Expired> {
        let mut expired = Expired::default();
        for path in files(&self.folder)? {
            match remove_if_before(&path, horizon_ns) {
                Ok(Some(n_bytes)) => {
                    expired.n_files += 1;
                    expired.n_bytes += n_bytes;
                }
                Ok(None) => {}
                Err(error) => expired.failures.push((path, error)),
            }
        }
        Ok(expired)
    }

    /// A new file, locked.
    fn begin_file(&self) -> io::Result<(File, PathBuf)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let last = files(&self.folder)?.into_iter().filter_map(|path| number(&path)).max();
        let name = format!("{:020}.{EXTENSION}", last.unwrap_or(0) + 1);
        let path = self.folder.join(name);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        File::open(&self.folder)?.sync_all()?;
        Ok((file, path))
    }
}

/// Removes the file at `path` if all its letters were observed before `horizon_ns`; its bytes.
fn remove_if_before(path: &Path, horizon_ns: i64) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // Where nothing can be read, the letters are not younger than what wrote them.
    let written_ns = metadata.mtime().saturating_mul(1_000_000_000);
    if newest_ns(&file)?.unwrap_or(written_ns) >= horizon_ns {
        return Ok(None);
    }
    fs::remove_file(path)?;
    Ok(Some(metadata.len()))
}

/// The time at which the last of a file's events were observed, from its letters' heads.
fn newest_ns(file: &File) -> io::Result<Option<i64>> {
    let mut newest = None;
    let mut at = 0;
    let mut head = [0; HEADER_LEN];
    loop {
        match file.read_exact_at(&mut head, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(newest),
            read => read?,
        }
        // What a torn write left ends the file, here as for its reader.
        let Ok(header) = Header::parse(&head) else { return Ok(newest) };
        newest = newest.max(Some(header.observed_ns));
        at += header.frame_len() as u64;
    }
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The files of a folder in the order of their numbers; none when it does not exist.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    let is_letters = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == EXTENSION || end == CLAIMED_EXTENSION)
    };
    paths.retain(is_letters);
    paths.sort();
    Ok(paths)
}

/// Whether `path` leads to `file`.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(here), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (here.dev(), here.ino()) == (there.dev(), there.ino())
}

/// Reads letters back, one file in memory at a time.
#[derive(Debug)]
pub struct Reader {
    files: VecDeque<PathBuf>,
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    /// All letters below `folder`, oldest first.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { files: files(folder)?.into(), bytes: Vec::new(), at: 0 })
    }
}

impl Iterator for Reader {
    type Item = io::Result<Protected>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.bytes[self.at..];
            let header = Header::parse(rest).ok();
            if let Some(frame) = header.and_then(|header| rest.get(..header.frame_len())) {
                self.at += frame.len();
                if let Ok(letter) = Protected::from_frame(frame) {
                    return Some(Ok(letter));
                }
                continue;
            }
            // The end of the file, or of what a torn write left of it.
            let path = self.files.pop_front()?;
            self.at = 0;
            match fs::read(path) {
                Ok(bytes) => self.bytes = bytes,
                Err(error) => {
                    self.bytes.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::fakes::batch;
    use crate::deliver::letters::Sender;
    use crate::event::batch::Batch;

    fn letter(line: &str) -> Letter {
        observed(line, 1)
    }

    fn observed(line: &str, observed_ns: i64) -> Letter {
        let sender = Sender { tier: "app".into(), sink: "loki".into() };
        let batch = Batch { observed_ns, ..batch(&["kept", line]) };
        sender.letter(&batch, [1], "line_too_long", None).expect("an event")
    }

    fn lines(folder: &Path) -> Vec<String> {
        let letters = Reader::open(folder).expect("listed").map(|letter| letter.expect("read"));
        let text = |letter: &Protected| {
            String::from_utf8_lossy(letter.events().next().expect("one").bytes).into_owned()
        };
        letters.map(|letter| text(&letter)).collect()
    }

    /// Letters go when their events' time is over, also from the file that is written to, and none
    /// a moment before; what comes after that is kept.
    #[tokio::test]
    async fn letters_go_with_their_tiers_retention() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        let letters = DeadLetters::new(path.clone(), MAX_BYTES);
        let day = |n: i64| 20_000 * DAY_NS + n * DAY_NS;
        let several = [observed("a", day(0)), observed("b", day(1) - 1), observed("c", day(1))];
        assert!(matches!(letters.write(several.into()).await, Fate::Written));
        assert!(matches!(letters.write([observed("d", day(9))].into()).await, Fate::Written));
        for (horizon_ns, n_files, left) in [
            (day(1) - 1, 0, &["a", "b", "c", "d"][..]),
            (day(1), 1, &["c", "d"]),
            (day(1) + 1, 1, &["d"]),
            (day(9), 0, &["d"]),
            (day(9) + 1, 1, &[]),
            (day(10), 0, &[]),
        ] {
            let expired = letters.expire(horizon_ns).expect("listed");
            assert_eq!((expired.n_files, expired.failures.len()), (n_files, 0), "{horizon_ns}");
            assert_eq!(lines(&path), left);
        }
        // The file that was written to is gone: a letter must not follow it.
        assert!(matches!(letters.write([observed("e", day(9) + 2)].into()).await, Fate::Written));
        assert_eq!(lines(&path), ["e"]);
        fs::write(path.join("00000000000000000009.frames"), b"torn").expect("written");
        assert_eq!(letters.expire(day(12)).expect("listed").n_files, 1);
        assert_eq!(letters.expire(i64::MAX).expect("listed").n_files, 1);
        assert!(DeadLetters::none().expire(i64::MAX).expect("nothing").n_files == 0);
    }

    #[tokio::test]
    async fn written_read_back_and_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dead-letters/app-loki");
        let size = letter("one").frame.len() as u64;
        let letters = DeadLetters::new(path.clone(), size * 5 / 2);
        for (line, is_written) in [("one", true), ("two", true), ("six", false)] {
            let fate = letters.write([letter(line)].into()).await;
            assert_eq!(matches!(fate, Fate::Written), is_written, "{line}: {fate:?}");
        }
        let read: Vec<_> =
            Reader::open(&path).expect("listed").map(|letter| letter.expect("read")).collect();
        let lines: Vec<_> =
            read.iter().map(|batch| batch.events().next().expect("one").bytes).collect();
        assert_eq!(lines, [b"one", b"two"]);
        assert_eq!(read[0].origin.attribute(REASON), Some("line_too_long"));
        assert_eq!(read[0].origin.attribute(SINK), Some("loki"));
    }

    /// A crash in the middle of a letter costs that letter only, also for those written after it.
    #[tokio::test]
    async fn a_torn_end_is_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        for line in ["one", "two"] {
            let letters = DeadLetters::new(path.clone(), MAX_BYTES);
            assert!(matches!(letters.write([letter(line)].into()).await, Fate::Written));
            let torn = files(&path).expect("listed").pop().expect("a file");
            let half = &letter("lost").frame[..70];
            OpenOptions::new()
                .append(true)
                .open(torn)
                .expect("opened")
                .write_all(half)
                .expect("written");
        }
        let read: Vec<_> = Reader::open(&path).expect("listed").collect();
        assert_eq!(read.len(), 2);
        assert!(matches!(DeadLetters::none().write([letter("x")].into()).await, Fate::Full));
    }
}
