//! Log files to Loki: every line once and in order, through rotation, restarts and kills.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use super::loki::Loki;
use super::rig::{Place, until};

/// One log file to one Loki.
pub(crate) fn config(loki: &Loki) -> String {
    format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n  loki: {}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        loki.sink()
    )
}

/// Lines that no two tests or places share, of several shapes.
pub(crate) fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    range
        .map(|n| match n % 4 {
            0 => format!(r#"{{"event":"cache hit","request_id":"r-{n}","n":{n},"level":"info"}}"#),
            1 => format!("plain text of line {n}, nothing else"),
            2 => format!("level=warning msg=\"key and value\" request_id=r-{n}"),
            _ => format!(r#"{{"request_id": "r-{n}", "nested": {{"n": [{n}, null, true]}}}}"#),
        })
        .collect()
}

pub(crate) fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_line_once_in_order_with_labels_and_metadata() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..3000);
    place.append("model.log", &text(&all[..1000]));
    let mut daemon = place.daemon(&[]);
    until("the first lines", || loki.n_stored() >= 1000);
    for part in all[1000..].chunks(300) {
        place.append("model.log", &text(part));
    }
    until("all lines", || loki.n_stored() >= 3000);
    let metrics = daemon.metrics_when("all is delivered", |metrics| {
        metrics.route("delivered_events_total", "application_logs", "loki") == 3000
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("events_total", "application_logs", "loki"), 3000);
    assert_eq!(metrics.route("spooled_events", "application_logs", "loki"), 0);
    assert_eq!(metrics.get("sidewake_source_received_events_total{source=\"logs\"}"), 3000.0);
    daemon.stop();
    loki.assert_exactly(&all);
    for (n, entry) in loki.fake.stored().iter().enumerate() {
        assert_eq!(entry.labels["tier"], "application_logs");
        assert_eq!(entry.labels["service_name"], "fraud-detector");
        let id = (n % 4 != 1).then(|| format!("r-{n}"));
        assert_eq!(entry.metadata.get("request_id"), id.as_ref(), "{entry:?}");
    }
}

/// With the old name within the pattern, and outside of it.
#[test]
fn rotation_by_rename_loses_and_repeats_nothing() {
    for pattern in ["@/model.log", "@/model.log*"] {
        let loki = Loki::start();
        let mut place = Place::with(&config(&loki).replace("@/model.log", pattern));
        let all = lines(0..2000);
        let mut daemon = place.daemon(&[]);
        for (n, part) in all.chunks(200).enumerate() {
            // A file that is gone before anybody saw it cannot be followed.
            place.append("model.log", &text(&part[..1]));
            until("the first line of the file", || loki.lines().contains(&part[0]));
            place.append("model.log", &text(&part[1..]));
            // Some rotations while lines are on their way, some when all is read.
            if n % 2 == 0 {
                until("what was written", || loki.n_stored() >= (n + 1) * 200);
            }
            let old = place.path(&format!("model.log.{n}"));
            fs::rename(place.path("model.log"), old).expect("moved");
        }
        until("all lines", || loki.n_stored() >= 2000);
        daemon.stop();
        let mut daemon = place.daemon(&[]);
        place.append("model.log", "after the restart\n");
        until("the last line", || loki.n_stored() > 2000);
        daemon.stop();
        let times = loki.times();
        for line in all.iter().map(String::as_str).chain(["after the restart"]) {
            assert_eq!(times.get(line), Some(&1), "{pattern}: {line}");
        }
        assert_eq!(times.len(), 2001, "{pattern}");
    }
}

#[test]
fn copytruncate_and_delete_lose_nothing_that_was_read() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..900);
    let mut daemon = place.daemon(&[]);
    place.append("model.log", &text(&all[..300]));
    until("the first lines", || loki.n_stored() >= 300);
    fs::copy(place.path("model.log"), place.path("model.log.1")).expect("copied");
    fs::File::options()
        .write(true)
        .open(place.path("model.log"))
        .expect("there")
        .set_len(0)
        .expect("cut");
    place.append("model.log", &text(&all[300..600]));
    until("the lines after the truncation", || loki.n_stored() >= 600);
    fs::remove_file(place.path("model.log")).expect("removed");
    place.append("model.log", &text(&all[600..]));
    until("the lines after the removal", || loki.n_stored() >= 900);
    daemon.stop();
    loki.assert_exactly(&all);
}

#[test]
fn restarts_in_the_middle_lose_and_repeat_nothing() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..4000);
    for (n, part) in all.chunks(500).enumerate() {
        let mut daemon = place.daemon(&[]);
        let half = part.len() / 2;
        place.append("model.log", &text(&part[..half]));
        // Some stops while lines are on their way, some at rest.
        if n % 2 == 0 {
            until("some lines", || loki.n_stored() > n * 500);
        }
        daemon.admin();
        daemon.stop();
        // What is written while nobody listens.
        place.append("model.log", &text(&part[half..]));
    }
    let mut daemon = place.daemon(&[]);
    until("all lines", || loki.n_stored() >= 4000);
    daemon.stop();
    loki.assert_exactly(&all);
}

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn from_environment() -> Self {
        let drawn = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
        let seed = std::env::var("SIDEWAKE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(drawn);
        println!("SIDEWAKE_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Killed at random moments under load. Every line arrives; what arrives again is the very same
/// entry, which Loki stores once, and only what was on its way when the kill came.
#[test]
fn kills_at_random_moments_lose_nothing() {
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 50 } else { 8 };
    let mut random = Random::from_environment();
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let (written, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = {
        let (written, is_over) = (Arc::clone(&written), Arc::clone(&is_over));
        let path = place.path("model.log");
        std::thread::spawn(move || {
            use std::io::Write;
            let mut file =
                fs::File::options().append(true).create(true).open(path).expect("opened");
            while !is_over.load(SeqCst) {
                let from = written.load(SeqCst);
                file.write_all(text(&lines(from..from + 5)).as_bytes()).expect("written");
                written.store(from + 5, SeqCst);
                std::thread::park_timeout(Duration::from_millis(4));
            }
        })
    };
    for _ in 0..rounds {
        let mut daemon = place.daemon(&[]);
        // Some kills come before anything was read, most of them under load.
        if random.below(4) > 0 {
            let (seen, more) = (loki.n_stored(), random.below(200) as usize);
            until("some more lines", || loki.n_stored() > seen + more);
        }
        std::thread::park_timeout(Duration::from_micros(random.below(60_000)));
        daemon.kill();
    }
    is_over.store(true, SeqCst);
    writer.join().expect("no panic");
    let all = lines(0..written.load(SeqCst));
    let mut daemon = place.daemon(&[]);
    until("all lines", || loki.n_stored() >= all.len());
    let metrics = daemon.metrics_when("nothing is spooled", |metrics| {
        metrics.route("spooled_events", "application_logs", "loki") == 0
    });
    metrics.assert_balanced();
    daemon.stop();

    let stored = loki.fake.stored();
    let mut streams: HashMap<&str, usize> = HashMap::new();
    for entry in &stored {
        *streams.entry(entry.line.as_str()).or_default() += 1;
    }
    let lost: Vec<_> = all.iter().filter(|line| !streams.contains_key(line.as_str())).collect();
    assert!(lost.is_empty(), "lost {} of {}: {:?}", lost.len(), all.len(), &lost[..1]);
    let changed: Vec<_> = streams.iter().filter(|(_, n)| **n > 1).collect();
    assert!(changed.is_empty(), "came again as something else: {changed:?}");
    assert_eq!(stored.len(), all.len());
    let n_repeated = stored.iter().filter(|entry| entry.n_times > 1).count();
    println!("{} lines, {rounds} kills, {n_repeated} sent again", all.len());
    let most = rounds * 2000;
    assert!(n_repeated <= most, "{n_repeated} of {} lines were sent again", all.len());
}
