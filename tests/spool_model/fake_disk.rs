//! A disk that forgets, tears, reorders and refuses.
//!
//! Every file has what the process sees and what the platter holds. A crash keeps, loses or tears
//! (by sectors of 512 bytes) each unsynced write for itself, and keeps a random beginning of the
//! unsynced folder changes. A failed sync does what Linux does: it may lose what it should have
//! synced, and the next one succeeds without it. A failed write leaves any part of itself behind.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidewake::spool::disk::{Disk, DiskFile, Listed};

use super::rng::Rng;

const SECTOR: usize = 512;

/// What the disk refuses, each in one of `one_in` calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) kind: ErrorKind,
    pub(crate) one_in: u64,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    platter: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug)]
enum Rename {
    Link(PathBuf, u64),
    Unlink(PathBuf),
}

#[derive(Debug)]
struct State {
    rng: Rng,
    inodes: HashMap<u64, Inode>,
    seen: BTreeMap<PathBuf, u64>,
    platter: BTreeMap<PathBuf, u64>,
    unsynced: Vec<Rename>,
    n_inodes: u64,
    /// Handles of an earlier life are dead.
    life: u64,
    faults: Option<Faults>,
}

/// See the module. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct FakeDisk {
    state: Arc<Mutex<State>>,
    life: u64,
}

impl FakeDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State {
            rng: Rng::new(seed),
            inodes: HashMap::new(),
            seen: BTreeMap::new(),
            platter: BTreeMap::new(),
            unsynced: Vec::new(),
            n_inodes: 0,
            life: 0,
            faults: None,
        };
        Self { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    pub(crate) fn set_faults(&self, faults: Option<Faults>) {
        self.lock().faults = faults;
    }

    /// The power goes and comes back: the disk as the next process finds it.
    pub(crate) fn crash(&self) -> Self {
        let mut state = self.lock();
        let State { rng, inodes, seen, platter, unsynced, life, faults, .. } = &mut *state;
        let kept = rng.below(unsynced.len() as u64 + 1) as usize;
        unsynced.drain(..).take(kept).for_each(|rename| apply_rename(platter, rename));
        *seen = platter.clone();
        for inode in inodes.values_mut() {
            for change in std::mem::take(&mut inode.unsynced) {
                match (rng.below(3), change) {
                    (0, _) => {}
                    (1, Change::Write(at, bytes)) => tear(rng, &mut inode.platter, at, &bytes),
                    (_, change) => apply(&mut inode.platter, &change),
                }
            }
            inode.seen.clone_from(&inode.platter);
        }
        *faults = None;
        *life += 1;
        Self { state: Arc::clone(&self.state), life: *life }
    }

    /// The process goes, the page cache stays.
    pub(crate) fn kill(&self) -> Self {
        let mut state = self.lock();
        state.faults = None;
        state.life += 1;
        Self { state: Arc::clone(&self.state), life: state.life }
    }

    /// Names and lengths of all files.
    pub(crate) fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.lock();
        let len = |id| state.inodes.get(id).map_or(0, |inode: &Inode| inode.seen.len());
        state.seen.iter().map(|(path, id)| (path.clone(), len(id))).collect()
    }

    /// Flips one bit of a file, on the platter too.
    pub(crate) fn flip(&self, path: &Path, bit: usize) {
        let mut state = self.lock();
        let id = state.seen[path];
        let inode = state.inodes.get_mut(&id).expect("an inode");
        // Rot is for what was durable.
        for change in std::mem::take(&mut inode.unsynced) {
            apply(&mut inode.platter, &change);
        }
        inode.seen[bit / 8] ^= 1 << (bit % 8);
        inode.platter[bit / 8] ^= 1 << (bit % 8);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless the power is off or the disk refuses.
    fn enter(&self, read: bool) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        if state.life != self.life {
            return Err(io::Error::other("the power is off"));
        }
        if let Some(faults) = state.faults
            && (if read { faults.reads } else { faults.writes })
            && state.rng.one_in(faults.one_in)
        {
            return Err(faults.kind.into());
        }
        Ok(state)
    }

    fn file(&self, id: u64) -> Box<dyn DiskFile> {
        Box::new(FakeFile { disk: self.clone(), id })
    }
}

impl State {
    fn rename(&mut self, rename: Rename) {
        apply_rename(&mut self.seen, rename.clone());
        self.unsynced.push(rename);
    }
}

fn apply_rename(folder: &mut BTreeMap<PathBuf, u64>, rename: Rename) {
    match rename {
        Rename::Link(path, id) => drop(folder.insert(path, id)),
        Rename::Unlink(path) => drop(folder.remove(&path)),
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, written) => {
            if bytes.len() < at + written.len() {
                bytes.resize(at + written.len(), 0);
            }
            bytes[*at..at + written.len()].copy_from_slice(written);
        }
        Change::Truncate(len) => bytes.resize(*len, 0),
    }
}

/// Some sectors of a write arrive; the file may have grown all the same.
fn tear(rng: &mut Rng, platter: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let grows = rng.one_in(2);
    let mut start = 0;
    while start < bytes.len() {
        let end = (start + SECTOR - (at + start) % SECTOR).min(bytes.len());
        if rng.one_in(2) {
            apply(platter, &Change::Write(at + start, bytes[start..end].to_vec()));
        } else if grows && platter.len() < at + end {
            platter.resize(at + end, 0);
        }
        start = end;
    }
}

impl Disk for FakeDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.enter(false).map(drop)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        let state = self.enter(true)?;
        let here = state.seen.iter().filter(|(path, _)| path.parent() == Some(dir));
        let listed = here.map(|(path, id)| Listed {
            name: path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned(),
            len: state.inodes[id].seen.len() as u64,
            is_dir: false,
        });
        Ok(listed.collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.enter(false)?;
        state.n_inodes += 1;
        let id = state.n_inodes;
        state.inodes.insert(id, Inode::default());
        state.rename(Rename::Link(path.to_owned(), id));
        Ok(self.file(id))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.enter(true)?;
        let id = *state.seen.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(self.file(id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.enter(false)?;
        let id = *state.seen.get(from).ok_or(ErrorKind::NotFound)?;
        // One change, not two: a rename is atomic. The old name goes with the next one.
        state.rename(Rename::Link(to.to_owned(), id));
        state.rename(Rename::Unlink(from.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter(false)?;
        if !state.seen.contains_key(path) {
            return Err(ErrorKind::NotFound.into());
        }
        state.rename(Rename::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.enter(false)?;
        let State { platter, unsynced, .. } = &mut *state;
        unsynced.drain(..).for_each(|rename| apply_rename(platter, rename));
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }
}

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    id: u64,
}

impl FakeFile {
    fn change(&self, state: &mut State, change: Change) {
        let inode = state.inodes.get_mut(&self.id).expect("an inode");
        apply(&mut inode.seen, &change);
        inode.unsynced.push(change);
    }
}

impl DiskFile for FakeFile {
    fn write_at(&self, offset: u64, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
        match self.disk.enter(false) {
            Ok(mut state) => {
                self.change(&mut state, Change::Write(offset as usize, bytes));
                Ok(())
            }
            Err(error) => {
                let mut state = self.disk.lock();
                if state.life == self.disk.life {
                    let n = state.rng.below(bytes.len() as u64 + 1) as usize;
                    self.change(&mut state, Change::Write(offset as usize, bytes[..n].to_vec()));
                }
                Err(error)
            }
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.enter(true)?;
        let bytes = &state.inodes[&self.id].seen;
        let start = (offset as usize).min(bytes.len());
        let n = buf.len().min(bytes.len() - start);
        buf[..n].copy_from_slice(&bytes[start..start + n]);
        Ok(n)
    }

    fn sync(&self) -> io::Result<()> {
        let entered = self.disk.enter(false).map(drop);
        let mut state = self.disk.lock();
        if state.life != self.disk.life {
            return entered;
        }
        let State { inodes, rng, .. } = &mut *state;
        let inode = inodes.get_mut(&self.id).expect("an inode");
        for change in std::mem::take(&mut inode.unsynced) {
            if entered.is_ok() || rng.one_in(2) {
                apply(&mut inode.platter, &change);
            }
        }
        entered
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.enter(false)?;
        self.change(&mut state, Change::Truncate(len as usize));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.enter(true)?.inodes[&self.id].seen.len() as u64)
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        self.disk.enter(false).map(drop)
    }
}
