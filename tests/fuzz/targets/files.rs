//! Log files as container runtimes write them, read by the `file` source as it is.
//!
//! Slower than the other targets (a folder and a run a case), for what is tested here is only
//! reached through the source.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidewake::event::chunk::{Chunk, Line, Lines};
use sidewake::event::record::Flags;
use sidewake::event::slab::Slab;
use sidewake::sources::file::{Files, Format, Options};
use sidewake::sources::{Context, Intake, IntakeClosed, Source, Stage, Stop};

/// Second of 2026-01-02 that a line carries, as nanoseconds: its number in the file.
const DAY_NS: i64 = 1_767_312_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// Lines of the CRI framing, made from a script, come out joined, per stream, with the time of
/// their first part.
pub(crate) fn cri(script: &[u8]) {
    check_script(script, Format::Cri, |piece, text, time| {
        let stream = if piece.is_stderr { "stderr" } else { "stdout" };
        let tag = if piece.is_partial { 'P' } else { 'F' };
        format!("{time} {stream} {tag} {text}\n")
    });
}

/// The same for docker's json-file.
pub(crate) fn docker(script: &[u8]) {
    check_script(script, Format::Docker, |piece, text, time| {
        let end = if piece.is_partial { "" } else { "\n" };
        let log = serde_json::to_string(&format!("{text}{end}")).expect("text can be quoted");
        let stream = if piece.is_stderr { "stderr" } else { "stdout" };
        format!("{{\"log\":{log},\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n")
    });
}

/// Any bytes at all, under each format: the source ends, and every chunk is sound.
pub(crate) fn any_file(bytes: &[u8]) {
    for format in [Format::Auto, Format::Plain, Format::Cri, Format::Docker] {
        let events = read(bytes, format, true);
        let n_bytes: usize = events.iter().map(|event| event.text.len()).sum();
        assert!(n_bytes <= bytes.len(), "{format:?} made bytes");
    }
    // Without framing and joining, the lines are the file's.
    let whole = &bytes[..memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1)];
    let lines = whole.split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 1]);
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines: Vec<String> = lines.filter(|l| !l.is_empty()).map(shown).collect();
    let found = read(whole, Format::Plain, false);
    let found = found.iter().map(|event| &*event.text).filter(|text| !text.is_empty());
    assert_eq!(found.map(shown).collect::<Vec<_>>(), lines);
}

fn shown(line: &[u8]) -> String {
    line.escape_ascii().to_string()
}

/// One line of a script: two bits say which stream and whether it goes on, the rest is its content.
#[derive(Clone, Copy)]
struct Piece {
    is_stderr: bool,
    is_partial: bool,
}

fn check_script(script: &[u8], format: Format, frame: impl Fn(Piece, &str, &str) -> String) {
    let script = String::from_utf8_lossy(script);
    let mut file = String::new();
    let mut expected = [Vec::new(), Vec::new()];
    let mut open: [Option<Read>; 2] = [None, None];
    // Both streams end with a whole line: what may still go on is held back.
    let contents = script.split('\n').chain(["end", "fnd"]).enumerate();
    let n_lines = script.split('\n').count();
    for (n, content) in contents {
        let bits = content.bytes().next().unwrap_or(0);
        let (is_stderr, is_partial) = match n.checked_sub(n_lines) {
            Some(stream) => (stream == 1, false),
            None => (bits & 1 == 1, bits & 2 == 2),
        };
        // Neither empty nor with a carriage return at its end: those are other tests' business.
        let text = format!("<{content}>");
        let piece = Piece { is_stderr, is_partial };
        let (minutes, seconds) = (n / 60 % 60, n % 60);
        let time = format!("2026-01-02T00:{minutes:02}:{seconds:02}Z");
        file += &frame(piece, &text, &time);
        let ts_ns = DAY_NS + (minutes * 60 + seconds) as i64 * SECOND_NS;
        let begun = open[usize::from(is_stderr)].take();
        let mut read = begun.unwrap_or(Read { text: Vec::new(), is_stderr, ts_ns });
        read.text.extend_from_slice(text.as_bytes());
        if is_partial {
            open[usize::from(is_stderr)] = Some(read);
        } else {
            expected[usize::from(is_stderr)].push(read);
        }
    }
    let found = read(file.as_bytes(), format, false);
    for (is_stderr, expected) in [(false, &expected[0]), (true, &expected[1])] {
        let found: Vec<&Read> = found.iter().filter(|read| read.is_stderr == is_stderr).collect();
        assert_eq!(found, expected.iter().collect::<Vec<_>>());
    }
}

/// An event as it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    text: Vec<u8>,
    is_stderr: bool,
    ts_ns: i64,
}

fn read(bytes: &[u8], format: Format, joins: bool) -> Vec<Read> {
    // Where a sync costs nothing, if there is such a place: the source syncs its registry.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("a folder");
    let path = folder.path().join("a.log");
    std::fs::write(&path, bytes).expect("a file");
    let pattern = path.to_string_lossy().into_owned();
    let mut options = Options::new(vec![pattern], folder.path().join("state"));
    options.format = format;
    options.lines.join_tracebacks = joins;
    options.lines.linger = Duration::ZERO;
    let stop = Stop::new().expect("descriptors");
    stop.reach(Stage::Drain);
    let intake = Collect::default();
    let source = Box::new(Files::new(Context::default(), options));
    source.run(Box::new(intake.clone()), stop).expect("it reads to the end");
    let mut events = intake.0.lock().expect("the source has ended");
    std::mem::take(&mut *events)
}

/// Keeps the events, and checks what every chunk must hold to.
#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Vec<Read>>>);

impl Intake for Collect {
    fn push(&mut self, chunk: Chunk) -> Result<(), IntakeClosed> {
        let covered = chunk.source_end.checked_sub(chunk.source_base).expect("it goes forward");
        // Of empty lines nothing is left but that they were read.
        let is_quiet = matches!(&chunk.lines, Lines::Table(table) if table.is_empty());
        let last = chunk.slab.last();
        assert!(last == Some(&b'\n') || (is_quiet && last.is_none()), "it ends with a newline");
        let plain = |end: usize, start: usize| Line {
            start: start as u32,
            len: (end - start) as u32,
            source_off: start as u32,
            ..Line::default()
        };
        let lines = match &chunk.lines {
            Lines::Table(table) => table.clone(),
            Lines::Plain => {
                let mut start = 0;
                let ends = memchr::memchr_iter(b'\n', &chunk.slab);
                let cut = |end| plain(end, std::mem::replace(&mut start, end + 1));
                ends.map(cut).collect()
            }
        };
        for line in lines {
            let end = (line.start + line.len) as usize;
            assert_eq!(chunk.slab[end], b'\n', "a newline stands behind each line");
            assert!(u64::from(line.source_off) < covered, "it lies in what is covered");
            let text = chunk.slab[line.start as usize..end].to_vec();
            let is_stderr = line.flags & Flags::STDERR != 0;
            let read = Read { text, is_stderr, ts_ns: line.ts_ns };
            self.0.lock().expect("no panic before").push(read);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IntakeClosed> {
        Ok(())
    }

    fn held_to(&self, _source_key: u64) -> Option<u64> {
        None
    }

    fn slab(&mut self, _can_wait: bool) -> Option<Slab> {
        Some(Slab::with_capacity(64 << 10))
    }
}
