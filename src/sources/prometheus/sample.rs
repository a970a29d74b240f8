//! What is read of an exposition, whatever its format: descriptions and samples, which borrow from
//! the body.
//!
//! Owns the numbers of the text formats: values, and times in seconds and milliseconds.

use std::borrow::Cow;

use super::native::Native;

/// A label's name and value.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The label that holds a series' name.
pub(super) const NAME: &str = "__name__";

/// One sample; its labels, the name among them, stand beside it.
#[derive(Debug, Default)]
pub(super) struct Sample<'a> {
    pub(super) value: f64,
    /// When it says that it was taken.
    pub(super) time_ns: Option<i64>,
    /// Since when it counts, where that is said with it.
    pub(super) created_ns: Option<i64>,
    pub(super) exemplars: Vec<Exemplar<'a>>,
    /// A native histogram in the place of the value.
    pub(super) native: Option<Box<Native>>,
}

/// One exemplar.
#[derive(Debug, PartialEq)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: Vec<Pair<'a>>,
    pub(super) value: f64,
    pub(super) time_ns: Option<i64>,
}

impl Exemplar<'_> {
    /// Characters of all its names and values that it may have (OpenMetrics 1.0).
    const CHARS_MAX: usize = 128;

    /// Whether it is one that OpenMetrics allows; Prometheus leaves out the others, too.
    pub(super) fn is_short(&self) -> bool {
        let chars = |text: &str| text.chars().count();
        let n_chars = self.labels.iter().map(|(name, value)| chars(name) + chars(value));
        n_chars.sum::<usize>() <= Self::CHARS_MAX
    }
}

/// Why an exposition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A line of text.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Protobuf.
    #[error("{0}")]
    Protobuf(String),
}

/// A value as both text formats write it: what Go's `ParseFloat` takes, without hexadecimal digits
/// and underscores.
pub(super) fn value(token: &str) -> Option<f64> {
    let value: f64 = token.parse().ok()?;
    // A number too large to be one is none; infinity is written as a word.
    let is_word = token.bytes().any(|byte| matches!(byte, b'n' | b'N'));
    let is_sound = value.is_finite() || is_word;
    // Whatever bits a reader makes of the word: this NaN is no stale marker.
    is_sound.then_some(if value.is_nan() { f64::NAN } else { value })
}

/// A time of the older text format, in milliseconds.
pub(super) fn time_of_ms(token: &str) -> Option<i64> {
    let ms: i64 = token.parse().ok()?;
    ms.checked_mul(1_000_000).filter(|ns| *ns >= 0)
}

/// A time of OpenMetrics, in seconds. Nine decimals are read as they are: a float has six.
pub(super) fn time_of_seconds(token: &str) -> Option<i64> {
    let (whole, part) = token.split_once('.').unwrap_or((token, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !whole.is_empty() && is_digits(whole) && is_digits(part) {
        let nanos = part.bytes().chain(std::iter::repeat(b'0')).take(9);
        let nanos = nanos.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        return whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos);
    }
    time_of(value(token)?)
}

/// A number of seconds as a time.
pub(super) fn time_of(seconds: f64) -> Option<i64> {
    let ns = seconds * 1e9;
    (ns >= 0.0 && ns < i64::MAX as f64).then_some(ns as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (token, number) in [
            ("1", 1.0),
            ("-0.5e-3", -0.0005),
            ("+1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1.7976931348623157e308", f64::MAX),
            ("4.9e-324", 5e-324),
            ("+Inf", f64::INFINITY),
            ("inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("Infinity", f64::INFINITY),
        ] {
            assert_eq!(value(token), Some(number), "{token}");
        }
        assert_eq!(value("NaN").map(f64::to_bits), Some(f64::NAN.to_bits()));
        for token in ["", "x", "0x1p2", "1_000", "1e400", "-1e400", "1,5", "--1", "1e", "١"] {
            assert_eq!(value(token), None, "{token}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time_of_ms("1700000000123"), Some(1_700_000_000_123_000_000));
        for token in ["", "1.5", "-1", "9223372036854775807", "x"] {
            assert_eq!(time_of_ms(token), None, "{token}");
        }
        for (token, ns) in [
            ("1700000000.123456789", 1_700_000_000_123_456_789),
            ("1700000000.1234567891", 1_700_000_000_123_456_789),
            ("0", 0),
            ("1.5", 1_500_000_000),
            ("1e3", 1_000_000_000_000),
            (".5", 500_000_000),
        ] {
            assert_eq!(time_of_seconds(token), Some(ns), "{token}");
        }
        for token in ["", "NaN", "+Inf", "-1", "1e300", "99999999999999999999", "x"] {
            assert_eq!(time_of_seconds(token), None, "{token}");
        }
    }

    #[test]
    fn long_exemplars() {
        let of = |n: usize| Exemplar {
            labels: vec![("trace_id".into(), "é".repeat(n).into())],
            value: 1.0,
            time_ns: None,
        };
        assert!(of(120).is_short() && !of(121).is_short());
    }
}
