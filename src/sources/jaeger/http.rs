//! A collector's endpoint: `POST /api/traces`, a batch in the binary protocol.
//!
//! Source: Jaeger's `cmd/collector/app/handler`. It answers 202 for what it has queued; here, for
//! what is durable. Never 500: what can pass is 503.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};

use super::{Protocol, spans};
use crate::event::signal::Signal;
use crate::sources::net::Answers;
use crate::sources::net::body::{BodyError, Packing, of_request, refuse};
use crate::sources::net::inlet::Inlet;
use crate::sources::net::outcome::{Outcome, RETRY_AFTER_S};
use crate::sources::net::reply::Reply;

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
                *refusal
            }
        }
    }
}

/// How a batch is packed; or the answer, where the head says that it is none.
fn asked(request: &Request<Incoming>) -> Result<Packing, Box<Response<Reply>>> {
    let header = |name| request.headers().get(name).map_or(&b""[..], HeaderValue::as_bytes);
    if request.uri().path() != "/api/traces" {
        return Err(Box::new(said(StatusCode::NOT_FOUND, "POST to /api/traces")));
    }
    if request.method() != Method::POST {
        let mut refusal = said(StatusCode::METHOD_NOT_ALLOWED, "only POST is taken");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return Err(Box::new(refusal));
    }
    if !is_thrift(header(CONTENT_TYPE)) {
        let words = "Content-Type must be application/x-thrift or \
                     application/vnd.apache.thrift.binary";
        return Err(Box::new(said(StatusCode::UNSUPPORTED_MEDIA_TYPE, words)));
    }
    Packing::parse(header(CONTENT_ENCODING)).ok_or_else(|| {
        let words = format!("Content-Encoding must be one of {}", Packing::ACCEPTED);
        let mut refusal = said(StatusCode::UNSUPPORTED_MEDIA_TYPE, &words);
        let accepted = HeaderValue::from_static(Packing::ACCEPTED);
        refusal.headers_mut().insert(ACCEPT_ENCODING, accepted);
        Box::new(refusal)
    })
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
            return Outcome::Taken { n_rejected: n_invalid };
        }
        match inlet.push(Signal::Traces, converted.request, batch.len()) {
            Ok(_) => inlet.stored(n_invalid).await,
            Err(why) => inlet.not_taken(why),
        }
    }
}

/// Both names that clients use, whatever parameters follow.
fn is_thrift(content_type: &[u8]) -> bool {
    let name = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"application/x-thrift"[..], b"application/vnd.apache.thrift.binary"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

fn of_outcome(outcome: &Outcome) -> Response<Reply> {
    let words = outcome.words();
    match outcome {
        // Jaeger's clients read nothing else.
        Outcome::Taken { .. } => {
            let mut response = Response::new(Reply::default());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Outcome::Malformed(_) => said(StatusCode::BAD_REQUEST, &words),
        Outcome::NoTier(_) => said(StatusCode::NOT_FOUND, &words),
        Outcome::TooLarge(_) => said(StatusCode::PAYLOAD_TOO_LARGE, &words),
        Outcome::Busy(_) => {
            let mut response = said(StatusCode::SERVICE_UNAVAILABLE, &words);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
            response
        }
    }
}

fn said(code: StatusCode, words: &str) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(format!("{words}\n").into_bytes()));
    *response.status_mut() = code;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
