//! Request, trace and span ids: where in a value they stand, and their value as a number.
//!
//! A record points at 32 hex digits in its own line, so a form that does not hold them side by
//! side (decimal, X-Ray, UUID with dashes) yields no span; its number is still read, so that
//! sampling decides alike for every signal of a request.
//!
//! Deliberately never rewrites an id. vLLM appends `-` and eight hex digits per engine request to
//! the id that the client knows; joins may strip it with [`without_engine_suffix`] once the
//! shorter id is known to exist.

use std::ops::Range;

/// Where in `text` the 32 hex digits of a trace id stand.
///
/// Knows bare hex, `traceparent`, B3 single header, and Google's `projects/P/traces/HEX`. All
/// zeros is no id (W3C trace context, 3.2.2.3).
#[must_use]
pub fn trace_id(text: &[u8]) -> Option<Range<usize>> {
    let start = match text {
        _ if text.len() == 32 => 0,
        [b'0'..=b'9' | b'a'..=b'f', b'0'..=b'9' | b'a'..=b'f', b'-', ..]
            if text.len() >= 55 && !text.starts_with(b"ff") && text.get(35) == Some(&b'-') =>
        {
            3
        }
        _ if text.get(32) == Some(&b'-') => 0,
        _ => memchr::memrchr(b'/', text)? + 1,
    };
    let digits = text.get(start..start + 32)?;
    let ends = matches!(text.get(start + 32), None | Some(b'-' | b';' | b'/'));
    (ends && is_hex_id(digits)).then_some(start..start + 32)
}

/// Where in `text` the 16 hex digits of a span id stand: bare, in a `traceparent`, or in a B3
/// single header.
#[must_use]
pub fn span_id(text: &[u8]) -> Option<Range<usize>> {
    let start = match text.len() {
        16 => 0,
        55.. if text.get(2) == Some(&b'-') && text.get(35) == Some(&b'-') => 36,
        49.. if text.get(32) == Some(&b'-') => 33,
        _ => return None,
    };
    is_hex_id(text.get(start..start + 16)?).then_some(start..start + 16)
}

/// The trace id as a number, from every form in use: those of [`trace_id`], 16 hex digits, a UUID
/// with dashes, X-Ray's `Root=1-8-24`, and decimals of up to 128 bits (Datadog's 64 bits are the
/// low half, so the sampling randomness is the same).
#[must_use]
pub fn trace_value(text: &[u8]) -> Option<u128> {
    if let Some(range) = trace_id(text) {
        return hex_value(text.get(range)?);
    }
    if !text.is_empty() && text.len() <= 39 && text.iter().all(u8::is_ascii_digit) {
        let value: u128 = std::str::from_utf8(text).ok()?.parse().ok()?;
        return (value != 0).then_some(value);
    }
    if text.len() == 16 {
        return hex_value(text);
    }
    let xray = memchr::memmem::find(text, b"Root=1-").and_then(|at| text.get(at + 7..at + 40));
    match xray {
        Some(root) => hex_value(root),
        None if text.len() == 36 => hex_value(text),
        None => None,
    }
}

/// Reads hex digits, skipping dashes; `None` for anything else, or for zero.
fn hex_value(text: &[u8]) -> Option<u128> {
    let mut value = 0u128;
    for byte in text {
        if *byte != b'-' {
            value = value.checked_mul(16)? | u128::from(char::from(*byte).to_digit(16)?);
        }
    }
    (value != 0).then_some(value)
}

fn is_hex_id(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit) && digits.iter().any(|digit| *digit != b'0')
}

/// An id that vLLM's engine extended, without its `-` and eight hex digits; others as they are.
#[must_use]
pub fn without_engine_suffix(id: &[u8]) -> &[u8] {
    let Some(at) = id.len().checked_sub(9) else { return id };
    let (short, suffix) = id.split_at(at);
    // The client's id itself has one dash (`chatcmpl-…`), so a second one is the engine's.
    if suffix[0] == b'-' && suffix[1..].iter().all(u8::is_ascii_hexdigit) && short.contains(&b'-') {
        short
    } else {
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e438b82ad361ac2d5481bcfc494074d2";

    #[test]
    fn spans_of_trace_and_span_ids() {
        let parent = format!("00-{HEX}-73bd1ee54a94d8fb-01");
        let b3 = format!("{HEX}-73bd1ee54a94d8fb-1");
        let google = format!("projects/my-project/traces/{HEX}");
        for (text, trace, span) in [
            (HEX, Some(0..32), None),
            (parent.as_str(), Some(3..35), Some(36..52)),
            (b3.as_str(), Some(0..32), Some(33..49)),
            (google.as_str(), Some(27..59), None),
            ("73bd1ee54a94d8fb", None, Some(0..16)),
            ("00000000000000000000000000000000", None, None),
            ("0000000000000000", None, None),
            ("0", None, None),
            ("", None, None),
            ("Root=1-5759e988-bd862e3fe1be46a994272793", None, None),
            ("gggggggggggggggggggggggggggggggg", None, None),
        ] {
            assert_eq!(trace_id(text.as_bytes()), trace, "{text}");
            assert_eq!(span_id(text.as_bytes()), span, "{text}");
        }
    }

    #[test]
    fn every_form_is_the_same_number() {
        let value = u128::from_str_radix(HEX, 16).expect("hex");
        let low = value as u64;
        for (text, expected) in [
            (HEX.to_owned(), Some(value)),
            (HEX.to_uppercase(), Some(value)),
            (format!("00-{HEX}-73bd1ee54a94d8fb-01"), Some(value)),
            (value.to_string(), Some(value)),
            (low.to_string(), Some(u128::from(low))),
            (format!("Root=1-{}-{}", &HEX[..8], &HEX[8..]), Some(value)),
            (format!("Self=1-a-b;Root=1-{}-{};x", &HEX[..8], &HEX[8..]), Some(value)),
            ("e438b82a-d361-ac2d-5481-bcfc494074d2".to_owned(), Some(value)),
            ("0".to_owned(), None),
            ("not an id".to_owned(), None),
        ] {
            assert_eq!(trace_value(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn engine_suffix() {
        let strip = |id: &'static str| without_engine_suffix(id.as_bytes());
        assert_eq!(strip("chatcmpl-a269fdcb7c6ce890-a8a65d16"), b"chatcmpl-a269fdcb7c6ce890");
        assert_eq!(strip("chatcmpl-a269fdcb7c6ce890"), b"chatcmpl-a269fdcb7c6ce890");
        assert_eq!(strip("abc-a8a65d16"), b"abc-a8a65d16");
        assert_eq!(strip("x"), b"x");
    }
}
