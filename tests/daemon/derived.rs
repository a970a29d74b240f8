//! Metrics derived from what passes, through the real binary: every event counts once, whatever
//! sampling keeps and however often the daemon is killed.

use std::collections::BTreeMap;

use prost::Message as _;

use super::files::{Random, text};
use super::otlp::{Receiver, free_port, ready, request, span};
use super::otlp_client::{OtlpClient, Outcome, Protocol};
use super::otlp_proto::common::KeyValue;
use super::otlp_proto::common::any_value::Value;
use super::otlp_proto::metrics::{metric, number_data_point};
use super::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::otlp_proto::trace::Status;
use super::rig::{Place, until};

/// A series: its metric's name, and its labels.
type Series = (String, BTreeMap<String, String>);

/// Every value that a receiver got of each series, in its order; of histograms, the count.
fn told(receiver: &Receiver) -> BTreeMap<Series, Vec<f64>> {
    let mut told = BTreeMap::<Series, Vec<f64>>::new();
    for raw in receiver.fake.raw() {
        let request = ExportMetricsServiceRequest::decode(&*raw).expect("a request of metrics");
        let scopes = request.resource_metrics.into_iter().flat_map(|one| one.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            let name = metric.name;
            let mut push = |attributes: &[KeyValue], value: Option<f64>| {
                let values = told.entry((name.clone(), labels(attributes))).or_default();
                values.extend(value);
            };
            match metric.data.expect("points") {
                metric::Data::Sum(sum) => {
                    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                    for point in sum.data_points {
                        let value = point.value.map(|value| match value {
                            number_data_point::Value::AsDouble(value) => value,
                            number_data_point::Value::AsInt(value) => value as f64,
                        });
                        assert_eq!(value.is_none(), point.flags == 1, "no value, or gone");
                        push(&point.attributes, value);
                    }
                }
                metric::Data::ExponentialHistogram(histogram) => {
                    for point in histogram.data_points {
                        let is_gone = point.flags == 1;
                        let sides = [&point.positive, &point.negative].into_iter().flatten();
                        let n: u64 = sides.flat_map(|side| &side.bucket_counts).sum();
                        assert!(is_gone || n + point.zero_count == point.count);
                        push(&point.attributes, (!is_gone).then_some(point.count as f64));
                    }
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    told
}

pub(crate) fn labels(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let each = attributes.iter().map(|pair| {
        let value = pair.value.clone().and_then(|value| value.value);
        let Some(Value::StringValue(text)) = value else { panic!("{pair:?}") };
        (pair.key.clone(), text)
    });
    each.collect()
}

fn series(name: &str, labels: &[(&str, &str)]) -> Series {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (name.to_owned(), labels.collect())
}

/// Files in, metrics out every second.
fn config(receiver: &Receiver, more: &str) -> String {
    format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n  store: {{ type: files, path: \"@/store\" }}\n  \
           otlp: {{ type: otlp, endpoint: \"{}\", batch: {{ max_age: 20ms }} }}\n\
         tiers: {{ metrics: {{ sinks: [otlp] }}, application_logs: {{ sinks: [store] }}, \
           prediction_logs: {{ sinks: [store] }} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n\
         derive:\n  every: 1s\n{more}",
        receiver.fake.url()
    )
}

fn prediction(n: usize) -> String {
    let (label, confidence) = (["yes", "no"][n % 2], 0.5 + (n % 50) as f64 / 100.0);
    format!(
        r#"{{"event":"prediction","request_id":"r-{n}","model":"fraud","model_version":"v2","features":{{"amount":{n},"region":"eu-{}"}},"prediction":"{label}","confidence":{confidence},"latency_ms":{}}}"#,
        n % 3,
        1 + n % 40
    )
}

/// What is sampled away is counted; own rules count what they say; nobody's address is a label.
#[test]
fn every_event_counts() {
    let receiver = Receiver::start();
    receiver.fake.keep();
    let rules = "  rules:\n    \
        amounts: { type: histogram, kinds: [prediction], value: features.amount, \
                   labels: { region: features.region } }\n    \
        logins_total: { type: counter, when: 'message == \"login\"', labels: { who: user } }\n\
        sample: { rate: { application: 1%, prediction: 1% } }\n";
    let mut place = Place::with(&config(&receiver, rules));
    let mut lines: Vec<String> = (0..600).map(prediction).collect();
    lines.extend((0..300).map(|n| format!(r#"{{"level":"info","message":"tick {n}"}}"#)));
    let login = r#"{"level":"warning","message":"login","user":"jane.doe@example.com"}"#;
    lines.extend(std::iter::repeat_n(login.to_owned(), 7));
    place.append("model.log", &text(&lines));
    let mut daemon = place.daemon(&[]);
    let predictions = |label| {
        let labels = [("label", label), ("model", "fraud"), ("version", "v2")];
        series("ml_predictions_total", &labels)
    };
    until("all is told", || {
        let told = told(&receiver);
        told.get(&predictions("yes")).and_then(|values| values.last()) == Some(&300.0)
    });
    daemon.stop();
    let told = told(&receiver);
    let last = |series: &Series| told.get(series).and_then(|values| values.last()).copied();
    let model = [("model", "fraud"), ("version", "v2")];
    for (series, value) in [
        (predictions("no"), 300.0),
        (series("ml_prediction_duration_seconds", &model), 600.0),
        (series("ml_prediction_confidence", &model), 600.0),
        (series("log_events_total", &[("kind", "prediction")]), 600.0),
        (series("log_events_total", &[("kind", "application"), ("level", "info")]), 300.0),
        (series("log_events_total", &[("kind", "application"), ("level", "warn")]), 7.0),
        (series("amounts", &[("region", "eu-1")]), 200.0),
        (series("logins_total", &[("who", "[email]")]), 7.0),
    ] {
        assert_eq!(last(&series), Some(value), "{series:?} of {:#?}", told.keys());
    }
    let raw = receiver.fake.raw().concat();
    assert!(!String::from_utf8_lossy(&raw).contains("jane"), "an address left");
}

/// Spans are counted by what they are, also those that sampling takes out.
#[test]
fn every_span_counts() {
    let receiver = Receiver::start();
    receiver.fake.keep();
    let port = free_port();
    let sources =
        format!("sources: {{ otlp: {{ type: otlp, grpc: \"127.0.0.1:{port}\", http: off }} }}");
    let more = "sample: { rate: { spans: 1% } }\n";
    let config = config(&receiver, more)
        .replace("sources: { logs: { type: file, include: [\"@/model.log\"] } }", &sources)
        .replace("sinks: [otlp] },", "sinks: [otlp] }, traces: { sinks: [store] },");
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), Protocol::Grpc);
    ready(&receiver, &client);
    for round in 0..5 {
        let mut spans: Vec<_> = (0..100).map(|n| span(round * 100 + n, "nobody")).collect();
        for (n, span) in spans.iter_mut().enumerate() {
            span.name = ["predict", "mail to ann@example.com"][n % 2].to_owned();
            span.kind = 2;
            span.status =
                Some(Status { code: if n % 10 == 0 { 2 } else { 0 }, ..Status::default() });
            span.end_time_unix_nano = span.start_time_unix_nano + 250_000_000;
        }
        let stored = Outcome::Stored { n_rejected: 0 };
        assert_eq!(receiver.send(&client, &request(spans)), stored);
    }
    let calls = |name: &str, span: &str, status: &str| {
        let status = format!("STATUS_CODE_{status}");
        let labels = [
            ("service", "fraud"),
            ("span_kind", "SPAN_KIND_SERVER"),
            ("span_name", span),
            ("status_code", &status),
        ];
        series(name, &labels)
    };
    let ok = calls("traces_spanmetrics_calls_total", "predict", "UNSET");
    until("all is told", || {
        told(&receiver).get(&ok).and_then(|values| values.last()) == Some(&200.0)
    });
    daemon.stop();
    let told = told(&receiver);
    let last = |series: &Series| told.get(series).and_then(|values| values.last()).copied();
    let mail = "mail to [email]";
    for (series, value) in [
        (calls("traces_spanmetrics_calls_total", "predict", "ERROR"), 50.0),
        (calls("traces_spanmetrics_calls_total", mail, "UNSET"), 250.0),
        (calls("traces_spanmetrics_latency", "predict", "UNSET"), 200.0),
    ] {
        assert_eq!(last(&series), Some(value), "{series:?} of {:#?}", told.keys());
    }
    assert!(!String::from_utf8_lossy(&receiver.fake.raw().concat()).contains("ann@"));
}

/// Killed again and again: no sum ever goes back, and in the end each line was counted once.
#[test]
fn kills_neither_lose_nor_repeat_a_count() {
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 200 } else { 12 };
    let mut random = Random::from_environment();
    let receiver = Receiver::start();
    receiver.fake.keep();
    let mut place = Place::with(&config(&receiver, ""));
    let mut n = 0;
    for round in 0..rounds {
        let mut daemon = place.daemon(&[]);
        // First before anything was written down.
        let until_told = round > 0 && random.below(3) == 0;
        let seen = receiver.fake.raw().len();
        for _ in 0..1 + random.below(20) {
            let more = 1 + random.below(60) as usize;
            place.append("model.log", &text(&(n..n + more).map(prediction).collect::<Vec<_>>()));
            n += more;
            std::thread::park_timeout(std::time::Duration::from_micros(random.below(40_000)));
        }
        if until_told {
            until("something is told", || receiver.fake.raw().len() > seen);
        }
        daemon.kill();
    }
    let mut daemon = place.daemon(&[]);
    let labels = [("kind", "prediction")];
    let logged = series("log_events_total", &labels);
    daemon.admin();
    until("all is counted", || {
        let told = told(&receiver);
        told.get(&logged).and_then(|values| values.last()).is_some_and(|sum| *sum >= n as f64)
    });
    daemon.stop();
    for (series, values) in told(&receiver) {
        assert!(values.is_sorted(), "{series:?} went back: {values:?}");
        if series == logged {
            assert_eq!(values.last(), Some(&(n as f64)), "each line once");
        }
    }
}

/// More labels than may be go into one series, which says so.
#[test]
fn too_many_labels_are_one_series() {
    let receiver = Receiver::start();
    receiver.fake.keep();
    let rules = "  max_series: 10\n  rules:\n    \
        seen_total: { type: counter, kinds: [prediction], labels: { request: request_id } }\n";
    let mut place = Place::with(&config(&receiver, rules));
    place.append("model.log", &text(&(0..500).map(prediction).collect::<Vec<_>>()));
    let mut daemon = place.daemon(&[]);
    let overflow = series("seen_total", &[("otel_metric_overflow", "true")]);
    until("all is told", || {
        told(&receiver).get(&overflow).and_then(|values| values.last()) == Some(&490.0)
    });
    daemon.stop();
    let told = told(&receiver);
    assert_eq!(told.keys().filter(|(name, _)| name == "seen_total").count(), 11);
}
