//! `sidewake policy`: which field goes where, in which form, for how long. Tiers that nothing feeds
//! are named and not listed: rows about data that cannot be would hide those that can.

use std::io::{self, Write};

use crate::config::{self, Config};
use crate::daemon;
use crate::diagnostic::{Style, render_all};
use crate::protect::matrix::{Matrix, Tier};

use super::{EXIT_FAILED, EXIT_OK, EXIT_USAGE, Policy};

/// Prints the matrix of the config, or of the embedded store without one.
///
/// # Errors
/// What writing gave.
pub fn policy(
    args: &Policy,
    env: &dyn config::env::Env,
    (out, err): (&mut dyn Write, &mut dyn Write),
    style: Style,
) -> io::Result<u8> {
    let config = match &args.config {
        Some(path) => config::load(path, env),
        None => Config::embedded(vec!["model".to_owned()], env),
    };
    let config = match config {
        Ok(config) => config,
        Err(problems) => {
            write!(err, "{}", render_all(&problems, style))?;
            return Ok(EXIT_USAGE);
        }
    };
    let policies = match daemon::policies(&config) {
        Ok(policies) => policies,
        Err(error) => {
            writeln!(err, "error: {error}")?;
            return Ok(EXIT_FAILED);
        }
    };
    // A matrix of what happens: a tier that no kind of log belongs to holds nothing.
    let (fed, unfed): (Vec<_>, Vec<_>) =
        config.tiers.iter().zip(&policies).partition(|(tier, _)| !tier.kinds.is_empty());
    let words: Vec<String> = fed.iter().map(|(tier, _)| tier.retention.to_string()).collect();
    let tiers: Vec<Tier<'_>> = fed
        .iter()
        .zip(&words)
        .map(|((tier, policy), retention)| Tier { name: &tier.name, retention, policy })
        .collect();
    let matrix = Matrix::new(&tiers);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &matrix)?;
        writeln!(out)?;
        return Ok(EXIT_OK);
    }
    writeln!(out, "{matrix}\ninspect: kept, but for what the detectors find in it.")?;
    let unfed: Vec<&str> = unfed.iter().map(|(tier, _)| tier.name.as_str()).collect();
    if !unfed.is_empty() {
        writeln!(out, "Not listed, for no source feeds them: {}.", unfed.join(", "))?;
    }
    Ok(EXIT_OK)
}
