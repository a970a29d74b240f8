//! The two tokens that every pass over JSON needs: where a string ends and where a number ends.
//!
//! Strict where it counts: an escape is checked, a control byte refuses the line, UTF-8 is
//! validated in the strings that are not plain ASCII, and a number follows RFC 8259 (BigQuery's
//! JSON columns refuse `1.2.3`). Deliberately keeps no state and allocates nothing.

use super::block::Block;

/// Why a line is not the JSON that this scanner takes; such a line is kept and searched as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson;

/// Sixteen bytes at `at`; zeros stand in for what lies behind the slice.
#[inline(always)]
pub fn load16(bytes: &[u8], at: usize) -> [u8; 16] {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => *chunk,
        None => load16_at_end(bytes, at),
    }
}

#[cold]
fn load16_at_end(bytes: &[u8], at: usize) -> [u8; 16] {
    if let Some(last) = bytes.last_chunk() {
        // The last sixteen, without those before `at`.
        let n_before = at + 16 - bytes.len();
        let rest = u128::from_le_bytes(*last).checked_shr(8 * n_before.min(16) as u32);
        return rest.unwrap_or(0).to_le_bytes();
    }
    let mut padded = [0u8; 16];
    let rest = bytes.get(at..).unwrap_or_default();
    padded[..rest.len()].copy_from_slice(rest);
    padded
}

/// The byte at `at`, zero behind the end.
#[inline(always)]
pub fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// Finds the closing quote of the string whose first byte inside the quotes is `start`. Returns its
/// position and whether the inside is anything but plain ASCII without a backslash.
///
/// # Errors
/// [`NotJson`] for a control byte, a bad escape, invalid UTF-8, or no quote before `end`.
#[inline]
pub fn string_end<B: Block>(
    bytes: &[u8],
    start: usize,
    end: usize,
) -> Result<(usize, bool), NotJson> {
    let mut at = start;
    while at < end {
        let block = B::load(&load16(bytes, at));
        let quote = block.eq(b'"');
        let special = block.special();
        let first = quote | special;
        if first == 0 {
            at += 16;
            continue;
        }
        let place = at + first.trailing_zeros() as usize;
        if place >= end {
            return Err(NotJson);
        }
        if special & (first & first.wrapping_neg()) != 0 {
            return special_string_end::<B>(bytes, start, place, end).map(|at| (at, true));
        }
        return Ok((place, false));
    }
    Err(NotJson)
}

/// Continues [`string_end`] at the first byte that is not plain.
#[inline(never)]
fn special_string_end<B: Block>(
    bytes: &[u8],
    start: usize,
    mut at: usize,
    end: usize,
) -> Result<usize, NotJson> {
    let mut is_ascii = true;
    loop {
        if at >= end {
            return Err(NotJson);
        }
        match byte(bytes, at) {
            b'"' => break,
            b'\\' => at += escape_len(bytes, at, end)?,
            0..=0x1f => return Err(NotJson),
            0x80.. => {
                is_ascii = false;
                at += 1;
            }
            _ => {
                let block = B::load(&load16(bytes, at));
                at += ((block.eq(b'"') | block.special()).trailing_zeros() as usize).min(16);
            }
        }
    }
    let inside = bytes.get(start..at).ok_or(NotJson)?;
    if !is_ascii && std::str::from_utf8(inside).is_err() {
        return Err(NotJson);
    }
    Ok(at)
}

/// Length of the escape sequence at `at`; a surrogate pair counts as one. Lone surrogates are
/// refused: no sink could store them as text.
///
/// # Errors
/// [`NotJson`] where RFC 8259 allows no such escape.
pub fn escape_len(bytes: &[u8], at: usize, end: usize) -> Result<usize, NotJson> {
    match byte(bytes, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' if at + 2 <= end => Ok(2),
        b'u' => match hex4(bytes, at + 2, end)? {
            0xd800..=0xdbff => {
                let is_escape = byte(bytes, at + 6) == b'\\' && byte(bytes, at + 7) == b'u';
                let low = hex4(bytes, at + 8, end)?;
                if is_escape && (0xdc00..=0xdfff).contains(&low) { Ok(12) } else { Err(NotJson) }
            }
            0xdc00..=0xdfff => Err(NotJson),
            _ => Ok(6),
        },
        _ => Err(NotJson),
    }
}

fn hex4(bytes: &[u8], at: usize, end: usize) -> Result<u32, NotJson> {
    let digits = bytes.get(at..at + 4).filter(|_| at + 4 <= end).ok_or(NotJson)?;
    digits.iter().try_fold(0, |value, &digit| {
        let digit = (digit as char).to_digit(16).ok_or(NotJson)?;
        Ok(value * 16 + digit)
    })
}

/// The position behind the number that begins at `start`.
///
/// # Errors
/// [`NotJson`] where no number of RFC 8259 stands there.
#[inline]
pub fn number_end<B: Block>(bytes: &[u8], start: usize, end: usize) -> Result<usize, NotJson> {
    let low = B::load(&load16(bytes, start)).range(b'0', b'9');
    let high = B::load(&load16(bytes, start + 16)).range(b'0', b'9');
    let digits = u32::from(low) | (u32::from(high) << 16);
    let sign = u32::from(byte(bytes, start) == b'-');
    let whole = (digits >> sign).trailing_ones();
    if whole == 0 || (whole > 1 && byte(bytes, start + sign as usize) == b'0') {
        return Err(NotJson);
    }
    let mut len = sign + whole;
    if byte(bytes, start + len as usize) == b'.' && len < 31 {
        let fraction = (digits >> (len + 1)).trailing_ones();
        if fraction == 0 && len + 1 < 32 {
            return Err(NotJson);
        }
        len += 1 + fraction;
    }
    let at = start + len as usize;
    if len >= 31 || matches!(byte(bytes, at), b'e' | b'E') {
        return long_number_end(bytes, start, end);
    }
    if at <= end { Ok(at) } else { Err(NotJson) }
}

/// [`number_end`] byte by byte: for exponents and numbers beyond 30 digits.
#[cold]
fn long_number_end(bytes: &[u8], start: usize, end: usize) -> Result<usize, NotJson> {
    let digits_from = |mut at: usize| {
        while at < end && byte(bytes, at).is_ascii_digit() {
            at += 1;
        }
        at
    };
    let first = start + usize::from(byte(bytes, start) == b'-');
    let mut at = digits_from(first);
    if at == first || (at > first + 1 && byte(bytes, first) == b'0') {
        return Err(NotJson);
    }
    if at < end && byte(bytes, at) == b'.' {
        let fraction = at + 1;
        at = digits_from(fraction);
        if at == fraction {
            return Err(NotJson);
        }
    }
    if at < end && matches!(byte(bytes, at), b'e' | b'E') {
        let exponent = at + 1 + usize::from(matches!(byte(bytes, at + 1), b'+' | b'-'));
        at = digits_from(exponent);
        if at == exponent {
            return Err(NotJson);
        }
    }
    if at <= end { Ok(at) } else { Err(NotJson) }
}

/// The length of the word at `start`: JSON's three, and the three that Python's `json.dumps` writes
/// for floats that JSON has no words for. 0 where none stands.
#[must_use]
pub fn word_len(bytes: &[u8], start: usize, end: usize) -> usize {
    const WORDS: [&[u8]; 6] = [b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity"];
    let rest = bytes.get(start..end).unwrap_or_default();
    WORDS.iter().find(|word| rest.starts_with(word)).map_or(0, |word| word.len())
}

#[cfg(test)]
mod tests {
    use super::super::block::{Native, Swar};
    use super::*;

    #[test]
    fn zeros_stand_behind_the_end() {
        for len in 0..40u8 {
            let bytes: Vec<u8> = (1..=len).collect();
            for at in 0..60 {
                let expected = std::array::from_fn(|n| byte(&bytes, at + n));
                assert_eq!(load16(&bytes, at), expected, "{len} {at}");
            }
        }
    }

    /// Numbers against serde_json, whole and followed by a comma, in both implementations.
    #[test]
    fn numbers_are_those_of_serde_json() {
        let wholes = [
            "0",
            "-0",
            "7",
            "12345678901234567890",
            "01",
            "-",
            "",
            "1234567890123456789012345678901234567890",
        ];
        let fractions = [
            "",
            ".0",
            ".5",
            ".",
            ".1234567890123456789012345678901234",
            ".12345678901234567890123456789",
        ];
        let exponents = ["", "e5", "E-10", "e+3", "e", "e+", "5"];
        for whole in wholes {
            for fraction in fractions {
                for exponent in exponents {
                    let number = format!("{whole}{fraction}{exponent}");
                    let valid = serde_json::from_str::<&serde_json::value::RawValue>(&number);
                    let expected = valid.ok().map(|_| number.len());
                    for tail in ["", ",", "}"] {
                        let text = format!("{number}{tail}");
                        let swar = number_end::<Swar>(text.as_bytes(), 0, text.len());
                        let native = number_end::<Native>(text.as_bytes(), 0, text.len());
                        assert_eq!(swar, native, "{text}");
                        // A prefix may be a number (`01` is `0` and rubbish): whole ones count.
                        let whole_end = swar.ok().filter(|&end| end == number.len());
                        assert_eq!(whole_end, expected, "{text}");
                    }
                }
            }
        }
    }

    /// Strings against serde_json.
    #[test]
    fn strings_are_those_of_serde_json() {
        for inside in [
            &b"plain"[..],
            b"",
            b"esc \\n \\\" \\u00e9",
            b"pair \\ud83d\\ude00",
            b"lone \\ud83d",
            b"lone \\ude00",
            b"bad \\x",
            b"ctl \x01",
            "umlaut \u{fc}".as_bytes(),
            b"bad utf8 \xff",
            b"cut \\u12",
            b"0123456789abcdef0123456789abcdef",
            b"\\ud83d\\u0041",
            b"\x7f",
        ] {
            let text = [b"\"", inside, b"\","].concat();
            let value = &text[..text.len() - 1];
            let expected = serde_json::from_slice::<String>(value).is_ok();
            let found = string_end::<Swar>(&text, 1, text.len());
            assert_eq!(found, string_end::<Native>(&text, 1, text.len()));
            assert_eq!(found.is_ok(), expected, "{:?}", String::from_utf8_lossy(inside));
            if let Ok((end, _)) = found {
                assert_eq!(end, value.len() - 1);
            }
        }
    }
}
