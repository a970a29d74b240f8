//! Native histograms: from spans and deltas to the dense buckets of OTLP.
//!
//! Deliberately takes whole counts only: OTLP has no others.
//!
//! Source: Prometheus, "Native Histograms"; `io.prometheus.client.Histogram`. A bucket's index
//! there is of its upper bound, in OTLP of its lower one.

/// Buckets of one side that are written; more would make a small body a large request.
const BUCKETS_MAX: usize = 4096;

/// A native histogram with whole counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Native {
    pub(super) schema: i32,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) zero_threshold: f64,
    pub(super) n_zeros: u64,
    pub(super) positive: Side,
    pub(super) negative: Side,
}

/// The buckets of one sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    /// Of the first bucket.
    pub(super) offset: i32,
    pub(super) counts: Vec<u64>,
}

impl Side {
    /// The buckets that spans (how far behind the one before, how many) and deltas say.
    ///
    /// # Errors
    /// Spans and deltas that do not fit, counts below zero, more buckets than are written.
    pub(super) fn of(spans: &[(i32, u32)], deltas: &[i64]) -> Result<Self, &'static str> {
        let n_told = spans.iter().try_fold(0u32, |n, (_, len)| n.checked_add(*len));
        if n_told.map(|n| n as usize) != Some(deltas.len()) {
            return Err("spans and buckets of a native histogram differ in number");
        }
        let mut side = Self::default();
        let (mut deltas, mut count) = (deltas.iter(), 0i64);
        for (at, (offset, len)) in spans.iter().enumerate() {
            if at == 0 {
                side.offset = offset.checked_sub(1).ok_or("a bucket that is out of range")?;
            } else {
                let gap = usize::try_from(*offset).map_err(|_| "a span that goes back")?;
                side.grow(gap)?;
            }
            for delta in deltas.by_ref().take(*len as usize) {
                count = count.checked_add(*delta).ok_or("a count that is out of range")?;
                side.grow(1)?;
                let last = side.counts.last_mut().ok_or("no bucket")?;
                *last = u64::try_from(count).map_err(|_| "a bucket with less than nothing")?;
            }
        }
        Ok(side)
    }

    fn grow(&mut self, n: usize) -> Result<(), &'static str> {
        let len = self.counts.len() + n.min(BUCKETS_MAX + 1);
        if len > BUCKETS_MAX {
            return Err("a native histogram of more than 4096 buckets");
        }
        self.counts.resize(len, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_dense() {
        let side = Side::of(&[(-3, 2), (2, 1), (0, 1)], &[5, -3, 4, 0]).expect("sound");
        assert_eq!(side, Side { offset: -4, counts: vec![5, 2, 0, 0, 6, 6] });
        assert_eq!(Side::of(&[], &[]), Ok(Side::default()));
        // Length zero says nothing and still moves on.
        let moved = Side::of(&[(1, 1), (3, 0), (1, 1)], &[1, 0]).expect("sound");
        assert_eq!(moved.counts, [1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for (spans, deltas) in [
            (&[(0, 2)][..], &[1][..]),
            (&[(0, 1)], &[1, 1]),
            (&[(0, 1)], &[-1]),
            (&[(0, 1), (-1, 1)], &[1, 1]),
            (&[(i32::MIN, 1)], &[1]),
            (&[(0, 2)], &[i64::MAX, 1]),
            (&[(0, 1), (i32::MAX, 1)], &[1, 1]),
            (&[(0, u32::MAX), (0, u32::MAX)], &[1]),
        ] {
            assert!(Side::of(spans, deltas).is_err(), "{spans:?} {deltas:?}");
        }
    }
}
