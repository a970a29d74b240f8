//! The detectors: exact hand validators over plain text, with boundaries.
//!
//! [`find`] is linear in the text, without backtracking or allocation. One pass over the bytes
//! (`Seen`) says which families can match at all; each family then looks only at its anchors.
//! Every family's file states in its first lines the *necessary condition* of a hit: a prefilter
//! must let pass whatever fulfils it.
//!
//! Deliberately knows nothing of escapes, percent signs and other spellings: see [`super::views`].
//! Deliberately has no names and no street addresses: without a model they cannot be told from
//! words.
//!
//! # Why
//! Regular expressions were measured at 700 ns a line for a dozen patterns, and they cannot say
//! what matters here: "a run of digits that is no fraction of a double".

mod before;
mod card;
mod email;
mod iban;
pub(super) mod integer;
mod ip;
mod numbers;
pub mod pair;
pub mod pem;
mod phone;
mod secret;
mod ssn;
mod token;

use super::context::KeyHint;
use super::entity::{Entity, EntitySet};
use crate::event::json::block::{Block, Native};

/// Something found: a range of bytes and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// First byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
    /// What it is.
    pub entity: Entity,
}

impl Hit {
    fn new(start: usize, end: usize, entity: Entity) -> Self {
        // Texts are parts of lines, and lines are far below 4 GiB.
        Self { start: start as u32, end: end as u32, entity }
    }
}

/// Appends to `hits` all that `set` names and `text` holds. Hits may overlap and stand in any
/// order. `text` is at most 4 GiB long.
pub fn find(text: &[u8], set: EntitySet, hint: KeyHint, hits: &mut Vec<Hit>) {
    find_seen(text, Seen::of(text), set, hint, hits);
}

/// [`find`] for a caller who has looked at the bytes already.
pub(super) fn find_seen(
    text: &[u8],
    seen: Seen,
    set: EntitySet,
    hint: KeyHint,
    hits: &mut Vec<Hit>,
) {
    if seen.has(Seen::AT) && set.has(Entity::Email) {
        email::find(text, hits);
    }
    if seen.n_digits >= 7 {
        numbers::find(text, set, hint, hits);
    }
    if seen.n_digits >= 2 && text.len() >= 15 && set.has(Entity::Iban) {
        iban::find(text, hits);
    }
    if seen.has(Seen::DOT) && seen.n_digits >= 4 && set.has(Entity::IpAddress) {
        ip::find_v4(text, hint, hits);
    }
    if seen.has(Seen::COLON) && set.has(Entity::IpAddress) {
        ip::find_v6(text, hits);
    }
    if text.len() >= 14 && set.has(Entity::MacAddress) {
        ip::find_mac(text, seen, hits);
    }
    if text.len() >= 12 {
        token::find(text, set, hits);
    }
    if set.has(Entity::Secret) {
        secret::find(text, seen, hits);
    }
    if seen.has(Seen::DASH) && set.has(Entity::Pem) {
        pem::find(text, hits);
    }
}

/// Whether a text that the prefilter suspects for its one colon and nothing else
/// ([`crate::event::json::shapes::Suspicion::Label`]) holds nothing: the key before it names no
/// secret.
#[must_use]
pub fn is_clean_label(text: &[u8]) -> bool {
    secret::is_clean_label(text)
}

/// What a JSON number is, under a key that says that it is more than a number. `4111111111111111.0`
/// and `4.111111111111111e15` are the number that a float column made of it.
#[must_use]
pub fn number(token: &[u8], set: EntitySet, hint: KeyHint) -> Option<Entity> {
    if !hint.wants_numbers() {
        return None;
    }
    let (digits, n) = integer::digits(token)?;
    let digits = &digits[..n];
    if hint.has(KeyHint::CARD)
        && set.has(Entity::CreditCard)
        && card::is_card(digits.iter().copied())
    {
        return Some(Entity::CreditCard);
    }
    if hint.has(KeyHint::SSN) && set.has(Entity::UsSsn) && ssn::is_number(digits) {
        return Some(Entity::UsSsn);
    }
    let phone = hint.has(KeyHint::PHONE) && set.has(Entity::Phone) && (10..=15).contains(&n);
    phone.then_some(Entity::Phone)
}

/// Whether a string under such a key is a number as a whole (`"4.111111111111111e15"`).
pub(super) fn is_whole_number(text: &[u8], set: EntitySet, hint: KeyHint) -> bool {
    hint.wants_numbers() && !set.is_empty() && text.first().is_some_and(u8::is_ascii_digit)
}

/// What one pass over a text saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    bits: u8,
    pub(super) n_digits: u32,
    /// [`BASE64_MIN`] base64 characters stand in a row somewhere.
    pub(super) has_base64: bool,
}

impl Seen {
    /// `@`.
    const AT: u8 = 1;
    const COLON: u8 = 1 << 1;
    const DOT: u8 = 1 << 2;
    const DASH: u8 = 1 << 3;
    /// `=` or `:`.
    const ASSIGN: u8 = 1 << 4;
    pub(super) const BACKSLASH: u8 = 1 << 5;
    pub(super) const PERCENT: u8 = 1 << 6;
    /// A byte of no ASCII character, or the start of a colour code.
    pub(super) const HIGH: u8 = 1 << 7;

    pub(super) fn of(text: &[u8]) -> Self {
        Self::by::<Native>(text)
    }

    /// Sixty-four bytes at a time; zeros stand in for what is missing of the last ones.
    fn by<B: Block>(text: &[u8]) -> Self {
        let mut seen = Self::default();
        let mut last_words = 0u64;
        let (whole, rest) = text.as_chunks::<64>();
        let mut padded = [0u8; 64];
        padded[..rest.len()].copy_from_slice(rest);
        let rest = (!rest.is_empty()).then_some(&padded);
        for chunk in whole.iter().chain(rest) {
            let mut words = 0u64;
            let mut digits = 0u64;
            for (place, bytes) in chunk.as_chunks::<16>().0.iter().enumerate() {
                let block = B::load(bytes);
                let digit = block.range(b'0', b'9');
                let (dash, colon) = (block.eq(b'-'), block.eq(b':'));
                let word = digit | dash | block.alpha() | block.any4(*b"+/__");
                words |= u64::from(word) << (16 * place);
                digits |= u64::from(digit) << (16 * place);
                let backslash = block.eq(b'\\');
                let high = block.special() & !backslash & !block.range(0, 0x1f);
                let bit = |mask: u16, bit: u8| if mask == 0 { 0 } else { bit };
                seen.bits |= bit(block.eq(b'@'), Self::AT)
                    | bit(colon, Self::COLON)
                    | bit(block.eq(b'.'), Self::DOT)
                    | bit(dash, Self::DASH)
                    | bit(colon | block.eq(b'='), Self::ASSIGN)
                    | bit(backslash, Self::BACKSLASH)
                    | bit(block.eq(b'%'), Self::PERCENT)
                    | bit(high | block.eq(ESCAPE), Self::HIGH);
            }
            seen.n_digits += digits.count_ones();
            seen.has_base64 |= has_run(last_words, words);
            last_words = words;
        }
        seen
    }

    pub(super) fn has(self, bit: u8) -> bool {
        self.bits & bit != 0
    }
}

/// What terminals' colour codes begin with.
const ESCAPE: u8 = 0x1B;
/// Runs of base64 characters from this length on are decoded: the shortest address has nine bytes.
pub const BASE64_MIN: usize = 12;

/// Whether [`BASE64_MIN`] set bits stand in a row, the last of them in `bits`.
fn has_run(before: u64, bits: u64) -> bool {
    const LATER: usize = BASE64_MIN - 1;
    let mut runs = u128::from(bits) << LATER | u128::from(before >> (64 - LATER));
    for shift in [1, 2, 4, BASE64_MIN - 8] {
        runs &= runs >> shift;
    }
    runs != 0
}

/// The character that ends before `end`: its first byte's position, and itself where it is valid.
fn char_before(text: &[u8], end: usize) -> Option<(usize, Option<char>)> {
    let mut start = end.checked_sub(1)?;
    while start > 0 && end - start < 4 && text[start] & 0xC0 == 0x80 {
        start -= 1;
    }
    let decoded = std::str::from_utf8(&text[start..end]).ok();
    match decoded.and_then(|valid| valid.chars().next()) {
        Some(c) => Some((start, Some(c))),
        None => Some((end - 1, None)),
    }
}

/// The character that begins at `start`: the position behind it, and itself where it is valid.
fn char_after(text: &[u8], start: usize) -> Option<(usize, Option<char>)> {
    let len = match *text.get(start)? {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    };
    let decoded = text.get(start..start + len).and_then(|bytes| std::str::from_utf8(bytes).ok());
    match decoded.and_then(|valid| valid.chars().next()) {
        Some(c) => Some((start + len, Some(c))),
        None => Some((start + 1, None)),
    }
}

/// Whether the byte before `at` satisfies `test`.
fn before(text: &[u8], at: usize, test: impl Fn(&u8) -> bool) -> bool {
    at > 0 && text.get(at - 1).is_some_and(test)
}

/// Whether the byte at `at` satisfies `test`.
fn at(text: &[u8], at: usize, test: impl Fn(&u8) -> bool) -> bool {
    text.get(at).is_some_and(test)
}

/// Whether `start` lies inside of a UUID (8-4-4-4-12 hex digits).
fn in_uuid(text: &[u8], start: usize) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    (0..36usize).any(|offset| {
        let Some(bytes) = start.checked_sub(offset).and_then(|from| text.get(from..from + 36))
        else {
            return false;
        };
        let shape = |(i, byte): (usize, &u8)| match DASHES.contains(&i) {
            true => *byte == b'-',
            false => byte.is_ascii_hexdigit(),
        };
        bytes.iter().enumerate().all(shape)
    })
}

#[cfg(test)]
mod tests;
