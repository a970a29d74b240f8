//! Grafana Loki's push API: protobuf in a raw snappy block, structured metadata, one stream per
//! bounded label set.
//!
//! Owns the options, the transport and the sink itself; the body is `encode`'s, label strings are
//! `labels`'s, per-entry metadata is `metadata`'s, the meaning of answers is `judge`'s.
//! Deliberately does not retry, wait or keep state between bodies: that is `deliver`'s.
//!
//! # Why
//! Labels make streams, and streams are what a Loki pays for, so the set is closed: `service_name`,
//! `namespace`, `container`, `env`, `stream`, `tier`, and what the config adds. Everything that
//! differs per request or pod is structured metadata.
//!
//! A stream is shared by all pods of a service, and Loki refuses an entry that lies an hour (half
//! of its `max_chunk_age`) behind the newest one of its stream. What comes late (after an outage,
//! from a batch job that logs old times) therefore goes to a stream of its own, labelled
//! `backlog="true"` and `pod`. Late means [`Options::backlog_after`] behind the time at which the
//! body was begun, which `deliver` gives and keeps for as long as the body lives: attempts and
//! splits of one body stay identical. After a restart the same entries may be begun at another time
//! and those that became late meanwhile are stored twice, once per stream: at most the bodies that
//! were in flight.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::encode::{PushEncoder, Scratch};
use super::{Encoder, Response, Sink, Transport, Verdict};
use crate::secret::Secret;

mod encode;
mod judge;
mod labels;
mod metadata;
mod pack;
mod wire;

#[cfg(test)]
mod tests;

/// The path of the push API.
pub const PUSH_PATH: &str = "/loki/api/v1/push";
/// Loki's default `max_line_size`.
pub const MAX_LINE_BYTES: usize = 256 << 10;
/// Half of what Loki's default `max_chunk_age` leaves.
pub const BACKLOG_AFTER: Duration = Duration::from_secs(30 * 60);

/// What to do when an operator blocked ingestion (status 260).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBlocked {
    /// The batch goes to the dead letters, and the alarm is raised. Loki itself drops such data.
    #[default]
    DeadLetters,
    /// The route keeps its data and asks again slowly.
    Hold,
}

/// How bodies are packed. Loki demands a snappy block either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Snappy: about a quarter of the bytes, and the largest cost of the whole path.
    #[default]
    Snappy,
    /// A snappy block of literals only, for a Loki on the same node: 15 times cheaper.
    None,
}

/// What a Loki sink needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// Base URL; [`PUSH_PATH`] is added unless it ends with it.
    pub endpoint: String,
    /// `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// The whole `Authorization` header, for a gateway in front of Loki.
    pub authorization: Option<Secret>,
    /// More headers, for a gateway in front of Loki.
    pub headers: Vec<(String, Secret)>,
    /// The tier this route serves: the label `tier`, which retention rules select on.
    pub tier: String,
    /// More labels, the same for every entry. Names are sanitised; the sink's own names win.
    pub labels: Vec<(String, String)>,
    /// Longest line that the Loki at the other end takes (its `max_line_size`).
    pub max_line_bytes: usize,
    /// Entries this far behind the body's begin go to the backlog stream.
    pub backlog_after: Duration,
    /// See [`WhenBlocked`].
    pub when_blocked: WhenBlocked,
    /// See [`Compression`].
    pub compression: Compression,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

impl Options {
    /// The defaults for `tier` at `endpoint`.
    #[must_use]
    pub fn new(endpoint: &str, tier: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            tenant: None,
            authorization: None,
            headers: Vec::new(),
            tier: tier.to_owned(),
            labels: Vec::new(),
            max_line_bytes: MAX_LINE_BYTES,
            backlog_after: BACKLOG_AFTER,
            when_blocked: WhenBlocked::default(),
            compression: Compression::default(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// The Loki sink of one route.
#[derive(Debug)]
pub struct Loki {
    options: Arc<Options>,
    /// Buffers of finished bodies, to be used again; see [`SCRATCHES_MAX`].
    scratches: Arc<Mutex<Vec<Scratch>>>,
}

/// Two are enough: one body is filled while another is finished.
const SCRATCHES_MAX: usize = 2;

impl Loki {
    /// A sink that speaks to one endpoint for one tier.
    #[must_use]
    pub fn new(mut options: Options) -> Self {
        options.labels = labels::sanitised(&options.labels);
        Self { options: Arc::new(options), scratches: Arc::default() }
    }
}

impl Sink for Loki {
    fn encoder(&self, now_ns: i64) -> Box<dyn Encoder> {
        let options = Arc::clone(&self.options);
        Box::new(PushEncoder::new(options, Arc::clone(&self.scratches), now_ns))
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        judge::judge(response, self.options.when_blocked)
    }

    fn transport(&self) -> Transport {
        let options = &self.options;
        let base = options.endpoint.trim_end_matches('/');
        let path = if base.ends_with(PUSH_PATH) { "" } else { PUSH_PATH };
        let tenant = options.tenant.clone().map(|id| ("X-Scope-OrgID".to_owned(), Secret::new(id)));
        let authorization =
            options.authorization.clone().map(|value| ("Authorization".to_owned(), value));
        Transport::Http {
            url: format!("{base}{path}"),
            headers: tenant
                .into_iter()
                .chain(authorization)
                .chain(options.headers.iter().cloned())
                .collect(),
            timeout: options.timeout,
            answer_headers: &[],
        }
    }
}
