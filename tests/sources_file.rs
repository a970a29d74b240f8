//! `file` with real files: every rotation, running and down, every crash, no line lost or doubled.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sidewake::event::record::Flags;
use sidewake::sources::file::{Files, Format, Options, StartAt};
use sidewake::sources::{Context, Ended, Source, SourceError, Stage, Stop};
use sidewake::telemetry::SourceCounters;

#[path = "sources_fake/intake.rs"]
mod fake;
use fake::Fake;

/// A directory of logs, and what was read of them over all runs.
struct Logs {
    dir: tempfile::TempDir,
    fake: Fake,
    options: Options,
}

struct Run {
    stop: Stop,
    counters: Arc<SourceCounters>,
    thread: JoinHandle<Result<Ended, SourceError>>,
}

impl Logs {
    fn new() -> Self {
        Self::with_pattern("*.log")
    }

    fn with_pattern(pattern: &str) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir(dir.path().join("logs")).expect("dir");
        let include = dir.path().join("logs").join(pattern).to_string_lossy().into_owned();
        let mut options = Options::new(vec![include], dir.path().join("state"));
        options.rotate_wait = Duration::from_millis(50);
        options.lines.linger = Duration::from_millis(2);
        Self { dir, fake: Fake::new(4096), options }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file =
            OpenOptions::new().append(true).create(true).open(self.path(name)).expect("open");
        file.write_all(text.as_bytes()).expect("write");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("rename");
    }

    fn copy_truncate(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).expect("copy");
        File::options().write(true).open(self.path(from)).expect("open").set_len(0).expect("cut");
    }

    fn start(&self) -> Run {
        let counters = Arc::new(SourceCounters::default());
        let context =
            Context { name: "logs".into(), counters: Arc::clone(&counters), ..Context::default() };
        let source = Box::new(Files::new(context, self.options.clone()));
        let stop = Stop::new().expect("descriptors");
        let (intake, token) = (Box::new(self.fake.clone()), stop.clone());
        let thread = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || source.run(intake, token))
            .expect("thread");
        Run { stop, counters, thread }
    }

    /// A run that reads what is there and ends.
    fn once(&self) {
        self.start().end(Stage::Drain);
    }

    fn texts(&self) -> Vec<String> {
        self.fake.log().events().map(|event| event.text.clone()).collect()
    }

    /// Exactly these lines, each once, in any order between files.
    fn assert_texts<T: Into<String>>(&self, case: &str, expected: impl IntoIterator<Item = T>) {
        let mut found = self.texts();
        let mut expected: Vec<String> = expected.into_iter().map(Into::into).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "in the case: {case}");
    }
}

impl Run {
    fn end(self, stage: Stage) {
        self.stop.reach(stage);
        self.thread.join().expect("no panic").expect("no error");
    }
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("{{\"line\":{n}}}\n")).collect()
}

fn texts(from: usize, to: usize) -> Vec<String> {
    lines(from, to).lines().map(str::to_owned).collect()
}

#[test]
fn follows_and_goes_on() {
    let logs = Logs::new();
    logs.append("a.log", &lines(0, 10));
    let run = logs.start();
    logs.fake.wait_for_texts(10);
    logs.append("a.log", "{\"line\":10}\n{\"li");
    logs.fake.wait_for_texts(11);
    logs.append("a.log", "ne\":11}\n");
    logs.fake.wait_for_texts(12);
    logs.append("b.log", "{\"line\":12}\n");
    logs.append("b.txt", "not ours\n");
    logs.fake.wait_for_texts(13);
    logs.append("a.log", &lines(13, 15));
    run.end(Stage::Drain);
    logs.append("a.log", &lines(15, 20));
    logs.once();
    logs.once();
    logs.assert_texts("all", texts(0, 20));
    let log = logs.fake.log();
    let paths: std::collections::BTreeSet<_> = log.events().map(|e| e.path.clone()).collect();
    assert_eq!(paths.len(), 2);
}

/// How a log is rotated: the name, the pattern, and the rotation of `a.log`, which takes the
/// number.
type Rotation = (&'static str, &'static str, fn(&Logs, usize));

const ROTATIONS: [Rotation; 7] = [
    ("rename", "*.log", |logs, n| logs.rename("a.log", &format!("a.log.{n}"))),
    ("rename, still matched", "*.log*", |logs, n| logs.rename("a.log", &format!("a.log.{n}"))),
    ("copytruncate", "*.log", |logs, n| logs.copy_truncate("a.log", &format!("a.log.{n}"))),
    ("copytruncate, matched", "*.log*", |logs, n| {
        logs.copy_truncate("a.log", &format!("a.log-{n}"));
    }),
    ("delete", "*.log", |logs, _| fs::remove_file(logs.path("a.log")).expect("remove")),
    ("rename over", "*.log", |logs, n| {
        // A new file, complete at once, takes the name.
        logs.append("new", &lines(1000 * n, 1000 * n + 1));
        logs.rename("new", "a.log");
    }),
    ("rename away", "*.log", |logs, n| {
        fs::create_dir_all(logs.dir.path().join("old")).expect("dir");
        fs::rename(logs.path("a.log"), logs.dir.path().join("old").join(n.to_string()))
            .expect("rename");
    }),
];

/// All lines are alike at their head: each file begins with the same long banner.
fn banner() -> String {
    format!("{}\n", "=".repeat(300))
}

/// While we run: every line that was read or could be read is there once.
#[test]
fn rotations_while_running() {
    for (name, pattern, rotate) in ROTATIONS {
        let logs = Logs::with_pattern(pattern);
        let run = logs.start();
        let mut expected = Vec::new();
        for n in 1..4 {
            let text = banner() + &lines(n * 10, n * 10 + 5);
            logs.append("a.log", &text);
            expected.extend(text.lines().map(str::to_owned));
            logs.fake.wait(name, |log| log.events().count() >= expected.len());
            // These need not be read yet when the rotation comes, except where it destroys them.
            logs.append("a.log", &lines(n * 10 + 5, n * 10 + 7));
            expected.extend(texts(n * 10 + 5, n * 10 + 7));
            if matches!(name, "delete" | "rename over" | "rename away") {
                logs.fake.wait(name, |log| log.events().count() >= expected.len());
            }
            rotate(&logs, n);
            if name == "rename over" {
                expected.extend(texts(1000 * n, 1000 * n + 1));
                logs.fake.wait(name, |log| log.events().count() >= expected.len());
            }
        }
        run.end(Stage::Drain);
        logs.once();
        logs.assert_texts(name, expected);
    }
}

/// While we are down: everything that still exists is read from where we were.
#[test]
fn rotations_while_down() {
    for (name, pattern, rotate) in ROTATIONS {
        let logs = Logs::with_pattern(pattern);
        let mut expected = Vec::new();
        for n in 1..4 {
            let text = banner() + &lines(n * 10, n * 10 + 5);
            logs.append("a.log", &text);
            expected.extend(text.lines().map(str::to_owned));
            logs.once();
            let survives = !matches!(name, "delete" | "rename over" | "rename away");
            if survives {
                logs.append("a.log", &lines(n * 10 + 5, n * 10 + 7));
                expected.extend(texts(n * 10 + 5, n * 10 + 7));
            }
            rotate(&logs, n);
            if name == "rename over" {
                expected.extend(texts(1000 * n, 1000 * n + 1));
            }
            if n % 2 == 0 {
                logs.once();
            }
        }
        logs.once();
        logs.once();
        logs.assert_texts(name, expected);
    }
}

/// Kubernetes: CRI through symbolic links, both streams, a kubelet's rotation, what the path tells.
#[test]
fn kubernetes() {
    let mut logs = Logs::new();
    let pod = logs.dir.path().join("pods/ml_fraud-0_ab-1/model");
    fs::create_dir_all(&pod).expect("dirs");
    let (log, rotated) = (pod.join("0.log"), pod.join("0.log.20260102-030405"));
    let t = "2026-01-02T03:04:05.6Z";
    let append = |path: &Path, lines: &[&str]| {
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open");
        lines.iter().for_each(|line| writeln!(file, "{t} {line}").expect("write"));
    };
    append(&log, &["stdout F {\"n\":1}", "stdout P {\"n\"", "stderr F err"]);
    std::os::unix::fs::symlink(&log, logs.path("fraud-0_ml_model-1.log")).expect("link");
    logs.options.include = vec![logs.path("*.log").to_string_lossy().into_owned()];
    let run = logs.start();
    logs.fake.wait_for_texts(1);
    append(&log, &["stdout F :2}"]);
    logs.fake.wait_for_texts(3);
    append(&log, &["stdout F {\"n\":3}"]);
    fs::rename(&log, &rotated).expect("rename");
    append(&log, &["stderr F {\"n\":4}"]);
    logs.fake.wait_for_texts(5);
    run.end(Stage::Drain);
    logs.assert_texts("k8s", ["{\"n\":1}", "{\"n\":2}", "err", "{\"n\":3}", "{\"n\":4}"]);
    let log = logs.fake.log();
    let flags: Vec<_> = log.events().map(|event| (event.text.as_str(), event.flags)).collect();
    assert!(flags.contains(&("{\"n\":2}", Flags::JOINED)), "{flags:?}");
    assert!(flags.contains(&("{\"n\":4}", Flags::STDERR)), "{flags:?}");
    assert!(log.events().all(|event| event.ts_ns > 0 && event.path.ends_with("model-1.log")));
}

#[test]
fn docker() {
    let logs = Logs::new();
    let line = |log: &str, stream: &str| {
        let time = "2026-01-02T03:04:05.6Z";
        format!("{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n")
    };
    logs.append("a.log", &line("{\\\"a\\\":", "stdout"));
    logs.append("a.log", &line("Traceback (most recent call last):\\n", "stderr"));
    logs.append("a.log", &line("1}\\n", "stdout"));
    logs.append("a.log", &line("  File\\n", "stderr"));
    logs.append("a.log", &line("ValueError\\n", "stderr"));
    let run = logs.start();
    logs.fake.wait_for_texts(2);
    run.end(Stage::Drain);
    let trace = "Traceback (most recent call last):\n  File\nValueError";
    logs.assert_texts("docker", ["{\"a\":1}", trace]);
}

/// A last line without newline: waits in a file that lives, goes when the file was left.
#[test]
fn unterminated_last_lines() {
    let logs = Logs::new();
    logs.append("live.log", "one\ntwo");
    logs.append("left.log", "three\nfour");
    logs.append("gone.log", "five\nsix");
    let run = logs.start();
    logs.fake.wait_for_texts(3);
    logs.rename("left.log", "left.log.1");
    fs::remove_file(logs.path("gone.log")).expect("remove");
    logs.fake.wait_for_texts(5);
    run.end(Stage::Drain);
    logs.assert_texts("left", ["one", "three", "four", "five", "six"]);
    logs.append("live.log", "!\n");
    logs.once();
    logs.assert_texts("live", ["one", "two!", "three", "four", "five", "six"]);
    let log = logs.fake.log();
    let partial: Vec<_> = log.events().filter(|e| e.flags & Flags::PARTIAL != 0).collect();
    assert_eq!(partial.len(), 2, "{partial:?}");
}

/// At a stop a tail that nobody writes any more goes too: there may be no next start.
#[test]
fn an_old_tail_goes_at_a_stop() {
    let logs = Logs::new();
    logs.append("a.log", "one\nlast words");
    let file = File::options().write(true).open(logs.path("a.log")).expect("open");
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1)).expect("touch");
    logs.once();
    logs.assert_texts("stop", ["one", "last words"]);
    logs.append("a.log", " and more\nnext\n");
    logs.once();
    logs.assert_texts("later", ["one", "last words", " and more", "next"]);
}

#[test]
fn start_at_the_end() {
    let mut logs = Logs::new();
    logs.options.start_at = StartAt::End;
    logs.append("a.log", "old\nhalf");
    let run = logs.start();
    // The registry is written when everything was looked at once.
    while !logs.dir.path().join("state/files-logs.json").exists() {
        std::thread::yield_now();
    }
    logs.append("a.log", " a line\n");
    logs.append("b.log", "new\n");
    logs.fake.wait_for_texts(1);
    run.end(Stage::Now);
    // Without one durable frame the start is still where it was.
    logs.fake.crash_to(0);
    logs.append("c.log", "came while down\n");
    logs.once();
    logs.assert_texts("all", ["half a line", "new", "came while down"]);
}

/// A file that the patterns mean no more is read no further, also where its last lines are still
/// owed; nor is what it was renamed to.
#[test]
fn patterns_that_changed() {
    let mut logs = Logs::new();
    for name in ["a.log", "b.log", "c.log"] {
        logs.append(name, &format!("{name} one\n"));
    }
    logs.once();
    logs.append("a.log", "a.log two\n");
    logs.append("b.log", "secret\n");
    logs.append("c.log", "secret\n");
    logs.rename("c.log", "c.log.1");
    logs.options.include = vec![logs.path("a.*").to_string_lossy().into_owned()];
    logs.once();
    logs.assert_texts("a only", ["a.log one", "b.log one", "c.log one", "a.log two"]);
}

/// Files that begin alike are two files, and an inode that is used again is a new one.
#[test]
fn identities() {
    let logs = Logs::new();
    for name in ["a.log", "b.log"] {
        logs.append(name, &(banner() + name + "\n"));
    }
    logs.once();
    for n in 0..20 {
        // Small file systems give the inode of the last file to the next.
        fs::remove_file(logs.path("a.log")).expect("remove");
        logs.append("a.log", &(banner() + &format!("again {n}, as long as before or longer\n")));
        logs.once();
    }
    let found = logs.texts();
    for n in 0..20 {
        let text = format!("again {n}, as long as before or longer");
        assert_eq!(found.iter().filter(|found| **found == text).count(), 1, "{text}");
    }
    assert_eq!(found.len(), 44);
}

/// Nothing is lost and nothing doubled from any border at which the spool may have stopped, with
/// rotations in between.
#[test]
fn crashes_at_every_frame() {
    for (name, format, text) in
        [("plain", Format::Plain, plain_corpus()), ("cri", Format::Cri, cri_corpus())]
    {
        let mut logs = Logs::new();
        logs.options.format = format;
        let (first, second) = text.split_at(text.len() / 2);
        logs.append("a.log", first);
        logs.once();
        let n_frames = logs.fake.log().frames.len();
        assert!(n_frames > 3, "{name}: {n_frames} frames");
        logs.rename("a.log", "a.log.1");
        logs.append("a.log", second);
        logs.once();
        let mut expected = logs.texts();
        expected.sort();
        let n_frames = logs.fake.log().frames.len();
        for at in (0..n_frames).step_by(n_frames.div_ceil(40)) {
            logs.fake.crash_to(at);
            logs.once();
            logs.assert_texts(&format!("{name}, crash at {at}"), expected.clone());
        }
    }
}

fn plain_corpus() -> String {
    let trace = "Traceback (most recent call last):\n  File \"a.py\"\nValueError: no\n";
    let mut text = String::new();
    for n in 0..300 {
        text += &format!("{}{trace}text {n}\r\n\n", lines(n * 5, n * 5 + 5));
    }
    let long = "x".repeat(600_000) + "\n";
    text.clone() + &long + &text + &text + &long + &text
}

/// Partial lines and tracebacks of both streams, most of them interleaved.
fn cri_corpus() -> String {
    let t = "2026-01-02T03:04:05.6Z";
    let mut text = String::new();
    for n in 0..200 {
        text += &format!("{t} stdout F {{\"line\":{n}}}\n{t} stdout P {{\"par\n");
        text += &format!("{t} stderr F Traceback (most recent call last):\n");
        text += &format!("{t} stdout P t\":\n{t} stderr F   File\n{t} stdout F {n}}}\n");
        text += &format!("{t} stderr F ValueError: {n}\n");
        if n % 3 == 0 {
            text += &format!("{t} stderr F text\n");
        }
    }
    let mut long = String::new();
    for _ in 0..30 {
        long += &format!("{t} stdout P {}\n{t} stderr F between\n", "x".repeat(16 << 10));
    }
    long += &format!("{t} stdout F end\n{t} stdout F last\n");
    text.clone() + &long + &text + &text + &long + &text
}

/// Parts without end: bounded memory, one marked event, and the next line whole.
#[test]
fn parts_without_end() {
    let logs = Logs::new();
    let t = "2026-01-02T03:04:05.6Z";
    let part = format!("{t} stdout P {}\n", "x".repeat(16 << 10)).repeat(64);
    for _ in 0..20 {
        logs.append("a.log", &part);
    }
    logs.append("a.log", &format!("{t} stdout F end\n{t} stdout F {{}}\n"));
    let run = logs.start();
    logs.fake.wait_for_texts(2);
    let counters = Arc::clone(&run.counters);
    run.end(Stage::Drain);
    let log = logs.fake.log();
    let shapes: Vec<_> = log.events().map(|event| (event.text.len(), event.flags)).collect();
    assert_eq!(shapes, [(256 << 10, Flags::JOINED | Flags::TRUNCATED), (2, 0)]);
    assert!(log.slab_bytes_max <= 2 << 20, "{}", log.slab_bytes_max);
    assert_eq!((counters.truncated.get(), counters.lag_bytes.get()), (1, 0));
}

/// Memory is short: files wait, and go on where they were.
#[test]
fn waits_for_memory() {
    let logs = Logs::new();
    logs.append("a.log", &lines(0, 5));
    logs.fake.log().is_memory_short = true;
    let run = logs.start();
    logs.fake.wait("asked for memory twice", |log| log.n_refused_slabs > 1);
    assert_eq!(run.counters.lag_bytes.get(), lines(0, 5).len() as i64);
    logs.fake.log().is_memory_short = false;
    logs.fake.wait_for_texts(5);
    run.end(Stage::Drain);
    logs.assert_texts("all", texts(0, 5));
}

/// Ten thousand files: few descriptors, all read, and a new line in any of them is found.
#[test]
fn many_files() {
    let n_files = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 10_000 } else { 1_000 };
    let mut logs = Logs::new();
    logs.options.open_files_max = 16;
    for n in 0..n_files {
        logs.append(&format!("{n}.log"), &lines(n, n + 1));
    }
    let run = logs.start();
    logs.fake.wait_for_texts(n_files);
    for n in (0..n_files).step_by(100) {
        logs.append(&format!("{n}.log"), "again\n");
    }
    logs.fake.wait_for_texts(n_files + n_files / 100);
    let n_open = fs::read_dir("/proc/self/fd")
        .expect("fds")
        .flatten()
        .filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(logs.path(""))));
    // The one at hand is open besides.
    assert!(n_open.count() <= 17);
    run.end(Stage::Drain);
    logs.once();
    let mut expected = texts(0, n_files);
    expected.extend(vec!["again".to_owned(); n_files / 100]);
    logs.assert_texts("all", expected);
}

/// A deleted file that is read to its end is let go, and so is its stream.
#[test]
fn deleted_files_are_let_go() {
    let logs = Logs::new();
    logs.append("a.log", "one\n");
    let run = logs.start();
    logs.fake.wait_for_texts(1);
    fs::remove_file(logs.path("a.log")).expect("remove");
    logs.fake.wait("forgotten", |log| log.forgotten.len() == 1);
    run.end(Stage::Drain);
    let registry = fs::read_to_string(logs.dir.path().join("state/files-logs.json")).expect("read");
    assert_eq!(registry, "{\"version\":1,\"files\":[]}");
}

/// Directories may come later, and be deep.
#[test]
fn new_directories() {
    let logs = Logs::with_pattern("**/*.log");
    let run = logs.start();
    fs::create_dir_all(logs.path("x/y")).expect("dirs");
    logs.append("x/y/a.log", "deep\n");
    logs.fake.wait_for_texts(1);
    logs.append("x/b.log", "less deep\n");
    logs.fake.wait_for_texts(2);
    run.end(Stage::Drain);
    logs.assert_texts("all", ["deep", "less deep"]);
}
