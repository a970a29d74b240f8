//! One file being followed: its identity, how far it was read, and one turn of reading.
//!
//! Deliberately keeps no bytes between turns: what a turn could not hand on is read again. So ten
//! thousand idle files cost their table entries, and a position is all there is to lose.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::super::lines::{Cut, Limits, Mode};
use super::format::{Cutter, Format};
use super::identity::{Facts, FileId, Head, Mark, read_at_most};
use super::registry::Entry;
use crate::event::origin::Origin;
use crate::event::slab::Slab;

/// How long an open traceback waits for its next line.
pub(super) const BLOCK_QUIET: Duration = Duration::from_millis(200);
/// How long a partial line of a framing waits for its end.
pub(super) const PARTIAL_QUIET: Duration = Duration::from_secs(5);
/// At a stop, a last line without newline that is older than this will not be finished any more.
const TAIL_AGE: Duration = Duration::from_secs(1);

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where it was found.
    Here,
    /// Another name than the one it is written under, as rotation leaves it.
    Rotated,
    /// Its name is gone, or stands for another file now; where it went is not known yet.
    Displaced,
    /// Deleted; what is open is all there is.
    Gone,
}

/// A file and how far it was read.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) key: u64,
    pub(super) id: FileId,
    pub(super) head: Head,
    /// Of `position`; `None` after a crash, until something is read.
    pub(super) mark: Option<Mark>,
    pub(super) path: Arc<Path>,
    /// The name it had first.
    pub(super) name: PathBuf,
    pub(super) origin: Arc<Origin>,
    pub(super) place: Place,
    pub(super) start: u64,
    pub(super) position: u64,
    /// Bytes of the file behind `position`, when last seen.
    pub(super) lag: u64,
    pub(super) file: Option<File>,
    pub(super) cutter: Option<Cutter>,
    /// Whether the registry knows this key.
    pub(super) is_registered: bool,
    /// Size when last seen, and since when it has been that.
    pub(super) size: u64,
    pub(super) unchanged_since: Instant,
    /// Whether something is held that becomes due with time.
    pub(super) holds: bool,
    /// Whether the last attempt failed; said once.
    pub(super) is_failing: bool,
    pub(super) due: Option<Instant>,
}

/// What a turn of reading found.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing to hand on.
    Nothing,
    /// The file begins anew: it was truncated, or its content replaced.
    BeganAnew,
    /// Lines.
    Lines(TurnLines),
}

/// Lines, not handed on yet.
#[derive(Debug)]
pub(super) struct TurnLines {
    pub(super) slab: Slab,
    pub(super) cut: Cut,
    /// Whether there is as much again.
    pub(super) is_more: bool,
    /// Of the position behind them.
    pub(super) mark: Option<Mark>,
}

impl Tracked {
    /// What the registry keeps.
    pub(super) fn entry(&self) -> Entry {
        Entry {
            key: self.key,
            id: self.id,
            head: self.head,
            mark: self.mark,
            path: self.path.to_path_buf(),
            name: self.name.clone(),
            start: self.start,
            is_rotated: self.place != Place::Here,
        }
    }

    /// Opens the file if it is not open. `false`: another file stands at the path, or none.
    pub(super) fn open(&mut self) -> io::Result<bool> {
        if self.file.is_some() {
            return Ok(true);
        }
        if matches!(self.place, Place::Displaced | Place::Gone) {
            return Ok(false);
        }
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if !Facts::of(&file)?.id.is_same(self.id) {
            return Ok(false);
        }
        self.file = Some(file);
        Ok(true)
    }

    /// How much of what is open may be closed now, while the source runs.
    pub(super) fn mode(&self, now: Instant) -> Mode {
        match now.saturating_duration_since(self.unchanged_since) {
            quiet if self.holds && quiet >= PARTIAL_QUIET => Mode::Stale,
            quiet if self.holds && quiet >= BLOCK_QUIET => Mode::Quiet,
            _ => Mode::More,
        }
    }

    /// The same when the source stops: whole lines go; a last line without its newline only if
    /// nobody seems to be writing it, or if there is no way back to it.
    pub(super) fn mode_at_stop(&self, facts: &Facts) -> Mode {
        let age = facts.modified.and_then(|at| SystemTime::now().duration_since(at).ok());
        let is_last_chance = matches!(self.place, Place::Gone | Place::Displaced);
        match is_last_chance || age.is_some_and(|age| age >= TAIL_AGE) {
            true => Mode::Last,
            false => Mode::Quiet,
        }
    }

    /// Notes what the file system says; returns by how much the lag changed.
    pub(super) fn note_facts(&mut self, facts: &Facts, now: Instant) -> i64 {
        if facts.size != self.size {
            self.size = facts.size;
            self.unchanged_since = now;
        }
        if facts.n_links == 0 {
            self.place = Place::Gone;
        }
        self.note_lag()
    }

    /// Brings the lag up to date; returns by how much it changed.
    pub(super) fn note_lag(&mut self) -> i64 {
        let lag = self.size.saturating_sub(self.position);
        let change = lag.cast_signed() - self.lag.cast_signed();
        self.lag = lag;
        change
    }

    /// Whether the open file is still the one that was read so far. The second value tells whether
    /// its head has grown.
    pub(super) fn check(&mut self) -> io::Result<(bool, bool)> {
        let Some(file) = &self.file else { return Ok((true, false)) };
        let is_marked = match &self.mark {
            Some(mark) => mark.matches(file)?,
            None => Facts::of(file)?.size >= self.position,
        };
        let (is_same, has_grown) = self.head.check_and_grow(file)?;
        Ok((is_marked && is_same, has_grown))
    }

    /// Reads on from the position into `slab` and cuts it. The second value tells whether the head
    /// has grown.
    ///
    /// What the file is, is checked after the read: bytes read before it is seen intact are of the
    /// file that we know.
    pub(super) fn read(
        &mut self,
        mut slab: Slab,
        format: Format,
        limits: Limits,
        mode: Mode,
    ) -> io::Result<(Turn, bool)> {
        let mut is_forced = false;
        let turn = loop {
            let Some(file) = &self.file else { return Ok((Turn::Nothing, false)) };
            let room = slab.spare().len();
            let n = read_at_most(file, slab.spare(), self.position)?;
            slab.advance(n);
            if self.cutter.is_none() {
                self.cutter = Cutter::open(file, self.position, format, limits)?;
            }
            if self.cutter.is_none() && mode == Mode::Last {
                self.cutter = Some(Cutter::plain(limits));
            }
            let Some(cutter) = self.cutter.as_mut().filter(|_| n > 0) else {
                self.holds = false;
                break Turn::Nothing;
            };
            let is_full = n == room;
            // Whatever closes at the end of the file must not close in the middle of it.
            let mode_here = match is_full {
                true if is_forced => Mode::Stale,
                true => Mode::More,
                false => mode,
            };
            let cut = cutter.cut(&mut slab, mode_here);
            if cut.consumed > 0 {
                self.holds = cut.holds && !is_full;
                let mark = Mark::at(file, self.position + cut.consumed as u64)?;
                break Turn::Lines(TurnLines { slab, cut, is_more: is_full, mark });
            }
            if !is_full {
                self.holds = cut.holds;
                break Turn::Nothing;
            }
            slab.clear();
            match room < cutter.slab_bytes_max(limits) {
                true => slab.reserve(room * 2),
                false => is_forced = true,
            }
        };
        let (is_same, has_grown_head) = self.check()?;
        let is_whole = !matches!(turn, Turn::Lines(TurnLines { mark: None, .. }));
        Ok((if is_same && is_whole { turn } else { Turn::BeganAnew }, has_grown_head))
    }
}
