//! A whole JSON container, searched: strings, keys, and numbers under keys that ask for it.
//!
//! The generic way for tokens that no walk has cut up. Lax on purpose: it follows quotes, colons
//! and brackets and copies all else, so what was no JSON before stays what it was.

use super::{Replacer, Work};
use crate::protect::context::{self, KeyHint};
use crate::protect::views::{self, Form};

/// Writes `token` with all findings replaced; returns whether there were any.
pub(super) fn inspect(
    replacer: &Replacer<'_>,
    token: &[u8],
    hint: KeyHint,
    work: &mut Work,
    out: &mut Vec<u8>,
) -> bool {
    let (mut i, mut found) = (0, false);
    // The hint of the key that stands before; arrays keep that of the key before them.
    let mut under = hint;
    while i < token.len() {
        let len = match token[i] {
            b'"' => string_len(&token[i..]),
            b'-' | b'0'..=b'9' => number_len(&token[i..]),
            _ => 1,
        };
        let part = &token[i..i + len];
        i += len;
        let is_key = part[0] == b'"' && colon_follows(&token[i..]);
        if is_key {
            let text = super::inner(part);
            under = context::of_key(&views::plain(text));
            out.push(b'"');
            found |= replacer.inspect(text, Form::Key, KeyHint::NONE, work, out);
            out.push(b'"');
            let value = i + 1 + token[i..].iter().take_while(|byte| **byte != b':').count();
            let value = value + spaces(&token[value..]);
            if let Some(action) = replacer.policy.secret(under).filter(|_| value < token.len()) {
                let end = value + value_len(&token[value..]);
                out.extend_from_slice(&token[i..value]);
                found |= replacer.value(action, &token[value..end], under, work, out);
                i = end;
            }
        } else if part[0] == b'"' {
            found |= replacer.inspect_token(part, under, work, out);
        } else if len > 1 || part[0].is_ascii_digit() {
            found |= replacer.inspect(part, Form::Number, under, work, out);
        } else {
            out.extend_from_slice(part);
        }
    }
    found
}

fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn colon_follows(rest: &[u8]) -> bool {
    rest.get(spaces(rest)) == Some(&b':')
}

/// Bytes of the string that begins `text`, quotes included; all of it where it does not end.
fn string_len(text: &[u8]) -> usize {
    let mut i = 1;
    while i < text.len() {
        match text[i] {
            b'"' => return i + 1,
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
    text.len()
}

fn number_len(text: &[u8]) -> usize {
    let inside = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    text.iter().take_while(inside).count()
}

/// Bytes of the value that begins `text`.
fn value_len(text: &[u8]) -> usize {
    let (mut depth, mut i) = (0usize, 0);
    while i < text.len() {
        match text[i] {
            b'"' => {
                i += string_len(&text[i..]);
                if depth == 0 {
                    return i;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return i + depth,
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return i,
            _ => {}
        }
        i += 1;
    }
    text.len()
}
