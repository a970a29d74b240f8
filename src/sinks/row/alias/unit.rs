//! Units of time as loggers name them.

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the units of time")]
pub enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
}

impl Unit {
    /// The unit with this name, as it stands behind a key or a value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "ms" | "millis" | "milliseconds" | "msec" => Unit::Milliseconds,
            "us" | "µs" | "μs" | "micros" | "microseconds" | "usec" => Unit::Microseconds,
            "ns" | "nanos" | "nanoseconds" | "nsec" => Unit::Nanoseconds,
            "s" | "sec" | "secs" | "seconds" => Unit::Seconds,
            "m" | "min" | "minutes" => Unit::Minutes,
            _ => return None,
        })
    }

    /// Milliseconds in one of it.
    #[must_use]
    pub fn ms(self) -> f64 {
        match self {
            Unit::Nanoseconds => 1e-6,
            Unit::Microseconds => 1e-3,
            Unit::Milliseconds => 1.0,
            Unit::Seconds => 1e3,
            Unit::Minutes => 6e4,
        }
    }
}
