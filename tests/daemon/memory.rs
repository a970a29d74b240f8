//! Memory stays within its budget, whatever the sources bring and the sinks do: the anonymous
//! memory of the real process is looked at all the while. What is mapped from the binary's own file
//! is not counted: it is code, a debug build has much of it, and the kernel may drop it.
//!
//! `SIDEWAKE_SLOW=1` makes the files ten times as large.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::exec::prediction;
use super::fake_loki::Act;
use super::files::lines;
use super::http::Metrics;
use super::loki::Loki;
use super::rig::{Daemon, Place, until};

const TIERS: [&str; 2] = ["application_logs", "prediction_logs"];
const LIMIT: u64 = 32 << 20;
const MB: f64 = 1e6;

/// Looks at a process's memory until it is dropped or asked.
pub(crate) struct Watch {
    pid: u32,
    peak: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn over(daemon: &Daemon) -> Self {
        let pid = daemon.child.id();
        let (peak, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (its_peak, its_end) = (Arc::clone(&peak), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            while !its_end.load(SeqCst) {
                its_peak.fetch_max(of_process(pid, "RssAnon").unwrap_or(0), SeqCst);
                std::thread::park_timeout(Duration::from_millis(5));
            }
        });
        Self { pid, peak, is_over, thread: Some(thread) }
    }

    /// The most anonymous memory since the last time it was asked.
    fn peak(&self) -> u64 {
        self.peak.swap(of_process(self.pid, "RssAnon").unwrap_or(0), SeqCst)
    }

    /// Says and judges what was seen.
    #[track_caller]
    pub(crate) fn assert_bounded(&self, what: &str) {
        let peak = self.peak();
        let [rss_peak, file] = ["VmHWM", "RssFile"].map(|name| of_process(self.pid, name));
        println!(
            "{what}: peak RssAnon {:.1} MB (VmHWM {:.1} MB, RssFile now {:.1} MB)",
            peak as f64 / MB,
            rss_peak.unwrap_or(0) as f64 / MB,
            file.unwrap_or(0) as f64 / MB
        );
        assert!(peak > 0, "it was not looked at");
        assert!(peak <= LIMIT / 4 * 5, "{what}: {peak} bytes");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

/// A line of `/proc/PID/status` in bytes.
fn of_process(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.split(':').next() == Some(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

pub(crate) fn scale() -> usize {
    if std::env::var_os("SIDEWAKE_SLOW").is_some() { 10 } else { 1 }
}

/// A counting Loki that takes lines of any length.
fn counting() -> Loki {
    let loki = Loki::start();
    loki.fake.count_only();
    loki.fake.limit(|limits| limits.max_line_bytes = 4 << 20);
    loki
}

/// The log file to all of `sinks`, which gather as they do by default.
fn config(sinks: &[(&str, &Loki)]) -> String {
    let section = |(name, loki): &(&str, &Loki)| {
        let url = loki.fake.url();
        format!(
            "  {name}: {{ type: loki, endpoint: \"{url}\", tenant: ml, max_line: 4MiB, timeout: 2s, \
             retry: {{ initial: 20ms, max: 200ms }} }}\n"
        )
    };
    let names: Vec<&str> = sinks.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         tiers:\n  application_logs: {{ sinks: [{names}] }}\n  prediction_logs: {{ sinks: [{names}] }}\n  \
         metrics: {{ sinks: [store] }}\n  traces: {{ sinks: [store] }}\n\
         sinks:\n  store: {{ type: files, path: \"@/store\" }}\n{}\
         memory: {{ limit: 32MiB }}\n\
         spool: {{ type: disk, path: \"@/spool\", max: 2GiB }}\n",
        sinks.iter().map(section).collect::<String>()
    )
}

/// Lines of both tiers, of `n` up to 300 bytes and more each; `(application, prediction)` events.
fn append(place: &Place, n: std::ops::Range<usize>) -> [u64; 2] {
    let (mut text, mut n_events) = (String::new(), [0, 0]);
    for first in n.step_by(8) {
        for line in lines(first..first + 4) {
            text.push_str(&line);
            text.push('\n');
        }
        for n in first..first + 4 {
            text.push_str(&prediction(&format!("p-{n}")));
            text.push('\n');
        }
        n_events = n_events.map(|n| n + 4);
        if text.len() > 1 << 20 {
            place.append("model.log", &text);
            text.clear();
        }
    }
    place.append("model.log", &text);
    n_events
}

/// Waits until `name` of a sink's routes is `n_events`, for as long as it gets on.
#[track_caller]
fn wait_for(daemon: &Daemon, name: &str, sink: &str, n_events: [u64; 2]) {
    let total: u64 = n_events.iter().sum();
    let mut seen = 0;
    while seen < total {
        let next = total.min(seen + total / 20 + 1);
        let metrics = daemon.metrics_when(name, |metrics| {
            TIERS.iter().map(|tier| metrics.route(name, tier, sink)).sum::<u64>() >= next
        });
        daemon.metrics_when("the counters add up", Metrics::is_balanced);
        seen = TIERS.iter().map(|tier| metrics.route(name, tier, sink)).sum();
    }
    let metrics = daemon.metrics();
    assert_eq!(TIERS.map(|tier| metrics.route(name, tier, sink)), n_events, "{name}");
}

/// A sink that is dead, then slow, then well, while a large file is written on.
#[test]
fn a_large_file_and_a_sink_in_every_state() {
    let loki = counting();
    // Under load a slow answer may take seconds, and what came again is not told apart.
    let config = config(&[("loki", &loki)]).replace("timeout: 2s", "timeout: 10s");
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    let n_part = 50_000 * scale();
    place.append("model.log", "");
    daemon.admin();
    let watch = Watch::over(&daemon);
    let mut n_events = [0, 0];
    let states = [
        ("dead", Some(Act::Answer(503, "sick"))),
        ("hanging", Some(Act::Hang)),
        ("slow", Some(Act::Slow(Duration::from_millis(300)))),
        ("well", None),
    ];
    for (n, (state, act)) in states.into_iter().enumerate() {
        loki.fake.recover();
        act.into_iter().for_each(|act| loki.fake.always(act));
        let begun = Instant::now();
        let more = append(&place, n * n_part..(n + 1) * n_part);
        n_events = [n_events[0] + more[0], n_events[1] + more[1]];
        wait_for(&daemon, "events_total", "loki", n_events);
        println!("{state}: read on in {:.1} s", begun.elapsed().as_secs_f64());
        watch.assert_bounded(state);
    }
    let begun = Instant::now();
    wait_for(&daemon, "delivered_events_total", "loki", n_events);
    println!("backlog drained in {:.1} s", begun.elapsed().as_secs_f64());
    watch.assert_bounded("the backlog");
    let written = std::fs::metadata(place.path("model.log")).expect("there").len();
    let count = loki.fake.count();
    println!("{:.0} MB, {} events", written as f64 / MB, count.entries);
    assert_eq!(count.entries, n_events.iter().sum::<u64>());
    assert_eq!(count.line_bytes + count.entries, written);
    daemon.stop();
}

/// Two tiers to three sinks of which two never answer: what these hold is bounded, and the third
/// takes as long as it does without them, more or less.
#[test]
fn hanging_sinks_hold_up_neither_memory_nor_the_other() {
    let n = 60_000 * scale();
    let run = |sick: &[Act]| {
        let lokis: Vec<Loki> = (0..=sick.len()).map(|_| counting()).collect();
        let names = ["well", "first", "second"];
        let sinks: Vec<(&str, &Loki)> = names.into_iter().zip(&lokis).collect();
        sick.iter().zip(&lokis[1..]).for_each(|(act, loki)| loki.fake.always(act.clone()));
        let mut place = Place::with(&config(&sinks));
        let mut daemon = place.daemon(&[]);
        daemon.admin();
        let watch = Watch::over(&daemon);
        let begun = Instant::now();
        let n_events = append(&place, 0..n);
        wait_for(&daemon, "delivered_events_total", "well", n_events);
        let taken = begun.elapsed();
        let lag = "sidewake_route_lag_seconds";
        let lag = daemon.metrics().get(&format!("{lag}{{tier=\"{}\",sink=\"well\"}}", TIERS[0]));
        println!("{sick:?}: {:.2} s, the well one's lag then {lag} s", taken.as_secs_f64());
        watch.assert_bounded("with sinks that hang");
        for (loki, name) in lokis[1..].iter().zip(&names[1..]) {
            loki.fake.recover();
            wait_for(&daemon, "delivered_events_total", name, n_events);
            watch.assert_bounded("their backlog");
        }
        daemon.stop();
        for loki in &lokis {
            assert_eq!(loki.fake.count().entries, n_events.iter().sum::<u64>());
        }
        taken
    };
    let alone = run(&[]);
    let beside = run(&[Act::Hang, Act::Answer(503, "sick")]);
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!("beside two sick sinks it takes {ratio:.2} times as long");
    assert!(beside < alone * 4 + Duration::from_secs(5), "{beside:?} after {alone:?}");
}

/// Lines that are nearly as long as `max_line` allows.
#[test]
fn huge_lines() {
    let loki = counting();
    let config = config(&[("loki", &loki)]).replace("model.log\"]", "model.log\"], max_line: 1MiB");
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let watch = Watch::over(&daemon);
    let n = 60 * scale() as u64;
    let line = |n: u64| format!("{n:>8} {}\n", "long ".repeat(200_000));
    loki.fake.always(Act::Hang);
    (0..n / 2).for_each(|n| place.append("model.log", &line(n)));
    wait_for(&daemon, "events_total", "loki", [n / 2, 0]);
    watch.assert_bounded("huge lines, a sink that hangs");
    loki.fake.recover();
    (n / 2..n).for_each(|n| place.append("model.log", &line(n)));
    wait_for(&daemon, "delivered_events_total", "loki", [n, 0]);
    watch.assert_bounded("huge lines, delivered");
    assert_eq!(loki.fake.count().entries, n);
    assert_eq!(loki.fake.count().line_bytes, n * (line(0).len() as u64 - 1));
    daemon.stop();
}

/// A container's line that never ends: parts (`P`) without their last one (`F`), 100 MB of them (a
/// gigabyte by `SIDEWAKE_SLOW=1`). One line comes of it, cut at its limit and counted as such, and
/// what follows is read as if nothing had been.
#[test]
fn partial_lines_without_end() {
    let loki = counting();
    let config = config(&[("loki", &loki)]).replace("model.log\"]", "model.log\"], format: cri");
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let watch = Watch::over(&daemon);
    let part = format!("2026-11-27T09:00:00.000000000Z stdout P {}\n", "part ".repeat(3200));
    let n_bytes = 100_000_000 * scale() as u64;
    let block = part.repeat(64);
    for _ in 0..n_bytes / block.len() as u64 {
        place.append("model.log", &block);
    }
    let received = "sidewake_source_received_bytes_total{source=\"logs\"}";
    let written = n_bytes / block.len() as u64 * block.len() as u64;
    daemon.metrics_when("all parts", |metrics| metrics.get(received) >= written as f64);
    watch.assert_bounded("parts without end");
    let end = "2026-11-27T09:00:01.000000000Z stdout F the end\n\
               2026-11-27T09:00:02.000000000Z stdout F the next line\n";
    place.append("model.log", end);
    wait_for(&daemon, "delivered_events_total", "loki", [2, 0]);
    watch.assert_bounded("parts that ended");
    assert_eq!(
        daemon.metrics().get("sidewake_source_truncated_events_total{source=\"logs\"}"),
        1.0
    );
    assert!(loki.fake.count().line_bytes < 300_000, "{:?}", loki.fake.count());
    daemon.stop();
}

/// Ten thousand files of one pattern, most of them quiet.
#[test]
fn ten_thousand_files() {
    const N: usize = 10_000;
    let loki = counting();
    let config = config(&[("loki", &loki)]).replace("@/model.log", "@/logs/*.log");
    let mut place = Place::with(&config);
    std::fs::create_dir(place.path("logs")).expect("made");
    let name = |n: usize| format!("logs/{n:05}.log");
    (0..N).for_each(|n| place.append(&name(n), &format!("first line of {n}\n")));
    let begun = Instant::now();
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let watch = Watch::over(&daemon);
    wait_for(&daemon, "delivered_events_total", "loki", [N as u64, 0]);
    println!("{N} first lines in {:.1} s", begun.elapsed().as_secs_f64());
    watch.assert_bounded("10,000 files, found");
    let n_open = daemon.metrics().get("process_open_fds");
    println!("{n_open} descriptors");
    assert!(n_open < 400.0, "{n_open} descriptors");
    let begun = Instant::now();
    place.append(&name(4321), "the next line\n");
    until("the next line", || loki.fake.count().entries == N as u64 + 1);
    println!("a line appended to one arrives in {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let begun = Instant::now();
    (0..N).for_each(|n| place.append(&name(n), "a line in each\n"));
    wait_for(&daemon, "delivered_events_total", "loki", [2 * N as u64 + 1, 0]);
    println!("a line in each in {:.1} s", begun.elapsed().as_secs_f64());
    watch.assert_bounded("10,000 files, a line in each");
    drop(watch);
    let begun = Instant::now();
    daemon.stop();
    println!("stopped in {:.1} s", begun.elapsed().as_secs_f64());
    // Nothing is read again.
    place.append(&name(1234), "after the restart\n");
    let begun = Instant::now();
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let watch = Watch::over(&daemon);
    until("the line after the restart", || loki.fake.count().entries == 2 * N as u64 + 2);
    println!("started again and delivered in {:.1} s", begun.elapsed().as_secs_f64());
    watch.assert_bounded("10,000 files, started again");
    let received = daemon.metrics().get("sidewake_source_received_events_total{source=\"logs\"}");
    assert_eq!(received, 1.0);
    daemon.stop();
}

/// Chunks that fill a part of their slabs, of one tier after the other, while a sink of both tiers
/// hangs: what waits for it must not use up the slabs that the others need.
#[test]
fn a_sink_that_hangs_leaves_room_to_read() {
    let (well, sick) = (counting(), counting());
    sick.fake.always(Act::Hang);
    let config = config(&[("well", &well), ("sick", &sick)]);
    let config = config.replacen("timeout: 2s", "timeout: 2s, batch: { max_age: 20ms }", 1);
    let config = config.replace(
        "timeout: 2s, retry",
        "timeout: 2s, concurrency: 16, batch: { max_age: 5s }, retry",
    );
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let watch = Watch::over(&daemon);
    let mut n_events = 0;
    for n in 0..200 {
        let mut text = String::new();
        while text.len() < 140 << 10 {
            let line = match n % 2 {
                0 => prediction(&format!("p-{n_events}")),
                _ => format!("plain text of line {n_events}, {}", "long ".repeat(50)),
            };
            text.push_str(&line);
            text.push('\n');
            n_events += 1;
        }
        place.append("model.log", &text);
        until("the well sink has it", || well.fake.count().entries == n_events);
    }
    watch.assert_bounded("chunks that wait for a sink that hangs");
    daemon.metrics().assert_balanced();
    sick.fake.recover();
    until("the other sink has all", || sick.fake.count().entries == n_events);
    watch.assert_bounded("chunks delivered");
    daemon.stop();
}

/// The largest batches that the config allows, many at once, for sinks that are dead.
#[test]
fn large_batches_for_dead_sinks() {
    let loki = counting();
    loki.fake.always(Act::Hang);
    let config = config(&[("loki", &loki)]).replace(
        "timeout: 2s",
        "timeout: 2s, concurrency: 16, batch: { max_bytes: 8MiB, max_age: 5s }",
    );
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let watch = Watch::over(&daemon);
    let n_events = append(&place, 0..300_000);
    wait_for(&daemon, "events_total", "loki", n_events);
    watch.assert_bounded("large batches for dead sinks");
    loki.fake.recover();
    wait_for(&daemon, "delivered_events_total", "loki", n_events);
    watch.assert_bounded("large batches, delivered");
    assert_eq!(loki.fake.count().entries, n_events.iter().sum::<u64>());
    daemon.stop();
}

/// The local store, whose files are gathered in memory before they are written.
#[test]
fn the_local_store() {
    let config = "sources: { logs: { type: file, include: [\"@/model.log\"] } }\n\
                  sinks: { store: { type: files, path: \"@/store\", batch: { max_age: 5s } } }\n\
                  memory: { limit: 32MiB }\n\
                  spool: { type: disk, path: \"@/spool\", max: 2GiB }\n";
    let mut place = Place::with(config);
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let watch = Watch::over(&daemon);
    let n_events = append(&place, 0..200_000 * scale());
    wait_for(&daemon, "delivered_events_total", "store", n_events);
    watch.assert_bounded("the local store");
    daemon.stop();
}
