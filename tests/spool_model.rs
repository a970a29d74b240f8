//! The spool against a reference, over a disk that tears, forgets, reorders and refuses.
//!
//! `SIDEWAKE_SEED=… cargo test --test spool_model` repeats a failure from its printed seed;
//! `SIDEWAKE_SLOW=1` takes millions of steps instead of thousands.

#[path = "spool_model/fake_disk.rs"]
mod fake_disk;
#[path = "spool_model/model.rs"]
mod model;
#[path = "spool_model/rng.rs"]
mod rng;
#[path = "spool_model/world.rs"]
mod world;

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidewake::spool::disk::Disk;
use sidewake::spool::{Backend, Options, RouteOptions, Spool, TierId, TierOptions, WhenFull};

use fake_disk::{FakeDisk, Faults};
use model::batch;
use rng::Rng;
use world::{Flavour, World};

/// Steps of one run; a run then lets everything arrive.
const STEPS: u64 = 400;

fn run(flavour: Flavour) {
    let seed = match std::env::var("SIDEWAKE_SEED") {
        Ok(seed) => seed.parse().expect("SIDEWAKE_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_nanos() as u64),
    };
    let slow = std::env::var_os("SIDEWAKE_SLOW").is_some();
    let n_runs = if slow { 2_000 } else { 15 };
    let mut seeds = Rng::new(seed);
    for index in 0..n_runs {
        let seed = if index == 0 { seed } else { seeds.next() };
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(flavour, seed);
            (0..STEPS).for_each(|_| world.step());
            world.finish();
        }));
        if let Err(panic) = result {
            #[expect(clippy::print_stderr, reason = "the seed must be seen")]
            {
                eprintln!("{flavour:?} fails with SIDEWAKE_SEED={seed}");
            }
            resume_unwind(panic);
        }
    }
}

#[test]
fn nothing_is_lost_by_crashes() {
    run(Flavour::Crashes);
}

#[test]
fn a_refusing_disk_is_survived() {
    run(Flavour::Faults);
}

#[test]
fn a_full_share_drops_the_oldest_and_counts_them() {
    run(Flavour::DropsOldest);
}

#[test]
fn a_full_share_blocks_and_loses_nothing() {
    run(Flavour::Blocks);
}

#[test]
fn rot_costs_only_what_it_hit() {
    run(Flavour::Rots);
}

/// What a SIGKILL left in the page cache only, and a start that the disk refuses to sync it: what
/// the start shows all the same survives a power cut.
#[test]
fn what_a_refused_start_shows_is_durable() {
    let open = |disk: &FakeDisk| {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        Spool::open_by_hand(options(), &disk, Path::new("/spool"))
    };
    let now = Instant::now();
    for seed in 0..40 {
        let disk = FakeDisk::new(seed);
        let (spool, _) = open(&disk).expect("opens");
        let writing = spool.writer();
        let _ticket = spool.append(TierId(0), batch(0, 0, 3, (1, 0, 9), 0), 0);
        spool.turn(now, 0);
        drop((writing, spool));
        let disk = disk.kill();
        let refusals = Faults { kind: ErrorKind::Other, one_in: 3, reads: true, writes: true };
        disk.set_faults(Some(refusals));
        let Ok((spool, _)) = open(&disk) else { continue };
        let shown = spool.held_to(TierId(0), 1);
        let read = spool.cursor(TierId(0), "loki").expect("free").try_next().is_some();
        drop(spool);
        let (spool, _) = open(&disk.crash()).expect("opens");
        assert!(shown.is_none() || shown == spool.held_to(TierId(0), 1), "seed {seed}");
        let there = spool.cursor(TierId(0), "loki").expect("free").try_next().is_some();
        assert!(there || !read, "seed {seed}: read, and gone");
    }
}

/// A start that the disk does not let read all of where the sinks stood, and a power cut while that
/// is written anew: what the file said before is still there.
#[test]
fn positions_that_could_not_be_read_are_not_written_over() {
    let open = |disk: &FakeDisk| {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        Spool::open_by_hand(options(), &disk, Path::new("/spool"))
    };
    let refuse =
        |one_in, reads| Some(Faults { kind: ErrorKind::Other, one_in, reads, writes: !reads });
    let start = Instant::now();
    let later = start + Duration::from_millis(20);
    let deliver = |spool: &Arc<Spool>, number: usize| {
        let _ticket = spool.append(TierId(0), batch(0, number, 3, (1, 0, 9), 0), 0);
        spool.turn(start, 0);
        spool.turn(later, 0);
        let mut cursor = spool.cursor(TierId(0), "loki").expect("free");
        while let Some(entry) = cursor.try_next() {
            cursor.ack(entry.range.to);
        }
    };
    for seed in 0..200 {
        let disk = FakeDisk::new(seed);
        let (spool, _) = open(&disk).expect("opens");
        deliver(&spool, 0);
        spool.turn(later, 0);
        drop(spool);
        let disk = if seed % 2 == 0 { disk.kill() } else { disk.crash() };
        disk.set_faults(refuse(3, seed % 4 < 2));
        let Ok((spool, _)) = open(&disk) else { continue };
        disk.set_faults(None);
        deliver(&spool, 1);
        // A refused write leaves a part of itself behind.
        disk.set_faults(refuse(1, false));
        spool.turn(later, 0);
        drop(spool);
        let (_, report) = open(&disk.crash()).expect("opens");
        assert!(!report.tiers[0].cursors_lost, "seed {seed}: {report:?}");
    }
}

fn options() -> Options {
    let (sink, when_full) = ("loki".to_owned(), WhenFull::DropOldest);
    let routes = vec![RouteOptions { sink, when_full, counters: Arc::default() }];
    let retention = Duration::from_secs(3600);
    let tier = TierOptions { name: "tier".into(), share: 1.0, retention, routes };
    Options::new(Backend::Memory, vec![tier])
}
