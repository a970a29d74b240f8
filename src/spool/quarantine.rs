//! What was put aside because it could not be read, once its tier's time is over.
//!
//! # Why
//! A stretch in quarantine holds events, and a tier promises for how long these are kept. When they
//! were observed nobody can read any more; the file was last written after all of them, and a whole
//! segment keeps its time when it is renamed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What [`expire_quarantined`] removed.
#[derive(Debug, Default)]
pub struct ExpiredQuarantine {
    /// Files, and their bytes.
    pub n_files: usize,
    /// See above.
    pub n_bytes: u64,
    /// What could not be removed.
    pub failures: Vec<(PathBuf, io::Error)>,
}

/// Removes what is in the quarantine of `tier`, in the spool at `root`, and older than `keep`.
///
/// # Errors
/// The folder cannot be listed.
pub fn expire_quarantined(
    root: &Path,
    tier: &str,
    keep: Duration,
    now: SystemTime,
) -> io::Result<ExpiredQuarantine> {
    let mut expired = ExpiredQuarantine::default();
    for entry in std::fs::read_dir(root.join(tier))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "quarantine") {
            continue;
        }
        match remove_if_older(&path, keep, now) {
            Ok(Some(n_bytes)) => {
                expired.n_files += 1;
                expired.n_bytes += n_bytes;
            }
            Ok(None) => {}
            Err(error) => expired.failures.push((path, error)),
        }
    }
    Ok(expired)
}

/// The bytes of the file, if it went.
fn remove_if_older(path: &Path, keep: Duration, now: SystemTime) -> io::Result<Option<u64>> {
    let metadata = std::fs::metadata(path)?;
    // A file of the future is not old.
    let age = now.duration_since(metadata.modified()?).unwrap_or_default();
    if age <= keep {
        return Ok(None);
    }
    std::fs::remove_file(path)?;
    Ok(Some(metadata.len()))
}
