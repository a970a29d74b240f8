//! `sidewake run`.

use std::time::Duration;

use crate::config::{self, Config};
use crate::daemon::{self, RunOptions};
use crate::diagnostic::{Style, render_all};

use super::{EXIT_FAILED, EXIT_USAGE, Exit, Run};

/// Runs until the end; gives the exit code.
///
/// # Errors
/// A config with problems (64), or a daemon that cannot start (1).
pub fn run(args: &Run) -> Result<u8, Exit> {
    let config = load(args)?;
    start_logging();
    let options = RunOptions { grace: args.grace.0.max(Duration::from_millis(500)) };
    match daemon::run(&config, options) {
        // Exit codes are a byte; 128 + signal fits.
        Ok(code) => Ok(u8::try_from(code).unwrap_or(EXIT_FAILED)),
        Err(error) => Err(Exit { code: EXIT_FAILED, text: chain(&error) }),
    }
}

/// Our own logs: JSON lines on standard error, warnings and lifecycle, never payload.
fn start_logging() {
    let logs = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    // A second subscriber in one process (tests) is no reason to fail.
    let _ = logs.with_max_level(tracing::Level::INFO).try_init();
}

fn load(args: &Run) -> Result<Config, Exit> {
    let env = config::env::Process;
    let overrides = args.overrides();
    let loaded = match &args.config {
        Some(path) => config::load_with(path, &env, &overrides),
        None => config::parse_with("", "command line", &env, &overrides),
    };
    loaded.map_err(|problems| Exit {
        code: EXIT_USAGE,
        text: render_all(&problems, Style::of_stderr()),
    })
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text + "\n"
}
