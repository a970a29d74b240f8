//! What OTLP's answers mean, and where Tempo and the collector answer otherwise than it says.
//!
//! Source: OTLP specification, "Failures" and "Partial Success"; Tempo `modules/distributor`
//! (`RATE_LIMITED: …`, without `RetryInfo` before 3.0); grpc-go's message sizes.
//!
//! # Why
//! - RESOURCE_EXHAUSTED without `RetryInfo` must not be sent again by OTLP's letter. Tempo before
//!   3.0 means "later" by it, and gRPC servers mean "smaller": the words tell which, and what is
//!   sent again or halved is not lost.
//! - A wrong address or wrong credentials are repaired by people, so the data stays.
//! - 500 and other codes for good go to the dead letters, as OTLP demands: they can be replayed.

use crate::event::otlp::wire::{Reader, kind};
use crate::sinks::{Grpc, Response, Suspects, Verdict};

const REASON_CHARS_MAX: usize = 200;

/// gRPC.
pub(super) fn grpc(answer: Grpc<'_>, body: &[u8]) -> Verdict {
    let reason = || shortened(&format!("gRPC code {}: {}", answer.code, answer.message));
    match answer.code {
        0 => taken(body),
        8 if is_too_large(answer.message) => Verdict::Split,
        14 if lacks_tenant(answer.message) => Verdict::Unauthorised { reason: reason() },
        // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE,
        // DATA_LOSS
        1 | 4 | 8 | 10 | 11 | 14 | 15 => Verdict::Retry { reason: reason() },
        // PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED
        7 | 12 | 16 => Verdict::Unauthorised { reason: reason() },
        _ => Verdict::Refused { reason: reason() },
    }
}

/// HTTP.
pub(super) fn http(response: &Response<'_>) -> Verdict {
    let words = status_message(response.body);
    let reason = || shortened(format!("{} {words}", response.status).trim_end());
    match response.status {
        200 => taken(response.body),
        202 | 204 => Verdict::Delivered,
        400 if is_too_large(&words) => Verdict::Split,
        413 => Verdict::Split,
        503 if lacks_tenant(&words) => Verdict::Unauthorised { reason: reason() },
        408 | 425 | 429 | 502..=504 => Verdict::Retry { reason: reason() },
        ..=399 | 401 | 403 | 404 | 405 | 407 | 410 => Verdict::Unauthorised { reason: reason() },
        _ => Verdict::Refused { reason: reason() },
    }
}

/// Whether smaller requests would be taken: gRPC's own bound, the collector's, Tempo's burst.
fn is_too_large(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    lower.contains("larger than max")
        || lower.contains("too large")
        || (lower.contains("batch size") && lower.contains("exceeds"))
}

/// Tempo's words for a request without `X-Scope-OrgID`, which it calls UNAVAILABLE. No later time
/// will be better: somebody has to write a tenant.
fn lacks_tenant(words: &str) -> bool {
    words.contains("no org id")
}

/// An `Export…ServiceResponse`: what it says of items that were refused.
fn taken(body: &[u8]) -> Verdict {
    let (mut n_refused, mut message) = (0, String::new());
    let mut fields = Reader::new(body, 0, body.len());
    while let Ok(Some(field)) = fields.read() {
        if field.number() != 1 || field.kind() != kind::BYTES {
            continue;
        }
        let mut parts = Reader::of(body, field);
        while let Ok(Some(part)) = parts.read() {
            match part.number() {
                1 => n_refused = part.number_in(body),
                2 => message = String::from_utf8_lossy(part.of(body)).into_owned(),
                _ => {}
            }
        }
    }
    if n_refused == 0 {
        return Verdict::Delivered;
    }
    let n_refused = usize::try_from(n_refused).unwrap_or(usize::MAX);
    let reason = shortened(&format!("rejected: {message}"));
    Verdict::PartlyRefused { n_refused, reason, suspects: Suspects::default() }
}

/// The message of a `google.rpc.Status`, in protobuf or JSON; else the body itself.
fn status_message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Status {
        message: String,
    }
    if let Ok(status) = serde_json::from_slice::<Status>(body) {
        return status.message;
    }
    let mut fields = Reader::new(body, 0, body.len());
    while let Ok(Some(field)) = fields.read() {
        if field.number() == 2 && field.kind() == kind::BYTES {
            return String::from_utf8_lossy(field.of(body)).into_owned();
        }
    }
    String::from_utf8_lossy(body).into_owned()
}

fn shortened(words: &str) -> String {
    let visible = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{push_bytes, push_message, push_number};

    #[derive(Debug, PartialEq)]
    enum Word {
        Delivered,
        Partly(usize),
        Retry,
        Split,
        Refused,
        Unauthorised,
    }

    fn word(verdict: &Verdict) -> Word {
        match verdict {
            Verdict::Delivered => Word::Delivered,
            Verdict::PartlyRefused { n_refused, .. } => Word::Partly(*n_refused),
            Verdict::Retry { .. } => Word::Retry,
            Verdict::Split => Word::Split,
            Verdict::Refused { .. } => Word::Refused,
            Verdict::Unauthorised { .. } => Word::Unauthorised,
            other => panic!("OTLP has no {other:?}"),
        }
    }

    fn partial(n: u64, message: &str) -> Vec<u8> {
        let mut body = Vec::new();
        push_message(&mut body, 1, |out| {
            push_number(out, 1, n);
            push_bytes(out, 2, message.as_bytes());
        });
        body
    }

    #[test]
    fn answers_of_grpc() {
        let burst = "RATE_LIMITED: batch size (9 bytes) exceeds ingestion limit (local: 5 bytes/s)";
        for (code, message, body, expected) in [
            (0, "", Vec::new(), Word::Delivered),
            (0, "", partial(0, "a warning"), Word::Delivered),
            (0, "", partial(3, "no"), Word::Partly(3)),
            (14, "later", Vec::new(), Word::Retry),
            (14, "no org id", Vec::new(), Word::Unauthorised),
            (8, "RATE_LIMITED: ingestion rate limit (local: 5 bytes/s)", Vec::new(), Word::Retry),
            (8, burst, Vec::new(), Word::Split),
            (8, "grpc: received message larger than max (5 vs. 4)", Vec::new(), Word::Split),
            (3, "invalid", Vec::new(), Word::Refused),
            (13, "internal", Vec::new(), Word::Refused),
            (12, "unknown service", Vec::new(), Word::Unauthorised),
            (16, "who?", Vec::new(), Word::Unauthorised),
        ] {
            let verdict = grpc(Grpc { code, message }, &body);
            assert_eq!(word(&verdict), expected, "{code} {message}");
        }
    }

    #[test]
    fn answers_of_http() {
        let mut status = Vec::new();
        push_number(&mut status, 1, 8);
        push_bytes(&mut status, 2, b"request body too large");
        for (code, body, expected) in [
            (200, Vec::new(), Word::Delivered),
            (200, partial(1, "x"), Word::Partly(1)),
            (400, b"{\"code\":3,\"message\":\"bad\"}".to_vec(), Word::Refused),
            (400, status, Word::Split),
            (413, Vec::new(), Word::Split),
            (429, Vec::new(), Word::Retry),
            (503, Vec::new(), Word::Retry),
            (503, b"{\"code\":14,\"message\":\"no org id\"}".to_vec(), Word::Unauthorised),
            (500, Vec::new(), Word::Refused),
            (301, Vec::new(), Word::Unauthorised),
            (404, Vec::new(), Word::Unauthorised),
        ] {
            let response = Response { status: code, body: &body, ..Response::default() };
            assert_eq!(word(&http(&response)), expected, "{code}");
        }
    }
}
