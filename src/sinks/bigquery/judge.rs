//! What BigQuery's answers mean: those to appends, and to what is asked before them. Answers to
//! insertAll are [`super::inserted`]'s.
//!
//! Source: BigQuery Storage Write API, "Error handling"; `google/rpc/code.proto`; the retry
//! settings of Google's own clients.
//!
//! # Why
//! - An append is stored whole or not at all: rows that the table does not take are named, and
//!   all others are sent again without them.
//! - `ALREADY_EXISTS` comes to this place only for what this route wrote down before it sent it:
//!   the transport knows the difference. It is stored.
//! - A table that is not there may be one that was just created, which takes minutes to be seen
//!   everywhere: it is tried again soon. One that is gone is found so by the transport, which asks
//!   for it before the next row.
//! - A wrong schema, retention or credential is repaired by people, so the data stays.

use super::answer::{Answer, code, storage};
use crate::sinks::{Others, Response, Verdict};

const REASON_CHARS_MAX: usize = 400;
/// Of the transport: the body's columns are not those of the table.
pub const STALE_LAYOUT: u16 = 412;

/// See the module. `is_stale`: the layout was learned anew since the body was encoded.
pub(super) fn judge(response: &Response<'_>, is_stale: bool) -> Verdict {
    let Some(grpc) = response.grpc else { return of_rest(response) };
    let mut answer = match grpc.code {
        0 => Answer::read(response.body),
        _ => Answer::of_status(response.body),
    };
    if grpc.code != 0 {
        answer.code = grpc.code;
        answer.message = grpc.message.to_owned();
    }
    if !answer.row_errors.is_empty() {
        let rows = answer.row_errors.into_iter().map(|(row, words)| (row, shortened(&words)));
        return Verdict::RowsRefused { rows: rows.collect(), others: Others::Unstored };
    }
    let reason = format!("{} {}", word(answer.code), shortened(&answer.message));
    let reason = reason.trim_end().to_owned();
    match answer.code {
        0 => Verdict::Delivered,
        code::ALREADY_EXISTS
            if matches!(answer.storage_code, 0 | storage::OFFSET_ALREADY_EXISTS) =>
        {
            Verdict::Delivered
        }
        code::INVALID_ARGUMENT if is_too_large(&answer.message) => Verdict::Split,
        code::INVALID_ARGUMENT if is_stale => Verdict::Reencode { reason },
        code::INVALID_ARGUMENT if answer.storage_code == storage::SCHEMA_MISMATCH_EXTRA_FIELDS => {
            // A column that was just added takes minutes to be seen.
            Verdict::Retry { reason }
        }
        code::INVALID_ARGUMENT => Verdict::Isolate { reason },
        code::PERMISSION_DENIED | code::UNAUTHENTICATED => Verdict::Unauthorised { reason },
        _ => Verdict::Retry { reason },
    }
}

/// What was asked before any row was sent: the token, the table.
fn of_rest(response: &Response<'_>) -> Verdict {
    let words = String::from_utf8_lossy(response.body);
    let reason = format!("{} {}", response.status, shortened(&words));
    match response.status {
        STALE_LAYOUT => Verdict::Reencode { reason },
        413 => Verdict::Split,
        408 | 409 | 425 | 429 | 500.. => Verdict::Retry { reason },
        403 if is_quota(&words) => Verdict::Retry { reason },
        _ => Verdict::Unauthorised { reason },
    }
}

/// Whether `words` of REST are of a quota: it fills again.
pub(super) fn is_quota(words: &str) -> bool {
    ["rateLimitExceeded", "quotaExceeded"].iter().any(|word| words.contains(word))
}

pub(super) fn is_too_large(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["too large", "exceeds", "limit 10485760", "size limit"].iter().any(|one| message.contains(one))
}

pub(super) fn shortened(words: &str) -> String {
    words.trim().chars().take(REASON_CHARS_MAX).collect()
}

fn word(code: u32) -> &'static str {
    const WORDS: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    WORDS.get(code as usize).copied().unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{push_bytes, push_message, push_number};
    use crate::sinks::Grpc;

    fn in_band(code: u32, message: &str, storage_code: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_message(&mut bytes, 2, |out| {
            push_number(out, 1, u64::from(code));
            push_bytes(out, 2, message.as_bytes());
            push_message(out, 3, |out| {
                push_bytes(out, 1, b"x/google.cloud.bigquery.storage.v1.StorageError");
                push_message(out, 2, |out| push_number(out, 1, u64::from(storage_code)));
            });
        });
        bytes
    }

    fn judged(code: u32, message: &str, storage_code: u32) -> Verdict {
        let body = in_band(code, message, storage_code);
        let grpc = Some(Grpc { code: 0, message: "" });
        judge(&Response { status: 200, body: &body, grpc, ..Response::default() }, false)
    }

    #[test]
    fn in_band_errors() {
        let name = |verdict| match verdict {
            Verdict::Delivered => "delivered",
            Verdict::Retry { .. } => "retry",
            Verdict::Split => "split",
            Verdict::Isolate { .. } => "isolate",
            Verdict::Unauthorised { .. } => "unauthorised",
            other => panic!("{other:?}"),
        };
        for (code, message, storage_code, expected) in [
            (0, "", 0, "delivered"),
            (6, "", 8, "delivered"),
            (6, "", 0, "delivered"),
            (6, "", 1, "retry"),
            (11, "", 9, "retry"),
            (3, "The request is too large: limit 10485760", 0, "split"),
            (3, "extra fields", 7, "retry"),
            (3, "what", 0, "isolate"),
            (5, "", 1, "retry"),
            (5, "", 3, "retry"),
            (7, "", 0, "unauthorised"),
            (8, "", 0, "retry"),
            (9, "", 6, "retry"),
            (10, "", 0, "retry"),
            (13, "", 0, "retry"),
            (14, "", 0, "retry"),
            (16, "", 0, "unauthorised"),
        ] {
            assert_eq!(name(judged(code, message, storage_code)), expected, "{code} {message}");
        }
    }

    #[test]
    fn rows_and_what_comes_before_them() {
        let mut body = in_band(3, "rows", 0);
        push_message(&mut body, 4, |out| {
            push_number(out, 1, 2);
            push_bytes(out, 3, b"no day");
        });
        let grpc = Some(Grpc { code: 0, message: "" });
        let verdict =
            judge(&Response { status: 200, body: &body, grpc, ..Response::default() }, false);
        let rows = vec![(2, "no day".to_owned())];
        assert_eq!(verdict, Verdict::RowsRefused { rows, others: Others::Unstored });
        let rest =
            |status, body: &[u8]| judge(&Response { status, body, ..Response::default() }, false);
        assert!(matches!(rest(404, b"no table"), Verdict::Unauthorised { .. }));
        assert!(matches!(rest(403, b"rateLimitExceeded"), Verdict::Retry { .. }));
        assert!(matches!(rest(503, b""), Verdict::Retry { .. }));
        assert!(matches!(rest(STALE_LAYOUT, b""), Verdict::Reencode { .. }));
        assert_eq!(rest(413, b""), Verdict::Split);
    }
}
