//! Loki's settings.

use std::num::NonZeroUsize;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::units::{ByteSize, HumanDuration};

use super::super::de::wrong;
use super::super::named::Named;
use super::super::secret_text::SecretText;
use super::http::{
    Auth, Endpoint, Rate, RequestBatch, Retry, Tls, default_concurrency, default_timeout,
};

/// Grafana Loki, through its push API.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Loki {
    /// Scheme, host and port of Loki or of the gateway in front of it.
    pub endpoint: Endpoint,
    /// The tenant (X-Scope-OrgID). Default: none.
    #[serde(default)]
    pub tenant: Option<Tenant>,
    /// Labels with fixed values, beside those that are always set: tier, stream, service_name,
    /// namespace, container, env. All else is structured metadata.
    #[serde(default)]
    pub labels: Named<String>,
    /// When a request is sent.
    #[serde(default)]
    pub batch: RequestBatch,
    /// The longest wait for an answer. Default: 30s.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// Requests under way at one time. Default: 4.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroUsize,
    /// How fast Loki may be fed. Default: no limit.
    #[serde(default)]
    pub rate: Rate,
    /// How long Loki is left alone when it fails.
    #[serde(default)]
    pub retry: Retry,
    /// Headers for a gateway.
    #[serde(default)]
    pub headers: Named<SecretText>,
    /// How requests are authorised. Default: not at all.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Whom to trust.
    #[serde(default)]
    pub tls: Tls,
    /// A proxy's URL. The environment is not asked. Default: none.
    #[serde(default)]
    pub proxy: Option<Endpoint>,
    /// The longest line that Loki takes (its max_line_size); a longer one goes to the dead letters.
    /// Default: 256KiB.
    #[serde(default = "default_max_line")]
    pub max_line: ByteSize,
    /// How bodies are packed: snappy, or none for a Loki on the same node. Default: snappy.
    #[serde(default)]
    pub compression: Compression,
    /// What happens to what Loki's operator blocked: dead_letters or hold. Default: dead_letters.
    #[serde(default)]
    pub when_blocked: WhenBlocked,
}

fn default_max_line() -> ByteSize {
    ByteSize::kib(256)
}

/// A Loki tenant: letters, digits and `! - _ . * ' ( )`, at most 150 bytes, not `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(pub String);

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b);
        let named = !matches!(text.as_str(), "" | "." | "..");
        if named && text.len() <= 150 && text.bytes().all(valid) {
            return Ok(Self(text));
        }
        Err(wrong(
            format_args!("\"{text}\" is not a tenant of Loki"),
            "Use letters, digits and ! - _ . * ' ( ), at most 150. Pushes go to one tenant.",
        ))
    }
}

impl JsonSchema for Tenant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tenant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
    }
}

/// How bodies are packed. Loki demands a snappy block either way.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// About a quarter of the bytes.
    #[default]
    Snappy,
    /// A block of literals only: less work, for a Loki on the same node.
    None,
}

/// What happens to what an operator blocked (status 260).
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WhenBlocked {
    /// It goes to the dead letters.
    #[default]
    DeadLetters,
    /// It is kept, and Loki asked again slowly.
    Hold,
}
