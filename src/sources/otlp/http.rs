//! HTTP's side: protobuf or JSON by `POST`, answered in kind.
//!
//! Source: OTLP specification, "OTLP/HTTP".

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};

use super::message::{response, response_json, status, status_json};
use super::serve::Server;
use crate::event::otlp::json::request_from_json;
use crate::event::otlp::transport::http_path;
use crate::event::signal::Signal;
use crate::sources::net::body::{Packing, of_request, refuse};
use crate::sources::net::head::{self, Refusal};
use crate::sources::net::outcome::Outcome;
use crate::sources::net::reply::Reply;

/// How a request and its answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// The form that a type is the name of.
    fn parse(name: &[u8]) -> Option<Self> {
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
    let form = Form::parse(head::content_type(&request));
    match asked(&request, form) {
        Ok((signal, form, packing)) => {
            let outcome = exported(server, signal, (form, packing), request).await;
            of_outcome(&outcome, signal, form)
        }
        Err(refusal) => {
            refuse(request).await;
            refusal.answer(|code, words| failed(form.unwrap_or(Form::Json), code, words))
        }
    }
}

/// What is sent, and how.
fn asked(
    request: &Request<Incoming>,
    form: Option<Form>,
) -> Result<(Signal, Form, Packing), Refusal> {
    let path = request.uri().path();
    let signal = Signal::ALL.into_iter().find(|signal| http_path(*signal) == path);
    let signal =
        signal.ok_or_else(|| Refusal::not_found("POST to /v1/traces, /v1/metrics or /v1/logs"))?;
    head::only_post(request)?;
    let form = form.ok_or_else(|| {
        Refusal::wrong_type("Content-Type must be application/x-protobuf or application/json")
    })?;
    Ok((signal, form, head::packing(request)?))
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
    let (code, words) = (head::status_of(outcome), outcome.words());
    let Outcome::Taken { n_rejected, .. } = *outcome else { return failed(form, code, &words) };
    let body = match form {
        Form::Protobuf => response(n_rejected, &words),
        Form::Json => response_json(signal, n_rejected, &words),
    };
    head::answer_with(code, form.content_type(), body)
}

/// An error, with a `google.rpc.Status` in the request's form.
fn failed(form: Form, code: StatusCode, words: &str) -> Response<Reply> {
    let rpc_code = match code {
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => 12,
        _ => 3,
    };
    let body = match form {
        Form::Protobuf => status(rpc_code, words, code == StatusCode::SERVICE_UNAVAILABLE),
        Form::Json => status_json(rpc_code, words),
    };
    head::answer_with(code, form.content_type(), body)
}
