//! What a source hands to the pipeline: raw, unprotected bytes of one stream, cut into lines.
//!
//! A chunk never leaves the thread that read it before `protect` has seen it. Deliberately has no
//! serialised form: unprotected bytes have no business on a disk.

use std::sync::Arc;

use super::origin::Origin;
use super::slab::Slab;

/// Raw lines of one stream of one source.
#[derive(Debug)]
pub struct Chunk {
    /// The bytes. Every line ends with `\n`, the last one too.
    pub slab: Slab,
    /// How the bytes are cut into lines.
    pub lines: Lines,
    /// What all of them share.
    pub origin: Arc<Origin>,
    /// Identifies the stream: a file's key, kept over restarts; a key drawn anew at each start for
    /// streams that cannot be read again, such as pipes. Never 0.
    pub source_key: u64,
    /// Position in the stream of the chunk's first byte.
    pub source_base: u64,
    /// Position in the stream behind the chunk's last byte: what becomes durable with the events.
    pub source_end: u64,
    /// When the bytes were read, in nanoseconds since 1970.
    pub observed_ns: i64,
}

/// How a chunk's bytes are cut into lines.
#[derive(Debug)]
pub enum Lines {
    /// Every newline ends a line, and a line's offset in the slab is its offset in the stream.
    Plain,
    /// The source decoded a framing (CRI, docker): these are the lines.
    Table(Vec<Line>),
}

/// One line of a decoded framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// First byte in the slab.
    pub start: u32,
    /// Bytes without the newline, which must stand at `start + len`.
    pub len: u32,
    /// Where the line began in the stream, relative to the chunk's `source_base`.
    pub source_off: u32,
    /// Bits of [`super::record::Flags`] that the framing knows (`STDERR`, `JOINED`, `TRUNCATED`).
    pub flags: u16,
    /// The framing's own time, nanoseconds since 1970; 0 where it has none. Stands in for the
    /// observed time where the line carries no time itself.
    pub ts_ns: i64,
}
