//! Typed values out of a [`Document`]: a serde `Deserializer` that never gives up.
//!
//! Owns the reading of scalars (a number is a number if the type asks for one), struct names with a
//! meaning ([`TAGGED`], [`SECRET`], [`SECRET_BYTES`]), and the loop that finds *all* errors: serde
//! stops at the first one, so [`read`] notes it, skips the smallest entry or item around it, and
//! reads again. Every field of the config has a default or its absence is an error of its own, so
//! one wrong value never hides another. Deliberately knows no field: the words of the errors follow
//! from the path.

mod access;
mod fault;
mod report;

use std::fmt::Display;

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::diagnostic::Diagnostic;

use super::env::Env;
use super::tree::{Document, Node, Scalar, Value};
pub(super) use access::reason_of;
use access::{Entries, Items};
pub(super) use fault::Error;
use fault::Fault;

/// A struct of this name gets its `type` field first, wherever it is written.
pub(super) const TAGGED: &str = "$tagged";
/// A struct of this name may be written as one value, or as a map with `file`, whose content is
/// read; either way the struct gets the field `value`.
pub(super) const SECRET: &str = "$secret";
/// The same, where the file may hold any bytes.
pub(super) const SECRET_BYTES: &str = "$secret_bytes";

/// Reads the whole document, noting every error in `problems`. What is wrong reads as absent.
pub(super) fn read<T: DeserializeOwned + Default>(
    document: &mut Document,
    env: &dyn Env,
    problems: &mut Vec<Diagnostic>,
) -> T {
    loop {
        let cursor = Cursor { document, env, node: &document.root };
        let error = match T::deserialize(cursor) {
            Ok(value) => return value,
            Err(error) => error,
        };
        problems.extend(report::diagnose(document, &error));
        match error.at {
            Some(at) => document.skip(at.skip),
            None => return T::default(),
        }
    }
}

/// One node on its way to a typed value.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    document: &'a Document,
    env: &'a dyn Env,
    node: &'a Node,
}

impl<'a> Cursor<'a> {
    /// The error that the node is something else than `wanted`.
    fn shape(&self, wanted: &str, fields: &'static [&'static str]) -> Error {
        Fault::Shape { wanted: wanted.to_owned(), found: self.node.noun(), fields }.into()
    }

    fn scalar(&self, wanted: &str) -> Result<&'a Scalar, Error> {
        match &self.node.value {
            Value::Scalar(scalar) => Ok(scalar),
            _ => Err(self.shape(wanted, &[])),
        }
    }

    fn integer(&self) -> Result<i128, Error> {
        let text = &self.scalar("a whole number")?.text;
        let hint = "Write digits only, without quotes: 4.";
        text.trim().parse().map_err(|_| {
            Error::from(Fault::wrong(format!("\"{text}\" is not a whole number"), hint))
        })
    }

    /// The node's entries; none where nothing is written (a section that is all comments).
    fn entries(&self, fields: &'static [&'static str]) -> Result<Entries<'a>, Error> {
        match &self.node.value {
            Value::Null => Ok(Entries::new(*self, &[])),
            Value::Map(entries) => Ok(Entries::new(*self, entries)),
            _ => Err(self.shape("a map of fields", fields)),
        }
    }

    /// A secret as the fields of a struct; see [`SECRET`].
    fn secret<V: Visitor<'a>>(self, is_text: bool, visitor: V) -> Result<V::Value, Error> {
        const WANTED: &str = "text, \"${NAME}\" or { file: path }";
        match &self.node.value {
            Value::Scalar(scalar) => {
                let value = [("value", scalar.text.as_str())];
                visitor.visit_map(MapDeserializer::new(value.into_iter()))
            }
            Value::Map(_) => visitor.visit_map(self.entries(&[])?.with_file(is_text)?),
            _ => Err(self.shape(WANTED, &[])),
        }
    }
}

/// Integers of every width take the same way: parsed here, bounded by the type's own visitor.
macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let number = self.integer()?;
            match (u64::try_from(number), i64::try_from(number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_i128(number),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Cursor<'de> {
    type Error = Error;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    /// For values of several forms: text stays text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Scalar(scalar) => visitor.visit_str(&scalar.text),
            Value::List(items) => visitor.visit_seq(Items::new(self, items)),
            Value::Map(entries) => visitor.visit_map(Entries::new(self, entries)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(&self.scalar("text")?.text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = &self.scalar("true or false")?.text;
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" => visitor.visit_bool(true),
            "false" | "off" | "no" => visitor.visit_bool(false),
            _ => {
                let message = format!("\"{text}\" is neither true nor false");
                Err(Fault::wrong(message, "Write true or false (or on, off).").into())
            }
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = &self.scalar("a number")?.text;
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => Err(Fault::wrong(format!("\"{text}\" is not a number"), "Write 2 or 2.5.").into()),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items::new(self, items)),
            _ => Err(self.shape("a list", &[])),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self.entries(&[])?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match name {
            SECRET => self.secret(true, visitor),
            SECRET_BYTES => self.secret(false, visitor),
            TAGGED => visitor.visit_map(self.entries(fields)?.with_first("type")),
            _ => visitor.visit_map(self.entries(fields)?),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Enums in the config are words; those of several forms have visitors of their own.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.scalar("one word")?.text.as_str().into_deserializer())
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { char bytes unit unit_struct tuple tuple_struct }
}

/// Fails with a message and a hint, from the `Deserialize` of a type with a grammar of its own.
pub(super) fn wrong<E: serde::de::Error>(message: impl Display, hint: impl Display) -> E {
    E::custom(format_args!("{message}\n{hint}"))
}
