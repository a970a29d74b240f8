//! `sidewake policy`: which field goes where, in which form, for how long.

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
            writeln!(err, "{}", render_all(&problems, style))?;
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
    let words: Vec<String> = config.tiers.iter().map(|tier| tier.retention.to_string()).collect();
    let tiers = config.tiers.iter().zip(&policies).zip(&words);
    let tiers: Vec<Tier<'_>> = tiers
        .map(|((tier, policy), retention)| Tier { name: &tier.name, retention, policy })
        .collect();
    let matrix = Matrix::new(&tiers);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &matrix)?;
        writeln!(out)?;
    } else {
        write!(out, "{matrix}")?;
    }
    Ok(EXIT_OK)
}
