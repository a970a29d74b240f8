//! A unary gRPC call by reqwest: HTTP/2, the framed message as the body, the status in the
//! trailers.
//!
//! Source: gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`).
//!
//! # Why
//! The same client as HTTP's, for TLS, timeouts and proxies are the same; what gRPC adds to a unary
//! call is five bytes and the trailers. Streams are another matter and another transport.

use std::time::Duration;

use http_body_util::BodyExt;
use reqwest::Response;
use reqwest::header::HeaderMap;

use super::http::HttpClient;
use super::{
    ANSWER_BYTES_MAX, Answer, Client, Outgoing, SendError, Sending, TransportError,
    TransportOptions,
};
use crate::diagnostic::chain;
use crate::event::otlp::transport::GRPC_HEAD_LEN;
use crate::event::otlp::wire::{Reader, kind};
use crate::secret::Secret;

/// UNKNOWN: what a call without a status is.
const UNKNOWN: u32 = 2;

/// See the module.
pub(super) struct GrpcClient {
    http: HttpClient,
}

impl GrpcClient {
    pub(super) fn new(
        url: &str,
        headers: &[(String, Secret)],
        timeout: Duration,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        Ok(Self { http: HttpClient::for_grpc(url, headers, timeout, options)? })
    }

    async fn call(&self, outgoing: &Outgoing) -> Result<Answer, SendError> {
        let mut outgoing = outgoing.clone();
        outgoing.headers.push(("content-type", "application/grpc+proto".to_owned()));
        outgoing.headers.push(("te", "trailers".to_owned()));
        let sent = self.http.request(&outgoing).await;
        let response = sent.map_err(|error| SendError(chain(&error.without_url())))?;
        read(response).await
    }
}

impl Client for GrpcClient {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        Box::pin(self.call(outgoing))
    }
}

/// Reads the answer of a call.
pub(super) async fn read(response: Response) -> Result<Answer, SendError> {
    let status = response.status().as_u16();
    let head = response.headers().clone();
    let mut body: reqwest::Body = reqwest::Body::from(response);
    let (mut frame, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(part) = body.frame().await {
        let part = part.map_err(|error| SendError(chain(&error.without_url())))?;
        match part.into_data() {
            Ok(data) => {
                let room = ANSWER_BYTES_MAX - frame.len();
                frame.extend_from_slice(&data[..data.len().min(room)]);
            }
            Err(part) => trailers = part.into_trailers().unwrap_or_default(),
        }
    }
    let (code, message, _) = ending(status, &head, Some(&trailers));
    let of_grpc = if trailers.contains_key("grpc-status") { &trailers } else { &head };
    Ok(Answer {
        status,
        body: frame.get(GRPC_HEAD_LEN..).unwrap_or_default().to_vec(),
        retry_after: retry_delay(of_grpc),
        grpc: Some((code, message)),
        ..Answer::default()
    })
}

/// How a call ended: code, message, and the `google.rpc.Status` with its details, if there is one.
/// A call that fails at once says it in the head.
pub(super) fn ending(
    status: u16,
    head: &HeaderMap,
    trailers: Option<&HeaderMap>,
) -> (u32, String, Vec<u8>) {
    let said = trailers.filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(head);
    let (code, message) = status_of(said).unwrap_or_else(|| without_status(status));
    (code, message, details_of(said).unwrap_or_default())
}

fn status_of(headers: &HeaderMap) -> Option<(u32, String)> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
    let message = headers.get("grpc-message").map(|value| percent_decoded(value.as_bytes()));
    Some((code, message.unwrap_or_default()))
}

/// What a server that speaks no gRPC means (gRPC's `http-grpc-status-mapping`).
fn without_status(status: u16) -> (u32, String) {
    let code = match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => UNKNOWN,
    };
    (code, format!("HTTP status {status} without a gRPC status"))
}

fn percent_decoded(text: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        let hex = behind.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(decoded) => {
                out.push(decoded);
                rest = &behind[2..];
            }
            None => {
                out.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The `google.rpc.Status` of an error.
fn details_of(headers: &HeaderMap) -> Option<Vec<u8>> {
    let text = headers.get("grpc-status-details-bin")?.to_str().ok()?;
    data_encoding::BASE64_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
pub(super) fn retry_delay(headers: &HeaderMap) -> Option<Duration> {
    let status = details_of(headers)?;
    let details = bytes_fields(&status, 3);
    details.into_iter().find_map(|any| {
        let is_retry_info =
            bytes_fields(any, 1).first().is_some_and(|url| url.ends_with(b"/google.rpc.RetryInfo"));
        let info = bytes_fields(any, 2).first().copied().filter(|_| is_retry_info)?;
        let delay = bytes_fields(info, 1).first().copied()?;
        let number = |wanted| {
            let mut fields = Reader::new(delay, 0, delay.len());
            while let Ok(Some(field)) = fields.read() {
                if field.number() == wanted && field.kind() == kind::VARINT {
                    return field.number_in(delay);
                }
            }
            0
        };
        let nanos = u32::try_from(number(2)).unwrap_or(0).min(999_999_999);
        Some(Duration::new(number(1), nanos))
    })
}

/// The values of all fields `wanted` that are bytes.
fn bytes_fields(message: &[u8], wanted: u32) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut fields = Reader::new(message, 0, message.len());
    while let Ok(Some(field)) = fields.read() {
        if field.number() == wanted && field.kind() == kind::BYTES {
            found.push(field.of(message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{push_bytes, push_message};

    #[test]
    fn what_servers_say() {
        let mut headers = HeaderMap::new();
        assert_eq!(status_of(&headers), None);
        headers.insert("grpc-status", "14".parse().expect("a value"));
        headers.insert("grpc-message", "sp%C3%A4ter %zz %".parse().expect("a value"));
        assert_eq!(status_of(&headers), Some((14, "später %zz %".to_owned())));
        assert_eq!(retry_delay(&headers), None);
        // A status with one detail: a delay of five seconds and seven nanoseconds.
        let mut status = vec![8, 14];
        push_message(&mut status, 3, |out| {
            push_bytes(out, 1, b"type.googleapis.com/google.rpc.RetryInfo");
            push_bytes(out, 2, &[10, 4, 8, 5, 16, 7]);
        });
        let details = data_encoding::BASE64.encode(&status);
        headers.insert("grpc-status-details-bin", details.parse().expect("a value"));
        assert_eq!(retry_delay(&headers), Some(Duration::new(5, 7)));
        headers.insert("grpc-status-details-bin", "????".parse().expect("a value"));
        assert_eq!(retry_delay(&headers), None);
    }
}
