//! Coarser values: years and intervals.

use crate::protect::policy::Bucket;

/// Nanoseconds, microseconds, milliseconds and seconds of a year: what an epoch counts is known by
/// its size, from 1973 on.
const EPOCHS: [(i128, i128); 4] = [
    (100_000_000_000_000_000, 1_000_000_000),
    (100_000_000_000_000, 1_000_000),
    (100_000_000_000, 1000),
    (100_000_000, 1),
];

/// Writes the bucket of the number `token`, as a number; false where it has none.
pub(super) fn number(bucket: Bucket, token: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(value) = parse(token) else {
        return false;
    };
    match bucket {
        Bucket::Year => year_of_number(value).map(|year| write(out, format_args!("{year}"))),
        Bucket::Width(width) => {
            let lower = (value / width).floor() * width;
            // Adding zero turns -0 into 0.
            lower.is_finite().then(|| write(out, format_args!("{}", lower + 0.0)))
        }
    }
    .is_some()
}

/// Writes the bucket of `text`: of a date, or of a number that is written as text.
pub(super) fn text(bucket: Bucket, text: &[u8], out: &mut Vec<u8>) -> bool {
    let text = text.trim_ascii();
    if number(bucket, text, out) {
        return true;
    }
    let year = if bucket == Bucket::Year { year_of_date(text) } else { None };
    year.map(|year| write(out, format_args!("{year}"))).is_some()
}

fn parse(token: &[u8]) -> Option<f64> {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    let value: f64 = std::str::from_utf8(token).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.extend_from_slice(text.to_string().as_bytes());
}

fn is_year(year: i128) -> bool {
    (1000..3000).contains(&year)
}

/// A year, a date as `YYYYMMDD`, or an epoch.
fn year_of_number(value: f64) -> Option<i128> {
    if value.abs() > 1e19 {
        return None;
    }
    let whole = value as i128;
    let (month, day) = (whole / 100 % 100, whole % 100);
    if is_year(whole) {
        return Some(whole);
    }
    if is_year(whole / 10_000) && (1..=12).contains(&month) && (1..=31).contains(&day) {
        return Some(whole / 10_000);
    }
    let (_, per_second) = EPOCHS.into_iter().find(|(least, _)| whole.abs() >= *least)?;
    let seconds = i64::try_from(whole.div_euclid(per_second)).ok()?;
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    Some(i128::from(time.year())).filter(|year| is_year(*year))
}

/// `1984-05-17…`, `17.05.1984`, `05/17/1984`: four digits at one end of a date, apart from others.
fn year_of_date(text: &[u8]) -> Option<i128> {
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let year = |part: Option<&[u8]>| {
        let part = part.filter(|part| part.len() == 4 && digits(part))?;
        let year = part.iter().fold(0, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        is_year(year).then_some(year)
    };
    let head = text.split(|byte| matches!(byte, b' ' | b'T' | b',')).next()?;
    let mark = |byte: &u8| matches!(byte, b'-' | b'/' | b'.');
    let mut parts = head.split(mark);
    if head.split(mark).count() > 3 || !head.split(mark).all(|p| !p.is_empty() && digits(p)) {
        return None;
    }
    year(parts.next()).or_else(|| year(head.rsplit(mark).next()))
}
