//! Repeats bytes to a descriptor that may block, without ever blocking who offers them.
//!
//! One thread per descriptor, a bounded buffer in front of it; what does not fit is dropped by
//! whole lines and counted. Deliberately leaves the descriptor's flags alone: making our standard
//! output non-blocking would make it so for everyone who shares it, the shell included.
//!
//! # Why
//! A terminal paused with Ctrl-S, a full pipe, a dead log collector: each blocks a write for ever.
//! The thread may stay in that write; nothing waits for it, and the process can end around it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::telemetry::Counter;

/// Bytes that may wait; as many again may be in the write at hand.
pub const BYTES_MAX: usize = 256 << 10;

/// A bounded writer; clones share it.
#[derive(Clone, Debug)]
pub struct Echo(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes_max: usize,
    state: Mutex<State>,
    changed: Condvar,
    dropped_bytes: Counter,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
    is_closed: bool,
    /// The reader is gone for good.
    is_broken: bool,
    /// A line was dropped in part: the rest of it goes, too.
    is_mid_line: bool,
}

impl Echo {
    /// Starts the thread that writes to `fd`, with a buffer of `bytes_max`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(fd: OwnedFd, bytes_max: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            bytes_max,
            state: Mutex::default(),
            changed: Condvar::new(),
            dropped_bytes: Counter::default(),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("echo".into()).stack_size(64 << 10);
        thread.spawn(move || writer.write_all_that_comes(&fd))?;
        Ok(Self(shared))
    }

    /// A writer to our own standard output.
    ///
    /// # Errors
    /// When the descriptor is closed or no thread can be started.
    pub fn stdout() -> io::Result<Self> {
        Self::start(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?, BYTES_MAX)
    }

    /// A writer to our own standard error.
    ///
    /// # Errors
    /// When the descriptor is closed or no thread can be started.
    pub fn stderr() -> io::Result<Self> {
        Self::start(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?, BYTES_MAX)
    }

    /// Takes `bytes` for writing, or as many whole lines of them as there is room for. Returns
    /// whether all were taken.
    pub fn offer(&self, bytes: &[u8]) -> bool {
        let mut state = self.0.lock();
        let mut taken = if state.is_mid_line { skip_line(bytes) } else { bytes };
        state.is_mid_line &= taken.is_empty() && bytes.last() != Some(&b'\n');
        let room = self.0.bytes_max - state.waiting.len().min(self.0.bytes_max);
        if state.is_broken || state.is_closed {
            taken = &[];
        } else if taken.len() > room {
            let end = memchr::memrchr(b'\n', &taken[..room]).map_or(0, |at| at + 1);
            taken = &taken[..end];
            state.is_mid_line = bytes.last() != Some(&b'\n');
        }
        state.waiting.extend_from_slice(taken);
        drop(state);
        self.0.changed.notify_all();
        self.0.dropped_bytes.add((bytes.len() - taken.len()) as u64);
        taken.len() == bytes.len()
    }

    /// Bytes that were dropped.
    #[must_use]
    pub fn dropped_bytes(&self) -> u64 {
        self.0.dropped_bytes.get()
    }

    /// Waits until all that was taken is written, at most `timeout`; nothing is taken afterwards.
    /// Returns whether it was.
    #[must_use]
    pub fn close(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.lock();
        state.is_closed = true;
        self.0.changed.notify_all();
        while state.is_writing || !state.waiting.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_broken {
                return false;
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.is_broken
    }
}

/// What lies behind the first newline.
fn skip_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).map_or(&[], |at| &bytes[at + 1..])
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all_that_comes(&self, fd: &OwnedFd) {
        let mut writing = Vec::new();
        loop {
            let mut state = self.lock();
            state.is_writing = false;
            self.changed.notify_all();
            while state.waiting.is_empty() {
                if state.is_closed {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.is_writing = true;
            std::mem::swap(&mut state.waiting, &mut writing);
            drop(state);
            if write_all(fd, &writing).is_err() {
                let mut state = self.lock();
                state.is_broken = true;
                state.waiting = Vec::new();
                drop(state);
                self.changed.notify_all();
                return;
            }
            writing.clear();
        }
    }
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            // Somebody else made the descriptor non-blocking.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(fd, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    /// A pipe that takes not one byte more: whoever writes to it blocks until it is read.
    fn full_pipe() -> (OwnedFd, OwnedFd) {
        let (reader, writer) = rustix::pipe::pipe().expect("pipe");
        let blocking = rustix::fs::fcntl_getfl(&writer).expect("flags");
        rustix::fs::fcntl_setfl(&writer, blocking | rustix::fs::OFlags::NONBLOCK).expect("set");
        while rustix::io::write(&writer, &FILLING).is_ok() {}
        rustix::fs::fcntl_setfl(&writer, blocking).expect("set");
        (reader, writer)
    }

    const FILLING: [u8; 4096] = [b'\n'; 4096];

    /// An echo whose thread is stuck in the write of a first line.
    fn stuck_echo(bytes_max: usize) -> (OwnedFd, Echo) {
        let (reader, writer) = full_pipe();
        let echo = Echo::start(writer, bytes_max).expect("thread");
        assert!(echo.offer(b"first\n"));
        let state = echo.0.lock();
        let stuck = echo
            .0
            .changed
            .wait_timeout_while(state, Duration::from_secs(60), |state| !state.is_writing);
        assert!(stuck.expect("unpoisoned").0.is_writing, "the thread never began");
        (reader, echo)
    }

    /// What is in the pipe until its last writer goes, without what filled it.
    fn lines(reader: OwnedFd) -> Vec<String> {
        let lines = BufReader::new(std::fs::File::from(reader)).lines();
        lines.map_while(Result::ok).filter(|line| !line.is_empty()).collect()
    }

    /// A reader that reads nothing costs the offerer nothing; what it gets later are whole lines.
    #[test]
    fn a_blocked_reader_blocks_nobody() {
        let (reader, echo) = stuck_echo(1000);
        let n_lines = 20_000;
        let mut n_taken = 1;
        for n in 0..n_lines {
            n_taken += usize::from(echo.offer(format!("{{\"line\":{n:08}}}\n").as_bytes()));
        }
        assert_eq!(n_taken, 1 + 1000 / 18, "the buffer, full of whole lines");
        assert_eq!(echo.dropped_bytes(), (n_lines + 1 - n_taken) as u64 * 18);
        let reading = std::thread::spawn(|| lines(reader));
        assert!(echo.close(Duration::from_secs(60)));
        assert!(!echo.offer(b"late\n"));
        let lines = reading.join().expect("read to the end");
        assert_eq!(lines.len(), n_taken);
        assert!(lines[1..].iter().all(|line| line.len() == "{\"line\":00000000}".len()));
    }

    /// The end of the process is not held up by a reader that reads nothing.
    #[test]
    fn closing_gives_up_on_a_blocked_reader() {
        let (_reader, echo) = stuck_echo(1000);
        assert!(!echo.close(Duration::ZERO));
    }

    /// Dropping cuts at lines even when the offers do not.
    #[test]
    fn drops_whole_lines() {
        let (reader, echo) = stuck_echo(8);
        assert!(echo.offer(b"aaaaaa\n"));
        assert!(!echo.offer(b"bb"), "the buffer has one byte left");
        assert!(!echo.offer(b"b\n"), "the rest of a line that was dropped");
        drop(reader);
        assert!(!echo.close(Duration::from_secs(60)), "the reader has gone");
        assert!(!echo.offer(b"c\n"));
    }
}
