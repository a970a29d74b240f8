//! One connection of `AppendRows`: requests go out, answers come back in their order, of one stream
//! or of several.
//!
//! Owns the framing and who waits for which answer. Does not open itself again: a connection that
//! is over is dropped, with what was not answered.
//!
//! Source: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`); `storage.proto` (`AppendRowsRequest`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::super::grpc;
use super::super::{Answer, SendError};
use crate::diagnostic::chain;
use crate::event::otlp::transport::{GRPC_HEAD_LEN, grpc_head};
use crate::event::otlp::wire::{push_bytes, push_head, push_message, push_number};

/// A connection without requests is closed before the server does it (documented: some minutes).
const IDLE: Duration = Duration::from_secs(60);
/// Pieces of requests that wait for the network.
const PIECES_MAX: usize = 8;
/// The longest answer that is taken: one with errors of many rows.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const TRACE_ID: &str = concat!("sidewake:", env!("CARGO_PKG_VERSION"));

/// See the module.
pub(super) struct Connection {
    /// In the order of the requests on the wire.
    order: tokio::sync::Mutex<mpsc::Sender<Bytes>>,
    waiting: Arc<Waiting>,
    /// Reads the answers.
    reader: tokio::task::AbortHandle,
}

impl Drop for Connection {
    /// What was not answered is given up: a stream may have no second connection beside this one.
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Who waits for an answer.
#[derive(Default)]
struct Waiting(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    answers: VecDeque<Waiter>,
    is_over: bool,
    /// It ended while several streams waited for answers.
    failed_many: bool,
}

struct Waiter {
    stream: Arc<str>,
    answer: oneshot::Sender<Result<Answer, SendError>>,
}

impl Waiting {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody is answered any more, but by `last`; and not by that where several streams wait,
    /// since it is about one of them.
    fn end(&self, last: &Result<Answer, SendError>) {
        let mut queue = self.lock();
        queue.is_over = true;
        let mut waiting = queue.answers.iter();
        let first = waiting.next();
        queue.failed_many =
            waiting.any(|one| first.is_some_and(|first| one.stream != first.stream));
        let is_told = !queue.failed_many;
        for waiter in queue.answers.drain(..) {
            let copy = match last {
                Ok(answer) if is_told => Ok(answer.clone()),
                Err(error) if is_told => Err(SendError(error.0.clone())),
                _ => Err(SendError("the connection ended for several tables".to_owned())),
            };
            // Whoever gave up waiting needs no answer.
            let _ = waiter.answer.send(copy);
        }
    }
}

impl Connection {
    /// A connection by `request`, which lacks its body. It is made when the first append is sent.
    pub(super) fn open(request: reqwest::RequestBuilder) -> Self {
        let (sender, receiver) = mpsc::channel::<Bytes>(PIECES_MAX);
        let pieces = ReceiverStream::new(receiver).timeout(IDLE);
        // Idle for so long, the stream of requests ends, and with it the connection.
        let pieces = pieces.map_while(Result::ok).map(Ok::<Bytes, Infallible>);
        let request = request.body(reqwest::Body::wrap_stream(pieces));
        let waiting = Arc::<Waiting>::default();
        let told = Arc::clone(&waiting);
        let reading = tokio::spawn(async move {
            let last = read(request, &told).await;
            told.end(&last);
        });
        let (order, reader) = (tokio::sync::Mutex::new(sender), reading.abort_handle());
        Self { order, waiting, reader }
    }

    /// Whether another append can be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.waiting.lock().is_over
    }

    /// Whether it ended while several streams waited for answers.
    pub(super) fn failed_many(&self) -> bool {
        self.waiting.lock().failed_many
    }

    /// Appends `rows`, which are a `ProtoData` in pieces, to `stream`, and waits for the answer.
    pub(super) async fn append(
        &self,
        stream: &str,
        offset: Option<u64>,
        rows: &[Bytes],
        timeout: Duration,
    ) -> Result<Answer, SendError> {
        let lost = || SendError("the connection to BigQuery was lost".to_owned());
        let (sender, receiver) = oneshot::channel();
        {
            let order = self.order.lock().await;
            {
                let mut queue = self.waiting.lock();
                if queue.is_over {
                    return Err(lost());
                }
                queue.answers.push_back(Waiter { stream: stream.into(), answer: sender });
            }
            let head = head(stream, offset, rows.iter().map(Bytes::len).sum());
            for piece in std::iter::once(head).chain(rows.iter().cloned()) {
                let sent = tokio::time::timeout(timeout, order.send(piece)).await;
                if !matches!(sent, Ok(Ok(()))) {
                    // A request that is cut cannot be followed by another.
                    self.waiting.end(&Err(lost()));
                    return Err(lost());
                }
            }
        }
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(lost()),
            Err(_) => {
                self.waiting.end(&Err(lost()));
                Err(SendError(format!("no answer from BigQuery within {timeout:?}")))
            }
        }
    }
}

/// The frame's head and all of the `AppendRowsRequest` that stands before the rows.
fn head(stream: &str, offset: Option<u64>, n_bytes: usize) -> Bytes {
    let mut message = Vec::new();
    push_bytes(&mut message, 1, stream.as_bytes());
    if let Some(offset) = offset {
        push_message(&mut message, 2, |out| {
            if offset > 0 {
                push_number(out, 1, offset);
            }
        });
    }
    push_bytes(&mut message, 6, TRACE_ID.as_bytes());
    push_head(&mut message, 4, n_bytes);
    // A body is a small part of the memory's budget: none is too long for a head.
    let mut framed = grpc_head(false, message.len() + n_bytes).unwrap_or_default().to_vec();
    framed.extend_from_slice(&message);
    framed.into()
}

/// Reads answers until there are no more, and returns what the end says.
async fn read(request: reqwest::RequestBuilder, waiting: &Waiting) -> Result<Answer, SendError> {
    let failed = |error: reqwest::Error| SendError(chain(&error.without_url()));
    let response = request.send().await.map_err(failed)?;
    let (status, head) = (response.status().as_u16(), response.headers().clone());
    let mut body = reqwest::Body::from(response);
    let (mut bytes, mut trailers) = (BytesMut::new(), None);
    while let Some(part) = body.frame().await {
        match part.map_err(failed)?.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(part) => trailers = part.into_trailers().ok(),
        }
        while let Some(message) = next_message(&mut bytes)? {
            let waiting = waiting.lock().answers.pop_front();
            let answer = Answer {
                status,
                body: message.to_vec(),
                grpc: Some((0, String::new())),
                ..Answer::default()
            };
            if let Some(waiting) = waiting {
                let _ = waiting.answer.send(Ok(answer));
            }
        }
    }
    let (code, message, details) = grpc::ending(status, &head, trailers.as_ref());
    if code == 0 {
        return Err(SendError("BigQuery ended the connection".to_owned()));
    }
    let retry_after = grpc::retry_delay(trailers.as_ref().unwrap_or(&head));
    let grpc = Some((code, message));
    Ok(Answer { status, body: details, retry_after, grpc, ..Answer::default() })
}

/// The next whole message.
fn next_message(bytes: &mut BytesMut) -> Result<Option<Bytes>, SendError> {
    let Some(head) = bytes.first_chunk::<GRPC_HEAD_LEN>() else { return Ok(None) };
    let [is_packed, len @ ..] = *head;
    let len = u32::from_be_bytes(len) as usize;
    if is_packed != 0 || len > ANSWER_BYTES_MAX {
        return Err(SendError("BigQuery's answer cannot be read".to_owned()));
    }
    if bytes.len() < GRPC_HEAD_LEN + len {
        return Ok(None);
    }
    bytes.advance(GRPC_HEAD_LEN);
    Ok(Some(bytes.split_to(len).freeze()))
}
