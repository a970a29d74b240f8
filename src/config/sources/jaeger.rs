//! The Jaeger source, as the config says it.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::ListenAddress;
use crate::config::named::Named;

/// Receives spans of Jaeger's clients: what they send to an agent (UDP), and to a collector (HTTP).
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Jaeger {
    /// Where datagrams of Thrift's compact protocol are expected: HOST:PORT or off.
    /// Default: 127.0.0.1:6831.
    pub compact: ListenAddress,
    /// Where datagrams of Thrift's binary protocol are expected: HOST:PORT or off.
    /// Default: 127.0.0.1:6832.
    pub binary: ListenAddress,
    /// Where batches over HTTP are expected: HOST:PORT, unix:/PATH or off.
    /// Default: 127.0.0.1:14268.
    pub http: ListenAddress,
    /// Attributes that all spans of this source carry beside their own process' tags.
    pub attributes: Named<String>,
}

impl Default for Jaeger {
    fn default() -> Self {
        let loopback = |port| ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            compact: loopback(6831),
            binary: loopback(6832),
            http: loopback(14268),
            attributes: Named::default(),
        }
    }
}
