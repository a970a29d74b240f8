//! SIGKILL, and what the disk holds afterwards: some tiers' logs further than others, files that
//! were rotated meanwhile, a destination that fails in every way.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::exec::prediction;
use super::fake_loki::Act;
use super::files::{Random, config, lines, text};
use super::loki::Loki;
use super::rig::{Daemon, Place, until};
use super::watched::Receipt;

pub(crate) const TIERS: [&str; 2] = ["application_logs", "prediction_logs"];

/// A kill between two tiers' writes: one holds its part of the file, the other nothing of it.
#[test]
fn a_tier_that_missed_its_part_gets_it() {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 100_000));
    let mut place = Place::with(&config(&loki));
    let mut all = lines(0..400);
    all.extend((0..100).map(|n| prediction(&format!("p-{n}"))));
    place.append("model.log", &text(&all));
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("all is spooled", |metrics| {
        let spooled = |tier| metrics.route("spooled_events", tier, "loki");
        (spooled(TIERS[0]), spooled(TIERS[1])) == (400, 100)
    });
    daemon.kill();
    fs::remove_dir_all(place.path("spool").join(TIERS[1])).expect("removed");
    loki.fake.recover();
    let mut daemon = place.daemon(&[]);
    until("all lines", || loki.n_stored() >= all.len());
    daemon.stop();
    let times = loki.times();
    assert!(all.iter().all(|line| times[line.as_str()] == 1), "some came twice");
}

/// After a clean end nothing is read again, also where a tier never had a line of the file.
#[test]
fn a_clean_end_leaves_no_tier_behind() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    place.append("model.log", &text(&lines(0..500)));
    let mut daemon = place.daemon(&[]);
    until("all lines", || loki.n_stored() >= 500);
    daemon.stop();
    place.append("model.log", "one more\n");
    let mut daemon = place.daemon(&[]);
    let metrics = daemon.metrics_when("the new line", |_| loki.n_stored() > 500);
    assert_eq!(metrics.get("sidewake_source_received_events_total{source=\"logs\"}"), 1.0);
    daemon.stop();
}

/// What the writer of the log did: every line, and how often.
pub(crate) type Written = HashMap<String, usize>;

/// Writes until told to stop: lines of both tiers, equal ones among them, over many rotations.
pub(crate) fn write_on(folder: &Path, seed: u64, is_over: &AtomicBool) -> Written {
    let (mut random, mut written) = (Random::of(seed), Written::new());
    let name = |n: usize| folder.join(format!("model.log.{n}"));
    let open = || File::options().append(true).create(true).open(folder.join("model.log"));
    let (mut file, mut n_rotated, mut n) = (open().expect("opened"), 0, 0);
    while !is_over.load(SeqCst) {
        let mut part = lines(n..n + 4);
        part.push(prediction(&format!("p-{n}")));
        // Two of the same second are two events.
        let now = time::OffsetDateTime::now_utc().replace_nanosecond(0).expect("in range");
        let now = now.format(&time::format_description::well_known::Rfc3339).expect("printed");
        part.push(format!(r#"{{"ts":"{now}","event":"tick"}}"#));
        n += 4;
        file.write_all(text(&part).as_bytes()).expect("written");
        part.into_iter().for_each(|line| *written.entry(line).or_default() += 1);
        if random.below(40) == 0 {
            fs::rename(folder.join("model.log"), name(n_rotated)).expect("moved");
            (file, n_rotated) = (open().expect("opened"), n_rotated + 1);
        }
        std::thread::park_timeout(Duration::from_micros(random.below(16_000)));
    }
    written
}

/// Now and then the next push fails in some way.
fn storm(loki: &Loki, random: &mut Random) {
    let act = match random.below(12) {
        0 => Act::Answer(500, "sick"),
        1 => Act::Later(429, "0".to_owned()),
        2 => Act::CloseBeforeBody,
        3 | 4 => Act::StoreAndClose,
        _ => return,
    };
    // One at a time, or a Loki that is asked rarely would only fail.
    loki.fake.recover();
    loki.fake.will([act]);
}

/// As many as a daemon that was never killed has, and some for files that are still followed and
/// for connections: what the rounds left behind (some hundred rotated files, segments) is closed.
#[track_caller]
fn assert_few_descriptors(daemon: &Daemon) {
    let fresh = {
        let loki = Loki::start();
        let mut place = Place::with(&config(&loki));
        place.append("model.log", &text(&lines(0..10)));
        let mut daemon = place.daemon(&[]);
        until("the lines", || loki.n_stored() >= 10);
        let n_open = daemon.metrics().get("process_open_fds");
        daemon.stop();
        n_open
    };
    println!("descriptors of a fresh daemon: {fresh}");
    daemon.metrics_when("few open files", |metrics| metrics.get("process_open_fds") <= fresh + 8.0);
}

/// Entries that came again, by what became of the answer to their time before.
#[derive(Debug, Default)]
struct Repeats {
    /// The connection was closed instead, or broken by the kill before the answer was read.
    unanswered: usize,
    /// The answer was read, and the process killed before that was written down.
    answered: usize,
    /// How many kills did so.
    answered_kills: usize,
    /// How long before the kill the earliest of them was answered.
    longest: Duration,
    /// Answered, and no kill followed soon.
    unexplained: usize,
}

impl Repeats {
    /// A daemon that starts needs longer than this to its first connection.
    const START: Duration = Duration::from_millis(5);
    /// Longer than it takes to write down an answer, on any machine.
    const SOON: Duration = Duration::from_secs(2);

    fn of(came_again: &[Arc<Receipt>], kills: &[Instant]) -> Self {
        let mut repeats = Self::default();
        let mut guilty = BTreeSet::new();
        for answer in came_again {
            let is_lost = |at: &Instant| {
                let index = kills.partition_point(|kill| kill < at);
                // Whose connection it was had been killed before it was taken, or answered.
                index > 0 && answer.connected_at < kills[index - 1] + Self::START
            };
            let Some(at) = answer.written_at().filter(|at| !is_lost(at)) else {
                repeats.unanswered += 1;
                continue;
            };
            let index = kills.partition_point(|kill| *kill < at);
            if let Some(kill) = kills.get(index).filter(|kill| **kill - at < Self::SOON) {
                repeats.answered += 1;
                repeats.longest = repeats.longest.max(*kill - at);
                guilty.insert(index);
            } else {
                repeats.unexplained += 1;
            }
        }
        repeats.answered_kills = guilty.len();
        repeats
    }

    /// Nothing lies between an answer that was read and the write that survives the kill, but a
    /// moment's computing: some tenths of a millisecond without optimisation, a hundred times a
    /// second. Each kill in that moment repeats one body, so that their number says more than that
    /// of the entries, which is the backlog's.
    fn assert_few(&self, n_kills: usize) {
        assert_eq!(self.unexplained, 0, "{self:?}");
        assert!(self.answered_kills <= 4 + n_kills / 20, "{self:?}");
    }
}

#[test]
fn kills_in_a_storm_lose_nothing() {
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 1000 } else { 50 };
    let mut random = Random::from_environment();
    let loki = Loki::start();
    let pattern = "@/logs/*";
    let mut place = Place::with(&config(&loki).replace("@/model.log", pattern));
    let folder: PathBuf = place.path("logs");
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
            let (seen, more) = (loki.n_stored(), random.below(60) as usize);
            until("some more lines", || {
                storm(&loki, &mut random);
                loki.n_stored() > seen + more
            });
        }
        std::thread::park_timeout(Duration::from_micros(random.below(60_000)));
        kills.push(Instant::now());
        daemon.kill();
    }
    is_over.store(true, SeqCst);
    let written = writer.join().expect("no panic");
    loki.fake.recover();
    let mut daemon = place.daemon(&[]);
    let n_written: usize = written.values().sum();
    until("all lines", || loki.n_stored() >= n_written);
    let metrics = daemon.metrics_when("nothing is spooled", |metrics| {
        TIERS.iter().all(|tier| metrics.route("spooled_events", tier, "loki") == 0)
    });
    metrics.assert_balanced();
    assert_few_descriptors(&daemon);
    daemon.stop();
    let repeats = Repeats::of(&loki.fake.came_again(), &kills);
    let mut stored = Written::new();
    loki.fake.stored().into_iter().for_each(|entry| *stored.entry(entry.line).or_default() += 1);
    let wrong: Vec<_> = written.iter().filter(|(line, n)| stored.get(*line) != Some(n)).collect();
    assert!(wrong.is_empty(), "{} lines are wrong, first {:?}", wrong.len(), wrong[0]);
    assert_eq!(stored.len(), written.len());
    println!("{n_written} lines, {rounds} kills; came again: {repeats:?}");
    repeats.assert_few(rounds);
}
