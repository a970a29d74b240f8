//! The dead letters of one route as frames to be delivered once more.
//!
//! A file is claimed first: locked and renamed, so that nothing is written to it any more. When all
//! its letters are acknowledged it is deleted; if the replay ends before that, it goes back to its
//! place whole, and what was delivered of it is sent again next time, as the very same events. Of
//! what is refused again the route makes new letters.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::dead_letters::{CLAIMED_EXTENSION, EXTENSION, files, is_at};
use super::frames::{Frame, Frames};
use super::letters::opened;
use crate::event::frame::{HEADER_LEN, Header};
use crate::protect::protected::Protected;
use crate::sinks::LogRange;

/// See the module. Positions are numbers of letters.
#[derive(Debug)]
pub struct Replay {
    files: Vec<Claimed>,
    /// All letters, oldest first.
    letters: Vec<Place>,
    next: usize,
    acked: usize,
}

#[derive(Debug)]
struct Claimed {
    file: File,
    path: PathBuf,
    /// Its last letter's number plus one.
    end: usize,
    is_done: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    offset: u64,
    len: usize,
    n_events: u64,
}

impl Replay {
    /// Claims all letters in `folder` but those that another replay has.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read or renamed; what was claimed goes back.
    pub fn claim(folder: &Path) -> io::Result<Self> {
        let mut replay = Self { files: Vec::new(), letters: Vec::new(), next: 0, acked: 0 };
        for path in files(folder)? {
            if let Some((file, path)) = claim(&path)? {
                replay.index(file, path)?;
            }
        }
        Ok(replay)
    }

    /// Events in all letters.
    #[must_use]
    pub fn n_events(&self) -> u64 {
        self.letters.iter().map(|letter| letter.n_events).sum()
    }

    fn index(&mut self, file: File, path: PathBuf) -> io::Result<()> {
        let number = self.files.len();
        let mut head = [0; HEADER_LEN];
        let (mut offset, len) = (0, file.metadata()?.len());
        self.files.push(Claimed { file, path, end: self.letters.len(), is_done: false });
        while offset + HEADER_LEN as u64 <= len {
            self.files[number].file.read_exact_at(&mut head, offset)?;
            // What a torn write left ends the file.
            let Ok(header) = Header::parse(&head) else { break };
            let n_events = u64::from(header.n_records);
            let letter = Place { file: number, offset, len: header.frame_len(), n_events };
            offset += letter.len as u64;
            if offset <= len {
                self.letters.push(letter);
            }
        }
        self.files[number].end = self.letters.len();
        Ok(())
    }

    fn read(&self, index: usize) -> io::Result<Protected> {
        let Place { file, offset, len, .. } = self.letters[index];
        let mut bytes = vec![0; len];
        self.files[file].file.read_exact_at(&mut bytes, offset)?;
        Protected::from_frame(&bytes).map(opened).map_err(io::Error::other)
    }
}

/// Takes the file at `path`: nobody else has it then. `None` where another replay was faster.
fn claim(path: &Path) -> io::Result<Option<(File, PathBuf)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let is_claimed = path.extension().is_some_and(|end| end == CLAIMED_EXTENSION);
    // A writer holds it for one write; a replay, for as long as it lasts.
    let lock = if is_claimed {
        FlockOperation::NonBlockingLockExclusive
    } else {
        FlockOperation::LockExclusive
    };
    if flock(&file, lock).is_err() || !is_at(&file, path) {
        return Ok(None);
    }
    let taken = path.with_extension(CLAIMED_EXTENSION);
    if !is_claimed {
        fs::rename(path, &taken)?;
    }
    Ok(Some((file, taken)))
}

impl Frames for Replay {
    async fn next(&mut self) -> Option<Frame> {
        self.try_next()
    }

    fn try_next(&mut self) -> Option<Frame> {
        while self.next < self.letters.len() {
            let index = self.next;
            self.next += 1;
            match self.read(index) {
                Ok(letter) => {
                    let range = LogRange { from: index as u64, to: index as u64 + 1 };
                    return Some(Frame { range, batch: Arc::new(letter) });
                }
                // It stays in its file, which is not done then.
                Err(error) => {
                    let path = &self.files[self.letters[index].file].path;
                    tracing::error!(path = %path.display(), %error, "a dead letter is unreadable");
                    self.letters[index].n_events = 0;
                    self.files[self.letters[index].file].end = usize::MAX;
                }
            }
        }
        None
    }

    fn ack(&mut self, to: u64) -> u64 {
        let to = usize::try_from(to).unwrap_or(usize::MAX).min(self.letters.len());
        let settled = self.letters.get(self.acked..to).unwrap_or_default();
        let n_events = settled.iter().map(|letter| letter.n_events).sum();
        self.acked = self.acked.max(to);
        for file in self.files.iter_mut().filter(|file| !file.is_done && file.end <= to) {
            match fs::remove_file(&file.path) {
                Ok(()) => file.is_done = true,
                Err(error) => {
                    tracing::error!(path = %file.path.display(), %error, "it will be sent again");
                }
            }
        }
        n_events
    }

    fn rewind(&mut self, to: u64) {
        self.next = usize::try_from(to).unwrap_or(usize::MAX).max(self.acked);
    }

    fn position(&self) -> u64 {
        self.next as u64
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        for file in self.files.iter().filter(|file| !file.is_done) {
            // Left where it is, it is found by the next replay all the same.
            let _ = fs::rename(&file.path, file.path.with_extension(EXTENSION));
        }
    }
}
