//! The prefilter of the detectors: could this value hold personal data or a secret at all?
//!
//! [`Classes`] are the byte classes of a value of at most 64 bytes, which the scan of a string
//! yields on the way to its closing quote; [`Classes::is_suspect`] asks a few bit questions of
//! them. It is meant to say no for ids, words, sentences, versions, hashes and times in a few
//! cycles. Longer values are asked about in windows (`long`). Behind it stand the validators of
//! `protect`, which decide; values with a backslash, a control byte or a non-ASCII byte go to them
//! at once.
//!
//! Invariant: a superset of the validators, each of which states its necessary condition at the
//! head of its file. A property test beside them holds it (they lie a floor above). A shape here
//! may be loosened freely, and tightened only with that test.

use super::block::{Block, Native};
use super::scan::{byte, load16};

mod heads;
mod long;

use heads::begins_like_key;
use long::suspicion_of_long;

/// Longest value that [`Classes`] describe.
pub const CLASSES_LEN: usize = 64;
/// The shortest value that any validator takes: `::2`.
pub const SUSPECT_LEN_MIN: usize = 3;

/// Why a value must go to the validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// It need not.
    None,
    /// For one colon and nothing else: it must if what stands before the colon names a secret.
    Label,
    /// It must.
    Any,
}

impl Suspicion {
    fn of_colons(n_colons: u32, is_label: bool) -> Self {
        match (n_colons, is_label) {
            (_, false) => Self::None,
            (1, true) => Self::Label,
            // `fe80::1` is an address.
            _ => Self::Any,
        }
    }
}

/// Which bytes of a value of at most 64 bytes belong to which class. Bit `i` is byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// `0-9`
    pub digit: u64,
    /// `A-Za-z`
    pub alpha: u64,
    /// `.`
    pub dot: u64,
    /// `:`
    pub colon: u64,
    /// `-`
    pub dash: u64,
    /// `@`, `%` and `=`: none of them occurs in words, ids, versions or times.
    pub rare: u64,
    /// The space.
    pub blank: u64,
    /// `(` and `[`
    pub open: u64,
}

/// The bits at which a run of at least `N` set bits begins.
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

#[inline(always)]
const fn low_bits(n: usize) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

impl Classes {
    /// Adds the block whose first byte is byte `at` of the value; bits outside `within` are not
    /// its.
    #[inline(always)]
    pub fn add<B: Block>(&mut self, block: B, at: usize, within: u16) {
        let put = |bits: u16| u64::from(bits & within) << at;
        self.digit |= put(block.range(b'0', b'9'));
        self.alpha |= put(block.alpha());
        self.dot |= put(block.eq(b'.'));
        self.colon |= put(block.eq(b':'));
        self.dash |= put(block.eq(b'-'));
        self.rare |= put(block.eq(b'@') | block.eq(b'%') | block.eq(b'='));
        self.blank |= put(block.eq(b' '));
        self.open |= put(block.eq(b'(') | block.eq(b'['));
    }

    /// Describes `bytes[start..end]`, at most 64 bytes of it.
    #[must_use]
    pub fn of<B: Block>(bytes: &[u8], start: usize, end: usize) -> Self {
        Self::of_any::<B>(bytes, start, end).0
    }

    /// The same, and whether one of the bytes is no plain text: a backslash, a control byte, or
    /// beyond ASCII.
    #[inline(always)]
    fn of_any<B: Block>(bytes: &[u8], start: usize, end: usize) -> (Self, bool) {
        let (mut classes, mut special) = (Self::default(), 0);
        let len = end.saturating_sub(start).min(CLASSES_LEN);
        for at in (0..len).step_by(16) {
            let within = if len - at >= 16 { u16::MAX } else { (1u16 << (len - at)) - 1 };
            let block = B::load(&load16(bytes, start + at));
            classes.add(block, at, within);
            special |= block.special() & within;
        }
        (classes, special != 0)
    }

    /// Whether the value `bytes[start..start + len]`, which these classes describe, must go to the
    /// validators.
    #[inline(always)]
    #[must_use]
    pub fn is_suspect(&self, bytes: &[u8], start: usize, len: usize) -> bool {
        self.suspicion(bytes, start, len) != Suspicion::None
    }

    #[inline(always)]
    fn suspicion(&self, bytes: &[u8], start: usize, len: usize) -> Suspicion {
        if len == 36 && self.is_uuid(bytes, start) {
            return Suspicion::None;
        }
        let alnum = self.alpha | self.digit;
        // Dates, phones, cards, social security: seven digits in all, seven bytes without a letter.
        let numbers = self.digit.count_ones() >= 7 && self.has_gap(len);
        let address = self.dotted(false).count_ones() >= 3 || self.colon.count_ones() >= 3;
        // `-token x`, `('token', 'x')`: none without a blank.
        let argument = self.blank != 0 && self.open | self.options(false) != 0;
        let iban = if len >= 15 { self.ibans() } else { 0 };
        let any = self.rare | self.dashes() | iban & !(alnum << 1);
        if any != 0 || address || argument || numbers {
            return Suspicion::Any;
        }
        if iban != 0 && is_glued_iban(bytes, start, iban) {
            return Suspicion::Any;
        }
        if len >= WORD_MIN {
            // Words begin at the value's start and behind every mark.
            let starts = (!alnum << 1 | 1) & low_bits(len - KEY_MIN + 1);
            if has_suspect_word(bytes, start, starts, start + len) {
                return Suspicion::Any;
            }
        }
        // `password: x`, `'key': 'x'`, `::`; a colon between digits is a clock's where nothing
        // could be a key (`password1:2345` has letters).
        let clock = if self.alpha == 0 { (self.digit << 1) & (self.digit >> 1) } else { 0 };
        Suspicion::of_colons(self.colon.count_ones(), self.colon & !clock != 0)
    }

    /// Whether seven of the first `len` bytes in a row are no letters.
    #[inline(always)]
    fn has_gap(&self, len: usize) -> bool {
        runs::<7>(!self.alpha & low_bits(len)) != 0
    }

    /// Dots between digits, of which addresses have three; `is_digit` says that one may stand
    /// before all of these bytes.
    #[inline(always)]
    fn dotted(&self, is_digit: bool) -> u64 {
        (self.digit << 1 | u64::from(is_digit)) & self.dot & (self.digit >> 1)
    }

    /// `--token`, `-----BEGIN`, hardware addresses in pairs or fours.
    #[inline(always)]
    fn dashes(&self) -> u64 {
        self.dash & ((self.dash >> 1) | (self.dash >> 3 & self.dash >> 6))
            | self.dot & (self.dot >> 5)
    }

    /// Dashes with no letter or digit before them and no blank behind; `is_inside` says that a
    /// letter or digit stands before all of these bytes.
    #[inline(always)]
    fn options(&self, is_inside: bool) -> u64 {
        let before = (self.alpha | self.digit) << 1 | u64::from(is_inside);
        self.dash & !before & !(self.blank >> 1)
    }

    /// Two letters and two digits.
    #[inline(always)]
    fn ibans(&self) -> u64 {
        self.alpha & (self.alpha >> 1) & (self.digit >> 2) & (self.digit >> 3)
    }

    /// Five groups of lower-case hex: no text, no number, whatever its digits look like.
    fn is_uuid(&self, bytes: &[u8], start: usize) -> bool {
        const DASHES: u64 = 1 << 8 | 1 << 13 | 1 << 18 | 1 << 23;
        let letters = |at: usize| {
            let bits = Native::load(&load16(bytes, start + at)).range(b'a', b'f');
            u64::from(bits) << at
        };
        self.dash == DASHES
            && self.dash | self.digit | self.alpha == low_bits(36)
            && self.alpha & !(letters(0) | letters(16) | letters(32)) == 0
    }
}

/// Whether one of the words at the bits of `starts`, in a value up to `end`, begins like a vendor's
/// key, or like base64 of text.
#[inline]
fn has_suspect_word(bytes: &[u8], start: usize, mut starts: u64, end: usize) -> bool {
    while starts != 0 {
        let at = start + starts.trailing_zeros() as usize;
        let is_text = || at + WORD_MIN <= end && begins_like_text(bytes, at);
        if begins_like_key(bytes, at) || is_text() {
            return true;
        }
        starts &= starts - 1;
    }
    false
}

/// Whether an account number that begins at one of the bits of `starts` follows its own name.
fn is_glued_iban(bytes: &[u8], start: usize, mut starts: u64) -> bool {
    while starts != 0 {
        let at = starts.trailing_zeros() as usize;
        let name = at.checked_sub(4).and_then(|from| bytes.get(start + from..start + at));
        if name.is_some_and(|name| name.eq_ignore_ascii_case(b"IBAN")) {
            return true;
        }
        starts &= starts - 1;
    }
    false
}

/// Shortest base64 word that the validators take, and shortest text in which they look for keys.
const WORD_MIN: usize = 12;
/// Shortest key: `Basic` and four characters.
const KEY_MIN: usize = 10;

/// Whether `bytes[start..end]`, plain bytes, must go to the validators.
#[must_use]
pub fn could_hold<B: Block>(bytes: &[u8], start: usize, end: usize) -> bool {
    let len = end.saturating_sub(start);
    if len > CLASSES_LEN {
        return suspicion_of_long::<B>(bytes, start, end) != Suspicion::None;
    }
    len >= SUSPECT_LEN_MIN && Classes::of::<B>(bytes, start, end).is_suspect(bytes, start, len)
}

/// The same of bytes that may be any, and why: what is not plain goes to the validators.
#[must_use]
#[inline(never)]
pub fn suspicion_of_any<B: Block>(bytes: &[u8], start: usize, end: usize) -> Suspicion {
    let len = end.saturating_sub(start);
    if len > CLASSES_LEN {
        return suspicion_of_long::<B>(bytes, start, end);
    }
    let (classes, is_special) = Classes::of_any::<B>(bytes, start, end);
    match is_special {
        true => Suspicion::Any,
        false if len < SUSPECT_LEN_MIN => Suspicion::None,
        false => classes.suspicion(bytes, start, len),
    }
}

const NO_SEXTET: u8 = 64;

/// Both alphabets of RFC 4648.
const SEXTETS: [u8; 256] = {
    let mut table = [NO_SEXTET; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

/// Whether the twelve bytes at `at` are base64 of nine bytes that could begin a text: printable, or
/// the head of another script's UTF-8.
#[inline(always)]
fn begins_like_text(bytes: &[u8], at: usize) -> bool {
    let sextet = |i: usize| SEXTETS[usize::from(byte(bytes, at + i))];
    let (first, second) = (sextet(0), sextet(1));
    if (first | second) & NO_SEXTET != 0 {
        return false;
    }
    let head = first << 2 | second >> 4;
    // A first byte that begins no text spares the rest: half of all words end here.
    if !may_stand(head) || (0x80..0xc2).contains(&head) {
        return false;
    }
    // The top half of the second byte, whose low half is the third sextet's.
    let next = second << 4;
    let continues = (0x80..0xc0).contains(&next);
    if continues != (head >= 0x80) || (next < 0x20 && next != 0) {
        return false;
    }
    begins_like_text_exactly(bytes, at)
}

fn may_stand(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..)
}

fn begins_like_text_exactly(bytes: &[u8], at: usize) -> bool {
    let mut head = [0u8; 9];
    for quad in 0..3 {
        let mut bits = 0u32;
        for i in 0..4 {
            let sextet = SEXTETS[usize::from(byte(bytes, at + quad * 4 + i))];
            if sextet == NO_SEXTET {
                return false;
            }
            bits = bits << 6 | u32::from(sextet);
        }
        head[quad * 3] = (bits >> 16) as u8;
        head[quad * 3 + 1] = (bits >> 8) as u8;
        head[quad * 3 + 2] = bits as u8;
    }
    let whole = match std::str::from_utf8(&head) {
        Ok(_) => head.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => return false,
    };
    whole > 0 && head[..whole].iter().all(|&byte| may_stand(byte))
}

#[cfg(test)]
mod tests {
    use super::super::block::Swar;
    use super::*;

    fn suspect(text: &str) -> bool {
        let bytes = text.as_bytes();
        let classes = Classes::of::<Native>(bytes, 0, bytes.len());
        assert_eq!(classes, Classes::of::<Swar>(bytes, 0, bytes.len()));
        could_hold::<Native>(bytes, 0, bytes.len())
    }

    #[test]
    fn everyday_values_are_not_suspect() {
        for text in [
            "fraud_detector",
            "v2.3.1",
            "prediction_completed",
            "info",
            "",
            "3f1c0a9e-5b7d-4c2e-9a1f-0d3c5e7b9a1d",
            "12345678-1234-4567-8123-123456789012",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "merchant_1234",
            "eu-west-1",
            "00f067aa0ba902b7",
            "10:30:00",
            "GET /api/v1/orders/{id}",
            "handled batch in 120 ms, 12 features came from the cache",
            "the host answered - data of 3 shards is there, or will be",
            "orders.checkout.svc.cluster.local",
            "loaded the dockerfile, npm packages and build workflows of all 12 services; none failed",
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
            "GB29-NWBK-ABCD-EFGH-IJKL-MN",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x",
            "1.2.3.4",
            "password:hunter2",
            "password1:2345",
            "IBANGB82ABCDEFGHIJKLMNOPQR",
            "a%40b.co",
            "Ym9iQHguY29t",
            "id/Ym9iQHguY29t",
            "00-1B-44-11-3A-B7",
            "001B.4411.3AB7",
            "Bearer abcdef",
            "with Basic dTpi",
            "xoxb-aa-bb-cc-dd",
            "mysql -password hunter2",
            "('x-api-key', 'hunter2')",
        ] {
            assert!(suspect(text), "{text}");
            // Wherever it stands in a long text.
            for before in 0..130 {
                let text = format!("{} {text} and so on, word after word", "a".repeat(before));
                assert!(suspect(&text), "{text}");
            }
        }
    }

    #[test]
    fn runs_of_bits() {
        assert_eq!(runs::<3>(0b1110_0111_1011), 0b0010_0001_1000);
        assert_eq!(runs::<1>(0b101), 0b101);
        assert_eq!(runs::<7>(0x7f), 1);
        assert_eq!(runs::<7>(0x3f), 0);
    }
}
