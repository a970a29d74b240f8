//! OTLP's requests, which anybody may send to the ports.

use std::sync::{Arc, LazyLock};

use prost::Message as _;
use serde::de::IgnoredAny;
use serde_json::json;
use sidewake::event::otlp::json::{push_message_json, request_from_json};
use sidewake::event::otlp::schema::Message;
use sidewake::event::record::Kind;
use sidewake::event::request::Request;
use sidewake::event::signal::Signal;
use sidewake::event::slab::Slab;
use sidewake::pipeline::rules::Rules;
use sidewake::pipeline::sample::Sampler;
use sidewake::pipeline::{Pipeline, Plan, TierPlan};
use sidewake::protect::entity::EntitySet;
use sidewake::protect::outputs::Sealed;
use sidewake::protect::policy::{Action, Policy, PolicySpec};
use sidewake::protect::protected::Protected;
use sidewake::sources::Context;
use sidewake::sources::otlp::LogLines;

#[path = "../../otlp_proto/messages.rs"]
mod otlp_proto;

use otlp_proto::logs_service::ExportLogsServiceRequest;
use otlp_proto::metrics_service::ExportMetricsServiceRequest;
use otlp_proto::trace_service::ExportTraceServiceRequest;

const OBSERVED_NS: i64 = 1_767_522_600_000_000_000;

/// What must not leave: found by its look, or by the name of its field.
const PLANTED: [&str; 2] = ["zoe.planted@example.com", "planted-hunter2"];

/// Any bytes and, behind them in the same request, what must not leave in every place that has
/// text: it does not, the bytes are sound, and twice the same comes out.
pub(crate) fn request(bytes: &[u8]) {
    for signal in [Signal::Traces, Signal::Metrics] {
        let whole = [bytes, planted(signal)].concat();
        let Some(out) = processed(signal, &whole) else { continue };
        assert_eq!(processed(signal, &whole).as_ref(), Some(&out), "twice the same");
        if decoded(signal, &whole).is_some() {
            assert!(decoded(signal, &out).is_some(), "what was sound is sound");
        }
        // Else the last of the bytes may have made something else of what is behind them.
        if processed(signal, bytes).is_some() {
            check_gone(bytes, &out);
        }
    }
}

/// What is taken for a request decodes, and is written as JSON that says the same.
pub(crate) fn json(bytes: &[u8]) {
    for signal in Signal::ALL {
        let mut message = Vec::new();
        if request_from_json(signal, bytes, &mut message).is_err() {
            continue;
        }
        assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok(), "laxer than serde_json");
        assert!(decoded(signal, &message).is_some(), "the official decoder takes it");
        let once = written(signal, &message);
        let mut again = Vec::new();
        request_from_json(signal, &once, &mut again).expect("what we write we read");
        assert_eq!(written(signal, &again), once);
    }
}

/// A request of logs becomes lines, each an object, as many as there are records; and what must not
/// leave is gone behind the pipeline.
pub(crate) fn log_lines(bytes: &[u8]) {
    let whole = [bytes, planted(Signal::Logs)].concat();
    let mut lines = LogLines::new(&Context::default());
    let is_whole = lines.chunks(bytes, (1, 0, OBSERVED_NS)).is_ok();
    let Ok(chunks) = lines.chunks(&whole, (1, 0, OBSERVED_NS)) else { return };
    let (mut n_lines, mut out) = (0, Vec::new());
    let mut pipeline = pipeline();
    for chunk in chunks {
        let sidewake::event::chunk::Lines::Table(table) = &chunk.lines else {
            panic!("a table of lines");
        };
        for line in table {
            let text = &chunk.slab[line.start as usize..][..line.len as usize];
            assert!(memchr::memchr2(b'\n', b'\r', text).is_none(), "one line");
            let is_object = serde_json::from_slice::<serde_json::Map<_, _>>(text);
            let is_deep = text.windows(100).any(|part| part.iter().all(|b| b"[{".contains(b)));
            assert!(is_object.is_ok() || is_deep, "{}", text.escape_ascii());
        }
        n_lines += table.len();
        for sealed in pipeline.process(chunk) {
            out.extend_from_slice(&sealed.batch.slab);
            for (_, value) in &sealed.batch.origin.attributes {
                out.extend_from_slice(value.as_bytes());
            }
        }
    }
    if let Ok(theirs) = ExportLogsServiceRequest::decode(&*whole) {
        let scopes = theirs.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
        assert_eq!(n_lines, scopes.map(|scope| scope.log_records.len()).sum::<usize>());
    }
    if is_whole {
        check_gone(bytes, &out);
    }
}

/// What stands in the bytes already may do so as part of something else.
fn check_gone(before: &[u8], out: &[u8]) {
    assert!(memchr::memmem::find(out, b"[email]").is_some(), "it was there");
    for planted in PLANTED.map(str::as_bytes) {
        if memchr::memmem::find(before, planted).is_none() {
            let at = memchr::memmem::find(out, planted);
            assert!(at.is_none(), "{} at {at:?}", planted.escape_ascii());
        }
    }
}

fn processed(signal: Signal, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(sealed(signal, bytes)?.map_or_else(Vec::new, |sealed| sealed.batch.slab.to_vec()))
}

fn sealed(signal: Signal, bytes: &[u8]) -> Option<Option<Sealed>> {
    let request = Request {
        signal,
        slab: Slab::from_bytes(bytes),
        origin: Arc::default(),
        source_key: 1,
        source_base: 0,
        observed_ns: OBSERVED_NS,
    };
    Some(pipeline().process_request(request).ok()?.sealed)
}

/// What a sink gets of a request of metrics.
pub(crate) fn metrics(bytes: &[u8]) -> Option<Protected> {
    sealed(Signal::Metrics, bytes)?.map(|sealed| sealed.batch)
}

fn pipeline() -> Pipeline {
    static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
        let fields = vec![("secret_word".to_owned(), Action::Drop)];
        let spec = PolicySpec { detect: EntitySet::ALL, fields, ..PolicySpec::default() };
        let tiers = ["logs", "traces", "metrics"].map(|name| TierPlan {
            name: name.into(),
            policy: Policy::compile(&spec, false).expect("a sound policy"),
        });
        let sampler = Sampler::new(Vec::new());
        let plan = Plan::new(tiers.into(), [0; Kind::ALL.len()], Rules::default(), sampler, None);
        plan.with_items(&[(Signal::Traces, 1), (Signal::Metrics, 2)]).with_cumulative(true)
    });
    Pipeline::new(Arc::clone(&PLAN))
}

/// See [`made`].
fn planted(signal: Signal) -> &'static [u8] {
    static ALL: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| Signal::ALL.map(made));
    &ALL[signal as usize]
}

/// A request with what must not leave in all places.
fn made(signal: Signal) -> Vec<u8> {
    let [mail, word] = PLANTED;
    let text = |text: &str| json!({ "stringValue": text });
    let attributes = json!([
        { "key": "to", "value": text(mail) }, { "key": "secret_word", "value": text(word) },
        { "key": "l", "value": { "arrayValue": { "values": [text("x"), text(mail)] } } },
        { "key": "k", "value": { "kvlistValue": { "values": [
            { "key": "secret_word", "value": text(word) }, { "key": "y", "value": text(mail) } ] } } }
    ]);
    let common = json!({ "attributes": attributes });
    let request = match signal {
        Signal::Traces => json!({ "resourceSpans": [{ "resource": common, "scopeSpans": [{
            "scope": common, "spans": [{
                "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
                "name": mail, "attributes": attributes, "status": { "message": mail },
                "events": [{ "name": mail, "attributes": attributes }],
                "links": [{ "attributes": attributes }] }] }] }] }),
        Signal::Metrics => json!({ "resourceMetrics": [{ "resource": common, "scopeMetrics": [{
            "scope": common, "metrics": [{ "name": "m", "description": mail, "gauge": {
                "dataPoints": [{ "asInt": "1", "attributes": attributes,
                    "exemplars": [{ "asInt": "1", "filteredAttributes": attributes }] }] } }] }] }] }),
        Signal::Logs => json!({ "resourceLogs": [{ "resource": common, "scopeLogs": [{
            "scope": common, "logRecords": [
                { "body": text(mail), "attributes": attributes },
                { "body": text(&json!({ "secret_word": word, "a": mail }).to_string()) },
                { "body": { "kvlistValue": { "values": attributes } } }] }] }] }),
    };
    let mut bytes = Vec::new();
    request_from_json(signal, request.to_string().as_bytes(), &mut bytes).expect("a request");
    bytes
}

fn decoded(signal: Signal, bytes: &[u8]) -> Option<()> {
    match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(bytes).map(|_| ()).ok(),
        Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).map(|_| ()).ok(),
        Signal::Logs => ExportLogsServiceRequest::decode(bytes).map(|_| ()).ok(),
    }
}

fn written(signal: Signal, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_message_json(Message::request_of(signal), bytes, (0, bytes.len()), &mut out);
    out
}
