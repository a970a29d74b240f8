//! Values longer than [`CLASSES_LEN`], asked the same questions window by window.
//!
//! Windows overlap, so that what decides by itself (an account number's head, a row of seven bytes
//! without a letter, dashes seven apart) lies whole in one of them. What counts in all of the value
//! (digits, dots, colons; a blank and an option) is summed up.

use super::super::block::Block;
use super::super::scan::byte;
use super::{CLASSES_LEN, Classes, KEY_MIN, Suspicion, has_suspect_word, is_glued_iban, low_bits};

/// From window to window. What is left of one is the overlap: more than any shape's bytes.
const STEP: usize = 48;

/// What is summed up.
#[derive(Default)]
struct Sum {
    n_digits: u32,
    n_dotted: u32,
    n_colons: u32,
    has_gap: bool,
    has_blank: bool,
    /// A dash as of an option, or an opening bracket.
    has_argument: bool,
}

impl Sum {
    fn suspicion(&self) -> Suspicion {
        let any = self.n_digits >= 7 && self.has_gap
            || self.n_dotted >= 3
            || self.has_blank && self.has_argument;
        match any {
            true => Suspicion::Any,
            // A colon is a clock's only where no letter stands in all of the value: not looked for.
            false => Suspicion::of_colons(self.n_colons, self.n_colons > 0),
        }
    }
}

/// Why the value `bytes[start..end]`, of any bytes, must go to the validators.
#[inline(never)]
pub(super) fn suspicion_of_long<B: Block>(bytes: &[u8], start: usize, end: usize) -> Suspicion {
    let mut sum = Sum::default();
    let mut at = start;
    loop {
        let width = (end - at).min(CLASSES_LEN);
        let (classes, is_special) = Classes::of_any::<B>(bytes, at, at + width);
        if is_special || is_window_suspect(&classes, bytes, at, (start, end), &mut sum) {
            return Suspicion::Any;
        }
        if at + width == end {
            return sum.suspicion();
        }
        at += STEP;
    }
}

/// Whether the window that begins at `at` decides by itself; if not, it is added to `sum`.
#[inline(always)]
fn is_window_suspect(
    classes: &Classes,
    bytes: &[u8],
    at: usize,
    (start, end): (usize, usize),
    sum: &mut Sum,
) -> bool {
    let left = end - at;
    let width = left.min(CLASSES_LEN);
    let own = low_bits(if left <= CLASSES_LEN { width } else { STEP });
    let is_inside = at > start && byte(bytes, at - 1).is_ascii_alphanumeric();
    let alnum = classes.alpha | classes.digit;
    let before = alnum << 1 | u64::from(is_inside);
    let ibans = classes.ibans();
    if classes.rare | classes.dashes() | ibans & !before != 0 {
        return true;
    }
    if ibans != 0 && is_glued_iban(bytes, at, ibans) {
        return true;
    }
    sum.n_digits += (classes.digit & own).count_ones();
    sum.n_dotted += (classes.dotted(at > start) & own).count_ones();
    sum.n_colons += (classes.colon & own).count_ones();
    sum.has_gap |= classes.has_gap(width);
    sum.has_blank |= classes.blank != 0;
    sum.has_argument |= classes.open | classes.options(is_inside) != 0;
    let room = low_bits((left + 1).saturating_sub(KEY_MIN));
    has_suspect_word(bytes, at, !before & own & room, end)
}
