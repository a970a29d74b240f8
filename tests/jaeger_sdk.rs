//! OpenTelemetry's own SDK with its exporter for Jaeger, run as a program of its own: what it says
//! that it sent is what we make of its datagrams. Needs the Python at `SIDEWAKE_TEST_CLIENT_JAEGER`
//! (`tests/clients/clients install jaeger` prints it); without it the test says that it skipped.

#[path = "otlp_proto/messages.rs"]
mod otlp_proto;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};
use sidewake::sources::jaeger::{Protocol, spans};

use otlp_proto::common::any_value::Value as Any;
use otlp_proto::common::{AnyValue, KeyValue};
use otlp_proto::trace::{ScopeSpans, Span};
use otlp_proto::trace_service::ExportTraceServiceRequest;

/// More than one datagram holds, and no more than a socket does.
const N_SPANS: usize = 300;

#[test]
fn what_the_sdk_says_is_what_came() {
    let Ok(python) = std::env::var("SIDEWAKE_TEST_CLIENT_JAEGER") else {
        eprintln!("skipped: what_the_sdk_says_is_what_came needs SIDEWAKE_TEST_CLIENT_JAEGER");
        return;
    };
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    let endpoint = socket.local_addr().expect("an address").to_string();
    let client = Command::new(python)
        .args(["tests/clients/otel_client.py", "--protocol", "jaeger-compact"])
        .args(["--endpoint", &endpoint, "--spans", &N_SPANS.to_string()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client runs");

    let (mut came, mut n_datagrams, mut buffer) = (BTreeMap::new(), 0, vec![0; 65_536]);
    while came.len() < N_SPANS {
        let n = socket.recv(&mut buffer).expect("all spans come");
        let converted = spans(&buffer[..n], Protocol::Compact).expect("a batch");
        assert_eq!(converted.n_invalid, 0);
        n_datagrams += 1;
        collect(&converted.request, &mut came);
    }
    assert!(n_datagrams > 1, "one datagram tests no border");

    let output = client.wait_with_output().expect("the client ends");
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(said.lines().count(), N_SPANS);
    for line in said.lines() {
        let said: Value = serde_json::from_str(line).expect("JSON");
        let id = said["span_id"].as_str().expect("an id");
        assert_eq!(came.get(id), Some(&as_exported(&said)), "span {id}");
    }
}

/// Puts each span of the request under its id.
fn collect(request: &[u8], came: &mut BTreeMap<String, Value>) {
    let request = ExportTraceServiceRequest::decode(request).expect("prost reads it");
    for resource in request.resource_spans {
        let attributes = attributes(&resource.resource.expect("a resource").attributes);
        assert_eq!(attributes, json!({"service.name": "fraud-detector"}));
        for scope in resource.scope_spans {
            for span in &scope.spans {
                came.insert(hex(&span.span_id), told(span, &scope));
            }
        }
    }
}

/// A span in the client's words.
fn told(span: &Span, scope: &ScopeSpans) -> Value {
    let scope = scope.scope.as_ref().expect("a scope");
    let status = span.status.clone().unwrap_or_default();
    let parent = &span.parent_span_id;
    let events = span.events.iter().map(|event| {
        json!({"time_ns": event.time_unix_nano, "attributes": attributes(&event.attributes)})
    });
    let links = span
        .links
        .iter()
        .map(|link| json!({"trace_id": hex(&link.trace_id), "span_id": hex(&link.span_id)}));
    json!({
        "trace_id": hex(&span.trace_id),
        "parent_span_id": if parent.is_empty() { Value::Null } else { hex(parent).into() },
        "name": span.name,
        "kind": span.kind().as_str_name().trim_start_matches("SPAN_KIND_"),
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "status": [status.code().as_str_name().trim_start_matches("STATUS_CODE_"), status.message],
        "attributes": attributes(&span.attributes),
        "events": events.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "scope": [scope.name, scope.version],
    })
}

/// What the exporter makes of a span: the resource, all but the service's name, is repeated in its
/// attributes, so is the scope, and an event's name is its attribute `message`.
fn as_exported(said: &Value) -> Value {
    let mut attributes = said["attributes"].clone();
    attributes["service.name"] = said["resource"]["service.name"].clone();
    attributes["service.version"] = said["resource"]["service.version"].clone();
    attributes["otel.library.name"] = said["scope"]["name"].clone();
    attributes["otel.library.version"] = said["scope"]["version"].clone();
    let events = said["events"].as_array().expect("events").iter().map(|event| {
        let mut attributes = event["attributes"].clone();
        attributes["message"] = event["name"].clone();
        json!({"time_ns": event["time_ns"], "attributes": attributes})
    });
    let message = said["status"]["message"].as_str().unwrap_or_default();
    let mut exported = json!({
        "attributes": attributes,
        "events": events.collect::<Vec<_>>(),
        "status": [said["status"]["code"], message],
        "scope": [said["scope"]["name"], said["scope"]["version"]],
    });
    for same in ["trace_id", "parent_span_id", "name", "kind", "start_ns", "end_ns", "links"] {
        exported[same] = said[same].clone();
    }
    exported
}

fn attributes(attributes: &[KeyValue]) -> Value {
    attributes.iter().map(|one| (one.key.clone(), value(&one.value))).collect()
}

fn value(value: &Option<AnyValue>) -> Value {
    match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(bool)) => json!(bool),
        Some(Any::IntValue(int)) => json!(int),
        Some(Any::DoubleValue(double)) => json!(double),
        other => panic!("the client sends no {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
