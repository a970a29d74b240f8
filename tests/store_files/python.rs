//! An independent reader: Python with pyarrow and DuckDB, in a virtual environment that is made
//! once and kept in the cache.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The interpreter; `None`, with one line saying why, where it cannot be had.
pub(crate) fn interpreter() -> Option<PathBuf> {
    // The tests of a process share one attempt; two at once would trip over each other's pip.
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> Option<PathBuf> {
    let cache = std::env::var_os("SIDEWAKE_CACHE").map(PathBuf::from).or_else(|| {
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/sidewake"))
    })?;
    let folder = cache.join("venv-store");
    let python = folder.join("bin/python");
    let ready = |python: &Path| run(python, &["-c", "import pyarrow, duckdb"]).is_ok();
    if ready(&python) {
        return Some(python);
    }
    let made = std::fs::create_dir_all(&cache).map_err(|error| error.to_string()).and_then(|()| {
        run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()])?;
        run(&python, &["-m", "pip", "install", "--quiet", "pyarrow", "duckdb"])
    });
    match made {
        Ok(_) => Some(python),
        Err(error) => {
            let line = error.lines().last().unwrap_or_default();
            println!("skipped: no pyarrow and duckdb for Python: {line}");
            None
        }
    }
}

/// Runs a program and returns what it printed.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
