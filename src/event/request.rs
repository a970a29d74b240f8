//! A whole OTLP request of spans or metrics as a source received it: raw, unprotected.
//!
//! As a [`super::chunk::Chunk`] of lines it never leaves the thread that `protect` runs on.

use std::sync::Arc;

use super::origin::Origin;
use super::signal::Signal;
use super::slab::Slab;

/// See the module.
#[derive(Debug)]
pub struct Request {
    /// Spans or metrics; logs become lines.
    pub signal: Signal,
    /// The protobuf of an `Export…ServiceRequest`.
    pub slab: Slab,
    /// What all of them share.
    pub origin: Arc<Origin>,
    /// See [`super::chunk::Chunk::source_key`].
    pub source_key: u64,
    /// The number of its first item among all that the source received.
    pub source_base: u64,
    /// When it was received, in nanoseconds since 1970.
    pub observed_ns: i64,
}
