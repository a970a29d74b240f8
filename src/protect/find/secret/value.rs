//! How far the value of a secret-like key reaches in free text.

use super::is_quote;
use crate::protect::entity::Entity;
use crate::protect::find::{at, before};

/// How far the closing bracket of a call may be.
const CALL_MAX: usize = 256;

/// The value that begins at `start`; none where nothing stands there that could be a secret.
pub(super) fn value(text: &[u8], mut start: usize, key: &[u8]) -> Option<(usize, usize)> {
    // Python's prefixes of literals, and escaped quotes.
    let prefix = at(text, start, |byte| matches!(byte, b'b' | b'r' | b'u' | b'f'))
        && at(text, start + 1, |byte| is_quote(*byte));
    start += usize::from(prefix);
    start += text[start..].iter().take_while(|byte| **byte == b'\\').count();
    let first = *text.get(start)?;
    if is_quote(first) {
        let escaped = before(text, start, |byte| *byte == b'\\');
        let end = start + 1 + quoted_len(&text[start + 1..], first, escaped);
        return (end > start + 1 && !is_nothing(&text[start + 1..end])).then_some((start + 1, end));
    }
    if matches!(first, b'{' | b'[' | b'(') {
        let end = start + bracket_len(&text[start..]);
        return (end > start + 2 && !is_mask(&text[start..end])).then_some((start, end));
    }
    let end = if reaches_line_end(key) {
        start + header_len(&text[start..])
    } else {
        let end = start + plain_len(&text[start..]);
        let has_more = is_scheme(&text[start..end]) && at(text, end, |byte| *byte == b' ');
        if has_more { end + 1 + plain_len(&text[end + 1..]) } else { end }
    };
    (end > start && !is_nothing(&text[start..end])).then_some((start, end))
}

fn is_scheme(word: &[u8]) -> bool {
    let words: [&[u8]; 7] =
        [b"bearer", b"basic", b"token", b"digest", b"apikey", b"negotiate", b"aws4-hmac-sha256"];
    words.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Headers whose value has spaces: all of the line is the secret.
fn reaches_line_end(key: &[u8]) -> bool {
    let names: [&[u8]; 2] = [b"cookie", b"authorization"];
    let tail = key.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    names.iter().any(|name| tail.eq_ignore_ascii_case(name))
}

/// Bytes before the quote that closes. Where the opening one was escaped (`\"`, JSON inside of a
/// string), the closing one is too.
fn quoted_len(text: &[u8], quote: u8, escaped: bool) -> usize {
    if escaped {
        return memchr::memmem::find(text, &[b'\\', quote]).unwrap_or(text.len());
    }
    let mut i = 0;
    while i < text.len() && text[i] != quote {
        i += if text[i] == b'\\' { 2 } else { 1 };
    }
    i.min(text.len())
}

/// To the bracket that closes the first one, over quoted ones; to the end where none does.
pub(in crate::protect::find) fn bracket_len(text: &[u8]) -> usize {
    let (mut depth, mut i) = (0u32, 0);
    while i < text.len() {
        match text[i] {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth -= 1,
            quote if is_quote(quote) => i += 1 + quoted_len(&text[i + 1..], quote, false),
            b'\\' if at(text, i + 1, |byte| is_quote(*byte)) => {
                i += 3 + quoted_len(&text[i + 2..], text[i + 1], true);
            }
            _ => {}
        }
        i += 1;
        if depth == 0 && i <= text.len() {
            return i;
        }
    }
    text.len()
}

/// Bytes of the arguments that begin `text`, brackets included; a bracket that nothing near closes
/// is a letter.
pub(in crate::protect::find) fn call_len(text: &[u8]) -> Option<usize> {
    // What has no end must not be read to the text's end for each of a row of them.
    let near = &text[..text.len().min(CALL_MAX)];
    let len = bracket_len(near);
    (near.get(len - 1) == Some(&b')') && len > 1).then_some(len)
}

/// Bytes of a value without quotes of its own: to the end of its word.
fn plain_len(text: &[u8]) -> usize {
    let ends = |byte: u8| b" \t\r\n,;&<>)}]|\"".contains(&byte);
    let (mut i, mut may_wrap) = (0, true);
    while let Some(&byte) = text.get(i) {
        match byte {
            // `Password('hunter2')`. Asked once, so that a row of them is read once.
            b'(' if may_wrap => {
                may_wrap = false;
                i += call_len(&text[i..]).unwrap_or(1);
            }
            // `it's` goes on, `'user=x'` does not.
            b'\'' | b'`' if text.get(i + 1).is_some_and(u8::is_ascii_alphanumeric) => i += 1,
            b'\'' | b'`' => return i,
            _ if ends(byte) => return i,
            _ => i += 1,
        }
    }
    i.min(text.len())
}

/// Bytes of a header's value: to the end of the line or of the quotes around the header, and over
/// those of a parameter (`Digest username="bob", response="…"`).
fn header_len(text: &[u8]) -> usize {
    let mut i = 0;
    while let Some(&byte) = text.get(i).filter(|byte| !matches!(byte, b'\n' | b'\r')) {
        i += 1;
        let head = &text[..i - 1];
        let apostrophe = byte != b'"'
            && head.last().is_some_and(u8::is_ascii_alphanumeric)
            && text.get(i).is_some_and(u8::is_ascii_alphanumeric);
        if !is_quote(byte) || apostrophe {
            continue;
        }
        let escapes = head.iter().rev().take_while(|byte| **byte == b'\\').count();
        let opens = head[..head.len() - escapes].ends_with(b"=")
            && text.get(i).is_some_and(|next| !b",}]) ".contains(next));
        let close = opens.then(|| memchr::memchr3(byte, b'\n', b'\r', &text[i..])).flatten();
        let Some(close) = close.filter(|close| text[i + close] == byte) else {
            return i - 1 - escapes;
        };
        i += close + 1;
    }
    i
}

/// Values that hold nothing: null and its kin, stars, and what a mask left.
pub(super) fn is_nothing(value: &[u8]) -> bool {
    let words: [&[u8]; 8] =
        [b"null", b"none", b"nil", b"true", b"false", b"undefined", b"required", b"<redacted>"];
    value.iter().all(|byte| matches!(byte, b'*' | b'.' | b' '))
        || words.iter().any(|word| value.eq_ignore_ascii_case(word))
        || is_mask(value)
}

/// `[secret]`, as this program writes it: masking twice changes nothing.
fn is_mask(value: &[u8]) -> bool {
    let Some(word) = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) else {
        return false;
    };
    word == b"masked" || std::str::from_utf8(word).is_ok_and(|word| Entity::parse(word).is_some())
}
