//! Predictions from a log file to the strict BigQuery, through the real binary: what lands, and
//! that it lands once.
//!
//! Owns the fake on a runtime of its own and the questions that all of these tests ask. Their
//! subjects are the files of the folder.

use std::collections::{BTreeMap, BTreeSet};

use super::fake_bigquery::{FakeBigQuery, Options, Row};
use super::files::text;
use super::http::Metrics;
use super::rig::{Daemon, Place, until};

#[path = "bigquery/access.rs"]
mod access;
#[path = "bigquery/companions.rs"]
mod companions;
#[path = "bigquery/faults.rs"]
mod faults;
#[path = "bigquery/insert.rs"]
mod insert;
#[path = "bigquery/kills.rs"]
mod kills;
#[path = "bigquery/real.rs"]
mod real;
#[path = "bigquery/rows.rs"]
mod rows;
#[path = "bigquery/storms.rs"]
mod storms;
#[path = "bigquery/tables.rs"]
mod tables;

pub(crate) const TIER: &str = "prediction_logs";
pub(crate) const TABLE: &str = "ml.predictions";

/// A fake BigQuery that serves until it is dropped.
pub(crate) struct BigQuery {
    pub(crate) fake: FakeBigQuery,
    _runtime: tokio::runtime::Runtime,
}

impl BigQuery {
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let fake = runtime.block_on(FakeBigQuery::start(options));
        Self { fake, _runtime: runtime }
    }

    /// A config with one log file and this as its sink, with short waits and `more` options.
    pub(crate) fn config(&self, more: &str) -> String {
        let access = if more.contains("credentials") { "" } else { ", anonymous: true" };
        format!(
            "service: {{ name: fraud-detector }}\n\
             sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
             sinks:\n  bq: {{ type: bigquery, table: test.{TABLE}, endpoint: \"{}\", \
             rest_endpoint: \"{}\", batch: {{ max_age: 20ms }}, \
             retry: {{ initial: 20ms, max: 200ms }}{access}{more} }}\n\
             tiers: {{ {TIER}: {{ sinks: [bq] }} }}\n\
             spool: {{ type: disk, path: \"@/spool\" }}\n",
            self.fake.grpc_url(),
            self.fake.rest_url(),
        )
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        self.fake.rows(TABLE)
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.fake.n_rows(TABLE)
    }

    /// How often each request has a row.
    pub(crate) fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for row in self.rows() {
            *times.entry(word(&row, "request_id")).or_default() += 1;
        }
        times
    }

    /// Every request of `ids` once and nothing else; no record twice; and nothing that no client
    /// may do was done.
    #[track_caller]
    pub(crate) fn assert_once(&self, ids: impl IntoIterator<Item = String>) {
        self.assert_sound();
        let ids: BTreeSet<String> = ids.into_iter().collect();
        let times = self.times();
        let lost: Vec<_> = ids.iter().filter(|id| !times.contains_key(*id)).collect();
        let twice: Vec<_> = times.iter().filter(|(_, n)| **n > 1).collect();
        let strange: Vec<_> = times.keys().filter(|id| !ids.contains(*id)).collect();
        let all = self.fake.refusals();
        assert!(lost.is_empty(), "{} lost, first {}; {all:?}", lost.len(), lost[0]);
        assert!(twice.is_empty(), "{} twice, first {:?}; {all:?}", twice.len(), twice[0]);
        assert!(strange.is_empty(), "{strange:?}");
        let records: BTreeSet<String> =
            self.rows().iter().map(|row| word(row, "record_id")).collect();
        assert_eq!(records.len(), self.n_rows(), "a record_id twice");
    }

    #[track_caller]
    pub(crate) fn assert_sound(&self) {
        assert_eq!(self.fake.offences(), Vec::<String>::new());
    }
}

/// A column's text.
#[track_caller]
pub(crate) fn word(row: &Row, column: &str) -> String {
    row[column].as_str().unwrap_or_else(|| panic!("{column}: {row:?}")).to_owned()
}

pub(crate) fn id(n: usize) -> String {
    format!("r-{n}")
}

pub(crate) fn ids(range: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    range.map(id)
}

/// One prediction a line.
pub(crate) fn predictions(range: std::ops::Range<usize>) -> String {
    let line = |n: usize| {
        format!(
            r#"{{"event":"prediction","request_id":"r-{n}","model":"fraud","model_version":"v{}","features":{{"amount":{n}.50,"region":"eu-{}"}},"prediction":"{}","confidence":{},"latency_ms":{},"note":"own {n}"}}"#,
            n % 2,
            n % 3,
            ["yes", "no"][n % 2],
            0.25 + (n % 2) as f64 / 2.0,
            n % 40,
        )
    };
    text(&range.map(line).collect::<Vec<_>>())
}

/// Waits until `n` events came in and none is on its way any longer.
#[track_caller]
pub(crate) fn settled(daemon: &Daemon, n: u64) -> Metrics {
    let metrics = daemon.metrics_when("all is settled", |metrics| {
        metrics.route("events_total", TIER, "bq") >= n
            && metrics.route("spooled_events", TIER, "bq") == 0
            && metrics.is_balanced()
    });
    assert_eq!(metrics.route("events_total", TIER, "bq"), n);
    metrics
}

/// Waits until `n` events came in and all are delivered.
#[track_caller]
pub(crate) fn delivered(daemon: &Daemon, n: u64) -> Metrics {
    let metrics = settled(daemon, n);
    assert_eq!(metrics.route("delivered_events_total", TIER, "bq"), n, "{}", daemon.stderr());
    metrics
}

/// The route as `/status` has it, once its state is `state`.
#[track_caller]
pub(crate) fn told(daemon: &Daemon, state: &str) -> String {
    let mut status = String::new();
    until(state, || {
        status = daemon.get("/status").1;
        status.contains(&format!("\"{state}\""))
    });
    status
}
