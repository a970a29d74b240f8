//! Reads one pipe (or whatever standard input is) into chunks.
//!
//! Owns the slab being filled, the linger that turns bursts into one chunk, and the carry of what
//! is not complete. Never waits for memory: whoever writes to a pipe would wait with us.
//! Deliberately has no loop of its own but for sources of a single pipe (`run`); `exec` turns
//! two.
//!
//! # Why
//! *A writer should not be interrupted by its reader.* A reader asleep in `poll` makes each write
//! pay for a wake-up. So after the first bytes of a burst the pipe is left alone until the linger
//! has passed, as long as it is large and was nearly empty; a pipe that fills is read at once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::echo::Echo;
use super::lines::{Limits, Mode, PlainCutter};
use super::wait::{until, wait_readable};
use super::{Context, Ended, Intake, IntakeClosed, MAX_LINE_BYTES, SourceError, Stage, Stop};
use crate::event::chunk::Chunk;
use crate::event::origin::Origin;
use crate::event::slab::Slab;
use crate::telemetry::SourceCounters;

/// What an unprivileged process may ask for (`/proc/sys/fs/pipe-max-size`).
const PIPE_BYTES: usize = 1 << 20;
/// Below this size a pipe may fill within one linger, and is read as soon as it has something.
const LAZY_PIPE_BYTES: usize = 256 << 10;
/// A read of more than this part of the pipe shows a writer in a hurry.
const HURRY_DIVISOR: usize = 8;
/// How long an open traceback waits for its next line.
const BLOCK_QUIET: Duration = Duration::from_millis(200);
/// Slabs filled before the other pipe has its turn.
const SLABS_PER_TURN: usize = 4;

/// The options that all pipes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineOptions {
    /// Longer lines are cut, marked and counted. Default 256 KiB.
    pub max_line_bytes: usize,
    /// Whether tracebacks become one event. Default true.
    pub join_tracebacks: bool,
    /// How long bytes may wait for more before they are handed on. Default 10 ms.
    pub linger: Duration,
}

impl Default for LineOptions {
    fn default() -> Self {
        let linger = Duration::from_millis(10);
        Self { max_line_bytes: MAX_LINE_BYTES, join_tracebacks: true, linger }
    }
}

impl LineOptions {
    pub(super) fn limits(&self) -> Limits {
        Limits { max_line_bytes: self.max_line_bytes, join: self.join_tracebacks }
    }
}

/// One stream being read.
#[derive(Debug)]
pub(super) struct Pipe {
    fd: OwnedFd,
    /// Whether a read may be tried without knowing that there is something.
    is_nonblocking: bool,
    pipe_bytes: usize,
    options: LineOptions,
    cutter: PlainCutter,
    /// Bytes not handed on yet; none are held while the stream is idle.
    slab: Option<Slab>,
    origin: Arc<Origin>,
    counters: Arc<SourceCounters>,
    echo: Option<Echo>,
    source_key: u64,
    /// Stream position of the slab's first byte.
    base: u64,
    observed_ns: i64,
    push_at: Option<Instant>,
    last_read_at: Option<Instant>,
    /// Whether the pipe is left alone until `push_at`.
    is_resting: bool,
    holds_block: bool,
    is_ended: bool,
}

impl Pipe {
    /// A pipe at its beginning. Raises the pipe's size as far as it may.
    pub(super) fn new(
        fd: OwnedFd,
        origin: Arc<Origin>,
        context: &Context,
        options: LineOptions,
    ) -> Self {
        // Not a pipe, or not allowed: then it is as large as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&fd, PIPE_BYTES);
        let pipe_bytes = rustix::pipe::fcntl_getpipe_size(&fd).unwrap_or(0);
        let flags = rustix::fs::fcntl_getfl(&fd).unwrap_or(OFlags::empty());
        Self {
            fd,
            is_nonblocking: flags.contains(OFlags::NONBLOCK),
            pipe_bytes,
            options,
            cutter: PlainCutter::new(options.limits(), false),
            slab: None,
            origin,
            counters: Arc::clone(&context.counters),
            echo: None,
            source_key: super::new_source_key(),
            base: 0,
            observed_ns: 0,
            push_at: None,
            last_read_at: None,
            is_resting: false,
            holds_block: false,
            is_ended: false,
        }
    }

    /// Repeats every byte to `echo` as it comes.
    pub(super) fn echo_to(mut self, echo: Option<Echo>) -> Self {
        self.echo = echo;
        self
    }

    /// What to wait for; nothing at the end of the stream and while it rests.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        (!self.is_ended && !self.is_resting).then(|| self.fd.as_fd())
    }

    /// When [`Self::turn`] has something to do even if no byte comes.
    pub(super) fn due(&self) -> Option<Instant> {
        let block = self.last_read_at.filter(|_| self.holds_block).map(|at| at + BLOCK_QUIET);
        self.push_at.into_iter().chain(block).min()
    }

    /// Whether nothing that was read waits to be handed on.
    pub(super) fn is_idle(&self) -> bool {
        self.push_at.is_none()
    }

    /// Whether the stream has ended.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// When the last byte came.
    pub(super) fn last_read_at(&self) -> Option<Instant> {
        self.last_read_at
    }

    /// Reads if there is something, and hands on what has waited long enough.
    pub(super) fn turn(
        &mut self,
        is_readable: bool,
        intake: &mut dyn Intake,
    ) -> Result<(), IntakeClosed> {
        let now = Instant::now();
        let is_due = self.push_at.is_some_and(|at| at <= now);
        if is_readable || (is_due && self.is_resting && self.is_nonblocking) {
            let n_read = self.read(intake)?;
            let is_large = self.pipe_bytes >= LAZY_PIPE_BYTES;
            self.is_resting = is_large && n_read < self.pipe_bytes / HURRY_DIVISOR;
        }
        if is_due {
            self.emit(Mode::More, intake)?;
        }
        if self.push_at.is_none() {
            self.is_resting = false;
        }
        let is_quiet = |at: Instant| at + BLOCK_QUIET <= now;
        if self.holds_block && self.last_read_at.is_some_and(is_quiet) {
            self.emit(Mode::Quiet, intake)?;
        }
        Ok(())
    }

    /// Reads what is there (from a blocking descriptor: once) and returns how much it was.
    fn read(&mut self, intake: &mut dyn Intake) -> Result<usize, IntakeClosed> {
        let mut n_read = 0;
        let mut n_slabs = 0;
        while !self.is_ended && n_slabs < SLABS_PER_TURN {
            let mut slab = match self.slab.take() {
                Some(slab) => slab,
                None => take_slab(intake),
            };
            let spare = slab.spare();
            let room = spare.len();
            let found = rustix::io::read(&self.fd, &mut *spare);
            if let Ok(n) = found {
                if let Some(echo) = &self.echo {
                    echo.offer(&spare[..n]);
                }
                slab.advance(n);
            }
            if !slab.is_empty() {
                self.slab = Some(slab);
            }
            match found {
                Ok(0) => self.end(intake)?,
                Ok(n) => {
                    n_read += n;
                    self.note_read(n);
                    if n == room {
                        n_slabs += 1;
                        self.make_room(intake)?;
                    }
                    if n < room || !self.is_nonblocking {
                        break;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    self.counters.errors.add(1);
                    tracing::warn!(source = self.origin.source, %error, "cannot read on");
                    self.end(intake)?;
                }
            }
        }
        Ok(n_read)
    }

    fn note_read(&mut self, n: usize) {
        self.counters.bytes_in.add(n as u64);
        let now = Instant::now();
        self.last_read_at = Some(now);
        if self.push_at.is_none() {
            self.push_at = Some(now + self.options.linger);
            self.observed_ns = super::now_ns();
        }
    }

    /// Empties a full slab; one that holds a single unfinished line grows up to the line limit.
    fn make_room(&mut self, intake: &mut dyn Intake) -> Result<(), IntakeClosed> {
        self.emit(Mode::More, intake)?;
        let Some(slab) = &mut self.slab else { return Ok(()) };
        if !slab.spare().is_empty() {
            return Ok(());
        }
        if slab.capacity() <= self.options.max_line_bytes + 1 {
            slab.reserve(slab.len().max(4096));
            return Ok(());
        }
        self.emit(Mode::Stale, intake)
    }

    fn end(&mut self, intake: &mut dyn Intake) -> Result<(), IntakeClosed> {
        self.is_ended = true;
        self.is_resting = false;
        self.emit(Mode::Last, intake)
    }

    /// Hands on what is complete, as `mode` defines it, and carries over the rest.
    fn emit(&mut self, mode: Mode, intake: &mut dyn Intake) -> Result<(), IntakeClosed> {
        self.push_at = None;
        let Some(mut slab) = self.slab.take() else { return Ok(()) };
        let raw_len = slab.len();
        let cut = self.cutter.cut(&mut slab, mode);
        self.holds_block = cut.holds;
        if cut.consumed == 0 {
            self.slab = Some(slab);
            return Ok(());
        }
        if cut.consumed < raw_len {
            let mut next = take_slab(intake);
            next.extend_from_slice(&slab[cut.consumed..raw_len]);
            self.slab = Some(next);
        }
        slab.truncate(cut.content);
        self.counters.events_in.add(cut.n_events);
        self.counters.truncated.add(cut.n_truncated);
        let source_base = self.base;
        self.base += cut.consumed as u64;
        intake.push(Chunk {
            slab,
            lines: cut.lines,
            origin: Arc::clone(&self.origin),
            source_key: self.source_key,
            source_base,
            source_end: self.base,
            observed_ns: self.observed_ns,
        })
    }

    /// Reads what the pipe holds at this moment, then hands on everything, finished or not.
    pub(super) fn drain(
        &mut self,
        intake: &mut dyn Intake,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        // A writer that never stops must not keep us: one filling of the pipe is what was there.
        let mut left = self.pipe_bytes.max(PIPE_BYTES);
        while !self.is_ended && left > 0 && stop.stage() < Stage::Now {
            let ready = wait_readable(&[Some(self.fd.as_fd())], Some(Duration::ZERO))?;
            let n_read = if ready[0] { self.read(intake)? } else { 0 };
            if n_read == 0 {
                break;
            }
            left = left.saturating_sub(n_read);
        }
        self.end(intake)?;
        Ok(())
    }
}

/// A slab for a source that cannot wait.
fn take_slab(intake: &mut dyn Intake) -> Slab {
    intake.slab(false).unwrap_or_else(|| Slab::with_capacity(LAZY_PIPE_BYTES))
}

/// Reads a source that is a single pipe.
pub(super) fn run(
    mut pipe: Pipe,
    mut intake: Box<dyn Intake>,
    stop: &Stop,
) -> Result<Ended, SourceError> {
    while !pipe.is_ended() {
        let fds = [pipe.waits_for(), Some(stop.woken_after(Stage::Running))];
        let ready = wait_readable(&fds, until([pipe.due()]))?;
        if ready[1] {
            pipe.drain(&mut *intake, stop)?;
            break;
        }
        pipe.turn(ready[0], &mut *intake)?;
        if pipe.is_idle() {
            intake.rest();
        }
    }
    intake.flush()?;
    Ok(Ended::default())
}
