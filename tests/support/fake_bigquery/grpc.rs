//! gRPC over HTTP/2 by hand: frames, statuses and trailers, and which method is called.
//!
//! Owns what every call must have, and the unary calls. What AppendRows does is in `append`.

use std::io::Read;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use prost::Message;
use prost_types::Any;

use super::super::bigquery_proto::rpc;
use super::super::bigquery_proto::storage::{
    CreateWriteStreamRequest, FinalizeWriteStreamRequest, GetWriteStreamRequest, StorageError,
};
use super::connection::{Body, Connection};
use super::{CallAct, FakeBigQuery, StorageErrorCode, append, code};

const SERVICE: &str = "/google.cloud.bigquery.storage.v1.BigQueryWrite/";

/// How a call ends, or what a response says.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) error: Option<StorageError>,
    /// Of a `RetryInfo`; 0 where there is none.
    pub(crate) seconds: u8,
}

impl Status {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), error: None, seconds: 0 }
    }

    pub(crate) fn with(
        code: i32,
        error: StorageErrorCode,
        entity: &str,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        let error = StorageError {
            code: error.into(),
            entity: entity.to_owned(),
            error_message: message.clone(),
        };
        Self {
            code,
            message: format!("{message} Entity: {entity}"),
            error: Some(error),
            seconds: 0,
        }
    }

    pub(crate) fn told(&self) -> rpc::Status {
        let detail = |error: &StorageError| Any {
            type_url: "type.googleapis.com/google.cloud.bigquery.storage.v1.StorageError".into(),
            value: error.encode_to_vec(),
        };
        let retry = Some(self.seconds).filter(|seconds| *seconds > 0).map(|seconds| Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            // Field 1 is a Duration, of which field 1 is the seconds.
            value: vec![0x0a, 2, 0x08, seconds],
        });
        rpc::Status {
            code: self.code,
            message: self.message.clone(),
            details: self.error.iter().map(detail).chain(retry).collect(),
        }
    }

    pub(crate) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from(self.code));
        if self.code != 0 {
            let value = |text: &str| HeaderValue::from_str(text).expect("a header");
            trailers.insert("grpc-message", value(&percent_encoded(&self.message)));
            let details = data_encoding::BASE64_NOPAD.encode(&self.told().encode_to_vec());
            trailers.insert("grpc-status-details-bin", value(&details));
        }
        trailers
    }
}

/// Serves one call.
pub(crate) async fn serve(
    fake: &FakeBigQuery,
    connection: &Connection,
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    if let Err(status) = admitted(fake, request.method(), &path, request.headers()) {
        return ended(&status);
    }
    let Some(method) = path.strip_prefix(SERVICE).map(str::to_owned) else {
        fake.state().offend(format!("no service: {path}"));
        return ended(&Status::new(code::UNIMPLEMENTED, path));
    };
    match method.as_str() {
        "AppendRows" => append::serve(fake, connection, request),
        "CreateWriteStream" | "GetWriteStream" | "FinalizeWriteStream" => {
            unary(fake, connection, &method, request).await
        }
        _ => {
            fake.state().offend(format!("the fake has no {method}"));
            ended(&Status::new(code::UNIMPLEMENTED, method))
        }
    }
}

/// What every call must have.
fn admitted(
    fake: &FakeBigQuery,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<(), Status> {
    let mut state = fake.state();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if method != Method::POST
        || !text("content-type").starts_with("application/grpc")
        || text("te") != "trailers"
    {
        state.offend(format!("no gRPC: {method} {path} {headers:?}"));
    }
    if !fake.options.needs_token {
        return Ok(());
    }
    state.authorized(text("authorization"), path).map_err(|no| {
        Status::new(code::UNAUTHENTICATED, format!("Request had invalid credentials: {no}"))
    })
}

/// Whether `x-goog-request-params` names this value for this key.
pub(crate) fn check_routing(headers: &HeaderMap, key: &str, value: &str) -> Result<(), String> {
    let said = headers.get("x-goog-request-params");
    let said = said.and_then(|said| said.to_str().ok()).unwrap_or_default();
    let is_named = said.split('&').filter_map(|pair| pair.split_once('=')).any(|(name, text)| {
        name == key && percent_decoded(text).is_some_and(|decoded| decoded == value)
    });
    match is_named {
        true => Ok(()),
        false => Err(format!("x-goog-request-params: \"{said}\" and not {key}={value}")),
    }
}

async fn unary(
    fake: &FakeBigQuery,
    connection: &Connection,
    method: &str,
    request: Request<Incoming>,
) -> Response<Body> {
    let act = fake.state().call_acts.pop_front().unwrap_or(CallAct::Serve);
    let note = |code| fake.state().calls.push((method.to_owned(), code));
    let headers = request.headers().clone();
    let Ok(body) = request.into_body().collect().await else {
        return ended(&Status::new(code::CANCELLED, "the request ended"));
    };
    match act {
        CallAct::Fail(code, message) => {
            note(code);
            return ended(&Status::new(code, message));
        }
        CallAct::FailFor(code, seconds) => {
            note(code);
            return ended(&Status { seconds, ..Status::new(code, "told to") });
        }
        CallAct::Break => {
            note(code::UNAVAILABLE);
            connection.break_off();
            return std::future::pending().await;
        }
        CallAct::Serve | CallAct::DoAndBreak => {}
    }
    let mut frames = BytesMut::from(&body.to_bytes()[..]);
    let done = match next_message(&mut frames, &headers) {
        Ok(Some(message)) if frames.is_empty() => call(fake, method, &headers, &message),
        other => Err(Status::new(code::INVALID_ARGUMENT, format!("not one message: {other:?}"))),
    };
    note(done.as_ref().err().map_or(0, |status| status.code));
    if matches!(act, CallAct::DoAndBreak) {
        connection.break_off();
        return std::future::pending().await;
    }
    match done {
        Ok(message) => {
            let trailers = Frame::trailers(Status::new(0, "").trailers());
            let frames = [Ok(Frame::data(framed(&message))), Ok(trailers)];
            answered(BodyExt::boxed(StreamBody::new(tokio_stream::iter(frames))))
        }
        Err(status) => ended(&status),
    }
}

fn call(
    fake: &FakeBigQuery,
    method: &str,
    headers: &HeaderMap,
    message: &[u8],
) -> Result<Vec<u8>, Status> {
    let mut state = fake.state();
    let unread = |error| Status::new(code::INVALID_ARGUMENT, format!("{method}: {error}"));
    let mut route = |key: &str, value: &str| {
        if let Err(no) = check_routing(headers, key, value) {
            fake_offence(&mut state.offences, method, &no);
        }
    };
    match method {
        "CreateWriteStream" => {
            let request = CreateWriteStreamRequest::decode(message).map_err(unread)?;
            route("parent", &request.parent);
            state.create_stream(&fake.options.project, &request).map(|one| one.encode_to_vec())
        }
        "GetWriteStream" => {
            let request = GetWriteStreamRequest::decode(message).map_err(unread)?;
            route("name", &request.name);
            let stream = state.write_stream(&fake.options.project, &request.name);
            stream.map(|one| one.encode_to_vec())
        }
        _ => {
            let request = FinalizeWriteStreamRequest::decode(message).map_err(unread)?;
            route("name", &request.name);
            state.finalize_stream(&request.name).map(|one| one.encode_to_vec())
        }
    }
}

fn fake_offence(offences: &mut Vec<String>, method: &str, what: &str) {
    offences.push(format!("{method}: {what}"));
}

/// Takes one whole message off the front, unpacked.
pub(crate) fn next_message(
    buffer: &mut BytesMut,
    headers: &HeaderMap,
) -> Result<Option<Bytes>, String> {
    let Some(head) = buffer.get(..5) else { return Ok(None) };
    let len = u32::from_be_bytes(head[1..5].try_into().expect("four bytes")) as usize;
    let is_packed = match head[0] {
        0 => false,
        1 => true,
        other => return Err(format!("a frame with flag {other}")),
    };
    if buffer.len() < 5 + len {
        return Ok(None);
    }
    buffer.advance(5);
    let message = buffer.split_to(len).freeze();
    if !is_packed {
        return Ok(Some(message));
    }
    if headers.get("grpc-encoding").is_none_or(|encoding| encoding != "gzip") {
        return Err("packed, and not by gzip".to_owned());
    }
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&message[..]);
    reader.read_to_end(&mut unpacked).map_err(|error| format!("gzip: {error}"))?;
    Ok(Some(unpacked.into()))
}

pub(crate) fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat().into()
}

/// An answer whose status comes behind its body.
pub(crate) fn answered(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}

/// An answer that is a status alone.
fn ended(status: &Status) -> Response<Body> {
    let empty = http_body_util::Empty::new().map_err(|never| match never {});
    let mut response = answered(BodyExt::boxed(empty));
    response.headers_mut().extend(status.trailers());
    response
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let pair = [bytes.next()?, bytes.next()?];
                let pair = std::str::from_utf8(&pair).ok()?;
                out.push(u8::from_str_radix(pair, 16).ok()?);
            }
            b'+' => out.push(b' '),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}
