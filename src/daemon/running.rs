//! The life of the daemon: run, wait, shut down.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::admin::{Panel, Readiness, SourcePanel};
use crate::config::Config;
use crate::sources::{Ended, Stage};
use crate::spool::Spool;

use super::collector::ProtectedEcho;
use super::config_file::ConfigFile;
use super::feed::Feed;
use super::inputs::{self, SourceEnd};
use super::retention::Kept;
use super::routes;
use super::signals::{Notice, Signals};
use super::start::start;
use super::ticker::Ticker;
use super::{DaemonError, Reload, RunOptions, windows};

/// What draining the sources may take of the grace period after a signal.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// The source that runs the model.
pub(super) struct ChildSource {
    name: String,
    is_running: bool,
}

impl ChildSource {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), is_running: true }
    }
}

pub(super) struct Daemon {
    pub(super) config: Config,
    /// What all routes share.
    pub(super) shared: routes::Shared,
    pub(super) spool: Arc<Spool>,
    pub(super) feed: Arc<Feed>,
    pub(super) routes: Vec<routes::Running>,
    pub(super) windows: Vec<windows::Running>,
    pub(super) derived: Option<Ticker>,
    pub(super) sampling: Option<Ticker>,
    /// All routes that there ever were: their counters go on when they come back.
    pub(super) books: Vec<routes::Prepared>,
    pub(super) sources: Vec<inputs::Running>,
    pub(super) source_books: Vec<SourcePanel>,
    pub(super) ended: mpsc::Sender<SourceEnd>,
    pub(super) ends: mpsc::Receiver<SourceEnd>,
    pub(super) signals: Signals,
    pub(super) reload: Option<Reload>,
    pub(super) config_file: Option<ConfigFile>,
    pub(super) panel: Arc<Panel>,
    pub(super) kept: Arc<Mutex<Arc<Kept>>>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) echo: Option<ProtectedEcho>,
    pub(super) child: Option<ChildSource>,
    /// A second signal to stop came: nothing is waited for that is safe already.
    pub(super) hurried: bool,
}

pub(super) async fn run(config: Config, options: RunOptions) -> Result<i32, DaemonError> {
    let mut daemon = start(config, options.reload).await?;
    notify(&[sd_notify::NotifyState::Ready]);
    let mut code = 0;
    let stopped = daemon.wait(&mut code).await;
    // Draining takes the grace period and a few seconds around it; systemd need not know of it.
    let longest_us = u32::try_from((options.grace + 3 * DRAIN_MAX).as_micros()).unwrap_or(u32::MAX);
    notify(&[
        sd_notify::NotifyState::Stopping,
        sd_notify::NotifyState::ExtendTimeoutUsec(longest_us),
    ]);
    daemon.shut_down(options.grace, stopped, &mut code).await;
    Ok(code)
}

impl Daemon {
    /// Waits for a signal to stop, or for all sources to end, and changes to another config
    /// meanwhile. Returns when the signal came.
    async fn wait(&mut self, code: &mut i32) -> Option<Instant> {
        // The model's end is ours, whatever else still listens.
        while !self.sources.is_empty() && !self.has_ended_child() {
            let reads_again = tokio::select! {
                Some(end) = self.ends.recv() => {
                    self.note_end(end, code);
                    false
                }
                notice = self.signals.next() => match notice {
                    // A child was sent the signal and ends by itself; its output is read to the
                    // end.
                    Notice::Stop => return Some(Instant::now()),
                    Notice::Reload => true,
                    Notice::Forwarded => false,
                },
                () = changed(&mut self.config_file) => true,
            };
            if reads_again {
                self.change_config(code).await;
            }
        }
        None
    }

    fn has_ended_child(&self) -> bool {
        self.child.as_ref().is_some_and(|child| !child.is_running)
    }

    /// A source has ended.
    pub(super) fn note_end(&mut self, (name, end): SourceEnd, code: &mut i32) {
        self.sources.retain(|source| source.panel.name != name);
        let counts = match &mut self.child {
            Some(child) if child.name == name => {
                child.is_running = false;
                true
            }
            // Whatever becomes of other sources, our exit code is the child's.
            Some(_) => false,
            None => true,
        };
        let ended_with = match end {
            Ok(Ended { exit_code }) => exit_code,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(source = name, cause, "{error}");
                Some(error.exit_code())
            }
        };
        *code = ended_with.filter(|_| counts).unwrap_or(*code);
    }

    /// Sources drain, the spool syncs, delivery uses what is left of the grace period. A second
    /// signal cuts delivery short; what is spooled stays for the next start.
    async fn shut_down(mut self, grace: Duration, stopped: Option<Instant>, code: &mut i32) {
        self.readiness.set_stopping();
        let begun = stopped.unwrap_or_else(Instant::now);
        let deadline = begun + grace;
        self.drain_sources(begun, deadline, code).await;
        if let Some(derived) = self.derived.take() {
            // Behind all that sources said.
            let _ = tokio::task::spawn_blocking(move || derived.end()).await;
        }
        // No signal of what is undecided comes any more.
        let decided_by = Instant::now() + Duration::from_secs(2);
        windows::Running::end_all(std::mem::take(&mut self.windows), decided_by).await;
        if let Some(sampling) = self.sampling.take() {
            // Behind all that was decided.
            let _ = tokio::task::spawn_blocking(move || sampling.end()).await;
        }
        let spool = Arc::clone(&self.spool);
        let sync_by = Instant::now() + Duration::from_secs(2);
        let closed = tokio::task::spawn_blocking(move || spool.close(sync_by)).await;
        if !closed.unwrap_or(false) {
            tracing::error!("the spool could not make everything durable in time");
        }
        let deadline = deadline.max(Instant::now() + Duration::from_millis(500));
        let mut routes = std::mem::take(&mut self.routes);
        routes.iter().for_each(|route| route.drain(deadline));
        let all_ended = async {
            for route in &mut routes {
                route.ended().await;
            }
        };
        tokio::pin!(all_ended);
        while !self.hurried {
            tokio::select! {
                () = &mut all_ended => break,
                notice = self.signals.next() => self.hurried = notice == Notice::Stop,
            }
        }
        if self.hurried {
            tracing::warn!("stopping at once; what is spooled is delivered after the restart");
        }
        if let Some(echo) = &self.echo {
            for echo in [&echo.stdout, &echo.stderr] {
                if !echo.close(Duration::from_millis(200)) {
                    tracing::warn!("the reader of our output is slow: the echo ends early");
                }
            }
        }
    }

    async fn drain_sources(&mut self, begun: Instant, deadline: Instant, code: &mut i32) {
        // A child ends when it likes, within the grace period; other sources have two seconds.
        if self.child.is_some() {
            let until = deadline.checked_sub(DRAIN_MAX).unwrap_or(begun).max(Instant::now());
            self.sources_end_by(until, code, Self::has_ended_child).await;
        }
        for stage in [Stage::Drain, Stage::Now] {
            self.sources.iter().for_each(|source| source.stop.reach(stage));
            let until = Instant::now() + DRAIN_MAX;
            self.sources_end_by(until, code, |daemon| daemon.sources.is_empty()).await;
        }
    }

    /// Waits for sources to end, until `is_enough`. A second signal to stop ends the wait, and
    /// later the one for delivery.
    async fn sources_end_by(
        &mut self,
        until: Instant,
        code: &mut i32,
        is_enough: impl Fn(&Self) -> bool,
    ) {
        while !self.sources.is_empty() && !is_enough(self) {
            tokio::select! {
                Some(end) = self.ends.recv() => self.note_end(end, code),
                () = tokio::time::sleep_until(until.into()) => return,
                notice = self.signals.next() => if notice == Notice::Stop {
                    self.hurried = true;
                    return;
                },
            }
        }
    }
}

/// As [`ConfigFile::changed`]; never where no file is watched.
async fn changed(file: &mut Option<ConfigFile>) {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

/// Tells systemd, when it is there.
pub(super) fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is no socket, and that is no error.
    let _ = sd_notify::notify(states);
}
