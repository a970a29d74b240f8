//! The real Jaeger at `SIDEWAKE_TEST_JAEGER` and its own receivers of Thrift
//! (`tests/backends/backends start jaeger` prints them): the same bytes given to them, and to ours
//! and then to Jaeger as OTLP, are the same spans when they are queried back. Without it each test
//! says in one line that it skipped.
//!
//! Owns the comparison, and the differences that are on purpose: over Thrift, Jaeger's receiver
//! leaves the scope and the trace state in attributes. Words that it does not know, it drops; they
//! are not compared.

#[path = "thrift/tree.rs"]
#[allow(dead_code)]
mod tree;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value, json};
use sidewake::sources::jaeger::{Protocol, spans};
use tree::{Tree, batch, message, process, reference, span, tag, tagged, text};

/// How values are written, for `tree`.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Compact,
    Binary,
}

const CLIENT_COMPACT: &[u8] = include_bytes!("fixtures/jaeger/client.compact");
const CLIENT_BINARY: &[u8] = include_bytes!("fixtures/jaeger/client.binary");
const CLIENT_BARE: &[u8] = include_bytes!("fixtures/jaeger/client.bare");
const EXPORTER_COMPACT: &[u8] = include_bytes!("fixtures/jaeger/exporter.compact");
const EXPORTER_BARE: &[u8] = include_bytes!("fixtures/jaeger/exporter.bare");

/// The trace ids in them, the high and the low half.
const CLIENT_TRACE: (u64, u64) = (0, 0x0807_0605_0403_0201);
const EXPORTER_TRACE: (u64, u64) = (0x8f0e_0d0c_0b0a_0908, 0x0706_0504_0302_0100);

#[test]
fn compact_messages() {
    let Some(server) = Server::find("compact_messages") else { return };
    server.check(CLIENT_COMPACT, CLIENT_TRACE, Protocol::Compact);
    server.check(EXPORTER_COMPACT, EXPORTER_TRACE, Protocol::Compact);
}

#[test]
fn binary_messages() {
    let Some(server) = Server::find("binary_messages") else { return };
    server.check(CLIENT_BINARY, CLIENT_TRACE, Protocol::Binary);
}

#[test]
fn bodies() {
    let Some(server) = Server::find("bodies") else { return };
    server.check(CLIENT_BARE, CLIENT_TRACE, Protocol::Bare);
    server.check(EXPORTER_BARE, EXPORTER_TRACE, Protocol::Bare);
}

/// All that kind and status are made of, each with each.
#[test]
fn kinds_and_statuses() {
    let Some(server) = Server::find("kinds_and_statuses") else { return };
    let words = |key: &'static str, words: &[&str]| -> Vec<Option<Tree>> {
        let some = words.iter().map(|word| Some(tag(key, text(word))));
        std::iter::once(None).chain(some).collect()
    };
    let mut errors = words("error", &["true"]);
    errors.extend([true, false].map(|bool| Some(tag("error", Tree::Bool(bool)))));
    let mut http_statuses = words("http.status_code", &["503", "x", ""]);
    let numbers = [-1, 0, 99, 100, 200, 398, 400, 404, 499, 500, 599, 600];
    http_statuses.extend(numbers.map(|n| Some(tag("http.status_code", Tree::I64(n)))));
    let all = [
        words("span.kind", &["client", "server", "producer", "consumer", "internal"]),
        errors,
        words("otel.status_code", &["OK", "ERROR", "error", "UNSET"]),
        words("otel.status_description", &["described"]),
        http_statuses,
        words("http.status_message", &["Not Found"]),
    ];
    let mut combined: Vec<Vec<Tree>> = vec![vec![]];
    for choice in &all {
        let with = |one: &Option<Tree>| {
            combined.iter().map(|tags| [&tags[..], one.as_slice()].concat()).collect::<Vec<_>>()
        };
        combined = choice.iter().flat_map(with).collect();
    }
    let spans_of = (1000..).zip(combined).map(|(id, tags)| tagged(id, tags)).collect();
    server.check_spans(spans_of);
}

/// References of each kind, to this trace and to another, in pairs, with and without a parent.
#[test]
fn parents_and_links() {
    let Some(server) = Server::find("parents_and_links") else { return };
    // To another trace never with the parent's span id: Jaeger takes that for the parent.
    let one = |n: i64| {
        let (low, id) = if n & 2 == 0 { (TREE_LOW, 7) } else { (0xcd, 17) };
        reference((n & 1) as i32, low, id + n / 4)
    };
    let mut references = vec![vec![]];
    references.extend((0..8).map(|n| vec![one(n)]));
    references.extend((0..64).map(|n| vec![one(n / 8), one(n % 8)]));
    let mut spans_of = Vec::new();
    for parent in [0, 7, 9] {
        for references in &references {
            let fields = vec![(4, Tree::I64(parent)), (6, Tree::List(references.clone()))];
            spans_of.push(span(1000 + spans_of.len() as i64, fields));
        }
    }
    server.check_spans(spans_of);
}

/// Events with and without a name, values of every type, keys twice.
#[test]
fn values_and_events() {
    let Some(server) = Server::find("values_and_events") else { return };
    let values = [
        text("x"),
        text(""),
        Tree::Bool(true),
        Tree::Bool(false),
        Tree::I64(i64::MIN),
        Tree::Double(-0.5),
    ];
    let mut spans_of = Vec::new();
    for a in &values {
        for b in &values {
            let tags = vec![tag("a", a.clone()), tag("b", b.clone()), tag("a", b.clone())];
            let fields = vec![tag("event", text("e")), tag("a", a.clone()), tag("a", b.clone())];
            let log = |fields| Tree::Struct(vec![(1, Tree::I64(77)), (2, Tree::List(fields))]);
            let logs = vec![log(fields), log(tags.clone()), log(vec![])];
            let more = vec![
                (5, text("name")),
                (8, Tree::I64(1_000_000)),
                (9, Tree::I64(5)),
                (10, Tree::List(tags)),
                (11, Tree::List(logs)),
            ];
            spans_of.push(span(1 + spans_of.len() as i64, more));
        }
    }
    server.check_spans(spans_of);
}

/// The low half of the trace id that `tree` gives a span.
const TREE_LOW: i64 = 0xab;

/// Where Jaeger answers and listens.
struct Server {
    query: String,
    otlp: String,
    compact: String,
    binary: String,
    thrift: String,
}

impl Server {
    fn find(test: &str) -> Option<Self> {
        let of = |name: &str| {
            let value = std::env::var(format!("SIDEWAKE_TEST_JAEGER{name}")).ok()?;
            let value = value.trim_start_matches("http://").trim_end_matches("/api/traces");
            Some(value.to_owned())
        };
        let find = || {
            Some(Self {
                query: of("")?,
                otlp: of("_OTLP_HTTP")?,
                compact: of("_COMPACT")?,
                binary: of("_BINARY")?,
                thrift: of("_THRIFT")?,
            })
        };
        let server = find();
        if server.is_none() {
            eprintln!("skipped: {test} needs SIDEWAKE_TEST_JAEGER and its receivers");
        }
        server
    }

    /// Jaeger makes the same of `bytes` as of our request. Each goes in as a trace of its own that
    /// no other run has used: the low half of `trace` is replaced.
    fn check(&self, bytes: &[u8], trace: (u64, u64), protocol: Protocol) {
        let (high, low) = trace;
        let theirs = unused_id();
        let ours = theirs + 1;
        let to_them = with_id(bytes, low, theirs, protocol);
        match protocol {
            Protocol::Compact => send_datagram(&self.compact, &to_them),
            Protocol::Binary => send_datagram(&self.binary, &to_them),
            Protocol::Bare => post(&self.thrift, "/api/traces", "application/x-thrift", &to_them),
        }
        let converted = spans(&with_id(bytes, low, ours, protocol), protocol).expect("a batch");
        post(&self.otlp, "/v1/traces", "application/x-protobuf", &converted.request);

        let n_spans = converted.n_spans as usize;
        let theirs = self.spans(&format!("{high:016x}{theirs:016x}"), n_spans);
        let ours = self.spans(&format!("{high:016x}{ours:016x}"), n_spans);
        for (id, span) in &theirs {
            assert_eq!(ours.get(id), Some(span), "span {id}, {protocol:?}");
        }
        assert_eq!(ours.len(), n_spans);
    }

    /// The same of spans made here, as a body: one is as long as it needs to be.
    fn check_spans(&self, spans_of: Vec<Tree>) {
        let spans_of = spans_of.into_iter().map(required).collect();
        let bytes = message(batch(process(vec![]), spans_of), Protocol::Bare);
        self.check(&bytes, (0, TREE_LOW as u64), Protocol::Bare);
    }

    /// The trace's spans by their ids, once there are `n`.
    fn spans(&self, trace: &str, n: usize) -> BTreeMap<String, Value> {
        // Jaeger gives no signal; its answer takes long enough for this not to spin.
        let begun = Instant::now();
        loop {
            let (status, body) = request(
                &self.query,
                &format!("GET /api/v3/traces/{trace} HTTP/1.0\r\nHost: jaeger\r\n\r\n"),
                &[],
            );
            let found = match status {
                200 => told(&serde_json::from_slice(&body).expect("JSON"), trace),
                _ => BTreeMap::new(),
            };
            if found.len() >= n {
                return found;
            }
            let is_late = begun.elapsed() > Duration::from_secs(15);
            assert!(!is_late, "trace {trace}: {} of {n} spans came", found.len());
        }
    }
}

/// With those fields that Jaeger requires and we do not.
fn required(span: Tree) -> Tree {
    let Tree::Struct(mut fields) = span else { return span };
    let required =
        [(4, Tree::I64(0)), (5, text("")), (7, Tree::I32(1)), (8, Tree::I64(0)), (9, Tree::I64(0))];
    for (id, value) in required {
        if fields.iter().all(|(there, _)| *there != id) {
            fields.push((id, value));
        }
    }
    Tree::Struct(fields)
}

/// A trace id's lower half: not 0, and positive, as it is written as a signed number.
fn unused_id() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64
}

/// The same bytes with another id. Thrift's structs have no length, so its own may change.
fn with_id(bytes: &[u8], from: u64, to: u64, protocol: Protocol) -> Vec<u8> {
    let written = |id: u64| match protocol {
        Protocol::Binary | Protocol::Bare => id.to_be_bytes().to_vec(),
        Protocol::Compact => {
            let mut varint = Vec::new();
            prost::encoding::encode_varint(id << 1, &mut varint);
            varint
        }
    };
    let (from, to) = (written(from), written(to));
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&bytes[at..at + found]);
        out.extend_from_slice(&to);
        at += found + from.len();
    }
    assert!(at > 0, "the id is not in the bytes");
    out.extend_from_slice(&bytes[at..]);
    out
}

fn send_datagram(to: &str, bytes: &[u8]) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(bytes, to).expect("it is sent");
}

fn post(host: &str, path: &str, kind: &str, body: &[u8]) {
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: jaeger\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (status, answer) = request(host, &head, body);
    assert!(matches!(status, 200 | 202), "{path}: {status} {}", answer.escape_ascii());
}

/// The status and the body of the answer.
fn request(host: &str, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(host).expect("Jaeger listens");
    stream.write_all(head.as_bytes()).expect("it takes a request");
    stream.write_all(body).expect("it takes a body");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer[end + 4..].to_vec())
}

/// Each span with all that is said of it, its resource and its scope.
fn told(answer: &Value, trace: &str) -> BTreeMap<String, Value> {
    let mut spans = BTreeMap::new();
    for resource in list(&answer["result"]["resourceSpans"]) {
        for scope in list(&resource["scopeSpans"]) {
            for span in list(&scope["spans"]) {
                let mut span = flat(span, trace);
                span.insert("resource".to_owned(), flat(&resource["resource"], trace).into());
                scoped(&mut span, &scope["scope"]);
                let id = span["spanId"].as_str().expect("an id").to_owned();
                spans.insert(id, span.into());
            }
        }
    }
    spans
}

/// With attributes by their names, and the trace's own id as a word.
fn flat(of: &Value, trace: &str) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in of.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "attributes" => {
                let by_name = |one: &Value| {
                    let key = one["key"].as_str().unwrap_or_default();
                    (key.to_owned(), one["value"].clone())
                };
                Value::Object(sorted(list(value).iter().map(by_name)))
            }
            "events" | "links" => {
                list(value).iter().map(|one| Value::Object(flat(one, trace))).collect()
            }
            "traceId" if value == trace => json!("the trace's"),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    sorted(out)
}

fn sorted(pairs: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
    pairs.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// Puts scope and trace state where ours are.
fn scoped(span: &mut Map<String, Value>, scope: &Value) {
    let text = |value: Option<Value>| value.map(|value| value["stringValue"].clone());
    let mut attribute =
        |key: &str| text(span.get_mut("attributes")?.as_object_mut()?.shift_remove(key));
    let name = attribute("otel.scope.name").or_else(|| scope.get("name").cloned());
    let version = attribute("otel.scope.version").or_else(|| scope.get("version").cloned());
    let state = attribute("w3c.tracestate");
    if span.get("attributes") == Some(&json!({})) {
        span.shift_remove("attributes");
    }
    let or_empty =
        |value: Option<Value>| value.filter(|v| !v.is_null()).unwrap_or_else(|| json!(""));
    span.insert("scope".to_owned(), json!([or_empty(name), or_empty(version)]));
    let state = state.or_else(|| span.get("traceState").cloned());
    span.insert("traceState".to_owned(), or_empty(state));
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
