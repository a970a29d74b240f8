//! What is done to a field.

use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::super::de::wrong;

/// What is done to a field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// The field goes, with its key.
    Drop,
    /// The value stays as it is; detectors do not look at it either.
    Keep,
    /// The value gives way to a mark.
    Mask,
    /// The value gives way to a pseudonym that is the same for the same value.
    Hash,
    /// That many characters stay.
    Truncate(NonZeroU32),
    /// The value gives way to the range it lies in.
    Bucket(Bucket),
}

/// Ranges of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bucket {
    /// Of a time, the year stays.
    Year,
    /// A number is rounded down to a multiple of that, which is above zero.
    Width(f64),
}

const WORDS: &[&str] = &["drop", "keep", "mask", "hash", "truncate", "bucket"];
const HINT: &str =
    "Write drop, keep, mask, hash, { truncate: 8 }, { bucket: year } or { bucket: 10 }.";

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(ActionVisitor)
    }
}

struct ActionVisitor;

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = Action;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an action")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Action, E> {
        match word {
            "drop" => Ok(Action::Drop),
            "keep" => Ok(Action::Keep),
            "mask" => Ok(Action::Mask),
            "hash" => Ok(Action::Hash),
            "truncate" | "bucket" => {
                Err(wrong(format_args!("action \"{word}\" needs to know how much"), HINT))
            }
            _ => {
                let guess = crate::diagnostic::closest(word, WORDS.iter().copied());
                let guess = guess.map(|word| format!("Did you mean \"{word}\"? "));
                let hint = format!("{}{HINT}", guess.unwrap_or_default());
                Err(wrong(format_args!("\"{word}\" is not an action"), hint))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Action, A::Error> {
        let action = match map.next_key()? {
            Some(Form::Truncate) => Action::Truncate(map.next_value()?),
            Some(Form::Bucket) => Action::Bucket(map.next_value()?),
            None => return Err(wrong("an action is missing here", HINT)),
        };
        match map.next_key::<SecondAction>()? {
            None => Ok(action),
            Some(never) => match never {},
        }
    }
}

/// The key of the map form. Keys are checked while they are read, so that errors point at them.
enum Form {
    Truncate,
    Bucket,
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        match String::deserialize(de)?.as_str() {
            "truncate" => Ok(Form::Truncate),
            "bucket" => Ok(Form::Bucket),
            word => Err(wrong(format_args!("\"{word}\" is not an action of this form"), HINT)),
        }
    }
}

/// A key where there can be none.
enum SecondAction {}

impl<'de> Deserialize<'de> for SecondAction {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(wrong("a field has one action, and this is a second one", "Remove one of them."))
    }
}

impl<'de> Deserialize<'de> for Bucket {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        let width =
            text.trim().parse().ok().filter(|width: &f64| width.is_finite() && *width > 0.0);
        match (text.as_str(), width) {
            ("year", _) => Ok(Bucket::Year),
            (_, Some(width)) => Ok(Bucket::Width(width)),
            _ => Err(wrong(
                format_args!("\"{text}\" is not a bucket"),
                "Write year for times, or a number above 0 for numbers: { bucket: 10 }.",
            )),
        }
    }
}

impl JsonSchema for Action {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What is done to a field's value.",
            "anyOf": [
                { "enum": ["drop", "keep", "mask", "hash"] },
                {
                    "type": "object",
                    "description": "Characters that stay.",
                    "properties": { "truncate": { "type": "integer", "minimum": 1 } },
                    "required": ["truncate"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "description": "The range that the value lies in.",
                    "properties": { "bucket": { "anyOf": [
                        { "enum": ["year"] },
                        { "type": "number", "exclusiveMinimum": 0 },
                    ] } },
                    "required": ["bucket"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
