//! Floor 2: the durable log of each tier, with one cursor per (tier, sink) route.
//!
//! What comes in is a [`Protected`] batch; when its [`Ticket`] resolves it is durable and the
//! source may forget it. What goes out is the same batch, to every route of the tier, in order,
//! until the route's [`Cursor`] acknowledged it. Deliberately knows no sink, no config and no clock
//! but the writer's.
//!
//! # On disk
//! ```text
//! <path>/lock                                   held by one process
//! <path>/<tier>/0000000000000000.seg            a segment, named by the log position of its start
//! <path>/<tier>/0000000000400a2e.pack           one that a cursor lags behind: zstd frames
//! <path>/<tier>/cursors                         where each sink stands, three slots of 8 KiB
//! <path>/<tier>/00000000007fe01c-812.quarantine what could not be read; goes with its time
//! ```
//! A position is a byte offset in the tier's log. It is never given out twice, except for bytes
//! that were never synced, which nobody has seen. A segment is frames of [`event::frame`] one after
//! the other: first a snapshot of all source positions, then batches, a mark of 78 bytes in front
//! of each group that follows a sync, and a footer when it is sealed, at 4 MiB or a quarter of the
//! tier's share. `mark` has the spool's own frames, `segment` the two forms, `cursor_file` the
//! slots.
//!
//! # What holds
//! - *Durable*: a ticket resolves after `fdatasync` of the frame (and of the folder, once a
//!   segment). The group is synced when all who may still write wait, at the latest after 10 ms or
//!   1 MiB.
//! - *In order, at least once, to every route*: through SIGKILL at any instruction and through
//!   power cuts that lose, tear or reorder unsynced writes. A SIGKILL repeats what was acknowledged
//!   in the instant before, a power cut the last second (`positions`, `cursor_file`).
//! - *Nothing torn is read*: every frame has a checksum; damage that a mark proves to have been
//!   durable is quarantined and the frames behind it still count, any other ends the log
//!   (`recovery`).
//! - *Bounded*: bytes of a tier's segments by its share; at the bound `drop_oldest` moves the
//!   lagging cursor one segment on, `block` keeps batches pending. Memory by `tail_bytes` and,
//!   while the disk refuses or the share is full, `pending_bytes` a tier. Above its share a tier
//!   has at most one segment being packed, its cursor file (24 KiB) and its quarantine.
//! - *For a time*: a segment whose events are all older than the tier's retention goes, read or
//!   not, also when it is the last; what cursors missed is counted under `expired`.
//! - *It goes on*: a refusing disk is tried again after 50 ms, doubling to 5 s; nothing exits,
//!   nothing spins; what had to be dropped meanwhile is counted under `spool_error`.
//! - *It adds up*: per route `spooled` is exactly what is pending, unread or in flight; each event
//!   leaves it once, by [`Cursor::ack`] or under a [`DropReason`](crate::telemetry::DropReason).
//!
//! # Why
//! One log a tier, written once, however many sinks: a slow sink is a lagging cursor and slows
//! nobody. Own files and no database: the frame is the batch as it lies in memory, one `pwritev`
//! and no serialisation; redb and SQLite wrote each byte twice, fjall took 200 MB of memory.
//! Segments are not recycled: measured on the whole path it gained nothing, and a stale frame
//! behind the end could be taken for a new one.
//!
//! [`event::frame`]: crate::event::frame

pub mod disk;

mod change;
mod cursor;
mod cursor_file;
mod error;
mod inspect;
mod log;
mod mark;
mod open;
mod options;
mod pack;
mod peek;
mod place;
mod positions;
mod quarantine;
mod reader;
mod recovery;
mod repair;
mod room;
mod route;
mod salvage;
mod scan;
mod segment;
mod signal;
mod sources;
mod status;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod ticket;
mod tier;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use cursor::{Cursor, Entry};
pub use error::SpoolError;
pub use inspect::{BadBytes, SegmentFile, SinkPlace, TierFiles, inspect};
pub use options::{Backend, Options, RouteOptions, TierId, TierOptions, WhenFull};
pub use peek::{peek, peek_since};
pub use quarantine::{ExpiredQuarantine, expire_quarantined};
pub use recovery::{RecoveryReport, TierReport};
pub use salvage::Quarantined;
pub use signal::WriterGuard;
pub use status::{RouteStatus, TierStatus};
pub use ticket::Ticket;

use crate::protect::protected::Protected;
use disk::{Disk, memory::MemoryDisk, os::OsDisk};
use log::Log;
use positions::Bell;
use signal::Signal;
use tier::Tier;
use writer::Writer;

/// The logs of all tiers. Dropping the last handle (cursors hold one each) ends its threads.
#[derive(Debug)]
pub struct Spool {
    tiers: Vec<Arc<Tier>>,
    signal: Arc<Signal>,
    bell: Arc<Bell>,
    drive: Drive,
}

/// Who does the writer's turns.
#[derive(Debug)]
enum Drive {
    Threads(Mutex<Vec<JoinHandle<()>>>),
    Hand(Mutex<Writer>),
}

impl Spool {
    /// Opens the spool, recovering what is there, and starts its threads.
    ///
    /// # Errors
    /// Options that cannot work, a folder that cannot be made or listed, or one that another
    /// process holds. Damage is no error: see the report.
    pub fn open(options: Options) -> Result<(Arc<Self>, RecoveryReport), SpoolError> {
        let (disk, path): (Arc<dyn Disk>, _) = match &options.backend {
            Backend::Memory => (Arc::new(MemoryDisk::default()), PathBuf::new()),
            Backend::Disk { path } => (Arc::new(OsDisk::default()), path.clone()),
        };
        let (writer, tiers, report) = prepare(&disk, &path, options)?;
        Ok((Self::start(writer, tiers)?, report))
    }

    /// Opens the spool at `path` of any file system, without threads: nothing is written, synced or
    /// packed but by [`Spool::turn`], [`Spool::write_positions`] and [`Spool::pack`]. For tests and
    /// simulations, which decide what happens when.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open_by_hand(
        options: Options,
        disk: &Arc<dyn Disk>,
        path: &Path,
    ) -> Result<(Arc<Self>, RecoveryReport), SpoolError> {
        let (writer, tiers, report) = prepare(disk, path, options)?;
        let signal = Arc::clone(&writer.signal);
        let drive = Drive::Hand(Mutex::new(writer));
        Ok((Arc::new(Self { tiers, signal, bell: Arc::default(), drive }), report))
    }

    fn start(mut writer: Writer, tiers: Vec<Arc<Tier>>) -> Result<Arc<Self>, SpoolError> {
        let signal = Arc::clone(&writer.signal);
        let (packer, told) = std::sync::mpsc::sync_channel(1);
        // What an outage before the restart left behind may be packed too.
        let _ = packer.try_send(());
        writer.packer = Some(packer);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            spawned.map_err(|error| SpoolError::disk("start", Path::new(name), &error))
        };
        let (pack_tiers, pack_signal) = (tiers.clone(), Arc::clone(&signal));
        let packs = move || writer::pack_until_told_to_stop(&pack_tiers, &pack_signal, &told);
        let packer = spawn("spool-packer", Box::new(packs))?;
        let bell = Arc::<Bell>::default();
        let (tiers_of, bell_of, signal_of) =
            (tiers.clone(), Arc::clone(&bell), Arc::clone(&signal));
        let writes = move || positions::write_until_told_to_stop(&tiers_of, &bell_of, &signal_of);
        let positions = spawn("spool-positions", Box::new(writes))?;
        let writer = spawn("spool-writer", Box::new(move || writer.run()))?;
        let drive = Drive::Threads(Mutex::new(vec![writer, packer, positions]));
        Ok(Arc::new(Self { tiers, signal, bell, drive }))
    }

    /// Appends `batch` to the log of `tier`; never waits for the disk. `sampled_out` events, which
    /// sampling did not keep, are counted on every route of the tier. A batch too large for the
    /// tier's share goes in parts, and the ticket is the last one's.
    pub fn append(&self, tier: TierId, batch: Protected, sampled_out: u64) -> Ticket {
        self.take(tier, batch, sampled_out, true)
    }

    /// As [`Self::append`], of a source that can be read again and that asks [`Self::must_wait`]
    /// before it reads more: its batches are never dropped for want of memory, however long the
    /// disk refuses. One batch a source may come beyond the bound of what is pending.
    pub fn append_rereadable(&self, tier: TierId, batch: Protected, sampled_out: u64) -> Ticket {
        self.take(tier, batch, sampled_out, false)
    }

    fn take(&self, tier: TierId, batch: Protected, sampled_out: u64, is_sole: bool) -> Ticket {
        if self.tiers.get(usize::from(tier.0)).is_some_and(|tier| !tier.takes(&batch))
            && let Some((first, second)) = batch.halves()
        {
            drop(self.take(tier, first, sampled_out, is_sole));
            return self.take(tier, second, 0, is_sole);
        }
        let (answer, ticket) = Ticket::new(Arc::clone(&self.signal));
        match self.tiers.get(usize::from(tier.0)) {
            Some(tier) => {
                let bytes = tier.append(batch, sampled_out, is_sole, answer);
                if bytes > 0 {
                    self.signal.appended(bytes);
                }
            }
            None => drop(answer.send(Err(SpoolError::NoTier(tier.0)))),
        }
        ticket
    }

    /// Says that the caller may append until the guard is dropped. A sync waits for registered
    /// writers that do not wait for a ticket, for 10 ms or 1 MiB at most: hold the guard from a
    /// read to its ticket, not while idle.
    #[must_use]
    pub fn writer(&self) -> WriterGuard {
        WriterGuard::new(Arc::clone(&self.signal))
    }

    /// Position in the source `source_key` up to which `tier`'s log durably holds it; `None` when
    /// it holds nothing of it.
    #[must_use]
    pub fn held_to(&self, tier: TierId, source_key: u64) -> Option<u64> {
        self.tiers.get(usize::from(tier.0))?.lock().sources.end(source_key)
    }

    /// Forgets a source that will not come back (its file is gone and read to the end), so that its
    /// position is not carried from segment to segment.
    pub fn forget_source(&self, source_key: u64) {
        self.tiers.iter().for_each(|tier| tier.lock().sources.forget(source_key));
    }

    /// The cursor of the route (`tier`, `sink`); `None` when there is no such route or its cursor
    /// is in use.
    #[must_use]
    pub fn cursor(self: &Arc<Self>, tier: TierId, sink: &str) -> Option<Cursor> {
        let tier = self.tiers.get(usize::from(tier.0))?;
        let mut state = tier.lock();
        let index = state.route_of(sink)?;
        if std::mem::replace(&mut state.routes[index].taken, true) {
            return None;
        }
        drop(state);
        Some(Cursor::new(Arc::clone(self), Arc::clone(tier), sink.to_owned()))
    }

    /// Whether appends become durable: false while the disk refuses. A full share is no reason:
    /// readiness follows no sink. [`Spool::status`] says why.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        self.tiers.iter().all(|tier| {
            let state = tier.lock();
            !state.closed && matches!(state.stuck, None | Some(SpoolError::Full))
        })
    }

    /// Whether sources that can be read again later should pause before they append to `tier`: its
    /// share is full and a route blocks, the disk refuses, or `pending_bytes` wait to be written.
    #[must_use]
    pub fn must_wait(&self, tier: TierId) -> bool {
        self.tiers.get(usize::from(tier.0)).is_some_and(|tier| tier.must_wait())
    }

    /// Whether `tier` takes nothing at the moment, however much memory there is: its share is full
    /// and a route blocks, or the disk refuses. For sources that bound by themselves what they hold
    /// until it is durable.
    #[must_use]
    pub fn is_stuck(&self, tier: TierId) -> bool {
        self.tiers.get(usize::from(tier.0)).is_some_and(|tier| tier.lock().is_stuck())
    }

    /// Each tier's log now.
    #[must_use]
    pub fn status(&self) -> Vec<TierStatus> {
        self.tiers.iter().map(|tier| TierStatus::of(tier)).collect()
    }

    /// Takes no more appends, makes durable what came, and lets cursors end once they have handed
    /// all out; they can be read and acknowledged still. Blocks until `deadline` at most; whether
    /// all is durable.
    pub fn close(&self, deadline: Instant) -> bool {
        self.tiers.iter().for_each(|tier| tier.lock().closed = true);
        self.signal.close();
        if let Drive::Hand(writer) = &self.drive {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.turn_by_hand(deadline, 0);
            return writer.ended;
        }
        self.signal.wait_ended(deadline)
    }

    /// One turn of the writer at the time `now`, `wall_ns` nanoseconds since 1970. Nothing for a
    /// spool with threads.
    pub fn turn(&self, now: Instant, wall_ns: i64) {
        if let Drive::Hand(writer) = &self.drive {
            writer.lock().unwrap_or_else(PoisonError::into_inner).turn_by_hand(now, wall_ns);
        }
    }

    /// A cursor on `tier` moved: that is written down before anything else.
    fn note_move(&self, tier: &Tier) {
        if matches!(self.drive, Drive::Hand(_)) {
            return;
        }
        match positions::write_if_quick(tier) {
            Some(true) => self.signal.nudge(),
            Some(false) => {}
            None => self.bell.ring(),
        }
    }

    /// Writes down where cursors stand that moved. Nothing for a spool with threads, which does so
    /// at each move.
    pub fn write_positions(&self, now: Instant) {
        if matches!(self.drive, Drive::Hand(_)) {
            for tier in &self.tiers {
                positions::write(tier, now);
            }
        }
    }

    /// Packs one segment that a cursor lags behind; whether there was one. Nothing for a spool with
    /// threads, of which one packs.
    pub fn pack(&self) -> bool {
        matches!(self.drive, Drive::Hand(_)) && self.tiers.iter().any(|tier| pack::pack_one(tier))
    }
}

fn prepare(
    disk: &Arc<dyn Disk>,
    root: &Path,
    options: Options,
) -> Result<(Writer, Vec<Arc<Tier>>, RecoveryReport), SpoolError> {
    options.check()?;
    // Waiting for company gains nothing where a sync is free.
    let sync_after = if disk.volatile() { Duration::ZERO } else { options.sync_after };
    let sync_bytes = options.sync_bytes;
    let (logs, report) = open::open_tiers(disk, root, options)?;
    let tiers = logs.iter().map(|log: &Log| Arc::clone(&log.tier)).collect();
    let writer = Writer {
        signal: Arc::default(),
        logs,
        sync_after,
        sync_bytes,
        packer: None,
        first_unsynced: None,
        n_segments: 0,
        ended: false,
    };
    Ok((writer, tiers, report))
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.signal.stop();
        self.bell.stop();
        if let Drive::Threads(threads) = &mut self.drive {
            let threads = threads.get_mut().unwrap_or_else(PoisonError::into_inner);
            for thread in threads.drain(..) {
                // A panic there was reported by its own hook.
                let _ = thread.join();
            }
        }
    }
}
