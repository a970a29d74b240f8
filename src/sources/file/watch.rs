//! Tells which names in the watched directories changed, by inotify.
//!
//! Deliberately only a hint: queues overflow, network file systems tell nothing, watches run out.
//! Whatever is missed here, the next rescan finds.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

/// What happened since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Files that were written to.
    pub(super) written: BTreeSet<PathBuf>,
    /// Names that appeared, vanished or now stand for another file.
    pub(super) renamed: BTreeSet<PathBuf>,
    /// Directories changed, or events were lost: look at everything.
    pub(super) is_rescan_needed: bool,
}

/// The watched directories.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: Inotify,
    dirs: HashMap<WatchDescriptor, PathBuf>,
    watched: HashSet<PathBuf>,
    buffer: Vec<u8>,
    is_exhausted: bool,
}

impl Watcher {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: Inotify::init()?,
            dirs: HashMap::new(),
            watched: HashSet::new(),
            buffer: vec![0; 16 << 10],
            is_exhausted: false,
        })
    }

    /// What becomes readable when something happens.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }

    /// Watches `dir` if it is not watched yet. Returns whether it was new: what happened in it
    /// before is not told.
    pub(super) fn watch(&mut self, dir: &Path) -> bool {
        if self.watched.contains(dir) {
            return false;
        }
        let mask = WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::MOVE
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        match self.inotify.watches().add(dir, mask) {
            Ok(descriptor) => {
                self.watched.insert(dir.to_owned());
                self.dirs.insert(descriptor, dir.to_owned());
                true
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound && !self.is_exhausted {
                    self.is_exhausted = true;
                    tracing::warn!(?dir, %error, "could not watch a directory, will look again");
                }
                false
            }
        }
    }

    /// Whether some directory could not be watched.
    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Everything since the last call.
    pub(super) fn changes(&mut self) -> io::Result<Changes> {
        let mut changes = Changes::default();
        let mut gone = Vec::new();
        loop {
            let events = match self.inotify.read_events(&mut self.buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for event in events {
                let lost = EventMask::Q_OVERFLOW | EventMask::ISDIR;
                let ended = EventMask::IGNORED | EventMask::MOVE_SELF;
                changes.is_rescan_needed |= event.mask.intersects(lost | ended);
                if event.mask.intersects(ended) {
                    gone.push(event.wd);
                } else if let (Some(dir), Some(name)) = (self.dirs.get(&event.wd), event.name) {
                    let path = dir.join(name);
                    match event.mask.contains(EventMask::MODIFY) {
                        true => changes.written.insert(path),
                        false => changes.renamed.insert(path),
                    };
                }
            }
        }
        for descriptor in gone {
            if let Some(dir) = self.dirs.remove(&descriptor) {
                self.watched.remove(&dir);
                // A directory that was moved is watched under its old name; the walk finds the new.
                let _ = self.inotify.watches().remove(descriptor);
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_names() {
        let dir = tempfile::tempdir().expect("dir");
        let path = |name: &str| dir.path().join(name);
        let mut watcher = Watcher::new().expect("inotify");
        assert!(watcher.watch(dir.path()) && !watcher.watch(dir.path()));
        assert!(!watcher.watch(&path("nowhere")));
        std::fs::write(path("a"), "x").expect("write");
        std::fs::rename(path("a"), path("b")).expect("rename");
        let changes = watcher.changes().expect("read");
        assert_eq!(changes.written, BTreeSet::from([path("a")]));
        assert_eq!(changes.renamed, BTreeSet::from([path("a"), path("b")]));
        assert!(!changes.is_rescan_needed);
        std::fs::create_dir(path("d")).expect("dir");
        assert!(watcher.changes().expect("read").is_rescan_needed);
        assert!(watcher.watch(&path("d")));
        std::fs::remove_dir(path("d")).expect("remove");
        assert!(watcher.changes().expect("read").is_rescan_needed);
        std::fs::create_dir(path("d")).expect("dir");
        assert!(watcher.watch(&path("d")), "a new directory of the same name is another");
        assert_eq!(watcher.changes().expect("read").written, BTreeSet::new());
    }
}
