//! All files of one source: what is known of each, when each is looked at next, what a change of a
//! name means.
//!
//! # Why
//! Events of the file system are taken for hints: whatever they say, [`Tail::examine`] asks the file
//! system what stands at the name now. So lost, late and reordered events all end the same way.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::lines::Mode;
use super::super::{Context, Intake, SourceError, now_ns};
use super::globs::Globs;
use super::identity::{Facts, Head};
use super::registry::{Entry, Registry};
use super::tracked::{BLOCK_QUIET, PARTIAL_QUIET, Place, Tracked, Turn};
use super::watch::{Changes, Watcher};
use super::{Options, StartAt, attributes, rotation};
use crate::event::chunk::Chunk;

/// How long to wait when memory is short.
const MEMORY_WAIT: Duration = Duration::from_millis(20);
/// How long to wait after an error.
const ERROR_WAIT: Duration = Duration::from_secs(1);

/// The files of one source.
pub(super) struct Tail {
    pub(super) options: Options,
    pub(super) context: Context,
    pub(super) intake: Box<dyn Intake>,
    pub(super) watcher: Watcher,
    globs: Globs,
    registry: Registry,
    files: BTreeMap<u64, Tracked>,
    by_path: HashMap<Arc<Path>, u64>,
    /// By device and inode.
    by_inode: HashMap<(u64, u64), u64>,
    /// Files found through symbolic links: what the link is called.
    links: HashMap<PathBuf, PathBuf>,
    due: BTreeSet<(Instant, u64)>,
    /// Files with a descriptor, the one read longest ago first.
    open: VecDeque<u64>,
    is_registry_stale: bool,
    /// Said once.
    is_registry_failing: bool,
}

impl Tail {
    /// Takes up the files that the registry knows, then finds the others.
    pub(super) fn open(
        options: Options,
        context: Context,
        intake: Box<dyn Intake>,
    ) -> Result<Self, SourceError> {
        let globs = Globs::new(&options.include, &options.exclude)?;
        let failed = |source| SourceError::Open { path: options.state_dir.clone(), source };
        let (registry, entries) =
            Registry::open(&options.state_dir, &context.name).map_err(failed)?;
        let mut tail = Self {
            watcher: Watcher::new()?,
            options,
            context,
            intake,
            globs,
            registry,
            files: BTreeMap::new(),
            by_path: HashMap::new(),
            by_inode: HashMap::new(),
            links: HashMap::new(),
            due: BTreeSet::new(),
            open: VecDeque::new(),
            is_registry_stale: false,
            is_registry_failing: false,
        };
        let is_first_run = entries.is_none();
        for entry in entries.into_iter().flatten() {
            tail.take_up(entry);
        }
        let at_end = is_first_run && tail.options.start_at == StartAt::End;
        tail.rescan(at_end);
        tail.save_registry();
        Ok(tail)
    }

    /// Finds the file of a registry entry, wherever it went while we were down.
    fn take_up(&mut self, entry: Entry) {
        let held = self.intake.held_to(entry.key).unwrap_or(0);
        let position = held.max(entry.start);
        match rotation::find(&entry, position) {
            Some((path, facts, place)) => {
                let mut tracked = self.new_tracked(entry.name, &path, &facts, entry.key);
                (tracked.head, tracked.start, tracked.position) =
                    (entry.head, entry.start, position);
                (tracked.place, tracked.is_registered) = (place, true);
                tracked.mark = entry.mark.filter(|mark| mark.position == position);
                if facts.size > position {
                    tracked.due = Some(Instant::now());
                }
                self.insert(tracked);
            }
            None => {
                tracing::info!(path = ?entry.path, "a file went away while nobody looked");
                self.intake.forget(entry.key);
                self.is_registry_stale = true;
            }
        }
    }

    fn new_tracked(&self, name: PathBuf, path: &Path, facts: &Facts, key: u64) -> Tracked {
        Tracked {
            key,
            id: facts.id,
            head: Head::default(),
            mark: None,
            path: Arc::from(path),
            origin: self.context.origin("", attributes::of(&name, path)),
            name,
            place: Place::Here,
            start: 0,
            position: 0,
            lag: 0,
            file: None,
            cutter: None,
            is_registered: false,
            size: 0,
            unchanged_since: Instant::now(),
            holds: false,
            is_failing: false,
            due: None,
        }
    }

    fn insert(&mut self, tracked: Tracked) {
        let key = tracked.key;
        self.by_path.insert(Arc::clone(&tracked.path), key);
        self.by_inode.insert((tracked.id.dev, tracked.id.ino), key);
        self.due.extend(tracked.due.map(|at| (at, key)));
        self.files.insert(key, tracked);
        self.is_registry_stale = true;
    }

    /// Takes a file out of all tables.
    fn take_out(&mut self, key: u64) -> Option<Tracked> {
        let tracked = self.files.remove(&key)?;
        if self.by_path.get(&tracked.path) == Some(&key) {
            self.by_path.remove(&tracked.path);
        }
        let inode = (tracked.id.dev, tracked.id.ino);
        if self.by_inode.get(&inode) == Some(&key) {
            self.by_inode.remove(&inode);
        }
        if let Some(at) = tracked.due {
            self.due.remove(&(at, key));
        }
        self.open.retain(|open| *open != key);
        self.context.counters.lag_bytes.add(-tracked.lag.cast_signed());
        self.is_registry_stale = true;
        Some(tracked)
    }

    /// Has `key` looked at no later than `at`.
    fn schedule(&mut self, key: u64, at: Instant) {
        let Some(tracked) = self.files.get_mut(&key) else { return };
        match tracked.due {
            Some(due) if due <= at => return,
            Some(due) => self.due.remove(&(due, key)),
            None => false,
        };
        tracked.due = Some(at);
        self.due.insert((at, key));
    }

    /// How often to look at everything; more often where changes are not told.
    pub(super) fn rescan_interval(&self) -> Duration {
        match self.watcher.is_exhausted() {
            true => self.options.rescan_interval.min(Duration::from_secs(1)),
            false => self.options.rescan_interval,
        }
    }

    /// When the next file is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes in what the watcher tells.
    pub(super) fn note(&mut self, changes: &Changes) {
        for path in &changes.renamed {
            self.examine(path, false);
        }
        let soon = Instant::now() + self.options.lines.linger;
        for path in &changes.written {
            match self.by_path.get(path.as_path()) {
                Some(key) => self.schedule(*key, soon),
                None => self.examine(path, false),
            }
        }
    }

    /// Looks at every name there is.
    pub(super) fn rescan(&mut self, at_end: bool) {
        let found = self.globs.walk();
        // Watches first: what appears between the walk and the watch is told, or found the next time.
        for dir in &found.dirs {
            self.watcher.watch(dir);
        }
        for name in found.files {
            let real = match std::fs::symlink_metadata(&name) {
                Ok(meta) if meta.is_symlink() => std::fs::canonicalize(&name).ok(),
                Ok(_) => None,
                Err(_) => continue,
            };
            let path = match real {
                Some(real) => {
                    if let Some(dir) = real.parent() {
                        self.watcher.watch(dir);
                    }
                    self.links.insert(real.clone(), name);
                    real
                }
                None => name,
            };
            self.examine(&path, at_end);
        }
        // Rotated files have names that no pattern may match.
        let others = self.files.values().filter(|file| file.place == Place::Rotated);
        let others: Vec<_> = others.map(|file| Arc::clone(&file.path)).collect();
        for path in others {
            self.examine(&path, false);
        }
        let vanished = self.files.values().filter(|file| file.place == Place::Here);
        let vanished: Vec<_> = vanished.map(|file| Arc::clone(&file.path)).collect();
        for path in vanished {
            if std::fs::symlink_metadata(&path).is_err() {
                self.examine(&path, false);
            }
        }
    }

    /// Asks what stands at `path` now, and acts on it.
    fn examine(&mut self, path: &Path, at_end: bool) {
        let known = self.by_path.get(path).copied();
        let facts = match Facts::at(path) {
            Ok(facts) if facts.is_file => facts,
            Ok(_) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                known.into_iter().for_each(|key| self.displace(key));
                return;
            }
            Err(error) => return self.note_error(known, path, &error),
        };
        if let Some(key) = known {
            let tracked = &self.files[&key];
            if tracked.id.is_same(facts.id) {
                if facts.size != tracked.position {
                    self.schedule(key, Instant::now() + self.options.lines.linger);
                }
                return;
            }
            self.displace(key);
        }
        let same_inode = self.by_inode.get(&(facts.id.dev, facts.id.ino)).copied();
        match same_inode.filter(|key| self.files[key].id.is_same(facts.id)) {
            Some(key) => self.renamed(key, path),
            None => self.discover(path, &facts, at_end),
        }
    }

    /// A tracked file has this name now.
    fn renamed(&mut self, key: u64, path: &Path) {
        let Some(tracked) = self.files.get_mut(&key) else { return };
        // Two names of one file: the first stays.
        if tracked.place != Place::Displaced
            && Facts::at(&tracked.path).is_ok_and(|facts| facts.id.is_same(tracked.id))
        {
            return;
        }
        if self.by_path.get(&tracked.path) == Some(&key) {
            self.by_path.remove(&tracked.path);
        }
        tracked.path = Arc::from(path);
        tracked.place = if path == tracked.name { Place::Here } else { Place::Rotated };
        self.by_path.insert(Arc::clone(&tracked.path), key);
        self.is_registry_stale = true;
        self.schedule(key, Instant::now());
    }

    /// The file's name is gone, or another file's.
    fn displace(&mut self, key: u64) {
        let Some(tracked) = self.files.get_mut(&key) else { return };
        if tracked.place != Place::Gone {
            tracked.place = Place::Displaced;
        }
        if self.by_path.get(&tracked.path) == Some(&key) {
            self.by_path.remove(&tracked.path);
        }
        // A rename tells the new name at once; time for it to be told.
        self.schedule(key, Instant::now() + self.options.lines.linger);
    }

    /// A file that is not known yet.
    fn discover(&mut self, path: &Path, facts: &Facts, at_end: bool) {
        let link = self.links.get(path);
        if link.is_none() && !self.globs.matches(path) {
            return;
        }
        let older = rotation::names_it_may_copy(path).find_map(|name| self.by_path.get(&*name));
        if let Some(older) = older.and_then(|key| self.files.get(key))
            && rotation::is_copy(path, facts, older).unwrap_or(false)
        {
            return;
        }
        let name = link.cloned().unwrap_or_else(|| path.to_owned());
        let mut tracked = self.new_tracked(name, path, facts, super::super::new_source_key());
        if at_end {
            let start =
                File::open(path).and_then(|file| rotation::last_line_start(&file, facts.size));
            tracked.start = start.unwrap_or(0);
            tracked.position = tracked.start;
        }
        tracked.due = Some(Instant::now());
        self.insert(tracked);
    }

    /// Serves the files that are due. Returns whether there were any.
    pub(super) fn serve_due(&mut self) -> Result<(), SourceError> {
        let now = Instant::now();
        while let Some((at, key)) = self.due.first().copied()
            && at <= now
        {
            self.serve(key, None)?;
        }
        Ok(())
    }

    /// One turn of reading `key`. `at_stop`: the mode for its end, and no waiting for anything.
    pub(super) fn serve(&mut self, key: u64, at_stop: Option<Mode>) -> Result<(), SourceError> {
        let Some(tracked) = self.files.get_mut(&key) else { return Ok(()) };
        if let Some(at) = tracked.due.take() {
            self.due.remove(&(at, key));
        }
        if let Err(error) = self.locate(key) {
            let path = self.files.get(&key).map(|file| Arc::clone(&file.path));
            self.note_error(Some(key), &path.unwrap_or_else(|| Path::new("").into()), &error);
            return Ok(());
        }
        let Some(tracked) = self.files.get_mut(&key) else { return Ok(()) };
        let Some(facts) = tracked.file.as_ref().and_then(|file| Facts::of(file).ok()) else {
            return Ok(());
        };
        let now = Instant::now();
        let change = tracked.note_facts(&facts, now);
        self.context.counters.lag_bytes.add(change);
        let is_left = tracked.place != Place::Here
            && now.saturating_duration_since(tracked.unchanged_since) >= self.options.rotate_wait;
        let mode = match at_stop {
            Some(mode) => mode,
            None if is_left => Mode::Last,
            None => tracked.mode(now),
        };
        // A copy may have been made before the last lines that we know were written.
        let is_short_copy = tracked.place == Place::Rotated && facts.size < tracked.position;
        if is_short_copy {
            return self.settle(key, is_left);
        }
        if facts.size == tracked.position {
            // As long as it was, and perhaps another: truncated and written again.
            let is_same = tracked.check().is_ok_and(|(is_same, _)| is_same);
            if !is_same {
                self.begin_anew(key);
            }
            return self.settle(key, is_left);
        }
        let Some(slab) = self.intake.slab(at_stop.is_none()) else {
            self.schedule(key, now + MEMORY_WAIT);
            return Ok(());
        };
        let limits = self.options.lines.limits();
        let position = tracked.position;
        match tracked.read(slab, self.options.format, limits, mode) {
            Err(error) => {
                let path = Arc::clone(&tracked.path);
                self.note_error(Some(key), &path, &error);
                Ok(())
            }
            Ok((turn, has_grown_head)) => {
                self.is_registry_stale |= has_grown_head;
                tracked.is_failing = false;
                self.take_turn(key, turn, is_left)?;
                let moved = self.files.get(&key).is_some_and(|file| file.position != position);
                if moved { Ok(()) } else { self.settle(key, is_left) }
            }
        }
    }

    /// Hands on what a turn read.
    fn take_turn(&mut self, key: u64, turn: Turn, is_left: bool) -> Result<(), SourceError> {
        let (mut slab, cut, is_more, mark) = match turn {
            Turn::Nothing => return Ok(()),
            Turn::BeganAnew => {
                self.begin_anew(key);
                return Ok(());
            }
            Turn::Lines { slab, cut, is_more, mark } => (slab, cut, is_more, mark),
        };
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
    fn settle(&mut self, key: u64, is_left: bool) -> Result<(), SourceError> {
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
    fn begin_anew(&mut self, key: u64) {
        let Some(mut old) = self.take_out(key) else { return };
        let facts = old.file.as_ref().and_then(|file| Facts::of(file).ok());
        let copy = rotation::find_copy(&old.path, &old.head, old.mark, old.position)
            .filter(|(_, facts)| !self.by_inode.contains_key(&(facts.id.dev, facts.id.ino)));
        let path = Arc::clone(&old.path);
        tracing::info!(?path, copy = ?copy.as_ref().map(|(path, _)| path), "a file begins anew");
        if let Some(facts) = facts {
            let key = super::super::new_source_key();
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
    }

    fn note_error(&mut self, key: Option<u64>, path: &Path, error: &io::Error) {
        self.context.counters.errors.add(1);
        let Some(key) = key else { return };
        let is_first = self
            .files
            .get_mut(&key)
            .is_some_and(|file| !std::mem::replace(&mut file.is_failing, true));
        if is_first {
            tracing::warn!(?path, %error, "could not read a file, will try again");
        }
        self.schedule(key, Instant::now() + ERROR_WAIT);
    }

    /// Has the registry written at the next occasion, with the positions of now.
    pub(super) fn note_registry_stale(&mut self) {
        self.is_registry_stale = true;
    }

    /// Writes the registry if something in it changed. A disk that refuses is tried again: until
    /// then no new stream is handed on.
    pub(super) fn save_registry(&mut self) -> bool {
        if !self.is_registry_stale {
            return true;
        }
        if let Err(error) = self.registry.save(self.files.values().map(Tracked::entry).collect()) {
            self.context.counters.errors.add(1);
            if !std::mem::replace(&mut self.is_registry_failing, true) {
                tracing::warn!(%error, "could not write the registry of files, will try again");
            }
            return false;
        }
        self.files.values_mut().for_each(|file| file.is_registered = true);
        (self.is_registry_stale, self.is_registry_failing) = (false, false);
        true
    }

    /// Every file, and how long it is now.
    pub(super) fn sizes(&self) -> Vec<(u64, u64, Mode)> {
        let size = |file: &Tracked| {
            let facts = match &file.file {
                Some(open) => Facts::of(open),
                None => Facts::at(&file.path),
            };
            facts.ok().map(|facts| (file.key, facts.size, Tracked::mode_at_stop(&facts)))
        };
        self.files.values().filter_map(size).collect()
    }

    /// How far `key` was read, if it is still followed.
    pub(super) fn position(&self, key: u64) -> Option<u64> {
        self.files.get(&key).map(|file| file.position)
    }
}
