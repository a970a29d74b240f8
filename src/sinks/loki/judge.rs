//! What Loki's answers mean, as its source has it (which is not always what its pages say).
//!
//! Source: Loki 3.7 `distributor/http.go`, `distributor/distributor.go`, `ingester/stream.go`,
//! `validation/validate.go`. Messages are compared without case: versions differ in the first
//! letter.
//!
//! # Why
//! - 400 with a validation message: the entries it names are refused, every other one *is stored*.
//!   Sending again would store those twice; bisecting would too. 400 for a body that did not parse:
//!   nothing is stored.
//! - 260: an operator blocked ingestion. It is a 2xx and still means that nothing was stored, so
//!   only 200 and 204 count as stored.
//! - 429: nothing stored (tenant) or unclear which (stream): send all again, equal entries
//!   collapse. A body larger than the tenant's burst can never pass. Loki names its rate, not its
//!   burst, and a burst is at least the rate: a body above one second's worth is halved until it
//!   fits. A stream's limit is judged the same by what the message tells of its entries; and where
//!   part of a stream was stored (`total ignored: 3 out of 10`), sending all of it again would
//!   spend the burst on the same part for ever, so that is halved too.
//! - 401, 403, 404, redirects and strange successes say that this is not (our part of) a Loki. That
//!   is repaired by people, so the data stays.

use super::WhenBlocked;
use crate::sinks::{Response, Suspects, Verdict};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Status of a blocked tenant; Loki's `block_ingestion_status_code` default.
const BLOCKED: u16 = 260;
/// A lone line that needs this many seconds of the tenant's rate can hardly fit its burst.
const LONE_LINE_SECONDS_MAX: u64 = 8;
const REASON_CHARS_MAX: usize = 200;

/// Phrases of messages after which all entries but the named ones are stored.
const VALIDATION: [&str; 9] = [
    "entry for stream",
    "entry with timestamp",
    "max entry size",
    "label name too long",
    "label value too long",
    "duplicate label name",
    "structured metadata",
    "error parsing labels",
    "missing required labels",
];

/// See the module.
pub(super) fn judge(response: &Response<'_>, when_blocked: WhenBlocked) -> Verdict {
    let words = String::from_utf8_lossy(response.body);
    let reason = || format!("{} {}", response.status, shortened(&words)).trim_end().to_owned();
    match response.status {
        200 | 204 => Verdict::Delivered,
        BLOCKED => match when_blocked {
            WhenBlocked::DeadLetters => Verdict::Refused { reason: reason() },
            WhenBlocked::Hold => Verdict::Unauthorised { reason: reason() },
        },
        400 => bad_request(&words, reason()),
        413 => Verdict::Split,
        429 if exceeds_burst(&words) || exceeds_stream_burst(&words) => Verdict::Split,
        408 | 425 | 429 | 500.. => Verdict::Retry { reason: reason() },
        ..=399 | 401 | 403 | 404 | 405 | 407 | 410 => Verdict::Unauthorised { reason: reason() },
        _ => Verdict::Refused { reason: reason() },
    }
}

fn bad_request(words: &str, reason: String) -> Verdict {
    let lower = words.to_ascii_lowercase();
    // "no org id" in front of an auth layer of an older version comes as 400 from the push handler.
    if lower.contains("no org id") {
        return Verdict::Unauthorised { reason };
    }
    if !VALIDATION.iter().any(|phrase| lower.contains(phrase)) {
        return Verdict::Refused { reason };
    }
    Verdict::PartlyRefused { n_refused: n_refused(&lower), suspects: suspects(&lower), reason }
}

/// Entries that a validation message says were refused, at least one.
///
/// The distributor groups (`3 errors like: …; 1 errors like: …`, or one message alone); the
/// ingester ends each stream's list with `total ignored: 3 out of 10`.
fn n_refused(lower: &str) -> usize {
    let ignored = lower.split("total ignored: ").skip(1).map(leading_number);
    let grouped = lower.match_indices(" errors like: ").map(|(at, _)| {
        let head = &lower[..at];
        let digits = head.len() - head.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        leading_number(&head[head.len() - digits..])
    });
    let sum: u64 = ignored.chain(grouped).flatten().sum();
    usize::try_from(sum).unwrap_or(usize::MAX).max(1)
}

/// The bounds that the messages name.
fn suspects(lower: &str) -> Suspects {
    let mut found = Suspects::default();
    for rest in lower.split("oldest acceptable timestamp is: ").skip(1) {
        // Printed in whole seconds, cut off: what lies in that second may be meant.
        let bound = leading_time_ns(rest).map(|ns| ns.saturating_add(1_000_000_000));
        found.before_ns = found.before_ns.max(bound);
    }
    for rest in lower.split("has timestamp too new: ").skip(1) {
        let bound = leading_time_ns(rest);
        found.from_ns = match (found.from_ns, bound) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    for rest in lower.split("max entry size ").skip(1) {
        let bound = leading_number(rest.trim_start_matches('\''));
        let bound = bound.and_then(|bytes| usize::try_from(bytes).ok());
        found.longer_than = match (found.longer_than, bound) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    found
}

/// `(limit: 4194304 bytes/sec) while attempting to ingest '120' lines totaling '9000000' bytes`
fn exceeds_burst(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    let number_behind = |phrase: &str| -> Option<u64> {
        let (_, rest) = lower.split_once(phrase)?;
        leading_number(rest.trim_start_matches('\''))
    };
    let limit = number_behind("(limit: ");
    let lines = number_behind("attempting to ingest ");
    let total = number_behind(" lines totaling ");
    match (limit, lines, total) {
        (Some(limit), Some(1), Some(total)) => total > limit.saturating_mul(LONE_LINE_SECONDS_MAX),
        (Some(limit), Some(_), Some(total)) => total > limit,
        _ => false,
    }
}

/// The ingester's list: for some entries `Per stream rate limit exceeded (limit: 16KB/sec) while
/// attempting to ingest for stream '{…}' totaling 380B`, at the end `total ignored: 3 out of 10`.
fn exceeds_stream_burst(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    let Some((_, rest)) = lower.split_once("per stream rate limit exceeded (limit: ") else {
        return false;
    };
    let Some((_, ending)) = rest.rsplit_once("total ignored: ") else { return false };
    let ignored = leading_number(ending);
    let total = ending.split_once(" out of ").and_then(|(_, rest)| leading_number(rest));
    let (Some(ignored), Some(total)) = (ignored, total) else { return false };
    // The list is cut after ten entries: their average stands for the others.
    let sizes: Vec<u64> = rest.split(" totaling ").skip(1).filter_map(leading_size).collect();
    let sum: u64 = sizes.iter().sum();
    let average = sum.checked_div(sizes.len() as u64).unwrap_or(0);
    let is_large = leading_size(rest).is_some_and(|limit| average.saturating_mul(total) > limit);
    total > 1 && (ignored < total || is_large)
}

/// Go's `datasize`: a whole number and a unit of 1024s, lower case here.
fn leading_size(text: &str) -> Option<u64> {
    let number = leading_number(text)?;
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let scale: u64 = match unit.as_bytes().first()? {
        b'b' => 1,
        b'k' => 1 << 10,
        b'm' => 1 << 20,
        b'g' => 1 << 30,
        b't' => 1 << 40,
        _ => return None,
    };
    number.checked_mul(scale)
}

fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// An RFC 3339 time at the front of `lower`, in nanoseconds since 1970.
fn leading_time_ns(lower: &str) -> Option<i64> {
    let end =
        lower.find(|c: char| !(c.is_ascii_digit() || "-+:.tz".contains(c))).unwrap_or(lower.len());
    let text = lower[..end].trim_end_matches('.').to_ascii_uppercase();
    let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

/// The first line, without control characters, at most [`REASON_CHARS_MAX`] long.
fn shortened(words: &str) -> String {
    let line = words.trim().lines().next().unwrap_or("");
    line.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        let response = Response { status, body: body.as_bytes(), ..Response::default() };
        judge(&response, WhenBlocked::DeadLetters)
    }

    #[test]
    fn statuses() {
        use Verdict::*;
        type Case = (u16, fn(&Verdict) -> bool);
        let cases: [Case; 16] = [
            (200, |v| *v == Delivered),
            (204, |v| *v == Delivered),
            (202, |v| matches!(v, Unauthorised { .. })),
            (260, |v| matches!(v, Refused { .. })),
            (301, |v| matches!(v, Unauthorised { .. })),
            (400, |v| matches!(v, Refused { .. })),
            (401, |v| matches!(v, Unauthorised { .. })),
            (403, |v| matches!(v, Unauthorised { .. })),
            (404, |v| matches!(v, Unauthorised { .. })),
            (413, |v| *v == Split),
            (415, |v| matches!(v, Refused { .. })),
            (422, |v| matches!(v, Refused { .. })),
            (429, |v| matches!(v, Retry { .. })),
            (500, |v| matches!(v, Retry { .. })),
            (503, |v| matches!(v, Retry { .. })),
            (599, |v| matches!(v, Retry { .. })),
        ];
        for (status, is_right) in cases {
            assert!(is_right(&verdict(status, "")), "{status}: {:?}", verdict(status, ""));
        }
        let blocked = Response { status: 260, body: b"ingestion blocked", ..Response::default() };
        assert!(matches!(judge(&blocked, WhenBlocked::Hold), Unauthorised { .. }));
    }

    const OLD: &str = "entry for stream '{tier=\"t\"}' has timestamp too old: 2020-01-01T00:00:00Z, \
                       oldest acceptable timestamp is: 2020-01-02T00:00:00Z";
    const NEW: &str =
        "entry for stream '{tier=\"t\"}' has timestamp too new: 2020-02-01T00:00:00+01:00";
    const LONG: &str = "Max entry size '262144' bytes exceeded for stream '{tier=\"t\"}' while \
                        adding an entry with length '262145' bytes";
    const BEHIND: &str = "entry with timestamp 2020-01-01 00:00:00 +0000 UTC ignored, reason: 'entry \
        too far behind, entry timestamp is: 2020-01-01T00:00:00Z, oldest acceptable timestamp is: \
        2020-01-01T01:00:00Z',\nuser 'fake', total ignored: 7 out of 10 for stream: {tier=\"t\"}";
    const DAY: i64 = 86_400_000_000_000;
    const YEAR_2020: i64 = 1_577_836_800_000_000_000;

    #[test]
    fn partial_refusals_say_how_many_and_which() {
        let both = format!("3 errors like: {OLD}; 2 errors like: {NEW}");
        let before = |ns| Suspects { before_ns: Some(ns), ..Suspects::default() };
        let second = 1_000_000_000;
        let from_ns = Some(YEAR_2020 + 31 * DAY - 3600 * second);
        for (body, n, which) in [
            (OLD, 1, before(YEAR_2020 + DAY + second)),
            (BEHIND, 7, before(YEAR_2020 + 3601 * second)),
            (LONG, 1, Suspects { longer_than: Some(262_144), ..Suspects::default() }),
            (&both, 5, Suspects { from_ns, ..before(YEAR_2020 + DAY + second) }),
            ("stream '{}' has label value too long: 'x'", 1, Suspects::default()),
        ] {
            let Verdict::PartlyRefused { n_refused, suspects, .. } = verdict(400, body) else {
                panic!("not partly refused: {body}");
            };
            assert_eq!((n_refused, suspects), (n, which), "{body}");
        }
    }

    #[test]
    fn bodies_above_the_burst_are_halved() {
        let limited = |lines, total| {
            verdict(
                429,
                &format!(
                    "Ingestion rate limit exceeded for user tiny (limit: 1000 bytes/sec) while attempting \
                 to ingest '{lines}' lines totaling '{total}' bytes, reduce log volume"
                ),
            )
        };
        assert_eq!(limited(10, 1001), Verdict::Split);
        assert!(matches!(limited(10, 1000), Verdict::Retry { .. }));
        assert!(matches!(limited(1, 8000), Verdict::Retry { .. }));
        assert_eq!(limited(1, 8001), Verdict::Split);
        let listed = |limit, ignored, total| {
            verdict(
                429,
                &format!(
                    "entry with timestamp 2026-11-23 10:00:00 +0000 UTC ignored, reason: 'Per stream \
                     rate limit exceeded (limit: {limit}/sec) while attempting to ingest for stream \
                     '{{a=\"b\"}}' totaling 400B, consider splitting a stream',\nuser 'x', total \
                     ignored: {ignored} out of {total} for stream: {{a=\"b\"}}"
                ),
            )
        };
        assert!(matches!(listed("3MB", 10, 10), Verdict::Retry { .. }));
        assert_eq!(listed("3MB", 3, 10), Verdict::Split);
        assert_eq!(listed("3KB", 10, 10), Verdict::Split);
        assert!(matches!(listed("300B", 1, 1), Verdict::Retry { .. }));
    }
}
