//! What was told of a target the last time: which series there were, and what names them.
//!
//! # Why
//! When a series is gone, that must be said under its name, and the scrape that misses it no longer
//! has the name. Kept are eight bytes of hash for each point, and the points' names (attributes,
//! bounds, and the metrics they are in) packed by zstd, a block at a time: both are bounded by the
//! limits of body and samples. They are unpacked when something is gone, and when a page is read by
//! what is remembered of the last one ([`super::replay`]). Should two series share a hash, one may
//! lack a stale marker: by chance, less than once in 10^10 scrapes of 40,000 series.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::output::{Of, Output, Shape};
use super::replay::Script;
use crate::event::otlp::wire::{Reader, push_bytes, push_message, push_number};

/// For speed: what is kept is replaced when it changes.
const LEVEL: i32 = 1;
/// What is packed as one, about.
const BLOCK_BYTES: usize = 128 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Told {
    hashes: Vec<u64>,
    blocks: Vec<Block>,
    /// What the next page can be read by, where that is possible.
    pub(super) script: Option<Script>,
}

/// Names of some points.
#[derive(Clone, Debug)]
struct Block {
    packed: Arc<[u8]>,
    n_bytes: usize,
    /// Of what is packed.
    hash: u64,
}

/// The same while it grows.
#[derive(Debug, Default)]
pub(super) struct Telling {
    hashes: Vec<u64>,
    names: Vec<u8>,
    who: (String, String),
    head: Vec<u8>,
    shape: Option<Shape>,
    blocks: Vec<Block>,
    /// Those of the last time: what is the same need not be packed again.
    last: Vec<Block>,
}

impl Telling {
    pub(super) fn new(last: &Told) -> Self {
        Self { last: last.blocks.clone(), ..Self::default() }
    }

    /// Notes a point: its attributes, and what names its parts.
    pub(super) fn note(&mut self, hash: u64, of: Of<'_>, attributes: &[u8], parts: &[u8]) {
        let (job, instance) = of.who;
        // A block says again whose points they are.
        let is_first = self.names.is_empty();
        if is_first || self.who.0 != job || self.who.1 != instance {
            self.who = (job.to_owned(), instance.to_owned());
            push_message(&mut self.names, 1, |out| {
                push_bytes(out, 1, job.as_bytes());
                push_bytes(out, 2, instance.as_bytes());
            });
        }
        if is_first || self.head != of.head || self.shape != Some(of.shape) {
            self.head.clear();
            self.head.extend_from_slice(of.head);
            self.shape = Some(of.shape);
            push_number(&mut self.names, 2, of.shape as u64);
            push_bytes(&mut self.names, 3, of.head);
        }
        if !parts.is_empty() {
            push_bytes(&mut self.names, 5, parts);
        }
        push_bytes(&mut self.names, 4, attributes);
        self.hashes.push(hash);
        if self.names.len() >= BLOCK_BYTES {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let (hash, n_bytes) = (xxh3_64(&self.names), self.names.len());
        let known = self.last.get(self.blocks.len());
        let block = match known.filter(|block| block.hash == hash && block.n_bytes == n_bytes) {
            Some(block) => block.clone(),
            None => {
                let packed = zstd::bulk::compress(&self.names, LEVEL).unwrap_or_else(|error| {
                    tracing::warn!(%error, "what is gone later will not be told");
                    Vec::new()
                });
                Block { packed: packed.into(), n_bytes, hash }
            }
        };
        self.blocks.push(block);
        self.names.clear();
    }

    /// All that was noted.
    pub(super) fn finish(mut self, script: Option<Script>) -> Told {
        if !self.names.is_empty() {
            self.pack();
        }
        Told { hashes: self.hashes, blocks: self.blocks, script }
    }

    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }
}

impl Told {
    /// The series that there were.
    pub(super) fn hashes(&self) -> HashSet<u64> {
        self.hashes.iter().copied().collect()
    }

    /// Writes for every series that is not in `still` that it is gone.
    pub(super) fn write_gone(&self, still: &HashSet<u64>, time_ns: i64, output: &mut Output) {
        if self.hashes.iter().all(|hash| still.contains(hash)) {
            return;
        }
        let (mut names, mut name) = (self.names(), Vec::new());
        for hash in &self.hashes {
            if !names.next() {
                return;
            }
            if !still.contains(hash) {
                name.clear();
                name.extend_from_slice(names.attributes());
                name.extend_from_slice(names.parts());
                output.stale_point(names.of(), &name, time_ns);
            }
        }
    }

    /// What names the points, one after the other.
    pub(super) fn names(&self) -> Names<'_> {
        Names {
            blocks: self.blocks.iter(),
            unpacker: zstd::bulk::Decompressor::new().ok(),
            text: Vec::new(),
            at: 0,
            who: (String::new(), String::new()),
            shape: Shape::Gauge,
            head: 0..0,
            attributes: 0..0,
            parts: 0..0,
        }
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(super) fn n_bytes(&self) -> usize {
        let packed: usize = self.blocks.iter().map(|block| block.packed.len()).sum();
        let script = self.script.as_ref().map_or(0, Script::n_bytes);
        packed + self.hashes.len() * 8 + script
    }
}

/// The names of points, a block of them unpacked.
pub(super) struct Names<'t> {
    blocks: std::slice::Iter<'t, Block>,
    unpacker: Option<zstd::bulk::Decompressor<'static>>,
    text: Vec<u8>,
    at: usize,
    who: (String, String),
    shape: Shape,
    head: Range<usize>,
    attributes: Range<usize>,
    parts: Range<usize>,
}

impl Names<'_> {
    /// Goes on to the next point; whether there is one.
    pub(super) fn next(&mut self) -> bool {
        self.parts = 0..0;
        loop {
            let mut reader = Reader::new(&self.text, self.at, self.text.len());
            let Ok(Some(field)) = reader.read() else {
                let Some(block) = self.blocks.next() else { return false };
                self.unpack(block);
                continue;
            };
            self.at = field.end;
            match field.number() {
                1 => self.who = read_who(&self.text, field),
                2 => {
                    let number = field.number_in(&self.text);
                    let shape = Shape::ALL.into_iter().find(|shape| *shape as u64 == number);
                    self.shape = shape.unwrap_or(Shape::Gauge);
                }
                3 => self.head = field.start..field.end,
                5 => self.parts = field.start..field.end,
                _ => {
                    self.attributes = field.start..field.end;
                    return true;
                }
            }
        }
    }

    /// What cannot be unpacked has no names.
    fn unpack(&mut self, block: &Block) {
        let Self { unpacker, text, at, .. } = self;
        *at = 0;
        text.clear();
        text.reserve(block.n_bytes);
        let unpacked = unpacker.as_mut().map(|one| one.decompress_to_buffer(&block.packed, text));
        if !matches!(unpacked, Some(Ok(_))) {
            text.clear();
        }
    }

    /// Where the point belongs.
    pub(super) fn of(&self) -> Of<'_> {
        let (job, instance) = &self.who;
        Of { who: (job, instance), shape: self.shape, head: &self.text[self.head.clone()] }
    }

    /// Its attributes, encoded.
    pub(super) fn attributes(&self) -> &[u8] {
        &self.text[self.attributes.clone()]
    }

    /// What names its parts: see [`super::values::push_parts`].
    pub(super) fn parts(&self) -> &[u8] {
        &self.text[self.parts.clone()]
    }
}

fn read_who(names: &[u8], field: crate::event::otlp::Field) -> (String, String) {
    let mut who = (String::new(), String::new());
    let mut reader = Reader::of(names, field);
    while let Ok(Some(part)) = reader.read() {
        let text = String::from_utf8_lossy(part.of(names)).into_owned();
        match part.number() {
            1 => who.0 = text,
            _ => who.1 = text,
        }
    }
    who
}
