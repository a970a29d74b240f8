//! Our own `/metrics`, as Prometheus' linter reads it: `promtool check metrics`. Needs
//! `SIDEWAKE_TEST_PROMTOOL`, the path of it; without it the test says that it skipped.

use std::fs::{self, File};
use std::process::Command;

use super::files::{lines, text};
use super::otlp::{Receiver, free_port};
use super::rig::Place;
use super::scrape::{Exposer, answer};

/// Of a daemon that has some of everything.
#[test]
fn our_metrics_have_no_complaint() {
    let Ok(promtool) = std::env::var("SIDEWAKE_TEST_PROMTOOL") else {
        eprintln!("skipped: our_metrics_have_no_complaint needs SIDEWAKE_TEST_PROMTOOL");
        return;
    };
    let target = Exposer::start(|_| Some(answer("200 OK", "", b"a 1\n")));
    let (receiver, dead) = (Receiver::start(), free_port());
    let config = format!(
        "service: {{ name: fraud-detector }}\n\
         sources:\n  logs: {{ type: file, include: [\"@/model.log\"] }}\n  \
           otlp: {{ type: otlp, grpc: \"127.0.0.1:0\", http: off }}\n  \
           jaeger: {{ type: jaeger, compact: \"127.0.0.1:0\" }}\n  \
           model: {{ type: prometheus, targets: [\"http://{}\"], every: 100ms }}\n\
         sinks:\n  loki: {{ type: loki, endpoint: \"http://127.0.0.1:{dead}\" }}\n  \
           otlp: {{ type: otlp, endpoint: \"{}\" }}\n  \
           rw: {{ type: prometheus_remote_write, endpoint: \"http://127.0.0.1:{dead}/write\" }}\n  \
           store: {{ type: files, path: \"@/store\" }}\n\
         tiers: {{ metrics: {{ sinks: [rw, otlp] }}, traces: {{ sinks: [otlp] }}, \
           application_logs: {{ sinks: [loki, store] }}, prediction_logs: {{ sinks: [store] }} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n\
         derive: {{ every: 1s }}\n",
        target.address,
        receiver.fake.url()
    );
    let mut place = Place::with(&config);
    place.append("model.log", &text(&lines(0..100)));
    let mut daemon = place.daemon(&["--grace", "1s"]);
    daemon.metrics_when("it runs", |metrics| {
        metrics.route("delivered_events_total", "metrics", "otlp") > 0
            && metrics.route("retries_total", "application_logs", "loki") > 0
    });
    fs::write(place.path("metrics"), daemon.get("/metrics").1).expect("written");
    let input = File::open(place.path("metrics")).expect("opened");
    let check = Command::new(promtool).args(["check", "metrics"]).stdin(input).output();
    let check = check.expect("promtool runs");
    let said = [check.stdout, check.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(check.status.success() && said.is_empty(), "{said}");
    daemon.stop();
}
