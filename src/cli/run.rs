//! `sidewake run`.

use std::time::Duration;

use crate::config::{self, Config};
use crate::daemon::{self, Reload, RunOptions};
use crate::diagnostic::{Style, chain, render_all};

use super::{EXIT_FAILED, EXIT_USAGE, Exit, Run};

/// Runs until the end; gives the exit code.
///
/// # Errors
/// A config with problems (64), or a daemon that cannot start (1).
pub fn run(args: &Run) -> Result<u8, Exit> {
    let config = load(args, Style::of_stderr())?;
    start_logging();
    let grace = args.grace.0.max(Duration::from_millis(500));
    match daemon::run(config, RunOptions { grace, reload: reload(args) }) {
        // Exit codes are a byte; 128 + signal fits.
        Ok(code) => Ok(u8::try_from(code).unwrap_or(EXIT_FAILED)),
        Err(error) => Err(Exit { code: EXIT_FAILED, text: format!("error: {}\n", chain(&error)) }),
    }
}

/// Our own logs: JSON lines on standard error, warnings and lifecycle, never payload.
fn start_logging() {
    let logs = tracing_subscriber::fmt().json().flatten_event(true).with_writer(std::io::stderr);
    // A second subscriber in one process (tests) is no reason to fail.
    let _ = logs.with_max_level(tracing::Level::INFO).try_init();
}

/// How the config is read again. Its problems go into our own log: no colours.
fn reload(args: &Run) -> Option<Reload> {
    let path = args.config.clone()?;
    let args = args.clone();
    let is_watched = !args.no_watch_config;
    let load = Box::new(move || load(&args, Style::Plain).map_err(|exit| exit.text));
    Some(Reload { path, is_watched, load })
}

fn load(args: &Run, style: Style) -> Result<Config, Exit> {
    let env = config::env::Process;
    let overrides = args.overrides();
    let loaded = match &args.config {
        Some(path) => config::load_with(path, &env, &overrides),
        None => config::parse_with("", "command line", &env, &overrides),
    };
    loaded.map_err(|problems| Exit { code: EXIT_USAGE, text: render_all(&problems, style) })
}
