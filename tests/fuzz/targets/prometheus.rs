//! Expositions, which a scraped target may fill with anything.

use prost::Message as _;
use sidewake::sources::prometheus::{Format, Treatment, requests};

#[path = "../../otlp_proto/messages.rs"]
mod otlp_proto;

use otlp_proto::metrics::metric::Data;
use otlp_proto::metrics_service::ExportMetricsServiceRequest;

const NOW: i64 = 1_700_000_000_000_000_000;

pub(crate) fn text(bytes: &[u8]) {
    check(bytes, Format::Text);
}

pub(crate) fn openmetrics(bytes: &[u8]) {
    check(bytes, Format::OpenMetrics);
}

pub(crate) fn protobuf(bytes: &[u8]) {
    check(bytes, Format::Protobuf);
}

/// What is taken becomes requests that every receiver can take: they decode, metrics have names,
/// types and points, and histograms add up. Twice the same comes out.
fn check(bytes: &[u8], format: Format) {
    let labels = vec![("job".to_owned(), "j".to_owned()), ("instance".to_owned(), "i".to_owned())];
    let treatment = Treatment { labels, honor_timestamps: true, ..Treatment::default() };
    let Ok(written) = requests(bytes, format, &treatment, NOW) else { return };
    assert_eq!(requests(bytes, format, &treatment, NOW).as_ref(), Ok(&written), "twice the same");
    for request in &written {
        let request = ExportMetricsServiceRequest::decode(&**request).expect("it is sound");
        for resource in request.resource_metrics {
            assert_eq!(resource.resource.expect("a resource").attributes.len(), 2);
            for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                assert!(!metric.name.is_empty() && metric.metadata.len() == 1, "{metric:?}");
                check_points(metric.data.as_ref().expect("points"));
            }
        }
    }
}

fn check_points(data: &Data) {
    let n_points = match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Histogram(histogram) => {
            for point in &histogram.data_points {
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                assert!(point.explicit_bounds.is_sorted_by(|a, b| a < b), "{point:?}");
            }
            histogram.data_points.len()
        }
    };
    assert!(n_points > 0);
}
