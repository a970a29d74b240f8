//! A snappy block that is packed while it is written, 64 KiB after 64 KiB.
//!
//! Owns the bytes of one stream: those not packed yet, and those that are. Deliberately knows
//! nothing of entries; whoever writes them calls [`Packer::settle`] after each.
//!
//! # Why
//! A snappy block is its length and a run of elements, and compressors look no further back than
//! 64 KiB (`format_description.txt`, section 2), so packing each 64 KiB alone and joining the
//! elements gives what packing the whole gives. It is done while those bytes are in the cache, and
//! a body of a MiB that is being filled holds 64 KiB and its packed part instead of the MiB, room
//! for its packed form, and what a growing buffer wastes. What must stand in front and is known
//! only at the end, the stream's length, is put there as a literal.

use super::Compression;
use super::wire::push_literal;
use crate::sinks::snappy::{BLOCK_LEN_MAX as BLOCK, Compressor};

/// A literal's tag and length.
const LITERAL_HEAD_MAX: usize = 5;
/// Buffers that grew beyond this are not kept for the next body.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// The compressor; one serves many [`Packer`]s, one after the other.
#[derive(Debug, Default)]
pub(super) struct Press {
    snappy: Compressor,
}

impl Press {
    /// Appends the elements of `raw`, at most a block of it.
    fn pack(&mut self, raw: &[u8], compression: Compression, packed: &mut Vec<u8>) {
        match compression {
            Compression::None => push_literal(packed, raw),
            Compression::Snappy => packed.extend_from_slice(self.snappy.elements(raw)),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Packer {
    /// What is not packed yet.
    raw: Vec<u8>,
    packed: Vec<u8>,
    /// Bytes that were packed.
    n_packed: usize,
}

impl Packer {
    /// Where the next bytes are written.
    #[inline]
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.raw
    }

    /// Bytes written so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.n_packed + self.raw.len()
    }

    /// Packs what fills whole blocks.
    #[inline]
    pub(super) fn settle(&mut self, press: &mut Press, compression: Compression) {
        if self.raw.len() >= BLOCK {
            self.pack_blocks(press, compression);
        }
    }

    #[inline(never)]
    fn pack_blocks(&mut self, press: &mut Press, compression: Compression) {
        let (blocks, rest) = self.raw.as_chunks::<BLOCK>();
        for block in blocks {
            press.pack(block, compression, &mut self.packed);
        }
        let (from, rest) = (self.raw.len() - rest.len(), rest.len());
        self.n_packed += from;
        self.raw.copy_within(from.., 0);
        self.raw.truncate(rest);
    }

    /// Appends all elements to `body`.
    pub(super) fn finish(
        &mut self,
        press: &mut Press,
        compression: Compression,
        body: &mut Vec<u8>,
    ) {
        self.pack_blocks(press, compression);
        body.extend_from_slice(&self.packed);
        if !self.raw.is_empty() {
            press.pack(&self.raw, compression, body);
        }
    }

    /// About what [`Self::finish`] will append: exact but for what is not packed yet.
    pub(super) fn packed_len_max(&self) -> usize {
        // A literal of no more than one block.
        self.packed.len() + self.raw.len() + LITERAL_HEAD_MAX
    }

    /// Empties it, for the next body.
    pub(super) fn clear(&mut self) {
        self.raw.clear();
        self.packed.clear();
        self.n_packed = 0;
    }

    /// Whether its buffers are worth keeping.
    pub(super) fn is_small(&self) -> bool {
        self.raw.capacity() + self.packed.capacity() <= KEPT_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::push_varint;

    /// Whatever the lengths of what is written, the joined elements are one sound block.
    #[test]
    fn joined_elements_are_one_block() {
        let text = |n: usize| -> Vec<u8> { (0..n).map(|i| (i * i / 7 % 251) as u8).collect() };
        for compression in [Compression::Snappy, Compression::None] {
            for pieces in [
                vec![],
                vec![1],
                vec![BLOCK],
                vec![BLOCK - 1, 1, 1],
                vec![40_000; 9],
                vec![3 * BLOCK + 5, 7, BLOCK],
            ] {
                let (mut packer, mut press) = (Packer::default(), Press::default());
                for again in 0..2 {
                    let mut whole = Vec::new();
                    for n in &pieces {
                        let piece = text(n + again);
                        whole.extend_from_slice(&piece);
                        packer.out().extend_from_slice(&piece);
                        packer.settle(&mut press, compression);
                        assert!(packer.out().len() < BLOCK);
                    }
                    assert_eq!(packer.len(), whole.len());
                    let (mut body, room) = (Vec::new(), packer.packed_len_max());
                    push_varint(&mut body, whole.len() as u64);
                    let head = body.len();
                    packer.finish(&mut press, compression, &mut body);
                    assert!(compression == Compression::None || body.len() <= head + room);
                    let unpacked = snap::raw::Decoder::new().decompress_vec(&body);
                    assert!(unpacked.expect("sound") == whole, "{pieces:?}");
                    packer.clear();
                }
            }
        }
    }
}
