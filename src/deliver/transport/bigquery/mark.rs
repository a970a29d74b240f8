//! Rows that say that they may be there twice.

use bytes::Bytes;

use crate::event::otlp::wire::{Reader, kind, push_bytes, push_head, tag};
use crate::sinks::bigquery::logging_error;
use crate::sinks::row::schema::Schema;

/// What the column `logging_errors` says of them.
const AT_LEAST_ONCE: &str = "AT_LEAST_ONCE";
const ROWS: u32 = tag(2, kind::BYTES);

/// The field that says it, as it is appended to a row.
pub(super) fn at_least_once(schema: Schema) -> Vec<u8> {
    logging_error(schema, AT_LEAST_ONCE)
}

/// Whether rows have the field that `mark` is, by the descriptor in this `ProtoData`: a table may
/// have no column for it.
pub(super) fn is_known(data: &[u8], mark: &[u8]) -> bool {
    let Ok(Some(wanted)) = Reader::new(mark, 0, mark.len()).read() else { return false };
    let wanted = u64::from(wanted.number());
    // ProtoData.writer_schema, ProtoSchema.proto_descriptor, DescriptorProto.field, its number.
    let Some(schema) = inner(data, 1).into_iter().next() else { return false };
    let Some(descriptor) = inner(schema, 1).into_iter().next() else { return false };
    inner(descriptor, 2).into_iter().any(|field| {
        let mut parts = Reader::new(field, 0, field.len());
        while let Ok(Some(part)) = parts.read() {
            if part.number() == 3 {
                return part.number_in(field) == wanted;
            }
        }
        false
    })
}

/// The values of all fields `wanted` that are bytes.
fn inner(bytes: &[u8], wanted: u32) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut fields = Reader::new(bytes, 0, bytes.len());
    while let Ok(Some(field)) = fields.read() {
        if field.tag == tag(wanted, kind::BYTES) {
            found.push(field.of(bytes));
        }
    }
    found
}

/// The `ProtoData` in `head` and `parts` with `mark` at the end of each row.
pub(super) fn marked(head: &Bytes, parts: &[Bytes], mark: &[u8]) -> Bytes {
    let whole: Vec<u8> =
        std::iter::once(head).chain(parts).flat_map(|part| part.iter().copied()).collect();
    let mut out = Vec::with_capacity(whole.len());
    let mut fields = Reader::new(&whole, 0, whole.len());
    while let Ok(Some(field)) = fields.read() {
        if field.tag != ROWS {
            out.extend_from_slice(whole.get(field.at..field.end).unwrap_or_default());
            continue;
        }
        let mut rows = Vec::with_capacity(field.len());
        let mut each = Reader::of(&whole, field);
        while let Ok(Some(row)) = each.read() {
            push_head(&mut rows, 1, row.len() + mark.len());
            rows.extend_from_slice(row.of(&whole));
            rows.extend_from_slice(mark);
        }
        push_bytes(&mut out, 2, &rows);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::push_message;

    #[test]
    fn every_row_says_it() {
        let (mut head, mut rows, mut expected) = (Vec::new(), Vec::new(), Vec::new());
        push_bytes(&mut head, 1, b"descriptor");
        for row in [&b"\x0a\x01a"[..], b"", b"\x10\x00"] {
            push_bytes(&mut rows, 1, row);
            push_bytes(&mut expected, 1, &[row, b"!?"].concat());
        }
        let mut whole = head.clone();
        push_message(&mut whole, 2, |out| out.extend_from_slice(&expected));
        push_head(&mut head, 2, rows.len());
        assert_eq!(marked(&head.into(), &[rows.into()], b"!?"), whole);
        assert!(at_least_once(Schema::Predictions).ends_with(b"AT_LEAST_ONCE"));
    }
}
