//! How long it took, in milliseconds, whatever unit the logger chose.
//!
//! The unit comes from the value's own suffix, else from the key's; without either it is unknown
//! and nothing is guessed (ml.md 2.3): a wrong unit would keep or drop a thousandfold.

use super::roles::token;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Neither key nor value says.
    Unknown,
}

impl Unit {
    /// The unit that a key's last word names: `latency_ms`, `durationMs`, `took.us`,
    /// `elapsed_seconds`. A bare `latency` names none.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Self {
        // The commonest first: of one key no two hold, as each must begin a word.
        const SUFFIXES: &[(&[u8], Unit)] = &[
            (b"ms", Unit::Millis),
            (b"s", Unit::Seconds),
            (b"us", Unit::Micros),
            (b"ns", Unit::Nanos),
            (b"milliseconds", Unit::Millis),
            (b"microseconds", Unit::Micros),
            (b"nanoseconds", Unit::Nanos),
            (b"seconds", Unit::Seconds),
            (b"millis", Unit::Millis),
            (b"micros", Unit::Micros),
            (b"nanos", Unit::Nanos),
            (b"secs", Unit::Seconds),
            (b"sec", Unit::Seconds),
        ];
        for (suffix, unit) in SUFFIXES {
            let Some(at) = key.len().checked_sub(suffix.len()) else { continue };
            let (before, tail) = key.split_at(at);
            if tail.eq_ignore_ascii_case(suffix) && starts_word(before, tail) {
                return *unit;
            }
        }
        Unit::Unknown
    }

    /// Milliseconds in one unit.
    fn millis(self) -> Option<f64> {
        match self {
            Unit::Nanos => Some(1e-6),
            Unit::Micros => Some(1e-3),
            Unit::Millis => Some(1.0),
            Unit::Seconds => Some(1e3),
            Unit::Unknown => None,
        }
    }
}

/// Whether `tail` begins a word behind `before`: `latency_s` and `latencyMs`, not `process`.
fn starts_word(before: &[u8], tail: &[u8]) -> bool {
    match before.last() {
        None | Some(b'_' | b'-' | b'.') => true,
        Some(last) => last.is_ascii_lowercase() && tail[0].is_ascii_uppercase(),
    }
}

/// Reads a duration in milliseconds: a number in the key's unit, or a string with its own unit
/// (`"357.867572ms"`, `"49.382µs"`, `"1.2s"`, `12.3 ms`). Negative and unknown ones are `None`.
///
/// `raw` is the member's token, `key` its key or path.
#[must_use]
pub fn millis(raw: &[u8], key: &[u8]) -> Option<f64> {
    let text = token::text(raw).trim_ascii();
    // Most are plain numbers.
    let is_bare = text.last().is_some_and(u8::is_ascii_digit);
    let (number, own_unit) = if is_bare { (text, None) } else { split_unit(text) };
    let unit = own_unit.unwrap_or_else(|| Unit::of_key(key));
    let value = token::number(number)? * unit.millis()?;
    (value >= 0.0).then_some(value)
}

/// Splits a unit off the end; `None` where there is none.
fn split_unit(text: &[u8]) -> (&[u8], Option<Unit>) {
    const UNITS: &[(&str, Unit)] = &[
        ("ms", Unit::Millis),
        ("µs", Unit::Micros), // U+00B5, as Rust and Go print it
        ("μs", Unit::Micros), // U+03BC, as people type it
        ("us", Unit::Micros),
        ("ns", Unit::Nanos),
        ("seconds", Unit::Seconds),
        ("secs", Unit::Seconds),
        ("sec", Unit::Seconds),
        ("s", Unit::Seconds),
    ];
    for (suffix, unit) in UNITS {
        if let Some(number) = text.strip_suffix(suffix.as_bytes()) {
            return (number.trim_ascii_end(), Some(*unit));
        }
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_loggers_write_them() {
        for (raw, key, expected) in [
            ("23", "latency_ms", Some(23.0)),
            ("23", "latencyMs", Some(23.0)),
            ("23", "latency", None),
            ("\"1.234\"", "processing_time", None),
            ("\"1.234\"", "processing_time_ms", Some(1.234)),
            ("0.5", "elapsed_seconds", Some(500.0)),
            ("0.5", "duration_s", Some(500.0)),
            ("1500", "took.us", Some(1.5)),
            ("\"357.867572ms\"", "total_time", Some(357.867572)),
            ("\"49.382µs\"", "queue_time", Some(49.382 * 1e-3)),
            ("\"1.2s\"", "total_time", Some(1200.0)),
            ("\"12.3 ms\"", "took_s", Some(12.3)),
            ("2000000", "duration_ns", Some(2.0)),
            ("-1", "latency_ms", None),
            ("null", "latency_ms", None),
            ("\"fast\"", "latency_ms", None),
            ("5", "process", None),
            ("5", "status", None),
        ] {
            let got = millis(raw.as_bytes(), key.as_bytes());
            let same = match (got, expected) {
                (Some(got), Some(expected)) => (got - expected).abs() < 1e-9,
                (got, expected) => got == expected,
            };
            assert!(same, "{key}: {raw} gave {got:?}, not {expected:?}");
        }
    }
}
