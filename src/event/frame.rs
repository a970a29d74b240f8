//! A batch as bytes: the unit that the spool appends, syncs, reads back and compresses.
//!
//! ```text
//! offset size  field            (all little-endian)
//!      0    4  magic            "SWK1"
//!      4    4  crc32            over bytes 8.. of the header and all that follows
//!      8    1  version          1
//!      9    1  codec            0 stored, 1 zstd (table and bytes as one stream)
//!     10    1  signal           0 logs, 1 spans, 2 metrics
//!     11    1  reserved         0
//!     12    4  n_records        may be 0: the frame then only carries a position
//!     16    4  origin_len       bytes of the origin, see Origin::encode
//!     20    4  body_len         bytes stored behind the origin
//!     24    4  bytes_len        bytes of the events, unpacked; table = n_records * 48
//!     28    4  reserved         0
//!     32    8  source_key       which stream the events came from
//!     40    8  source_base      position in it of the first byte covered
//!     48    8  source_end       position behind the last byte covered: durable with the data
//!     56    8  observed_ns
//!     64    .  origin, then body: table, then bytes (or their zstd stream)
//! ```
//! A frame is at most [`FRAME_BYTES_MAX`] long; a reader refuses a longer length before it
//! allocates. Decoding checks every span of every record against its event and every event against
//! the bytes, so that what a sink reads never needs another check.
//!
//! # Why
//! Table and bytes are written as they lie in memory: no serialisation step, one `writev`. The
//! position travels in the frame, so that data and position become durable in one write.

use std::sync::Arc;

use super::batch::{Batch, SPAN_ID_LEN, TRACE_ID_LEN};
use super::origin::Origin;
use super::record::{NO_SPAN, Record};
use super::signal::Signal;
use super::slab::Slab;

/// Length of the fixed header.
pub const HEADER_LEN: usize = 64;
/// The longest frame that is written or read: 64 MiB.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
const MAGIC: [u8; 4] = *b"SWK1";
const VERSION: u8 = 1;

/// How a frame's body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it lies in memory.
    Stored = 0,
    /// One zstd stream.
    Zstd = 1,
}

/// What the first 64 bytes of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Checksum of everything behind it.
    pub crc: u32,
    /// How the body is stored.
    pub codec: Codec,
    /// What the events are.
    pub signal: Signal,
    /// Events in the frame.
    pub n_records: u32,
    /// Bytes of the origin.
    pub origin_len: u32,
    /// Bytes stored behind the origin.
    pub body_len: u32,
    /// Bytes of the events once unpacked.
    pub bytes_len: u32,
    /// See [`Batch`].
    pub source_key: u64,
    /// See [`Batch`].
    pub source_base: u64,
    /// See [`Batch`].
    pub source_end: u64,
    /// See [`Batch`].
    pub observed_ns: i64,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a frame needs: the end of a torn write.
    #[error("the frame is cut short")]
    Short,
    /// The first four bytes are not a frame's.
    #[error("no frame begins here")]
    Magic,
    /// Written by a version this one does not know.
    #[error("the frame has version {0}; this build reads version 1")]
    Version(u8),
    /// A length beyond what frames may have, or one that contradicts another.
    #[error("the frame's lengths contradict each other")]
    Lengths,
    /// The checksum does not match.
    #[error("the frame's checksum does not match its bytes")]
    Checksum,
    /// The checksum matches and a record points outside: written by a broken writer.
    #[error("a record points outside its frame")]
    Record,
}

impl Header {
    /// Reads a header; checks magic, version and that the lengths agree, not the checksum.
    ///
    /// # Errors
    /// [`FrameError`] for anything that cannot be a frame's header.
    pub fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let head: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(FrameError::Short)?;
        if head[..4] != MAGIC {
            return Err(FrameError::Magic);
        }
        if head[8] != VERSION {
            return Err(FrameError::Version(head[8]));
        }
        let codec = match head[9] {
            0 => Codec::Stored,
            1 => Codec::Zstd,
            _ => return Err(FrameError::Lengths),
        };
        let header = Self {
            crc: read_u32(head, 4),
            codec,
            signal: Signal::from_u8(head[10]).ok_or(FrameError::Lengths)?,
            n_records: read_u32(head, 12),
            origin_len: read_u32(head, 16),
            body_len: read_u32(head, 20),
            bytes_len: read_u32(head, 24),
            source_key: read_u64(head, 32),
            source_base: read_u64(head, 40),
            source_end: read_u64(head, 48),
            observed_ns: read_u64(head, 56).cast_signed(),
        };
        header.check_lengths()?;
        Ok(header)
    }

    fn check_lengths(&self) -> Result<(), FrameError> {
        let unpacked = self.table_len() + self.bytes_len as usize;
        let stored_right = self.codec != Codec::Stored || unpacked == self.body_len as usize;
        let bounded = self.frame_len() <= FRAME_BYTES_MAX && unpacked <= FRAME_BYTES_MAX;
        if stored_right && bounded { Ok(()) } else { Err(FrameError::Lengths) }
    }

    /// Bytes of the whole frame, header included.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        HEADER_LEN + self.origin_len as usize + self.body_len as usize
    }

    /// Bytes of the unpacked table.
    #[must_use]
    pub fn table_len(&self) -> usize {
        self.n_records as usize * size_of::<Record>()
    }

    fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut head = [0u8; HEADER_LEN];
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&self.crc.to_le_bytes());
        head[8] = VERSION;
        head[9] = self.codec as u8;
        head[10] = self.signal as u8;
        head[12..16].copy_from_slice(&self.n_records.to_le_bytes());
        head[16..20].copy_from_slice(&self.origin_len.to_le_bytes());
        head[20..24].copy_from_slice(&self.body_len.to_le_bytes());
        head[24..28].copy_from_slice(&self.bytes_len.to_le_bytes());
        head[32..40].copy_from_slice(&self.source_key.to_le_bytes());
        head[40..48].copy_from_slice(&self.source_base.to_le_bytes());
        head[48..56].copy_from_slice(&self.source_end.to_le_bytes());
        head[56..64].copy_from_slice(&self.observed_ns.to_le_bytes());
        head
    }
}

/// The parts of a frame in writing order, for one `writev`.
#[derive(Debug)]
pub struct Parts<'a> {
    /// Header and origin.
    pub head: Vec<u8>,
    /// The table as bytes, or the whole packed body.
    pub table: std::borrow::Cow<'a, [u8]>,
    /// The events; empty when packed.
    pub bytes: &'a [u8],
}

impl Parts<'_> {
    /// Bytes of the whole frame.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.table.len() + self.bytes.len()
    }

    /// Never: a frame has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Lays `batch` out as a frame without copying its table or bytes.
#[must_use]
pub fn encode(batch: &Batch) -> Parts<'_> {
    let table: &[u8] = bytemuck::cast_slice(&batch.table);
    let bytes: &[u8] = &batch.slab;
    let head = seal(batch, Codec::Stored, &[table, bytes]);
    Parts { head, table: table.into(), bytes }
}

/// Lays `batch` out as a zstd frame (level 1, measured near nine to one on prediction lines).
///
/// # Errors
/// Only when zstd cannot allocate.
pub fn encode_packed(batch: &Batch) -> std::io::Result<Parts<'static>> {
    let table: &[u8] = bytemuck::cast_slice(&batch.table);
    let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 1)?;
    std::io::Write::write_all(&mut packer, table)?;
    std::io::Write::write_all(&mut packer, &batch.slab)?;
    let body = packer.finish()?;
    let head = seal(batch, Codec::Zstd, &[&body]);
    Ok(Parts { head, table: body.into(), bytes: &[] })
}

fn seal(batch: &Batch, codec: Codec, body: &[&[u8]]) -> Vec<u8> {
    let mut head = vec![0u8; HEADER_LEN];
    batch.origin.encode(&mut head);
    let header = Header {
        crc: 0,
        codec,
        signal: batch.signal,
        n_records: batch.table.len() as u32,
        origin_len: (head.len() - HEADER_LEN) as u32,
        body_len: body.iter().map(|part| part.len()).sum::<usize>() as u32,
        bytes_len: batch.slab.len() as u32,
        source_key: batch.source_key,
        source_base: batch.source_base,
        source_end: batch.source_end,
        observed_ns: batch.observed_ns,
    };
    head[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&head[8..]);
    body.iter().for_each(|part| crc.update(part));
    head[4..8].copy_from_slice(&crc.finalize().to_le_bytes());
    head
}

/// Reads one whole frame; `frame` is exactly [`Header::frame_len`] bytes.
///
/// # Errors
/// [`FrameError`] for anything that is not a whole, sound frame. Never panics and never allocates
/// more than [`FRAME_BYTES_MAX`] plus padding.
pub fn decode(frame: &[u8]) -> Result<Batch, FrameError> {
    let header = Header::parse(frame)?;
    if frame.len() != header.frame_len() {
        return Err(FrameError::Short);
    }
    if crc32fast::hash(&frame[8..]) != header.crc {
        return Err(FrameError::Checksum);
    }
    let (origin, body) = frame[HEADER_LEN..].split_at(header.origin_len as usize);
    let origin = Origin::decode(origin).ok_or(FrameError::Record)?;
    let (table, slab) = match header.codec {
        Codec::Stored => unpack_stored(&header, body),
        Codec::Zstd => unpack_zstd(&header, body)?,
    };
    if !table.iter().all(|record| is_sound(record, header.signal, &slab)) {
        return Err(FrameError::Record);
    }
    Ok(Batch {
        table,
        signal: header.signal,
        slab,
        origin: Arc::new(origin),
        source_key: header.source_key,
        source_base: header.source_base,
        source_end: header.source_end,
        observed_ns: header.observed_ns,
    })
}

fn unpack_stored(header: &Header, body: &[u8]) -> (Vec<Record>, Slab) {
    let (table, bytes) = body.split_at(header.table_len());
    (bytemuck::pod_collect_to_vec(table), Slab::from_bytes(bytes))
}

fn unpack_zstd(header: &Header, body: &[u8]) -> Result<(Vec<Record>, Slab), FrameError> {
    use std::io::Read;
    let mut unpacker =
        zstd::stream::read::Decoder::with_buffer(body).map_err(|_| FrameError::Lengths)?;
    let mut table = vec![Record::new(0, 0); header.n_records as usize];
    unpacker.read_exact(bytemuck::cast_slice_mut(&mut table)).map_err(|_| FrameError::Lengths)?;
    let mut slab = Slab::with_capacity(header.bytes_len as usize);
    let room = &mut slab.spare()[..header.bytes_len as usize];
    unpacker.read_exact(room).map_err(|_| FrameError::Lengths)?;
    slab.advance(header.bytes_len as usize);
    if unpacker.read(&mut [0]).map_err(|_| FrameError::Lengths)? != 0 {
        return Err(FrameError::Lengths);
    }
    Ok((table, slab))
}

fn is_sound(record: &Record, signal: Signal, slab: &[u8]) -> bool {
    // A line holds ids as hex digits.
    let digits = if signal == Signal::Logs { 2 } else { 1 };
    let inside = |off: u32, len: u32| {
        off == NO_SPAN || u64::from(off) + u64::from(len) <= u64::from(record.len)
    };
    u64::from(record.off) + u64::from(record.len) <= slab.len() as u64
        && inside(record.request_id_off, u32::from(record.request_id_len))
        && inside(record.trace_id_off, TRACE_ID_LEN as u32 * digits)
        && inside(record.span_id_off, SPAN_ID_LEN as u32 * digits)
}

fn read_u32(head: &[u8; HEADER_LEN], at: usize) -> u32 {
    let bytes = head[at..at + 4].first_chunk().copied();
    u32::from_le_bytes(bytes.unwrap_or_default())
}

fn read_u64(head: &[u8; HEADER_LEN], at: usize) -> u64 {
    let bytes = head[at..at + 8].first_chunk().copied();
    u64::from_le_bytes(bytes.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let text = b"{\"a\":1}\n{\"request_id\":\"r-1\"}\n";
        let mut second = Record::new(8, 20);
        second.request_id_off = 15;
        second.request_id_len = 3;
        Batch {
            table: vec![Record::new(0, 7), second],
            signal: Signal::Logs,
            slab: Slab::from_bytes(text),
            origin: Arc::new(Origin { source: "model".into(), ..Origin::default() }),
            source_key: 7,
            source_base: 100,
            source_end: 129,
            observed_ns: 5,
        }
    }

    fn joined(parts: &Parts<'_>) -> Vec<u8> {
        [parts.head.as_slice(), &parts.table, parts.bytes].concat()
    }

    #[test]
    fn both_codecs_round_trip() {
        let batch = batch();
        for parts in [encode(&batch), encode_packed(&batch).expect("zstd")] {
            let frame = joined(&parts);
            let read = decode(&frame).expect("sound");
            assert_eq!(read.table, batch.table);
            assert_eq!(&*read.slab, &*batch.slab);
            assert_eq!(read.origin, batch.origin);
            assert_eq!((read.source_key, read.source_base, read.source_end), (7, 100, 129));
            assert_eq!(read.event(1).and_then(|event| event.request_id()), Some(&b"r-1"[..]));
        }
    }

    /// Every single flipped bit and every cut is refused, and none panics.
    #[test]
    fn damage_is_refused() {
        let batch = batch();
        for parts in [encode(&batch), encode_packed(&batch).expect("zstd")] {
            let frame = joined(&parts);
            for bit in 0..frame.len() * 8 {
                let mut bad = frame.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                // Bytes 11, 28..32 are reserved and covered by the checksum like the rest.
                assert!(decode(&bad).is_err(), "bit {bit}");
            }
            for cut in 0..frame.len() {
                assert!(decode(&frame[..cut]).is_err(), "cut {cut}");
            }
        }
    }
}
