//! A histogram of exponential buckets, which knows no bounds in advance.
//!
//! Bucket `i` holds values in `(base^i, base^(i+1)]` with `base = 2^(2^-scale)`: OpenTelemetry's
//! exponential histogram, and Prometheus's native one of schema `scale` with indices one higher.
//! Begins at scale 3 (9 % wide) and halves its resolution whenever a side would need more than
//! [`BUCKETS_MAX`] buckets, so its memory is bounded whatever it is shown.
//!
//! Source: OpenTelemetry metrics data model, "ExponentialHistogram"; the bounds within an octave
//! are `prometheus/client_golang`'s for schema 3.

/// Buckets of each sign.
pub const BUCKETS_MAX: usize = 160;
/// The finest resolution.
const SCALE_MAX: i32 = 3;
/// Buckets of an octave at that.
const OCTAVE: i64 = 1 << SCALE_MAX;
/// Values nearer to zero count as zero: Prometheus's default threshold.
pub const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
/// Upper bounds of the buckets of `(0.5, 1]`, but for the last.
const BOUNDS: [f64; OCTAVE as usize] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    0.707_106_781_186_547_5,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_5,
    0.917_004_043_204_671_2,
];

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Resolution, -10 to 3.
    pub scale: i32,
    /// Values observed.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Those that are next to zero.
    pub n_zeros: u64,
    /// Those above zero.
    pub positive: Buckets,
    /// Those below, by their absolute value.
    pub negative: Buckets,
}

/// The buckets of one sign, from the first to the last that is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Index of the first.
    pub offset: i32,
    /// What each holds.
    pub counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        let (positive, negative) = <(Buckets, Buckets)>::default();
        Self { scale: SCALE_MAX, count: 0, sum: 0.0, n_zeros: 0, positive, negative }
    }
}

impl Histogram {
    /// Counts `value`; what is no number is left out, and `false` says so.
    pub fn observe(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        self.count += 1;
        self.sum += value;
        let size = value.abs();
        if size <= ZERO_THRESHOLD {
            self.n_zeros += 1;
            return true;
        }
        let finest = finest_index(size);
        loop {
            let index = (finest >> (SCALE_MAX - self.scale)) as i32;
            let side = if value > 0.0 { &mut self.positive } else { &mut self.negative };
            if side.add(index, 1) {
                return true;
            }
            self.coarsen();
        }
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while other.scale > self.scale {
            other.coarsen();
        }
        while self.scale > other.scale {
            self.coarsen();
        }
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.n_zeros = self.n_zeros.saturating_add(other.n_zeros);
        for is_positive in [true, false] {
            loop {
                let (side, more) = match is_positive {
                    true => (&mut self.positive, &other.positive),
                    false => (&mut self.negative, &other.negative),
                };
                if side.has_room_for(more) {
                    let each = (more.offset..).zip(&more.counts);
                    each.filter(|(_, n)| **n > 0).for_each(|(index, n)| {
                        side.add(index, *n);
                    });
                    break;
                }
                self.coarsen();
                other.coarsen();
            }
        }
    }

    /// Coarsens until no side has more than [`BUCKETS_MAX`] buckets: for one that was received.
    pub fn fit(&mut self) {
        let is_wide = |side: &Buckets| side.counts.len() > BUCKETS_MAX;
        while is_wide(&self.positive) || is_wide(&self.negative) {
            self.coarsen();
        }
    }

    /// Forgets all that was observed and keeps the room.
    pub fn clear(&mut self) {
        self.positive.counts.clear();
        self.negative.counts.clear();
        let (positive, negative) =
            (std::mem::take(&mut self.positive), std::mem::take(&mut self.negative));
        *self = Self { positive, negative, ..Self::default() };
    }

    /// Two buckets become one.
    fn coarsen(&mut self) {
        self.scale -= 1;
        self.positive.coarsen();
        self.negative.coarsen();
    }
}

impl Buckets {
    /// Index behind the last.
    fn end(&self) -> i32 {
        self.offset + self.counts.len() as i32
    }

    fn has_room_for(&self, other: &Self) -> bool {
        let (start, end) = match (self.counts.is_empty(), other.counts.is_empty()) {
            (_, true) => return true,
            (true, false) => (other.offset, other.end()),
            _ => (self.offset.min(other.offset), self.end().max(other.end())),
        };
        (end - start) as usize <= BUCKETS_MAX
    }

    /// Adds `n` to the bucket `index`; `false` when there would be too many buckets.
    fn add(&mut self, index: i32, n: u64) -> bool {
        if self.counts.is_empty() {
            self.offset = index;
        }
        let (start, end) = (self.offset.min(index), self.end().max(index + 1));
        if (end - start) as usize > BUCKETS_MAX {
            return false;
        }
        let missing = (self.offset - start) as usize;
        if missing > 0 {
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.offset = start;
        }
        let at = (index - start) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] = self.counts[at].saturating_add(n);
        true
    }

    fn coarsen(&mut self) {
        let (offset, start) = (self.offset, self.offset >> 1);
        for at in 0..self.counts.len() {
            let n = std::mem::take(&mut self.counts[at]);
            let half = ((offset + at as i32) >> 1) - start;
            self.counts[half as usize] = self.counts[half as usize].saturating_add(n);
        }
        let n_halves = ((self.end() + 1) >> 1) - start;
        self.counts.truncate(n_halves.max(0) as usize);
        self.offset = start;
    }
}

/// The index at the finest scale of a value above zero.
fn finest_index(value: f64) -> i64 {
    let (fraction, exponent) = split(value);
    let within = BOUNDS.partition_point(|bound| *bound < fraction) as i64;
    within + (i64::from(exponent) - 1) * OCTAVE - 1
}

/// `value = fraction * 2^exponent`, the fraction in `[0.5, 1)`; of a normal number above zero,
/// which those above [`ZERO_THRESHOLD`] are.
fn split(value: f64) -> (f64, i32) {
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i32 & 0x7ff;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent - 1022)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| {
            histogram.observe(*value);
        });
        histogram
    }

    /// The bounds of bucket `index`.
    fn bounds(scale: i32, index: i32) -> (f64, f64) {
        let base = 2f64.powf(2f64.powi(-scale));
        (base.powi(index), base.powi(index + 1))
    }

    #[test]
    fn values_lie_within_their_buckets() {
        for value in [1e-30, 0.001, 0.1, 0.5, 0.75, 1.0, 1.09, 2.0, 3.3, 1024.0, 1e30, f64::MAX] {
            let histogram = of(&[value]);
            let (low, high) = bounds(3, histogram.positive.offset);
            assert!(
                value > low * (1.0 - 1e-9) && value <= high * (1.0 + 1e-9),
                "{value} {low} {high}"
            );
            assert_eq!(of(&[-value]).negative, histogram.positive);
        }
        // Powers of two are upper bounds, exactly.
        for (value, index) in [(1.0, -1), (2.0, 7), (0.5, -9), (4.0, 15)] {
            assert_eq!(of(&[value]).positive.offset, index, "{value}");
        }
    }

    #[test]
    fn it_coarsens_and_loses_nothing() {
        let values: Vec<f64> = (0..2000).map(|n| 1.02f64.powi(n - 1000)).collect();
        let histogram = of(&values);
        assert!(histogram.positive.counts.len() <= BUCKETS_MAX);
        assert_eq!(histogram.positive.counts.iter().sum::<u64>(), 2000);
        assert!(histogram.scale < 3);
        for value in &values {
            let at = (finest_index(*value) >> (3 - histogram.scale)) as i32;
            assert!((histogram.positive.offset..histogram.positive.end()).contains(&at));
        }
    }

    #[test]
    fn parts_merge_to_the_whole() {
        let values: Vec<f64> = (0..600).map(|n| (f64::from(n) - 200.0) * 0.37).collect();
        let whole = of(&values);
        let mut merged = Histogram::default();
        for part in values.chunks(7) {
            merged.merge(&of(part));
        }
        assert_eq!((merged.count, merged.n_zeros), (whole.count, whole.n_zeros));
        assert_eq!(merged.scale, whole.scale);
        assert_eq!((merged.positive, merged.negative), (whole.positive, whole.negative));
        assert!((merged.sum - whole.sum).abs() < 1e-6);
    }

    #[test]
    fn zeros_and_what_is_no_number() {
        let mut histogram = of(&[0.0, -0.0, 1e-40]);
        assert_eq!((histogram.n_zeros, histogram.count), (3, 3));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!histogram.observe(value));
        }
        assert_eq!(histogram.count, 3);
        histogram.clear();
        assert_eq!(histogram, Histogram::default());
    }
}
