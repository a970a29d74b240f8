//! What was told of a target the last time: which series there were, and what names them.
//!
//! # Why
//! When a series is gone, that must be said under its name, and the scrape that misses it no longer
//! has the name. Kept are eight bytes of hash for each point, and the points' names (attributes,
//! bounds, and the metrics they are in) packed as one by zstd: both are bounded by the limits of
//! body and samples. They are unpacked only when something is gone. Should two series share a hash,
//! one may lack a stale marker: by chance, less than once in 10^10 scrapes of 40,000 series.

use std::collections::HashSet;

use super::output::{Of, Output, Shape};
use crate::event::otlp::wire::{Reader, push_bytes, push_message, push_number};

/// For speed: what is kept is replaced at the next scrape.
const LEVEL: i32 = 1;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Told {
    hashes: Vec<u64>,
    packed: Vec<u8>,
    n_bytes: usize,
}

/// The same while it grows.
#[derive(Debug, Default)]
pub(super) struct Telling {
    hashes: Vec<u64>,
    names: Vec<u8>,
    who: (String, String),
    head: Vec<u8>,
    shape: Option<Shape>,
}

impl Telling {
    /// Notes a point.
    pub(super) fn note(&mut self, hash: u64, of: Of<'_>, name: &[u8]) {
        let (job, instance) = of.who;
        let is_first = self.hashes.is_empty();
        if is_first || self.who.0 != job || self.who.1 != instance {
            self.who = (job.to_owned(), instance.to_owned());
            push_message(&mut self.names, 1, |out| {
                push_bytes(out, 1, job.as_bytes());
                push_bytes(out, 2, instance.as_bytes());
            });
        }
        if self.head != of.head || self.shape != Some(of.shape) {
            self.head.clear();
            self.head.extend_from_slice(of.head);
            self.shape = Some(of.shape);
            push_number(&mut self.names, 2, of.shape as u64);
            push_bytes(&mut self.names, 3, of.head);
        }
        push_bytes(&mut self.names, 4, name);
        self.hashes.push(hash);
    }

    /// All that was noted; `last` where that is the same.
    pub(super) fn finish(self, last: &mut Told) -> Told {
        if last.hashes == self.hashes && last.n_bytes == self.names.len() {
            return std::mem::take(last);
        }
        let n_bytes = self.names.len();
        let packed = zstd::bulk::compress(&self.names, LEVEL).unwrap_or_else(|error| {
            tracing::warn!(%error, "what is gone later will not be told");
            Vec::new()
        });
        Told { hashes: self.hashes, packed, n_bytes }
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
        let names = zstd::bulk::decompress(&self.packed, self.n_bytes).unwrap_or_default();
        let mut hashes = self.hashes.iter();
        let (mut who, mut shape, mut head) =
            ((String::new(), String::new()), Shape::Gauge, &[][..]);
        let mut reader = Reader::new(&names, 0, names.len());
        while let Ok(Some(field)) = reader.read() {
            match field.number() {
                1 => who = read_who(&names, field),
                2 => {
                    let number = field.number_in(&names);
                    shape = Shape::ALL
                        .into_iter()
                        .find(|shape| *shape as u64 == number)
                        .unwrap_or(Shape::Gauge);
                }
                3 => head = field.of(&names),
                _ => {
                    let is_gone = hashes.next().is_some_and(|hash| !still.contains(hash));
                    if is_gone {
                        let of = Of { who: (&who.0, &who.1), shape, head };
                        output.stale_point(of, field.of(&names), time_ns);
                    }
                }
            }
        }
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(super) fn n_bytes(&self) -> usize {
        self.packed.len() + self.hashes.len() * 8
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
