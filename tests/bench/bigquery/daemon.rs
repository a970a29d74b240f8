//! One run of the whole daemon in a child process, fed at a pace, and what it cost.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::lines::Shape;
use super::{receiver, scrape, spent};

/// What a run cost, and what came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) n_rows: u64,
    pub(crate) n_appends: u64,
    pub(crate) n_bytes: u64,
    pub(crate) cpu_ns: f64,
    pub(crate) peak_rss_mb: f64,
    /// From the first byte to the last row.
    pub(crate) wall: Duration,
}

/// How long the last rows may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of lines before they come again: a second's, with a request id of its own each.
const BLOCK_LINES: usize = 50_000;
/// The file grows so often.
const STEP: Duration = Duration::from_millis(50);

/// The child: the daemon as `main` would run it, then what it has spent.
pub(crate) fn child(config: &Path) {
    let args = ["sidewake", "run", "--grace", "10s", "--config"].map(std::ffi::OsString::from);
    let args = args.into_iter().chain([config.as_os_str().to_owned()]);
    let cli = sidewake::cli::parse(args).unwrap_or_else(|exit| panic!("{}", exit.text));
    sidewake::cli::execute(&cli).unwrap_or_else(|exit| panic!("{}", exit.text));
    println!("{} {}", spent::process_cpu_ns(), peak_rss_kb());
}

fn peak_rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// Runs the daemon while its file grows.
pub(crate) fn run(shape: Shape, mb_per_second: usize, seconds: usize) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (port, counts) = receiver::start();
    let admin = scrape::free_port();
    let (config, input) = (folder.path().join("run.yaml"), folder.path().join("model.log"));
    std::fs::write(&config, config_text(folder.path(), port, admin)).expect("the config");
    std::fs::write(&input, b"").expect("the input");
    let child = Command::new(std::env::current_exe().expect("this binary"))
        .args([Path::new("--child"), &config])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child");
    let begun = Instant::now();
    let bytes = grow(&input, shape, mb_per_second * 1_000_000, seconds);
    let written = Instant::now();
    while !scrape::metrics(admin).is_some_and(|text| is_through(&text, bytes)) {
        let said = scrape::metrics(admin).unwrap_or_default();
        assert!(written.elapsed() < DEADLINE, "every row comes out in time: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let wall = begun.elapsed();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
    let output = child.wait_with_output().expect("the child's figures");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [cpu_ns, peak_rss_kb] = figures[..] else { panic!("the child printed {text:?}") };
    assert_eq!(counts.strange.load(Relaxed), 0, "appends that are none");
    Outcome {
        n_rows: counts.rows.load(Relaxed),
        n_appends: counts.appends.load(Relaxed),
        n_bytes: counts.bytes.load(Relaxed),
        cpu_ns,
        peak_rss_mb: peak_rss_kb / 1024.0,
        wall,
    }
}

/// Appends lines at a pace; how many bytes.
fn grow(path: &Path, shape: Shape, bytes_per_second: usize, seconds: usize) -> u64 {
    let (lines, _) = shape.lines(BLOCK_LINES);
    let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("the input");
    let (begun, mut n_written, mut at) = (Instant::now(), 0, 0);
    let total = bytes_per_second * seconds;
    while n_written < total {
        let due = (begun.elapsed().as_secs_f64() * bytes_per_second as f64) as usize;
        while n_written < due.min(total) {
            let room = (lines.len() - at).min(256 << 10);
            let end =
                memchr::memrchr(b'\n', &lines[at..at + room]).map_or(lines.len(), |n| at + n + 1);
            file.write_all(&lines[at..end]).expect("room on the disk");
            n_written += end - at;
            at = end % lines.len();
        }
        std::thread::sleep(STEP);
    }
    n_written as u64
}

/// Whether all bytes are read, and every event is dealt with.
fn is_through(text: &str, bytes: u64) -> bool {
    let sum = |name| scrape::sum(text, name);
    let (all, spooled) = (sum("sidewake_route_events_total"), sum("sidewake_route_spooled_events"));
    let done = sum("sidewake_route_delivered_events_total");
    let read = sum("sidewake_source_received_bytes_total");
    read >= bytes as f64 && spooled == 0.0 && done == all && all > 0.0
}

fn config_text(folder: &Path, port: u16, admin: u16) -> String {
    let key = folder.join("key");
    std::fs::write(&key, "k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n")
        .expect("the key");
    format!(
        "service: {{ name: bench }}\n\
         sources:\n  logs: {{ type: file, include: [{input}], format: plain }}\n\
         protect: {{ key: {{ file: {key} }}, detect: all }}\n\
         tiers:\n  prediction_logs: {{ retention: 90 days, sinks: [bigquery] }}\n\
         sinks:\n  bigquery: {{ type: bigquery, table: p.d.predictions, anonymous: true, \
           endpoint: \"{url}\", rest_endpoint: \"{url}\", delivery: exactly_once }}\n\
         spool: {{ type: disk, path: {spool}, max: 2GiB }}\n\
         admin: {{ listen: \"127.0.0.1:{admin}\" }}\n",
        input = folder.join("model.log").display(),
        key = key.display(),
        url = format_args!("http://127.0.0.1:{port}"),
        spool = folder.join("spool").display(),
    )
}
