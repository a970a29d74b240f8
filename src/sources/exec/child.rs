//! The running child: its start, the signals that reach it, its end.
//!
//! # Why
//! - *Only the child is signalled, not its group*, as if it were run without us: what it does with
//!   its own children on SIGTERM is its business.
//! - *A group of its own, except on a terminal.* A group keeps signals that are meant for ours
//!   (`timeout`, a shell's Ctrl-C) from reaching the child twice, once by us. On a terminal the
//!   child must stay in the foreground group to read its input; there the terminal itself sends it
//!   Ctrl-C and Ctrl-\, and we do not repeat them (uvicorn takes a second one for "at once").

use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::{Options, StdinOf, reap};
use crate::sources::SourceError;

/// Reaches the child from other threads, before it runs and after it ended too.
#[derive(Clone, Debug, Default)]
pub struct ChildHandle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pidfd: Option<OwnedFd>,
    shares_terminal: bool,
    is_ended: bool,
    /// Signals that came before the child ran.
    early: Vec<Signal>,
    was_signalled: bool,
}

impl ChildHandle {
    /// Sends `signal` to the child, unless its terminal has done so. A signal that comes before the
    /// child runs is kept for it; one that comes after its end is dropped.
    pub fn forward(&self, signal: Signal) {
        let mut state = self.lock();
        state.was_signalled |= signal == Signal::TERM || signal == Signal::INT;
        let from_terminal = signal == Signal::INT || signal == Signal::QUIT;
        match &state.pidfd {
            _ if state.is_ended || (state.shares_terminal && from_terminal) => {}
            // It may have ended in this moment.
            Some(pidfd) => {
                let _ = rustix::process::pidfd_send_signal(pidfd, signal);
            }
            None => state.early.push(signal),
        }
    }

    /// Whether the child was told to end.
    pub(super) fn was_signalled(&self) -> bool {
        self.lock().was_signalled
    }

    pub(super) fn note_ended(&self) {
        self.lock().is_ended = true;
    }

    fn note_running(&self, pidfd: OwnedFd, shares_terminal: bool) {
        let mut state = self.lock();
        state.shares_terminal = shares_terminal;
        state.early.drain(..).for_each(|signal| {
            let _ = rustix::process::pidfd_send_signal(&pidfd, signal);
        });
        state.pidfd = Some(pidfd);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child that was started.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) pid: Pid,
    /// Readable when the child has ended.
    pub(super) pidfd: OwnedFd,
}

/// Starts the command of `options` with pipes for its output.
pub(super) fn start(options: &Options, handle: &ChildHandle) -> Result<Running, SourceError> {
    let Some((program, arguments)) = options.command.split_first() else {
        return Err(SourceError::Options { what: "an empty command".into() });
    };
    let shares_terminal = is_in_foreground();
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(options.env.iter().map(|(name, value)| (name, value)));
    command.stdin(match options.stdin {
        StdinOf::Ours => Stdio::inherit(),
        StdinOf::Null => Stdio::null(),
    });
    if let Some(dir) = &options.working_dir {
        command.current_dir(dir);
    }
    if !shares_terminal {
        command.process_group(0);
    }
    let failed = |source| SourceError::Spawn { command: program.clone(), source };
    let (child, pid) = reap::spawn(&mut command).map_err(failed)?;
    let open = || rustix::process::pidfd_open(pid, PidfdFlags::empty());
    let pidfd = open().map_err(std::io::Error::from)?;
    handle.note_running(open().map_err(std::io::Error::from)?, shares_terminal);
    Ok(Running { child, pid, pidfd })
}

/// Whether our input is a terminal and we are the ones it talks to.
fn is_in_foreground() -> bool {
    let stdin = std::io::stdin();
    let group = || rustix::termios::tcgetpgrp(stdin.as_fd()).ok();
    stdin.is_terminal() && group() == Some(rustix::process::getpgrp())
}
