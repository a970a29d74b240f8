//! Secrets as the config gives them: as text (better `${NAME}`), or as a file that holds them.

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::secret::Secret;

// The struct names below are `de::SECRET`; serde wants a literal.

/// A secret's text and, where it came from a file, the file: it may be read again when the secret is
/// refused, since mounted tokens change.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename = "$secret", deny_unknown_fields)]
pub struct SecretText {
    /// The text, without the newline at the file's end.
    pub value: Secret,
    /// Where it was read.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// A key for pseudonyms.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename = "$secret", deny_unknown_fields)]
pub struct Key {
    /// The key's text, at least [`Key::LEN_MIN`] bytes.
    pub value: Secret,
    /// Where it was read.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The key id that stands in every pseudonym; by default it follows from the key.
    #[serde(default)]
    pub id: Option<String>,
    /// The key before this one, while pseudonyms of both are written.
    #[serde(default)]
    pub previous: Option<Box<Key>>,
}

impl Key {
    /// HMAC-SHA-256 gains nothing from longer keys, and loses from shorter ones (RFC 2104, section 3).
    pub const LEN_MIN: usize = 32;
}

impl JsonSchema for SecretText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: \"${NAME}\" from the environment, or { file: path }.",
            "anyOf": [
                { "type": ["string", "number"] },
                {
                    "type": "object",
                    "properties": {
                        "value": { "type": ["string", "number"] },
                        "file": { "type": "string", "description": "A file that holds it." },
                    },
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl JsonSchema for Key {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let previous = generator.subschema_for::<Key>();
        json_schema!({
            "description": "The key for pseudonyms: \"${NAME}\" or { file: path }, 32 bytes or more.",
            "anyOf": [
                { "type": ["string", "number"] },
                {
                    "type": "object",
                    "properties": {
                        "value": { "type": ["string", "number"] },
                        "file": { "type": "string", "description": "A file that holds the key." },
                        "id": {
                            "type": ["string", "number"],
                            "description": "The id in every pseudonym; default: from the key.",
                        },
                        "previous": previous,
                    },
                    "additionalProperties": false,
                },
            ],
        })
    }
}
