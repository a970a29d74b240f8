//! What a request says: names, labels, values, times, histograms, exemplars, metadata.

use super::fake_remote_write::{Request, Series, Speaks};
use super::otlp_proto::metrics::exponential_histogram_data_point::Buckets;
use super::otlp_proto::metrics::metric::Data;
use super::otlp_proto::metrics::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, exemplar,
};
use super::served::{BEGIN_MS, FRAUD, Served, UP, at, counter, gauge, metric, point};

const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Sends metrics, and gives back the series of the one request that they become.
fn told(served: &Served, metrics: Vec<Metric>) -> Vec<Series> {
    let n_before = served.fake.requests().len();
    let n_metrics = metrics.len() as u64;
    let (delivered, letters) = served.settled(0);
    served.send(FRAUD, metrics);
    assert_eq!(served.settled(delivered + letters + n_metrics), (delivered + n_metrics, letters));
    let requests: Vec<Request> = served.fake.requests().split_off(n_before);
    requests.into_iter().flat_map(|request| request.series).collect()
}

#[test]
fn labels_keep_their_values() {
    let served = Served::start(Speaks::Both, "");
    let long = "x".repeat(10_000);
    let values = ["é ü 漢字 🦀", "a\"b\\c\nd\te", " ", &long];
    for value in values {
        let series = told(&served, vec![gauge("g", vec![point(&[("text", value)], 1, 1.0)])]);
        assert_eq!(series[0].label("text"), value);
        assert_eq!((series[0].label("job"), series[0].label("instance")), ("fraud", "i"));
    }
    served.end();
}

#[test]
fn values_keep_their_bits() {
    let served = Served::start(Speaks::Both, "");
    let values = [
        0.0,
        -0.0,
        -1.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        f64::from_bits(0x7ff8_0000_0000_0001),
    ];
    let points = values.iter().zip(1..).map(|(value, n)| point(&[], n, *value)).collect();
    let series = told(&served, vec![gauge("g", points)]);
    let bits: Vec<u64> = series[0].samples.iter().map(|(_, bits, _)| *bits).collect();
    assert_eq!(bits, values.map(f64::to_bits));
    served.end();
}

#[test]
fn stale_markers() {
    let served = Served::start(Speaks::Both, "");
    let stale = NumberDataPoint { value: None, flags: 1, ..point(&[], 2, 0.0) };
    let series = told(&served, vec![gauge("up", vec![point(&[], 1, 1.0), stale])]);
    assert_eq!(series[0].name(), UP);
    assert_eq!(series[0].samples[1].1, STALE_BITS);
    served.end();
}

#[test]
fn times_are_milliseconds_and_starts_come_before() {
    let served = Served::start(Speaks::Both, "");
    let odd = NumberDataPoint { start_time_unix_nano: at(9), ..point(&[("odd", "1")], 5, 1.0) };
    let series = told(&served, vec![counter("c", vec![point(&[], 5, 1.0), odd])]);
    let begin = BEGIN_MS as i64;
    assert_eq!(series[0].samples, [(begin + 5, 1f64.to_bits(), begin)]);
    assert_eq!(series[1].samples, [(begin + 5, 1f64.to_bits(), 0)]);
    served.end();
}

fn classic() -> Metric {
    let exemplar = Exemplar {
        time_unix_nano: at(1),
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        value: Some(exemplar::Value::AsDouble(0.3)),
        ..Exemplar::default()
    };
    let point = HistogramDataPoint {
        start_time_unix_nano: at(0),
        time_unix_nano: at(2),
        count: 6,
        sum: Some(4.5),
        bucket_counts: vec![3, 2, 1],
        explicit_bounds: vec![0.5, 2.0],
        exemplars: vec![exemplar],
        ..HistogramDataPoint::default()
    };
    let data_points = vec![point];
    metric("h", Data::Histogram(Histogram { data_points, aggregation_temporality: 2 }))
}

fn native() -> Metric {
    let buckets = |offset, bucket_counts: &[u64]| {
        Some(Buckets { offset, bucket_counts: bucket_counts.to_vec() })
    };
    let point = ExponentialHistogramDataPoint {
        start_time_unix_nano: at(0),
        time_unix_nano: at(2),
        count: 10,
        sum: Some(12.5),
        scale: 1,
        zero_count: 2,
        positive: buckets(0, &[1, 2, 3]),
        negative: buckets(0, &[2]),
        ..ExponentialHistogramDataPoint::default()
    };
    let data_points = vec![point];
    let data = ExponentialHistogram { data_points, aggregation_temporality: 2 };
    metric("n", Data::ExponentialHistogram(data))
}

/// All series of a family are sent, of every type, in one request.
#[test]
fn whole_families_of_mixed_types() {
    let served = Served::start(Speaks::Both, "");
    let metrics = vec![
        classic(),
        native(),
        gauge("up", vec![point(&[], 2, 1.0)]),
        counter("c", vec![point(&[], 2, 1.0)]),
    ];
    let series = told(&served, metrics);
    let names: Vec<(&str, &str)> =
        series.iter().map(|one| (one.label("__name__"), one.label("le"))).collect();
    let expected = [
        ("h_sum", ""),
        ("h_count", ""),
        ("h_bucket", "0.5"),
        ("h_bucket", "2"),
        ("h_bucket", "+Inf"),
        ("n", ""),
        ("up", ""),
        ("c_total", ""),
    ];
    assert_eq!(names, expected);
    let bits = series[..5].iter().map(|one| f64::from_bits(one.samples[0].1));
    assert_eq!(bits.collect::<Vec<f64>>(), [4.5, 6.0, 3.0, 5.0, 6.0]);
    served.end();
}

#[test]
fn native_histograms() {
    let served = Served::start(Speaks::Both, "");
    let series = told(&served, vec![native()]);
    let told = &series[0].histograms[0];
    let begin = BEGIN_MS as i64;
    assert_eq!((told.timestamp, told.start_timestamp), (begin + 2, begin));
    assert_eq!((told.sum, told.schema, told.positive_deltas.as_slice()), (12.5, 1, &[1, 1, 1][..]));
    assert_eq!((told.positive_spans[0].offset, told.positive_spans[0].length), (1, 3));
    served.end();
}

#[test]
fn exemplars() {
    for protocol in ["1.0", "2.0"] {
        let served = Served::start(Speaks::Both, &format!(", protocol: {protocol}"));
        let series = told(&served, vec![classic()]);
        let of_bucket = series.iter().find(|one| one.label("le") == "0.5").expect("a bucket");
        let label = |name: &str, value: String| (name.to_owned(), value);
        let labels = vec![label("span_id", "cd".repeat(8)), label("trace_id", "ab".repeat(16))];
        assert_eq!(of_bucket.exemplars, [(labels, 0.3, BEGIN_MS as i64 + 1)]);
        served.end();
    }
}

#[test]
fn type_help_and_unit_of_every_series() {
    let served = Served::start(Speaks::Both, "");
    let timed = Metric { unit: "s".to_owned(), ..classic() };
    let series = told(&served, vec![timed, counter("c", vec![point(&[], 2, 1.0)])]);
    let help = |name: &str| format!("About {name}.\nIn two lines.");
    for one in &series[..5] {
        assert_eq!(one.metadata, (3, help("h"), "seconds".to_owned()), "{}", one.name());
    }
    assert_eq!(series[5].metadata, (1, help("c"), String::new()));
    served.end();
}

#[test]
fn resources_become_target_info() {
    let served = Served::start(Speaks::Both, "");
    let resource = [("service.name", "fraud"), ("service.instance.id", "i"), ("team", "risk")];
    served.send(&resource, vec![gauge("up", vec![point(&[], 3, 1.0)])]);
    served.settled(1);
    let series = &served.fake.requests()[0].series;
    let names: Vec<String> = series.iter().map(Series::name).collect();
    assert_eq!(names, [UP, "target_info{instance=\"i\",job=\"fraud\",team=\"risk\"}"]);
    served.end();
}

/// What series cannot say is a dead letter, and holds up nothing: a sum of no temporality.
#[test]
fn what_is_no_series_is_a_dead_letter() {
    let served = Served::start(Speaks::Both, "");
    let data_points = vec![point(&[], 1, 1.0)];
    let sum = super::otlp_proto::metrics::Sum {
        data_points,
        aggregation_temporality: 0,
        is_monotonic: true,
    };
    served.send(FRAUD, vec![metric("d", Data::Sum(sum)), gauge("up", vec![point(&[], 1, 1.0)])]);
    assert_eq!(served.settled(2), (1, 1));
    assert_eq!(served.times(UP), [1]);
    let (code, letters, _) = served.place.output(&["spool", "dead-letters", "spool"]);
    assert_eq!(code, 0);
    assert!(letters.contains("unknown_temporality"), "{letters}");
    served.end();
}
