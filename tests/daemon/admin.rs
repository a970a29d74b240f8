//! What the admin server says while all is well, and while it is not.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;

use super::fake_loki::Act;
use super::files::{config, lines, text};
use super::loki::Loki;
use super::rig::{Place, until};

const TIER: &str = "application_logs";

/// A dead sink changes no probe, and everything else names it.
#[test]
fn a_stuck_route_is_named_and_probes_stay_green() {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "ingester is sick"), 100_000));
    let mut place = Place::with(&config(&loki));
    let mut daemon = place.daemon(&[]);
    until("ready", || daemon.get("/readyz").0 == 200);
    place.append("model.log", &text(&lines(0..100)));
    daemon.metrics_when("retries", |metrics| metrics.route("retries_total", TIER, "loki") > 2);
    assert_eq!(daemon.get("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(daemon.get("/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(daemon.get("/nowhere").0, 404);

    let (code, status) = daemon.get("/status");
    assert_eq!(code, 200);
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["service"], "fraud-detector");
    let routes = status["routes"].as_array().expect("routes");
    let stuck = routes.iter().find(|route| route["tier"] == TIER).expect("the route");
    assert_eq!(stuck["sink"], "loki");
    assert_eq!(stuck["state"], "retrying");
    assert_eq!(stuck["lag"]["events"], 100);
    assert!(stuck["lag"]["oldest_age_seconds"].as_f64().expect("a number") > 0.0);
    assert!(stuck["retrying"]["attempts"].as_u64().expect("a number") >= 3);
    let error = stuck["last_error"]["text"].as_str().expect("a text");
    assert!(error.contains("503") && error.contains("ingester is sick"), "{error}");
    let quiet = routes.iter().filter(|route| route["tier"] != TIER);
    assert!(quiet.into_iter().all(|route| route["state"] == "waiting"), "{status}");

    let metrics = daemon.metrics();
    assert!(
        metrics.get(&format!("sidewake_route_lag_seconds{{tier=\"{TIER}\",sink=\"loki\"}}")) > 0.0
    );
    assert_eq!(metrics.get("sidewake_ready"), 1.0);
    assert!(metrics.get("process_resident_memory_bytes") > 0.0);
    assert!(daemon.stderr().contains("could not deliver"), "{}", daemon.stderr());

    loki.fake.recover();
    until("all lines", || loki.n_stored() == 100);
    until("the route says so", || {
        let status: serde_json::Value =
            serde_json::from_str(&daemon.get("/status").1).expect("JSON");
        let routes = status["routes"].as_array().expect("routes").clone();
        let route = routes.into_iter().find(|route| route["tier"] == TIER).expect("the route");
        route["state"] == "waiting" && route["lag"]["events"] == 0 && route["retrying"].is_null()
    });
    daemon.stop();
}

/// An address that was asked for and is taken is an error before anything runs; the default one
/// may be another daemon's.
#[test]
fn an_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let mut place = Place::new();
    let config = format!(
        "sources: {{ model: {{ type: exec, command: [touch, ran] }} }}\n\
         admin: {{ listen: \"{address}\" }}\n"
    );
    std::fs::write(place.path("sidewake.yaml"), config).expect("written");
    let mut daemon = place.daemon(&[]);
    assert_eq!(daemon.wait(), Some(1));
    assert!(daemon.stderr().contains(&address.to_string()), "{}", daemon.stderr());
    assert!(!place.path("ran").exists(), "the child was started and left alone");

    // Whoever has it: this listener, or another test's daemon.
    let _default = TcpListener::bind("127.0.0.1:4319");
    let mut place = Place::new();
    let mut daemon = place.shell(&[], ": > ran");
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
    assert!(place.path("ran").exists());
}

/// The README's table is the list of all metrics of ours, by their full names.
#[test]
fn the_readme_names_every_metric() {
    let mut place = Place::with("sources: { model: { type: file, include: [\"@/model.log\"] } }");
    let mut daemon = place.daemon(&[]);
    let (_, text) = daemon.get("/metrics");
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names = families.filter_map(|family| family.split(' ').next());
    let exposed: BTreeSet<&str> = names.filter(|name| name.starts_with("sidewake_")).collect();

    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let rows = readme.lines().filter(|line| line.starts_with("| `sidewake_"));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let promised: BTreeSet<&str> = words.filter(|word| word.starts_with("sidewake_")).collect();
    assert_eq!(promised, exposed);
    daemon.stop();
}
