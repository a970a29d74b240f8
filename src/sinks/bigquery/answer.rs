//! What BigQuery answers to an append, read where it lies.
//!
//! Source: `google/cloud/bigquery/storage/v1/storage.proto` (`AppendRowsResponse`, `StorageError`,
//! `RowError`), `google/rpc/status.proto`.

use crate::event::otlp::wire::{Field, Reader, kind, tag};

/// An `AppendRowsResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// gRPC's code; 0 is OK.
    pub code: u32,
    /// Its words.
    pub message: String,
    /// `StorageError.code`; 0 where there is none.
    pub storage_code: u32,
    /// Rows that are not what the table wants, by their number, and why; then no row is stored.
    pub row_errors: Vec<(usize, String)>,
    /// The table has another schema now.
    pub is_schema_updated: bool,
}

/// Codes of `google.rpc.Code`.
pub mod code {
    #![expect(missing_docs, reason = "named as in google/rpc/code.proto")]
    pub const INVALID_ARGUMENT: u32 = 3;
    pub const NOT_FOUND: u32 = 5;
    pub const ALREADY_EXISTS: u32 = 6;
    pub const PERMISSION_DENIED: u32 = 7;
    pub const RESOURCE_EXHAUSTED: u32 = 8;
    pub const FAILED_PRECONDITION: u32 = 9;
    pub const ABORTED: u32 = 10;
    pub const OUT_OF_RANGE: u32 = 11;
    pub const UNAUTHENTICATED: u32 = 16;
}

/// Codes of `StorageError`.
pub mod storage {
    #![expect(missing_docs, reason = "named as in storage.proto")]
    pub const TABLE_NOT_FOUND: u32 = 1;
    pub const STREAM_NOT_FOUND: u32 = 3;
    pub const INVALID_STREAM_STATE: u32 = 5;
    pub const STREAM_FINALIZED: u32 = 6;
    pub const SCHEMA_MISMATCH_EXTRA_FIELDS: u32 = 7;
    pub const OFFSET_ALREADY_EXISTS: u32 = 8;
    pub const OFFSET_OUT_OF_RANGE: u32 = 9;
}

const ERROR: u32 = tag(2, kind::BYTES);
const UPDATED_SCHEMA: u32 = tag(3, kind::BYTES);
const ROW_ERRORS: u32 = tag(4, kind::BYTES);
/// The end of the type URL of a `StorageError`.
const STORAGE_ERROR: &[u8] = b"google.cloud.bigquery.storage.v1.StorageError";

impl Answer {
    /// Reads one. What is no such message is an answer without words.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut answer = Self::default();
        let mut fields = Reader::new(bytes, 0, bytes.len());
        while let Ok(Some(field)) = fields.read() {
            match field.tag {
                ERROR => answer.read_status(bytes, field),
                UPDATED_SCHEMA => answer.is_schema_updated = true,
                ROW_ERRORS => answer.row_errors.push(row_error(bytes, field)),
                _ => {}
            }
        }
        answer
    }

    /// Reads a `google.rpc.Status` as it comes with an RPC that failed.
    #[must_use]
    pub fn of_status(bytes: &[u8]) -> Self {
        let mut answer = Self::default();
        answer.read_status(bytes, Field { tag: 0, at: 0, start: 0, end: bytes.len() });
        answer
    }

    fn read_status(&mut self, bytes: &[u8], status: Field) {
        let mut fields = Reader::of(bytes, status);
        while let Ok(Some(field)) = fields.read() {
            match field.number() {
                1 => self.code = field.number_in(bytes) as u32,
                2 => self.message = String::from_utf8_lossy(field.of(bytes)).into_owned(),
                3 => self.read_detail(bytes, field),
                _ => {}
            }
        }
    }

    fn read_detail(&mut self, bytes: &[u8], any: Field) {
        let (mut is_storage, mut value) = (false, None);
        let mut fields = Reader::of(bytes, any);
        while let Ok(Some(field)) = fields.read() {
            match field.number() {
                1 => is_storage = field.of(bytes).ends_with(STORAGE_ERROR),
                2 => value = Some(field),
                _ => {}
            }
        }
        let Some(value) = value.filter(|_| is_storage) else { return };
        let mut fields = Reader::of(bytes, value);
        while let Ok(Some(field)) = fields.read() {
            match field.number() {
                1 => self.storage_code = field.number_in(bytes) as u32,
                3 if self.message.is_empty() => {
                    self.message = String::from_utf8_lossy(field.of(bytes)).into_owned();
                }
                _ => {}
            }
        }
    }
}

fn row_error(bytes: &[u8], field: Field) -> (usize, String) {
    let (mut index, mut words) = (0, String::new());
    let mut parts = Reader::of(bytes, field);
    while let Ok(Some(part)) = parts.read() {
        match part.number() {
            1 => index = usize::try_from(part.number_in(bytes)).unwrap_or(usize::MAX),
            3 => words = String::from_utf8_lossy(part.of(bytes)).into_owned(),
            _ => {}
        }
    }
    (index, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{push_bytes, push_message, push_number};

    #[test]
    fn errors_with_their_details() {
        let mut bytes = Vec::new();
        push_message(&mut bytes, 2, |out| {
            push_number(out, 1, 6);
            push_bytes(out, 2, b"there already");
            push_message(out, 3, |out| {
                push_bytes(out, 1, &[&b"type.googleapis.com/"[..], STORAGE_ERROR].concat());
                push_message(out, 2, |out| push_number(out, 1, 8));
            });
        });
        push_message(&mut bytes, 4, |out| {
            push_number(out, 1, 7);
            push_number(out, 2, 1);
            push_bytes(out, 3, b"no such day");
        });
        let answer = Answer::read(&bytes);
        assert_eq!(
            answer,
            Answer {
                code: code::ALREADY_EXISTS,
                message: "there already".to_owned(),
                storage_code: storage::OFFSET_ALREADY_EXISTS,
                row_errors: vec![(7, "no such day".to_owned())],
                is_schema_updated: false,
            }
        );
        let mut taken = Vec::new();
        push_message(&mut taken, 1, |_| {});
        assert_eq!(Answer::read(&taken), Answer::default());
    }
}
