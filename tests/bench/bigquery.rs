//! The way into BigQuery, judged from outside: what a row costs to encode, and what the whole
//! daemon takes while predictions pass through it.
//!
//! ```text
//! cargo bench --bench bigquery                          both, a minute
//! cargo bench --bench bigquery -- encode --rounds 9     the encoder alone
//! cargo bench --bench bigquery -- encode whole alone    one load of it, ours alone
//! cargo bench --bench bigquery -- daemon --seconds 30   the daemon alone
//! ```
//! *Encode*: lines that went through the pipeline become bodies of 1 MiB, nothing is sent. Beside
//! it, in turns, two others on the same lines: the floor, which copies each line into a body as one
//! field, and the peer, what one would write with the libraries that there are (`serde_json` into
//! a tree, a dynamic message of `prost-reflect` by the same descriptor out of it), which joins no
//! halves, splits no batches and fills a third of the columns. Then the same rows as the JSON of
//! insertAll, which is made of those of protobuf: bodies of 1 MiB too, so of fewer rows.
//!
//! *Daemon*: this binary again, as `main` would run it: a file that grows by as many bytes a second
//! as are asked for, classified, protected, spooled to disk, appended with offsets (exactly once)
//! to a receiver in the parent that counts rows and says yes.
//!
//! Numbers vary by a third between machines and moments: trust ratios, and the median of rounds.

#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod corpus;
#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod counting;
#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod plan;
#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod rng;
#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod scrape;
#[allow(dead_code, reason = "shared with other benchmarks, which use more of it")]
mod spent;

#[path = "bigquery/daemon.rs"]
mod daemon;
#[path = "bigquery/encode.rs"]
mod encode;
#[path = "bigquery/lines.rs"]
mod lines;
#[path = "bigquery/peer.rs"]
mod peer;
#[path = "bigquery/receiver.rs"]
mod receiver;

use std::path::Path;

use encode::{Load, Spent};
use lines::Shape;

/// What the budget demands of the encoder, for predictions that come whole.
const ROWS_PER_CPU_SECOND: f64 = 400_000.0;
/// Peak memory of the daemon, at 20 MB a second.
const RSS_MB_MAX: f64 = 30.0;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, config] = args.as_slice()
        && flag == "--child"
    {
        return daemon::child(Path::new(config));
    }
    let value = |name: &str, default: usize| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let shapes: Vec<Shape> = match Shape::ALL.into_iter().find(|shape| has(shape.name())) {
        Some(one) => vec![one],
        None => Shape::ALL.to_vec(),
    };
    if !has("daemon") {
        let ways = if has("alone") { &WAYS[..1] } else { &WAYS };
        encode_all(&shapes, ways, (value("--lines", 50_000), value("--rounds", 5).max(1)));
    }
    if !has("encode") {
        daemons(&shapes, value("--mb", 20), value("--seconds", 15).max(1));
    }
}

/// One thing that is measured of a load.
type Way = fn(&Load) -> Spent;

const WAYS: [(&str, Way); 4] = [
    ("sidewake", encode::ours),
    ("floor", encode::floor),
    ("peer", peer::run),
    ("insertAll", encode::json),
];

fn encode_all(shapes: &[Shape], ways: &[(&str, Way)], (n_lines, rounds): (usize, usize)) {
    println!("{n_lines} lines, median of {rounds} rounds\n");
    println!(
        "{:10} {:10} {:>10} {:>8} {:>15} {:>10} {:>10} {:>8}",
        "load", "", "rows/CPU-s", "ns/row", "(min…max)", "bytes in", "bytes/row", "alloc/r"
    );
    for shape in shapes {
        let load = Load::new(*shape, n_lines);
        let mut all = vec![Vec::new(); ways.len()];
        for _ in 0..rounds {
            for ((_, way), all) in ways.iter().zip(&mut all) {
                all.push(way(&load));
            }
        }
        let mut medians = Vec::new();
        for ((name, _), mut all) in ways.iter().zip(all) {
            all.sort_by(|a, b| a.row_ns().total_cmp(&b.row_ns()));
            let median = all[all.len() / 2];
            println!(
                "{:10} {:10} {:>10.0} {:>8.0} {:>15} {:>10.0} {:>10.0} {:>8.2}",
                shape.name(),
                name,
                1e9 / median.row_ns(),
                median.row_ns(),
                format!("({:.0}…{:.0})", all[0].row_ns(), all[all.len() - 1].row_ns()),
                load.n_bytes as f64 / median.n_rows as f64,
                median.n_bytes as f64 / median.n_rows as f64,
                median.n_allocations as f64 / median.n_rows as f64,
            );
            medians.push(median);
        }
        if let [ours, floor, peer, json] = &medians[..] {
            let time = |one: &Spent, other: &Spent| one.row_ns() / other.row_ns();
            print!(
                "           {:.1} times the floor, {:.1} times as fast as the peer; insertAll: {:.2} \
                 times the CPU, {:.2} times the bytes",
                time(ours, floor),
                time(peer, ours),
                time(json, ours),
                json.n_bytes as f64 / ours.n_bytes as f64,
            );
        }
        println!("{}", verdict(*shape, 1e9 / medians[0].row_ns()));
    }
}

fn verdict(shape: Shape, rows_per_second: f64) -> &'static str {
    match shape {
        Shape::Whole if rows_per_second >= ROWS_PER_CPU_SECOND => "; met (400000)\n",
        Shape::Whole => "; MISSED (400000)\n",
        Shape::Mix => "\n",
    }
}

fn daemons(shapes: &[Shape], mb_per_second: usize, seconds: usize) {
    println!("{mb_per_second} MB/s for {seconds} s, spooled to disk, exactly once\n");
    println!(
        "{:10} {:>9} {:>7} {:>10} {:>9} {:>8} {:>9} {:>7}",
        "load", "rows", "rows/s", "us CPU/row", "% of core", "appends", "bytes/row", "RSS MB"
    );
    for shape in shapes {
        let run = daemon::run(*shape, mb_per_second, seconds);
        let (rows, wall_s) = (run.n_rows as f64, run.wall.as_secs_f64());
        let verdict = if run.peak_rss_mb <= RSS_MB_MAX { "met" } else { "MISSED" };
        println!(
            "{:10} {:>9.0} {:>7.0} {:>10.2} {:>9.0} {:>8} {:>9.0} {:>7.1}  {verdict} (30)",
            shape.name(),
            rows,
            rows / wall_s,
            run.cpu_ns / rows / 1e3,
            run.cpu_ns / 1e7 / seconds as f64,
            run.n_appends,
            run.n_bytes as f64 / rows,
            run.peak_rss_mb,
        );
    }
}
