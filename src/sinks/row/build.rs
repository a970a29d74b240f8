//! An event as rows of its table. Every member of the line ends in a column or in
//! `attributes`; nothing is lost and nothing is re-printed. Text that is no JSON is one row whose
//! attributes hold it as `message`; what it says in JSON or as timings is read too (`text`).
//!
//! A batch (`instances`, `predictions`, `dataframe_records`) is one row per item, where features
//! and prediction, if both are there, have the same number of items; else one row and the error
//! `BATCH_LENGTH_MISMATCH`, and one whose rows would not fit into a request stays one row, with
//! `BATCH_TOO_LARGE`. Tensors of the open inference protocol are not split (their first axis
//! need not be the batch). The two halves of a request that come as two events stay two rows.

use std::borrow::Cow;
use std::sync::Arc;

use super::alias::Lookup;
use super::mapping::Mapping;
use super::members::Members;
use super::redactions::Redactions;
use super::schema::Schema;
use super::{EVENT_BYTES_MAX, Names};
use super::{Micros, Row, logfmt, text};
use crate::event::batch::Event;
use crate::event::record::Flags;
use crate::sinks::json;

/// Builds rows; keeps what it learned of the lines' shapes.
#[derive(Debug, Default)]
pub struct Builder {
    names: Arc<Names>,
    schema: Schema,
    lookup: Lookup,
    /// None: room for those of the next line.
    members: Members<'static>,
}

impl Builder {
    /// A builder for a table, with the words for the numbers in records.
    #[must_use]
    pub fn new(schema: Schema, names: Arc<Names>) -> Self {
        Self { names, schema, ..Self::default() }
    }

    /// Calls `each` with every row of `event`, which [`Schema`] then tells.
    ///
    /// # Errors
    /// The reason for which the event can never be a row (`line_too_long`).
    pub fn rows(
        &mut self,
        event: Event<'_>,
        mut each: impl FnMut(&Row<'_>),
    ) -> Result<(), &'static str> {
        if event.bytes.len() > EVENT_BYTES_MAX {
            return Err("line_too_long");
        }
        let line = json::utf8(event.bytes);
        let is_lossy = matches!(line, Cow::Owned(_));
        let Self { names, schema, lookup, members: room } = self;
        let mut members = std::mem::take(room).into_empty();
        if members.read(&line, lookup).is_some() {
            let mut row = frame(names, event, is_lossy);
            Mapping::new(event, &mut row, &mut members, *schema).emit(&mut each);
            *room = members.into_empty();
            return Ok(());
        }
        let (object, is_repaired) = as_object(&line, event.record.has(Flags::LOGFMT));
        let mut members = Members::default();
        let mut row = frame(names, event, is_lossy);
        if is_repaired {
            row.logging_errors.push("BAD_JSON_REPAIRED".into());
        }
        members.read(&object, lookup).ok_or("not_json")?;
        Mapping::new(event, &mut row, &mut members, *schema).emit(&mut each);
        Ok(())
    }
}

/// What is no JSON object as one, and whether it was almost one.
fn as_object(line: &str, is_logfmt: bool) -> (String, bool) {
    if let Some(repaired) = json::without_nan(line).filter(|text| json::object(text).is_some()) {
        return (repaired, true);
    }
    if let Some(object) = is_logfmt.then(|| logfmt::to_json(line)).flatten() {
        return (object, false);
    }
    (text::to_object(line), false)
}

/// What the record and the origin say, before the line itself.
fn frame<'a>(names: &'a Names, event: Event<'a>, is_lossy: bool) -> Row<'a> {
    let record = event.record;
    let origin = |name| event.batch.origin.attribute(name).map(Cow::Borrowed);
    let named = |names: &'a [String], index: u8| {
        let name = names.get(usize::from(index)).filter(|name| !name.is_empty());
        name.map(|name| Cow::Borrowed(name.as_str()))
    };
    let probability = record.probability();
    let redactions = match record.has(Flags::REDACTED) {
        true => Redactions::of(&json::utf8(event.bytes)),
        false => Redactions::default(),
    };
    Row {
        record_id: record_id(event).into(),
        event_ts: Micros(record.ts_ns.div_euclid(1000)),
        ingest_ts: Micros(event.batch.observed_ns.div_euclid(1000)),
        ts_source: Some(ts_source(record.flags).into()),
        classifier_rule: named(&names.classifier_rules, record.rule),
        service: origin("service.name"),
        namespace: origin("k8s.namespace.name"),
        pod: origin("k8s.pod.name"),
        code_version: origin("service.version"),
        trace_id: event.trace_id().map(lower_hex),
        span_id: event.span_id().map(lower_hex),
        sample_probability: probability,
        sample_weight: 1.0 / probability,
        sample_rule: named(&names.sampling_rules, record.sampling_rule()),
        sample_threshold: Some(threshold(record.sampling_threshold())),
        redaction_policy: (!names.policy.is_empty())
            .then_some(Cow::Borrowed(names.policy.as_str())),
        redactions: redactions.all,
        redaction_key_id: redactions.key_id.map(Cow::Owned),
        logging_errors: logging_errors(record.flags, is_lossy),
        ..Row::default()
    }
}

/// As [`crate::event::batch::RecordId`] prints, which takes `fmt` a fifth of a microsecond.
fn record_id(event: Event<'_>) -> String {
    let id = event.record_id();
    // Room for the `.<row_index>` of a batch.
    let mut text = Vec::with_capacity(33 + 6);
    text.extend_from_slice(&hex(id.source_key));
    text.push(b'-');
    text.extend_from_slice(&hex(id.position));
    String::from_utf8(text).unwrap_or_default()
}

/// Sixteen hex digits: a nibble to a byte, then to its digit, eight at a time.
fn hex(word: u64) -> [u8; 16] {
    const NIBBLES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let digits = |half: u64| {
        let spread = (half | half << 16) & 0x0000_ffff_0000_ffff;
        let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
        let nibbles = (spread | spread << 4) & NIBBLES;
        // One where the nibble is ten or more.
        let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
        (nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
    };
    let mut out = [0; 16];
    let (high, low) = out.split_at_mut(8);
    high.copy_from_slice(&digits(word >> 32));
    low.copy_from_slice(&digits(word & 0xffff_ffff));
    out
}

fn lower_hex(digits: Cow<'_, [u8]>) -> Cow<'_, str> {
    match digits {
        Cow::Borrowed(digits) if !digits.iter().any(u8::is_ascii_uppercase) => json::utf8(digits),
        digits => Cow::Owned(json::utf8(&digits).to_ascii_lowercase()),
    }
}

fn ts_source(flags: u16) -> &'static str {
    match flags {
        flags if flags & Flags::TIME_CLAMPED != 0 => "clamped",
        flags if flags & Flags::TIME_OBSERVED != 0 => "observed",
        _ => "event",
    }
}

/// OpenTelemetry's `th`: 14 hex digits without the zeros at their end.
fn threshold(threshold: u64) -> Cow<'static, str> {
    if threshold == 0 {
        return "0".into();
    }
    // 56 bits, moved to the front of the 64.
    let digits = hex(threshold << 8);
    json::utf8(&digits).trim_end_matches('0').to_owned().into()
}

fn logging_errors(flags: u16, is_lossy: bool) -> Vec<Cow<'static, str>> {
    let bad_utf8 = if is_lossy { Flags::BAD_UTF8 } else { 0 };
    let words = [
        (Flags::BAD_JSON, "BAD_JSON"),
        (Flags::BAD_UTF8, "BAD_UTF8_REPAIRED"),
        (Flags::TRUNCATED, "MAX_LINE_SIZE_EXCEEDED"),
        (Flags::PARTIAL, "PARTIAL_LINE"),
        (Flags::TIME_CLAMPED, "CLOCK_CLAMPED"),
        (Flags::TIME_NAIVE, "CLOCK_WITHOUT_ZONE"),
    ];
    let set = words.into_iter().filter(|(flag, _)| (flags | bad_utf8) & flag != 0);
    set.map(|(_, word)| word.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_digits() {
        for word in [0, 1, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX, 0x9a9a_9a9a] {
            assert_eq!(hex(word), format!("{word:016x}").as_bytes(), "{word:x}");
        }
    }
}
