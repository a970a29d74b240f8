//! A spool's folder that was damaged while nobody ran: the daemon starts by itself, delivers what
//! was not hit, counts and says what is gone, and keeps what it cannot read.

use std::collections::HashSet;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::fake_loki::Act;
use super::files::{config, lines, text};
use super::http::Metrics;
use super::loki::Loki;
use super::rig::{Place, until};

const TIER: &str = "application_logs";
const N_LINES: usize = 12_000;
/// One write, and about one frame of the log.
const PART: usize = 400;

/// A spool with events in several segments, one of them packed, and nobody running.
struct Waiting {
    loki: Loki,
    place: Place,
    all: Vec<String>,
    /// The cursor file as it was before anything came.
    old_cursors: Vec<u8>,
}

/// What came of it all.
struct Outcome {
    /// Lines that never came.
    missing: Vec<usize>,
    n_repeated: usize,
    metrics: Metrics,
    said: String,
    /// Kept in quarantine.
    kept: Vec<PathBuf>,
}

impl Waiting {
    /// The first `n_delivered` lines were taken.
    fn with(n_delivered: usize) -> Self {
        let loki = Loki::start();
        let share = "max: 64MiB, shares: { application_logs: 2% }, path:";
        let mut place = Place::with(&config(&loki).replace("path:", share));
        let all = lines(0..N_LINES);
        let mut daemon = place.daemon(&["--grace", "100ms"]);
        let spooled = |n: usize| {
            move |metrics: &Metrics| metrics.route("spooled_events", TIER, "loki") == n as u64
        };
        let cursors = place.path(&format!("spool/{TIER}/cursors"));
        until("the cursor file", || cursors.exists());
        let old_cursors = fs::read(&cursors).expect("read");
        if n_delivered > 0 {
            place.append("model.log", &text(&all[..n_delivered]));
            until("what is delivered first", || loki.n_stored() >= n_delivered);
            daemon.metrics_when("nothing waits", spooled(0));
        }
        loki.fake.always(Act::Answer(503, "sick"));
        for (n, part) in all[n_delivered..].chunks(PART).enumerate() {
            place.append("model.log", &text(part));
            daemon.metrics_when("the part is spooled", spooled(n * PART + part.len()));
        }
        until("a packed segment", || !files(&place, "pack").is_empty());
        daemon.stop();
        assert!(files(&place, "seg").len() >= 3, "{:?}", files(&place, "seg"));
        Self { loki, place, all, old_cursors }
    }

    fn segments(&self) -> Vec<PathBuf> {
        files(&self.place, "seg")
    }

    /// Starts the daemon, which must do well by itself, and ends it when all was delivered.
    fn outcome(mut self) -> Outcome {
        self.loki.fake.recover();
        let mut daemon = self.place.daemon(&[]);
        until("readiness", || daemon.get("/readyz").0 == 200);
        self.place.append("model.log", "the last line\n");
        until("the last line", || {
            self.loki.fake.stored().last().is_some_and(|entry| entry.line == "the last line")
        });
        let metrics = daemon.metrics_when("nothing waits", |metrics| {
            metrics.route("spooled_events", TIER, "loki") == 0
        });
        metrics.assert_balanced();
        daemon.stop();
        assert!(files(&self.place, "tmp").is_empty());
        let kept = files(&self.place, "quarantine");
        assert!(kept.iter().all(|path| len(path) > 0), "{kept:?}");
        let stored = self.loki.fake.stored();
        let came: HashSet<&str> = stored.iter().map(|entry| entry.line.as_str()).collect();
        let is_missing = |n: &usize| !came.contains(self.all[*n].as_str());
        Outcome {
            missing: (0..N_LINES).filter(is_missing).collect(),
            n_repeated: stored.iter().map(|entry| entry.n_times - 1).sum(),
            metrics,
            said: daemon.stderr(),
            kept,
        }
    }
}

impl Outcome {
    fn quarantined(&self) -> u64 {
        self.metrics.get(&format!(
            "sidewake_route_dropped_events_total{{tier=\"{TIER}\",sink=\"loki\",reason=\"quarantined\"}}"
        )) as u64
    }

    /// One stretch of so many lines is missing.
    #[track_caller]
    fn assert_one_stretch(&self, n: Range<usize>) {
        let (first, last) = (self.missing.first(), self.missing.last());
        let stretch = first.zip(last).map_or(0, |(first, last)| last + 1 - first);
        assert_eq!(self.missing.len(), stretch, "a stretch from {first:?} to {last:?}");
        assert!(n.contains(&stretch), "{stretch} lines are missing");
    }

    #[track_caller]
    fn assert_said(&self, words: &str) {
        assert!(self.said.contains(words), "no \"{words}\" in {}", self.said);
    }
}

fn files(place: &Place, end: &str) -> Vec<PathBuf> {
    let mut files = place.files(&format!("spool/{TIER}"));
    files.retain(|path| path.extension().is_some_and(|found| found == end));
    files
}

fn len(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).expect("opened")
}

/// One bit in the middle, of a segment as it was written and of one that was packed: what is
/// missing is one frame, it is counted, kept and said.
#[test]
fn a_bit_that_flips_costs_one_frame() {
    for end in ["seg", "pack"] {
        let waiting = Waiting::with(0);
        let hit = files(&waiting.place, end).swap_remove(0);
        let (file, at) = (open(&hit), len(&hit) / 2);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("read");
        file.write_all_at(&[byte[0] ^ 8], at).expect("written");
        let outcome = waiting.outcome();
        outcome.assert_one_stretch(1..2 * PART);
        assert_eq!(outcome.quarantined(), outcome.missing.len() as u64, "{end}");
        assert_eq!((outcome.kept.len(), outcome.n_repeated), (1, 0), "{end}");
        outcome.assert_said("quarantined a part of the log");
    }
}

/// The end of the last segment goes, or is zeros: what it held is read from the file again, since
/// the file's position went with it. What cannot be read is kept, what is gone is said.
#[test]
fn an_end_that_is_lost_is_read_again_from_the_source() {
    for (is_cut, part) in [(true, 2), (true, 3), (false, 2)] {
        let waiting = Waiting::with(0);
        let hit = waiting.segments().pop().expect("a segment");
        let (file, whole) = (open(&hit), len(&hit));
        let at = whole / part;
        if is_cut {
            file.set_len(at).expect("cut");
        } else {
            file.write_all_at(&vec![0; (whole - at) as usize], at).expect("written");
        }
        let outcome = waiting.outcome();
        assert_eq!(outcome.missing, [0; 0], "{is_cut} {part}");
        // The bytes of a frame that was cut, or all behind the last sound one.
        assert_eq!(outcome.kept.len(), 1, "{is_cut} {part}");
        outcome.assert_said("quarantined a part of the log");
        if is_cut {
            outcome.assert_said("a part of the spool is missing");
        }
    }
}

/// A whole segment, of which nothing is left to say how many events it had: the oldest one, too,
/// that a sink had still to get.
#[test]
fn a_segment_that_is_gone_is_said_to_be_missing() {
    for is_oldest in [false, true] {
        let waiting = Waiting::with(0);
        let raw = waiting.segments().swap_remove(1);
        let packed = files(&waiting.place, "pack");
        let all = packed.into_iter().chain(waiting.segments());
        let hit = if is_oldest { all.min().expect("segments") } else { raw.clone() };
        // A line of these takes more than 60 bytes in a raw one.
        let (n_bytes, n_lines_max) = (len(&hit), len(&raw) as usize / 60);
        fs::remove_file(&hit).expect("removed");
        let outcome = waiting.outcome();
        outcome.assert_one_stretch(PART..n_lines_max);
        assert_eq!((outcome.kept.len(), outcome.n_repeated), (0, 0));
        outcome.assert_said("a part of the spool is missing");
        let missing = format!("sidewake_spool_missing_bytes{{tier=\"{TIER}\"}}");
        assert!(outcome.metrics.get(&missing) >= n_bytes as f64, "{n_bytes}");
    }
}

/// The positions of the sinks are gone, or are old: what is still there is sent again.
#[test]
fn lost_positions_only_repeat() {
    for is_gone in [true, false] {
        let waiting = Waiting::with(2000);
        let cursors = waiting.place.path(&format!("spool/{TIER}/cursors"));
        if is_gone {
            fs::remove_file(&cursors).expect("removed");
        } else {
            fs::write(&cursors, &waiting.old_cursors).expect("written");
        }
        let outcome = waiting.outcome();
        assert_eq!(outcome.missing, [0; 0]);
        assert!((1..=2000).contains(&outcome.n_repeated), "{}", outcome.n_repeated);
        assert_eq!((outcome.quarantined(), outcome.kept.len()), (0, 0));
        if is_gone {
            outcome.assert_said(
                "the positions of its sinks are gone or unreadable: all is sent again",
            );
        }
    }
}

/// What a crash leaves of a file that was being made is no part of the log.
#[test]
fn half_written_files_go() {
    let waiting = Waiting::with(0);
    for (name, of) in [("0000000000000000.tmp", 0), ("cursors.tmp", 1)] {
        let whole = fs::read(&waiting.segments()[of]).expect("read");
        let path = waiting.place.path(&format!("spool/{TIER}/{name}"));
        fs::write(path, &whole[..whole.len() / 2]).expect("written");
    }
    let outcome = waiting.outcome();
    assert_eq!((outcome.missing.len(), outcome.n_repeated, outcome.kept.len()), (0, 0, 0));
}
