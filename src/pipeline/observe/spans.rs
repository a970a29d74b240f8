//! Spans, observed: how many calls, how many of them failed, how long they took.
//!
//! The names are those of Tempo's metrics generator, so that dashboards made for it show the same,
//! of all spans and not of those that sampling left.

use crate::pipeline::condition::Field;

use super::registry::{Exemplar, Value};
use super::rule::{Kinds, Label, Rule, Shape};
use super::{GroupPlan, Observer, SEPARATOR};

/// A span as it is counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Seen<'a> {
    /// `service.name` of its resource, or nothing.
    pub(in crate::pipeline) service: &'a [u8],
    pub(in crate::pipeline) name: &'a [u8],
    /// `SpanKind`.
    pub(in crate::pipeline) kind: u64,
    /// `StatusCode`.
    pub(in crate::pipeline) status: u64,
    pub(in crate::pipeline) seconds: f64,
    pub(in crate::pipeline) ts_ns: i64,
    pub(in crate::pipeline) trace_id: Option<[u8; 16]>,
}

/// What is measured of spans.
#[must_use]
pub fn group() -> GroupPlan {
    let labels = ["service", "span_kind", "span_name", "status_code"];
    let labels = labels.map(|name| Label { name: name.to_owned(), from: Field::Path(name.into()) });
    let rule = |name: &str, help: &str, unit: &str, shape| Rule {
        name: name.to_owned(),
        help: help.to_owned(),
        unit: unit.to_owned(),
        shape,
        kinds: Kinds::NONE,
        when: None,
        value: None,
        factor: 1.0,
        labels: labels.to_vec(),
    };
    GroupPlan {
        kinds: Kinds::NONE,
        labels: labels.to_vec(),
        rules: vec![
            rule("traces_spanmetrics_calls_total", "Spans, before sampling.", "", Shape::Counter),
            rule("traces_spanmetrics_latency", "How long spans took.", "seconds", Shape::Histogram),
        ],
    }
}

const KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const STATUSES: [&str; 3] = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

impl Observer {
    /// Counts a span, as [`Observer::observe`] counts an event.
    pub(in crate::pipeline) fn observe_span(&mut self, span: &Seen<'_>) -> bool {
        let Some(group) = self.plan.spans else { return true };
        let word = |words: &[&'static str], n: u64| {
            let word = usize::try_from(n).ok().and_then(|n| words.get(n)).copied();
            word.unwrap_or(words[0])
        };
        let (kind, status) = (word(&KINDS, span.kind), word(&STATUSES, span.status));
        self.key.clear();
        for part in [span.service, kind.as_bytes(), span.name, status.as_bytes()] {
            // A byte that is no UTF-8 could be taken for the end of a label.
            self.key.extend(part.iter().filter(|byte| **byte != SEPARATOR));
            self.key.push(SEPARATOR);
        }
        let Some(local) = self.groups.get_mut(group) else { return true };
        let Some(index) = local.find(&self.key) else {
            self.unknown = Some((group, self.key.clone()));
            return false;
        };
        local.add(index, |values| {
            for value in values {
                match value {
                    Value::Counter(calls) => *calls += 1.0,
                    Value::Gauge(_) => {}
                    Value::Histogram(all, exemplars) => {
                        let is_longest = || exemplars.iter().all(|one| span.seconds > one.value);
                        if all.observe(span.seconds) && span.trace_id.is_some() && is_longest() {
                            exemplars.clear();
                            let (value, ts_ns, trace_id) =
                                (span.seconds, span.ts_ns, span.trace_id);
                            exemplars.push(Exemplar {
                                value,
                                ts_ns,
                                trace_id,
                                ..Exemplar::default()
                            });
                        }
                    }
                }
            }
            true
        });
        true
    }
}
