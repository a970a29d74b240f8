//! OTLP requests of spans and metrics through the pipeline: what stays, what goes, and that what
//! stays is the same bytes.

#[path = "otlp_proto/messages.rs"]
mod otlp_proto;

use std::sync::Arc;

use otlp_proto::metrics_service::ExportMetricsServiceRequest;
use otlp_proto::trace_service::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value, json};
use sidewake::event::otlp::json::{push_message_json, request_from_json};
use sidewake::event::otlp::schema::Message;
use sidewake::event::record::{Flags, Kind, Level};
use sidewake::event::request::Request;
use sidewake::event::signal::Signal;
use sidewake::event::slab::Slab;
use sidewake::pipeline::condition::Condition;
use sidewake::pipeline::requests::{Processed, RequestError};
use sidewake::pipeline::rules::Rules;
use sidewake::pipeline::sample::{Sampler, Threshold};
use sidewake::pipeline::{Pipeline, Plan, TierPlan};
use sidewake::protect::entity::EntitySet;
use sidewake::protect::policy::{Action, Policy, PolicySpec};
use sidewake::protect::pseudonym::Keyring;

fn plan(fields: &[(&str, Action)], sampler: Sampler) -> Arc<Plan> {
    let keyring = Keyring::parse(&[b"k1=".as_slice(), &[b'0'; 64]].concat()).expect("a key");
    let fields = fields.iter().map(|(name, action)| ((*name).to_owned(), *action)).collect();
    let spec = PolicySpec { detect: EntitySet::ALL, fields, ..PolicySpec::default() };
    let policy = || Policy::compile(&spec, true).expect("a sound policy");
    let tiers = ["logs", "traces", "metrics"]
        .map(|name| TierPlan { name: name.into(), policy: policy() })
        .into();
    let rules = Rules::default();
    Plan::new(tiers, [0; Kind::ALL.len()], rules, sampler, Some(Arc::new(keyring)))
        .with_items(&[(Signal::Traces, 1), (Signal::Metrics, 2)])
}

fn request(signal: Signal, bytes: &[u8]) -> Request {
    Request {
        signal,
        slab: Slab::from_bytes(bytes),
        origin: Arc::default(),
        source_key: 1,
        source_base: 100,
        observed_ns: 5,
    }
}

fn bytes_of(signal: Signal, json: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    request_from_json(signal, json.to_string().as_bytes(), &mut bytes).expect("a request");
    bytes
}

/// All texts of a request, and the bytes as text.
fn read_by_the_definitions(signal: Signal, bytes: &[u8]) -> String {
    let read = match signal {
        Signal::Traces => format!("{:?}", ExportTraceServiceRequest::decode(bytes).expect("sound")),
        _ => format!("{:?}", ExportMetricsServiceRequest::decode(bytes).expect("sound")),
    };
    // Bytes are printed as numbers.
    let numbers = regex::Regex::new(r"\[(?:\d+, )*\d+\]").expect("a pattern");
    let as_text = numbers.find_iter(&read).map(|found| {
        let each = found.as_str().trim_matches(['[', ']']).split(", ");
        let bytes: Vec<u8> = each.filter_map(|n| n.parse().ok()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    as_text.chain([read.clone()]).collect::<Vec<_>>().join("\n")
}

fn json_of(signal: Signal, bytes: &[u8]) -> Value {
    let mut out = Vec::new();
    push_message_json(Message::request_of(signal), bytes, (0, bytes.len()), &mut out);
    serde_json::from_slice(&out).expect("JSON")
}

/// A span of its own scope with these members beside its ids.
fn span(n: usize, more: &Value) -> Value {
    let mut span =
        json!({ "traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1) });
    span.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    span
}

fn traces(spans: &[Value]) -> Value {
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] })
}

#[expect(clippy::needless_pass_by_value, reason = "rows read better")]
fn attribute(key: &str, value: Value) -> Value {
    json!({ "attributes": [{ "key": key, "value": value }] })
}

/// Takes `json` through; the processed request and what is left of it.
fn taken(plan: &Arc<Plan>, signal: Signal, json: &Value) -> (Processed, Value) {
    let bytes = bytes_of(signal, json);
    let mut pipeline = Pipeline::new(Arc::clone(plan));
    let processed = pipeline.process_request(request(signal, &bytes)).expect("taken");
    let slab = processed.sealed.as_ref().map(|sealed| sealed.batch.slab.to_vec());
    (processed, json_of(signal, &slab.unwrap_or_default()))
}

fn text(text: &str) -> Value {
    json!({ "stringValue": text })
}

/// One row per place in which something can stand that must not stay.
#[test]
fn what_must_not_stay_goes() {
    let fields = [
        ("gone", Action::Drop),
        ("masked", Action::Mask),
        ("features.user_*", Action::Hash),
        ("kept", Action::Keep),
    ];
    let plan = plan(&fields, Sampler::new(Vec::new()));
    let mail = "ann@example.com";
    let list = |key: &str, value: Value| json!({ "kvlistValue": { "values": [{ "key": key, "value": value }] } });
    let array = |values: Value| json!({ "arrayValue": { "values": values } });
    let a = attribute;
    for (before, after) in [
        (a("to", text(mail)), a("to", text("[email]"))),
        (a("to", text("a b")), a("to", text("a b"))),
        (a("gone", text("x")), json!({ "attributes": null })),
        (a("masked", text("x")), a("masked", text("[masked]"))),
        (a("masked", json!({ "intValue": "7" })), a("masked", json!({}))),
        (a("password", text("hunter2")), a("password", text("[masked]"))),
        (a("kept", text(mail)), a("kept", text(mail))),
        (a("card_number", json!({ "intValue": "4111111111111111" })), a("card_number", json!({}))),
        (
            a("count", json!({ "intValue": "4111111111111111" })),
            a("count", json!({ "intValue": "4111111111111111" })),
        ),
        (a("l", list("masked", text("x"))), a("l", list("masked", text("[masked]")))),
        (a("l", list(mail, text("x"))), a("l", list("[email]", text("x")))),
        (
            a("l", array(json!([text("a"), text(mail)]))),
            a("l", array(json!([text("a"), text("[email]")]))),
        ),
        (
            a("args", array(json!([text("--password"), text("hunter2"), text("x")]))),
            a("args", array(json!([text("--password"), text("[masked]"), text("x")]))),
        ),
        (a("masked", array(json!([text("a")]))), a("masked", json!({}))),
        (a(mail, text("x")), a("[email]", text("x"))),
        (a("b", json!({ "bytesValue": "YW5uQGV4YW1wbGUuY29t" })), a("b", json!({}))),
        (a("b", json!({ "bytesValue": "AAEC" })), a("b", json!({ "bytesValue": "AAEC" }))),
        (json!({ "name": format!("mail {mail}") }), json!({ "name": "mail [email]" })),
        (json!({ "status": { "message": mail } }), json!({ "status": { "message": "[email]" } })),
        (json!({ "traceState": format!("a={mail}") }), json!({ "traceState": "a=[email]" })),
        (
            json!({ "events": [{ "name": mail, "attributes": [{ "key": "gone", "value": text("x") }] }] }),
            json!({ "events": [{ "name": "[email]" }] }),
        ),
        (
            json!({ "links": [{ "traceId": "00", "attributes": [{ "key": "k", "value": text(mail) }] }] }),
            json!({ "links": [{ "traceId": "00", "attributes": [{ "key": "k", "value": text("[email]") }] }] }),
        ),
        (a("m", text("login masked=7 ok")), a("m", text("login masked=[masked] ok"))),
    ] {
        let (processed, left) = taken(&plan, Signal::Traces, &traces(&[span(0, &before)]));
        let mut expected = after.clone();
        expected.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        assert_eq!(left, traces(&[span(0, &expected)]), "{before}");
        let batch = &processed.sealed.expect("a batch").batch;
        assert_eq!(batch.table[0].has(Flags::REDACTED), before != after, "{before}");
    }
}

/// A pseudonym replaces a number and a text alike, and joins.
#[test]
fn pseudonyms() {
    let plan = plan(&[("features.user_*", Action::Hash)], Sampler::new(Vec::new()));
    let of = |value: Value| {
        let json = traces(&[span(0, &attribute("features.user_id", value))]);
        let (_, left) = taken(&plan, Signal::Traces, &json);
        let span = &left["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        span["attributes"][0]["value"]["stringValue"].as_str().expect("a text").to_owned()
    };
    let token = of(text("77"));
    assert!(token.len() > 8 && !token.contains("77"), "{token}");
    assert_eq!(of(json!({ "intValue": "77" })), token);
}

/// Resources and scopes are searched like spans, and unknown fields stay unless they hold
/// something.
#[test]
fn what_spans_share_and_what_nobody_knows() {
    let plan = plan(&[], Sampler::new(Vec::new()));
    let with = |mail: &str| {
        json!({ "resourceSpans": [{
            "resource": attribute("owner", text(mail)),
            "schemaUrl": mail,
            "scopeSpans": [{ "scope": { "name": mail, "version": "1" }, "spans": [span(0, &json!({}))] }],
        }] })
    };
    let (_, left) = taken(&plan, Signal::Traces, &with("ann@example.com"));
    assert_eq!(left, with("[email]"));
    // Field 30 of the request and of nothing known: kept bit for bit, and taken out with a secret.
    let known = bytes_of(Signal::Traces, &with("x"));
    for (unknown, stays) in
        [(&b"\xf2\x01\x03abc"[..], true), (b"\xf2\x01\x0fann@example.com", false)]
    {
        let bytes = [&known[..], unknown].concat();
        let mut pipeline = Pipeline::new(Arc::clone(&plan));
        let processed = pipeline.process_request(request(Signal::Traces, &bytes)).expect("taken");
        let slab = processed.sealed.expect("a batch").batch.slab.to_vec();
        assert_eq!(slab == bytes, stays);
        assert_eq!(slab == known, !stays);
    }
}

/// What the table says of a span, whether or not the request was edited.
#[test]
fn the_table_of_spans() {
    let plan = plan(&[], Sampler::new(Vec::new()));
    for mail in ["nobody", "ann@example.com"] {
        let json = traces(&[
            span(0, &attribute("to", text(mail))),
            span(
                1,
                &json!({
                    "startTimeUnixNano": "1700000000000000001", "endTimeUnixNano": "1700000000500000001",
                    "name": mail, "status": { "code": 2 },
                    "attributes": [{ "key": "request_id", "value": text("r-77") }],
                }),
            ),
        ]);
        let (processed, _) = taken(&plan, Signal::Traces, &json);
        let sealed = processed.sealed.expect("a batch");
        assert_eq!((sealed.tier, processed.n_items, sealed.batch.source_end), (1, 2, 102));
        let event = sealed.batch.event(1).expect("two");
        assert_eq!(event.request_id(), Some(&b"r-77"[..]), "{mail}");
        assert_eq!(event.trace_id().expect("an id"), format!("{:032x}", 2).as_bytes());
        assert_eq!(event.span_id().expect("an id"), format!("{:016x}", 2).as_bytes());
        assert_eq!(event.record.ts_ns, 1_700_000_000_000_000_001);
        assert_eq!(event.record.level(), Level::Error);
        assert_eq!(event.record_id().position, 101);
        // Alone it is still with its resource and scope.
        let alone = sealed.batch.only([1]);
        let left = json_of(Signal::Traces, &alone.slab);
        assert_eq!(
            left["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().map(Vec::len),
            Some(1)
        );
        assert_eq!(alone.event(0).expect("one").request_id(), Some(&b"r-77"[..]));
    }
}

/// Spans that no reader takes are taken out and told; the others stay.
#[test]
fn spans_without_ids_are_rejected() {
    let plan = plan(&[], Sampler::new(Vec::new()));
    let json = traces(&[
        span(0, &json!({ "traceId": "00000000000000000000000000000000" })),
        span(1, &json!({})),
        span(2, &json!({ "spanId": "" })),
        json!({ "name": "none" }),
        span(4, &json!({ "traceId": "0102" })),
    ]);
    let (processed, left) = taken(&plan, Signal::Traces, &json);
    assert_eq!((processed.n_items, processed.n_rejected), (5, 4));
    assert_eq!(left, traces(&[span(1, &json!({}))]));
    let (processed, _) = taken(&plan, Signal::Traces, &traces(&[]));
    assert!(processed.sealed.is_none());
}

/// Consistent probability sampling: by `rv`, else by the trace id; `th` is raised and written.
#[test]
fn sampled_spans() {
    let keep = Condition::parse("level >= \"error\" or latency_ms > 500 or tag == \"vip\"");
    let mut sampler = Sampler::new(vec![keep.expect("a condition")]);
    sampler.set_span_rate(Threshold::parse(b"8").expect("half"));
    let plan = plan(&[], sampler);
    let high = "000000000000000000ffffffffffffff";
    for (more, state) in [
        (json!({}), None),
        (json!({ "traceId": high }), Some("ot=th:8")),
        (json!({ "traceState": "ot=rv:ffffffffffffff" }), Some("ot=th:8;rv:ffffffffffffff")),
        (json!({ "traceId": high, "traceState": "a=1,ot=th:c" }), Some("ot=th:c,a=1")),
        (
            json!({ "traceId": high, "traceState": "ot=rv:80000000000000;th:c" }),
            Some("ot=rv:80000000000000"),
        ),
        (json!({ "status": { "code": 2 } }), Some("ot=th:0")),
        (json!({ "startTimeUnixNano": "1", "endTimeUnixNano": "600000001" }), Some("ot=th:0")),
        (attribute("tag", text("vip")), Some("ot=th:0")),
    ] {
        let (processed, left) = taken(&plan, Signal::Traces, &traces(&[span(0, &more)]));
        let sealed = processed.sealed.expect("a batch or what was not kept");
        assert_eq!(sealed.sampled_out.total(), u64::from(state.is_none()), "{more}");
        let written = &left["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceState"];
        assert_eq!(written.as_str(), state, "{more}");
    }
}

#[test]
fn metrics_are_protected_too() {
    let plan = plan(&[], Sampler::new(Vec::new()));
    let with = |mail: &str| {
        json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [{
            "name": "m", "description": mail,
            "sum": { "dataPoints": [{
                "attributes": [{ "key": "k", "value": text(mail) }],
                "timeUnixNano": "1700000000000000001", "asInt": "-5",
                "exemplars": [{ "filteredAttributes": [{ "key": "k", "value": text(mail) }] }],
            }] },
        }] }] }] })
    };
    let (processed, left) = taken(&plan, Signal::Metrics, &with("ann@example.com"));
    assert_eq!(left, with("[email]"));
    let sealed = processed.sealed.expect("a batch");
    assert_eq!((sealed.tier, sealed.batch.table[0].ts_ns), (2, 1_700_000_000_000_000_001));
}

#[test]
fn what_is_no_request_is_refused() {
    let plan = plan(&[], Sampler::new(Vec::new()));
    let mut pipeline = Pipeline::new(plan);
    for bytes in [&b"\x0a\x05ab"[..], b"\xff", b"{\"resourceSpans\":[]}", &[0x0a; 300]] {
        let error = pipeline.process_request(request(Signal::Traces, bytes)).expect_err("refused");
        assert!(matches!(error, RequestError::Malformed(_)), "{error}");
    }
    let many: Vec<u8> = [0x12, 0x00].repeat((1 << 18) + 1);
    let mut scope = Vec::new();
    sidewake::event::otlp::wire::push_bytes(&mut scope, 2, &many);
    let mut whole = Vec::new();
    sidewake::event::otlp::wire::push_bytes(&mut whole, 1, &scope);
    let error = pipeline.process_request(request(Signal::Traces, &whole)).expect_err("refused");
    assert!(error.to_string().contains("262,144"), "{error}");
    let error = pipeline.process_request(request(Signal::Logs, b"")).expect_err("no tier");
    assert_eq!(error, RequestError::NoTier(Signal::Logs));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Any bytes are taken or refused, and flipped bits of real requests leak nothing planted to
    /// whoever reads them by the definitions: a flipped length can make eight letters the bytes of
    /// a number that nobody knows, which stays as it is, and which nobody reads as letters.
    #[test]
    fn no_bytes_panic(mut flips in proptest::collection::vec((0usize..4096, any::<u8>()), 0..6)) {
        let fields = [("masked", Action::Mask), ("gone", Action::Drop)];
        let plan = plan(&fields, Sampler::new(Vec::new()));
        let json = traces(&[
            span(0, &attribute("masked", text("x"))),
            span(1, &json!({ "name": "mail ann@example.com", "events": [{ "name": "e" }] })),
            span(2, &attribute("l", json!({ "arrayValue": { "values": [text("x")] } }))),
        ]);
        let mut bytes = bytes_of(Signal::Traces, &json);
        for (at, byte) in flips.drain(..) {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        let mut pipeline = Pipeline::new(plan);
        for signal in [Signal::Traces, Signal::Metrics] {
            let processed = pipeline.process_request(request(signal, &bytes));
            if let Ok(Processed { sealed: Some(sealed), .. }) = processed {
                let read = read_by_the_definitions(signal, &sealed.batch.slab);
                prop_assert!(!read.contains("ann@example.com"), "{}", read);
            }
        }
    }
}
