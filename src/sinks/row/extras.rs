//! What a companion's row finds among the members that no common column took.
//!
//! Owns the reading of members by name and type, and that each is taken once: what fits no column
//! stays as it is.

use std::borrow::Cow;

use super::alias::{Unit, fold};
use super::{Json, MaybeText, Micros};
use crate::sinks::json;

/// See the module.
pub(super) struct Extras<'a> {
    /// Folded name, name, value, and whether a column has it.
    members: Vec<(String, Cow<'a, str>, &'a str, bool)>,
}

impl<'a> Extras<'a> {
    /// Those of a row's attributes.
    pub(super) fn read(attributes: Option<&'a Json<'_>>) -> Self {
        let members = attributes.and_then(|Json(text)| json::object(text)).unwrap_or_default();
        let member = |(name, value): json::Member<'a>| (fold(&name), name, value, false);
        Self { members: members.into_iter().map(member).collect() }
    }

    /// The first of `names` whose value can be read by `read`.
    fn take<T>(&mut self, names: &[&str], read: impl Fn(&'a str) -> Option<T>) -> Option<T> {
        names.iter().find_map(|name| {
            let name = fold(name);
            let found = self.members.iter_mut().find(|(own, .., taken)| *own == name && !taken)?;
            let value = read(found.2).filter(|_| found.2 != "null")?;
            found.3 = true;
            Some(value)
        })
    }

    pub(super) fn text(&mut self, names: &[&str]) -> MaybeText<'a> {
        self.take(names, |value| json::text(value).filter(|text| !text.is_empty()))
    }

    pub(super) fn double(&mut self, names: &[&str]) -> Option<f64> {
        self.take(names, json::number)
    }

    pub(super) fn integer(&mut self, names: &[&str]) -> Option<i64> {
        self.take(names, json::integer)
    }

    pub(super) fn boolean(&mut self, names: &[&str]) -> Option<bool> {
        self.take(names, super::values::boolean)
    }

    /// A list or an object, as it stands.
    pub(super) fn json(&mut self, names: &[&str]) -> Option<Json<'a>> {
        self.take(names, |value| value.starts_with(['{', '[']).then_some(Json(value.into())))
    }

    /// A duration in milliseconds; see [`super::values::duration_ms`].
    pub(super) fn duration_ms(&mut self, name: &str, unit: Option<Unit>) -> Option<f64> {
        self.take(&[name], |value| super::values::duration_ms(value, unit))
    }

    /// A time: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970, which
    /// their sizes tell apart. One that tables have no year for stays as it is: a row with it would
    /// be refused.
    pub(super) fn time(&mut self, names: &[&str]) -> Option<Micros> {
        self.take(names, time)
    }

    /// What no column took, as a JSON object.
    pub(super) fn rest(self) -> Option<Json<'static>> {
        let left = self.members.iter().filter(|(.., is_taken)| !is_taken);
        let rest = json::object_of(left.map(|(_, name, value, _)| (&**name, *value)));
        rest.map(|text| Json(text.into()))
    }
}

fn time(value: &str) -> Option<Micros> {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    if let Some(number) = json::number(value) {
        let scale = match number.abs() {
            n if n < 1e11 => 1e6,
            n if n < 1e14 => 1e3,
            n if n < 1e17 => 1.0,
            _ => 1e-3,
        };
        return micros((number * scale).round() as i64);
    }
    let at = OffsetDateTime::parse(&json::string(value)?, &Rfc3339).ok()?;
    micros(i64::try_from(at.unix_timestamp_nanos().div_euclid(1000)).ok()?)
}

/// A time of the years 1 to 9999.
fn micros(micros: i64) -> Option<Micros> {
    const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;
    YEARS.contains(&micros).then_some(Micros(micros))
}

/// The same text, borrowed.
pub(super) fn of<'a>(text: &'a Option<Cow<'_, str>>) -> MaybeText<'a> {
    text.as_deref().map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (value, micros) in [
            (r#""2026-01-04T10:30:00.5Z""#, Some(1_767_522_600_500_000)),
            (r#""2026-01-04T11:30:00+01:00""#, Some(1_767_522_600_000_000)),
            ("1767522600", Some(1_767_522_600_000_000)),
            ("1767522600000", Some(1_767_522_600_000_000)),
            ("1767522600000000", Some(1_767_522_600_000_000)),
            ("1767522600000000000", Some(1_767_522_600_000_000)),
            (r#""yesterday""#, None),
        ] {
            assert_eq!(time(value), micros.map(Micros), "{value}");
        }
    }

    #[test]
    fn each_member_is_taken_once_or_stays() {
        let line = Json(r#"{"Load_MS":"x","bytes":12,"a":1.50,"n":null}"#.into());
        let mut extras = Extras::read(Some(&line));
        assert_eq!(extras.double(&["load_ms"]), None);
        assert_eq!(extras.integer(&["size", "bytes"]), Some(12));
        assert_eq!(extras.integer(&["bytes"]), None);
        assert_eq!(extras.integer(&["n"]), None);
        let rest = extras.rest().expect("some");
        assert_eq!(rest.0, r#"{"Load_MS":"x","a":1.50,"n":null}"#);
    }
}
