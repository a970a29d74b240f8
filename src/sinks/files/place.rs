//! Puts a finished body into the store so that a reader never sees half a file: written beside
//! under a temporary name, synced, renamed, and the folder synced. Blocking; `deliver` calls it
//! from a thread that may wait. Removes nothing: what a killed writer leaves is `tiers`' to clean.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::sinks::Body;
use crate::sinks::files::name;

/// Writes `body.bytes` to `root/body.file_name`, replacing a file of the same name.
///
/// # Errors
/// What the file system says; the file in place, if there was one, is then untouched.
pub fn place(root: &Path, body: &Body) -> io::Result<()> {
    let path = root.join(&body.file_name);
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let file_name = path.file_name().and_then(|name| name.to_str());
    let temporary = folder.join(name::temporary(file_name.ok_or(io::ErrorKind::InvalidInput)?));
    create_folders(root, folder)?;
    let written = write_synced(&temporary, &body.bytes);
    if let Err(error) = written.and_then(|()| fs::rename(&temporary, &path)) {
        // Best effort: the disk may be full, and half a file would only keep it so.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(folder)?.sync_all()
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

    fn body(bytes: &[u8]) -> Body {
        let file_name = "t/2026-01-04/0000000000000000-0000000000000001.jsonl".to_owned();
        Body { bytes: bytes.to_vec(), file_name, ..Body::default() }
    }

    #[test]
    fn a_repeat_overwrites_itself_and_leaves_nothing_beside() {
        let root = tempfile::tempdir().expect("folder");
        let store = root.path().join("sidewake-data");
        for content in [&b"{}\n"[..], b"{\"a\":1}\n"] {
            place(&store, &body(content)).expect("placed");
            let path = store.join(&body(b"").file_name);
            assert_eq!(fs::read(&path).expect("read"), content);
            let beside = fs::read_dir(path.parent().expect("folder")).expect("list");
            assert_eq!(beside.count(), 1);
        }
    }

    /// Where the final name cannot be taken, the error comes back and no temporary stays.
    #[test]
    fn a_failed_rename_cleans_up() {
        let root = tempfile::tempdir().expect("folder");
        let path = root.path().join(&body(b"").file_name);
        fs::create_dir_all(&path).expect("a folder in the way");
        assert!(place(root.path(), &body(b"x")).is_err());
        assert_eq!(fs::read_dir(path.parent().expect("folder")).expect("list").count(), 1);
    }
}
