//! Disks that answer late, or with EIO: strace stands between the daemon and the kernel, delays its
//! syncs or fails them, and goes away again. Where strace is not there, or may not attach, the
//! tests say so and pass.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::disks::cpu_seconds;
use super::files::{config, lines, text};
use super::loki::Loki;
use super::rig::{Daemon, Place, until};

const TIER: &str = "application_logs";

/// A fault of the disk, from its beginning to its end.
pub(crate) struct Fault {
    strace: Child,
    threads: String,
}

impl Fault {
    /// `inject` is what strace calls so: system calls, and what becomes of them.
    pub(crate) fn begin(daemon: &Daemon, inject: &[&str]) -> Option<Self> {
        let pid = daemon.child.id().to_string();
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o", "/dev/null", "-e", "trace=fdatasync,fsync,pwritev"]);
        command.args(inject.iter().map(|what| format!("--inject={what}")));
        command.args(["-p", &pid]).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut strace) = command.spawn() else {
            println!("skipped: no strace here");
            return None;
        };
        let threads = format!("/proc/{pid}/task");
        let mut is_over = false;
        until("strace is attached", || {
            is_over = strace.try_wait().expect("waited for").is_some();
            is_over || (n_threads(&threads, true) > 0 && n_threads(&threads, false) == 0)
        });
        if is_over {
            println!("skipped: strace may not attach here");
            return None;
        }
        Some(Self { strace, threads })
    }

    /// The disk is well again.
    fn end(mut self) {
        let pid = Pid::from_raw(self.strace.id() as i32).expect("a pid");
        rustix::process::kill_process(pid, Signal::INT).expect("sent");
        self.strace.wait().expect("waited for");
        until("strace is gone", || n_threads(&self.threads, true) == 0);
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        // An error is one that has ended.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// Threads that are traced, or that are not.
fn n_threads(folder: &str, are_traced: bool) -> usize {
    let threads = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let status = threads.filter_map(|at| std::fs::read_to_string(at.path().join("status")).ok());
    status.filter(|status| status.contains("TracerPid:\t0\n") != are_traced).count()
}

/// A share of the time that went by since `begun`, of which `before` seconds of CPU were used.
fn cpu_share(daemon: &Daemon, begun: Instant, before: f64) -> f64 {
    (cpu_seconds(&daemon.metrics()) - before) / begun.elapsed().as_secs_f64()
}

#[track_caller]
fn assert_settled(daemon: &Daemon, n_events: usize) {
    let metrics = daemon.metrics_when("nothing is spooled", |metrics| {
        metrics.route("spooled_events", TIER, "loki") == 0
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("delivered_events_total", TIER, "loki") as usize, n_events);
    assert_eq!(metrics.dropped(TIER, "loki"), 0);
    assert_eq!(daemon.get("/readyz").0, 200);
}

/// Syncs of 200 ms each: all goes on, only later, and nothing is burnt by waiting. What a sink has
/// answered meanwhile is written down while the sync lasts: a kill repeats nothing of it.
#[test]
fn a_slow_disk_repeats_nothing_that_was_answered() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..2000);
    let mut n_lines = 0;
    for round in 0..4 {
        let mut daemon = place.daemon(&[]);
        daemon.admin();
        let slow = ["fdatasync:delay_enter=200000", "fsync:delay_enter=200000"];
        let Some(fault) = Fault::begin(&daemon, &slow) else { return };
        let (begun, before) = (Instant::now(), cpu_seconds(&daemon.metrics()));
        for part in all[round * 500..][..500].chunks(50) {
            place.append("model.log", &text(part));
            n_lines += part.len();
            until("the lines, late", || loki.n_stored() >= n_lines);
            assert_eq!((daemon.get("/livez").0, daemon.get("/readyz").0), (200, 200));
        }
        assert!(begun.elapsed() >= Duration::from_secs(2), "ten syncs of 200 ms");
        let used = cpu_share(&daemon, begun, before);
        assert!(used < 0.5, "{used} of a CPU, while it waits for the disk");
        if round < 3 {
            // In the middle of a sync, with the last answer read.
            daemon.metrics_when("the answer is read", |metrics| {
                metrics.route("delivered_events_total", TIER, "loki") >= 500
            });
            place.append("model.log", "one more\n");
            n_lines += 1;
            until("it is read", || {
                let metrics = daemon.metrics();
                metrics.route("spooled_events", TIER, "loki") == 1
            });
            daemon.kill();
            drop(fault);
        } else {
            fault.end();
            assert_settled(&daemon, 501);
            daemon.stop();
        }
    }
    let again = loki.fake.came_again();
    let n_answered = again.iter().filter(|answer| answer.written_at().is_some()).count();
    assert_eq!(n_answered, 0, "answered, and sent again");
    assert_eq!(loki.n_stored(), n_lines);
}

/// A disk that answers everything with EIO: the daemon says so, neither ends nor spins, and goes on
/// by itself once the disk is well.
#[test]
fn a_disk_that_refuses_everything_is_waited_for() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let all = lines(0..3000);
    place.append("model.log", &text(&all[..1000]));
    let mut daemon = place.daemon(&[]);
    until("the lines from before", || loki.n_stored() >= 1000);
    let sick = ["fdatasync:error=EIO", "fsync:error=EIO", "pwritev:error=EIO"];
    let Some(fault) = Fault::begin(&daemon, &sick) else { return };
    place.append("model.log", &text(&all[1000..2000]));
    until("it says so", || daemon.stderr().contains("could not spool, retrying"));
    until("it is not ready", || daemon.get("/readyz").0 == 503);
    assert_eq!(daemon.get("/livez").0, 200);
    let writable = format!("sidewake_spool_writable{{tier=\"{TIER}\"}}");
    let metrics = daemon.metrics();
    assert_eq!((metrics.get(&writable), metrics.get("sidewake_ready")), (0.0, 0.0));
    metrics.assert_balanced();
    let (begun, before) = (Instant::now(), cpu_seconds(&metrics));
    place.append("model.log", &text(&all[2000..]));
    until("two seconds", || begun.elapsed() >= Duration::from_secs(2));
    let used = cpu_share(&daemon, begun, before);
    assert!(used < 0.5, "{used} of a CPU, while it waits for the disk");
    assert_eq!(loki.n_stored(), 1000, "nothing is delivered that is not durable");
    fault.end();
    until("the other lines", || loki.n_stored() >= 3000);
    until("it is ready", || daemon.get("/readyz").0 == 200);
    assert_settled(&daemon, 3000);
    daemon.stop();
    loki.assert_exactly(&all);
}

/// Every third sync and every fifth write fails: each line arrives all the same while that lasts,
/// once and in order.
#[test]
fn a_disk_that_refuses_now_and_then_loses_nothing() {
    let loki = Loki::start();
    let mut place = Place::with(&config(&loki));
    let mut daemon = place.daemon(&[]);
    daemon.admin();
    let flaky = ["fdatasync:error=EIO:when=2+3", "pwritev:error=EIO:when=3+5"];
    let Some(fault) = Fault::begin(&daemon, &flaky) else { return };
    let all = lines(0..2000);
    let (begun, before) = (Instant::now(), cpu_seconds(&daemon.metrics()));
    for (n, part) in all.chunks(100).enumerate() {
        place.append("model.log", &text(part));
        until("the lines", || loki.n_stored() >= (n + 1) * 100);
    }
    assert!(daemon.stderr().contains("could not spool, retrying"));
    let used = cpu_share(&daemon, begun, before);
    assert!(used < 0.8, "{used} of a CPU");
    fault.end();
    until("it is ready", || daemon.get("/readyz").0 == 200);
    assert_settled(&daemon, 2000);
    daemon.stop();
    loki.assert_exactly(&all);
}
