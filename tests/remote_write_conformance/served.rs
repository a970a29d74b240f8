//! The binary between an OTLP client and the strict receiver, and metrics to send.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use prost::Message as _;

use super::fake_remote_write::{FakeRemoteWrite, Speaks};
use super::otlp_proto::common::any_value::Value;
use super::otlp_proto::common::{AnyValue, KeyValue};
use super::otlp_proto::metrics::metric::Data;
use super::otlp_proto::metrics::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use super::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::otlp_proto::resource::Resource;
use super::rig::{Daemon, Place, until};

/// The first sample's time.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;
const MS: u64 = 1_000_000;

pub(crate) struct Served {
    pub(crate) fake: FakeRemoteWrite,
    pub(crate) daemon: Daemon,
    pub(crate) place: Place,
    port: u16,
}

impl Served {
    /// A daemon whose sink has `more` settings.
    pub(crate) fn start(speaks: Speaks, more: &str) -> Self {
        let batch = if more.contains("batch:") { "" } else { ", batch: { max_age: 20ms }" };
        let fake = FakeRemoteWrite::start(speaks);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let config = format!(
            "service: {{ name: fraud }}\n\
             sources: {{ otlp: {{ type: otlp, grpc: off, http: \"127.0.0.1:{port}\" }} }}\n\
             sinks:\n  rw: {{ type: prometheus_remote_write, endpoint: \"{}\", \
               retry: {{ initial: 20ms, max: 100ms }}{batch}{more} }}\n  \
               none: {{ type: files, path: \"@/store\" }}\n\
             tiers: {{ metrics: {{ sinks: [rw] }}, traces: {{ sinks: [none] }}, \
               application_logs: {{ sinks: [none] }}, prediction_logs: {{ sinks: [none] }} }}\n\
             spool: {{ type: disk, path: \"@/spool\" }}\n",
            fake.url()
        );
        let mut place = Place::with(&config);
        let daemon = place.daemon(&[]);
        until("the source listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { fake, daemon, place, port }
    }

    /// Sends metrics of one resource, which are then in the spool.
    pub(crate) fn send(&self, resource: &[(&str, &str)], metrics: Vec<Metric>) {
        let attributes = resource.iter().map(|(key, value)| text(key, value)).collect();
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
                schema_url: String::new(),
            }],
        };
        let body = request.encode_to_vec();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        let head = format!(
            "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("asked");
        stream.write_all(&body).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }

    /// One gauge of one sample, the `n`th.
    pub(crate) fn send_one(&self, n: u64) {
        self.send(FRAUD, vec![gauge("up", vec![point(&[], n, n as f64)])]);
    }

    /// Waits until so many events are accounted for; delivered and dead letters.
    pub(crate) fn settled(&self, n_events: u64) -> (u64, u64) {
        let of = |metrics: &super::http::Metrics| {
            let of = |name| metrics.route(name, "metrics", "rw");
            (of("delivered_events_total"), of("dead_letter_events_total"))
        };
        let metrics = self.daemon.metrics_when("all is settled", |metrics| {
            let (delivered, letters) = of(metrics);
            delivered + letters >= n_events
        });
        metrics.assert_balanced();
        of(&metrics)
    }

    /// Nothing was done that no sender may do.
    pub(crate) fn end(mut self) {
        assert_eq!(self.fake.offences(), [""; 0]);
        self.daemon.stop();
    }

    /// Times of a series that were stored, counted from the first one's.
    pub(crate) fn times(&self, series: &str) -> Vec<u64> {
        let stored = self.fake.stored();
        let found = stored.get(series).map_or(&[][..], Vec::as_slice);
        found.iter().map(|(time, _)| *time as u64 - BEGIN_MS).collect()
    }
}

pub(crate) const FRAUD: &[(&str, &str)] =
    &[("service.name", "fraud"), ("service.instance.id", "i")];
pub(crate) const UP: &str = "up{instance=\"i\",job=\"fraud\"}";

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value }
}

/// The `n`th millisecond, in nanoseconds.
pub(crate) fn at(n: u64) -> u64 {
    (BEGIN_MS + n) * MS
}

pub(crate) fn point(attributes: &[(&str, &str)], n: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes.iter().map(|(key, value)| text(key, value)).collect(),
        start_time_unix_nano: at(0),
        time_unix_nano: at(n),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

pub(crate) fn metric(name: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: format!("About {name}.\nIn two lines."),
        data: Some(data),
        ..Metric::default()
    }
}

pub(crate) fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Gauge(Gauge { data_points }))
}

pub(crate) fn counter(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true }))
}
