//! Bodies, decoded by the official definitions and told as lines:
//! `name{label="value"} value @time`, with `from` for a start time and `#` for an exemplar.

use std::collections::BTreeMap;

use prost::Message as _;

use self::otlp_proto::common::any_value::Value;
use self::otlp_proto::common::{AnyValue, KeyValue};
use self::otlp_proto::metrics::exponential_histogram_data_point::Buckets;
use self::otlp_proto::metrics::metric::Data;
use self::otlp_proto::metrics::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point, summary_data_point,
};
use self::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use self::otlp_proto::resource::Resource;
use self::proto::{one, two};
use super::*;
use crate::event::otlp::prometheus::{NO_RECORDED_VALUE, STALE_BITS, TYPE_KEY};
use crate::event::otlp::subset;
use crate::event::record::Record;
use crate::event::slab::Slab;

#[path = "../../../tests/otlp_proto/messages.rs"]
mod otlp_proto;
#[path = "../../../tests/remote_write_proto/messages.rs"]
mod proto;

const MS: u64 = 1_000_000;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value }
}

fn point(attributes: &[(&str, &str)], ms: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes.iter().map(|(key, value)| text(key, value)).collect(),
        start_time_unix_nano: 5 * MS,
        time_unix_nano: ms * MS,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let (name, unit, data) = (name.to_owned(), unit.to_owned(), Some(data));
    Metric { name, unit, description: "about".to_owned(), data, metadata: Vec::new() }
}

fn scraped(name: &str, kind: &str, data: Data) -> Metric {
    Metric { metadata: vec![text(TYPE_KEY, kind)], ..metric(name, "", data) }
}

fn gauge(points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(Gauge { data_points: points })
}

fn sum(points: Vec<NumberDataPoint>, is_monotonic: bool, temporality: i32) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic })
}

fn histogram(points: Vec<HistogramDataPoint>) -> Data {
    Data::Histogram(Histogram { data_points: points, aggregation_temporality: 2 })
}

fn exponential(point: ExponentialHistogramDataPoint) -> Data {
    let data_points = vec![point];
    Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: 2 })
}

fn batch(attributes: &[(&str, &str)], metrics: Vec<Metric>) -> Batch {
    let attributes = attributes.iter().map(|(key, value)| text(key, value)).collect();
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            schema_url: String::new(),
        }],
    };
    let bytes = request.encode_to_vec();
    let mut table = Vec::new();
    subset::items(&bytes, |place| {
        table.push(Record::new(place.item.start as u32, place.item.len() as u32));
    })
    .expect("sound");
    let (slab, signal) = (Slab::from_bytes(&bytes), Signal::Metrics);
    Batch { table, slab, signal, observed_ns: 9_000_000, ..Batch::default() }
}

fn sink(protocol: Option<Protocol>) -> RemoteWrite {
    let (url, headers, timeout) = (String::new(), Vec::new(), Duration::ZERO);
    RemoteWrite::new(Options { url, protocol, headers, timeout })
}

/// A body of batches, and the reasons of what was refused.
fn body(sink: &RemoteWrite, batches: &[Batch]) -> (Body, Vec<&'static str>) {
    let mut encoder = sink.encoder(1_000_000_000);
    assert!(encoder.is_empty());
    let mut reasons = Vec::new();
    for batch in batches {
        reasons.extend(encoder.push(batch, 0..batch.len()).iter().map(|one| one.reason));
    }
    let about = encoder.len();
    let mut body = Body::default();
    encoder.finish(LogRange::default(), &mut body).expect("finished");
    let raw = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("a snappy block");
    assert!(reasons.len() == batches.len() || about * 2 >= raw.len(), "{about} of {}", raw.len());
    (body, reasons)
}

fn value(bits: f64) -> String {
    match bits.to_bits() {
        STALE_BITS => "stale".to_owned(),
        _ => bits.to_string(),
    }
}

fn series_name(labels: &[(String, String)]) -> String {
    assert!(labels.is_sorted_by(|a, b| a.0 < b.0), "{labels:?}");
    assert!(labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()), "{labels:?}");
    let name = labels.iter().find(|(name, _)| name == "__name__").map(|(_, value)| value.as_str());
    let others = labels.iter().filter(|(name, _)| name != "__name__");
    let others: Vec<String> = others.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{}{{{}}}", name.unwrap_or_default(), others.join(","))
}

fn from(start_ms: i64) -> String {
    if start_ms == 0 { String::new() } else { format!(" from {start_ms}") }
}

/// The lines of a body of 2.0.
fn lines_of_two(body: &Body) -> Vec<String> {
    let raw = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("a snappy block");
    let request = two::Request::decode(&raw[..]).expect("a request of 2.0");
    assert_eq!(request.symbols.first().map(String::as_str), Some(""));
    let unique: std::collections::BTreeSet<&String> = request.symbols.iter().collect();
    assert_eq!(unique.len(), request.symbols.len());
    let pairs = |refs: &[u32]| -> Vec<(String, String)> {
        assert_eq!(refs.len() % 2, 0);
        let texts: Vec<String> =
            refs.iter().map(|number| request.symbols[*number as usize].clone()).collect();
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    };
    let mut lines = Vec::new();
    for series in &request.timeseries {
        let name = series_name(&pairs(&series.labels_refs));
        assert!(series.samples.is_empty() != series.histograms.is_empty(), "{name}");
        assert!(series.samples.is_sorted_by(|a, b| a.timestamp < b.timestamp), "{name}");
        for sample in &series.samples {
            let start = from(sample.start_timestamp);
            lines.push(format!("{name} {} @{}{start}", value(sample.value), sample.timestamp));
        }
        for histogram in &series.histograms {
            lines.push(format!("{name} {}", native_line(histogram)));
        }
        for exemplar in &series.exemplars {
            let labels = series_name(&pairs(&exemplar.labels_refs));
            lines.push(format!("  # {labels} {} @{}", exemplar.value, exemplar.timestamp));
        }
    }
    lines
}

fn native_line(histogram: &two::Histogram) -> String {
    let spans = |spans: &[two::BucketSpan]| -> Vec<(i32, u32)> {
        spans.iter().map(|span| (span.offset, span.length)).collect()
    };
    format!(
        "{:?} sum {} schema {} zero {:?} below {:e} +{:?}{:?} -{:?}{:?} hint {} @{}{}",
        histogram.count,
        value(histogram.sum),
        histogram.schema,
        histogram.zero_count,
        histogram.zero_threshold,
        spans(&histogram.positive_spans),
        histogram.positive_deltas,
        spans(&histogram.negative_spans),
        histogram.negative_deltas,
        histogram.reset_hint,
        histogram.timestamp,
        from(histogram.start_timestamp),
    )
}

#[track_caller]
fn assert_lines(attributes: &[(&str, &str)], metrics: Vec<Metric>, expected: &[&str]) {
    let (body, reasons) = body(&sink(None), &[batch(attributes, metrics)]);
    assert_eq!(reasons, [""; 0]);
    assert_eq!(lines_of_two(&body), expected);
}

const FRAUD: &[(&str, &str)] = &[("service.name", "fraud"), ("service.instance.id", "i1")];

#[test]
fn numbers() {
    let whole =
        NumberDataPoint { value: Some(number_data_point::Value::AsInt(-3)), ..point(&[], 30, 0.0) };
    let stale = NumberDataPoint { value: None, flags: NO_RECORDED_VALUE, ..point(&[], 40, 0.0) };
    assert_lines(
        FRAUD,
        vec![
            metric(
                "app.requests",
                "{request}",
                sum(vec![point(&[("http.method", "GET")], 20, 2.5)], true, 2),
            ),
            metric("queue.size", "By", sum(vec![point(&[], 20, 7.0)], false, 2)),
            metric("load", "1", gauge(vec![point(&[], 20, f64::NEG_INFINITY), whole, stale])),
        ],
        &[
            r#"app_requests_total{http_method="GET",instance="i1",job="fraud"} 2.5 @20 from 5"#,
            r#"queue_size_bytes{instance="i1",job="fraud"} 7 @20"#,
            r#"load_ratio{instance="i1",job="fraud"} -inf @20"#,
            r#"load_ratio{instance="i1",job="fraud"} -3 @30"#,
            r#"load_ratio{instance="i1",job="fraud"} stale @40"#,
        ],
    );
}

#[test]
fn labels_that_meet() {
    let attributes =
        &[("a.b", "1"), ("B", "2"), ("job", "x"), ("a_b", "0"), ("empty", ""), ("__name__", "y")];
    assert_lines(
        &[("service.namespace", "ml"), ("service.name", "fraud"), ("team", "risk"), ("k.8", "é")],
        vec![metric("up", "", gauge(vec![point(attributes, 20, 1.0), point(&[], 25, 0.0)]))],
        &[
            r#"up{B="2",a_b="1;0",job="ml/fraud"} 1 @20"#,
            r#"up{job="ml/fraud"} 0 @25"#,
            r#"target_info{job="ml/fraud",k_8="é",team="risk"} 1 @25"#,
        ],
    );
}

#[test]
fn what_was_scraped_keeps_its_names() {
    let classic = HistogramDataPoint {
        time_unix_nano: 20 * MS,
        count: 3,
        sum: Some(1.5),
        bucket_counts: vec![1, 1, 1],
        explicit_bounds: vec![1.0, 1e6],
        ..HistogramDataPoint::default()
    };
    let quantile = summary_data_point::ValueAtQuantile { quantile: 1.0, value: 4.0 };
    let summary = SummaryDataPoint {
        time_unix_nano: 20 * MS,
        count: 2,
        sum: 8.0,
        quantile_values: vec![quantile],
        ..SummaryDataPoint::default()
    };
    let summary = Data::Summary(Summary { data_points: vec![summary] });
    let stale = HistogramDataPoint {
        time_unix_nano: 30 * MS,
        flags: NO_RECORDED_VALUE,
        explicit_bounds: vec![1.0],
        ..HistogramDataPoint::default()
    };
    let metrics = vec![
        scraped("a__b_total", "counter", sum(vec![point(&[("x__y", "1")], 20, 1.0)], true, 2)),
        scraped("h", "histogram", histogram(vec![classic, stale])),
        scraped("s", "summary", summary),
    ];
    assert_lines(
        &[("service.name", "job-1"), ("service.instance.id", "host:80")],
        metrics,
        &[
            r#"a__b_total{instance="host:80",job="job-1",x__y="1"} 1 @20 from 5"#,
            r#"h_sum{instance="host:80",job="job-1"} 1.5 @20"#,
            r#"h_sum{instance="host:80",job="job-1"} stale @30"#,
            r#"h_count{instance="host:80",job="job-1"} 3 @20"#,
            r#"h_count{instance="host:80",job="job-1"} stale @30"#,
            r#"h_bucket{instance="host:80",job="job-1",le="1.0"} 1 @20"#,
            r#"h_bucket{instance="host:80",job="job-1",le="1.0"} stale @30"#,
            r#"h_bucket{instance="host:80",job="job-1",le="1e+06"} 2 @20"#,
            r#"h_bucket{instance="host:80",job="job-1",le="+Inf"} 3 @20"#,
            r#"h_bucket{instance="host:80",job="job-1",le="+Inf"} stale @30"#,
            r#"s_sum{instance="host:80",job="job-1"} 8 @20"#,
            r#"s_count{instance="host:80",job="job-1"} 2 @20"#,
            r#"s{instance="host:80",job="job-1",quantile="1.0"} 4 @20"#,
        ],
    );
}

#[test]
fn histograms_and_their_exemplars() {
    let exemplar = |value: f64, trace: u8| Exemplar {
        filtered_attributes: vec![text("user.id", "u")],
        time_unix_nano: 15 * MS,
        trace_id: vec![trace; 16],
        value: Some(exemplar::Value::AsDouble(value)),
        ..Exemplar::default()
    };
    let long =
        Exemplar { filtered_attributes: vec![text("k", &"x".repeat(200))], ..exemplar(9.0, 0) };
    let data = histogram(vec![HistogramDataPoint {
        start_time_unix_nano: 5 * MS,
        time_unix_nano: 20 * MS,
        count: 4,
        bucket_counts: vec![1, 2, 1],
        explicit_bounds: vec![0.5, 10.0],
        exemplars: vec![exemplar(0.5, 0xab), long],
        ..HistogramDataPoint::default()
    }]);
    assert_lines(
        &[],
        vec![metric("latency", "s", data)],
        &[
            "latency_seconds_count{} 4 @20 from 5",
            r#"latency_seconds_bucket{le="0.5"} 1 @20 from 5"#,
            r##"  # {trace_id="abababababababababababababababab",user_id="u"} 0.5 @15"##,
            r#"latency_seconds_bucket{le="10"} 3 @20 from 5"#,
            r##"  # {} 9 @15"##,
            r#"latency_seconds_bucket{le="+Inf"} 4 @20 from 5"#,
        ],
    );
}

#[test]
fn native_histograms() {
    let buckets = |offset: i32, bucket_counts: &[u64]| {
        Some(Buckets { offset, bucket_counts: bucket_counts.to_vec() })
    };
    let point = |scale: i32, count: u64| ExponentialHistogramDataPoint {
        time_unix_nano: 20 * MS,
        start_time_unix_nano: 5 * MS,
        count,
        sum: Some(2.0),
        scale,
        ..ExponentialHistogramDataPoint::default()
    };
    let plain = ExponentialHistogramDataPoint {
        zero_count: 1,
        positive: buckets(-1, &[1, 0, 2, 0, 0, 0, 3]),
        negative: buckets(0, &[4]),
        ..point(3, 11)
    };
    let fine = ExponentialHistogramDataPoint {
        positive: buckets(-3, &[1, 1, 1, 1]),
        sum: None,
        zero_threshold: 0.25,
        ..point(9, 4)
    };
    let stale = ExponentialHistogramDataPoint { flags: NO_RECORDED_VALUE, ..point(0, 0) };
    assert_lines(
        &[],
        vec![
            metric("a", "", exponential(plain)),
            metric("b", "", exponential(fine)),
            metric("c", "", exponential(stale)),
        ],
        &[
            "a{} Some(CountInt(11)) sum 2 schema 3 zero Some(ZeroCountInt(1)) below 1e-128 \
             +[(0, 3), (3, 1)][1, -1, 2, 1] -[(1, 1)][4] hint 0 @20 from 5",
            "b{} Some(CountInt(4)) sum NaN schema 8 zero Some(ZeroCountInt(0)) below 2.5e-1 \
             +[(-1, 3)][1, 1, -1] -[][] hint 0 @20 from 5",
            "c{} Some(CountInt(0)) sum stale schema 0 zero Some(ZeroCountInt(0)) below 0e0 \
             +[][] -[][] hint 0 @20 from 5",
        ],
    );
}

#[test]
fn what_cannot_be_said_is_refused() {
    let exponential_of = |scale, count| {
        exponential(ExponentialHistogramDataPoint {
            scale,
            count,
            ..ExponentialHistogramDataPoint::default()
        })
    };
    let delta = HistogramDataPoint::default();
    let delta = Histogram { data_points: vec![delta], aggregation_temporality: 1 };
    for (refused, reason) in [
        (metric("a", "", sum(vec![point(&[], 20, 1.0)], true, 1)), "delta_temporality"),
        (metric("a", "", sum(vec![point(&[], 20, 1.0)], true, 0)), "unknown_temporality"),
        (metric("a", "", Data::Histogram(delta)), "delta_temporality"),
        (metric("...", "", gauge(vec![point(&[], 20, 1.0)])), "no_name"),
        (metric("a", "", gauge(Vec::new())), "no_points"),
        (Metric { data: None, ..metric("a", "", gauge(Vec::new())) }, "no_points"),
        (metric("a", "", gauge(vec![NumberDataPoint::default()])), "no_value"),
        (metric("a", "", exponential_of(-5, 0)), "histogram_scale_too_small"),
        (metric("a", "", exponential_of(0, 1)), "histogram_count_mismatch"),
        (
            metric("a", "", gauge(vec![point(&[], 20, 1.0), point(&[], 20, 2.0)])),
            "second_value_at_one_time",
        ),
    ] {
        let good = metric("good", "", gauge(vec![point(&[], 20, 1.0)]));
        let (body, reasons) = body(&sink(None), &[batch(&[], vec![refused, good])]);
        assert_eq!(reasons, [reason]);
        assert!(lines_of_two(&body).contains(&"good{} 1 @20".to_owned()), "{reason}");
    }
}

/// Requests of one body meet in their series, whatever order they came in.
#[test]
fn series_of_several_requests() {
    let of = |ms: u64| batch(FRAUD, vec![metric("up", "", gauge(vec![point(&[], ms, ms as f64)]))]);
    let (body, _) = body(&sink(None), &[of(20), of(40), of(30), of(20)]);
    let name = r#"up{instance="i1",job="fraud"}"#;
    let expected = ["20 @20", "30 @30", "40 @40"].map(|value| format!("{name} {value}"));
    assert_eq!(lines_of_two(&body), expected);
    assert_eq!(body.contents, Contents { form: 2, n_items: 3 });
}

#[test]
fn one_point_oh() {
    let metrics = vec![
        metric("a", "s", sum(vec![point(&[("k", "v")], 20, 1.0)], true, 2)),
        metric("b", "", exponential(ExponentialHistogramDataPoint::default())),
    ];
    let sink = sink(Some(Protocol::One));
    let (body, reasons) = body(&sink, &[batch(FRAUD, metrics)]);
    assert_eq!(reasons, [""; 0]);
    assert_eq!(body.headers["content-type"], "application/x-protobuf");
    assert_eq!(body.headers["x-prometheus-remote-write-version"], "0.1.0");
    let raw = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("a snappy block");
    let request = one::WriteRequest::decode(&raw[..]).expect("a request of 1.0");
    let names = |series: &one::TimeSeries| -> BTreeMap<String, String> {
        series.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
    };
    let first = &request.timeseries[0];
    assert_eq!(names(first)["__name__"], "a_seconds_total");
    assert_eq!(names(first)["k"], "v");
    assert_eq!((first.samples[0].value, first.samples[0].timestamp), (1.0, 20));
    let second = &request.timeseries[1];
    assert_eq!((second.samples.len(), second.histograms[0].timestamp), (0, 9));
    let metadata = &request.metadata[0];
    assert_eq!(
        (metadata.metric_family_name.as_str(), metadata.unit.as_str()),
        ("a_seconds_total", "seconds")
    );
    assert_eq!((metadata.help.as_str(), metadata.r#type), ("about", 1));
    assert_eq!(body.contents, Contents { form: 1, n_items: 2 });
}

/// What the receiver speaks is learned once, asked again after an hour, and nowhere else.
#[test]
fn the_form_is_learned() {
    const HOUR_NS: i64 = 3_600_000_000_000;
    let sink = sink(None);
    let written = [(WRITTEN_HEADERS[0], "1".to_owned())];
    let form_at = |now_ns: i64| {
        let mut body = Body::default();
        let encoder = sink.encoder(now_ns);
        encoder.finish(LogRange::default(), &mut body).expect("finished");
        body.contents.form
    };
    let answer = |status: u16, form: u8, headers: &[(&'static str, String)]| {
        let contents = Contents { form, n_items: 1 };
        sink.judge(&Response { status, contents, headers, ..Response::default() })
    };
    assert_eq!(form_at(HOUR_NS), 2);
    assert!(matches!(answer(503, 2, &[]), Verdict::Retry { .. }));
    assert_eq!(form_at(HOUR_NS), 2);
    assert!(matches!(answer(204, 2, &[]), Verdict::Reencode { .. }));
    assert_eq!((form_at(HOUR_NS), form_at(2 * HOUR_NS - 1)), (1, 1));
    assert_eq!(answer(204, 1, &[]), Verdict::Delivered);
    assert_eq!(form_at(2 * HOUR_NS), 2);
    assert!(matches!(answer(415, 2, &[]), Verdict::Reencode { .. }));
    assert_eq!((form_at(2 * HOUR_NS), form_at(3 * HOUR_NS)), (1, 2));
    assert_eq!(answer(200, 2, &written), Verdict::Delivered);
    assert_eq!(form_at(3 * HOUR_NS), 2);
    assert!(matches!(answer(400, 2, &[]), Verdict::PartlyRefused { .. }));
    assert_eq!(form_at(3 * HOUR_NS), 2);
    for protocol in [Protocol::One, Protocol::Two] {
        let fixed = self::sink(Some(protocol));
        let contents = Contents { form: if protocol == Protocol::One { 1 } else { 2 }, n_items: 1 };
        let response = Response { status: 415, contents, ..Response::default() };
        assert!(matches!(fixed.judge(&response), Verdict::Unauthorised { .. }));
    }
}

/// A body that comes late tells nothing of a target that is older than what was told of it.
#[test]
fn targets_go_forward() {
    let sink = sink(None);
    let of = |ms: u64| {
        let metrics = vec![metric("up", "", gauge(vec![point(&[], ms, 1.0)]))];
        let (body, _) = body(&sink, &[batch(&[("service.name", "a"), ("team", "b")], metrics)]);
        lines_of_two(&body).len()
    };
    assert_eq!([20, 30, 30, 25, 40].map(of), [2, 2, 2, 1, 2]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

    /// Whatever a request was made into: no panic, and a body that is one.
    #[test]
    fn broken_requests(
        changes in proptest::collection::vec((0usize..2000, proptest::num::u8::ANY), 0..20),
        is_two: bool,
    ) {
        let mut broken = batch(FRAUD, vec![
            metric("a", "s", sum(vec![point(&[("k", "v"), ("k.", "w")], 20, 1.0)], true, 2)),
            metric("b", "", exponential(ExponentialHistogramDataPoint {
                count: 6,
                positive: Some(Buckets { offset: -3, bucket_counts: vec![1, 2, 3] }),
                ..ExponentialHistogramDataPoint::default()
            })),
            scraped("c", "histogram", histogram(vec![HistogramDataPoint {
                count: 3,
                bucket_counts: vec![1, 1, 1],
                explicit_bounds: vec![1.0, 2.0],
                exemplars: vec![Exemplar { trace_id: vec![1; 16], ..Exemplar::default() }],
                ..HistogramDataPoint::default()
            }])),
        ]);
        let mut bytes = broken.slab.to_vec();
        for (at, byte) in changes {
            let len = bytes.len();
            bytes[at % len] = byte;
        }
        let mut n_items = 0;
        let is_sound = subset::items(&bytes, |_| n_items += 1).is_ok();
        broken.table.resize(n_items, Record::new(0, 0));
        broken.slab = Slab::from_bytes(&bytes);
        let sink = sink(Some(if is_two { Protocol::Two } else { Protocol::One }));
        let mut encoder = sink.encoder(1);
        encoder.push(&broken, 0..n_items);
        let mut body = Body::default();
        encoder.finish(LogRange::default(), &mut body).expect("finished");
        if is_two && is_sound {
            lines_of_two(&body);
        }
        let raw = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("a snappy block");
        one::WriteRequest::decode(&raw[..]).expect("a request");
    }
}

/// What a daemon told at its end may be in one body with what the next one tells.
#[test]
fn a_target_that_ends_and_goes_on() {
    let stale = NumberDataPoint { value: None, flags: NO_RECORDED_VALUE, ..point(&[], 30, 0.0) };
    assert_lines(
        &[("service.name", "fraud"), ("team", "risk")],
        vec![metric("up", "", gauge(vec![point(&[], 20, 1.0), stale, point(&[], 40, 1.0)]))],
        &[
            r#"up{job="fraud"} 1 @20"#,
            r#"up{job="fraud"} stale @30"#,
            r#"up{job="fraud"} 1 @40"#,
            r#"target_info{job="fraud",team="risk"} stale @30"#,
            r#"target_info{job="fraud",team="risk"} 1 @40"#,
        ],
    );
}

/// What bodies weigh, for those who choose their size.
#[test]
fn bytes_of_a_sample() {
    for (protocol, most) in [(Protocol::Two, 60), (Protocol::One, 260)] {
        let points = (0..10_000).map(|n| {
            let (pod, path) = (format!("pod-{}", n % 50), format!("/v1/models/{}", n / 50));
            let labels = [("http.method", "POST"), ("http.route", &path), ("k8s.pod.name", &pod)];
            point(&labels, 1_700_000_000_000, f64::from(n) * 0.1)
        });
        let data = sum(points.collect(), true, 2);
        let (body, _) =
            body(&sink(Some(protocol)), &[batch(FRAUD, vec![metric("requests", "", data)])]);
        let raw = snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("a snappy block");
        let (raw, packed) = (raw.len() / 10_000, body.bytes.len() / 10_000);
        println!("{protocol:?}: {raw} bytes a sample, {packed} packed");
        assert!(raw <= most && packed < raw, "{protocol:?}: {raw}, {packed}");
    }
}

/// A MiB holds 10,000 samples, whatever they look like, and buffers serve again.
#[test]
fn many_samples() {
    let sink = sink(None);
    for round in 0..3 {
        let points =
            (0..20_000).map(|n| point(&[("n", &(n / 2).to_string())], 20 + n % 2, n as f64));
        let metrics = vec![metric("m", "", gauge(points.collect()))];
        let mut encoder = sink.encoder(1);
        let batch = batch(FRAUD, metrics);
        assert_eq!(encoder.push(&batch, 0..1), []);
        assert!(encoder.len() >= 2_000_000, "{}", encoder.len());
        let mut body = Body::default();
        encoder.finish(LogRange::default(), &mut body).expect("finished");
        assert_eq!(lines_of_two(&body).len(), 20_000, "{round}");
    }
}
