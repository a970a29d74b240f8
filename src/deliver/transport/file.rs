//! Whole files: written beside, synced, renamed into place, and the folder synced.
//!
//! ```text
//! <root>/.incoming/<route>/<n>     unfinished; left over only by a crash, removed at the start
//! <root>/<file_name>               whole at any moment
//! ```
//! A name that is there already is replaced: names follow from positions, so it is the same data.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

use super::{Answer, Client, Outgoing, SendError, Sending, TransportError};

/// See the module.
pub(super) struct FileClient {
    root: PathBuf,
    incoming: PathBuf,
    next: AtomicU64,
}

impl FileClient {
    pub(super) fn new(root: &Path, route: &str) -> Result<Self, TransportError> {
        let incoming = root.join(".incoming").join(route);
        let emptied = match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(&incoming),
        };
        match emptied {
            Ok(()) => Ok(Self { root: root.to_owned(), incoming, next: AtomicU64::new(0) }),
            Err(source) => Err(TransportError::Folder { path: incoming, source }),
        }
    }
}

impl Client for FileClient {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        let number = self.next.fetch_add(1, Relaxed);
        let beside = self.incoming.join(number.to_string());
        let (root, name, bytes) =
            (self.root.clone(), outgoing.file_name.clone(), outgoing.bytes.clone());
        Box::pin(async move {
            let write = move || write_whole(&root, &name, &beside, &bytes);
            match tokio::task::spawn_blocking(write).await {
                Ok(Ok(())) => Ok(Answer::done()),
                Ok(Err(error)) => Err(SendError(format!("cannot write a file: {error}"))),
                Err(error) => Err(SendError(error.to_string())),
            }
        })
    }
}

fn write_whole(root: &Path, name: &str, beside: &Path, bytes: &Bytes) -> io::Result<()> {
    let is_below = !name.is_empty()
        && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !is_below {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name leaves the store"));
    }
    let written = write_and_rename(&root.join(name), beside, bytes, root);
    if written.is_err() {
        // The next attempt writes another one; an unremoved rest goes at the next start.
        let _ = fs::remove_file(beside);
    }
    written
}

fn write_and_rename(path: &Path, beside: &Path, bytes: &Bytes, root: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(root);
    if let Some(parent) = beside.parent() {
        fs::create_dir_all(parent)?;
    }
    make_folder(folder, root)?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    File::open(folder)?.sync_all()
}

/// Makes `folder` and syncs each parent of a folder that is new, or the name is not durable.
fn make_folder(folder: &Path, root: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|_| folder != root);
    if let Some(parent) = parent {
        make_folder(parent, root)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(name: &str, text: &'static str) -> Outgoing {
        let bytes = Bytes::from_static(text.as_bytes());
        let (parts, headers) = (Vec::new(), Vec::new());
        Outgoing { bytes, parts, headers, file_name: name.to_owned(), ..Outgoing::default() }
    }

    #[tokio::test]
    async fn files_are_whole_and_stay_below_the_root() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("store");
        let leftover = root.join(".incoming/app-files/7");
        fs::create_dir_all(leftover.parent().expect("a parent")).expect("made");
        fs::write(&leftover, "half").expect("written");
        let client = FileClient::new(&root, "app-files").expect("a client");
        assert!(!leftover.exists());
        for (name, is_sound) in [
            ("app/2026-11-23/0-10.jsonl", true),
            ("app/2026-11-23/0-10.jsonl", true),
            ("flat", true),
            ("../outside", false),
            ("/etc/outside", false),
            ("", false),
        ] {
            let answer = client.send(&outgoing(name, "{}\n")).await;
            assert_eq!(answer.is_ok(), is_sound, "{name}: {answer:?}");
        }
        assert_eq!(fs::read(root.join("app/2026-11-23/0-10.jsonl")).expect("there"), b"{}\n");
        let left = fs::read_dir(root.join(".incoming/app-files")).expect("listed").count();
        assert_eq!(left, 0);
    }
}
