//! The 56-bit rejection threshold, and OpenTelemetry's `th` encoding of it.

use std::fmt;

use super::Randomness;
use crate::event::record::{THRESHOLD_MASK, THRESHOLD_ONE};

/// An event is kept iff its randomness is at least this; `T = (1 - p) * 2^56`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

/// Significant hex digits of a threshold, beyond leading `f`s or `0`s: the default of the
/// OpenTelemetry SDKs and collector, so that equal rates give equal sets of events everywhere.
const PRECISION: i32 = 4;
/// Hex digits of 56 bits.
const DIGITS: i32 = 14;

impl Threshold {
    /// Keeps everything.
    pub const ALL: Self = Self(0);

    /// The threshold of a probability in [2^-56, 1], else `None`: "never" is no probability.
    ///
    /// Rounded to four significant digits as the collector's `pkg/sampling` does it (more for
    /// probabilities near 0 or 1), hence true to 0.013 %; the probability that a record
    /// reports is computed back from the threshold, so estimates stay unbiased.
    #[must_use]
    pub fn from_probability(probability: f64) -> Option<Self> {
        let one = THRESHOLD_ONE as f64;
        if !(probability >= 1.0 / one && probability <= 1.0) {
            return None;
        }
        if probability == 1.0 {
            return Some(Self::ALL);
        }
        let digits = (PRECISION + leading_digits(probability))
            .max(PRECISION + leading_digits(1.0 - probability))
            .min(DIGITS);
        let exact = THRESHOLD_ONE - (probability * one).round() as u64;
        let shift = 4 * (DIGITS - digits) as u32;
        let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
        Some(Self(((exact + half) >> shift << shift).min(THRESHOLD_MASK)))
    }

    /// Takes the low 56 bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & THRESHOLD_MASK)
    }

    /// The 56 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Reads a `th` value: 1 to 14 lower-case hex digits, trailing zeros left out.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > DIGITS as usize {
            return None;
        }
        let mut bits = 0;
        for at in 0..DIGITS as usize {
            let digit = match text.get(at).copied().unwrap_or(b'0') {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            bits = bits << 4 | u64::from(digit);
        }
        Some(Self(bits))
    }

    /// The `th` of an `ot` entry in a tracestate: `vendor=x,ot=rv:…;th:c`.
    #[must_use]
    pub fn of_tracestate(tracestate: &[u8]) -> Option<Self> {
        super::randomness::ot_value(tracestate, b"th").and_then(Self::parse)
    }

    /// The decision.
    #[must_use]
    pub fn keeps(self, randomness: Randomness) -> bool {
        randomness.bits() >= self.0
    }

    /// The inclusion probability, in (0, 1].
    #[must_use]
    pub fn probability(self) -> f64 {
        (THRESHOLD_ONE - self.0) as f64 / THRESHOLD_ONE as f64
    }
}

/// How many hex digits of a fraction in (0, 1) are zeros before the first that counts, as Go's
/// `frexp` tells: its exponent is one above IEEE 754's.
fn leading_digits(fraction: f64) -> i32 {
    let exponent = ((fraction.to_bits() >> 52) & 0x7ff) as i32 - 1022;
    exponent / -4
}

/// As a `th` value.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:014x}", self.0);
        let digits = digits.trim_end_matches('0');
        f.write_str(if digits.is_empty() { "0" } else { digits })
    }
}
