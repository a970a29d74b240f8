//! SIGTERM with a destination that is dead: everything is spooled, the end comes in time, and the
//! next start delivers.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fake_loki::Act;
use super::files::{config, lines, text};
use super::loki::Loki;
use super::rig::{Place, until};

const TIER: &str = "application_logs";

fn sick_place(act: &Act) -> (Loki, Place, Vec<String>) {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(act.clone(), 100_000));
    let place = Place::with(&config(&loki));
    let all = lines(0..1000);
    place.append("model.log", &text(&all));
    (loki, place, all)
}

#[test]
fn within_the_grace_period_and_delivered_after_the_restart() {
    for act in [Act::Answer(503, "sick"), Act::Hang] {
        let (loki, mut place, mut all) = sick_place(&act);
        let mut daemon = place.daemon(&["--grace", "3s"]);
        daemon.metrics_when("all is spooled", |metrics| {
            metrics.route("spooled_events", TIER, "loki") == 1000
        });
        // What comes last, just before the signal.
        let last = lines(1000..1100);
        place.append("model.log", &text(&last));
        all.extend(last);
        let begun = Instant::now();
        daemon.stop();
        assert!(begun.elapsed() < Duration::from_secs(8), "{act:?}: {:?}", begun.elapsed());
        assert_eq!(loki.n_stored(), 0);
        // Everything is ours by now: the source may go.
        std::fs::remove_file(place.path("model.log")).expect("removed");
        loki.fake.recover();
        let mut daemon = place.daemon(&[]);
        until("all lines", || loki.n_stored() >= 1100);
        let metrics = daemon.metrics_when("all is delivered", |metrics| {
            metrics.route("delivered_events_total", TIER, "loki") == 1100
        });
        metrics.assert_balanced();
        daemon.stop();
        loki.assert_exactly(&all);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (loki, mut place, all) = sick_place(&Act::Answer(503, "sick"));
    let mut daemon = place.daemon(&["--grace", "10m"]);
    daemon.metrics_when("all is spooled", |metrics| {
        metrics.route("spooled_events", TIER, "loki") == 1000
    });
    daemon.signal(Signal::TERM);
    until("the daemon says that it stops", || daemon.get("/readyz").0 == 503);
    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    loki.fake.recover();
    let mut daemon = place.daemon(&[]);
    until("all lines", || loki.n_stored() >= 1000);
    daemon.stop();
    loki.assert_exactly(&all);
}

/// A child that does not want to go: the second signal ends the wait for it, and for the sink too.
#[test]
fn a_second_signal_waits_for_no_child() {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 100_000));
    let stubborn = "trap : TERM; echo up; while :; do sleep 0.02; done";
    let mut place = Place::with(&exec_config(&loki, stubborn));
    let mut daemon = place.daemon(&["--grace", "10m", "--echo", "none"]);
    daemon.metrics_when("the first line", |metrics| {
        metrics.route("spooled_events", TIER, "loki") == 1
    });
    daemon.signal(Signal::TERM);
    until("the daemon says that it stops", || daemon.get("/readyz").0 == 503);
    let begun = Instant::now();
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(128 + 9), "{}", daemon.stderr());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

fn exec_config(loki: &Loki, script: &str) -> String {
    let files = config(loki);
    let sources = files.lines().find(|line| line.starts_with("sources:")).expect("there");
    let exec = format!("sources: {{ model: {{ type: exec, command: [sh, -c, '{script}'] }} }}");
    files.replace(sources, &exec)
}

/// The model's pipe cannot be read again: what it said before its end is spooled, whatever the
/// sink.
#[test]
fn a_childs_last_words_outlive_a_dead_sink() {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 100_000));
    let script = "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; printf farewell";
    let mut place = Place::with(&exec_config(&loki, script));
    let mut daemon = place.daemon(&["--grace", "1s", "--echo", "none"]);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
    assert_eq!(loki.n_stored(), 0);
    loki.fake.recover();
    place.configure(&config(&loki));
    let mut daemon = place.daemon(&[]);
    until("all lines", || loki.n_stored() >= 501);
    daemon.stop();
    let mut all: Vec<String> = (0..500).map(|n| format!("line {n}")).collect();
    all.push("farewell".to_owned());
    loki.assert_exactly(&all);
}

/// The child's end is the end of all; what another source's pipe holds then is still read.
#[test]
fn other_sources_drain_when_the_child_ends() {
    let loki = Loki::start();
    let script = "while ! [ -p pipe ]; do sleep 0.02; done; seq -f \"line %g\" 0 4999 > pipe";
    let config = exec_config(&loki, script);
    let config = config.replace("sources: {", "sources: { pipe: { type: fifo, path: \"@/pipe\" },");
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&["--echo", "none"]);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
    let all: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
    loki.assert_exactly(&all);
}

/// Another source's end is nobody's end: the child runs on, and the exit code is its own.
#[test]
fn another_sources_end_does_not_end_the_child() {
    let loki = Loki::start();
    let script = "while ! [ -e go ]; do sleep 0.02; done; echo done; exit 3";
    // Standard input is at its end from the start.
    let config =
        exec_config(&loki, script).replace("sources: {", "sources: { in: { type: stdin },");
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&["--echo", "none"]);
    daemon.admin();
    assert_eq!(daemon.child.try_wait().expect("asked"), None);
    place.append("go", "");
    assert_eq!(daemon.wait(), Some(3), "{}", daemon.stderr());
    loki.assert_exactly(&["done".to_owned()]);
}
