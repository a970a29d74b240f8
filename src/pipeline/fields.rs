//! One line as the conditions see it: level, kind, and the tokens of the fields they ask for.

use crate::event::record::{Kind, Level, Record};

use super::condition::{Field, FieldSource, Found};
use super::meaning::{Meaning, NO_VALUE, ReadFrom};
use super::plan::Plan;
use super::roles::token::is_null;

/// The token of a value, if the value is there.
#[inline]
pub(super) fn token<'a>(line: &'a [u8], values: &[(u32, u32)], value: u16) -> Option<&'a [u8]> {
    if value == NO_VALUE {
        return None;
    }
    let &(start, end) = values.get(usize::from(value))?;
    line.get(start as usize..end as usize)
}

/// The inside of a string token, or the token.
#[inline]
pub(super) fn unquoted(token: &[u8]) -> &[u8] {
    match token {
        [b'"', inside @ .., b'"'] => inside,
        _ => token,
    }
}

/// A JSON line of known meaning.
pub(super) struct LineFields<'a> {
    pub(super) line: &'a [u8],
    pub(super) values: &'a [(u32, u32)],
    pub(super) meaning: &'a Meaning,
    pub(super) plan: &'a Plan,
    pub(super) record: &'a Record,
}

impl FieldSource for LineFields<'_> {
    fn level(&self) -> Level {
        self.record.level()
    }

    fn kind(&self) -> Kind {
        self.record.kind()
    }

    fn value(&self, _: usize, field: &Field) -> Option<Found<'_>> {
        let number = self.plan.fields().iter().position(|known| known == field)?;
        self.value_at(number, field)
    }

    fn value_at(&self, number: usize, _: &Field) -> Option<Found<'_>> {
        let places = self.meaning.fields.get(number)?;
        let tokens = places.iter().filter_map(|place| {
            let token = match &place.from {
                ReadFrom::Value(value) => token(self.line, self.values, *value)?,
                ReadFrom::Constant(token) => token,
            };
            Some(Found { token, key: &place.key })
        });
        let mut last = None;
        for found in tokens {
            last = Some(found);
            if !is_null(found.token) {
                break;
            }
        }
        last
    }
}
