//! Whole-spool tests over memory and real files.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::testing::batch_of;
use super::*;
use crate::telemetry::{DropReason, RouteCounters};

const TIER: TierId = TierId(0);

fn options(backend: Backend, when_full: WhenFull) -> (Options, Arc<RouteCounters>) {
    let counters = Arc::<RouteCounters>::default();
    let route = RouteOptions { sink: "loki".into(), when_full, counters: Arc::clone(&counters) };
    let tier = TierOptions {
        name: "application_logs".into(),
        share: 1.0,
        // The batches are observed in 1970.
        retention: Duration::MAX,
        routes: vec![route],
    };
    (Options::new(backend, vec![tier]), counters)
}

fn disk(path: &Path) -> Backend {
    Backend::Disk { path: path.to_owned() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Source positions 10 apart; the line says which batch it is.
fn append(spool: &Spool, n: u64) -> Ticket {
    let line = format!("line {n}{:1$}", "", 200);
    spool.append(TIER, batch_of(7, n * 10, n * 10 + 10, &[line.as_bytes()]), 2)
}

fn line(entry: &Entry) -> String {
    let event = entry.batch.event(0).expect("an event");
    String::from_utf8_lossy(event.bytes).trim_end().to_owned()
}

fn adds_up(counters: &RouteCounters, delivered: u64) {
    let dropped: u64 = DropReason::ALL.map(|reason| counters.dropped(reason).get()).iter().sum();
    let spooled = u64::try_from(counters.spooled.get()).expect("not negative");
    let out = delivered + counters.sampled_out.get() + dropped + spooled;
    assert_eq!(counters.events_in.get(), out, "{counters:?}");
}

/// A batch that is more than the tier may hold at once goes in parts, in order, and the position of
/// its source only with the last one; what no part could hold is dropped and counted.
#[tokio::test]
async fn a_batch_too_large_for_the_share_goes_in_parts() {
    let (mut options, counters) = options(Backend::Memory, WhenFull::DropOldest);
    options.max_bytes = 120 << 10;
    let (spool, _) = Spool::open(options).expect("opens");
    let lines: Vec<String> = (0..400).map(|n| format!("line {n:150}")).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let mut cursor = spool.cursor(TIER, "loki").expect("the route");
    let ticket = spool.append(TIER, batch_of(7, 100, 60_500, &lines), 3);
    assert!(ticket.durable().await.is_ok());
    assert_eq!(spool.held_to(TIER, 7), Some(60_500));
    let (mut n, mut n_parts) = (0, 0);
    while n < 400 {
        let entry = cursor.next().await.expect("a part");
        for event in entry.batch.events() {
            assert_eq!(event.bytes, lines[n]);
            n += 1;
        }
        n_parts += 1;
        assert_eq!(entry.batch.source_end, if n == 400 { 60_500 } else { 100 });
        cursor.ack(entry.range.to);
    }
    assert!(n_parts > 1);
    let huge = vec![b'x'; 70 << 10];
    assert!(spool.append(TIER, batch_of(7, 60_500, 70_000, &[&huge]), 0).durable().await.is_err());
    assert_eq!(counters.dropped(DropReason::SpoolError).get(), 1);
    adds_up(&counters, 400);
}

/// The last event needs no successor, on either backend, with the real threads.
#[tokio::test]
async fn one_event_then_silence_arrives() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for backend in [Backend::Memory, disk(dir.path())] {
        let (options, counters) = options(backend, WhenFull::DropOldest);
        let (spool, _) = Spool::open(options).expect("opens");
        let mut cursor = spool.cursor(TIER, "loki").expect("the route");
        assert!(spool.cursor(TIER, "loki").is_none(), "one at a time");
        append(&spool, 1).durable().await.expect("durable");
        assert_eq!(spool.held_to(TIER, 7), Some(20));
        let entry = cursor.next().await.expect("an entry");
        assert_eq!(line(&entry), "line 1");
        assert_eq!(cursor.ack(entry.range.to), 1);
        adds_up(&counters, 1);
        assert!(spool.close(soon()));
        assert!(cursor.next().await.is_none());
        assert_eq!(append(&spool, 2).durable().await, Err(SpoolError::Closed));
    }
}

/// What a sink has not acknowledged is there after a restart, what it has is not.
#[test]
fn goes_on_after_a_restart() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (first, _) = options(disk(dir.path()), WhenFull::DropOldest);
    let (spool, _) = Spool::open(first.clone()).expect("opens");
    assert!(matches!(Spool::open(first), Err(SpoolError::Locked(_))));
    let tickets: Vec<Ticket> = (0..10).map(|n| append(&spool, n)).collect();
    tickets.into_iter().for_each(|ticket| ticket.wait().expect("durable"));
    let mut cursor = spool.cursor(TIER, "loki").expect("the route");
    let entries: Vec<Entry> = std::iter::from_fn(|| cursor.try_next()).collect();
    assert_eq!(entries.len(), 10);
    cursor.ack(entries[3].range.to);
    assert!(spool.close(soon()));
    drop((cursor, spool));

    let (second, counters) = options(disk(dir.path()), WhenFull::DropOldest);
    let (spool, report) = Spool::open(second).expect("opens");
    assert_eq!(report.tiers[0].torn_bytes, 0);
    assert_eq!((counters.events_in.get(), counters.spooled.get()), (6, 6));
    assert_eq!(spool.held_to(TIER, 7), Some(100));
    let mut cursor = spool.cursor(TIER, "loki").expect("the route");
    let again: Vec<Entry> = std::iter::from_fn(|| cursor.try_next()).collect();
    assert_eq!(
        again.iter().map(line).collect::<Vec<_>>(),
        ["line 4", "line 5", "line 6", "line 7", "line 8", "line 9"]
    );
    assert_eq!(again[0].range, entries[4].range);
    adds_up(&counters, 0);
}

/// Waiters do not wait for the timer, fire-and-forget writers do not wait at all.
#[test]
fn syncs_when_all_who_may_write_wait() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (mut options, _) = options(disk(dir.path()), WhenFull::DropOldest);
    options.sync_after = Duration::from_secs(3600);
    let (spool, _) = Spool::open(options).expect("opens");
    let threads: Vec<_> = (0..4)
        .map(|n| {
            let spool = Arc::clone(&spool);
            let writer = spool.writer();
            std::thread::spawn(move || {
                for round in 0..25 {
                    append(&spool, n * 100 + round).wait().expect("durable");
                }
                drop(writer);
            })
        })
        .collect();
    // Would hang for an hour if one of them waited for the timer.
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// A dead sink's backlog is packed, stays in order with its positions, and is read back.
#[tokio::test]
async fn a_lagging_cursor_reads_packed_segments_back() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (mut options, counters) = options(disk(dir.path()), WhenFull::DropOldest);
    options.segment_bytes = 32 << 10;
    options.tail_bytes = 0;
    let os: Arc<dyn Disk> = Arc::new(OsDisk::default());
    let (spool, _) = Spool::open_by_hand(options, &os, dir.path()).expect("opens");
    let start = Instant::now();
    for n in 0..1000 {
        drop(append(&spool, n));
        if n % 20 == 19 {
            spool.turn(start + Duration::from_millis(20 * n), 0);
        }
    }
    spool.turn(start + Duration::from_secs(60), 0);
    let raw = spool.status()[0].clone();
    while spool.pack() {}
    let packed = spool.status()[0].clone();
    assert!(packed.n_packed >= packed.n_segments - 4, "{packed:?}");
    assert!(packed.stored_bytes < raw.stored_bytes / 4 * 3, "{raw:?} {packed:?}");
    let mut cursor = spool.cursor(TIER, "loki").expect("the route");
    let mut last = 0;
    for n in 0..1000 {
        let entry = cursor.next().await.expect("an entry");
        assert_eq!(line(&entry), format!("line {n}"));
        assert!(entry.range.from >= last && entry.range.to > entry.range.from);
        last = entry.range.to;
    }
    assert_eq!(cursor.ack(last), 1000);
    spool.turn(start + Duration::from_secs(61), 0);
    spool.turn(start + Duration::from_secs(62), 0);
    assert!(spool.status()[0].n_segments <= 2, "{:?}", spool.status());
    adds_up(&counters, 1000);
    // Only the writer's: a removed file that is open still takes its room on a full disk.
    assert!(cursor.try_next().is_none());
    assert!(open_segments(dir.path()) <= 1, "the cursor holds a segment");
}

fn open_segments(dir: &Path) -> usize {
    let all = std::fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
    let paths = all.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let tier = dir.join("application_logs");
    paths.filter(|path| path.starts_with(&tier) && !path.ends_with("cursors")).count()
}

/// Everything at once with the real threads: each source's events arrive in order and all of them,
/// at a cursor that keeps up and at one that goes back again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_and_cursors_at_once() {
    const PER_SOURCE: u64 = 2000;
    let dir = tempfile::tempdir().expect("temporary folder");
    let (mut options, first) = options(disk(dir.path()), WhenFull::Block);
    let second = Arc::<RouteCounters>::default();
    let mut route = options.tiers[0].routes[0].clone();
    (route.sink, route.counters) = ("files".into(), Arc::clone(&second));
    options.tiers[0].routes.push(route);
    options.segment_bytes = 32 << 10;
    options.tail_bytes = 4 << 10;
    let (spool, _) = Spool::open(options).expect("opens");
    let writers: Vec<_> = (1..=3u64)
        .map(|key| {
            let spool = Arc::clone(&spool);
            std::thread::spawn(move || {
                for n in 0..PER_SOURCE {
                    let _writer = spool.writer();
                    let line = format!("{key} {n}");
                    let batch = batch_of(key, n, n + 1, &[line.as_bytes()]);
                    let ticket = spool.append(TIER, batch, 0);
                    if n % 10 == key {
                        ticket.wait().expect("durable");
                    }
                }
            })
        })
        .collect();
    let cursors = ["loki", "files"].map(|sink| {
        let mut cursor = spool.cursor(TIER, sink).expect("the route");
        let goes_back = sink == "files";
        tokio::spawn(async move {
            let mut next = [0u64; 4];
            let mut n_seen = 0;
            while next.iter().sum::<u64>() < 3 * PER_SOURCE {
                let entry = cursor.next().await.expect("an entry");
                n_seen += 1;
                if goes_back && n_seen % 97 == 0 {
                    cursor.rewind(entry.range.from);
                    continue;
                }
                let key = entry.batch.source_key as usize;
                assert_eq!(entry.batch.source_base, next[key], "source {key}");
                next[key] += 1;
                cursor.ack(entry.range.to);
            }
        })
    });
    for cursor in cursors {
        cursor.await.expect("no panic");
    }
    writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
    assert!(spool.close(soon()));
    adds_up(&first, 3 * PER_SOURCE);
    adds_up(&second, 3 * PER_SOURCE);
    assert_eq!(
        (1..=3).map(|key| spool.held_to(TIER, key)).collect::<Vec<_>>(),
        [Some(PER_SOURCE); 3]
    );
}

/// A route that blocks at a full share makes sources wait and goes on by itself once it is read.
#[tokio::test]
async fn a_full_share_blocks_until_it_is_read() {
    let (mut options, counters) = options(Backend::Memory, WhenFull::Block);
    options.max_bytes = 32 << 10;
    options.pending_bytes = 1 << 20;
    let (spool, _) = Spool::open(options).expect("opens");
    let noise: Vec<u8> =
        (0..500u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    let mut tickets: Vec<Ticket> =
        (0..200).map(|n| spool.append(TIER, batch_of(7, n, n + 1, &[&noise]), 0)).collect();
    let last = tickets.pop().expect("a ticket");
    let mut cursor = spool.cursor(TIER, "loki").expect("the route");
    let read = async {
        let mut n_read = 0;
        while n_read < 200 {
            let entry = cursor.next().await.expect("an entry");
            n_read += cursor.ack(entry.range.to);
        }
    };
    let (result, ()) = tokio::join!(last.durable(), read);
    assert_eq!(result, Ok(()));
    assert!(!spool.must_wait(TIER) && spool.is_accepting());
    assert!(spool.status()[0].stored_bytes <= 32 << 10);
    adds_up(&counters, 200);
}

/// More streams than a folder of logs usually has, each once: none is read again after a restart.
#[tokio::test]
async fn the_positions_of_twenty_thousand_streams_survive_a_restart() {
    const N: u64 = 20_000;
    let dir = tempfile::tempdir().expect("temporary folder");
    let (first, _) = options(disk(dir.path()), WhenFull::DropOldest);
    let (spool, _) = Spool::open(first).expect("opens");
    let mut last = None;
    for key in 1..=N {
        last = Some(spool.append(TIER, batch_of(key, 0, 10, &[b"a line"]), 0));
    }
    last.expect("some").durable().await.expect("durable");
    assert!(spool.close(soon()));
    assert_eq!(spool.status()[0].n_forgotten_sources, 0);
    drop(spool);
    let (second, _) = options(disk(dir.path()), WhenFull::DropOldest);
    let (spool, _) = Spool::open(second).expect("opens");
    let known = (1..=N).filter(|key| spool.held_to(TIER, *key) == Some(10)).count();
    assert_eq!(known as u64, N);
}
