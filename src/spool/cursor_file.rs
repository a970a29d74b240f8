//! Where each route of a tier stood, in a file of three slots that are written in turn.
//!
//! ```text
//! slot 0 at 0, slot 1 at 8192, slot 2 at 16384, each:
//! offset size  field (little-endian)
//!      0    4  magic            "SWKC"
//!      4    4  crc32            over bytes 8 to the end of the entries
//!      8    4  version          1
//!     12    4  entries_len      bytes of the entries
//!     16    8  generation       the sound slot with the higher one counts
//!     24    8  log_end          no frame is ever numbered below this again
//!     32    .  entries          name_len u8 (+128 without a route), name, position u64
//! ```
//!
//! # Why
//! A stale position only means repeats, so a write is not synced each time: it is in the page cache
//! at once, which survives the process, and is synced once a second, which survives the machine.
//! One slot is always durable and not written over before another one is known to be: a disk that
//! refuses to say makes it a new file. Of the other two one takes the writes while the other is
//! being synced, so that a sync, however long, holds no write up (`positions`).

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Disk, DiskFile};
use super::error::SpoolError;

const MAGIC: [u8; 4] = *b"SWKC";
const VERSION: u32 = 1;
const SLOTS: [usize; 3] = [0, 1, 2];
const SLOT_LEN: usize = 8192;
const HEAD_LEN: usize = 32;
/// Names are shorter than this (`NAME_BYTES_MAX`).
const ABSENT: u8 = 128;
/// Cursor moves are synced this much apart, and tried again after a refusal: what a power cut
/// repeats at most.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// A write into the page cache that takes longer than this waited for more than a turn of the CPU.
const SLOW_WRITE: Duration = Duration::from_millis(20);

/// The positions of a tier's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions {
    /// Each sink's name and position. What lies behind it is kept for it.
    pub(super) routes: Vec<(String, u64)>,
    /// The same of sinks that have no route now: nothing is kept for them. Where a slot has no room
    /// for all, it is these that are left out.
    pub(super) absent: Vec<(String, u64)>,
    /// Behind the last frame at the time of writing.
    pub(super) log_end: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct CursorFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    generation: u64,
    /// The slot that is known to be durable, and the one that is written. The third is being
    /// synced, or free.
    durable: usize,
    slot: usize,
    /// When the current slot was first written, if it was.
    unsynced_since: Option<Instant>,
    /// A refusal is not tried again before this.
    retry_at: Option<Instant>,
    /// A write took long: until then the next ones may, too.
    slow_until: Option<Instant>,
    scratch: Vec<u8>,
}

/// A sync of the file that has begun; [`CursorFile::synced`] ends it.
#[derive(Debug)]
pub(super) struct Sync {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    slot: usize,
}

impl Sync {
    /// Waits for the disk. Not to be called with the file locked: it may take long.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn wait(&self) -> Result<(), SpoolError> {
        self.file.sync().map_err(|error| SpoolError::disk("sync", &self.path, &error))
    }
}

impl CursorFile {
    /// Reads the file in `dir`, if there is one. The second value is `None` when there was a file
    /// and no slot was sound.
    pub(super) fn load(disk: &Arc<dyn Disk>, dir: &Path) -> (Self, Option<Positions>) {
        let path = dir.join("cursors");
        let opened = disk.open(&path);
        let is_absent = matches!(&opened, Err(error) if error.kind() == io::ErrorKind::NotFound);
        let file: Option<Arc<dyn DiskFile>> = opened.ok().map(Arc::from);
        let slots =
            SLOTS.map(|slot| file.as_deref().map_or(Ok(None), |file| read_slot(file, slot)));
        let all_read = slots.iter().all(Result::is_ok);
        let newest = newest(slots);
        // The other slots are written next. Where one might be the only sound one, the file is made
        // anew instead, which takes its place whole or not at all.
        let file = file.filter(|file| {
            let newest = newest.as_ref().filter(|_| all_read);
            newest.is_some_and(|newest| make_durable(&**file, newest).is_ok())
        });
        let generation = newest.as_ref().map_or(0, |(_, generation, _)| *generation);
        let durable = newest.as_ref().map_or(0, |(slot, ..)| *slot);
        let found = newest.map(|(.., positions)| positions);
        let found = if is_absent { Some(Positions::default()) } else { found };
        let cursor_file = Self {
            disk: Arc::clone(disk),
            path,
            file,
            generation,
            durable,
            slot: (durable + 1) % SLOTS.len(),
            unsynced_since: None,
            retry_at: None,
            slow_until: None,
            scratch: Vec::new(),
        };
        (cursor_file, found)
    }

    /// Whether nothing was found.
    pub(super) fn is_new(&self) -> bool {
        self.generation == 0
    }

    /// When a disk that refused may be tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether a write will not wait for the disk, as far as can be told.
    pub(super) fn is_quick(&self, now: Instant) -> bool {
        let is_slow = self.slow_until.is_some_and(|until| now < until);
        self.file.is_some() && self.retry_at.is_none() && !is_slow
    }

    /// When what was written should be synced.
    pub(super) fn sync_due(&self) -> Option<Instant> {
        self.unsynced_since.map(|at| at + SYNC_EVERY)
    }

    /// Writes `positions`, not yet durably.
    ///
    /// # Errors
    /// The disk's; nothing is lost by it but the freshness of a restart.
    pub(super) fn write(
        &mut self,
        mut positions: Positions,
        now: Instant,
    ) -> Result<(), SpoolError> {
        let mut room = SLOT_LEN - HEAD_LEN;
        let mut fits = |(name, _): &(String, u64)| {
            let left = room.checked_sub(name.len() + 9);
            room = left.unwrap_or(room);
            left.is_some()
        };
        positions.routes.retain(&mut fits);
        positions.absent.retain(&mut fits);
        let fail = |error| SpoolError::disk("write", &self.path, &error);
        self.generation += 1;
        encode(self.generation, &positions, &mut self.scratch);
        let mut slices = [IoSlice::new(&self.scratch)];
        let offset = (self.slot * SLOT_LEN) as u64;
        if let Some(file) = &self.file {
            // A write that fails leaves a torn slot: no sync may then make it the durable one.
            let unsynced_since = self.unsynced_since.take().unwrap_or(now);
            let begun = Instant::now();
            let written = file.write_at(offset, &mut slices);
            self.slow_until = (begun.elapsed() > SLOW_WRITE).then(|| now + SYNC_EVERY);
            written.map_err(fail)?;
            self.unsynced_since = Some(unsynced_since);
        } else {
            let made = create(&*self.disk, &self.path, offset, &mut slices);
            self.file = Some(made.map_err(fail)?);
            self.durable = self.slot;
            self.slot = (self.slot + 1) % SLOTS.len();
        }
        self.retry_at = None;
        Ok(())
    }

    /// After a refusal: not again at once.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.retry_at = Some(now + SYNC_EVERY);
    }

    /// Begins to make durable what was written, and turns to the slot that is neither that one nor
    /// the durable one. `None` when nothing was written. One sync at a time.
    pub(super) fn begin_sync(&mut self) -> Option<Sync> {
        self.unsynced_since.take()?;
        let file = Arc::clone(self.file.as_ref()?);
        let slot = self.slot;
        self.slot = self.third();
        Some(Sync { file, path: self.path.clone(), slot })
    }

    /// `sync` is over. After one that failed the next may succeed without having written anything:
    /// what was written meanwhile must be written again first.
    pub(super) fn synced(&mut self, sync: &Sync, is_done: bool) {
        if is_done {
            self.durable = sync.slot;
        } else {
            self.unsynced_since = None;
        }
    }

    /// The slot that is neither durable nor written.
    fn third(&self) -> usize {
        SLOTS.len() - self.durable - self.slot
    }
}

/// What the file in `dir` says, written by whomever: `None` when there is none that is sound.
pub(super) fn peek(disk: &dyn Disk, dir: &Path) -> Option<Positions> {
    let file = disk.open(&dir.join("cursors")).ok()?;
    newest(SLOTS.map(|slot| read_slot(&*file, slot))).map(|(.., found)| found)
}

/// The sound slot with the highest generation: its number, that, and what it says.
fn newest(
    slots: [io::Result<Option<(u64, Positions)>>; SLOTS.len()],
) -> Option<(usize, u64, Positions)> {
    let sound = slots.into_iter().enumerate().filter_map(|(slot, read)| {
        let (generation, positions) = read.ok()??;
        Some((slot, generation, positions))
    });
    sound.max_by_key(|(_, generation, _)| *generation)
}

/// What a slot says, if it is sound.
fn read_slot(file: &dyn DiskFile, slot: usize) -> io::Result<Option<(u64, Positions)>> {
    let mut bytes = vec![0; SLOT_LEN];
    let read = file.read_at((slot * SLOT_LEN) as u64, &mut bytes)?;
    Ok(decode(&bytes[..read]))
}

/// After a SIGKILL the newer slot may stand in the page cache only.
fn make_durable(
    file: &dyn DiskFile,
    (slot, generation, positions): &(usize, u64, Positions),
) -> io::Result<()> {
    let mut bytes = Vec::new();
    encode(*generation, positions, &mut bytes);
    file.write_at((slot * SLOT_LEN) as u64, &mut [IoSlice::new(&bytes)])?;
    file.sync()
}

/// Makes the file with one durable slot, or not at all.
fn create(
    disk: &dyn Disk,
    path: &Path,
    offset: u64,
    slices: &mut [IoSlice<'_>],
) -> io::Result<Arc<dyn DiskFile>> {
    let tmp = path.with_extension("tmp");
    let file = disk.create(&tmp)?;
    file.write_at(offset, slices)?;
    file.sync()?;
    disk.rename(&tmp, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    Ok(Arc::from(file))
}

fn encode(generation: u64, positions: &Positions, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let Positions { routes, absent, .. } = positions;
    let entries = || routes.iter().map(|at| (at, 0)).chain(absent.iter().map(|at| (at, ABSENT)));
    let len = entries().map(|((name, _), _)| name.len() + 9).sum::<usize>();
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&positions.log_end.to_le_bytes());
    for ((name, position), flag) in entries() {
        out.push(name.len() as u8 | flag);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&position.to_le_bytes());
    }
    let crc = crc32fast::hash(&out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
}

fn decode(slot: &[u8]) -> Option<(u64, Positions)> {
    let head: &[u8; HEAD_LEN] = slot.first_chunk()?;
    let word = |at: usize| head.get(at..at + 4)?.first_chunk().copied().map(u32::from_le_bytes);
    let long = |at: usize| head.get(at..at + 8)?.first_chunk().copied().map(u64::from_le_bytes);
    if head[..4] != MAGIC || word(8)? != VERSION {
        return None;
    }
    let sound = slot.get(8..HEAD_LEN.checked_add(word(12)? as usize)?)?;
    if crc32fast::hash(sound) != word(4)? {
        return None;
    }
    let mut entries = &sound[HEAD_LEN - 8..];
    let mut positions = Positions { log_end: long(24)?, ..Positions::default() };
    while let Some((len, rest)) = entries.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(len & !ABSENT))?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let is_absent = len & ABSENT != 0;
        let of = if is_absent { &mut positions.absent } else { &mut positions.routes };
        of.push((std::str::from_utf8(name).ok()?.to_owned(), u64::from_le_bytes(*position)));
        entries = rest;
    }
    Some((long(16)?, positions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::disk::memory::MemoryDisk;

    fn at(position: u64) -> Positions {
        let absent = vec![("gone".into(), 3)];
        Positions { routes: vec![("loki".into(), position)], absent, log_end: position + 5 }
    }

    fn sync(file: &mut CursorFile) {
        let sync = file.begin_sync().expect("written");
        sync.wait().expect("synced");
        file.synced(&sync, true);
    }

    #[test]
    fn the_newest_sound_slot_counts() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let dir = Path::new("t");
        let now = Instant::now();
        let (mut file, found) = CursorFile::load(&disk, dir);
        assert_eq!(found, Some(Positions::default()));
        file.write(at(1), now).expect("written");
        file.write(at(2), now).expect("written");
        sync(&mut file);
        assert_eq!(CursorFile::load(&disk, dir).1, Some(at(2)));
        file.write(at(3), now).expect("written");
        assert_eq!(CursorFile::load(&disk, dir).1, Some(at(3)));
        // The slot being written is torn: the one before it counts.
        let raw = disk.open(&dir.join("cursors")).expect("open");
        raw.write_at((file.slot * SLOT_LEN + 33) as u64, &mut [IoSlice::new(b"x")]).expect("torn");
        let (mut file, found) = CursorFile::load(&disk, dir);
        assert_eq!(found, Some(at(2)));
        let mut many = at(4);
        many.absent.extend((0..300).map(|n| (format!("{n:0>40}"), 9)));
        file.write(many.clone(), now).expect("written");
        let (_, found) = CursorFile::load(&disk, dir);
        let found = found.expect("sound");
        assert_eq!((&found.routes, found.absent.len()), (&many.routes, 167));
        assert_eq!(found.absent, many.absent[..167]);
        for slot in SLOTS {
            let at = (slot * SLOT_LEN + 5) as u64;
            raw.write_at(at, &mut [IoSlice::new(b"xx")]).expect("torn");
        }
        assert_eq!(CursorFile::load(&disk, dir).1, None);
    }

    /// However writes and syncs that fail or take long fall together: the slot that is known to be
    /// durable is never written over, and one that is being synced neither.
    #[test]
    fn the_durable_slot_and_the_one_being_synced_are_left_alone() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let now = Instant::now();
        let (mut file, _) = CursorFile::load(&disk, Path::new("t"));
        file.write(at(1), now).expect("written");
        for (n, is_done) in [true, false, false, true, true, false, true].into_iter().enumerate() {
            file.write(at(2), now).expect("written");
            let durable = file.durable;
            let sync = file.begin_sync().expect("written");
            assert!(file.begin_sync().is_none(), "one at a time");
            file.write(at(3), now).expect("written while it lasts");
            let slots = [durable, sync.slot, file.slot];
            assert!(SLOTS.iter().all(|slot| slots.contains(slot)), "{n}: {slots:?}");
            file.synced(&sync, is_done);
            assert_eq!(file.durable, if is_done { sync.slot } else { durable });
            // What was written while a sync failed may be lost: it does not count as written.
            assert_eq!(file.sync_due().is_some(), is_done);
            assert_ne!(file.slot, file.durable);
        }
    }

    #[test]
    fn damage_is_refused() {
        let mut bytes = Vec::new();
        encode(4, &at(7), &mut bytes);
        assert_eq!(decode(&bytes), Some((4, at(7))));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad), None, "bit {bit}");
        }
        (0..bytes.len()).for_each(|cut| assert_eq!(decode(&bytes[..cut]), None, "cut {cut}"));
    }
}
