//! Spellings one by one; RFC 3339 against the `time` crate.

use proptest::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::*;

/// 2026-01-04T10:30:00Z.
const NOW: i64 = 1_767_522_600_000_000_000;

fn rfc3339(text: &str) -> i64 {
    let time = OffsetDateTime::parse(text, &Rfc3339).expect(text);
    i64::try_from(time.unix_timestamp_nanos()).expect(text)
}

/// Every spelling that the reference's real lines hold.
#[test]
fn spellings() {
    for (text, same_as, naive) in [
        ("2026-01-04T10:30:00Z", "2026-01-04T10:30:00Z", false),
        ("2021-04-10T00:23:26.0789529Z", "2021-04-10T00:23:26.0789529Z", false),
        ("2021-04-10T00:23:26.080736102Z", "2021-04-10T00:23:26.080736102Z", false),
        ("2021-04-10t00:23:26.1234567891z", "2021-04-10T00:23:26.123456789Z", false),
        ("2026-01-04 10:30:00,123", "2026-01-04T10:30:00.123Z", true),
        ("2026-01-04T10:30:00.123456", "2026-01-04T10:30:00.123456Z", true),
        ("2024-05-30T21:46:03,626", "2024-05-30T21:46:03.626Z", true),
        ("2019-05-31 15:04:15.151", "2019-05-31T15:04:15.151Z", true),
        ("2024-04-13T02:03:49+0000", "2024-04-13T02:03:49Z", false),
        ("2024-04-13T02:03:49+02:00", "2024-04-13T00:03:49Z", false),
        ("2024-04-13T02:03:49-0730", "2024-04-13T09:33:49Z", false),
        ("2024-04-13T02:03:49+02", "2024-04-13T00:03:49Z", false),
        ("2024-04-13 02:03:49 +0200", "2024-04-13T00:03:49Z", false),
        ("2024-04-13 02:03:49 UTC", "2024-04-13T02:03:49Z", false),
        ("2024-04-13T02:03:49.5+02:00[Europe/Paris]", "2024-04-13T00:03:49.5Z", false),
        ("2024/04/13 02:03:49", "2024-04-13T02:03:49Z", true),
        ("2025-04-18 08:53.13", "2025-04-18T08:53:13Z", true),
        ("20260104T103000Z", "2026-01-04T10:30:00Z", false),
        ("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z", false),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", false),
        (" 2026-01-04T10:30:00Z ", "2026-01-04T10:30:00Z", false),
        ("1767522600", "2026-01-04T10:30:00Z", false),
        ("1767522600123", "2026-01-04T10:30:00.123Z", false),
        ("1767522600123456", "2026-01-04T10:30:00.123456Z", false),
        ("1767522600123456789", "2026-01-04T10:30:00.123456789Z", false),
        ("1668660679.587727", "2022-11-17T04:51:19.587727Z", false),
        ("1767522600123.5", "2026-01-04T10:30:00.1235Z", false),
        ("1.7675226e9", "2026-01-04T10:30:00Z", false),
        ("02-13 11:33:33", "2026-02-13T11:33:33Z", true),
        ("0104 10:30:00.100537", "2026-01-04T10:30:00.100537Z", true),
    ] {
        let expected = Parsed { ns: rfc3339(same_as), naive };
        assert_eq!(parse(text.as_bytes(), NOW), Some(expected), "{text}");
    }
}

#[test]
fn no_times() {
    for text in [
        "",
        "now",
        "2026-01-04",
        "2026-13-04T10:30:00Z",
        "2026-02-29T10:30:00Z",
        "2026-01-04T24:00:00Z",
        "2026-01-04T10:60:00Z",
        "2026-01-04T10:30:00Zz",
        "2026-01-04T10:30:00+25:00",
        "2026-01/04T10:30:00Z",
        "1000-01-01T00:00:00Z",
        "0",
        "12.5",
        "23",
        "-1767522600",
        "1767522600x",
        "99999999999999999999",
        "1e400",
        "1.5.5",
        "9.9e18",
        "02-30 11:33:33",
        "1302 18:11:47",
        "10/Foo/2000:13:55:36 -0700",
        "2026-01-0aT10:30:00Z",
    ] {
        assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
    }
}

/// A line of New Year's Eve read on New Year's Day, and the other way round.
#[test]
fn years_that_are_not_written() {
    let new_year = rfc3339("2026-01-01T00:00:05Z");
    let eve = rfc3339("2025-12-31T23:59:55Z");
    for (text, observed, expected) in [
        ("1231 23:59:58.5", new_year, "2025-12-31T23:59:58.5Z"),
        ("0101 00:00:01.5", eve, "2026-01-01T00:00:01.5Z"),
        ("0101 00:00:01.5", new_year, "2026-01-01T00:00:01.5Z"),
        ("0229 12:00:00", rfc3339("2025-03-01T00:00:00Z"), "2024-02-29T12:00:00Z"),
        ("0802 18:11:47.100537", rfc3339("2024-08-02T18:11:48Z"), "2024-08-02T18:11:47.100537Z"),
    ] {
        let parsed = parse(text.as_bytes(), observed).expect(text);
        assert_eq!(parsed.ns, rfc3339(expected), "{text}");
    }
}

/// The time at the head of a line ends where the text begins.
#[test]
fn prefixes() {
    for (line, len) in [
        ("2026-01-04 10:30:00,123 [mlserver][iris] INFO", 23),
        ("2019-05-31 15:04:15.151  INFO 1 --- [nio]", 23),
        ("2026-01-04 10:30:00,123 - mlserver", 23),
        ("2026-01-04 10:30:00 -05 items", 19),
        ("2024-04-13T02:03:49+0000 [INFO]", 24),
        ("2026-01-04T10:30:00.5Z  INFO target: x", 22),
        ("02-13 11:33:33 [logger.py:49] x", 14),
    ] {
        assert_eq!(parse_prefix(line.as_bytes(), NOW).map(|(_, len)| len), Some(len), "{line}");
    }
    assert_eq!(parse_prefix(b"1767522600 requests", NOW), None);
}

/// Never a time that a backend would refuse or lose.
#[test]
fn far_off_times_are_clamped() {
    let second = 1_000_000_000;
    let at = |ns: i64, naive: bool| Some(Parsed { ns, naive });
    for (parsed, expected) in [
        (None, (NOW, Flags::TIME_OBSERVED)),
        (at(NOW - second, false), (NOW - second, 0)),
        (at(NOW - second, true), (NOW - second, Flags::TIME_NAIVE)),
        (at(NOW + 599 * second, false), (NOW + 599 * second, 0)),
        (at(NOW + 601 * second, false), (NOW, Flags::TIME_CLAMPED)),
        (at(NOW + 9 * 3600 * second, true), (NOW, Flags::TIME_CLAMPED | Flags::TIME_NAIVE)),
        (at(NOW - 89 * 86_400 * second, false), (NOW - 89 * 86_400 * second, 0)),
        (at(NOW - 91 * 86_400 * second, false), (NOW, Flags::TIME_CLAMPED)),
        (at(i64::MIN, false), (NOW, Flags::TIME_CLAMPED)),
    ] {
        assert_eq!(settle(parsed, NOW), expected, "{parsed:?}");
    }
}

proptest! {
    /// The `time` crate reads the same moment from every RFC 3339 text that it can write.
    #[test]
    fn reads_rfc3339_as_the_time_crate_does(
        ns in i64::MIN + 100_000_000_000_000..i64::MAX - 100_000_000_000_000,
        offset_min in -1439_i32..1440,
        precision in 0_u32..10,
    ) {
        let unit = 10_i64.pow(9 - precision);
        let ns = ns.div_euclid(unit) * unit;
        let offset = time::UtcOffset::from_whole_seconds(offset_min * 60).expect("an offset");
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns))
            .expect("a time").to_offset(offset).format(&Rfc3339).expect("a text");
        prop_assert_eq!(parse(text.as_bytes(), NOW), Some(Parsed { ns, naive: false }), "{}", text);
    }

    /// What the `time` crate refuses we refuse, on texts that are nearly right.
    #[test]
    fn refuses_what_the_time_crate_refuses(
        y in 1700_u32..2250, mo in 0_u32..15, d in 0_u32..34, h in 0_u32..26, mi in 0_u32..63,
    ) {
        let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:07Z");
        let theirs = OffsetDateTime::parse(&text, &Rfc3339).ok()
            .map(|time| time.unix_timestamp_nanos() as i64);
        prop_assert_eq!(parse(text.as_bytes(), NOW).map(|parsed| parsed.ns), theirs, "{}", text);
    }

    /// Epoch numbers in all units are exact.
    #[test]
    fn epochs_are_exact(s in 1_000_000_000_i64..4_000_000_000, ns in 0_i64..1_000_000_000) {
        let whole = s * 1_000_000_000 + ns;
        for (text, expected) in [
            (format!("{s}.{ns:09}"), whole),
            (format!("{}", whole / 1_000_000), whole / 1_000_000 * 1_000_000),
            (format!("{}", whole / 1_000), whole / 1_000 * 1_000),
            (format!("{whole}"), whole),
        ] {
            prop_assert_eq!(parse(text.as_bytes(), NOW).map(|p| p.ns), Some(expected), "{}", text);
        }
    }

    /// Any bytes at all: an answer or none, never a panic; and what was taken lies inside.
    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..48), observed in any::<i64>()) {
        let parsed = parse(&text, observed);
        let _ = settle(parsed, observed);
        if let Some((_, len)) = parse_prefix(&text, observed) {
            prop_assert!(len <= text.len());
        }
    }

    /// The same on texts made of what times are made of.
    #[test]
    fn never_panics_near_the_grammar(
        text in "[0-9TZ:., +/\\-eOct\\[\\]]{0,36}",
        observed in any::<i64>(),
    ) {
        let parsed = parse(text.as_bytes(), observed);
        let _ = settle(parsed, observed);
    }
}
