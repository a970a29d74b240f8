//! The encoder alone, and the floor: lines in memory to bodies in memory.

use std::sync::Arc;
use std::time::Duration;

use sidewake::event::chunk::{Chunk, Lines};
use sidewake::event::log_range::LogRange;
use sidewake::event::otlp::wire::push_bytes;
use sidewake::event::slab::Pool;
use sidewake::pipeline::Pipeline;
use sidewake::protect::protected::Protected;
use sidewake::sinks::bigquery::table::TableId;
use sidewake::sinks::bigquery::{Api, BigQuery, Credentials, Options};
use sidewake::sinks::row::schema::Schema;
use sidewake::sinks::{Body, Sink as _};

use super::counting::allocations;
use super::lines::Shape;
use super::plan::{Protection, plan};
use super::spent::thread_cpu_ns;

/// As a body is by default.
const BODY_BYTES: usize = 1 << 20;
const NOW_NS: i64 = 1_795_424_000_000_000_000;

/// Batches as they come out of the spool.
pub(crate) struct Load {
    pub(crate) batches: Vec<Protected>,
    pub(crate) n_bytes: u64,
    /// Rows that they are.
    n_rows: u64,
}

impl Load {
    pub(crate) fn new(shape: Shape, n_lines: usize) -> Self {
        let (lines, n_rows) = shape.lines(n_lines);
        let pool = Pool::new(512 << 10, 4);
        let mut pipeline = Pipeline::new(plan(Protection::Off, 1.0));
        let (mut batches, mut at) = (Vec::new(), 0);
        while at < lines.len() {
            let room = (lines.len() - at).min(256 << 10);
            let end = at + memchr::memrchr(b'\n', &lines[at..at + room]).map_or(room, |n| n + 1);
            let mut slab = pool.take(Duration::from_secs(1)).expect("a slab");
            slab.extend_from_slice(&lines[at..end]);
            let sealed = pipeline.process(Chunk {
                slab,
                lines: Lines::Plain,
                origin: Arc::default(),
                source_key: 1,
                source_base: at as u64,
                source_end: end as u64,
                observed_ns: NOW_NS,
            });
            for one in sealed.into_iter().filter(|one| !one.batch.is_empty()) {
                assert_eq!(one.tier, 1, "all lines are of predictions");
                // A copy: the slab goes back.
                batches.push(one.batch.part(0..one.batch.len()));
            }
            at = end;
        }
        Self { batches, n_bytes: lines.len() as u64, n_rows }
    }
}

/// What one round cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cpu_ns: u64,
    pub(crate) n_rows: u64,
    /// Bytes of the bodies.
    pub(crate) n_bytes: u64,
    pub(crate) n_allocations: u64,
}

impl Spent {
    pub(crate) fn row_ns(&self) -> f64 {
        self.cpu_ns as f64 / self.n_rows as f64
    }
}

/// Measures `work`, which says how many rows and bytes came of it.
pub(crate) fn measured(work: impl FnOnce() -> (u64, u64)) -> Spent {
    let (start, allocated) = (thread_cpu_ns(), allocations());
    let (n_rows, n_bytes) = work();
    let (cpu_ns, n_allocations) = (thread_cpu_ns() - start, allocations() - allocated);
    Spent { cpu_ns, n_rows, n_bytes, n_allocations }
}

pub(crate) fn sink(api: Api) -> BigQuery {
    let options = Options {
        schema: Schema::Predictions,
        table: TableId::parse("project.dataset.predictions").expect("a table"),
        api,
        grpc_url: String::new(),
        rest_url: String::new(),
        credentials: Credentials::None,
        impersonated: None,
        is_exact: api == Api::StorageWrite,
        creates_table: true,
        adds_columns: false,
        unmapped: "attributes".to_owned(),
        retention: Duration::from_secs(90 * 86_400),
        labels: Vec::new(),
        join_window: Duration::from_secs(10),
        timeout: Duration::from_secs(30),
    };
    BigQuery::new(options, Arc::default())
}

/// The sink's encoder: every row of the load comes out.
pub(crate) fn ours(load: &Load) -> Spent {
    encoded(load, Api::StorageWrite)
}

/// The same, as the JSON of insertAll: made row by row of what the other way sends, so its time is
/// that of the other way and of the JSON.
pub(crate) fn json(load: &Load) -> Spent {
    encoded(load, Api::InsertAll)
}

fn encoded(load: &Load, api: Api) -> Spent {
    let sink = sink(api);
    let spent = measured(|| bodies(&sink, load));
    assert_eq!(spent.n_rows, load.n_rows, "every row, and none twice");
    spent
}

fn bodies(sink: &BigQuery, load: &Load) -> (u64, u64) {
    let (mut n_rows, mut n_bytes) = (0, 0);
    let mut body = Body::default();
    let mut batches = load.batches.iter().peekable();
    while batches.peek().is_some() {
        let mut encoder = sink.encoder(NOW_NS);
        while encoder.len() < BODY_BYTES
            && let Some(batch) = batches.next()
        {
            assert!(encoder.push(batch, 0..batch.len()).is_empty(), "nothing is refused");
        }
        body.bytes.clear();
        body.parts.clear();
        body.events.clear();
        encoder.finish(LogRange::default(), &mut body).expect("a body");
        n_rows += body.contents.n_items;
        n_bytes +=
            (body.bytes.len() + body.parts.iter().map(|part| part.len()).sum::<usize>()) as u64;
    }
    (n_rows, n_bytes)
}

/// Each line as one field of a message.
pub(crate) fn floor(load: &Load) -> Spent {
    // By row of ours, so that the two can be compared.
    measured(|| {
        let (mut body, mut n_bytes) = (Vec::with_capacity(BODY_BYTES), 0);
        for batch in &load.batches {
            for event in batch.events() {
                push_bytes(&mut body, 1, event.bytes);
            }
            if body.len() >= BODY_BYTES {
                n_bytes += std::hint::black_box(&body).len() as u64;
                body.clear();
            }
        }
        (load.n_rows, n_bytes + body.len() as u64)
    })
}
