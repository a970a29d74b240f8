//! Protobuf's fields as proto3 writes them: one with the default is left out, and text is UTF-8.
//!
//! Fields of a choice (`oneof`) count whatever they hold: those are written by
//! [`crate::event::otlp::wire`] itself, or by what says *always*.

use crate::event::otlp::wire::{push_bytes, push_fixed64, push_number};

/// A number, unless it is 0.
pub(super) fn push_set_number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        push_number(out, field, value);
    }
}

/// Eight bytes, unless they are 0.
pub(super) fn push_set_fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        push_fixed64(out, field, value);
    }
}

/// Text, unless it is empty.
pub(super) fn push_text(out: &mut Vec<u8>, field: u32, text: &[u8]) {
    if !text.is_empty() {
        push_text_always(out, field, text);
    }
}

/// Text, as UTF-8 whatever it was: a receiver may refuse all for one byte that is not.
pub(super) fn push_text_always(out: &mut Vec<u8>, field: u32, text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(text) => push_bytes(out, field, text.as_bytes()),
        Err(_) => push_bytes(out, field, String::from_utf8_lossy(text).as_bytes()),
    }
}
