//! Files in a store on disk, for the tests that read one.

use std::path::{Path, PathBuf};

use sidewake::event::batch::Batch;
use sidewake::sinks::LogRange;
use sidewake::sinks::files::{Files, place};

use crate::support::encode;

/// Writes some batches into the store and returns the file's path.
pub(crate) fn write(root: &Path, tier: &str, batches: &[Batch], range: LogRange) -> PathBuf {
    let files = Files::new(root.to_owned(), tier);
    let body = encode(&files, batches, range);
    place::place(root, &body.file_name, &body.bytes.into()).expect("placed")
}
