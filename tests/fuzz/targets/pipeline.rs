//! What understands a line: times, conditions, the grammars of text lines, the classifier, tokens.

use std::ops::Range;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use sidewake::event::json::block::Native;
use sidewake::event::json::doc::{Doc, DocBuffers};
use sidewake::event::json::walk::walk;
use sidewake::event::record::{Kind, Level};
use sidewake::pipeline::condition::{Condition, Field, FieldSource, Found};
use sidewake::pipeline::roles::token::{self, Unescaped};
use sidewake::pipeline::roles::{confidence, ids};
use sidewake::pipeline::rules::Rules;
use sidewake::pipeline::sample::{Randomness, Threshold};
use sidewake::pipeline::text::{TextUnderstanding, understand_text};
use sidewake::pipeline::{classify, latency, logfmt, time};

/// 2026-01-04T10:30:00Z.
const OBSERVED_NS: i64 = 1_767_522_600_000_000_000;
/// As much as an offset may move a time at either end of the range.
const DAY_NS: i64 = 86_400 * 1_000_000_000;

/// Times: never laxer about RFC 3339 than the `time` crate and equal to it; what the prefix form
/// took is a time by itself; the clamp always gives a usable one.
pub(crate) fn times(text: &[u8]) {
    let parsed = time::parse(text, OBSERVED_NS);
    let theirs =
        std::str::from_utf8(text).ok().and_then(|s| OffsetDateTime::parse(s, &Rfc3339).ok());
    if let Some(theirs) = theirs
        && let Ok(ns) = i64::try_from(theirs.unix_timestamp_nanos())
        && ns.checked_abs().is_some_and(|ns| ns < i64::MAX - DAY_NS)
        && is_common_ground(text)
    {
        let mine = parsed.expect("refused what RFC 3339 allows");
        assert_eq!((mine.ns, mine.naive), (ns, false));
    }
    if let Some((prefix, len)) = time::parse_prefix(text, OBSERVED_NS) {
        assert_eq!(time::parse(&text[..len], OBSERVED_NS), Some(prefix));
    }
    let (settled, _flags) = time::settle(parsed, OBSERVED_NS);
    assert!((settled - OBSERVED_NS).abs() <= time::Policy::DEFAULT.behind_ns);
}

/// What both read alike: the `time` crate takes any byte for the `T`, and rounds a leap second and
/// digits beyond nanoseconds in its own way.
fn is_common_ground(text: &[u8]) -> bool {
    let has_leap_second = memchr::memmem::find(text, b":60").is_some();
    matches!(text.get(10), Some(b'T' | b't' | b' ')) && text.len() <= 35 && !has_leap_second
}

/// Conditions: an error points into the source; what compiles, compiles to the same again and can
/// be asked about any event.
pub(crate) fn condition(source: &[u8]) {
    let Ok(source) = std::str::from_utf8(source) else { return };
    match Condition::parse(source) {
        Err(error) => {
            assert!(source.is_char_boundary(error.offset), "{error:?}");
            assert!(source.is_char_boundary(error.offset + error.len), "{error:?}");
            assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{error:?}");
        }
        Ok(condition) => {
            assert_eq!(Condition::parse(source).as_ref(), Ok(&condition));
            for value in [&b"\"fraud\""[..], b"0.5", b"\"\\u00e9\"", b"true", b"null", b"{}"] {
                let _ = condition.eval(&Every(value));
            }
            let _ = (condition.paths().count(), condition.reads_kind());
        }
    }
}

/// An event in which every field has the same value.
struct Every<'a>(&'a [u8]);

impl FieldSource for Every<'_> {
    fn level(&self) -> Level {
        Level::Warn
    }

    fn kind(&self) -> Kind {
        Kind::Prediction
    }

    fn value(&self, _index: usize, _field: &Field) -> Option<Found<'_>> {
        Some(Found { token: self.0, key: b"latency_ms" })
    }
}

/// A line of any kind: whatever is understood of it lies in it, and ids look like ids.
pub(crate) fn line(line: &[u8]) {
    let mut found = DocBuffers::default();
    if walk::<Native>(line, 0, line.len(), &mut found).is_ok() {
        understand_doc(&Doc { line, found: &found });
        return;
    }
    let mut text = understand_text(line, OBSERVED_NS);
    check_ranges(line, &text);
    assert_eq!(text, understand_text(line, OBSERVED_NS));
    if let Some(json) = text.json.clone() {
        let inner = &line[json.clone()];
        assert!(inner.starts_with(b"{"));
        if walk::<Native>(inner, 0, inner.len(), &mut found).is_ok() {
            let doc = Doc { line: inner, found: &found };
            text.adopt(&doc, &understand_doc(&doc), OBSERVED_NS);
            check_ranges(line, &text);
        }
    }
    let mut pairs = logfmt::Pairs::default();
    if pairs.read(line) {
        let mut at = 0;
        for pair in pairs.as_slice() {
            assert!(at <= pair.key.0 && pair.key.0 < pair.key.1 && pair.key.1 < pair.value.0);
            assert!(pair.value.0 <= pair.value.1 && pair.value.1 as usize <= line.len());
            at = pair.value.1;
        }
    }
}

fn understand_doc(doc: &Doc<'_>) -> classify::Understanding {
    let understood = classify::understand(doc, &Rules::default());
    assert_eq!(understood, classify::understand(doc, &Rules::default()));
    let n_members = doc.members().len();
    assert!(understood.roles.iter().all(|(_, member)| usize::from(member) < n_members));
    let decided_by = understood.decided_by;
    assert!(decided_by.members().iter().all(|member| usize::from(*member) < n_members));
    assert!(!classify::rule_name(understood.rule).is_empty());
    understood
}

fn check_ranges(line: &[u8], text: &TextUnderstanding) {
    let of = |range: &Option<Range<usize>>| range.clone().map(|range| line[range].to_vec());
    for range in [&text.request_id, &text.latency, &text.message] {
        let _ = of(range);
    }
    let is_hex = |id: Vec<u8>, len: usize| id.len() == len && id.iter().all(u8::is_ascii_hexdigit);
    assert!(of(&text.trace_id).is_none_or(|id| is_hex(id, 32)), "{text:?}");
    assert!(of(&text.span_id).is_none_or(|id| is_hex(id, 16)), "{text:?}");
}

/// Values as they stand in a line: strings unescape as serde_json's do, numbers are numbers.
pub(crate) fn token(raw: &[u8]) {
    let quoted = [b"\"", raw, b"\""].concat();
    if let Ok(theirs) = serde_json::from_slice::<String>(&quoted) {
        assert_eq!(Unescaped::new(raw).collect::<Vec<u8>>(), theirs.as_bytes());
    }
    assert!(Unescaped::new(raw).count() <= raw.len(), "unescaping grows");
    for token in [raw, &quoted] {
        assert!(token::number(token).is_none_or(f64::is_finite));
        assert!(latency::millis(token, b"latency_ms").is_none_or(|ms| ms >= 0.0));
        assert!(confidence::read(token, b"logprob").is_none_or(|value| !value.is_nan()));
    }
    assert!(ids::trace_id(raw).is_none_or(|range| raw[range].len() == 32));
    assert!(ids::span_id(raw).is_none_or(|range| raw[range].len() == 16));
    let _ = (ids::trace_value(raw), ids::without_engine_suffix(raw));
}

/// Sampling decisions that came along in a `tracestate`.
pub(crate) fn tracestate(text: &[u8]) {
    let threshold = Threshold::of_tracestate(text).into_iter().chain(Threshold::parse(text));
    for threshold in threshold {
        assert_eq!(Threshold::parse(threshold.to_string().as_bytes()), Some(threshold));
        assert!(threshold.probability() > 0.0 && threshold.probability() <= 1.0);
    }
    let randomness = Randomness::of_tracestate(text).into_iter().chain(Randomness::parse(text));
    for randomness in randomness {
        assert_eq!(Randomness::parse(randomness.to_string().as_bytes()), Some(randomness));
        assert!(Threshold::ALL.keeps(randomness));
    }
}
