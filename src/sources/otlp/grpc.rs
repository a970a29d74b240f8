//! gRPC's side: one unary call a signal, in hand-read frames over hyper's HTTP/2.
//!
//! Source: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`); status codes as OTLP demands them. Deliberately
//! knows no streaming, no reflection and no other service.
//!
//! # Why
//! A gRPC library decodes into structs or is told not to, at 2.5 times the allocations; its answer
//! to a message beyond its limit is OUT_OF_RANGE, which OTLP's clients send again for ever; and
//! `RetryInfo` has to stand in two trailers, as the Python exporter reads another one than the
//! specification names.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::message::{response, retry_info, status};
use super::serve::Server;
use crate::event::otlp::transport::{grpc_head, grpc_path};
use crate::event::signal::Signal;
use crate::sources::net::body::{BodyError, Packing, message_of, unpack};
use crate::sources::net::outcome::Outcome;
use crate::sources::net::reply::Reply;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const RETRY_INFO: HeaderName = HeaderName::from_static("google.rpc.retryinfo-bin");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// gRPC's status codes, those that are used here.
mod code {
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const UNIMPLEMENTED: u32 = 12;
    pub(super) const INTERNAL: u32 = 13;
    pub(super) const UNAVAILABLE: u32 = 14;
}

/// A call that failed.
struct Failure {
    code: u32,
    words: String,
}

impl Failure {
    fn new(code: u32, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }
}

/// Whether a request is gRPC's.
pub(super) fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Answers a call.
pub(super) async fn answer(server: &Rc<Server>, request: Request<Incoming>) -> Response<Reply> {
    let answered = match exported(server, request).await {
        Ok(outcome) => of_outcome(&outcome),
        Err(failure) => Err(failure),
    };
    let (body, mut headers) = match answered {
        Ok(message) => {
            let mut trailers = HeaderMap::new();
            trailers.insert(STATUS, HeaderValue::from_static("0"));
            (Reply::with_trailers(framed(&message), trailers), HeaderMap::new())
        }
        // Without a message the trailers are the head.
        Err(failure) => (Reply::default(), trailers_of(&failure)),
    };
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(Packing::ACCEPTED));
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    *response.headers_mut() = headers;
    response
}

async fn exported(server: &Rc<Server>, request: Request<Incoming>) -> Result<Outcome, Failure> {
    let path = request.uri().path();
    let Some(signal) = Signal::ALL.into_iter().find(|signal| grpc_path(*signal) == path) else {
        return Err(Failure::new(code::UNIMPLEMENTED, format!("there is no {path} here")));
    };
    if request.method() != Method::POST {
        return Err(Failure::new(code::INTERNAL, "gRPC calls are POST requests"));
    }
    let word = request.headers().get(ENCODING).map_or(&b""[..], HeaderValue::as_bytes);
    let packing = Packing::parse(word).ok_or_else(|| {
        let words = format!("messages are packed by one of {}", Packing::ACCEPTED);
        Failure::new(code::UNIMPLEMENTED, words)
    })?;
    let busy = server.inlet.begin();
    let mut hold = server.inlet.budget.begin();
    let max = server.inlet.max_request_bytes;
    let received = message_of(request, max, &mut hold).await;
    let message = received.and_then(|(message, is_packed)| match (is_packed, packing) {
        (false, _) => Ok(message),
        (true, Packing::None) => Err(BodyError::PackedByNone),
        (true, packing) => unpack(message, packing, max, &mut hold),
    });
    let outcome = match message {
        Ok(message) => server.export(signal, message).await,
        Err(error @ BodyError::PackedByNone) => {
            return Err(Failure::new(code::INTERNAL, error.to_string()));
        }
        Err(error) => server.inlet.refused(&error),
    };
    drop((busy, hold));
    Ok(outcome)
}

fn framed(message: &[u8]) -> Vec<u8> {
    // An answer is a few bytes.
    let head = grpc_head(false, message.len()).unwrap_or_default();
    [&head, message].concat()
}

/// The response message, or how the call failed.
fn of_outcome(outcome: &Outcome) -> Result<Vec<u8>, Failure> {
    let code = match outcome {
        Outcome::Taken { n_rejected, .. } => return Ok(response(*n_rejected, &outcome.words())),
        Outcome::Malformed(_) => code::INVALID_ARGUMENT,
        Outcome::NoTier(_) => code::UNIMPLEMENTED,
        Outcome::TooLarge(_) => code::RESOURCE_EXHAUSTED,
        Outcome::Busy(_) => code::UNAVAILABLE,
    };
    Err(Failure::new(code, outcome.words()))
}

fn trailers_of(failure: &Failure) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let is_retryable = failure.code == code::UNAVAILABLE;
    trailers.insert(STATUS, HeaderValue::from(failure.code));
    let text = percent_encoded(&failure.words);
    let details = base64_of(&status(failure.code, &failure.words, is_retryable));
    // Both texts are of visible ASCII.
    for (name, text) in [(MESSAGE, text), (DETAILS, details)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            trailers.insert(name, value);
        }
    }
    if is_retryable && let Ok(value) = HeaderValue::from_str(&base64_of(&retry_info())) {
        trailers.insert(RETRY_INFO, value);
    }
    trailers
}

fn base64_of(bytes: &[u8]) -> String {
    data_encoding::BASE64_NOPAD.encode(bytes)
}

/// `grpc-message`: percent-encoded but for visible ASCII, and bounded: it may quote a request.
fn percent_encoded(words: &str) -> String {
    let mut out = String::new();
    for byte in words.bytes().take(512) {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
