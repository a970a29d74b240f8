//! What is measured of events: a family of series for each rule.
//!
//! Owns the shape of a rule, and the rules that hold without being written. Reads no event.

use crate::event::record::Kind;
use crate::pipeline::condition::{Condition, Field};
use crate::pipeline::roles::Role;

/// What a family of series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Adds its value up: one an event, where it has none.
    Counter,
    /// The last value.
    Gauge,
    /// The distribution of its values.
    Histogram,
}

/// Kinds of log events, as bits by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Every kind.
    pub const ALL: Self = Self((1 << Kind::ALL.len()) - 1);

    /// None of them: what is about spans.
    pub const NONE: Self = Self(0);

    /// One kind.
    #[must_use]
    pub const fn one(kind: Kind) -> Self {
        Self(1 << kind as u8)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `kind` is one of them.
    #[must_use]
    pub const fn have(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

/// A label of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Where its value is; an event that lacks it has an empty one, which is no label.
    pub from: Field,
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The family's name, as Prometheus has it: a counter's ends in `_total`.
    pub name: String,
    /// What it says, for people.
    pub help: String,
    /// What its values are in.
    pub unit: String,
    /// What becomes of its values.
    pub shape: Shape,
    /// The events that it is about.
    pub kinds: Kinds,
    /// And which of them.
    pub when: Option<Condition>,
    /// The value; an event that lacks it, or has no number there, is left out.
    pub value: Option<Field>,
    /// What values are multiplied with.
    pub factor: f64,
    /// In the order of their names.
    pub labels: Vec<Label>,
}

impl Rule {
    /// Every field that it reads.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let of_when = self.when.iter().flat_map(Condition::fields);
        let of_labels = self.labels.iter().map(|label| &label.from);
        of_when.chain(&self.value).chain(of_labels)
    }
}

fn label(name: &str, from: Field) -> Label {
    Label { name: name.to_owned(), from }
}

fn model() -> [Label; 2] {
    [
        label("model", Field::Role(Role::ModelName)),
        label("version", Field::Role(Role::ModelVersion)),
    ]
}

/// What is measured of every service: predictions by what was predicted, how long they took and how
/// sure they were, what failed, and how much is logged.
#[must_use]
pub fn built_in() -> Vec<Rule> {
    const PREDICTION: Kinds = Kinds::one(Kind::Prediction);
    let rule = |name: &str, help: &str, shape, kinds, labels: &[Label]| {
        let mut labels = labels.to_vec();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        Rule {
            name: name.to_owned(),
            help: help.to_owned(),
            unit: String::new(),
            shape,
            kinds,
            when: None,
            value: None,
            factor: 1.0,
            labels,
        }
    };
    let predicted = [&model()[..], &[label("label", Field::Role(Role::Label))]].concat();
    let logged = [label("kind", Field::Kind), label("level", Field::Level)];
    let errors = Condition::parse(r#"level >= "error" or exists(error)"#);
    vec![
        rule(
            "ml_predictions_total",
            "Predictions, by what was predicted.",
            Shape::Counter,
            PREDICTION,
            &predicted,
        ),
        Rule {
            unit: "seconds".to_owned(),
            value: Some(Field::Role(Role::Latency)),
            // Latencies are read in milliseconds.
            factor: 1e-3,
            ..rule(
                "ml_prediction_duration_seconds",
                "How long predictions took.",
                Shape::Histogram,
                PREDICTION,
                &model(),
            )
        },
        Rule {
            value: Some(Field::Role(Role::Confidence)),
            ..rule(
                "ml_prediction_confidence",
                "How sure the model was.",
                Shape::Histogram,
                PREDICTION,
                &model(),
            )
        },
        Rule {
            when: errors.ok(),
            ..rule(
                "ml_errors_total",
                "Requests, predictions and model events that failed.",
                Shape::Counter,
                PREDICTION.and(Kinds::one(Kind::Request)).and(Kinds::one(Kind::Model)),
                &model(),
            )
        },
        rule(
            "log_events_total",
            "Log events, before sampling.",
            Shape::Counter,
            Kinds::ALL,
            &logged,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_well_formed() {
        for rule in built_in() {
            let is_counter = rule.shape == Shape::Counter;
            assert_eq!(rule.name.ends_with("_total"), is_counter, "{}", rule.name);
            assert!(rule.labels.is_sorted_by(|a, b| a.name < b.name), "{}", rule.name);
            let needs_condition = rule.name == "ml_errors_total";
            assert_eq!(rule.when.is_some(), needs_condition, "{}", rule.name);
        }
    }

    #[test]
    fn kinds_are_sets() {
        let both = Kinds::one(Kind::Request).and(Kinds::one(Kind::Prediction));
        for kind in Kind::ALL {
            assert_eq!(both.have(kind), matches!(kind, Kind::Request | Kind::Prediction));
            assert!(Kinds::ALL.have(kind));
        }
    }
}
