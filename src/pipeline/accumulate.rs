//! Deltas added up: metrics of OTLP that say what came since the last time, told as what came
//! since the beginning, for tiers whose sinks know nothing else (Prometheus).
//!
//! Owns what each series has come to, and where a request is written anew. What a point holds, and
//! what two of them come to, is [`point`]'s. Does not convert the other way, nor touch what is
//! cumulative already.
//!
//! Source: OpenTelemetry metrics data model, "Sums: Delta-to-Cumulative"; the collector's
//! `deltatocumulative` processor for points that are late or begin too early.
//!
//! # Why
//! - *Before the spool*, and not in the encoder: what is stored is what is sent, so a body that is
//!   encoded again, by this process or the next one, says the same.
//! - *Nothing outlives the process.* After a restart a series begins at zero, with a start of its
//!   own: a reset, which is what readers of Prometheus expect of a restart. What it had come to
//!   is in the spool, and `increase()` counts each delta once.
//! - *A point that comes again* (its client never read the answer) is told again as what it came to
//!   the first time, and not added twice: receivers know equal samples.
//! - *Series are known by hashes of 128 bits*, in which the order of attributes counts nothing:
//!   two series would have to be 2^64 before two of them met.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_128;

use crate::event::otlp::edit::Edits;
use crate::event::otlp::read::{CUMULATIVE, DELTA};
use crate::event::otlp::wire::{Field, Malformed, Reader, kind, push_message, push_number, tag};
use crate::telemetry::{DeltaOutcome, Deltas};

use point::{Kind, Point, Total};

mod point;
#[cfg(test)]
mod tests;

/// Memory that series may take, in about bytes: ten thousand histograms of twenty buckets.
const BYTES_MAX: usize = 4 << 20;
/// A series of which nothing came for so long is forgotten, and would begin anew.
const IDLE_NS: i64 = 900_000_000_000;
/// How often those are looked for.
const SWEEP_EVERY_NS: i64 = 60_000_000_000;

const RESOURCES: u32 = tag(1, kind::BYTES);
const RESOURCE: u32 = tag(1, kind::BYTES);
const SCOPES: u32 = tag(2, kind::BYTES);
const SCOPE: u32 = tag(1, kind::BYTES);
const METRICS: u32 = tag(2, kind::BYTES);
const POINTS: u32 = tag(1, kind::BYTES);
const TEMPORALITY: u32 = tag(2, kind::VARINT);
const MONOTONIC: u32 = tag(3, kind::VARINT);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Accumulator {
    series: HashMap<u128, Series>,
    n_bytes: usize,
    swept_ns: i64,
    edits: Edits,
}

#[derive(Debug)]
struct Series {
    total: Total,
    start_ns: u64,
    time_ns: u64,
    /// When the last of it came, by our clock.
    seen_ns: i64,
}

/// A metric of deltas.
struct Metric {
    item: Field,
    data: Field,
    kind: Kind,
    temporality: Field,
    /// Of all that its series have in common.
    hash: u128,
}

impl Accumulator {
    /// The request `bytes` of metrics without deltas, if it has any; what became of each is counted
    /// in `deltas`.
    ///
    /// # Errors
    /// [`Malformed`] where `bytes` is no such request; nothing more is told of it then.
    pub(super) fn request(
        &mut self,
        bytes: &[u8],
        observed_ns: i64,
        deltas: &mut Deltas,
    ) -> Result<Option<Vec<u8>>, Malformed> {
        self.edits.clear();
        let mut resources = Reader::new(bytes, 0, bytes.len());
        while let Some(of_resource) = resources.read()? {
            if of_resource.tag != RESOURCES {
                continue;
            }
            let mut scopes = Reader::of(bytes, of_resource);
            while let Some(of_scope) = scopes.read()? {
                let mut items = Reader::of(bytes, of_scope);
                while of_scope.tag == SCOPES
                    && let Some(item) = items.read()?
                {
                    if item.tag == METRICS
                        && let Some(metric) = metric(bytes, item, (of_resource, of_scope))?
                    {
                        self.metric(bytes, &metric, observed_ns, deltas)?;
                    }
                }
            }
        }
        if self.edits.is_empty() {
            return Ok(None);
        }
        let mut out = Vec::new();
        self.edits.apply(bytes, &mut out)?;
        Ok(Some(out))
    }

    fn metric(
        &mut self,
        bytes: &[u8],
        metric: &Metric,
        observed_ns: i64,
        deltas: &mut Deltas,
    ) -> Result<(), Malformed> {
        let (n_edits, mut n_told) = (self.edits.len(), 0);
        let mut points = Reader::of(bytes, metric.data);
        while let Some(field) = points.read()? {
            if field.tag != POINTS {
                continue;
            }
            let point = Point::read(bytes, field, metric.kind)?;
            let outcome = match point.is_stale {
                true => DeltaOutcome::Accumulated,
                false => self.add(&point, metric.hash, observed_ns),
            };
            deltas.count(outcome);
            if outcome.is_told() {
                n_told += 1;
            } else {
                self.edits.remove(field);
            }
            if outcome.is_told()
                && let Some(series) = self.series.get(&(metric.hash ^ point.hash))
                && !point.is_stale
            {
                let Series { total, start_ns, .. } = series;
                self.edits.fields(field.at, field.end, |out| {
                    push_message(out, 1, |out| point.push(bytes, total, *start_ns, out));
                });
            }
        }
        if n_told == 0 {
            self.edits.forget_after(n_edits);
            self.edits.remove(metric.item);
            return Ok(());
        }
        let Field { at, end, .. } = metric.temporality;
        self.edits.fields(at, end, |out| push_number(out, 2, CUMULATIVE));
        Ok(())
    }

    /// Adds a point to its series.
    fn add(&mut self, point: &Point, of_metric: u128, observed_ns: i64) -> DeltaOutcome {
        if !point.is_sound() {
            return DeltaOutcome::Invalid;
        }
        let key = of_metric ^ point.hash;
        if let Some(series) = self.series.get_mut(&key) {
            series.seen_ns = observed_ns;
            if point.time_ns == series.time_ns {
                return DeltaOutcome::Repeated;
            }
            if point.time_ns < series.time_ns || point.begins_before(series.start_ns) {
                return DeltaOutcome::OutOfOrder;
            }
            let n_before = series.total.n_bytes();
            if !series.total.add(&point.total) {
                // Buckets of other bounds are another histogram.
                series.total = point.total.clone();
                series.start_ns = point.start_ns;
            }
            series.time_ns = point.time_ns;
            self.n_bytes = self.n_bytes + series.total.n_bytes() - n_before;
            return DeltaOutcome::Accumulated;
        }
        self.sweep(observed_ns);
        let total = point.total.clone();
        let n_bytes = total.n_bytes();
        if self.n_bytes + n_bytes > BYTES_MAX {
            return DeltaOutcome::TooManySeries;
        }
        self.n_bytes += n_bytes;
        let (start_ns, time_ns) = (point.start_ns, point.time_ns);
        self.series.insert(key, Series { total, start_ns, time_ns, seen_ns: observed_ns });
        DeltaOutcome::Accumulated
    }

    /// Forgets what is idle, from time to time.
    fn sweep(&mut self, now_ns: i64) {
        if now_ns.saturating_sub(self.swept_ns) < SWEEP_EVERY_NS {
            return;
        }
        self.swept_ns = now_ns;
        self.series.retain(|_, series| now_ns.saturating_sub(series.seen_ns) < IDLE_NS);
        self.n_bytes = self.series.values().map(|series| series.total.n_bytes()).sum();
    }
}

/// The metric that is `item`, if it is one of deltas.
fn metric(
    bytes: &[u8],
    item: Field,
    (of_resource, of_scope): (Field, Field),
) -> Result<Option<Metric>, Malformed> {
    let (mut name, mut unit, mut found) = (&b""[..], &b""[..], None);
    let mut fields = Reader::of(bytes, item);
    while let Some(field) = fields.read()? {
        match (field.number(), field.kind()) {
            (1, kind::BYTES) => name = field.of(bytes),
            (3, kind::BYTES) => unit = field.of(bytes),
            (7, kind::BYTES) => found = Some((Kind::Sum, field)),
            (9, kind::BYTES) => found = Some((Kind::Histogram, field)),
            (10, kind::BYTES) => found = Some((Kind::Exponential, field)),
            (5 | 11, kind::BYTES) => found = None,
            _ => {}
        }
    }
    let Some((kind, data)) = found else { return Ok(None) };
    let (mut temporality, mut monotonic) = (None, 0);
    let mut fields = Reader::of(bytes, data);
    while let Some(field) = fields.read()? {
        match field.tag {
            TEMPORALITY => temporality = Some(field),
            MONOTONIC => monotonic = field.number_in(bytes),
            _ => {}
        }
    }
    let Some(temporality) = temporality.filter(|field| field.number_in(bytes) == DELTA) else {
        return Ok(None);
    };
    let whose = [whose(bytes, of_resource, RESOURCE)?, whose(bytes, of_scope, SCOPE)?];
    let mut text = Vec::with_capacity(name.len() + unit.len() + 64);
    for part in whose {
        text.extend_from_slice(&xxh3_128(part).to_le_bytes());
    }
    text.extend_from_slice(&[kind as u8, u8::from(monotonic != 0)]);
    text.extend_from_slice(&(name.len() as u64).to_le_bytes());
    text.extend_from_slice(name);
    text.extend_from_slice(unit);
    Ok(Some(Metric { item, data, kind, temporality, hash: xxh3_128(&text) }))
}

/// The resource or the scope, which may stand behind what is theirs.
fn whose(bytes: &[u8], message: Field, wanted: u32) -> Result<&[u8], Malformed> {
    let (mut fields, mut found) = (Reader::of(bytes, message), &b""[..]);
    while let Some(field) = fields.read()? {
        if field.tag == wanted {
            found = field.of(bytes);
        }
    }
    Ok(found)
}
