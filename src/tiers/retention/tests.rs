//! What goes at which moment, and what must never be touched.

use std::fs;
use std::time::{Duration, SystemTime};

use super::*;

const DAY: i64 = 86_400_000_000_000;
/// 2026-01-04T00:00:00Z.
const MIDNIGHT: i64 = 1_767_484_800_000_000_000;
const FILE: &str = "0000000000000000-00000000000000ff.jsonl";

fn store(paths: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("folder");
    for path in paths {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, b"{}\n").expect("written");
    }
    root
}

fn keep(tier: &str, n_days: u64) -> Retention {
    Retention { tier: tier.to_owned(), keep: Duration::from_secs(n_days * 86_400) }
}

fn expired(root: &Path, tiers: &[Retention], now_ns: i64) -> Vec<String> {
    let plan = plan(root, tiers, now_ns).expect("a plan");
    plan.days.iter().map(|day| format!("{}/{}", day.tier, name::day_folder(day.day))).collect()
}

/// A day goes at the very moment its end is a retention old, in its own tier only.
#[test]
fn the_edge_of_a_day() {
    let paths =
        ["a/2026-01-03/", "a/2026-01-04/", "b/2026-01-03/"].map(|day| day.to_owned() + FILE);
    let root = store(&paths.each_ref().map(String::as_str));
    let tiers = [keep("a", 30), keep("b", 90), keep("none", 1)];
    for (now_ns, days) in [
        (MIDNIGHT + 30 * DAY - 1, &[][..]),
        (MIDNIGHT + 30 * DAY, &["a/2026-01-03"]),
        (MIDNIGHT + 31 * DAY - 1, &["a/2026-01-03"]),
        (MIDNIGHT + 31 * DAY, &["a/2026-01-03", "a/2026-01-04"]),
        (MIDNIGHT + 90 * DAY, &["a/2026-01-03", "a/2026-01-04", "b/2026-01-03"]),
        (MIDNIGHT - 400 * DAY, &[]),
    ] {
        assert_eq!(expired(root.path(), &tiers, now_ns), days, "{now_ns}");
    }
    let plan = plan(root.path(), &tiers, MIDNIGHT + 30 * DAY).expect("a plan");
    assert_eq!((plan.days[0].files.as_slice(), plan.days[0].n_bytes), (&[FILE.to_owned()][..], 3));
    assert!(root.path().join("a/2026-01-03").join(FILE).exists(), "a plan removes nothing");
    let report = apply(root.path(), &plan);
    assert_eq!((report.n_files, report.n_bytes, report.n_folders), (1, 3, 1));
    assert!(report.failures.is_empty());
    assert!(!root.path().join("a/2026-01-03").exists());
    assert!(root.path().join("a/2026-01-04").join(FILE).exists());
    assert!(root.path().join("b/2026-01-03").join(FILE).exists());
}

#[test]
fn foreign_names_stay_with_their_folder() {
    let root = store(&[
        &format!("a/2026-01-03/{FILE}"),
        "a/2026-01-03/notes.txt",
        "a/2026-01-03/0-1.jsonl",
        &format!("a/2026-1-3/{FILE}"),
        &format!("a/backup/{FILE}"),
        "a/2026-01-02",
    ]);
    let plan =
        plan(root.path(), &[keep("a", 1), keep("..", 0)], MIDNIGHT + 40 * DAY).expect("plan");
    assert_eq!(plan.days.len(), 1);
    assert_eq!(plan.days[0].n_foreign, 2);
    let report = apply(root.path(), &plan);
    assert_eq!((report.n_files, report.n_folders), (1, 0));
    for path in ["a/2026-01-03/notes.txt", "a/2026-01-03/0-1.jsonl", "a/2026-01-02"] {
        assert!(root.path().join(path).exists(), "{path}");
    }
    assert!(!root.path().join("a/2026-01-03").join(FILE).exists());
    assert!(root.path().join("a/2026-1-3").join(FILE).exists());
    assert!(root.path().join("a/backup").join(FILE).exists());
}

/// Links lead nowhere: not as tier, not as day, not as file, and not when swapped in after the
/// plan.
#[test]
fn links_are_not_followed() {
    let outside = store(&[&format!("2026-01-03/{FILE}")]);
    let root = store(&[&format!("a/2026-01-02/{FILE}")]);
    let link = |target: &Path, path: &str| {
        std::os::unix::fs::symlink(target, root.path().join(path)).expect("linked");
    };
    link(&outside.path().join("2026-01-03"), "a/2026-01-03");
    let planned = plan(root.path(), &[keep("a", 1)], MIDNIGHT + 40 * DAY).expect("a plan");
    assert_eq!(planned.days.len(), 1);
    fs::remove_dir_all(root.path().join("a/2026-01-02")).expect("removed");
    link(&outside.path().join("2026-01-03"), "a/2026-01-02");
    let report = apply(root.path(), &planned);
    assert_eq!((report.n_files, report.failures.len()), (0, 1));
    link(outside.path(), "b");
    assert!(plan(root.path(), &[keep("b", 1)], MIDNIGHT + 40 * DAY).is_err());
    let file = outside.path().join("2026-01-03").join(FILE);
    fs::create_dir(root.path().join("a/2026-01-01")).expect("created");
    link(&file, &format!("a/2026-01-01/{FILE}"));
    let planned = plan(root.path(), &[keep("a", 1)], MIDNIGHT + 40 * DAY).expect("a plan");
    assert_eq!((planned.days[0].files.len(), planned.days[0].n_foreign), (0, 1));
    assert_eq!(apply(root.path(), &planned).n_files, 0);
    assert!(file.exists());
}

/// What a killed writer left goes an hour later, in a folder of any age; a younger one has a
/// writer.
#[test]
fn leftovers_of_a_crash() {
    let temporary = name::temporary(FILE);
    let root = store(&[&format!("a/2026-01-04/{temporary}"), "a/2026-01-04/.mine.tmp"]);
    let path = root.path().join("a/2026-01-04").join(&temporary);
    let noon = SystemTime::UNIX_EPOCH + Duration::from_nanos(MIDNIGHT.unsigned_abs());
    let file = fs::File::options().append(true).open(&path).expect("opened");
    file.set_modified(noon).expect("set");
    let leftovers = |after: i64| {
        plan(root.path(), &[keep("a", 30)], MIDNIGHT + after).expect("a plan").leftovers
    };
    assert_eq!(leftovers(3_600_000_000_000), []);
    let found = leftovers(3_601_000_000_000);
    assert_eq!(found.len(), 1);
    let report = apply(root.path(), &Plan { days: Vec::new(), leftovers: found });
    assert_eq!((report.n_files, report.n_bytes), (1, 3));
    assert!(!path.exists());
    assert!(root.path().join("a/2026-01-04/.mine.tmp").exists());
}

#[test]
fn a_store_that_is_not_there_has_nothing() {
    let root = tempfile::tempdir().expect("folder");
    let plan = plan(&root.path().join("missing"), &[keep("a", 1)], MIDNIGHT).expect("a plan");
    assert_eq!(plan, Plan::default());
}
