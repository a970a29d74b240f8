//! The messages of BigQuery's Storage Write API as prost reads and writes them: what the tests hold
//! our own writing against.
//!
//! Owns the list of the generated files (`tests/bigquery_proto/generate` wrote them). Taken in by
//! path, from integration tests and from unit tests. Descriptors, wrappers and `Any` are those of
//! prost-types.
#![allow(dead_code, missing_docs, clippy::all, unreachable_pub)]

#[path = "generated/rpc.rs"]
pub(crate) mod rpc;
#[path = "generated/storage.rs"]
pub(crate) mod storage;
