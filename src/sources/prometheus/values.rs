//! What points of OTLP hold, written.
//!
//! Source: opentelemetry-proto 1.9, `metrics.proto` (field numbers).

use data_encoding::HEXLOWER_PERMISSIVE;

use super::native::Native;
use super::output::Shape;
use super::sample::Exemplar;
use crate::event::otlp::wire::{
    Reader, push_bytes, push_fixed64, push_head, push_message, push_number, zigzag,
};
use crate::event::otlp::write::{push_attribute, push_buckets};

/// The values of one point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values<'v> {
    /// Of a gauge or a sum.
    Number(f64),
    /// Buckets by their upper bounds, each with what is in it alone; the last one's is infinity.
    Histogram { count: u64, sum: Option<f64>, buckets: &'v [(f64, f64)] },
    /// A native one.
    Exponential(&'v Native),
    /// Quantiles with their values.
    Summary { count: u64, sum: f64, quantiles: &'v [(f64, f64)] },
}

/// What is said of a series that has no value: the bounds by which a reader knows its parts.
pub(super) fn push_parts(out: &mut Vec<u8>, values: &Values<'_>) {
    match values {
        Values::Number(_) | Values::Exponential(_) => {}
        Values::Histogram { buckets, .. } => {
            push_doubles(out, 6, buckets.iter().map(|_| 0));
            push_bounds(out, buckets);
        }
        Values::Summary { quantiles, .. } => {
            for (at, _) in *quantiles {
                push_message(out, 6, |out| push_fixed64(out, 1, at.to_bits()));
            }
        }
    }
}

/// The finite bounds that [`push_parts`] wrote of a histogram.
pub(super) fn bounds_of(parts: &[u8]) -> impl Iterator<Item = f64> {
    let mut reader = Reader::new(parts, 0, parts.len());
    let mut bounds = &[][..];
    while let Ok(Some(field)) = reader.read() {
        if field.number() == 7 {
            bounds = field.of(parts);
        }
    }
    bounds.as_chunks().0.iter().map(|bits| f64::from_le_bytes(*bits))
}

/// The quantiles that it wrote of a summary.
pub(super) fn quantiles_of(parts: &[u8]) -> impl Iterator<Item = f64> {
    let mut reader = Reader::new(parts, 0, parts.len());
    std::iter::from_fn(move || {
        let quantile = reader.read().ok()??;
        let at = Reader::of(parts, quantile).read().ok()?;
        Some(at.map_or(0.0, |at| f64::from_bits(at.number_in(parts))))
    })
}

/// Writes the values of a point, its times (since when, and when) and exemplars.
pub(super) fn push_values<'e>(
    out: &mut Vec<u8>,
    (shape, values): (Shape, &Values<'_>),
    (start_ns, time_ns): (Option<i64>, i64),
    exemplars: impl Iterator<Item = &'e Exemplar<'e>>,
) {
    if let Some(start_ns) = start_ns.filter(|_| shape != Shape::Gauge) {
        push_fixed64(out, 2, start_ns.cast_unsigned());
    }
    push_fixed64(out, 3, time_ns.cast_unsigned());
    let exemplar = match values {
        Values::Number(value) => {
            push_fixed64(out, 4, value.to_bits());
            5
        }
        Values::Histogram { count, sum, buckets } => {
            push_fixed64(out, 4, *count);
            if let Some(sum) = sum {
                push_fixed64(out, 5, sum.to_bits());
            }
            push_doubles(out, 6, buckets.iter().map(|(_, count)| *count as u64));
            push_bounds(out, buckets);
            8
        }
        Values::Exponential(native) => {
            push_native(out, native);
            11
        }
        Values::Summary { count, sum, quantiles } => {
            push_fixed64(out, 4, *count);
            push_fixed64(out, 5, sum.to_bits());
            for (at, value) in *quantiles {
                push_message(out, 6, |out| {
                    push_fixed64(out, 1, at.to_bits());
                    push_fixed64(out, 2, value.to_bits());
                });
            }
            return;
        }
    };
    for one in exemplars {
        push_message(out, exemplar, |out| push_exemplar(out, one, time_ns));
    }
}

fn push_bounds(out: &mut Vec<u8>, buckets: &[(f64, f64)]) {
    let bounds = buckets.split_last().map_or(&[][..], |(_, bounds)| bounds);
    push_doubles(out, 7, bounds.iter().map(|(bound, _)| bound.to_bits()));
}

/// A packed list of eight bytes each.
fn push_doubles(out: &mut Vec<u8>, number: u32, all: impl ExactSizeIterator<Item = u64>) {
    if all.len() > 0 {
        push_head(out, number, all.len() * 8);
        all.for_each(|one| out.extend_from_slice(&one.to_le_bytes()));
    }
}

fn push_native(out: &mut Vec<u8>, native: &Native) {
    push_fixed64(out, 4, native.count);
    push_fixed64(out, 5, native.sum.to_bits());
    push_number(out, 6, zigzag(i64::from(native.schema)));
    push_fixed64(out, 7, native.n_zeros);
    push_buckets(out, 8, native.positive.offset, &native.positive.counts);
    push_buckets(out, 9, native.negative.offset, &native.negative.counts);
    push_fixed64(out, 14, native.zero_threshold.to_bits());
}

/// An exemplar, of the point's time where it has none.
fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar<'_>, time_ns: i64) {
    push_fixed64(out, 2, exemplar.time_ns.unwrap_or(time_ns).cast_unsigned());
    push_fixed64(out, 3, exemplar.value.to_bits());
    for (name, value) in &exemplar.labels {
        match (&**name, id(value)) {
            ("trace_id", Some(id)) if id.len() == 16 => push_bytes(out, 5, &id),
            ("span_id", Some(id)) if id.len() == 8 => push_bytes(out, 4, &id),
            _ => push_message(out, 7, |out| push_attribute(out, name, value)),
        }
    }
}

/// The id that a text writes in hexadecimal digits.
fn id(text: &str) -> Option<Vec<u8>> {
    let is_of_ids = matches!(text.len(), 16 | 32);
    let id = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().filter(|_| is_of_ids)?;
    id.iter().any(|byte| *byte != 0).then_some(id)
}
