//! What answers to remote write mean, by its specifications and by what receivers really do.
//!
//! Source: Prometheus Remote-Write 1.0 and 2.0 (sections on responses and retries); Prometheus
//! `storage/remote/write_handler.go`; Thanos `pkg/receive/handler.go`; Mimir `pkg/distributor`.
//!
//! # Why
//! - A receiver that knows only 1.0 reads an empty request out of 2.0, stores nothing and says 204.
//!   That none of the three headers is there is the only sign of it.
//! - 400 to 1.0: Prometheus stored nothing of the request for the sake of one sample, so the bad
//!   series are searched for by halving. To 2.0, and by Mimir in either, all else is stored, and
//!   sending it again would be refused as out of order: [`accused`] searches the words.
//! - 409 is Thanos's word for samples out of order, or there already: all else is stored.
//! - 408 and 425 are proxies' words, before any receiver judged the request: sent again.
//! - 500 for native histograms that are switched off would be asked for ever: it is as 400.
//! - A wrong address and wrong credentials are repaired by people, so the data stays.

use super::{Protocol, WRITTEN_HEADERS, accused};
use crate::sinks::{Response, Suspects, Verdict};

/// A reason's longest form; the whole answer is not worth more in a log line.
const REASON_CHARS_MAX: usize = 400;

/// What an answer says of the form that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It is spoken here: at least one of the headers of 2.0 is there.
    Known,
    /// It is not: nothing was stored, and 1.0 is worth a try.
    Unknown,
    /// Nothing can be told.
    Untold,
}

/// Whether the receiver understood the form; `has_known` says whether it did before.
pub(super) fn form(response: &Response<'_>, sent: Protocol, has_known: bool) -> Form {
    if sent == Protocol::One {
        return Form::Untold;
    }
    match response.status {
        415 => Form::Unknown,
        _ if !response.headers.is_empty() => Form::Known,
        200..=299 => Form::Unknown,
        // Of a receiver that speaks 2.0 it is about the request, and not about its form.
        400 if !has_known => Form::Unknown,
        _ => Form::Untold,
    }
}

/// What the answer means for the body, whose form was no problem.
pub(super) fn judge(response: &Response<'_>, sent: Protocol) -> Verdict {
    let words = String::from_utf8_lossy(response.body);
    let reason = || shortened(response.status, &words);
    match response.status {
        200..=299 => stored(response, sent, &words, reason),
        400 if sent == Protocol::Two || words.contains("err-mimir-") => {
            partly_refused(response, sent, &words, reason())
        }
        400 => Verdict::Isolate { reason: reason() },
        409 => partly_refused(response, sent, &words, reason()),
        413 => Verdict::Split,
        500 if words.contains("native histograms are disabled") => {
            Verdict::Isolate { reason: reason() }
        }
        408 | 425 | 429 | 500.. => Verdict::Retry { reason: reason() },
        ..=199 | 300..=399 | 401 | 403 | 404 | 405 | 407 | 410 | 415 => {
            Verdict::Unauthorised { reason: reason() }
        }
        _ => Verdict::Refused { reason: reason() },
    }
}

fn stored(
    response: &Response<'_>,
    sent: Protocol,
    words: &str,
    reason: impl Fn() -> String,
) -> Verdict {
    match n_unwritten(response) {
        Some(0) => Verdict::Delivered,
        Some(_) if sent == Protocol::Two => partly_refused(response, sent, words, reason()),
        _ => Verdict::Delivered,
    }
}

/// All but some is stored: as many as the headers say, else one.
fn partly_refused(response: &Response<'_>, sent: Protocol, words: &str, reason: String) -> Verdict {
    let n_unwritten = n_unwritten(response).filter(|_| sent == Protocol::Two);
    match n_unwritten {
        // Exemplars may be missing: the samples are there.
        Some(0) => Verdict::Delivered,
        Some(n) if n == response.contents.n_items => Verdict::Refused { reason },
        n => Verdict::PartlyRefused {
            n_refused: n.map_or(1, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            reason,
            suspects: Suspects {
                named: n.map_or(Vec::new(), |n| accused::named(words, n)),
                ..Suspects::default()
            },
        },
    }
}

/// Samples of the body, of both kinds, that were not written; `None` where no header tells.
fn n_unwritten(response: &Response<'_>) -> Option<u64> {
    if response.headers.is_empty() {
        return None;
    }
    let of = |name: &str| {
        let found = response.headers.iter().find(|(header, _)| *header == name);
        // A header that is missing means 0 where another one is there.
        found.and_then(|(_, value)| value.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    let [samples, histograms, _] = WRITTEN_HEADERS;
    let n_written = of(samples).saturating_add(of(histograms));
    Some(response.contents.n_items.saturating_sub(n_written))
}

/// Status and words, as they came but for what would break a line.
pub(super) fn shortened(status: u16, words: &str) -> String {
    let visible = words.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let text: String = visible.take(REASON_CHARS_MAX).collect();
    format!("{status} {text}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::Contents;

    fn response<'a>(
        status: u16,
        body: &'a str,
        headers: &'a [(&'static str, String)],
    ) -> Response<'a> {
        let contents = Contents { form: 0, n_items: 10 };
        Response { status, body: body.as_bytes(), headers, contents, ..Response::default() }
    }

    fn written(samples: &str, histograms: &str) -> Vec<(&'static str, String)> {
        vec![(WRITTEN_HEADERS[0], samples.to_owned()), (WRITTEN_HEADERS[1], histograms.to_owned())]
    }

    #[test]
    fn forms() {
        let has = written("1", "0");
        for (status, headers, sent, has_known, expected) in [
            (204, &has[..], Protocol::Two, false, Form::Known),
            (204, &has[..0], Protocol::Two, false, Form::Unknown),
            (200, &has[..0], Protocol::Two, true, Form::Unknown),
            (415, &has[..0], Protocol::Two, true, Form::Unknown),
            (400, &has[..0], Protocol::Two, false, Form::Unknown),
            (400, &has[..0], Protocol::Two, true, Form::Untold),
            (400, &has[..], Protocol::Two, false, Form::Known),
            (500, &has[..0], Protocol::Two, false, Form::Untold),
            (404, &has[..0], Protocol::Two, false, Form::Untold),
            (204, &has[..0], Protocol::One, false, Form::Untold),
            (415, &has[..0], Protocol::One, false, Form::Untold),
        ] {
            let found = form(&response(status, "", headers), sent, has_known);
            assert_eq!(found, expected, "{status} {headers:?} {sent:?}");
        }
    }

    #[test]
    fn answers() {
        use Protocol::{One, Two};
        use Verdict::*;
        type Case<'a> = (u16, &'a str, Option<(&'a str, &'a str)>, Protocol, fn(&Verdict) -> bool);
        let cases: [Case<'_>; 30] = [
            (200, "", None, One, |v| *v == Delivered),
            (204, "", None, One, |v| *v == Delivered),
            (204, "", Some(("3", "0")), One, |v| *v == Delivered),
            (200, "ignored", Some(("10", "0")), Two, |v| *v == Delivered),
            (204, "", Some(("6", "4")), Two, |v| *v == Delivered),
            (204, "", Some(("6", "1")), Two, |v| matches!(v, PartlyRefused { n_refused: 3, .. })),
            (400, "bad", Some(("9", "0")), Two, |v| {
                matches!(v, PartlyRefused { n_refused: 1, .. })
            }),
            (400, "bad", Some(("10", "0")), Two, |v| *v == Delivered),
            (400, "bad", Some(("0", "0")), Two, |v| matches!(v, Refused { .. })),
            (400, "bad", Some(("x", "-1")), Two, |v| matches!(v, Refused { .. })),
            (400, "out of order", None, One, |v| matches!(v, Isolate { .. })),
            (400, "(err-mimir-sample-out-of-order)", None, One, |v| {
                matches!(v, PartlyRefused { n_refused: 1, .. })
            }),
            (409, "conflict", None, One, |v| matches!(v, PartlyRefused { n_refused: 1, .. })),
            (413, "", None, Two, |v| *v == Split),
            (422, "", None, Two, |v| matches!(v, Refused { .. })),
            (500, "", None, One, |v| matches!(v, Retry { .. })),
            (500, "native histograms are disabled", None, One, |v| matches!(v, Isolate { .. })),
            (502, "", None, Two, |v| matches!(v, Retry { .. })),
            (503, "", None, Two, |v| matches!(v, Retry { .. })),
            (504, "", None, Two, |v| matches!(v, Retry { .. })),
            (599, "", None, Two, |v| matches!(v, Retry { .. })),
            (429, "", None, Two, |v| matches!(v, Retry { .. })),
            (408, "", None, Two, |v| matches!(v, Retry { .. })),
            (401, "", None, Two, |v| matches!(v, Unauthorised { .. })),
            (403, "", None, Two, |v| matches!(v, Unauthorised { .. })),
            (404, "", None, Two, |v| matches!(v, Unauthorised { .. })),
            (405, "", None, Two, |v| matches!(v, Unauthorised { .. })),
            (301, "", None, Two, |v| matches!(v, Unauthorised { .. })),
            (415, "", None, One, |v| matches!(v, Unauthorised { .. })),
            (451, "", None, One, |v| matches!(v, Refused { .. })),
        ];
        for (status, body, headers, sent, is_right) in cases {
            let headers = headers.map_or(Vec::new(), |(one, two)| written(one, two));
            let verdict = judge(&response(status, body, &headers), sent);
            assert!(is_right(&verdict), "{status} {body} {headers:?} {sent:?}: {verdict:?}");
        }
    }

    #[test]
    fn words_stay() {
        assert_eq!(shortened(400, " a\nb é \n"), "400 a b é");
        assert_eq!(shortened(400, ""), "400");
        assert_eq!(shortened(400, &"x".repeat(100_000)).len(), 404);
    }
}
