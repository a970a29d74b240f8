//! Parts of metrics that more than one reader reads, from where they lie.
//!
//! Source: opentelemetry-proto 1.9, `metrics.proto`.

use super::wire::{Field, Malformed, Reader, kind, tag, unzigzag, varint};

/// `AGGREGATION_TEMPORALITY_DELTA`.
pub const DELTA: u64 = 1;
/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
pub const CUMULATIVE: u64 = 2;

const OFFSET: u32 = tag(1, kind::VARINT);
const COUNT: u32 = tag(2, kind::VARINT);
const COUNTS: u32 = tag(2, kind::BYTES);

/// Appends the numbers of eight bytes that `field` holds, packed or one alone.
pub fn push_words(bytes: &[u8], field: Field, out: &mut Vec<u64>) {
    match field.kind() {
        kind::FIXED64 => out.push(field.number_in(bytes)),
        kind::BYTES => {
            let words = field.of(bytes).as_chunks().0;
            out.extend(words.iter().map(|word| u64::from_le_bytes(*word)));
        }
        _ => {}
    }
}

/// The index of the first bucket of one side of an exponential histogram.
#[must_use]
pub fn bucket_offset(bytes: &[u8], side: Field) -> i32 {
    let (mut fields, mut offset) = (Reader::of(bytes, side), 0);
    while let Ok(Some(field)) = fields.read() {
        if field.tag == OFFSET {
            offset = unzigzag(field.number_in(bytes)) as i32;
        }
    }
    offset
}

/// Tells the counts of that side's buckets, packed or not.
///
/// # Errors
/// [`Malformed`] for the first that cannot be read; those behind it are told nevertheless.
pub fn each_bucket(bytes: &[u8], side: Field, mut each: impl FnMut(u64)) -> Result<(), Malformed> {
    let (mut fields, mut outcome) = (Reader::of(bytes, side), Ok(()));
    loop {
        let field = match fields.read() {
            Ok(Some(field)) => field,
            Ok(None) => return outcome,
            Err(error) => return outcome.and(Err(error)),
        };
        match field.tag {
            COUNT => each(field.number_in(bytes)),
            COUNTS => outcome = outcome.and(each_packed(bytes, field, &mut each)),
            _ => {}
        }
    }
}

fn each_packed(bytes: &[u8], field: Field, each: &mut impl FnMut(u64)) -> Result<(), Malformed> {
    let mut at = field.start;
    while at < field.end {
        each(varint(bytes, &mut at, field.end)?);
    }
    Ok(())
}
