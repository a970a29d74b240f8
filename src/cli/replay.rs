//! `sidewake spool replay`: sends dead letters again and says what became of them.

use std::io::{self, Write};

use crate::config::{self, env::Env};
use crate::daemon::{self, ReplayOptions, Replayed};
use crate::diagnostic::{Style, render_all};

use super::spool::Replay;
use super::{EXIT_FAILED, EXIT_OK, EXIT_USAGE};

/// Replays by the config; 1 when something is left, was refused again, or there was nothing.
///
/// # Errors
/// What writing gave.
pub(super) fn replay(
    args: &Replay,
    env: &dyn Env,
    (out, err): (&mut dyn Write, &mut dyn Write),
    style: Style,
) -> io::Result<u8> {
    let config = match config::load(&args.config, env) {
        Ok(config) => config,
        Err(problems) => {
            write!(err, "{}", render_all(&problems, style))?;
            return Ok(EXIT_USAGE);
        }
    };
    let has_tier = |wanted: &String| config.tiers.iter().any(|tier| tier.name == *wanted);
    let has_sink = |wanted: &String| config.sink(wanted).is_some();
    if !args.tier.as_ref().is_none_or(has_tier) || !args.sink.as_ref().is_none_or(has_sink) {
        writeln!(err, "error: {} has no such tier or sink", args.config.display())?;
        writeln!(err, "hint: sidewake spool ls lists the routes that have letters")?;
        return Ok(EXIT_USAGE);
    }
    let options =
        ReplayOptions { tier: args.tier.clone(), sink: args.sink.clone(), timeout: args.timeout.0 };
    let replayed = match daemon::replay(&config, &options) {
        Ok(replayed) => replayed,
        Err(error) => {
            writeln!(err, "error: {error}")?;
            return Ok(EXIT_FAILED);
        }
    };
    if replayed.is_empty() {
        writeln!(err, "error: there are no dead letters to send")?;
        return Ok(EXIT_FAILED);
    }
    for route in &replayed {
        say(route, out)?;
    }
    let is_done = replayed.iter().all(|route| route.delivered == route.n_events);
    Ok(if is_done { EXIT_OK } else { EXIT_FAILED })
}

fn say(route: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    let Replayed { tier, sink, n_events, delivered, refused, dropped, last_error } = route;
    write!(out, "{tier} to {sink}: {delivered} of {n_events} events delivered")?;
    for (n, what) in [(*refused, "refused again"), (*dropped, "dropped"), (route.left(), "left")] {
        if n > 0 {
            write!(out, ", {n} {what}")?;
        }
    }
    match last_error {
        Some(error) if delivered < n_events => writeln!(out, " ({error})"),
        _ => writeln!(out),
    }
}
