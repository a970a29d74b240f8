//! The few pieces of protobuf's and snappy's wire formats that a push needs, into a reused buffer.
//!
//! Source: protobuf encoding guide (varints, length-delimited fields); snappy's
//! `format_description.txt`.

/// Most bytes of a varint.
pub(super) const VARINT_MAX: usize = 10;

/// Bytes of `n` as a varint.
#[inline]
pub(super) fn varint_len(n: u64) -> usize {
    // 7 bits a byte; `| 1` because zero takes a byte too.
    (70 - (n | 1).leading_zeros() as usize) / 7
}

/// Writes `n` at the front of `out` and returns its length. `out` has [`VARINT_MAX`] bytes of room.
#[inline]
pub(super) fn put_varint(out: &mut [u8], mut n: u64) -> usize {
    let mut at = 0;
    while n >= 0x80 {
        out[at] = n as u8 | 0x80;
        n >>= 7;
        at += 1;
    }
    out[at] = n as u8;
    at + 1
}

/// Appends `n`.
#[inline]
pub(super) fn push_varint(out: &mut Vec<u8>, n: u64) {
    let mut bytes = [0; VARINT_MAX];
    let len = put_varint(&mut bytes, n);
    out.extend_from_slice(&bytes[..len]);
}

/// Appends a length-delimited field with a one-byte `tag`.
#[inline]
pub(super) fn push_field(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.push(tag);
    push_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends `raw` as one literal of a snappy block: legal for every decoder, and a plain copy.
pub(super) fn push_literal(out: &mut Vec<u8>, raw: &[u8]) {
    let Some(last) = raw.len().checked_sub(1) else { return };
    // The tag says in how many bytes its length minus one follows: 63 stands for four.
    out.push(63 << 2);
    out.extend_from_slice(&(last as u32).to_le_bytes());
    out.extend_from_slice(raw);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_the_length_they_say() {
        for shift in 0..64 {
            for n in [1u64 << shift, (1 << shift) - 1, (1 << shift) + 1] {
                let mut out = Vec::new();
                push_varint(&mut out, n);
                assert_eq!(out.len(), varint_len(n), "{n}");
            }
        }
        assert_eq!(varint_len(u64::MAX), VARINT_MAX);
    }

    #[test]
    fn literals_decode() {
        for raw in [vec![], vec![7], vec![b'x'; 100_000]] {
            let mut block = Vec::new();
            push_varint(&mut block, raw.len() as u64);
            push_literal(&mut block, &raw);
            assert_eq!(snap::raw::Decoder::new().decompress_vec(&block).expect("sound"), raw);
        }
    }
}
