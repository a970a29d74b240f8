//! What a request comes to. Each source writes it in its protocol's words.

use crate::event::signal::Signal;

/// How long a client is asked to wait.
pub(in crate::sources) const RETRY_AFTER_S: u64 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sources) enum Outcome {
    /// It is durable, but for as many items that no reader would have.
    Taken { signal: Signal, n_rejected: usize },
    /// It is no such request.
    Malformed(String),
    /// Nothing here takes it.
    NoTier(Signal),
    /// Larger than requests may be.
    TooLarge(String),
    /// It can be sent again, as it is.
    Busy(String),
}

impl Outcome {
    /// What is said of it.
    pub(in crate::sources) fn words(&self) -> String {
        match self {
            Self::Taken { n_rejected: 0, .. } => String::new(),
            Self::Taken { signal: Signal::Metrics, .. } => {
                "points of delta temporality need a time, a value, buckets that fit their bounds; \
                 must come in order; and begin no more series than there is memory for"
                    .to_owned()
            }
            Self::Taken { .. } => {
                "trace_id needs 16 bytes and span_id 8, not all of them zero".to_owned()
            }
            Self::NoTier(signal) => format!("no tier of the config takes {}", signal.as_str()),
            Self::Malformed(words) | Self::TooLarge(words) | Self::Busy(words) => words.clone(),
        }
    }
}
