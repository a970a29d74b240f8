//! Sixteen bytes at a time: which of them are equal to a byte or lie in a range, as bits of a
//! `u16`.
//!
//! Two implementations of one trait: SSE2, which every x86-64 has, through the safe functions of
//! `safe_arch`; and two 64-bit words, for every other processor. The scan is generic over it, and
//! the tests run both on x86-64. Deliberately tiny: the few questions that scans ask.

/// Sixteen bytes in registers. Bit `i` of every answer speaks of byte `i`.
pub trait Block: Copy {
    /// Takes 16 bytes.
    fn load(bytes: &[u8; 16]) -> Self;
    /// Bytes equal to `byte`.
    fn eq(self, byte: u8) -> u16;
    /// Bytes equal to any of four.
    fn any4(self, bytes: [u8; 4]) -> u16;
    /// Bytes in `lo..=hi`.
    fn range(self, lo: u8, hi: u8) -> u16;
    /// ASCII letters of either case.
    fn alpha(self) -> u16;
    /// Bytes that a plain JSON string may not hold: backslash, below 0x20, 0x80 and above.
    fn special(self) -> u16;
    /// Bytes at which plain text in a JSON string ends: quote, backslash, below 0x20.
    fn ends_text(self) -> u16;
    /// Bytes in which two blocks differ.
    fn differs(self, other: Self) -> u16;
}

/// The implementation for this processor.
#[cfg(target_arch = "x86_64")]
pub type Native = Sse2;
/// The implementation for this processor.
#[cfg(not(target_arch = "x86_64"))]
pub type Native = Swar;

/// SSE2, part of x86-64 itself.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Sse2(safe_arch::m128i);

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use safe_arch::{
        bitor_m128i, cmp_eq_mask_i8_m128i, load_unaligned_m128i, max_u8_m128i, min_u8_m128i,
        move_mask_i8_m128i, set_splat_i8_m128i, sub_i8_m128i,
    };

    use super::{Block, Sse2};

    #[inline(always)]
    fn splat(byte: u8) -> safe_arch::m128i {
        set_splat_i8_m128i(byte.cast_signed())
    }

    #[inline(always)]
    fn bits(mask: safe_arch::m128i) -> u16 {
        move_mask_i8_m128i(mask) as u16
    }

    /// `x - lo <= hi - lo`, unsigned: one compare after a minimum.
    #[inline(always)]
    fn within(x: safe_arch::m128i, lo: u8, hi: u8) -> safe_arch::m128i {
        let shifted = sub_i8_m128i(x, splat(lo));
        cmp_eq_mask_i8_m128i(min_u8_m128i(shifted, splat(hi - lo)), shifted)
    }

    impl Block for Sse2 {
        #[inline(always)]
        fn load(bytes: &[u8; 16]) -> Self {
            Self(load_unaligned_m128i(bytes))
        }

        #[inline(always)]
        fn eq(self, byte: u8) -> u16 {
            bits(cmp_eq_mask_i8_m128i(self.0, splat(byte)))
        }

        #[inline(always)]
        fn any4(self, [a, b, c, d]: [u8; 4]) -> u16 {
            let is = |byte| cmp_eq_mask_i8_m128i(self.0, splat(byte));
            bits(bitor_m128i(bitor_m128i(is(a), is(b)), bitor_m128i(is(c), is(d))))
        }

        #[inline(always)]
        fn range(self, lo: u8, hi: u8) -> u16 {
            bits(within(self.0, lo, hi))
        }

        #[inline(always)]
        fn alpha(self) -> u16 {
            bits(within(bitor_m128i(self.0, splat(0x20)), b'a', b'z'))
        }

        #[inline(always)]
        fn special(self) -> u16 {
            let backslash = cmp_eq_mask_i8_m128i(self.0, splat(b'\\'));
            // A byte below 0x20 is changed by the maximum; the sign bit is 0x80 itself.
            let plain = cmp_eq_mask_i8_m128i(max_u8_m128i(self.0, splat(0x20)), self.0);
            bits(bitor_m128i(backslash, self.0)) | !bits(plain)
        }

        #[inline(always)]
        fn ends_text(self) -> u16 {
            let is = |byte| cmp_eq_mask_i8_m128i(self.0, splat(byte));
            bits(bitor_m128i(bitor_m128i(is(b'"'), is(b'\\')), within(self.0, 0, 0x1f)))
        }

        #[inline(always)]
        fn differs(self, other: Self) -> u16 {
            !bits(cmp_eq_mask_i8_m128i(self.0, other.0))
        }
    }
}

/// Two 64-bit words, for processors without SSE2.
#[derive(Clone, Copy)]
pub struct Swar(u64, u64);

const ONES: u64 = 0x0101_0101_0101_0101;
const LOW7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of every byte of `x` that is zero; exact, no carry crosses a byte.
const fn zeros(x: u64) -> u64 {
    !(((x & LOW7) + LOW7) | x) & HIGH
}

/// The high bit of every byte of `x` that lies in `lo..=hi`, both below 0x80.
const fn within(x: u64, lo: u8, hi: u8) -> u64 {
    let low = x & LOW7;
    let at_least = low + ONES * (0x80 - lo as u64);
    let above = low + ONES * (0x7f - hi as u64);
    at_least & !above & !x & HIGH
}

/// Gathers the eight high bits into one byte.
const fn gather(x: u64) -> u16 {
    ((x >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u16
}

impl Swar {
    #[inline(always)]
    fn map(self, f: impl Fn(u64) -> u64) -> u16 {
        gather(f(self.0)) | (gather(f(self.1)) << 8)
    }
}

impl Block for Swar {
    #[inline(always)]
    fn load(bytes: &[u8; 16]) -> Self {
        let both = u128::from_le_bytes(*bytes);
        Self(both as u64, (both >> 64) as u64)
    }

    #[inline(always)]
    fn eq(self, byte: u8) -> u16 {
        self.map(|x| zeros(x ^ (ONES * u64::from(byte))))
    }

    #[inline(always)]
    fn any4(self, bytes: [u8; 4]) -> u16 {
        self.map(|x| bytes.iter().fold(0, |all, &b| all | zeros(x ^ (ONES * u64::from(b)))))
    }

    #[inline(always)]
    fn range(self, lo: u8, hi: u8) -> u16 {
        self.map(|x| within(x, lo, hi))
    }

    #[inline(always)]
    fn alpha(self) -> u16 {
        self.map(|x| within(x | (ONES * 0x20), b'a', b'z') & !x)
    }

    #[inline(always)]
    fn special(self) -> u16 {
        self.map(|x| {
            let backslash = zeros(x ^ (ONES * u64::from(b'\\')));
            (backslash | within(x, 0, 0x1f) | x) & HIGH
        })
    }

    #[inline(always)]
    fn ends_text(self) -> u16 {
        self.map(|x| {
            let is = |byte: u8| zeros(x ^ (ONES * u64::from(byte)));
            is(b'"') | is(b'\\') | within(x, 0, 0x1f)
        })
    }

    #[inline(always)]
    fn differs(self, other: Self) -> u16 {
        !(gather(zeros(self.0 ^ other.0)) | (gather(zeros(self.1 ^ other.1)) << 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte value at every place, against the plain definition.
    fn check<B: Block>() {
        for byte in 0..=255u8 {
            for place in 0..16 {
                for filler in [b'a', b'"', 0xff, 0, b'\\', 0x80, 0x1f] {
                    let mut bytes = [filler; 16];
                    bytes[place] = byte;
                    let block = B::load(&bytes);
                    let expect = |f: &dyn Fn(u8) -> bool| {
                        (0..16).fold(0u16, |bits, i| bits | (u16::from(f(bytes[i])) << i))
                    };
                    assert_eq!(block.eq(b'"'), expect(&|b| b == b'"'));
                    assert_eq!(block.eq(0xff), expect(&|b| b == 0xff));
                    assert_eq!(block.any4(*b"@%=+"), expect(&|b| b"@%=+".contains(&b)));
                    assert_eq!(block.range(b'0', b'9'), expect(&|b| b.is_ascii_digit()));
                    assert_eq!(block.range(0, 0x1f), expect(&|b| b < 0x20));
                    assert_eq!(block.alpha(), expect(&|b| b.is_ascii_alphabetic()));
                    let special = |b: u8| b == b'\\' || !(0x20..0x80).contains(&b);
                    assert_eq!(block.special(), expect(&special));
                    let ends_text = |b: u8| b == b'"' || b == b'\\' || b < 0x20;
                    assert_eq!(block.ends_text(), expect(&ends_text));
                    let other = B::load(&[filler; 16]);
                    assert_eq!(block.differs(other), expect(&|b| b != filler));
                }
            }
        }
    }

    #[test]
    fn portable_blocks_answer_exactly() {
        check::<Swar>();
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn sse2_blocks_answer_exactly() {
        check::<Sse2>();
    }
}
