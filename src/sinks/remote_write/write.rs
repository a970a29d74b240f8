//! The body on the wire: the message of 1.0 or of 2.0, packed as one snappy block while it is
//! written.
//!
//! Source: `prometheus/prompb/types.proto`, `io/prometheus/write/v2/types.proto`; snappy's
//! `format_description.txt`.

use super::Protocol;
use super::store::{Exemplar, Family, Sample, Series, Store, Values};
use super::symbols::Symbols;
use crate::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number, push_varint};
use crate::sinks::snappy::{BLOCK_LEN_MAX, Compressor};

/// Numbers of fields that differ.
mod one {
    pub(super) const SERIES: u32 = 1;
    pub(super) const METADATA: u32 = 3;
    pub(super) const EXEMPLARS: u32 = 3;
    pub(super) const HISTOGRAMS: u32 = 4;
}
mod two {
    pub(super) const SERIES: u32 = 5;
    pub(super) const LABELS: u32 = 1;
    pub(super) const HISTOGRAMS: u32 = 3;
    pub(super) const EXEMPLARS: u32 = 4;
    pub(super) const METADATA: u32 = 5;
    pub(super) const SAMPLE_START: u32 = 3;
    pub(super) const HISTOGRAM_START: u32 = 17;
}

/// Buffers of the writing, which outlive a body.
#[derive(Debug, Default)]
pub(super) struct Press {
    snappy: Compressor,
    /// What is not packed yet.
    raw: Vec<u8>,
    packed: Vec<u8>,
    refs: Vec<u8>,
    samples: Vec<Sample>,
    exemplars: Vec<Exemplar>,
}

/// Writes all that `store` holds into `body`; how many samples that are.
pub(super) fn write(
    protocol: Protocol,
    symbols: &Symbols,
    store: &Store,
    press: &mut Press,
    body: &mut Vec<u8>,
) -> u64 {
    let (mut n_packed, mut n_samples) = (0, 0);
    press.raw.clear();
    press.packed.clear();
    if protocol == Protocol::Two {
        press.raw.extend_from_slice(symbols.wire());
    }
    for series in &store.series {
        store.samples(series, &mut press.samples);
        store.exemplars(series, &mut press.exemplars);
        n_samples += press.samples.len() as u64;
        let mut raw = std::mem::take(&mut press.raw);
        match protocol {
            Protocol::One => push_message(&mut raw, one::SERIES, |out| {
                push_series_one(series, symbols, store, press, out);
            }),
            Protocol::Two => push_message(&mut raw, two::SERIES, |out| {
                push_series_two(series, store, press, out);
            }),
        }
        press.raw = raw;
        n_packed += press.settle(false);
    }
    if protocol == Protocol::One {
        for family in &store.families {
            push_family(family, symbols, &mut press.raw);
        }
    }
    n_packed += press.settle(true);
    push_varint(body, n_packed as u64);
    body.extend_from_slice(&press.packed);
    n_samples
}

impl Press {
    /// Packs what fills whole blocks, or all; how many bytes that were.
    fn settle(&mut self, is_all: bool) -> usize {
        if !is_all && self.raw.len() < BLOCK_LEN_MAX {
            return 0;
        }
        let whole = self.raw.len() / BLOCK_LEN_MAX * BLOCK_LEN_MAX;
        let n_bytes = if is_all { self.raw.len() } else { whole };
        for block in self.raw[..n_bytes].chunks(BLOCK_LEN_MAX) {
            self.packed.extend_from_slice(self.snappy.elements(block));
        }
        self.raw.drain(..n_bytes);
        n_bytes
    }

    /// Bytes that it keeps for the next body.
    pub(super) fn capacity(&self) -> usize {
        self.raw.capacity() + self.packed.capacity()
    }
}

fn push_series_one(
    series: &Series,
    symbols: &Symbols,
    store: &Store,
    press: &Press,
    out: &mut Vec<u8>,
) {
    push_labels(store.labels(series), symbols, out);
    for sample in &press.samples {
        match series.values {
            Values::Floats => push_message(out, 2, |out| push_sample(sample, out)),
            Values::Histograms => push_message(out, one::HISTOGRAMS, |out| {
                out.extend_from_slice(store.histogram_of(sample.bits));
                push_number(out, 15, sample.time_ms as u64);
            }),
        }
    }
    for exemplar in &press.exemplars {
        push_message(out, one::EXEMPLARS, |out| {
            push_labels(store.exemplar_labels(exemplar), symbols, out);
            push_exemplar(exemplar, out);
        });
    }
}

fn push_series_two(series: &Series, store: &Store, press: &mut Press, out: &mut Vec<u8>) {
    push_refs(store.labels(series), &mut press.refs, out);
    for sample in &press.samples {
        match series.values {
            Values::Floats => push_message(out, 2, |out| {
                push_sample(sample, out);
                push_time(out, two::SAMPLE_START, sample.start_ms);
            }),
            Values::Histograms => push_message(out, two::HISTOGRAMS, |out| {
                out.extend_from_slice(store.histogram_of(sample.bits));
                push_number(out, 15, sample.time_ms as u64);
                push_time(out, two::HISTOGRAM_START, sample.start_ms);
            }),
        }
    }
    for exemplar in &press.exemplars {
        push_message(out, two::EXEMPLARS, |out| {
            push_refs(store.exemplar_labels(exemplar), &mut press.refs, out);
            push_exemplar(exemplar, out);
        });
    }
    let family = store.families.get(series.family as usize).copied().unwrap_or_default();
    push_message(out, two::METADATA, |out| {
        for (number, value) in
            [(1, family.kind.number()), (3, u64::from(family.help)), (4, u64::from(family.unit))]
        {
            if value != 0 {
                push_number(out, number, value);
            }
        }
    });
}

fn push_sample(sample: &Sample, out: &mut Vec<u8>) {
    // Bits, not the value: a stale marker is one NaN and no other.
    if sample.bits != 0 {
        push_fixed64(out, 1, sample.bits);
    }
    push_time(out, 2, sample.time_ms);
}

fn push_exemplar(exemplar: &Exemplar, out: &mut Vec<u8>) {
    if exemplar.bits != 0 {
        push_fixed64(out, 2, exemplar.bits);
    }
    push_time(out, 3, exemplar.time_ms);
}

fn push_time(out: &mut Vec<u8>, number: u32, time_ms: i64) {
    if time_ms != 0 {
        push_number(out, number, time_ms as u64);
    }
}

/// Numbers of symbols, packed.
fn push_refs(refs: &[u32], packed: &mut Vec<u8>, out: &mut Vec<u8>) {
    packed.clear();
    for number in refs {
        push_varint(packed, u64::from(*number));
    }
    push_bytes(out, two::LABELS, packed);
}

fn push_labels(refs: &[u32], symbols: &Symbols, out: &mut Vec<u8>) {
    for [name, value] in refs.as_chunks().0 {
        push_message(out, 1, |out| {
            push_bytes(out, 1, symbols.text(*name));
            push_bytes(out, 2, symbols.text(*value));
        });
    }
}

/// `MetricMetadata`, which 1.0 has beside the series.
fn push_family(family: &Family, symbols: &Symbols, out: &mut Vec<u8>) {
    push_message(out, one::METADATA, |out| {
        if family.kind.number() != 0 {
            push_number(out, 1, family.kind.number());
        }
        for (number, text) in [(2, family.name), (4, family.help), (5, family.unit)] {
            if text != 0 {
                push_bytes(out, number, symbols.text(text));
            }
        }
    });
}
