//! OTLP's log records as lines of JSON, so that what follows treats them as it treats a model's own
//! output.
//!
//! ```text
//! {"timestamp":"2026-11-27T10:00:00.000000001Z","severity_text":"INFO","severity_number":9,
//!  "body":"answered","attributes":{"request_id":"r-1"},"trace_id":"…","span_id":"…"}
//! ```
//! The members are those of OpenTelemetry's own console exporter. A body that is the text of one
//! JSON object stands there as that object, beside `"body_is_text":true`: a model that logs JSON by
//! OpenTelemetry is understood like one that prints it, and what it wrote can be told again byte by
//! byte. What the resource says becomes the origin's attributes. Empty members are left out.
//!
//! Deliberately interprets nothing: kinds, levels and ids are the pipeline's.

use std::io::Write as _;
use std::sync::Arc;

use crate::event::chunk::{Chunk, Line, Lines};
use crate::event::origin::Origin;
use crate::event::otlp::json::push_text_json;
use crate::event::otlp::walk::tags;
use crate::event::otlp::wire::{Reader, kind, tag};
use crate::event::otlp::{Field, Malformed, Visit, walk};
use crate::event::signal::Signal;
use crate::event::slab::{PAD, Slab};
use crate::sources::Context;

mod digits;

use digits::{push_decimal, push_hex, push_utc};

const FIRST: u32 = tag(1, kind::BYTES);
const SECOND: u32 = tag(2, kind::BYTES);

/// See the module.
#[derive(Debug)]
pub struct LogLines {
    context: Context,
    /// The last scope's member of a line.
    scope: Vec<u8>,
}

/// Only checks that a request is one.
struct Check;

impl Visit for Check {
    fn attribute(&mut self, _: crate::event::otlp::walk::Attribute) -> bool {
        true
    }

    fn element(&mut self, _: crate::event::otlp::walk::Value) -> bool {
        true
    }
}

impl LogLines {
    /// With the attributes of a source.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { context: context.clone(), scope: Vec::new() }
    }

    /// The lines of a request, a chunk for each resource. `place` is the stream, the number of the
    /// first record in it, and the time.
    ///
    /// # Errors
    /// [`Malformed`] for what is no request of logs.
    pub fn chunks(
        &mut self,
        message: &[u8],
        (source_key, mut base, observed_ns): (u64, u64, i64),
    ) -> Result<Vec<Chunk>, Malformed> {
        walk(message, Signal::Logs, &mut Check)?;
        let mut chunks = Vec::new();
        let mut resources = Reader::new(message, 0, message.len());
        while let Some(resource) = resources.read()? {
            if resource.tag != FIRST {
                continue;
            }
            let mut bytes = Vec::with_capacity(resource.len() * 3 / 2 + PAD);
            let lines = self.lines(message, resource, &mut bytes)?;
            if lines.is_empty() {
                continue;
            }
            let source_end = base + lines.len() as u64;
            chunks.push(Chunk {
                slab: Slab::from_vec(bytes),
                lines: Lines::Table(lines),
                origin: self.origin(message, resource)?,
                source_key,
                source_base: base,
                source_end,
                observed_ns,
            });
            base = source_end;
        }
        Ok(chunks)
    }

    fn lines(
        &mut self,
        message: &[u8],
        resource: Field,
        out: &mut Vec<u8>,
    ) -> Result<Vec<Line>, Malformed> {
        let mut lines = Vec::new();
        let mut scopes = Reader::of(message, resource);
        while let Some(scope) = scopes.read()? {
            if scope.tag != SECOND {
                continue;
            }
            self.scope.clear();
            let mut parts = Reader::of(message, scope);
            while let Some(part) = parts.read()? {
                match part.tag {
                    FIRST => push_scope(message, part, &mut self.scope)?,
                    SECOND => {
                        let start = out.len();
                        let ts_ns = push_record(message, part, &self.scope, out)?;
                        let (len, source_off) = (out.len() - start, lines.len());
                        out.push(b'\n');
                        lines.push(Line {
                            start: start as u32,
                            len: len as u32,
                            source_off: source_off as u32,
                            flags: 0,
                            ts_ns,
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(lines)
    }

    /// The source's attributes and the resource's, which win.
    fn origin(&self, message: &[u8], resource: Field) -> Result<Arc<Origin>, Malformed> {
        let mut more = Vec::new();
        let mut parts = Reader::of(message, resource);
        while let Some(part) = parts.read()? {
            if part.tag != FIRST {
                continue;
            }
            let mut attributes = Reader::of(message, part);
            while let Some(attribute) = attributes.read()? {
                if attribute.tag == FIRST {
                    let (key, value) = key_value(message, attribute)?;
                    let key = String::from_utf8_lossy(key).into_owned();
                    more.push((key, plain_text(message, value)));
                }
            }
        }
        let mut origin = Arc::unwrap_or_clone(self.context.origin("", more));
        origin.is_received = true;
        Ok(Arc::new(origin))
    }
}

/// The key and the value's one member, if it has any.
fn key_value(bytes: &[u8], attribute: Field) -> Result<(&[u8], Option<Field>), Malformed> {
    let (mut key, mut value) = (&bytes[..0], None);
    let mut parts = Reader::of(bytes, attribute);
    while let Some(part) = parts.read()? {
        match part.tag {
            FIRST => key = part.of(bytes),
            SECOND => value = member(bytes, part)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The member of an `AnyValue` that counts: the last one.
fn member(bytes: &[u8], any: Field) -> Result<Option<Field>, Malformed> {
    let mut found = None;
    let mut parts = Reader::of(bytes, any);
    while let Some(part) = parts.read()? {
        if (1..=7).contains(&part.number()) {
            found = Some(part);
        }
    }
    Ok(found)
}

/// A value as an attribute of text: texts without quotes, all else as JSON.
fn plain_text(bytes: &[u8], value: Option<Field>) -> String {
    if let Some(text) = value.filter(|value| value.tag == tags::TEXT) {
        return String::from_utf8_lossy(text.of(bytes)).into_owned();
    }
    let mut out = Vec::new();
    let written = push_value(bytes, value, &mut out);
    debug_assert!(written.is_ok(), "BUG: the request was checked");
    String::from_utf8_lossy(&out).into_owned()
}

/// The member `"scope"` with the comma before it; nothing for a scope without a name.
fn push_scope(bytes: &[u8], scope: Field, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut inside = Vec::new();
    let mut parts = Reader::of(bytes, scope);
    while let Some(part) = parts.read()? {
        let name: &[u8] = match part.tag {
            FIRST => b"\"name\":",
            SECOND => b"\"version\":",
            _ => continue,
        };
        if !part.is_empty() {
            inside.extend_from_slice(if inside.is_empty() { b"{" } else { b"," });
            inside.extend_from_slice(name);
            push_text_json(part.of(bytes), &mut inside);
        }
    }
    const ATTRIBUTES: u32 = tag(3, kind::BYTES);
    let mut attributes = Vec::new();
    push_members(bytes, scope, ATTRIBUTES, &mut attributes)?;
    if attributes.len() > 2 {
        inside.extend_from_slice(if inside.is_empty() { b"{" } else { b"," });
        inside.extend_from_slice(b"\"attributes\":");
        inside.extend_from_slice(&attributes);
    }
    if !inside.is_empty() {
        out.extend_from_slice(b",\"scope\":");
        out.extend_from_slice(&inside);
        out.push(b'}');
    }
    Ok(())
}

/// Appends a record's line and returns its time: the event's, else the observer's, else 0.
fn push_record(
    bytes: &[u8],
    record: Field,
    scope: &[u8],
    out: &mut Vec<u8>,
) -> Result<i64, Malformed> {
    let mut fields = [None; 13];
    let mut parts = Reader::of(bytes, record);
    while let Some(part) = parts.read()? {
        if let Some(field) = fields.get_mut(part.number() as usize) {
            *field = Some(part);
        }
    }
    let number = |n: usize| fields[n].map_or(0, |field: Field| field.number_in(bytes));
    let text = |n: usize| fields[n].map(|field: Field| field.of(bytes)).unwrap_or_default();
    let (time, observed) = (number(1), number(11));
    out.push(b'{');
    if time > 0 {
        push_time(b"\"timestamp\":", time, out);
    }
    if observed > 0 && observed != time {
        push_time(b"\"observed_timestamp\":", observed, out);
    }
    for (name, n) in [(&b"\"severity_text\":"[..], 3), (b"\"event_name\":", 12)] {
        if !text(n).is_empty() {
            push_name(name, out);
            push_text_json(text(n), out);
        }
    }
    if number(2) > 0 {
        push_name(b"\"severity_number\":", out);
        push_decimal(number(2), out);
    }
    if let Some(body) = fields[5] {
        push_body(bytes, body, out)?;
    }
    const ATTRIBUTES: u32 = tag(6, kind::BYTES);
    let before = out.len();
    push_name(b"\"attributes\":", out);
    let start = out.len();
    push_members(bytes, record, ATTRIBUTES, out)?;
    if out.len() - start == 2 {
        out.truncate(before);
    }
    for (name, n, len) in [(&b"\"trace_id\":\""[..], 9, 16), (b"\"span_id\":\"", 10, 8)] {
        // An id of another length is none, and all zeros say that there is none.
        if text(n).len() == len && text(n).iter().any(|byte| *byte != 0) {
            push_name(name, out);
            push_hex(text(n), out);
            out.push(b'"');
        }
    }
    for (name, n) in [(&b"\"trace_flags\":"[..], 8), (b"\"dropped_attributes\":", 7)] {
        if number(n) > 0 {
            push_name(name, out);
            push_decimal(u64::from(number(n) as u32), out);
        }
    }
    match (out.last(), scope) {
        (Some(b'{'), [_, scope @ ..]) => out.extend_from_slice(scope),
        _ => out.extend_from_slice(scope),
    }
    out.push(b'}');
    Ok(i64::try_from(if time > 0 { time } else { observed }).unwrap_or(0))
}

fn push_time(name: &[u8], ns: u64, out: &mut Vec<u8>) {
    push_name(name, out);
    out.push(b'"');
    push_utc(ns, out);
    out.push(b'"');
}

/// The comma, where one is needed, and a name with its quotes and colon.
fn push_name(name: &[u8], out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(name);
}

fn push_body(bytes: &[u8], body: Field, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let Some(value) = member(bytes, body)? else { return Ok(()) };
    let text = value.of(bytes);
    let is_object = value.tag == tags::TEXT && text.first() == Some(&b'{') && {
        // A raw newline would end the line; JSON of one line has none.
        let has_newline = memchr::memchr2(b'\n', b'\r', text).is_some();
        !has_newline && serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
    };
    push_name(b"\"body\":", out);
    if is_object {
        out.extend_from_slice(text);
        push_name(b"\"body_is_text\":true", out);
        return Ok(());
    }
    push_value(bytes, Some(value), out)
}

/// The `KeyValue`s that are the fields `wanted` of a message, as an object.
fn push_members(
    bytes: &[u8],
    message: Field,
    wanted: u32,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    out.push(b'{');
    let mut parts = Reader::of(bytes, message);
    while let Some(part) = parts.read()? {
        if part.tag == wanted {
            let (key, value) = key_value(bytes, part)?;
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            push_text_json(key, out);
            out.push(b':');
            push_value(bytes, value, out)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// The depth is bounded: the request was walked before.
fn push_value(bytes: &[u8], value: Option<Field>, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let Some(value) = value else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let number = value.number_in(bytes);
    match value.tag {
        tags::TEXT => push_text_json(value.of(bytes), out),
        tags::BOOL => out.extend_from_slice(if number != 0 { b"true" } else { b"false" }),
        tags::INT => {
            if number.cast_signed() < 0 {
                out.push(b'-');
            }
            push_decimal(number.cast_signed().unsigned_abs(), out);
        }
        tags::DOUBLE => {
            let double = f64::from_bits(number);
            // Writing to memory cannot fail.
            if double.is_finite() {
                let _ = serde_json::to_writer(&mut *out, &double);
            } else {
                let _ = write!(out, "\"{double}\"");
            }
        }
        tags::LIST => push_members(bytes, value, FIRST, out)?,
        tags::ARRAY => {
            out.push(b'[');
            let mut elements = Reader::of(bytes, value);
            let mut n_elements = 0;
            while let Some(element) = elements.read()? {
                if element.tag == FIRST {
                    if std::mem::replace(&mut n_elements, 1) > 0 {
                        out.push(b',');
                    }
                    push_value(bytes, member(bytes, element)?, out)?;
                }
            }
            out.push(b']');
        }
        tags::BYTES => {
            let _ = write!(out, "\"{}\"", data_encoding::BASE64.encode(value.of(bytes)));
        }
        _ => out.extend_from_slice(b"null"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::json::request_from_json;

    fn lines(json: &str) -> Vec<(Vec<String>, Arc<Origin>)> {
        let mut bytes = Vec::new();
        request_from_json(Signal::Logs, json.as_bytes(), &mut bytes).expect("a request");
        let attributes = vec![("service.name".into(), "ours".into()), ("env".into(), "x".into())];
        let context = Context { attributes, ..Context::default() };
        let chunks = LogLines::new(&context).chunks(&bytes, (1, 10, 5)).expect("sound");
        let text = |chunk: &Chunk| {
            let Lines::Table(table) = &chunk.lines else { panic!("a table") };
            let line = |line: &Line| {
                let end = (line.start + line.len) as usize;
                assert_eq!(chunk.slab[end], b'\n');
                String::from_utf8(chunk.slab[line.start as usize..end].to_vec()).expect("text")
            };
            table.iter().map(line).collect()
        };
        chunks.iter().map(|chunk| (text(chunk), Arc::clone(&chunk.origin))).collect()
    }

    fn line(record: &str) -> String {
        let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#);
        lines(&json).remove(0).0.remove(0)
    }

    #[test]
    fn records_as_lines() {
        for (record, expected) in [
            (r"{}", r"{}"),
            (r#"{"body":{"stringValue":"a \"b\""}}"#, r#"{"body":"a \"b\""}"#),
            (
                r#"{"timeUnixNano":"1700000000000000001","severityNumber":9,"severityText":"INFO"}"#,
                r#"{"timestamp":"2023-11-14T22:13:20.000000001Z","severity_text":"INFO","severity_number":9}"#,
            ),
            (
                r#"{"body":{"stringValue":"{\"event\": \"x\"}"}}"#,
                r#"{"body":{"event": "x"},"body_is_text":true}"#,
            ),
            (r#"{"body":{"stringValue":"{broken"}}"#, r#"{"body":"{broken"}"#),
            (r#"{"body":{"stringValue":"{\"a\":\n1}"}}"#, r#"{"body":"{\"a\":\n1}"}"#),
            (
                r#"{"body":{"kvlistValue":{"values":[{"key":"a","value":{"intValue":"-1"}}]}}}"#,
                r#"{"body":{"a":-1}}"#,
            ),
            (
                r#"{"attributes":[{"key":"a","value":{"arrayValue":{"values":[{"doubleValue":1},{"boolValue":true},{},{"bytesValue":"AAE="},{"doubleValue":"NaN"}]}}},{"key":"b"}]}"#,
                r#"{"attributes":{"a":[1.0,true,null,"AAE=","NaN"],"b":null}}"#,
            ),
            (
                r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"0000000000000000","flags":1}"#,
                r#"{"trace_id":"5b8efff798038103d269b633813fc60c","trace_flags":1}"#,
            ),
            (r#"{"traceId":"0102","eventName":"e"}"#, r#"{"event_name":"e"}"#),
        ] {
            assert_eq!(line(record), expected, "{record}");
        }
    }

    #[test]
    fn resources_and_scopes() {
        let json = r#"{"resourceLogs":[
            {"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"theirs"}},
                {"key":"n","value":{"intValue":"7"}}]},
             "scopeLogs":[{"scope":{"name":"lib","version":"1"},"logRecords":[{},{"eventName":"e"}]}]},
            {"scopeLogs":[{"logRecords":[{}]}]},{}]}"#;
        let chunks = lines(json);
        let scope = r#""scope":{"name":"lib","version":"1"}"#;
        assert_eq!(
            chunks[0].0,
            [format!("{{{scope}}}"), format!("{{\"event_name\":\"e\",{scope}}}")]
        );
        assert_eq!(chunks[0].1.attribute("service.name"), Some("theirs"));
        assert_eq!(chunks[0].1.attribute("n"), Some("7"));
        assert_eq!(chunks[0].1.attribute("env"), Some("x"));
        assert!(chunks[0].1.is_received);
        assert_eq!((chunks.len(), chunks[1].1.attribute("service.name")), (2, Some("ours")));
    }
}
