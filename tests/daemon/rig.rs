//! A folder with a config, the binary run in it, and bounded waits for what it does.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::http::{self, Metrics};

/// Longest wait for anything; a machine under load is slow, a wrong program waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_so`; panics when it never is.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// One machine's worth of files: config, data, logs of the model, our own outputs.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    n_runs: usize,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), n_runs: 0 }
    }

    /// A place with a config; `@` stands for the folder. The admin server takes a free port.
    pub(crate) fn with(config: &str) -> Self {
        let place = Self::new();
        place.configure(config);
        place
    }

    pub(crate) fn configure(&self, config: &str) {
        let dir = self.dir.path().to_str().expect("text");
        let config = config.replace('@', dir) + "\nadmin: { listen: 127.0.0.1:0 }\n";
        fs::write(self.path("sidewake.yaml"), config).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        let mut file = File::options().append(true).create(true).open(self.path(name));
        file.as_mut().expect("opened").write_all(text.as_bytes()).expect("written");
    }

    /// An executable script.
    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("written");
        self.path(name).to_str().expect("text").to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidewake"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        // What a machine says of itself would become attributes, and a folder for data.
        for (name, _) in std::env::vars_os() {
            let is_ours = name == "PATH" || name == "HOME" || name == "LLVM_PROFILE_FILE";
            if !is_ours {
                command.env_remove(name);
            }
        }
        command
    }

    /// `run --config sidewake.yaml`, with `more` arguments.
    pub(crate) fn daemon(&mut self, more: &[&str]) -> Daemon {
        let args = [&["run", "--config", "sidewake.yaml"], more].concat();
        self.run(&args, |_| {})
    }

    /// `run -- sh -c SCRIPT` without a config.
    pub(crate) fn shell(&mut self, options: &[&str], script: &str) -> Daemon {
        let args = [&["run"], options, &["--", "sh", "-c", script]].concat();
        self.run(&args, |_| {})
    }

    /// As [`Self::daemon`], in a mount namespace of its own that `prepare`, words for a shell, sets
    /// up.
    pub(crate) fn daemon_within(&mut self, prepare: &str, more: &[&str]) -> Daemon {
        let script = format!("{prepare} && exec \"$0\" \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script, env!("CARGO_BIN_EXE_sidewake")]);
        command.args(["run", "--config", "sidewake.yaml"]).args(more);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        self.spawn(command)
    }

    pub(crate) fn run(&mut self, args: &[&str], set: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.command(args);
        set(&mut command);
        self.spawn(command)
    }

    fn spawn(&mut self, mut command: Command) -> Daemon {
        self.n_runs += 1;
        let [stdout, stderr] =
            ["stdout", "stderr"].map(|name| self.path(&format!("{name}.{}", self.n_runs)));
        command.stdout(File::create(&stdout).expect("a file"));
        command.stderr(File::create(&stderr).expect("a file"));
        let child = command.spawn().expect("the binary");
        Daemon { child, stdout, stderr }
    }

    /// What a command that ends prints, and its exit code.
    pub(crate) fn output(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.command(args).output().expect("the binary");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// `show ID --json`.
    pub(crate) fn show(&self, id: &str) -> serde_json::Value {
        let (code, out, err) = self.output(&["show", id, "--json"]);
        assert_eq!(code, 0, "{id}: {err}");
        serde_json::from_str(&out).expect("JSON")
    }

    /// All files below `name`.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.path(name), &mut found);
        found.sort();
        found
    }

    /// The lines of all `.jsonl` files of a tier in the embedded store at `root`.
    pub(crate) fn jsonl(&self, root: &str, tier: &str) -> Vec<serde_json::Value> {
        let files = self.files(&format!("{root}/{tier}"));
        let files = files.iter().filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
        let texts = files.map(|path| fs::read_to_string(path).expect("text"));
        let lines: Vec<String> = texts.flat_map(|text| lines_of(&text)).collect();
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => collect(&path, found),
            path => found.push(path),
        }
    }
}

/// One run of the binary. Dropping it kills it.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Daemon {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).expect("read")).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).expect("read")).into_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("sent");
    }

    /// Waits for the end; `None` is an end by a signal.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut status: Option<ExitStatus> = None;
        until("the end of the daemon", || {
            status = self.child.try_wait().expect("waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// SIGTERM, and an end with code 0.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait(), Some(0), "{}", self.stderr());
    }

    /// SIGKILL; it may have ended before.
    pub(crate) fn kill(&mut self) {
        // An error is a child that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Where the admin server listens, once it does.
    #[track_caller]
    pub(crate) fn admin(&self) -> String {
        let mut address = None;
        until("the admin server's address", || {
            let logs = self.stderr();
            let line = logs.lines().find(|line| line.contains("\"admin listens\""));
            address = line.and_then(|line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                Some(line["address"].as_str()?.to_owned())
            });
            address.is_some()
        });
        address.expect("found above")
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        http::get(&self.admin(), path).unwrap_or_else(|| panic!("no answer: {}", self.stderr()))
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        Metrics::parse(&text)
    }

    /// Waits for a scrape that `is_so`, and gives it back.
    #[track_caller]
    pub(crate) fn metrics_when(&self, what: &str, is_so: impl Fn(&Metrics) -> bool) -> Metrics {
        let mut metrics = Metrics::default();
        until(what, || {
            metrics = self.metrics();
            is_so(&metrics)
        });
        metrics
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
