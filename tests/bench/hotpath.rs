//! The hot path as a whole: file → classify → protect → disk spool → Loki, judged from outside.
//!
//! ```text
//! cargo bench                      all runs, a minute or two
//! cargo bench -- seeds --runs 5    one corpus, more runs
//! cargo bench -- middle [full]     the middle alone, without a daemon
//! ```
//! Each run is a process of its own: the daemon (this binary again, with an allocator that counts)
//! reads a complete file and ships it to a receiver in the parent, which only counts; the run is
//! over when every record is accounted for. Printed are records and MB per CPU-second (user and
//! system time of the child, from start to the last record), peak RSS, allocations per record, and
//! the ratio to the floor, which the same process measures afterwards: read, memchr, protobuf,
//! snappy, socket.
//!
//! Numbers vary by a third between machines and moments, and by more where cores are shared: trust
//! ratios, cycles (`clock.rs`), and the median of the runs.

mod clock;
mod corpus;
mod counting;
mod daemon;
mod floor;
mod middle;
mod plan;
mod receiver;
mod rng;
mod scrape;
mod spent;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::{Outcome, Setup};
use plan::Protection;
use sidewake::pipeline::Plan;
use sidewake::pipeline::observe::registry::Registry;
use sidewake::pipeline::observe::rule::built_in;
use sidewake::pipeline::observe::{Observation, grouped};

/// One line of the table.
struct Case {
    name: &'static str,
    corpus: &'static str,
    setup: Setup,
    /// Records per CPU-second that the budget demands.
    budget: Option<f64>,
}

fn cases() -> Vec<Case> {
    let on = Setup { detect: true, fields: false, disk: true, rate: 1.0 };
    vec![
        Case { name: "seeds, everything on", corpus: "seeds", setup: on, budget: Some(1e6) },
        Case {
            name: "seeds, no protection",
            corpus: "seeds",
            setup: Setup { detect: false, ..on },
            budget: None,
        },
        Case {
            name: "seeds, memory spool",
            corpus: "seeds",
            setup: Setup { disk: false, ..on },
            budget: None,
        },
        Case {
            name: "full mix, fields declared",
            corpus: "full",
            setup: Setup { fields: true, ..on },
            budget: Some(7e5),
        },
        Case {
            name: "full mix, 10% of application",
            corpus: "full",
            setup: Setup { rate: 0.1, ..on },
            budget: None,
        },
        Case { name: "hostile", corpus: "hostile", setup: on, budget: Some(3e5) },
    ]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, config, input] = args.as_slice()
        && flag == "--child"
    {
        return daemon::child(Path::new(config), Path::new(input));
    }
    if let Some(place) = args.iter().position(|arg| arg == "middle") {
        return middle_alone(args.get(place + 1).map(String::as_str));
    }
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|i| args.get(i + 1));
    let runs = value("--runs").and_then(|n| n.parse().ok()).unwrap_or(3);
    let n: u64 = value("--records").and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let wanted = args.first().filter(|arg| !arg.starts_with('-'));
    println!("{n} records a run (hostile: a tenth), median of {runs} runs\n");
    println!(
        "{:30} {:>9} {:>7} {:>7} {:>5} {:>7} {:>7} {:>7} {:>8}  budget",
        "", "records/s", "MB/s", "ns/rec", "GHz", "cyc/rec", "floor", "RSS MB", "alloc/r"
    );
    let mut durable_ns = None;
    for case in cases().iter().filter(|case| wanted.is_none_or(|name| case.corpus == name)) {
        let n = if case.corpus == "hostile" { n / 10 } else { n };
        let median = run_case(case, n, runs);
        let ns = median.cpu_ns / median.records as f64;
        match (case.name, durable_ns) {
            ("seeds, everything on", _) => {
                say_durability(&median);
                durable_ns = Some(ns);
            }
            ("seeds, memory spool", Some(durable_ns)) => {
                let percent = 100.0 * ns / durable_ns;
                let verdict = if percent >= 85.0 { "met" } else { "MISSED" };
                println!("  the disk spool does {percent:.0} % of it  {verdict} (85)");
            }
            _ => {}
        }
    }
}

/// What durability took beside CPU time.
fn say_durability(run: &Outcome) {
    let (seconds, amplified) = (run.wall.as_secs_f64(), run.written_bytes / run.bytes_in as f64);
    let verdict = if amplified <= 1.2 { "met" } else { "MISSED" };
    let syncs = run.syncs / seconds;
    println!(
        "  {syncs:.0} syncs/s over {seconds:.1} s, {amplified:.2} bytes written a byte in  \
         {verdict} (1.2)"
    );
}

fn corpus_of(name: &str, n: u64) -> Vec<u8> {
    match name {
        "full" => corpus::full(n),
        "hostile" => corpus::hostile(n),
        _ => corpus::seeds(n),
    }
}

fn run_case(case: &Case, n: u64, runs: usize) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = corpus_of(case.corpus, n);
    let input = folder.path().join("model.log");
    std::fs::write(&input, &bytes).expect("the input");
    let mut outcomes: Vec<Outcome> =
        (0..runs).map(|run| daemon::run(case.setup, folder.path(), &input, run)).collect();
    // Each record once: a file read twice would look like a fast run. (Tracebacks are joined, so
    // that lines may be more.)
    let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64;
    for outcome in &outcomes {
        let counted = outcome.records;
        assert!(counted <= lines, "{counted} records of {lines} lines");
    }
    outcomes.sort_by(|a, b| a.cpu_ns.total_cmp(&b.cpu_ns));
    let median = outcomes.swap_remove(runs / 2);
    let records = median.records as f64;
    let per_second = records / (median.cpu_ns / 1e9);
    let verdict = match case.budget {
        Some(budget) if per_second >= budget => format!("met ({budget:.0})"),
        Some(budget) => format!("MISSED ({budget:.0})"),
        None => String::new(),
    };
    println!(
        "{:30} {:>9.0} {:>7.0} {:>7.0} {:>5.2} {:>7.0} {:>6.2}x {:>7.1} {:>8.4}  {verdict}",
        case.name,
        per_second,
        bytes.len() as f64 / (median.cpu_ns / 1e3),
        median.cpu_ns / records,
        median.cycles_per_ns,
        median.cycles_per_ns * median.cpu_ns / records,
        median.cpu_ns / median.floor_ns,
        median.peak_rss_mb,
        median.allocations as f64 / records,
    );
    median
}

/// The middle alone, per corpus and protection.
fn middle_alone(only: Option<&str>) {
    let n = 200_000;
    type Make = fn(u64) -> Vec<u8>;
    let corpora: [(&str, Make); 3] =
        [("seeds", corpus::seeds), ("full", corpus::full), ("hostile", corpus::hostile)];
    for (name, make) in corpora.into_iter().filter(|(name, _)| only.is_none_or(|it| it == *name)) {
        let data = make(if name == "hostile" { n / 2 } else { n });
        for (label, protection, rate) in [
            ("no protection", Protection::Off, 1.0),
            ("detectors", Protection::Detectors, 1.0),
            ("and fields", Protection::Fields, 1.0),
            ("10% of application", Protection::Detectors, 0.1),
        ] {
            let (ns, lines) = middle::run(&data, &plan::plan(protection, rate), 3);
            let length = data.len() as u64 / lines;
            println!("{name:8} {label:20} {ns:6.0} ns a line of {length} bytes");
        }
        // Of every line, what the daemon derives metrics from.
        let observing = observing(plan::plan(Protection::Detectors, 1.0));
        let (ns, _) = middle::run(&data, &observing, 3);
        println!("{name:8} {:20} {ns:6.0} ns", "detectors, observed");
    }
}

/// The same plan, measuring what is measured of every service.
fn observing(plan: Arc<Plan>) -> Arc<Plan> {
    let groups = grouped(built_in());
    let registry = Arc::new(Registry::new(groups.len(), 1000, i64::MAX));
    plan.with_observation(Some(Arc::new(Observation { groups, registry, tier: 0, spans: None })))
}

/// The folder of this binary's temporary files, for the child.
pub(crate) fn spool_folder(folder: &Path, run: usize) -> PathBuf {
    folder.join(format!("spool-{run}"))
}
