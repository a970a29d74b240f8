//! Floor 0: a file that is replaced as a whole, durably.
//!
//! Source: `rename(2)`, `fsync(2)`: the new name is durable when the folder is.
//!
//! # Why
//! Written beside and renamed into place after a sync: a crash at any moment leaves the file before
//! or the new one, never a mixture and never none.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Puts what `write` writes into the place of the file at `path`; durable when it returns. Returns
/// the file, which can be read and written still.
///
/// # Errors
/// Of the file system, or of `write`: then the file at `path` is as it was, or the new one.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    let mut options = File::options();
    let mut file = options.read(true).write(true).create(true).truncate(true).open(&beside)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_old_or_the_new() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        for text in ["first, and longer", "second"] {
            replace(&path, |file| file.write_all(text.as_bytes())).expect("replaced");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
        let failed = replace(&path, |_| Err(io::Error::other("no")));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "second");
    }
}
