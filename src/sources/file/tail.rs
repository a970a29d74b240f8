//! All files of one source: what is known of each, when each is looked at next, what a change of a
//! name means.
//!
//! # Why
//! Events of the file system are taken for hints: whatever they say, [`Tail::examine`] asks the
//! file system what stands at the name now. So lost, late and reordered events all end the same
//! way.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::lines::Mode;
use super::super::{Context, Intake, SourceError};
use super::globs::Globs;
use super::identity::{Facts, Head};
use super::registry::{Entry, Registry};
use super::tracked::{Place, Tracked};
use super::watch::{Changes, Watcher};
use super::{Options, StartAt, attributes, rotation};

/// How long to wait after an error.
const ERROR_WAIT: Duration = Duration::from_secs(1);

mod serve;

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

    /// Finds the file of a registry entry, wherever it went while we were down. One that the
    /// patterns mean no more is forgotten: nobody wants its lines.
    fn take_up(&mut self, entry: Entry) {
        if !self.globs.matches(&entry.name) {
            tracing::info!(path = ?entry.path, "a file is not meant any more");
            self.intake.forget(entry.key);
            self.is_registry_stale = true;
            return;
        }
        let held = self.intake.held_to(entry.key).unwrap_or(0);
        let position = held.max(entry.start);
        // What it is shows where it was read to; some tier may want it from further back.
        let known = self.intake.held_furthest(entry.key).unwrap_or(0).max(position);
        match rotation::find(&entry, known) {
            Some((path, facts, place)) => {
                let mut tracked = self.new_tracked(entry.name, &path, &facts, entry.key);
                (tracked.head, tracked.start, tracked.position) =
                    (entry.head, entry.start, position);
                (tracked.place, tracked.is_registered) = (place, true);
                tracked.mark = entry.mark.filter(|mark| mark.position == known);
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
        // Watches first: what appears between the walk and the watch is told, or found the next
        // time.
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
            Err(error) => return self.note_error(known, &error),
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
        // Who writes it may do so for a while yet.
        tracked.unchanged_since = Instant::now();
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

    /// Counts an error; the file that it happened to, if one is known, is tried again.
    fn note_error(&mut self, key: Option<u64>, error: &io::Error) {
        self.context.counters.errors.add(1);
        let Some(file) = key.and_then(|key| self.files.get_mut(&key)) else { return };
        if !std::mem::replace(&mut file.is_failing, true) {
            tracing::warn!(path = ?file.path, %error, "could not read a file, will try again");
        }
        let key = file.key;
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
            facts.ok().map(|facts| (file.key, facts.size, file.mode_at_stop(&facts)))
        };
        self.files.values().filter_map(size).collect()
    }

    /// How far `key` was read, if it is still followed.
    pub(super) fn position(&self, key: u64) -> Option<u64> {
        self.files.get(&key).map(|file| file.position)
    }
}
