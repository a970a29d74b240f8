//! Phone numbers: international with `+`, North American, and national ones with a trunk zero.
//!
//! Necessary condition: seven or more digits with at most two marks (` `, `-`, `.`, `/`, `(`, `)`)
//! between two of them, and one of: a `+` or `00` before, a `(` before, two separators inside (one
//! behind a leading `0`), or a key or a word before that says so.
//!
//! # Why
//! Digits alone are ids, counts and times far more often than phone numbers, so that plain ones
//! count only where a key says so. What looks like a layer's sizes (`256-512-1024`), a decimal
//! (`+1.2345678901`) or a row of an array is left alone.

use super::numbers::Run;
use super::{Hit, before};
use crate::protect::context::KeyHint;
use crate::protect::entity::Entity;

/// Digits of the longest number, ITU-T E.164, and two for a `00`.
const DIGITS_MAX: usize = 17;
const GROUPS_MAX: usize = 8;

/// Digits in groups as they are dialled.
#[derive(Debug, Default)]
struct Dialled {
    digits: [u8; DIGITS_MAX],
    /// Digits up to the end of each group.
    n_digits: [usize; GROUPS_MAX],
    /// The mark before each group (the last one of two).
    marks: [u8; GROUPS_MAX],
    /// Where each group ends in the text.
    ends: [usize; GROUPS_MAX],
    n: usize,
}

impl Dialled {
    /// Reads groups from the digit at `start` on, as many as there is room for.
    fn at(text: &[u8], start: usize) -> Self {
        let mut dialled = Dialled::default();
        let (mut i, mut n_digits, mut mark) = (start, 0, 0);
        while dialled.n < GROUPS_MAX {
            let run = text[i..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if run == 0 || n_digits + run > DIGITS_MAX {
                break;
            }
            dialled.digits[n_digits..n_digits + run].copy_from_slice(&text[i..i + run]);
            n_digits += run;
            dialled.n_digits[dialled.n] = n_digits;
            dialled.marks[dialled.n] = mark;
            dialled.ends[dialled.n] = i + run;
            dialled.n += 1;
            let is_mark = |byte: &u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')');
            let gap = text[i + run..].iter().take(3).take_while(|byte| is_mark(byte)).count();
            i += run + gap;
            if gap == 0 || gap > 2 || i >= text.len() {
                break;
            }
            mark = text[i - 1];
            // Two separators in a row part two numbers, `) ` and ` (` do not.
            let parens = |byte: u8| matches!(byte, b'(' | b')');
            if gap == 2 && !parens(mark) && !parens(text[i - 2]) {
                break;
            }
        }
        dialled
    }

    fn len(&self, k: usize) -> usize {
        self.n_digits[k] - if k == 0 { 0 } else { self.n_digits[k - 1] }
    }

    fn sizes(&self, sizes: &[usize], from: usize) -> bool {
        from + sizes.len() <= self.n
            && sizes.iter().enumerate().all(|(i, size)| self.len(from + i) == *size)
    }

    /// The digits of the first `n` groups.
    fn prefix(&self, n: usize) -> &[u8] {
        &self.digits[..self.n_digits[n - 1]]
    }
}

/// A phone number that begins at group `k` of `run`.
pub(super) fn at(run: &Run<'_>, k: usize, hint: KeyHint) -> Option<Hit> {
    let text = run.text;
    let digit = run.group(k).0;
    let mark = digit.checked_sub(1).map(|i| text[i]);
    if mark.is_some_and(|mark| mark.is_ascii_alphanumeric()) {
        return None;
    }
    let dialled = Dialled::at(text, digit);
    let plus = mark == Some(b'+') && !super::before(text, digit - 1, u8::is_ascii_alphanumeric);
    let (start, n) = if plus {
        (digit - 1, international(&dialled, dialled.n, hint)?)
    } else if mark == Some(b'(') {
        let opens_plus = super::before(text, digit - 1, |byte| *byte == b'+');
        (digit - 1 - usize::from(opens_plus), area_in_parentheses(text, &dialled)?)
    } else {
        (digit, national(run, k, &dialled, hint)?)
    };
    let end = dialled.ends[n - 1];
    let bounded = is_bounded(text, end) && !super::in_uuid(text, digit);
    bounded.then(|| Hit::new(start, end, Entity::Phone))
}

/// No letter follows (an extension may), no fraction and no clock time.
fn is_bounded(text: &[u8], end: usize) -> bool {
    let digit = super::at(text, end + 1, u8::is_ascii_digit);
    match text.get(end) {
        Some(b'.' | b':' | b',') => !digit,
        Some(b'x' | b'X') => digit,
        Some(byte) => !byte.is_ascii_alphanumeric(),
        None => true,
    }
}

/// The most groups, at most `n`, that are a country code and a national number.
fn international(dialled: &Dialled, n: usize, hint: KeyHint) -> Option<usize> {
    (1..=n).rev().find(|n| {
        // `+1.2345678901` is a signed double; registrars write phone numbers so, under such keys.
        let decimal = *n == 2 && dialled.marks[1] == b'.' && !hint.has(KeyHint::PHONE);
        !decimal && is_e164(dialled.prefix(*n))
    })
}

/// Country code and number of digits agree (ITU-T E.164, list of 2016; lengths of the largest).
fn is_e164(digits: &[u8]) -> bool {
    // `+44 (0)20 …`: the trunk zero is dialled within the country only.
    let n = digits.len();
    let two = |digits: &[u8]| u32::from(digits[0] - b'0') * 10 + u32::from(digits[1] - b'0');
    if !(8..=16).contains(&n) {
        return false;
    }
    match two(digits) {
        10..=19 => n == 11 && is_nanp(&digits[1..]),
        70..=79 => n == 11,
        33 | 34 => (11..=12).contains(&n),
        44 | 91 => (11..=13).contains(&n),
        20
        | 27
        | 30..=32
        | 36
        | 39..=41
        | 43
        | 45..=49
        | 51..=58
        | 60..=66
        | 81
        | 82
        | 84
        | 86
        | 90
        | 92..=95
        | 98 => (9..=15).contains(&n),
        // Three-digit codes begin with 21-26, 29, 35, 37, 38, 42, 50, 59, 67-69, 80, 85, 87-88, 96,
        // 97, 99.
        21..=26 | 29 | 35 | 37 | 38 | 42 | 50 | 59 | 67..=69 | 80 | 85 | 87 | 88 | 96 | 97 | 99 => {
            (9..=15).contains(&n)
        }
        _ => false,
    }
}

/// Area code and exchange begin with 2 to 9, and neither is a service code (N11).
fn is_nanp(digits: &[u8]) -> bool {
    let part = |at: usize| digits[at] >= b'2' && &digits[at + 1..at + 3] != b"11";
    digits.len() == 10 && part(0) && part(3)
}

/// `(212) 555-0199`, `(020) 7123 4567`, `(0)20 7123 4567`.
fn area_in_parentheses(text: &[u8], dialled: &Dialled) -> Option<usize> {
    if !super::at(text, dialled.ends[0], |byte| *byte == b')') || dialled.n < 2 {
        return None;
    }
    let american = |n: usize| dialled.len(0) == 3 && is_nanp(dialled.prefix(n));
    let trunk = |n: usize| dialled.digits[0] == b'0' && (9..=12).contains(&dialled.prefix(n).len());
    (2..=dialled.n).rev().find(|n| american(*n) || trunk(*n))
}

fn national(run: &Run<'_>, k: usize, dialled: &Dialled, hint: KeyHint) -> Option<usize> {
    if dialled.n == 0 {
        return None;
    }
    let start = run.group(k).0;
    let said = || {
        hint.has(KeyHint::PHONE) || (k == 0 && before::hint(run.text, start).has(KeyHint::PHONE))
    };
    let n = american(dialled).or_else(|| trunk(dialled)).or_else(|| zero_zero(dialled, hint));
    if let Some(n) = n.filter(|n| *n > 1) {
        let inner = dialled.marks[n - 1];
        let parts_of_more = |mark: Option<u8>| mark == Some(inner) || mark == Some(b'.');
        let whole =
            !(parts_of_more(run.separator(k)) || n < dialled.n && dialled.marks[n] == inner);
        if whole && !is_row(run.text, start, dialled.ends[n - 1], inner) && !is_sizes(dialled, n) {
            return Some(n);
        }
    }
    let all = dialled.n;
    let decimal = all == 2 && dialled.marks[1] == b'.';
    let enough = (7..=15).contains(&dialled.n_digits[all - 1]);
    (k == 0 && enough && !decimal && said()).then_some(all)
}

/// `212-555-0199`, `1 212 555 0199`, `212.555.0199`, `1-212-5550199`.
fn american(dialled: &Dialled) -> Option<usize> {
    let one = usize::from(dialled.len(0) == 1 && dialled.digits[0] == b'1');
    let n = one + 3;
    (dialled.sizes(&[3, 3, 4], one)
        && is_nanp(&dialled.prefix(n)[one..])
        && dialled.marks[one + 1] == dialled.marks[one + 2])
        .then_some(n)
}

/// `020 7123 4567`, `07700 900123`, `030/1234567`, `01 23 45 67 89`.
fn trunk(dialled: &Dialled) -> Option<usize> {
    const SHORT: [&[usize]; 4] = [&[2, 2, 2, 2, 2], &[2, 4, 4], &[2, 3, 3, 2], &[2, 8]];
    let [b'0', b'1'..=b'9', ..] = dialled.digits else {
        return None;
    };
    if dialled.len(0) == 2 {
        let dotted = |n: usize| n == 2 && dialled.marks[1] == b'.';
        let sizes = SHORT.iter().find(|sizes| dialled.sizes(sizes, 0))?;
        return (!dotted(sizes.len())).then_some(sizes.len());
    }
    let fits = |n: &usize| {
        let decimal = *n == 2 && dialled.marks[1] == b'.';
        let groups = (1..*n).all(|k| dialled.len(k) >= 2);
        (9..=11).contains(&dialled.prefix(*n).len()) && groups && !decimal
    };
    (3..=5).contains(&dialled.len(0)).then(|| (2..=dialled.n.min(4)).rev().find(fits)).flatten()
}

/// `0044 20 7123 4567`; in one group only under a key that says so.
fn zero_zero(dialled: &Dialled, hint: KeyHint) -> Option<usize> {
    if dialled.digits[..2] != *b"00" || dialled.len(0) < 2 || dialled.marks[1] == b'.' {
        return None;
    }
    let least = if hint.has(KeyHint::PHONE) { 1 } else { 2 };
    (least..=dialled.n).rev().find(|n| dialled.prefix(*n).get(2..).is_some_and(is_e164))
}

/// A row of an array: numbers with spaces between, in brackets.
fn is_row(text: &[u8], start: usize, end: usize, inner: u8) -> bool {
    inner == b' '
        && (super::before(text, start, |byte| *byte == b'[')
            || super::at(text, end, |b| *b == b']'))
}

/// Sizes of layers and batches: every group is a power of two, or three times one, of 64 or more.
fn is_sizes(dialled: &Dialled, n: usize) -> bool {
    (0..n).all(|k| {
        let end = dialled.n_digits[k];
        let digits = &dialled.digits[end - dialled.len(k)..end];
        let size = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        let odd = size >> size.trailing_zeros().min(63);
        size >= 64 && matches!(odd, 1 | 3)
    })
}
