//! Known metrics by OTLP to the real binary, and by remote write to real receivers: what is queried
//! back is what was sent, to the value. Needs `SIDEWAKE_TEST_PROMETHEUS` (3.x),
//! `SIDEWAKE_TEST_PROMETHEUS2` (2.42), `SIDEWAKE_TEST_VICTORIAMETRICS` and `SIDEWAKE_TEST_THANOS`
//! (`tests/backends/backends start …` prints them); without one its test says that it skipped.

#[path = "daemon/http.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod http;
#[path = "otlp_proto/messages.rs"]
mod otlp_proto;
#[path = "daemon/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod rig;

#[path = "remote_write_real/joined.rs"]
mod joined;
#[path = "remote_write_real/known.rs"]
mod known;
#[path = "remote_write_real/receiver.rs"]
mod receiver;

use known::{N_METRICS, metrics};
use receiver::Real;
use rig::until;
use serde_json::json;

/// All that 2.0 can say: floats, native histograms, exemplars, types and help.
#[test]
fn prometheus_3() {
    let Some(mut real) = Real::find("PROMETHEUS", "PROMETHEUS", "/api/v1/write") else { return };
    for protocol in ["auto", "1.0"] {
        let job = real.start(protocol, "");
        real.send(&metrics(&job, real.now_ms()));
        assert_eq!(real.settled(N_METRICS), (N_METRICS, 0), "{protocol}");
        assert_floats(&real, &job);
        assert_native(&real, &job);
        assert_exemplar(&real, &job);
        real.stop();
    }
}

/// All that a daemon beside a model has, at once.
#[test]
fn prometheus_3_joined() {
    let Some(mut real) = Real::find("PROMETHEUS", "PROMETHEUS", "/api/v1/write") else { return };
    joined::all_is_there(&mut real);
}

/// A receiver of 1.0 takes 2.0 for nothing and says 204: it is asked once.
#[test]
fn prometheus_2_42() {
    let Some(mut real) = Real::find("PROMETHEUS2", "PROMETHEUS2", "/api/v1/write") else { return };
    let job = real.start("auto", "");
    let now_ms = real.now_ms();
    real.send(&metrics(&job, now_ms));
    // Native histograms are off there, and cost nothing but themselves.
    assert_eq!(real.settled(N_METRICS), (N_METRICS - 1, 1));
    assert_floats(&real, &job);
    assert_exemplar(&real, &job);
    let letters = real.letters();
    assert!(letters.contains("native histograms are disabled"), "{letters}");
    real.stop();
}

#[test]
fn victoria_metrics() {
    let found = Real::find("VICTORIAMETRICS", "VICTORIAMETRICS", "/api/v1/write");
    let Some(mut real) = found else { return };
    let job = real.start("auto", "");
    real.send(&metrics(&job, real.now_ms()));
    assert_eq!(real.settled(N_METRICS), (N_METRICS, 0));
    let _ = real.get("/internal/force_flush");
    assert_floats(&real, &job);
    real.stop();
}

#[test]
fn thanos() {
    let Some(mut real) = Real::find("THANOS", "THANOS_WRITE", "/api/v1/receive") else { return };
    let job = real.start("auto", ", headers: { THANOS-TENANT: default-tenant }");
    let now_ms = real.now_ms();
    real.send(&metrics(&job, now_ms));
    assert_eq!(real.settled(N_METRICS), (N_METRICS, 0));
    assert_floats(&real, &job);
    assert_native(&real, &job);
    real.stop();
}

/// Samples out of order are refused by name of the receiver, whatever the version, and the others
/// are stored.
#[test]
fn samples_that_come_too_late() {
    for (name, write, path, protocol) in [
        ("PROMETHEUS", "PROMETHEUS", "/api/v1/write", "2.0"),
        ("PROMETHEUS", "PROMETHEUS", "/api/v1/write", "1.0"),
        ("PROMETHEUS2", "PROMETHEUS2", "/api/v1/write", "auto"),
        ("THANOS", "THANOS_WRITE", "/api/v1/receive", "auto"),
    ] {
        let Some(mut real) = Real::find(name, write, path) else { continue };
        let job = real.start(protocol, "");
        let now_ms = real.now_ms();
        real.send(&known::gauges(&job, now_ms, &["late", "fine"]));
        assert_eq!(real.settled(2), (2, 0));
        // One series goes back in time, the other one forward.
        let mut both = known::gauges(&job, now_ms - 5000, &["late"]);
        both.resource_metrics
            .extend(known::gauges(&job, now_ms + 5000, &["fine"]).resource_metrics);
        real.send(&both);
        assert_eq!(real.settled(4), (3, 1), "{name} {protocol}");
        if name != "THANOS" {
            let letters = real.letters();
            assert!(letters.contains("late") && letters.lines().count() == 1, "{letters}");
        }
        let query = format!("count_over_time(fine{{job=\"{job}\"}}[5m])");
        let at_ms = now_ms + 6000;
        until("the good one", || real.value(&query, at_ms) == Some(json!("2")));
        real.stop();
    }
}

fn assert_floats(real: &Real, job: &str) {
    for (query, expected) in known::queries(job) {
        let mut found = None;
        let mut last = None;
        until(&format!("{query} is there"), || {
            found = real.value(&query, real.sent_ms());
            if found != last {
                last.clone_from(&found);
            }
            found.is_some()
        });
        assert_eq!(found, Some(json!(expected)), "{query}");
    }
}

/// The very buckets of the native histogram.
fn assert_native(real: &Real, job: &str) {
    let query = format!("latency_native_seconds{{job=\"{job}\"}}");
    let mut histogram = None;
    until("the native histogram", || {
        histogram = real.result(&query, real.sent_ms()).map(|found| found["histogram"][1].clone());
        histogram.is_some()
    });
    let histogram = histogram.expect("found above");
    assert_eq!((&histogram["count"], &histogram["sum"]), (&json!("10"), &json!("12.5")));
    let buckets = histogram["buckets"].as_array().expect("buckets");
    let counts: Vec<&str> = buckets.iter().filter_map(|bucket| bucket[3].as_str()).collect();
    assert_eq!(counts, ["2", "2", "1", "2", "3"], "{histogram}");
}

fn assert_exemplar(real: &Real, job: &str) {
    let path = format!(
        "/api/v1/query_exemplars?query=latency_seconds_bucket%7Bjob%3D%22{job}%22%7D&start={}&end={}",
        real.sent_ms() / 1000 - 60,
        real.sent_ms() / 1000 + 60,
    );
    let mut data = json!([]);
    until("the exemplar", || {
        data = real.json(&path)["data"].clone();
        data.as_array().is_some_and(|data| !data.is_empty())
    });
    let exemplar = &data[0]["exemplars"][0];
    assert_eq!(exemplar["labels"]["trace_id"], "ab".repeat(16), "{data}");
    assert_eq!(
        (&exemplar["value"], &data[0]["seriesLabels"]["le"]),
        (&json!("0.3"), &json!("0.5"))
    );
}
