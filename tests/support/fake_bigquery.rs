//! A strict BigQuery in this process: Storage Write over gRPC on one port, the REST API, tokens and
//! the metadata server on another, read by the official definitions and told to misbehave.
//!
//! Owns what tests see of it. What no client may ever do is an offence; what a good client may run
//! into (an offset that is there already, a column not there yet) is a refusal. Deliberately has no
//! PENDING and no BUFFERED streams, no Arrow, no queries, and expires no partition.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::watched::Receipt;

#[path = "fake_bigquery/append.rs"]
mod append;
#[path = "fake_bigquery/connection.rs"]
mod connection;
#[path = "fake_bigquery/grpc.rs"]
mod grpc;
#[path = "fake_bigquery/insert.rs"]
mod insert;
#[path = "fake_bigquery/rest.rs"]
mod rest;
#[path = "fake_bigquery/rows.rs"]
mod rows;
#[path = "fake_bigquery/schema.rs"]
pub(crate) mod schema;
#[path = "fake_bigquery/streams.rs"]
mod streams;
#[path = "fake_bigquery/tokens.rs"]
mod tokens;

pub(crate) use rows::Row;
pub(crate) use streams::Stream;

/// Codes of gRPC, by their names.
pub(crate) mod code {
    pub(crate) const CANCELLED: i32 = 1;
    pub(crate) const INVALID_ARGUMENT: i32 = 3;
    pub(crate) const DEADLINE_EXCEEDED: i32 = 4;
    pub(crate) const NOT_FOUND: i32 = 5;
    pub(crate) const ALREADY_EXISTS: i32 = 6;
    pub(crate) const PERMISSION_DENIED: i32 = 7;
    pub(crate) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(crate) const FAILED_PRECONDITION: i32 = 9;
    pub(crate) const ABORTED: i32 = 10;
    pub(crate) const OUT_OF_RANGE: i32 = 11;
    pub(crate) const UNIMPLEMENTED: i32 = 12;
    pub(crate) const INTERNAL: i32 = 13;
    pub(crate) const UNAVAILABLE: i32 = 14;
    pub(crate) const UNAUTHENTICATED: i32 = 16;
}

pub(crate) use super::bigquery_proto::storage::storage_error::StorageErrorCode;

/// How the next request of AppendRows is treated.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Served as if there were no act: to place another one behind it.
    Serve,
    /// Answered by this `Status` in the response, with nothing stored.
    Say(i32, String),
    /// The same, with a `StorageError` in its details.
    SayError(i32, StorageErrorCode),
    /// The RPC ends with this status, with nothing stored.
    Fail(i32, String),
    /// The connection is dropped, with nothing stored.
    Break,
    /// Stored, and the connection dropped instead of an answer.
    StoreAndBreak,
    /// Held back, with all that comes behind it, until [`FakeBigQuery::release`]; then served.
    Hang,
    /// Stored; the answer is held back until then.
    StoreAndHang,
    /// Stored, and answered so many milliseconds later.
    Slow(u64),
    /// Nothing stored: INVALID_ARGUMENT, and these rows are bad.
    RowErrors(Vec<usize>),
    /// Stored; the answer has the table's schema as an updated one.
    UpdatedSchema,
}

impl Act {
    pub(crate) fn say(code: i32) -> Self {
        Self::Say(code, "told to".to_owned())
    }

    pub(crate) fn fail(code: i32) -> Self {
        Self::Fail(code, "told to".to_owned())
    }
}

/// How the next unary call (a stream is created, asked for or finalized) is treated.
#[derive(Clone, Debug)]
pub(crate) enum CallAct {
    Serve,
    /// Nothing is done, and this is its status.
    Fail(i32, String),
    /// The same, and to be asked again after so many seconds.
    FailFor(i32, u8),
    /// The connection is dropped, with nothing done.
    Break,
    /// Done, and the connection dropped.
    DoAndBreak,
}

/// How the next request of REST, or the next one for a token, is treated.
#[derive(Clone, Debug)]
pub(crate) enum RestAct {
    Serve,
    /// Nothing is done: this status and reason, in Google's form.
    Say(u16, String),
    Break,
    /// Done, and the connection dropped.
    DoAndBreak,
    /// insertAll alone: these rows have errors of these reasons, and are not stored.
    InsertErrors(Vec<(usize, String)>),
    /// Not answered until [`FakeBigQuery::release`]; then served.
    Hang,
}

/// What the fake holds a client to.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) project: String,
    /// Those that there are from the start.
    pub(crate) datasets: Vec<String>,
    /// Every request must have a token that `/token` or the metadata server gave, or
    /// [`FakeBigQuery::accept`] named.
    pub(crate) needs_token: bool,
    pub(crate) token_life: Duration,
    /// Of one request of AppendRows; one of insertAll has as much.
    pub(crate) request_bytes_max: usize,
    /// A request that is too large ends the RPC; else it is answered by a status in the response.
    pub(crate) too_large_ends: bool,
    /// How many requests a client has under way at most. An answer is known to be read when so many
    /// more requests have come.
    pub(crate) in_flight_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            project: "test".to_owned(),
            datasets: vec!["ml".to_owned()],
            needs_token: false,
            token_life: Duration::from_secs(3600),
            request_bytes_max: 10 << 20,
            too_large_ends: false,
            in_flight_max: 1,
        }
    }
}

/// One request of AppendRows.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) at: Instant,
    /// Of TCP, and of the RPC on it.
    pub(crate) connection: u64,
    pub(crate) rpc: u64,
    /// The stream's whole name, also where the request leaves it out.
    pub(crate) stream: String,
    pub(crate) offset: Option<i64>,
    pub(crate) n_rows: usize,
    /// Of the message.
    pub(crate) n_bytes: usize,
    pub(crate) has_schema: bool,
    pub(crate) trace_id: String,
    pub(crate) rows: Vec<Vec<u8>>,
    pub(crate) outcome: Outcome,
    /// Of the answer; none where there was none.
    pub(crate) receipt: Option<Arc<Receipt>>,
    /// The connection broke before this answer can be known to have been read.
    pub(crate) is_answer_doubtful: bool,
}

impl Append {
    /// Whether the client has read that these rows are stored.
    pub(crate) fn is_acknowledged(&self) -> bool {
        let is_stored = matches!(self.outcome, Outcome::Stored | Outcome::There);
        let is_written = self.receipt.as_ref().is_some_and(|one| one.written_at().is_some());
        is_stored && is_written && !self.is_answer_doubtful
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It hangs still, or its client is gone.
    Waiting,
    Stored,
    /// Its offset was there already.
    There,
    /// A code in the response.
    Refused(i32),
    /// The RPC's.
    Failed(i32),
    Broken,
}

/// One request of REST.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// Null where it is no JSON.
    pub(crate) body: Value,
    /// Of the answer; 0 where there was none.
    pub(crate) status: u16,
}

#[derive(Debug, Default)]
struct State {
    acts: VecDeque<Act>,
    /// How every request of AppendRows is treated that no act is meant for.
    always: Option<Act>,
    call_acts: VecDeque<CallAct>,
    rest_acts: VecDeque<RestAct>,
    token_acts: VecDeque<RestAct>,
    datasets: Vec<String>,
    /// By DATASET.TABLE.
    tables: BTreeMap<String, rest::Table>,
    /// Writers do not see a change of a table's schema.
    lags: bool,
    streams: streams::Streams,
    tokens: tokens::Tokens,
    appends: Vec<Append>,
    called: Vec<Called>,
    /// Unary calls of gRPC: path and code.
    calls: Vec<(String, i32)>,
    offences: Vec<String>,
    refusals: Vec<String>,
    n_connections: u64,
    n_rpcs: u64,
}

impl State {
    fn offend(&mut self, what: impl Into<String>) {
        self.offences.push(what.into());
    }

    fn refuse(&mut self, what: impl Into<String>) {
        self.refusals.push(what.into());
    }
}

/// See the module.
#[derive(Clone)]
pub(crate) struct FakeBigQuery {
    state: Arc<Mutex<State>>,
    options: Arc<Options>,
    /// How often what hangs was let go.
    released: Arc<watch::Sender<u64>>,
    /// How often idle connections were ended.
    idle: Arc<watch::Sender<u64>>,
    rest: SocketAddr,
    grpc: SocketAddr,
}

impl FakeBigQuery {
    /// Listens for as long as the runtime lives.
    pub(crate) async fn start(options: Options) -> Self {
        let rest = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let grpc = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let state = State { datasets: options.datasets.clone(), ..State::default() };
        let fake = Self {
            state: Arc::new(Mutex::new(state)),
            options: Arc::new(options),
            released: Arc::new(watch::Sender::new(0)),
            idle: Arc::new(watch::Sender::new(0)),
            rest: rest.local_addr().expect("an address"),
            grpc: grpc.local_addr().expect("an address"),
        };
        tokio::spawn(connection::serve_rest(fake.clone(), rest));
        tokio::spawn(connection::serve_grpc(fake.clone(), grpc));
        fake
    }

    /// Of the REST API, without its path; `/token` and the metadata server are there too.
    pub(crate) fn rest_url(&self) -> String {
        format!("http://{}", self.rest)
    }

    pub(crate) fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// A service account's key file whose tokens this fake gives.
    pub(crate) fn account_json(&self) -> String {
        tokens::account(&self.token_url()).to_string()
    }

    /// A user's file, whose tokens this fake gives.
    pub(crate) fn user_json(&self) -> String {
        tokens::user(&self.token_url()).to_string()
    }

    /// A file by which that user acts as another account.
    pub(crate) fn impersonation_json(&self) -> String {
        let user = tokens::user(&self.token_url());
        tokens::impersonation(&user, &self.rest_url()).to_string()
    }

    /// A file for a workload elsewhere, and what stands in its own file `subject`.
    pub(crate) fn external_json(&self, subject: &str, is_impersonating: bool) -> (String, String) {
        let file = tokens::external(&self.rest_url(), subject, is_impersonating);
        (file.to_string(), tokens::subject_token().to_owned())
    }

    pub(crate) fn token_url(&self) -> String {
        format!("{}/token", self.rest_url())
    }

    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    /// From now on.
    pub(crate) fn always(&self, act: Act) {
        self.state().always = Some(act);
    }

    pub(crate) fn will_call(&self, acts: impl IntoIterator<Item = CallAct>) {
        self.state().call_acts.extend(acts);
    }

    /// Of tables and insertAll.
    pub(crate) fn will_rest(&self, acts: impl IntoIterator<Item = RestAct>) {
        self.state().rest_acts.extend(acts);
    }

    /// Of `/token` and the metadata server.
    pub(crate) fn will_token(&self, acts: impl IntoIterator<Item = RestAct>) {
        self.state().token_acts.extend(acts);
    }

    /// No acts, and nothing hangs any longer.
    pub(crate) fn recover(&self) {
        let mut state = self.state();
        state.acts.clear();
        state.always = None;
        state.call_acts.clear();
        state.rest_acts.clear();
        state.token_acts.clear();
        drop(state);
        self.release();
    }

    /// Ends every RPC of AppendRows, as BigQuery does with those that are idle.
    pub(crate) fn end_idle(&self) {
        self.idle.send_modify(|n| *n += 1);
    }

    /// What hangs now goes on.
    pub(crate) fn release(&self) {
        self.released.send_modify(|n| *n += 1);
    }

    /// Makes a table, as `POST …/tables` would, of triples of name, type and mode.
    pub(crate) fn add_table(&self, dataset: &str, table: &str, columns: &[(&str, &str, &str)]) {
        let resource = json!({ "schema": schema::schema(columns) });
        self.state().add_table(&self.options.project, dataset, table, resource).expect("a table");
    }

    /// Makes a table, named DATASET.TABLE, as `POST …/tables` would.
    pub(crate) fn make_table(&self, table: &str, resource: Value) {
        let (dataset, name) = table.split_once('.').expect("DATASET.TABLE");
        self.state().add_table(&self.options.project, dataset, name, resource).expect("a table");
    }

    /// Gives a table another schema, partitioning and expiration: what its owner may do, and more.
    pub(crate) fn alter_table(&self, table: &str, resource: &Value) {
        self.state().tables.get_mut(table).expect("a table").alter(resource);
    }

    /// Removes a table, named DATASET.TABLE, and its streams.
    pub(crate) fn drop_table(&self, table: &str) {
        let mut state = self.state();
        state.tables.remove(table);
        state.streams.forget(table);
    }

    /// Whether writers, other than the REST API, see changes of schemas from now on; those that
    /// were made become visible at once when they do.
    pub(crate) fn lag_schemas(&self, lags: bool) {
        let mut state = self.state();
        state.lags = lags;
        if !lags {
            state.tables.values_mut().for_each(rest::Table::catch_up);
        }
    }

    /// A token that is good without having been given.
    pub(crate) fn accept(&self, token: &str) {
        let life = self.options.token_life;
        self.state().tokens.accept(token.to_owned(), life);
    }

    /// No token that was given is good any longer.
    pub(crate) fn revoke_tokens(&self) {
        self.state().tokens.revoke();
    }

    /// How many tokens were given.
    pub(crate) fn n_tokens(&self) -> usize {
        self.state().tokens.n_given()
    }

    /// What is stored in DATASET.TABLE, in its order.
    pub(crate) fn rows(&self, table: &str) -> Vec<Row> {
        self.state().tables.get(table).map(|table| table.rows.clone()).unwrap_or_default()
    }

    pub(crate) fn n_rows(&self, table: &str) -> usize {
        self.state().tables.get(table).map_or(0, |table| table.rows.len())
    }

    /// Requests of AppendRows, in the order in which they were looked at.
    pub(crate) fn appends(&self) -> Vec<Append> {
        self.state().appends.clone()
    }

    pub(crate) fn n_appends(&self) -> usize {
        self.state().appends.len()
    }

    /// Requests of REST.
    pub(crate) fn called(&self) -> Vec<Called> {
        self.state().called.clone()
    }

    /// Unary calls of gRPC, and how they ended.
    pub(crate) fn calls(&self) -> Vec<(String, i32)> {
        self.state().calls.clone()
    }

    /// Another writer appends to a stream, what is kept nowhere.
    pub(crate) fn grow(&self, stream: &str, n_rows: i64) {
        self.state().streams.grow(stream, n_rows);
    }

    /// Streams that were created.
    pub(crate) fn streams(&self) -> Vec<Stream> {
        self.state().streams.all()
    }

    /// Tables by DATASET.TABLE, each as the REST API tells it.
    pub(crate) fn tables(&self) -> BTreeMap<String, Value> {
        let state = self.state();
        let tables = state.tables.iter();
        tables.map(|(name, table)| (name.clone(), table.resource.clone())).collect()
    }

    /// What no client may do.
    pub(crate) fn offences(&self) -> Vec<String> {
        self.state().offences.clone()
    }

    /// What was refused, other than by an act, and is no offence.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.state().refusals.clone()
    }

    /// Connections of TCP, of both ports.
    pub(crate) fn n_connections(&self) -> u64 {
        self.state().n_connections
    }

    /// Until [`FakeBigQuery::release`] was called once more than `n` times.
    async fn release_after(&self, n: u64) {
        // The sender is ours.
        let _ = self.released.subscribe().wait_for(|now| *now > n).await;
    }

    fn n_releases(&self) -> u64 {
        *self.released.borrow()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }
}
