//! Rows that say that they may be there twice.

use bytes::Bytes;

use crate::event::otlp::wire::{Reader, kind, push_bytes, push_head, tag};
use crate::sinks::bigquery::logging_error;

/// What the column `logging_errors` says of them.
const AT_LEAST_ONCE: &str = "AT_LEAST_ONCE";
const ROWS: u32 = tag(2, kind::BYTES);

/// The field that says it, as it is appended to a row.
pub(super) fn at_least_once() -> Vec<u8> {
    logging_error(AT_LEAST_ONCE)
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
        assert!(at_least_once().ends_with(b"AT_LEAST_ONCE"));
    }
}
