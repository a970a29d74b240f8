//! HTTP's side: protobuf or JSON by `POST`, answered in kind.
//!
//! Source: OTLP specification, "OTLP/HTTP". Never answers 500: clients must not send such a request
//! again, and everything that can pass is 503.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
};
use hyper::{Method, Request, Response, StatusCode};

use super::message::{response, response_json, status, status_json};
use super::serve::Server;
use crate::event::otlp::json::request_from_json;
use crate::event::signal::Signal;
use crate::sources::net::body::{Packing, of_request, refuse};
use crate::sources::net::outcome::{Outcome, RETRY_AFTER_S};
use crate::sources::net::reply::Reply;

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
    match asked(&request) {
        Ok((signal, form, packing)) => {
            let outcome = exported(server, signal, (form, packing), request).await;
            of_outcome(&outcome, signal, form)
        }
        Err(refusal) => {
            refuse(request).await;
            *refusal
        }
    }
}

/// What is sent, and how; or the answer, where the head says that it is nothing for us.
fn asked(request: &Request<Incoming>) -> Result<(Signal, Form, Packing), Box<Response<Reply>>> {
    let header = |name| request.headers().get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let form = Form::parse(header(CONTENT_TYPE));
    let refused = |code, words: &str| Box::new(failed(form.unwrap_or(Form::Json), code, words));
    let signal = match request.uri().path() {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        _ => {
            let words = "POST to /v1/traces, /v1/metrics or /v1/logs";
            return Err(refused(StatusCode::NOT_FOUND, words));
        }
    };
    if request.method() != Method::POST {
        let mut refusal = refused(StatusCode::METHOD_NOT_ALLOWED, "only POST is taken");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return Err(refusal);
    }
    let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let Some(form) = form else {
        let words = "Content-Type must be application/x-protobuf or application/json";
        return Err(refused(unsupported, words));
    };
    let Some(packing) = Packing::parse(header(CONTENT_ENCODING)) else {
        let words = format!("Content-Encoding must be one of {}", Packing::ACCEPTED);
        let mut refusal = refused(unsupported, &words);
        let accepted = HeaderValue::from_static(Packing::ACCEPTED);
        refusal.headers_mut().insert(ACCEPT_ENCODING, accepted);
        return Err(refusal);
    };
    Ok((signal, form, packing))
}

async fn exported(
    server: &Rc<Server>,
    signal: Signal,
    (form, packing): (Form, Packing),
    request: Request<Incoming>,
) -> Outcome {
    let busy = server.inlet.begin();
    let mut hold = server.inlet.budget.begin();
    let max = server.inlet.max_request_bytes;
    let message = of_request(request, packing, max, &mut hold).await;
    let outcome = match (message, form) {
        (Err(error), _) => server.inlet.refused(&error),
        (Ok(message), Form::Protobuf) => server.export(signal, message).await,
        (Ok(json), Form::Json) => {
            let mut message = Vec::with_capacity(json.len());
            match request_from_json(signal, &json, &mut message) {
                Ok(()) => server.export(signal, message).await,
                Err(error) => server.inlet.malformed(error.to_string()),
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
