//! All series as one OTLP request, in the form that [`crate::event::otlp::prometheus`] agrees on.
//!
//! Source: opentelemetry-proto 1.9, `metrics.proto` and `metrics_service.proto` (field numbers).

use crate::event::otlp::prometheus::{FamilyType, NO_RECORDED_VALUE, TYPE_KEY};
use crate::event::otlp::read::CUMULATIVE;
use crate::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number, zigzag};
use crate::event::otlp::write::{push_attribute, push_buckets};

use super::GroupPlan;
use super::histogram::{Histogram, ZERO_THRESHOLD};
use super::registry::{Exemplar, Group, Labels, Series, State, Value};
use super::rule::{Label, Rule, Shape};

/// The label of what came when there were too many series (OpenTelemetry, "cardinality limits").
const OVERFLOW: &str = "otel_metric_overflow";
/// The scope that series are told under.
const SCOPE: &str = "sidewake";

/// Writes all series of `state` at `now_ns`, under these attributes of their resource. Exemplars
/// are told once, and series that are gone one last time. Nothing, where there is none.
#[must_use]
pub fn request(
    groups: &[GroupPlan],
    state: &mut State,
    attributes: &[(String, String)],
    now_ns: i64,
) -> Vec<u8> {
    written(groups, state, attributes, Some(now_ns))
}

/// The same to say that there is nothing of any of them from `now_ns` on.
#[must_use]
pub fn farewell(
    groups: &[GroupPlan],
    state: &mut State,
    attributes: &[(String, String)],
    now_ns: i64,
) -> Vec<u8> {
    for group in &mut state.groups {
        for series in group.series.values_mut().chain(&mut group.overflow) {
            // Behind their last values, which have milliseconds to Prometheus.
            series.seen_ns = now_ns + 1_000_000;
        }
    }
    written(groups, state, attributes, None)
}

fn written(
    groups: &[GroupPlan],
    state: &mut State,
    attributes: &[(String, String)],
    now_ns: Option<i64>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut is_empty = true;
    push_message(&mut out, 1, |out| {
        push_message(out, 1, |out| {
            for (key, value) in attributes {
                push_message(out, 1, |out| push_attribute(out, key, value));
            }
        });
        push_message(out, 2, |out| {
            push_message(out, 1, |out| push_bytes(out, 1, SCOPE.as_bytes()));
            for (plan, group) in groups.iter().zip(&mut state.groups) {
                for (index, rule) in plan.rules.iter().enumerate() {
                    let mut points = Vec::new();
                    push_points(&mut points, (plan, index), group, now_ns);
                    if !points.is_empty() {
                        push_message(out, 2, |out| push_metric(out, rule, &points));
                        is_empty = false;
                    }
                }
                group.gone.clear();
            }
        });
    });
    if is_empty { Vec::new() } else { out }
}

/// The metric of `rule` whose points are `points`.
fn push_metric(out: &mut Vec<u8>, rule: &Rule, points: &[u8]) {
    let (number, family) = match rule.shape {
        Shape::Gauge => (5, FamilyType::Gauge),
        Shape::Counter => (7, FamilyType::Counter),
        Shape::Histogram => (10, FamilyType::Histogram),
    };
    push_bytes(out, 1, rule.name.as_bytes());
    push_bytes(out, 2, rule.help.as_bytes());
    push_bytes(out, 3, rule.unit.as_bytes());
    push_message(out, number, |out| {
        out.extend_from_slice(points);
        if rule.shape != Shape::Gauge {
            push_number(out, 2, CUMULATIVE);
        }
        if rule.shape == Shape::Counter {
            push_number(out, 3, 1);
        }
    });
    push_message(out, 12, |out| push_attribute(out, TYPE_KEY, family.as_str()));
}

/// The points of the rule `index` of a group.
fn push_points(
    out: &mut Vec<u8>,
    (plan, index): (&GroupPlan, usize),
    group: &mut Group,
    now_ns: Option<i64>,
) {
    let named = |labels: &Labels| -> Vec<(String, String)> {
        let each = plan.labels.iter().zip(labels).filter(|(_, value)| !value.is_empty());
        each.map(|(Label { name, .. }, value)| (name.clone(), value.to_string())).collect()
    };
    // In an order of their own: equal states are told in equal bytes.
    let mut all: Vec<_> = group.series.iter_mut().collect();
    all.sort_unstable_by(|a, b| a.0.cmp(b.0));
    for (labels, series) in all {
        push_point(out, &named(labels), (series, index), now_ns);
    }
    if let Some(series) = &mut group.overflow {
        let labels = [(OVERFLOW.to_owned(), "true".to_owned())];
        push_point(out, &labels, (series, index), now_ns);
    }
    for (labels, series) in &mut group.gone {
        // A series that is told again was only away.
        if !group.series.contains_key(labels) {
            push_point(out, &named(labels), (series, index), None);
        }
    }
}

/// A point with the value of now, or one that says that there is none from now on.
fn push_point(
    out: &mut Vec<u8>,
    labels: &[(String, String)],
    (series, index): (&mut Series, usize),
    now_ns: Option<i64>,
) {
    let (since_ns, seen_ns) = (series.since_ns, series.seen_ns);
    let Some(value) = series.values.get_mut(index).filter(|value| !value.is_empty()) else {
        return;
    };
    let is_histogram = matches!(value, Value::Histogram(..));
    push_message(out, 1, |out| {
        let number = if is_histogram { 1 } else { 7 };
        for (name, value) in labels {
            push_message(out, number, |out| push_attribute(out, name, value));
        }
        if !matches!(value, Value::Gauge(_)) {
            push_fixed64(out, 2, since_ns.cast_unsigned());
        }
        push_fixed64(out, 3, now_ns.unwrap_or(seen_ns).cast_unsigned());
        if now_ns.is_none() {
            push_number(out, if is_histogram { 10 } else { 8 }, u64::from(NO_RECORDED_VALUE));
            return;
        }
        match value {
            Value::Counter(sum) | Value::Gauge(Some(sum)) => push_fixed64(out, 4, sum.to_bits()),
            Value::Gauge(None) => {}
            Value::Histogram(all, exemplars) => {
                push_histogram(out, all);
                exemplars.drain(..).for_each(|one| push_exemplar(out, &one));
            }
        }
    });
}

fn push_histogram(out: &mut Vec<u8>, all: &Histogram) {
    push_fixed64(out, 4, all.count);
    push_fixed64(out, 5, all.sum.to_bits());
    push_number(out, 6, zigzag(i64::from(all.scale)));
    push_fixed64(out, 7, all.n_zeros);
    push_buckets(out, 8, all.positive.offset, &all.positive.counts);
    push_buckets(out, 9, all.negative.offset, &all.negative.counts);
    push_fixed64(out, 14, ZERO_THRESHOLD.to_bits());
}

fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    push_message(out, 11, |out| {
        push_fixed64(out, 2, exemplar.ts_ns.cast_unsigned());
        push_fixed64(out, 3, exemplar.value.to_bits());
        if let Some(trace_id) = &exemplar.trace_id {
            push_bytes(out, 5, trace_id);
        }
        if !exemplar.request_id.is_empty() {
            push_message(out, 7, |out| push_attribute(out, "request_id", &exemplar.request_id));
        }
    });
}
