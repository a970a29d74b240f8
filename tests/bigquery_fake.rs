//! The strict BigQuery that other tests hold the sink against, held against a small client: what it
//! takes, what it refuses, and that it does what it is told to.
//!
//! Deliberately needs nothing of the product.

#[path = "bigquery_proto/messages.rs"]
mod bigquery_proto;
#[path = "support/fake_bigquery.rs"]
#[allow(dead_code, reason = "tests of the sink use more of it")]
mod fake_bigquery;
#[path = "support/watched.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod watched;

#[path = "bigquery_fake/client.rs"]
mod client;
#[path = "bigquery_fake/rest.rs"]
mod rest;
#[path = "bigquery_fake/writes.rs"]
mod writes;
