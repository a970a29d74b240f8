//! All that a body is built in, to be used again for the next one.
//!
//! Owns what a sample, a series and a text weigh.

use std::sync::Arc;

use super::Protocol;
use super::convert::{Context, Times};
use super::index::Memo;
use super::labels::Labels;
use super::read::each;
use super::resources::{self, Resources};
use super::store::{Family, Store, Values};
use super::symbols::Symbols;
use super::write::Press;
use super::{floats, values};
use crate::event::origin::Origin;
use crate::event::otlp::prometheus::{FamilyType, STALE_BITS};
use crate::event::otlp::wire::{Field, Reader};

/// Buffers that grew beyond this are not kept for the next body.
const KEPT_BYTES_MAX: usize = 8 << 20;
/// Tags, lengths and times of a sample.
const SAMPLE_BYTES: usize = 26;
/// Tags and lengths of a series, and its metadata.
const SERIES_BYTES: usize = 18;
/// Two numbers of symbols.
const REFS_BYTES: usize = 4;
/// Tags and lengths of a label in 1.0.
const LABEL_BYTES: usize = 6;
/// What a sample counts as at least.
///
/// # Why
/// Receivers limit samples and series of a request as well as its bytes, and 2.0 advises at most
/// 10,000 series: a body of a MiB has no more samples than that, however dense they are.
const SAMPLE_WEIGHT: usize = 104;
/// Characters of an exemplar's labels, by OpenMetrics; some receivers refuse more.
const EXEMPLAR_CHARS_MAX: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) symbols: Symbols,
    pub(super) store: Store,
    pub(super) resources: Resources,
    pub(super) labels: Labels,
    pub(super) metric_names: Memo,
    pub(super) press: Press,
    pub(super) text: Vec<u8>,
    /// A native histogram.
    pub(super) wire: Vec<u8>,
    /// Counts and bounds of a classic one.
    pub(super) words: (Vec<u64>, Vec<u64>),
    /// Its buckets' bounds and series.
    pub(super) buckets: Vec<(f64, u32)>,
    bounds: Bounds,
    exemplar_labels: Labels,
    /// Bytes of the body beside the symbols, about.
    weight: usize,
    is_one: bool,
}

/// The texts of the last histogram's bounds: the next one's are mostly the same.
#[derive(Debug, Default)]
struct Bounds {
    bits: Vec<u64>,
    is_scraped: bool,
    refs: Vec<u32>,
}

impl Scratch {
    /// Empties it for a body of `protocol`.
    pub(super) fn begin(&mut self, protocol: Protocol) {
        self.symbols.clear();
        self.store.clear();
        self.resources.clear();
        self.labels.clear();
        self.exemplar_labels.clear();
        self.metric_names.clear();
        self.bounds.bits.clear();
        self.bounds.refs.clear();
        self.weight = 0;
        self.is_one = protocol == Protocol::One;
    }

    /// Bytes of the body so far, about; more where it has more samples than bytes.
    pub(super) fn len(&self) -> usize {
        if self.store.n_samples == 0 {
            return 0;
        }
        let symbols = if self.is_one { 0 } else { self.symbols.wire().len() };
        (self.weight + symbols).max(self.store.n_samples as usize * SAMPLE_WEIGHT)
    }

    /// Whether its buffers are worth keeping.
    pub(super) fn is_small(&self) -> bool {
        let Self { symbols, store, press, .. } = self;
        symbols.capacity() + store.capacity() + press.capacity() <= KEPT_BYTES_MAX
    }

    /// The number of a resource.
    pub(super) fn resource(&mut self, wire: &[u8], origin: &Arc<Origin>) -> usize {
        let Self { symbols, resources, .. } = self;
        resources.find(wire, origin, || {
            let (job, instance) = resources::names(wire, origin);
            let mut label = |name: &[u8], value: &[u8]| match value {
                [] => (0, 0),
                value => (symbols.reference(name), symbols.reference(value)),
            };
            [label(b"job", &job), label(b"instance", &instance)]
        })
    }

    /// A sample of the series `name` of the point whose labels were read; which series that is.
    ///
    /// # Errors
    /// There is another value of this time.
    #[inline]
    pub(super) fn float(
        &mut self,
        context: &Context<'_>,
        (name, more): (u32, Option<(u32, u32)>),
        times: &Times,
        bits: u64,
    ) -> Result<u32, &'static str> {
        let series = self.series(context, name, more, Values::Floats);
        self.sample(series, times, bits)
    }

    /// The same of a native histogram.
    pub(super) fn histogram(
        &mut self,
        context: &Context<'_>,
        name: u32,
        times: &Times,
        wire: &[u8],
    ) -> Result<u32, &'static str> {
        let series = self.series(context, name, None, Values::Histograms);
        let bits = self.store.histogram(wire);
        self.weight += wire.len();
        self.sample(series, times, bits)
    }

    fn sample(&mut self, series: u32, times: &Times, bits: u64) -> Result<u32, &'static str> {
        self.weight += SAMPLE_BYTES;
        match self.store.sample(series, times.time_ms, times.start_ms, bits) {
            true => Ok(series),
            false => Err("second_value_at_one_time"),
        }
    }

    #[inline]
    fn series(
        &mut self,
        context: &Context<'_>,
        name: u32,
        more: Option<(u32, u32)>,
        values: Values,
    ) -> u32 {
        let Self { symbols, store, labels, .. } = self;
        let own = (context.name_label, name);
        let both = [own, more.unwrap_or(own)];
        let refs = labels.with(symbols, &both[..1 + usize::from(more.is_some())]);
        let (series, is_new) = store.find(refs, values, context.family);
        if is_new {
            self.weight += SERIES_BYTES + weight_of(refs, symbols, self.is_one);
        }
        series
    }

    /// Makes texts of bounds, unless they are those of the point before.
    pub(super) fn learn_bounds(&mut self, bounds: &[u64], is_scraped: bool) {
        let Self { symbols, text, bounds: known, .. } = self;
        if known.bits == bounds && known.is_scraped == is_scraped {
            return;
        }
        known.bits.clear();
        known.bits.extend_from_slice(bounds);
        known.is_scraped = is_scraped;
        known.refs.clear();
        for bits in bounds {
            text.clear();
            floats::push_bound(text, f64::from_bits(*bits), is_scraped);
            known.refs.push(symbols.reference(text));
        }
    }

    /// The symbol of the bound at `index`.
    pub(super) fn bound(&self, index: usize) -> u32 {
        self.bounds.refs.get(index).copied().unwrap_or(0)
    }

    /// Adds a point's exemplars, each to the series that `series_of` its value.
    pub(super) fn exemplars(
        &mut self,
        context: &Context<'_>,
        point: Field,
        times: &Times,
        series_of: impl Fn(f64) -> u32,
    ) {
        let number = context.kind.shape().exemplars;
        each(context.bytes, point, number, |field| {
            self.exemplar(context, field, times, &series_of);
        });
    }

    fn exemplar(
        &mut self,
        context: &Context<'_>,
        exemplar: Field,
        times: &Times,
        series_of: &impl Fn(f64) -> u32,
    ) {
        let bytes = context.bytes;
        let (mut time_ms, mut value) = (0, 0.0);
        let (mut trace, mut span) = (&[][..], &[][..]);
        let mut reader = Reader::of(bytes, exemplar);
        while let Ok(Some(field)) = reader.read() {
            match field.number() {
                2 => time_ms = (field.number_in(bytes) / 1_000_000) as i64,
                3 => value = f64::from_bits(field.number_in(bytes)),
                6 => value = field.number_in(bytes) as i64 as f64,
                4 => span = field.of(bytes),
                5 => trace = field.of(bytes),
                _ => {}
            }
        }
        let series = series_of(value);
        if self.store.series.get(series as usize).is_none() {
            return;
        }
        if time_ms == 0 {
            time_ms = times.time_ms;
        }
        let mut own = [(0, 0); 2];
        let mut n_chars = 0;
        for (at, (name, id)) in [(&b"trace_id"[..], trace), (b"span_id", span)].iter().enumerate() {
            if id.iter().any(|byte| *byte != 0) {
                let hex = data_encoding::HEXLOWER.encode(id);
                n_chars += name.len() + hex.len();
                own[at] = (self.symbols.reference(name), self.symbols.reference(hex.as_bytes()));
            }
        }
        let Self { symbols, exemplar_labels: labels, store, text, .. } = self;
        labels.begin();
        each(bytes, exemplar, 7, |field| {
            let (key, value) = values::key_value(bytes, field);
            text.clear();
            if let Some(value) = value {
                values::push_text(bytes, value, text);
            }
            let chars = |text: &[u8]| String::from_utf8_lossy(text).chars().count();
            n_chars += chars(key) + chars(text);
            labels.attribute(symbols, bytes, field, context.is_scraped);
        });
        if n_chars > EXEMPLAR_CHARS_MAX {
            labels.begin();
        }
        labels.end(symbols, bytes, &[context.name_label], &own);
        let refs = labels.with(symbols, &[]);
        store.exemplar(series, time_ms, value.to_bits(), refs);
        self.weight += SAMPLE_BYTES + weight_of(refs, symbols, self.is_one);
    }

    /// `target_info` of each resource for which `is_due`, at its newest time; it ends where the
    /// resource's series do.
    pub(super) fn push_targets(&mut self, mut is_due: impl FnMut(u64, (i64, bool)) -> bool) {
        for at in 0..self.resources.all.len() {
            let resource = &self.resources.all[at];
            let own = resource.own;
            let Some((newest_ms, is_stale)) = resource.newest else { continue };
            let Self { symbols, labels, .. } = self;
            labels.begin();
            let mut n_attributes = 0;
            resource.each_attribute(|wire, field| {
                n_attributes += 1;
                labels.attribute(symbols, wire, field, false);
            });
            let is_named = own.iter().any(|(_, value)| *value != 0);
            if n_attributes == 0 || !is_named {
                continue;
            }
            let name = symbols.reference(b"__name__");
            labels.end(symbols, resource.wire(), &[name], &own);
            let family = Family {
                name: symbols.reference(b"target_info"),
                kind: FamilyType::Gauge,
                help: symbols.reference(b"Target metadata"),
                unit: 0,
            };
            let refs = labels.with(symbols, &[(name, family.name)]);
            let key = key_of(refs, symbols);
            let ended = resource.ended_ms.map(|ended_ms| (ended_ms, true));
            for (time_ms, is_stale) in ended.into_iter().chain([(newest_ms, is_stale)]) {
                if is_due(key, (time_ms, is_stale)) {
                    let family = self.store.family(family);
                    let (series, _) = self.store.find(refs, Values::Floats, family);
                    // Another value of this time is a metric of that very name.
                    let bits = if is_stale { STALE_BITS } else { 1f64.to_bits() };
                    self.store.sample(series, time_ms, 0, bits);
                }
            }
        }
    }
}

/// About what labels take on the wire.
fn weight_of(refs: &[u32], symbols: &Symbols, is_one: bool) -> usize {
    let pairs = refs.as_chunks().0.iter();
    match is_one {
        false => pairs.len() * REFS_BYTES,
        true => pairs
            .map(|[name, value]| {
                symbols.text(*name).len() + symbols.text(*value).len() + LABEL_BYTES
            })
            .sum(),
    }
}

/// Tells a series from others beyond this body.
fn key_of(refs: &[u32], symbols: &Symbols) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for number in refs {
        let text = symbols.text(*number);
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hasher.digest()
}
