//! Numbers of seconds, milli-, micro- or nanoseconds since 1970, told apart by their size.

use super::Parsed;

/// Seconds below this (March 1973) are no event's time but a duration, a counter or a zero.
const MIN_SECONDS: u64 = 100_000_000;

/// Reads digits with an optional fraction, exactly; or a float with an exponent, nearly.
pub(super) fn parse(text: &[u8]) -> Option<Parsed> {
    let n_whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (whole, rest) = text.split_at(n_whole);
    let value = whole
        .iter()
        .try_fold(0u64, |value, byte| value.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?;
    let ns = match rest {
        [] if n_whole > 0 => scale(value, 0),
        [b'.', fraction @ ..] if n_whole > 0 && fraction.iter().all(u8::is_ascii_digit) => {
            scale(value, nanos_of(fraction))
        }
        _ => from_float(text),
    }?;
    Some(Parsed { ns, naive: false })
}

/// The first nine digits of a fraction as billionths.
pub(super) fn nanos_of(digits: &[u8]) -> u32 {
    let mut nanos = 0;
    for at in 0..9 {
        nanos = nanos * 10 + digits.get(at).map_or(0, |digit| u32::from(digit - b'0'));
    }
    nanos
}

/// `value` and `billionths` of its own unit, in nanoseconds.
fn scale(value: u64, billionths: u32) -> Option<i64> {
    // Up to 1e11 seconds is the year 5138, and 1e11 milliseconds is 1973 again.
    let ns_per_unit: u64 = match value {
        0..MIN_SECONDS => return None,
        MIN_SECONDS..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let part = u64::from(billionths) * ns_per_unit / 1_000_000_000;
    i64::try_from(value.checked_mul(ns_per_unit)?.checked_add(part)?).ok()
}

fn from_float(text: &[u8]) -> Option<i64> {
    if !text.first()?.is_ascii_digit() || !text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'e'))
    {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let in_range = (MIN_SECONDS as f64..i64::MAX as f64).contains(&value);
    // Both parts are in range, so the casts truncate as wanted.
    in_range.then(|| scale(value as u64, (value.fract() * 1e9) as u32)).flatten()
}
