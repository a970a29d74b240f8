//! The protobuf and JSON that say what a request comes to.
//!
//! Source: OTLP specification, "OTLP/gRPC Response" and "OTLP/HTTP Response"; google.rpc's `Status`
//! and `RetryInfo`.

use crate::event::otlp::json::push_text_json;
use crate::event::otlp::wire::{push_bytes, push_message, push_number};
use crate::event::signal::Signal;
use crate::sources::net::outcome::RETRY_AFTER_S;

/// An `Export…ServiceResponse`.
pub(super) fn response(n_rejected: usize, words: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if n_rejected > 0 {
        push_message(&mut out, 1, |out| {
            push_number(out, 1, n_rejected as u64);
            push_bytes(out, 2, words.as_bytes());
        });
    }
    out
}

/// The same as JSON.
pub(super) fn response_json(signal: Signal, n_rejected: usize, words: &str) -> Vec<u8> {
    if n_rejected == 0 {
        return b"{}".to_vec();
    }
    let name = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    };
    let mut out = format!("{{\"partialSuccess\":{{\"{name}\":\"{n_rejected}\",\"errorMessage\":");
    let mut text = Vec::new();
    push_text_json(words.as_bytes(), &mut text);
    out.push_str(&String::from_utf8_lossy(&text));
    out.push_str("}}");
    out.into_bytes()
}

/// A `google.rpc.Status`, with a `RetryInfo` where the client should come again.
pub(super) fn status(code: u32, words: &str, is_retryable: bool) -> Vec<u8> {
    let mut out = Vec::new();
    push_number(&mut out, 1, u64::from(code));
    push_bytes(&mut out, 2, words.as_bytes());
    if is_retryable {
        push_message(&mut out, 3, |out| {
            push_bytes(out, 1, b"type.googleapis.com/google.rpc.RetryInfo");
            push_bytes(out, 2, &retry_info());
        });
    }
    out
}

/// The same as JSON.
pub(super) fn status_json(code: u32, words: &str) -> Vec<u8> {
    let mut out = format!("{{\"code\":{code},\"message\":").into_bytes();
    push_text_json(words.as_bytes(), &mut out);
    out.push(b'}');
    out
}

/// A `google.rpc.RetryInfo`.
pub(super) fn retry_info() -> Vec<u8> {
    let mut out = Vec::new();
    push_message(&mut out, 1, |out| push_number(out, 1, RETRY_AFTER_S));
    out
}
