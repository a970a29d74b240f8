//! JSON as OTLP's `AnyValue`, in one pass: integers are integers, numbers with a point or an
//! exponent are doubles, `null` is a value without a member.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number};

/// Appends the members of an `AnyValue` that is `json`; what is no JSON as text.
pub(super) fn push_any_value(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    let mut reader = serde_json::Deserializer::from_str(json);
    if AnySeed(out).deserialize(&mut reader).is_err() {
        out.truncate(start);
        push_bytes(out, 1, json.as_bytes());
    }
}

/// Appends the members of the object `json` as `KeyValue`s of field `number`; nothing for what is
/// no object.
pub(super) fn push_attributes(out: &mut Vec<u8>, number: u32, json: &str) {
    let start = out.len();
    let mut reader = serde_json::Deserializer::from_str(json);
    if (MembersSeed { out, number }).deserialize(&mut reader).is_err() {
        out.truncate(start);
    }
}

struct AnySeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for AnySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnySeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        push_bytes(self.0, 1, text.as_bytes());
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        push_number(self.0, 2, u64::from(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        push_number(self.0, 3, number.cast_unsigned());
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            // OTLP's integers end there; a double would not be the same number.
            Err(_) => self.visit_str(&number.to_string()),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        push_fixed64(self.0, 4, number.to_bits());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut values = Vec::new();
        loop {
            let mut element = Vec::new();
            if seq.next_element_seed(AnySeed(&mut element))?.is_none() {
                break;
            }
            push_bytes(&mut values, 1, &element);
        }
        push_bytes(self.0, 5, &values);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let mut values = Vec::new();
        MembersSeed { out: &mut values, number: 1 }.visit_map(map)?;
        push_bytes(self.0, 6, &values);
        Ok(())
    }
}

struct MembersSeed<'a> {
    out: &'a mut Vec<u8>,
    number: u32,
}

impl<'de> DeserializeSeed<'de> for MembersSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MembersSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            let mut value = Vec::new();
            map.next_value_seed(AnySeed(&mut value))?;
            push_message(self.out, self.number, |out| {
                push_bytes(out, 1, key.as_bytes());
                push_bytes(out, 2, &value);
            });
        }
        Ok(())
    }
}
