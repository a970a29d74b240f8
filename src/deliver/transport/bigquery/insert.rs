//! insertAll: rows as JSON by REST, a request a body, at least once.
//!
//! Owns the request and its limits. What is asked for before it, a token and the table, is that of
//! the other way; what the answer means is the sink's.
//!
//! Source: BigQuery REST v2, `tabledata.insertAll`; "Quotas and limits", "Streaming inserts".
//!
//! # Why
//! - **A body over a limit is not sent**: rows of JSON are larger than what they were made of, and
//!   a batch is many rows, so no size of the input bounds them. It is halved as if BigQuery had
//!   said so, and a single event that is too large becomes a dead letter.
//! - **The whole answer is read**: each row that was stopped is named in it. Of one that is longer
//!   still, nobody can tell which rows it names: halves have shorter ones, and BigQuery knows the
//!   rows that it has by their ids.

use std::sync::Arc;

use super::super::http;
use super::super::{
    ANSWER_BYTES_MAX, Answer, Client, Outgoing, SendError, Sending, TransportError,
    TransportOptions,
};
use super::EXHAUSTED_WAIT;
use super::account::Account;
use super::calls::{stale, too_large};
use super::tables::{Tables, table_url, words_of};
use crate::diagnostic::chain;
use crate::sinks::bigquery::{Destination, NO_SUCH_FIELD};

/// BigQuery's limits for one request.
const REQUEST_BYTES_MAX: usize = 10_000_000;
const ROWS_MAX: u64 = 50_000;
/// What an answer may take for each row, beside [`ANSWER_BYTES_MAX`].
const ANSWER_BYTES_PER_ROW: usize = 1 << 10;

/// See the module.
pub(super) struct InsertClient {
    destination: Arc<Destination>,
    account: Arc<Account>,
    tables: Tables,
    url: String,
}

impl InsertClient {
    pub(super) fn new(
        destination: &Arc<Destination>,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        let config = &destination.options;
        let account = options.accounts.of(config, options)?;
        Ok(Self {
            destination: Arc::clone(destination),
            tables: Tables::new(Arc::clone(destination), &account),
            account,
            url: table_url(config) + "/insertAll",
        })
    }

    async fn insert(&self, outgoing: &Outgoing) -> Result<Answer, SendError> {
        if let Some(problem) = self.tables.prepare().await? {
            return Ok(self.learned(problem));
        }
        if !self.destination.fits(outgoing.contents) {
            return Ok(stale());
        }
        let (n_bytes, n_rows) = (outgoing.len(), outgoing.contents.n_items);
        if n_bytes > REQUEST_BYTES_MAX || n_rows > ROWS_MAX {
            return Ok(too_large(outgoing));
        }
        let headers = match self.account.token.headers().await {
            Ok(headers) => headers,
            Err(problem) => return Ok(problem),
        };
        let request = self.account.rest.post(&self.url).headers(headers);
        let request = request.header("content-type", "application/json");
        let failed = |error: reqwest::Error| SendError(chain(&error.without_url()));
        let response = request.body(http::body(outgoing)).send().await.map_err(failed)?;
        let n_rows = usize::try_from(n_rows).unwrap_or(usize::MAX);
        let bytes_max = n_rows.saturating_mul(ANSWER_BYTES_PER_ROW) + ANSWER_BYTES_MAX;
        let answer = http::read(response, &[], bytes_max).await.map_err(failed)?;
        if answer.status == 200 && answer.body.len() >= bytes_max {
            return Ok(too_large(outgoing));
        }
        Ok(self.learned(answer))
    }

    /// Draws what follows from an answer for later bodies.
    fn learned(&self, mut answer: Answer) -> Answer {
        if answer.status == 200 {
            let words = NO_SUCH_FIELD.as_bytes();
            if memchr::memmem::find(&answer.body, words).is_some() {
                self.tables.forget();
            }
            return answer;
        }
        let words = String::from_utf8_lossy(&answer.body);
        let words = if answer.is_unsent { words.into_owned() } else { words_of(&words) };
        if answer.status == 401
            && let Some(instead) = self.account.token.renewed(&words)
        {
            return instead;
        }
        if matches!(answer.status, 400 | 404) {
            self.tables.forget();
        }
        if words.contains("quotaExceeded") {
            answer.retry_after = answer.retry_after.max(Some(EXHAUSTED_WAIT));
        }
        Answer { body: words.into_bytes(), ..answer }
    }
}

impl Client for InsertClient {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        Box::pin(self.insert(outgoing))
    }
}
