//! Payment cards: issuer prefix × length, then Luhn.
//!
//! Necessary condition: 13 to 19 digits with at most one separator (` `, `-`, `.`, `+`, `_`)
//! between two of them.
//!
//! # Why
//! Without the issuer table 10 % of all long numbers are cards. One group of digits is a card if
//! it is no fraction of a double and no part of a hex id. Several groups are one in the grouping
//! that cards are printed in, with one kind of separator, and only where the run around them is no
//! list of numbers; or in any grouping of two to five groups where the run is nothing else.

use super::Hit;
use super::before;
use super::numbers::Run;
use crate::protect::context::KeyHint;
use crate::protect::entity::Entity;

/// As printed on cards: 19 digits, 16, American Express, Diners, 13.
const PRINTED: [&[usize]; 5] =
    [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 1]];

/// How far around digits the rest of an id is looked at.
const ID_MAX: usize = 128;

pub(super) fn find(run: &Run<'_>, hint: KeyHint, hits: &mut Vec<Hit>) {
    let singles = hits.len();
    for k in 0..run.n() {
        if is_single(run, k, hint) {
            let (start, end) = run.group(k);
            hits.push(Hit::new(start, end, Entity::CreditCard));
        }
    }
    if hits.len() == singles && run.n() > 1 {
        grouped(run, hint, hits);
    }
}

fn is_single(run: &Run<'_>, k: usize, hint: KeyHint) -> bool {
    let (start, end) = run.group(k);
    (13..=19).contains(&run.len(k))
        && !run.is_fraction(k)
        && !has_fraction(run.text, end)
        && is_card(run.text[start..end].iter().copied())
        && !is_hex_id(run.text, start, end, hint)
        && !is_request_id(run, k, hint)
}

/// Whether the digits are a whole number of 64 bits under a request's or a span's key. Shorter ones
/// may be cards that somebody took for an id.
fn is_request_id(run: &Run<'_>, k: usize, hint: KeyHint) -> bool {
    let (start, end) = run.group(k);
    let is_whole = run.len(k) == run.text.len();
    run.len(k) >= 18
        && run.n() == 1
        && !run.text.get(end).is_some_and(u8::is_ascii_alphanumeric)
        && ((is_whole && hint.has(KeyHint::REQUEST))
            || before::hint(run.text, start).has(KeyHint::REQUEST))
}

/// Whether a decimal point and a fraction follow: a double, unless all of it is zeros (a card that
/// went through a float column) or the number is longer than a double's digits before the point.
fn has_fraction(text: &[u8], end: usize) -> bool {
    let Some(fraction) = text.get(end + 1..).filter(|_| text[end] == b'.') else {
        return false;
    };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit());
    let start = end - text[..end].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    end - start < 16 && digits.clone().count() > 0 && !digits.clone().all(|byte| *byte == b'0')
}

/// Whether the digits are part of a hex id: a longer word of hex digits only, of a length that
/// ids have; or under a trace key a whole id.
fn is_hex_id(text: &[u8], start: usize, end: usize, hint: KeyHint) -> bool {
    let word = |byte: &&u8| byte.is_ascii_alphanumeric();
    let head = text[..start].iter().rev().take(ID_MAX).take_while(word).count();
    let tail = text[end..].iter().take(ID_MAX).take_while(word).count();
    let word = &text[start - head..end + tail];
    if head + tail == 0 {
        return hint.has(KeyHint::TRACE) && matches!(word.len(), 16 | 32);
    }
    (word.len() == 16 || word.len() >= 24) && word.iter().all(u8::is_ascii_hexdigit)
}

fn grouped(run: &Run<'_>, hint: KeyHint, hits: &mut Vec<Hit>) {
    // Groups outside of cards, and those of them that are too long for a month, a year or a CVV.
    let (first_hit, mut k, mut n_others, mut n_long) = (hits.len(), 0, 0, 0);
    while k < run.n() {
        match printed_at(run, k) {
            Some(n) => {
                hits.push(Hit::new(run.group(k).0, run.group(k + n - 1).1, Entity::CreditCard));
                k += n;
            }
            None => {
                n_others += 1;
                n_long += usize::from(run.len(k) > 3);
                k += 1;
            }
        }
    }
    let n_windows = hits.len() - first_hit;
    if n_windows == 0 {
        if (hint.has(KeyHint::CARD) || is_odd_grouping(run)) && is_whole(run) {
            hits.push(Hit::new(run.group(0).0, run.group(run.n() - 1).1, Entity::CreditCard));
        }
        return;
    }
    let list = n_others > 3 * n_windows + 1 || 2 * n_long > n_windows + 1;
    if list && !hint.has(KeyHint::CARD) {
        hits.truncate(first_hit);
    }
}

/// The number of groups of the card that begins at group `k` in a printed grouping.
fn printed_at(run: &Run<'_>, k: usize) -> Option<usize> {
    let fits = |sizes: &&&[usize]| {
        k + sizes.len() <= run.n() && sizes.iter().enumerate().all(|(i, n)| run.len(k + i) == *n)
    };
    let sizes = PRINTED.iter().filter(fits).find(|sizes| {
        let (start, end) = (run.group(k).0, run.group(k + sizes.len() - 1).1);
        uniform(run, k, sizes.len()) && is_card(digits(&run.text[start..end]))
    })?;
    let fraction = run.separator(k + 1) == Some(b'.') && run.is_fraction(k);
    (!fraction && !super::in_uuid(run.text, run.group(k).0)).then_some(sizes.len())
}

/// One kind of separator between the `n` groups from `k`; spaces and dashes may mix.
fn uniform(run: &Run<'_>, k: usize, n: usize) -> bool {
    let class = |k: usize| run.separator(k).map(|byte| if byte == b' ' { b'-' } else { byte });
    let first = class(k + 1);
    first != Some(b'/') && (k + 2..k + n).all(|k| class(k) == first)
}

/// Groupings beside the printed ones that are taken for a card where nothing else stands in the
/// run. Two numbers with a space between are an id and an epoch more often than a card.
fn is_odd_grouping(run: &Run<'_>) -> bool {
    let spaced_pair = run.n() == 2 && run.separator(1) != Some(b'-');
    (2..=5).contains(&run.n())
        && (14..=16).contains(&run.n_digits())
        && run.separator(1) != Some(b'.')
        && (0..run.n()).all(|k| run.len(k) >= 3)
        && (!spaced_pair || (run.len(0) == 8 && run.len(1) == 8))
}

/// Whether all digits of the run are one card.
fn is_whole(run: &Run<'_>) -> bool {
    let (start, end) = (run.group(0).0, run.group(run.n() - 1).1);
    let decimal = run.n() == 2 && run.separator(1) == Some(b'.');
    run.whole()
        && !decimal
        && uniform(run, 0, run.n())
        && !super::in_uuid(run.text, start)
        && is_card(digits(&run.text[start..end]))
}

fn digits(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().copied().filter(u8::is_ascii_digit)
}

/// Whether the decimal digits are a card's: issuer and length agree and Luhn's digit is right.
pub(in crate::protect) fn is_card(digits: impl Iterator<Item = u8>) -> bool {
    let (mut number, mut n) = ([0u8; 19], 0);
    for digit in digits {
        let Some(slot) = number.get_mut(n) else {
            return false;
        };
        *slot = digit - b'0';
        n += 1;
    }
    n >= 13 && is_issued(&number, n) && luhn(&number[..n])
}

/// ISO/IEC 7812-1 annex B: the sum with every second digit doubled is divisible by ten.
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| match (i % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Issuer ranges and the lengths that they issue. UATP (1…, 15 digits) is left out on purpose: all
/// epochs begin with 1.
fn is_issued(number: &[u8; 19], n: usize) -> bool {
    let iin = number[..6].iter().fold(0u32, |sum, digit| sum * 10 + u32::from(*digit));
    match iin / 10_000 {
        // Visa.
        40..=49 => matches!(n, 13 | 16 | 19),
        // Mastercard.
        51..=55 => n == 16,
        22..=27 => match iin {
            222_100..=272_099 => n == 16,
            // Mir.
            220_000..=220_499 => (16..=19).contains(&n),
            _ => false,
        },
        // American Express.
        34 | 37 => n == 15,
        // Diners Club.
        30 => matches!(iin / 1000, 300..=305 | 309) && matches!(n, 14 | 16 | 19),
        36 | 38 | 39 => matches!(n, 14 | 16 | 19),
        // JCB.
        35 => (352_800..=358_999).contains(&iin) && (16..=19).contains(&n),
        // Maestro, Verve, Elo, RuPay.
        50 | 56..=58 => n >= 13 && (n != 13 && n != 14 || iin / 10_000 == 50),
        // Discover, UnionPay, Maestro, RuPay, Hipercard, InterPayment.
        60 | 62..=65 | 67 => n >= 16,
        // UnionPay in Europe, RuPay.
        81 | 82 => (16..=19).contains(&n),
        // Troy.
        97 => iin / 100 == 9792 && n == 16,
        _ => false,
    }
}
