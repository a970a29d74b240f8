//! Another config while everything runs: it takes effect, or changes nothing and says so; nothing
//! is lost and what did not change is not touched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use rustix::process::Signal;

use super::fake_loki::Act;
use super::files::{Random, lines, text};
use super::http::Metrics;
use super::loki::Loki;
use super::rig::{Daemon, Place, until};

const TIER: &str = "application_logs";

/// A file to the sinks named, with more sections behind.
fn config(sinks: &[(&str, &Loki)], more: &str) -> String {
    let sections: Vec<String> =
        sinks.iter().map(|(name, loki)| format!("  {name}: {}\n", loki.sink())).collect();
    let names: Vec<&str> = sinks.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    format!(
        "sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n{}\
         tiers:\n  application_logs: {{ retention: 30 days, sinks: [{names}] }}\n  \
         prediction_logs: {{ retention: 90 days, sinks: [{names}] }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n{more}",
        sections.concat()
    )
}

fn reloads(metrics: &Metrics, result: &str) -> f64 {
    metrics.get(&format!("sidewake_config_reloads_total{{result=\"{result}\"}}"))
}

/// SIGHUP, and an answer to it.
fn reload(daemon: &Daemon, result: &str) {
    let metrics = daemon.metrics();
    let other = if result == "ok" { "failed" } else { "ok" };
    let (before, others) = (reloads(&metrics, result), reloads(&metrics, other));
    daemon.signal(Signal::HUP);
    until("the reload", || {
        let metrics = daemon.metrics();
        assert_eq!(reloads(&metrics, other), others, "{}", daemon.stderr());
        reloads(&metrics, result) > before
    });
}

#[test]
fn a_changed_file_takes_effect_by_itself() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&[("loki", &loki)], ""));
    let mut daemon = place.daemon(&[]);
    let line = |n| format!("{{\"n\":{n},\"badge\":\"b-{n}\"}}");
    place.append("model.log", &text(&[line(1)]));
    until("the first line", || loki.n_stored() == 1);
    place.configure(&config(&[("loki", &loki)], "protect: { fields: { badge: mask } }\n"));
    let metrics = daemon.metrics_when("the reload", |metrics| reloads(metrics, "ok") > 0.0);
    assert_eq!(metrics.get("sidewake_config_last_reload_successful"), 1.0);
    place.append("model.log", &text(&[line(2)]));
    until("the second line", || loki.n_stored() == 2);
    daemon.stop();
    assert_eq!(loki.lines()[0], line(1));
    assert!(!loki.lines()[1].contains("b-2"), "{:?}", loki.lines());
    assert!(loki.lines()[1].contains("\"n\":2"), "{:?}", loki.lines());
}

#[test]
fn a_config_with_a_problem_changes_nothing_and_is_reported() {
    let loki = Loki::start();
    let good = config(&[("loki", &loki)], "");
    let mut place = Place::with(&good);
    let mut daemon = place.daemon(&["--no-watch-config"]);
    let mut n = 0;
    let mut arrives = |place: &Place| {
        place.append("model.log", &text(&lines(n..n + 1)));
        n += 1;
        until("the next line", || loki.n_stored() == n);
    };
    arrives(&place);
    let moved = good.replace("spool: { type: disk", "spool: { type: disk, max: 99MiB");
    for (bad, said) in [
        (good.replace("retention: 30 days", "retentoin: 30 days"), "retentoin"),
        (
            moved.replace("max_age: 20ms", "max_age: 10ms"),
            "a new start is needed for a change of: spool",
        ),
        (good.replace("type: disk", "type: disk\n  - ["), "sidewake.yaml:"),
    ] {
        place.configure(&bad);
        reload(&daemon, "failed");
        assert_eq!(daemon.metrics().get("sidewake_config_last_reload_successful"), 0.0);
        assert!(daemon.get("/status").1.contains(said), "{said}: {}", daemon.get("/status").1);
        assert!(daemon.stderr().contains(said), "{said}: {}", daemon.stderr());
        assert_eq!(daemon.get("/readyz").0, 200);
        arrives(&place);
    }
    place.configure(&good);
    reload(&daemon, "ok");
    assert_eq!(daemon.metrics().get("sidewake_config_last_reload_successful"), 1.0);
    arrives(&place);
    daemon.stop();
    loki.assert_exactly(&lines(0..n));
}

/// Without a config there is nothing to read again: the signal is the model's.
#[test]
fn without_a_config_the_signal_is_the_childs() {
    let mut place = Place::new();
    let script = "trap 'echo heard; exit 7' HUP; echo up; while :; do sleep 0.02; done";
    let mut daemon = place.shell(&["--echo", "raw"], script);
    until("the child is up", || daemon.stdout().contains("up"));
    daemon.signal(Signal::HUP);
    assert_eq!(daemon.wait(), Some(7), "{}", daemon.stderr());
    assert!(daemon.stdout().contains("heard"));
}

/// A sink that is taken off while events wait for it: they are counted. Given back, it begins where
/// it stood, and its counters go on.
#[test]
fn sinks_come_and_go() {
    let (loki, other) = (Loki::start(), Loki::start());
    other.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 100_000));
    let (one, both) =
        (config(&[("loki", &loki)], ""), config(&[("loki", &loki), ("other", &other)], ""));
    let mut place = Place::with(&both);
    let mut daemon = place.daemon(&["--no-watch-config"]);
    let all = lines(0..300);
    place.append("model.log", &text(&all[..100]));
    until("the first lines", || loki.n_stored() == 100);
    place.configure(&one);
    reload(&daemon, "ok");
    let metrics = daemon.metrics();
    metrics.assert_balanced();
    assert_eq!(metrics.dropped(TIER, "other"), 100);
    assert_eq!(metrics.route("spooled_events", TIER, "other"), 0);
    place.append("model.log", &text(&all[100..200]));
    until("the lines without it", || loki.n_stored() == 200);
    other.fake.recover();
    place.configure(&both);
    reload(&daemon, "ok");
    place.append("model.log", &text(&all[200..]));
    until("the lines with it again", || loki.n_stored() == 300);
    // What came between is still in the spool's last segment: it gets that too.
    until("what it missed", || other.n_stored() == 300);
    let metrics = daemon.metrics_when("all is counted", |metrics| {
        metrics.route("delivered_events_total", TIER, "other") == 300
    });
    metrics.assert_balanced();
    daemon.stop();
    loki.assert_exactly(&all);
    other.assert_exactly(&all);
}

/// Random configs one after the other while lines are written, and now and then a restart. The sink
/// that is in all of them gets every line once; all counters add up.
#[test]
fn nothing_is_lost_by_random_reloads() {
    let n_reloads = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 1000 } else { 25 };
    let mut random = Random::from_environment();
    let (loki, other) = (Loki::start(), Loki::start());
    let mut place = Place::with(&config(&[("loki", &loki)], ""));
    let is_over = Arc::new(AtomicBool::new(false));
    let n_written = Arc::new(AtomicUsize::new(0));
    let writer = std::thread::spawn({
        let (path, is_over, n_written) =
            (place.path("model.log"), Arc::clone(&is_over), Arc::clone(&n_written));
        move || {
            use std::io::Write as _;
            let file = std::fs::File::options().append(true).create(true).open(path);
            let mut file = file.expect("opened");
            while !is_over.load(SeqCst) {
                let n = n_written.load(SeqCst);
                file.write_all(text(&lines(n..n + 20)).as_bytes()).expect("written");
                n_written.store(n + 20, SeqCst);
                std::thread::park_timeout(std::time::Duration::from_millis(20));
            }
        }
    });
    let mut daemon = place.daemon(&["--no-watch-config"]);
    daemon.admin();
    for _ in 0..n_reloads {
        place.configure(&random_config(&mut random, &loki, &other));
        reload(&daemon, "ok");
        daemon.metrics_when("the counters add up", Metrics::is_balanced);
        if random.below(12) == 0 {
            daemon.stop();
            daemon = place.daemon(&["--no-watch-config"]);
            daemon.admin();
        }
    }
    is_over.store(true, SeqCst);
    writer.join().expect("the writer");
    let all = lines(0..n_written.load(SeqCst));
    until("all lines", || loki.n_stored() >= all.len());
    daemon.metrics_when("the counters add up", Metrics::is_balanced);
    daemon.stop();
    let times = loki.times();
    let wrong: Vec<&String> = all.iter().filter(|line| times.get(*line) != Some(&1)).collect();
    assert!(wrong.is_empty(), "{} lines not once: {:?}", wrong.len(), wrong.first());
    assert_eq!(times.len(), all.len());
}

fn random_config(random: &mut Random, loki: &Loki, other: &Loki) -> String {
    let mut sinks = vec![("loki", loki)];
    if random.below(2) == 0 {
        sinks.push(("other", other));
    }
    let mut text = config(&sinks, "");
    if random.below(2) == 0 {
        // The first sink is another one, with the same destination.
        text = text.replacen("max_age: 20ms", &format!("max_age: {}ms", 5 + random.below(40)), 1);
    }
    if random.below(3) == 0 {
        text = text.replace("retention: 30 days", "retention: 31 days");
    }
    if random.below(3) == 0 {
        text.push_str("protect: { fields: { badge: mask } }\n");
    }
    if random.below(3) == 0 {
        // The source is another one, of the same file.
        text = text.replace("include:", "exclude: [\"@/none\"], include:");
    }
    if random.below(3) == 0 {
        text = text.replacen(
            " logs: {",
            " more: { type: file, include: [\"@/more.log\"] }, logs: {",
            1,
        );
    }
    text
}
