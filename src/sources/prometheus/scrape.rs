//! One scrape as a pure function: a body in, requests of OTLP out.
//!
//! Owns what is written when there was no body, and the series that every scrape has: `up`,
//! `scrape_duration_seconds` and the like.

use std::collections::HashSet;
use std::time::Duration;

use super::family::{Gather, Refused, Treatment};
use super::labels::get;
use super::output::{Of, Output, Shape, push_head};
use super::points::Points;
use super::replay::{self, Lines};
use super::sample::Pair;
use super::told::Told;
use crate::event::otlp::prometheus::FamilyType;
use crate::event::otlp::wire::{push_fixed64, push_message};
use crate::event::otlp::write::push_attribute;

/// How an exposition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, 0.0.4 or 1.0.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

/// Series of a target that sidewake makes, each with what it is about.
const REPORT: [(&str, &str); 5] = [
    ("up", "1 if the target could be scraped, 0 if not."),
    ("scrape_duration_seconds", "How long the scrape took."),
    ("scrape_samples_scraped", "Samples that the target exposed."),
    ("scrape_samples_post_metric_relabeling", "Samples that metric_relabel left."),
    ("scrape_series_added", "Samples of series that the scrape before did not have."),
];

/// How a scrape went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) n_scraped: usize,
    pub(super) n_kept: usize,
    pub(super) n_added: usize,
    /// Points that nobody could tell from another, or that have no form here.
    pub(super) n_twice: usize,
}

/// A body that was read; the series that are gone are written too.
pub(super) struct Reading {
    output: Output,
    told: Told,
    pub(super) numbers: Numbers,
}

/// Reads a body that was scraped at `time_ns`. What was told before is `last`.
///
/// # Errors
/// [`Refused`]; nothing of the body is then used.
pub(super) fn read(
    (body, format): (&[u8], Format),
    treatment: &Treatment,
    attributes: &[(String, String)],
    last: &mut Told,
    time_ns: i64,
) -> Result<Reading, Refused> {
    let is_text = format != Format::Protobuf;
    let again = is_text.then(|| replay::read(body, last, Output::new(attributes), time_ns));
    if let Some(output) = again.flatten() {
        let told = std::mem::take(last);
        let (n_scraped, n_kept) =
            told.script.as_ref().map_or((0, 0), |script| (script.n_scraped, script.n_kept));
        let numbers = Numbers { n_scraped, n_kept, n_added: 0, n_twice: 0 };
        return Ok(Reading { output, told, numbers });
    }
    let mut points = Points::new(Output::new(attributes), last, time_ns);
    let mut gather = Gather::new(treatment, format == Format::OpenMetrics, &mut points);
    let lines = match format {
        Format::Text | Format::OpenMetrics => gather.read_text(body)?,
        Format::Protobuf => {
            gather.read_protobuf(body)?;
            Lines::default()
        }
    };
    let (n_scraped, n_kept) = (gather.n_scraped, gather.n_kept);
    let Points { mut output, telling, recorder, n_added, n_twice, .. } = points;
    let now: HashSet<u64> = telling.hashes().iter().copied().collect();
    last.write_gone(&now, time_ns, &mut output);
    let told = telling.finish(recorder.finish(lines, (n_scraped, n_kept)));
    let numbers = Numbers { n_scraped, n_kept, n_added, n_twice };
    Ok(Reading { output, told, numbers })
}

impl Reading {
    /// What a target that could not be read comes to: all of its series are gone.
    pub(super) fn of_nothing(last: &Told, attributes: &[(String, String)], time_ns: i64) -> Self {
        let mut output = Output::new(attributes);
        last.write_gone(&HashSet::new(), time_ns, &mut output);
        Self { output, told: Told::default(), numbers: Numbers::default() }
    }

    /// The requests, with the series of the scrape itself, and what was told by them.
    pub(super) fn finish(
        mut self,
        is_up: bool,
        took: Duration,
        labels: &[(String, String)],
        time_ns: i64,
    ) -> (Vec<Vec<u8>>, Told) {
        let Numbers { n_scraped, n_kept, n_added, .. } = self.numbers;
        let values = [
            f64::from(u8::from(is_up)),
            took.as_secs_f64(),
            n_scraped as f64,
            n_kept as f64,
            n_added as f64,
        ];
        for ((name, help), value) in REPORT.into_iter().zip(values) {
            report(&mut self.output, labels, (name, help), |output, of, attributes| {
                output.point(of, |out| {
                    out.extend_from_slice(attributes);
                    push_fixed64(out, 3, time_ns.cast_unsigned());
                    push_fixed64(out, 4, value.to_bits());
                });
            });
        }
        (self.output.finish(), self.told)
    }

    /// The requests without the series of the scrape itself.
    pub(super) fn requests(self) -> Vec<Vec<u8>> {
        self.output.finish()
    }

    /// The requests that say that there will be nothing more.
    pub(super) fn farewell(mut self, labels: &[(String, String)], time_ns: i64) -> Vec<Vec<u8>> {
        for series in REPORT {
            report(&mut self.output, labels, series, |output, of, attributes| {
                output.stale_point(of, attributes, time_ns);
            });
        }
        self.output.finish()
    }
}

fn report(
    output: &mut Output,
    labels: &[(String, String)],
    (name, help): (&str, &str),
    write: impl FnOnce(&mut Output, Of<'_>, &[u8]),
) {
    let labels: Vec<Pair<'_>> =
        labels.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let mut head = Vec::new();
    push_head(&mut head, name, (help, ""), FamilyType::Gauge);
    let mut attributes = Vec::new();
    for (name, value) in &labels {
        if !matches!(&**name, "job" | "instance") {
            push_message(&mut attributes, Shape::Gauge.attribute(), |out| {
                push_attribute(out, name, value);
            });
        }
    }
    let who = (get(&labels, "job"), get(&labels, "instance"));
    write(output, Of { who, shape: Shape::Gauge, head: &head }, &attributes);
}

#[cfg(test)]
pub(super) mod tests;
