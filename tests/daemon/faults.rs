//! A destination that fails in each way that destinations do: down, half open, endless, early,
//! elsewhere. Nothing is lost, the order stays, and it is well again when the destination is.

use std::time::Duration;

use super::fake_loki::{Act, Manner};
use super::files::{config, lines, text};
use super::loki::Loki;
use super::rig::{Daemon, Place, until};

const TIER: &str = "application_logs";

/// One log file to one Loki, which is not waited for long.
fn impatient(loki: &Loki) -> String {
    config(loki).replace("concurrency: 1", "concurrency: 1, timeout: 300ms")
}

/// Waits until `n` lines are delivered, and counts them all.
#[track_caller]
fn assert_delivered(daemon: &Daemon, n: u64) {
    let metrics = daemon.metrics_when("all is delivered", |metrics| {
        metrics.route("delivered_events_total", TIER, "loki") == n
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("events_total", TIER, "loki"), n);
    assert_eq!(metrics.route("spooled_events", TIER, "loki"), 0);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "loki"), 0);
    assert_eq!(metrics.dropped(TIER, "loki"), 0);
}

#[track_caller]
fn wait_for_retries(daemon: &Daemon, n: u64) {
    let metrics =
        daemon.metrics_when("retries", |metrics| metrics.route("retries_total", TIER, "loki") >= n);
    metrics.assert_balanced();
}

/// The port closes and opens again, many times, with bodies on their way.
#[test]
fn a_flapping_destination() {
    let loki = Loki::start();
    let mut place = Place::with(&impatient(&loki));
    let all = lines(0..2400);
    let mut daemon = place.daemon(&[]);
    for (n, part) in all.chunks(200).enumerate() {
        place.append("model.log", &text(&part[..100]));
        // Some times it goes in the middle of a body, some times when it has all.
        if n % 2 == 0 {
            until("what was written", || loki.n_stored() >= n * 200 + 100);
        }
        loki.go_down();
        let retries = daemon.metrics().route("retries_total", TIER, "loki");
        place.append("model.log", &text(&part[100..]));
        wait_for_retries(&daemon, retries + 1);
        loki.come_up();
    }
    assert_delivered(&daemon, 2400);
    daemon.stop();
    loki.assert_in_order(&all);
}

/// It takes bodies and does not answer, in every way not to.
#[test]
fn a_half_open_destination() {
    for act in [Act::Hang, Act::NeverRead, Act::Drip, Act::Loris(200), Act::Loris(500)] {
        let loki = Loki::start();
        loki.fake.always(act.clone());
        let mut place = Place::with(&impatient(&loki));
        let all = lines(0..600);
        place.append("model.log", &text(&all[..400]));
        let mut daemon = place.daemon(&[]);
        wait_for_retries(&daemon, 2);
        assert_eq!(loki.n_stored(), 0, "{act:?}");
        loki.fake.recover();
        place.append("model.log", &text(&all[400..]));
        assert_delivered(&daemon, 600);
        daemon.stop();
        loki.assert_exactly(&all);
    }
}

/// Connections that are taken and never read, and answers whose head never ends.
#[test]
fn a_half_open_connection() {
    for manner in [Manner::Deaf, Manner::DrippingHead] {
        let loki = Loki::start();
        loki.fake.receive(manner);
        let mut place = Place::with(&impatient(&loki));
        // More than what the kernel takes for one who does not read.
        let all: Vec<String> =
            (0..200).map(|n| format!("{n:>4} {}", "long ".repeat(4000))).collect();
        place.append("model.log", &text(&all));
        let mut daemon = place.daemon(&[]);
        wait_for_retries(&daemon, 2);
        assert!(loki.fake.n_connections() >= 2, "{manner:?}");
        loki.fake.receive(Manner::Well);
        assert_delivered(&daemon, 200);
        daemon.stop();
        loki.assert_exactly(&all);
    }
}

/// `Retry-After` as seconds and as a date: nothing comes before, and soon after all does.
#[test]
fn a_busy_destination_says_when() {
    for (status, act) in [
        (429, Act::Later(429, "2".to_owned())),
        (429, Act::LaterAt(429, 2)),
        (503, Act::Later(503, "2".to_owned())),
        (503, Act::LaterAt(503, 2)),
    ] {
        let loki = Loki::start();
        loki.fake.will([act.clone()]);
        let mut place = Place::with(&config(&loki));
        let all = lines(0..400);
        place.append("model.log", &text(&all[..200]));
        let mut daemon = place.daemon(&[]);
        until("a request", || !loki.fake.came_at().is_empty());
        place.append("model.log", &text(&all[200..]));
        let told = daemon.metrics_when("the wait", |metrics| {
            metrics.get(&format!(
                "sidewake_route_state{{tier=\"{TIER}\",sink=\"loki\",state=\"retrying\"}}"
            )) == 1.0
        });
        told.assert_balanced();
        assert_delivered(&daemon, 400);
        daemon.stop();
        loki.assert_exactly(&all);
        let came_at = loki.fake.came_at();
        let waited = came_at[1] - came_at[0];
        println!("{status} {act:?}: {waited:?}");
        assert!(waited >= Duration::from_secs(2), "{act:?}: came back after {waited:?}");
        assert!(waited < Duration::from_secs(4), "{act:?}: came back after {waited:?}");
    }
}

/// A connection that breaks after the body was stored: the same body comes again, and each entry
/// is recognised by its `record_id`.
#[test]
fn a_reset_behind_the_body() {
    let loki = Loki::start();
    loki.fake.always(Act::StoreAndReset);
    let mut place = Place::with(&config(&loki));
    let mut all = lines(0..300);
    // Equal lines are events of their own.
    all.extend(std::iter::repeat_n("the same line".to_owned(), 5));
    place.append("model.log", &text(&all));
    let mut daemon = place.daemon(&[]);
    wait_for_retries(&daemon, 4);
    loki.fake.recover();
    assert_delivered(&daemon, 305);
    daemon.stop();
    loki.assert_in_order(&all);
    let stored = loki.fake.stored();
    let repeated = stored.iter().filter(|entry| entry.n_times > 1).count();
    println!("{repeated} of 305 entries came {} times", stored[0].n_times);
    assert!(stored[0].n_times >= 5, "{:?}", stored[0]);
    let mut ids: Vec<_> = stored.iter().map(|entry| &entry.metadata["record_id"]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 305);
}

/// An answer without an end is read to a bound, and its status holds.
#[test]
fn a_flood_for_an_answer() {
    let loki = Loki::start();
    loki.fake.always(Act::Flood(503));
    let mut place = Place::with(&config(&loki));
    let all = lines(0..300);
    place.append("model.log", &text(&all[..200]));
    let mut daemon = place.daemon(&[]);
    wait_for_retries(&daemon, 5);
    let resident = daemon.metrics().get("process_resident_memory_bytes");
    assert!(resident < 100e6, "{resident} bytes resident");
    loki.fake.recover();
    assert_delivered(&daemon, 200);
    loki.assert_exactly(&all[..200]);
    // It says that it has them, and goes on for ever.
    loki.fake.always(Act::Flood(200));
    place.append("model.log", &text(&all[200..]));
    assert_delivered(&daemon, 300);
    daemon.stop();
}

/// A redirect is neither followed nor a refusal: what must not go elsewhere waits for a person.
#[test]
fn a_redirect() {
    let is_slow = std::env::var_os("SIDEWAKE_SLOW").is_some();
    for status in [301, 302, 307, 308] {
        let (loki, elsewhere) = (Loki::start(), Loki::start());
        let to = format!("{}/loki/api/v1/push", elsewhere.fake.url());
        loki.fake.always(Act::Redirect(status, to));
        let mut place = Place::with(&config(&loki));
        let all = lines(0..300);
        place.append("model.log", &text(&all));
        let mut daemon = place.daemon(&[]);
        let series =
            format!("sidewake_route_state{{tier=\"{TIER}\",sink=\"loki\",state=\"unauthorised\"}}");
        let metrics = daemon.metrics_when("the refusal", |metrics| metrics.get(&series) == 1.0);
        metrics.assert_balanced();
        daemon.metrics_when("all is spooled", |metrics| {
            metrics.route("spooled_events", TIER, "loki") == 300
        });
        loki.fake.recover();
        if is_slow && status == 307 {
            // It looks again after a minute, which is as long as one wait here takes.
            until("half of it", || loki.fake.came_at()[0].elapsed().as_secs() > 30);
        } else {
            // A new start looks at once.
            daemon.stop();
            daemon = place.daemon(&[]);
        }
        until("all lines", || loki.n_stored() >= 300);
        daemon.stop();
        loki.assert_exactly(&all);
        assert_eq!(elsewhere.fake.n_connections(), 0, "{status}: it was followed");
    }
}
