//! What a batch and a tier carry: logs, metrics or spans.

/// A signal of OpenTelemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Signal {
    /// Log records, each a line of text or JSON.
    #[default]
    Logs = 0,
    /// Spans, each a protobuf `Span` within its request.
    Traces = 1,
    /// Metrics, each a protobuf `Metric` within its request.
    Metrics = 2,
}

impl Signal {
    /// All signals, in the order of their numbers.
    pub const ALL: [Signal; 3] = [Signal::Logs, Signal::Traces, Signal::Metrics];

    /// The signal with number `n`.
    #[must_use]
    pub fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.get(usize::from(n)).copied()
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Logs => "logs",
            Signal::Metrics => "metrics",
            Signal::Traces => "traces",
        }
    }
}
