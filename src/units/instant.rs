//! A moment, as people read it.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `time` in UTC to the whole second, which is enough for a person: `2026-01-31T23:59:59Z`.
#[must_use]
pub fn to_the_second(time: impl Into<OffsetDateTime>) -> String {
    let time = time.into();
    let time = time.replace_nanosecond(0).unwrap_or(time);
    time.format(&Rfc3339).unwrap_or_default()
}

/// The same of nanoseconds since 1970.
#[must_use]
pub fn ns_to_the_second(ns: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns));
    time.map_or_else(|_| format!("{ns} ns"), to_the_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_whole_seconds() {
        assert_eq!(ns_to_the_second(1_999_999_999), "1970-01-01T00:00:01Z");
        assert_eq!(ns_to_the_second(-1), "1969-12-31T23:59:59Z");
        assert_eq!(to_the_second(std::time::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
