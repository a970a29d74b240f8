//! One run of ours or of the peer between exposer and receiver, and what it cost.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::exposer::Asked;
use super::page::{Form, Pages};
use super::receiver::{self, Counts};
use super::{Plan, exposer, scrape};

/// What is run.
#[derive(Clone, Debug)]
pub(crate) enum Scraper {
    Ours,
    /// Prometheus in agent mode: its binary and version.
    Peer(PathBuf, String),
}

/// What the measured scrapes cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) cpu_ns: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) n_samples: f64,
    pub(crate) n_bytes: f64,
    pub(crate) n_requests: f64,
}

/// Beside as many intervals as there are scrapes.
const DEADLINE: Duration = Duration::from_secs(60);

impl Scraper {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ours => "ours".to_owned(),
            Self::Peer(_, version) => format!("Prometheus {version}, agent"),
        }
    }

    /// Starts it; with `BENCH_LOG` in the environment it tells what it does.
    fn start(&self, folder: &Path, plan: Plan, (from, to): (u16, u16)) -> Child {
        let config = folder.join("run.yaml");
        let text = match self {
            Self::Ours => our_config(folder, plan, (from, to)),
            Self::Peer(..) => peer_config(plan, (from, to)),
        };
        std::fs::write(&config, text).expect("the config");
        let mut command = match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_sidewake"));
                command.args(["run", "--config"]).arg(&config);
                command
            }
            Self::Peer(binary, _) => {
                let listen = format!("127.0.0.1:{}", scrape::free_port());
                let mut command = Command::new(binary);
                command.arg("--agent").arg("--config.file").arg(&config);
                command.arg("--storage.agent.path").arg(folder.join("data"));
                command.arg("--web.listen-address").arg(listen);
                command
            }
        };
        let (out, error) = match std::env::var_os("BENCH_LOG") {
            Some(_) => (Stdio::inherit(), Stdio::inherit()),
            None => (Stdio::null(), Stdio::null()),
        };
        command.current_dir(folder).stdout(out).stderr(error).spawn().expect("the scraper")
    }
}

/// Runs `scraper` once.
pub(crate) fn run(scraper: &Scraper, plan: Plan, pages: &Arc<Pages>) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, asked) = exposer::start(pages);
    let (to, counts) = receiver::start();
    // Made before they are asked for: nobody waits for the exposer, and it takes no CPU.
    for page in 0..=plan.scrapes + 2 {
        pages.page(page, Form { is_openmetrics: true, is_packed: true });
    }
    let running = Running(scraper.start(folder.path(), plan, (from, to)));
    measure(&running.0, plan, pages, (&asked, &counts))
}

/// A process that ends with the run.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What it costs from the second scrape's request to that of the one behind the last measured.
fn measure(
    child: &Child,
    plan: Plan,
    pages: &Pages,
    (asked, counts): (&Asked, &Mutex<Counts>),
) -> Outcome {
    let until =
        Instant::now() + DEADLINE + Duration::from_secs((plan.every_s * (plan.scrapes + 2)) as u64);
    let wait = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(Instant::now() < until, "scraped and delivered in time");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    // Whatever is gathered for a while is as much at one end as at the other.
    let at_scrape = |n: usize| {
        wait(&|| asked.lock().expect("unpoisoned").get("/metrics0").is_some_and(|had| *had > n));
        let counts = counts.lock().expect("unpoisoned");
        (cpu_ns(child.id()), counts.n_bytes, counts.n_requests)
    };
    let first = at_scrape(1);
    let last = at_scrape(1 + plan.scrapes);
    let n_samples = pages.n_samples * plan.targets;
    let n_expected = n_samples * (1 + plan.scrapes);
    wait(&|| counts.lock().expect("unpoisoned").n_samples >= n_expected);
    let peak_rss_mb = peak_rss_mb(child.id());
    check(plan, pages, &counts.lock().expect("unpoisoned"));
    Outcome {
        cpu_ns: last.0 - first.0,
        peak_rss_mb,
        n_samples: (n_samples * plan.scrapes) as f64,
        n_bytes: (last.1 - first.1) as f64,
        n_requests: (last.2 - first.2) as f64,
    }
}

fn peak_rss_mb(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kb: f64 = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0.0);
    kb / 1024.0
}

/// Every sample of every scrape that came out whole, with its value; each of those measured did,
/// but for the end of one that waits for the next scrape.
fn check(plan: Plan, pages: &Pages, counts: &Counts) {
    assert_eq!(counts.n_strange, 0, "requests that are none");
    let form = Form { is_openmetrics: true, is_packed: true };
    let whole = counts.by_time.values().filter(|(n, _)| *n == pages.n_samples);
    let whole: Vec<u64> = whole.map(|(_, sum)| *sum).collect();
    assert!(whole.len() >= plan.scrapes * plan.targets, "whole scrapes: {:?}", counts.by_time);
    let exposed: Vec<u64> =
        (0..=plan.scrapes + 2).map(|scrape| pages.page(scrape, form).sum).collect();
    assert!(whole.iter().all(|sum| exposed.contains(sum)), "values: {:?}", counts.by_time);
    let n_over = counts.by_time.values().filter(|(n, _)| *n > pages.n_samples).count();
    assert_eq!(n_over, 0, "samples came twice: {:?}", counts.by_time);
}

/// CPU nanoseconds of a process so far, ended threads included.
fn cpu_ns(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * 1e9 / rustix::param::clock_ticks_per_second() as f64
}

/// The newest Prometheus that was built.
pub(crate) fn find_peer() -> Option<Scraper> {
    let cache = std::env::var_os("SIDEWAKE_CACHE").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cache/sidewake"))
    })?;
    let built = std::fs::read_dir(cache.join("backends/prometheus")).ok()?.flatten();
    let built = built.map(|entry| entry.path()).filter(|path| path.join("prometheus").is_file());
    let newest =
        built.max_by_key(|path| path.metadata().and_then(|about| about.modified()).ok())?;
    let name = newest.file_name()?.to_string_lossy().into_owned();
    let version = name.split('-').next().unwrap_or_default().to_owned();
    Some(Scraper::Peer(newest.join("prometheus"), version))
}

/// Pages of 100,000 series have 11 MB: more than the limits that a sidecar has by itself.
fn our_config(folder: &Path, plan: Plan, (from, to): (u16, u16)) -> String {
    let key = folder.join("key");
    std::fs::write(&key, "k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")
        .expect("the key");
    let targets = (0..plan.targets).map(|at| format!("\"http://127.0.0.1:{from}/metrics{at}\""));
    format!(
        "service: {{ name: bench }}\n\
         memory: {{ limit: 64MiB }}\n\
         sources: {{ model: {{ type: prometheus, targets: [{targets}], every: {every}s, \
           body_size_limit: 16MiB, sample_limit: 200000 }} }}\n\
         protect: {{ key: {{ file: {key} }}, detect: all }}\n\
         sinks: {{ out: {{ type: prometheus_remote_write, protocol: \"2.0\", \
           endpoint: \"http://127.0.0.1:{to}/api/v1/write\" }},\n  \
           none: {{ type: files, path: {store} }} }}\n\
         tiers: {{ metrics: {{ sinks: [out] }}, traces: {{ sinks: [none] }}, \
           application_logs: {{ sinks: [none] }}, prediction_logs: {{ sinks: [none] }} }}\n\
         spool: {{ type: disk, path: {spool}, max: 2GiB }}\n\
         admin: {{ listen: \"127.0.0.1:{admin}\" }}\n",
        targets = targets.collect::<Vec<_>>().join(", "),
        every = plan.every_s,
        key = key.display(),
        spool = folder.join("spool").display(),
        store = folder.join("store").display(),
        admin = scrape::free_port(),
    )
}

fn peer_config(plan: Plan, (from, to): (u16, u16)) -> String {
    let mut text = format!(
        "global: {{ scrape_interval: {every}s }}\n\
         remote_write:\n  - url: \"http://127.0.0.1:{to}/api/v1/write\"\n    \
           protobuf_message: io.prometheus.write.v2.Request\n\
         scrape_configs:\n",
        every = plan.every_s,
    );
    for at in 0..plan.targets {
        text.push_str(&format!(
            "  - job_name: bench{at}\n    metrics_path: /metrics{at}\n    \
               static_configs: [{{ targets: [\"127.0.0.1:{from}\"] }}]\n"
        ));
    }
    text
}
