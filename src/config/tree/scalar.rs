//! From a place in a scalar's text to the place in the source where it is written.

use std::ops::Range;

/// The part of `written` (a scalar with its quotes) that stands for `len` bytes from `offset` in
/// `text`; `None` where the two do not follow each other character by character.
pub(super) fn part(written: &str, text: &str, offset: usize, len: usize) -> Option<Range<usize>> {
    let (quote, body) = match written.chars().next()? {
        quote @ ('"' | '\'') => (Some(quote), written.get(1..written.len().checked_sub(1)?)?),
        _ => (None, written),
    };
    let base = usize::from(quote.is_some());
    let end = offset.checked_add(len)?.min(text.len());
    let (mut at, mut done, mut from, mut to) = (0, 0, None, None);
    while at < body.len() {
        if done == offset {
            from = from.or(Some(at));
        }
        if done >= end {
            to = to.or(Some(at));
        }
        let (meant, used) = next(&body[at..], quote)?;
        if !text.get(done..)?.starts_with(meant) {
            return None;
        }
        done += meant.len_utf8();
        at += used;
    }
    if done != text.len() {
        return None;
    }
    let from = from.or((offset >= text.len()).then_some(at))?;
    let to = to.unwrap_or(at).max(from);
    Some(base + from..base + to)
}

/// The character that `body` begins with and the bytes that it takes there.
fn next(body: &str, quote: Option<char>) -> Option<(char, usize)> {
    let c = body.chars().next()?;
    match (quote, c) {
        // Folded lines.
        (_, '\n' | '\r') => None,
        (Some('\''), '\'') => body.starts_with("''").then_some(('\'', 2)),
        (Some('"'), '\\') => escape(&body[1..]).map(|(c, used)| (c, used + 1)),
        _ => Some((c, c.len_utf8())),
    }
}

/// YAML 1.2, section 5.7: the escapes that people write.
fn escape(body: &str) -> Option<(char, usize)> {
    let c = body.chars().next()?;
    let digits = match c {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        'n' => return Some(('\n', 1)),
        't' => return Some(('\t', 1)),
        'r' => return Some(('\r', 1)),
        '0' => return Some(('\0', 1)),
        '"' | '\\' | '/' | ' ' => return Some((c, 1)),
        _ => return None,
    };
    let number = u32::from_str_radix(body.get(1..=digits)?, 16).ok()?;
    Some((char::from_u32(number)?, digits + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caret goes under the very characters, through every kind of quoting.
    #[test]
    fn parts_are_found_in_the_source() {
        for (written, text, (offset, len), want) in [
            ("a > b", "a > b", (2, 1), Some(">")),
            ("a > b", "a > b", (5, 0), Some("")),
            ("\"a > b\"", "a > b", (2, 1), Some(">")),
            (r#""a == \"b\" x""#, "a == \"b\" x", (9, 1), Some("x")),
            (r#""a == \"b\" x""#, "a == \"b\" x", (5, 3), Some(r#"\"b\""#)),
            (r#""\u00e9 x""#, "é x", (3, 1), Some("x")),
            ("'it''s x'", "it's x", (5, 1), Some("x")),
            ("'ü x'", "ü x", (3, 1), Some("x")),
            ("a > b", "a > b", (3, 99), Some(" b")),
            ("a\n  > b", "a > b", (2, 1), None),
            ("${X}", "a > b", (2, 1), None),
            (r#""\q""#, "q", (0, 1), None),
            ("\"", "", (0, 1), None),
        ] {
            let got = part(written, text, offset, len).map(|range| &written[range]);
            assert_eq!(got, want, "{written} {offset}");
        }
    }
}
