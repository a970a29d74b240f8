//! The token that ends a source, in two stages, and wakes it out of `poll(2)`.
//!
//! Deliberately knows no deadline: the daemon keeps the time and moves the stage.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::watch;

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// Not at all.
    Running = 0,
    /// Read what is there to its end, then leave.
    Drain = 1,
    /// Leave after the chunk at hand.
    Now = 2,
}

/// Ends sources; clones share one state.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stage: AtomicU8,
    /// Readable for ever once the stage is reached: every waiting thread sees it.
    drain: OwnedFd,
    now: OwnedFd,
    /// The same for tasks.
    told: watch::Sender<Stage>,
}

impl Stop {
    /// A token at [`Stage::Running`].
    ///
    /// # Errors
    /// When no descriptors are to be had.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (drain, now) = (eventfd(0, flags)?, eventfd(0, flags)?);
        let (stage, told) = (AtomicU8::new(0), watch::Sender::new(Stage::Running));
        Ok(Self(Arc::new(Inner { stage, drain, now, told })))
    }

    /// Moves to `stage`; never back.
    pub fn reach(&self, stage: Stage) {
        self.0.stage.fetch_max(stage as u8, Ordering::SeqCst);
        self.0.told.send_modify(|told| *told = stage.max(*told));
        for (at, fd) in [(Stage::Drain, &self.0.drain), (Stage::Now, &self.0.now)] {
            if stage >= at {
                // Only a counter at its maximum refuses, and then it is readable already.
                let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
            }
        }
    }

    /// Waits until `stage` is reached.
    pub async fn reached(&self, stage: Stage) {
        let mut told = self.0.told.subscribe();
        // The sender lives as long as this does.
        let _ = told.wait_for(|reached| *reached >= stage).await;
    }

    /// The stage now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.0.stage.load(Ordering::SeqCst) {
            0 => Stage::Running,
            1 => Stage::Drain,
            _ => Stage::Now,
        }
    }

    /// Whether stopping has begun.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.stage() > Stage::Running
    }

    /// What becomes readable when the stage behind `seen` is reached.
    #[must_use]
    pub fn woken_after(&self, seen: Stage) -> BorrowedFd<'_> {
        match seen {
            Stage::Running => self.0.drain.as_fd(),
            Stage::Drain | Stage::Now => self.0.now.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sources::wait::wait_readable;

    #[test]
    fn stages_only_rise_and_wake_every_clone() {
        let stop = Stop::new().expect("descriptors");
        let clone = stop.clone();
        let ready = |stage| {
            wait_readable(&[Some(clone.woken_after(stage))], Some(Duration::ZERO)).expect("poll")[0]
        };
        assert!(!clone.is_set() && !ready(Stage::Running));
        stop.reach(Stage::Drain);
        assert_eq!(clone.stage(), Stage::Drain);
        assert!(ready(Stage::Running) && !ready(Stage::Drain));
        stop.reach(Stage::Now);
        stop.reach(Stage::Drain);
        assert_eq!(clone.stage(), Stage::Now);
        assert!(ready(Stage::Drain));
    }
}
