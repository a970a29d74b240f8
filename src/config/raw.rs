//! The config as it is written: the root and the small sections. Every field has a default, so that
//! reading goes on behind an error; what is still needed is asked for by [`super::resolve`].

use std::fmt;
use std::net::SocketAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::units::ByteSize;

use super::de::wrong;
use super::derive::Derive;
use super::named::Named;
use super::protect::Protect;
use super::sample::{Classify, Sample};
use super::sinks::Sink;
use super::sources::Source;
use super::spool::RawSpool;
use super::tiers::RawTier;

/// The config of sidewake: where telemetry comes from, what happens to it, where it goes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "sidewake.yaml")]
pub(super) struct Config {
    /// Whose telemetry it is.
    pub(super) service: Service,
    /// Where telemetry comes from, by name.
    pub(super) sources: Named<Source>,
    /// What leaves, and in which form.
    pub(super) protect: Protect,
    /// Own rules for the kind of an event.
    pub(super) classify: Classify,
    /// Which events are kept.
    pub(super) sample: Sample,
    /// Metrics that are made of what passes.
    pub(super) derive: Derive,
    /// Retention classes by name: what goes where, for how long.
    pub(super) tiers: Named<RawTier>,
    /// Where telemetry goes, by name. Default: local files.
    pub(super) sinks: Named<Sink>,
    /// Where events wait for their sinks.
    pub(super) spool: Option<RawSpool>,
    /// How much memory may be used.
    pub(super) memory: Memory,
    /// Health, status and metrics over HTTP.
    pub(super) admin: Admin,
    /// What is repeated on sidewake's own output of what an exec source writes: raw, protected or
    /// none. Default: raw on a terminal, protected elsewhere.
    pub(super) echo: Option<Echo>,
}

/// Whose telemetry it is.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Service {
    /// The service's name. Default: $OTEL_SERVICE_NAME.
    pub(super) name: Option<String>,
    /// Its version.
    pub(super) version: Option<String>,
    /// Where it runs: production, staging.
    pub(super) environment: Option<String>,
    /// Further attributes, under OpenTelemetry names.
    pub(super) attributes: Named<String>,
}

/// How much memory may be used.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Memory {
    /// For everything under way. Default: 32MiB.
    pub(super) limit: ByteSize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { limit: ByteSize::mib(32) }
    }
}

/// Health, status and metrics over HTTP.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    /// Address and port, or off. Default: 127.0.0.1:4319.
    pub(super) listen: Listen,
}

/// An address to listen on, or none.
#[derive(Debug)]
pub(super) struct Listen(pub(super) Option<SocketAddr>);

impl Default for Listen {
    /// Loopback, next to the ports of OTLP (4317, 4318).
    fn default() -> Self {
        Self(Some(SocketAddr::from(([127, 0, 0, 1], 4319))))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        // YAML 1.1 tools (Helm) write `off` back as `false`.
        if matches!(text.as_str(), "off" | "false") {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| {
            wrong(
                format_args!("\"{text}\" is not an address to listen on"),
                "Write an IP address and a port, 127.0.0.1:4319 or 0.0.0.0:4319, or off.",
            )
        })
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "boolean"], "examples": ["127.0.0.1:4319", "off"] })
    }
}

/// What is repeated on our own output of what a child writes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Echo {
    /// The protected line.
    Protected,
    /// The line as it came.
    Raw,
    /// Nothing.
    None,
}

impl Echo {
    /// All words.
    pub const WORDS: [&str; 3] = ["protected", "raw", "none"];

    /// What `word` means.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "protected" => Some(Echo::Protected),
            "raw" => Some(Echo::Raw),
            "none" => Some(Echo::None),
            _ => None,
        }
    }
}

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Echo::Protected => "protected",
            Echo::Raw => "raw",
            Echo::None => "none",
        })
    }
}
