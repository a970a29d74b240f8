//! Scraped and derived metrics by remote write, through the real binary: killed under load, ended
//! in good order, and a receiver that fails in every way.
//!
//! Owns what the receiver must find afterwards. What remote write demands of a request is the
//! fake's to check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::fake_remote_write::{Act, FakeRemoteWrite, Kept, Reply, Speaks};
use super::files::{Random, lines, text};
use super::kills::write_on;
use super::rig::{Place, until};
use super::scrape::{Exposer, answer};

/// What says that a series is gone.
const STALE: u64 = 0x7ff0_0000_0000_0002;
/// A daemon that starts needs longer than this to its first connection.
const START: Duration = Duration::from_millis(5);
/// Longer than it takes to write down an answer, on any machine.
const SOON: Duration = Duration::from_secs(2);

/// A target whose counters count how often it was asked.
fn target() -> Exposer {
    let n_asked = AtomicUsize::new(0);
    Exposer::start(move |_| {
        let n = n_asked.fetch_add(1, SeqCst);
        let body = format!(
            "# TYPE asked_total counter\nasked_total {n}\n# TYPE still gauge\nstill 4\n\
             # TYPE wait_seconds histogram\nwait_seconds_bucket{{le=\"0.5\"}} {}\n\
             wait_seconds_bucket{{le=\"+Inf\"}} {n}\nwait_seconds_sum {n}\nwait_seconds_count {n}\n",
            n / 2
        );
        Some(answer("200 OK", "", body.as_bytes()))
    })
}

fn config(fake: &FakeRemoteWrite, target: &Exposer, more: &str) -> String {
    format!(
        "service:\n  name: fraud-detector\n  version: v2\n  \
           attributes: {{ service.instance.id: pod-1 }}\n\
         sources:\n  logs: {{ type: file, include: [\"@/logs/*\"] }}\n  \
           model: {{ type: prometheus, targets: [\"http://{}\"], every: 100ms, \
             labels: {{ instance: pod-2 }} }}\n\
         sinks:\n  store: {{ type: files, path: \"@/store\" }}\n  \
           rw: {{ type: prometheus_remote_write, endpoint: \"{}\", batch: {{ max_age: 20ms }}, \
             retry: {{ initial: 20ms, max: 200ms }}{more} }}\n\
         tiers: {{ metrics: {{ sinks: [rw] }}, application_logs: {{ sinks: [store] }}, \
           prediction_logs: {{ sinks: [store] }} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n\
         derive: {{ every: 1s }}\n",
        target.address,
        fake.url()
    )
}

fn is_of(name: &str, metric: &str) -> bool {
    name.split('{').next() == Some(metric)
}

/// Log lines that the newest values of the derived counters know.
fn n_counted(fake: &FakeRemoteWrite) -> f64 {
    let kept = fake.kept();
    let counters = kept.iter().filter(|(name, _)| is_of(name, "log_events_total"));
    counters.filter_map(|(_, kept)| values(kept).last().copied()).sum()
}

/// All but stale markers.
fn values(kept: &[Kept]) -> Vec<f64> {
    let values = kept.iter().filter(|one| one.bits != STALE);
    values.map(|one| one.count.map_or(f64::from_bits(one.bits), |count| count as f64)).collect()
}

/// What the next request meets, now and then.
fn storm(fake: &FakeRemoteWrite, random: &mut Random) {
    let act = match random.below(16) {
        0 => Act::status(500),
        1 => Act::status(503),
        2 => Act::Say(429, "Retry-After: 0\r\n".to_owned(), String::new()),
        3 => Act::Break,
        4 | 5 => Act::StoreAndBreak,
        6 => Act::StoreSlowly(Duration::from_millis(random.below(150))),
        _ => return,
    };
    fake.recover();
    fake.will([act]);
}

/// Samples that came again, by what became of the answer to their time before.
#[derive(Debug, Default)]
struct Repeats {
    /// There was none, or it came to a process that was killed already.
    unanswered: usize,
    /// It was read, and the process killed before that was written down.
    answered: usize,
    /// The kills that did so.
    kills: BTreeSet<usize>,
    /// Answered, and no kill followed soon.
    unexplained: Vec<String>,
}

impl Repeats {
    fn of(kept: &BTreeMap<String, Vec<Kept>>, kills: &[Instant]) -> Self {
        let mut repeats = Self::default();
        for (name, one) in kept.iter().flat_map(|(name, kept)| kept.iter().map(move |k| (name, k)))
        {
            for reply in &one.answers[..one.answers.len() - 1] {
                repeats.note(name, one, *reply, kills);
            }
        }
        repeats
    }

    fn note(&mut self, name: &str, one: &Kept, reply: Option<Reply>, kills: &[Instant]) {
        let is_lost = |reply: &Reply| {
            let index = kills.partition_point(|kill| *kill < reply.at);
            index > 0 && reply.connected_at < kills[index - 1] + START
        };
        let Some(reply) = reply.filter(|reply| !is_lost(reply)) else {
            self.unanswered += 1;
            return;
        };
        let index = kills.partition_point(|kill| *kill < reply.at);
        if kills.get(index).is_some_and(|kill| *kill - reply.at < SOON) {
            self.answered += 1;
            self.kills.insert(index);
        } else {
            self.unexplained.push(format!("{name} @{}", one.time));
        }
    }
}

/// What goes on counting never counts back, and never begins anew.
fn assert_monotonic(kept: &BTreeMap<String, Vec<Kept>>) {
    for (name, kept) in kept {
        let grows = ["_total", "_count", "_bucket"]
            .iter()
            .any(|end| name.split('{').next().is_some_and(|metric| metric.ends_with(end)));
        let is_histogram = kept.iter().any(|one| one.count.is_some());
        if grows || is_histogram {
            assert!(values(kept).is_sorted(), "{name} went back: {:?}", values(kept));
            let starts: BTreeSet<i64> = kept.iter().map(|one| one.start).collect();
            assert_eq!(starts.len(), 1, "{name} began anew: {starts:?}");
        }
        assert!(kept.is_sorted_by(|a, b| a.time < b.time), "{name}");
    }
}

/// Killed again and again in a storm: no sum goes back, nothing is out of order, no line is counted
/// twice or not at all, and what comes again is what nobody heard the answer to.
fn kills(speaks: Speaks) {
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 250 } else { 15 };
    let mut random = Random::from_environment();
    let (fake, target) = (FakeRemoteWrite::start(speaks), target());
    let mut place = Place::with(&config(&fake, &target, ""));
    let folder = place.path("logs");
    fs::create_dir(&folder).expect("made");
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (is_over, seed) = (Arc::clone(&is_over), random.below(u64::MAX >> 33));
        std::thread::spawn(move || write_on(&folder, seed, &is_over))
    };
    let mut kills = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut daemon = place.daemon(&[]);
        if random.below(4) > 0 {
            let (seen, more) = (fake.n_requests(), random.below(12) as usize);
            until("some more requests", || {
                storm(&fake, &mut random);
                fake.n_requests() > seen + more
            });
        }
        std::thread::park_timeout(Duration::from_micros(random.below(60_000)));
        kills.push(Instant::now());
        daemon.kill();
    }
    is_over.store(true, SeqCst);
    let n_lines: usize = writer.join().expect("no panic").values().sum();
    fake.recover();
    let mut daemon = place.daemon(&[]);
    until("all lines are counted", || n_counted(&fake) >= n_lines as f64);
    let metrics = daemon.metrics_when("it is balanced", super::http::Metrics::is_balanced);
    let n_letters = metrics.route("dead_letter_events_total", "metrics", "rw");
    daemon.stop();
    let kept = fake.kept();
    let repeats = Repeats::of(&kept, &kills);
    println!(
        "{n_lines} lines, {rounds} kills, {} requests, {} series; dead letters: {n_letters}; came \
         again: {} unanswered, {} answered by {} kills",
        fake.n_requests(),
        kept.len(),
        repeats.unanswered,
        repeats.answered,
        repeats.kills.len()
    );
    assert_eq!(fake.offences(), [""; 0]);
    // 1.0 does not say which samples it has already.
    assert!(n_letters == 0 || speaks == Speaks::One, "{n_letters} dead letters");
    assert_monotonic(&kept);
    assert_eq!(n_counted(&fake), n_lines as f64, "each line once");
    assert_eq!(repeats.unexplained, [""; 0]);
    assert!(repeats.kills.len() <= 4 + rounds / 10, "{repeats:?}");
}

#[test]
fn kills_in_a_storm_2_0() {
    kills(Speaks::Both);
}

#[test]
fn kills_in_a_storm_1_0() {
    kills(Speaks::One);
}

/// Ended in good order, every series ends where the daemon does, also where the receiver is down by
/// then; the next one goes on from there, with the counts that there were.
#[test]
fn an_end_is_told_and_the_next_run_goes_on() {
    for is_away in [false, true] {
        let (fake, target) = (FakeRemoteWrite::start(Speaks::Both), target());
        let mut place = Place::with(&config(&fake, &target, ""));
        fs::create_dir(place.path("logs")).expect("made");
        place.append("logs/model.log", &text(&lines(0..100)));
        let mut daemon = place.daemon(&["--grace", "2s"]);
        until("all is told", || n_counted(&fake) >= 100.0 && fake.newest(UP) == Some(1.0));
        if is_away {
            fake.will((0..1000).map(|_| Act::status(503)));
        }
        daemon.stop();
        let before = fake.kept();
        assert_eq!(unfinished(&fake) > 0, is_away, "told at once, if there is somebody to tell");
        fake.recover();
        place.append("logs/model.log", &text(&lines(100..150)));
        let mut daemon = place.daemon(&[]);
        until("it goes on", || n_counted(&fake) >= 150.0);
        let now = fake.kept();
        for name in before.keys() {
            let n_ends = now[name].iter().filter(|one| one.bits == STALE).count();
            assert_eq!(n_ends, 1, "{name} ended once: {:?}", now[name]);
        }
        daemon.stop();
        assert_eq!(unfinished(&fake), 0);
        let kept = fake.kept();
        assert_monotonic(&kept);
        assert_eq!(n_counted(&fake), 150.0, "each line once");
        assert_eq!(fake.offences(), [""; 0]);
        assert!(Repeats::of(&kept, &[]).unexplained.is_empty());
    }
}

const UP: &str = "up{instance=\"pod-2\",job=\"fraud-detector\"}";

/// Series that do not end with the word that they do.
fn unfinished(fake: &FakeRemoteWrite) -> usize {
    let kept = fake.kept();
    kept.values().filter(|kept| kept.last().is_some_and(|one| one.bits != STALE)).count()
}
