//! Secrets as the config gives them: as text (better `${NAME}`), or as a file that holds them.
//! Tokens and passwords are text ([`SecretText`]), a key may be any bytes ([`KeyBytes`]).

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::secret::{Secret, SecretBytes};

// The name for serde is `de::SECRET`, which asks for a literal.
/// A secret's text and, where it came from a file, the file: it may be read again when the secret
/// is refused, since mounted tokens change.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename = "$secret", deny_unknown_fields)]
pub struct SecretText {
    /// The text, without the newline at the file's end.
    pub value: Secret,
    /// Where it was read.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

// The name for serde is `de::SECRET_BYTES`.
/// What a key file holds, or the same written in the config. Its form is known to
/// [`crate::protect::pseudonym::Keyring::parse`].
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename = "$secret_bytes", deny_unknown_fields)]
pub struct KeyBytes {
    /// All of it; text is without the newline at its end.
    pub value: SecretBytes,
    /// Where it was read.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

impl JsonSchema for KeyBytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        SecretText::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SecretText::json_schema(generator)
    }
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
