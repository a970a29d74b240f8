//! The BigQuery sink, as the config says it.

use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::sinks::bigquery::layout::REST;
use crate::sinks::bigquery::table::TableId;
use crate::units::HumanDuration;

use super::super::de::wrong;
use super::super::named::Named;
use super::super::secret_text::SecretText;
use super::http::{Endpoint, Rate, RequestBatch, Retry, Tls, default_concurrency, default_timeout};

/// BigQuery: requests and predictions as typed rows, by the Storage Write API or by insertAll.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BigQuery {
    /// Where rows go: project.dataset.table.
    pub table: TableName,
    /// storage_write: the Storage Write API, by gRPC. insert_all: tabledata.insertAll, by REST
    /// alone, where a proxy has no HTTP/2 or an endpoint no gRPC; at_least_once, and BigQuery
    /// removes rows that come twice for about a minute, as far as it can. Default: storage_write.
    #[serde(default)]
    pub api: Api,
    /// exactly_once: each row lands once, whatever crashes; needs a spool on disk and
    /// storage_write. at_least_once: in doubt twice, with the same record_id. Default: exactly_once
    /// where it can be had.
    #[serde(default)]
    pub delivery: Option<Delivery>,
    /// How long a request waits for its prediction, or a prediction for its request, where they
    /// come as two events: then both are one row, else each is one. 0s: not at all. Default: 10s.
    #[serde(default = "default_join_window")]
    pub join_window: HumanDuration,
    /// Create the table where it is not there: one partition a day, which expires after the tier's
    /// retention. Default: true.
    #[serde(default = "yes")]
    pub create_table: bool,
    /// Add columns that the table lacks. Default: false, and what has no column goes to unmapped.
    #[serde(default)]
    pub add_columns: bool,
    /// The JSON column for what has no column of its own. Default: attributes.
    #[serde(default = "default_unmapped")]
    pub unmapped: String,
    /// Labels of the table that is created, beside sidewake_tier.
    #[serde(default)]
    pub labels: Named<String>,
    /// A credential file of Google (service account, external account, impersonation), as { file:
    /// path }. Default: application default credentials, as gcloud and the metadata server have
    /// them.
    #[serde(default)]
    pub credentials: Option<SecretText>,
    /// The e-mail address of a service account that those credentials may act as. Default: none.
    #[serde(default)]
    pub impersonate: Option<String>,
    /// Without credentials: an emulator. Default: false.
    #[serde(default)]
    pub anonymous: bool,
    /// The Storage Write API. Default: that of Google.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// The REST API, for the table and for insert_all. Default: that of Google.
    #[serde(default)]
    pub rest_endpoint: Option<Endpoint>,
    /// When rows are sent.
    #[serde(default)]
    pub batch: RequestBatch,
    /// The longest wait for an answer. Default: 30s.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// Requests under way at one time; with exactly_once they go one after the other. Default: 4.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroUsize,
    /// How fast the table may be fed. Default: no limit.
    #[serde(default)]
    pub rate: Rate,
    /// How long BigQuery is left alone when it fails.
    #[serde(default)]
    pub retry: Retry,
    /// Whom to trust.
    #[serde(default)]
    pub tls: Tls,
    /// A proxy's URL. The environment is not asked. Default: none.
    #[serde(default)]
    pub proxy: Option<Endpoint>,
}

/// By which interface rows go in.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// The Storage Write API.
    #[default]
    StorageWrite,
    /// insertAll of REST.
    InsertAll,
}

/// How often a row may land.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Once.
    ExactlyOnce,
    /// Once, and in doubt twice.
    AtLeastOnce,
}

/// `project.dataset.table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName(pub TableId);

impl<'de> Deserialize<'de> for TableName {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        TableId::parse(&text).map(Self).ok_or_else(|| {
            wrong(
                format_args!("\"{text}\" is no table of BigQuery"),
                "Write project.dataset.table: my-project.ml.predictions.",
            )
        })
    }
}

impl JsonSchema for TableName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BigQueryTable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "project.dataset.table",
            "examples": ["my-project.ml.predictions"],
        })
    }
}

fn yes() -> bool {
    true
}

fn default_join_window() -> HumanDuration {
    HumanDuration::secs(10)
}

fn default_unmapped() -> String {
    REST.to_owned()
}
