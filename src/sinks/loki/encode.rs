//! One push body: logproto `PushRequest`, written by hand, then one raw snappy block.
//!
//! ```text
//! PushRequest       1 repeated StreamAdapter
//! StreamAdapter     1 labels     2 repeated EntryAdapter
//! EntryAdapter      1 Timestamp  2 line  3 repeated LabelPairAdapter
//! Timestamp         1 seconds    2 nanos
//! LabelPairAdapter  1 name       2 value
//! ```
//! A stream's entries are packed while they are written ([`super::pack`]); its tag, its length and
//! its labels are put in front of them at the end. An entry's length is computed before it is
//! written.
//!
//! # Why
//! A body costs most where it is packed ([`crate::sinks::snappy`]) and where it is copied, so
//! nothing may add to that: no tree, no second copy, no allocation per entry.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::labels::{StreamKind, label_string, pod};
use super::metadata::{FixedPairs, OwnPairs};
use super::pack::{Packer, Press};
use super::wire::{push_field, push_literal};
use super::{Options, SCRATCHES_MAX};
use crate::event::batch::{Batch, RecordId};
use crate::event::origin::Origin;
use crate::event::otlp::wire::{VARINT_MAX, push_varint, put_varint, varint_len};
use crate::event::record::{Flags, Record};
use crate::sinks::{Body, Encoder, LogRange, Refused};

/// Bytes of a tag and a length, of a stream or of a literal.
const HEAD_MAX: usize = 1 + VARINT_MAX;
const TAG_STREAM: u8 = 0x0a;
const TAG_LABELS: u8 = 0x0a;
const TAG_ENTRY: u8 = 0x12;
const TAG_TIMESTAMP: u8 = 0x0a;
const TAG_SECONDS: u8 = 0x08;
const TAG_NANOS: u8 = 0x10;
const TAG_LINE: u8 = 0x12;
/// Tags and varints in front of a line: entry, timestamp with two fields, line.
const ENTRY_HEAD_MAX: usize = 5 + 5 * VARINT_MAX;

/// Buffers that outlive a body.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    press: Press,
    packer: Packer,
}

/// Entries of one label set.
#[derive(Debug)]
struct Stream {
    origin: Arc<Origin>,
    kind: StreamKind,
    fixed: FixedPairs,
    /// The labels' field.
    labels: Vec<u8>,
    entries: Packer,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PushEncoder {
    options: Arc<Options>,
    scratches: Arc<Mutex<Vec<Scratch>>>,
    /// The first stream's buffers come from here.
    scratch: Scratch,
    /// Entries before this go to the backlog stream.
    backlog_before_ns: i64,
    streams: Vec<Stream>,
    len: usize,
}

impl PushEncoder {
    pub(super) fn new(
        options: Arc<Options>,
        scratches: Arc<Mutex<Vec<Scratch>>>,
        now_ns: i64,
    ) -> Self {
        let pooled = scratches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let backlog_after_ns = i64::try_from(options.backlog_after.as_nanos()).unwrap_or(i64::MAX);
        Self {
            backlog_before_ns: now_ns.saturating_sub(backlog_after_ns),
            options,
            scratches,
            scratch: pooled.unwrap_or_default(),
            streams: Vec::new(),
            len: 0,
        }
    }

    /// The stream for entries of `origin`, begun if it is not there. Few streams: a scan is enough.
    fn stream(&mut self, origin: &Arc<Origin>, kind: StreamKind) -> usize {
        let same = |stream: &Stream| {
            stream.kind == kind && (Arc::ptr_eq(&stream.origin, origin) || stream.origin == *origin)
        };
        if let Some(found) = self.streams.iter().position(same) {
            return found;
        }
        let entries = std::mem::take(&mut self.scratch.packer);
        let text = label_string(origin, kind, &self.options.tier, &self.options.labels);
        let mut labels = Vec::with_capacity(text.len() + HEAD_MAX);
        push_field(&mut labels, TAG_LABELS, text.as_bytes());
        self.len += labels.len() + HEAD_MAX;
        let fixed = FixedPairs::new(if kind.backlog { "" } else { pod(origin).unwrap_or("") });
        self.streams.push(Stream { origin: Arc::clone(origin), kind, fixed, labels, entries });
        self.streams.len() - 1
    }
}

impl Encoder for PushEncoder {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        let mut refused = Vec::new();
        let records = batch.table.get(events.clone()).unwrap_or_default();
        let text = Text::of(batch, records);
        // Which stream serves (backlog, stderr), looked up when the first such entry comes.
        let mut found: [Option<usize>; 4] = [None; 4];
        for (index, record) in events.zip(records) {
            if record.len as usize > self.options.max_line_bytes {
                refused.push(Refused { event: index, reason: "line_too_long" });
                continue;
            }
            let kind = StreamKind {
                stderr: record.has(Flags::STDERR),
                backlog: record.ts_ns < self.backlog_before_ns,
            };
            let slot = usize::from(kind.backlog) * 2 + usize::from(kind.stderr);
            let stream = match found[slot] {
                Some(stream) => stream,
                None => *found[slot].insert(self.stream(&batch.origin, kind)),
            };
            let stream = &mut self.streams[stream];
            let before = stream.entries.len();
            let id = batch.record_id(record);
            match text.line(record) {
                Ok(line) => push_entry(stream, record, id, line),
                Err(bytes) => push_entry(stream, record, id, &String::from_utf8_lossy(bytes)),
            }
            self.len += stream.entries.len() - before;
            stream.entries.settle(&mut self.scratch.press, self.options.compression);
        }
        refused
    }

    fn len(&self) -> usize {
        self.len
    }

    fn finish(self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        let Self { options, scratches, mut scratch, streams, .. } = *self;
        // An empty request would be refused (422); `deliver` never finishes an empty body.
        if streams.is_empty() {
            return Err("no entries".to_owned());
        }
        let (mut raw_len, mut room) = (0, HEAD_MAX);
        let with_head = |stream: Stream| {
            let head = stream.head();
            raw_len += head.len() + stream.entries.len();
            room += HEAD_MAX + head.len() + stream.entries.packed_len_max();
            (head, stream.entries)
        };
        let mut parts: Vec<(Vec<u8>, Packer)> = streams.into_iter().map(with_head).collect();
        // No more than is needed: bodies wait in flight.
        body.bytes.reserve_exact(room);
        push_varint(&mut body.bytes, raw_len as u64);
        for (head, entries) in &mut parts {
            push_literal(&mut body.bytes, head);
            entries.finish(&mut scratch.press, options.compression, &mut body.bytes);
        }
        body.headers.insert("Content-Type", "application/x-protobuf".to_owned());
        scratch.packer = parts.swap_remove(0).1;
        scratch.packer.clear();
        let mut pool = scratches.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < SCRATCHES_MAX && scratch.packer.is_small() {
            pool.push(scratch);
        }
        Ok(())
    }
}

impl Stream {
    /// What stands in front of its entries: tag, length, labels.
    fn head(&self) -> Vec<u8> {
        let mut head = vec![TAG_STREAM];
        push_varint(&mut head, (self.labels.len() + self.entries.len()) as u64);
        head.extend_from_slice(&self.labels);
        head
    }
}

#[inline]
fn push_entry(stream: &mut Stream, record: &Record, id: RecordId, line: &str) {
    let fixed = stream.fixed.of(record);
    let own = OwnPairs::new(record, id, line);
    let seconds = record.ts_ns.div_euclid(1_000_000_000).cast_unsigned();
    let nanos = record.ts_ns.rem_euclid(1_000_000_000).cast_unsigned();
    let nanos_len = if nanos == 0 { 0 } else { 1 + varint_len(nanos) };
    let timestamp_len = 1 + varint_len(seconds) + nanos_len;
    // The timestamp is at most 22 bytes, so that its length takes one byte.
    let len = 2 + timestamp_len + 1 + varint_len(line.len() as u64) + line.len();
    let len = len + fixed.len() + own.len();

    let mut head = [0u8; ENTRY_HEAD_MAX];
    let mut at = 0;
    let mut put = |tag: u8, n: u64| {
        head[at] = tag;
        at += 1 + put_varint(&mut head[at + 1..], n);
    };
    put(TAG_ENTRY, len as u64);
    put(TAG_TIMESTAMP, timestamp_len as u64);
    put(TAG_SECONDS, seconds);
    if nanos != 0 {
        put(TAG_NANOS, nanos);
    }
    put(TAG_LINE, line.len() as u64);
    let out = stream.entries.out();
    out.reserve(ENTRY_HEAD_MAX + len);
    out.extend_from_slice(&head[..at]);
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(fixed);
    own.push(out);
}

/// The bytes of a run of records, checked for UTF-8 in one go: per line it costs twice as much.
enum Text<'a> {
    /// All of it is sound; the offset of its first byte in the slab.
    Sound(&'a str, usize),
    /// Some line is not, which the pipeline should have seen to: each is looked at alone.
    Doubtful(&'a Batch),
}

impl<'a> Text<'a> {
    fn of(batch: &'a Batch, records: &[Record]) -> Self {
        // Lines moved to the slab's side by protection lie behind later ones, hence min and max.
        let from = records.iter().map(|record| record.off as usize).min().unwrap_or(0);
        let to = records.iter().map(|record| record.off as usize + record.len as usize).max();
        let bytes = batch.slab.get(from..to.unwrap_or(from)).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => Text::Sound(text, from),
            Err(_) => Text::Doubtful(batch),
        }
    }

    /// The record's line, or its bytes where they are not UTF-8.
    #[inline]
    fn line(&self, record: &Record) -> Result<&'a str, &'a [u8]> {
        let (off, len) = (record.off as usize, record.len as usize);
        match self {
            Text::Sound(text, from) => Ok(text.get(off - from..off - from + len).unwrap_or("")),
            Text::Doubtful(batch) => {
                let bytes = batch.slab.get(off..off + len).unwrap_or_default();
                std::str::from_utf8(bytes).map_err(|_| bytes)
            }
        }
    }
}
