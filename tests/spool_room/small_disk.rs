//! A disk in memory with a bound: what is reserved or written takes its room until the file is cut
//! or removed.

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidewake::spool::disk::memory::MemoryDisk;
use sidewake::spool::disk::{Disk, DiskFile, Listed};

/// See the module. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct SmallDisk {
    files: Arc<MemoryDisk>,
    room: Arc<Mutex<Room>>,
}

#[derive(Debug)]
struct Room {
    bytes_max: u64,
    taken: HashMap<PathBuf, u64>,
}

impl SmallDisk {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let room = Room { bytes_max, taken: HashMap::new() };
        Self { files: Arc::default(), room: Arc::new(Mutex::new(room)) }
    }

    pub(crate) fn set_bytes_max(&self, bytes_max: u64) {
        self.room().bytes_max = bytes_max;
    }

    /// What all files below `dir` hold, one behind the other.
    pub(crate) fn content(&self, dir: &Path) -> Vec<u8> {
        let mut content = Vec::new();
        for listed in self.files.list(dir).expect("listed") {
            let file = self.files.open(&dir.join(&listed.name)).expect("opened");
            let mut bytes = vec![0; listed.len as usize];
            file.read_at(0, &mut bytes).expect("read");
            content.extend_from_slice(&bytes);
        }
        content
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(SmallFile { disk: self.clone(), path: path.to_owned(), file })
    }
}

impl Room {
    /// Lets the file at `path` have `bytes`, if it has not got them.
    fn take(&mut self, path: &Path, bytes: u64) -> io::Result<()> {
        let has = self.taken.get(path).copied().unwrap_or(0);
        let all: u64 = self.taken.values().sum();
        if bytes > has && all - has + bytes > self.bytes_max {
            return Err(ErrorKind::StorageFull.into());
        }
        self.taken.insert(path.to_owned(), has.max(bytes));
        Ok(())
    }
}

impl Disk for SmallDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        self.files.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.room().taken.remove(path);
        Ok(self.file(path, self.files.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, self.files.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)?;
        let mut room = self.room();
        let taken = room.taken.remove(from).unwrap_or(0);
        room.taken.insert(to.to_owned(), taken);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)?;
        self.room().taken.remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<bool> {
        self.files.lock(path)
    }
}

#[derive(Debug)]
struct SmallFile {
    disk: SmallDisk,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl DiskFile for SmallFile {
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.disk.room().take(&self.path, offset + len as u64)?;
        self.file.write_at(offset, parts)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.room().taken.insert(self.path.clone(), len);
        self.file.truncate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.disk.room().take(&self.path, len)
    }
}
