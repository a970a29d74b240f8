//! The integer that a JSON number is, digit by digit.

/// The longest integer looked at: a card's.
const DIGITS_MAX: usize = 19;

/// The digits (ASCII, no leading zeros) of a number that is a whole one of at most 19 digits:
/// plain, with a fraction of zeros, or with an exponent that moves the point behind the last digit.
pub(in crate::protect) fn digits(token: &[u8]) -> Option<([u8; DIGITS_MAX], usize)> {
    let token = token.strip_prefix(b"-").unwrap_or(token);
    let mark = token.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match mark {
        Some(mark) => (&token[..mark], exponent(&token[mark + 1..])?),
        None => (token, 0),
    };
    let point = memchr::memchr(b'.', mantissa).unwrap_or(mantissa.len());
    let fraction = mantissa.get(point + 1..).unwrap_or_default();
    if point == 0 || point > DIGITS_MAX || fraction.len() > 40 {
        return None;
    }
    let n_digits = usize::try_from(i32::try_from(point).ok()? + exponent).ok()?;
    let (mut digits, mut n) = ([b'0'; DIGITS_MAX], 0);
    let written = mantissa[..point].iter().chain(fraction).copied();
    for (i, byte) in written.chain(std::iter::repeat_n(b'0', DIGITS_MAX)).enumerate() {
        if !byte.is_ascii_digit() || (i >= n_digits && byte != b'0') {
            return None;
        }
        if i < n_digits && (n > 0 || byte != b'0') {
            *digits.get_mut(n)? = byte;
            n += 1;
        }
    }
    (n > 0 && n_digits <= DIGITS_MAX).then_some((digits, n))
}

fn exponent(text: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<i32>().ok().filter(|exponent| exponent.abs() < 40)
}
