//! Where telemetry goes, as the config says it. [`crate::sinks`] encodes, [`crate::deliver`] sends.

mod bigquery;
mod http;
mod loki;
mod otlp;
mod remote_write;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{ByteSize, HumanDuration};

pub use bigquery::{Api as BigQueryApi, BigQuery, Delivery, TableName};
pub(super) use http::http_url;
pub use http::{Auth, Basic, Bearer, Endpoint, Rate, RequestBatch, Retry, Tls};
pub use loki::{Compression, Loki, Tenant, WhenBlocked};
pub use otlp::{Otlp, OtlpCompression, OtlpProtocol};
pub use remote_write::{PrometheusRemoteWrite, RemoteWriteProtocol};

use super::named::Named;
use super::registry::registry;
use super::tiers::Signal;

registry! {
    /// One sink.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Sink {
        /// Grafana Loki.
        "loki" => Loki(Box<Loki>),
        /// Tempo, Jaeger, a collector.
        "otlp" => Otlp(Box<Otlp>),
        /// Prometheus, Mimir, Thanos, VictoriaMetrics.
        "prometheus_remote_write" => PrometheusRemoteWrite(Box<PrometheusRemoteWrite>),
        /// Google BigQuery.
        "bigquery" => BigQuery(Box<BigQuery>),
        /// Local files, by tier and day.
        "files" => Files(Files),
        /// Our own standard output.
        "console" => Console(Console),
    }
}

impl Sink {
    /// Whether the sink can store `signal`.
    #[must_use]
    pub fn accepts(&self, signal: Signal) -> bool {
        match self {
            Sink::Loki(_) | Sink::BigQuery(_) => signal == Signal::Logs,
            Sink::PrometheusRemoteWrite(_) => signal == Signal::Metrics,
            Sink::Otlp(_) | Sink::Files(_) | Sink::Console(_) => true,
        }
    }

    /// Whether it knows metrics of cumulative temporality only.
    #[must_use]
    pub fn is_cumulative(&self) -> bool {
        matches!(self, Sink::PrometheusRemoteWrite(_))
    }
}

/// Writes local files, a folder for each tier and day; deletes them when the tier's retention ends.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The folder of the store.
    pub path: PathBuf,
    /// When a file is closed.
    #[serde(default)]
    pub batch: FileBatch,
    /// File formats by tier. Default: parquet for tiers with predictions, jsonl for the others.
    #[serde(default)]
    pub formats: Named<FileStoreFormat>,
}

impl Files {
    /// The store under `path` with all defaults.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, batch: FileBatch::default(), formats: Named::default() }
    }
}

/// How events are written to files.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum FileStoreFormat {
    /// Columns: predictions, or the one kind of the tier (model, data, sampling).
    Parquet,
    /// JSON lines.
    Jsonl,
}

/// When a file of the store is closed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct FileBatch {
    /// After that many bytes. Default: 16MiB of input for parquet, 4MiB for jsonl.
    pub max_bytes: Option<ByteSize>,
    /// That long after its first event. Default: 60s.
    pub max_age: HumanDuration,
}

impl Default for FileBatch {
    fn default() -> Self {
        Self { max_bytes: None, max_age: HumanDuration::secs(60) }
    }
}

/// Prints protected events to sidewake's own standard output.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// json: the line as it is stored. pretty: for people. Default: json.
    pub format: ConsoleFormat,
}

/// What the console prints.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Time, level, kind and text, aligned.
    Pretty,
}
