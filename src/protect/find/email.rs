//! Addresses with `@`, in any script.
//!
//! Necessary condition: an `@`.
//!
//! # Why
//! The local part may be far more than what people write; taken are letters of all scripts, digits
//! and the marks that occur, not those that mostly stand *around* an address (`'`, `=`, `/`, `&`,
//! brackets): `KeyError: 'bob@x.com'` must keep its quotes. Bytes that are no UTF-8 count as
//! letters (Latin-1 logs).

use super::{Hit, char_after, char_before};
use crate::protect::entity::Entity;

pub(super) fn find(text: &[u8], hits: &mut Vec<Hit>) {
    let mut floor = 0;
    for at in memchr::memchr_iter(b'@', text) {
        if super::at(text, at + 1, |byte| *byte == b'@') {
            // `bob@@x.com` is a slip; the last of them counts.
            continue;
        }
        if let (Some(start), Some(end)) = (local_start(text, floor, at), domain_end(text, at + 1)) {
            hits.push(Hit::new(start, end, Entity::Email));
        }
        floor = at + 1;
    }
}

fn is_local(byte: u8) -> bool {
    let marks = b"._+-%~$!#*^";
    byte.is_ascii_alphanumeric() || marks.contains(&byte)
}

/// Letters and digits of any script, marks that combine with them, and what stands for bytes that
/// were no UTF-8.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36F}' | char::REPLACEMENT_CHARACTER)
}

fn local_start(text: &[u8], floor: usize, at: usize) -> Option<usize> {
    let doubled = text[floor..at].iter().rev().take_while(|byte| **byte == b'@').count();
    let at = at - doubled;
    let mut i = at;
    while i > floor {
        let byte = text[i - 1];
        if byte < 0x80 {
            let apostrophe = byte == b'\''
                && i < at
                && text[i].is_ascii_alphabetic()
                && super::before(text, i - 1, u8::is_ascii_alphabetic);
            if !is_local(byte) && !apostrophe {
                break;
            }
            i -= 1;
            continue;
        }
        match char_before(text, i)? {
            (start, Some(c)) if is_word(c) => i = start,
            (start, None) => i = start,
            _ => break,
        }
    }
    let i = i.max(floor);
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80;
    if text[i..at].iter().any(word) {
        return Some(i);
    }
    quoted_start(text, floor, at)
}

/// `"john doe"@x.com`: at most 64 characters, RFC 5321 4.5.3.1.1.
fn quoted_start(text: &[u8], floor: usize, at: usize) -> Option<usize> {
    if !super::before(text, at, |byte| *byte == b'"') || at < 2 {
        return None;
    }
    let from = floor.max(at.saturating_sub(66));
    let head = text.get(from..at - 1)?;
    memchr::memrchr(b'"', head).filter(|open| open + 1 < head.len()).map(|open| from + open)
}

fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    if super::at(text, start, |byte| *byte == b'[') {
        let literal = &text[start..text.len().min(start + 48)];
        return memchr::memchr(b']', literal).filter(|n| *n > 2).map(|n| start + n + 1);
    }
    let (mut label, mut n_labels, mut best) = (start, 0, None);
    loop {
        let end = label_end(text, label);
        if end == label {
            break;
        }
        if n_labels > 0 && is_top_level(&text[label..end]) {
            best = Some(end);
        }
        if n_labels == 0 && is_density(&text[label..end]) {
            return None;
        }
        n_labels += 1;
        if !super::at(text, end, |byte| *byte == b'.') {
            break;
        }
        label = end + 1;
    }
    best
}

fn label_end(text: &[u8], mut i: usize) -> usize {
    while let Some(&byte) = text.get(i) {
        if byte < 0x80 {
            if !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_') {
                break;
            }
            i += 1;
            continue;
        }
        match char_after(text, i) {
            Some((end, Some(c))) if is_word(c) => i = end,
            Some((end, None)) => i = end,
            _ => break,
        }
    }
    i
}

/// A top-level domain begins with two letters; a version (`pkg@1.2.3`) does not.
fn is_top_level(label: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte >= 0x80;
    label.len() >= 2 && label[..2].iter().all(letter)
}

/// `icon@2x.png` is a file.
fn is_density(label: &[u8]) -> bool {
    matches!(label, [b'1'..=b'4', b'x'])
}
