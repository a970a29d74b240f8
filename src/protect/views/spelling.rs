//! The three spellings that text is decoded from, and where a raw range may end.
//!
//! Every pass only ever shortens: an escape, a triplet or a folded character becomes fewer bytes.

use crate::event::json::block::{Block, Native};
use crate::protect::find::Seen;

/// One way in which plain text is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `\u0040`, `\/`, `\"`, also Python's `\x40`.
    Escapes,
    /// `%40`, `%C3%B6`: what encoders write, and nothing that could be a percent sign before a word
    /// or a number (`%Bearer`, `100%4111…`).
    PercentMarks,
    /// The same for every `%` with two digits behind it.
    Percent,
    /// Full-width forms, digits of other scripts, special spaces and dashes; invisible characters
    /// and the colour codes of terminals, which stand between key and value in development logs.
    Folded,
}

impl Spelling {
    /// In the order in which they are tried: folding parts nothing, while a backslash or a percent
    /// sign may stand for itself before a letter that is none of its own.
    pub(super) const ALL: [Spelling; 4] =
        [Spelling::Folded, Spelling::Escapes, Spelling::PercentMarks, Spelling::Percent];

    /// The bit of [`Seen`] without which there is nothing to decode.
    pub(super) fn sign(self) -> u8 {
        match self {
            Spelling::Escapes => Seen::BACKSLASH,
            Spelling::PercentMarks | Spelling::Percent => Seen::PERCENT,
            Spelling::Folded => Seen::HIGH,
        }
    }

    /// Decodes all of `source` into `text`, with the origin of each byte (and of the end) in `map`:
    /// offsets into the raw bytes where `source_map` has those of `source`. False when nothing was
    /// there to decode; `text` is then meaningless.
    pub(super) fn decode(
        self,
        source: &[u8],
        source_map: Option<&[u32]>,
        text: &mut Vec<u8>,
        map: &mut Vec<u32>,
    ) -> bool {
        let Some(first) = self.first(source) else { return false };
        text.clear();
        map.clear();
        let origin = |i: usize| source_map.map_or(i as u32, |map| map[i]);
        let mut copied = 0;
        let mut at = first;
        loop {
            text.extend_from_slice(&source[copied..at]);
            map.extend((copied..at).map(origin));
            if at == source.len() {
                break;
            }
            let mut bytes = [0u8; 4];
            let (n_read, n_written) = self.step(&source[at..], &mut bytes);
            if n_read == n_written {
                // What stays comes from itself, byte by byte.
                text.extend_from_slice(&source[at..at + n_read]);
                map.extend((at..at + n_read).map(origin));
            } else {
                text.extend_from_slice(&bytes[..n_written]);
                map.extend(std::iter::repeat_n(origin(at), n_written));
            }
            copied = at + n_read;
            at = self.candidate(source, copied);
        }
        map.push(origin(source.len()));
        true
    }

    /// Where the first thing to decode stands.
    fn first(self, source: &[u8]) -> Option<usize> {
        let mut at = self.candidate(source, 0);
        while at < source.len() {
            let (n_read, n_written) = self.step(&source[at..], &mut [0; 4]);
            if n_written < n_read {
                return Some(at);
            }
            at = self.candidate(source, at + n_read);
        }
        None
    }

    /// The next byte from `from` on that may begin something to decode, else the end.
    fn candidate(self, source: &[u8], from: usize) -> usize {
        let rest = source.get(from..).unwrap_or_default();
        let found = match self {
            Spelling::Escapes => memchr::memchr(b'\\', rest),
            Spelling::PercentMarks | Spelling::Percent => memchr::memchr(b'%', rest),
            Spelling::Folded => first_high(rest),
        };
        found.map_or(source.len(), |n| from + n)
    }

    /// Bytes read, and bytes written into `out`, for what stands at the start of `rest`.
    fn step(self, rest: &[u8], out: &mut [u8; 4]) -> (usize, usize) {
        let byte = rest[0];
        let (decoded, n_read) = match (self, byte) {
            (Spelling::Escapes, b'\\') => escape(rest),
            (Spelling::PercentMarks, b'%') => match marks(rest) {
                Some(c) => (Some(c), 3 * c.len_utf8()),
                None => (None, 1),
            },
            (Spelling::Percent, b'%') => match hex(rest.get(1..3)) {
                Some(value) => {
                    out[0] = value as u8;
                    return (3, 1);
                }
                None => (None, 1),
            },
            (Spelling::Folded, 0x1B) => match colour_len(rest) {
                Some(len) => return (len, 0),
                None => (None, 1),
            },
            (Spelling::Folded, 0x80..) => match character(rest) {
                Some(c) => match fold(c) {
                    Fold::Same => (Some(c), c.len_utf8()),
                    Fold::Byte(folded) => {
                        out[0] = folded;
                        return (c.len_utf8(), 1);
                    }
                    Fold::Nothing => return (c.len_utf8(), 0),
                },
                None => (None, 1),
            },
            _ => (None, 1),
        };
        match decoded {
            Some(c) => (n_read, c.encode_utf8(out).len()),
            None => {
                out[0] = byte;
                (1, 1)
            }
        }
    }
}

/// The first byte of no ASCII character, or of a colour code.
fn first_high(text: &[u8]) -> Option<usize> {
    let is_high = |byte: &u8| *byte >= 0x80 || *byte == 0x1B;
    let (blocks, _) = text.as_chunks::<16>();
    let is_plain = |bytes: &&[u8; 16]| {
        let block = Native::load(bytes);
        block.special() & !block.eq(b'\\') == 0
    };
    let plain = blocks.iter().take_while(is_plain).count() * 16;
    text[plain..].iter().position(is_high).map(|n| plain + n)
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0u32, |value, digit| {
        char::from(*digit).to_digit(16).and_then(|digit| value.checked_mul(16)?.checked_add(digit))
    })
}

/// The character that a run of triplets stands for, unless it is an ASCII letter or digit.
fn marks(rest: &[u8]) -> Option<char> {
    let mut bytes = [0u8; 4];
    for (i, slot) in bytes.iter_mut().enumerate() {
        let triplet = rest.get(3 * i..3 * i + 3).filter(|triplet| triplet[0] == b'%');
        match triplet.and_then(|triplet| hex(Some(&triplet[1..]))) {
            Some(value) => *slot = value as u8,
            None => break,
        }
    }
    hex(rest.get(1..3))?;
    let c = if bytes[0] < 0x80 { Some(char::from(bytes[0])) } else { character(&bytes) };
    c.filter(|c| !c.is_ascii_alphanumeric())
}

/// The first character of `rest`, if it begins with a valid one.
fn character(rest: &[u8]) -> Option<char> {
    let len = match rest[0] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return None,
    };
    std::str::from_utf8(rest.get(..len)?).ok()?.chars().next()
}

/// Whether a backslash in `raw` is more than itself.
pub(super) fn has_escape(raw: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', raw).any(|at| escape(&raw[at..]).0.is_some())
}

/// Bytes of a control sequence that sets colours (ECMA-48 8.3.117), `ESC [ 1 ; 31 m`.
fn colour_len(rest: &[u8]) -> Option<usize> {
    let parameters = rest.strip_prefix(b"\x1b[")?;
    let inside = |byte: &&u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    let n = parameters.iter().take(32).take_while(inside).count();
    (parameters.get(n) == Some(&b'm')).then_some(n + 3)
}

/// What an escape stands for and how long it is; none where the backslash is only itself.
fn escape(rest: &[u8]) -> (Option<char>, usize) {
    let simple = |c: char| (Some(c), 2);
    match rest.get(1) {
        Some(b'n') => simple('\n'),
        Some(b'r') => simple('\r'),
        Some(b't') => simple('\t'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{c}'),
        Some(mark @ (b'"' | b'\\' | b'/' | b'\'' | b'`')) => simple(char::from(*mark)),
        Some(b'x') => (hex(rest.get(2..4)).and_then(char::from_u32), 4),
        Some(b'U') => (hex(rest.get(2..10)).and_then(char::from_u32), 10),
        Some(b'u') => unicode(rest),
        _ => (None, 1),
    }
}

/// `\u0040`, a surrogate pair, or a lone surrogate (as the replacement character).
fn unicode(rest: &[u8]) -> (Option<char>, usize) {
    let Some(unit) = hex(rest.get(2..6)) else {
        return (None, 1);
    };
    if let 0xD800..=0xDBFF = unit {
        let low = rest.get(6..8).filter(|mark| *mark == b"\\u").and_then(|_| hex(rest.get(8..12)));
        if let Some(low @ 0xDC00..=0xDFFF) = low {
            let joined = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            return (char::from_u32(joined), 12);
        }
    }
    (Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)), 6)
}

/// What a character is in ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    Same,
    Byte(u8),
    /// Seen by no reader: zero width, soft hyphens, direction marks, fillers, tags, selectors.
    Nothing,
}

/// First of ten digits in a row, for the scripts that people write numbers in.
const DIGITS: [u32; 23] = [
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xE50,
    0xED0, 0xF20, 0x1040, 0x17E0, 0x1810, 0x2080, 0xFF10, 0x2070, 0x1946, 0x19D0,
];

/// What the table says, and at once for most of what people write: Latin letters with marks, Greek,
/// Cyrillic, Hebrew; the scripts of East Asia.
fn fold(c: char) -> Fold {
    match c as u32 {
        0xC0..0x34F | 0x370..0x61C | 0x3165..0xFE00 => Fold::Same,
        _ => fold_by_table(c),
    }
}

fn fold_by_table(c: char) -> Fold {
    let code = c as u32;
    let digit = DIGITS.iter().find(|first| (**first..**first + 10).contains(&code));
    let byte = match code {
        // Superscript one to three stand apart from the others.
        0xB2 | 0xB3 => b'0' + (code - 0xB0) as u8,
        0xB9 => b'1',
        0xFF01..=0xFF5E => (code - 0xFEE0) as u8,
        0xA0 | 0x1680 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => b' ',
        0x2028 | 0x2029 | 0x85 => b'\n',
        0x2010..=0x2015 | 0x2212 | 0xFE58 | 0xFE63 => b'-',
        0xB7 | 0x2024 | 0x3002 | 0xFF61 | 0xFE52 | 0x2027 => b'.',
        0x2018 | 0x2019 | 0x201B | 0x2032 => b'\'',
        0x201C | 0x201D | 0x201F | 0x2033 => b'"',
        0xFE6B => b'@',
        0xFE55 | 0x2236 => b':',
        0x2044 | 0x2215 => b'/',
        0xFE66 => b'=',
        0x2460..=0x2468 => b'1' + (code - 0x2460) as u8,
        0x24EA => b'0',
        // Mathematical letters and digits.
        0x1D400..=0x1D6A3 => match (code - 0x1D400) % 52 {
            letter @ 0..26 => b'A' + letter as u8,
            letter => b'a' + (letter - 26) as u8,
        },
        0x1D7CE..=0x1D7FF => b'0' + ((code - 0x1D7CE) % 10) as u8,
        0xAD
        | 0x34F
        | 0x61C
        | 0x115F
        | 0x1160
        | 0x180B..=0x180F
        | 0x3164
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x2069
        | 0xFEFF
        | 0xFE00..=0xFE0F
        | 0xFFF9..=0xFFFB
        | 0xE0000..=0xE0FFF => return Fold::Nothing,
        _ => match digit {
            Some(first) => b'0' + (code - first) as u8,
            None => return Fold::Same,
        },
    };
    Fold::Byte(byte)
}

/// Widens a raw range so that it cuts no character, no percent triplet and no escape.
pub(super) fn widen(raw: &[u8], mut start: usize, mut end: usize) -> (usize, usize) {
    // Each is at most twelve bytes long (a surrogate pair), and one can stand inside of another.
    for _ in 0..3 {
        let before = (start, end);
        start = unit_start(raw, start);
        end = unit_end(raw, end);
        if before == (start, end) {
            break;
        }
    }
    (start, end)
}

/// The start of the unit that a cut at `at` would part; `at` itself where it parts none.
fn unit_start(raw: &[u8], at: usize) -> usize {
    unit_around(raw, at).map_or(at, |(start, _)| start)
}

fn unit_end(raw: &[u8], at: usize) -> usize {
    unit_around(raw, at).map_or(at, |(_, end)| end)
}

/// The character, triplet or escape that holds both the byte before `at` and the one at `at`.
fn unit_around(raw: &[u8], at: usize) -> Option<(usize, usize)> {
    if at == 0 || at >= raw.len() {
        return None;
    }
    if raw[at] & 0xC0 == 0x80 {
        let start = (at.saturating_sub(3)..at).rev().find(|i| raw[*i] & 0xC0 == 0xC0)?;
        let end = start + character(&raw[start..])?.len_utf8();
        return (end > at).then_some((start, end));
    }
    for start in (at.saturating_sub(11)..at).rev() {
        let len = match raw[start] {
            b'%' if hex(raw.get(start + 1..start + 3)).is_some() => 3,
            b'\\' if is_escape_start(raw, start) => match escape(&raw[start..]) {
                (Some(_), len) => len,
                (None, _) => 2,
            },
            _ => continue,
        };
        if start + len > at {
            return Some((start, (start + len).min(raw.len())));
        }
    }
    None
}

/// Whether the backslash at `i` opens an escape: an even number of them stands before it.
fn is_escape_start(raw: &[u8], i: usize) -> bool {
    raw[..i].iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A character that the table folds is never taken for a letter before it is asked.
    #[test]
    fn letters_at_once_are_letters_by_the_table() {
        for c in '\0'..=char::MAX {
            assert_eq!(fold(c), fold_by_table(c), "{:x}", c as u32);
        }
    }
}
