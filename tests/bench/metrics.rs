//! The way of metrics as a whole: scrape → protect → disk spool → remote write 2.0, judged from
//! outside, beside Prometheus in agent mode.
//!
//! ```text
//! cargo bench --bench metrics                                 three rounds, about five minutes
//! cargo bench --bench metrics -- --rounds 1 --every 2         shorter
//! cargo bench --bench metrics -- --series 20000 --targets 4   other loads
//! cargo bench --bench metrics -- alone                        without the peer
//! ```
//! An exposer in the parent serves as many series as are asked for, in the format and packing that
//! the scraper asks for; a receiver in the parent unpacks and reads every request, and counts. In
//! each round the daemon and the peer (`tests/backends/backends install prometheus`) scrape the
//! same pages as often, one after the other. What is measured begins with the second scrape, so
//! that neither pays for its start, and ends where the one begins that follows as many as
//! `--scrapes`: CPU time of the process (user and system) and bytes of its requests; memory is the
//! highest since the start. Every scrape must come out to the last sample, with the values that
//! were exposed; series that a scraper makes itself are not counted.
//!
//! The peer protects nothing, and its log on disk is not synced; otherwise both do the same work.
//!
//! Numbers vary by a third between machines and moments: trust ratios, and the median of rounds.

#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod rng;
#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod scrape;

#[path = "metrics/decode.rs"]
mod decode;
#[path = "metrics/exposer.rs"]
mod exposer;
#[path = "metrics/page.rs"]
mod page;
#[path = "metrics/receiver.rs"]
mod receiver;
#[path = "metrics/scraper.rs"]
mod scraper;

use std::sync::Arc;

use page::Pages;
use scraper::{Outcome, Scraper};

/// What all runs share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    rounds: usize,
    /// Scrapes that are measured.
    scrapes: usize,
    every_s: usize,
    series: usize,
    targets: usize,
}

/// What the budget demands of samples per CPU-second, as a multiple of the peer's.
const SAMPLES_RATIO: f64 = 3.0;
/// The same of peak memory.
const MEMORY_RATIO: f64 = 5.0;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let value = |name: &str, default: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let plan = Plan {
        rounds: value("--rounds", 3).max(1),
        scrapes: value("--scrapes", 5).max(1),
        every_s: value("--every", 5).max(1),
        series: value("--series", 100_000),
        targets: value("--targets", 1).max(1),
    };
    let mut scrapers = vec![Scraper::Ours];
    match scraper::find_peer() {
        _ if args.iter().any(|arg| arg == "alone") => {}
        Some(peer) => scrapers.push(peer),
        None => println!("no peer: tests/backends/backends install prometheus builds one\n"),
    }
    let pages = Arc::new(Pages::new(plan.series / plan.targets));
    println!(
        "{} series of {} targets, scraped every {} s; {} scrapes, median of {} rounds\n",
        pages.n_samples * plan.targets,
        plan.targets,
        plan.every_s,
        plan.scrapes,
        plan.rounds,
    );
    let mut outcomes = vec![Vec::new(); scrapers.len()];
    for _ in 0..plan.rounds {
        for (scraper, outcomes) in scrapers.iter().zip(&mut outcomes) {
            outcomes.push(scraper::run(scraper, plan, &pages));
        }
    }
    report(&scrapers, &outcomes);
}

fn report(scrapers: &[Scraper], outcomes: &[Vec<Outcome>]) {
    println!(
        "{:24} {:>10} {:>7} {:>15} {:>7} {:>9} {:>8}",
        "", "samples/s", "ns", "(min…max)", "RSS MB", "bytes", "requests"
    );
    for (scraper, outcomes) in scrapers.iter().zip(outcomes) {
        let sample_ns = median(outcomes, |one| one.cpu_ns / one.n_samples);
        let all = outcomes.iter().map(|one| one.cpu_ns / one.n_samples);
        let (least, most) = (all.clone().fold(f64::MAX, f64::min), all.fold(0.0, f64::max));
        println!(
            "{:24} {:>10.0} {:>7.0} {:>15} {:>7.1} {:>9.2} {:>8.0}",
            scraper.name(),
            1e9 / sample_ns,
            sample_ns,
            format!("({least:.0}…{most:.0})"),
            median(outcomes, |one| one.peak_rss_mb),
            median(outcomes, |one| one.n_bytes / one.n_samples),
            median(outcomes, |one| one.n_requests),
        );
    }
    let [ours, peers] = outcomes else { return };
    // Of each round, as its two runs had the same machine.
    let pairs: Vec<(Outcome, Outcome)> = ours.iter().copied().zip(peers.iter().copied()).collect();
    for (what, budget, of) in [
        (
            "samples per CPU-second",
            SAMPLES_RATIO,
            (|one| one.cpu_ns / one.n_samples) as fn(&Outcome) -> f64,
        ),
        ("peak memory", MEMORY_RATIO, |one| one.peak_rss_mb),
    ] {
        let ratio = median(&pairs, |(ours, peers)| of(peers) / of(ours));
        let verdict = if ratio >= budget { "met" } else { "MISSED" };
        println!("\n{what}: {ratio:.2} times as good as the peer; {verdict} ({budget})");
    }
}

fn median<T>(all: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut all: Vec<f64> = all.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
