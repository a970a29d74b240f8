//! Secrets that free text names: `password=…`, `'api_key': '…'`, `--token …`,
//! `scheme://user:…@host`.
//!
//! Necessary condition: a `=` or `:` behind a word that [`context::is_secret`] takes; `--` before
//! one, or `-` before and a blank behind it; such a word as the first of two quoted ones in
//! brackets, `, ` between them; or `://` with an `@` behind it.
//!
//! # Why
//! The same rules judge a key in text and a key in JSON, so that JSON inside of a string, a dict in
//! a traceback and a header dump need no parser of their own. Only the value is taken, to the end
//! of its quotes, brackets or word.

mod value;

use super::{Hit, Seen};
use crate::protect::context;
use crate::protect::entity::Entity;
pub(super) use value::{bracket_len, call_len};
use value::{is_nothing, value};

/// Longest key that is looked at.
const KEY_MAX: usize = 96;
/// How far a password with raw slashes is followed.
const USERINFO_MAX: usize = 256;
/// Blanks between a key and its value, and around the mark: tables are aligned with them.
const GAP_MAX: usize = 48;

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
    tuples(text, hits);
}

/// Whether no key that names a secret stands before the first colon of `text`.
pub(super) fn is_clean_label(text: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', text) else { return true };
    // The password of an authority has an `@` behind it.
    text[colon..].starts_with(b"://")
        || key_before(text, colon, 0).is_none_or(|(start, end)| {
            let query = super::before(text, start, |byte| matches!(byte, b'?' | b'&'));
            !query && !names_secret(&text[start..end])
        })
}

fn is_key(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$')
}

fn gap(text: &[u8]) -> usize {
    text.iter().take(GAP_MAX).take_while(|byte| matches!(byte, b' ' | b'\t')).count()
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
    start += gap(&text[start..]);
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
    let blanks = head.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let marks =
        |byte: &&u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'`' | b'\\' | b']' | b':');
    let marked = &head[..head.len() - blanks];
    let end = marked.len() - marked.iter().rev().take(5).take_while(marks).count();
    let word = |end: usize| end - head[..end].iter().rev().take_while(|byte| is_key(byte)).count();
    let start = word(end);
    if start == end {
        return None;
    }
    let two_words = start > 1 && head[start - 1] == b' ' && end == head.len();
    let start = if two_words { word(start - 1) } else { start };
    Some((from + start, from + end))
}

/// `--password hunter2`, `-password hunter2`, and the same as a list (`'--password', 'hunter2'`).
fn options(text: &[u8], hits: &mut Vec<Hit>) {
    let mut floor = 0;
    for at in memchr::memchr_iter(b'-', text) {
        let glued = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if at < floor || super::before(text, at, glued) {
            continue;
        }
        let is_long = text.get(at + 1) == Some(&b'-');
        let start = at + 1 + usize::from(is_long);
        let len = text[start..].iter().take(KEY_MAX).take_while(|byte| is_key(byte)).count();
        let end = start + len;
        let Some(behind) = (len > 0).then(|| behind_option(text, end)).flatten() else { continue };
        let quoted = text.get(behind).is_some_and(|byte| is_quote(*byte));
        // `-token 'x'` as well, where a blank shows that it is an option.
        let is_option = is_long || super::before(text, behind, |byte| matches!(byte, b' ' | b'\t'));
        if !is_option || super::at(text, behind + usize::from(quoted), |byte| *byte == b'-') {
            continue;
        }
        if let Some(found) = context::is_secret(&text[start..end])
            .then(|| value(text, behind, &text[start..end]))
            .flatten()
        {
            hits.push(Hit::new(found.0, found.1, Entity::Secret));
            floor = found.1;
        }
    }
}

/// Where the argument of the option that ends at `at` begins: behind blanks, or behind the comma of
/// a list.
fn behind_option(text: &[u8], at: usize) -> Option<usize> {
    let slashes = text[at..].iter().take_while(|byte| **byte == b'\\').count();
    let quote = text.get(at + slashes).copied().filter(|byte| is_quote(*byte));
    let mut i = if quote.is_some() { at + slashes + 1 } else { at };
    if quote.is_some() {
        (text.get(i) == Some(&b',')).then_some(())?;
        i += 1;
    }
    let blanks = gap(&text[i..]);
    (quote.is_some() || blanks > 0).then_some(i + blanks)
}

/// `('x-api-key', 'hunter2')`: headers and items as Python prints them.
fn tuples(text: &[u8], hits: &mut Vec<Hit>) {
    let mut floor = 0;
    for open in memchr::memchr2_iter(b'(', b'[', text) {
        if open < floor {
            continue;
        }
        let first = open + 1 + usize::from(super::at(text, open + 1, |byte| *byte == b'b'));
        let Some(quote) = text.get(first).copied().filter(|byte| is_quote(*byte)) else { continue };
        let name = &text[first + 1..];
        let len = name.iter().take(KEY_MAX).take_while(|byte| is_key(byte)).count();
        let behind = first + 1 + len;
        // The value must be quoted: what is not could be read to its end for each of a row of them.
        let is_prefixed = super::at(text, behind + 3, |byte| *byte == b'b');
        let is_pair = text[behind..].starts_with(&[quote, b',', b' '])
            && super::at(text, behind + 3 + usize::from(is_prefixed), |byte| is_quote(*byte));
        if len == 0 || !is_pair {
            continue;
        }
        let Some((start, end)) = context::is_secret(&name[..len])
            .then(|| value(text, behind + 3, &name[..len]))
            .flatten()
        else {
            continue;
        };
        // Two items and no more: a longer row is one of names.
        let quoted = super::before(text, start, |byte| is_quote(*byte));
        if quoted && super::at(text, end + 1, |byte| matches!(byte, b')' | b']')) {
            hits.push(Hit::new(start, end, Entity::Secret));
            floor = end;
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
