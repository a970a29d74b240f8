//! A span of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{UnitError, config_scalar, scale, split_number};

/// A span of time, written `500ms`, `10s`, `1h30m`, `30 days` or `1 year`.
///
/// A day has 24 hours and a year 365 days: these are ages of data, not dates in a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

const SECOND: u128 = 1_000_000_000;
const DAY: u128 = 86_400 * SECOND;

/// Units with their nanoseconds: short name, then long ones without the plural's `s`.
const UNITS: [(&[&str], u128); 8] = [
    (&["y", "yr", "year"], 365 * DAY),
    (&["w", "week"], 7 * DAY),
    (&["d", "day"], DAY),
    (&["h", "hr", "hour"], 3_600 * SECOND),
    (&["m", "min", "minute"], 60 * SECOND),
    (&["s", "sec", "second"], SECOND),
    (&["ms", "milli", "millisecond"], 1_000_000),
    (&["us", "µs", "microsecond"], 1_000),
];

const HINT: &str = "Write a number and a unit: 500ms, 10s, 1h30m, 30 days, 1 year.";

impl HumanDuration {
    /// `n` milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }

    /// `n` seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }

    /// `n` days.
    #[must_use]
    pub const fn days(n: u64) -> Self {
        Self(Duration::from_secs(n * 86_400))
    }
}

impl FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::new(format!("\"{text}\" is not a duration"), HINT);
        let too_long = || UnitError::new(format!("\"{text}\" is longer than 10,000 years"), HINT);
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(wrong());
        }
        let (mut total, mut smaller_than) = (0u128, u128::MAX);
        while !rest.is_empty() {
            let (number, after) = split_number(rest);
            let after = after.trim_start();
            let len = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(len);
            if number.is_empty() {
                return Err(wrong());
            }
            let factor = match nanos_of(unit) {
                _ if unit.is_empty() && after.is_empty() && rest == "0" => 1,
                Some(factor) => factor,
                None => return Err(unknown_unit(text, number, unit).unwrap_or_else(wrong)),
            };
            // 1h30m and not 30m1h or 1h2h, which are slips of the pen.
            if factor >= smaller_than {
                return Err(wrong());
            }
            smaller_than = factor;
            total += scale(number, factor).ok_or_else(wrong)?.min(10_001 * 365 * DAY);
            rest = after.trim_start();
        }
        if total > 10_000 * 365 * DAY {
            return Err(too_long());
        }
        let (secs, nanos) = (total / SECOND, total % SECOND);
        Ok(Self(Duration::new(secs as u64, nanos as u32)))
    }
}

fn nanos_of(unit: &str) -> Option<u128> {
    let unit = unit.to_lowercase();
    let singular = unit.strip_suffix('s');
    let named = |name: &str| name == unit || (name.len() > 2 && Some(name) == singular);
    UNITS.iter().find(|(names, _)| names.iter().any(|name| named(name))).map(|(_, nanos)| *nanos)
}

/// The errors that are worth an answer of their own.
fn unknown_unit(text: &str, number: &str, unit: &str) -> Option<UnitError> {
    match unit {
        "" if number == text.trim() => {
            let hint =
                format!("Write {number}ms, {number}s, {number}m, {number}h or {number} days.");
            Some(UnitError::new(format!("\"{text}\" has no unit of time"), hint))
        }
        "mo" | "mon" | "month" | "months" => {
            let hint = match number.parse::<u32>() {
                Ok(n) => format!("Write the days: {} days.", u64::from(n) * 30),
                Err(_) => HINT.to_owned(),
            };
            Some(UnitError::new(
                format!("\"{text}\" is not a duration: months differ in length"),
                hint,
            ))
        }
        _ => None,
    }
}

/// The largest unit that holds a whole number of times: `1 year`, `30 days`, `90s`, `1500ms`.
impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units = [
            (365 * DAY, " year"),
            (DAY, " day"),
            (3_600 * SECOND, "h"),
            (60 * SECOND, "m"),
            (SECOND, "s"),
            (1_000_000, "ms"),
        ];
        let whole = units.into_iter().find(|(unit, _)| nanos > 0 && nanos.is_multiple_of(*unit));
        match whole {
            None if nanos == 0 => f.write_str("0s"),
            None => write!(f, "{}us", nanos / 1_000),
            Some((unit, name)) => {
                let plural = if name.starts_with(' ') && nanos != unit { "s" } else { "" };
                write!(f, "{}{name}{plural}", nanos / unit)
            }
        }
    }
}

config_scalar!(
    HumanDuration,
    r"^\s*([0-9]+(\.[0-9]+)?\s*[a-zµA-Z]+\s*)+$|^\s*0\s*$|\$\{",
    "A span of time with its unit.",
    ["500ms", "10s", "1h30m", "30 days", "1 year"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("1.5h", 5_400_000),
            ("1h30m", 5_400_000),
            ("1h 30min", 5_400_000),
            ("2 Minutes", 120_000),
            ("30 days", 30 * 86_400_000),
            ("30d", 30 * 86_400_000),
            ("1 day", 86_400_000),
            ("2 weeks", 14 * 86_400_000),
            ("1 year", 365 * 86_400_000),
            ("1y", 365 * 86_400_000),
        ] {
            assert_eq!(text.parse(), Ok(HumanDuration::millis(millis)), "{text}");
        }
        assert_eq!("250us".parse(), Ok(HumanDuration(Duration::from_micros(250))));
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, message) in [
            ("10", "\"10\" has no unit of time"),
            ("", "\"\" is not a duration"),
            ("soon", "\"soon\" is not a duration"),
            ("s", "\"s\" is not a duration"),
            ("10 parsecs", "\"10 parsecs\" is not a duration"),
            ("30m1h", "\"30m1h\" is not a duration"),
            ("1h2h", "\"1h2h\" is not a duration"),
            ("1h30", "\"1h30\" is not a duration"),
            ("0 0", "\"0 0\" is not a duration"),
            ("-5s", "\"-5s\" is not a duration"),
            ("1..5s", "\"1..5s\" is not a duration"),
            ("3 months", "\"3 months\" is not a duration: months differ in length"),
            ("99999 years", "\"99999 years\" is longer than 10,000 years"),
            ("99999999999999999999999999999999999999 years", "is not a duration"),
        ] {
            let error = text.parse::<HumanDuration>().expect_err(text);
            assert!(error.message.ends_with(message), "{text}: {error}");
        }
        let hint = "3 months".parse::<HumanDuration>().expect_err("months differ").hint;
        assert_eq!(hint, "Write the days: 90 days.");
    }

    #[test]
    fn printed_durations_read_back() {
        for text in ["0s", "500ms", "90s", "5m", "36h", "1 day", "30 days", "1 year", "2 years"] {
            let read: HumanDuration = text.parse().expect(text);
            assert_eq!(read.to_string(), text);
        }
        assert_eq!(HumanDuration(Duration::from_micros(1_500)).to_string(), "1500us");
    }
}
