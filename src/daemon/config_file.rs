//! Notices that the config's file is another one than before.
//!
//! # Why
//! Asked once a second instead of told by inotify: a file that is mounted from a ConfigMap is a
//! link to a link that is replaced, an editor renames a new file over the old one, and a network
//! file system tells nobody. One `stat` sees all of them. A change counts once it has been the same
//! for two looks, so that a file that is still being written is not read.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often the file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct ConfigFile {
    path: PathBuf,
    /// What is running.
    known: Option<Stamp>,
    /// What was seen at the last look, when it was something else.
    seen: Option<Stamp>,
    every: tokio::time::Interval,
}

/// What tells one content from another, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
}

impl ConfigFile {
    /// Takes the file as it is now for what is running.
    pub(super) fn new(path: PathBuf) -> Self {
        let mut every = tokio::time::interval(LOOK_INTERVAL);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { known: stamp(&path), seen: None, path, every }
    }

    /// Resolves when the file has changed and come to rest. Cancel safe.
    pub(super) async fn changed(&mut self) {
        loop {
            self.every.tick().await;
            if self.look(stamp(&self.path)) {
                return;
            }
        }
    }

    /// Whether `now` is a change that has come to rest. A file that is gone for the moment is none.
    fn look(&mut self, now: Option<Stamp>) -> bool {
        let Some(now) = now.filter(|now| Some(*now) != self.known) else {
            self.seen = None;
            return false;
        };
        let rests = self.seen.replace(now) == Some(now);
        if rests {
            (self.known, self.seen) = (Some(now), None);
        }
        rests
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        len: metadata.len(),
        modified: metadata.modified().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_counts_once_it_rests() {
        let of = |inode| Some(Stamp { device: 1, inode, len: 2, modified: None });
        let mut file = ConfigFile::new("/nowhere".into());
        assert_eq!(file.known, None);
        let looks = [
            (of(1), false),
            (of(1), true),
            (of(1), false),
            (of(2), false),
            (of(3), false),
            (of(3), true),
            (None, false),
            (of(3), false),
            (of(4), false),
            (of(3), false),
            (of(4), false),
            (of(4), true),
        ];
        for (index, (now, expected)) in looks.into_iter().enumerate() {
            assert_eq!(file.look(now), expected, "look {index}");
        }
    }
}
