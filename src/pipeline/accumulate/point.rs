//! A point of deltas: what it holds, what two of them come to, and how the sum is written.
//!
//! Source: opentelemetry-proto 1.9, `metrics.proto` (field numbers).
//!
//! # Why
//! Minimum and maximum are left out of a sum: they are of an interval, and readers take what
//! stands at a cumulative point for those of the whole time.

use xxhash_rust::xxh3::xxh3_128;

use crate::event::otlp::prometheus::NO_RECORDED_VALUE;
use crate::event::otlp::read::{bucket_offset, each_bucket, push_words};
use crate::event::otlp::wire::{
    Field, Malformed, Reader, kind, push_fixed64, push_head, push_number, tag, unzigzag, zigzag,
};
use crate::event::otlp::write::push_buckets;
use crate::pipeline::observe::histogram::{Buckets, Histogram};

/// Scales that any SDK has (OpenTelemetry's maximum is 20).
const SCALES: std::ops::RangeInclusive<i32> = -10..=20;
/// What a series takes beside its counts, in about bytes: its place in the map.
const SERIES_BYTES: usize = 160;

/// What the points of a metric are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Sum,
    Histogram,
    Exponential,
}

/// What a series came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Total {
    Int(i64),
    Double(f64),
    Buckets {
        /// Bits of the upper bounds.
        bounds: Vec<u64>,
        counts: Vec<u64>,
        count: u64,
        sum: Option<f64>,
    },
    Exponential {
        histogram: Box<Histogram>,
        zero_threshold: f64,
        has_sum: bool,
    },
}

/// A point as it was read.
#[derive(Debug)]
pub(super) struct Point {
    field: Field,
    kind: Kind,
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
    /// It says that there is no value.
    pub(super) is_stale: bool,
    has_value: bool,
    /// Of its attributes, in whichever order.
    pub(super) hash: u128,
    pub(super) total: Total,
}

impl Point {
    pub(super) fn read(bytes: &[u8], field: Field, kind: Kind) -> Result<Self, Malformed> {
        let total = match kind {
            Kind::Sum => Total::Int(0),
            Kind::Histogram => {
                Total::Buckets { bounds: Vec::new(), counts: Vec::new(), count: 0, sum: None }
            }
            Kind::Exponential => Total::Exponential {
                histogram: Box::new(Histogram { scale: 0, ..Histogram::default() }),
                zero_threshold: 0.0,
                has_sum: false,
            },
        };
        let (start_ns, time_ns, hash) = (0, 0, 0);
        let (is_stale, has_value) = (false, kind != Kind::Sum);
        let mut point = Self { field, kind, start_ns, time_ns, is_stale, has_value, hash, total };
        let mut fields = Reader::of(bytes, field);
        while let Some(part) = fields.read()? {
            point.note(bytes, part)?;
        }
        if let Total::Exponential { histogram, .. } = &mut point.total {
            histogram.fit();
        }
        Ok(point)
    }

    fn note(&mut self, bytes: &[u8], part: Field) -> Result<(), Malformed> {
        let attributes = match self.kind {
            Kind::Sum => 7,
            Kind::Histogram => 9,
            Kind::Exponential => 1,
        };
        let flags = if self.kind == Kind::Sum { 8 } else { 10 };
        let number = part.number();
        if number == attributes && part.kind() == kind::BYTES {
            self.hash = self.hash.wrapping_add(xxh3_128(part.of(bytes)));
        } else if number == flags && part.kind() != kind::BYTES {
            self.is_stale = part.number_in(bytes) & u64::from(NO_RECORDED_VALUE) != 0;
        } else if part.tag == tag(2, kind::FIXED64) {
            self.start_ns = part.number_in(bytes);
        } else if part.tag == tag(3, kind::FIXED64) {
            self.time_ns = part.number_in(bytes);
        } else {
            match self.kind {
                Kind::Sum => self.note_number(bytes, part),
                Kind::Histogram => self.total.note_bucket(bytes, part),
                Kind::Exponential => return self.note_exponential(bytes, part),
            }
        }
        Ok(())
    }

    fn note_number(&mut self, bytes: &[u8], part: Field) {
        let bits = part.number_in(bytes);
        match part.tag {
            tag if tag == self::tag(4, kind::FIXED64) => {
                self.total = Total::Double(f64::from_bits(bits));
            }
            tag if tag == self::tag(6, kind::FIXED64) => {
                self.total = Total::Int(bits.cast_signed());
            }
            _ => return,
        }
        self.has_value = true;
    }

    fn note_exponential(&mut self, bytes: &[u8], part: Field) -> Result<(), Malformed> {
        let Total::Exponential { histogram, zero_threshold, has_sum } = &mut self.total else {
            return Ok(());
        };
        match part.number() {
            4 => histogram.count = part.number_in(bytes),
            5 => {
                histogram.sum = f64::from_bits(part.number_in(bytes));
                *has_sum = true;
            }
            6 => histogram.scale = unzigzag(part.number_in(bytes)) as i32,
            7 => histogram.n_zeros = part.number_in(bytes),
            8 => histogram.positive = buckets(bytes, part)?,
            9 => histogram.negative = buckets(bytes, part)?,
            14 => *zero_threshold = f64::from_bits(part.number_in(bytes)),
            _ => {}
        }
        Ok(())
    }

    /// Whether it can be added to anything.
    pub(super) fn is_sound(&self) -> bool {
        self.has_value
            && self.time_ns > 0
            && match &self.total {
                Total::Int(_) | Total::Double(_) => true,
                Total::Buckets { bounds, counts, .. } => {
                    counts.is_empty() && bounds.is_empty() || counts.len() == bounds.len() + 1
                }
                Total::Exponential { histogram, .. } => SCALES.contains(&histogram.scale),
            }
    }

    /// Whether its time reaches back behind the beginning of the series.
    pub(super) fn begins_before(&self, start_ns: u64) -> bool {
        self.start_ns != 0 && self.start_ns < start_ns
    }

    /// Appends the point with `total` for its own value.
    pub(super) fn push(&self, bytes: &[u8], total: &Total, start_ns: u64, out: &mut Vec<u8>) {
        let mut fields = Reader::of(bytes, self.field);
        while let Ok(Some(part)) = fields.read() {
            let is_of_delta = match (self.kind, part.number()) {
                (_, 2) => true,
                (Kind::Sum, number) => matches!(number, 4 | 6),
                (Kind::Histogram, number) => matches!(number, 4..=7 | 11 | 12),
                (Kind::Exponential, number) => matches!(number, 4..=9 | 12..=14),
            };
            if !is_of_delta {
                out.extend_from_slice(bytes.get(part.at..part.end).unwrap_or_default());
            }
        }
        if start_ns > 0 {
            push_fixed64(out, 2, start_ns);
        }
        total.push(out);
    }
}

impl Total {
    fn note_bucket(&mut self, bytes: &[u8], part: Field) {
        let Self::Buckets { bounds, counts, count, sum } = self else { return };
        match part.number() {
            4 => *count = part.number_in(bytes),
            5 => *sum = Some(f64::from_bits(part.number_in(bytes))),
            6 => push_words(bytes, part, counts),
            7 => push_words(bytes, part, bounds),
            _ => {}
        }
    }

    /// Adds `delta`; `false`, and nothing is added, where that has no meaning.
    pub(super) fn add(&mut self, delta: &Self) -> bool {
        match (&mut *self, delta) {
            (Self::Int(total), Self::Int(more)) => *total = total.saturating_add(*more),
            (Self::Double(total), Self::Double(more)) => *total += more,
            (Self::Double(total), Self::Int(more)) => *total += *more as f64,
            (Self::Int(total), Self::Double(more)) => *self = Self::Double(*total as f64 + more),
            (
                Self::Buckets { bounds, counts, count, sum },
                Self::Buckets { bounds: of, counts: more, count: n, sum: and },
            ) => {
                if bounds != of || counts.len() != more.len() {
                    return false;
                }
                let both = counts.iter_mut().zip(more);
                both.for_each(|(total, more)| *total = total.saturating_add(*more));
                *count = count.saturating_add(*n);
                *sum = sum.zip(*and).map(|(sum, and)| sum + and);
            }
            (
                Self::Exponential { histogram, zero_threshold, has_sum },
                Self::Exponential { histogram: more, zero_threshold: of, has_sum: and },
            ) => {
                histogram.merge(more);
                *zero_threshold = zero_threshold.max(*of);
                *has_sum &= and;
            }
            _ => return false,
        }
        true
    }

    /// About what it takes in memory.
    pub(super) fn n_bytes(&self) -> usize {
        let n_words = match self {
            Self::Int(_) | Self::Double(_) => 0,
            Self::Buckets { bounds, counts, .. } => bounds.len() + counts.len(),
            Self::Exponential { histogram, .. } => {
                let Histogram { positive, negative, .. } = &**histogram;
                size_of::<Histogram>() / 8 + positive.counts.capacity() + negative.counts.capacity()
            }
        };
        SERIES_BYTES + n_words * 8
    }

    fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => push_fixed64(out, 6, value.cast_unsigned()),
            Self::Double(value) => push_fixed64(out, 4, value.to_bits()),
            Self::Buckets { bounds, counts, count, sum } => {
                push_fixed64(out, 4, *count);
                if let Some(sum) = sum {
                    push_fixed64(out, 5, sum.to_bits());
                }
                for (number, words) in [(6, counts), (7, bounds)] {
                    if !words.is_empty() {
                        push_head(out, number, words.len() * 8);
                        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
                    }
                }
            }
            Self::Exponential { histogram, zero_threshold, has_sum } => {
                let Histogram { scale, count, sum, n_zeros, positive, negative } = &**histogram;
                push_fixed64(out, 4, *count);
                if *has_sum {
                    push_fixed64(out, 5, sum.to_bits());
                }
                push_number(out, 6, zigzag(i64::from(*scale)));
                push_fixed64(out, 7, *n_zeros);
                push_buckets(out, 8, positive.offset, &positive.counts);
                push_buckets(out, 9, negative.offset, &negative.counts);
                if *zero_threshold > 0.0 {
                    push_fixed64(out, 14, zero_threshold.to_bits());
                }
            }
        }
    }
}

/// One side of an exponential histogram, without the empty buckets at its ends.
fn buckets(bytes: &[u8], side: Field) -> Result<Buckets, Malformed> {
    let (offset, mut counts) = (bucket_offset(bytes, side), Vec::new());
    each_bucket(bytes, side, |count| counts.push(count))?;
    let used = |count: &u64| *count > 0;
    counts.truncate(counts.iter().rposition(used).map_or(0, |last| last + 1));
    let n_empty = counts.iter().position(used).unwrap_or(0);
    counts.drain(..n_empty);
    // Places beyond those of an i32 hold no number that there is.
    let offset = offset.clamp(i32::MIN / 4, i32::MAX / 4).saturating_add(n_empty as i32);
    Ok(Buckets { offset, counts })
}
