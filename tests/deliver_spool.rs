//! The real spool on a disk, the delivery loop, and two sinks of one tier: what a crash, an outage
//! and a full share leave of it.

mod support {
    pub(crate) mod batches;
    #[allow(dead_code, reason = "shared with the tests of the daemon, which use more of it")]
    pub(crate) mod fake_loki;
    pub(crate) mod logproto;
    #[allow(dead_code, reason = "shared with the tests of the daemon, which use more of it")]
    pub(crate) mod watched;
}

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sidewake::deliver::transport::{TransportOptions, connect};
use sidewake::deliver::{DeadLetters, DrainSwitch, Options, Route, drain};
use sidewake::sinks::Sink;
use sidewake::sinks::files::Files;
use sidewake::sinks::loki::{self, Loki};
use sidewake::spool::{Backend, RouteOptions, Spool, TierId, TierOptions, WhenFull};
use sidewake::telemetry::{DropReason, RouteCounters};
use tokio::task::JoinHandle;

use support::batches::frame_of;
use support::fake_loki::{Act, FakeLoki};

const TIER: &str = "application_logs";

fn open(path: &Path, max_bytes: u64, sinks: &[(&str, &Arc<RouteCounters>)]) -> Arc<Spool> {
    let routes = sinks.iter().map(|(sink, counters)| RouteOptions {
        sink: (*sink).to_owned(),
        when_full: WhenFull::DropOldest,
        counters: Arc::clone(counters),
    });
    let tier = TierOptions {
        name: TIER.into(),
        share: 1.0,
        retention: Duration::from_secs(86_400),
        routes: routes.collect(),
    };
    let backend = Backend::Disk { path: path.to_owned() };
    let mut options = sidewake::spool::Options::new(backend, vec![tier]);
    options.max_bytes = max_bytes;
    Spool::open(options).expect("opened").0
}

/// Appends lines `from..to`, 25 a batch, and waits until they are durable.
async fn append(spool: &Spool, from: usize, to: usize) {
    let now_ns = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as i64;
    let lines: Vec<String> =
        (from..to).map(|n| format!("line {n:06} {}", "x".repeat(80))).collect();
    let mut last = None;
    for chunk in lines.chunks(25) {
        let frame = frame_of(0, chunk, |line, record| {
            let number: i64 = line[5..11].parse().expect("a number");
            record.ts_ns = now_ns + number;
        });
        let batch = Arc::into_inner(frame.batch).expect("ours alone");
        last = Some(spool.append(TierId(0), batch, 0));
    }
    last.expect("a batch").durable().await.expect("durable");
}

fn start(
    spool: &Arc<Spool>,
    name: &str,
    sink: Arc<dyn Sink>,
    counters: &Arc<RouteCounters>,
) -> (JoinHandle<()>, DrainSwitch) {
    let mut options = Options { batch_age: Duration::from_millis(20), ..Options::default() };
    options.batch_bytes = 8 << 10;
    options.retry.initial = Duration::from_millis(2);
    options.retry.max = Duration::from_millis(20);
    let (switch, drain) = drain();
    let transport = TransportOptions { route: name.to_owned(), ..TransportOptions::default() };
    let route = Route {
        tier: TIER.into(),
        sink_name: name.to_owned(),
        client: connect(&sink.transport(), &transport).expect("a client"),
        sink,
        options,
        dead_letters: DeadLetters::none(),
        counters: Arc::clone(counters),
        status: Arc::default(),
    };
    let cursor = spool.cursor(TierId(0), name).expect("a cursor");
    (tokio::spawn(route.run(cursor, drain)), switch)
}

fn loki_sink(fake: &FakeLoki) -> Arc<dyn Sink> {
    let mut options = loki::Options::new(&fake.url(), TIER);
    options.tenant = Some("ml".into());
    options.timeout = Duration::from_millis(500);
    Arc::new(Loki::new(options))
}

/// Closes the spool, so that its cursors end, off the runtime's thread.
async fn close(spool: &Arc<Spool>) {
    let spool = Arc::clone(spool);
    let close = move || spool.close(Instant::now() + Duration::from_secs(10));
    assert!(tokio::task::spawn_blocking(close).await.expect("no panic"));
}

fn assert_balanced(counters: &RouteCounters) {
    let dropped: u64 = counters.dropped.iter().map(|counter| counter.get()).sum();
    let sum = counters.delivered.get() + counters.dead_letters.get() + dropped;
    assert_eq!(counters.events_in.get(), sum + counters.spooled.get() as u64, "{counters:?}");
}

fn numbers<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeSet<usize> {
    let number = |line: &str| {
        let at = line.find("line ").expect("one of ours") + 5;
        line[at..at + 6].parse().expect("a number")
    };
    lines.map(number).collect()
}

/// Lines in all files below `root`, unfinished ones left out.
fn stored_lines(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("read").path();
            if path.is_dir() && !path.ends_with(".incoming") {
                folders.push(path);
            } else if path.is_file() {
                let text = std::fs::read_to_string(path).expect("read");
                lines.extend(text.lines().map(str::to_owned));
            }
        }
    }
    lines
}

/// Killed in the middle, both routes go on from what they acknowledged: Loki has every line, and
/// the files have every line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_costs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, store) = (folder.path().join("spool"), folder.path().join("store"));
    let fake = FakeLoki::start().await;
    fake.limit(|limits| limits.max_body_bytes = 1500);
    fake.will([
        Act::Answer(503, "sick"),
        Act::StoreAndClose,
        Act::CloseBeforeBody,
        Act::Later(429, "0".to_owned()),
        Act::Hang,
        Act::Drip,
    ]);
    for (from, is_killed) in [(0, true), (1000, false)] {
        let [first, second] = [(); 2].map(|()| Arc::<RouteCounters>::default());
        let spool = open(&path, 64 << 20, &[("loki", &first), ("files", &second)]);
        let (loki, _loki_switch) = start(&spool, "loki", loki_sink(&fake), &first);
        let files: Arc<dyn Sink> = Arc::new(Files::new(store.clone(), TIER));
        let (files, _files_switch) = start(&spool, "files", files, &second);
        append(&spool, from, from + 1000).await;
        if is_killed {
            // Aborted with bodies in flight, whatever they are doing.
            while fake.stored().is_empty() {
                tokio::task::yield_now().await;
            }
            loki.abort();
            files.abort();
            let _ = (loki.await, files.await);
            continue;
        }
        close(&spool).await;
        loki.await.expect("no panic");
        files.await.expect("no panic");
        for counters in [&first, &second] {
            assert_balanced(counters);
            assert_eq!(counters.spooled.get(), 0);
        }
    }
    assert!(fake.headers().len() > 6, "the storm is over");
    let stored = fake.stored();
    let lines = stored_lines(&store);
    for found in [
        numbers(stored.iter().map(|entry| entry.line.as_str())),
        numbers(lines.iter().map(String::as_str)),
    ] {
        let lost: Vec<usize> = (0..2000).filter(|number| !found.contains(number)).collect();
        assert!(lost.is_empty(), "lost {} from {:?}", lost.len(), lost.first());
    }
}

/// A dead sink fills its share: the oldest events are dropped and counted, also those whose bodies
/// were in flight, and the counters balance when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_share_drops_and_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let fake = FakeLoki::start().await;
    // Sick until told otherwise: bodies stay in flight meanwhile.
    fake.will(vec![Act::Answer(503, "sick"); 10_000]);
    let counters = Arc::<RouteCounters>::default();
    let spool = open(folder.path(), 128 << 10, &[("loki", &counters)]);
    let (route, _switch) = start(&spool, "loki", loki_sink(&fake), &counters);
    for from in (0..8000).step_by(500) {
        append(&spool, from, from + 500).await;
    }
    let dropped = counters.dropped(DropReason::SpoolFull).get();
    assert!(dropped > 1000, "{counters:?}");
    fake.recover();
    close(&spool).await;
    route.await.expect("no panic");
    assert_eq!(counters.spooled.get(), 0);
    assert_balanced(&counters);
    assert_eq!(counters.events_in.get(), 8000);
    // What was in flight when it was dropped may have been stored nevertheless.
    let stored = fake.n_stored() as u64;
    assert!(stored >= counters.delivered.get() && stored + dropped >= 8000, "{stored} {dropped}");
}
