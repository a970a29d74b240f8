//! What happens to fields and to personal data, as the config says it. [`crate::protect`] does it.

mod action;

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

pub use action::{Action, Bucket};

use super::named::Named;
use super::secret_text::KeyBytes;

/// What leaves, and in which form. The raw section; each tier's resolved policy is in
/// [`super::Tier`].
#[derive(Clone, Debug, Default, serde::Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Protect {
    /// The key for "hash": 32 bytes or more, raw, in hex or in base64; or, while keys change, two
    /// lines "id=key", the current one first.
    pub key: Option<KeyBytes>,
    /// What is looked for in all values: all, none, or a list of detectors. Default: all.
    pub detect: Detect,
    /// What is done to what they find: mask, hash, drop or keep, or a map of detectors to these.
    /// Default: mask.
    pub on_detect: OnDetect,
    /// What is done to fields: by name at any depth, or by path if there is a dot in it. "*" stands
    /// for any part of a name, "**" for any number of names.
    pub fields: Named<Action>,
}

/// Kinds of personal data and secrets that are found in values.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// PEM blocks, private keys among them.
    Pem,
    /// Values of keys that are named like secrets, passwords in URLs.
    Secret,
    /// Keys of known makers, by their prefixes.
    ApiKey,
    /// What follows `Bearer` or `Basic`.
    BearerToken,
    /// JSON Web Tokens.
    Jwt,
    /// Payment card numbers (Luhn).
    CreditCard,
    /// US social security numbers.
    UsSsn,
    /// International bank account numbers (mod 97).
    Iban,
    /// Mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// IPv4 and IPv6 addresses.
    IpAddress,
    /// 48-bit hardware addresses.
    MacAddress,
}

impl Detector {
    /// All of them.
    pub const ALL: [Detector; 12] = [
        Detector::Pem,
        Detector::Secret,
        Detector::ApiKey,
        Detector::BearerToken,
        Detector::Jwt,
        Detector::CreditCard,
        Detector::UsSsn,
        Detector::Iban,
        Detector::Email,
        Detector::Phone,
        Detector::IpAddress,
        Detector::MacAddress,
    ];

    /// The word in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Detector::Pem => "pem",
            Detector::Secret => "secret",
            Detector::ApiKey => "api_key",
            Detector::BearerToken => "bearer_token",
            Detector::Jwt => "jwt",
            Detector::CreditCard => "credit_card",
            Detector::UsSsn => "us_ssn",
            Detector::Iban => "iban",
            Detector::Email => "email",
            Detector::Phone => "phone",
            Detector::IpAddress => "ip_address",
            Detector::MacAddress => "mac_address",
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detect(pub Vec<Detector>);

impl Default for Detect {
    fn default() -> Self {
        Self(Detector::ALL.to_vec())
    }
}

impl<'de> Deserialize<'de> for Detect {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct DetectVisitor;

        impl<'de> Visitor<'de> for DetectVisitor {
            type Value = Detect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("all, none or a list of detectors")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Detect, E> {
                match word {
                    "all" => Ok(Detect::default()),
                    "none" => Ok(Detect(Vec::new())),
                    _ if Detector::ALL.iter().any(|detector| detector.as_str() == word) => {
                        let hint = format!("Write [{word}].");
                        Err(super::de::wrong("detectors are written as a list", hint))
                    }
                    _ => Err(E::unknown_variant(word, &["all", "none"])),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Detect, A::Error> {
                let mut detectors = Vec::new();
                while let Some(detector) = items.next_element()? {
                    detectors.push(detector);
                }
                Ok(Detect(detectors))
            }
        }

        de.deserialize_any(DetectVisitor)
    }
}

impl JsonSchema for Detect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Detect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let detectors = generator.subschema_for::<Vec<Detector>>();
        json_schema!({ "anyOf": [{ "enum": ["all", "none"] }, detectors] })
    }
}

/// What is done to a detected value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetectAction {
    /// The value gives way to a mark that names the detector.
    #[default]
    Mask,
    /// The value gives way to a pseudonym.
    Hash,
    /// The whole field goes.
    Drop,
    /// The value stays.
    Keep,
}

/// What is done to detected values, by detector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnDetect {
    /// For all detectors that are not named.
    pub default: DetectAction,
    /// For those that are.
    pub by_detector: Vec<(Detector, DetectAction)>,
}

impl OnDetect {
    /// What is done to what `detector` finds.
    #[must_use]
    pub fn action(&self, detector: Detector) -> DetectAction {
        let own = self.by_detector.iter().find(|(named, _)| *named == detector);
        own.map_or(self.default, |(_, action)| *action)
    }
}

impl<'de> Deserialize<'de> for OnDetect {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct OnDetectVisitor;

        impl<'de> Visitor<'de> for OnDetectVisitor {
            type Value = OnDetect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("mask, hash, drop, keep, or a map of detectors to these")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<OnDetect, E> {
                let word = serde::de::value::StrDeserializer::new(word);
                Ok(OnDetect { default: DetectAction::deserialize(word)?, by_detector: Vec::new() })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OnDetect, A::Error> {
                let mut by_detector = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    by_detector.push(entry);
                }
                Ok(OnDetect { default: DetectAction::default(), by_detector })
            }
        }

        de.deserialize_any(OnDetectVisitor)
    }
}

impl JsonSchema for OnDetect {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OnDetect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let action = generator.subschema_for::<DetectAction>();
        json_schema!({
            "anyOf": [
                action,
                {
                    "type": "object",
                    "propertyNames": { "enum": Detector::ALL.map(Detector::as_str) },
                    "additionalProperties": action,
                },
            ],
        })
    }
}
