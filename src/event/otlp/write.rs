//! Parts of messages that more than one writer makes.
//!
//! Source: opentelemetry-proto 1.9, `common.proto` and `metrics.proto` (field numbers).

use super::wire::{push_bytes, push_message, push_number, push_varint, zigzag};

/// Appends a `KeyValue` with a text.
pub fn push_attribute(out: &mut Vec<u8>, key: &str, value: &str) {
    push_bytes(out, 1, key.as_bytes());
    push_message(out, 2, |out| push_bytes(out, 1, value.as_bytes()));
}

/// Appends field `number` with the `Buckets` of an exponential histogram's side: nothing for one
/// that has none.
pub fn push_buckets(out: &mut Vec<u8>, number: u32, offset: i32, counts: &[u64]) {
    if counts.is_empty() {
        return;
    }
    push_message(out, number, |out| {
        push_number(out, 1, zigzag(i64::from(offset)));
        push_message(out, 2, |out| counts.iter().for_each(|count| push_varint(out, *count)));
    });
}
