//! The OTLP path as a whole: gRPC in → protect → disk spool → gRPC out, judged from outside.
//!
//! ```text
//! cargo bench --bench otlp                         all cases once, about a minute
//! cargo bench --bench otlp -- plain --runs 5       cases whose name begins so, more runs
//! cargo bench --bench otlp -- middle [plain]       the pipeline alone, without a daemon
//! cargo bench --bench otlp -- peer [plain]         beside a collector, if one was built
//! ```
//! Each run is a process of its own: the daemon (this binary again, with an allocator that counts)
//! takes requests from clients in the parent, each with one in flight, and ships them to a receiver
//! in the parent that ticks off every item: the run is over when each has come, and each came once.
//! Printed are items per CPU-second (user and system time of the child), nanoseconds an item, the
//! ratio to the floor (the same transports, nothing looked at: `floor.rs`) in a run beside it, what
//! this machine takes merely to move the bytes (`proxy.rs`), peak RSS, allocations and syncs.
//!
//! Numbers vary by a third between machines and moments, and by more where cores are shared: trust
//! ratios, and the median of the runs.

mod counting;
#[allow(dead_code, reason = "shared with the benchmark of lines, which uses more of it")]
mod plan;
mod rng;
mod scrape;
#[allow(dead_code, reason = "shared with the benchmark of lines, which uses more of it")]
mod spent;

#[path = "otlp/child.rs"]
mod child;
#[path = "otlp/floor.rs"]
mod floor;
#[path = "otlp/load.rs"]
mod load;
#[path = "otlp/middle.rs"]
mod middle;
#[path = "otlp/peer.rs"]
mod peer;
#[path = "otlp/proxy.rs"]
mod proxy;
#[path = "otlp/receiver.rs"]
mod receiver;
#[path = "otlp/shapes.rs"]
mod shapes;

use std::path::Path;

use child::Outcome;
use load::Load;
use shapes::Shape;

/// One line of the table.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    shape: Shape,
    per_request: usize,
    connections: usize,
    /// Largest HTTP/2 frame of clients and receiver.
    frame: usize,
    packing: Option<&'static str>,
    /// Items per CPU-second that the budget demands.
    budget: Option<f64>,
    /// Items of a run, as a part of `--items`.
    share: f64,
}

fn cases() -> Vec<Case> {
    let plain = Case {
        name: "plain",
        shape: Shape::Plain,
        per_request: 500,
        connections: 8,
        frame: 1 << 20,
        packing: None,
        budget: Some(2e6),
        share: 1.0,
    };
    let other = Case { budget: None, share: 0.5, ..plain };
    vec![
        plain,
        Case { name: "plain, 16 KiB frames", frame: 16 << 10, ..other },
        Case { name: "rich", shape: Shape::Rich, budget: Some(1e6), ..other },
        Case { name: "small, 12 spans", per_request: 12, budget: Some(2.5e5), share: 0.1, ..other },
        Case {
            name: "small, 64 connections",
            per_request: 12,
            connections: 64,
            share: 0.1,
            ..other
        },
        Case { name: "logs", shape: Shape::Log, share: 0.3, ..other },
        Case { name: "gzip in and out", packing: Some("gzip"), ..other },
        Case { name: "zstd in and out", packing: Some("zstd"), ..other },
    ]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--child", config] => return child::daemon(Path::new(config)),
        [way @ ("--floor" | "--proxy"), port, to] => {
            let number = |text: &str| text.parse().expect("a port");
            let run = if *way == "--floor" { floor::run } else { proxy::run };
            return run(number(port), number(to));
        }
        _ => {}
    }
    if let Some(place) = args.iter().position(|arg| arg == "middle") {
        return middle_alone(args.get(place + 1).map(String::as_str));
    }
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|i| args.get(i + 1));
    let runs = value("--runs").and_then(|n| n.parse().ok()).unwrap_or(1);
    let n: f64 = value("--items").and_then(|n| n.parse().ok()).unwrap_or(2e6);
    if let Some(place) = args.iter().position(|arg| arg == "peer") {
        let only = args.get(place + 1).filter(|arg| !arg.starts_with('-'));
        let is_wanted = |case: &Case| only.is_none_or(|name| case.name.starts_with(name.as_str()));
        return peer::run(cases().into_iter().filter(is_wanted), n, runs);
    }
    let wanted = args.first().filter(|arg| !arg.starts_with('-'));
    let has_floor = !args.iter().any(|arg| arg == "--no-floor");
    println!("{n} items a run or a part of it, median of {runs} runs\n");
    println!(
        "{:22} {:>5} {:>9} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {:>8} {:>7}  budget",
        "",
        "bytes",
        "items/s",
        "ns",
        "floor",
        "ratio",
        "proxy",
        "RSS MB",
        "alloc/rq",
        "syncs",
        "spans/rq",
        "wall M/s"
    );
    for case in cases().iter().filter(|case| wanted.is_none_or(|name| case.name.starts_with(name)))
    {
        run_case(*case, (n * case.share) as u64, runs, has_floor);
    }
}

/// The pipeline alone, without what its requests cost before and after.
fn middle_alone(only: Option<&str>) {
    let is_searched = |case: &&Case| {
        let is_wanted = only.is_none_or(|name| case.name.starts_with(name));
        is_wanted && case.shape != Shape::Log && case.packing.is_none()
    };
    for case in cases().iter().filter(is_searched) {
        println!("{:22} {:>5.0} ns a span", case.name, middle::run(*case, 20));
    }
}

fn run_case(case: Case, n: u64, runs: usize, has_floor: bool) {
    let (mut outcomes, mut floors, mut proxies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut items, mut item_bytes) = (0.0, 0);
    for _ in 0..runs {
        let load = Load::new(case, n);
        (items, item_bytes) = (load.n_items() as f64, load.item_bytes());
        outcomes.push(child::run_daemon(case, &load));
        if has_floor {
            floors.push(child::run_relay("--floor", case, &Load::new(case, n)).cpu_ns);
            proxies.push(child::run_relay("--proxy", case, &Load::new(case, n)).cpu_ns);
        }
    }
    outcomes.sort_by(|a, b| a.cpu_ns.total_cmp(&b.cpu_ns));
    let Outcome { cpu_ns, peak_rss_mb, allocations, syncs, wall, requests } = outcomes[runs / 2];
    let [floor, proxy] = [&mut floors, &mut proxies].map(|all| {
        all.sort_by(f64::total_cmp);
        all.get(runs / 2).copied().unwrap_or(f64::NAN)
    });
    let per_second = items / (cpu_ns / 1e9);
    let verdict = match case.budget {
        Some(budget) if per_second >= budget => format!("met ({budget:.0})"),
        Some(budget) => format!("MISSED ({budget:.0})"),
        None => String::new(),
    };
    println!(
        "{:22} {:>5} {:>9.0} {:>7.0} {:>7.0} {:>6.2}x {:>7.0} {:>7.1} {:>8.1} {:>7.0} {:>8.0} {:>7.2}  {verdict}",
        case.name,
        item_bytes,
        per_second,
        cpu_ns / items,
        floor / items,
        cpu_ns / floor,
        proxy / items,
        peak_rss_mb,
        allocations / (items / case.per_request as f64),
        syncs,
        items / requests as f64,
        items / wall.as_secs_f64() / 1e6,
    );
}
