//! The series of one body and their samples, whichever request they came in.
//!
//! Owns what makes a series one (labels, and whether it is of floats or of native histograms), the
//! order of its samples and what they weigh. Knows symbols by their numbers only.

use xxhash_rust::xxh3::xxh3_64;

use super::index::Index;
use crate::event::otlp::prometheus::FamilyType;

/// No sample, no exemplar.
const NONE: u32 = u32::MAX;

/// What is said of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) name: u32,
    pub(super) kind: FamilyType,
    pub(super) help: u32,
    pub(super) unit: u32,
}

/// What a series is made of; one is never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    Floats,
    Histograms,
}

#[derive(Debug)]
pub(super) struct Series {
    /// Its labels in `Store::refs`.
    labels: (u32, u32),
    pub(super) family: u32,
    pub(super) values: Values,
    first: u32,
    last: u32,
    first_exemplar: u32,
    is_sorted: bool,
}

/// A float's bits, or where a histogram lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) time_ms: i64,
    /// 0 where nothing is said.
    pub(super) start_ms: i64,
    pub(super) bits: u64,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Exemplar {
    labels: (u32, u32),
    pub(super) time_ms: i64,
    pub(super) bits: u64,
    next: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) families: Vec<Family>,
    pub(super) series: Vec<Series>,
    refs: Vec<u32>,
    samples: Vec<Sample>,
    exemplars: Vec<Exemplar>,
    /// Native histograms without their times.
    histograms: Vec<u8>,
    index: Index,
    family_index: Index,
    /// Those that a receiver says it wrote: samples of both kinds.
    pub(super) n_samples: u64,
}

impl Store {
    /// The number of a family.
    pub(super) fn family(&mut self, family: Family) -> u32 {
        let hash = xxh3_64(bytemuck::bytes_of(&[family.name, family.help]));
        let is_it = |place: u32| self.families[place as usize] == family;
        if let Some(found) = self.family_index.find(hash, is_it) {
            return found;
        }
        let place = self.families.len() as u32;
        self.families.push(family);
        self.family_index.insert(hash, place);
        place
    }

    /// The series with these labels (names and values, sorted), and whether it is new.
    pub(super) fn find(&mut self, labels: &[u32], values: Values, family: u32) -> (u32, bool) {
        let hash = xxh3_64(bytemuck::cast_slice(labels)) ^ (values as u64) << 40;
        let is_it = |place: u32| {
            let one = &self.series[place as usize];
            one.values == values && self.labels_at(one.labels) == labels
        };
        if let Some(found) = self.index.find(hash, is_it) {
            return (found, false);
        }
        let place = self.series.len() as u32;
        let span = self.keep(labels);
        self.series.push(Series {
            labels: span,
            family,
            values,
            first: NONE,
            last: NONE,
            first_exemplar: NONE,
            is_sorted: true,
        });
        self.index.insert(hash, place);
        (place, true)
    }

    fn keep(&mut self, labels: &[u32]) -> (u32, u32) {
        let start = self.refs.len() as u32;
        self.refs.extend_from_slice(labels);
        (start, labels.len() as u32)
    }

    fn labels_at(&self, (start, len): (u32, u32)) -> &[u32] {
        &self.refs[start as usize..(start + len) as usize]
    }

    pub(super) fn labels(&self, series: &Series) -> &[u32] {
        self.labels_at(series.labels)
    }

    pub(super) fn exemplar_labels(&self, exemplar: &Exemplar) -> &[u32] {
        self.labels_at(exemplar.labels)
    }

    /// Appends a sample. `false`: there is another value at its time, which stays.
    pub(super) fn sample(&mut self, series: u32, time_ms: i64, start_ms: i64, bits: u64) -> bool {
        let place = self.samples.len() as u32;
        let one = &self.series[series as usize];
        if let Some(last) = self.samples.get(one.last as usize)
            && last.time_ms == time_ms
        {
            // The same twice is one; a histogram's bits are where it lies.
            return match one.values {
                Values::Floats => last.bits == bits,
                Values::Histograms => self.histogram_of(last.bits) == self.histogram_of(bits),
            };
        }
        let one = &mut self.series[series as usize];
        if let Some(last) = self.samples.get_mut(one.last as usize) {
            one.is_sorted &= last.time_ms < time_ms;
            last.next = place;
        } else {
            one.first = place;
        }
        one.last = place;
        self.samples.push(Sample { time_ms, start_ms, bits, next: NONE });
        self.n_samples += 1;
        true
    }

    /// Keeps a histogram; the bits that stand for it.
    pub(super) fn histogram(&mut self, wire: &[u8]) -> u64 {
        let start = self.histograms.len() as u64;
        self.histograms.extend_from_slice(wire);
        start << 32 | wire.len() as u64
    }

    pub(super) fn histogram_of(&self, bits: u64) -> &[u8] {
        let (start, len) = ((bits >> 32) as usize, bits as u32 as usize);
        &self.histograms[start..start + len]
    }

    pub(super) fn exemplar(&mut self, series: u32, time_ms: i64, bits: u64, labels: &[u32]) {
        let labels = self.keep(labels);
        let one = &mut self.series[series as usize];
        let next = std::mem::replace(&mut one.first_exemplar, self.exemplars.len() as u32);
        self.exemplars.push(Exemplar { labels, time_ms, bits, next });
    }

    /// Fills `out` with a series' samples in the order of time, one for each time.
    pub(super) fn samples(&self, series: &Series, out: &mut Vec<Sample>) {
        out.clear();
        let mut at = series.first;
        while let Some(sample) = self.samples.get(at as usize) {
            out.push(*sample);
            at = sample.next;
        }
        if !series.is_sorted {
            out.sort_by_key(|sample| sample.time_ms);
            out.dedup_by_key(|sample| sample.time_ms);
        }
    }

    /// The same of its exemplars, whose times may be equal.
    pub(super) fn exemplars(&self, series: &Series, out: &mut Vec<Exemplar>) {
        out.clear();
        let mut at = series.first_exemplar;
        while let Some(exemplar) = self.exemplars.get(at as usize) {
            out.push(*exemplar);
            at = exemplar.next;
        }
        out.reverse();
        out.sort_by_key(|exemplar| exemplar.time_ms);
    }

    pub(super) fn clear(&mut self) {
        self.families.clear();
        self.series.clear();
        self.refs.clear();
        self.samples.clear();
        self.exemplars.clear();
        self.histograms.clear();
        self.index.clear();
        self.family_index.clear();
        self.n_samples = 0;
    }

    /// Bytes that it keeps for the next body.
    pub(super) fn capacity(&self) -> usize {
        self.series.capacity() * size_of::<Series>()
            + self.refs.capacity() * size_of::<u32>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.histograms.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(store: &Store, series: u32) -> Vec<(i64, u64)> {
        let mut out = Vec::new();
        store.samples(&store.series[series as usize], &mut out);
        out.iter().map(|sample| (sample.time_ms, sample.bits)).collect()
    }

    #[test]
    fn samples_meet_and_are_put_in_order() {
        let mut store = Store::default();
        let (one, is_new) = store.find(&[1, 2, 3, 4], Values::Floats, 0);
        assert!(is_new);
        let (other, _) = store.find(&[1, 2, 3, 5], Values::Floats, 0);
        let (histogram, _) = store.find(&[1, 2, 3, 4], Values::Histograms, 0);
        assert_eq!((one, other, histogram), (0, 1, 2));
        assert_eq!(store.find(&[1, 2, 3, 4], Values::Floats, 0), (0, false));
        for (time, bits, is_taken) in [
            (10, 1, true),
            (10, 1, true),
            (10, 2, false),
            (30, 3, true),
            (20, 4, true),
            (30, 5, true),
        ] {
            assert_eq!(store.sample(one, time, 0, bits), is_taken);
        }
        assert!(store.sample(other, 5, 0, 9));
        assert_eq!(times(&store, one), [(10, 1), (20, 4), (30, 3)]);
        assert_eq!(times(&store, other), [(5, 9)]);
        for time in [7, 5, 6] {
            store.exemplar(one, time, 0, &[8, 9]);
        }
        let mut exemplars = Vec::new();
        store.exemplars(&store.series[0], &mut exemplars);
        let times: Vec<i64> = exemplars.iter().map(|exemplar| exemplar.time_ms).collect();
        assert_eq!(times, [5, 6, 7]);
        assert_eq!(store.exemplar_labels(&exemplars[0]), [8, 9]);
    }
}
