//! Secrets that free text names: `password=…`, `'api_key': '…'`, `--token …`,
//! `scheme://user:…@host`.
//!
//! Necessary condition: a `=` or `:` behind a word that [`context::is_secret`] takes; `--` before
//! one; or `://` with an `@` behind it.
//!
//! # Why
//! The same rules judge a key in text and a key in JSON, so that JSON inside of a string, a dict in
//! a traceback and a header dump need no parser of their own. Only the value is taken, to the end
//! of its quotes, brackets or word.

use super::{Hit, Seen};
use crate::protect::context;
use crate::protect::entity::Entity;

/// Longest key that is looked at.
const KEY_MAX: usize = 64;
/// How far a password with raw slashes is followed.
const USERINFO_MAX: usize = 256;

pub(super) fn find(text: &[u8], seen: Seen, hits: &mut Vec<Hit>) {
    let mut floor = 0;
    if seen.has(Seen::ASSIGN) {
        for i in memchr::memchr2_iter(b'=', b':', text) {
            if i < floor {
                continue;
            }
            let found = match text[i..].starts_with(b"://") {
                true => userinfo(text, i + 3),
                false => assigned(text, i, floor),
            };
            if let Some((start, end)) = found {
                hits.push(Hit::new(start, end, Entity::Secret));
                floor = end;
            }
        }
    }
    if seen.has(Seen::DASH) {
        options(text, hits);
    }
}

fn is_key(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// The value behind the `=` or `:` at `i`, if a secret-like key stands before it.
fn assigned(text: &[u8], i: usize, floor: usize) -> Option<(usize, usize)> {
    let key = key_before(text, i, floor)?;
    let query = super::before(text, key.0, |byte| matches!(byte, b'?' | b'&'));
    let name = &text[key.0..key.1];
    if !(names_secret(name) || query && is_query_secret(name)) {
        return None;
    }
    let mut start = i + 1;
    // `=>`, `:=`, `==`.
    start += text[start..].iter().take(1).filter(|byte| matches!(byte, b'=' | b'>')).count();
    start += text[start..].iter().take(4).take_while(|byte| **byte == b' ').count();
    value(text, start, name)
}

/// Whether a key of one or two words says that a secret follows. Of two words the first can only
/// say of what kind a token is (`next token: the`, `api key: …`), not that a password is none.
fn names_secret(name: &[u8]) -> bool {
    if context::is_secret(name) {
        return true;
    }
    let last = name.rsplit(|byte| *byte == b' ').next().unwrap_or(name);
    // `3 days.password=…` is a sentence without its space.
    let tail = last.rsplit(|byte| *byte == b'.').next().unwrap_or(last);
    tail.len() < name.len()
        && !tail.eq_ignore_ascii_case(b"token")
        && (context::is_secret(last) || context::is_secret(tail))
}

/// Signed URLs.
fn is_query_secret(name: &[u8]) -> bool {
    let tail = name.rsplit(|byte| *byte == b'-').next().unwrap_or_default();
    let names: [&[u8]; 5] = [b"sig", b"signature", b"key", b"hmac", b"credential"];
    names.iter().any(|name| tail.eq_ignore_ascii_case(name))
}

/// The key that ends before `i`, over spaces, quotes and brackets; with one word more where a space
/// parts them (`api key: …`).
fn key_before(text: &[u8], i: usize, floor: usize) -> Option<(usize, usize)> {
    let from = floor.max(i.saturating_sub(KEY_MAX));
    let head = &text[from..i];
    let marks = |byte: &&u8| matches!(byte, b' ' | b'"' | b'\'' | b'`' | b'\\' | b']' | b':');
    let end = head.len() - head.iter().rev().take(5).take_while(marks).count();
    let word = |end: usize| end - head[..end].iter().rev().take_while(|byte| is_key(byte)).count();
    let start = word(end);
    if start == end {
        return None;
    }
    let two_words = start > 1 && head[start - 1] == b' ' && end == head.len();
    let start = if two_words { word(start - 1) } else { start };
    Some((from + start, from + end))
}

/// The value that begins at `start`; none where nothing stands there that could be a secret.
fn value(text: &[u8], mut start: usize, key: &[u8]) -> Option<(usize, usize)> {
    // Python's prefixes of literals, and escaped quotes.
    let prefix = super::at(text, start, |byte| matches!(byte, b'b' | b'r' | b'u' | b'f'))
        && super::at(text, start + 1, |byte| is_quote(*byte));
    start += usize::from(prefix);
    start += text[start..].iter().take_while(|byte| **byte == b'\\').count();
    let first = *text.get(start)?;
    if is_quote(first) {
        let escaped = super::before(text, start, |byte| *byte == b'\\');
        let end = start + 1 + quoted_len(&text[start + 1..], first, escaped);
        return (end > start + 1 && !is_nothing(&text[start + 1..end])).then_some((start + 1, end));
    }
    if matches!(first, b'{' | b'[' | b'(') {
        let end = start + bracket_len(&text[start..]);
        return (end > start + 2 && !is_mask(&text[start..end])).then_some((start, end));
    }
    let to_the_end = reaches_line_end(key);
    let mut end = start + plain_len(&text[start..], to_the_end);
    let is_scheme = |word: &[u8]| {
        let words: [&[u8]; 7] = [
            b"bearer",
            b"basic",
            b"token",
            b"digest",
            b"apikey",
            b"negotiate",
            b"aws4-hmac-sha256",
        ];
        words.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
    };
    if !to_the_end && is_scheme(&text[start..end]) && super::at(text, end, |byte| *byte == b' ') {
        end += 1 + plain_len(&text[end + 1..], false);
    }
    (end > start && !is_nothing(&text[start..end])).then_some((start, end))
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
pub(super) fn bracket_len(text: &[u8]) -> usize {
    let (mut depth, mut i) = (0u32, 0);
    while i < text.len() {
        match text[i] {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth -= 1,
            quote if is_quote(quote) => i += 1 + quoted_len(&text[i + 1..], quote, false),
            _ => {}
        }
        i += 1;
        if depth == 0 {
            return i;
        }
    }
    text.len()
}

fn plain_len(text: &[u8], to_the_end: bool) -> usize {
    let ends = |byte: &u8| match byte {
        b'"' | b'\'' | b'`' | b'\n' | b'\r' => true,
        b' ' | b'\t' | b',' | b';' | b'&' | b'<' | b'>' | b')' | b'}' | b']' | b'|' => !to_the_end,
        _ => false,
    };
    text.iter().position(ends).unwrap_or(text.len())
}

/// Values that hold nothing: null and its kin, stars, and what a mask left.
fn is_nothing(value: &[u8]) -> bool {
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

/// `--password hunter2`.
fn options(text: &[u8], hits: &mut Vec<Hit>) {
    let mut floor = 0;
    for at in memchr::memmem::find_iter(text, b"--") {
        if at < floor {
            continue;
        }
        let start = at + 2;
        let len = text[start..].iter().take(KEY_MAX).take_while(|byte| is_key(byte)).count();
        let end = start + len;
        if len == 0 || text.get(end) != Some(&b' ') || super::at(text, end + 1, |b| *b == b'-') {
            continue;
        }
        if let Some(found) = context::is_secret(&text[start..end])
            .then(|| value(text, end + 1, &text[start..end]))
            .flatten()
        {
            hits.push(Hit::new(found.0, found.1, Entity::Secret));
            floor = found.1;
        }
    }
}

/// The password in the authority that begins at `start` (RFC 3986 3.2.1); a long name without a
/// password is a token.
fn userinfo(text: &[u8], start: usize) -> Option<(usize, usize)> {
    let stops = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<' | b'>' | b'`');
    let until = |stop: &dyn Fn(&u8) -> bool, rest: &'_ [u8]| {
        rest.iter().position(stop).unwrap_or(rest.len())
    };
    let rest = &text[start..];
    let delimits = |byte: &u8| stops(byte) || matches!(byte, b'/' | b'?' | b'#');
    let mut host = &rest[..until(&delimits, rest)];
    let colon = memchr::memchr(b':', host);
    let at = match (memchr::memrchr(b'@', host), colon) {
        (Some(at), _) => at,
        // A password may hold a raw slash; a port does not.
        (None, Some(colon)) if !host[colon + 1..].iter().all(u8::is_ascii_digit) => {
            let near = &rest[..rest.len().min(USERINFO_MAX)];
            host = &near[..until(&stops, near)];
            memchr::memrchr(b'@', host)?
        }
        _ => return None,
    };
    match colon.filter(|colon| *colon < at) {
        Some(colon) if at > colon + 1 => {
            let value = &host[colon + 1..at];
            (!is_nothing(value)).then_some((start + colon + 1, start + at))
        }
        None if at >= 16 => Some((start, start + at)),
        _ => None,
    }
}
