//! The settings of Prometheus remote write.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::units::HumanDuration;

use super::super::de::wrong;
use super::super::named::Named;
use super::super::secret_text::SecretText;
use super::http::{Auth, Endpoint, Rate, RequestBatch, Retry, Tls, default_timeout};
use super::loki::Tenant;

/// Prometheus, Mimir, Thanos, VictoriaMetrics: metrics by remote write. Requests go one after the
/// other, because receivers take a series' samples in the order of time only.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PrometheusRemoteWrite {
    /// The whole URL: http://prometheus:9090/api/v1/write, http://mimir/api/v1/push,
    /// http://thanos:19291/api/v1/receive.
    pub endpoint: Endpoint,
    /// 2.0, 1.0 or auto: 2.0 as long as the receiver understands it. Default: auto.
    #[serde(default)]
    pub protocol: RemoteWriteProtocol,
    /// The tenant (X-Scope-OrgID) of Mimir; Thanos has a header of its own (THANOS-TENANT).
    /// Default: none.
    #[serde(default)]
    pub tenant: Option<Tenant>,
    /// When a request is sent; one of 1MiB has at most 10,000 samples.
    #[serde(default)]
    pub batch: RequestBatch,
    /// The longest wait for an answer. Default: 30s.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// How fast the receiver may be fed; events are metrics. Default: no limit.
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
}

/// The version to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteWriteProtocol {
    /// 2.0 where it is understood, else 1.0.
    #[default]
    Auto,
    /// 1.0 only.
    One,
    /// 2.0 only.
    Two,
}

impl<'de> Deserialize<'de> for RemoteWriteProtocol {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            "1.0" => Ok(Self::One),
            "2.0" => Ok(Self::Two),
            _ => Err(wrong(
                format_args!("\"{text}\" is no version of remote write"),
                "Write auto, 1.0 or 2.0.",
            )),
        }
    }
}

impl JsonSchema for RemoteWriteProtocol {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RemoteWriteProtocol".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Without quotes a version is a number.
        json_schema!({ "enum": ["auto", "1.0", "2.0", 1.0, 2.0] })
    }
}
