//! OpenTelemetry's own SDK to the real binary, and from there to the real Tempo and the real
//! Jaeger: what is queried back is what the SDK says that it sent. Needs
//! `SIDEWAKE_TEST_CLIENT_OTLP` (`tests/clients/clients install otlp` prints it),
//! `SIDEWAKE_TEST_TEMPO` and `SIDEWAKE_TEST_JAEGER` (`tests/backends/backends start tempo jaeger`);
//! without them each test says that it skipped.

#[path = "daemon/http.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod http;
#[path = "otlp_proto/messages.rs"]
mod otlp_proto;
#[path = "daemon/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod rig;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::SystemTime;

use prost::Message as _;
use serde_json::{Value, json};
use sidewake::event::otlp::json::request_from_json;
use sidewake::event::signal::Signal;

use otlp_proto::common::any_value::Value as Any;
use otlp_proto::common::{AnyValue, KeyValue};
use otlp_proto::resource::Resource;
use otlp_proto::trace::{ScopeSpans, Span};
use otlp_proto::trace_service::ExportTraceServiceRequest;
use rig::{Daemon, Place, until};

const N_SPANS: usize = 100;

/// Each way into the daemon, and each way out of it.
#[test]
fn spans_are_queried_back() {
    let Some(real) = Real::find("spans_are_queried_back") else { return };
    for (protocol, tempo_by, jaeger_by) in
        [("grpc", "grpc", "http"), ("http/protobuf", "http", "grpc"), ("http/json", "grpc", "http")]
    {
        let tenant = format!("real-{}", now_ns());
        let port = free_port();
        let mut place = Place::with(&real.config(port, &tenant, tempo_by, jaeger_by));
        let mut daemon = place.daemon(&[]);
        until("the source listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let said = real.client(protocol, port);
        assert_eq!(said.len(), N_SPANS);
        let metrics = daemon.metrics_when("all is delivered", |metrics| {
            ["tempo", "jaeger"].iter().all(|sink| {
                metrics.route("delivered_events_total", "traces", sink) == N_SPANS as u64
            })
        });
        metrics.assert_balanced();
        let traces: BTreeSet<&str> =
            said.values().map(|span| span["trace_id"].as_str().expect("an id")).collect();
        let (mut in_tempo, mut in_jaeger) = (BTreeMap::new(), BTreeMap::new());
        for trace in traces {
            in_tempo.extend(real.of_tempo(trace, &tenant));
            in_jaeger.extend(real.of_jaeger(trace));
        }
        for (id, span) in &said {
            assert_eq!(in_tempo.get(id), Some(span), "{id} in Tempo, {protocol}");
            assert_eq!(in_jaeger.get(id), Some(span), "{id} in Jaeger, {protocol}");
        }
        assert_eq!((in_tempo.len(), in_jaeger.len()), (N_SPANS, N_SPANS));
        daemon.stop();
    }
}

/// Tempo without a tenant: the route says what it lacks, nothing is lost, and a tenant mends it.
#[test]
fn a_tenant_that_is_missing() {
    let Some(real) = Real::find("a_tenant_that_is_missing") else { return };
    for by in ["grpc", "http"] {
        let tenant = format!("late-{}", now_ns());
        let port = free_port();
        let config = real.config(port, &tenant, by, "grpc");
        let without = config.replace(&format!(", tenant: {tenant}"), "");
        assert_ne!(config, without);
        let mut place = Place::with(&without);
        let mut daemon = place.daemon(&[]);
        until("the source listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let said = real.client("grpc", port);
        until("the route says so", || {
            let route = tempo_route(&daemon);
            let error = route["last_error"]["text"].as_str().unwrap_or_default().to_owned();
            route["state"] == "unauthorised" && error.contains("no org id")
        });
        daemon.stop();
        place.configure(&config);
        let mut daemon = place.daemon(&[]);
        daemon.metrics_when("all is delivered", |metrics| {
            metrics.route("delivered_events_total", "traces", "tempo") == N_SPANS as u64
        });
        let first = said.values().next().expect("a span");
        let trace = first["trace_id"].as_str().expect("an id");
        assert!(!real.of_tempo(trace, &tenant).is_empty());
        daemon.stop();
    }
}

/// Tempo cuts long attributes without a word to their sender: what it says that it cut is what we
/// say, and Jaeger keeps them whole.
#[test]
fn attributes_that_tempo_cuts_are_counted() {
    let Some(real) = Real::find("attributes_that_tempo_cuts_are_counted") else { return };
    let tenant = format!("long-{}", now_ns());
    let port = free_port();
    let mut place = Place::with(&real.config(port, &tenant, "grpc", "grpc"));
    let mut daemon = place.daemon(&[]);
    until("the source listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let trace = format!("{:032x}", now_ns());
    let text = |key: &str, len: usize| json!({"key": key, "value": {"stringValue": "long ".repeat(len / 5)}});
    let span = json!({
        "traceId": trace, "spanId": "00000000000000aa", "name": "generate",
        "startTimeUnixNano": now_ns().to_string(), "endTimeUnixNano": now_ns().to_string(),
        "attributes": [text("prompt", 3000), text("answer", 2050), text("short", 2045)],
        "events": [{"name": "token", "attributes": [text("stacktrace", 5000)]}],
    });
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": [text("process.command_args", 4000)]},
        "scopeSpans": [{"spans": [span]}],
    }]});
    post(port, "/v1/traces", &request.to_string());
    let metrics = daemon.metrics_when("all is delivered", |metrics| {
        let of = |sink| metrics.route("delivered_events_total", "traces", sink);
        of("tempo") == 1 && of("jaeger") == 1
    });
    assert_eq!(metrics.route("truncated_values_total", "traces", "tempo"), 4);
    // Whatever takes OTLP could be Tempo, unless its config says what it keeps.
    assert_eq!(metrics.route("truncated_values_total", "traces", "jaeger"), 0);
    let counted =
        format!("tempo_distributor_attributes_truncated_total{{tenant=\"{tenant}\"}} 4\n");
    until("Tempo says so too", || {
        let metrics = found(&real.tempo, "/metrics", "");
        String::from_utf8_lossy(&metrics).contains(&counted)
    });
    let prompt_len = |spans: BTreeMap<String, Value>| {
        let span = spans.into_values().next().expect("the span");
        span["attributes"]["prompt"].as_str().map(str::len)
    };
    assert_eq!(prompt_len(real.of_tempo(&trace, &tenant)), Some(2048));
    assert_eq!(prompt_len(real.of_jaeger(&trace)), Some(3000));
    daemon.stop();
    assert!(daemon.stderr().contains("it cuts them"), "{}", daemon.stderr());
}

/// Sends JSON to the source.
fn post(port: u16, path: &str, json: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let len = json.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {len}\r\n\r\n"
    );
    stream.write_all((head + json).as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.contains(" 200 "), "{answer}");
}

fn tempo_route(daemon: &Daemon) -> Value {
    let (_, status) = daemon.get("/status");
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let routes = status["routes"].as_array().expect("routes");
    let is_it = |route: &&Value| route["tier"] == "traces" && route["sink"] == "tempo";
    routes.iter().find(is_it).expect("the route").clone()
}

/// The servers, and the client's Python.
struct Real {
    python: String,
    tempo: String,
    tempo_grpc: String,
    tempo_http: String,
    jaeger: String,
    jaeger_grpc: String,
    jaeger_http: String,
}

impl Real {
    fn find(test: &str) -> Option<Self> {
        let of = |name: &str| std::env::var(format!("SIDEWAKE_TEST_{name}")).ok();
        let find = || {
            Some(Self {
                python: of("CLIENT_OTLP")?,
                tempo: of("TEMPO")?,
                tempo_grpc: of("TEMPO_OTLP")?,
                tempo_http: of("TEMPO_OTLP_HTTP")?,
                jaeger: of("JAEGER")?,
                jaeger_grpc: of("JAEGER_OTLP")?,
                jaeger_http: of("JAEGER_OTLP_HTTP")?,
            })
        };
        let real = find();
        if real.is_none() {
            eprintln!(
                "skipped: {test} needs SIDEWAKE_TEST_CLIENT_OTLP, SIDEWAKE_TEST_TEMPO and \
                 SIDEWAKE_TEST_JAEGER"
            );
        }
        real
    }

    fn config(&self, port: u16, tenant: &str, tempo_by: &str, jaeger_by: &str) -> String {
        let of = |by, grpc, http| if by == "grpc" { grpc } else { http };
        let tempo = of(tempo_by, &self.tempo_grpc, &self.tempo_http);
        let jaeger = of(jaeger_by, &self.jaeger_grpc, &self.jaeger_http);
        let common = "batch: { max_age: 20ms }, retry: { initial: 20ms, max: 200ms }";
        format!(
            "service: {{ name: fraud-detector }}\n\
             sources: {{ otlp: {{ type: otlp, grpc: \"127.0.0.1:{port}\", http: off }} }}\n\
             sinks:\n  \
               tempo: {{ type: otlp, endpoint: \"{tempo}\", protocol: {tempo_by}, {common}\
               , tenant: {tenant} }}\n  \
               jaeger: {{ type: otlp, endpoint: \"{jaeger}\", protocol: {jaeger_by}, {common}, \
               max_attribute: 1MiB }}\n\
             tiers:\n  traces: {{ retention: 7 days, sinks: [tempo, jaeger] }}\n  \
               application_logs: {{ retention: 7 days, sinks: [jaeger] }}\n  \
               prediction_logs: {{ retention: 7 days, sinks: [jaeger] }}\n\
             spool: {{ type: disk, path: \"@/spool\" }}\n"
        )
    }

    /// Sends spans, and gives back what was said of each, by its id.
    fn client(&self, protocol: &str, port: u16) -> BTreeMap<String, Value> {
        let output = Command::new(&self.python)
            .args(["tests/clients/otel_client.py", "--protocol", protocol])
            .args(["--endpoint", &format!("http://127.0.0.1:{port}")])
            .args(["--spans", &N_SPANS.to_string(), "--batch", "30", "--gzip"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the client runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        let spans = said.lines().map(|line| {
            let mut span: Value = serde_json::from_str(line).expect("JSON");
            let members = span.as_object_mut().expect("an object");
            members.shift_remove("signal");
            let message = &mut members["status"]["message"];
            if message.is_null() {
                *message = json!("");
            }
            (span["span_id"].as_str().expect("an id").to_owned(), span)
        });
        spans.collect()
    }

    /// A trace's spans as Tempo tells them; its own messages have OTLP's layout.
    fn of_tempo(&self, trace: &str, tenant: &str) -> BTreeMap<String, Value> {
        let headers = format!("X-Scope-OrgID: {tenant}\r\nAccept: application/protobuf\r\n");
        let body = found(&self.tempo, &format!("/api/traces/{trace}"), &headers);
        told(&ExportTraceServiceRequest::decode(&*body).expect("a trace"))
    }

    /// The same of Jaeger, which answers with OTLP's JSON.
    fn of_jaeger(&self, trace: &str) -> BTreeMap<String, Value> {
        let body = found(&self.jaeger, &format!("/api/v3/traces/{trace}"), "");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let result = serde_json::to_vec(&answer["result"]).expect("JSON");
        let mut bytes = Vec::new();
        request_from_json(Signal::Traces, &result, &mut bytes).expect("OTLP's JSON");
        told(&ExportTraceServiceRequest::decode(&*bytes).expect("a trace"))
    }
}

fn now_ns() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The body of an answer, once there is one.
fn found(url: &str, path: &str, headers: &str) -> Vec<u8> {
    let host = url.trim_start_matches("http://");
    let mut body = Vec::new();
    until("the trace is found", || {
        let mut stream = TcpStream::connect(host).expect("connected");
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
        body = answer.split_off(end + 4);
        String::from_utf8_lossy(&answer).contains(" 200 ")
    });
    body
}

/// Every span in the client's words, by its id.
fn told(request: &ExportTraceServiceRequest) -> BTreeMap<String, Value> {
    let mut spans = BTreeMap::new();
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let of = resource.resource.as_ref();
                spans.insert(hex(&span.span_id), told_span(span, scope, of));
            }
        }
    }
    spans
}

fn told_span(span: &Span, scope: &ScopeSpans, resource: Option<&Resource>) -> Value {
    let status = span.status.clone().unwrap_or_default();
    let events = span.events.iter().map(|event| {
        json!({"name": event.name, "time_ns": event.time_unix_nano,
            "attributes": attributes(&event.attributes)})
    });
    let links = span
        .links
        .iter()
        .map(|link| json!({"trace_id": hex(&link.trace_id), "span_id": hex(&link.span_id)}));
    let parent = Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty());
    let scope = scope.scope.clone().unwrap_or_default();
    let code = status.code().as_str_name().trim_start_matches("STATUS_CODE_").to_owned();
    json!({
        "trace_id": hex(&span.trace_id),
        "span_id": hex(&span.span_id),
        "parent_span_id": parent,
        "name": span.name,
        "kind": span.kind().as_str_name().trim_start_matches("SPAN_KIND_"),
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "status": {"code": code, "message": status.message},
        "attributes": attributes(&span.attributes),
        "events": events.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "scope": {"name": scope.name, "version": scope.version},
        "resource": resource.map(|resource| attributes(&resource.attributes)),
    })
}

/// All but what Jaeger adds by itself: warnings about clocks.
fn attributes(attributes: &[KeyValue]) -> Value {
    let attributes = attributes.iter().filter(|one| !one.key.starts_with("@jaeger@"));
    attributes.map(|one| (one.key.clone(), value(one.value.as_ref()))).collect()
}

fn value(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(bool)) => json!(bool),
        Some(Any::IntValue(int)) => json!(int),
        Some(Any::DoubleValue(double)) => json!(double),
        other => panic!("the client sends no {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
