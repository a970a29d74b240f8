//! A thread that does something from time to time, and a last time at the end.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// See the module.
pub(super) struct Ticker {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: std::thread::JoinHandle<()>,
}

/// What it does.
pub(super) trait Work: Send + 'static {
    /// How long until the next time.
    fn wait(&self) -> Duration;

    /// Does it. `is_last`: nothing comes after it.
    fn run(&mut self, is_last: bool);
}

impl Ticker {
    /// Runs until told to stop.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(name: &str, mut work: impl Work) -> std::io::Result<Self> {
        let stop = Arc::<(Mutex<bool>, Condvar)>::default();
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while !stops_within(&told, work.wait()) {
                work.run(false);
            }
            work.run(true);
        })?;
        Ok(Self { stop, thread })
    }

    /// Does it a last time, behind all that was done until now. Blocks for as long as that takes.
    pub(super) fn end(self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_one();
        let name = self.thread.thread().name().unwrap_or_default().to_owned();
        if self.thread.join().is_err() {
            tracing::error!(name, "a thread panicked");
        }
    }
}

/// Waits for `time`, or until told to stop, which it says.
fn stops_within((is_told, wake): &(Mutex<bool>, Condvar), time: Duration) -> bool {
    let until = Instant::now() + time;
    let mut is_over = is_told.lock().unwrap_or_else(PoisonError::into_inner);
    while !*is_over {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        is_over = wake.wait_timeout(is_over, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    true
}
