//! OTLP's JSON: the official examples there and back, and each rule that differs from proto3's.

use prost::Message as _;
use serde_json::{Value, json};
use sidewake::event::otlp::json::{push_message_json, request_from_json};
use sidewake::event::otlp::schema::Message;
use sidewake::event::signal::Signal;

use super::otlp_proto::logs_service::ExportLogsServiceRequest;
use super::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::otlp_proto::trace_service::ExportTraceServiceRequest;
use super::rig::until;
use super::served::{JSON, Served};

const TRACE: &[u8] = include_bytes!("../fixtures/opentelemetry-proto/examples/trace.json");
const METRICS: &[u8] = include_bytes!("../fixtures/opentelemetry-proto/examples/metrics.json");
const LOGS: &[u8] = include_bytes!("../fixtures/opentelemetry-proto/examples/logs.json");
const EVENTS: &[u8] = include_bytes!("../fixtures/opentelemetry-proto/examples/events.json");

const EXAMPLES: [(&str, Signal, &[u8]); 4] = [
    ("trace.json", Signal::Traces, TRACE),
    ("metrics.json", Signal::Metrics, METRICS),
    ("logs.json", Signal::Logs, LOGS),
    ("events.json", Signal::Logs, EVENTS),
];

#[track_caller]
fn read(signal: Signal, json: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    request_from_json(signal, json, &mut out).expect("a request");
    out
}

fn written(signal: Signal, bytes: &[u8]) -> Value {
    let mut out = Vec::new();
    push_message_json(Message::request_of(signal), bytes, (0, bytes.len()), &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

/// As the official decoder reads it and writes it again.
fn rewritten(signal: Signal, bytes: &[u8]) -> Vec<u8> {
    match signal {
        Signal::Traces => {
            ExportTraceServiceRequest::decode(bytes).expect("a request").encode_to_vec()
        }
        Signal::Metrics => {
            ExportMetricsServiceRequest::decode(bytes).expect("a request").encode_to_vec()
        }
        Signal::Logs => ExportLogsServiceRequest::decode(bytes).expect("a request").encode_to_vec(),
    }
}

/// Both spellings of a number, and of an id, made one; what is the default, made absent.
fn normal(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().map(|(key, value)| (key.clone(), normal(key, value)));
            let is_set = |value: &Value| !matches!(value.as_str(), Some("" | "0"));
            // A value of a choice counts also where it is the default.
            kept.filter(|(key, value)| is_set(value) || key.ends_with("Value")).collect()
        }
        Value::Array(values) => values.iter().map(|value| normal(key, value)).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => json!(format!("{float:.0}")),
            _ => json!(number.to_string()),
        },
        Value::String(text) if key.ends_with("Id") => json!(text.to_lowercase()),
        other => other.clone(),
    }
}

#[test]
fn examples_there_and_back() {
    for (name, signal, example) in EXAMPLES {
        let bytes = read(signal, example);
        let expected: Value = serde_json::from_slice(example).expect("JSON");
        let ours = written(signal, &bytes);
        assert_eq!(normal("", &ours), normal("", &expected), "{name}");
        // The official decoder sees the same, and what it writes reads the same.
        let theirs = rewritten(signal, &bytes);
        assert_eq!(normal("", &written(signal, &theirs)), normal("", &expected), "{name}, prost");
        // What was written can be read again.
        let again = read(signal, &serde_json::to_vec(&ours).expect("JSON"));
        assert_eq!(written(signal, &again), ours, "{name}, again");
    }
}

#[test]
fn examples_through_the_daemon() {
    let served = Served::start();
    for (name, signal, example) in EXAMPLES {
        let path = format!("/v1/{}", signal.as_str());
        let answer = served.post(&path, &[JSON], example);
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]), "{name}");
    }
    let expected = ExportTraceServiceRequest::decode(&*read(Signal::Traces, TRACE));
    let spans = &expected.expect("a request").resource_spans[0].scope_spans[0].spans;
    until("the span", || served.fake.spans() == *spans);
    until("the records", || {
        let resources = served.fake.resource_logs();
        let scopes = resources.iter().flat_map(|one| &one.scope_logs);
        scopes.map(|one| one.log_records.len()).sum::<usize>() == 2
    });
}

/// One span around `member`.
fn span(member: &str) -> Vec<u8> {
    let ids = r#""traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174""#;
    let span =
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids}{member}}}]}}]}}]}}"#);
    span.into_bytes()
}

fn decoded(json: &[u8]) -> super::otlp_proto::trace::Span {
    let request = ExportTraceServiceRequest::decode(&*read(Signal::Traces, json));
    request.expect("a request").resource_spans[0].scope_spans[0].spans[0].clone()
}

/// Rows whose second part must read as the first.
#[test]
fn spellings_that_are_the_same() {
    for (name, one, other) in [
        ("numbers of 64 bits", r#","startTimeUnixNano":"17""#, r#","startTimeUnixNano":17"#),
        ("... also as a float", r#","startTimeUnixNano":"17""#, r#","startTimeUnixNano":17.0"#),
        ("numbers of 32 bits", r#","flags":257"#, r#","flags":"257""#),
        (
            "null members are unset",
            "",
            r#","name":null,"attributes":null,"status":null,"kind":null"#,
        ),
        ("unknown members", r#","name":"a""#, r#","x":{"y":[1,{"z":null}]},"name":"a","é":1e999"#),
        ("keys of snake_case are unknown", "", r#","start_time_unix_nano":"17","dropped_x":1"#),
        ("escapes in keys", r#","name":"a""#, r#","n\u0061me":"a""#),
    ] {
        assert_eq!(decoded(&span(one)), decoded(&span(other)), "{name}");
    }
    let lower = String::from_utf8(span("")).expect("text");
    let lower =
        lower.replace("5B8EFFF798038103D269B633813FC60C", "5b8efff798038103d269B633813fc60c");
    assert_eq!(decoded(lower.as_bytes()), decoded(&span("")), "ids in any case");
}

#[test]
fn values_of_every_type() {
    let values = r#","attributes":[
        {"key":"s","value":{"stringValue":"é\n"}},{"key":"b","value":{"boolValue":false}},
        {"key":"i","value":{"intValue":"-9223372036854775808"}},
        {"key":"j","value":{"intValue":7}},{"key":"d","value":{"doubleValue":0.1}},
        {"key":"n","value":{"doubleValue":"NaN"}},{"key":"f","value":{"doubleValue":"-Infinity"}},
        {"key":"y","value":{"bytesValue":"AP+A"}},
        {"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{}]}}},
        {"key":"k","value":{"kvlistValue":{"values":[{"key":"x","value":{"stringValue":""}}]}}}]"#;
    let bytes = read(Signal::Traces, &span(values));
    let read_back = written(Signal::Traces, &bytes);
    let attributes = &read_back["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
    let value = |n: usize| attributes[n]["value"].clone();
    assert_eq!(value(0), json!({"stringValue": "é\n"}));
    assert_eq!(value(1), json!({"boolValue": false}));
    assert_eq!(value(2), json!({"intValue": "-9223372036854775808"}));
    assert_eq!(value(3), json!({"intValue": "7"}));
    assert_eq!(value(4), json!({"doubleValue": 0.1}));
    assert_eq!(value(5), json!({"doubleValue": "NaN"}));
    assert_eq!(value(6), json!({"doubleValue": "-Infinity"}));
    assert_eq!(value(7), json!({"bytesValue": "AP+A"}));
    assert_eq!(value(8), json!({"arrayValue": {"values": [{"intValue": "1"}, {}]}}));
    assert_eq!(value(9)["kvlistValue"]["values"][0]["key"], "x");
    rewritten(Signal::Traces, &bytes);
}

#[test]
fn what_is_no_otlp_json() {
    for (name, member) in [
        ("enums are integers only", r#","kind":"SPAN_KIND_SERVER""#),
        ("... of a status, too", r#","status":{"code":"STATUS_CODE_OK"}"#),
        ("ids are hex and not base64", r#","parentSpanId":"7uGbfsPBsXQ=""#),
        ("ids have whole bytes", r#","parentSpanId":"abc""#),
        ("a number that is none", r#","startTimeUnixNano":"x""#),
        ("a number out of range", r#","startTimeUnixNano":"-1""#),
        ("a list is no object", r#","attributes":{}"#),
        ("an object is no text", r#","name":{}"#),
        ("text that is cut", r#","name":""#),
    ] {
        let error = request_from_json(Signal::Traces, &span(member), &mut Vec::new());
        assert!(error.is_err(), "{name}");
    }
}
