//! The names by which OTLP's two transports call a signal, and gRPC's head of a message.
//!
//! Source: OTLP specification, "OTLP/gRPC" and "OTLP/HTTP Request"; gRPC over HTTP/2,
//! `Length-Prefixed-Message`. Sends and receives nothing.

use crate::event::signal::Signal;

/// Bytes of gRPC's head of a message: whether it is packed, and its length.
pub const GRPC_HEAD_LEN: usize = 5;

/// The path of a signal's service.
#[must_use]
pub fn grpc_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// The path of a signal below an HTTP endpoint.
#[must_use]
pub fn http_path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/v1/traces",
        Signal::Metrics => "/v1/metrics",
        Signal::Logs => "/v1/logs",
    }
}

/// gRPC's head of a message of `len` bytes; `None` for one that is too long to have a head.
#[must_use]
pub fn grpc_head(is_packed: bool, len: usize) -> Option<[u8; GRPC_HEAD_LEN]> {
    let [a, b, c, d] = u32::try_from(len).ok()?.to_be_bytes();
    Some([u8::from(is_packed), a, b, c, d])
}
