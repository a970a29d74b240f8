//! What a batch becomes. The goldens are real clients' bytes (`tests/fixtures/jaeger/make.py`), the
//! decoder is prost's; cases of the mapping are written in both protocols.

#[path = "../../../tests/otlp_proto/messages.rs"]
mod otlp_proto;
mod shown;
#[path = "../../../tests/thrift/tree.rs"]
pub(super) mod tree;

use proptest::prelude::*;

use super::thrift::Encoding;
use super::{Converted, GROWTH_MAX, Protocol, ThriftError, spans};
use shown::shown;
use tree::{Tree, batch, message, process, reference, span, tag, tagged, text};

const PROTOCOLS: [Protocol; 3] = [Protocol::Compact, Protocol::Binary, Protocol::Bare];

const CLIENT_COMPACT: &[u8] = include_bytes!("../../../tests/fixtures/jaeger/client.compact");
const CLIENT_BINARY: &[u8] = include_bytes!("../../../tests/fixtures/jaeger/client.binary");
const CLIENT_OLD: &[u8] = include_bytes!("../../../tests/fixtures/jaeger/client.binary-old");
const CLIENT_BARE: &[u8] = include_bytes!("../../../tests/fixtures/jaeger/client.bare");
const EXPORTER_COMPACT: &[u8] = include_bytes!("../../../tests/fixtures/jaeger/exporter.compact");
const EXPORTER_BARE: &[u8] = include_bytes!("../../../tests/fixtures/jaeger/exporter.bare");

/// An OpenTracing client's batch, in every way that it can come.
#[test]
fn a_client() {
    let expected = r#"resource service.name="scorer" opencensus.exporterversion="Jaeger-Python-4.8.0" host.name="node-1" ip="10.1.2.3" n_workers=4
 807060504030201/1 1767323045678901000..+1501000 "op 1" Server Error(Service Unavailable) http.status_code=503 http.status_message="Service Unavailable" body=0x00ff80 ratio=-0.5 yes=true no=false least=-9223372036854775808
  event 1767323045678908000 "retry" attempt=2
  event 1767323045678909000 ""
 807060504030201/3 <- 2 1767323045678901000..+1503000 "op 3"
 scope "pool" ""
 807060504030201/2 <- 1 [vendor=1] 1767323045678901000..+1502000 "op 2" Client Error
  link 807060504030201/7 opentracing.ref_type="follows_from"
  link 99/8 opentracing.ref_type="child_of"
"#;
    for (bytes, protocol) in [
        (CLIENT_COMPACT, Protocol::Compact),
        (CLIENT_BINARY, Protocol::Binary),
        (CLIENT_OLD, Protocol::Binary),
        (CLIENT_BARE, Protocol::Bare),
    ] {
        let converted = spans(bytes, protocol).expect("a batch");
        assert_eq!(shown(&converted.request), expected, "{protocol:?}");
        assert_eq!((converted.n_spans, converted.n_invalid), (3, 0));
    }
}

/// OpenTelemetry's classic exporter. It has no process tags: each span repeats the resource.
#[test]
fn an_exporter() {
    let expected = r#"resource service.name="fraud-detector"
 scope "model.server" "2.3.1"
 8f0e0d0c0b0a09080706050403020100/f0e0d0c0b0a09001 1767323045678901000..+250000 "predict 0" Internal request_id="r-0" confidence=0.25 cached=true n_features=0 labels="('é', 'ß')" service.name="fraud-detector" host.name="pod-7" otel.library.name="model.server" otel.library.version="2.3.1"
 8f0e0d0c0b0a09080706050403020100/f0e0d0c0b0a09003 <- f0e0d0c0b0a09001 1767323045678903000..+250000 "predict 2" Client Error(no such model) request_id="r-2" confidence=2.25 cached=true n_features=-2000000014 labels="('é', 'ß')" service.name="fraud-detector" host.name="pod-7" otel.library.name="model.server" otel.library.version="2.3.1"
  event 1767323045678906000 "" key="k" message="cache miss"
 8f0e0d0c0b0a09080706050403020100/f0e0d0c0b0a09005 <- f0e0d0c0b0a09001 1767323045678905000..+250000 "predict 4" Consumer request_id="r-4" confidence=4.25 cached=true n_features=-4000000028 labels="('é', 'ß')" service.name="fraud-detector" host.name="pod-7" otel.library.name="model.server" otel.library.version="2.3.1"
 scope "features" ""
 8f0e0d0c0b0a09080706050403020100/f0e0d0c0b0a09002 <- f0e0d0c0b0a09001 1767323045678902000..+250000 "predict 1" Server request_id="r-1" confidence=1.25 cached=false n_features=-1000000007 labels="('é', 'ß')" service.name="fraud-detector" host.name="pod-7" otel.library.name="features" otel.library.version=""
  link 1234/5678 opentracing.ref_type="follows_from"
 8f0e0d0c0b0a09080706050403020100/f0e0d0c0b0a09004 <- f0e0d0c0b0a09001 1767323045678904000..+250000 "predict 3" Producer Ok request_id="r-3" confidence=3.25 cached=false n_features=-3000000021 labels="('é', 'ß')" service.name="fraud-detector" host.name="pod-7" otel.library.name="features" otel.library.version=""
"#;
    for (bytes, protocol) in
        [(EXPORTER_COMPACT, Protocol::Compact), (EXPORTER_BARE, Protocol::Bare)]
    {
        let converted = spans(bytes, protocol).expect("a batch");
        assert_eq!(shown(&converted.request), expected, "{protocol:?}");
        assert_eq!((converted.n_spans, converted.n_invalid), (5, 0));
    }
}

/// The batch comes out as `expected`, in every protocol.
fn check(batch: &Tree, expected: &str) {
    for protocol in PROTOCOLS {
        let bytes = message(batch.clone(), protocol);
        let converted = spans(&bytes, protocol).expect("a batch");
        assert_eq!(shown(&converted.request).trim_end(), expected.trim_end(), "{protocol:?}");
    }
}

/// What one span with these tags says behind its id.
fn check_tags(tags: Vec<Tree>, expected: &str) {
    let batch = batch(process(vec![]), vec![tagged(1, tags)]);
    check(&batch, &format!("resource service.name=\"scorer\"\n ab/1{expected}"));
}

#[test]
fn kinds() {
    for (word, kind) in [
        ("internal", " Internal"),
        ("server", " Server"),
        ("client", " Client"),
        ("producer", " Producer"),
        ("consumer", " Consumer"),
        ("SERVER", " span.kind=\"SERVER\""),
        ("", " span.kind=\"\""),
    ] {
        check_tags(vec![tag("span.kind", text(word))], kind);
    }
    check_tags(vec![tag("span.kind", Tree::I64(2))], " span.kind=2");
}

#[test]
fn statuses() {
    let error = || tag("error", Tree::Bool(true));
    let code = |word| tag("otel.status_code", text(word));
    let description = || tag("otel.status_description", text("d"));
    let http = |status| tag("http.status_code", Tree::I64(status));
    let http_message = || tag("http.status_message", text("m"));
    let kind = |word| tag("span.kind", text(word));
    for (tags, expected) in [
        (vec![error()], " Error"),
        (vec![tag("error", Tree::Bool(false))], " error=false"),
        (vec![tag("error", text("true"))], " error=\"true\""),
        (vec![description(), error(), http_message()], " Error(d) http.status_message=\"m\""),
        (vec![error(), http_message()], " Error(m) http.status_message=\"m\""),
        (vec![error(), code("OK")], " Error"),
        (vec![code("OK")], " Ok"),
        (vec![code("error"), description()], " Error(d)"),
        (vec![code("UNSET")], ""),
        (
            vec![code("odd"), description()],
            " otel.status_code=\"odd\" otel.status_description=\"d\"",
        ),
        (vec![code("OK"), http(500)], " Ok http.status_code=500"),
        (vec![http(200), http_message()], " http.status_code=200 http.status_message=\"m\""),
        (vec![http(399)], " http.status_code=399"),
        (
            vec![http(500), http_message()],
            " Error(m) http.status_code=500 http.status_message=\"m\"",
        ),
        (vec![http(404)], " Error http.status_code=404"),
        (vec![http(404), kind("client")], " Client Error http.status_code=404"),
        (vec![http(404), kind("server")], " Server http.status_code=404"),
        (vec![http(500), kind("server")], " Server Error http.status_code=500"),
        (vec![http(0)], " Error http.status_code=0"),
        (vec![tag("http.status_code", text("503"))], " Error http.status_code=\"503\""),
        (vec![tag("http.status_code", text("x"))], " http.status_code=\"x\""),
        (vec![description()], " otel.status_description=\"d\""),
    ] {
        check_tags(tags, expected);
    }
}

/// A key is there once, and its last value counts, also where it becomes a field.
#[test]
fn repeated_keys() {
    let tags = vec![tag("a", text("1")), tag("b", text("2")), tag("a", Tree::I64(3))];
    check_tags(tags, " b=\"2\" a=3");
    let tags = vec![tag("span.kind", text("client")), tag("span.kind", text("server"))];
    check_tags(tags, " Server");
    let tags = vec![tag("error", Tree::Bool(true)), tag("error", Tree::Bool(false))];
    check_tags(tags, " error=false");
}

/// What no receiver could take: text that is not UTF-8, and types of a later Jaeger.
#[test]
fn odd_values() {
    let bad = Tree::Bytes(b"caf\xe9".to_vec());
    let key = Tree::Struct(vec![(1, bad.clone()), (2, Tree::I32(0)), (3, bad.clone())]);
    check_tags(vec![key], " caf\u{fffd}=\"caf\u{fffd}\"");
    let unknown = Tree::Struct(vec![(1, text("a")), (2, Tree::I32(9)), (8, Tree::I64(1))]);
    check_tags(vec![unknown], " a=nothing");
    check_tags(vec![Tree::Struct(vec![(1, text("a"))])], " a=\"\"");
    let binary = Tree::Struct(vec![(1, text("a")), (2, Tree::I32(4)), (7, bad)]);
    check_tags(vec![binary], " a=0x636166e9");
}

#[test]
fn parents_and_links() {
    let (child_of, follows) = (0, 1);
    let link = |ids: &str, kind| format!("\n  link {ids} opentracing.ref_type=\"{kind}\"");
    for (parent, references, expected) in [
        (0, vec![], String::new()),
        (7, vec![], " <- 7".to_owned()),
        // Most clients say the parent twice.
        (7, vec![reference(child_of, 0xab, 7)], " <- 7".to_owned()),
        (0, vec![reference(child_of, 0xab, 7)], " <- 7".to_owned()),
        (0, vec![reference(follows, 0xab, 7)], " <- 7".to_owned() + &link("ab/7", "follows_from")),
        (
            0,
            vec![reference(follows, 0xab, 6), reference(child_of, 0xab, 7)],
            " <- 7".to_owned() + &link("ab/6", "follows_from"),
        ),
        (
            0,
            vec![reference(child_of, 0xab, 7), reference(child_of, 0xab, 8)],
            " <- 7".to_owned() + &link("ab/8", "child_of"),
        ),
        // Another trace is no parent, not even with the parent's span id.
        (0, vec![reference(child_of, 0xcd, 7)], link("cd/7", "child_of")),
        (7, vec![reference(child_of, 0xcd, 7)], " <- 7".to_owned() + &link("cd/7", "child_of")),
        // A link to nothing.
        (7, vec![reference(follows, 0, 7), reference(follows, 0xab, 0)], " <- 7".to_owned()),
    ] {
        let span = span(1, vec![(4, Tree::I64(parent)), (6, Tree::List(references))]);
        let batch = batch(process(vec![]), vec![span]);
        check(&batch, &format!("resource service.name=\"scorer\"\n ab/1{expected}"));
    }
}

#[test]
fn ids_and_times() {
    for (fields, expected) in [
        (
            vec![(2, Tree::I64(-1)), (4, Tree::I64(-2))],
            "ffffffffffffffff00000000000000ab/1 <- fffffffffffffffe",
        ),
        (vec![(8, Tree::I64(5)), (9, Tree::I64(2))], "ab/1 5000..+2000"),
        (vec![(8, Tree::I64(5)), (9, Tree::I64(-2))], "ab/1 5000..+18446744073709549616"),
        (vec![(8, Tree::I64(-5)), (9, Tree::I64(5))], "ab/1"),
        (vec![(8, Tree::I64(i64::MAX)), (9, Tree::I64(1))], "ab/1 18446744073709551615..+0"),
        (vec![(7, Tree::I32(3)), (5, text("x"))], "ab/1 \"x\""),
    ] {
        let batch = batch(process(vec![]), vec![span(1, fields)]);
        check(&batch, &format!("resource service.name=\"scorer\"\n {expected}"));
    }
}

#[test]
fn processes() {
    for (tags, expected) in [
        (vec![tag("hostname", text("h"))], "service.name=\"scorer\" host.name=\"h\""),
        (
            vec![tag("hostname", text("h")), tag("host.name", text("n"))],
            "service.name=\"scorer\" hostname=\"h\" host.name=\"n\"",
        ),
        (vec![tag("service.name", text("other"))], "service.name=\"other\""),
        (vec![tag("jaeger.version", Tree::I64(1))], "service.name=\"scorer\" jaeger.version=1"),
    ] {
        let batch = batch(process(tags), vec![span(1, vec![])]);
        check(&batch, &format!("resource {expected}\n ab/1"));
    }
    check(&batch(Tree::Struct(vec![]), vec![span(1, vec![])]), "resource\n ab/1");
}

/// Spans of one scope stand together, in their order; scopes in that of their first span.
#[test]
fn scopes() {
    let of = |id, name, version| {
        let version = [tag("otel.scope.version", text(version))];
        let name = [tag("otel.scope.name", text(name))];
        tagged(id, if id % 2 == 0 { [version, name] } else { [name, version] }.concat())
    };
    let spans = vec![
        of(1, "a", "1"),
        of(2, "b", ""),
        span(3, vec![]),
        of(4, "a", "1"),
        of(5, "a", "2"),
        tagged(6, vec![tag("otel.scope.version", text("1"))]),
        of(7, "b", ""),
    ];
    let expected = r#"resource service.name="scorer"
 scope "a" "1"
 ab/1
 ab/4
 scope "b" ""
 ab/2
 ab/7
 ab/3
 ab/6 otel.scope.version="1"
 scope "a" "2"
 ab/5"#;
    check(&batch(process(vec![]), spans), expected);
}

#[test]
fn events() {
    let log = |fields| Tree::Struct(vec![(1, Tree::I64(9)), (2, Tree::List(fields))]);
    let logs = vec![
        log(vec![tag("event", text("e")), tag("a", text("1"))]),
        log(vec![tag("event", Tree::I64(7)), tag("a", text("1")), tag("a", text("2"))]),
        Tree::Struct(vec![]),
    ];
    let expected = r#"resource service.name="scorer"
 ab/1
  event 9000 "e" a="1"
  event 9000 "" event=7 a="2"
  event 0 """#;
    check(&batch(process(vec![]), vec![span(1, vec![(11, Tree::List(logs))])]), expected);
}

/// A span without ids is left out alone, and counted.
#[test]
fn spans_without_ids() {
    let no_trace = Tree::Struct(vec![(3, Tree::I64(2))]);
    let spans_of = vec![span(0, vec![]), no_trace, Tree::Struct(vec![]), span(1, vec![])];
    for protocol in PROTOCOLS {
        let bytes = message(batch(process(vec![]), spans_of.clone()), protocol);
        let converted = spans(&bytes, protocol).expect("a batch");
        assert_eq!((converted.n_spans, converted.n_invalid), (1, 3));
        assert_eq!(shown(&converted.request), "resource service.name=\"scorer\"\n ab/1\n");
        let none = message(batch(process(vec![]), vec![]), protocol);
        assert_eq!(spans(&none, protocol), Ok(Converted::default()));
    }
}

/// Fields of a later Jaeger, in any order, and lists of what they should not be.
#[test]
fn unknown_and_disordered() {
    let odd = Tree::Map(vec![(text("k"), Tree::List(vec![Tree::Bool(true)]))]);
    let span = Tree::Struct(vec![
        (200, odd.clone()),
        (10, Tree::List(vec![tag("a", text("1"))])),
        (3, Tree::I64(1)),
        (6, Tree::List(vec![Tree::I64(1), Tree::I64(2)])),
        (5, Tree::I64(1)),
        (11, odd.clone()),
        (1, Tree::I64(0xab)),
    ]);
    let batch = Tree::Struct(vec![
        (3, Tree::I64(1)),
        (2, Tree::List(vec![span])),
        (4, Tree::Struct(vec![(1, Tree::I64(3))])),
        (9, odd),
        (1, process(vec![])),
    ]);
    check(&batch, "resource service.name=\"scorer\"\n ab/1 a=\"1\"");
}

#[test]
fn what_is_no_batch() {
    let empty = |protocol| message(Tree::Struct(vec![]), protocol);
    let only_process = Tree::Struct(vec![(1, process(vec![]))]);
    for protocol in PROTOCOLS {
        assert_eq!(spans(&empty(protocol), protocol), Err(ThriftError::Missing("process")));
        let bytes = message(only_process.clone(), protocol);
        assert_eq!(spans(&bytes, protocol), Err(ThriftError::Missing("spans")));
    }
    for (bytes, protocol, error) in [
        (&b"\x82\x81\x00\x09emitBatch\0"[..], Protocol::Compact, ThriftError::Missing("batch")),
        (b"\x82\x41\x00\x09emitBatch\0", Protocol::Compact, ThriftError::OtherCall),
        (b"\x82\x81\x00\x0femitZipkinBatch\0", Protocol::Compact, ThriftError::OtherCall),
        (b"\x82\x82\x00\x09emitBatch\0", Protocol::Compact, ThriftError::NoMessage),
        (b"{\"a\":1}", Protocol::Compact, ThriftError::NoMessage),
        (b"{\"a\":1}", Protocol::Binary, ThriftError::NoMessage),
        (b"{\"a\":1}", Protocol::Bare, ThriftError::Type(b'{')),
        (b"\x80\x02\0\x01\0\0\0\0", Protocol::Binary, ThriftError::NoMessage),
        (b"\x80\x01\0\x03\0\0\0\x09emitBatch\0\0\0\0\0", Protocol::Binary, ThriftError::OtherCall),
        (b"\0\0\0\x02no\x01\0\0\0\0", Protocol::Binary, ThriftError::OtherCall),
        (b"", Protocol::Compact, ThriftError::Cut),
        (CLIENT_COMPACT, Protocol::Binary, ThriftError::NoMessage),
        (CLIENT_BINARY, Protocol::Compact, ThriftError::NoMessage),
    ] {
        assert_eq!(spans(bytes, protocol), Err(error), "{}", bytes.escape_ascii());
    }
}

/// A batch cut short is refused; more behind it does not matter.
#[test]
fn too_short_and_too_long() {
    for (bytes, protocol, n_behind) in [
        (CLIENT_COMPACT, Protocol::Compact, 1),
        (CLIENT_BINARY, Protocol::Binary, 1),
        (CLIENT_BARE, Protocol::Bare, 0),
    ] {
        let whole = spans(bytes, protocol).expect("a batch");
        // The stop of the arguments is behind the batch.
        for len in 0..bytes.len() - n_behind {
            assert!(spans(&bytes[..len], protocol).is_err(), "{protocol:?} {len}");
        }
        assert_eq!(spans(&[bytes, b"junk"].concat(), protocol), Ok(whole));
    }
}

/// The longest that a request can be for what came.
#[test]
fn growth() {
    let references = vec![Tree::Struct(vec![(2, Tree::I64(1)), (4, Tree::I64(1))]); 5000];
    let links = vec![span(1, vec![(6, Tree::List(references))])];
    let spans_of = vec![Tree::Struct(vec![(1, Tree::I64(1)), (3, Tree::I64(1))]); 5000];
    for batch in [batch(process(vec![]), links), batch(process(vec![]), spans_of)] {
        let bytes = message(batch, Protocol::Compact);
        let request = spans(&bytes, Protocol::Compact).expect("a batch").request;
        assert!(request.len() < bytes.len() * GROWTH_MAX);
    }
    let (batch, protocol) = (EXPORTER_COMPACT, Protocol::Compact);
    assert!(spans(batch, protocol).expect("a batch").request.len() < batch.len() * 2);
}

fn any_text() -> impl Strategy<Value = Tree> {
    prop_oneof!["[a-c]{0,3}", "span.kind|error|event|otel.scope.name|é{0,80}"]
        .prop_map(|s| text(&s))
}

fn any_tag() -> impl Strategy<Value = Tree> {
    let value = prop_oneof![
        any_text(),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::I64),
        any::<f64>().prop_map(Tree::Double),
    ];
    (any_text(), value).prop_map(|(key, value)| match key {
        Tree::Bytes(key) => tag(&String::from_utf8_lossy(&key), value),
        _ => value,
    })
}

fn any_span() -> impl Strategy<Value = Tree> {
    let tags = || proptest::collection::vec(any_tag(), 0..6);
    let id = || prop_oneof![Just(0), 0..4i64, any::<i64>()];
    let log = (any::<i64>(), tags())
        .prop_map(|(time, tags)| Tree::Struct(vec![(1, Tree::I64(time)), (2, Tree::List(tags))]));
    let logs = proptest::collection::vec(log, 0..4);
    let references = proptest::collection::vec((0..3, id(), id()), 0..4);
    let references = references.prop_map(|all| {
        Tree::List(all.into_iter().map(|(kind, low, id)| reference(kind, low, id)).collect())
    });
    let ids = (id(), id(), id(), id());
    let fields = (ids, any_text(), references, tags(), logs).prop_map(
        |((low, high, id, parent), name, references, tags, logs)| {
            vec![
                (1, Tree::I64(low)),
                (2, Tree::I64(high)),
                (3, Tree::I64(id)),
                (4, Tree::I64(parent)),
                (5, name),
                (6, references),
                (10, Tree::List(tags)),
                (11, Tree::List(logs)),
            ]
        },
    );
    fields.prop_shuffle().prop_map(Tree::Struct)
}

proptest! {
    /// Nothing makes it panic, and what it makes is bounded.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for protocol in PROTOCOLS {
            let headed = [message(Tree::Struct(vec![]), protocol), bytes.clone()].concat();
            for bytes in [&bytes[..], &headed[..headed.len() - bytes.len() - 1]] {
                if let Ok(converted) = spans(bytes, protocol) {
                    prop_assert!(converted.request.len() <= bytes.len() * GROWTH_MAX);
                }
            }
        }
    }

    /// However it came, it says the same, and no span is lost.
    #[test]
    fn any_batch(spans_of in proptest::collection::vec(any_span(), 0..6)) {
        let batch = batch(process(vec![]), spans_of.clone());
        let [compact, binary, bare] = PROTOCOLS.map(|protocol| {
            let bytes = message(batch.clone(), protocol);
            let converted = spans(&bytes, protocol).expect("a batch");
            assert!(converted.request.len() <= bytes.len() * GROWTH_MAX);
            converted
        });
        prop_assert_eq!(&compact, &binary);
        prop_assert_eq!(&compact, &bare);
        let shown = shown(&compact.request);
        let is_span = |line: &&str| line.as_bytes()[1] != b' ' && line.starts_with(' ');
        let n_shown = shown.lines().filter(|line| !line.starts_with(" scope")).filter(is_span).count();
        prop_assert_eq!(n_shown, compact.n_spans as usize);
        prop_assert_eq!((compact.n_spans + compact.n_invalid) as usize, spans_of.len());
    }
}
