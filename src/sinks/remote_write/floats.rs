//! Numbers as the texts of labels.
//!
//! Source: Prometheus `model/labels` (`formatOpenMetricsFloat`), Go's `strconv` format `g`; for
//! OTLP, Prometheus's own translation (format `f`).
//!
//! # Why
//! `le="1"` and `le="1.0"` are two series. Prometheus 3 writes what it scrapes in the second form,
//! and so do we for what was scraped; what comes by OTLP has the form that its own OTLP receiver
//! gives, so that changing the way in changes no series.

use std::io::Write as _;

/// Appends a bucket's bound or a quantile. `is_scraped`: Prometheus 3 would have read it.
pub(super) fn push_bound(out: &mut Vec<u8>, value: f64, is_scraped: bool) {
    if let Some(word) = word(value) {
        out.extend_from_slice(word);
    } else if is_scraped {
        push_open_metrics(out, value);
    } else {
        // Writing into memory does not fail.
        let _ = write!(out, "{value}");
    }
}

fn word(value: f64) -> Option<&'static [u8]> {
    match value {
        f64::INFINITY => Some(b"+Inf"),
        f64::NEG_INFINITY => Some(b"-Inf"),
        _ if value.is_nan() => Some(b"NaN"),
        _ => None,
    }
}

/// Go's `g` with the fewest digits, and a fraction in any case.
fn push_open_metrics(out: &mut Vec<u8>, value: f64) {
    let start = out.len();
    let _ = write!(out, "{value:e}");
    let exponent = out[start..].iter().rposition(|byte| *byte == b'e').unwrap_or(0) + start;
    let n: i32 =
        std::str::from_utf8(&out[exponent + 1..]).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    if (-4..6).contains(&n) {
        out.truncate(start);
        let _ = write!(out, "{value}");
        if !out[start..].contains(&b'.') {
            out.extend_from_slice(b".0");
        }
        return;
    }
    out.truncate(exponent);
    let sign = if n < 0 { '-' } else { '+' };
    let _ = write!(out, "e{sign}{:02}", n.abs());
}

/// Appends a number that is an attribute, as JSON has it.
pub(super) fn push_number(out: &mut Vec<u8>, value: f64) {
    if let Some(word) = word(value) {
        out.extend_from_slice(word);
        return;
    }
    let size = value.abs();
    let start = out.len();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        let _ = write!(out, "{value}");
        return;
    }
    let _ = write!(out, "{value:e}");
    // One digit at least, and a sign: 1e+21, 1e-7.
    if let Some(at) = out[start..].iter().position(|byte| *byte == b'e')
        && out.get(start + at + 1) != Some(&b'-')
    {
        out.insert(start + at + 1, b'+');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn bounds() {
        for (value, scraped, plain) in [
            (1.0, "1.0", "1"),
            (0.0, "0.0", "0"),
            (-1.0, "-1.0", "-1"),
            (0.1, "0.1", "0.1"),
            (0.005, "0.005", "0.005"),
            (2.5, "2.5", "2.5"),
            (100_000.0, "100000.0", "100000"),
            (1e6, "1e+06", "1000000"),
            (2.5e6, "2.5e+06", "2500000"),
            (123_456_789.0, "1.23456789e+08", "123456789"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "0.00001"),
            (1e21, "1e+21", "1000000000000000000000"),
            (1e100, "1e+100", &format!("1{}", "0".repeat(100))),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!(text(|out| push_bound(out, value, true)), scraped);
            assert_eq!(text(|out| push_bound(out, value, false)), plain);
        }
    }

    #[test]
    fn attributes() {
        for (value, expected) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (3.0, "3"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (-2.5e30, "-2.5e+30"),
        ] {
            assert_eq!(text(|out| push_number(out, value)), expected);
        }
    }
}
