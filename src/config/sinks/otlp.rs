//! The OTLP sink, as the config says it.

use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{ByteSize, HumanDuration};

use super::super::named::Named;
use super::super::secret_text::SecretText;
use super::http::{
    Auth, Endpoint, Rate, RequestBatch, Retry, Tls, default_concurrency, default_timeout,
};
use super::loki::Tenant;

/// Tempo, Jaeger, an OpenTelemetry Collector, or whatever takes OTLP.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Scheme, host and port. By HTTP, the signal's path is added: /v1/traces, /v1/metrics,
    /// /v1/logs.
    pub endpoint: Endpoint,
    /// Where spans go instead, by HTTP the whole URL.
    #[serde(default)]
    pub traces_endpoint: Option<Endpoint>,
    /// Where metrics go instead.
    #[serde(default)]
    pub metrics_endpoint: Option<Endpoint>,
    /// Where logs go instead.
    #[serde(default)]
    pub logs_endpoint: Option<Endpoint>,
    /// grpc or http. Default: grpc.
    #[serde(default)]
    pub protocol: OtlpProtocol,
    /// How requests are packed: gzip, zstd, or none for a receiver on the same node. Default: gzip.
    #[serde(default)]
    pub compression: OtlpCompression,
    /// The tenant (X-Scope-OrgID) of Tempo or Mimir. Default: none.
    #[serde(default)]
    pub tenant: Option<Tenant>,
    /// When a request is sent.
    #[serde(default)]
    pub batch: RequestBatch,
    /// The longest wait for an answer. Default: 30s.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// Requests under way at one time. Default: 4.
    #[serde(default = "default_concurrency")]
    pub concurrency: NonZeroUsize,
    /// How fast the receiver may be fed. Default: no limit.
    #[serde(default)]
    pub rate: Rate,
    /// How long the receiver is left alone when it fails.
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
    /// The longest attribute that the receiver keeps whole (Tempo's max_attribute_bytes): longer
    /// ones are sent, counted and told of, because it cuts them. Default: 2KiB.
    #[serde(default = "default_max_attribute")]
    pub max_attribute: ByteSize,
}

fn default_max_attribute() -> ByteSize {
    ByteSize::kib(2)
}

/// How requests travel.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// gRPC.
    #[default]
    Grpc,
    /// Protobuf by HTTP.
    Http,
}

/// How requests are packed.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OtlpCompression {
    /// Not at all.
    None,
    /// Which every receiver takes.
    #[default]
    Gzip,
    /// Denser and cheaper.
    Zstd,
}
