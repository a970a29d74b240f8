//! One run of a process between the clients and the receiver, and what it cost.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::load::{self, Load};
use super::receiver::{self, Counts};
use super::{Case, counting, scrape};

/// What a run cost, and what came out.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) cpu_ns: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) allocations: f64,
    pub(crate) syncs: f64,
    pub(crate) wall: Duration,
    /// Requests that the receiver got.
    pub(crate) requests: u64,
}

/// The longest that a run may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// The child: the daemon as `main` would run it, then how often it allocated.
pub(crate) fn daemon(config: &Path) {
    let args = ["sidewake", "run", "--grace", "10s", "--config"].map(std::ffi::OsString::from);
    let args = args.into_iter().chain([config.as_os_str().to_owned()]);
    let cli = sidewake::cli::parse(args).unwrap_or_else(|exit| panic!("{}", exit.text));
    sidewake::cli::execute(&cli).unwrap_or_else(|exit| panic!("{}", exit.text));
    println!("{}", counting::allocations());
}

/// Sends `load` through the daemon once.
pub(crate) fn run_daemon(case: Case, load: &std::sync::Arc<Load>) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (port, admin) = (scrape::free_port(), scrape::free_port());
    let (to, counts) = receiver::start(case, load.n_items());
    let config = folder.path().join("run.yaml");
    std::fs::write(&config, config_text(case, folder.path(), (port, admin, to)))
        .expect("the config");
    let child = Command::new(std::env::current_exe().expect("this binary"))
        .args([Path::new("--child"), &config])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child");
    let mut outcome = measure(&child, port, load, &counts);
    let text = scrape::metrics(admin).expect("metrics");
    outcome.syncs = scrape::sum(&text, "sidewake_spool_syncs_total");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let output = child.wait_with_output().expect("the child's figure");
    let text = String::from_utf8_lossy(&output.stdout);
    let allocations = text.trim().parse().unwrap_or_else(|_| panic!("the child printed {text:?}"));
    check(&counts, load);
    Outcome { allocations, ..outcome }
}

/// Sends `load` once through what only relays it, the `way` given.
pub(crate) fn run_relay(way: &str, case: Case, load: &std::sync::Arc<Load>) -> Outcome {
    let port = scrape::free_port();
    let (to, counts) = receiver::start(case, load.n_items());
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args([way, &port.to_string(), &to.to_string()])
        .spawn()
        .expect("the relay");
    let outcome = measure(&child, port, load, &counts);
    child.kill().expect("a signal");
    child.wait().expect("its end");
    check(&counts, load);
    outcome
}

/// Each once, and nothing else.
pub(crate) fn check(counts: &Counts, load: &Load) {
    assert_eq!(counts.items.load(Relaxed), load.n_items(), "items came out");
    assert_eq!(counts.repeated.load(Relaxed), 0, "items came out twice");
    assert_eq!(counts.strange.load(Relaxed), 0, "requests or items that nobody sent");
}

/// What the process costs that listens on `port`, until all of `load` came out of it.
pub(crate) fn measure(
    child: &Child,
    port: u16,
    load: &std::sync::Arc<Load>,
    counts: &Counts,
) -> Outcome {
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < DEADLINE, "the child listens in time");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (begun, before) = (Instant::now(), cpu_ns(child.id()));
    load::send(load, port, load.n_connections());
    while counts.items.load(Relaxed) < load.n_items() {
        assert!(begun.elapsed() < DEADLINE, "all items come out in time");
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kb: f64 = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0.0);
    Outcome {
        cpu_ns: cpu_ns(child.id()) - before,
        peak_rss_mb: kb / 1024.0,
        allocations: 0.0,
        syncs: 0.0,
        wall: begun.elapsed(),
        requests: counts.requests.load(Relaxed),
    }
}

/// CPU nanoseconds of a process so far: its threads', of which none ends in a run.
fn cpu_ns(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let spent = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    spent.sum()
}

fn config_text(case: Case, folder: &Path, (port, admin, to): (u16, u16, u16)) -> String {
    let key = folder.join("key");
    std::fs::write(&key, "k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")
        .expect("the key");
    format!(
        "service: {{ name: bench }}\n\
         sources: {{ otlp: {{ type: otlp, grpc: \"127.0.0.1:{port}\", http: off }} }}\n\
         protect: {{ key: {{ file: {key} }}, detect: all }}\n\
         sinks: {{ out: {{ type: otlp, endpoint: \"http://127.0.0.1:{to}\", \
           compression: {packing} }} }}\n\
         spool: {{ type: disk, path: {spool}, max: 2GiB }}\n\
         admin: {{ listen: \"127.0.0.1:{admin}\" }}\n",
        key = key.display(),
        packing = case.packing.unwrap_or("none"),
        spool = folder.join("spool").display(),
    )
}
