//! A fixed stream of random numbers, and a total estimated from what sampling kept of it.

/// SplitMix64: a fixed stream per seed, so that a failure is the same failure again.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A total, its estimate (Horvitz-Thompson), and the estimate's variance.
#[derive(Clone, Copy, Default)]
pub(crate) struct Estimate {
    pub(crate) truth: f64,
    pub(crate) sum: f64,
    variance: f64,
}

impl Estimate {
    /// Adds a value, and the probability with which it was kept, if it was.
    pub(crate) fn add(&mut self, value: f64, kept_with: Option<f64>) {
        self.truth += value;
        if let Some(p) = kept_with {
            self.sum += value / p;
            self.variance += (1.0 - p) / (p * p) * value * value;
        }
    }

    /// Whether the truth lies in the 95 % interval.
    pub(crate) fn holds(&self) -> bool {
        (self.sum - self.truth).abs() <= 1.96 * self.variance.sqrt()
    }
}
