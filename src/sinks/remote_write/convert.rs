//! Metrics of OTLP as series of Prometheus.
//!
//! Owns which series a metric's points become, and their values. Names are [`super::names`]'s,
//! labels [`super::labels`]'s, native histograms [`super::native`]'s.
//!
//! Source: OpenTelemetry "Prometheus and OpenMetrics compatibility", "OTLP metric points to
//! Prometheus"; [`crate::event::otlp::prometheus`] for what was scraped.
//!
//! # Why
//! - Delta temporality is refused: series of Prometheus are cumulative, and what is added up is
//!   added before the spool, by `pipeline::accumulate`. Only what an older spool holds comes here.
//! - A metric of which a point cannot be said is a dead letter as a whole, what of it can be said
//!   is sent all the same: an event is what the books count, and a letter too many is better than
//!   a point lost.

use super::labels::Labels;
use super::native;
use super::read::{Common, Kind, Metric, each, point};
use super::scratch::Scratch;
use super::store::Family;
use super::symbols::Symbols;
use super::{floats, names};
use crate::event::otlp::prometheus::{FamilyType, NO_RECORDED_VALUE, STALE_BITS};
use crate::event::otlp::read::push_words;
use crate::event::otlp::wire::Field;

/// What a metric's points share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) resource: usize,
    /// For points without a time.
    pub(super) observed_ns: i64,
    pub(super) is_scraped: bool,
    pub(super) kind: Kind,
    pub(super) family_type: FamilyType,
    pub(super) family: u32,
    /// Symbols: `__name__`, and the names of the series.
    pub(super) name_label: u32,
    name: u32,
    bucket: u32,
    sum: u32,
    count: u32,
    /// `le` or `quantile`, where the points have such.
    bound_label: u32,
}

/// Puts all points of the metric that is `item` into the body.
///
/// # Errors
/// Why it, or one of its points, cannot be sent.
pub(super) fn push_metric(
    scratch: &mut Scratch,
    bytes: &[u8],
    item: Field,
    resource: usize,
    observed_ns: i64,
) -> Result<(), &'static str> {
    let metric = Metric::read(bytes, item);
    if let Some(reason) = metric.refusal() {
        return Err(reason);
    }
    let Some((kind, data)) = metric.data else { return Err("no_points") };
    let name = name(scratch, &metric, kind);
    if name == 0 {
        return Err("no_name");
    }
    let context = context(scratch, &metric, (kind, name), (bytes, resource, observed_ns));
    let mut first_refusal = Err("no_points");
    let mut is_first = true;
    each(bytes, data, 1, |point| {
        let outcome = push_point(scratch, &context, point);
        if is_first || first_refusal.is_ok() {
            first_refusal = outcome;
        }
        is_first = false;
    });
    first_refusal
}

/// The symbol of a metric's name.
fn name(scratch: &mut Scratch, metric: &Metric<'_>, kind: Kind) -> u32 {
    if metric.scraped.is_some() {
        return scratch.symbols.reference(metric.name);
    }
    let suffix = match kind {
        Kind::Sum if metric.is_monotonic => names::Suffix::Counter,
        Kind::Gauge => names::Suffix::Gauge,
        _ => names::Suffix::None,
    };
    scratch.text.clear();
    scratch.text.push(suffix as u8);
    scratch.text.extend_from_slice(metric.unit);
    scratch.text.push(0);
    scratch.text.extend_from_slice(metric.name);
    if let Some(known) = scratch.metric_names.get(&scratch.text) {
        return known;
    }
    let name = names::metric(metric.name, metric.unit, suffix);
    let symbol = scratch.symbols.reference(name.as_bytes());
    scratch.metric_names.put(&scratch.text, symbol);
    symbol
}

fn context<'a>(
    scratch: &mut Scratch,
    metric: &Metric<'_>,
    (kind, name): (Kind, u32),
    (bytes, resource, observed_ns): (&'a [u8], usize, i64),
) -> Context<'a> {
    let family_type = metric.family_type();
    let is_scraped = metric.scraped.is_some();
    let Scratch { symbols, text, store, .. } = scratch;
    let unit = match is_scraped {
        true => symbols.reference(metric.unit),
        false => symbols.reference(names::unit(metric.unit).as_bytes()),
    };
    let help = symbols.reference(metric.help);
    let family = store.family(Family { name, kind: family_type, help, unit });
    let is_gauge = family_type == FamilyType::GaugeHistogram;
    let [mut bucket, mut sum, mut count, mut bound_label] = [0; 4];
    if matches!(kind, Kind::Histogram | Kind::Summary) {
        sum = suffixed(symbols, text, name, if is_gauge { b"_gsum" } else { b"_sum" });
        count = suffixed(symbols, text, name, if is_gauge { b"_gcount" } else { b"_count" });
        bound_label = symbols.reference(if kind == Kind::Summary { b"quantile" } else { b"le" });
    }
    if kind == Kind::Histogram {
        bucket = suffixed(symbols, text, name, b"_bucket");
    }
    let name_label = symbols.reference(b"__name__");
    Context {
        bytes,
        resource,
        observed_ns,
        is_scraped,
        kind,
        family_type,
        family,
        name_label,
        name,
        bucket,
        sum,
        count,
        bound_label,
    }
}

fn suffixed(symbols: &mut Symbols, text: &mut Vec<u8>, name: u32, suffix: &[u8]) -> u32 {
    text.clear();
    text.extend_from_slice(symbols.text(name));
    text.extend_from_slice(suffix);
    symbols.reference(text)
}

/// A point's times in milliseconds, and whether it is a stale marker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) time_ms: i64,
    pub(super) start_ms: i64,
    is_stale: bool,
}

impl Times {
    fn of(common: &Common, context: &Context<'_>) -> Self {
        let ms = |ns: u64| (ns / 1_000_000) as i64;
        let time_ms = match common.time_ns {
            0 => context.observed_ns.max(0) / 1_000_000,
            ns => ms(ns),
        };
        let grows = matches!(
            context.family_type,
            FamilyType::Counter | FamilyType::Histogram | FamilyType::Summary
        );
        let start_ms = Some(ms(common.start_ns)).filter(|start| grows && *start <= time_ms);
        let is_stale = common.flags & u64::from(NO_RECORDED_VALUE) != 0;
        Self { time_ms, start_ms: start_ms.unwrap_or(0), is_stale }
    }

    fn bits(&self, value: f64) -> u64 {
        if self.is_stale { STALE_BITS } else { value.to_bits() }
    }
}

fn push_point(
    scratch: &mut Scratch,
    context: &Context<'_>,
    field: Field,
) -> Result<(), &'static str> {
    match context.kind {
        Kind::Gauge | Kind::Sum => push_number(scratch, context, field),
        Kind::Histogram => push_histogram(scratch, context, field),
        Kind::Exponential => push_exponential(scratch, context, field),
        Kind::Summary => push_summary(scratch, context, field),
    }
}

/// Reads a point: its labels are then in `scratch.labels`, and its time noted.
fn read_point(
    scratch: &mut Scratch,
    context: &Context<'_>,
    field: Field,
    other: impl FnMut(Field),
) -> (Times, Common) {
    let Scratch { symbols, labels, .. } = scratch;
    labels.begin();
    let bytes = context.bytes;
    let attribute =
        |field: Field| Labels::attribute(labels, symbols, bytes, field, context.is_scraped);
    let common = point(bytes, field, context.kind.shape(), attribute, other);
    let own = scratch.resources.all[context.resource].own;
    let reserved = [context.name_label, context.bound_label];
    scratch.labels.end(&mut scratch.symbols, bytes, &reserved, &own);
    let times = Times::of(&common, context);
    scratch.resources.all[context.resource].note(times.time_ms, times.is_stale);
    (times, common)
}

fn push_number(
    scratch: &mut Scratch,
    context: &Context<'_>,
    field: Field,
) -> Result<(), &'static str> {
    let (bytes, mut value) = (context.bytes, None);
    let (times, common) = read_point(scratch, context, field, |field| match field.number() {
        4 => value = Some(f64::from_bits(field.number_in(bytes))),
        6 => value = Some(field.number_in(bytes) as i64 as f64),
        _ => {}
    });
    if value.is_none() && !times.is_stale {
        return Err("no_value");
    }
    let bits = times.bits(value.unwrap_or(0.0));
    let series = scratch.float(context, (context.name, None), &times, bits)?;
    if common.has_exemplars && context.family_type == FamilyType::Counter {
        scratch.exemplars(context, field, &times, |_| series);
    }
    Ok(())
}

fn push_histogram(
    scratch: &mut Scratch,
    context: &Context<'_>,
    field: Field,
) -> Result<(), &'static str> {
    let bytes = context.bytes;
    let (mut count, mut sum) = (0, None);
    let (mut counts, mut bounds) = std::mem::take(&mut scratch.words);
    counts.clear();
    bounds.clear();
    let (times, common) = read_point(scratch, context, field, |field| match field.number() {
        4 => count = field.number_in(bytes),
        5 => sum = Some(f64::from_bits(field.number_in(bytes))),
        6 => push_words(bytes, field, &mut counts),
        7 => push_words(bytes, field, &mut bounds),
        _ => {}
    });
    if times.is_stale {
        counts.resize(bounds.len(), 0);
        sum = Some(0.0);
    }
    let mut pushed = Ok(());
    let mut push = |outcome: Result<u32, &'static str>| match outcome {
        Ok(series) => series,
        Err(reason) => {
            pushed = Err(reason);
            u32::MAX
        }
    };
    if let Some(sum) = sum {
        push(scratch.float(context, (context.sum, None), &times, times.bits(sum)));
    }
    push(scratch.float(context, (context.count, None), &times, times.bits(count as f64)));
    scratch.learn_bounds(&bounds, context.is_scraped);
    scratch.buckets.clear();
    let mut total = 0u64;
    for (index, (bound, in_bucket)) in bounds.iter().zip(&counts).enumerate() {
        total = total.saturating_add(*in_bucket);
        if f64::from_bits(*bound) == f64::INFINITY {
            continue;
        }
        let le = (context.bound_label, scratch.bound(index));
        let bits = times.bits(total as f64);
        let series = push(scratch.float(context, (context.bucket, Some(le)), &times, bits));
        scratch.buckets.push((f64::from_bits(*bound), series));
    }
    let le = (context.bound_label, scratch.symbols.reference(b"+Inf"));
    let bits = times.bits(count as f64);
    let last = push(scratch.float(context, (context.bucket, Some(le)), &times, bits));
    if common.has_exemplars {
        let buckets = std::mem::take(&mut scratch.buckets);
        scratch.exemplars(context, field, &times, |value| {
            let found = buckets.iter().find(|(bound, _)| value <= *bound);
            found.map_or(last, |(_, series)| *series)
        });
        scratch.buckets = buckets;
    }
    scratch.words = (counts, bounds);
    pushed
}

fn push_exponential(
    scratch: &mut Scratch,
    context: &Context<'_>,
    field: Field,
) -> Result<(), &'static str> {
    let (bytes, mut histogram) = (context.bytes, native::Point::default());
    let (times, common) = read_point(scratch, context, field, |field| histogram.note(bytes, field));
    let is_gauge = context.family_type == FamilyType::GaugeHistogram;
    let mut wire = std::mem::take(&mut scratch.wire);
    wire.clear();
    let pushed = histogram.push(bytes, common.flags, is_gauge, context.is_scraped, &mut wire);
    let series = pushed.and_then(|()| scratch.histogram(context, context.name, &times, &wire));
    scratch.wire = wire;
    let series = series?;
    if common.has_exemplars {
        scratch.exemplars(context, field, &times, |_| series);
    }
    Ok(())
}

fn push_summary(
    scratch: &mut Scratch,
    context: &Context<'_>,
    field: Field,
) -> Result<(), &'static str> {
    let bytes = context.bytes;
    let (mut count, mut sum) = (0, 0.0);
    let (times, _) = read_point(scratch, context, field, |field| match field.number() {
        4 => count = field.number_in(bytes),
        5 => sum = f64::from_bits(field.number_in(bytes)),
        _ => {}
    });
    let mut pushed = Ok(());
    let mut note = |outcome: Result<u32, &'static str>| pushed = pushed.and(outcome.map(|_| ()));
    note(scratch.float(context, (context.sum, None), &times, times.bits(sum)));
    note(scratch.float(context, (context.count, None), &times, times.bits(count as f64)));
    each(bytes, field, 6, |quantile| {
        let (mut of, mut value) = (0.0, 0.0);
        let mut reader = crate::event::otlp::wire::Reader::of(bytes, quantile);
        while let Ok(Some(part)) = reader.read() {
            match part.number() {
                1 => of = f64::from_bits(part.number_in(bytes)),
                2 => value = f64::from_bits(part.number_in(bytes)),
                _ => {}
            }
        }
        scratch.text.clear();
        floats::push_bound(&mut scratch.text, of, context.is_scraped);
        let label = (context.bound_label, scratch.symbols.reference(&scratch.text));
        let bits = times.bits(value);
        note(scratch.float(context, (context.name, Some(label)), &times, bits));
    });
    pushed
}
