//! The writer's side of one tier: writes runs of pending batches, syncs, begins and seals segments.
//!
//! # Why
//! After a failed sync the kernel may have thrown the pages away and call the next sync a success
//! (Linux does), and a failed write may have left any part of itself behind. So after either
//! nothing written since the last good sync is believed: the segment is given up at its durable end
//! and the same batches are written again to a new one. They are still in memory, and nobody has
//! seen the positions that they had. What the old file holds behind the new one's base never
//! counts.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::frame::{self, Parts};
use crate::telemetry::DropReason;

use super::disk::DiskFile;
use super::error::SpoolError;
use super::mark::{self, FOOTER_LEN, MARK_LEN};
use super::positions;
use super::room::{self, Room};
use super::segment::{self, Form, Segment};
use super::tier::{Pending, Tier, Written};

/// Frames and bytes of one `pwritev`; three parts a frame and Linux takes 1,024.
const RUN_FRAMES_MAX: usize = 256;
const RUN_BYTES_MAX: usize = 1 << 20;
/// First and longest wait after a refusal of the disk.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    len: u64,
    /// Whether something was written since the last sync.
    dirty: bool,
}

/// What a new segment has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reserved {
    All,
    /// Nothing but its head, for now.
    Head,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) tier: Arc<Tier>,
    active: Option<Active>,
    /// Position of the next frame.
    next: u64,
    /// A sync succeeded since the last mark.
    mark_due: bool,
    /// A write or sync failed: what is unsynced must be written again elsewhere.
    poisoned: bool,
    unsynced: Vec<Written>,
    unsynced_bytes: u64,
    run: Vec<Pending>,
    /// Ends of the run's frames, as written.
    ends: Vec<u64>,
    n_failures: u32,
    retry_at: Option<Instant>,
    /// Files that are to be removed, oldest first.
    doomed: VecDeque<PathBuf>,
    doomed_retry_at: Option<Instant>,
}

impl Log {
    pub(super) fn new(tier: Arc<Tier>) -> Self {
        let next = tier.lock().durable;
        Self {
            tier,
            active: None,
            next,
            mark_due: false,
            poisoned: false,
            unsynced: Vec::new(),
            unsynced_bytes: 0,
            run: Vec::new(),
            ends: Vec::new(),
            n_failures: 0,
            retry_at: None,
            doomed: VecDeque::new(),
            doomed_retry_at: None,
        }
    }

    /// When a disk that refused is tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Bytes of batches that were written and not synced.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes
    }

    /// Whether all that was appended is durable.
    pub(super) fn is_drained(&self) -> bool {
        self.unsynced.is_empty() && self.tier.lock().pending.is_empty()
    }

    /// Whether the disk may be tried now.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }

    /// Writes what is pending as far as the disk and the tier's share allow.
    pub(super) fn write_pending(&mut self, now: Instant) {
        if !self.knows_end() {
            return;
        }
        while self.may_try(now) && self.take_run() {
            let run = std::mem::take(&mut self.run);
            match self.write_run(&run, now) {
                Ok(true) => self.take_written(run),
                Ok(false) => {
                    self.tier.give_back(run.into_iter());
                    self.tier.lock().stuck = Some(SpoolError::Full);
                    break;
                }
                Err(error) => {
                    self.tier.give_back(run.into_iter());
                    self.fail(&error, now);
                }
            }
        }
    }

    /// Whether the end of the log is known. While it is not, what is pending waits as after any
    /// other refusal of the disk.
    fn knows_end(&mut self) -> bool {
        let mut state = self.tier.lock();
        if state.damaged.iter().any(|damaged| damaged.is_end) {
            state.stuck = state.last_error.clone();
            return false;
        }
        if self.active.is_none() {
            self.next = state.durable;
        }
        true
    }

    /// Makes what was written durable and shows it; a refusal is retried later.
    pub(super) fn commit_or_fail(&mut self, now: Instant) {
        if self.may_try(now)
            && let Err(error) = self.commit()
        {
            self.fail(&error, now);
        }
    }

    /// Where the segment begins that is being written.
    pub(super) fn active_base(&self) -> Option<u64> {
        self.active.as_ref()?;
        self.tier.lock().segments.back().map(|segment| segment.base)
    }

    /// Seals the segment, so that the next start need not read it whole.
    pub(super) fn close(&mut self, now: Instant) {
        if self.active.is_some()
            && let Err(error) = self.seal()
        {
            self.fail(&error, now);
        }
    }

    /// Whether only one segment is left, all that is in it is older than `horizon_ns`, and nothing
    /// is about to follow it.
    pub(super) fn is_outlived(&self, horizon_ns: i64, now: Instant) -> bool {
        self.may_try(now)
            && self.unsynced.is_empty()
            && room::is_last_outlived(&self.tier.lock(), horizon_ns)
    }

    /// Puts a segment behind the last one that holds no events, but where the sources and the log
    /// stand: the last one can go then as any other.
    pub(super) fn succeed(&mut self, now: Instant) {
        let succeeded = self.seal().and_then(|()| self.begin(0)).and_then(|_| self.seal());
        match succeeded {
            Ok(()) => self.recovered(),
            Err(error) => self.fail(&error, now),
        }
    }

    fn take_run(&mut self) -> bool {
        let bytes_max = RUN_BYTES_MAX.min(self.tier.segment_bytes as usize);
        let mut bytes = 0;
        let mut state = self.tier.lock();
        while self.run.len() < RUN_FRAMES_MAX && bytes < bytes_max {
            let Some(pending) = state.pending.pop_front() else { break };
            state.pending_bytes -= pending.cost;
            bytes += pending.batch.slab.len();
            self.run.push(pending);
        }
        !self.run.is_empty()
    }

    /// Writes `run` in one go; `false` when the tier's share is used up.
    fn write_run(&mut self, run: &[Pending], now: Instant) -> Result<bool, SpoolError> {
        if !self.ensure_room(run.iter().map(|pending| pending.len).sum(), now)? {
            return Ok(false);
        }
        let parts: Vec<Parts<'_>> = run.iter().map(|batch| frame::encode(&batch.batch)).collect();
        let len = parts.iter().map(|parts| parts.len() as u64).sum::<u64>();
        let mark = if self.mark_due { mark::mark(self.next) } else { Vec::new() };
        let mut slices = Vec::with_capacity(1 + 3 * parts.len());
        slices.push(IoSlice::new(&mark));
        for parts in &parts {
            let each = [&parts.head, &*parts.table, parts.bytes];
            slices.extend(each.into_iter().filter(|part| !part.is_empty()).map(IoSlice::new));
        }
        let Some(active) = &mut self.active else { return Ok(false) };
        if let Err(error) = active.file.write_at(active.len, &mut slices) {
            self.poisoned = true;
            return Err(SpoolError::disk("write", &active.path, &error));
        }
        active.dirty = true;
        active.len += mark.len() as u64 + len;
        self.next += mark.len() as u64;
        self.mark_due = false;
        let mut end = self.next;
        self.ends.clear();
        self.ends.extend(parts.iter().map(|parts| {
            end += parts.len() as u64;
            end
        }));
        let mut state = self.tier.lock();
        state.n_written_bytes += mark.len() as u64 + len;
        if let Some(segment) = state.segments.back_mut() {
            segment.stored_bytes = active.len;
        }
        Ok(true)
    }

    fn take_written(&mut self, mut run: Vec<Pending>) {
        for (pending, to) in run.drain(..).zip(&self.ends) {
            self.unsynced.push(Written { pending, from: self.next, to: *to });
            self.unsynced_bytes += to - self.next;
            self.next = *to;
        }
        self.run = run;
        self.recovered();
    }

    /// Gets an active segment with room for `len` bytes; `false` when there is none to be had.
    fn ensure_room(&mut self, len: u64, now: Instant) -> Result<bool, SpoolError> {
        loop {
            if self.active.as_ref().is_some_and(|active| active.len >= self.tier.segment_bytes) {
                self.seal()?;
            }
            let need = len + (MARK_LEN + FOOTER_LEN) as u64;
            if self.active.is_none() && self.begin(need)? == Reserved::Head {
                self.free_passed(now)?;
            }
            let room = room::make(&mut self.tier.lock(), need, self.tier.bytes_max);
            match room {
                Room::Fits => return Ok(true),
                Room::Remove(segment) => self.remove(&segment, now),
                Room::Commit => self.commit()?,
                Room::Roll => self.seal()?,
                Room::Full => return Ok(false),
            }
        }
    }

    /// Makes the new segment's head durable, so that those before it can go that all have passed.
    fn free_passed(&mut self, now: Instant) -> Result<(), SpoolError> {
        self.commit()?;
        loop {
            let passed = room::passed(&mut self.tier.lock());
            let Some(segment) = passed else { return Ok(()) };
            self.remove(&segment, now);
        }
    }

    /// Begins a segment with a snapshot of the source positions, and room for `need` bytes more
    /// where the disk has it.
    fn begin(&mut self, need: u64) -> Result<Reserved, SpoolError> {
        let base = self.next;
        let path = segment::path(&self.tier.dir, base, Form::Raw);
        let (snapshot, frees) = {
            let state = self.tier.lock();
            (mark::snapshot(base, state.sources.iter()), room::is_front_passed(&state))
        };
        let disk = &self.tier.disk;
        let begun = disk.create(&path).and_then(|file| {
            let head = snapshot.len() as u64;
            // On a disk that is almost full less will do: the segment before, though delivered,
            // keeps its room until there is a next one. If need be, one that has only a head.
            let reserved = file
                .allocate(head + self.tier.segment_bytes.max(need))
                .or_else(|_| file.allocate(head + need))
                .map(|()| Reserved::All);
            let reserved = match reserved {
                Err(_) if frees => file.allocate(head).map(|()| Reserved::Head),
                reserved => reserved,
            }?;
            file.write_at(0, &mut [IoSlice::new(&snapshot)])?;
            disk.sync_dir(&self.tier.dir)?;
            Ok((file, reserved))
        });
        let (file, reserved) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // Gives back what was reserved; the next try makes it anew in any case.
                let _ = disk.remove(&path);
                return Err(SpoolError::disk("create", &path, &error));
            }
        };
        let len = snapshot.len() as u64;
        self.active = Some(Active { file, path, len, dirty: true });
        self.next += len;
        self.mark_due = false;
        let segment = Segment { stored_bytes: len, ..Segment::empty(base, Form::Raw) };
        let mut state = self.tier.lock();
        state.segments.push_back(segment);
        state.n_written_bytes += len;
        Ok(reserved)
    }

    /// Ends the active segment with its footer; all of it is durable then.
    fn seal(&mut self) -> Result<(), SpoolError> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let sealed = self.tier.lock().segments.back().copied();
        let Some(mut sealed) = sealed else { return Ok(()) };
        for Written { pending, .. } in &self.unsynced {
            sealed.count(pending.batch.len() as u64, pending.batch.observed_ns);
        }
        let footer = mark::footer(&sealed.footer(self.next));
        if let Err(error) = active.file.write_at(active.len, &mut [IoSlice::new(&footer)]) {
            self.poisoned = true;
            return Err(SpoolError::disk("write", &active.path, &error));
        }
        active.len += footer.len() as u64;
        active.dirty = true;
        // Gives back what was reserved behind the end; a hint, as the reservation was.
        let _ = active.file.truncate(active.len);
        self.next += footer.len() as u64;
        let len = active.len;
        {
            let mut state = self.tier.lock();
            state.n_written_bytes += footer.len() as u64;
            if let Some(segment) = state.segments.back_mut() {
                segment.stored_bytes = len;
            }
        }
        self.commit()?;
        self.active = None;
        Ok(())
    }

    /// Makes what was written durable and shows it to the cursors.
    fn commit(&mut self) -> Result<(), SpoolError> {
        let Some(active) = self.active.as_mut().filter(|active| active.dirty) else {
            return Ok(());
        };
        if let Err(error) = active.file.sync() {
            self.poisoned = true;
            return Err(SpoolError::disk("sync", &active.path, &error));
        }
        active.dirty = false;
        self.mark_due = true;
        self.unsynced_bytes = 0;
        let mut state = self.tier.lock();
        state.n_syncs += 1;
        let n_forgotten = state.sources.n_forgotten();
        let wakers = state.publish(&self.unsynced, self.next);
        let n_forgotten = state.sources.n_forgotten() - n_forgotten;
        drop(state);
        if n_forgotten > 0 {
            let tier = &self.tier.name;
            tracing::warn!(tier, n_forgotten, "too many sources: positions had to be forgotten");
        }
        for Written { pending, .. } in self.unsynced.drain(..) {
            let _ = pending.answer.send(Ok(()));
        }
        wakers.into_iter().for_each(std::task::Waker::wake);
        Ok(())
    }

    /// The disk refused: everything undone waits in memory for the next try.
    fn fail(&mut self, error: &SpoolError, now: Instant) {
        if std::mem::take(&mut self.poisoned) {
            self.abandon();
        }
        if self.n_failures == 0 {
            tracing::warn!(tier = %self.tier.name, %error, "could not spool, retrying");
        }
        let wait = RETRY_FIRST.saturating_mul(1 << self.n_failures.min(16)).min(RETRY_MAX);
        self.n_failures = self.n_failures.saturating_add(1);
        self.retry_at = Some(now + wait);
        let mut state = self.tier.lock();
        state.last_error = Some(error.clone());
        // With nothing to write there is nothing to be tried again, and sources that waited for it
        // would wait for ever.
        state.stuck = (!state.pending.is_empty()).then(|| error.clone());
        let pressed = state.pending_bytes >= self.tier.pending_bytes_max / 2;
        if error.is_out_of_space() && pressed && room::can_give_up_front(&state) {
            // The newest events are worth more than the oldest: these make room for those.
            room::give_up_front(&mut state, DropReason::SpoolError);
            self.retry_at = Some(now + RETRY_FIRST);
        }
    }

    /// Gives the active segment up at its durable end; the batches behind it are pending again.
    fn abandon(&mut self) {
        let mut state = self.tier.lock();
        self.next = state.durable;
        let emptied = state.segments.pop_back_if(|segment| segment.end == segment.base);
        let mut durable_len = None;
        if let Some(segment) = state.segments.back_mut().filter(|_| emptied.is_none()) {
            segment.stored_bytes = segment.end - segment.base;
            durable_len = Some(segment.stored_bytes);
        }
        drop(state);
        if let (Some(active), Some(len)) = (self.active.take(), durable_len) {
            // Gives room back; what is not cut off does not count either.
            let _ = active.file.truncate(len);
        }
        self.mark_due = false;
        self.unsynced_bytes = 0;
        self.tier.give_back(self.unsynced.drain(..).map(|written| written.pending));
    }

    fn recovered(&mut self) {
        if self.n_failures > 0 {
            tracing::info!(tier = %self.tier.name, n = self.n_failures, "spooling again");
        }
        self.n_failures = 0;
        self.retry_at = None;
        self.tier.lock().stuck = None;
    }

    /// Removes the file of a segment that is no longer in the log. One that cannot be removed holds
    /// up those behind it, so that what is left on disk has no hole.
    pub(super) fn remove(&mut self, segment: &Segment, now: Instant) {
        // That nobody needs it any more is written first, or it would be missed at the next start;
        // also where nothing was acknowledged, but a cursor passed what holds no events.
        self.tier.lock().moved = true;
        positions::write(&self.tier, now);
        self.doomed.push_back(segment.path(&self.tier.dir));
        self.remove_doomed(now);
    }

    /// Removes what packing could not: before any segment that comes behind it goes.
    pub(super) fn remove_leftovers(&mut self, now: Instant) {
        let leftovers = std::mem::take(&mut self.tier.lock().leftovers);
        if !leftovers.is_empty() {
            self.doomed.extend(leftovers);
            self.remove_doomed(now);
        }
    }

    /// When removing is tried again.
    pub(super) fn doomed_retry_at(&self) -> Option<Instant> {
        self.doomed_retry_at
    }

    /// Tries again to remove what could not be removed.
    pub(super) fn remove_doomed(&mut self, now: Instant) {
        if self.doomed_retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.doomed_retry_at = None;
        while let Some(path) = self.doomed.front() {
            match self.tier.disk.remove(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let error = SpoolError::disk("remove", path, &error);
                    self.tier.lock().last_error = Some(error);
                    self.doomed_retry_at = Some(now + RETRY_MAX);
                    return;
                }
                _ => self.doomed.pop_front(),
            };
        }
    }
}
