//! `exec`, `stdin` and `fifo` with real children and pipes: nothing lost at any end, the exit code
//! passed on, nobody blocked.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sidewake::event::record::Flags;
use sidewake::sources::echo::Echo;
use sidewake::sources::exec::{self, ChildHandle, Exec};
use sidewake::sources::fifo::{self, Fifo};
use sidewake::sources::pipe::LineOptions;
use sidewake::sources::stdin::{self, Stdin};
use sidewake::sources::{Context, Ended, Source, SourceError, Stage, Stop};
use sidewake::telemetry::SourceCounters;

#[path = "sources_fake/intake.rs"]
mod fake;
use fake::Fake;

struct Run {
    fake: Fake,
    stop: Stop,
    counters: Arc<SourceCounters>,
    thread: JoinHandle<Result<Ended, SourceError>>,
}

impl Run {
    fn start<S: Source + 'static>(make: impl FnOnce(Context) -> S) -> Self {
        let counters = Arc::new(SourceCounters::default());
        let context =
            Context { name: "model".into(), counters: Arc::clone(&counters), ..Context::default() };
        let (fake, stop) = (Fake::new(64 << 10), Stop::new().expect("descriptors"));
        let source = Box::new(make(context));
        let (intake, token) = (Box::new(fake.clone()), stop.clone());
        let thread = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || source.run(intake, token))
            .expect("thread");
        Self { fake, stop, counters, thread }
    }

    fn shell(script: &str) -> (Self, ChildHandle) {
        Self::shell_with(script, |_| {})
    }

    fn shell_with(script: &str, set: impl FnOnce(&mut exec::Options)) -> (Self, ChildHandle) {
        let mut options = exec::Options::new(vec!["sh".into(), "-c".into(), script.into()]);
        options.stdin = exec::StdinOf::Null;
        set(&mut options);
        let mut handle = None;
        let run = Self::start(|context| {
            let exec = Exec::new(context, options);
            handle = Some(exec.child());
            exec
        });
        (run, handle.expect("set above"))
    }

    fn end(self) -> (Fake, Ended) {
        let ended = self.thread.join().expect("no panic").expect("no error");
        assert!(self.fake.log().n_flushes > 0, "a source leaves after a flush");
        (self.fake, ended)
    }
}

/// The child's code is ours, whichever way it ended, and its last line is kept.
#[test]
fn exit_codes_and_last_lines() {
    for (script, code, text) in [
        ("printf 'a\\nlast'; exit 3", 3, "last"),
        ("echo last; kill -TERM $$", 143, "last"),
        ("printf last >&2; kill -KILL $$", 137, "last"),
        ("echo last", 0, "last"),
    ] {
        let (run, _) = Run::shell(script);
        let (fake, ended) = run.end();
        assert_eq!(ended.exit_code, Some(code), "{script}");
        assert_eq!(fake.log().texts().last(), Some(&text), "{script}");
    }
    let (run, _) = Run::shell("printf 'a\\nlast'");
    let (fake, _) = run.end();
    let flags: Vec<_> = fake.log().events().map(|event| event.flags).collect();
    assert_eq!(flags, [0, Flags::PARTIAL]);
}

#[test]
fn a_command_that_cannot_run() {
    for (program, code) in [("/nowhere/at/all", 127), ("/etc/passwd", 126)] {
        let options = exec::Options::new(vec![program.into()]);
        let run = Run::start(|context| Exec::new(context, options));
        let error = run.thread.join().expect("no panic").expect_err("cannot run");
        assert_eq!(error.exit_code(), code, "{program}");
    }
}

/// Every line of both streams, in order within its stream, with its stream.
#[test]
fn both_streams_to_the_end() {
    let script = "i=0; while [ $i -lt 2000 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done";
    let (run, _) = Run::shell(script);
    let counters = Arc::clone(&run.counters);
    let (fake, _) = run.end();
    for (stream, letter) in [("stdout", 'o'), ("stderr", 'e')] {
        let log = fake.log();
        let texts: Vec<_> =
            log.events().filter(|e| e.stream == stream).map(|e| e.text.clone()).collect();
        let expected: Vec<_> = (0..2000).map(|n| format!("{letter}{n}")).collect();
        assert_eq!(texts, expected);
    }
    assert_eq!(counters.events_in.get(), 4000);
    assert!(fake.log().frames.len() < 1000, "bursts are batched");
}

/// A signal that we get is one that the child gets; what it says in its handler is kept.
#[test]
fn signals_are_forwarded() {
    let script = "trap 'echo bye; exit 7' TERM; trap 'echo usr' USR1; echo ready; \
                  while :; do sleep 0.01; done";
    let (run, child) = Run::shell(script);
    run.fake.wait_for_texts(1);
    child.forward(Signal::USR1);
    run.fake.wait_for_texts(2);
    child.forward(Signal::TERM);
    let (fake, ended) = run.end();
    assert_eq!(fake.log().texts(), ["ready", "usr", "bye"]);
    assert_eq!(ended.exit_code, Some(7));
}

/// Draining without a signal passed on ends the child; `Now` ends one that does not listen.
#[test]
fn stages_of_stopping() {
    let (run, _) =
        Run::shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done");
    run.fake.wait_for_texts(1);
    run.stop.reach(Stage::Drain);
    let (fake, ended) = run.end();
    assert_eq!((fake.log().texts(), ended.exit_code), (vec!["up", "bye"], Some(0)));
    let (run, child) = Run::shell("trap 'echo no' TERM; echo up; while :; do sleep 0.01; done");
    run.fake.wait_for_texts(1);
    child.forward(Signal::TERM);
    run.fake.wait_for_texts(2);
    run.stop.reach(Stage::Now);
    let (fake, ended) = run.end();
    assert_eq!((fake.log().texts(), ended.exit_code), (vec!["up", "no"], Some(137)));
}

/// A grandchild that keeps the pipe does not keep us, and what it said by then is kept.
#[test]
fn a_grandchild_holds_the_pipe() {
    let began = Instant::now();
    let (run, _) = Run::shell("(echo grandchild; exec sleep 20) & echo child; exit 5");
    let (fake, ended) = run.end();
    assert_eq!(ended.exit_code, Some(5));
    let mut texts = fake.log().texts().join(" ");
    texts = texts
        .split(' ')
        .map(str::to_owned)
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(texts, "child grandchild");
    assert!(began.elapsed() < Duration::from_secs(60));
    let (run, _) = Run::shell_with("(while echo x; do :; done) & exit 0", |options| {
        options.drain_max = Duration::from_millis(300);
    });
    assert_eq!(run.end().1.exit_code, Some(0));
}

/// A line without end costs a bounded slab and is one marked event.
#[test]
fn a_line_without_end() {
    let script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo ok";
    let (run, _) = Run::shell(script);
    let counters = Arc::clone(&run.counters);
    let (fake, _) = run.end();
    let log = fake.log();
    let shapes: Vec<_> = log.events().map(|e| (e.text.len(), e.flags)).collect();
    assert_eq!(shapes, [(256 << 10, Flags::TRUNCATED), (2, 0)]);
    assert!(log.slab_bytes_max <= 1 << 20, "{}", log.slab_bytes_max);
    assert_eq!(counters.truncated.get(), 1);
    assert_eq!(log.frames.last().map(|frame| frame.source_end), Some(20_000_004));
}

/// Nobody reads our output: the child does not notice.
#[test]
fn a_blocked_echo_blocks_nobody() {
    let (reader, writer) = rustix::pipe::pipe().expect("pipe");
    let echo = Echo::start(writer, 64 << 10).expect("thread");
    let script = "i=0; while [ $i -lt 200 ]; do head -c 9999 /dev/zero | tr '\\0' y; echo; \
                  i=$((i+1)); done; echo done";
    let (run, _) = Run::shell_with(script, |options| options.echo_stdout = Some(echo.clone()));
    let (fake, ended) = run.end();
    assert_eq!(ended.exit_code, Some(0));
    assert_eq!(fake.log().texts().last(), Some(&"done"));
    assert_eq!(fake.log().events().count(), 201);
    assert!(echo.dropped_bytes() > 0);
    drop(reader);
}

/// Raw echo is byte for byte.
#[test]
fn raw_echo() {
    let (reader, writer) = rustix::pipe::pipe().expect("pipe");
    let echo = Echo::start(writer, 64 << 10).expect("thread");
    let (run, _) = Run::shell_with("printf 'a\\r\\n\\033[1mb'", |options| {
        options.echo_stdout = Some(echo.clone());
    });
    run.end();
    assert!(echo.close(Duration::from_secs(30)));
    drop(echo);
    let mut bytes = [0; 64];
    let n = rustix::io::read(&reader, &mut bytes).expect("echo");
    assert_eq!(&bytes[..n], b"a\r\n\x1b[1mb");
}

/// A traceback that comes in pieces is one event; one that never ends is let go.
#[test]
fn tracebacks_over_time() {
    let script = "exec 2>&1; echo 'Traceback (most recent call last):'; sleep 0.05; \
                  echo '  File \"a.py\"'; echo 'ValueError: no'; echo ok; \
                  echo 'Traceback (most recent call last):'; sleep 20";
    let (run, _) = Run::shell(script);
    run.fake.wait_for_texts(3);
    let trace = "Traceback (most recent call last):\n  File \"a.py\"\nValueError: no";
    assert_eq!(run.fake.log().texts(), [trace, "ok", "Traceback (most recent call last):"]);
    run.stop.reach(Stage::Now);
    run.end();
}

#[test]
fn stdin_ends_with_its_input() {
    let (reader, writer) = rustix::pipe::pipe().expect("pipe");
    let run = Run::start(|context| Stdin::from_fd(context, stdin::Options::default(), reader));
    let mut writer = std::fs::File::from(writer);
    writer.write_all(b"one\ntwo").expect("write");
    run.fake.wait_for_texts(1);
    writer.write_all(b"!\nthree").expect("write");
    drop(writer);
    let (fake, ended) = run.end();
    assert_eq!(fake.log().texts(), ["one", "two!", "three"]);
    assert_eq!(ended.exit_code, None);
}

/// Stopping reads what the pipe holds at that moment, also from one whose writer goes on.
#[test]
fn stdin_stops_with_what_is_there() {
    let (reader, writer) = rustix::pipe::pipe().expect("pipe");
    let stop_first = |fd: OwnedFd| {
        let options = stdin::Options {
            lines: LineOptions { linger: Duration::from_secs(3600), ..LineOptions::default() },
        };
        Run::start(|context| Stdin::from_fd(context, options, fd))
    };
    let mut writer = std::fs::File::from(writer);
    writer.write_all(b"one\ntwo\nthr").expect("write");
    let run = stop_first(reader);
    run.stop.reach(Stage::Drain);
    let (fake, _) = run.end();
    assert_eq!(fake.log().texts(), ["one", "two", "thr"]);
}

/// Writers come and go; the fifo does not end.
#[test]
fn fifo_outlives_its_writers() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("model.fifo");
    let options = fifo::Options {
        path: path.clone(),
        create_mode: Some(0o622),
        lines: LineOptions::default(),
    };
    let run = Run::start(|context| Fifo::new(context, options.clone()));
    // The writer's open waits for the reader, once the fifo is there.
    let open = || loop {
        match std::fs::OpenOptions::new().write(true).open(&path) {
            Ok(file) => break file,
            Err(_) => std::thread::yield_now(),
        }
    };
    open().write_all(b"one\n").expect("write");
    run.fake.wait_for_texts(1);
    open().write_all(b"two\nthr").expect("write");
    run.fake.wait_for_texts(2);
    open().write_all(b"ee\nlast").expect("write");
    run.stop.reach(Stage::Drain);
    let (fake, _) = run.end();
    assert_eq!(fake.log().texts(), ["one", "two", "three", "last"]);
    let file = dir.path().join("file");
    std::fs::write(&file, "x").expect("file");
    let wrong = fifo::Options { path: file, ..options };
    let run = Run::start(|context| Fifo::new(context, wrong));
    assert!(run.thread.join().expect("no panic").is_err());
}
