//! Everything that a daemon beside a model has, joined: a target scraped, predictions derived, and
//! OTLP received, in one daemon to one receiver.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::known;
use super::receiver::Real;
use super::rig::until;

const N_PREDICTIONS: usize = 40;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A target of OpenMetrics that always says the same; its address.
fn target() -> String {
    let body = "# HELP asked How often\\nit was asked.\n# TYPE asked counter\n\
                asked_total{path=\"/é\"} 17 # {trace_id=\"0af7\"} 1\n\
                # TYPE depth gauge\ndepth 2.5\n\
                # TYPE wait_seconds histogram\n# UNIT wait_seconds seconds\n\
                wait_seconds_bucket{le=\"0.5\"} 2 # {trace_id=\"0af8\"} 0.25\n\
                wait_seconds_bucket{le=\"+Inf\"} 3\nwait_seconds_sum 4.5\nwait_seconds_count 3\n\
                # TYPE lag summary\nlag{quantile=\"0.5\"} 3\nlag_sum 7\nlag_count 2\n# EOF\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            // Whoever hung up does not want it.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn prediction(n: usize) -> String {
    let label = ["yes", "no"][n % 2];
    format!(
        r#"{{"event":"prediction","request_id":"r-{n}","model":"fraud","model_version":"v2","prediction":"{label}","confidence":0.75,"latency_ms":250,"trace_id":"{TRACE}"}}"#
    ) + "\n"
}

/// Real Prometheus says of each of them what was said to us: values, native histograms, exemplars,
/// whether the target is up, and that all of it is gone when the daemon is.
pub(crate) fn all_is_there(real: &mut Real) {
    let target = target();
    let job = real.name();
    real.start_with(|port, sink| {
        format!(
            "service: {{ name: {job}, attributes: {{ service.instance.id: i }} }}\n\
             sources:\n  otlp: {{ type: otlp, grpc: off, http: \"127.0.0.1:{port}\" }}\n  \
               logs: {{ type: file, include: [\"@/model.log\"] }}\n  \
               target: {{ type: prometheus, targets: [\"http://{target}/metrics\"], \
                 job: {job}-target, every: 200ms }}\n\
             derive: {{ every: 1s }}\n{sink}"
        )
    });
    real.append("model.log", &(0..N_PREDICTIONS).map(prediction).collect::<String>());
    real.send(&known::metrics(&job, real.now_ms()));
    super::assert_floats(real, &job);
    super::assert_native(real, &job);
    super::assert_exemplar(real, &job);
    let of_target = |name: &str, more: &str| {
        format!("{name}{{job=\"{job}-target\",instance=\"{target}\"{more}}}")
    };
    let model = format!("{{job=\"{job}\",instance=\"i\",model=\"fraud\",version=\"v2\"}}");
    let by_label = |label: &str| {
        format!("ml_predictions_total{{job=\"{job}\",model=\"fraud\",label=\"{label}\"}}")
    };
    let queries = [
        (of_target("asked_total", ",path=\"/é\""), "17"),
        (of_target("depth", ""), "2.5"),
        (of_target("wait_seconds_bucket", ",le=\"0.5\""), "2"),
        (of_target("wait_seconds_bucket", ",le=\"+Inf\""), "3"),
        (of_target("wait_seconds_sum", ""), "4.5"),
        (of_target("lag", ",quantile=\"0.5\""), "3"),
        (of_target("lag_count", ""), "2"),
        (of_target("up", ""), "1"),
        (of_target("scrape_samples_scraped", ""), "9"),
        (by_label("yes"), "20"),
        (by_label("no"), "20"),
        (format!("histogram_count(ml_prediction_duration_seconds{model})"), "40"),
        (format!("histogram_sum(ml_prediction_duration_seconds{model})"), "10"),
        (format!("histogram_count(ml_prediction_confidence{model})"), "40"),
    ];
    for (query, expected) in &queries {
        let mut found = None;
        until(&format!("{query} is {expected}, and not {found:?}"), || {
            found = real.value(query, real.now_ms());
            found == Some(json!(expected))
        });
    }
    assert_exemplars(real, &of_target("asked_total", ""), "0af7", "1");
    assert_exemplars(real, &of_target("wait_seconds_bucket", ",le=\"0.5\""), "0af8", "0.25");
    assert_exemplars(real, &format!("ml_prediction_duration_seconds{model}"), TRACE, "0.25");
    real.stop();
    // A marker makes the series end there, and not five minutes later.
    for (query, _) in &queries {
        until(&format!("{query} is gone"), || real.value(query, real.now_ms()).is_none());
    }
}

fn assert_exemplars(real: &Real, query: &str, trace: &str, value: &str) {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let now = real.now_ms() / 1000;
    let (start, end) = (now - 60, now + 60);
    let path = format!("/api/v1/query_exemplars?query={encoded}&start={start}&end={end}");
    let mut data = Value::Null;
    until(&format!("the exemplar of {query}"), || {
        data = real.json(&path)["data"].clone();
        data.as_array().is_some_and(|data| !data.is_empty())
    });
    let exemplar = &data[0]["exemplars"][0];
    let found = (&exemplar["labels"]["trace_id"], &exemplar["value"]);
    assert_eq!(found, (&json!(trace), &json!(value)), "{data}");
}
