//! Jaeger's clients through the real binary: their datagrams and bodies (`tests/fixtures/jaeger`)
//! reach an OTLP receiver as the spans that they are, and what is none does no harm.

use std::net::UdpSocket;

use prost::Message as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use rustix::process::Signal;
use sidewake::sources::jaeger::{Protocol, spans};

use super::fake_otlp::Act;
use super::files::Random;
use super::http::Metrics;
use super::otlp::Receiver;
use super::otlp_proto::trace::Span;
use super::otlp_proto::trace_service::ExportTraceServiceRequest;
use super::rig::{Daemon, Place, until};

#[path = "../thrift/tree.rs"]
#[allow(dead_code, reason = "shared with the tests of the conversion, which use more of it")]
mod tree;

/// How values are written, for `tree`.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Compact,
    Binary,
}

const CLIENT_COMPACT: &[u8] = include_bytes!("../fixtures/jaeger/client.compact");
const CLIENT_BINARY: &[u8] = include_bytes!("../fixtures/jaeger/client.binary");
const CLIENT_OLD: &[u8] = include_bytes!("../fixtures/jaeger/client.binary-old");
const CLIENT_BARE: &[u8] = include_bytes!("../fixtures/jaeger/client.bare");
const EXPORTER_COMPACT: &[u8] = include_bytes!("../fixtures/jaeger/exporter.compact");
const EXPORTER_BARE: &[u8] = include_bytes!("../fixtures/jaeger/exporter.bare");

/// Jaeger in on free ports, spans out to the receiver.
fn config(receiver: &Receiver) -> String {
    format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ jaeger: {{ type: jaeger, compact: \"127.0.0.1:0\", binary: \"127.0.0.1:0\", \
           http: \"127.0.0.1:0\" }} }}\n\
         sinks:\n  tempo: {{ type: otlp, endpoint: \"{}\", concurrency: 1, \
           batch: {{ max_age: 20ms }}, retry: {{ initial: 20ms, max: 200ms }} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        receiver.fake.url()
    )
}

/// Where the source listens for compact datagrams, for binary ones, and for HTTP.
fn addresses(daemon: &Daemon) -> [String; 3] {
    let of = |is_it: &dyn Fn(&serde_json::Value) -> bool| {
        let mut address = String::new();
        until("an address", || {
            let logs = daemon.stderr();
            let lines = logs.lines().filter_map(|line| serde_json::from_str(line).ok());
            let found = lines.into_iter().find(|line| is_it(line));
            address = found.map_or_else(String::new, |line| {
                line["address"].as_str().unwrap_or_default().to_owned()
            });
            !address.is_empty()
        });
        address
    };
    let http = of(&|line| line["message"] == "listening for Jaeger's batches over HTTP");
    [of(&|line| line["protocol"] == "Compact"), of(&|line| line["protocol"] == "Binary"), http]
}

fn send(address: &str, datagram: &[u8]) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(datagram, address).expect("sent");
}

/// What a batch is, by the conversion that `src/sources/jaeger/tests.rs` holds to its goldens.
fn meant(bytes: &[u8], protocol: Protocol) -> Vec<Span> {
    let converted = spans(bytes, protocol).expect("a batch");
    let request = ExportTraceServiceRequest::decode(&*converted.request).expect("a request");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn sorted(mut spans: Vec<Span>) -> Vec<String> {
    spans.sort_by(|a, b| a.span_id.cmp(&b.span_id));
    spans.iter().map(|span| format!("{span:?}")).collect()
}

fn client() -> reqwest::Client {
    let provider = rustls::crypto::ring::default_provider();
    let tls = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    builder.build().expect("a client")
}

fn post(http: &str) -> RequestBuilder {
    let url = format!("http://{http}/api/traces?format=jaeger.thrift");
    client().post(url).header("content-type", "application/x-thrift")
}

fn status(receiver: &Receiver, request: RequestBuilder) -> u16 {
    let answer = receiver.runtime.block_on(request.send()).expect("an answer");
    answer.status().as_u16()
}

fn of_source(metrics: &Metrics, name: &str) -> u64 {
    metrics.get(&format!("sidewake_source_{name}_total{{source=\"jaeger\"}}")) as u64
}

fn lost(metrics: &Metrics, reason: &str) -> u64 {
    let of = format!("{{source=\"jaeger\",reason=\"{reason}\"}}");
    metrics.get(&format!("sidewake_source_lost_datagrams_total{of}")) as u64
}

/// Every golden, by the way that it was meant for, comes out as what it says.
#[test]
fn datagrams_and_bodies_become_spans() {
    let receiver = Receiver::start();
    receiver.fake.keep();
    let mut place = Place::with(&config(&receiver));
    let mut daemon = place.daemon(&[]);
    let [compact, binary, http] = addresses(&daemon);
    let mut expected = Vec::new();
    for (bytes, protocol) in [
        (CLIENT_COMPACT, Protocol::Compact),
        (CLIENT_BINARY, Protocol::Binary),
        (CLIENT_OLD, Protocol::Binary),
        (EXPORTER_COMPACT, Protocol::Compact),
        (CLIENT_BARE, Protocol::Bare),
        (EXPORTER_BARE, Protocol::Bare),
    ] {
        match protocol {
            Protocol::Compact => send(&compact, bytes),
            Protocol::Binary => send(&binary, bytes),
            Protocol::Bare => assert_eq!(status(&receiver, post(&http).body(bytes)), 202),
        }
        expected.extend(meant(bytes, protocol));
        until("its spans", || receiver.fake.spans().len() == expected.len());
    }
    assert_eq!(sorted(receiver.fake.spans()), sorted(expected));
    let resources = receiver.fake.resource_spans();
    let has_host = |name: &str| {
        let attributes = resources.iter().filter_map(|one| one.resource.as_ref());
        attributes.flat_map(|one| &one.attributes).any(|one| one.key == name)
    };
    assert!(has_host("host.name") && !has_host("hostname"));
    let metrics = daemon.metrics_when("delivered", |metrics| {
        metrics.route("delivered_events_total", "traces", "tempo") == 22
    });
    assert_eq!((of_source(&metrics, "received_events"), of_source(&metrics, "errors")), (22, 0));
    let reasons = ["receive_buffer_full", "spool_unavailable", "no_tier"];
    assert_eq!(reasons.map(|reason| lost(&metrics, reason)), [0; 3]);
    metrics.assert_balanced();
    daemon.stop();
}

/// Each of HTTP's refusals, and that junk is counted and nothing else.
#[test]
fn what_is_no_batch_does_no_harm() {
    let receiver = Receiver::start();
    let mut place = Place::with(&config(&receiver));
    let mut daemon = place.daemon(&[]);
    let [compact, binary, http] = addresses(&daemon);
    let junk: [&[u8]; 5] = [b"", b"junk", &[0x82; 300], &CLIENT_COMPACT[..200], &[0xff; 60_000]];
    for datagram in junk {
        send(&compact, datagram);
        send(&binary, datagram);
    }
    let head = |name, value: &'static str| (name, value);
    let good = ("content-type", "application/vnd.apache.thrift.binary; charset=x");
    for (code, header, body) in [
        (415, head("content-type", "application/json"), CLIENT_BARE),
        (415, head("content-encoding", "lz4"), CLIENT_BARE),
        (400, head("content-encoding", "gzip"), CLIENT_BARE),
        (400, good, &CLIENT_BARE[..100]),
        (400, good, b""),
        (413, good, &[0; 9 << 20]),
        (202, good, CLIENT_BARE),
    ] {
        let (name, value) = header;
        let mut request = post(&http).body(body).build().expect("a request");
        let value = reqwest::header::HeaderValue::from_static(value);
        request.headers_mut().insert(name, value);
        let answer = receiver.runtime.block_on(client().execute(request)).expect("an answer");
        assert_eq!(answer.status().as_u16(), code, "{header:?}");
    }
    let mut get = post(&http).build().expect("a request");
    *get.method_mut() = Method::GET;
    let answer = receiver.runtime.block_on(client().execute(get)).expect("an answer");
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()["allow"], "POST");
    let elsewhere = client().post(format!("http://{http}/v1/traces"));
    assert_eq!(status(&receiver, elsewhere), 404);
    send(&compact, CLIENT_COMPACT);
    let metrics = daemon.metrics_when("the good ones", |metrics| {
        metrics.route("delivered_events_total", "traces", "tempo") == 6
    });
    // Ten datagrams; broken gzip, two bodies that are none, and one too large.
    assert_eq!(of_source(&metrics, "errors"), 14);
    metrics.assert_balanced();
    daemon.stop();
}

/// What the kernel holds at SIGTERM is read and stored; what it dropped before is counted.
#[test]
fn what_came_before_the_end_is_read() {
    let receiver = Receiver::start();
    let mut place = Place::with(&config(&receiver));
    let mut daemon = place.daemon(&[]);
    let [compact, _, _] = addresses(&daemon);
    daemon.signal(Signal::STOP);
    for _ in 0..20 {
        send(&compact, EXPORTER_COMPACT);
    }
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::CONT);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
    // What was not delivered in the end is delivered now.
    let mut daemon = place.daemon(&[]);
    until("all spans", || {
        receiver.fake.seen().values().map(|s| s.answers.len()).sum::<usize>() >= 100
    });

    let [compact, _, _] = addresses(&daemon);
    let before = of_source(&daemon.metrics(), "received_events");
    daemon.signal(Signal::STOP);
    // Behind a batch anything may stand: 24 MB are more than any buffer of ours.
    let large = [EXPORTER_COMPACT, &[0; 58_000]].concat();
    for _ in 0..400 {
        send(&compact, &large);
    }
    daemon.signal(Signal::CONT);
    let metrics = daemon.metrics_when("all are accounted for", |metrics| {
        let n_read = (of_source(metrics, "received_events") - before) / 5;
        n_read + lost(metrics, "receive_buffer_full") == 400
    });
    assert!(lost(&metrics, "receive_buffer_full") > 0);
    daemon.stop();
}

const N_LARGE: u64 = 64;

/// Half a megabyte of spans that no packing makes small.
fn large_body(seed: u64) -> Vec<u8> {
    let mut random = Random::of(seed + 1);
    let spans = (1..=N_LARGE as i64).map(|id| {
        let words = (0..500).map(|_| format!("{:x} w ", random.below(u64::MAX)));
        tree::tagged(id, vec![tree::tag("words", tree::text(&words.collect::<String>()))])
    });
    tree::message(tree::batch(tree::process(Vec::new()), spans.collect()), Protocol::Bare)
}

/// Where nothing can be stored, bodies are sent away for a while, and datagrams counted.
#[test]
fn a_full_spool() {
    let receiver = Receiver::start();
    let tiers = "tiers: { traces: { sinks: [{ name: tempo, when_full: block }] }, \
                 application_logs: { sinks: [tempo] }, prediction_logs: { sinks: [tempo] } }\n";
    let config = config(&receiver)
        .replace("\"@/spool\"", "\"@/spool\", max: 64MiB, shares: { traces: 10% }");
    let mut place = Place::with(&(config + tiers));
    let mut daemon = place.daemon(&[]);
    let [compact, _, http] = addresses(&daemon);
    receiver.fake.will(std::iter::repeat_n(Act::Fail(14), 1_000_000));
    let mut n_stored = 0;
    loop {
        let answer = receiver.runtime.block_on(post(&http).body(large_body(n_stored)).send());
        let answer = answer.expect("an answer");
        match answer.status().as_u16() {
            202 => n_stored += N_LARGE,
            503 => {
                assert_eq!(answer.headers()["retry-after"], "1");
                break;
            }
            other => panic!("{other}"),
        }
        assert!(n_stored < 1_000_000, "the spool never fills");
    }
    for _ in 0..10 {
        send(&compact, CLIENT_COMPACT);
    }
    daemon.metrics_when("all are lost", |metrics| lost(metrics, "spool_unavailable") == 10);
    assert_eq!(daemon.stderr().matches("datagrams are dropped").count(), 1);
    receiver.fake.recover();
    until("it takes again", || status(&receiver, post(&http).body(EXPORTER_BARE)) == 202);
    send(&compact, CLIENT_COMPACT);
    let metrics = daemon.metrics_when("all is delivered", |metrics| {
        let n_delivered = metrics.route("delivered_events_total", "traces", "tempo");
        n_delivered == of_source(metrics, "received_events") && n_delivered >= n_stored + 8
    });
    assert_eq!(metrics.dropped("traces", "tempo"), 0);
    metrics.assert_balanced();
    daemon.stop();
}

/// Accepted is stored: a SIGKILL right behind the answer takes nothing away.
#[test]
fn accepted_is_durable() {
    let receiver = Receiver::start();
    receiver.fake.will(std::iter::repeat_n(Act::Fail(14), 1_000_000));
    let mut place = Place::with(&config(&receiver));
    let mut daemon = place.daemon(&[]);
    let [_, _, http] = addresses(&daemon);
    assert_eq!(status(&receiver, post(&http).body(CLIENT_BARE)), 202);
    daemon.kill();
    receiver.fake.recover();
    let mut daemon = place.daemon(&[]);
    until("its spans", || receiver.fake.n_spans() == 3);
    daemon.stop();
}

/// OpenTelemetry's classic exporter, unchanged, by both of its ways; needs the Python at
/// `SIDEWAKE_TEST_CLIENT_JAEGER`.
#[test]
fn the_classic_exporter() {
    let Ok(python) = std::env::var("SIDEWAKE_TEST_CLIENT_JAEGER") else {
        eprintln!("skipped: the_classic_exporter needs SIDEWAKE_TEST_CLIENT_JAEGER");
        return;
    };
    let receiver = Receiver::start();
    receiver.fake.keep();
    let mut place = Place::with(&config(&receiver));
    let mut daemon = place.daemon(&[]);
    let [compact, _, http] = addresses(&daemon);
    for (protocol, endpoint) in
        [("jaeger-compact", compact), ("jaeger-http", format!("http://{http}/api/traces"))]
    {
        let n_before = receiver.fake.spans().len();
        let output = std::process::Command::new(&python)
            .args(["tests/clients/otel_client.py", "--protocol", protocol])
            .args(["--endpoint", &endpoint, "--spans", "300"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the client runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        until("all spans", || receiver.fake.spans().len() == n_before + 300);
        let came = receiver.fake.spans().split_off(n_before);
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        for line in said.lines() {
            let said: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let id = said["span_id"].as_str().expect("an id");
            let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
            let span = came.iter().find(|span| hex(&span.span_id) == id).expect("it came");
            assert_eq!(said["trace_id"], hex(&span.trace_id));
            assert_eq!(said["name"], span.name);
            assert_eq!(said["start_ns"], span.start_time_unix_nano);
            assert_eq!(said["end_ns"], span.end_time_unix_nano);
            let n_events = said["events"].as_array().map(Vec::len);
            assert_eq!(n_events, Some(span.events.len()));
        }
    }
    daemon.stop();
}
