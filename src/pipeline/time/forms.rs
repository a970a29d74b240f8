//! The written forms: a date, a time, maybe a fraction, maybe a zone.

use super::Parsed;
use super::calendar::{Civil, nearest_year};
use super::epoch::nanos_of;

const NS_PER_MIN: i64 = 60 * 1_000_000_000;

/// The value of two digits, or something above 99 where they are none.
fn two(bytes: [u8; 2]) -> u32 {
    let [tens, ones] = bytes.map(|byte| u32::from(byte.wrapping_sub(b'0')));
    if tens > 9 || ones > 9 { u32::MAX } else { tens * 10 + ones }
}

/// `hh:mm:ss` as three numbers, each out of range where it is no number; `hh:mm.ss` too, which is
/// structlog's default (`%Y-%m-%d %H:%M.%S`).
fn clock(text: &[u8; 8]) -> Option<(u32, u32, u32)> {
    let [h1, h2, b':', m1, m2, b':' | b'.', s1, s2] = *text else { return None };
    Some((two([h1, h2]), two([m1, m2]), two([s1, s2])))
}

/// `YYYY-MM-DD` or `YYYY/MM/DD`, `T` or a space, time, fraction, zone.
pub(super) fn iso(text: &[u8]) -> Option<(Parsed, usize)> {
    let head: &[u8; 19] = text.first_chunk()?;
    let [y1, y2, y3, y4, dash, m1, m2, dash2, d1, d2, b'T' | b't' | b' ' | b'_', rest @ ..] = *head
    else {
        return None;
    };
    if dash != dash2 {
        return None;
    }
    let (hour, minute, second) = clock(&rest)?;
    let (century, year) = (two([y1, y2]), two([y3, y4]));
    if century > 99 || year > 99 {
        return None;
    }
    let year = i64::from(century * 100 + year);
    let (month, day) = (two([m1, m2]), two([d1, d2]));
    finish(Civil { year, month, day, hour, minute, second, nanos: 0 }, text, 19, None)
}

/// `20260104T103000Z`, with a fraction or not.
pub(super) fn basic_iso(text: &[u8]) -> Option<(Parsed, usize)> {
    let head: &[u8; 15] = text.first_chunk()?;
    let [y1, y2, y3, y4, m1, m2, d1, d2, b'T', h1, h2, n1, n2, s1, s2] = *head else {
        return None;
    };
    let (century, year) = (two([y1, y2]), two([y3, y4]));
    if century > 99 || year > 99 {
        return None;
    }
    let civil = Civil {
        year: i64::from(century * 100 + year),
        month: two([m1, m2]),
        day: two([d1, d2]),
        hour: two([h1, h2]),
        minute: two([n1, n2]),
        second: two([s1, s2]),
        nanos: 0,
    };
    finish(civil, text, 15, None)
}

/// `MM-DD hh:mm:ss`, as vLLM prints it.
#[must_use]
pub fn parse_month_day(text: &[u8], observed_ns: i64) -> Option<(Parsed, usize)> {
    let head: &[u8; 14] = text.first_chunk()?;
    let [m1, m2, b'-', d1, d2, b' ', rest @ ..] = *head else { return None };
    let (hour, minute, second) = clock(&rest)?;
    let (month, day) = (two([m1, m2]), two([d1, d2]));
    let civil = Civil { month, day, hour, minute, second, ..Civil::default() };
    finish(civil, text, 14, Some(observed_ns))
}

/// `MMDD hh:mm:ss.ffffff`, as glog and klog print it behind the level's letter.
#[must_use]
pub fn parse_glog(text: &[u8], observed_ns: i64) -> Option<(Parsed, usize)> {
    let head: &[u8; 13] = text.first_chunk()?;
    let [m1, m2, d1, d2, b' ', rest @ ..] = *head else { return None };
    let (hour, minute, second) = clock(&rest)?;
    let (month, day) = (two([m1, m2]), two([d1, d2]));
    let civil = Civil { month, day, hour, minute, second, ..Civil::default() };
    finish(civil, text, 13, Some(observed_ns))
}

/// `10/Oct/2000:13:55:36 -0700`, the Common Log Format.
pub(super) fn common_log(text: &[u8]) -> Option<(Parsed, usize)> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let head: &[u8; 20] = text.first_chunk()?;
    let [d1, d2, b'/', name @ .., b'/', y1, y2, y3, y4, b':', _, _, _, _, _, _, _, _] = head else {
        return None;
    };
    let month = MONTHS.chunks_exact(3).position(|month| month == name)?;
    let (hour, minute, second) = clock(text.get(12..)?.first_chunk()?)?;
    let (century, year) = (two([*y1, *y2]), two([*y3, *y4]));
    if century > 99 || year > 99 {
        return None;
    }
    let civil = Civil {
        year: i64::from(century * 100 + year),
        month: month as u32 + 1,
        day: two([*d1, *d2]),
        hour,
        minute,
        second,
        nanos: 0,
    };
    finish(civil, text, 20, None)
}

/// Reads fraction and zone behind the seconds at `at`. With `observed_ns` the year is missing.
fn finish(
    mut civil: Civil,
    text: &[u8],
    mut at: usize,
    observed_ns: Option<i64>,
) -> Option<(Parsed, usize)> {
    if let Some([b'.' | b',', digit, ..]) = text.get(at..)
        && digit.is_ascii_digit()
    {
        let digits = text.get(at + 1..)?;
        let n = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        civil.nanos = nanos_of(digits.get(..n)?);
        at += 1 + n;
    }
    if let Some(observed_ns) = observed_ns {
        let ns = nearest_year(civil, observed_ns)?;
        return Some((Parsed { ns, naive: true }, at));
    }
    let local_ns = civil.to_ns()?;
    let Some((offset_min, len)) = zone(text.get(at..)?) else {
        return Some((Parsed { ns: local_ns, naive: true }, at));
    };
    let ns = local_ns.checked_sub(offset_min * NS_PER_MIN)?;
    at += len;
    // Java's `ZonedDateTime` says it once more: `+01:00[Europe/Paris]`.
    if let Some([b'[', name @ ..]) = text.get(at..)
        && let Some(end) = name.iter().take(40).position(|byte| *byte == b']')
        && name.get(..end)?.iter().all(|byte| byte.is_ascii_alphabetic() || b"/_-+".contains(byte))
    {
        at += end + 2;
    }
    Some((Parsed { ns, naive: false }, at))
}

/// The zone at the head of `text`: minutes east of UTC, and the bytes it took.
fn zone(text: &[u8]) -> Option<(i64, usize)> {
    let spaced = text.first() == Some(&b' ');
    let text = if spaced { text.get(1..)? } else { text };
    let (offset_min, len) = match *text {
        [b'Z' | b'z', ..] if !spaced => (0, 1),
        [b'U', b'T', b'C', ..] | [b'G', b'M', b'T', ..] => (0, 3),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] => (offset(sign, [h1, h2], [m1, m2])?, 6),
        [sign @ (b'+' | b'-'), h1, h2, m1, m2, ..]
            if m1.is_ascii_digit() && m2.is_ascii_digit() =>
        {
            (offset(sign, [h1, h2], [m1, m2])?, 5)
        }
        [sign @ (b'+' | b'-'), h1, h2, ..] if !spaced => (offset(sign, [h1, h2], *b"00")?, 3),
        _ => return None,
    };
    Some((offset_min, len + usize::from(spaced)))
}

fn offset(sign: u8, hours: [u8; 2], minutes: [u8; 2]) -> Option<i64> {
    let (hours, minutes) = (two(hours), two(minutes));
    if hours > 23 || minutes > 59 {
        return None;
    }
    let east = i64::from(hours * 60 + minutes);
    Some(if sign == b'-' { -east } else { east })
}
