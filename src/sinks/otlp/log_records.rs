//! Lines as log records.
//!
//! A line with the members that OpenTelemetry's own exporters write (and that our OTLP source
//! writes) becomes the record that it was; any other line is a record whose body is the line. What
//! the record of the batch knows (time, level, ids) is told in either case.
//!
//! Attributes of our own on other lines: `log.kind`, `request_id`; the tier is one of every
//! resource.

use std::ops::Range;

use crate::event::batch::{Batch, Event, TRACE_ID_LEN};
use crate::event::otlp::wire::{
    push_bytes, push_fixed32, push_fixed64, push_message, push_number, push_text,
};
use crate::event::record::{Flags, Level, Record};

mod any_value;
mod otel_line;
mod scan;

use any_value::{push_any_value, push_attributes, push_decoded};
use otel_line::{OtelLine, Scope};
use scan::Text;

/// Appends a `ResourceLogs` of those `events`, with a `ScopeLogs` for each run of one scope.
pub(super) fn push(batch: &Batch, events: Range<usize>, tier: &str, out: &mut Vec<u8>) {
    let mut lines = events.filter_map(|index| batch.event(index)).map(|event| {
        let line = otel_line(batch, event.record);
        (event, line)
    });
    push_message(out, 1, |out| {
        push_message(out, 1, |out| {
            for (key, value) in &batch.origin.attributes {
                push_text_attribute(out, 1, key, value.as_bytes());
            }
            push_text_attribute(out, 1, "sidewake.tier", tier.as_bytes());
        });
        let mut next = lines.next();
        loop {
            // The scope's raw text tells runs apart without reading it.
            let scope = next.as_ref().and_then(scope_of);
            push_message(out, 2, |out| {
                push_scope(scope, out);
                while let Some(one) = next.take_if(|one| scope_of(one) == scope) {
                    push_message(out, 2, |out| push_record(&one, out));
                    next = lines.next();
                }
            });
            if next.is_none() {
                break;
            }
        }
    });
}

/// An event, and what it is if it has OpenTelemetry's shape.
type Line<'a> = (Event<'a>, Option<OtelLine<'a>>);

fn scope_of<'a>((_, line): &Line<'a>) -> Option<&'a [u8]> {
    line.as_ref()?.scope
}

fn otel_line<'a>(batch: &'a Batch, record: &Record) -> Option<OtelLine<'a>> {
    let (start, len) = (record.off as usize, record.len as usize);
    record.has(Flags::JSON).then(|| OtelLine::read(batch.slab.padded(), (start, start + len)))?
}

fn push_record((event, line): &Line<'_>, out: &mut Vec<u8>) {
    match line {
        Some(line) => push_otel(event, line, out),
        None => push_line(event, out),
    }
}

fn push_scope(scope: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(Scope { name, version, attributes }) = scope.and_then(Scope::read) else { return };
    push_message(out, 1, |out| {
        for (number, text) in [(1, name), (2, version)] {
            if let Some(text) = text {
                push_decoded(out, number, text);
            }
        }
        if let Some(attributes) = attributes {
            push_attributes(out, 3, attributes);
        }
    });
}

/// Time, level and ids, as every record has them.
fn push_known(event: &Event<'_>, number: Option<u32>, text: Option<&[u8]>, out: &mut Vec<u8>) {
    let record = event.record;
    let ts = u64::try_from(record.ts_ns).unwrap_or(0);
    if !record.has(Flags::TIME_OBSERVED) {
        push_fixed64(out, 1, ts);
    }
    push_fixed64(out, 11, u64::try_from(event.batch.observed_ns).unwrap_or(ts));
    let number = number.unwrap_or(match record.level() {
        Level::Unset => 0,
        Level::Trace => 1,
        Level::Debug => 5,
        Level::Info => 9,
        Level::Warn => 13,
        Level::Error => 17,
        Level::Fatal => 21,
    });
    if number > 0 {
        push_number(out, 2, u64::from(number));
    }
    let text = text.unwrap_or(record.level().as_str().as_bytes());
    if !text.is_empty() {
        push_bytes(out, 3, text);
    }
    let mut room = [0; TRACE_ID_LEN];
    for (field, digits) in [(9, event.trace_id()), (10, event.span_id())] {
        let Some(digits) = digits else { continue };
        let id = &mut room[..digits.len() / 2];
        if data_encoding::HEXLOWER_PERMISSIVE.decode_mut(&digits, id).is_ok() {
            push_bytes(out, field, id);
        }
    }
}

fn push_otel(event: &Event<'_>, line: &OtelLine<'_>, out: &mut Vec<u8>) {
    let text = line.severity_text.map(Text::decoded);
    let severity = text.as_deref().or(line.severity_number.map(|_| &b""[..]));
    push_known(event, line.severity_number, severity, out);
    if let Some(body) = line.body {
        push_message(out, 5, |out| match line.body_is_text {
            true => push_bytes(out, 1, body),
            false => push_any_value(out, body),
        });
    }
    if let Some(attributes) = line.attributes {
        push_attributes(out, 6, attributes);
    }
    if let Some(dropped) = line.dropped_attributes {
        push_number(out, 7, u64::from(dropped));
    }
    if let Some(flags) = line.trace_flags {
        push_fixed32(out, 8, flags);
    }
    if let Some(name) = line.event_name {
        push_decoded(out, 12, name);
    }
}

fn push_line(event: &Event<'_>, out: &mut Vec<u8>) {
    push_known(event, None, None, out);
    push_message(out, 5, |out| push_text(out, 1, event.bytes));
    push_text_attribute(out, 6, "log.kind", event.record.kind().as_str().as_bytes());
    if let Some(id) = event.request_id() {
        push_text_attribute(out, 6, "request_id", id);
    }
}

fn push_text_attribute(out: &mut Vec<u8>, number: u32, key: &str, value: &[u8]) {
    push_message(out, number, |out| {
        push_bytes(out, 1, key.as_bytes());
        push_message(out, 2, |out| push_text(out, 1, value));
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::origin::Origin;
    use crate::event::otlp::json::push_message_json;
    use crate::event::otlp::schema::Message;
    use crate::event::record::Record;
    use crate::event::slab::Slab;

    fn sent(lines: &[&str]) -> serde_json::Value {
        let (mut slab, mut table) = (Slab::default(), Vec::new());
        for line in lines {
            let mut record = Record::new(slab.len() as u32, line.len() as u32);
            record.ts_ns = 7;
            record.level = Level::Warn as u8;
            record.flags = if line.starts_with('{') { Flags::JSON } else { 0 };
            if let Some(at) = line.find("5b8e") {
                record.trace_id_off = at as u32;
            }
            slab.extend_from_slice(line.as_bytes());
            slab.extend_from_slice(b"\n");
            table.push(record);
        }
        let attributes = vec![("service.name".to_owned(), "fraud".to_owned())];
        let origin = Arc::new(Origin { attributes, ..Origin::default() });
        let batch = Batch { table, slab, origin, observed_ns: 9, ..Batch::default() };
        let mut out = Vec::new();
        push(&batch, 0..lines.len(), "app", &mut out);
        let mut json = Vec::new();
        push_message_json(Message::Logs, &out, (0, out.len()), &mut json);
        serde_json::from_slice(&json).expect("JSON")
    }

    #[test]
    fn lines_are_bodies_and_otel_lines_are_records() {
        let otel = r#"{"timestamp":"x","severity_text":"WARN","severity_number":13,"body":{"a": 1},
            "body_is_text":true,"attributes":{"n":1,"d":1.0,"l":[true,null]},"trace_id":
            "5b8efff798038103d269b633813fc60c","trace_flags":1,"scope":{"name":"lib"}}"#
            .replace("\n            ", "");
        let sent = sent(&["plain", r#"{"own":1}"#, &otel]);
        let resource = &sent["resourceLogs"][0];
        assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "fraud");
        let scopes = resource["scopeLogs"].as_array().expect("scopes");
        assert_eq!(scopes.len(), 2);
        let plain = &scopes[0]["logRecords"][0];
        assert_eq!(plain["body"]["stringValue"], "plain");
        assert_eq!((&plain["timeUnixNano"], &plain["severityNumber"]), (&"7".into(), &13.into()));
        assert_eq!(scopes[0]["logRecords"][1]["body"]["stringValue"], r#"{"own":1}"#);
        assert_eq!(scopes[1]["scope"]["name"], "lib");
        let record = &scopes[1]["logRecords"][0];
        assert_eq!(record["body"]["stringValue"], r#"{"a": 1}"#);
        assert_eq!(record["traceId"], "5b8efff798038103d269b633813fc60c");
        let attributes = serde_json::json!([
            { "key": "n", "value": { "intValue": "1" } },
            { "key": "d", "value": { "doubleValue": 1.0 } },
            { "key": "l", "value": { "arrayValue": { "values": [{ "boolValue": true }, {}] } } },
        ]);
        assert_eq!(record["attributes"], attributes);
        assert_eq!((&record["severityText"], &record["flags"]), (&"WARN".into(), &1.into()));
    }
}
