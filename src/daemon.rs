//! Floor 5: puts the floors below together, and takes them apart in the right order.
//!
//! Owns the start (plan, spool, routes, admin, sources), the wait for the end, the change to
//! another config, and the shutdown: sources drain, the spool syncs, delivery uses what is left of
//! the grace period. Deliberately
//! holds no logic of its own about events: that is `pipeline`'s, `spool`'s and `deliver`'s.
//!
//! # Why
//! One runtime thread for everything asynchronous, one thread per source, three for the spool: a
//! sidecar gets a fraction of a core, and more threads cost memory and context switches.

mod allocator;
mod build;
mod change;
mod collector;
mod config_file;
mod derived;
mod feed;
mod inputs;
mod positions;
mod reload;
mod replay;
mod retention;
mod routes;
mod running;
mod sampling;
mod signals;
mod start;
mod ticker;
mod windows;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::spool::SpoolError;

pub use build::{plan, policies};
pub use replay::{ReplayOptions, Replayed, replay};

/// What the command line adds to a config.
#[derive(Debug)]
pub struct RunOptions {
    /// From the signal to stop to the end, at most.
    pub grace: Duration,
    /// How the config is read again; `None` when there is no file.
    pub reload: Option<Reload>,
}

/// The config's file, once more.
pub struct Reload {
    /// Where it is.
    pub path: PathBuf,
    /// Whether a change of the file is enough, without SIGHUP.
    pub is_watched: bool,
    /// Reads it; an error is what to tell the operator.
    pub load: Box<dyn Fn() -> Result<Config, String> + Send>,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, is_watched, .. } = self;
        f.debug_struct("Reload").field("path", path).field("is_watched", is_watched).finish()
    }
}

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The spool cannot be opened.
    #[error("cannot open the spool")]
    Spool(#[from] SpoolError),
    /// The address of the admin server cannot be had.
    #[error(transparent)]
    Admin(#[from] crate::admin::AdminError),
    /// A sink's transport cannot be set up.
    #[error("cannot set up sink \"{sink}\"")]
    Sink {
        /// The sink's name in the config.
        sink: String,
        /// Why not.
        source: crate::deliver::transport::TransportError,
    },
    /// A source cannot be set up.
    #[error("cannot set up source \"{name}\"")]
    Source {
        /// Its name in the config.
        name: String,
        /// Why not.
        source: crate::sources::SourceError,
    },
    /// A folder of ours cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Threads, descriptors or signals are not to be had.
    #[error("cannot set up the process")]
    System(#[from] std::io::Error),
    /// The config's key or policy does not compile; `validate` says the same.
    #[error("{0}")]
    Policy(String),
}

/// Runs until a signal or the end of all sources; returns the exit code: the child's for `run --`,
/// else 0.
///
/// # Errors
/// [`DaemonError`] when it cannot start.
pub fn run(config: Config, options: RunOptions) -> Result<i32, DaemonError> {
    allocator::use_one_arena();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Reading a lagging cursor's segments, and files' syncs.
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(2))
        .thread_stack_size(256 << 10)
        .build()?;
    let code = runtime.block_on(running::run(config, options));
    // A read that hangs on a dead disk must not hold the exit up.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}
