//! Metrics that are made of what passes, as the config says them.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::HumanDuration;

use super::named::Named;
use super::sample::KindWord;

/// Metrics of all events, before sampling: predictions, how long they took, how sure they were,
/// errors, log lines; and own ones.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Derive {
    /// Whether anything is derived. Default: where the config has this section or a tier "metrics".
    pub enabled: Option<bool>,
    /// How often values are told. Default: 15s.
    pub every: HumanDuration,
    /// Sets of labels that one metric may have; more go into one series. Default: 1000.
    pub max_series: NonZeroU32,
    /// How long a series is told that nothing comes to any more. Default: 1h.
    pub expire: HumanDuration,
    /// Own metrics, by name.
    pub rules: Named<DeriveRule>,
}

impl Default for Derive {
    fn default() -> Self {
        Self {
            enabled: None,
            every: HumanDuration::secs(15),
            max_series: NonZeroU32::MIN.saturating_add(999),
            expire: HumanDuration::secs(3600),
            rules: Named::default(),
        }
    }
}

/// A metric of one's own.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DeriveRule {
    /// counter, gauge or histogram.
    #[serde(rename = "type")]
    pub shape: MetricType,
    /// What it says. Default: nothing.
    #[serde(default)]
    pub help: String,
    /// What its values are in: seconds, bytes. Default: nothing.
    #[serde(default)]
    pub unit: String,
    /// The kinds of events that it is about. Default: all.
    #[serde(default)]
    pub kinds: Vec<KindWord>,
    /// Which of them: a condition, such as: status >= 500
    #[serde(default)]
    pub when: Option<String>,
    /// The field that holds the value: latency_ms, features.amount. A counter without one counts
    /// events.
    #[serde(default)]
    pub value: Option<String>,
    /// Labels, each with the field that holds its value: { region: features.region }.
    #[serde(default)]
    pub labels: Named<String>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum MetricType {
    /// Adds up.
    Counter,
    /// The last value.
    Gauge,
    /// The distribution of values, in exponential buckets.
    Histogram,
}
