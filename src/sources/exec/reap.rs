//! Waits for children: ours by their id, and as PID 1 everybody's orphans.
//!
//! # Why
//! As PID 1 of a container we inherit every process whose parent died, and must wait for it or it
//! stays a zombie. "Wait for any child" would also take the exit codes of our own children, so all
//! waiting goes through one place that keeps those. Whoever starts children elsewhere in this
//! process must not wait for them while orphans are reaped here.

use std::collections::BTreeMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, WaitOptions, WaitStatus};

/// Our children by their id, with the exit code once it is known.
static CHILDREN: Mutex<BTreeMap<i32, Option<i32>>> = Mutex::new(BTreeMap::new());

fn children() -> MutexGuard<'static, BTreeMap<i32, Option<i32>>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts `command`. Its exit code is only to be had from [`exit_code`].
pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Pid)> {
    // Under the lock: a child that dies at once must not be taken for an orphan.
    let mut children = children();
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    children.insert(pid.as_raw_nonzero().get(), None);
    Ok((child, pid))
}

/// The exit code of our child `pid` if it has ended, 128 + signal if a signal ended it; once.
pub(super) fn exit_code(pid: Pid) -> Option<i32> {
    let mut children = children();
    let raw = pid.as_raw_nonzero().get();
    if let Some(code) = children.get(&raw).copied().flatten() {
        children.remove(&raw);
        return Some(code);
    }
    let (_, status) = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok()??;
    children.remove(&raw);
    Some(code_of(status))
}

/// Waits for every child that has ended; ours keep their exit code for [`exit_code`].
pub(super) fn reap_orphans() {
    let mut children = children();
    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if let Some(code) = children.get_mut(&pid.as_raw_nonzero().get()) {
            *code = Some(code_of(status));
        }
    }
}

fn code_of(status: WaitStatus) -> i32 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).unwrap_or(1)
}
