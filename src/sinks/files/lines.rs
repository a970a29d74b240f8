//! Every tier but the predictions as JSON lines: one JSON object per event and line.
//!
//! ```text
//! {"event":"model_loaded","model":"iris", … ,"_sidewake":{…}}   a JSON event, untouched
//! {"message":"GET /predict 200","_sidewake":{…}}                 a text event
//! {"event":{…},"_sidewake":{…}}                                  one with its own `_sidewake`
//! {"traceId":"…","name":"predict", … ,"resource":{…},"scope":{…},"_sidewake":{…}}   a span
//! ```
//! `_sidewake` always has the same members in the same order, with null for what is not known:
//! `ts` (UTC, microseconds), `level`, `kind`, `tier`, `source`, `stream`, `request_id`,
//! `trace_id`, `span_id`, `record_id`, `sample_probability`, `flags` (words).
//!
//! # Why
//! The event's own members stay at the top, so `jq .request_id` and DuckDB's `read_json_auto` find
//! what the application wrote under the names it used; what we know stands in one struct whose type
//! never changes from line to line. Each line is parsed once more before it is written: one
//! line that is not JSON makes the whole file unreadable to some readers.

use std::borrow::Cow;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{Format, name};
use crate::event::batch::{Batch, Event};
use crate::event::otlp::json::item_objects;
use crate::event::record::Flags;
use crate::event::signal::Signal;
use crate::sinks::json;
use crate::sinks::row::EVENT_BYTES_MAX;
use crate::sinks::{Body, Encoder, LogRange, Refused};

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// The word for each flag that `_sidewake.flags` lists.
const FLAGS: [(u16, &str); 11] = [
    (Flags::LOGFMT, "logfmt"),
    (Flags::BAD_JSON, "bad_json"),
    (Flags::BAD_UTF8, "bad_utf8"),
    (Flags::TRUNCATED, "truncated"),
    (Flags::REDACTED, "redacted"),
    (Flags::STDERR, "stderr"),
    (Flags::JOINED, "joined"),
    (Flags::TIME_OBSERVED, "time_observed"),
    (Flags::TIME_CLAMPED, "time_clamped"),
    (Flags::TIME_NAIVE, "time_naive"),
    (Flags::PARTIAL, "partial"),
];

/// One file in the making.
pub(super) struct Lines {
    tier: Arc<str>,
    bytes: Vec<u8>,
    observed_ns: Option<i64>,
}

impl Lines {
    pub(super) fn new(tier: Arc<str>) -> Self {
        Self { tier, bytes: Vec::new(), observed_ns: None }
    }

    fn write(&mut self, event: Event<'_>, bytes: &[u8]) {
        let text = json::utf8(bytes);
        let repaired = || json::without_nan(&text).filter(|text| json::is_object(text));
        if json::is_object(&text) {
            self.write_object(&text);
        } else if let Some(object) = repaired() {
            self.write_object(&object);
        } else {
            self.bytes.extend_from_slice(b"{\"message\":");
            json::write_string(&mut self.bytes, &text);
            self.bytes.push(b',');
        }
        self.write_known(event);
        self.bytes.extend_from_slice(b"}\n");
    }

    /// The object without its closing bracket. A newline in it stands between tokens, where JSON
    /// allows no raw one within a string, so a space means the same.
    fn write_object(&mut self, object: &str) {
        let object = object.trim_ascii().as_bytes();
        let wrapped = memchr::memmem::find(object, b"\"_sidewake\"").is_some();
        if wrapped {
            self.bytes.extend_from_slice(b"{\"event\":");
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(if wrapped { object } else { &object[..object.len() - 1] });
        for byte in &mut self.bytes[start..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        if self.bytes[start..].trim_ascii_end() != b"{" {
            self.bytes.push(b',');
        }
    }

    fn write_known(&mut self, event: Event<'_>) {
        let out = &mut self.bytes;
        let record = event.record;
        let origin = &event.batch.origin;
        let ts =
            OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::nanoseconds(record.ts_ns));
        out.extend_from_slice(b"\"_sidewake\":{\"ts\":\"");
        ts.format_into(&mut *out, TIME).expect("BUG: a vector takes every write");
        out.push(b'"');
        let level = record.level().as_str();
        for (key, value) in [
            ("level", Some(level.into()).filter(|_| !level.is_empty())),
            ("kind", Some(event.kind_word().into())),
            ("tier", Some(self.tier.as_ref().into())),
            ("source", Some(origin.source.as_str().into())),
            ("stream", Some(origin.stream.as_str().into()).filter(|_| !origin.stream.is_empty())),
            ("trace_id", event.trace_id().map(text_of)),
            ("span_id", event.span_id().map(text_of)),
            ("record_id", Some(event.record_id().to_string().into())),
        ] {
            write!(out, ",\"{key}\":").expect("BUG: a vector takes every write");
            match value {
                Some(value) => json::write_string(out, &value),
                None => out.extend_from_slice(b"null"),
            }
        }
        // As it stands in the line, escapes and all: it is JSON already, unless the line is text.
        let id = event.request_id().map(String::from_utf8_lossy).map(|raw| {
            let quoted = format!("\"{raw}\"");
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&quoted).is_ok();
            if is_json { quoted } else { serde_json::Value::from(raw).to_string() }
        });
        let id = id.as_deref().unwrap_or("null");
        write!(out, ",\"request_id\":{id},\"sample_probability\":{}", record.probability())
            .expect("BUG: a vector takes every write");
        out.extend_from_slice(b",\"flags\":[");
        let mut separator = "";
        for (_, word) in FLAGS.into_iter().filter(|(flag, _)| record.has(*flag)) {
            write!(out, "{separator}\"{word}\"").expect("BUG: a vector takes every write");
            separator = ",";
        }
        out.extend_from_slice(b"]}");
    }
}

impl Encoder for Lines {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        let mut refused = Vec::new();
        let mut write = |index: usize, bytes: Option<&[u8]>| {
            let Some(event) = batch.event(index) else { return };
            let bytes = bytes.unwrap_or(event.bytes);
            if bytes.len() > EVENT_BYTES_MAX {
                refused.push(Refused { event: index, reason: "line_too_long" });
                return;
            }
            self.observed_ns.get_or_insert(batch.observed_ns);
            self.write(event, bytes);
        };
        match batch.signal {
            Signal::Logs => events.for_each(|index| write(index, None)),
            Signal::Traces | Signal::Metrics => {
                item_objects(batch, events, |index, object| write(index, Some(object)));
            }
        }
        refused
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn finish(self: Box<Self>, range: LogRange, body: &mut Body) -> Result<(), String> {
        let day = name::day_folder(name::day_of(self.observed_ns.unwrap_or_default()));
        body.bytes = self.bytes;
        body.file_name = format!("{}/{day}/{}", self.tier, name::file(range, Format::Lines));
        Ok(())
    }
}

/// Bytes that are meant to be text.
fn text_of(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}
