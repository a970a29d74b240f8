//! The messages of OTLP as prost decodes them: what the tests hold our own reading and writing of
//! protobuf against.
//!
//! Owns the list of the generated files (`tests/otlp_proto/generate` wrote them). Taken in by path,
//! from integration tests and from unit tests:
//!
//! ```text
//! #[path = "otlp_proto/messages.rs"]
//! mod otlp_proto;
//! ```
#![allow(dead_code, missing_docs, clippy::all, unreachable_pub)]

#[path = "generated/common.rs"]
pub(crate) mod common;
#[path = "generated/logs.rs"]
pub(crate) mod logs;
#[path = "generated/logs_service.rs"]
pub(crate) mod logs_service;
#[path = "generated/metrics.rs"]
pub(crate) mod metrics;
#[path = "generated/metrics_service.rs"]
pub(crate) mod metrics_service;
#[path = "generated/resource.rs"]
pub(crate) mod resource;
#[path = "generated/trace.rs"]
pub(crate) mod trace;
#[path = "generated/trace_service.rs"]
pub(crate) mod trace_service;
