//! What BigQuery's answers to insertAll mean.
//!
//! Source: BigQuery REST v2, `tabledata.insertAll`; "Error messages" (reasons); "Streaming data
//! into BigQuery", "Troubleshooting".
//!
//! # Why
//! - **200 does not mean stored**: rows that are named are not, all others are. `stopped` is said
//!   of rows that are fine, where others were not.
//! - **"no such field"** is said of a column that the table has, but that was just added: it takes
//!   minutes to be seen, so such rows are sent again, and are no dead letters. The transport looks
//!   at the table anew, and what is there then decides.
//! - **What cannot be read**, or names rows that were not sent, says nothing of any row: the body
//!   is sent again with the same insertIds, by which BigQuery knows those that it has.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::judge::{is_quota, is_too_large, shortened};
use crate::sinks::{Others, Response, Verdict};

/// Reasons that say nothing against a row.
const TRANSIENT: [&str; 6] = [
    "backendError",
    "internalError",
    "quotaExceeded",
    "rateLimitExceeded",
    "timeout",
    "serviceUnavailable",
];
/// What is said of rows that are fine, where others are not.
const STOPPED: &str = "stopped";
/// In the message of an error: the table had no such column when it was looked at there.
pub const NO_SUCH_FIELD: &str = "no such field";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(default, borrow)]
    insert_errors: Vec<RowErrors<'a>>,
    /// Of the request as a whole: never beside a 200 of BigQuery's own.
    #[serde(default)]
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct RowErrors<'a> {
    index: usize,
    #[serde(default, borrow)]
    errors: Vec<RowError<'a>>,
}

#[derive(Deserialize)]
struct RowError<'a> {
    #[serde(default, borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    location: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    message: Option<Cow<'a, str>>,
}

impl RowError<'_> {
    fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.message.as_deref().unwrap_or_default()
    }
}

/// What was said of one row.
enum Said {
    /// Nothing against it.
    Stopped,
    /// It may be taken later.
    Later(String),
    /// It never will.
    Never(String),
}

/// See the module. `is_stale`: the layout was learned anew since the body was encoded.
pub(super) fn judge(response: &Response<'_>, is_stale: bool) -> Verdict {
    if response.status == 200 {
        return of_rows(response, is_stale);
    }
    let words = String::from_utf8_lossy(response.body);
    let reason = format!("{} {}", response.status, shortened(&words));
    match response.status {
        413 => Verdict::Split,
        400 if is_too_large(&words) => Verdict::Split,
        400 if is_stale => Verdict::Reencode { reason },
        400 => Verdict::Isolate { reason },
        // A table that was just made, or is made anew before the next attempt.
        404 => Verdict::Retry { reason },
        403 if !is_quota(&words) => Verdict::Unauthorised { reason },
        401 => Verdict::Unauthorised { reason },
        403 | 408 | 409 | 425 | 429 | 500.. => Verdict::Retry { reason },
        // Not BigQuery's: something on the way is set up otherwise than it should be.
        _ => Verdict::Unauthorised { reason },
    }
}

fn of_rows(response: &Response<'_>, is_stale: bool) -> Verdict {
    let n_rows = usize::try_from(response.contents.n_items).unwrap_or(usize::MAX);
    let unclear = |what: &str| Verdict::Retry { reason: format!("BigQuery's answer {what}") };
    // Of a list a struct would be read too.
    let is_object = response.body.trim_ascii_start().starts_with(b"{");
    let answer = serde_json::from_slice::<Answer<'_>>(response.body).ok().filter(|_| is_object);
    let Some(answer) = answer else { return unclear("cannot be read") };
    if answer.error.is_some() {
        return unclear("tells of an error, and of no row");
    }
    let mut said: BTreeMap<usize, Vec<RowError<'_>>> = BTreeMap::new();
    for row in answer.insert_errors {
        said.entry(row.index).or_default().extend(row.errors);
    }
    if said.last_key_value().is_some_and(|(index, _)| *index >= n_rows) {
        return unclear("names rows that were not sent");
    }
    if said.is_empty() {
        return Verdict::Delivered;
    }
    let is_none_stored = said.len() == n_rows;
    let (mut refused, mut again, mut pause) = (Vec::new(), Vec::new(), None);
    for (index, errors) in said {
        match of_row(&errors) {
            Said::Never(words) => refused.push((index, words)),
            Said::Stopped => again.push(index),
            Said::Later(words) => {
                again.push(index);
                pause.get_or_insert(words);
            }
        }
    }
    if is_stale && let Some((_, words)) = refused.first() {
        return Verdict::Reencode { reason: words.clone() };
    }
    if refused.is_empty() {
        let reason = pause.unwrap_or_else(|| "rows were stopped, and none is to blame".to_owned());
        if is_none_stored {
            return Verdict::Retry { reason };
        }
        pause = Some(reason);
    }
    Verdict::RowsRefused { rows: refused, others: Others::StoredBut { rows: again, pause } }
}

fn of_row(errors: &[RowError<'_>]) -> Said {
    let is_later = |error: &RowError<'_>| {
        TRANSIENT.contains(&error.reason()) || error.message().contains(NO_SUCH_FIELD)
    };
    let (mut later, mut never) = (Vec::new(), Vec::new());
    for error in errors.iter().filter(|error| error.reason() != STOPPED) {
        let words = if is_later(error) { &mut later } else { &mut never };
        words.push(told(error));
    }
    match (errors, &*never, &*later) {
        ([], ..) => Said::Never("BigQuery did not say why".to_owned()),
        (_, [], []) => Said::Stopped,
        (_, [], later) => Said::Later(shortened(&later.join("; "))),
        (_, never, _) => Said::Never(shortened(&never.join("; "))),
    }
}

/// Reason, place and message, as far as they are there.
fn told(error: &RowError<'_>) -> String {
    let location = error.location.as_deref().unwrap_or_default();
    let parts = [error.reason(), location, error.message()];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::Contents;

    fn judged(status: u16, body: &str) -> Verdict {
        let contents = Contents { form: 0, n_items: 4 };
        judge(&Response { status, body: body.as_bytes(), contents, ..Response::default() }, false)
    }

    /// `row reason[|reason]…` for each row that is named; of `nsf` the message is of a column.
    fn answer(rows: &[&str]) -> String {
        let error = |reason: &str| match reason {
            "nsf" => r#"{"reason":"invalid","location":"x","message":"no such field: x."}"#.into(),
            reason => format!(r#"{{"reason":"{reason}","location":"a","message":"m"}}"#),
        };
        let row = |row: &&str| {
            let (index, reasons) = row.split_once(' ').expect("a row and reasons");
            let errors: Vec<String> =
                reasons.split('|').filter(|one| !one.is_empty()).map(error).collect();
            format!(r#"{{"index":{index},"errors":[{}]}}"#, errors.join(","))
        };
        let rows: Vec<String> = rows.iter().map(row).collect();
        format!(r#"{{"kind":"k","insertErrors":[{}]}}"#, rows.join(","))
    }

    fn refused(rows: &[(usize, &str)], again: &[usize], pause: Option<&str>) -> Verdict {
        let rows = rows.iter().map(|(row, words)| (*row, (*words).to_owned())).collect();
        let pause = pause.map(str::to_owned);
        Verdict::RowsRefused { rows, others: Others::StoredBut { rows: again.to_vec(), pause } }
    }

    #[test]
    fn rows_one_by_one() {
        let bad = "invalid: a: m";
        let cases: &[(&[&str], Verdict)] = &[
            (&[], Verdict::Delivered),
            (&["1 invalid"], refused(&[(1, bad)], &[], None)),
            (
                &["1 invalid|outOfRange"],
                refused(&[(1, "invalid: a: m; outOfRange: a: m")], &[], None),
            ),
            (&["1 invalid", "1 x"], refused(&[(1, "invalid: a: m; x: a: m")], &[], None)),
            (&["1 "], refused(&[(1, "BigQuery did not say why")], &[], None)),
            (
                &["3 stopped", "0 invalid", "1 stopped", "2 stopped"],
                refused(&[(0, bad)], &[1, 2, 3], None),
            ),
            (&["2 timeout"], refused(&[], &[2], Some("timeout: a: m"))),
            (
                &["2 timeout|stopped", "0 x"],
                refused(&[(0, "x: a: m")], &[2], Some("timeout: a: m")),
            ),
            (&["2 timeout|invalid"], refused(&[(2, bad)], &[], None)),
            (&["2 nsf"], refused(&[], &[2], Some("invalid: x: no such field: x."))),
            (
                &["0 nsf", "1 stopped", "2 stopped", "3 nsf"],
                Verdict::Retry { reason: "invalid: x: no such field: x.".to_owned() },
            ),
        ];
        for (rows, expected) in cases {
            assert_eq!(judged(200, &answer(rows)), *expected, "{rows:?}");
        }
        let body = answer(&["1 invalid"]);
        let stale = Response { status: 200, body: body.as_bytes(), ..Response::default() };
        let stale = Response { contents: Contents { form: 0, n_items: 4 }, ..stale };
        assert_eq!(judge(&stale, true), Verdict::Reencode { reason: bad.to_owned() });
    }

    #[test]
    fn answers_that_are_none() {
        let whole = answer(&["1 invalid"]);
        for body in [
            "",
            "<html>",
            "[]",
            &whole[..whole.len() - 1],
            &answer(&["4 invalid"]),
            &answer(&["0 invalid", "99999999999 stopped"]),
            &answer(&["-1 invalid"]),
            r#"{"insertErrors":[{"errors":[]}]}"#,
            r#"{"insertErrors":null}"#,
            r#"{"error":{"code":503,"message":"backend","status":"UNAVAILABLE"}}"#,
            r#"{"insertErrors":[{"index":"0","errors":[]}]}"#,
            r#"{"insertErrors":[{"index":0.5,"errors":[]}]}"#,
            r#"{"insertErrors":[{"index":0,"errors":[{"reason":{}}]}]}"#,
            r#"{"insertErrors":[],"insertErrors":[{"index":0}]}"#,
            &format!("{{\"a\":{}}}", "[".repeat(100_000)),
        ] {
            assert!(matches!(judged(200, body), Verdict::Retry { .. }), "{body}");
        }
        assert_eq!(judged(200, "{}"), Verdict::Delivered);
    }

    #[test]
    fn requests_as_a_whole() {
        let name = |verdict| match verdict {
            Verdict::Retry { .. } => "retry",
            Verdict::Split => "split",
            Verdict::Isolate { .. } => "isolate",
            Verdict::Unauthorised { .. } => "unauthorised",
            other => panic!("{other:?}"),
        };
        for (status, body, expected) in [
            (400, "Request payload size exceeds the limit: 10485760 bytes. (badRequest)", "split"),
            (400, "The request is too large (invalid)", "split"),
            (400, "what (invalid)", "isolate"),
            (401, "who (authError)", "unauthorised"),
            (403, "no (accessDenied)", "unauthorised"),
            (403, "slow (rateLimitExceeded)", "retry"),
            (403, "slow (quotaExceeded)", "retry"),
            (404, "no table (notFound)", "retry"),
            (408, "", "retry"),
            (413, "", "split"),
            (429, "", "retry"),
            (500, "(backendError)", "retry"),
            (503, "", "retry"),
            (302, "", "unauthorised"),
            (405, "", "unauthorised"),
        ] {
            assert_eq!(name(judged(status, body)), expected, "{status} {body}");
        }
    }
}
