//! A collector's endpoint: `POST /api/traces`, a batch in the binary protocol.
//!
//! Source: Jaeger's `cmd/collector/app/handler`. It answers 202 for what it has queued; here, for
//! what is durable. Never 500: what can pass is 503.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};

use super::{Protocol, spans};
use crate::event::signal::Signal;
use crate::sources::net::Answers;
use crate::sources::net::body::{BodyError, Packing, of_request, refuse};
use crate::sources::net::head::{self, Refusal};
use crate::sources::net::inlet::Inlet;
use crate::sources::net::outcome::Outcome;
use crate::sources::net::reply::Reply;

/// Both names that clients use.
const TYPES: [&[u8]; 2] = [b"application/x-thrift", b"application/vnd.apache.thrift.binary"];

/// What all sockets and connections share. For one thread.
pub(super) struct Server {
    pub(super) inlet: Inlet,
}

impl Answers for Server {
    async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Response<Reply> {
        match asked(&request) {
            Ok(packing) => of_outcome(&self.take(request, packing).await),
            Err(refusal) => {
                refuse(request).await;
                refusal.answer(said)
            }
        }
    }
}

/// How a batch is packed.
fn asked(request: &Request<Incoming>) -> Result<Packing, Refusal> {
    if request.uri().path() != "/api/traces" {
        return Err(Refusal::not_found("POST to /api/traces"));
    }
    head::only_post(request)?;
    let content_type = head::content_type(request);
    let is_thrift = TYPES.iter().any(|known| content_type.eq_ignore_ascii_case(known));
    if !is_thrift {
        let words = "Content-Type must be application/x-thrift or \
                     application/vnd.apache.thrift.binary";
        return Err(Refusal::wrong_type(words));
    }
    head::packing(request)
}

impl Server {
    /// Takes a batch in and waits until it is durable.
    async fn take(&self, request: Request<Incoming>, packing: Packing) -> Outcome {
        let inlet = &self.inlet;
        let _busy = inlet.begin();
        let mut hold = inlet.budget.begin();
        let batch = match of_request(request, packing, inlet.max_request_bytes, &mut hold).await {
            Ok(batch) => batch,
            Err(error) => return inlet.refused(&error),
        };
        if inlet.must_wait(Signal::Traces) {
            return inlet.full();
        }
        // The binary protocol is longer than OTLP, but for batches that nobody writes.
        if !hold.wait_for(batch.len()).await {
            return inlet.refused(&BodyError::Busy);
        }
        let converted = match spans(&batch, Protocol::Bare) {
            Ok(converted) => converted,
            Err(error) => return inlet.malformed(error.to_string()),
        };
        let n_invalid = converted.n_invalid as usize;
        inlet.context.counters.rejected.add(n_invalid as u64);
        if converted.n_spans == 0 {
            return Outcome::Taken { signal: Signal::Traces, n_rejected: n_invalid };
        }
        match inlet.push(Signal::Traces, converted.request, batch.len()) {
            Ok(_) => inlet.stored(Signal::Traces, n_invalid).await,
            Err(why) => inlet.not_taken(why),
        }
    }
}

fn of_outcome(outcome: &Outcome) -> Response<Reply> {
    if let Outcome::Taken { .. } = outcome {
        // Jaeger's clients read nothing else.
        let mut response = Response::new(Reply::default());
        *response.status_mut() = StatusCode::ACCEPTED;
        return response;
    }
    said(head::status_of(outcome), &outcome.words())
}

fn said(code: StatusCode, words: &str) -> Response<Reply> {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    head::answer_with(code, text, format!("{words}\n").into_bytes())
}
