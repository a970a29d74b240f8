//! The way to BigQuery: one connection for appends, streams with offsets, and the table.
//!
//! Owns in which order things are asked for: a token, the table, a stream, the append. What was
//! sent and not answered outlives the process in [`outbox`]. Where rows go by insertAll, there is
//! neither stream nor connection: that way is [`insert`]'s.
//!
//! Source: BigQuery Storage Write API, "Best practices" (one connection, appends of more than
//! 1 MB, offsets), `storage.proto`.
//!
//! # Why
//! - **Written down before it is sent.** Offsets tell BigQuery which rows it has; which rows those
//!   were only we can know. So a body, its stream and its offset are durable before the first byte
//!   leaves, and a process that finds them sends the very same again: `ALREADY_EXISTS` is then as
//!   good as an answer.
//! - **`ALREADY_EXISTS` to what was never sent** says that somebody else writes to our stream, or
//!   that what was written down was lost with the machine: the stream is left for a new one.
//! - **A stream is kept** over restarts and for as long as BigQuery has it (three idle days); ten
//!   thousand an hour are all that a project may create. Where that is used up, rows go to the
//!   default stream, each marked, until a stream can be had.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Mutex;

use super::{
    Answer, Client, Outgoing, Resumed, SendError, Sending, TransportError, TransportOptions,
};
use crate::sinks::bigquery::answer::{self, code, storage};
use crate::sinks::bigquery::table::TableId;
use crate::sinks::bigquery::{Api, Destination};
use crate::telemetry::RouteCounters;

mod account;
mod append;
mod calls;
mod insert;
mod mark;
mod outbox;
mod tables;
mod token;

use account::Account;
pub use account::Accounts;
use append::Connection;
use calls::{stale, too_large};
use outbox::{Outbox, Record};
use tables::Tables;

/// How long the default stream serves where no other can be created.
const QUOTA_PAUSE: Duration = Duration::from_secs(600);
/// BigQuery takes 10 MB, with what stands before the rows.
const APPEND_BYTES_MAX: usize = 9_500_000;
/// After so many of them in a row the stream is taken to be gone.
const NOT_FOUND_MAX: u32 = 3;
/// A quota that is used up does not fill within less.
const EXHAUSTED_WAIT: Duration = Duration::from_secs(5);

/// The client for the interface that is asked for.
pub(super) fn connect(
    destination: &Arc<Destination>,
    options: &TransportOptions,
) -> Result<Arc<dyn Client>, TransportError> {
    Ok(match destination.options.api {
        Api::StorageWrite => Arc::new(BigQueryClient::new(destination, options)?),
        Api::InsertAll => Arc::new(insert::InsertClient::new(destination, options)?),
    })
}

/// See the module.
struct BigQueryClient {
    destination: Arc<Destination>,
    account: Arc<Account>,
    tables: Tables,
    counters: Arc<RouteCounters>,
    /// Appends, one at a time where rows land exactly once.
    exact: Option<Mutex<Exact>>,
}

/// What is known of our own stream.
struct Exact {
    outbox: Outbox,
    path: PathBuf,
    record: Record,
    connection: Option<Arc<Connection>>,
    /// The default stream is used until then.
    paused_until: Option<Instant>,
    /// The body of the record went out, and whether it was stored is not known.
    is_uncertain: bool,
    /// The body of the record was refused for good: the next one may stand at its offset.
    is_void: bool,
    /// Rows of the body that a process before this one wrote down.
    n_resumed_rows: u64,
    /// How often in a row something was not found, and not said what.
    n_not_found: u32,
}

impl BigQueryClient {
    fn new(
        destination: &Arc<Destination>,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        let config = &destination.options;
        let account = options.accounts.of(config, options)?;
        let exact = match config.is_exact {
            true => Some(Mutex::new(Exact::open(options)?)),
            false => None,
        };
        Ok(Self {
            destination: Arc::clone(destination),
            tables: Tables::new(Arc::clone(destination), &account),
            account,
            counters: Arc::clone(&options.counters),
            exact,
        })
    }

    async fn append(&self, outgoing: &Outgoing) -> Result<Answer, SendError> {
        if let Some(problem) = self.tables.prepare().await? {
            return Ok(self.learned(problem));
        }
        let mut exact = match &self.exact {
            Some(exact) => Some(exact.lock().await),
            None => None,
        };
        // Whether it is stored can only be asked with the very same bytes.
        let is_uncertain = outgoing.is_resumed
            || outgoing.attempt > 0 && exact.as_ref().is_some_and(|exact| exact.is_uncertain);
        if !is_uncertain && !self.destination.fits(outgoing.contents) {
            return Ok(stale());
        }
        if !is_uncertain && outgoing.len() > APPEND_BYTES_MAX {
            return Ok(too_large(outgoing));
        }
        let answer = match &mut exact {
            Some(exact) => {
                let had_stream = !exact.record.stream.is_empty();
                let answer = self.append_exactly(exact, outgoing).await?;
                if had_stream && exact.record.stream.is_empty() {
                    // It was left: the table may be another one as well.
                    self.tables.forget();
                }
                answer
            }
            None => self.append_by_default(outgoing, &[]).await?,
        };
        Ok(self.learned(answer))
    }

    /// Draws what follows from an answer for later bodies.
    fn learned(&self, mut answer: Answer) -> Answer {
        let told = told(&answer);
        let is_refused = answer.status == 401 && answer.grpc.is_none();
        if is_refused || told.code == code::UNAUTHENTICATED {
            let words = match &answer.grpc {
                Some(_) => told.message.as_str().into(),
                None => String::from_utf8_lossy(&answer.body),
            };
            if let Some(instead) = self.account.token.renewed(&words) {
                return instead;
            }
        }
        let is_mismatch = told.storage_code == storage::SCHEMA_MISMATCH_EXTRA_FIELDS;
        if told.is_schema_updated || is_mismatch || told.code == code::NOT_FOUND {
            self.tables.forget();
        }
        if told.code == code::RESOURCE_EXHAUSTED {
            answer.retry_after = answer.retry_after.max(Some(EXHAUSTED_WAIT));
        }
        answer
    }

    /// At least once, on the stream that every table has.
    async fn append_by_default(
        &self,
        outgoing: &Outgoing,
        mark: &[u8],
    ) -> Result<Answer, SendError> {
        let stream = self.destination.options.table.default_stream();
        let connection = match self.account.connection(&stream).await {
            Ok(connection) => connection,
            Err(problem) => return problem,
        };
        let is_marked = !mark.is_empty() && mark::is_known(&outgoing.bytes, mark);
        let rows = match is_marked {
            false => vec![outgoing.bytes.clone()],
            true => vec![mark::marked(&outgoing.bytes, &outgoing.parts, mark)],
        };
        let parts = if is_marked { &[] } else { &outgoing.parts[..] };
        let rows: Vec<Bytes> = rows.into_iter().chain(parts.iter().cloned()).collect();
        let answer =
            connection.append(&stream, None, &rows, self.destination.options.timeout).await?;
        // Said of an offset alone; without one it says nothing of these rows.
        let is_strange = told(&answer).code == code::ALREADY_EXISTS;
        Ok(if is_strange { aborted(answer, "an offset that was not sent") } else { answer })
    }

    /// Exactly once, or as told in the module.
    async fn append_exactly(
        &self,
        exact: &mut Exact,
        outgoing: &Outgoing,
    ) -> Result<Answer, SendError> {
        if outgoing.attempt == 0 && !outgoing.is_resumed {
            // The one before was answered, or given up.
            exact.record.is_settled = true;
            exact.is_uncertain = false;
        }
        if exact.record.stream.is_empty()
            && let Some(refused) = self.create_stream(exact).await?
        {
            let is_quota = told(&refused).code == code::RESOURCE_EXHAUSTED;
            if !is_quota {
                return Ok(refused);
            }
            let pause = refused.retry_after.unwrap_or(QUOTA_PAUSE);
            exact.paused_until = Some(Instant::now() + pause);
            tracing::warn!(
                table = %self.destination.options.table,
                "no more streams can be created: rows go to the default stream and are marked"
            );
        }
        if exact.record.stream.is_empty() {
            let mark = mark::at_least_once(self.destination.options.schema);
            let answer = self.append_by_default(outgoing, &mark).await?;
            let said = told(&answer);
            if answer.grpc.is_some() && said.code == 0 && said.row_errors.is_empty() {
                self.counters.at_least_once_rows.add(exact.n_rows(outgoing));
            }
            return Ok(answer);
        }
        if exact.record.is_settled {
            exact.begin(outgoing).map_err(|error| {
                SendError(format!("cannot write down what is to be sent: {error}"))
            })?;
        }
        let Exact { connection, record, .. } = exact;
        let connection = match self.account.calls.connection(connection, &record.stream).await {
            Ok(connection) => connection,
            Err(problem) => return problem,
        };
        let was_uncertain = exact.is_uncertain || outgoing.is_resumed;
        (exact.is_uncertain, exact.is_void) = (true, false);
        let rows: Vec<Bytes> =
            std::iter::once(&outgoing.bytes).chain(&outgoing.parts).cloned().collect();
        let (stream, offset) = (&exact.record.stream, Some(exact.record.offset));
        let timeout = self.destination.options.timeout;
        let answer = connection.append(stream, offset, &rows, timeout).await?;
        Ok(exact.follow(answer, was_uncertain))
    }

    /// Asks for a stream, unless that was refused a moment ago.
    async fn create_stream(&self, exact: &mut Exact) -> Result<Option<Answer>, SendError> {
        if exact.paused_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        exact.paused_until = None;
        let created = self.account.calls.create_stream(&self.destination.options.table).await?;
        match created {
            Ok(stream) => {
                exact.record = Record { stream, is_settled: true, ..Record::default() };
                (exact.connection, exact.is_void) = (None, false);
                Ok(None)
            }
            Err(answer) => Ok(Some(answer)),
        }
    }
}

impl Exact {
    /// Reads no more than that the file can be read: a route that this one replaces may write to it
    /// still.
    fn open(options: &TransportOptions) -> Result<Self, TransportError> {
        let folder = options.state_folder.clone().unwrap_or_else(|| PathBuf::from("."));
        let path = folder.join(format!("{}.outbox", options.route));
        let refuse = |source| TransportError::Folder { path: folder.clone(), source };
        let (outbox, _) = Outbox::open(&path).map_err(refuse)?;
        Ok(Self {
            outbox,
            path,
            record: Record::default(),
            connection: None,
            paused_until: None,
            is_uncertain: false,
            is_void: false,
            n_resumed_rows: 0,
            n_not_found: 0,
        })
    }

    /// Takes over what a route before this one wrote down, if that was for the same table.
    fn take_over(&mut self, table: &TableId) {
        let found = match Outbox::open(&self.path) {
            Ok((outbox, found)) => {
                self.outbox = outbox;
                found
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot read the outbox");
                None
            }
        };
        let ours = table.path() + "/streams/";
        self.record = found.filter(|found| found.stream.starts_with(&ours)).unwrap_or_default();
        self.n_resumed_rows = self.record.n_rows;
    }

    /// How many rows a body has.
    fn n_rows(&self, outgoing: &Outgoing) -> u64 {
        if outgoing.is_resumed { self.n_resumed_rows } else { outgoing.contents.n_items }
    }

    /// Writes down what is to be sent at the offset that is next.
    fn begin(&mut self, outgoing: &Outgoing) -> std::io::Result<()> {
        let n_rows_before = if self.is_void { 0 } else { self.record.n_rows };
        let record = Record {
            stream: self.record.stream.clone(),
            offset: self.record.offset + n_rows_before,
            n_rows: self.n_rows(outgoing),
            span: Arc::clone(&outgoing.span),
            n_events: outgoing.n_events,
            n_refused: outgoing.n_refused,
            is_settled: false,
        };
        let body = std::iter::once(&outgoing.bytes).chain(&outgoing.parts);
        self.outbox.write(&record, body)?;
        self.record = record;
        self.is_void = false;
        Ok(())
    }

    /// Of the stream nothing more is asked, by the next process either: it must not take what
    /// somebody else wrote there for the body that it finds.
    fn leave(&mut self) {
        self.connection = None;
        self.record = Record { is_settled: true, ..Record::default() };
        (self.is_uncertain, self.is_void, self.n_not_found) = (false, false, 0);
        if let Err(error) = self.outbox.settle(&self.record) {
            tracing::warn!(%error, "cannot note that a stream is left");
        }
    }

    /// What an answer means for the stream.
    fn follow(&mut self, answer: Answer, was_uncertain: bool) -> Answer {
        let told = told(&answer);
        // The code says it alone, where the details are lost on the way.
        let is_repeat = told.code == code::ALREADY_EXISTS
            && matches!(told.storage_code, 0 | storage::OFFSET_ALREADY_EXISTS);
        let is_stored = told.code == 0 && told.row_errors.is_empty();
        if is_stored || (is_repeat && was_uncertain) {
            self.record.is_settled = true;
            (self.is_uncertain, self.is_void) = (false, false);
            // Not durable at once: without it the body is sent again, and known again.
            if let Err(error) = self.outbox.settle(&self.record) {
                tracing::warn!(%error, "cannot note that rows are stored");
            }
            return answer;
        }
        // A stream that was just made, or one that is gone: time tells.
        let is_not_found = told.code == code::NOT_FOUND && told.storage_code == 0;
        self.n_not_found = if is_not_found { self.n_not_found + 1 } else { 0 };
        let is_lost = is_repeat
            || told.code == code::OUT_OF_RANGE
            || self.n_not_found >= NOT_FOUND_MAX
            || matches!(
                told.storage_code,
                storage::STREAM_NOT_FOUND
                    | storage::STREAM_FINALIZED
                    | storage::INVALID_STREAM_STATE
            );
        if is_lost {
            tracing::warn!(stream = self.record.stream, reason = told.message, "a stream is left");
            self.leave();
            return aborted(answer, &format!("a new stream is needed: {}", told.message));
        }
        let is_in_band = answer.grpc.as_ref().is_some_and(|(code, _)| *code == 0);
        if is_transient(&told) {
            // Refused in an answer: no row of it is there. Where a connection ends, nobody knows.
            self.is_uncertain = was_uncertain || !is_in_band;
        } else {
            (self.is_uncertain, self.is_void) = (false, true);
        }
        if !is_in_band || told.code == code::UNAUTHENTICATED {
            self.connection = None;
        }
        answer
    }
}

/// The answer, as one after which the body is sent again.
fn aborted(answer: Answer, words: &str) -> Answer {
    Answer { grpc: Some((code::ABORTED, words.to_owned())), body: Vec::new(), ..answer }
}

/// Whether the same may be answered otherwise a moment later.
fn is_transient(told: &answer::Answer) -> bool {
    told.row_errors.is_empty() && told.code != code::INVALID_ARGUMENT
}

fn told(answer: &Answer) -> answer::Answer {
    match &answer.grpc {
        Some((0, _)) => answer::Answer::read(&answer.body),
        Some((code, message)) => answer::Answer {
            code: *code,
            message: message.clone(),
            ..answer::Answer::of_status(&answer.body)
        },
        None => answer::Answer::default(),
    }
}

impl Client for BigQueryClient {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        Box::pin(self.append(outgoing))
    }

    fn is_exact(&self) -> bool {
        self.exact.is_some()
    }

    fn resumed(&self) -> Option<Resumed> {
        let mut exact = self.exact.as_ref()?.try_lock().ok()?;
        exact.take_over(&self.destination.options.table);
        let record = &exact.record;
        if *record.span == super::Span::default() {
            return None;
        }
        let Record { n_events, n_refused, is_settled, .. } = *record;
        let span = (*record.span).clone();
        let bytes = if is_settled { Bytes::new() } else { exact.outbox.body()? };
        Some(Resumed { bytes, span, n_events, n_refused, is_settled })
    }
}
