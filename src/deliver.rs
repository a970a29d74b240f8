//! Floor 4: the loop around every sink. One [`Route`] per (tier, sink): take frames from the
//! spool's cursor, batch, encode, send, judge, acknowledge.
//!
//! Owns everything that repeats between sinks: batching (`load`), bodies in flight and their
//! acknowledgement in order, retry with full jitter and `Retry-After` ([`retry`]), the gate that
//! keeps a sick destination from being hammered (`gate`), rate limits ([`limit`]), splitting, the
//! transports ([`transport`]), dead letters ([`dead_letters`]) and what the operator sees
//! ([`status`]). Knows no format: that is the sink's. Knows no disk layout: that is the spool's,
//! which it sees as [`Frames`].
//!
//! # Why
//! - **At least once, acknowledged in order.** Bodies may be answered in any order; the cursor only
//!   moves over a prefix of frames that are wholly delivered, dead-lettered or dropped.
//! - **Boundaries are free for sinks that recognise a repeat.** Within a process a body is encoded
//!   once and sent again byte for byte. After a crash the frames behind the cursor are batched
//!   anew, perhaps with other boundaries: at most the bodies that were in flight are stored twice
//!   by a destination that does not recognise their events.
//! - **Exactly once, for destinations that count.** Where a transport writes bodies down before it
//!   sends them ([`transport::Client::is_exact`]), they go one after the other, each with the span
//!   of the log that it holds ([`span`]). The next process sends the last of them as it was, and
//!   reads on behind it. A sink stays an encoder and a judge: of streams and offsets only the
//!   transport knows, of spans only this loop.
//! - **Files hold nothing.** A file may be far larger than what memory allows, so its frames are
//!   dropped once encoded; when it cannot be written the cursor is rewound and the very same range
//!   is encoded again, into the same name.
//! - **Memory** per route is bounded by its part of [`Options::budget`], of frames and bodies
//!   together, and by `concurrency` bodies. A frame that is larger than `batch_bytes` is cut, one
//!   body at a time.

use std::sync::Arc;
use std::time::Duration;

use crate::sinks::Sink;
use crate::telemetry::RouteCounters;

mod acks;
pub mod dead_letters;
pub mod drain;
mod flight;
pub mod frames;
mod gate;
mod held;
mod letters;
pub mod limit;
mod load;
pub mod replay;
pub mod retry;
mod route;
pub mod span;
pub mod status;
pub mod transport;
mod waiting;
pub mod window;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod tests;

pub use self::dead_letters::DeadLetters;
pub use self::drain::{Drain, DrainSwitch, drain};
pub use self::frames::{Frame, Frames};
pub use self::held::Budget;
pub use self::limit::{RateLimit, RateUnit};
pub use self::replay::Replay;
pub use self::retry::Retry;
pub use self::status::RouteStatus;
pub use self::transport::Client;

/// How a route gathers and sends.
#[derive(Clone, Debug)]
pub struct Options {
    /// A body is closed before it grows beyond this, as the sink's encoder counts.
    pub batch_bytes: usize,
    /// A body is closed this long after its first frame came.
    pub batch_age: Duration,
    /// Bodies in flight at once; files are always written one at a time.
    pub concurrency: usize,
    /// While bodies in flight hold the route's part of it, nothing more is read. With none in
    /// flight a body is closed when it holds as much.
    pub budget: Budget,
    /// When and how often to try again.
    pub retry: Retry,
    /// The most that is sent in a second.
    pub rate_limit: Option<RateLimit>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_bytes: 1 << 20,
            batch_age: Duration::from_secs(1),
            concurrency: 4,
            budget: Budget::new(8 << 20),
            retry: Retry::default(),
            rate_limit: None,
        }
    }
}

/// One (tier, sink) pair and what it needs to run.
pub struct Route {
    /// The tier's name.
    pub tier: String,
    /// The sink's name in the config.
    pub sink_name: String,
    /// Format and judgement.
    pub sink: Arc<dyn Sink>,
    /// How bodies travel; see [`transport::connect`].
    pub client: Arc<dyn Client>,
    /// See [`Options`].
    pub options: Options,
    /// Where refused events go.
    pub dead_letters: DeadLetters,
    /// Where the route's events are counted.
    pub counters: Arc<RouteCounters>,
    /// What the operator sees.
    pub status: Arc<RouteStatus>,
}

impl Route {
    /// Delivers until `drain` is over or `frames` ends. What is not delivered by then stays in the
    /// spool. Run it as a task of its own.
    pub async fn run(self, frames: impl Frames, drain: Drain) {
        route::Loop::new(self, frames, drain).run().await;
    }
}
