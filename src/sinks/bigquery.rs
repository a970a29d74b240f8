//! BigQuery: every request and prediction a typed row, by the Storage Write API.
//!
//! Owns the options, the table's schema ([`table`]), what of a row goes where ([`layout`]), the
//! rows' bytes (`encode`) and the meaning of answers (`judge`). The connection, streams and their
//! offsets, the table's creation and credentials are the transport's.
//!
//! # Why
//! - **The layout is learned.** Rows are encoded for the columns that the table has, which only the
//!   transport can ask for. Until it has, all columns are taken to be there; a body for other
//!   columns than the table's is encoded again before it is sent.
//! - **A body is rows and their descriptor**, so that it can be written down and sent by another
//!   process, whatever that one would encode.
//! - **Bodies are sent in their order** where rows land exactly once: an offset names the rows
//!   before it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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

pub mod answer;
mod encode;
mod judge;
pub mod layout;
pub mod table;
#[cfg(test)]
mod tests;

pub use judge::STALE_LAYOUT;

/// One body is filled while others are sent.
const BUILDERS_MAX: usize = 2;

/// How requests are authorised.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Those that the environment has: `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's file, the
    /// metadata server.
    Default,
    /// A key, or another of Google's credential files, as its JSON.
    Json(Secret),
    /// None: an emulator.
    None,
}

/// What a route to BigQuery needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where rows go.
    pub table: TableId,
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
}

impl BigQuery {
    /// A sink that writes to one table.
    #[must_use]
    pub fn new(options: Options, names: Arc<row::Names>) -> Self {
        let (layout, version) = (ArcSwap::default(), AtomicU64::new(0));
        let destination = Arc::new(Destination { options, layout, version });
        Self { names, destination, builders: Arc::default() }
    }
}

impl Sink for BigQuery {
    fn encoder(&self, _now_ns: i64) -> Box<dyn Encoder> {
        let pooled = self.builders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let builder = pooled.unwrap_or_else(|| Builder::new(Arc::clone(&self.names)));
        // Before the layout: what is learned between the two is a layout too many, and not one
        // too few.
        let form = self.destination.form();
        let layout = self.destination.layout.load_full();
        let retention = self.destination.options.retention.as_micros();
        let retention_micros = i64::try_from(retention).unwrap_or(i64::MAX);
        let rows = Rows::new(builder, Arc::clone(&layout), retention_micros);
        Box::new(RowsEncoder { form, layout, rows, builders: Arc::clone(&self.builders) })
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        judge::judge(response, !self.destination.fits(response.contents))
    }

    fn transport(&self) -> Transport {
        Transport::BigQuery(Arc::clone(&self.destination))
    }
}

struct RowsEncoder {
    form: u8,
    layout: Arc<Layout>,
    rows: Rows,
    builders: Arc<Mutex<Vec<Builder>>>,
}

impl Encoder for RowsEncoder {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        if batch.signal != Signal::Logs {
            return events.map(|event| Refused { event, reason: "no_log" }).collect();
        }
        self.rows.push(batch, events)
    }

    fn len(&self) -> usize {
        self.rows.bytes.len()
    }

    fn finish(self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        let Self { form, layout, mut rows, builders } = *self;
        encode::head(&layout, rows.bytes.len(), &mut body.bytes);
        body.parts.push(Bytes::from(std::mem::take(&mut rows.bytes)));
        body.contents = Contents { form, n_items: u64::from(rows.n_rows) };
        body.events = std::mem::take(&mut rows.events);
        let mut builders = builders.lock().unwrap_or_else(PoisonError::into_inner);
        if builders.len() < BUILDERS_MAX {
            builders.push(rows.into_builder());
        }
        Ok(())
    }
}
