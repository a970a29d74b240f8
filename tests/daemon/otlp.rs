//! OTLP through the real binary: spans and logs in by both transports, out by both, judged by the
//! official definitions on either side.

use std::collections::BTreeSet;
use std::net::TcpListener;

use prost::Message as _;

use super::fake_otlp::{Act, FakeOtlp};
use super::otlp_client::{OtlpClient, Outcome, Protocol};
use super::otlp_proto::common::any_value::Value;
use super::otlp_proto::common::{AnyValue, InstrumentationScope, KeyValue};
use super::otlp_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use super::otlp_proto::logs_service::ExportLogsServiceRequest;
use super::otlp_proto::resource::Resource;
use super::otlp_proto::trace::{ResourceSpans, ScopeSpans, Span, Status, span};
use super::otlp_proto::trace_service::ExportTraceServiceRequest;
use super::rig::{Place, until};
use super::sick_disks::Fault;

/// A receiver on a runtime of its own, which clients may use too.
pub(crate) struct Receiver {
    pub(crate) fake: FakeOtlp,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let fake = runtime.block_on(FakeOtlp::start());
        Self { fake, runtime }
    }

    pub(crate) fn send(&self, client: &OtlpClient, request: &ExportTraceServiceRequest) -> Outcome {
        self.runtime.block_on(client.traces(request.encode_to_vec()))
    }
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// OTLP in at `port`, spans and logs out to the receiver.
pub(crate) fn config(receiver: &Receiver, port: u16, more: &str) -> String {
    format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ otlp: {{ type: otlp, grpc: \"127.0.0.1:{port}\", http: off }} }}\n\
         sinks:\n  tempo: {{ type: otlp, endpoint: \"{}\", concurrency: 1, \
           batch: {{ max_age: 20ms }}, retry: {{ initial: 20ms, max: 200ms }}{more} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        receiver.fake.url()
    )
}

/// Waits until the server answers.
pub(crate) fn ready(receiver: &Receiver, client: &OtlpClient) {
    let empty = ExportTraceServiceRequest::default();
    let stored = Outcome::Stored { n_rejected: 0 };
    until("the source answers", || receiver.send(client, &empty) == stored);
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value }
}

/// A span of everything that there is.
pub(crate) fn span(n: u64, mail: &str) -> Span {
    Span {
        trace_id: (u128::from(n) + 1).to_be_bytes().to_vec(),
        span_id: (n + 1).to_be_bytes().to_vec(),
        trace_state: "vendor=1".to_owned(),
        parent_span_id: 7u64.to_be_bytes().to_vec(),
        flags: 0x101,
        name: "predict".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000 + n,
        end_time_unix_nano: 1_700_000_000_250_000_000 + n,
        attributes: vec![
            text("request_id", &format!("r-{n}")),
            text("mail", mail),
            attribute("n", Value::IntValue(-5)),
            attribute("d", Value::DoubleValue(0.1)),
            attribute("b", Value::BoolValue(true)),
            attribute("raw", Value::BytesValue(vec![0, 1, 2])),
        ],
        dropped_attributes_count: 3,
        events: vec![span::Event {
            time_unix_nano: 5,
            name: "exception".to_owned(),
            attributes: vec![text("exception.message", mail)],
            dropped_attributes_count: 1,
        }],
        dropped_events_count: 2,
        links: vec![span::Link {
            trace_id: 9u128.to_be_bytes().to_vec(),
            span_id: 9u64.to_be_bytes().to_vec(),
            trace_state: String::new(),
            attributes: vec![text("l", "x")],
            dropped_attributes_count: 1,
            flags: 1,
        }],
        dropped_links_count: 4,
        status: Some(Status { message: mail.to_owned(), code: 2 }),
    }
}

pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope { name: "lib".to_owned(), ..InstrumentationScope::default() };
    let attributes = vec![text("service.name", "fraud"), text("owner", "nobody")];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
                schema_url: "https://opentelemetry.io/schemas/1.9.0".to_owned(),
            }],
            schema_url: String::new(),
        }],
    }
}

/// What comes out is what came in, but for what must not leave: in all four ways.
#[test]
fn spans_pass_losslessly() {
    for (protocol, out) in [
        (Protocol::Grpc, ", protocol: grpc"),
        (Protocol::Http, ", protocol: http, compression: zstd"),
        (Protocol::Grpc, ", protocol: http, compression: none"),
        (Protocol::Http, ", protocol: grpc, compression: none"),
    ] {
        let receiver = Receiver::start();
        receiver.fake.keep();
        let port = free_port();
        let mut place = Place::with(&config(&receiver, port, out));
        let mut daemon = place.daemon(&[]);
        let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), protocol);
        ready(&receiver, &client);
        let mut sent: Vec<Span> = (0..300).map(|n| span(n, "nobody")).collect();
        sent.push(span(300, "ann@example.com"));
        let outcome = receiver.send(&client, &request(sent.clone()));
        assert_eq!(outcome, Outcome::Stored { n_rejected: 0 }, "{protocol:?}{out}");
        until("all spans", || receiver.fake.n_spans() == sent.len());
        sent[300] = span(300, "[email]");
        assert_eq!(receiver.fake.spans(), sent, "{protocol:?}{out}");
        let shared = &receiver.fake.resource_spans()[0];
        assert_eq!(shared.resource, request(Vec::new()).resource_spans[0].resource);
        assert_eq!(shared.scope_spans[0].schema_url, "https://opentelemetry.io/schemas/1.9.0");
        let metrics = daemon.metrics_when("delivered", |metrics| {
            metrics.route("delivered_events_total", "traces", "tempo") == 301
        });
        metrics.assert_balanced();
        daemon.stop();
    }
}

/// Records with everything that there is: one whose body is the model's JSON, and one of text.
fn log_records() -> Vec<LogRecord> {
    let record = |body: &str, attributes: Vec<KeyValue>| LogRecord {
        time_unix_nano: 1_700_000_000_000_000_001,
        severity_number: 10,
        severity_text: "Notice".to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(body.to_owned())) }),
        attributes,
        flags: 1,
        trace_id: 77u128.to_be_bytes().to_vec(),
        span_id: 78u64.to_be_bytes().to_vec(),
        event_name: "e".to_owned(),
        dropped_attributes_count: 2,
        ..LogRecord::default()
    };
    let json =
        r#"{"event": "prediction", "request_id": "r-7", "prediction": 0.50, "confidence":0.9}"#;
    let attributes = vec![
        attribute("n", Value::IntValue(7)),
        attribute("d", Value::DoubleValue(7.0)),
        text("mail", "nobody"),
    ];
    vec![record(json, Vec::new()), record("plain \"text\"\nof two lines", attributes)]
}

/// Log records come out as they went in: bodies, attributes and their types, ids, scopes.
#[test]
fn log_records_pass() {
    let receiver = Receiver::start();
    let port = free_port();
    let mut place = Place::with(&config(&receiver, port, ""));
    let mut daemon = place.daemon(&[]);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
    ready(&receiver, &client);
    let scope = InstrumentationScope { name: "lib".to_owned(), ..InstrumentationScope::default() };
    let scope_logs = ScopeLogs {
        scope: Some(scope.clone()),
        log_records: log_records(),
        ..ScopeLogs::default()
    };
    let attributes = vec![text("service.name", "fraud"), text("owner", "ann@example.com")];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_logs = vec![scope_logs];
    let logs = ResourceLogs { resource, scope_logs, ..ResourceLogs::default() };
    let logs = ExportLogsServiceRequest { resource_logs: vec![logs] };
    let outcome = receiver.runtime.block_on(client.logs(logs.encode_to_vec()));
    assert_eq!(outcome, Outcome::Stored { n_rejected: 0 });
    until("both", || receiver.fake.resource_logs().len() == 2);
    let mut came = Vec::new();
    for resource in receiver.fake.resource_logs() {
        let attributes = resource.resource.expect("a resource").attributes;
        assert!(attributes.contains(&text("service.name", "fraud")), "{attributes:?}");
        assert!(attributes.contains(&text("owner", "[email]")), "{attributes:?}");
        for logs in resource.scope_logs {
            assert_eq!(logs.scope.as_ref(), Some(&scope));
            came.extend(logs.log_records);
        }
    }
    for record in &mut came {
        record.observed_time_unix_nano = 0;
    }
    came.sort_by_key(|record| record.attributes.len());
    assert_eq!(came, log_records());
    // The model's own JSON was understood: a prediction, and not an application log.
    let metrics = daemon.metrics_when("delivered", |metrics| {
        metrics.route("delivered_events_total", "prediction_logs", "tempo") == 1
    });
    metrics.assert_balanced();
    daemon.stop();
}

/// Every way to fail, one after the other: nothing is lost, and what was refused is a dead letter.
#[test]
fn a_receiver_that_fails_in_every_way() {
    for protocol in ["grpc", "http"] {
        let receiver = Receiver::start();
        let port = free_port();
        let mut place = Place::with(&config(&receiver, port, &format!(", protocol: {protocol}")));
        let mut daemon = place.daemon(&[]);
        let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
        ready(&receiver, &client);
        let acts = [
            Act::Fail(14),
            Act::Break,
            Act::Later(8, 30),
            Act::StoreAndBreak,
            Act::Fail(8),
            Act::Reject(2),
            Act::Fail(3),
        ];
        for (round, act) in acts.into_iter().enumerate() {
            receiver.fake.will([act]);
            let spans = (0..10).map(|n| span(round as u64 * 10 + n, "nobody")).collect();
            let outcome = receiver.send(&client, &request(spans));
            assert_eq!(outcome, Outcome::Stored { n_rejected: 0 });
            let settled = (round as u64 + 1) * 10;
            daemon.metrics_when("settled", |metrics| {
                let of = |name| metrics.route(name, "traces", "tempo");
                of("delivered_events_total") + of("dead_letter_events_total") == settled
            });
        }
        let metrics = daemon.metrics();
        assert_eq!(metrics.route("dead_letter_events_total", "traces", "tempo"), 12, "{protocol}");
        metrics.assert_balanced();
        assert_eq!(receiver.fake.n_spans(), 60, "{protocol}");
        daemon.stop();
        let (code, letters, _) = place.output(&["spool", "dead-letters", "spool"]);
        assert_eq!(code, 0);
        assert!(letters.contains("predict"), "{letters}");
    }
}

/// While nothing can be stored, clients are asked to come again, and lose nothing by it.
#[test]
fn a_full_spool_sends_clients_away_for_a_while() {
    let receiver = Receiver::start();
    let port = free_port();
    let tiers = "tiers: { traces: { sinks: [{ name: tempo, when_full: block }] }, \
                 application_logs: { sinks: [tempo] }, prediction_logs: { sinks: [tempo] } }\n";
    let config = config(&receiver, port, "").replace("\"@/spool\"", "\"@/spool\", max: 64MiB");
    let mut place = Place::with(&(config + tiers));
    let mut daemon = place.daemon(&[]);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
    ready(&receiver, &client);
    receiver.fake.will(std::iter::repeat_n(Act::Fail(14), 1_000_000));
    let (mut n, mut sent) = (0, BTreeSet::new());
    loop {
        let spans: Vec<Span> = (0..500).map(|i| span(n + i, "nobody")).collect();
        match receiver.send(&client, &request(spans)) {
            Outcome::Stored { .. } => sent.extend(n..n + 500),
            Outcome::Again { has_delay } => {
                assert!(has_delay, "the client is told when");
                break;
            }
            Outcome::Refused { code, words } => panic!("refused: {code} {words}"),
        }
        n += 500;
        assert!(n < 1_000_000, "the spool never fills");
    }
    receiver.fake.recover();
    until("it takes again", || {
        let spans = (0..500).map(|i| span(n + i, "nobody")).collect();
        receiver.send(&client, &request(spans)) == Outcome::Stored { n_rejected: 0 }
    });
    sent.extend(n..n + 500);
    until("all spans", || receiver.fake.n_spans() >= sent.len());
    let metrics = daemon.metrics_when("nothing is spooled", |metrics| {
        metrics.route("spooled_events", "traces", "tempo") == 0
    });
    assert_eq!(metrics.dropped("traces", "tempo"), 0);
    metrics.assert_balanced();
    daemon.stop();
}

/// Clients that send much at one time are not sent away by a spool that has room, however long a
/// sync takes.
#[test]
fn large_requests_at_one_time_are_taken() {
    const CLIENTS: u64 = 16;
    let receiver = Receiver::start();
    let port = free_port();
    let mut place = Place::with(&config(&receiver, port, ", compression: none"));
    let mut daemon = place.daemon(&[]);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Http);
    ready(&receiver, &client);
    let body_of = |n: u64| {
        let spans = (0..1000).map(|i| span(n * 1000 + i, "nobody")).collect();
        request(spans).encode_to_vec()
    };
    let bodies: Vec<Vec<u8>> = (0..CLIENTS).map(body_of).collect();
    assert!(bodies[0].len() > 300_000, "{}", bodies[0].len());
    let _slow = Fault::begin(&daemon, &["fdatasync:delay_enter=300000"]);
    let sending = bodies.into_iter().map(|body| {
        let client = client.clone();
        receiver.runtime.spawn(async move { client.traces(body).await })
    });
    for sent in sending.collect::<Vec<_>>() {
        let outcome = receiver.runtime.block_on(sent).expect("sent");
        assert_eq!(outcome, Outcome::Stored { n_rejected: 0 });
    }
    let n_spans = CLIENTS as usize * 1000;
    until("all spans", || receiver.fake.n_spans() == n_spans);
    daemon.metrics_when("delivered", |metrics| {
        metrics.route("delivered_events_total", "traces", "tempo") == n_spans as u64
    });
    daemon.metrics().assert_balanced();
    daemon.stop();
}

/// What came by OTLP is found by the request's id and by the trace's, spans and all.
#[test]
fn show_follows_a_request_into_its_trace() {
    let (receiver, port) = (Receiver::start(), free_port());
    let config = format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ otlp: {{ type: otlp, grpc: \"127.0.0.1:{port}\", http: off }} }}\n"
    );
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
    ready(&receiver, &client);
    let mut spans = [span(0, "nobody"), span(1, "nobody")];
    for span in &mut spans {
        span.trace_id = 77u128.to_be_bytes().to_vec();
        span.attributes.clear();
    }
    spans[0].parent_span_id.clear();
    spans[1].parent_span_id.clone_from(&spans[0].span_id);
    let stored = Outcome::Stored { n_rejected: 0 };
    assert_eq!(receiver.send(&client, &request(spans.to_vec())), stored);
    let scope_logs = ScopeLogs { log_records: log_records(), ..ScopeLogs::default() };
    let logs = ResourceLogs { scope_logs: vec![scope_logs], ..ResourceLogs::default() };
    let logs = ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec();
    assert_eq!(receiver.runtime.block_on(client.logs(logs)), stored);
    daemon.stop();
    let trace = format!("{:032x}", 77);
    for id in ["r-7", &trace] {
        let found = place.show(id);
        let found = found["found"].as_array().expect("a list");
        let row = found.iter().find(|one| one["kind"] == "prediction_only").expect("a row");
        assert_eq!(row["fields"]["prediction"], 0.5, "{row}");
        assert_eq!(row["fields"]["confidence"], 0.9, "{row}");
        assert_eq!(row["fields"]["trace_id"], trace, "{row}");
        assert_eq!(found.iter().filter(|one| one["kind"] == "span").count(), 2, "{id}");
    }
    let (_, page, _) = place.output(&["show", "r-7"]);
    assert!(page.contains(&format!("trace {trace} (2 spans)")), "{page}");
    let tree = "  +0.000 ms   250.000 ms  predict  failed\n  \
                +0.000 ms   250.000 ms    predict  failed\n";
    assert!(page.contains(tree), "{page}");
}
