//! The prefilter of the detectors: could this value hold personal data or a secret at all?
//!
//! Two levels. [`Classes::is_suspect`] asks a few bit questions of the class masks that the scan of a
//! string yields anyway; it is meant to say no for ids, words, versions and times at the cost of a
//! few cycles. [`could_hold`] looks again, exactly, at the values that the first level let pass and
//! at text of any length. Behind both stand the validators of `protect`, which decide.
//!
//! Invariant: both levels are supersets of the validators. A property test beside the validators
//! holds it (they lie a floor above); a shape here may be loosened freely, never tightened without it.
//! Values with a backslash, a control byte or a non-ASCII byte never come here: they go to the
//! validators at once.

use super::block::Block;
use super::scan::load16;

/// Longest value that the first level describes; a longer one is always looked at again.
pub const CLASSES_LEN: usize = 64;

/// Which bytes of a value of at most 64 bytes belong to which class. Bit `i` is byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// `0-9`
    pub digit: u64,
    /// `a-z`
    pub lower: u64,
    /// `A-Z`
    pub upper: u64,
    /// `.`
    pub dot: u64,
    /// `:`
    pub colon: u64,
    /// `@`, `%`, `=`, `+`: none of them is common in ids, words, versions or times.
    pub rare: u64,
}

/// Bits that begin a run of at least `n` set bits.
#[inline(always)]
const fn runs<const N: u32>(mut bits: u64) -> u64 {
    let mut have = 1;
    while have * 2 <= N {
        bits &= bits >> have;
        have *= 2;
    }
    if N > have {
        bits &= bits >> (N - have);
    }
    bits
}

impl Classes {
    /// Adds the block whose first byte is byte `at` of the value; bits outside `within` are not its.
    #[inline(always)]
    pub fn add<B: Block>(&mut self, block: B, at: usize, within: u16) {
        let put = |bits: u16| u64::from(bits & within) << at;
        self.digit |= put(block.range(b'0', b'9'));
        self.lower |= put(block.range(b'a', b'z'));
        self.upper |= put(block.range(b'A', b'Z'));
        self.dot |= put(block.eq(b'.'));
        self.colon |= put(block.eq(b':'));
        self.rare |= put(block.any4(*b"@%=+"));
    }

    /// Describes up to 64 bytes of `bytes` from `start`, ending before `end`.
    #[must_use]
    pub fn of<B: Block>(bytes: &[u8], start: usize, end: usize) -> Self {
        let mut classes = Self::default();
        let len = (end - start).min(CLASSES_LEN);
        for at in (0..len).step_by(16) {
            let within = if len - at >= 16 { u16::MAX } else { (1u16 << (len - at)) - 1 };
            classes.add(B::load(&load16(bytes, start + at)), at, within);
        }
        classes
    }

    /// The first level. `len` is the length of the value.
    #[inline(always)]
    #[must_use]
    pub fn is_suspect(&self, len: usize) -> bool {
        let alpha = self.lower | self.upper;
        let alnum = alpha | self.digit;
        // Seven bytes without a letter, seven digits in all: dates, phones, cards, social security.
        let others = !alpha & low_bits(len);
        let numbers = self.digit.count_ones() >= 7 && runs::<7>(others) != 0;
        // Tokens and base64: long runs, or shorter ones that mix capitals with the rest.
        let token = runs::<15>(alnum) != 0 || (self.upper != 0 && runs::<12>(alnum) != 0);
        let address = self.dot.count_ones() >= 3
            || self.colon & (self.colon >> 1) != 0
            || self.colon.count_ones() >= 3;
        // `password: x`, `http://`.
        let labelled = alpha & (self.colon >> 1) != 0;
        self.rare != 0 || numbers || token || address || labelled
    }
}

#[inline(always)]
const fn low_bits(n: usize) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

/// How far the windows of [`could_hold`] overlap: longer than the part by which any shape is known.
const OVERLAP: usize = 48;

/// The second level, for a plain value or text of any length: `bytes[start..end]`.
#[must_use]
pub fn could_hold<B: Block>(bytes: &[u8], start: usize, end: usize) -> bool {
    let mut at = start;
    loop {
        if window_could_hold::<B>(bytes, at, end.min(at + CLASSES_LEN)) {
            return true;
        }
        if at + CLASSES_LEN >= end {
            return false;
        }
        at += CLASSES_LEN - OVERLAP;
    }
}

fn window_could_hold<B: Block>(bytes: &[u8], start: usize, end: usize) -> bool {
    let classes = Classes::of::<B>(bytes, start, end);
    if !classes.is_suspect(end - start) && !speaks_of_secrets(bytes, start, end) {
        return false;
    }
    let text = bytes.get(start..end).unwrap_or_default();
    let of = |set: &[u8]| {
        let bit = |i: usize, b: &u8| u64::from(set.contains(b)) << i;
        text.iter().enumerate().fold(0u64, |bits, (i, b)| bits | bit(i, b))
    };
    classes.rare != 0
        || numbers_could_hold(&classes, of(b"-. /()_,;|\xa0"), end - start)
        || address_could_hold(&classes)
        || token_could_hold(&classes, text)
        || classes.colon & ((classes.lower | classes.upper) << 1) != 0
        || speaks_of_secrets(bytes, start, end)
}

/// Cards (13 digits and more, single separators), social security numbers, phones.
fn numbers_could_hold(classes: &Classes, separators: u64, len: usize) -> bool {
    let digit = classes.digit;
    let joined = digit | (separators & low_bits(len));
    let card = digit.count_ones() >= 13 && runs::<13>(joined) != 0;
    // ddd-dd-dddd with any separator between.
    let between = (separators >> 3) & (separators >> 6);
    let three = runs::<3>(digit);
    let social = three & between & (runs::<2>(digit) >> 4) & (runs::<4>(digit) >> 7) != 0;
    // Eight bytes of digits and separators, a separator between digits (or two: `) `).
    let inner =
        separators & ((digit << 1) | (digit << 2)) & ((digit >> 1) | (digit >> 2)) & low_bits(len);
    let phone = digit.count_ones() >= 7 && runs::<8>(joined) != 0 && inner != 0;
    card || social || phone
}

/// IPv4: three dots two to four apart; IPv6: `::` or three colons at most five apart.
fn address_could_hold(classes: &Classes) -> bool {
    let near = |bits: u64| bits & ((bits >> 2) | (bits >> 3) | (bits >> 4));
    let dotted = classes.dot & (classes.digit << 1) & (classes.digit >> 1);
    let four = near(near(dotted) & dotted);
    let colon = classes.colon;
    let close = |bits: u64, next: u64| {
        bits & ((next >> 1) | (next >> 2) | (next >> 3) | (next >> 4) | (next >> 5))
    };
    let six = close(colon, close(colon, colon)) != 0 || colon & (colon >> 1) != 0;
    four != 0 || near(dotted).count_ones() >= 2 || six
}

/// Keys, tokens, base64 and IBANs: long runs that are not plain lower-case hex.
fn token_could_hold(classes: &Classes, text: &[u8]) -> bool {
    let alnum = classes.lower | classes.upper | classes.digit;
    let iban = classes.upper
        & (classes.upper >> 1)
        & (classes.digit >> 2)
        & (classes.digit >> 3)
        & !(alnum << 1);
    if iban != 0 {
        return true;
    }
    let mixed = classes.upper != 0 && runs::<12>(alnum) != 0;
    if !mixed && runs::<15>(alnum) == 0 {
        return false;
    }
    let mut runs = text.split(|b| !b.is_ascii_alphanumeric());
    runs.any(|run| {
        let is_hex = run.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        run.len() >= 12 && !is_hex
    })
}

/// `Bearer x`, `Basic x`, `-----BEGIN`: words that announce a secret without a colon.
fn speaks_of_secrets(bytes: &[u8], start: usize, end: usize) -> bool {
    let text = bytes.get(start..end).unwrap_or_default();
    if text.len() < 6 {
        return false;
    }
    memchr::memchr2_iter(b' ', b'-', text).any(|at| {
        let before =
            |word: &[u8]| at >= word.len() && text[at - word.len()..at].eq_ignore_ascii_case(word);
        text[at] == b' ' && (before(b"bearer") || before(b"basic"))
            || text[at..].starts_with(b"-----")
    })
}

#[cfg(test)]
mod tests {
    use super::super::block::{Native, Swar};
    use super::*;

    fn suspect(text: &str) -> bool {
        let bytes = text.as_bytes();
        let classes = Classes::of::<Native>(bytes, 0, bytes.len());
        assert_eq!(classes, Classes::of::<Swar>(bytes, 0, bytes.len()));
        let first = classes.is_suspect(bytes.len());
        let second = could_hold::<Native>(bytes, 0, bytes.len());
        assert_eq!(second, could_hold::<Swar>(bytes, 0, bytes.len()));
        first && second
    }

    #[test]
    fn everyday_values_are_not_suspect() {
        for text in [
            "fraud_detector",
            "v2.3.1",
            "prediction_completed",
            "u-000123456789",
            "info",
            "",
            "3f1c0a9e-5b7d-4c2e-9a1f-0d3c5e7b9a1d",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "merchant_1234",
            "eu-west-1",
            "00f067aa0ba902b7",
            "de305d54-75b4-431b-adb2-eb6b9e546014",
        ] {
            assert!(!suspect(text), "{text}");
        }
    }

    #[test]
    fn secrets_are_suspect() {
        for text in [
            "bob@example.com",
            "4111111111111111",
            "4111 1111 1111 1111",
            "078-05-1120",
            "+442071234567",
            "020 7123 4567",
            "(212) 555-0199",
            "192.168.0.1",
            "::1",
            "fe80::1",
            "2001:db8:0:0:1:0:0:1",
            "DE89370400440532013000",
            "DE89 3704 0044 0532 0130 00",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
            "1.2.3.4",
            "password: hunter2",
            "a%40b.co",
            "Ym9iQHguY29t",
        ] {
            assert!(suspect(text), "{text}");
        }
        let far = format!("{}4111 1111 1111 1111 {}", "word ".repeat(40), "word ".repeat(9));
        assert!(could_hold::<Native>(far.as_bytes(), 0, far.len()));
        assert!(could_hold::<Native>(b"use Bearer abc please", 0, 21));
    }

    #[test]
    fn runs_of_bits() {
        assert_eq!(runs::<3>(0b1110_0111_1011), 0b0010_0000_1000 | 0b0001_0000);
        assert_eq!(runs::<1>(0b101), 0b101);
        assert_eq!(runs::<7>(0x7f), 1);
        assert_eq!(runs::<7>(0x3f), 0);
    }
}
