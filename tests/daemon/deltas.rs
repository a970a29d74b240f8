//! Metrics of delta temporality through the real binary: a receiver of remote write gets sums, what
//! is sent again says the same, and each point's fate is counted.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use super::fake_remote_write::{FakeRemoteWrite, Speaks};
use super::otlp::free_port;
use super::rig::{Place, until};

/// Posts one point of a counter and one of a histogram; the status of the answer.
fn post(port: u16, (start_ns, time_ns): (u128, u128), n: u64) -> Option<(u16, String)> {
    let body = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"fraud"}}}}]}},"scopeMetrics":[{{"metrics":[
            {{"name":"requests","sum":{{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
                {{"startTimeUnixNano":"{start_ns}","timeUnixNano":"{time_ns}","asInt":"{n}"}}]}}}},
            {{"name":"wait","histogram":{{"aggregationTemporality":1,"dataPoints":[
                {{"startTimeUnixNano":"{start_ns}","timeUnixNano":"{time_ns}","count":"{n}","sum":{n}.5,
                  "explicitBounds":[1],"bucketCounts":["{n}","0"]}}]}}}}]}}]}}]}}"#
    );
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(
        socket,
        "POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

#[test]
fn deltas_become_sums() {
    let (fake, port) = (FakeRemoteWrite::start(Speaks::Both), free_port());
    let mut place = Place::with(&format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ otlp: {{ type: otlp, grpc: off, http: \"127.0.0.1:{port}\" }} }}\n\
         sinks:\n  store: {{ type: files, path: \"@/store\" }}\n  \
           rw: {{ type: prometheus_remote_write, endpoint: \"{}\", batch: {{ max_age: 20ms }} }}\n\
         tiers: {{ metrics: {{ sinks: [rw] }}, application_logs: {{ sinks: [store] }}, \
           prediction_logs: {{ sinks: [store] }}, traces: {{ sinks: [store] }} }}\n\
         derive: {{ enabled: false }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        fake.url()
    ));
    let mut daemon = place.daemon(&[]);
    let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let at = |second: u128| now_ns + second * 1_000_000_000;
    until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    for (n, second) in [(3, 0), (4, 1), (5, 2)] {
        assert_eq!(post(port, (at(second), at(second + 1)), n).expect("an answer").0, 200);
    }
    let newest = |metric: &str| {
        let kept = fake.stored();
        let found = kept.iter().find(|(name, _)| name.split('{').next() == Some(metric));
        found.and_then(|(_, samples)| samples.last()).map(|(_, bits)| f64::from_bits(*bits))
    };
    until("the sums are there", || newest("requests_total") == Some(12.0));
    until("the buckets too", || newest("wait_bucket") == Some(12.0));
    assert_eq!((newest("wait_sum"), newest("wait_count")), (Some(13.5), Some(12.0)));

    // The last one again, as after an answer that was lost; and one that is late.
    assert_eq!(post(port, (at(2), at(3)), 5).expect("an answer").0, 200);
    let (status, words) = post(port, (at(0), at(1)), 3).expect("an answer");
    assert!(status == 200 && words.contains(r#""rejectedDataPoints":"2""#), "{words}");
    let outcome = |name: &str| {
        format!("sidewake_source_delta_points_total{{source=\"otlp\",outcome=\"{name}\"}}")
    };
    let metrics = daemon.metrics_when("all is delivered", |metrics| {
        metrics.route("delivered_events_total", "metrics", "rw") == 8
    });
    for (name, n) in [("accumulated", 6.0), ("repeated", 2.0), ("out_of_order", 2.0)] {
        assert_eq!(metrics.get(&outcome(name)), n, "{name}");
    }
    assert_eq!(newest("requests_total"), Some(12.0));
    daemon.stop();
    assert_eq!(fake.offences(), Vec::<String>::new());
}
