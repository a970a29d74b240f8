//! Runs the model as a child and reads what it prints.
//!
//! Signals go to the child, its exit code is ours, both pipes are read to their end before we
//! leave, and nothing here ever makes the child wait: not memory, not a sink, not the echo.
//!
//! Deliberately restarts nothing: a model that ends, ends the daemon, and whoever supervises us
//! (kubelet, systemd) restarts both.
//!
//! # Why
//! *The end of the child is not the end of its pipes.* A grandchild may hold them for days. After
//! the child's end the pipes are read until both end, until nothing comes for a moment, or until a
//! bounded time has passed.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::Signal;

use super::echo::Echo;
use super::pipe::{LineOptions, Pipe};
use super::wait::{until, wait_readable};
use super::{Context, Ended, Intake, Source, SourceError, Stage, Stop};

mod child;
mod reap;

pub use child::ChildHandle;

/// How often orphans are looked for.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// What the child gets as its standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StdinOf {
    /// Ours.
    #[default]
    Ours,
    /// Nothing; where our own input is a source.
    Null,
}

/// What can be set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Program and arguments; looked up in `PATH`, no shell.
    pub command: Vec<String>,
    /// Variables added to our environment.
    pub env: Vec<(String, String)>,
    /// Where it runs; ours if none.
    pub working_dir: Option<PathBuf>,
    /// Its standard input.
    pub stdin: StdinOf,
    /// How lines are cut.
    pub lines: LineOptions,
    /// Where its output is repeated byte by byte (`--echo raw`).
    pub echo_stdout: Option<Echo>,
    /// The same for its standard error.
    pub echo_stderr: Option<Echo>,
    /// How long the pipes must be quiet after the child's end, if others still hold them.
    pub quiet_after_exit: Duration,
    /// How long they are read at most after the child's end.
    pub drain_max: Duration,
    /// Whether to wait for orphans: as PID 1 of a container.
    pub reap_orphans: bool,
}

impl Options {
    /// The defaults for `command`.
    #[must_use]
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            env: Vec::new(),
            working_dir: None,
            stdin: StdinOf::default(),
            lines: LineOptions::default(),
            echo_stdout: None,
            echo_stderr: None,
            quiet_after_exit: Duration::from_millis(200),
            drain_max: Duration::from_secs(2),
            reap_orphans: std::process::id() == 1,
        }
    }
}

/// The source.
#[derive(Debug)]
pub struct Exec {
    context: Context,
    options: Options,
    handle: ChildHandle,
}

impl Exec {
    /// Runs the command of `options` once [`Source::run`] is called.
    #[must_use]
    pub fn new(context: Context, options: Options) -> Self {
        Self { context, options, handle: ChildHandle::default() }
    }

    /// Reaches the child with signals.
    #[must_use]
    pub fn child(&self) -> ChildHandle {
        self.handle.clone()
    }

    fn pipe(&self, fd: OwnedFd, stream: &str, echo: Option<&Echo>) -> Result<Pipe, SourceError> {
        // The read end's flags are ours alone.
        let flags = rustix::fs::fcntl_getfl(&fd).map_err(std::io::Error::from)?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK).map_err(std::io::Error::from)?;
        let origin = self.context.origin(stream, Vec::new());
        Ok(Pipe::new(fd, origin, &self.context, self.options.lines).echo_to(echo.cloned()))
    }
}

impl Source for Exec {
    fn run(self: Box<Self>, mut intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let mut running = child::start(&self.options, &self.handle)?;
        let (Some(stdout), Some(stderr)) =
            (running.child.stdout.take(), running.child.stderr.take())
        else {
            unreachable!("BUG: both outputs were asked for as pipes")
        };
        let mut watch = Watch {
            pipes: [
                self.pipe(stdout.into(), "stdout", self.options.echo_stdout.as_ref())?,
                self.pipe(stderr.into(), "stderr", self.options.echo_stderr.as_ref())?,
            ],
            running,
            options: &self.options,
            handle: &self.handle,
            ended: None,
            stage: Stage::Running,
            reap_at: self.options.reap_orphans.then(Instant::now),
        };
        while !watch.is_done() {
            watch.turn(&mut *intake, &stop)?;
        }
        for pipe in &mut watch.pipes {
            pipe.drain(&mut *intake, &stop)?;
        }
        intake.flush()?;
        Ok(Ended { exit_code: watch.ended.map(|(_, code)| code) })
    }
}

/// A child and its pipes while they are watched.
struct Watch<'a> {
    running: child::Running,
    pipes: [Pipe; 2],
    options: &'a Options,
    handle: &'a ChildHandle,
    /// When the child ended, and its exit code.
    ended: Option<(Instant, i32)>,
    /// The stage of stopping that was acted upon.
    stage: Stage,
    reap_at: Option<Instant>,
}

impl Watch<'_> {
    /// Waits for something to happen and acts on it.
    fn turn(&mut self, intake: &mut dyn Intake, stop: &Stop) -> Result<(), SourceError> {
        let [stdout, stderr] = &self.pipes;
        let pidfd = self.ended.is_none().then(|| self.running.pidfd.as_fd());
        let stopped = (self.stage < Stage::Now).then(|| stop.woken_after(self.stage));
        let fds = [stdout.waits_for(), stderr.waits_for(), pidfd, stopped];
        let due = [stdout.due(), stderr.due(), self.leaves_at(), self.reap_at];
        let ready = wait_readable(&fds, until(due))?;
        for (pipe, is_ready) in self.pipes.iter_mut().zip(ready) {
            pipe.turn(is_ready, intake)?;
        }
        if self.pipes.iter().all(Pipe::is_idle) {
            intake.rest();
        }
        if ready[3] {
            self.stage = stop.stage();
            self.stop_child();
        }
        let now = Instant::now();
        if self.reap_at.is_some_and(|at| at <= now) {
            reap::reap_orphans();
            self.reap_at = Some(now + REAP_INTERVAL);
        }
        if ready[2] && self.ended.is_none() {
            self.ended = reap::exit_code(self.running.pid).map(|code| (now, code));
            self.handle.note_ended();
        }
        Ok(())
    }

    fn stop_child(&self) {
        match self.stage {
            Stage::Now => self.handle.forward(Signal::KILL),
            // Whoever stops us has as a rule passed the signal on already.
            Stage::Drain if !self.handle.was_signalled() => self.handle.forward(Signal::TERM),
            _ => {}
        }
    }

    /// When the pipes are given up after the child's end.
    fn leaves_at(&self) -> Option<Instant> {
        let (ended_at, _) = self.ended?;
        let last_read_at = self.pipes.iter().filter_map(Pipe::last_read_at).max();
        let quiet_since = last_read_at.map_or(ended_at, |at| at.max(ended_at));
        let quiet_at = quiet_since + self.options.quiet_after_exit;
        Some(quiet_at.min(ended_at + self.options.drain_max))
    }

    fn is_done(&self) -> bool {
        let is_over = self.stage == Stage::Now
            || self.pipes.iter().all(Pipe::is_ended)
            || self.leaves_at().is_some_and(|at| at <= Instant::now());
        self.ended.is_some() && is_over
    }
}
