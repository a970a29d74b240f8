//! Sampling through the whole daemon: what is left out is counted, what is kept says how likely it
//! was to be.

use super::files::config;
use super::loki::Loki;
use super::rig::Place;

const TIER: &str = "application_logs";

#[test]
fn what_is_left_out_is_counted_and_what_is_kept_says_its_probability() {
    let loki = Loki::start();
    let sample = "sample:\n  rate: { application: 10% }\n  keep: [ 'level >= \"error\"', \
                  latency_ms > 500 ]\n";
    let mut place = Place::with(&(config(&loki) + sample));
    let n_requests = 2000;
    let mut text = String::new();
    for n in 0..n_requests {
        // Two lines of one request share its fate; slow ones and errors are kept whatever it is.
        for step in ["begun", "ended"] {
            text +=
                &format!("{{\"event\":\"{step}\",\"request_id\":\"r-{n}\",\"level\":\"info\"}}\n");
        }
        if n % 100 == 0 {
            text +=
                &format!("{{\"event\":\"failed\",\"request_id\":\"r-{n}\",\"level\":\"error\"}}\n");
            text +=
                &format!("{{\"event\":\"slow\",\"request_id\":\"r-{n}\",\"latency_ms\":501}}\n");
            text +=
                &format!("{{\"event\":\"fast\",\"request_id\":\"x-{n}\",\"latency_ms\":500}}\n");
        }
    }
    let n_lines = text.lines().count() as u64;
    place.append("model.log", &text);
    let mut daemon = place.daemon(&[]);
    let metrics = daemon.metrics_when("all is settled", |metrics| {
        metrics.route("events_total", TIER, "loki") == n_lines
            && metrics.route("spooled_events", TIER, "loki") == 0
    });
    metrics.assert_balanced();
    let n_kept = metrics.route("delivered_events_total", TIER, "loki");
    assert_eq!(metrics.route("sampled_out_events_total", TIER, "loki"), n_lines - n_kept);
    daemon.stop();

    let stored = loki.fake.stored();
    assert_eq!(stored.len() as u64, n_kept);
    let of = |event: &str| {
        let wanted = format!("\"event\":\"{event}\"");
        let found = stored.iter().filter(|entry| entry.line.contains(&wanted));
        let mut ids: Vec<&str> = found.map(|entry| entry.metadata["request_id"].as_str()).collect();
        ids.sort_unstable();
        ids
    };
    // One fate a request, and about one in ten (six sigma: 200 ± 81).
    assert_eq!(of("begun"), of("ended"));
    assert!((119..=281).contains(&of("begun").len()), "{}", of("begun").len());
    assert_eq!((of("failed").len(), of("slow").len()), (20, 20));
    assert!(of("fast").len() < 20);
    let mut estimate = 0.0;
    for entry in &stored {
        let is_whole = entry.line.contains("failed") || entry.line.contains("slow");
        let probability = entry.metadata.get("sampling_probability");
        let probability: f64 = probability.map_or(1.0, |text| text.parse().expect("a number"));
        let expected = if is_whole { 1.0 } else { 0.1 };
        assert!((probability - expected).abs() < 1e-4, "{entry:?}");
        estimate += 1.0 / probability;
    }
    let error = (estimate - n_lines as f64).abs() / n_lines as f64;
    assert!(error < 0.45, "{estimate} estimated of {n_lines}");
}

/// The same decision in another process: nothing of it is drawn at random.
#[test]
fn two_daemons_keep_the_same_requests() {
    let kept = || {
        let loki = Loki::start();
        let sample = "sample: { rate: { application: 25% } }\n";
        let mut place = Place::with(&(config(&loki) + sample));
        let lines: String =
            (0..400).map(|n| format!("{{\"event\":\"x\",\"request_id\":\"r-{n}\"}}\n")).collect();
        place.append("model.log", &lines);
        let mut daemon = place.daemon(&[]);
        daemon.metrics_when("all is settled", |metrics| {
            metrics.route("events_total", TIER, "loki") == 400
                && metrics.route("spooled_events", TIER, "loki") == 0
        });
        daemon.stop();
        loki.lines()
    };
    let (one, other) = (kept(), kept());
    assert!(!one.is_empty() && one.len() < 400);
    assert_eq!(one, other);
}

/// A label that comes once in five hundred predictions is kept, without a rule that names it.
#[test]
fn rare_labels_are_kept() {
    const PREDICTIONS: &str = "prediction_logs";
    let loki = Loki::start();
    let sample = "sample:\n  rate: { prediction: 5% }\n  rare: { below: 1% }\n";
    let mut place = Place::with(&(config(&loki) + sample));
    let label = |n: usize| if n % 500 == 250 { "fraud" } else { "fine" };
    let line = |n: usize| {
        let label = label(n);
        format!(
            "{{\"event\":\"prediction\",\"request_id\":\"r-{n}\",\"model\":\"m\",\"label\":\"{label}\"}}\n"
        )
    };
    place.append("model.log", &(0..10_000).map(line).collect::<String>());
    let mut daemon = place.daemon(&[]);
    let metrics = daemon.metrics_when("all is settled", |metrics| {
        metrics.route("events_total", PREDICTIONS, "loki") == 10_000
            && metrics.route("spooled_events", PREDICTIONS, "loki") == 0
    });
    metrics.assert_balanced();
    daemon.stop();
    let stored = loki.fake.stored();
    let (rare, common): (Vec<_>, Vec<_>) =
        stored.iter().partition(|entry| entry.line.contains("fraud"));
    assert_eq!(rare.len(), 20);
    assert!(rare.iter().all(|entry| !entry.metadata.contains_key("sampling_probability")));
    // A hundred until anybody can tell, and one in twenty (six sigma).
    assert!((100 + 350..100 + 650).contains(&common.len()), "{}", common.len());
}
