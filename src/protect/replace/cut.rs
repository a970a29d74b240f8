//! Where a text may be cut: between two characters as a reader counts them.

use crate::protect::views::Form;

/// Bytes of the first `n_chars` characters. In JSON an escape (a surrogate pair too) is one
/// character; bytes that are no UTF-8 count one by one.
pub(super) fn len(text: &[u8], form: Form, n_chars: usize) -> usize {
    let (mut i, mut n) = (0, 0);
    while i < text.len() && n < n_chars {
        i += match text[i] {
            b'\\' if form != Form::Text => escape_len(&text[i..]),
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            _ => 1,
        };
        n += 1;
    }
    i.min(text.len())
}

fn escape_len(rest: &[u8]) -> usize {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
        (Some(_), _) => 6,
        (None, _) => 2,
    }
}
