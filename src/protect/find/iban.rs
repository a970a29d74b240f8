//! International bank account numbers (ISO 13616): country × length, then ISO 7064 mod 97-10.
//!
//! Necessary condition: at the start of a word two letters and two digits, then ten or more letters
//! and digits with at most one separator (` `, `-`) between two of them.

use super::Hit;
use crate::protect::entity::Entity;

/// Country, length, and whether all behind the check digits are digits (SWIFT registry, release
/// 99).
#[rustfmt::skip]
const COUNTRIES: [(&[u8; 2], u8, bool); 87] = [
    (b"AD", 24, false), (b"AE", 23, true), (b"AL", 28, false), (b"AT", 20, true),
    (b"AZ", 28, false), (b"BA", 20, true), (b"BE", 16, true), (b"BG", 22, false),
    (b"BH", 22, false), (b"BI", 27, true), (b"BR", 29, false), (b"BY", 28, false),
    (b"CH", 21, false), (b"CR", 22, true), (b"CY", 28, false), (b"CZ", 24, true),
    (b"DE", 22, true), (b"DJ", 27, true), (b"DK", 18, true), (b"DO", 28, false),
    (b"EE", 20, true), (b"EG", 29, true), (b"ES", 24, true), (b"FI", 18, true),
    (b"FK", 18, false), (b"FO", 18, true), (b"FR", 27, false), (b"GB", 22, false),
    (b"GE", 22, false), (b"GI", 23, false), (b"GL", 18, true), (b"GR", 27, false),
    (b"GT", 28, false), (b"HN", 28, false), (b"HR", 21, true), (b"HU", 28, true),
    (b"IE", 22, false), (b"IL", 23, true), (b"IQ", 23, false), (b"IS", 26, true),
    (b"IT", 27, false), (b"JO", 30, false), (b"KW", 30, false), (b"KZ", 20, false),
    (b"LB", 28, false), (b"LC", 32, false), (b"LI", 21, false), (b"LT", 20, true),
    (b"LU", 20, false), (b"LV", 21, false), (b"LY", 25, true), (b"MC", 27, false),
    (b"MD", 24, false), (b"ME", 22, true), (b"MK", 19, false), (b"MN", 20, true),
    (b"MR", 27, true), (b"MT", 31, false), (b"MU", 30, false), (b"NI", 28, false),
    (b"NL", 18, false), (b"NO", 15, true), (b"OM", 23, false), (b"PK", 24, false),
    (b"PL", 28, true), (b"PS", 29, false), (b"PT", 25, true), (b"QA", 29, false),
    (b"RO", 24, false), (b"RS", 22, true), (b"RU", 33, false), (b"SA", 24, false),
    (b"SC", 31, false), (b"SD", 18, true), (b"SE", 24, true), (b"SI", 19, true),
    (b"SK", 24, true), (b"SM", 27, false), (b"SO", 23, true), (b"ST", 25, true),
    (b"SV", 28, false), (b"TL", 23, true), (b"TN", 24, true), (b"TR", 26, false),
    (b"UA", 29, false), (b"VA", 22, true), (b"XK", 20, true),
];
/// Virgin Islands and Yemen, behind the alphabet's end to keep the table in equal rows.
const MORE: [(&[u8; 2], u8, bool); 2] = [(b"VG", 24, false), (b"YE", 30, false)];

pub(super) fn find(text: &[u8], hits: &mut Vec<Hit>) {
    let mut floor = 0;
    for i in 0..text.len().saturating_sub(14) {
        let digits = text[i + 2].is_ascii_digit() && text[i + 3].is_ascii_digit();
        if !digits || i < floor || !text[i].is_ascii_alphabetic() {
            continue;
        }
        if let Some(end) = is_start(text, i).then(|| end_of(text, i)).flatten() {
            hits.push(Hit::new(i, end, Entity::Iban));
            floor = end;
        }
    }
}

fn is_start(text: &[u8], i: usize) -> bool {
    let glued = i >= 4 && text[i - 4..i].eq_ignore_ascii_case(b"IBAN");
    glued || !super::before(text, i, u8::is_ascii_alphanumeric)
}

/// The end of the account number that begins at `i`, if one does.
fn end_of(text: &[u8], i: usize) -> Option<usize> {
    let country = [text[i].to_ascii_uppercase(), text[i + 1].to_ascii_uppercase()];
    let mut known = COUNTRIES.iter().chain(&MORE);
    let (_, len, digits_only) = known.find(|(code, ..)| **code == country)?;
    let (mut number, mut n, mut at) = ([0u8; 34], 0usize, i);
    while n < usize::from(*len) {
        let byte = text.get(at).copied().unwrap_or(0);
        let separator = matches!(byte, b' ' | b'-') && text[at - 1].is_ascii_alphanumeric();
        if byte.is_ascii_alphanumeric() && !(*digits_only && n > 3 && !byte.is_ascii_digit()) {
            number[n] = byte.to_ascii_uppercase();
            n += 1;
        } else if !separator {
            return None;
        }
        at += 1;
    }
    let bounded = !super::at(text, at, u8::is_ascii_alphanumeric);
    (bounded && !super::in_uuid(text, i) && is_valid(&number[..n])).then_some(at)
}

/// The number with its first four characters moved to the end, letters as 10 to 35, is 1 mod 97.
fn is_valid(number: &[u8]) -> bool {
    let moved = number[4..].iter().chain(&number[..4]);
    let remainder = moved.fold(0u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        letter => (sum * 100 + u32::from(letter - b'A' + 10)) % 97,
    });
    remainder == 1
}
