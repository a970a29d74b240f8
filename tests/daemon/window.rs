//! Tail sampling with the real binary: all signals of a request share one fate, whatever their
//! order, and a kill in the middle changes none.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::otlp::{Receiver, config, free_port, ready, request, span, text};
use super::otlp_client::{OtlpClient, Outcome, Protocol};
use super::otlp_proto::common::AnyValue;
use super::otlp_proto::common::any_value::Value;
use super::otlp_proto::logs::{LogRecord, ResourceLogs, ScopeLogs};
use super::otlp_proto::logs_service::ExportLogsServiceRequest;
use super::otlp_proto::trace::Status;
use super::rig::{Daemon, Place, until};

const N_REQUESTS: u64 = 600;
const SAMPLE: &str = "sample:\n  rate: { application: 25%, spans: 25% }\n  window: 2s\n  \
                      keep: ['level >= \"error\"', 'confidence < 0.6']\n";

/// What a request is to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fortune {
    Plain,
    /// One of its two spans failed.
    FailedSpan,
    /// Its prediction, which comes last, is unsure.
    Unsure,
}

fn outcome(n: u64) -> Fortune {
    match n % 20 {
        0 => Fortune::FailedSpan,
        1 => Fortune::Unsure,
        _ => Fortune::Plain,
    }
}

/// Ids as random as OpenTelemetry wants them.
fn trace_id(n: u64) -> Vec<u8> {
    let half = |seed| xxhash_rust::xxh3::xxh3_64_with_seed(&n.to_be_bytes(), seed).to_be_bytes();
    [half(1), half(2)].concat()
}

fn spans_of(n: u64) -> Vec<super::otlp_proto::trace::Span> {
    (0..2)
        .map(|i| {
            let mut span = span(2 * n + i, "nobody");
            span.trace_id = trace_id(n);
            span.trace_state = String::new();
            let is_failed = i == 1 && outcome(n) == Fortune::FailedSpan;
            span.status = is_failed.then(|| Status { code: 2, ..Status::default() });
            span.attributes = vec![text("n", "x")];
            span
        })
        .collect()
}

/// A line of the request's work: every second one knows no trace, only the request's id.
fn work(n: u64) -> LogRecord {
    LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000,
        body: Some(AnyValue { value: Some(Value::StringValue("at work".to_owned())) }),
        attributes: vec![text("request_id", &format!("r-{n}"))],
        trace_id: if n.is_multiple_of(2) { trace_id(n) } else { Vec::new() },
        ..LogRecord::default()
    }
}

fn prediction(n: u64) -> LogRecord {
    let confidence = if outcome(n) == Fortune::Unsure { 0.3 } else { 0.9 };
    let body = format!(
        r#"{{"event":"prediction","request_id":"r-{n}","prediction":"a","confidence":{confidence}}}"#
    );
    LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000,
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        trace_id: trace_id(n),
        ..LogRecord::default()
    }
}

fn logs(log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource = ResourceLogs { scope_logs, ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
}

fn send_all(receiver: &Receiver, client: &OtlpClient, range: std::ops::Range<u64>) {
    let stored = Outcome::Stored { n_rejected: 0 };
    for n in range {
        assert_eq!(receiver.send(client, &request(spans_of(n))), stored);
        for record in [work(n), prediction(n)] {
            let sent = receiver.runtime.block_on(client.logs(logs(vec![record])));
            assert_eq!(sent, stored);
        }
    }
}

/// Requests of which spans and work lines came, with how many; and the spans' thresholds.
struct Came {
    spans: BTreeMap<u64, usize>,
    works: BTreeMap<u64, usize>,
    n_predictions: usize,
    states: BTreeSet<String>,
}

fn came(receiver: &Receiver) -> Came {
    let numbers: BTreeMap<Vec<u8>, u64> = (0..N_REQUESTS).map(|n| (trace_id(n), n)).collect();
    let (mut spans, mut works) = (BTreeMap::new(), BTreeMap::new());
    let (mut n_predictions, mut states) = (0, BTreeSet::new());
    for span in receiver.fake.spans() {
        *spans.entry(numbers[&span.trace_id]).or_insert(0) += 1;
        states.insert(span.trace_state);
    }
    for resource in receiver.fake.resource_logs() {
        for record in resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
            let attribute = record.attributes.iter().find(|one| one.key == "request_id");
            let id = attribute.and_then(|one| one.value.as_ref()?.value.as_ref());
            let Some(Value::StringValue(id)) = id else {
                n_predictions += 1;
                continue;
            };
            *works.entry(id[2..].parse().expect("a number")).or_insert(0) += 1;
        }
    }
    Came { spans, works, n_predictions, states }
}

fn assert_one_fate(came: &Came) {
    for n in 0..N_REQUESTS {
        let (spans, works) = (came.spans.get(&n), came.works.get(&n));
        assert_eq!(spans.is_some(), works.is_some(), "request {n}: {spans:?}, {works:?}");
        assert!(spans.is_none_or(|spans| *spans == 2), "request {n}: {spans:?}");
        if outcome(n) != Fortune::Plain {
            assert!(spans.is_some(), "request {n} was {:?}", outcome(n));
        }
    }
    let n_plain = (0..N_REQUESTS).filter(|n| outcome(*n) == Fortune::Plain).count();
    let n_kept = came.spans.keys().filter(|n| outcome(**n) == Fortune::Plain).count();
    // A quarter of 540: 135, and five standard deviations around it.
    assert!(n_plain == 540 && (85..=185).contains(&n_kept), "{n_kept} of {n_plain}");
    assert_eq!(came.n_predictions, N_REQUESTS as usize, "predictions are kept whole");
    let states: Vec<&str> = came.states.iter().map(String::as_str).collect();
    assert_eq!(states, ["ot=th:0", "ot=th:c"]);
}

fn place(receiver: &Receiver, port: u16) -> Place {
    receiver.fake.keep();
    Place::with(&(config(receiver, port, "") + SAMPLE))
}

fn all_is_decided(daemon: &mut Daemon) -> super::http::Metrics {
    daemon.metrics_when("all is decided and delivered", |metrics| {
        metrics.routes().iter().all(|(tier, sink)| {
            metrics.route("spooled_events", tier, sink) == 0 && metrics.is_balanced()
        })
    })
}

#[test]
fn one_fate_for_all_signals_of_a_request() {
    let (receiver, port) = (Receiver::start(), free_port());
    let mut place = place(&receiver, port);
    let mut daemon = place.daemon(&[]);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Http);
    ready(&receiver, &client);
    send_all(&receiver, &client, 0..N_REQUESTS);
    let metrics = all_is_decided(&mut daemon);
    assert_eq!(metrics.route("events_total", "traces", "tempo"), 2 * N_REQUESTS);
    assert!(metrics.route("sampled_out_events_total", "traces", "tempo") > 0);
    assert_one_fate(&came(&receiver));
    daemon.stop();
}

/// Killed while some requests are decided, some wait, and the prediction of some has yet to come.
#[test]
fn a_kill_changes_no_fate() {
    let (receiver, port) = (Receiver::start(), free_port());
    let mut place = place(&receiver, port);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
    let mut daemon = place.daemon(&[]);
    ready(&receiver, &client);
    send_all(&receiver, &client, 0..N_REQUESTS / 2);
    let half = N_REQUESTS / 2;
    let stored = Outcome::Stored { n_rejected: 0 };
    for n in half..N_REQUESTS {
        assert_eq!(receiver.send(&client, &request(spans_of(n))), stored);
    }
    until("some are decided", || receiver.fake.n_spans() > 0);
    daemon.kill();
    let mut daemon = place.daemon(&[]);
    ready(&receiver, &client);
    for n in half..N_REQUESTS {
        for record in [work(n), prediction(n)] {
            let sent = receiver.runtime.block_on(client.logs(logs(vec![record])));
            assert_eq!(sent, stored);
        }
    }
    all_is_decided(&mut daemon);
    let came = came(&receiver);
    for n in 0..N_REQUESTS {
        let is_kept = came.spans.contains_key(&n);
        if outcome(n) == Fortune::FailedSpan {
            assert!(is_kept && came.works.contains_key(&n), "request {n}");
        }
        // What its spans were decided to, late lines follow: by the error that was spooled, by the
        // same bits. Only an unsure prediction comes too late for spans that were decided.
        let is_told = n < half || outcome(n) != Fortune::Unsure;
        assert!(!is_told || is_kept == came.works.contains_key(&n), "request {n}");
    }
    daemon.stop();
}

/// The end of the process ends every window: a pod that goes leaves nothing undecided behind.
#[test]
fn a_clean_end_decides_at_once() {
    let (receiver, port) = (Receiver::start(), free_port());
    receiver.fake.keep();
    let sample = SAMPLE.replace("window: 2s", "window: 30m");
    let mut place = Place::with(&(config(&receiver, port, "") + &sample));
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
    let mut daemon = place.daemon(&[]);
    ready(&receiver, &client);
    send_all(&receiver, &client, 0..N_REQUESTS);
    assert_eq!(receiver.fake.n_spans(), 0, "nothing is decided yet");
    daemon.stop();
    assert_one_fate(&came(&receiver));
}

/// A window can be taken out of the config: what waits in its logs is delivered.
#[test]
fn without_its_window_a_tier_goes_on() {
    let (receiver, port) = (Receiver::start(), free_port());
    let mut place = place(&receiver, port);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
    let mut daemon = place.daemon(&[]);
    ready(&receiver, &client);
    send_all(&receiver, &client, 0..100);
    daemon.kill();
    let without = SAMPLE.replace("  window: 2s\n", "").replace("25%", "100%");
    place.configure(&(config(&receiver, port, "") + &without));
    let mut daemon = place.daemon(&[]);
    ready(&receiver, &client);
    send_all(&receiver, &client, 100..200);
    all_is_decided(&mut daemon);
    let came = came(&receiver);
    assert!((100..200).all(|n| came.spans.get(&n) == Some(&2)), "{:?}", came.spans);
    let n_outcomes = (0..100).filter(|n| outcome(*n) != Fortune::Plain).count();
    let n_kept = came.spans.range(..100).count();
    assert!(n_kept >= n_outcomes, "{n_kept} of {n_outcomes}");
    daemon.stop();
}
