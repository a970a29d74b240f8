//! One push body: logproto `PushRequest`, written by hand, then one raw snappy block.
//!
//! ```text
//! PushRequest       1 repeated StreamAdapter
//! StreamAdapter     1 labels     2 repeated EntryAdapter
//! EntryAdapter      1 Timestamp  2 line  3 repeated LabelPairAdapter
//! Timestamp         1 seconds    2 nanos
//! LabelPairAdapter  1 name       2 value
//! ```
//! Each stream has a buffer that begins with [`HEADROOM`] bytes: at the end the stream's own tag
//! and length are written right-aligned into them, so that a body of one stream (the usual case) is
//! never copied before it is packed. An entry's length is computed before it is written.
//!
//! # Why
//! Snappy is the largest cost of the whole path (300 ns of 370 a record), so nothing else may add
//! to it: no tree, no second copy, no allocation per entry.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::labels::{StreamKind, label_string, pod};
use super::metadata::{FixedPairs, OwnPairs};
use super::wire::{VARINT_MAX, literal_block, push_field, put_varint, varint_len};
use super::{Compression, Options, SCRATCHES_MAX};
use crate::event::batch::{Batch, RecordId};
use crate::event::origin::Origin;
use crate::event::record::{Flags, Record};
use crate::sinks::{Body, Encoder, LogRange, Refused};

/// Room for a stream's tag and length.
const HEADROOM: usize = 1 + VARINT_MAX;
const TAG_STREAM: u8 = 0x0a;
const TAG_LABELS: u8 = 0x0a;
const TAG_ENTRY: u8 = 0x12;
const TAG_TIMESTAMP: u8 = 0x0a;
const TAG_SECONDS: u8 = 0x08;
const TAG_NANOS: u8 = 0x10;
const TAG_LINE: u8 = 0x12;
/// Tags and varints in front of a line: entry, timestamp with two fields, line.
const ENTRY_HEAD_MAX: usize = 5 + 5 * VARINT_MAX;
/// Buffers that grew beyond this are not kept for the next body.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Buffers that outlive a body.
#[derive(Debug)]
pub(super) struct Scratch {
    raw: Vec<u8>,
    /// Never shortened: snappy wants initialised room, and zeroing it anew costs as much as a copy.
    packed: Vec<u8>,
    snappy: snap::raw::Encoder,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { raw: Vec::new(), packed: Vec::new(), snappy: snap::raw::Encoder::new() }
    }
}

impl Scratch {
    fn pack(&mut self, raw: &[u8]) -> Result<Vec<u8>, String> {
        let room = snap::raw::max_compress_len(raw.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        let packed = self.snappy.compress(raw, &mut self.packed);
        let len = packed.map_err(|error| format!("cannot pack: {error}"))?;
        // An exact copy: bodies wait in flight, the room of the worst case must not wait with them.
        Ok(self.packed[..len].to_vec())
    }
}

/// Entries of one label set.
#[derive(Debug)]
struct Stream {
    origin: Arc<Origin>,
    kind: StreamKind,
    fixed: FixedPairs,
    /// Headroom, labels, entries.
    bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PushEncoder {
    options: Arc<Options>,
    scratches: Arc<Mutex<Vec<Scratch>>>,
    /// The first stream's buffer comes from here, and so does the room to pack it.
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
        let mut bytes = std::mem::take(&mut self.scratch.raw);
        bytes.clear();
        bytes.resize(HEADROOM, 0);
        let labels = label_string(origin, kind, &self.options.tier, &self.options.labels);
        push_field(&mut bytes, TAG_LABELS, labels.as_bytes());
        self.len += bytes.len();
        let fixed = FixedPairs::new(if kind.backlog { "" } else { pod(origin).unwrap_or("") });
        self.streams.push(Stream { origin: Arc::clone(origin), kind, fixed, bytes });
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
            let before = stream.bytes.len();
            let position = batch.source_base.saturating_add(u64::from(record.source_off));
            let id = RecordId { source_key: batch.source_key, position };
            match text.line(record) {
                Ok(line) => push_entry(stream, record, id, line),
                Err(bytes) => push_entry(stream, record, id, &String::from_utf8_lossy(bytes)),
            }
            self.len += stream.bytes.len() - before;
        }
        refused
    }

    fn len(&self) -> usize {
        self.len
    }

    fn finish(self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        let Self { options, scratches, mut scratch, streams, .. } = *self;
        let mut streams = streams.into_iter().map(|stream| stream.bytes);
        // An empty request would be refused (422); `deliver` never finishes an empty body.
        let mut raw = streams.next().ok_or("no entries")?;
        let start = put_stream_head(&mut raw);
        for mut bytes in streams {
            let start = put_stream_head(&mut bytes);
            raw.extend_from_slice(&bytes[start..]);
        }
        body.bytes = match options.compression {
            Compression::Snappy => scratch.pack(&raw[start..])?,
            Compression::None => literal_block(&raw[start..]),
        };
        body.headers.insert("Content-Type", "application/x-protobuf".to_owned());
        scratch.raw = raw;
        let mut pool = scratches.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < SCRATCHES_MAX && scratch.raw.capacity() <= KEPT_BYTES_MAX {
            pool.push(scratch);
        }
        Ok(())
    }
}

/// Writes tag and length of the stream in `bytes` into its headroom; returns where they begin.
fn put_stream_head(bytes: &mut [u8]) -> usize {
    let len = (bytes.len() - HEADROOM) as u64;
    let start = HEADROOM - 1 - varint_len(len);
    bytes[start] = TAG_STREAM;
    put_varint(&mut bytes[start + 1..], len);
    start
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
    stream.bytes.reserve(ENTRY_HEAD_MAX + len);
    stream.bytes.extend_from_slice(&head[..at]);
    stream.bytes.extend_from_slice(line.as_bytes());
    stream.bytes.extend_from_slice(fixed);
    own.push(&mut stream.bytes);
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
