//! Disks that are full, or read-only for a while: a real file system of a few MiB, mounted for one
//! daemon alone. Where no such thing may be mounted, the tests say so and pass.

use std::process::Command;

use super::fake_loki::Act;
use super::files::{Random, config, lines, text};
use super::http::Metrics;
use super::loki::Loki;
use super::rig::{Daemon, Place, until};

const TIER: &str = "application_logs";
const SMALL_DISK: &str = "mount -t tmpfs -o size=3m none spool";

/// Whether this machine lets us mount in a namespace of our own.
fn can_mount() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let mounts = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "none"])
        .arg(folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounts {
        println!("skipped: no mount namespaces here");
    }
    mounts
}

fn sick_place(when_full: &str) -> (Loki, Place) {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 1_000_000));
    let route = format!("[{{ name: loki, when_full: {when_full} }}]");
    let tiers = format!(
        "tiers:\n  {TIER}: {{ retention: 30 days, sinks: {route} }}\n  \
         prediction_logs: {{ retention: 90 days, sinks: [loki] }}\nspool:"
    );
    let place = Place::with(&config(&loki).replace("spool:", &tiers));
    std::fs::create_dir(place.path("spool")).expect("made");
    (loki, place)
}

/// Lines that packing does not make much smaller: 14 MB.
fn noisy_lines() -> Vec<String> {
    let mut random = Random::of(1);
    let mut noise =
        || (0..40).map(|_| format!("{:07x}", random.below(1 << 28))).collect::<String>();
    lines(0..40_000).iter().map(|line| format!("{line} {}", noise())).collect()
}

/// What the process has used so far, in seconds.
pub(crate) fn cpu_seconds(metrics: &Metrics) -> f64 {
    metrics.get("process_cpu_seconds_total")
}

fn settled(daemon: &Daemon, n_events: u64) -> Metrics {
    daemon.metrics_when("all is settled", |metrics| {
        metrics.route("events_total", TIER, "loki") == n_events
            && metrics.route("spooled_events", TIER, "loki") == 0
    })
}

/// 6 MB of lines for a disk of 3 MB, and nobody who takes them. Neither ends it nor makes it spin;
/// once the sink is well again all goes on. A route that blocks loses nothing; one that drops the
/// oldest counts each.
#[test]
fn a_full_disk_is_survived() {
    if !can_mount() {
        return;
    }
    for when_full in ["block", "drop_oldest"] {
        let (loki, mut place) = sick_place(when_full);
        let mut daemon = place.daemon_within(SMALL_DISK, &[]);
        let all: Vec<String> =
            lines(0..40_000).iter().map(|line| format!("{line} {:0>90}", 7)).collect();
        place.append("model.log", &text(&all));
        until("the disk is full", || daemon.stderr().contains("could not spool, retrying"));
        assert_eq!(daemon.get("/livez").0, 200);
        if when_full == "block" {
            // Readiness says so while it lasts, and nothing is burnt by trying.
            until("it is not ready", || daemon.get("/readyz").0 == 503);
            let before = cpu_seconds(&daemon.metrics());
            let begun = std::time::Instant::now();
            until("two seconds", || begun.elapsed().as_secs() >= 2);
            let used = cpu_seconds(&daemon.metrics()) - before;
            assert!(used < 1.0, "{used} s of two");
        }
        loki.fake.recover();
        let metrics = settled(&daemon, 40_000);
        metrics.assert_balanced();
        let dropped = metrics.dropped(TIER, "loki");
        println!("{when_full}: {dropped} dropped of 40,000");
        assert_eq!(loki.n_stored() as u64, 40_000 - dropped);
        if when_full == "block" {
            assert_eq!(dropped, 0);
            loki.assert_exactly(&all);
        }
        assert_eq!(daemon.get("/readyz").0, 200);
        daemon.stop();
    }
}

/// A share of the spool that is used up while the sink is dead: a route that blocks makes the file
/// wait and loses nothing, one that drops the oldest keeps the newest and counts the others.
#[test]
fn a_full_share_does_what_the_route_says() {
    for when_full in ["block", "drop_oldest"] {
        let (loki, mut place) = sick_place(when_full);
        let config = std::fs::read_to_string(place.path("sidewake.yaml")).expect("read");
        std::fs::write(
            place.path("sidewake.yaml"),
            config.replace(
                "type: disk,",
                "type: disk, max: 64MiB, shares: { application_logs: 5% },",
            ),
        )
        .expect("written");
        let mut daemon = place.daemon(&[]);
        let all = noisy_lines();
        place.append("model.log", &text(&all));
        if when_full == "block" {
            let writable = format!("sidewake_spool_writable{{tier=\"{TIER}\"}}");
            daemon.metrics_when("the share is full", |metrics| metrics.get(&writable) == 0.0);
            // Readiness follows no sink.
            assert_eq!(daemon.get("/readyz").0, 200);
        } else {
            daemon.metrics_when("all is read", |metrics| {
                metrics.route("events_total", TIER, "loki") == 40_000
            });
        }
        loki.fake.recover();
        let metrics = settled(&daemon, 40_000);
        metrics.assert_balanced();
        let dropped = metrics.dropped(TIER, "loki") as usize;
        println!("{when_full}: {dropped} dropped of 40,000");
        daemon.stop();
        assert_eq!(dropped > 0, when_full == "drop_oldest");
        if when_full == "block" {
            loki.assert_exactly(&all);
        } else {
            // What was in flight when its segment went came all the same: it is not counted twice.
            assert_eq!(loki.n_stored(), 40_000 - dropped);
            assert_eq!(loki.lines().last(), all.last());
        }
    }
}

/// A start on a file system that is read-only, as Linux makes it after an error, and is mounted
/// anew later: what was spooled before is delivered meanwhile, and what comes waits in its file.
#[test]
fn a_read_only_disk_is_waited_for() {
    if !can_mount() {
        return;
    }
    let (loki, mut place) = sick_place("drop_oldest");
    let all = lines(0..2000);
    place.append("model.log", &text(&all[..1000]));
    let mut daemon = place.daemon(&["--grace", "1s"]);
    daemon.metrics_when("all is spooled", |metrics| {
        metrics.route("spooled_events", TIER, "loki") == 1000
    });
    daemon.stop();
    loki.fake.recover();
    let read_only = "mount --bind spool spool && mount -o remount,bind,ro spool";
    let mut daemon = place.daemon_within(read_only, &[]);
    until("the lines from before", || loki.n_stored() >= 1000);
    place.append("model.log", &text(&all[1000..]));
    until("the disk refuses", || daemon.stderr().contains("could not spool, retrying"));
    until("it is not ready", || daemon.get("/readyz").0 == 503);
    let pid = daemon.child.id().to_string();
    let remounted = Command::new("nsenter")
        .args(["-t", &pid, "-U", "-m", "--preserve-credentials"])
        .args(["mount", "-o", "remount,bind,rw"])
        .arg(place.path("spool"))
        .output()
        .expect("nsenter");
    assert!(remounted.status.success(), "{remounted:?}");
    until("the lines from after", || loki.n_stored() >= 2000);
    until("it is ready", || daemon.get("/readyz").0 == 200);
    let metrics = daemon.metrics_when("nothing is spooled", |metrics| {
        metrics.route("spooled_events", TIER, "loki") == 0
    });
    metrics.assert_balanced();
    assert_eq!(metrics.dropped(TIER, "loki"), 0);
    daemon.stop();
    loki.assert_exactly(&all);
}
