//! Whole expositions become what the agreement says, judged by the official definitions; and what
//! is gone is told.

use std::collections::BTreeMap;

use prost::Message as _;

use super::super::relabel::{Action, Rule, anchored};
use super::super::{Limits, Treatment};
use super::*;

#[path = "../../../../tests/otlp_proto/messages.rs"]
mod otlp_proto;

use otlp_proto::common::KeyValue;
use otlp_proto::common::any_value::Value;
use otlp_proto::metrics::number_data_point::Value as Number;
use otlp_proto::metrics::{Exemplar, Metric, metric::Data};
use otlp_proto::metrics_service::ExportMetricsServiceRequest;

const NOW: i64 = 1_700_000_000_000_000_000;

fn text(pair: &KeyValue) -> String {
    let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
    let Some(Value::StringValue(value)) = value else { panic!("{pair:?}") };
    format!("{}={value}", pair.key)
}

fn texts(pairs: &[KeyValue]) -> String {
    pairs.iter().map(text).collect::<Vec<_>>().join(",")
}

fn exemplars(all: &[Exemplar]) -> String {
    let each = all.iter().map(|one| {
        let hex = |id: &[u8]| data_encoding::HEXLOWER.encode(id);
        let ids = format!("{}/{}", hex(&one.trace_id), hex(&one.span_id));
        let time = one.time_unix_nano as i64 - NOW;
        format!(" #{ids} {} {:?} {time}", texts(&one.filtered_attributes), one.value)
    });
    each.collect()
}

/// A metric's points, a line each: times are from [`NOW`], the start where there is one.
fn points(metric: &Metric) -> Vec<String> {
    let time = |ns: u64| if ns == 0 { "-".to_owned() } else { (ns as i64 - NOW).to_string() };
    let line = |attributes: &[KeyValue], start, at, flags: u32, what: String| {
        let gone = if flags == 1 { "gone " } else { "" };
        format!("{{{}}} {gone}{what} since {} at {}", texts(attributes), time(start), time(at))
    };
    let numbers = |points: &[otlp_proto::metrics::NumberDataPoint]| {
        let each = points.iter().map(|p| {
            let value = match p.value {
                Some(Number::AsDouble(value)) => format!("{value:?}"),
                other => format!("{other:?}"),
            };
            let what = value + &exemplars(&p.exemplars);
            line(&p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, what)
        });
        each.collect::<Vec<_>>()
    };
    match metric.data.as_ref().expect("points") {
        Data::Gauge(gauge) => numbers(&gauge.data_points),
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
            numbers(&sum.data_points)
        }
        Data::Histogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, 2);
            let each = histogram.data_points.iter().map(|p| {
                let (bounds, counts) = (&p.explicit_bounds, &p.bucket_counts);
                assert_eq!(counts.len(), bounds.len() + 1);
                assert_eq!(counts.iter().sum::<u64>(), p.count);
                let what = format!("{} {:?} {bounds:?} {counts:?}", p.count, p.sum);
                let what = what + &exemplars(&p.exemplars);
                line(&p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, what)
            });
            each.collect()
        }
        Data::Summary(summary) => {
            let each = summary.data_points.iter().map(|p| {
                let quantiles = p.quantile_values.iter().map(|q| (q.quantile, q.value));
                let quantiles: Vec<_> = quantiles.collect();
                let what = format!("{} {:?} {quantiles:?}", p.count, p.sum);
                line(&p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, what)
            });
            each.collect()
        }
        Data::ExponentialHistogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, 2);
            let each = histogram.data_points.iter().map(|p| {
                let side = |side: &Option<
                    otlp_proto::metrics::exponential_histogram_data_point::Buckets,
                >| {
                    side.as_ref().map(|side| (side.offset, side.bucket_counts.clone()))
                };
                let zeros = (p.zero_count, p.zero_threshold);
                let sides = (side(&p.positive), side(&p.negative));
                let what = format!("{} {:?} 2^{} {zeros:?} {sides:?}", p.count, p.sum, p.scale);
                let what = what + &exemplars(&p.exemplars);
                line(&p.attributes, p.start_time_unix_nano, p.time_unix_nano, p.flags, what)
            });
            each.collect()
        }
    }
}

/// What requests say: by `job/instance name type`, help and unit where there are any.
pub(in super::super) fn told(requests: &[Vec<u8>]) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::<String, Vec<String>>::new();
    for request in requests {
        let request = ExportMetricsServiceRequest::decode(&**request).expect("a request");
        for resource in request.resource_metrics {
            let who = texts(&resource.resource.expect("a resource").attributes);
            for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                let kind = metric.metadata.iter().map(text).collect::<Vec<_>>().join(",");
                let kind = kind.strip_prefix("prometheus.type=").expect("the mark");
                let said = [&metric.description, &metric.unit].map(|text| text.replace('\n', "⏎"));
                let key = format!("{who} {} {kind} {}", metric.name, said.join("|"));
                told.entry(key).or_default().extend(points(metric));
            }
        }
    }
    told
}

fn target(labels: &[(&str, &str)]) -> Treatment {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Treatment { labels: labels.collect(), honor_timestamps: true, ..Treatment::default() }
}

fn scraped(body: &str, format: Format, treatment: &Treatment) -> BTreeMap<String, Vec<String>> {
    let read = super::read((body.as_bytes(), format), treatment, &[], &mut Told::default(), NOW);
    told(&read.unwrap_or_else(|error| panic!("{error}")).requests())
}

#[track_caller]
fn check(body: &str, format: Format, expected: &[(&str, &[&str])]) {
    let got = scraped(body, format, &target(&[]));
    let expected: BTreeMap<String, Vec<String>> = expected
        .iter()
        .map(|(key, lines)| ((*key).to_owned(), lines.iter().map(|l| (*l).to_owned()).collect()))
        .collect();
    assert_eq!(got, expected, "{got:#?}");
}

#[test]
fn types_of_the_older_format() {
    let body = "# HELP hits_total Hits.\\nAll.\n# TYPE hits_total counter\nhits_total{a=\"1\",b=\"\"} 5\nhits_total{a=\"2\"} 6 1700000000001\n\
        # TYPE temp gauge\ntemp -1.5\nloose{x=\"y\"} NaN\n\
        # TYPE lat histogram\nlat_bucket{m=\"p\",le=\"0.5\"} 1\nlat_bucket{m=\"p\",le=\"1\"} 3\n\
        lat_bucket{m=\"p\",le=\"+Inf\"} 4\nlat_sum{m=\"p\"} 2.5\nlat_count{m=\"p\"} 4\n\
        lat_bucket{le=\"+Inf\"} 0\nlat_count 0\n\
        # TYPE lat_created gauge\nlat_created{m=\"p\"} 1.7e9\n\
        # TYPE q summary\nq{quantile=\"0.9\"} 3\nq{quantile=\"0.5\"} 2\nq_sum 10\nq_count 4\n";
    check(
        body,
        Format::Text,
        &[
            (
                " hits_total counter Hits.⏎All.|",
                &["{a=1} 5.0 since - at 0", "{a=2} 6.0 since - at 1000000"],
            ),
            (" temp gauge |", &["{} -1.5 since - at 0"]),
            (" loose unknown |", &["{x=y} NaN since - at 0"]),
            (
                " lat histogram |",
                &[
                    "{m=p} 4 Some(2.5) [0.5, 1.0] [1, 2, 1] since - at 0",
                    "{} 0 None [] [0] since - at 0",
                ],
            ),
            (" lat_created gauge |", &["{m=p} 1700000000.0 since - at 0"]),
            (" q summary |", &["{} 4 10.0 [(0.5, 2.0), (0.9, 3.0)] since - at 0"]),
        ],
    );
}

#[test]
fn types_of_openmetrics() {
    let body = "# TYPE hits counter\n# UNIT hits_x x\n# HELP hits Hits.\n\
        hits_total{a=\"1\"} 5.0 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\",span_id=\"b7ad6b7169203331\",k=\"v\"} 0.5 1700000000.5\n\
        hits_created{a=\"1\"} 1699999999.0\n\
        # TYPE lat_seconds histogram\n# UNIT lat_seconds seconds\n\
        lat_seconds_bucket{le=\"1.0\"} 1 # {trace_id=\"no-id\"} 0.7\nlat_seconds_bucket{le=\"+Inf\"} 2\n\
        lat_seconds_count 2\nlat_seconds_sum 3.5\nlat_seconds_created 1699999998.5\n\
        # TYPE build info\nbuild_info{v=\"2\"} 1\n\
        # TYPE state stateset\nstate{state=\"on\"} 1\nstate{state=\"off\"} 0\n\
        # TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\ng_bucket{le=\"+Inf\"} 2\ng_gcount 2\ng_gsum 3\n\
        # TYPE s summary\ns_count 1\ns_sum 2\ns_created 1699999999\n\
        # EOF\n";
    check(
        body,
        Format::OpenMetrics,
        &[
            (
                " hits_total counter Hits.|",
                &[
                    "{a=1} 5.0 #0af7651916cd43dd8448eb211c80319c/b7ad6b7169203331 k=v Some(AsDouble(0.5)) 500000000 since -1000000000 at 0",
                ],
            ),
            (
                " lat_seconds histogram |seconds",
                &[
                    "{} 2 Some(3.5) [1.0] [1, 1] #/ trace_id=no-id Some(AsDouble(0.7)) 0 since -1500000000 at 0",
                ],
            ),
            (" build_info info |", &["{v=2} 1.0 since - at 0"]),
            (" state stateset |", &["{state=on} 1.0 since - at 0", "{state=off} 0.0 since - at 0"]),
            (" g_bucket unknown |", &["{le=1} 1.0 since - at 0", "{le=+Inf} 2.0 since - at 0"]),
            (" g_gcount unknown |", &["{} 2.0 since - at 0"]),
            (" g_gsum unknown |", &["{} 3.0 since - at 0"]),
            (" s summary |", &["{} 1 2.0 [] since -1000000000 at 0"]),
        ],
    );
}

/// What is no whole histogram or summary is told series by series.
#[test]
fn parts_that_make_no_whole() {
    let head = "# TYPE h histogram\n";
    for parts in [
        "h_bucket{le=\"1\"} 1\nh_count 1\n",
        "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n",
        "h_bucket{le=\"1\"} 0.5\nh_bucket{le=\"+Inf\"} 1\n",
        "h_bucket{le=\"x\"} 1\nh_bucket{le=\"+Inf\"} 1\n",
        "h_bucket{le=\"NaN\"} 1\nh_bucket{le=\"+Inf\"} 1\n",
        "h_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n",
        "h_bucket{le=\"1\"} 1 1\nh_bucket{le=\"+Inf\"} 1\n",
        "h_bucket{le=\"+Inf\"} NaN\n",
        "h_bucket{le=\"+Inf\"} 1e300\n",
        "h_bucket 1\nh_sum 2\n",
        "h_sum 2\nh 3\n",
    ] {
        let got = scraped(&format!("{head}{parts}"), Format::Text, &target(&[]));
        let n: usize = got.values().map(Vec::len).sum();
        assert_eq!(n, parts.lines().count(), "{parts}{got:#?}");
        assert!(got.keys().all(|key| key.contains(" unknown ")), "{parts}{got:#?}");
    }
    for parts in [
        "s{quantile=\"0.5\"} 1\n",
        "s_sum 1\n",
        "s_count 1.5\ns_sum 1\n",
        "s{quantile=\"x\"} 1\ns_count 1\ns_sum 1\n",
    ] {
        let got = scraped(&format!("# TYPE s summary\n{parts}"), Format::Text, &target(&[]));
        let n: usize = got.values().map(Vec::len).sum();
        assert_eq!(n, parts.lines().count(), "{parts}{got:#?}");
        assert!(got.keys().all(|key| key.contains(" unknown ")), "{parts}{got:#?}");
    }
}

/// A family whose samples stand apart is one; what is there twice counts once.
#[test]
fn in_any_order() {
    let body = "# TYPE a counter\n# TYPE b histogram\na{x=\"1\"} 1\nb_count 1\na{x=\"2\"} 2\n\
        b_bucket{le=\"+Inf\"} 1\na{x=\"1\"} 3\n";
    let mut last = Told::default();
    let body = (body.as_bytes(), Format::Text);
    let read =
        super::read(body, &target(&[]), &[], &mut last, NOW).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(read.numbers, Numbers { n_scraped: 5, n_kept: 5, n_added: 4, n_twice: 1 });
    let got = told(&read.requests());
    assert_eq!(got[" a counter |"], ["{x=1} 1.0 since - at 0", "{x=2} 2.0 since - at 0"]);
    assert_eq!(got[" b_count unknown |"].len(), 1);
}

#[test]
fn whose_series_they_are() {
    let body = "a{job=\"theirs\",zone=\"z\"} 1\nb 2\n";
    let labels = [("zone", "ours"), ("job", "j"), ("instance", "i")];
    let got = scraped(body, Format::Text, &target(&labels));
    let ours = "service.name=j,service.instance.id=i";
    assert_eq!(
        got[&format!("{ours} a unknown |")],
        ["{exported_job=theirs,exported_zone=z,zone=ours} 1.0 since - at 0"]
    );
    assert_eq!(got[&format!("{ours} b unknown |")], ["{zone=ours} 2.0 since - at 0"]);
    let honest = Treatment { honor_labels: true, ..target(&labels) };
    let got = scraped(body, Format::Text, &honest);
    assert_eq!(
        got["service.name=theirs,service.instance.id=i a unknown |"],
        ["{zone=z} 1.0 since - at 0"]
    );
    let timed = Treatment { honor_timestamps: false, ..target(&[]) };
    assert_eq!(scraped("a 1 5", Format::Text, &timed)[" a unknown |"], ["{} 1.0 since - at 0"]);
}

fn rule(action: Action, sources: &[&str], regex: &str, target: &str, replacement: &str) -> Rule {
    Rule {
        action,
        source_labels: sources.iter().map(|name| (*name).to_owned()).collect(),
        separator: ";".to_owned(),
        target_label: target.to_owned(),
        regex: anchored(regex).expect("an expression"),
        modulus: 0,
        replacement: replacement.to_owned(),
    }
}

/// A histogram that all of is renamed stays one; one that loses a bucket does not.
#[test]
fn rules_before_families() {
    let body = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_count 2\n";
    let renamed = rule(Action::Replace, &["__name__"], "(.*)", "__name__", "app_$1");
    let treatment = Treatment { relabel: vec![renamed], ..target(&[]) };
    let got = scraped(body, Format::Text, &treatment);
    assert_eq!(got[" app_h histogram |"], ["{} 2 None [1.0] [1, 1] since - at 0"]);
    let dropped = rule(Action::Drop, &["le"], "\\+Inf", "", "");
    let treatment = Treatment { relabel: vec![dropped], ..target(&[]) };
    let got = scraped(body, Format::Text, &treatment);
    assert_eq!(got.len(), 2, "{got:#?}");
    assert_eq!(got[" h_bucket unknown |"], ["{le=1} 1.0 since - at 0"]);
    let nameless = rule(Action::LabelDrop, &[], "__name__", "", "");
    let own = [("zone", "a")];
    let treatment = Treatment { relabel: vec![nameless], ..target(&own) };
    let error = super::read((b"a 1", Format::Text), &treatment, &[], &mut Told::default(), NOW);
    assert_eq!(error.err(), Some(Refused::NoName));
}

#[test]
fn beyond_a_limit_all_is_refused() {
    let body = "abc{de=\"fghij\",k=\"l\"} 1\nm 2\nm{a=\"b\"} 3\n";
    let read = |limits: Limits| {
        let treatment = Treatment { limits, ..target(&[]) };
        super::read((body.as_bytes(), Format::Text), &treatment, &[], &mut Told::default(), NOW)
            .err()
            .map(|error| error.to_string())
    };
    let fits =
        Limits { samples: Some(3), labels: Some(3), name_bytes: Some(8), value_bytes: Some(5) };
    assert_eq!(read(fits), None);
    for (limits, error) in [
        (Limits { samples: Some(2), ..fits }, "more than 2 samples (sample_limit)"),
        (Limits { labels: Some(2), ..fits }, "abc has 3 labels, more than 2 (label_limit)"),
        (
            Limits { name_bytes: Some(7), ..fits },
            "abc has a label name of 8 bytes, more than 7 (label_name_length_limit)",
        ),
        (
            Limits { value_bytes: Some(4), ..fits },
            "abc has a label value of 5 bytes, more than 4 (label_value_length_limit)",
        ),
    ] {
        assert_eq!(read(limits).as_deref(), Some(error));
    }
}

/// What is gone, by what one scrape after another does not have.
#[test]
fn what_is_gone_is_told() {
    let own = [("job", "j"), ("instance", "i"), ("zone", "z")];
    let treatment = target(&own);
    let mut last = Told::default();
    let mut scrape = |body: &str, seconds: i64| {
        let time_ns = NOW + seconds * 1_000_000_000;
        let body = (body.as_bytes(), Format::Text);
        match super::read(body, &treatment, &[], &mut last, time_ns) {
            Ok(reading) => {
                let numbers = reading.numbers;
                let labels = &treatment.labels;
                let (requests, now) = reading.finish(true, Duration::ZERO, labels, time_ns);
                last = now;
                (told(&requests), numbers)
            }
            Err(_) => {
                let reading = Reading::of_nothing(&last, &[], time_ns);
                let labels = &treatment.labels;
                let (requests, now) = reading.finish(false, Duration::ZERO, labels, time_ns);
                last = now;
                (told(&requests), Numbers::default())
            }
        }
    };
    let who = "service.name=j,service.instance.id=i";
    let hist =
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n";
    let summary = "# TYPE q summary\nq{quantile=\"0.5\"} 1\nq_sum 1\nq_count 2\n";
    let all = format!(
        "# TYPE c counter\n# HELP c C.\nc{{a=\"1\"}} 1\nc{{a=\"2\"}} 2\n{hist}{summary}t 1 5\n"
    );
    let (_, numbers) = scrape(&all, 0);
    assert_eq!((numbers.n_scraped, numbers.n_added), (10, 10));
    let (got, numbers) = scrape(&all, 15);
    assert_eq!(numbers.n_added, 1, "what has a time of its own is not followed");
    assert!(!format!("{got:?}").contains("gone"));
    // A counter and the histogram are gone, the rest stays.
    let (got, _) = scrape(&format!("# TYPE c counter\n# HELP c C.\nc{{a=\"2\"}} 3\n{summary}"), 30);
    assert_eq!(
        got[&format!("{who} c counter C.|")],
        [
            "{a=2,zone=z} 3.0 since - at 30000000000",
            "{a=1,zone=z} gone None since - at 30000000000",
        ]
    );
    assert_eq!(
        got[&format!("{who} h histogram |")],
        ["{zone=z} gone 0 None [1.0] [0, 0] since - at 30000000000"]
    );
    assert!(!format!("{got:?}").contains("t unknown"), "{got:#?}");
    let (got, _) = scrape("broken", 45);
    assert_eq!(
        got[&format!("{who} q summary |")],
        ["{zone=z} gone 0 0.0 [(0.5, 0.0)] since - at 45000000000"]
    );
    assert_eq!(got.iter().filter(|(_, points)| points[0].contains("gone")).count(), 2);
    assert_eq!(
        got[&format!("{who} up gauge 1 if the target could be scraped, 0 if not.|")],
        ["{zone=z} 0.0 since - at 45000000000"]
    );
    // Told once.
    let (got, _) = scrape("broken", 60);
    assert!(!format!("{got:?}").contains("gone") && got.len() == 5, "{got:#?}");
    let farewell = Reading::of_nothing(&last, &[], NOW).farewell(&treatment.labels, NOW);
    let farewell = told(&farewell);
    assert!(farewell.len() == 5 && farewell.values().flatten().all(|p| p.contains("gone")));
}

/// Large expositions become several requests, none of them large, and are remembered in little.
#[test]
fn a_large_exposition() {
    let mut body = "# TYPE requests counter\n".to_owned();
    for n in 0..40_000 {
        body.push_str(&format!(
            "requests{{method=\"GET\",path=\"/v1/models/fraud/{}\",status=\"200\",n=\"{n}\"}} {n}\n",
            n % 50
        ));
    }
    let mut last = Told::default();
    let body = (body.as_bytes(), Format::Text);
    let reading =
        super::read(body, &target(&[]), &[], &mut last, NOW).unwrap_or_else(|e| panic!("{e}"));
    let (requests, now) = reading.finish(true, Duration::ZERO, &[], NOW);
    assert!(requests.len() > 2 && requests.iter().all(|request| request.len() < 1 << 21));
    let n: usize = told(&requests).values().map(Vec::len).sum();
    assert_eq!(n, 40_005);
    assert!(now.n_bytes() < 1 << 20, "{} bytes", now.n_bytes());
}
