//! Writes metric families as Prometheus text 0.0.4 or OpenMetrics 1.0, which differ in the name of
//! a counter's family and in the last line.
//!
//! Source: Prometheus exposition formats; OpenMetrics 1.0. Deliberately knows counters and gauges
//! only: what we count needs no histogram yet.

use std::fmt::{Display, Write};

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows; its samples are named `…_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One answer to a scrape.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    is_openmetrics: bool,
    name: &'static str,
    suffix: &'static str,
}

impl Exposition {
    pub(super) fn new(is_openmetrics: bool) -> Self {
        Self { text: String::with_capacity(8 << 10), is_openmetrics, name: "", suffix: "" }
    }

    /// Begins a family. `name` is without `_total`; samples follow by [`Self::sample`].
    pub fn family(&mut self, name: &'static str, kind: MetricKind, help: &str) {
        self.name = name;
        self.suffix = if kind == MetricKind::Counter { "_total" } else { "" };
        let word = if kind == MetricKind::Counter { "counter" } else { "gauge" };
        let family_suffix = if self.is_openmetrics { "" } else { self.suffix };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name}{family_suffix} {help}");
        let _ = writeln!(self.text, "# TYPE {name}{family_suffix} {word}");
    }

    /// One sample of the family that was begun last.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{}{}", self.name, self.suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The whole answer and its content type.
    pub(super) fn finish(mut self) -> (String, &'static str) {
        if self.is_openmetrics {
            self.text.push_str("# EOF\n");
            return (self.text, "application/openmetrics-text; version=1.0.0; charset=utf-8");
        }
        (self.text, "text/plain; version=0.0.4; charset=utf-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        for (is_openmetrics, expected) in [
            (
                false,
                "# HELP a_total What a is.\n# TYPE a_total counter\na_total{x=\"q\\\"\\\\\\n\",y=\"z\"} 3\n\
                 # HELP b What b is.\n# TYPE b gauge\nb 0.5\n",
            ),
            (
                true,
                "# HELP a What a is.\n# TYPE a counter\na_total{x=\"q\\\"\\\\\\n\",y=\"z\"} 3\n\
                 # HELP b What b is.\n# TYPE b gauge\nb 0.5\n# EOF\n",
            ),
        ] {
            let mut out = Exposition::new(is_openmetrics);
            out.family("a", MetricKind::Counter, "What a is.");
            out.sample(&[("x", "q\"\\\n"), ("y", "z")], 3);
            out.family("b", MetricKind::Gauge, "What b is.");
            out.sample(&[], 0.5);
            assert_eq!(out.finish().0, expected);
        }
    }
}
