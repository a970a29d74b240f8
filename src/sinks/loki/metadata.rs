//! Structured metadata: what is known of one entry, as label pairs ready for the wire.
//!
//! What repeats (kind, level, pod) is encoded once per body and copied; what is the entry's own
//! (ids, sampling, flags) is measured first and written behind it, so that an entry's length is
//! known before its first byte is written. Everything follows from the record and the line alone:
//! attempts and splits stay byte-identical, which is what lets Loki recognise a repeat.
//!
//! Source: logproto `LabelPairAdapter`; names are normalised the way Loki would
//! (`[a-zA-Z0-9_]`), values carry no U+FFFD, which Loki strips.
//!
//! # Why
//! Loki keeps one of two entries that have time, line and metadata in common. For a repeat that is
//! what we want; for two events it is a loss, and not a rare one: times in seconds or milliseconds,
//! a batch of predictions logged with one time, two replicas that say the same, and lines that only
//! differed in what protection masked. So each entry carries its `record_id`, the source and the
//! position in it: it is the same whenever the same event is sent again, and never that of another.
//! Only where it is needed would be cheaper, but no entry knows that of itself: its twin may lie in
//! another frame, another body, another source, or come after a restart, and what depends on those
//! is not the same at the next attempt. The other sinks write the same id, so that one record can
//! be found in all of them. It costs 11 ns a record to write and as much again to pack, of 900.

use std::borrow::Cow;

use super::wire::push_field;
use crate::event::batch::RecordId;
use crate::event::otlp::wire::{push_varint, varint_len};
use crate::event::record::{Flags, Kind, Level, Record, THRESHOLD_MASK};

/// Field 3 of `EntryAdapter`, length-delimited.
const TAG_PAIR: u8 = 0x1a;
const TAG_NAME: u8 = 0x0a;
const TAG_VALUE: u8 = 0x12;

/// `name="request_id"` inside a pair.
const REQUEST_ID: &[u8] = b"\x0a\x0arequest_id\x12";
/// A pair's head up to the 32 digits of the trace id: lengths are fixed.
const TRACE_ID: &[u8] = b"\x1a\x2c\x0a\x08trace_id\x12\x20";
/// The same for a record id: its two numbers in 16 digits each, and a dash between them.
const RECORD_ID: &[u8] = b"\x1a\x2e\x0a\x09record_id\x12\x21";
const RECORD_ID_LEN: usize = RECORD_ID.len() + RECORD_ID_DIGITS;
const RECORD_ID_DIGITS: usize = 2 * HEX_LEN + 1;
const HEX_LEN: usize = 16;
/// The same for the 16 digits of the span id.
const SPAN_ID: &[u8] = b"\x1a\x1b\x0a\x07span_id\x12\x10";
const _: () = assert!(TRACE_ID[1] as usize == TRACE_ID.len() - 2 + 32, "BUG: pair length");
const _: () = assert!(RECORD_ID[1] as usize == RECORD_ID_LEN - 2, "BUG: pair length");
const _: () = assert!(SPAN_ID[1] as usize == SPAN_ID.len() - 2 + 16, "BUG: pair length");

/// Record flags worth a reader's attention, and their words.
const FLAG_WORDS: [(u16, &str); 5] = [
    (Flags::TRUNCATED, "truncated"),
    (Flags::PARTIAL, "partial"),
    (Flags::BAD_UTF8, "bad_utf8"),
    (Flags::BAD_JSON, "bad_json"),
    (Flags::TIME_CLAMPED, "time_clamped"),
];
const FLAGS_OF_INTEREST: u16 =
    Flags::TRUNCATED | Flags::PARTIAL | Flags::BAD_UTF8 | Flags::BAD_JSON | Flags::TIME_CLAMPED;

const N_SLOTS: usize = Kind::ALL.len() * Level::ALL.len();

/// Encoded pairs for each (kind, level), filled as they are met.
#[derive(Debug)]
pub(super) struct FixedPairs {
    pod: String,
    encoded: [Vec<u8>; N_SLOTS],
}

impl FixedPairs {
    /// Pairs for entries of `pod`; empty for a stream that has it as a label.
    pub(super) fn new(pod: &str) -> Self {
        Self { pod: pod.to_owned(), encoded: [const { Vec::new() }; N_SLOTS] }
    }

    /// The pairs of `record` that it shares with others.
    #[inline]
    pub(super) fn of(&mut self, record: &Record) -> &[u8] {
        let (kind, level) = (record.kind(), record.level());
        let slot = &mut self.encoded[kind as usize * Level::ALL.len() + level as usize];
        if slot.is_empty() {
            push_pair(slot, "kind", kind.as_str());
            if level != Level::Unset {
                push_pair(slot, "level", level.as_str());
            }
            if !self.pod.is_empty() {
                push_pair(slot, "pod", &self.pod);
            }
        }
        slot
    }
}

/// The pairs that are an entry's own.
pub(super) struct OwnPairs<'a> {
    id: RecordId,
    request_id: Cow<'a, str>,
    trace_id: &'a str,
    span_id: &'a str,
    /// Sampling and flags, encoded; empty for most entries.
    rare: Vec<u8>,
}

impl<'a> OwnPairs<'a> {
    /// The pairs of `record`, which is the event `id` and whose bytes are `line`.
    #[inline]
    pub(super) fn new(record: &Record, id: RecordId, line: &'a str) -> Self {
        let span = |off: u32, len: usize| -> &'a str {
            // NO_SPAN lies behind every line, so that `get` answers for it too.
            line.get(off as usize..(off as usize).saturating_add(len)).unwrap_or_default()
        };
        let request_id = span(record.request_id_off, usize::from(record.request_id_len));
        Self {
            id,
            request_id: plain_text(request_id),
            trace_id: span(record.trace_id_off, 32),
            span_id: span(record.span_id_off, 16),
            rare: rare_pairs(record),
        }
    }

    /// Bytes that [`Self::push`] appends.
    #[inline]
    pub(super) fn len(&self) -> usize {
        let request_id = match self.request_id.len() {
            0 => 0,
            len => {
                let pair = request_id_pair_len(len);
                1 + varint_len(pair as u64) + pair
            }
        };
        let trace_id = if self.trace_id.is_empty() { 0 } else { TRACE_ID.len() + 32 };
        let span_id = if self.span_id.is_empty() { 0 } else { SPAN_ID.len() + 16 };
        RECORD_ID_LEN + request_id + trace_id + span_id + self.rare.len()
    }

    /// Appends the pairs.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(RECORD_ID);
        push_hex(out, self.id.source_key);
        out.push(b'-');
        push_hex(out, self.id.position);
        if !self.request_id.is_empty() {
            out.push(TAG_PAIR);
            push_varint(out, request_id_pair_len(self.request_id.len()) as u64);
            out.extend_from_slice(REQUEST_ID);
            push_varint(out, self.request_id.len() as u64);
            out.extend_from_slice(self.request_id.as_bytes());
        }
        out.extend_from_slice(&self.rare);
        for (head, digits) in [(SPAN_ID, self.span_id), (TRACE_ID, self.trace_id)] {
            if !digits.is_empty() {
                out.extend_from_slice(head);
                out.extend_from_slice(digits.as_bytes());
            }
        }
    }
}

/// Appends `n` in 16 lower-case digits, all of them at once.
#[inline]
fn push_hex(out: &mut Vec<u8>, n: u64) {
    const EACH: u128 = u128::from_ne_bytes([1; HEX_LEN]);
    // A digit into each byte, the highest first.
    let mut nibbles = [0; HEX_LEN];
    for (pair, byte) in nibbles.chunks_exact_mut(2).zip(n.to_be_bytes()) {
        (pair[0], pair[1]) = (byte >> 4, byte & 0xf);
    }
    let nibbles = u128::from_ne_bytes(nibbles);
    // 10 to 15 carry into the fifth bit when six is added.
    let letters = ((nibbles + 6 * EACH) >> 4) & EACH;
    let digits = nibbles + u128::from(b'0') * EACH + letters * u128::from(b'a' - b'0' - 10);
    out.extend_from_slice(&digits.to_ne_bytes());
}

fn request_id_pair_len(value_len: usize) -> usize {
    REQUEST_ID.len() + varint_len(value_len as u64) + value_len
}

/// Sampling probability and flags; no allocation when there is nothing to say.
fn rare_pairs(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    if record.threshold & THRESHOLD_MASK != 0 {
        push_pair(&mut out, "sampling_probability", &record.probability().to_string());
    }
    if record.flags & FLAGS_OF_INTEREST != 0 {
        let words: Vec<&str> = FLAG_WORDS
            .iter()
            .filter(|(flag, _)| record.has(*flag))
            .map(|(_, word)| *word)
            .collect();
        push_pair(&mut out, "flags", &words.join(","));
    }
    out
}

/// An id as text: JSON escapes resolved, U+FFFD left out.
fn plain_text(raw: &str) -> Cow<'_, str> {
    let has_escape = memchr::memchr(b'\\', raw.as_bytes()).is_some();
    if !has_escape && (raw.is_ascii() || !raw.contains('\u{fffd}')) {
        return Cow::Borrowed(raw);
    }
    // What does not parse as a JSON string came from another format, and stands as it is.
    let text: String = serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_else(|_| raw.into());
    Cow::Owned(text.replace('\u{fffd}', ""))
}

fn push_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut pair = Vec::with_capacity(name.len() + value.len() + 8);
    push_field(&mut pair, TAG_NAME, name.as_bytes());
    push_field(&mut pair, TAG_VALUE, value.as_bytes());
    push_field(out, TAG_PAIR, &pair);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_plain_text() {
        for (raw, plain) in [
            ("r-1", "r-1"),
            (r"a\u00e9\n\\", "aé\n\\"),
            (r#"a\"b"#, "a\"b"),
            ("a\u{fffd}b", "ab"),
            (r"\ud800x", r"\ud800x"),
            (r"back\slash", r"back\slash"),
        ] {
            assert_eq!(plain_text(raw), plain, "{raw}");
        }
    }

    #[test]
    fn record_ids_print_as_everywhere() {
        for (source_key, position) in
            [(0, 0), (u64::MAX, 0x0123_4567_89ab_cdef), (0xfedc_ba98_7654_3210, 0x9a0f_f0a9)]
        {
            let id = RecordId { source_key, position };
            let mut out = Vec::new();
            OwnPairs::new(&Record::new(0, 0), id, "").push(&mut out);
            let digits = String::from_utf8_lossy(&out[out.len() - RECORD_ID_DIGITS..]);
            assert_eq!(digits, id.to_string());
        }
    }

    /// The announced length is the written one, whatever is there and whatever is not.
    #[test]
    fn length_is_exact() {
        let line = format!("{}{}{}", "r".repeat(300), "a".repeat(32), "b".repeat(16));
        for bits in 0..16u32 {
            for id_len in [1, 127, 128, 300] {
                let mut record = Record::new(0, line.len() as u32);
                if bits & 1 != 0 {
                    (record.request_id_off, record.request_id_len) = (0, id_len);
                }
                if bits & 2 != 0 {
                    record.trace_id_off = 300;
                }
                if bits & 4 != 0 {
                    record.span_id_off = 332;
                }
                if bits & 8 != 0 {
                    record.threshold = 1 << 55;
                    record.flags = Flags::TRUNCATED | Flags::BAD_UTF8 | Flags::JSON;
                }
                let id = RecordId { source_key: 1, position: 2 };
                let own = OwnPairs::new(&record, id, &line);
                let mut out = Vec::new();
                own.push(&mut out);
                assert_eq!(out.len(), own.len(), "bits {bits} id {id_len}");
            }
        }
    }
}
