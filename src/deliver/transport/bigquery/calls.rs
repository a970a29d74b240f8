//! Calls of the Storage Write API: the connection for appends, and the creation of a stream.
//!
//! Source: `storage.proto`; "Use the Storage Write API": the header `x-goog-request-params`.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::super::grpc;
use super::super::{Answer, Outgoing, SendError};
use super::append::Connection;
use super::token::Token;
use crate::diagnostic::chain;
use crate::event::otlp::transport::grpc_head;
use crate::event::otlp::wire::{Reader, kind, push_bytes, push_message, push_number, tag};
use crate::sinks::bigquery::table::TableId;
use crate::sinks::bigquery::{Options, STALE_LAYOUT};

const SERVICE: &str = "/google.cloud.bigquery.storage.v1.BigQueryWrite/";
/// `WriteStream.Type.COMMITTED`: rows can be read once they are appended.
const COMMITTED: u64 = 1;

/// As a server says it.
const TOO_LARGE: u16 = 413;

/// See the module.
pub(super) struct Calls {
    http: reqwest::Client,
    url: String,
    timeout: Duration,
    token: Arc<Token>,
}

/// What came instead of a connection.
pub(super) type Instead = Result<Answer, SendError>;

impl Calls {
    pub(super) fn new(http: reqwest::Client, options: &Options, token: Arc<Token>) -> Self {
        let url = options.grpc_url.trim_end_matches('/').to_owned();
        Self { http, url, timeout: options.timeout, token }
    }

    /// The connection for appends to `stream`: the one that is `kept`, while it is open.
    pub(super) async fn connection(
        &self,
        kept: &mut Option<Arc<Connection>>,
        stream: &str,
    ) -> Result<Arc<Connection>, Instead> {
        if let Some(open) = kept.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(open));
        }
        let request = self.request("AppendRows", "write_stream", stream).await?;
        Ok(Arc::clone(kept.insert(Arc::new(Connection::open(request)))))
    }

    /// Creates a stream of `table`: its name, or what BigQuery said instead.
    pub(super) async fn create_stream(
        &self,
        table: &TableId,
    ) -> Result<Result<String, Answer>, SendError> {
        let parent = table.path();
        let request = match self.request("CreateWriteStream", "parent", &parent).await {
            Ok(request) => request,
            Err(instead) => return instead.map(Err),
        };
        let mut message = Vec::new();
        push_bytes(&mut message, 1, parent.as_bytes());
        push_message(&mut message, 2, |out| push_number(out, 2, COMMITTED));
        let mut framed = grpc_head(false, message.len()).unwrap_or_default().to_vec();
        framed.extend_from_slice(&message);
        let sent = request.body(framed).timeout(self.timeout).send().await;
        let response = sent.map_err(|error| SendError(chain(&error.without_url())))?;
        let answer = grpc::read(response).await?;
        if !matches!(answer.grpc, Some((0, _))) {
            return Ok(Err(answer));
        }
        let name = name_of(&answer.body);
        Ok(name.ok_or(Answer { grpc: Some((13, "a stream without a name".to_owned())), ..answer }))
    }

    async fn request(
        &self,
        method: &str,
        parameter: &str,
        value: &str,
    ) -> Result<reqwest::RequestBuilder, Instead> {
        let headers: HeaderMap = match self.token.headers().await {
            Ok(headers) => headers,
            Err(problem) => return Err(Ok(problem)),
        };
        let value = value.replace('/', "%2F");
        Ok(self
            .http
            .post(format!("{}{SERVICE}{method}", self.url))
            .headers(headers)
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .header("x-goog-request-params", format!("{parameter}={value}")))
    }
}

/// The name of a `WriteStream`.
fn name_of(bytes: &[u8]) -> Option<String> {
    let mut fields = Reader::new(bytes, 0, bytes.len());
    while let Ok(Some(field)) = fields.read() {
        if field.tag == tag(1, kind::BYTES) {
            return Some(String::from_utf8_lossy(field.of(bytes)).into_owned());
        }
    }
    None
}

/// The answer of a request that was not even sent.
pub(super) fn unsent(status: u16, words: String) -> Answer {
    let body = words.into_bytes();
    Answer { status, body, is_unsent: true, ..Answer::default() }
}

/// What is said of a body that is more than a request may have: it is halved.
pub(super) fn too_large(outgoing: &Outgoing) -> Answer {
    let (n_bytes, n_rows) = (outgoing.len(), outgoing.contents.n_items);
    let words = format!("{n_rows} rows of {n_bytes} bytes are too large for a request");
    Answer { is_unsent: false, ..unsent(TOO_LARGE, words) }
}

/// What is said instead of sending a body for other columns than those of the table.
pub(super) fn stale() -> Answer {
    unsent(STALE_LAYOUT, "the table has other columns than the body".to_owned())
}
