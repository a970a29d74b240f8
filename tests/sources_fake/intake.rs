//! An intake that records what it is given, checks what every chunk must hold to, and can forget
//! its last frames as a crash does.

#![expect(dead_code, reason = "each test crate uses its part of it")]

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use sidewake::event::chunk::{Chunk, Lines};
use sidewake::event::slab::Slab;
use sidewake::sources::{Intake, IntakeClosed};

/// How long a condition may take on a machine under load.
const PATIENCE: Duration = Duration::from_secs(30);

/// One event as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) text: String,
    pub(crate) flags: u16,
    pub(crate) stream: String,
    pub(crate) path: String,
    pub(crate) source_key: u64,
    pub(crate) position: u64,
    pub(crate) ts_ns: i64,
}

/// One chunk as it came.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) source_key: u64,
    pub(crate) source_base: u64,
    pub(crate) source_end: u64,
    pub(crate) events: Vec<Event>,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) frames: Vec<Frame>,
    pub(crate) n_flushes: usize,
    pub(crate) slab_bytes_max: usize,
    pub(crate) is_closed: bool,
    pub(crate) forgotten: Vec<u64>,
    pub(crate) is_memory_short: bool,
    pub(crate) n_refused_slabs: usize,
    held: BTreeMap<u64, u64>,
}

impl Log {
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.frames.iter().flat_map(|frame| &frame.events)
    }

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.events().map(|event| event.text.as_str()).collect()
    }
}

/// Clones share one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    inner: Arc<(Mutex<Log>, Condvar)>,
    slab_bytes: usize,
}

impl Fake {
    pub(crate) fn new(slab_bytes: usize) -> Self {
        Self { slab_bytes, ..Self::default() }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.inner.0.lock().expect("log")
    }

    /// Waits until `holds` of the log; `false` if it never does.
    pub(crate) fn waits_until(&self, mut holds: impl FnMut(&Log) -> bool) -> bool {
        let (log, changed) = &*self.inner;
        let guard = log.lock().expect("log");
        let waited = changed.wait_timeout_while(guard, PATIENCE, |log| !holds(log));
        !waited.expect("log").1.timed_out()
    }

    /// The same, for what must come.
    pub(crate) fn wait(&self, what: &str, holds: impl FnMut(&Log) -> bool) {
        assert!(self.waits_until(holds), "never came: {what}; there is {:?}", self.log().texts());
    }

    pub(crate) fn wait_for_texts(&self, n: usize) {
        self.wait(&format!("{n} events"), |log| log.events().count() >= n);
    }

    /// Keeps only the first `n` frames, as if the others had not become durable.
    pub(crate) fn crash_to(&self, n: usize) {
        let mut log = self.log();
        log.frames.truncate(n);
        let held = log.frames.iter().map(|frame| (frame.source_key, frame.source_end)).collect();
        log.held = held;
    }
}

impl Intake for Fake {
    fn push(&mut self, chunk: Chunk) -> Result<(), IntakeClosed> {
        let mut log = self.log();
        if log.is_closed {
            return Err(IntakeClosed);
        }
        assert_ne!(chunk.source_key, 0);
        assert!(chunk.source_end > chunk.source_base, "a chunk covers something");
        if let Some(held) = log.held.get(&chunk.source_key) {
            assert_eq!(chunk.source_base, *held, "neither a gap nor an overlap");
        }
        log.held.insert(chunk.source_key, chunk.source_end);
        log.slab_bytes_max = log.slab_bytes_max.max(chunk.slab.capacity());
        let events = events(&chunk);
        log.frames.push(Frame {
            source_key: chunk.source_key,
            source_base: chunk.source_base,
            source_end: chunk.source_end,
            events,
        });
        drop(log);
        self.inner.1.notify_all();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IntakeClosed> {
        self.log().n_flushes += 1;
        self.inner.1.notify_all();
        Ok(())
    }

    fn held_to(&self, source_key: u64) -> Option<u64> {
        self.log().held.get(&source_key).copied()
    }

    fn slab(&mut self, can_wait: bool) -> Option<Slab> {
        let mut log = self.log();
        if can_wait && log.is_memory_short {
            log.n_refused_slabs += 1;
            self.inner.1.notify_all();
            return None;
        }
        Some(Slab::with_capacity(self.slab_bytes.max(64)))
    }

    fn forget(&mut self, source_key: u64) {
        self.log().forgotten.push(source_key);
        self.inner.1.notify_all();
    }
}

fn events(chunk: &Chunk) -> Vec<Event> {
    let event = |start: usize, len: usize, source_off: u32, flags, ts_ns| {
        assert_eq!(chunk.slab.get(start + len), Some(&b'\n'), "a newline ends every line");
        Event {
            text: String::from_utf8_lossy(&chunk.slab[start..start + len]).into_owned(),
            flags,
            stream: chunk.origin.stream.clone(),
            path: chunk.origin.attribute("log.file.path").unwrap_or_default().to_owned(),
            source_key: chunk.source_key,
            position: chunk.source_base + u64::from(source_off),
            ts_ns,
        }
    };
    match &chunk.lines {
        Lines::Table(table) => {
            let of = |line: &sidewake::event::chunk::Line| {
                event(
                    line.start as usize,
                    line.len as usize,
                    line.source_off,
                    line.flags,
                    line.ts_ns,
                )
            };
            table.iter().map(of).collect()
        }
        Lines::Plain => {
            assert_eq!(chunk.slab.len() as u64, chunk.source_end - chunk.source_base);
            assert_eq!(chunk.slab.last(), Some(&b'\n'));
            let mut start = 0;
            let mut all = Vec::new();
            for line in chunk.slab.split_inclusive(|byte| *byte == b'\n') {
                if line.len() > 1 {
                    all.push(event(start, line.len() - 1, start as u32, 0, 0));
                }
                start += line.len();
            }
            all
        }
    }
}
