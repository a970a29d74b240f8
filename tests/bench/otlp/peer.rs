//! A peer in the same run: Jaeger 2, which is an OpenTelemetry Collector with its own components,
//! as the tests' backends build it (`tests/backends/backends install jaeger`).
//!
//! It takes OTLP by gRPC and sends OTLP by gRPC, unpacked, like ours. It has neither a processor
//! that redacts nor a queue on disk, so that it does less: it keeps a request in memory until the
//! receiver has answered, and looks for nothing in it. Both ways of running it are measured: each
//! request sent on by itself and answered when the receiver has it, and gathered by its batch
//! processor and answered at once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::child::{self, Outcome};
use super::load::Load;
use super::shapes::Shape;
use super::{Case, receiver, scrape};

/// Ours and the peer's medians for each case that the peer can run.
pub(crate) fn run(cases: impl Iterator<Item = Case>, items: f64, runs: usize) {
    let Some((binary, version)) = find() else {
        println!("no peer: tests/backends/backends install jaeger builds one");
        return;
    };
    println!(
        "Jaeger (module {version}) as a collector: no redaction, no queue on disk; ours has both\n"
    );
    println!("{:44} {:>9} {:>7} {:>7} {:>8}", "", "items/s", "ns", "RSS MB", "ours is");
    for case in cases.filter(|case| case.shape != Shape::Log && case.packing.is_none()) {
        let n = (items * case.share) as u64;
        let mut all = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..runs {
            all[0].push(child::run_daemon(case, &Load::new(case, n)));
            all[1].push(run_peer(&binary, case, n, false));
            all[2].push(run_peer(&binary, case, n, true));
        }
        let n_items = Load::new(case, n).n_items() as f64;
        let ours = median(&mut all[0]).cpu_ns;
        let names = ["ours", "the collector", "the collector with its batch processor"];
        for (name, outcomes) in names.into_iter().zip(&mut all) {
            let Outcome { cpu_ns, peak_rss_mb, .. } = median(outcomes);
            println!(
                "{:44} {:>9.0} {:>7.0} {:>7.1} {:>7.2}x",
                format!("{}: {name}", case.name),
                n_items / (cpu_ns / 1e9),
                cpu_ns / n_items,
                peak_rss_mb,
                cpu_ns / ours,
            );
        }
    }
}

fn median(outcomes: &mut [Outcome]) -> Outcome {
    outcomes.sort_by(|a, b| a.cpu_ns.total_cmp(&b.cpu_ns));
    outcomes[outcomes.len() / 2]
}

fn run_peer(binary: &Path, case: Case, n: u64, batches: bool) -> Outcome {
    let load = Load::new(case, n);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let port = scrape::free_port();
    let (to, counts) = receiver::start(case, load.n_items());
    let config = folder.path().join("peer.yaml");
    std::fs::write(&config, config_text(port, to, batches)).expect("the config");
    let mut child = Command::new(binary)
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the peer");
    let outcome = child::measure(&child, port, &load, &counts);
    child.kill().expect("a signal");
    child.wait().expect("its end");
    child::check(&counts, &load);
    outcome
}

/// The newest one that was built, and its version.
fn find() -> Option<(PathBuf, String)> {
    let cache = std::env::var_os("SIDEWAKE_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cache/sidewake"))
    })?;
    let built = std::fs::read_dir(cache.join("backends/jaeger")).ok()?.flatten();
    let built = built.map(|entry| entry.path()).filter(|path| path.join("jaeger").is_file());
    let newest =
        built.max_by_key(|path| path.metadata().and_then(|about| about.modified()).ok())?;
    let name = newest.file_name()?.to_string_lossy().into_owned();
    let version = name.split('-').next().unwrap_or_default().to_owned();
    Some((newest.join("jaeger"), version))
}

/// Without a queue a request is answered when the receiver has it; a full queue waits.
fn config_text(port: u16, to: u16, batches: bool) -> String {
    let (processors, queue) = match batches {
        true => ("[batch]", "{ enabled: true, block_on_overflow: true }"),
        false => ("[]", "{ enabled: false }"),
    };
    format!(
        "receivers:\n  otlp: {{ protocols: {{ grpc: {{ endpoint: \"127.0.0.1:{port}\" }} }} }}\n\
         processors:\n  batch: {{}}\n\
         exporters:\n  otlp: {{ endpoint: \"127.0.0.1:{to}\", tls: {{ insecure: true }}, \
           compression: none, sending_queue: {queue} }}\n\
         service:\n  telemetry: {{ metrics: {{ level: none }} }}\n  pipelines:\n    \
           traces: {{ receivers: [otlp], processors: {processors}, exporters: [otlp] }}\n"
    )
}
