//! Protobuf's fields as proto3 writes them: one with the default is left out.
//!
//! Fields of a choice (`oneof`) count whatever they hold: those are written by
//! [`crate::event::otlp::wire`] itself.

use crate::event::otlp::wire::{push_fixed64, push_number, push_text};

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
pub(super) fn push_set_text(out: &mut Vec<u8>, field: u32, text: &[u8]) {
    if !text.is_empty() {
        push_text(out, field, text);
    }
}
