//! Credentials with a shape: web tokens, vendors' keys, `Bearer …` and `Basic …`.
//!
//! Necessary condition: at the start of a word `eyJ`, a prefix of [`PREFIXES`], or `bearer` or
//! `basic` in any case.

use super::Hit;
use crate::event::json::block::{Block, Native};
use crate::event::json::scan::load16;
use crate::protect::entity::{Entity, EntitySet};

/// What a key's characters are.
#[derive(Clone, Copy, Debug)]
enum Alphabet {
    /// Upper-case letters and digits.
    Upper,
    /// Lower-case hex.
    Hex,
    /// Letters, digits, `_` and `-`.
    Url,
    /// The same and `.`.
    Dotted,
    /// The same with a digit and a capital among them: short prefixes that words have too.
    Mixed,
    /// The same and `/`: a path with the key in it.
    Path,
}

/// Prefix, least number of characters behind it, and their alphabet. From the vendors' own pages
/// and gitleaks' rules; identifiers that grant nothing are left out.
#[rustfmt::skip]
const PREFIXES: [(&[u8], usize, Alphabet); 64] = {
    use Alphabet::{Dotted, Hex, Mixed, Path, Upper, Url};
    [
        (b"AKIA", 16, Upper), (b"ASIA", 16, Upper), (b"ABIA", 16, Upper), (b"ACCA", 16, Upper),
        (b"AIza", 30, Url), (b"ATATT3", 40, Url), (b"AGE-SECRET-KEY-1", 40, Upper),
        (b"EAACEdEose0cBA", 10, Url), (b"GOCSPX-", 20, Url), (b"NRAK-", 20, Upper),
        (b"PMAK-", 40, Url), (b"SG.", 40, Dotted), (b"dop_v1_", 40, Hex), (b"dckr_pat_", 20, Url),
        (b"dapi", 32, Hex), (b"ghp_", 30, Url), (b"gho_", 30, Url), (b"ghu_", 30, Url),
        (b"ghs_", 30, Url), (b"ghr_", 30, Url), (b"github_pat_", 22, Url), (b"glpat-", 16, Url),
        (b"gldt-", 16, Url), (b"glrt-", 16, Url), (b"glsa_", 30, Url), (b"gsk_", 40, Url),
        (b"hooks.slack.com/services/", 20, Path), (b"hf_", 30, Url), (b"hvs.", 20, Url),
        (b"hvb.", 20, Url), (b"lin_api_", 30, Url), (b"lsv2_pt_", 30, Url), (b"lsv2_sk_", 30, Url),
        (b"npm_", 30, Url), (b"nvapi-", 30, Url), (b"pypi-AgEI", 20, Url), (b"pplx-", 40, Url),
        (b"pcsk_", 30, Url), (b"rk_live_", 16, Url), (b"rk_test_", 16, Url), (b"r8_", 30, Url),
        (b"sk_live_", 16, Url), (b"sk_test_", 16, Url), (b"sk-proj-", 20, Url),
        (b"sk-ant-", 20, Url), (b"sk-or-", 20, Url), (b"sk-", 20, Mixed), (b"shpat_", 30, Hex),
        (b"shpss_", 30, Hex), (b"sq0atp-", 20, Url), (b"sq0csp-", 20, Url), (b"sntrys_", 40, Url),
        (b"tvly-", 20, Url), (b"whsec_", 20, Url), (b"xoxb-", 10, Url), (b"xoxp-", 10, Url),
        (b"xoxa-", 10, Url), (b"xoxr-", 10, Url), (b"xoxs-", 10, Url), (b"xoxe-", 10, Url),
        (b"xoxe.", 10, Dotted), (b"xapp-", 10, Url), (b"xai-", 40, Url), (b"ya29.", 20, Dotted),
    ]
};

/// The longest key of [`Alphabet::Mixed`]; also what keeps a row of prefixes linear.
const MIXED_MAX: usize = 256;

/// First byte, and in the bits the second one's low five: what a credential may begin with.
const FIRST: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < PREFIXES.len() {
        let prefix = PREFIXES[i].0;
        table[prefix[0] as usize] |= 1 << (prefix[1] & 31);
        i += 1;
    }
    table[b'e' as usize] |= 1 << (b'y' & 31);
    // Both cases of a letter share their low five bits.
    table[b'b' as usize] |= 1 << (b'e' & 31) | 1 << (b'a' & 31);
    table[b'B' as usize] |= 1 << (b'e' & 31) | 1 << (b'a' & 31);
    table
};

/// For each first byte the prefixes that begin with it: the first one, and behind the last one.
const BY_FIRST: [(u8, u8); 256] = {
    let mut table = [(0u8, 0u8); 256];
    let mut i = 0;
    while i < PREFIXES.len() {
        let first = PREFIXES[i].0[0] as usize;
        if i > 0 {
            assert!(PREFIXES[i - 1].0[0] as usize <= first, "BUG: prefixes in the order of bytes");
        }
        let from = if table[first].1 == 0 { i as u8 } else { table[first].0 };
        table[first] = (from, i as u8 + 1);
        i += 1;
    }
    table
};

fn may_begin(rest: &[u8]) -> bool {
    rest.len() > 1 && FIRST[usize::from(rest[0])] >> (rest[1] & 31) & 1 != 0
}

pub(super) fn find(text: &[u8], set: EntitySet, hits: &mut Vec<Hit>) {
    // Behind an `eyJ` that is no token the same run of characters is not looked at again.
    let (mut from, mut is_inside, mut no_jwt_before) = (0, false, 0);
    while let Some(i) = word_start::<Native>(text, from, is_inside) {
        (from, is_inside) = (i + 1, true);
        if !may_begin(&text[i..]) {
            continue;
        }
        if text[i..].starts_with(b"eyJ") && i >= no_jwt_before && jwt(&text[i..]).is_none() {
            no_jwt_before = i + run(&text[i..], is_url);
        }
        if text[i] == b'e' && i < no_jwt_before {
            continue;
        }
        if let Some(hit) = at(text, i).filter(|hit| set.has(hit.entity)) {
            (from, is_inside) = (hit.end as usize, false);
            hits.push(hit);
        }
    }
}

/// The first letter or digit from `from` on with none before it; `is_inside` says that one stands
/// before `from`.
fn word_start<B: Block>(text: &[u8], mut from: usize, is_inside: bool) -> Option<usize> {
    let mut before = u16::from(is_inside);
    while from < text.len() {
        let block = B::load(&load16(text, from));
        let words = block.alpha() | block.range(b'0', b'9');
        let starts = words & !(words << 1 | before);
        if starts != 0 {
            return Some(from + starts.trailing_zeros() as usize);
        }
        before = words >> 15;
        from += 16;
    }
    None
}

fn at(text: &[u8], i: usize) -> Option<Hit> {
    let rest = &text[i..];
    match rest[0] {
        b'b' | b'B' => scheme(text, i),
        b'e' => jwt(rest).map(|n| Hit::new(i, i + n, Entity::Jwt)),
        _ => key(rest).map(|n| Hit::new(i, i + n, Entity::ApiKey)),
    }
}

fn is_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn run(text: &[u8], inside: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| inside(**byte)).count()
}

/// RFC 7519 and 7516: two to five parts of base64url with dots between, the first a JSON object.
/// The signature may be missing (`alg: none`).
fn jwt(rest: &[u8]) -> Option<usize> {
    if !rest.starts_with(b"eyJ") {
        return None;
    }
    let mut end = run(rest, is_url);
    if end < 10 || rest.get(end) != Some(&b'.') {
        return None;
    }
    let second = run(&rest[end + 1..], is_url);
    if second < 4 && rest.get(end + 1) != Some(&b'.') {
        return None;
    }
    end += 1 + second;
    for _ in 0..3 {
        if rest.get(end) != Some(&b'.') {
            break;
        }
        end += 1 + run(&rest[end + 1..], is_url);
    }
    Some(end)
}

fn key(rest: &[u8]) -> Option<usize> {
    let (from, to) = BY_FIRST[usize::from(rest[0])];
    PREFIXES[usize::from(from)..usize::from(to)].iter().find_map(|(prefix, least, alphabet)| {
        let tail = rest.strip_prefix(*prefix)?;
        let n = match alphabet {
            Alphabet::Upper => run(tail, |b| b.is_ascii_uppercase() || b.is_ascii_digit()),
            Alphabet::Hex => run(tail, |b| b.is_ascii_hexdigit()),
            Alphabet::Url => run(tail, is_url),
            Alphabet::Mixed => run(&tail[..tail.len().min(MIXED_MAX)], is_url),
            Alphabet::Dotted => run(tail, |b| is_url(b) || b == b'.'),
            Alphabet::Path => run(tail, |b| is_url(b) || b == b'/'),
        };
        let head = &tail[..n.min(MIXED_MAX)];
        let mixed = head.iter().any(u8::is_ascii_digit) && head.iter().any(u8::is_ascii_uppercase);
        let plausible = !matches!(alphabet, Alphabet::Mixed) || mixed;
        // `AKIA` and sixteen more are the whole word; longer words are something else.
        let bounded = !matches!(alphabet, Alphabet::Upper | Alphabet::Hex)
            || !super::at(tail, n, u8::is_ascii_alphanumeric);
        (n >= *least && plausible && bounded).then_some(prefix.len() + n)
    })
}

/// RFC 6750 and 7617. The word itself stays, so that a reader sees what was there.
fn scheme(text: &[u8], i: usize) -> Option<Hit> {
    let rest = &text[i..];
    let is = |word: &[u8]| rest.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word));
    let bearer = is(b"bearer");
    let word = if bearer { 6 } else { 5 };
    if !bearer && !is(b"basic") {
        return None;
    }
    let gap = run(&rest[word..], |byte| matches!(byte, b' ' | b'\t' | b':' | b'='));
    if gap == 0 || gap > 4 {
        return None;
    }
    let start = word + gap;
    let mark = |byte| matches!(byte, b'.' | b'_' | b'~' | b'+' | b'/' | b'-' | b'=');
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || mark(byte);
    // The head alone decides, so that a row of such words is not read to its end for each.
    let head = &rest[start..rest.len().min(start + 64)];
    let head = &head[..run(head, inside)];
    if !if bearer { is_token(head) } else { is_user_and_password(head) } {
        return None;
    }
    let n = run(&rest[start..], inside);
    Some(Hit::new(i + start, i + start + n, Entity::BearerToken))
}

/// No word of a sentence about bearers: long, or with a digit, or with capitals inside.
fn is_token(token: &[u8]) -> bool {
    let capital = token.iter().skip(1).any(u8::is_ascii_uppercase);
    token.len() >= 24 || (token.len() >= 6 && (capital || token.iter().any(u8::is_ascii_digit)))
}

/// Base64 of a text with a colon.
fn is_user_and_password(token: &[u8]) -> bool {
    let mut decoded = [0u8; 48];
    let n = crate::protect::views::base64::decode(token, &mut decoded);
    token.len() >= 4 && decoded[..n].contains(&b':') && !decoded[..n].iter().any(|b| *b < 0x20)
}
