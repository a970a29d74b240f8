//! A writer killed at any instant leaves whole files only, and temporary ones that are known as
//! such.

#[path = "store_files/support.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use sidewake::sinks::LogRange;
use sidewake::sinks::files::{Files, name, place};
use sidewake::store::{Query, Search};

const ROOT: &str = "SIDEWAKE_TEST_STORE_ROOT";
const TIERS: [&str; 2] = ["prediction_logs", "application_logs"];

/// Not a test of its own: what the test below starts and kills. Writes files until then.
#[test]
fn writer() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let pad = "x".repeat(300);
    let lines: Vec<String> = (0..2000)
        .map(|n| format!(r#"{{"request_id":"r-{n}","features":{{"n":{n}}},"pad":"{pad}"}}"#))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let batch = [support::batch(&lines, |_, _| {})];
    for from in 0..u64::MAX {
        for tier in TIERS {
            let files = Files::new(Path::new(&root).to_owned(), tier);
            let body = support::encode(&files, &batch, LogRange { from, to: from + 1 });
            place::place(Path::new(&root), &body.file_name, &body.bytes.into()).expect("placed");
            println!("placed");
        }
    }
}

#[test]
fn killed_writers_leave_whole_files() {
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 100 } else { 8 };
    for round in 0..rounds {
        let root = tempfile::tempdir().expect("folder");
        let mut writer = Command::new(std::env::current_exe().expect("this test"))
            .args(["writer", "--exact", "--nocapture"])
            .env(ROOT, root.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let stdout = writer.stdout.take().expect("piped");
        let placed = BufReader::new(stdout).lines().map_while(Result::ok);
        assert_eq!(
            placed.filter(|line| line == "placed").take(1 + round % 7).count(),
            1 + round % 7
        );
        writer.kill().expect("killed");
        writer.wait().expect("gone");
        check(root.path());
    }
}

fn check(root: &Path) {
    let mut n_files = [0, 0];
    for (tier, n_files) in TIERS.iter().zip(&mut n_files) {
        let Ok(days) = std::fs::read_dir(root.join(tier)) else { continue };
        for day in days {
            for file in std::fs::read_dir(day.expect("day").path()).expect("folder") {
                let file = file.expect("file").file_name().into_string().expect("a name");
                assert!(name::parse_file(&file).is_some() || name::is_temporary(&file), "{file}");
                *n_files += usize::from(name::parse_file(&file).is_some());
            }
        }
    }
    assert!(n_files[0] > 0);
    // The last line of every file is there, and no file is broken.
    let mut search = Search::new(Query { id: "r-1999".into(), ..Query::default() });
    search.scan(root).expect("a store");
    assert!(search.problems.is_empty(), "{:?}", search.problems);
    // All files hold the same events: each tier's counts once.
    assert_eq!(search.finish().len(), n_files.iter().filter(|n| **n > 0).count());
    for file in std::fs::read_dir(root.join(TIERS[1])).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(file.path()).expect("folder").flatten() {
            if name::parse_file(&file.file_name().to_string_lossy()).is_some() {
                let text = std::fs::read_to_string(file.path()).expect("text");
                assert_eq!(text.lines().count(), 2000);
                assert!(text.ends_with("}\n"));
            }
        }
    }
}
