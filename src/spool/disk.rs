//! The few things that the spool asks of a file system, behind one trait: the real one
//! ([`os::OsDisk`]), memory ([`memory::MemoryDisk`], the `memory` backend) and, in tests, one that
//! tears, forgets and refuses.
//!
//! # Why
//! Writes name their offset (`pwritev`), so that a write that failed halfway is simply done again
//! at the same place. Everything is synchronous: the spool's own threads and `spawn_blocking` call
//! it, and a runtime thread only for the few bytes of where a cursor stands (`positions`).

pub mod memory;
pub mod os;

use std::io::{self, IoSlice};
use std::path::Path;

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The entry's name; entries whose name is not UTF-8 are never ours and left out.
    pub name: String,
    /// Bytes of a file; 0 for a folder.
    pub len: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// A file system.
pub trait Disk: std::fmt::Debug + Send + Sync + 'static {
    /// Makes `dir` and its parents, durably; nothing when it exists.
    ///
    /// # Errors
    /// The file system's.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The entries of `dir`, in any order.
    ///
    /// # Errors
    /// The file system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>>;

    /// A new, empty file at `path`, in the place of one that is there. Durable with
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// The file system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The file at `path`, for writing where the file system allows it.
    ///
    /// # Errors
    /// The file system's; `NotFound` when there is none.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file, replacing what is at `to`. Durable with [`Disk::sync_dir`].
    ///
    /// # Errors
    /// The file system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Durable with [`Disk::sync_dir`], which nothing in the spool needs.
    ///
    /// # Errors
    /// The file system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes created, renamed and removed entries of `dir` durable.
    ///
    /// # Errors
    /// The file system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes `path` for this process until the disk is dropped; `false` when another has it.
    ///
    /// # Errors
    /// The file system's.
    fn lock(&self, path: &Path) -> io::Result<bool>;

    /// Whether nothing outlives the process, so that waiting to sync more at once gains nothing.
    fn volatile(&self) -> bool {
        false
    }
}

/// An open file. Reads and writes may run at once; writers are one.
pub trait DiskFile: std::fmt::Debug + Send + Sync {
    /// Writes all of `parts` at `offset`. After an error any part of it may stand in the file.
    ///
    /// # Errors
    /// The file system's.
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()>;

    /// Fills `buf` from `offset`; fewer bytes only at the end of the file.
    ///
    /// # Errors
    /// The file system's.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Makes content and length durable. After an error, what was written since the last success
    /// may be lost even though it still reads back (see `log`).
    ///
    /// # Errors
    /// The file system's.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// The file system's.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Bytes in the file.
    ///
    /// # Errors
    /// The file system's.
    fn len(&self) -> io::Result<u64>;

    /// Reserves room for `len` bytes without changing the file's length; a hint.
    ///
    /// # Errors
    /// `StorageFull` when there is no room; other refusals are not errors.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Whether the file holds no bytes.
    ///
    /// # Errors
    /// The file system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
