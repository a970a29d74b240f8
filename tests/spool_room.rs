//! What leaves a tier's log, and when: by age where a tier has fallen silent, and on a disk with
//! room for a few frames only.
//!
//! Time is the test's own: nothing happens but by `Spool::turn` at a time that is given.

#[path = "spool_room/small_disk.rs"]
mod small_disk;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidewake::event::batch::Batch;
use sidewake::event::frame;
use sidewake::event::record::Record;
use sidewake::event::slab::Slab;
use sidewake::protect::protected::Protected;
use sidewake::spool::disk::Disk;
use sidewake::spool::{
    Backend, Cursor, Options, RouteOptions, Spool, TierId, TierOptions, WhenFull,
};
use sidewake::telemetry::{DropReason, RouteCounters};

use small_disk::SmallDisk;

const TIER: TierId = TierId(0);
const KEY: u64 = 7;
const RETENTION: Duration = Duration::from_secs(60);
const SECOND: i64 = 1_000_000_000;

/// A spool of one tier with two sinks on a disk that outlives it, at a time of its own.
struct Rig {
    disk: SmallDisk,
    spool: Arc<Spool>,
    counters: [Arc<RouteCounters>; 2],
    start: Instant,
    /// Seconds since 1970, and since `start`.
    seconds: i64,
    /// Position in the source.
    position: u64,
}

impl Rig {
    fn new(bytes_max: u64) -> Self {
        let disk = SmallDisk::new(bytes_max);
        let (spool, counters) = open(&disk);
        Self { disk, spool, counters, start: Instant::now(), seconds: 1000, position: 0 }
    }

    /// The process goes and the next one begins.
    fn restart(&mut self) {
        (self.spool, self.counters) = open(&self.disk);
    }

    fn turn_at(&mut self, seconds: i64) {
        self.seconds = seconds;
        let now = self.start + Duration::from_secs(seconds.unsigned_abs());
        self.spool.turn(now, seconds * SECOND);
    }

    /// Appends one event, which is observed now; whether it became durable at once.
    fn append(&mut self, line: &str) -> bool {
        let batch = batch(line, self.position, self.seconds * SECOND);
        self.position += line.len() as u64;
        let mut ticket = self.spool.append(TIER, batch, 0);
        self.turn_at(self.seconds);
        ticket.try_result() == Some(Ok(()))
    }

    fn cursor(&self, sink: &str) -> Cursor {
        self.spool.cursor(TIER, sink).expect("the cursor is free")
    }

    /// Delivers all that there is to both sinks; returns the last position.
    fn deliver(&self) -> u64 {
        ["loki", "files"].map(|sink| take(&mut self.cursor(sink))).into_iter().max().unwrap_or(0)
    }

    fn holds(&self, line: &str) -> bool {
        let content = self.disk.content(Path::new("/spool/logs"));
        content.windows(line.len()).any(|bytes| bytes == line.as_bytes())
    }

    fn expired(&self) -> [u64; 2] {
        self.counters.each_ref().map(|counters| counters.dropped(DropReason::Expired).get())
    }
}

fn open(disk: &SmallDisk) -> (Arc<Spool>, [Arc<RouteCounters>; 2]) {
    let counters: [Arc<RouteCounters>; 2] = Default::default();
    let route = |(sink, counters): (&str, &Arc<RouteCounters>)| RouteOptions {
        sink: sink.to_owned(),
        when_full: WhenFull::DropOldest,
        counters: Arc::clone(counters),
    };
    let routes = ["loki", "files"].into_iter().zip(&counters).map(route).collect();
    let tier = TierOptions { name: "logs".into(), share: 1.0, retention: RETENTION, routes };
    let mut options = Options::new(Backend::Memory, vec![tier]);
    options.segment_bytes = 64 << 10;
    options.sync_after = Duration::ZERO;
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (spool, _) = Spool::open_by_hand(options, &disk, Path::new("/spool")).expect("opens");
    (spool, counters)
}

fn batch(line: &str, source_base: u64, observed_ns: i64) -> Protected {
    let mut slab = Slab::default();
    slab.extend_from_slice(line.as_bytes());
    slab.extend_from_slice(b"\n");
    let source_end = source_base + line.len() as u64;
    let table = vec![Record::new(0, line.len() as u32)];
    let source_key = KEY;
    let batch =
        Batch { table, slab, source_key, source_base, source_end, observed_ns, ..Batch::default() };
    let parts = frame::encode(&batch);
    let bytes = [&parts.head, &*parts.table, parts.bytes].concat();
    Protected::from_frame(&bytes).expect("a sound frame")
}

/// Reads and acknowledges all; returns the position behind it.
fn take(cursor: &mut Cursor) -> u64 {
    let mut end = 0;
    while let Some(entry) = cursor.try_next() {
        end = entry.range.to;
        cursor.ack(end);
    }
    end
}

/// What was delivered leaves the disk when its time is over, though nothing comes after it; where
/// the log and its sources stand does not.
#[test]
fn what_a_silent_tier_delivered_goes_after_its_retention() {
    for restarts in [false, true] {
        let mut rig = Rig::new(1 << 30);
        assert!(rig.append("the only line"));
        let end = rig.deliver();
        rig.turn_at(1060);
        assert!(rig.holds("the only line"), "not before its time");
        if restarts {
            rig.restart();
        }
        rig.turn_at(1061);
        assert!(!rig.holds("the only line"), "{:?}", rig.spool.status());
        assert_eq!(rig.expired(), [0, 0]);
        for _ in 0..2 {
            rig.restart();
            assert_eq!(rig.spool.held_to(TIER, KEY), Some(rig.position));
            assert!(rig.spool.status()[0].durable >= end, "no position is given out twice");
            rig.turn_at(1061);
        }
        assert_eq!(rig.spool.status()[0].n_segments, 1);
        // It goes on behind that.
        assert!(rig.append("a line at last"));
        let entry = rig.cursor("loki").try_next().expect("an entry");
        assert!(entry.range.from >= end);
        assert_eq!(entry.batch.event(0).expect("an event").bytes, b"a line at last");
    }
}

/// Retention is a promise also where a sink is down: what is too old is dropped and counted, what
/// is not stays.
#[test]
fn what_a_silent_tier_could_not_deliver_expires() {
    let mut rig = Rig::new(1 << 30);
    assert!(rig.append("the first line"));
    take(&mut rig.cursor("loki"));
    rig.turn_at(1050);
    assert!(rig.append("the second line"));
    // The first is too old now, but goes with the second, which is not.
    rig.turn_at(1110);
    assert!(rig.holds("the first line") && rig.holds("the second line"));
    let mut files = rig.cursor("files");
    assert!(files.try_next().is_some() && files.try_next().is_some(), "both are still owed");
    drop(files);
    rig.turn_at(1111);
    assert!(!rig.holds("the first line") && !rig.holds("the second line"));
    assert_eq!(rig.expired(), [1, 2]);
    assert!(rig.counters.iter().all(|counters| counters.spooled.get() == 0));
    assert_eq!(rig.spool.held_to(TIER, KEY), Some(rig.position));
    assert!(rig.append("the third line"));
    for sink in ["loki", "files"] {
        assert!(rig.cursor(sink).try_next().is_some(), "{sink}");
    }
}

/// A disk that has no room for a next segment keeps the last one a little longer, and nobody waits
/// for it.
#[test]
fn a_full_disk_does_not_make_a_silent_tier_stand_still() {
    let mut rig = Rig::new(1 << 30);
    assert!(rig.append("the only line"));
    rig.deliver();
    rig.disk.set_bytes_max(0);
    for seconds in [1061, 1062, 1300] {
        rig.turn_at(seconds);
        assert!(rig.holds("the only line"));
        assert!(!rig.spool.must_wait(TIER) && rig.spool.is_accepting(), "{seconds}");
    }
    rig.disk.set_bytes_max(1 << 30);
    rig.turn_at(1400);
    assert!(!rig.holds("the only line"));
    assert!(rig.append("a line at last"));
}

/// Less than a segment fits on the disk, beside one that was delivered and goes once there is a
/// next one: the next one is made as small as it must be.
#[test]
fn a_disk_with_room_for_a_few_frames_is_used() {
    let mut rig = Rig::new(100 << 10);
    for n in 0..500 {
        let line = format!("line {n} {}", "x".repeat(1000));
        assert!(rig.append(&line), "line {n}: {:?}", rig.spool.status());
        rig.deliver();
        rig.turn_at(rig.seconds);
    }
    assert!(rig.spool.is_accepting());
    for counters in &rig.counters {
        assert_eq!((counters.events_in.get(), counters.spooled.get()), (500, 0));
        assert!(DropReason::ALL.iter().all(|reason| counters.dropped(*reason).get() == 0));
    }
}

/// The disk is full of what was delivered meanwhile, and what waits is larger than the little room
/// left: a next segment with nothing but its head lets the old one go.
#[test]
fn what_was_delivered_makes_room_for_what_is_larger_than_the_rest() {
    let mut rig = Rig::new(100 << 10);
    assert!(rig.append(&"x".repeat(80 << 10)));
    let waits =
        rig.spool.append(TIER, batch(&"y".repeat(60 << 10), rig.position, 1000 * SECOND), 0);
    for _ in 0..3 {
        rig.turn_at(rig.seconds + 10);
    }
    assert!(!rig.spool.is_accepting(), "{:?}", rig.spool.status());
    rig.deliver();
    for _ in 0..3 {
        rig.turn_at(rig.seconds + 10);
    }
    assert!(rig.spool.is_accepting(), "{:?}", rig.spool.status());
    let mut waits = waits;
    assert_eq!(waits.try_result(), Some(Ok(())));
    assert!(rig.deliver() > 80 << 10);
}
