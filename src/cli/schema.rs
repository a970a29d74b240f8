//! `sidewake schema`.

use std::io::{self, Write};

use crate::config;

/// Prints the JSON Schema of the config.
///
/// # Errors
/// What writing gave.
pub fn schema(out: &mut dyn Write) -> io::Result<u8> {
    out.write_all(config::schema::json().as_bytes())?;
    Ok(super::EXIT_OK)
}
