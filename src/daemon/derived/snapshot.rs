//! What was counted, as a file: JSON, replaced as a whole.
//!
//! Holds labels as they were told, and nothing of any single event: exemplars are left out.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::pipeline::observe::GroupPlan;
use crate::pipeline::observe::histogram::{Buckets, Histogram};
use crate::pipeline::observe::registry::{Labels, Series, State, Value};
use crate::pipeline::observe::rule::Shape;

/// The form of the file.
const VERSION: u32 = 1;

/// See the module.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Snapshot {
    version: u32,
    /// Pairs of a stream's key and how far it was counted.
    counted_to: Vec<(u64, u64)>,
    families: Vec<Family>,
}

/// The series of one rule.
#[derive(Debug, Deserialize, Serialize)]
struct Family {
    name: String,
    labels: Vec<String>,
    series: Vec<Kept>,
    overflow: Option<Kept>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Kept {
    labels: Vec<String>,
    since_ns: i64,
    seen_ns: i64,
    value: KeptValue,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum KeptValue {
    Counter(f64),
    Gauge(Option<f64>),
    Histogram {
        scale: i32,
        count: u64,
        sum: f64,
        zeros: u64,
        positive: (i32, Vec<u64>),
        negative: (i32, Vec<u64>),
    },
}

/// The file at `path`, if it is there and one of ours.
pub(super) fn read(path: &Path) -> Option<Snapshot> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "cannot read what was counted");
            return None;
        }
        Ok(bytes) => bytes,
    };
    match serde_json::from_slice::<Snapshot>(&bytes) {
        Ok(snapshot) if snapshot.version == VERSION => Some(snapshot),
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "what was counted begins anew");
            None
        }
    }
}

impl Snapshot {
    /// All of `state`.
    pub(super) fn of(groups: &[GroupPlan], state: &State) -> Self {
        let mut families = Vec::new();
        for (plan, group) in groups.iter().zip(&state.groups) {
            for (index, rule) in plan.rules.iter().enumerate() {
                let kept = |(labels, series): (&Labels, &Series)| kept(labels, series, index);
                let none = Labels::default();
                families.push(Family {
                    name: rule.name.clone(),
                    labels: plan.labels.iter().map(|label| label.name.clone()).collect(),
                    series: group.series.iter().filter_map(kept).collect(),
                    overflow: group.overflow.as_ref().and_then(|series| kept((&none, series))),
                });
            }
        }
        let counted_to = state.counted_to.iter().map(|(key, to)| (*key, *to)).collect();
        Self { version: VERSION, counted_to, families }
    }

    /// How far each stream was counted.
    pub(super) fn counted_to(&self) -> HashMap<u64, u64> {
        self.counted_to.iter().copied().collect()
    }

    /// Puts it back into `state`, as far as the rules are the same.
    pub(super) fn restore(self, groups: &[GroupPlan], state: &mut State, now_ns: i64) {
        state.counted_to = self.counted_to();
        for family in self.families {
            for (plan, group) in groups.iter().zip(&mut state.groups) {
                let is_it = plan.labels.iter().map(|label| &label.name).eq(&family.labels);
                let rule = plan.rules.iter().position(|rule| rule.name == family.name);
                let (Some(index), true) = (rule, is_it) else { continue };
                let shapes: Vec<Shape> = plan.rules.iter().map(|rule| rule.shape).collect();
                for kept in &family.series {
                    let labels = kept.labels.iter().map(|label| label.as_str().into()).collect();
                    let series = group.series.entry(labels);
                    kept.restore(series.or_insert_with(|| empty(&shapes, now_ns)), index);
                }
                if let Some(kept) = &family.overflow {
                    let series = group.overflow.get_or_insert_with(|| empty(&shapes, now_ns));
                    kept.restore(series, index);
                }
            }
        }
    }

    /// Writes it to `path`, durably, in the place of the one before.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        durable::replace(path, |file| file.write_all(&text)).map(drop)
    }
}

fn empty(shapes: &[Shape], now_ns: i64) -> Series {
    let values = shapes.iter().map(|shape| Value::of(*shape)).collect();
    Series { values, since_ns: now_ns, seen_ns: 0 }
}

fn kept(labels: &Labels, series: &Series, index: usize) -> Option<Kept> {
    let value = series.values.get(index).filter(|value| !value.is_empty())?;
    let side = |buckets: &Buckets| (buckets.offset, buckets.counts.clone());
    Some(Kept {
        labels: labels.iter().map(ToString::to_string).collect(),
        since_ns: series.since_ns,
        seen_ns: series.seen_ns,
        value: match value {
            Value::Counter(sum) => KeptValue::Counter(*sum),
            Value::Gauge(last) => KeptValue::Gauge(*last),
            Value::Histogram(all, _) => KeptValue::Histogram {
                scale: all.scale,
                count: all.count,
                sum: all.sum,
                zeros: all.n_zeros,
                positive: side(&all.positive),
                negative: side(&all.negative),
            },
        },
    })
}

impl Kept {
    fn restore(&self, series: &mut Series, index: usize) {
        series.since_ns = series.since_ns.min(self.since_ns);
        series.seen_ns = series.seen_ns.max(self.seen_ns);
        let Some(value) = series.values.get_mut(index) else { return };
        let side = |(offset, counts): &(i32, Vec<u64>)| Buckets {
            offset: *offset,
            counts: counts.clone(),
        };
        match (&self.value, value) {
            (KeptValue::Counter(kept), Value::Counter(sum)) => *sum = *kept,
            (KeptValue::Gauge(kept), Value::Gauge(last)) => *last = *kept,
            (
                KeptValue::Histogram { scale, count, sum, zeros, positive, negative },
                Value::Histogram(all, _),
            ) => {
                **all = Histogram {
                    scale: *scale,
                    count: *count,
                    sum: *sum,
                    n_zeros: *zeros,
                    positive: side(positive),
                    negative: side(negative),
                };
            }
            // The rule became another: it begins anew.
            _ => {}
        }
    }
}
