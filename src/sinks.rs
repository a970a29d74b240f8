//! Floor 3: where telemetry goes out. A sink is an encoder and a judge, both pure; everything
//! that repeats between sinks (batching, retry, limits, acks, dead letters) is `deliver`'s.
//!
//! Adding a sink is one file here and one line in the registry of `config`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::event::batch::{Batch, Event};
use crate::protect::protected::Protected;
use crate::secret::Secret;

pub use crate::event::log_range::LogRange;

pub mod bigquery;
pub mod console;
pub mod files;
pub mod json;
pub mod loki;
pub mod otlp;
pub mod remote_write;
pub mod row;
mod snappy;

/// A destination's format and the meaning of its answers.
pub trait Sink: Send + Sync + 'static {
    /// Starts one request body (or file). Cheap: a sink keeps and reuses its buffers.
    ///
    /// `now_ns` is the time (nanoseconds since 1970) at which the body is begun. It is the only
    /// clock that an encoder has: what depends on lateness depends on this number, so encoding the
    /// same events with the same number again (after a split) gives the same bytes.
    fn encoder(&self, now_ns: i64) -> Box<dyn Encoder>;

    /// What the destination's answer means. Pure: no clock, no I/O.
    fn judge(&self, response: &Response<'_>) -> Verdict;

    /// Which events of `pieces`, by piece, the destination means by [`Suspects::named`]; none where
    /// what it means is no event. `None`: that cannot be told. `may_be_stored`: they may have been
    /// sent before, by an attempt whose answer nobody read.
    fn accused(
        &self,
        _named: &[String],
        _pieces: &[(&Batch, Range<usize>)],
        _may_be_stored: bool,
    ) -> Option<Vec<Vec<usize>>> {
        None
    }

    /// How bodies travel.
    fn transport(&self) -> Transport;

    /// How long an event that [`Encoder::defer`] leaves out may wait.
    fn window(&self) -> Duration {
        Duration::ZERO
    }
}

/// Builds one body from events as they come out of the spool.
///
/// Incremental, so that a sink that writes large files (Parquet) never holds its input.
pub trait Encoder: Send {
    /// Adds the events `events` of `batch`. Returns the events (indices into the batch's table)
    /// that can never be delivered here, with the reason: they go to the dead letters.
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused>;

    /// Adds all of `batch` without a copy of it, where its bytes stand in the body as they are;
    /// whether it did.
    fn share(&mut self, _batch: &Arc<Protected>) -> bool {
        false
    }

    /// Bytes of the body so far, as the destination's limit counts them (before compression).
    fn len(&self) -> usize;

    /// Whether nothing was added.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves events out of the body that wait for others which belong to them, and which may be
    /// in a later body; returns them by their numbers among all that were taken. They are offered
    /// again at the beginning of the next one. `now_ns` is the time at which the body is closed.
    /// What is encoded a second time (after a split) is not asked: it has all that it will have.
    fn defer(&mut self, _now_ns: i64) -> Vec<usize> {
        Vec::new()
    }

    /// Completes the body into `body`, which the caller has cleared.
    ///
    /// # Errors
    /// A reason for which the whole body cannot be built.
    fn finish(self: Box<Self>, range: LogRange, body: &mut Body) -> Result<(), String>;
}

/// An event that a sink can never take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Index into the batch's table.
    pub event: usize,
    /// Why, in a few stable words (`line_too_long`); a metric label and the dead letter's reason.
    pub reason: &'static str,
}

/// A finished body and how to send it.
#[derive(Debug, Default)]
pub struct Body {
    /// The bytes on the wire.
    pub bytes: Vec<u8>,
    /// What follows them there, for the transports of HTTP.
    pub parts: Vec<Bytes>,
    /// Headers beyond those of the transport (`Content-Type`).
    pub headers: BTreeMap<&'static str, String>,
    /// File transports: the path below the store's root.
    pub file_name: String,
    /// What the destination takes, but does not keep whole.
    pub truncated: Truncated,
    /// What the judge of its answer will be told of it.
    pub contents: Contents,
    /// By row the numbers of its first and its last event (of at most two) among those that the
    /// body was made of, where the judge may name rows; empty where each row is the event of its
    /// own number.
    pub events: Vec<(u32, u32)>,
}

/// What a body holds, for a judge that compares it with what the answer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Which of its forms the sink gave the body, by a number of its own.
    pub form: u8,
    /// How many of what the destination counts.
    pub n_items: u64,
}

/// Values that a destination cuts without a word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// How many.
    pub n_values: u64,
    /// One of them, in words for the operator: no payload.
    pub example: String,
}

impl Truncated {
    /// Counts a value; the first one is the example.
    pub fn note(&mut self, example: impl FnOnce() -> String) {
        if self.n_values == 0 {
            self.example = example();
        }
        self.n_values += 1;
    }
}

/// How a sink's bodies travel; the client for each lives in `deliver`.
#[derive(Clone, Debug)]
pub enum Transport {
    /// `POST` of the body.
    Http {
        /// Where to.
        url: String,
        /// Fixed headers (tenant, authorization).
        headers: Vec<(String, Secret)>,
        /// Longest wait for an answer.
        timeout: Duration,
        /// Headers of the answer that the judge wants to see, in lower case.
        answer_headers: &'static [&'static str],
    },
    /// A unary call by gRPC; the body is the framed message.
    Grpc {
        /// Scheme, host, port and the path of the method.
        url: String,
        /// Fixed metadata.
        headers: Vec<(String, Secret)>,
        /// Longest wait for an answer.
        timeout: Duration,
    },
    /// The body is a whole file below `root`, written beside and renamed into place after a sync.
    File {
        /// The store's folder.
        root: std::path::PathBuf,
    },
    /// Appends to a table of BigQuery: a stream of requests and one of answers, with offsets.
    BigQuery(Arc<bigquery::Destination>),
    /// Lines to our own standard output.
    Stdout,
}

/// What a destination said.
#[derive(Clone, Debug, Default)]
pub struct Response<'a> {
    /// HTTP status.
    pub status: u16,
    /// First bytes of the answer's body (at most 64 KiB); of gRPC, of its message.
    pub body: &'a [u8],
    /// What gRPC says, where it was spoken.
    pub grpc: Option<Grpc<'a>>,
    /// Those of the headers that the transport was asked for which the answer has.
    pub headers: &'a [(&'static str, String)],
    /// What was sent.
    pub contents: Contents,
    /// The body was not sent: this is what the transport asked for before it.
    pub is_unsent: bool,
}

/// The status of a gRPC call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grpc<'a> {
    /// The code; 0 is OK.
    pub code: u32,
    /// The server's words.
    pub message: &'a str,
}

/// What an answer means for the batch that was sent. `Retry-After` is read by the transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of it is stored.
    Delivered,
    /// Stored but for some events, which the destination refused for good.
    PartlyRefused {
        /// How many it said it refused (best effort), at least 1.
        n_refused: usize,
        /// Its words, shortened.
        reason: String,
        /// Which ones, as far as its words tell.
        suspects: Suspects,
    },
    /// Not stored, worth sending again (with the given wait where the destination named one).
    Retry {
        /// Its words, shortened.
        reason: String,
    },
    /// Too large: halve it and send both halves.
    Split,
    /// Refused as a whole for the sake of some events: halve it, until those are alone.
    Isolate {
        /// Its words, shortened.
        reason: String,
    },
    /// These rows are refused for good: the events that they are of go to the dead letters.
    RowsRefused {
        /// Which, by their number in the body, and why.
        rows: Vec<(usize, String)>,
        /// What became of all others.
        others: Others,
    },
    /// The destination does not know this form: encode the same events again, now that the sink
    /// has learned it. Answered so again, the body is refused.
    Reencode {
        /// Its words, shortened.
        reason: String,
    },
    /// The destination will never take this batch: dead letters.
    Refused {
        /// Its words, shortened.
        reason: String,
    },
    /// Credentials or address are wrong: keep the data, raise the alarm, try again slowly.
    Unauthorised {
        /// Its words, shortened.
        reason: String,
    },
}

/// What became of the rows that were not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// None is stored: all are sent again.
    Unstored,
    /// They are stored, all but these, which are sent again. An event of which one row is sent
    /// again is sent again with all of its rows.
    StoredBut {
        /// Which, by their number in the body.
        rows: Vec<usize>,
        /// Why not at once, where the destination is to be left alone first.
        pause: Option<String>,
    },
}

/// Which events of a body the destination's words point at. Any one bound that an event breaks
/// makes it a suspect; no bound at all means that the words do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suspects {
    /// Events before this time (ns since 1970).
    pub before_ns: Option<i64>,
    /// Events at or after this time.
    pub from_ns: Option<i64>,
    /// Lines longer than this many bytes.
    pub longer_than: Option<usize>,
    /// Lines of its words that name what they are about: only the sink can tell which events that
    /// are, by [`Sink::accused`].
    pub named: Vec<String>,
}

impl Suspects {
    /// Whether the words tell anything of an event by itself.
    #[must_use]
    pub fn are_known(&self) -> bool {
        let Self { before_ns, from_ns, longer_than, named: _ } = self;
        before_ns.is_some() || from_ns.is_some() || longer_than.is_some()
    }

    /// Whether `event` is one of them.
    #[must_use]
    pub fn cover(&self, event: &Event<'_>) -> bool {
        let ts_ns = event.record.ts_ns;
        self.before_ns.is_some_and(|bound| ts_ns < bound)
            || self.from_ns.is_some_and(|bound| ts_ns >= bound)
            || self.longer_than.is_some_and(|bound| event.bytes.len() > bound)
    }
}
