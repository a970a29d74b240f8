//! Snappy elements of bytes that repeat field by field, as log lines do.
//!
//! Owns the search for what repeats and the two kinds of element that it writes: literals, and
//! copies with an offset of one or two bytes. Deliberately writes no length in front, so that
//! elements of several blocks can be joined ([`super::loki`] does), and decodes nothing.
//!
//! Source: snappy's `format_description.txt`, section 2.
//!
//! # Why
//! The crate `snap` (as the C++ original) hashes every four bytes and takes the first repeat,
//! however short, and each element costs mispredicted branches for where it begins, how long it is
//! and how long the literal before it was. It was the largest cost of the whole way. Lines of a
//! model differ in their values and agree in between, so that where one repeat ends, the next
//! mostly lies at the same distance, or one byte off where the value got longer or shorter. Those
//! three distances are compared over 64 bytes at once, and the bits of the answer say both where
//! the repeat begins and how long it is: 12 elements, hardly a branch. Repeats under eight bytes
//! are not worth an element. Measured on entries as Loki gets them, in one process: 231 ns against
//! 572 for a prediction of 523 bytes (at a quieter moment 204 against 366), 223 against 641 in the
//! full mix, for bodies a tenth larger (128 bytes instead of 116). Without the look at where a long
//! difference begins (`again`), 215 ns and 165 bytes: the request id in the metadata was written
//! out once more. With eight-byte hashes alone, 452 ns and 114 bytes; `lz4_flex`, for comparison,
//! 420 ns.

use crate::event::json::block::{Block, Native};

/// The most that is packed at once: how far a copy of two bytes reaches back.
pub(super) const BLOCK_LEN_MAX: usize = 64 << 10;
/// A repeat of fewer bytes is left in the literal.
const REPEAT_LEN_MIN: usize = 8;
/// Bytes that are compared at once.
const WINDOW: usize = 64;
/// The search ends this far before the end, so that windows stay inside.
const MARGIN: usize = WINDOW + 16;
/// A difference as long as this may be a repeat of something else.
const AGAIN_LEN_MIN: usize = 12;
/// Places that are remembered, by the hash of the eight bytes there: 8 KiB, in the first cache.
const TABLE_BITS: u32 = 12;
/// Slack behind the elements: short literals are copied in whole windows.
const SLACK: usize = WINDOW + 8;

/// A search's table and room for a block's elements; one serves many blocks.
#[derive(Debug)]
pub(super) struct Compressor {
    /// Where the eight bytes with this hash were last seen. A wrong place costs a comparison.
    places: Box<[u16; 1 << TABLE_BITS]>,
    room: Box<[u8]>,
}

impl Default for Compressor {
    fn default() -> Self {
        let room = vec![0; BLOCK_LEN_MAX + 3 + SLACK].into_boxed_slice();
        Self { places: Box::new([0; 1 << TABLE_BITS]), room }
    }
}

impl Compressor {
    /// The elements of `block`, at most [`BLOCK_LEN_MAX`] bytes: at most three bytes more than it.
    pub(super) fn elements(&mut self, block: &[u8]) -> &[u8] {
        self.elements_by::<Native>(block)
    }

    fn elements_by<B: Block>(&mut self, block: &[u8]) -> &[u8] {
        assert!(block.len() <= BLOCK_LEN_MAX, "BUG: a block of {} bytes", block.len());
        self.places.fill(0);
        let mut search =
            Search { block, places: &mut self.places, out: &mut self.room, len: 0, done: 0 };
        if let Some(limit) = block.len().checked_sub(MARGIN) {
            search.run::<B>(limit);
        }
        search.literal(block.len());
        let len = search.len;
        &self.room[..len]
    }
}

/// The work on one block.
struct Search<'a> {
    block: &'a [u8],
    places: &'a mut [u16; 1 << TABLE_BITS],
    out: &'a mut [u8],
    /// Bytes of `out` that are written.
    len: usize,
    /// Bytes of `block` that are written.
    done: usize,
}

impl Search<'_> {
    /// Writes repeats that begin at `limit` or before, and what lies between them.
    fn run<B: Block>(&mut self, limit: usize) {
        // Nothing lies before the first byte, so that a place of 0 is never the byte itself.
        let mut at = 1;
        while let Some((start, offset)) = self.find(at, limit) {
            self.literal(start);
            let end = self.repeat_end::<B>(start, offset);
            self.copy(offset, end);
            self.follow::<B>(offset, limit);
            at = self.done;
        }
    }

    /// The next repeat from `at` on, by hash, with what repeats before it: start and offset.
    #[inline(always)]
    fn find(&mut self, mut at: usize, limit: usize) -> Option<(usize, usize)> {
        // Every byte is tried, later every second, and so on: random bytes are soon passed over.
        let mut n_tried = 32;
        while at <= limit {
            if let Some(place) = self.again(at) {
                let offset = at - place;
                while at > self.done && at > offset && self.same(at - 1, offset) {
                    at -= 1;
                }
                return Some((at, offset));
            }
            at += n_tried >> 5;
            n_tried += 1;
        }
        None
    }

    #[inline(always)]
    fn same(&self, at: usize, offset: usize) -> bool {
        self.block[at] == self.block[at - offset]
    }

    /// Goes from repeat to repeat as long as each lies soon behind the last, at about its offset.
    #[inline(always)]
    fn follow<B: Block>(&mut self, mut offset: usize, limit: usize) {
        while self.done <= limit {
            let at = self.done;
            self.seen(at - 4);
            let mut same = same_bits::<B>(self.block, at, at - offset);
            let mut starts = repeat_starts(same);
            if starts == 0 {
                for near in [offset - 1, offset + 1] {
                    if near == 0 || near > at {
                        continue;
                    }
                    let bits = same_bits::<B>(self.block, at, at - near);
                    let begin = repeat_starts(bits);
                    if begin != 0 && (starts == 0 || first(begin) < first(starts)) {
                        (offset, same, starts) = (near, bits, begin);
                    }
                }
                if starts == 0 {
                    return;
                }
            }
            if first(starts) >= AGAIN_LEN_MIN
                && let Some(place) = self.again(at)
            {
                offset = at - place;
                let end = self.repeat_end::<B>(at, offset);
                self.copy(offset, end);
                continue;
            }
            let start = at + first(starts);
            let n_same = (same >> first(starts)).trailing_ones() as usize;
            let mut end = start + n_same;
            if first(starts) + n_same == WINDOW {
                end = self.repeat_end::<B>(end, offset);
            }
            self.literal(start);
            self.copy(offset, end);
        }
    }

    /// Where the eight bytes at `at` stood before, if they did.
    #[inline(always)]
    fn again(&mut self, at: usize) -> Option<usize> {
        let place = self.seen(at);
        (word(self.block, place) == word(self.block, at)).then_some(place)
    }

    /// Where bytes with the same hash were last seen; from now on it is `at`.
    #[inline(always)]
    fn seen(&mut self, at: usize) -> usize {
        // The golden ratio's bits: Knuth, The Art of Computer Programming 3, 6.4.
        let hash = word(self.block, at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TABLE_BITS);
        let place = &mut self.places[hash as usize];
        usize::from(std::mem::replace(place, at as u16))
    }

    /// Where what lies `offset` back ends to repeat from `at` on.
    #[inline(always)]
    fn repeat_end<B: Block>(&self, mut at: usize, offset: usize) -> usize {
        while at + WINDOW <= self.block.len() {
            let n_same = same_bits::<B>(self.block, at, at - offset).trailing_ones() as usize;
            at += n_same;
            if n_same < WINDOW {
                return at;
            }
        }
        while at < self.block.len() && self.same(at, offset) {
            at += 1;
        }
        at
    }

    /// Writes what is not written before `end` as a literal.
    #[inline(always)]
    fn literal(&mut self, end: usize) {
        let (start, len) = (self.done, end - self.done);
        self.done = end;
        let Some(last) = len.checked_sub(1) else { return };
        if last < 60 {
            self.out[self.len] = (last as u8) << 2;
            self.len += 1;
            if let Some(window) = self.block[start..].first_chunk::<WINDOW>() {
                self.out[self.len..][..WINDOW].copy_from_slice(window);
            } else {
                self.out[self.len..][..len].copy_from_slice(&self.block[start..end]);
            }
        } else {
            self.long_literal(start, end);
        }
        self.len += len;
    }

    #[cold]
    fn long_literal(&mut self, start: usize, end: usize) {
        let last = end - start - 1;
        // 60 and 61 say that the length, minus one, follows in one byte and in two.
        let n_bytes = if last < 256 { 1 } else { 2 };
        self.out[self.len] = (59 + n_bytes as u8) << 2;
        self.out[self.len + 1..][..2].copy_from_slice(&(last as u16).to_le_bytes());
        self.len += 1 + n_bytes;
        self.out[self.len..][..end - start].copy_from_slice(&self.block[start..end]);
    }

    /// Writes the bytes up to `end` as copies from `offset` bytes back.
    #[inline(always)]
    fn copy(&mut self, offset: usize, end: usize) {
        let mut len = end - self.done;
        self.done = end;
        while len > 64 {
            // No rest of fewer than four bytes, which the short form cannot say.
            let n = if len >= 68 { 64 } else { 60 };
            self.long_copy(offset, n);
            len -= n;
        }
        if len <= 11 && offset < 2048 {
            let tag = (offset >> 8 << 5 | (len - 4) << 2 | 1) as u8;
            self.out[self.len..][..2].copy_from_slice(&[tag, offset as u8]);
            self.len += 2;
        } else {
            self.long_copy(offset, len);
        }
    }

    #[inline(always)]
    fn long_copy(&mut self, offset: usize, len: usize) {
        let element = (offset as u32) << 8 | (len as u32 - 1) << 2 | 2;
        self.out[self.len..][..4].copy_from_slice(&element.to_le_bytes());
        self.len += 3;
    }
}

/// Bit `i` says whether byte `at + i` is the byte `before + i`.
#[inline(always)]
fn same_bits<B: Block>(block: &[u8], at: usize, before: usize) -> u64 {
    let pairs = block[at..][..WINDOW].as_chunks::<16>().0.iter();
    let pairs = pairs.zip(block[before..][..WINDOW].as_chunks::<16>().0);
    let differs = |(a, b)| u64::from(B::load(a).differs(B::load(b)));
    !pairs.map(differs).enumerate().fold(0, |bits, (i, differs)| bits | differs << (16 * i))
}

/// The bits at which [`REPEAT_LEN_MIN`] of them begin.
#[inline(always)]
const fn repeat_starts(same: u64) -> u64 {
    let two = same & (same >> 1);
    let four = two & (two >> 2);
    four & (four >> (REPEAT_LEN_MIN - 4))
}

#[inline(always)]
const fn first(bits: u64) -> usize {
    bits.trailing_zeros() as usize
}

/// Eight bytes as a number; compared and hashed, never read as one.
#[inline(always)]
fn word(block: &[u8], at: usize) -> u64 {
    block[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
