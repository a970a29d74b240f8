//! What is kept of what, as the config says it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::event::record::Kind;
use crate::units::{HumanDuration, Ratio};

use super::de::wrong;

/// Which events are kept. Metrics and statistics count all of them in any case.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// What shares one fate. Default: request_id.
    pub by: SampleBy,
    /// How much is kept, by kind. Default: 100%.
    pub rate: Rates,
    /// Conditions under which an event is kept whatever its rate.
    pub keep: Vec<String>,
    /// Values that are seldom, and whose events are kept whatever their rate.
    pub rare: Option<Rare>,
    /// How long events of sampled tiers wait in the spool for the outcome of their request, so that
    /// all of its signals share one fate. Default: they do not wait.
    pub window: Option<HumanDuration>,
}

/// Which values of a field are rare.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Rare {
    /// The field, as conditions call it. Default: prediction_label.
    #[serde(default = "default_rare_field")]
    pub field: String,
    /// The share of a value below which it is rare. Default: 1%.
    #[serde(default = "default_rare_below")]
    pub below: Ratio,
}

fn default_rare_field() -> String {
    "prediction_label".to_owned()
}

fn default_rare_below() -> Ratio {
    Ratio::new(0.01).unwrap_or(Ratio::ONE)
}

/// What shares one fate.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum SampleBy {
    /// All signals of one request.
    #[default]
    RequestId,
    /// All signals of one trace.
    TraceId,
}

/// How much is kept, by kind.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Log lines of no other kind.
    pub application: Ratio,
    /// Input features.
    pub request: Ratio,
    /// Predictions.
    pub prediction: Ratio,
    /// A model's life.
    pub model: Ratio,
    /// Data quality.
    pub data: Ratio,
    /// Spans.
    pub spans: Ratio,
}

impl Default for Rates {
    fn default() -> Self {
        let all = Ratio::ONE;
        Self { application: all, request: all, prediction: all, model: all, data: all, spans: all }
    }
}

impl Rates {
    /// How much of `kind` is kept.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Ratio {
        match kind {
            Kind::Application => self.application,
            Kind::Request => self.request,
            Kind::Prediction => self.prediction,
            Kind::Model => self.model,
            Kind::Data => self.data,
            // It is about sampling.
            Kind::Sampling => Ratio::ONE,
        }
    }
}

/// Own rules for the kind of an event, before the built-in ones.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Classify {
    /// The first rule whose condition holds decides.
    pub rules: Vec<Rule>,
}

/// A rule for the kind of an event.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A condition, such as: logger == "drift"
    pub when: String,
    /// The kind of an event for which it holds.
    pub kind: KindWord,
}

/// The kind of a line, by its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindWord(pub Kind);

/// [`Kind::OF_LINES`] in words; serde wants them in a `static`.
const WORDS: &[&str] = &["application", "request", "prediction", "model", "data"];

impl<'de> Deserialize<'de> for KindWord {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        kind_of(&String::deserialize(de)?, WORDS).map(Self)
    }
}

/// The kind called `word`, which is one of `words`.
pub(super) fn kind_of<E: serde::de::Error>(
    word: &str,
    words: &'static [&'static str],
) -> Result<Kind, E> {
    match (Kind::parse(word).filter(|_| words.contains(&word)), word) {
        (Some(kind), _) => Ok(kind),
        (None, "spans" | "traces" | "metrics") => Err(wrong(
            format_args!("\"{word}\" is a signal and not a kind of log"),
            "The tiers \"traces\" and \"metrics\" take them by themselves.",
        )),
        _ => Err(E::unknown_variant(word, words)),
    }
}

impl JsonSchema for KindWord {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": WORDS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_word() {
        assert_eq!(Kind::OF_LINES.map(Kind::as_str), WORDS);
    }
}
