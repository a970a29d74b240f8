//! Floor 3: where telemetry comes in. A source reads bytes on a thread of its own, cuts them into
//! lines and hands them to an [`Intake`]; it knows neither pipeline nor spool.
//!
//! Deliberately interprets nothing but framing: which lines there are (CRI, docker, CR LF,
//! over-long lines, tracebacks), where in the stream they stand, and nothing of what they say.
//!
//! # Why
//! - *Threads, not tasks.* Reading files blocks, and a pipe that is read late makes the model wait;
//!   both want a thread of their own with blocking calls and no scheduler between them.
//! - *A chunk ends where an event ends, for every stream in it.* Whatever is open at the end of the
//!   bytes (a line, a partial CRI line, a traceback) is carried over or read again. So a position
//!   that became durable is always one from which reading can start again without state.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::event::chunk::Chunk;
use crate::event::origin::Origin;
use crate::event::request::Request;
use crate::event::signal::Signal;
use crate::event::slab::Slab;
use crate::telemetry::{Deltas, SourceCounters};

pub mod echo;
pub mod exec;
pub mod fifo;
pub mod file;
mod framed;
pub mod jaeger;
mod join;
mod lines;
mod net;
pub mod otlp;
pub mod pipe;
pub mod prometheus;
pub mod stdin;
mod stop;
mod wait;

pub use stop::{Stage, Stop};

/// Where a source hands its chunks; implemented by the daemon (pipeline and spool).
pub trait Intake: Send {
    /// Takes a chunk: classifies, protects and appends it, on the source's own thread. Never waits
    /// for a sink; may wait for memory on behalf of sources that can be read again.
    ///
    /// # Errors
    /// [`IntakeClosed`] when nothing is taken any more; the chunk is then not acknowledged.
    fn push(&mut self, chunk: Chunk) -> Result<(), IntakeClosed>;

    /// Waits until all that was pushed is durable.
    ///
    /// # Errors
    /// [`IntakeClosed`] when that can no longer be achieved.
    fn flush(&mut self) -> Result<(), IntakeClosed>;

    /// The position up to which every tier durably holds the stream `source_key`; where to go on.
    /// `None` for a stream of which nothing is held.
    fn held_to(&self, source_key: u64) -> Option<u64>;

    /// The same of the tier that is furthest: how long the stream is at least.
    fn held_furthest(&self, source_key: u64) -> Option<u64> {
        self.held_to(source_key)
    }

    /// A slab to read into. `None` when memory is short and the source may wait (`can_wait`): it
    /// asks again a little later. A source that cannot wait always gets one.
    fn slab(&mut self, can_wait: bool) -> Option<Slab>;

    /// All there is was read and pushed: the source rests until more comes. What it pushed need not
    /// wait for what it might push next.
    fn rest(&mut self) {}

    /// The stream will never be read again: its position need not be kept.
    fn forget(&mut self, _source_key: u64) {}

    /// As [`Intake::push`], of a whole OTLP request of spans or metrics.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing of the request is then kept.
    fn push_request(&mut self, _request: Request) -> Result<Taken, NotTaken> {
        Err(NotTaken::Closed)
    }

    /// Whether `signal` should not come in now: its tiers are full and block, or the disk refuses.
    /// A client that can send again is asked to do so later.
    fn must_wait(&self, _signal: Signal) -> bool {
        false
    }

    /// Resolves when all that was pushed until now is durable.
    fn receipt(&mut self) -> Receipt {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Says that a request is being read, until the result is dropped: a sync waits a moment for
    /// those that are.
    fn begin(&mut self) -> Box<dyn Send> {
        Box::new(())
    }
}

/// What became of a request that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Spans or metrics in it.
    pub n_items: usize,
    /// Those of them that no reader would have, and that are not kept.
    pub n_rejected: usize,
    /// What became of points that were added up.
    pub deltas: Deltas,
}

impl Taken {
    /// What the client is told: of points, where those are not kept.
    #[must_use]
    pub fn n_told(&self) -> usize {
        self.n_rejected + self.deltas.n_refused() as usize
    }
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is no such request: it must not be sent again.
    #[error("{0}")]
    Malformed(String),
    /// No tier of the config takes the signal: nor this one.
    #[error("no tier takes {}", .0.as_str())]
    NoTier(Signal),
    /// The daemon is going down: it may be sent again.
    #[error("the intake is closed")]
    Closed,
}

/// See [`Intake::receipt`].
pub type Receipt = Pin<Box<dyn Future<Output = Result<(), IntakeClosed>> + Send>>;

/// The intake takes nothing any more: the daemon is going down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the intake is closed")]
pub struct IntakeClosed;

/// Something that reads until it ends or is stopped.
pub trait Source: Send {
    /// Reads until the source ends or `stop` says so; returns after a last flush. Called on a
    /// thread of its own, 256 KiB of stack are enough.
    ///
    /// # Errors
    /// [`SourceError`] when the source cannot be opened or the intake is closed. What goes wrong
    /// later is counted, logged and tried again.
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError>;
}

/// How a source came to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// `exec`: the child's exit code, 128 + signal when a signal ended it.
    pub exit_code: Option<i32>,
}

/// Why a source cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The command was not found or may not be run. Shells answer 127 and 126.
    #[error("cannot run {command:?}")]
    Spawn {
        /// The program.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// A path cannot be opened, made or read.
    #[error("cannot open {path:?}")]
    Open {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A glob does not compile, or the options contradict each other.
    #[error("cannot use {what}")]
    Options {
        /// What, and why not.
        what: String,
    },
    /// A descriptor that cannot be had or waited for (limits).
    #[error("cannot set up the source")]
    System(#[from] io::Error),
    /// The daemon takes nothing any more.
    #[error(transparent)]
    Closed(#[from] IntakeClosed),
}

impl SourceError {
    /// The exit code that a shell would give for this.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Spawn { .. } => 126,
            _ => 1,
        }
    }
}

/// What every source is given beside its own options.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The source's name in the config.
    pub name: String,
    /// Resource attributes of everything it reads.
    pub attributes: Vec<(String, String)>,
    /// Its counters.
    pub counters: Arc<SourceCounters>,
}

impl Context {
    /// The origin of one stream: the source's attributes and `more`, sorted by name.
    fn origin(&self, stream: &str, more: Vec<(String, String)>) -> Arc<Origin> {
        let mut attributes = self.attributes.clone();
        attributes.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        attributes.extend(more);
        attributes.sort();
        let (source, stream) = (self.name.clone(), stream.to_owned());
        Arc::new(Origin { source, stream, attributes, is_received: false })
    }
}

/// The default of every source's `max_line_bytes`: 256 KiB.
pub const MAX_LINE_BYTES: usize = 256 << 10;

/// A key for a stream seen for the first time; never 0.
pub(crate) fn new_source_key() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard hasher's keys come from the system's entropy and differ at every call.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u128(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos());
    hasher.finish().max(1)
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as i64
}
