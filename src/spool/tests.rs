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
        retention: Duration::from_secs(3600),
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
    let line = format!("line {n}");
    spool.append(TIER, batch_of(7, n * 10, n * 10 + 10, &[line.as_bytes()]), 2)
}

fn line(entry: &Entry) -> String {
    let event = entry.batch.event(0).expect("an event");
    String::from_utf8(event.bytes.to_vec()).expect("text")
}

fn adds_up(counters: &RouteCounters, delivered: u64) {
    let dropped: u64 = DropReason::ALL.map(|reason| counters.dropped(reason).get()).iter().sum();
    let spooled = u64::try_from(counters.spooled.get()).expect("not negative");
    let out = delivered + counters.sampled_out.get() + dropped + spooled;
    assert_eq!(counters.events_in.get(), out, "{counters:?}");
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
