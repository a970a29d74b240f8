//! `sidewake validate FILE…`.

use std::io::{self, Write};

use crate::config;
use crate::config::env::{Assumed, Env};
use crate::diagnostic::{Style, render_all};

use super::Validate;

/// Checks every file, prints the good ones on `out` and the problems of the others on `err`, and
/// gives the exit code.
///
/// # Errors
/// What writing gave.
pub fn validate(
    args: &Validate,
    env: &dyn Env,
    (out, err): (&mut dyn Write, &mut dyn Write),
    style: Style,
) -> io::Result<u8> {
    let mut code = super::EXIT_OK;
    let mut between = "";
    let env = if args.no_environment { &Assumed } else { env };
    for file in &args.files {
        match config::load(file, env) {
            Ok(config) => {
                let (sources, sinks) = (config.sources.len(), config.sinks.len());
                let (tiers, name) = (config.tiers.len(), file.display());
                let count = |n: usize, noun: &str| match n {
                    1 => format!("1 {noun}"),
                    n => format!("{n} {noun}s"),
                };
                let counts = [count(sources, "source"), count(tiers, "tier"), count(sinks, "sink")];
                writeln!(out, "{name}: ok ({})", counts.join(", "))?;
            }
            Err(problems) => {
                code = super::EXIT_USAGE;
                write!(err, "{between}{}", render_all(&problems, style))?;
                between = "\n";
            }
        }
    }
    Ok(code)
}
