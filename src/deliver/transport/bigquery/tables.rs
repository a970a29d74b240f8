//! The table: looked at before the first row, created or given its missing columns where the
//! config allows it, and refused where it would keep rows for another time than the tier says.
//!
//! Source: BigQuery REST v2 (`tables.get`, `tables.insert`, `tables.patch`).
//!
//! # Why
//! A table that expires sooner than its tier loses what somebody counts on, one that expires later
//! keeps what somebody promised to delete: neither is ours to decide, so nothing is written until
//! the two agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::{Value as Json, json};

use super::super::{Answer, SendError};
use super::account::Account;
use super::calls::unsent;
use super::token::Token;
use crate::diagnostic::chain;
use crate::sinks::bigquery::layout::{Layout, missing};
use crate::sinks::bigquery::table::{Column, PARTITION_COLUMN, Table, TableId, creation};
use crate::sinks::bigquery::{Destination, Options};

/// What is wrong with the config or the table, and stays so until somebody mends it.
const CONFLICT: u16 = 422;
/// Longest answer of REST that is kept.
const ANSWER_CHARS_MAX: usize = 2000;

/// See the module.
pub(super) struct Tables {
    destination: Arc<Destination>,
    http: reqwest::Client,
    token: Arc<Token>,
    is_known: AtomicBool,
}

/// What there is instead of a table.
type Problem = Result<Answer, SendError>;

impl Tables {
    pub(super) fn new(destination: Arc<Destination>, account: &Account) -> Self {
        let (http, token) = (account.rest.clone(), Arc::clone(&account.token));
        Self { destination, http, token, is_known: AtomicBool::new(false) }
    }

    /// The table may be another than it was.
    pub(super) fn forget(&self) {
        self.is_known.store(false, Relaxed);
    }

    /// Sees to it that rows can be written; what is in the way, if anything is.
    pub(super) async fn prepare(&self) -> Result<Option<Answer>, SendError> {
        if self.is_known.load(Relaxed) {
            return Ok(None);
        }
        match self.learn().await {
            Ok(()) => {
                self.is_known.store(true, Relaxed);
                Ok(None)
            }
            Err(problem) => problem.map(Some),
        }
    }

    async fn learn(&self) -> Result<(), Problem> {
        let options = &self.destination.options;
        let mut table = match self.get().await? {
            Some(table) => table,
            None => self.create().await?,
        };
        let lacking = missing(options.schema, &table, &options.unmapped);
        if options.adds_columns && !lacking.is_empty() {
            table = self.add(table, &lacking).await?;
        }
        self.check_retention(&table)?;
        let layout = Layout::new(options.schema, &table, &options.unmapped);
        let layout = layout.map_err(|problem| self.conflict(&problem))?;
        self.destination.learn(layout);
        Ok(())
    }

    async fn get(&self) -> Result<Option<Table>, Problem> {
        match self.call(reqwest::Method::GET, true, None, None).await {
            Ok(json) => Ok(Some(self.table(json)?)),
            Err(Ok(answer)) if answer.status == 404 => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn create(&self) -> Result<Table, Problem> {
        let options = &self.destination.options;
        if !options.creates_table {
            return Err(self.conflict("it is not there: create it, or set create_table: true"));
        }
        let retention_ms = u64::try_from(options.retention.as_millis()).unwrap_or(u64::MAX);
        let table = creation(options.schema, &options.table, retention_ms, &options.labels);
        match self.call(reqwest::Method::POST, false, Some(table), None).await {
            Ok(json) => {
                tracing::info!(table = %options.table, "created the table");
                self.table(json)
            }
            // Another one of us was faster.
            Err(Ok(answer)) if answer.status == 409 => match self.get().await? {
                Some(table) => Ok(table),
                None => Err(Ok(answer)),
            },
            Err(problem) => Err(problem),
        }
    }

    async fn add(&self, table: Table, lacking: &[Column]) -> Result<Table, Problem> {
        let all = table.schema.fields.iter().chain(lacking).map(Column::to_json);
        let change = json!({ "schema": { "fields": all.collect::<Vec<_>>() } });
        let etag = Some(table.etag.as_str()).filter(|etag| !etag.is_empty());
        match self.call(reqwest::Method::PATCH, true, Some(change), etag).await {
            Ok(json) => {
                let names: Vec<&str> = lacking.iter().map(|one| one.name.as_str()).collect();
                let columns = names.join(", ");
                tracing::info!(table = %self.destination.options.table, columns, "added columns");
                self.table(json)
            }
            // Somebody changed it meanwhile: looked at again when the body is sent again.
            Err(Ok(answer)) if answer.status == 412 => Err(Ok(Answer { status: 409, ..answer })),
            Err(problem) => Err(problem),
        }
    }

    fn check_retention(&self, table: &Table) -> Result<(), Problem> {
        let options = &self.destination.options;
        let retention_ms = options.retention.as_millis();
        let days = |ms: u128| format!("{:.1} days", ms as f64 / 86_400_000.0);
        let wanted = days(retention_ms);
        let mend = format!(
            "set the tier's retention to the table's, or run: bq update \
             --time_partitioning_expiration {} {}:{}.{}",
            retention_ms / 1000,
            options.table.project,
            options.table.dataset,
            options.table.table
        );
        if table.expiration_time.as_ref().is_some_and(|time| time != "0") {
            return Err(self.conflict(
                "the whole table has an expiration time, at which all rows go at once: remove it \
                 (bq update --expiration 0)",
            ));
        }
        let Some(partitioning) = &table.time_partitioning else {
            return Err(self.conflict(&format!(
                "it is not partitioned, so its rows never expire, but the tier keeps them for \
                 {wanted}: create it with PARTITION BY DATE({PARTITION_COLUMN})"
            )));
        };
        let found = partitioning.expiration_ms.as_ref().and_then(|ms| ms.parse::<u128>().ok());
        match found {
            Some(found) if found == retention_ms => Ok(()),
            Some(found) => Err(self.conflict(&format!(
                "its partitions expire after {}, but the tier keeps rows for {wanted}: {mend}",
                days(found)
            ))),
            None => Err(self.conflict(&format!(
                "its partitions never expire, but the tier keeps rows for {wanted}: {mend}"
            ))),
        }
    }

    fn conflict(&self, words: &str) -> Problem {
        Ok(unsent(CONFLICT, format!("table {}: {words}", self.destination.options.table)))
    }

    fn table(&self, json: Json) -> Result<Table, Problem> {
        serde_json::from_value(json)
            .map_err(|error| self.conflict(&format!("its description cannot be read: {error}")))
    }

    async fn call(
        &self,
        method: reqwest::Method,
        is_of_table: bool,
        body: Option<Json>,
        etag: Option<&str>,
    ) -> Result<Json, Problem> {
        let options = &self.destination.options;
        let url = if is_of_table { table_url(options) } else { tables_url(options) };
        let headers = self.token.headers().await.map_err(Ok)?;
        let mut request = self.http.request(method, url).headers(headers);
        if let Some(etag) = etag {
            request = request.header("if-match", etag);
        }
        if let Some(body) = body {
            let request_body = body.to_string();
            request = request.header("content-type", "application/json").body(request_body);
        }
        let failed = |error: reqwest::Error| Err(SendError(chain(&error.without_url())));
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let text = response.text().await.map_err(failed)?;
        match status {
            200..=299 => serde_json::from_str(&text)
                .map_err(|error| Ok(unsent(502, format!("BigQuery's answer is no JSON: {error}")))),
            _ => Err(Ok(unsent(status, words_of(&text)))),
        }
    }
}

/// The URL of all tables of the dataset.
fn tables_url(options: &Options) -> String {
    let TableId { project, dataset, .. } = &options.table;
    let rest = options.rest_url.trim_end_matches('/');
    format!("{rest}/bigquery/v2/projects/{project}/datasets/{dataset}/tables")
}

/// The URL of the table.
pub(super) fn table_url(options: &Options) -> String {
    format!("{}/{}", tables_url(options), options.table.table)
}

/// The message and the reason of an error of REST.
pub(super) fn words_of(text: &str) -> String {
    let json: Option<Json> = serde_json::from_str(text).ok();
    let error = json.as_ref().and_then(|json| json.get("error"));
    let message = error.and_then(|error| error.get("message")?.as_str());
    let reason = error.and_then(|error| error.get("errors")?.get(0)?.get("reason")?.as_str());
    match (message, reason) {
        (Some(message), Some(reason)) => format!("{message} ({reason})"),
        (Some(message), None) => message.to_owned(),
        _ => text.chars().take(ANSWER_CHARS_MAX).collect(),
    }
}
