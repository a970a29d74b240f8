//! Floor 5: health, status and metrics over HTTP, for kubelet, people and Prometheus.
//!
//! | path | says |
//! |---|---|
//! | `/livez` | the process runs and its runtime turns |
//! | `/readyz` | sources listen and the spool accepts; follows no sink |
//! | `/status` | JSON: each route's state, lag, age of the oldest undelivered event, last error |
//! | `/metrics` | Prometheus text 0.0.4, or OpenMetrics 1.0 where it is asked for |
//!
//! Owns the server and its bounds, and what is printed. Owns no number: the [`Panel`] holds shared
//! counters that others bump. Changes nothing: `GET` and `HEAD` only.
//!
//! # Why
//! A native sidecar's readiness counts for its pod: a dead Loki must not take the models out of
//! service, hence readiness follows no sink. What a sick sink does shows in `/status` and
//! `/metrics`, where nothing is green over a stuck route.

mod exposition;
mod metrics;
mod panel;
mod process;
mod server;
mod status;

#[cfg(test)]
mod tests;

pub use self::exposition::{Exposition, MetricKind};
pub use self::panel::{Live, MoreMetrics, Panel, Readiness, Reloads, RoutePanel, SourcePanel};
pub use self::server::{Admin, AdminError};
