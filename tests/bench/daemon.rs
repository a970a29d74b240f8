//! One run of the whole daemon in a child process, and what it cost.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::{clock, counting, floor, receiver, scrape, spent};

/// What is switched on.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) detect: bool,
    pub(crate) fields: bool,
    pub(crate) disk: bool,
    pub(crate) rate: f64,
}

/// What a run cost.
pub(crate) struct Outcome {
    pub(crate) records: u64,
    pub(crate) cpu_ns: f64,
    pub(crate) floor_ns: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) allocations: u64,
    /// Cycles a nanosecond, as measured just before and just after: the mean.
    pub(crate) cycles_per_ns: f64,
    /// What was read, what the spool wrote, and how often it synced.
    pub(crate) bytes_in: u64,
    pub(crate) written_bytes: f64,
    pub(crate) syncs: f64,
    pub(crate) wall: Duration,
}

/// The longest that a run may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// The child: the daemon as `main` would run it, then the floor, then a line of figures.
pub(crate) fn child(config: &Path, input: &Path) {
    let args = ["sidewake", "run", "--grace", "10s", "--config"].map(std::ffi::OsString::from);
    let args = args.into_iter().chain([config.as_os_str().to_owned()]);
    let cli = sidewake::cli::parse(args).unwrap_or_else(|exit| panic!("{}", exit.text));
    sidewake::cli::execute(&cli).unwrap_or_else(|exit| panic!("{}", exit.text));
    let (cpu_ns, allocations) = (spent::process_cpu_ns(), counting::allocations());
    let peak_rss_kb = peak_rss_kb();
    let after = clock::cycles_per_ns();
    let floor_ns = floor::run(input).expect("the floor");
    println!("{cpu_ns} {allocations} {peak_rss_kb} {floor_ns} {after}");
}

fn peak_rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// Runs the daemon on `input` once.
pub(crate) fn run(setup: Setup, folder: &Path, input: &Path, run: usize) -> Outcome {
    let before = clock::cycles_per_ns();
    let (port, counts) = receiver::start();
    let admin = scrape::free_port();
    let config = folder.join(format!("run-{run}.yaml"));
    let text = config_text(setup, folder, input, run, port, admin);
    std::fs::write(&config, text).expect("the config");
    let child = Command::new(std::env::current_exe().expect("this binary"))
        .args([Path::new("--child"), &config, input])
        // Without a disk spool the source's state goes below the working directory.
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child");
    let begun = Instant::now();
    let bytes = std::fs::metadata(input).expect("the input").len();
    let mut records = None;
    while records.is_none() && begun.elapsed() < DEADLINE {
        // Polled rarely: a scrape is part of the child's cost.
        std::thread::sleep(Duration::from_millis(100));
        records = scrape::metrics(admin).and_then(|text| accounted(&text, bytes));
    }
    let wall = begun.elapsed();
    let (records, written_bytes, syncs) = records.expect("every record is accounted for in time");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let output = child.wait_with_output().expect("the child's figures");
    std::fs::remove_dir_all(super::spool_folder(folder, run)).ok();
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [cpu_ns, allocations, peak_rss_kb, floor_ns, after] = figures[..] else {
        panic!("the child printed {text:?}")
    };
    assert!(counts.entries.load(Relaxed) > 0, "the receiver got nothing");
    Outcome {
        records,
        cpu_ns,
        floor_ns,
        peak_rss_mb: peak_rss_kb / 1024.0,
        allocations: allocations as u64,
        cycles_per_ns: f64::midpoint(before, after),
        bytes_in: bytes,
        written_bytes,
        syncs,
        wall,
    }
}

/// The number of records once all bytes are read and every route has dealt with all of its events;
/// what the spool wrote meanwhile, and its syncs.
fn accounted(text: &str, bytes: u64) -> Option<(u64, f64, f64)> {
    let sum = |name| scrape::sum(text, name);
    let read = sum("sidewake_source_received_bytes_total");
    let (all, spooled) = (sum("sidewake_route_events_total"), sum("sidewake_route_spooled_events"));
    let done = sum("sidewake_route_delivered_events_total")
        + sum("sidewake_route_sampled_out_events_total")
        + sum("sidewake_route_dead_letter_events_total");
    let spool = (sum("sidewake_spool_written_bytes_total"), sum("sidewake_spool_syncs_total"));
    let is_done = read >= bytes as f64 && spooled == 0.0 && done == all && all > 0.0;
    is_done.then_some((all as u64, spool.0, spool.1))
}

fn config_text(
    setup: Setup,
    folder: &Path,
    input: &Path,
    run: usize,
    port: u16,
    admin: u16,
) -> String {
    let spool = super::spool_folder(folder, run);
    let key = folder.join("key");
    std::fs::write(&key, "k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")
        .expect("the key");
    let detect = if setup.detect { "all" } else { "none" };
    let (fields, features) = if setup.fields {
        ("  fields: { password: drop, user_id: hash }\n", "{ sample: 5 }")
    } else {
        ("", "all")
    };
    let spool = match setup.disk {
        true => format!("{{ type: disk, path: {}, max: 2GiB }}", spool.display()),
        false => "{ type: memory, max: 512MiB }".to_owned(),
    };
    format!(
        "service: {{ name: bench }}\n\
         sources:\n  logs: {{ type: file, include: [{input}], format: plain }}\n\
         protect:\n  key: {{ file: {key} }}\n  detect: {detect}\n{fields}\
         sample:\n  rate: {{ application: {rate} }}\n\
         tiers:\n  application_logs: {{ retention: 30 days, sinks: [loki] }}\n  \
         prediction_logs: {{ retention: 90 days, sinks: [loki], features: {features} }}\n\
         sinks:\n  loki: {{ type: loki, endpoint: \"http://127.0.0.1:{port}\", max_line: 2MiB }}\n\
         spool: {spool}\n\
         admin: {{ listen: \"127.0.0.1:{admin}\" }}\n",
        input = input.display(),
        key = key.display(),
        rate = setup.rate,
    )
}
