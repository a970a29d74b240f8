//! Which file is which stream, kept over restarts: `files-<source>.json` in the state directory.
//!
//! Holds identities and keys only. How far each stream has come is deliberately not here: the spool
//! knows it, in the same write as the data. The file is replaced as a whole, synced, before the
//! first chunk of a new stream is handed on; so a stream that the spool knows is always known here.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::durable;

use super::identity::{FileId, Head, Mark, hex};

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The stream's key.
    #[serde(with = "hex")]
    pub(super) key: u64,
    #[serde(flatten)]
    pub(super) id: FileId,
    pub(super) head: Head,
    /// The bytes before the position at the time of writing.
    pub(super) mark: Option<Mark>,
    /// Where it was last seen. Only a hint where to look.
    pub(super) path: PathBuf,
    /// The name it had first, which its events carry.
    pub(super) name: PathBuf,
    /// Where reading began: not 0 with `start_at: end`.
    pub(super) start: u64,
    /// Whether another file has taken its place.
    pub(super) is_rotated: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    files: Vec<Entry>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Registry {
    path: PathBuf,
}

impl Registry {
    /// The registry of `source` in `state_dir`, and what it holds; `None` if there was none yet.
    /// One that cannot be read is put aside: its files are read again from the start.
    pub(super) fn open(state_dir: &Path, source: &str) -> io::Result<(Self, Option<Vec<Entry>>)> {
        std::fs::create_dir_all(state_dir)?;
        let path = state_dir.join(format!("files-{source}.json"));
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self { path }, None));
            }
            Err(error) => return Err(error),
        };
        let entries = match serde_json::from_slice::<Document>(&text) {
            Ok(document) if document.version == 1 => document.files,
            unreadable => {
                let reason = unreadable.err().map_or("its version".into(), |e| e.to_string());
                let aside = path.with_extension("json.unreadable");
                tracing::warn!(source, reason, ?aside, "cannot read the registry, put it aside");
                std::fs::rename(&path, aside)?;
                Vec::new()
            }
        };
        Ok((Self { path }, Some(entries)))
    }

    /// Replaces what is stored; durable when it returns.
    pub(super) fn save(&self, files: Vec<Entry>) -> io::Result<()> {
        let text = serde_json::to_vec(&Document { version: 1, files })?;
        durable::replace(&self.path, |file| file.write_all(&text)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_quarantine() {
        let dir = tempfile::tempdir().expect("dir");
        let (registry, entries) = Registry::open(dir.path(), "logs").expect("open");
        assert_eq!(entries, None);
        let entry = Entry {
            key: u64::MAX,
            id: FileId { dev: 1, ino: u64::MAX, birth_ns: 3 },
            head: Head::default(),
            mark: None,
            path: "/a".into(),
            name: "/b".into(),
            start: 7,
            is_rotated: true,
        };
        registry.save(vec![entry.clone()]).expect("save");
        let (_, entries) = Registry::open(dir.path(), "logs").expect("open");
        assert_eq!(entries, Some(vec![entry]));
        std::fs::write(dir.path().join("files-logs.json"), "{\"version\":1,\"fi").expect("write");
        let (_, entries) = Registry::open(dir.path(), "logs").expect("open");
        assert_eq!(entries, Some(Vec::new()));
        assert!(dir.path().join("files-logs.json.unreadable").exists());
    }
}
