//! What a request comes to, and the protobuf and JSON that say so.
//!
//! Source: OTLP specification, "OTLP/gRPC Response" and "OTLP/HTTP Response"; google.rpc's `Status`
//! and `RetryInfo`.

use crate::event::otlp::json::push_text_json;
use crate::event::otlp::wire::{push_bytes, push_message, push_number};
use crate::event::signal::Signal;

/// How long a client is asked to wait.
pub(super) const RETRY_AFTER_S: u64 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is durable, but for as many items that no reader would have.
    Taken { n_rejected: usize },
    /// It is no such request.
    Malformed(String),
    /// Nothing here takes it.
    NoTier(Signal),
    /// Larger than requests may be.
    TooLarge(String),
    /// It can be sent again, as it is.
    Busy(String),
}

impl Outcome {
    /// What is said of it.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Taken { n_rejected: 0 } => String::new(),
            Self::Taken { .. } => {
                "trace_id needs 16 bytes and span_id 8, not all of them zero".to_owned()
            }
            Self::NoTier(signal) => format!("no tier of the config takes {}", signal.as_str()),
            Self::Malformed(words) | Self::TooLarge(words) | Self::Busy(words) => words.clone(),
        }
    }
}

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
