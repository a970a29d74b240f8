//! The few pieces of protobuf's and snappy's wire formats that a push needs beside
//! [`crate::event::otlp::wire`], into a reused buffer.
//!
//! Source: protobuf encoding guide (length-delimited fields); snappy's `format_description.txt`.

use crate::event::otlp::wire::push_varint;

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
    fn literals_decode() {
        for raw in [vec![], vec![7], vec![b'x'; 100_000]] {
            let mut block = Vec::new();
            push_varint(&mut block, raw.len() as u64);
            push_literal(&mut block, &raw);
            assert_eq!(snap::raw::Decoder::new().decompress_vec(&block).expect("sound"), raw);
        }
    }
}
