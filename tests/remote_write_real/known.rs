//! Metrics of known values, and what is to be found of them.

use super::otlp_proto::common::any_value::Value;
use super::otlp_proto::common::{AnyValue, KeyValue};
use super::otlp_proto::metrics::exponential_histogram_data_point::Buckets;
use super::otlp_proto::metrics::metric::Data;
use super::otlp_proto::metrics::summary_data_point::ValueAtQuantile;
use super::otlp_proto::metrics::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, number_data_point,
};
use super::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::otlp_proto::resource::Resource;

/// In [`metrics`].
pub(crate) const N_METRICS: u64 = 5;
const MS: u64 = 1_000_000;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value }
}

fn request(job: &str, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let attributes =
        vec![text("service.name", job), text("service.instance.id", "i"), text("team", "risk")];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            schema_url: String::new(),
        }],
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: "Known.".to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(at_ms: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![text("http.route", "/predict é")],
        start_time_unix_nano: (at_ms - 1000) * MS,
        time_unix_nano: at_ms * MS,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Gauges of 1.
pub(crate) fn gauges(job: &str, at_ms: u64, names: &[&str]) -> ExportMetricsServiceRequest {
    let gauge = |name: &&str| {
        metric(name, "", Data::Gauge(Gauge { data_points: vec![number(at_ms, 1.0)] }))
    };
    request(job, names.iter().map(gauge).collect())
}

/// One metric of each kind.
pub(crate) fn metrics(job: &str, at_ms: u64) -> ExportMetricsServiceRequest {
    let counter = Data::Sum(Sum {
        data_points: vec![number(at_ms, 41.5)],
        aggregation_temporality: 2,
        is_monotonic: true,
    });
    let gauge = Data::Gauge(Gauge { data_points: vec![number(at_ms, -0.25)] });
    let quantile_values = vec![ValueAtQuantile { quantile: 0.5, value: 3.0 }];
    let summary = Data::Summary(Summary {
        data_points: vec![SummaryDataPoint {
            time_unix_nano: at_ms * MS,
            count: 2,
            sum: 7.5,
            quantile_values,
            ..SummaryDataPoint::default()
        }],
    });
    let metrics = vec![
        metric("app.requests", "{request}", counter),
        metric("queue.size", "By", gauge),
        metric("latency", "s", classic(at_ms)),
        metric("rpc", "", summary),
        metric("latency.native", "s", native(at_ms)),
    ];
    request(job, metrics)
}

fn classic(at_ms: u64) -> Data {
    let exemplar = Exemplar {
        time_unix_nano: at_ms * MS,
        trace_id: vec![0xab; 16],
        value: Some(exemplar::Value::AsDouble(0.3)),
        ..Exemplar::default()
    };
    let point = HistogramDataPoint {
        start_time_unix_nano: (at_ms - 1000) * MS,
        time_unix_nano: at_ms * MS,
        count: 6,
        sum: Some(4.5),
        bucket_counts: vec![3, 2, 1],
        explicit_bounds: vec![0.5, 2.0],
        exemplars: vec![exemplar],
        ..HistogramDataPoint::default()
    };
    Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 })
}

fn native(at_ms: u64) -> Data {
    let buckets = |offset, bucket_counts: &[u64]| {
        Some(Buckets { offset, bucket_counts: bucket_counts.to_vec() })
    };
    let point = ExponentialHistogramDataPoint {
        start_time_unix_nano: (at_ms - 1000) * MS,
        time_unix_nano: at_ms * MS,
        count: 10,
        sum: Some(12.5),
        scale: 1,
        zero_count: 2,
        positive: buckets(0, &[1, 2, 3]),
        negative: buckets(0, &[2]),
        ..ExponentialHistogramDataPoint::default()
    };
    let data_points = vec![point];
    Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: 2 })
}

/// Each series of [`metrics`] but the native one, and its value.
pub(crate) fn queries(job: &str) -> Vec<(String, &'static str)> {
    let of = |name: &str, labels: &str, value| {
        (format!("{name}{{job=\"{job}\",instance=\"i\"{labels}}}"), value)
    };
    let route = ",http_route=\"/predict é\"";
    vec![
        of("app_requests_total", route, "41.5"),
        of("queue_size_bytes", route, "-0.25"),
        of("latency_seconds_bucket", ",le=\"0.5\"", "3"),
        of("latency_seconds_bucket", ",le=\"2\"", "5"),
        of("latency_seconds_bucket", ",le=\"+Inf\"", "6"),
        of("latency_seconds_sum", "", "4.5"),
        of("latency_seconds_count", "", "6"),
        of("rpc", ",quantile=\"0.5\"", "3"),
        of("rpc_sum", "", "7.5"),
        of("target_info", ",team=\"risk\"", "1"),
    ]
}
