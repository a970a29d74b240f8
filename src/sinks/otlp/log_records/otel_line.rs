//! A line of OpenTelemetry's shape, told apart from all others. One with any other member, a member
//! twice or one of another type is none.
//!
//! Deliberately keeps values as their tokens of JSON: what becomes of them is `log_records`'.

use super::scan::{Scan, Text};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OtelLine<'a> {
    pub(super) severity_text: Option<Text<'a>>,
    pub(super) severity_number: Option<u32>,
    pub(super) event_name: Option<Text<'a>>,
    pub(super) body: Option<&'a [u8]>,
    pub(super) body_is_text: bool,
    pub(super) attributes: Option<&'a [u8]>,
    pub(super) trace_flags: Option<u32>,
    pub(super) dropped_attributes: Option<u32>,
    pub(super) scope: Option<&'a [u8]>,
}

impl<'a> OtelLine<'a> {
    /// The line at `start..end` of `bytes`, in which wide loads may reach over its end.
    pub(super) fn read(bytes: &'a [u8], (start, end): (usize, usize)) -> Option<Self> {
        let (mut line, mut seen) = (Self::default(), 0u16);
        let mut scan = Scan::new(bytes, start, end);
        scan.members(|scan, key| {
            let number = line.member(scan, &key.decoded())?;
            let is_new = seen & 1 << number == 0;
            seen |= 1 << number;
            is_new.then_some(())
        })?;
        scan.is_done().then_some(line)
    }

    /// Reads the value of a member, and gives the member's number.
    fn member(&mut self, scan: &mut Scan<'a>, key: &[u8]) -> Option<u8> {
        Some(match key {
            // The record of the batch knows them.
            b"timestamp" => scan.value().map(|_| 0)?,
            b"observed_timestamp" => scan.value().map(|_| 1)?,
            b"trace_id" => scan.value().map(|_| 2)?,
            b"span_id" => scan.value().map(|_| 3)?,
            b"severity_text" => {
                self.severity_text = text(scan)?;
                4
            }
            b"severity_number" => {
                self.severity_number = number(scan)?;
                5
            }
            b"event_name" => {
                self.event_name = text(scan)?;
                6
            }
            b"body" => {
                self.body = token(scan)?;
                7
            }
            b"body_is_text" => {
                self.body_is_text = match scan.scalar()? {
                    b"true" => true,
                    b"false" => false,
                    _ => return None,
                };
                8
            }
            b"attributes" => {
                self.attributes = token(scan)?;
                9
            }
            b"trace_flags" => {
                self.trace_flags = number(scan)?;
                10
            }
            b"dropped_attributes" => {
                self.dropped_attributes = number(scan)?;
                11
            }
            b"scope" => {
                self.scope = token(scan)?;
                12
            }
            _ => return None,
        })
    }
}

/// The member `scope` of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) version: Option<Text<'a>>,
    pub(super) attributes: Option<&'a [u8]>,
}

impl<'a> Scope<'a> {
    /// Reads its token; other members say nothing.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        let mut scope = Self::default();
        Scan::of(json).members(|scan, key| {
            match &*key.decoded() {
                b"name" => scope.name = text(scan)?,
                b"version" => scope.version = text(scan)?,
                b"attributes" => scope.attributes = token(scan)?,
                _ => scan.value().map(|_| ())?,
            }
            Some(())
        })?;
        Some(scope)
    }
}

/// A token; nothing in it for `null`.
fn token<'a>(scan: &mut Scan<'a>) -> Option<Option<&'a [u8]>> {
    let token = scan.value()?;
    Some(Some(token).filter(|token| *token != b"null"))
}

/// A text; nothing in it for `null`.
fn text<'a>(scan: &mut Scan<'a>) -> Option<Option<Text<'a>>> {
    if scan.peek() == b'"' {
        return scan.text().map(Some);
    }
    (scan.scalar()? == b"null").then_some(None)
}

/// A number of 32 bits; nothing in it for `null`.
fn number(scan: &mut Scan<'_>) -> Option<Option<u32>> {
    match scan.scalar()? {
        b"null" => Some(None),
        digits => Some(Some(std::str::from_utf8(digits).ok()?.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::IgnoredAny;
    use serde_json::value::RawValue;

    use super::*;

    /// The same by serde.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Oracle<'a> {
        #[serde(rename = "timestamp")]
        _timestamp: Option<IgnoredAny>,
        #[serde(rename = "observed_timestamp")]
        _observed_timestamp: Option<IgnoredAny>,
        severity_text: Option<String>,
        severity_number: Option<u32>,
        event_name: Option<String>,
        #[serde(borrow)]
        body: Option<&'a RawValue>,
        #[serde(default)]
        body_is_text: bool,
        #[serde(borrow)]
        attributes: Option<&'a RawValue>,
        #[serde(rename = "trace_id")]
        _trace_id: Option<IgnoredAny>,
        #[serde(rename = "span_id")]
        _span_id: Option<IgnoredAny>,
        trace_flags: Option<u32>,
        dropped_attributes: Option<u32>,
        #[serde(borrow)]
        scope: Option<&'a RawValue>,
    }

    fn decoded(text: Option<Text<'_>>) -> Option<String> {
        text.map(|text| String::from_utf8(text.decoded().into_owned()).expect("UTF-8"))
    }

    /// Each member with each value, once and twice, with and without spaces, and cut everywhere.
    #[test]
    fn lines_are_those_of_serde_json() {
        let members = [
            "timestamp",
            "observed_timestamp",
            "severity_text",
            "severity_number",
            "event_name",
            "body",
            "body_is_text",
            "attributes",
            "trace_id",
            "span_id",
            "trace_flags",
            "dropped_attributes",
            "scope",
            "other",
            "b\\u006fdy",
            "",
        ];
        let values = [
            "1",
            "0",
            "-1",
            "1.0",
            "4294967295",
            "4294967296",
            "1e3",
            "null",
            "true",
            "false",
            "\"a\"",
            "\"\\u00e9\\\"\"",
            "{}",
            "{\"a\": [1, \"b\"]}",
            "[]",
            "NaN",
            "{\"a\":1,}",
        ];
        let mut n_taken = 0;
        for member in members {
            for value in values {
                for line in [
                    format!("{{\"{member}\":{value}}}"),
                    format!(" {{ \"{member}\" : {value} , \"trace_id\":null }} "),
                    format!("{{\"body\":1,\"{member}\":{value}}}"),
                    format!("{{\"{member}\":{value}}} 1"),
                ] {
                    for cut in [line.len(), line.len() - 1, line.len() / 2] {
                        n_taken += usize::from(check(&line, cut));
                    }
                }
            }
        }
        assert!(n_taken > 200, "{n_taken} lines were taken");
    }

    fn check(line: &str, cut: usize) -> bool {
        let found = OtelLine::read(line.as_bytes(), (0, cut));
        let Ok(expected) = serde_json::from_str::<Oracle<'_>>(&line[..cut]) else {
            assert!(found.is_none(), "{line} up to {cut}");
            return false;
        };
        let found = found.unwrap_or_else(|| panic!("{line} is one"));
        let raw = |raw: Option<&'_ RawValue>| raw.map(|raw| raw.get().to_owned());
        let token = |token: Option<&[u8]>| {
            token.map(|token| String::from_utf8(token.to_vec()).expect("UTF-8"))
        };
        assert_eq!(decoded(found.severity_text), expected.severity_text, "{line}");
        assert_eq!(found.severity_number, expected.severity_number, "{line}");
        assert_eq!(decoded(found.event_name), expected.event_name, "{line}");
        assert_eq!(token(found.body), raw(expected.body), "{line}");
        assert_eq!(found.body_is_text, expected.body_is_text, "{line}");
        assert_eq!(token(found.attributes), raw(expected.attributes), "{line}");
        assert_eq!(found.trace_flags, expected.trace_flags, "{line}");
        assert_eq!(found.dropped_attributes, expected.dropped_attributes, "{line}");
        assert_eq!(token(found.scope), raw(expected.scope), "{line}");
        true
    }
}
