//! The names of the store's files and folders, written and read back. Everything that walks the
//! store takes a name for ours only when it reads back here; all other names are foreign and stay
//! untouched.

use time::{Date, Month, OffsetDateTime};

use crate::sinks::LogRange;
use crate::sinks::files::Format;

/// The UTC day of a moment in nanoseconds since 1970.
#[must_use]
pub fn day_of(ns: i64) -> Date {
    OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::nanoseconds(ns)).date()
}

/// `2026-01-04`.
#[must_use]
pub fn day_folder(day: Date) -> String {
    format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

/// The day of a folder with this name; `None` for a foreign one.
#[must_use]
pub fn parse_day(folder: &str) -> Option<Date> {
    let digits: &[u8; 10] = folder.as_bytes().try_into().ok()?;
    let number = |range: std::ops::Range<usize>| {
        digits[range].iter().try_fold(0u16, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
        })
    };
    if digits[4] != b'-' || digits[7] != b'-' {
        return None;
    }
    let month = Month::try_from(number(5..7)? as u8).ok()?;
    Date::from_calendar_date(i32::from(number(0..4)?), month, number(8..10)? as u8).ok()
}

/// `0000000000000000-00000000000a2f11.parquet`.
#[must_use]
pub fn file(range: LogRange, format: Format) -> String {
    format!("{:016x}-{:016x}.{}", range.from, range.to, format.extension())
}

/// The name of the `n`th file with the same positions: `….2.parquet`; the first has no number.
#[must_use]
pub fn numbered(range: LogRange, format: Format, n: u32) -> String {
    let name = file(range, format);
    match name.split_once('.') {
        Some((stem, extension)) if n > 1 => format!("{stem}.{n}.{extension}"),
        _ => name,
    }
}

/// The positions and format of a file with this name; `None` for a foreign one.
#[must_use]
pub fn parse_file(name: &str) -> Option<(LogRange, Format)> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (stem, n) = match stem.split_once('.') {
        Some((stem, n)) => (stem, n.parse::<u32>().ok().filter(|n| *n > 1)?),
        None => (stem, 1),
    };
    let formats = [Format::Parquet, Format::Lines];
    let format = formats.into_iter().find(|format| format.extension() == extension)?;
    let (from, to) = stem.split_once('-')?;
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let range = LogRange { from: hex(from)?, to: hex(to)? };
    (numbered(range, format, n) == name).then_some((range, format))
}

/// The name under which a file is written before it is renamed to `name`. The dot hides it from
/// the patterns of readers (`*.parquet`).
#[must_use]
pub fn temporary(name: &str) -> String {
    format!(".{name}.tmp")
}

/// Whether a file with this name is one that a writer left unfinished.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".tmp"));
    inner.and_then(parse_file).is_some()
}

/// Whether a tier may have this name as its folder: no separators, no dot in front.
#[must_use]
pub fn is_tier(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let range = LogRange { from: 0, to: 0xa2f11 };
        for format in [Format::Parquet, Format::Lines] {
            for n in [1, 2, 30] {
                let name = numbered(range, format, n);
                assert_eq!(parse_file(&name), Some((range, format)));
                assert!(is_temporary(&temporary(&name)) && !is_temporary(&name));
            }
        }
        assert_eq!(file(range, Format::Lines), "0000000000000000-00000000000a2f11.jsonl");
        let day = day_of(1_767_522_600_000_000_000);
        assert_eq!(day_folder(day), "2026-01-04");
        assert_eq!(parse_day("2026-01-04"), Some(day));
        assert_eq!(day_folder(day_of(-1)), "1969-12-31");
    }

    /// A name that only resembles ours is foreign: retention must never remove it.
    #[test]
    fn foreign_names() {
        for name in [
            "",
            "x.parquet",
            "0-1.parquet",
            "+000000000000000-0000000000000001.jsonl",
            "0000000000000000-000000000000000A.jsonl",
            "0000000000000000-0000000000000001.jsonl.gz",
            "0000000000000000-0000000000000001.csv",
            "0000000000000000-0000000000000001.1.jsonl",
            "0000000000000000-0000000000000001.02.jsonl",
            "0000000000000000-0000000000000001.2.3.jsonl",
        ] {
            assert_eq!(parse_file(name), None, "{name}");
            assert!(!is_temporary(&temporary(name)), "{name}");
        }
        for day in ["", "2026-1-4", "2026-02-30", "2026-01-04.bak", "+026-01-04", "2026-01-04-1"] {
            assert_eq!(parse_day(day), None, "{day}");
        }
        assert!(is_tier("prediction_logs"));
        for tier in ["", ".", "..", "a/b", ".hidden"] {
            assert!(!is_tier(tier), "{tier}");
        }
    }
}
