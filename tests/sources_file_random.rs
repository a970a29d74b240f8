//! Random lives of a log file: appends in pieces, rotations, restarts, crashes that lose frames.
//! Every complete line comes exactly once, whatever happened to its file while it could be read.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use sidewake::sources::file::{Files, Options};
use sidewake::sources::{Context, Source, Stage, Stop};

#[path = "sources_fake/intake.rs"]
mod fake;
use fake::Fake;

/// xorshift64*: a seed makes a life that can be lived again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}

/// One log and its reader.
struct Life {
    dir: tempfile::TempDir,
    random: Random,
    fake: Fake,
    options: Options,
    run: Option<(Stop, JoinHandle<()>)>,
    /// Complete lines written so far.
    written: Vec<String>,
    /// A started line.
    half: String,
    /// Lines of the file that has the name now, and whether the first was seen.
    n_in_file: usize,
    n_rotated: usize,
    /// Frames that no crash may take: their files are gone.
    n_frames_kept: usize,
    story: Vec<String>,
}

impl Life {
    fn new(seed: u64, pattern: &str) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        fs::create_dir(dir.path().join("logs")).expect("dir");
        let include = dir.path().join("logs").join(pattern).to_string_lossy().into_owned();
        let mut options = Options::new(vec![include], dir.path().join("state"));
        options.rotate_wait = Duration::from_millis(20);
        options.lines.linger = Duration::from_millis(1);
        options.open_files_max = 2;
        Self {
            dir,
            random: Random(seed),
            fake: Fake::new(512),
            options,
            run: None,
            written: Vec::new(),
            half: String::new(),
            n_in_file: 0,
            n_rotated: 0,
            n_frames_kept: 0,
            story: vec![format!("seed {seed}")],
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    fn append(&mut self, text: &str) {
        let path = self.path("a.log");
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open");
        file.write_all(text.as_bytes()).expect("write");
    }

    /// Some lines, and perhaps half of another. The first of a file is often a banner.
    fn write(&mut self) {
        let mut text = String::new();
        if self.half.is_empty() && self.n_in_file == 0 && self.random.below(2) == 0 {
            text += &format!("{}\n", "=".repeat(400));
            self.written.push("=".repeat(400));
            self.n_in_file += 1;
        }
        // A file of which only the banner was read is like any that begins with it.
        let n_least = u64::from(!text.is_empty());
        for _ in 0..self.random.below(8) + n_least {
            let rest = format!(
                "line {} {}",
                self.written.len(),
                "x".repeat(self.random.below(90) as usize)
            );
            text += &rest;
            text.push('\n');
            self.written.push(std::mem::take(&mut self.half) + &rest);
            self.n_in_file += 1;
        }
        if self.half.is_empty() && self.random.below(3) == 0 {
            self.half = "half ".into();
            text += "half ";
        }
        self.append(&text);
    }

    fn start(&mut self) {
        if self.run.is_some() {
            return;
        }
        let context = Context { name: "logs".into(), ..Context::default() };
        let source = Box::new(Files::new(context, self.options.clone()));
        let stop = Stop::new().expect("descriptors");
        let (intake, token) = (Box::new(self.fake.clone()), stop.clone());
        let thread = std::thread::spawn(move || {
            source.run(intake, token).expect("no error");
        });
        self.run = Some((stop, thread));
    }

    fn stop(&mut self, stage: Stage) {
        if let Some((stop, thread)) = self.run.take() {
            stop.reach(stage);
            thread.join().expect("no panic");
        }
    }

    /// Stops at once, and what was not durable yet is lost.
    fn crash(&mut self) {
        self.stop(Stage::Now);
        let n_frames = self.fake.log().frames.len();
        let left = n_frames.saturating_sub(self.n_frames_kept) as u64;
        let n_lost = self.random.below(left.min(5) + 1) as usize;
        self.fake.crash_to(n_frames - n_lost);
    }

    /// Waits until everything that is complete was read.
    fn settle(&mut self) {
        self.start();
        let n = self.written.len();
        if !self.fake.waits_until(|log| log.events().count() >= n) {
            let story = self.story.join(", ");
            panic!("never read all: {}; {story}", self.differences());
        }
    }

    /// Rotation needs a file whose start was seen: nobody can know of another.
    fn ready_to_rotate(&mut self) -> bool {
        if self.n_in_file == 0 || !self.half.is_empty() {
            return false;
        }
        self.settle();
        self.n_frames_kept = self.fake.log().frames.len();
        if self.random.below(2) == 0 {
            let stage = if self.random.below(2) == 0 { Stage::Drain } else { Stage::Now };
            self.stop(stage);
        }
        for _ in 0..self.random.below(3) {
            let text = format!("late {}\n", self.written.len());
            self.written.push(text.trim_end().to_owned());
            self.append(&text);
        }
        true
    }

    fn rotate(&mut self, kind: u64) {
        if !self.ready_to_rotate() {
            return;
        }
        self.n_rotated += 1;
        let (from, to) = (self.path("a.log"), self.path(&format!("a.log.{}", self.n_rotated)));
        match kind {
            0 => fs::rename(&from, &to).expect("rename"),
            1 => {
                fs::copy(&from, &to).expect("copy");
                File::options().write(true).open(&from).expect("open").set_len(0).expect("cut");
            }
            _ => {
                self.settle();
                self.n_frames_kept = self.fake.log().frames.len();
                fs::remove_file(&from).expect("remove");
            }
        }
        self.n_in_file = 0;
    }

    /// What is missing and what is there too often.
    fn differences(&self) -> String {
        let mut counts = std::collections::BTreeMap::new();
        for text in &self.written {
            counts.entry(text.clone()).or_insert((0, 0)).1 += 1;
        }
        for event in self.fake.log().events() {
            counts.entry(event.text.clone()).or_insert((0, 0)).0 += 1;
        }
        let differing = counts.into_iter().filter(|(_, (found, written))| found != written);
        let all =
            differing.map(|(text, (found, written))| format!("{text:.30}: {found} of {written}"));
        all.collect::<Vec<_>>().join("; ")
    }

    fn step(&mut self) {
        let (name, act): (&str, fn(&mut Self)) = match self.random.below(20) {
            0..=9 => ("write", Self::write),
            10 | 11 => ("start", Self::start),
            12 => ("drain", |life| life.stop(Stage::Drain)),
            13 => ("now", |life| life.stop(Stage::Now)),
            14 => ("crash", Self::crash),
            15 | 16 => ("rename", |life| life.rotate(0)),
            17 | 18 => ("copytruncate", |life| life.rotate(1)),
            _ => ("delete", |life| life.rotate(2)),
        };
        self.story.push(format!("{name} at {}", self.written.len()));
        act(self);
    }
}

fn live(seed: u64, pattern: &str, n_steps: usize) {
    let mut life = Life::new(seed | 1, pattern);
    for _ in 0..n_steps {
        life.step();
    }
    life.settle();
    life.stop(Stage::Drain);
    life.start();
    life.stop(Stage::Drain);
    let differences = life.differences();
    assert!(differences.is_empty(), "{pattern}: {differences}; {}", life.story.join(", "));
}

#[test]
fn random_lives() {
    let given = std::env::var("SIDEWAKE_SEED").ok().and_then(|seed| seed.parse().ok());
    let is_slow = std::env::var_os("SIDEWAKE_SLOW").is_some();
    let n_lives = if given.is_some() {
        1
    } else if is_slow {
        500
    } else {
        6
    };
    let from =
        given.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().expect("clock").as_nanos() as u64);
    for n in 0..n_lives {
        let seed = from.wrapping_add(n * 2);
        for pattern in ["*.log", "*.log*"] {
            live(seed, pattern, 60);
        }
    }
}
