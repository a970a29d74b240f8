//! The bounded log of what one route can never deliver.
//!
//! ```text
//! <spool>/dead-letters/<tier>-<sink>/00000000000000000001.frames   frames, one behind the other
//! ```
//! A letter is synced before the cursor passes its events. A new file is begun at every start and
//! at every [`FILE_BYTES`], so that a torn write can only be the end of a file, and that what was
//! read can be deleted file by file, which is how room is made. Deliberately never deletes itself.
//!
//! # Why
//! Frames rather than JSON lines: the events are bytes with a table, and a frame keeps all that is
//! known of them (sampling, positions, flags), so that they can be delivered after all.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::letters::Letter;
use crate::event::frame::Header;
use crate::protect::protected::Protected;

pub use super::letters::{N_REFUSED, REASON, SINK, TIER};

/// A file is followed by the next one when it has this many bytes.
pub const FILE_BYTES: u64 = 4 << 20;
/// The default bound of one route's dead letters.
pub const MAX_BYTES: u64 = 64 << 20;
const EXTENSION: &str = "frames";

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

#[derive(Debug)]
struct Log {
    folder: PathBuf,
    max_bytes: u64,
    /// The file that is written to, and its length.
    file: Option<(File, u64)>,
}

impl DeadLetters {
    /// Letters below `folder`, which is made when the first one comes. `max_bytes` bounds them all.
    #[must_use]
    pub fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(Log { folder, max_bytes, file: None }))))
    }

    /// No room at all: what is refused is dropped and counted. For a spool in memory.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The folder of a route's letters below the spool's.
    #[must_use]
    pub fn folder(spool: &Path, tier: &str, sink: &str) -> PathBuf {
        spool.join("dead-letters").join(format!("{tier}-{sink}"))
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
        let written = self.append(letters, new);
        if written.is_err() {
            // The file may end in half a letter: nothing may follow it there.
            self.file = None;
        }
        written.map(|()| true)
    }

    fn append(&mut self, letters: &[Letter], new: u64) -> io::Result<()> {
        let is_full = |file: &(File, u64)| file.1 >= FILE_BYTES;
        if self.file.as_ref().is_none_or(is_full) {
            self.file = Some((self.begin_file()?, 0));
        }
        let Some((file, len)) = &mut self.file else { return Ok(()) };
        for letter in letters {
            file.write_all(&letter.frame)?;
        }
        file.sync_data()?;
        *len += new;
        Ok(())
    }

    fn begin_file(&self) -> io::Result<File> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let last = files(&self.folder)?.into_iter().filter_map(|path| number(&path)).max();
        let name = format!("{:020}.{EXTENSION}", last.unwrap_or(0) + 1);
        let path = self.folder.join(name);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(file)
    }
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// The files of a folder in the order of their numbers; none when it does not exist.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == EXTENSION));
    paths.sort();
    Ok(paths)
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

    fn letter(line: &str) -> Letter {
        let sender = Sender { tier: "app".into(), sink: "loki".into() };
        sender.letter(&batch(&["kept", line]), [1], "line_too_long", None).expect("an event")
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
