//! `sidewake show REQUEST_ID`: what the embedded store, and the spool behind it, hold of a request.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::DATA_DIR;
use crate::spool;
use crate::store::render;
use crate::store::{Query, Search};

use super::{EXIT_FAILED, EXIT_OK, Show};

/// Prints the request; 1 when nothing is found.
///
/// # Errors
/// What reading the store's folder or writing gave.
pub fn show(args: &Show, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let root = args.data_dir.clone().unwrap_or_else(default_root);
    if !root.is_dir() {
        writeln!(err, "error: there is no embedded store in {}", root.display())?;
        writeln!(err, "hint: Name its folder: sidewake show --data-dir DIR REQUEST_ID")?;
        return Ok(EXIT_FAILED);
    }
    let query = Query { id: args.request_id.clone(), is_prefix: false, days: None };
    let mut search = Search::new(query);
    search.scan(&root)?;
    add_spooled(&root.join("spool"), &mut search);
    for problem in &search.problems {
        writeln!(err, "warning: cannot read {}: {}", problem.file.display(), problem.reason)?;
    }
    let found = search.finish();
    if found.is_empty() {
        writeln!(err, "error: nothing is known of {:?} in {}", args.request_id, root.display())?;
        return Ok(EXIT_FAILED);
    }
    let text = match args.json {
        true => render::to_json(&args.request_id, &found),
        false => render::page(&args.request_id, &found),
    };
    out.write_all(text.as_bytes())?;
    Ok(EXIT_OK)
}

/// What is spooled and in no file yet: each tier's segments, read without disturbing the daemon.
fn add_spooled(spool: &Path, search: &mut Search) {
    let Ok(tiers) = std::fs::read_dir(spool) else { return };
    for tier in tiers.flatten() {
        let Some(name) = tier.file_name().to_str().map(str::to_owned) else { continue };
        spool::peek(&tier.path(), &mut |batch| search.add_events(&name, batch));
    }
}

fn default_root() -> PathBuf {
    std::env::var_os("STATE_DIRECTORY").map_or_else(|| PathBuf::from(DATA_DIR), PathBuf::from)
}
