//! The whole daemon and the real Loki 3 at `SIDEWAKE_TEST_LOKI`; without it, one line says so.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::SystemTime;

use super::exec::prediction;
use super::files::{lines, text};
use super::rig::{Place, until};

#[derive(Debug)]
struct Entry {
    ts_ns: i64,
    line: String,
    labels: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

/// All entries of a tier, by time.
fn query(host: &str, tenant: &str, tier: &str) -> Vec<Entry> {
    let selector: String =
        format!("{{tier=\"{tier}\"}}").bytes().map(|byte| format!("%{byte:02x}")).collect();
    let now_ns = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as i64;
    let hour_ns = 3_600_000_000_000;
    // HTTP/1.0: the answer is not chunked, and ends with the connection.
    let request = format!(
        "GET /loki/api/v1/query_range?query={selector}&direction=forward&limit=5000&start={}&end={} \
         HTTP/1.0\r\nHost: {host}\r\nX-Scope-OrgID: {tenant}\r\n\
         X-Loki-Response-Encoding-Flags: categorize-labels\r\n\r\n",
        now_ns - hour_ns,
        now_ns + hour_ns
    );
    let mut stream = TcpStream::connect(host).expect("connected");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.contains(" 200 "), "{answer}");
    let answer: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let map = |value: &serde_json::Value| -> BTreeMap<String, String> {
        serde_json::from_value(value.clone()).unwrap_or_default()
    };
    let mut found = Vec::new();
    for stream in answer["data"]["result"].as_array().expect("streams") {
        for value in stream["values"].as_array().expect("entries") {
            found.push(Entry {
                ts_ns: value[0].as_str().and_then(|ts| ts.parse().ok()).expect("a time"),
                line: value[1].as_str().expect("a line").to_owned(),
                labels: map(&stream["stream"]),
                metadata: map(&value[2]["structuredMetadata"]),
            });
        }
    }
    found.sort_by_key(|entry| entry.ts_ns);
    found
}

#[test]
fn five_hundred_mixed_lines_are_queried_back() {
    let Ok(url) = std::env::var("SIDEWAKE_TEST_LOKI") else {
        eprintln!("skipped: five_hundred_mixed_lines_are_queried_back needs SIDEWAKE_TEST_LOKI");
        return;
    };
    let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let begun_ns = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    let tenant = format!("daemon-{begun_ns}");
    let mut place = Place::with(&format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks: {{ loki: {{ type: loki, endpoint: \"http://{host}\", tenant: {tenant}, \
         batch: {{ max_age: 50ms }} }} }}\n"
    ));
    let logs = lines(0..400);
    let predictions: Vec<String> = (0..100).map(|n| prediction(&format!("p-{n}"))).collect();
    let mut mixed = Vec::new();
    for (part, prediction) in logs.chunks(4).zip(&predictions) {
        mixed.extend(part.iter().cloned());
        mixed.push(prediction.clone());
    }
    place.append("model.log", &text(&mixed));
    let mut daemon = place.daemon(&[]);
    let delivered = |tier, n| {
        daemon.metrics_when("all is delivered", |metrics| {
            metrics.route("delivered_events_total", tier, "loki") == n
        })
    };
    delivered("application_logs", 400).assert_balanced();
    delivered("prediction_logs", 100).assert_balanced();
    for (tier, expected) in [("application_logs", &logs), ("prediction_logs", &predictions)] {
        let mut found = Vec::new();
        until("Loki finds all", || {
            found = query(&host, &tenant, tier);
            found.len() >= expected.len()
        });
        assert_eq!(found.len(), expected.len(), "{tier}");
        for (entry, line) in found.iter().zip(expected) {
            assert_eq!(&entry.line, line, "{tier}");
        }
        for entry in &found {
            assert_eq!(entry.labels["service_name"], "fraud-detector", "{entry:?}");
            let id = entry.line.split_once("request_id").map(|(_, rest)| {
                let rest = rest.trim_start_matches(['"', ':', ' ', '=']);
                rest.split(['"', ',', ' ']).next().expect("a part")
            });
            assert_eq!(entry.metadata.get("request_id").map(String::as_str), id, "{entry:?}");
            let is_prediction = tier == "prediction_logs";
            assert_eq!(entry.metadata["kind"] == "prediction", is_prediction, "{entry:?}");
        }
    }
    daemon.stop();
}
