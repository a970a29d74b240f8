//! Exponential histograms as native ones: the layout of their buckets, on the wire.
//!
//! Writes the fields that 1.0 and 2.0 have in common; times are added where the series is written.
//!
//! Source: Prometheus `prompb` (`Histogram`), `model/histogram` (`Validate`), and its translation
//! of OTLP.
//!
//! # Why
//! - A histogram whose counts do not add up is refused here: some receivers answer 500 to it, and
//!   would be asked for ever.
//! - A sum that OTLP leaves out is NaN and not 0, which would be a wrong answer to a query.

use crate::event::otlp::prometheus::{NO_RECORDED_VALUE, STALE_BITS};
use crate::event::otlp::read::{bucket_offset, each_bucket};
use crate::event::otlp::wire::{
    Field, push_bytes, push_fixed64, push_message, push_number, push_varint, unzigzag, zigzag,
};

/// Native histograms know no coarser buckets.
const SCALE_MIN: i32 = -4;
/// Nor finer ones; those are merged.
const SCALE_MAX: i32 = 8;
/// Of what OTLP leaves out.
const ZERO_THRESHOLD: f64 = 1e-128;
/// Empty buckets up to so many are written out, and no span begun for them.
const GAP_MAX: i64 = 2;
/// NaN as Prometheus writes it.
pub(super) const NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

mod reset {
    /// It goes down without a reset.
    pub(super) const GAUGE: u64 = 3;
}

/// Where a point's fields stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    pub(super) count: u64,
    pub(super) sum_bits: Option<u64>,
    pub(super) scale: i32,
    pub(super) zero_count: u64,
    pub(super) positive: Option<Field>,
    pub(super) negative: Option<Field>,
    pub(super) zero_threshold: Option<f64>,
}

impl Point {
    /// Notes what `field` says.
    pub(super) fn note(&mut self, bytes: &[u8], field: Field) {
        match field.number() {
            4 => self.count = field.number_in(bytes),
            5 => self.sum_bits = Some(field.number_in(bytes)),
            6 => self.scale = unzigzag(field.number_in(bytes)) as i32,
            7 => self.zero_count = field.number_in(bytes),
            8 => self.positive = Some(field),
            9 => self.negative = Some(field),
            14 => self.zero_threshold = Some(f64::from_bits(field.number_in(bytes))),
            _ => {}
        }
    }

    /// Appends the histogram without its times.
    ///
    /// # Errors
    /// Why it cannot be a native one.
    pub(super) fn push(
        &self,
        bytes: &[u8],
        flags: u64,
        is_gauge: bool,
        is_scraped: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        let start = out.len();
        let pushed = self.push_fields(bytes, flags, (is_gauge, is_scraped), out);
        if pushed.is_err() {
            out.truncate(start);
        }
        pushed
    }

    fn push_fields(
        &self,
        bytes: &[u8],
        flags: u64,
        (is_gauge, is_scraped): (bool, bool),
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        if flags & u64::from(NO_RECORDED_VALUE) != 0 {
            // No buckets, and no count: only the sum says that it is stale.
            push_number(out, 1, 0);
            push_fixed64(out, 3, STALE_BITS);
            push_number(out, 6, 0);
            return Ok(());
        }
        if self.scale < SCALE_MIN {
            return Err("histogram_scale_too_small");
        }
        push_number(out, 1, self.count);
        push_fixed64(out, 3, self.sum_bits.unwrap_or(NAN_BITS));
        let scale = self.scale.min(SCALE_MAX);
        push_number(out, 4, zigzag(i64::from(scale)));
        let threshold = match (self.zero_threshold, is_scraped) {
            (Some(threshold), _) if threshold > 0.0 => threshold,
            (_, true) => 0.0,
            (_, false) => ZERO_THRESHOLD,
        };
        push_fixed64(out, 5, threshold.to_bits());
        push_number(out, 6, self.zero_count);
        let n_halvings = (self.scale - scale) as u32;
        let mut sum = self.zero_count;
        for (side, spans, deltas) in [(self.negative, 8, 9), (self.positive, 11, 12)] {
            let n = push_buckets(bytes, side, n_halvings, (spans, deltas), out)?;
            sum = sum.checked_add(n).ok_or("histogram_count_mismatch")?;
        }
        if sum != self.count {
            return Err("histogram_count_mismatch");
        }
        if is_gauge {
            push_number(out, 14, reset::GAUGE);
        }
        Ok(())
    }
}

/// Appends spans and deltas of one side, and says how much is counted there.
fn push_buckets(
    bytes: &[u8],
    side: Option<Field>,
    n_halvings: u32,
    (spans, deltas): (u32, u32),
    out: &mut Vec<u8>,
) -> Result<u64, &'static str> {
    let Some(side) = side else { return Ok(0) };
    let mut layout = Layout::default();
    let (mut sum, mut open) = (0u64, None::<(i64, u64)>);
    let mut overflows = false;
    let mut index = i64::from(bucket_offset(bytes, side));
    // What cannot be read is missing in the sum.
    let _ = each_bucket(bytes, side, |count| {
        // OTLP counts buckets by their lower bound, Prometheus by their upper one.
        let at = (index >> n_halvings.min(62)) + 1;
        index += 1;
        let Some(more) = sum.checked_add(count) else {
            overflows = true;
            return;
        };
        sum = more;
        match &mut open {
            Some((place, total)) if *place == at => *total += count,
            _ => {
                if let Some((place, total)) = open.replace((at, count)) {
                    layout.add(place, total);
                }
            }
        }
    });
    if let Some((place, total)) = open {
        layout.add(place, total);
    }
    if overflows || i64::try_from(sum).is_err() {
        return Err("histogram_count_mismatch");
    }
    let is_far = |place: i64| i32::try_from(place).is_err();
    if is_far(layout.next) || layout.spans.iter().any(|(offset, _)| is_far(*offset)) {
        return Err("histogram_bucket_out_of_range");
    }
    layout.push(spans, deltas, out);
    Ok(sum)
}

/// Spans of buckets that are not empty, with gaps between them.
#[derive(Default)]
struct Layout {
    /// Distance from the end of the span before, and length.
    spans: Vec<(i64, u64)>,
    deltas: Vec<u8>,
    last_count: i64,
    /// Behind the last bucket.
    next: i64,
}

impl Layout {
    fn add(&mut self, place: i64, count: u64) {
        if count == 0 {
            return;
        }
        let gap = place - self.next;
        match self.spans.last() {
            Some(_) if gap <= GAP_MAX => (0..gap).for_each(|_| self.bucket(0)),
            _ => self.spans.push((gap, 0)),
        }
        self.bucket(count as i64);
        self.next = place + 1;
    }

    fn bucket(&mut self, count: i64) {
        push_varint(&mut self.deltas, zigzag(count.wrapping_sub(self.last_count)));
        self.last_count = count;
        if let Some((_, len)) = self.spans.last_mut() {
            *len += 1;
        }
    }

    fn push(&self, spans: u32, deltas: u32, out: &mut Vec<u8>) {
        for (offset, len) in &self.spans {
            push_message(out, spans, |out| {
                push_number(out, 1, zigzag(*offset));
                push_number(out, 2, *len);
            });
        }
        if !self.deltas.is_empty() {
            push_bytes(out, deltas, &self.deltas);
        }
    }
}
