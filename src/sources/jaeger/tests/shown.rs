//! A request of OTLP in a few words, as prost reads it: what the tests compare.
//!
//! Owns the order and the spelling; leaves nothing out but what is empty.

use std::fmt::Write as _;

use prost::Message as _;

use super::otlp_proto::common::any_value::Value;
use super::otlp_proto::common::{AnyValue, KeyValue};
use super::otlp_proto::trace::Span;
use super::otlp_proto::trace_service::ExportTraceServiceRequest;

/// Shows a request, which must decode.
pub(super) fn shown(request: &[u8]) -> String {
    let request = ExportTraceServiceRequest::decode(request).expect("prost reads it");
    let mut out = String::new();
    for spans in request.resource_spans {
        let resource = spans.resource.expect("there is a resource");
        out += &format!("resource{}\n", attributes(&resource.attributes));
        for spans in spans.scope_spans {
            if let Some(scope) = spans.scope {
                out += &format!(" scope {:?} {:?}\n", scope.name, scope.version);
            }
            spans.spans.iter().for_each(|span| show_span(&mut out, span));
        }
    }
    out
}

fn show_span(out: &mut String, span: &Span) {
    let _ = write!(out, " {}/{}", hex(&span.trace_id), hex(&span.span_id));
    if !span.parent_span_id.is_empty() {
        let _ = write!(out, " <- {}", hex(&span.parent_span_id));
    }
    if !span.trace_state.is_empty() {
        let _ = write!(out, " [{}]", span.trace_state);
    }
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    if start != 0 || end != 0 {
        let _ = write!(out, " {start}..+{}", end.wrapping_sub(start));
    }
    if !span.name.is_empty() {
        let _ = write!(out, " {:?}", span.name);
    }
    if span.kind != 0 {
        let _ = write!(out, " {:?}", span.kind());
    }
    if let Some(status) = &span.status {
        let _ = write!(out, " {:?}", status.code());
        if !status.message.is_empty() {
            let _ = write!(out, "({})", status.message);
        }
    }
    let _ = writeln!(out, "{}", attributes(&span.attributes));
    for event in &span.events {
        let attributes = attributes(&event.attributes);
        let _ = writeln!(out, "  event {} {:?}{attributes}", event.time_unix_nano, event.name);
    }
    for link in &span.links {
        let attributes = attributes(&link.attributes);
        let _ = writeln!(out, "  link {}/{}{attributes}", hex(&link.trace_id), hex(&link.span_id));
    }
}

fn attributes(attributes: &[KeyValue]) -> String {
    attributes.iter().map(|one| format!(" {}={}", one.key, value(&one.value))).collect()
}

fn value(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::BoolValue(bool)) => bool.to_string(),
        Some(Value::IntValue(int)) => int.to_string(),
        Some(Value::DoubleValue(double)) => format!("{double:?}"),
        Some(Value::BytesValue(bytes)) => format!("0x{}", hex(bytes)),
        Some(other) => format!("{other:?}"),
        None => "nothing".to_owned(),
    }
}

/// Ids without their zeros in front.
fn hex(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match bytes.len() {
        8 | 16 => hex.trim_start_matches('0').to_owned(),
        _ => hex,
    }
}
