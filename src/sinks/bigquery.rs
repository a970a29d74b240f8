//! BigQuery: every request and prediction a typed row, by the Storage Write API or by insertAll.
//!
//! Owns the options, the table's schema ([`table`]), what of a row goes where ([`layout`]), the
//! rows' bytes (`encode`, `objects`) and the meaning of answers (`judge`, `inserted`). The
//! connection, streams and their offsets, the table's creation and credentials are the transport's.
//!
//! # Why
//! - **The layout is learned.** Rows are encoded for the columns that the table has, which only the
//!   transport can ask for. Until it has, all columns are taken to be there; a body for other
//!   columns than the table's is encoded again before it is sent.
//! - **Halves wait outside.** A request and its prediction that come as two events become one row
//!   where both are in one body. A half that is alone is left out of the body and offered to the
//!   next one, until its window is over: the events wait, in their order and where they are known
//!   to the cursor, and an encoder remembers nothing from body to body.
//! - **A body is rows and their descriptor**, so that it can be written down and sent by another
//!   process, whatever that one would encode.
//! - **Bodies are sent in their order** where rows land exactly once: an offset names the rows
//!   before it.

use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use self::encode::Rows;
use self::layout::Layout;
use self::table::TableId;
use super::{Body, Contents, Encoder, LogRange, Refused, Response, Sink, Transport, Verdict, row};
use crate::event::batch::Batch;
use crate::event::signal::Signal;
use crate::secret::Secret;
use crate::sinks::row::build::Builder;
use crate::sinks::row::schema::Schema;

pub mod answer;
mod encode;
mod inserted;
mod join;
mod judge;
pub mod layout;
mod objects;
pub mod table;
#[cfg(test)]
mod tests;

pub use encode::marked as logging_error;
pub use inserted::NO_SUCH_FIELD;
pub use judge::STALE_LAYOUT;

/// One body is filled while others are sent.
const BUILDERS_MAX: usize = 2;
/// How long halves are expected to meet after the last that did, in nanoseconds.
const HOPE_NS: i64 = 600_000_000_000;

/// How requests are authorised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Those that the environment has: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, the
    /// metadata server.
    Default,
    /// A key, or another of Google's credential files, as its JSON.
    Json(Secret),
    /// None: an emulator.
    None,
}

/// By which of its interfaces rows go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// The Storage Write API, by gRPC.
    StorageWrite,
    /// `tabledata.insertAll`, by REST.
    InsertAll,
}

/// What a route to BigQuery needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where rows go.
    pub table: TableId,
    /// Which columns they have.
    pub schema: Schema,
    /// How they go there.
    pub api: Api,
    /// The Storage Write API's URL.
    pub grpc_url: String,
    /// The URL of the REST API.
    pub rest_url: String,
    /// How requests are authorised.
    pub credentials: Credentials,
    /// The service account that those credentials act as.
    pub impersonated: Option<String>,
    /// Each row once, by streams with offsets.
    pub is_exact: bool,
    /// Whether a table that is not there is created.
    pub creates_table: bool,
    /// Whether columns that are not there are added.
    pub adds_columns: bool,
    /// The JSON column for what has none.
    pub unmapped: String,
    /// How long the tier keeps rows.
    pub retention: Duration,
    /// Labels of the table that is created.
    pub labels: Vec<(String, String)>,
    /// How long one half of a request waits for the other; not at all where that is zero.
    pub join_window: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// What sink and transport share.
#[derive(Debug)]
pub struct Destination {
    /// See [`Options`].
    pub options: Options,
    layout: ArcSwap<Layout>,
    /// How often a layout was learned.
    version: AtomicU64,
}

impl Destination {
    /// The layout of the table is `layout`; whether it was another before.
    pub fn learn(&self, layout: Layout) -> bool {
        if **self.layout.load() == layout {
            return false;
        }
        self.layout.store(Arc::new(layout));
        self.version.fetch_add(1, Relaxed);
        true
    }

    /// Whether a body of `contents` is for the columns that the table has.
    #[must_use]
    pub fn fits(&self, contents: Contents) -> bool {
        contents.form == self.form()
    }

    fn form(&self) -> u8 {
        self.version.load(Relaxed) as u8
    }
}

/// The sink of one route.
#[derive(Debug)]
pub struct BigQuery {
    names: Arc<row::Names>,
    destination: Arc<Destination>,
    builders: Arc<Mutex<Vec<Builder>>>,
    /// When two halves met last, or else the first one was seen.
    joined_ns: Arc<AtomicI64>,
}

impl BigQuery {
    /// A sink that writes to one table.
    #[must_use]
    pub fn new(options: Options, names: Arc<row::Names>) -> Self {
        let layout = ArcSwap::from_pointee(Layout::whole(options.schema));
        let version = AtomicU64::new(0);
        let destination = Arc::new(Destination { options, layout, version });
        let (builders, joined_ns) = (Arc::default(), Arc::default());
        Self { names, destination, builders, joined_ns }
    }
}

impl Sink for BigQuery {
    fn encoder(&self, now_ns: i64) -> Box<dyn Encoder> {
        let pooled = self.builders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let builder = pooled.unwrap_or_else(|| {
            Builder::new(self.destination.options.schema, Arc::clone(&self.names))
        });
        // Before the layout: what is learned between the two is a layout too many, and not one
        // too few.
        let form = self.destination.form();
        let layout = self.destination.layout.load_full();
        let retention = self.destination.options.retention.as_micros();
        let retention_micros = i64::try_from(retention).unwrap_or(i64::MAX);
        let rows = Rows::new(builder, Arc::clone(&layout), retention_micros);
        let api = self.destination.options.api;
        let rows = if api == Api::InsertAll { rows.with_objects() } else { rows };
        let window = self.destination.options.join_window.as_nanos();
        Box::new(RowsEncoder {
            form,
            api,
            layout,
            rows,
            now_ns,
            window_ns: i64::try_from(window).unwrap_or(i64::MAX),
            builders: Arc::clone(&self.builders),
            joined_ns: Arc::clone(&self.joined_ns),
        })
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        let is_stale = !self.destination.fits(response.contents);
        match self.destination.options.api {
            Api::InsertAll if !response.is_unsent => inserted::judge(response, is_stale),
            _ => judge::judge(response, is_stale),
        }
    }

    fn transport(&self) -> Transport {
        Transport::BigQuery(Arc::clone(&self.destination))
    }

    fn window(&self) -> Duration {
        self.destination.options.join_window
    }
}

struct RowsEncoder {
    form: u8,
    api: Api,
    layout: Arc<Layout>,
    rows: Rows,
    now_ns: i64,
    window_ns: i64,
    builders: Arc<Mutex<Vec<Builder>>>,
    joined_ns: Arc<AtomicI64>,
}

impl RowsEncoder {
    /// Whether halves wait at all: where none ever meet, each would wait in vain.
    fn expects_others(&self) -> bool {
        let last_ns = self.joined_ns.load(Relaxed);
        self.now_ns.saturating_sub(last_ns) < HOPE_NS
    }
}

impl Encoder for RowsEncoder {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        if batch.signal != Signal::Logs {
            return events.map(|event| Refused { event, reason: "no_log" }).collect();
        }
        let n_waiting = self.rows.halves.len();
        let refused = self.rows.push(batch, events, self.window_ns > 0);
        if self.joined_ns.load(Relaxed) == 0 && self.rows.halves.len() > n_waiting {
            self.joined_ns.store(self.now_ns, Relaxed);
        }
        refused
    }

    fn len(&self) -> usize {
        self.rows.bytes.len() + self.rows.halves.len()
    }

    fn defer(&mut self, now_ns: i64) -> Vec<usize> {
        let rows = &mut self.rows;
        if rows.events.iter().any(|(first, last)| first != last) {
            self.joined_ns.fetch_max(now_ns, Relaxed);
        }
        let expects_others = self.expects_others();
        let rows = &mut self.rows;
        let waits = |half: &join::Half| {
            expects_others && now_ns.saturating_sub(half.observed_ns) < self.window_ns
        };
        let (waiting, alone): (Vec<_>, Vec<_>) =
            rows.halves.take().into_iter().partition(|(half, _)| waits(half));
        rows.push_alone(alone.into_iter());
        let numbers: Vec<u32> = waiting.iter().map(|(half, _)| half.event).collect();
        rows.renumber(&numbers);
        numbers.into_iter().map(|number| number as usize).collect()
    }

    fn finish(self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        let Self { form, api, layout, mut rows, builders, .. } = *self;
        let alone = rows.halves.take();
        rows.push_alone(alone.into_iter());
        match api {
            Api::StorageWrite => encode::head(&layout, rows.bytes.len(), &mut body.bytes),
            Api::InsertAll => body.bytes.extend_from_slice(objects::HEAD),
        }
        body.parts.push(Bytes::from(std::mem::take(&mut rows.bytes)));
        if api == Api::InsertAll {
            body.parts.push(Bytes::from_static(objects::TAIL));
        }
        body.contents = Contents { form, n_items: u64::from(rows.n_rows) };
        if !rows.is_plain() {
            body.events = std::mem::take(&mut rows.events);
        }
        let mut builders = builders.lock().unwrap_or_else(PoisonError::into_inner);
        if builders.len() < BUILDERS_MAX {
            builders.push(rows.into_builder());
        }
        Ok(())
    }
}
