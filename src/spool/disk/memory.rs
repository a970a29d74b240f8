//! Files in memory: the `memory` backend is the whole spool over this disk.
//!
//! # Why
//! One engine, one set of bounds, positions and counters for both backends, instead of a second
//! queue with its own mistakes. It costs one copy of the bytes into a segment, which also frees the
//! pipeline's pooled slab at once; segments that a dead sink lags behind are packed here as well.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{Disk, DiskFile, Listed};

/// Files in memory, gone with the process.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    files: Mutex<HashMap<PathBuf, MemoryFile>>,
}

#[derive(Clone, Debug, Default)]
struct MemoryFile(Arc<RwLock<Vec<u8>>>);

impl MemoryDisk {
    fn files(&self) -> MutexGuard<'_, HashMap<PathBuf, MemoryFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let files = self.files();
        let here = files.iter().filter(|(path, _)| path.parent() == Some(dir));
        let listed = here.filter_map(|(path, file)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some(Listed { name, len: file.len().ok()?, is_dir: false })
        });
        Ok(listed.collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = MemoryFile::default();
        self.files().insert(path.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let found = self.files().get(path).cloned();
        found.map(|file| Box::new(file) as _).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }

    fn volatile(&self) -> bool {
        true
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut bytes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut at = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = at + parts.iter().map(|part| part.len()).sum::<usize>();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        for part in parts.iter() {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let n = buf.len().min(bytes.len() - start);
        buf[..n].copy_from_slice(&bytes[start..start + n]);
        Ok(n)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.0.write().unwrap_or_else(PoisonError::into_inner).resize(len, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).len() as u64)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let more = usize::try_from(len).unwrap_or(0).saturating_sub(bytes.len());
        bytes.try_reserve_exact(more).map_err(|_| io::ErrorKind::StorageFull.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_folder_of_files() {
        let disk = MemoryDisk::default();
        let (a, b) = (Path::new("t/a"), Path::new("t/b"));
        let file = disk.create(a).expect("created");
        file.write_at(2, &mut [IoSlice::new(b"xy"), IoSlice::new(b"z")]).expect("written");
        disk.rename(a, b).expect("renamed");
        assert!(disk.open(a).is_err());
        let mut read = [9; 8];
        assert_eq!(disk.open(b).expect("open").read_at(1, &mut read).expect("read"), 4);
        assert_eq!(&read[..4], b"\0xyz");
        assert_eq!(disk.list(Path::new("t")).expect("listed").len(), 1);
        // An open file outlives its name, as on a real disk: a cursor may still be reading it.
        disk.remove(b).expect("removed");
        assert_eq!(file.len().expect("length"), 5);
    }
}
