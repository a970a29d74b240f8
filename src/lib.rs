//! Sidewake: the wake that a model leaves, kept by the sidecar beside it.

pub mod admin;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod diagnostic;
pub mod event;
pub mod pipeline;
pub mod protect;
pub mod secret;
pub mod sinks;
pub mod sources;
pub mod spool;
pub mod store;
pub mod telemetry;
pub mod tiers;
pub mod units;
