//! The OTLP source, as the config says it.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::config::de::wrong;
use crate::config::named::Named;
use crate::units::ByteSize;

/// Receives OpenTelemetry's own protocol: logs, spans and metrics by gRPC and HTTP, protobuf and
/// JSON. Both addresses take both.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// Where gRPC is expected: HOST:PORT, unix:/PATH or off. Default: 127.0.0.1:4317.
    pub grpc: ListenAddress,
    /// Where HTTP is expected: HOST:PORT, unix:/PATH or off. Default: 127.0.0.1:4318.
    pub http: ListenAddress,
    /// Certificate and key, for TLS on both. Default: none.
    pub tls: Option<ServerTls>,
    /// The largest request, packed and unpacked. Default: 16MiB.
    pub max_request: ByteSize,
    /// Attributes that all logs of this source carry beside their own resource's.
    pub attributes: Named<String>,
}

impl Default for Otlp {
    fn default() -> Self {
        let loopback = |port| ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            grpc: loopback(4317),
            http: loopback(4318),
            tls: None,
            max_request: ByteSize::mib(16),
            attributes: Named::default(),
        }
    }
}

/// A server's certificate and key.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// PEM file with the certificate and the chain behind it.
    pub cert_file: PathBuf,
    /// PEM file with its key.
    pub key_file: PathBuf,
    /// PEM file with the authority that signs clients: without a certificate of it, a client is not
    /// heard. Default: all are.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Nowhere.
    Off,
    /// An address of this machine.
    Tcp(SocketAddr),
    /// A socket's path.
    Unix(PathBuf),
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        // YAML 1.1 tools (Helm) write `off` back as `false`.
        if matches!(text.as_str(), "off" | "false") {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            wrong(
                format_args!("\"{text}\" is not an address to listen on"),
                "Write HOST:PORT with an IP address, such as 127.0.0.1:4317 or 0.0.0.0:4317; \
                 unix:/run/otlp.sock; or off.",
            )
        })
    }
}

impl JsonSchema for ListenAddress {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ListenAddress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "HOST:PORT, unix:/PATH or off.",
            "examples": ["127.0.0.1:4317", "unix:/run/otlp.sock", "off"],
        })
    }
}
