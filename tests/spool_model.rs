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

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

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
