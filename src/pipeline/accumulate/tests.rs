//! What deltas come to, decoded by the official definitions.

use prost::Message as _;

use self::otlp_proto::common::any_value::Value;
use self::otlp_proto::common::{AnyValue, KeyValue};
use self::otlp_proto::metrics::exponential_histogram_data_point::Buckets;
use self::otlp_proto::metrics::metric::Data;
use self::otlp_proto::metrics::number_data_point::Value as Number;
use self::otlp_proto::metrics::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use self::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::{Accumulator, BYTES_MAX, DeltaOutcome, Deltas, IDLE_NS};

#[path = "../../../tests/otlp_proto/messages.rs"]
mod otlp_proto;

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let one = |(key, text): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue((*text).to_owned())) }),
    };
    pairs.iter().map(one).collect()
}

fn point(pairs: &[(&str, &str)], times: (u64, u64), value: Number) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(pairs),
        start_time_unix_nano: times.0,
        time_unix_nano: times.1,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn sum(points: Vec<NumberDataPoint>) -> Data {
    let (data_points, aggregation_temporality) = (points, DELTA);
    Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: true })
}

fn request(metrics: Vec<(&str, Data)>) -> Vec<u8> {
    let metrics = metrics.into_iter().map(|(name, data)| Metric {
        name: name.to_owned(),
        data: Some(data),
        ..Metric::default()
    });
    let scope = ScopeMetrics { metrics: metrics.collect(), ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
}

/// What became of a request: its metrics, and the counts by outcome.
fn taken(accumulator: &mut Accumulator, bytes: &[u8]) -> (Vec<Metric>, [u64; 5]) {
    let mut deltas = Deltas::default();
    let told = accumulator.request(bytes, 1, &mut deltas).expect("a request");
    let told = told.unwrap_or_else(|| bytes.to_vec());
    let decoded = ExportMetricsServiceRequest::decode(&told[..]).expect("decodes");
    let scopes = decoded.resource_metrics.into_iter().flat_map(|all| all.scope_metrics);
    let counts = DeltaOutcome::ALL.map(|outcome| deltas.of(outcome));
    (scopes.flat_map(|scope| scope.metrics).collect(), counts)
}

/// Attributes, start, time and value of each point.
fn numbers(metric: &Metric) -> Vec<(usize, u64, u64, Number)> {
    let Some(Data::Sum(sum)) = &metric.data else { panic!("no sum: {metric:?}") };
    assert_eq!(sum.aggregation_temporality, CUMULATIVE);
    assert!(sum.is_monotonic);
    let each = sum.data_points.iter().map(|point| {
        let value = point.value.expect("a value");
        (point.attributes.len(), point.start_time_unix_nano, point.time_unix_nano, value)
    });
    each.collect()
}

#[test]
fn sums_add_up_whatever_the_order_of_attributes() {
    let mut all = Accumulator::default();
    let (ab, ba) = ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]);
    let first = request(vec![("n", sum(vec![point(&ab, (10, 20), Number::AsInt(3))]))]);
    let second = request(vec![(
        "n",
        sum(vec![point(&ba, (20, 30), Number::AsInt(4)), point(&[], (20, 30), Number::AsInt(9))]),
    )]);
    let third = request(vec![("n", sum(vec![point(&ab, (30, 40), Number::AsDouble(0.5))]))]);
    let (metrics, _) = taken(&mut all, &first);
    assert_eq!(numbers(&metrics[0]), [(2, 10, 20, Number::AsInt(3))]);
    let (metrics, _) = taken(&mut all, &second);
    assert_eq!(
        numbers(&metrics[0]),
        [(2, 10, 30, Number::AsInt(7)), (0, 20, 30, Number::AsInt(9))]
    );
    let (metrics, counts) = taken(&mut all, &third);
    assert_eq!(numbers(&metrics[0]), [(2, 10, 40, Number::AsDouble(7.5))]);
    assert_eq!(counts, [1, 0, 0, 0, 0]);
}

/// What comes again says the same, what is older says nothing, and the metric goes with its points.
#[test]
fn repeated_and_late_points() {
    let mut all = Accumulator::default();
    let of = |times, value| request(vec![("n", sum(vec![point(&[], times, value)]))]);
    taken(&mut all, &of((10, 20), Number::AsInt(3)));
    let (once, _) = taken(&mut all, &of((20, 30), Number::AsInt(4)));
    let (again, counts) = taken(&mut all, &of((20, 30), Number::AsInt(4)));
    assert_eq!((once, counts), (again, [0, 1, 0, 0, 0]));
    let (late, counts) = taken(&mut all, &of((20, 29), Number::AsInt(4)));
    assert_eq!((late, counts), (vec![], [0, 0, 1, 0, 0]));
    let (early, counts) = taken(&mut all, &of((9, 40), Number::AsInt(4)));
    assert_eq!((early, counts), (vec![], [0, 0, 1, 0, 0]));
    let (timeless, counts) = taken(&mut all, &of((0, 0), Number::AsInt(4)));
    assert_eq!((timeless, counts), (vec![], [0, 0, 0, 0, 1]));
    let (metrics, _) = taken(&mut all, &of((30, 40), Number::AsInt(1)));
    assert_eq!(numbers(&metrics[0]), [(0, 10, 40, Number::AsInt(8))]);
}

/// Names, types and resources keep series apart; what is cumulative is not touched.
#[test]
fn other_series_and_other_temporalities() {
    let mut all = Accumulator::default();
    let one = |value| sum(vec![point(&[], (10, 20), Number::AsInt(value))]);
    let (metrics, _) = taken(&mut all, &request(vec![("n", one(1)), ("m", one(2))]));
    assert_eq!(numbers(&metrics[0])[0].3, Number::AsInt(1));
    assert_eq!(numbers(&metrics[1])[0].3, Number::AsInt(2));
    let gauge = Gauge { data_points: vec![point(&[], (10, 20), Number::AsInt(5))] };
    let total = Data::Sum(Sum {
        data_points: vec![point(&[], (10, 20), Number::AsInt(5))],
        aggregation_temporality: CUMULATIVE,
        is_monotonic: true,
    });
    let bytes = request(vec![("n", Data::Gauge(gauge)), ("n", total)]);
    let mut deltas = Deltas::default();
    assert!(all.request(&bytes, 1, &mut deltas).expect("a request").is_none());
    assert_eq!(deltas, Deltas::default());
}

fn histogram(times: (u64, u64), bounds: &[f64], counts: &[u64], sum: Option<f64>) -> Data {
    let point = HistogramDataPoint {
        attributes: attributes(&[("a", "1")]),
        start_time_unix_nano: times.0,
        time_unix_nano: times.1,
        count: counts.iter().sum(),
        sum,
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        min: Some(0.5),
        max: Some(9.0),
        ..HistogramDataPoint::default()
    };
    Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: DELTA })
}

fn of_histogram(metrics: &[Metric]) -> HistogramDataPoint {
    let Some(Data::Histogram(histogram)) = &metrics[0].data else { panic!("no histogram") };
    assert_eq!(histogram.aggregation_temporality, CUMULATIVE);
    histogram.data_points[0].clone()
}

#[test]
fn histograms_add_up_until_their_bounds_change() {
    let mut all = Accumulator::default();
    let of = |times, bounds: &[f64], counts: &[u64], sum| {
        request(vec![("h", histogram(times, bounds, counts, sum))])
    };
    taken(&mut all, &of((10, 20), &[1.0, 2.0], &[1, 2, 3], Some(7.0)));
    let (metrics, _) = taken(&mut all, &of((20, 30), &[1.0, 2.0], &[4, 0, 1], Some(3.5)));
    let point = of_histogram(&metrics);
    assert_eq!((point.count, point.sum), (11, Some(10.5)));
    assert_eq!(point.bucket_counts, [5, 2, 4]);
    assert_eq!((point.min, point.max, point.attributes.len()), (None, None, 1));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (10, 30));
    let (metrics, _) = taken(&mut all, &of((30, 40), &[1.0, 5.0], &[1, 0, 1], None));
    let point = of_histogram(&metrics);
    assert_eq!((point.count, point.sum, point.start_time_unix_nano), (2, None, 30));
    let (_, counts) = taken(&mut all, &of((40, 50), &[1.0, 5.0], &[1, 0], None));
    assert_eq!(counts, [0, 0, 0, 0, 1]);
}

fn exponential(times: (u64, u64), scale: i32, positive: (i32, &[u64]), zeros: u64) -> Data {
    let (offset, bucket_counts) = (positive.0, positive.1.to_vec());
    let point = ExponentialHistogramDataPoint {
        start_time_unix_nano: times.0,
        time_unix_nano: times.1,
        count: bucket_counts.iter().sum::<u64>() + zeros,
        sum: Some(1.5),
        scale,
        zero_count: zeros,
        positive: Some(Buckets { offset, bucket_counts }),
        ..ExponentialHistogramDataPoint::default()
    };
    let (data_points, aggregation_temporality) = (vec![point], DELTA);
    Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
}

#[test]
fn exponential_histograms_meet_at_the_coarser_scale() {
    let mut all = Accumulator::default();
    let first = request(vec![("e", exponential((10, 20), 5, (4, &[0, 1, 2, 3, 0]), 1))]);
    let second = request(vec![("e", exponential((20, 30), 4, (-2, &[5, 0, 1]), 2))]);
    taken(&mut all, &first);
    let (metrics, counts) = taken(&mut all, &second);
    let Some(Data::ExponentialHistogram(told)) = &metrics[0].data else { panic!("another kind") };
    assert_eq!((told.aggregation_temporality, counts), (CUMULATIVE, [1, 0, 0, 0, 0]));
    let point = &told.data_points[0];
    assert_eq!((point.scale, point.zero_count, point.count), (4, 3, 15));
    assert_eq!((point.sum, point.start_time_unix_nano), (Some(3.0), 10));
    // 5, 6 and 7 at scale 5 are 2, 3 and 3 at scale 4.
    let buckets = point.positive.as_ref().expect("buckets");
    assert_eq!((buckets.offset, &buckets.bucket_counts[..]), (-2, &[5, 0, 1, 0, 1, 5][..]));
}

/// However wide they are, and however far apart: bounded, and nothing lost.
#[test]
fn wide_exponential_histograms() {
    let mut all = Accumulator::default();
    let wide = vec![1u64; 5000];
    for (n, offset) in [-1_000_000, 0, 1_000_000, i32::MAX, i32::MIN].into_iter().enumerate() {
        let times = (10, 20 + n as u64);
        let bytes = request(vec![("e", exponential(times, 20, (offset, &wide), 0))]);
        let (metrics, _) = taken(&mut all, &bytes);
        let Some(Data::ExponentialHistogram(told)) = &metrics[0].data else { panic!("a kind") };
        let buckets = told.data_points[0].positive.as_ref().expect("buckets");
        let n_points = (n as u64 + 1) * 5000;
        assert_eq!(told.data_points[0].count, n_points);
        assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), n_points, "{offset}");
        assert!(buckets.bucket_counts.len() <= 160, "{}", buckets.bucket_counts.len());
    }
}

/// Series have memory that ends, and idle ones make room.
#[test]
fn series_are_bounded() {
    let mut all = Accumulator::default();
    let bytes = |from: u32| {
        let points = (from..from + 40_000)
            .map(|n| point(&[("n", &n.to_string())], (10, 20), Number::AsInt(1)));
        request(vec![("n", sum(points.collect()))])
    };
    let mut deltas = Deltas::default();
    all.request(&bytes(0), 1, &mut deltas).expect("a request");
    let n_kept = deltas.of(DeltaOutcome::Accumulated);
    assert!((20_000..40_000).contains(&n_kept), "{n_kept}");
    assert_eq!(deltas.of(DeltaOutcome::TooManySeries), 40_000 - n_kept);
    assert!(all.n_bytes <= BYTES_MAX);
    let mut later = Deltas::default();
    all.request(&bytes(100_000), IDLE_NS + 2, &mut later).expect("a request");
    assert_eq!(later, deltas);
}
