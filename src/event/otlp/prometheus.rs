//! How what Prometheus knows of a series is said in OTLP, so that it can be said back.
//!
//! Owns the agreement between the source that scrapes (and what derives metrics), which write it,
//! and the sink of remote write, which reads it. Converts nothing itself.
//!
//! - `job` and `instance`: the resource's `service.name` and `service.instance.id`. A target's
//!   further labels: attributes of each point.
//! - A family's name, as exposed (`http_requests_total`): `Metric.name`, taken back word for word,
//!   like `HELP` (`description`) and `UNIT` (`unit`). Its type: the kind of point, and
//!   `Metric.metadata` [`TYPE_KEY`], whose presence says that all this is Prometheus's.
//! - A counter: a cumulative monotonic `Sum`; `_created` is `start_time_unix_nano`. A gauge, and
//!   what is unknown, info or stateset: a `Gauge`.
//! - A histogram with whole counts and a `+Inf` bucket: a cumulative `Histogram`. A summary: a
//!   `Summary`. A native histogram: a cumulative `ExponentialHistogram`; with custom buckets, a
//!   `Histogram`.
//! - Anything else (a bucket that is missing, a count that is no whole number): each series a
//!   `Gauge` of its own name and labels, of unknown type.
//! - A stale marker: a point with the flag [`NO_RECORDED_VALUE`] and no value.
//! - An exemplar: an `Exemplar`; its labels `trace_id` and `span_id` are ids where they are such,
//!   the others are attributes.
//! - A sample's time: `time_unix_nano`; remote write has milliseconds.
//!
//! Source: OpenTelemetry "Prometheus and OpenMetrics compatibility", which names the key; the
//! collector's receiver writes the same.
//!
//! # Why
//! One form in the spool for what is scraped, derived and received: it reaches a collector as well
//! as a Prometheus, and is protected by the one walk over OTLP. A histogram of 12 buckets is one
//! point instead of 14 series.

/// The key of `Metric.metadata` whose text is a [`FamilyType`].
pub const TYPE_KEY: &str = "prometheus.type";

/// The bit of a point's `flags` that says that there is no value from now on.
pub const NO_RECORDED_VALUE: u32 = 1;

/// Bits of the NaN that is Prometheus's stale marker (`model/value/value.go`). Arithmetic would
/// quiet it: only ever copy the bits.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// What a metric family is, by OpenMetrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FamilyType {
    /// Nothing is said of it.
    #[default]
    Unknown,
    /// Only grows, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count that only grow.
    Histogram,
    /// Buckets, sum and count that go up and down.
    GaugeHistogram,
    /// Quantiles.
    Summary,
    /// A 1 with labels that say something.
    Info,
    /// A 0 or 1 for each state.
    StateSet,
}

impl FamilyType {
    /// All types in the order of remote write's numbers.
    pub const ALL: [FamilyType; 8] = [
        FamilyType::Unknown,
        FamilyType::Counter,
        FamilyType::Gauge,
        FamilyType::Histogram,
        FamilyType::GaugeHistogram,
        FamilyType::Summary,
        FamilyType::Info,
        FamilyType::StateSet,
    ];

    /// The word of OpenMetrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }

    /// The type that a word names; `untyped` is what the older text format says for unknown.
    #[must_use]
    pub fn parse(word: &[u8]) -> Option<Self> {
        let named = Self::ALL.into_iter().find(|one| one.as_str().as_bytes() == word);
        named.or((word == b"untyped").then_some(Self::Unknown))
    }

    /// Remote write's number of it (`MetricMetadata.MetricType` of 1.0, `Metadata.MetricType` of
    /// 2.0).
    #[must_use]
    pub fn number(self) -> u64 {
        Self::ALL.iter().position(|one| *one == self).unwrap_or(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers() {
        for (number, one) in FamilyType::ALL.into_iter().enumerate() {
            assert_eq!(FamilyType::parse(one.as_str().as_bytes()), Some(one));
            assert_eq!(one.number(), number as u64);
        }
        assert_eq!(FamilyType::parse(b"untyped"), Some(FamilyType::Unknown));
        assert_eq!(FamilyType::parse(b"Counter"), None);
    }
}
