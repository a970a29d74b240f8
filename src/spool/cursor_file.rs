//! Where each route of a tier stood, in a file of two slots that are written in turn.
//!
//! ```text
//! slot 0 at 0, slot 1 at 8192, each:
//! offset size  field (little-endian)
//!      0    4  magic            "SWKC"
//!      4    4  crc32            over bytes 8 to the end of the entries
//!      8    4  version          1
//!     12    4  entries_len      bytes of the entries
//!     16    8  generation       the sound slot with the higher one counts
//!     24    8  log_end          no frame is ever numbered below this again
//!     32    .  entries          name_len u8, name, position u64
//! ```
//!
//! # Why
//! A stale position only means repeats, so a write is not synced each time: it is in the page cache
//! at once, which survives the process, and is synced before the other slot is written, at most
//! once a second, which survives the machine. One sound slot is always durable, so a slot is only
//! written over while the other one is known to be: a disk that refuses to say makes it a new file.
//!
//! A move after a pause is written at once; only a stream of them is gathered. A write took 5 to
//! 60 us on a busy machine, so that at most a few hundredths of a core go into it. Of 50 kills in a
//! storm 13 to 21 repeated what had been answered while moves were gathered for 20 ms, since then
//! 3 to 10.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Disk, DiskFile};
use super::error::SpoolError;

const MAGIC: [u8; 4] = *b"SWKC";
const VERSION: u32 = 1;
const SLOT_LEN: usize = 8192;
const HEAD_LEN: usize = 32;
/// Cursor moves are written this much apart at least: what a SIGKILL repeats, beside what was
/// acknowledged while the writer waited for a sync.
pub(super) const WRITE_EVERY: Duration = Duration::from_millis(2);
/// ... and synced this much apart: what a power cut repeats at most.
pub(super) const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The positions of a tier's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions {
    /// Each sink's name and position, those first that are configured now: where a slot has no room
    /// for all, it is the others that are left out.
    pub(super) routes: Vec<(String, u64)>,
    /// Behind the last frame at the time of writing.
    pub(super) log_end: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct CursorFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
    generation: u64,
    slot: usize,
    /// When the current slot was first written since the last sync.
    unsynced_since: Option<Instant>,
    /// Before this nothing is written: moves are gathered, and a refusal is not tried again at
    /// once.
    write_due: Option<Instant>,
    scratch: Vec<u8>,
}

impl CursorFile {
    /// Reads the file in `dir`, if there is one. The second value is `None` when there was a file
    /// and neither slot was sound.
    pub(super) fn load(disk: &Arc<dyn Disk>, dir: &Path) -> (Self, Option<Positions>) {
        let path = dir.join("cursors");
        let opened = disk.open(&path);
        let is_absent = matches!(&opened, Err(error) if error.kind() == io::ErrorKind::NotFound);
        let file = opened.ok();
        let slots = file
            .as_deref()
            .map_or([Ok(None), Ok(None)], |file| [read_slot(file, 0), read_slot(file, 1)]);
        let all_read = slots.iter().all(Result::is_ok);
        let slots = slots.map(Result::unwrap_or_default);
        let best = match &slots {
            [Some((a, _)), Some((b, _))] => usize::from(b > a),
            [None, Some(_)] => 1,
            _ => 0,
        };
        let [first, second] = slots;
        let newest = if best == 0 { first } else { second };
        // The other slot is written next. Where it might be the only sound one, the file is made
        // anew instead, which takes its place whole or not at all.
        let file = file.filter(|file| {
            let newest = newest.as_ref().filter(|_| all_read);
            newest.is_some_and(|newest| make_durable(&**file, best, newest).is_ok())
        });
        let generation = newest.as_ref().map_or(0, |(generation, _)| *generation);
        let found = newest.map(|(_, positions)| positions);
        let found = if is_absent { Some(Positions::default()) } else { found };
        let cursor_file = Self {
            disk: Arc::clone(disk),
            path,
            file,
            generation,
            // The slot that was found is the durable one: the other is written first.
            slot: 1 - best,
            unsynced_since: None,
            write_due: None,
            scratch: Vec::new(),
        };
        (cursor_file, found)
    }

    /// Whether nothing was found.
    pub(super) fn is_new(&self) -> bool {
        self.generation == 0
    }

    /// When moves may be written next.
    pub(super) fn write_due(&self) -> Option<Instant> {
        self.write_due
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
        positions.routes.retain(|(name, _)| {
            let left = room.checked_sub(name.len() + 9);
            room = left.unwrap_or(room);
            left.is_some()
        });
        let fail = |error| SpoolError::disk("write", &self.path, &error);
        self.generation += 1;
        encode(self.generation, &positions, &mut self.scratch);
        let mut slices = [IoSlice::new(&self.scratch)];
        let offset = (self.slot * SLOT_LEN) as u64;
        if let Some(file) = &self.file {
            // A write that fails leaves a torn slot: no sync may then turn to the other one.
            let unsynced_since = self.unsynced_since.take().unwrap_or(now);
            file.write_at(offset, &mut slices).map_err(fail)?;
            self.unsynced_since = Some(unsynced_since);
        } else {
            let made = create(&*self.disk, &self.path, offset, &mut slices);
            self.file = Some(made.map_err(fail)?);
            self.slot = 1 - self.slot;
        }
        self.write_due = Some(now + WRITE_EVERY);
        Ok(())
    }

    /// After a refusal: not again at once.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.write_due = Some(now + SYNC_EVERY);
    }

    /// Makes what was written durable and turns to the other slot.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn sync(&mut self) -> Result<(), SpoolError> {
        let unsynced = self.unsynced_since.take().and(self.file.as_deref());
        if let Some(file) = unsynced {
            // After a failure the next sync may succeed without having written anything: the slot
            // is written again first.
            file.sync().map_err(|error| SpoolError::disk("sync", &self.path, &error))?;
            self.slot = 1 - self.slot;
        }
        Ok(())
    }
}

/// What the file in `dir` says, written by whomever: `None` when there is none that is sound.
pub(super) fn peek(disk: &dyn Disk, dir: &Path) -> Option<Positions> {
    let file = disk.open(&dir.join("cursors")).ok()?;
    let slots = [0, 1].map(|slot| read_slot(&*file, slot).ok().flatten());
    slots.into_iter().flatten().max_by_key(|(generation, _)| *generation).map(|(_, found)| found)
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
    slot: usize,
    (generation, positions): &(u64, Positions),
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
) -> io::Result<Box<dyn DiskFile>> {
    let tmp = path.with_extension("tmp");
    let file = disk.create(&tmp)?;
    file.write_at(offset, slices)?;
    file.sync()?;
    disk.rename(&tmp, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
    Ok(file)
}

fn encode(generation: u64, positions: &Positions, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&VERSION.to_le_bytes());
    let entries = positions.routes.iter().map(|(name, _)| name.len() + 9).sum::<usize>();
    out.extend_from_slice(&(entries as u32).to_le_bytes());
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&positions.log_end.to_le_bytes());
    for (name, position) in &positions.routes {
        out.push(name.len() as u8);
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
    let mut routes = Vec::new();
    while let Some((len, rest)) = entries.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*len))?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        routes.push((std::str::from_utf8(name).ok()?.to_owned(), u64::from_le_bytes(*position)));
        entries = rest;
    }
    Some((long(16)?, Positions { routes, log_end: long(24)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::disk::memory::MemoryDisk;

    fn at(position: u64) -> Positions {
        Positions { routes: vec![("loki".into(), position)], log_end: position + 5 }
    }

    #[test]
    fn the_newest_sound_slot_counts() {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
        let dir = Path::new("t");
        let now = Instant::now();
        let (mut file, found) = CursorFile::load(&disk, dir);
        assert_eq!(found, Some(Positions::default()));
        file.write(at(1), now).expect("written");
        file.sync().expect("synced");
        file.write(at(2), now).expect("written");
        file.sync().expect("synced");
        assert_eq!(CursorFile::load(&disk, dir).1, Some(at(2)));
        // The slot being written is torn: the one before it counts.
        let raw = disk.open(&dir.join("cursors")).expect("open");
        raw.write_at(33, &mut [IoSlice::new(b"x")]).expect("torn");
        let (mut file, found) = CursorFile::load(&disk, dir);
        assert_eq!(found, Some(at(1)));
        // It is the torn one that is written next.
        let mut many = at(3);
        many.routes.extend((0..300).map(|n| (format!("{n:0>40}"), 9)));
        file.write(many.clone(), now).expect("written");
        let (_, found) = CursorFile::load(&disk, dir);
        let found = found.expect("sound").routes;
        assert_eq!((found.len(), &found[0]), (167, &many.routes[0]));
        raw.write_at(5, &mut [IoSlice::new(b"xx")]).expect("torn");
        raw.write_at((SLOT_LEN + 5) as u64, &mut [IoSlice::new(b"xx")]).expect("torn");
        assert_eq!(CursorFile::load(&disk, dir).1, None);
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
