//! Retention classes, as the config says them: what goes where, for how long, in which form.

use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::event::record::Kind;
pub use crate::event::signal::Signal;
use crate::units::HumanDuration;

use super::de::wrong;
use super::named::Named;
use super::protect::{Action, Detect, OnDetect};
use super::sample::kind_of;

/// A tier as it is written. What is left out comes from the table of defaults and from `protect`.
#[derive(Clone, Debug, Default, serde::Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RawTier {
    /// How long the data lives. Default: by the tier's name, else 30 days.
    pub retention: Option<HumanDuration>,
    /// Where it goes: names of sinks, or { name: loki, when_full: block }.
    pub sinks: Vec<RawRoute>,
    /// The kinds of logs that belong to the tier; sampling is what sampling saw and kept, told once
    /// a minute. Default: by the tier's name.
    pub kinds: Option<Vec<TierKind>>,
    /// How sampling decides in this tier.
    pub sample: TierSample,
    /// Which features are kept: all, none, a list of names, or { sample: 5 }. Default: all.
    pub features: Features,
    /// Actions for fields, before those of "protect".
    pub fields: Named<Action>,
    /// What is looked for, instead of what "protect" says.
    pub detect: Option<Detect>,
    /// What is done to it, instead of what "protect" says.
    pub on_detect: Option<OnDetect>,
}

/// A kind that a tier may have, by its word: that of lines, or `sampling`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierKind(pub Kind);

/// [`Kind::ALL`] in words; serde wants them in a `static`.
const KIND_WORDS: &[&str] = &["application", "request", "prediction", "model", "data", "sampling"];

impl<'de> Deserialize<'de> for TierKind {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        kind_of(&String::deserialize(de)?, KIND_WORDS).map(Self)
    }
}

impl JsonSchema for TierKind {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TierKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": KIND_WORDS })
    }
}

/// How sampling decides in one tier.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct TierSample {
    /// How long events wait in the spool for the outcome of their request, so that all of its
    /// signals share one fate. Default: as "sample.window" says.
    pub window: Option<HumanDuration>,
}

/// One sink of a tier as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRoute {
    /// The sink's name.
    pub name: String,
    /// What happens when the spool is full and this sink lags.
    pub when_full: WhenFull,
}

/// What happens when the spool is full and a sink lags behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The sink's oldest events are dropped, and counted.
    #[default]
    DropOldest,
    /// Sources that can be read again later wait.
    Block,
}

/// A tier that exists without being written (design, section 1).
#[derive(Clone, Copy, Debug)]
pub(super) struct DefaultTier {
    pub(super) name: &'static str,
    pub(super) signal: Signal,
    pub(super) retention: HumanDuration,
    pub(super) kinds: &'static [Kind],
}

pub(super) const DEFAULT_TIERS: [DefaultTier; 4] = [
    DefaultTier {
        name: "application_logs",
        signal: Signal::Logs,
        retention: HumanDuration::days(30),
        kinds: &[Kind::Application, Kind::Model, Kind::Data],
    },
    DefaultTier {
        name: "prediction_logs",
        signal: Signal::Logs,
        retention: HumanDuration::days(90),
        kinds: &[Kind::Request, Kind::Prediction],
    },
    DefaultTier {
        name: "metrics",
        signal: Signal::Metrics,
        retention: HumanDuration::days(365),
        kinds: &[],
    },
    DefaultTier {
        name: "traces",
        signal: Signal::Traces,
        retention: HumanDuration::days(7),
        kinds: &[],
    },
];

/// Which features of a request or prediction are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Features {
    /// All of them.
    #[default]
    All,
    /// Those of these names.
    Only(Vec<String>),
    /// That many, chosen by a hash of their names.
    Sample(NonZeroU32),
}

const FEATURES_HINT: &str = "Write all, none, a list of names ([age, income]) or { sample: 5 }.";

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        de.deserialize_any(FeaturesVisitor)
    }
}

struct FeaturesVisitor;

impl<'de> Visitor<'de> for FeaturesVisitor {
    type Value = Features;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all, none, a list of names or { sample: 5 }")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Features, E> {
        match word {
            "all" => Ok(Features::All),
            "none" => Ok(Features::Only(Vec::new())),
            _ => Err(wrong(format_args!("\"{word}\" does not say which features"), FEATURES_HINT)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Features, A::Error> {
        let mut names = Vec::new();
        while let Some(FeatureName(name)) = items.next_element()? {
            names.push(name);
        }
        Ok(Features::Only(names))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Features, A::Error> {
        let mut count = None;
        while let Some(SampleKey) = map.next_key()? {
            count = Some(map.next_value()?);
        }
        count.map(Features::Sample).ok_or_else(|| A::Error::missing_field("sample"))
    }
}

/// The one key of the map form. It is checked while it is read, so that the error points at it.
struct SampleKey;

impl<'de> Deserialize<'de> for SampleKey {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        match String::deserialize(de)?.as_str() {
            "sample" => Ok(Self),
            key => Err(wrong(
                format_args!("features are sampled or named, and \"{key}\" is neither"),
                FEATURES_HINT,
            )),
        }
    }
}

/// A feature's name in a list, which is the place where people try to mix both forms.
struct FeatureName(String);

impl<'de> Deserialize<'de> for FeatureName {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = FeatureName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a feature's name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<FeatureName, E> {
                Ok(FeatureName(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FeatureName, A::Error> {
                let key = map.next_key::<String>()?.unwrap_or_default();
                Err(wrong(
                    format_args!("a list of features has names only, not \"{key}\""),
                    "Choose one: a list of names ([age, income]) or { sample: 5 } instead of it.",
                ))
            }
        }

        de.deserialize_any(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for RawRoute {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        struct RouteVisitor;

        impl<'de> Visitor<'de> for RouteVisitor {
            type Value = RawRoute;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sink's name or { name: loki, when_full: block }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<RawRoute, E> {
                Ok(RawRoute { name: name.to_owned(), when_full: WhenFull::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawRoute, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                let RouteMap { name, when_full } = RouteMap::deserialize(map)?;
                Ok(RawRoute { name, when_full })
            }
        }

        de.deserialize_any(RouteVisitor)
    }
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RouteMap {
    /// The sink's name.
    name: String,
    /// What happens when the spool is full and this sink lags. Default: drop_oldest.
    #[serde(default)]
    when_full: WhenFull,
}

impl JsonSchema for RawRoute {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Route".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = RouteMap::json_schema(generator);
        json_schema!({ "anyOf": [{ "type": "string" }, map] })
    }
}

impl JsonSchema for Features {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Features".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "enum": ["all", "none"] },
                { "type": "array", "items": { "type": "string" } },
                {
                    "type": "object",
                    "properties": { "sample": { "type": "integer", "minimum": 1 } },
                    "required": ["sample"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_word() {
        assert_eq!(Kind::ALL.map(Kind::as_str), KIND_WORDS);
    }
}
