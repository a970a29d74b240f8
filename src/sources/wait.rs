//! `poll(2)` for reading, with a timeout in the standard library's types.
//!
//! Deliberately small: sources wait for at most four descriptors each.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Descriptors that one wait may name.
const FDS_MAX: usize = 4;

/// Waits until one of `fds` is readable, closed or broken, at most `timeout` (for ever if `None`).
/// `None` among `fds` stands for one not waited for. An interrupted wait returns early.
///
/// # Errors
/// When the system has no memory for the wait.
///
/// # Panics
/// For more than four descriptors (`BUG`).
pub(super) fn wait_readable(
    fds: &[Option<BorrowedFd<'_>>],
    timeout: Option<Duration>,
) -> io::Result<[bool; FDS_MAX]> {
    assert!(fds.len() <= FDS_MAX, "BUG: a wait for more than {FDS_MAX} descriptors");
    let mut polled = Vec::with_capacity(FDS_MAX);
    polled.extend(fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
    // A timeout beyond what the system can count is for ever.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ready = [false; FDS_MAX];
    let mut polled = polled.iter();
    for (index, _) in fds.iter().enumerate().filter(|(_, fd)| fd.is_some()) {
        ready[index] = polled.next().is_some_and(|fd| !fd.revents().is_empty());
    }
    Ok(ready)
}

/// The time from now until the earliest of `instants`; `None` when there is none.
pub(super) fn until(instants: impl IntoIterator<Item = Option<Instant>>) -> Option<Duration> {
    let earliest = instants.into_iter().flatten().min()?;
    Some(earliest.saturating_duration_since(Instant::now()))
}
