//! HTTP's side: protobuf or JSON by `POST`, answered in kind.
//!
//! Source: OTLP specification, "OTLP/HTTP". Never answers 500: clients must not send such a request
//! again, and everything that can pass is 503.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue,
    RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};

use super::body::{BodyError, Packing, receive, unpack};
use super::outcome::{Outcome, RETRY_AFTER_S, response, response_json, status, status_json};
use super::reply::Reply;
use super::serve::Server;
use crate::event::otlp::json::request_from_json;
use crate::event::signal::Signal;

/// How a request and its answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// The form that a `Content-Type` names, whatever parameters follow.
    fn parse(value: &[u8]) -> Option<Self> {
        let name = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"application/x-protobuf")
            || name.eq_ignore_ascii_case(b"application/protobuf")
        {
            Some(Self::Protobuf)
        } else {
            name.eq_ignore_ascii_case(b"application/json").then_some(Self::Json)
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }
}

/// Answers a request.
pub(super) async fn answer(server: &Rc<Server>, request: Request<Incoming>) -> Response<Reply> {
    let signal = match request.uri().path() {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        _ => {
            let words = "POST to /v1/traces, /v1/metrics or /v1/logs";
            return failed(Form::Json, StatusCode::NOT_FOUND, words);
        }
    };
    let header = |name| request.headers().get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let form = Form::parse(header(CONTENT_TYPE));
    if request.method() != Method::POST {
        let code = StatusCode::METHOD_NOT_ALLOWED;
        let mut response = failed(form.unwrap_or(Form::Json), code, "only POST is taken");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let Some(form) = form else {
        let words = "Content-Type must be application/x-protobuf or application/json";
        return failed(Form::Json, unsupported, words);
    };
    let Some(packing) = Packing::parse(header(CONTENT_ENCODING)) else {
        let words = format!("Content-Encoding must be one of {}", Packing::ACCEPTED);
        let mut response = failed(form, unsupported, &words);
        let accepted = HeaderValue::from_static(Packing::ACCEPTED);
        response.headers_mut().insert(ACCEPT_ENCODING, accepted);
        return response;
    };
    let outcome = exported(server, signal, (form, packing), request).await;
    of_outcome(&outcome, signal, form)
}

async fn exported(
    server: &Rc<Server>,
    signal: Signal,
    (form, packing): (Form, Packing),
    request: Request<Incoming>,
) -> Outcome {
    let busy = server.begin();
    let mut hold = server.budget.begin();
    let max = server.max_request_bytes;
    let said = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if said.and_then(|said| said.parse::<usize>().ok()).is_some_and(|said| said > max) {
        return server.refused(&BodyError::TooLarge(max));
    }
    let body = receive(request.into_body(), max, false, &mut hold).await;
    let message = body.and_then(|body| match packing {
        Packing::None => Ok(body),
        packing => unpack(&body, packing, max, &mut hold),
    });
    let outcome = match (message, form) {
        (Err(error), _) => server.refused(&error),
        (Ok(message), Form::Protobuf) => server.export(signal, message).await,
        (Ok(json), Form::Json) => {
            let mut message = Vec::with_capacity(json.len());
            match request_from_json(signal, &json, &mut message) {
                Ok(()) => server.export(signal, message).await,
                Err(error) => server.malformed(error.to_string()),
            }
        }
    };
    drop((busy, hold));
    outcome
}

fn of_outcome(outcome: &Outcome, signal: Signal, form: Form) -> Response<Reply> {
    let words = outcome.words();
    let code = match outcome {
        Outcome::Taken { n_rejected } => {
            let body = match form {
                Form::Protobuf => response(*n_rejected, &words),
                Form::Json => response_json(signal, *n_rejected, &words),
            };
            return with_body(form, StatusCode::OK, body);
        }
        Outcome::Malformed(_) => StatusCode::BAD_REQUEST,
        Outcome::NoTier(_) => StatusCode::NOT_FOUND,
        Outcome::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Outcome::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    failed(form, code, &words)
}

/// An error, with a `google.rpc.Status` in the request's form.
fn failed(form: Form, code: StatusCode, words: &str) -> Response<Reply> {
    let is_retryable = code == StatusCode::SERVICE_UNAVAILABLE;
    let rpc_code = match code {
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => 12,
        _ => 3,
    };
    let body = match form {
        Form::Protobuf => status(rpc_code, words, is_retryable),
        Form::Json => status_json(rpc_code, words),
    };
    let mut response = with_body(form, code, body);
    if is_retryable {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    response
}

fn with_body(form: Form, code: StatusCode, body: Vec<u8>) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(body));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, form.content_type());
    response
}
