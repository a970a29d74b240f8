//! US social security numbers of all ranges that were ever valid (SSA, randomised since 2011).
//!
//! Necessary condition: `ddd-dd-dddd` or `ddd dd dddd`; or seven to nine digits, with any
//! separators, under a key or behind a word that says so.

use super::numbers::Run;
use super::{Hit, before};
use crate::protect::context::KeyHint;
use crate::protect::entity::Entity;

pub(super) fn find(run: &Run<'_>, hint: KeyHint, hits: &mut Vec<Hit>) {
    for k in 0..run.n() {
        let (start, end) = run.group(k);
        if run.len(k) == 9 {
            let digits = &run.text[start..end];
            let alone = !run.is_fraction(k) && is_valid(&digits[..3], &digits[3..5], &digits[5..]);
            if alone && said(run, start, hint) {
                hits.push(Hit::new(start, end, Entity::UsSsn));
            }
        } else if k + 3 <= run.n() && is_grouped(run, k, hint) {
            hits.push(Hit::new(start, run.group(k + 2).1, Entity::UsSsn));
        }
    }
}

fn said(run: &Run<'_>, start: usize, hint: KeyHint) -> bool {
    hint.has(KeyHint::SSN) || before::hint(run.text, start).has(KeyHint::SSN)
}

fn is_grouped(run: &Run<'_>, k: usize, hint: KeyHint) -> bool {
    if (run.len(k), run.len(k + 1), run.len(k + 2)) != (3, 2, 4) {
        return false;
    }
    let separator = run.separator(k + 1);
    let is_usual = matches!(separator, Some(b'-' | b' '));
    if separator != run.separator(k + 2) || !(is_usual || said(run, run.group(k).0, hint)) {
        return false;
    }
    let part = |k: usize| &run.text[run.group(k).0..run.group(k).1];
    if !is_valid(part(k), part(k + 1), part(k + 2)) {
        return false;
    }
    // The number is the whole run of its separator: parts of longer codes and lists are none.
    let (left, right) = (run.separator(k), run.separator(k + 3));
    let list = separator == Some(b' ') && (left.is_some() || right.is_some());
    (left != separator && right != separator && !list) || said(run, run.group(k).0, hint)
}

/// Area 000, 666 and 9xx, group 00 and serial 0000 were never given out.
pub(in crate::protect) fn is_valid(area: &[u8], group: &[u8], serial: &[u8]) -> bool {
    area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000"
}

/// The digits of a number that lost its leading zeros.
pub(super) fn is_number(digits: &[u8]) -> bool {
    let mut padded = [b'0'; 9];
    if !(7..=9).contains(&digits.len()) {
        return false;
    }
    padded[9 - digits.len()..].copy_from_slice(digits);
    is_valid(&padded[..3], &padded[3..5], &padded[5..])
}
