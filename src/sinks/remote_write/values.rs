//! Attributes as the texts of labels: `KeyValue` and `AnyValue`, read and written out.
//!
//! Texts are themselves, numbers as JSON has them, bytes base64, lists and arrays JSON.
//!
//! Source: OpenTelemetry "Common specification concepts", attributes to strings.

use std::io::Write as _;

use base64::Engine as _;

use super::floats;
use crate::event::otlp::walk::{DEPTH_MAX, tags};
use crate::event::otlp::wire::{Field, Reader, kind, tag};

const KEY: u32 = tag(1, kind::BYTES);
const VALUE: u32 = tag(2, kind::BYTES);
/// The items of `ArrayValue` and `KeyValueList`.
const ITEMS: u32 = tag(1, kind::BYTES);

/// The key of a `KeyValue`, and the member of its value that is set.
#[inline]
pub(super) fn key_value(bytes: &[u8], field: Field) -> (&[u8], Option<Field>) {
    let (mut key, mut value) = (&[][..], None);
    let mut reader = Reader::of(bytes, field);
    while let Ok(Some(part)) = reader.read() {
        match part.tag {
            KEY => key = part.of(bytes),
            VALUE => value = member(bytes, part),
            _ => {}
        }
    }
    (key, value)
}

/// The member of an `AnyValue` that is set.
fn member(bytes: &[u8], any: Field) -> Option<Field> {
    let (mut reader, mut last) = (Reader::of(bytes, any), None);
    while let Ok(Some(member)) = reader.read() {
        last = Some(member);
    }
    last
}

/// Appends a value's text.
pub(super) fn push_text(bytes: &[u8], value: Field, out: &mut Vec<u8>) {
    match value.tag {
        tags::TEXT => out.extend_from_slice(value.of(bytes)),
        tags::BYTES => {
            let text = base64::engine::general_purpose::STANDARD.encode(value.of(bytes));
            out.extend_from_slice(text.as_bytes());
        }
        _ => push_json(bytes, Some(value), 0, out),
    }
}

fn push_json(bytes: &[u8], value: Option<Field>, depth: usize, out: &mut Vec<u8>) {
    let Some(value) = value.filter(|_| depth < DEPTH_MAX) else {
        return out.extend_from_slice(b"null");
    };
    match value.tag {
        tags::TEXT => push_quoted(value.of(bytes), out),
        tags::BOOL => {
            let word: &[u8] = if value.number_in(bytes) == 0 { b"false" } else { b"true" };
            out.extend_from_slice(word);
        }
        tags::INT => {
            // Writing into memory does not fail.
            let _ = write!(out, "{}", value.number_in(bytes) as i64);
        }
        tags::DOUBLE => floats::push_number(out, f64::from_bits(value.number_in(bytes))),
        tags::ARRAY => {
            out.push(b'[');
            each(bytes, value, out, |item, out| {
                push_json(bytes, member(bytes, item), depth + 1, out);
            });
            out.push(b']');
        }
        tags::LIST => {
            out.push(b'{');
            each(bytes, value, out, |item, out| {
                let (key, value) = key_value(bytes, item);
                push_quoted(key, out);
                out.push(b':');
                push_json(bytes, value, depth + 1, out);
            });
            out.push(b'}');
        }
        tags::BYTES => {
            out.push(b'"');
            push_text(bytes, value, out);
            out.push(b'"');
        }
        _ => out.extend_from_slice(b"null"),
    }
}

fn each(bytes: &[u8], list: Field, out: &mut Vec<u8>, mut push: impl FnMut(Field, &mut Vec<u8>)) {
    let mut reader = Reader::of(bytes, list);
    let mut is_first = true;
    while let Ok(Some(item)) = reader.read() {
        if item.tag != ITEMS {
            continue;
        }
        if !is_first {
            out.push(b',');
        }
        is_first = false;
        push(item, out);
    }
}

fn push_quoted(text: &[u8], out: &mut Vec<u8>) {
    // A text is never refused, and writing into memory does not fail.
    let _ = serde_json::to_writer(out, &String::from_utf8_lossy(text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number};

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = Vec::new();
        push_message(&mut bytes, 7, |out| {
            push_bytes(out, 1, b"key");
            push_message(out, 2, write);
        });
        let field = Reader::new(&bytes, 0, bytes.len()).read().expect("sound").expect("a field");
        let (key, value) = key_value(&bytes, field);
        assert_eq!(key, b"key");
        let mut out = Vec::new();
        push_text(&bytes, value.expect("a value"), &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_kind_of_value() {
        assert_eq!(text(|out| push_bytes(out, 1, b"a\"b")), "a\"b");
        assert_eq!(text(|out| push_number(out, 2, 1)), "true");
        assert_eq!(text(|out| push_number(out, 3, -7i64 as u64)), "-7");
        assert_eq!(text(|out| push_fixed64(out, 4, 0.5f64.to_bits())), "0.5");
        assert_eq!(text(|out| push_bytes(out, 7, &[0, 255])), "AP8=");
        let array = text(|out| {
            push_message(out, 5, |out| {
                push_message(out, 1, |out| push_bytes(out, 1, b"a\"b"));
                push_message(out, 1, |out| push_number(out, 3, 1));
                push_message(out, 1, |_| {});
            });
        });
        assert_eq!(array, r#"["a\"b",1,null]"#);
        let list = text(|out| {
            push_message(out, 6, |out| {
                push_message(out, 1, |out| {
                    push_bytes(out, 1, b"k");
                    push_message(out, 2, |out| push_number(out, 2, 0));
                });
            });
        });
        assert_eq!(list, r#"{"k":false}"#);
    }
}
