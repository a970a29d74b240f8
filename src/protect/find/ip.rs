//! Addresses: IPv4, IPv6, and hardware addresses.
//!
//! Necessary condition: v4 — three dots between groups of one to three digits; v6 — `::` or seven
//! colons; hardware — twelve hex digits in pairs parted by `:` or `-`, or in fours by `.`.
//!
//! # Why
//! Four numbers are a version as often as an address; what stands before them decides (the key,
//! `v`, `==`, a product name). The unspecified and the loopback address say nothing about anybody
//! and stand in every server's first log line: left alone. Clock times have two colons and never
//! match.

use std::net::Ipv6Addr;

use super::{Hit, Seen};
use crate::protect::context::{self, KeyHint};
use crate::protect::entity::Entity;

pub(super) fn find_v4(text: &[u8], hint: KeyHint, hits: &mut Vec<Hit>) {
    if hint.has(KeyHint::VERSION) && !hint.has(KeyHint::IP) {
        return;
    }
    let mut i = 0;
    while i < text.len() {
        if !text[i].is_ascii_digit() {
            i += 1;
            continue;
        }
        let dotted = super::before(text, i, |byte| *byte == b'.')
            && super::before(text, i - 1, |byte| byte.is_ascii_alphanumeric());
        let starts = !dotted && !super::before(text, i, u8::is_ascii_alphanumeric);
        if let Some((octets, end)) = starts.then(|| quad(text, i)).flatten() {
            let local = octets[0] == 127 || octets == [0; 4];
            // A port is an address's.
            let port = super::at(text, end, |byte| *byte == b':')
                && super::at(text, end + 1, u8::is_ascii_digit);
            if !local && (hint.has(KeyHint::IP) || port || !is_version(text, i)) {
                hits.push(Hit::new(i, end, Entity::IpAddress));
            }
            i = end;
        } else {
            i += text[i..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        }
    }
}

/// Four numbers up to 255 with dots between, not followed by more of them.
fn quad(text: &[u8], start: usize) -> Option<([u8; 4], usize)> {
    let (mut octets, mut i) = ([0u8; 4], start);
    for (k, octet) in octets.iter_mut().enumerate() {
        if k > 0 {
            if !super::at(text, i, |byte| *byte == b'.') {
                return None;
            }
            i += 1;
        }
        let n = text[i..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=3).contains(&n) {
            return None;
        }
        let value = text[i..i + n].iter().fold(0u32, |sum, b| sum * 10 + u32::from(b - b'0'));
        *octet = u8::try_from(value).ok()?;
        i += n;
    }
    let more = super::at(text, i, |byte| *byte == b'.')
        && super::at(text, i + 1, |byte| byte.is_ascii_alphanumeric());
    let word = super::at(text, i, u8::is_ascii_alphanumeric);
    // A domain that begins like an address (`1.2.3.4.nip.io`) still holds one.
    let digits_more = more && super::at(text, i + 1, u8::is_ascii_digit);
    (!digits_more && !word).then_some((octets, i))
}

/// Whether what stands before makes a version of four numbers.
fn is_version(text: &[u8], start: usize) -> bool {
    let head = &text[start.saturating_sub(24)..start];
    let operator = [&b"=="[..], b">=", b"<=", b"~=", b"!=", b"^"];
    if operator.iter().any(|operator| head.trim_ascii_end().ends_with(operator)) {
        return true;
    }
    if let [before @ .., b'/'] = head {
        return is_product(before);
    }
    let marks = |byte: &u8| matches!(byte, b' ' | b':' | b'=' | b'"' | b'\'' | b'-' | b'_');
    let end = head.len() - head.iter().rev().take_while(|byte| marks(byte)).count();
    let len = head[..end].iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = &head[end - len..end];
    // An agent in a sentence is a machine.
    len > 1 && !word.eq_ignore_ascii_case(b"agent") && context::of_key(word).has(KeyHint::VERSION)
}

/// `Chrome/120.0.0.1`, `curl/7.1.2.3`: a user agent's product; not `/hosts/10.0.0.1`.
fn is_product(head: &[u8]) -> bool {
    const LOWER: [&[u8]; 8] =
        [b"curl", b"wget", b"python", b"requests", b"okhttp", b"kube-probe", b"axios", b"node"];
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let len = head.iter().rev().take_while(|byte| inside(byte)).count();
    let (rest, word) = head.split_at(head.len() - len);
    let path = rest.last() == Some(&b'/');
    if context::is_versions(word) {
        // `/models/fraud/versions/1.2.3.4`.
        return true;
    }
    let upper = word.first().is_some_and(u8::is_ascii_uppercase);
    !path && (upper || LOWER.iter().any(|product| word.ends_with(product)))
}

pub(super) fn find_v6(text: &[u8], hits: &mut Vec<Hit>) {
    let inside = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let alone = |byte: &u8| !byte.is_ascii_alphanumeric();
    let mut i = 0;
    while let Some(colon) = memchr::memchr(b':', &text[i..]).map(|n| n + i) {
        let start = colon - text[i..colon].iter().rev().take_while(|byte| inside(byte)).count();
        let mut end = colon + text[colon..].iter().take_while(|byte| inside(byte)).count();
        i = end.max(colon + 1);
        if text.get(end).is_some_and(|byte| !alone(byte)) {
            continue;
        }
        while end > start && text[end - 1] == b'.' {
            end -= 1;
        }
        let glued = start > 0 && !alone(&text[start - 1]);
        if let Some((from, to)) = address_in(&text[start..end], glued) {
            hits.push(Hit::new(start + from, start + to, Entity::IpAddress));
        }
    }
}

/// The address in a run of its characters: all of it, or without a word or two before it
/// (`peer:2001:db8::1`; `glued`: the run's first group belongs to one) and without a port behind.
fn address_in(run: &[u8], glued: bool) -> Option<(usize, usize)> {
    const LEN_MAX: usize = 64;
    let single = |at: usize| {
        run[at] == b':' && run.get(at + 1) != Some(&b':') && !super::before(run, at, |b| *b == b':')
    };
    let singles = || (0..run.len()).filter(|at| single(*at));
    if run.len() > LEN_MAX {
        return None;
    }
    let starts = std::iter::once(0).filter(|_| !glued).chain(singles().map(|at| at + 1).take(3));
    let port = (0..run.len()).rev().find(|at| single(*at));
    let ends = [Some(run.len()), port];
    let ranges = starts.flat_map(|from| ends.into_iter().flatten().map(move |to| (from, to)));
    ranges.into_iter().find(|(from, to)| from < to && is_v6(&run[*from..*to]))
}

fn is_v6(candidate: &[u8]) -> bool {
    let n_colons = memchr::memchr_iter(b':', candidate).count();
    let compressed = memchr::memmem::find(candidate, b"::").is_some();
    if candidate.len() > 45 || !(compressed || n_colons == 7 || n_colons == 6) {
        return false;
    }
    let Ok(text) = std::str::from_utf8(candidate) else {
        return false;
    };
    let Ok(address) = text.parse::<Ipv6Addr>() else {
        return false;
    };
    if address.is_loopback() || address.is_unspecified() {
        return false;
    }
    // Slices (`x[1::2]`) and paths (`a::b`) parse too; no address in use begins so.
    let first = candidate.split(|byte| *byte == b':').next().unwrap_or_default();
    let n_hex = candidate.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
    let digit = candidate.iter().any(u8::is_ascii_digit);
    !compressed || (digit && (first.len() >= 3 || n_hex >= 5))
}

pub(super) fn find_mac(text: &[u8], seen: Seen, hits: &mut Vec<Hit>) {
    let marks = [(b':', 2), (b'-', 2), (b'.', 4)];
    let present = [Seen::COLON, Seen::DASH, Seen::DOT];
    for ((mark, step), bit) in marks.into_iter().zip(present) {
        if !seen.has(bit) {
            continue;
        }
        let mut floor = 0;
        for at in memchr::memchr_iter(mark, text) {
            let Some(start) = at.checked_sub(step).filter(|start| *start >= floor) else {
                continue;
            };
            if let Some(end) = mac_end(text, start, mark, step) {
                hits.push(Hit::new(start, end, Entity::MacAddress));
                floor = end;
            }
        }
    }
}

fn mac_end(text: &[u8], start: usize, mark: u8, step: usize) -> Option<usize> {
    let n_groups = 12 / step;
    let end = start + 12 + n_groups - 1;
    let bytes = text.get(start..end)?;
    let shape = bytes.iter().enumerate().all(|(i, byte)| match i % (step + 1) == step {
        true => *byte == mark,
        false => byte.is_ascii_hexdigit(),
    });
    let alone = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != mark;
    let bounded = (start == 0 || alone(&text[start - 1])) && text.get(end).is_none_or(alone);
    // Pairs of decimal digits with dashes are dates and times: `20-26-11-23-10-30`.
    let letters = bytes.iter().any(u8::is_ascii_alphabetic);
    (shape && bounded && (letters || mark == b':')).then_some(end)
}
