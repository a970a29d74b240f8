//! The messages of remote write as prost decodes them: what the tests hold our own writing against.
//!
//! Owns the list of the generated files (`tests/remote_write_proto/generate` wrote them). Taken in
//! by path, from integration tests and from unit tests.
#![allow(dead_code, missing_docs, clippy::all, unreachable_pub)]

#[path = "generated/one.rs"]
pub(crate) mod one;
#[path = "generated/two.rs"]
pub(crate) mod two;
