//! The source that scrapes, as the config says it.

use std::num::{NonZeroU64, NonZeroUsize};

use reqwest::Url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::config::de::wrong;
use crate::config::named::Named;
use crate::config::sinks::{Auth, Tls, http_url};
use crate::sources::prometheus::relabel;
pub use crate::sources::prometheus::relabel::Action as RelabelAction;
use crate::units::{ByteSize, HumanDuration};

/// Scrapes what the model, or anything beside it, exposes for Prometheus: text, OpenMetrics,
/// protobuf.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// What is scraped: URLs; without a path, it is /metrics.
    pub targets: Vec<Target>,
    /// How often. Default: 15s.
    #[serde(default = "default_every")]
    pub every: HumanDuration,
    /// How long a scrape may take, up to "every". Default: 10s, or "every" where that is shorter.
    #[serde(default)]
    pub timeout: Option<HumanDuration>,
    /// The label "job" of all series. Default: the service's name.
    #[serde(default)]
    pub job: Option<String>,
    /// Labels that all series carry.
    #[serde(default)]
    pub labels: Named<String>,
    /// Whether a series' own label stays where "labels", "job" or "instance" has one of that name;
    /// else it is called exported_NAME. Default: false.
    #[serde(default)]
    pub honor_labels: bool,
    /// Whether the time counts that a target gives to a sample. Default: true.
    #[serde(default = "super::default_true")]
    pub honor_timestamps: bool,
    /// Whether native histograms are asked for, by protobuf. Default: false.
    #[serde(default)]
    pub native_histograms: bool,
    /// The largest body, packed and unpacked. Default: 8MiB, or a quarter of "memory.limit" where
    /// that is less.
    #[serde(default)]
    pub body_size_limit: Option<ByteSize>,
    /// Most samples of a scrape, behind "metric_relabel". Beyond any of these limits a scrape has
    /// failed. Default: 50000.
    #[serde(default = "default_samples")]
    pub sample_limit: NonZeroUsize,
    /// Most labels of a series, its name among them. Default: no limit.
    #[serde(default)]
    pub label_limit: Option<NonZeroUsize>,
    /// Most bytes of a label's name. Default: no limit.
    #[serde(default)]
    pub label_name_length_limit: Option<NonZeroUsize>,
    /// Most bytes of a label's value. Default: no limit.
    #[serde(default)]
    pub label_value_length_limit: Option<NonZeroUsize>,
    /// Who asks. Default: nobody in particular.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Whom to trust.
    #[serde(default)]
    pub tls: Tls,
    /// What is done to series before they are stored, as Prometheus' metric_relabel_configs.
    #[serde(default)]
    pub metric_relabel: Vec<Relabel>,
    /// Attributes of the resource that all metrics of this source carry.
    #[serde(default)]
    pub attributes: Named<String>,
}

fn default_every() -> HumanDuration {
    HumanDuration::secs(15)
}

fn default_samples() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(49_999)
}

impl Prometheus {
    /// How long a scrape may take.
    #[must_use]
    pub fn timeout(&self) -> HumanDuration {
        self.timeout.unwrap_or(HumanDuration::secs(10).min(self.every))
    }

    /// The largest body where the memory is so much.
    #[must_use]
    pub fn body_size_limit(&self, memory_limit: ByteSize) -> ByteSize {
        self.body_size_limit.unwrap_or(ByteSize::mib(8).min(ByteSize(memory_limit.0 / 4)))
    }
}

/// A URL that is scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(pub Url);

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        const HINT: &str = "Write the whole URL: \"http://127.0.0.1:8000/metrics\".";
        let mut url = http_url(de, HINT)?;
        if url.fragment().is_some() {
            return Err(wrong("this URL holds a fragment", HINT));
        }
        if url.path() == "/" {
            url.set_path("/metrics");
        }
        Ok(Self(url))
    }
}

impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^https?://|\$\{",
            "description": "A URL that exposes metrics.",
            "examples": ["http://127.0.0.1:8000/metrics"],
        })
    }
}

/// A rule, as Prometheus' relabel_config.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Relabel {
    /// Labels whose values are joined; the series' name is __name__. Default: none.
    pub source_labels: Vec<String>,
    /// What stands between the values. Default: ";".
    pub separator: String,
    /// The label that is set, or compared with.
    pub target_label: String,
    /// What must match all of the values, or of labels' names. Default: (.*)
    pub regex: RelabelRegex,
    /// Of a hash (hashmod).
    pub modulus: Option<NonZeroU64>,
    /// What is set; $1 is what the first group matched. Default: $1.
    pub replacement: String,
    /// What is done. Default: replace.
    pub action: RelabelAction,
}

impl Default for Relabel {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            target_label: String::new(),
            regex: RelabelRegex("(.*)".to_owned()),
            modulus: None,
            replacement: "$1".to_owned(),
            action: RelabelAction::Replace,
        }
    }
}

impl Relabel {
    /// The rule as it runs.
    ///
    /// # Errors
    /// Never, for what was read.
    pub fn rule(&self) -> Result<relabel::Rule, regex::Error> {
        Ok(relabel::Rule {
            action: self.action,
            source_labels: self.source_labels.clone(),
            separator: self.separator.clone(),
            target_label: self.target_label.clone(),
            regex: relabel::anchored(&self.regex.0)?,
            modulus: self.modulus.map_or(0, NonZeroU64::get),
            replacement: self.replacement.clone(),
        })
    }
}

/// A regular expression of all of a text; it compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelRegex(pub String);

impl<'de> Deserialize<'de> for RelabelRegex {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        match relabel::anchored(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                Err(wrong(
                    format_args!("this is no regular expression: {reason}"),
                    "Write one as for Prometheus (RE2), in single quotes: 'http_(.*)_total'.",
                ))
            }
        }
    }
}

impl JsonSchema for RelabelRegex {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RelabelRegex".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A regular expression that must match all of the text.",
            "examples": ["http_(.*)_total"],
        })
    }
}
