//! Protobuf to JSON. Numbers that were written as zero are written as zero; unknown fields have no
//! name and are left out.

use std::io::Write as _;

use super::super::schema::{FieldSpec, Kind, Message};
use super::super::wire::{Field, Reader, kind};
use crate::event::json::block::{Block, Native};

/// Appends the `message` at `start..end` of `bytes` as a JSON object. What cannot be read of it is
/// left out.
pub fn push_message_json(
    message: Message,
    bytes: &[u8],
    (start, end): (usize, usize),
    out: &mut Vec<u8>,
) {
    let mut separator = b'{';
    for spec in message.fields() {
        let mut n_written = 0;
        let mut reader = Reader::new(bytes, start, end);
        while let Ok(Some(field)) = reader.read() {
            if field.number() != spec.number || !fits(spec, field) {
                continue;
            }
            if n_written == 0 {
                out.push(separator);
                push_name(spec, out);
                separator = b',';
            } else if spec.is_repeated {
                out.push(b',');
            } else {
                // Of several the last one counts: nobody writes more than one.
                break;
            }
            n_written += 1;
            push_value(spec, bytes, field, out);
        }
        if n_written > 0 && spec.is_repeated {
            out.push(b']');
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

fn push_name(spec: &FieldSpec, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(spec.name.as_bytes());
    out.extend_from_slice(if spec.is_repeated { b"\":[" } else { b"\":" });
}

fn fits(spec: &FieldSpec, field: Field) -> bool {
    let wanted = wire_kind(spec.kind);
    let is_packed = spec.is_repeated && wanted != kind::BYTES && field.kind() == kind::BYTES;
    field.kind() == wanted || is_packed
}

/// How a value of `kind` lies on the wire.
pub(super) fn wire_kind(of: Kind) -> u32 {
    match of {
        Kind::Text | Kind::Bytes | Kind::TraceId | Kind::SpanId | Kind::Message(_) => kind::BYTES,
        Kind::Bool | Kind::Enum | Kind::Uint32 | Kind::Sint32 | Kind::Int64 | Kind::Uint64 => {
            kind::VARINT
        }
        Kind::Fixed32 => kind::FIXED32,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => kind::FIXED64,
    }
}

fn push_value(spec: &FieldSpec, bytes: &[u8], field: Field, out: &mut Vec<u8>) {
    let value = field.of(bytes);
    match spec.kind {
        Kind::Message(inner) => push_message_json(inner, bytes, (field.start, field.end), out),
        Kind::Text => push_text_json(value, out),
        Kind::Bytes => push_quoted(&data_encoding::BASE64.encode(value), out),
        Kind::TraceId | Kind::SpanId => push_quoted(&data_encoding::HEXLOWER.encode(value), out),
        of if field.kind() == kind::BYTES => push_packed(of, value, out),
        of => push_number(of, field.number_in(bytes), out),
    }
}

fn push_packed(of: Kind, mut value: &[u8], out: &mut Vec<u8>) {
    let mut is_first = true;
    while !value.is_empty() {
        let number = if wire_kind(of) == kind::VARINT {
            let mut at = 0;
            let Ok(number) = super::super::wire::varint(value, &mut at, value.len()) else {
                return;
            };
            value = &value[at..];
            number
        } else {
            let Some((number, rest)) = value.split_first_chunk::<8>() else { return };
            value = rest;
            u64::from_le_bytes(*number)
        };
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        push_number(of, number, out);
    }
}

fn push_number(of: Kind, number: u64, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = match of {
        Kind::Bool => write!(out, "{}", number != 0),
        Kind::Enum => write!(out, "{}", number as i32),
        Kind::Uint32 | Kind::Fixed32 => write!(out, "{}", number as u32),
        Kind::Sint32 => write!(out, "{}", (number >> 1) as i32 ^ -((number & 1) as i32)),
        Kind::Int64 | Kind::Sfixed64 => write!(out, "\"{}\"", number.cast_signed()),
        Kind::Double => {
            push_double(f64::from_bits(number), out);
            Ok(())
        }
        _ => write!(out, "\"{number}\""),
    };
}

fn push_double(number: f64, out: &mut Vec<u8>) {
    let word = match number {
        n if n.is_nan() => "NaN",
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        n => {
            let _ = serde_json::to_writer(out, &n);
            return;
        }
    };
    push_quoted(word, out);
}

fn push_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends a text as a JSON string; bytes that are no UTF-8 as U+FFFD.
pub fn push_text_json(text: &[u8], out: &mut Vec<u8>) {
    if is_plain(text) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return;
    }
    let text = String::from_utf8_lossy(text);
    // Writing to memory cannot fail, and text always has a JSON form.
    let _ = serde_json::to_writer(out, &*text);
}

/// Whether a text stands in JSON as it is: ASCII without a quote, a backslash or a control byte.
fn is_plain(text: &[u8]) -> bool {
    let is_plain = |bytes: &[u8; 16]| {
        let block = Native::load(bytes);
        block.eq(b'"') | block.special() == 0
    };
    let (blocks, rest) = text.as_chunks::<16>();
    let mut last = [b' '; 16];
    last[..rest.len()].copy_from_slice(rest);
    blocks.iter().all(is_plain) && is_plain(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_serde_json() {
        for odd in ["", "\"", "\\", "\n", "\u{1f}", "\u{7f}", "\u{fc}", "\u{2028}"] {
            for n_before in [0, 1, 15, 16, 31, 40] {
                let text = format!("{}{odd}x", "-".repeat(n_before));
                let mut out = Vec::new();
                push_text_json(text.as_bytes(), &mut out);
                let expected = serde_json::to_string(&text).expect("a text");
                assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
            }
        }
        let mut out = Vec::new();
        push_text_json(b"a\xffb", &mut out);
        assert_eq!(out, "\"a\u{fffd}b\"".as_bytes());
    }
}
