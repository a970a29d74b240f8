//! Serves one file after the other: opens it wherever it is now, reads a slab, hands it on, decides
//! when to look again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::super::lines::Mode;
use super::super::super::{SourceError, new_source_key, now_ns};
use super::super::identity::Facts;
use super::super::rotation;
use super::super::tracked::{BLOCK_QUIET, PARTIAL_QUIET, Place, Turn, TurnLines};
use super::{ERROR_WAIT, Tail};
use crate::event::chunk::Chunk;

/// How long to wait when memory is short.
const MEMORY_WAIT: Duration = Duration::from_millis(20);

impl Tail {
    /// Serves the files that are due. Returns whether there were any.
    pub(in crate::sources::file) fn serve_due(&mut self) -> Result<(), SourceError> {
        let now = Instant::now();
        while let Some((at, key)) = self.due.first().copied()
            && at <= now
        {
            self.serve(key, None)?;
        }
        Ok(())
    }

    /// One turn of reading `key`. `at_stop`: the mode for its end, and no waiting for anything.
    pub(in crate::sources::file) fn serve(
        &mut self,
        key: u64,
        at_stop: Option<Mode>,
    ) -> Result<(), SourceError> {
        let Some(tracked) = self.files.get_mut(&key) else { return Ok(()) };
        if let Some(at) = tracked.due.take() {
            self.due.remove(&(at, key));
        }
        if let Err(error) = self.locate(key) {
            self.note_error(Some(key), &error);
            return Ok(());
        }
        let Some(facts) = self.facts_of_open(key) else { return Ok(()) };
        let Some(tracked) = self.files.get_mut(&key) else { return Ok(()) };
        let now = Instant::now();
        let change = tracked.note_facts(&facts, now);
        self.context.counters.lag_bytes.add(change);
        let is_left = tracked.place != Place::Here
            && now.saturating_duration_since(tracked.unchanged_since) >= self.options.rotate_wait;
        // A copy may have been made before the last lines that we know were written.
        let is_short_copy = tracked.place == Place::Rotated && facts.size < tracked.position;
        if is_short_copy {
            return self.settle(key, is_left);
        }
        if facts.size == tracked.position {
            // As long as it was, and perhaps another: truncated and written again.
            return match tracked.check() {
                Ok((true, _)) => self.settle(key, is_left),
                Ok((false, _)) => self.begin_anew(key),
                Err(error) => {
                    self.note_error(Some(key), &error);
                    Ok(())
                }
            };
        }
        let mode = match at_stop {
            _ if is_left => Mode::Last,
            Some(mode) => mode,
            None => tracked.mode(now),
        };
        let Some(slab) = self.intake.slab(at_stop.is_none()) else {
            self.schedule(key, now + MEMORY_WAIT);
            return Ok(());
        };
        let limits = self.options.lines.limits();
        match tracked.read(slab, self.options.format, limits, mode) {
            Err(error) => {
                self.note_error(Some(key), &error);
                Ok(())
            }
            Ok((turn, has_grown_head)) => {
                self.is_registry_stale |= has_grown_head;
                tracked.is_failing = false;
                match turn {
                    Turn::Nothing => self.settle(key, is_left),
                    Turn::BeganAnew => self.begin_anew(key),
                    Turn::Lines(lines) => self.hand_on(key, lines, is_left),
                }
            }
        }
    }

    /// What the file system says of the file of `key`, if it is open.
    fn facts_of_open(&mut self, key: u64) -> Option<Facts> {
        let tracked = self.files.get_mut(&key)?;
        match Facts::of(tracked.file.as_ref()?) {
            Ok(facts) => Some(facts),
            Err(error) => {
                // A stale handle of a network file system: open it anew.
                tracked.file = None;
                self.note_error(Some(key), &error);
                None
            }
        }
    }

    /// Hands on what a turn read.
    fn hand_on(&mut self, key: u64, lines: TurnLines, is_left: bool) -> Result<(), SourceError> {
        let TurnLines { mut slab, cut, is_more, mark } = lines;
        if self.files.get(&key).is_some_and(|file| !file.is_registered) && !self.save_registry() {
            // Nothing was handed on: it is read again.
            self.schedule(key, Instant::now() + ERROR_WAIT);
            return Ok(());
        }
        let Some(tracked) = self.files.get_mut(&key) else { return Ok(()) };
        slab.truncate(cut.content);
        let counters = &self.context.counters;
        counters.events_in.add(cut.n_events);
        counters.truncated.add(cut.n_truncated);
        counters.bytes_in.add(cut.consumed as u64);
        let source_base = tracked.position;
        tracked.position += cut.consumed as u64;
        tracked.mark = mark;
        let change = tracked.note_lag();
        counters.lag_bytes.add(change);
        let chunk = Chunk {
            slab,
            lines: cut.lines,
            origin: Arc::clone(&tracked.origin),
            source_key: key,
            source_base,
            source_end: tracked.position,
            observed_ns: now_ns(),
        };
        self.intake.push(chunk)?;
        if is_more {
            self.schedule(key, Instant::now());
            return Ok(());
        }
        self.settle(key, is_left)
    }

    /// Nothing more to read for now: decides when to look again, and whether to keep it open.
    pub(super) fn settle(&mut self, key: u64, is_left: bool) -> Result<(), SourceError> {
        let Some(tracked) = self.files.get_mut(&key) else { return Ok(()) };
        let since = tracked.unchanged_since;
        let (holds, place) = (tracked.holds, tracked.place);
        if is_left {
            tracked.file = None;
            if matches!(place, Place::Gone | Place::Displaced) {
                self.take_out(key);
                self.intake.forget(key);
            } else {
                self.open.retain(|open| *open != key);
            }
            return Ok(());
        }
        if holds {
            let at = [BLOCK_QUIET, PARTIAL_QUIET].map(|quiet| since + quiet);
            let now = Instant::now();
            if let Some(at) = at.into_iter().find(|at| *at > now) {
                self.schedule(key, at);
            }
        }
        if place != Place::Here {
            self.schedule(key, since + self.options.rotate_wait);
        }
        self.open.retain(|open| *open != key);
        self.open.push_back(key);
        while self.open.len() > self.options.open_files_max {
            // Whatever stays open beyond a name must stay open: there is no way back to it.
            let closable = |key: &u64| {
                let file = self.files.get(key);
                file.is_none_or(|file| matches!(file.place, Place::Here | Place::Rotated))
            };
            let Some(at) = self.open.iter().position(closable) else { break };
            let closed = self.open.remove(at).and_then(|key| self.files.get_mut(&key));
            closed.into_iter().for_each(|file| file.file = None);
        }
        Ok(())
    }

    /// Opens the file of `key`, finding out where it is if it has moved.
    fn locate(&mut self, key: u64) -> io::Result<()> {
        let Some(tracked) = self.files.get_mut(&key) else { return Ok(()) };
        if tracked.open()? && tracked.place != Place::Displaced {
            return Ok(());
        }
        if let Some(file) = &tracked.file
            && Facts::of(file)?.n_links == 0
        {
            tracked.place = Place::Gone;
            return Ok(());
        }
        let found = tracked.path.parent().and_then(|dir| rotation::find_inode(dir, tracked.id));
        let (is_open, lag) = (tracked.file.is_some(), tracked.lag);
        if let Some((path, _)) = found {
            tracked.place = Place::Displaced;
            self.renamed(key, &path);
            return self.files.get_mut(&key).map_or(Ok(()), |file| file.open().map(drop));
        }
        if !is_open {
            let gone = self.take_out(key);
            if lag > 0 {
                let path = gone.as_ref().map(|file| &file.path);
                self.context.counters.errors.add(1);
                tracing::error!(?path, lag_bytes = lag, "a file went away before it was read");
            }
            self.intake.forget(key);
            if let Some(path) = gone.map(|file| file.path) {
                self.examine(&path, false);
            }
        }
        Ok(())
    }

    /// The file was truncated, or its content replaced: what is there now is a new stream. What was
    /// there may have been copied away before (logrotate's `copytruncate`): the old stream goes on
    /// in the copy.
    fn begin_anew(&mut self, key: u64) -> Result<(), SourceError> {
        let Some(mut old) = self.take_out(key) else { return Ok(()) };
        let facts = old.file.as_ref().and_then(|file| Facts::of(file).ok());
        let copy = rotation::find_copy(&old.path, &old.head, old.mark, old.position)
            .filter(|(_, facts)| !self.by_inode.contains_key(&(facts.id.dev, facts.id.ino)));
        let path = Arc::clone(&old.path);
        tracing::info!(?path, copy = ?copy.as_ref().map(|(path, _)| path), "a file begins anew");
        if let Some(facts) = facts {
            let key = new_source_key();
            let mut new = self.new_tracked(old.name.clone(), &path, &facts, key);
            (new.place, new.file, new.due) = (old.place, old.file.take(), Some(Instant::now()));
            self.insert(new);
        }
        match copy {
            Some((path, facts)) => {
                (old.id, old.path, old.place) = (facts.id, Arc::from(path), Place::Rotated);
                (old.file, old.cutter, old.lag) = (None, None, 0);
                old.due = Some(Instant::now());
                (old.size, old.unchanged_since) = (facts.size, Instant::now());
                self.insert(old);
            }
            None => self.intake.forget(key),
        }
        Ok(())
    }
}
