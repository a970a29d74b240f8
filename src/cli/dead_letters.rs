//! `sidewake spool dead-letters SPOOL`: what sinks refused for good, with their reasons, as JSON
//! lines.
//!
//! Reads beside a running daemon and changes nothing: to make room, send them again, or delete the
//! files that were read.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

use crate::deliver::DeadLetters;
use crate::deliver::dead_letters::{N_REFUSED, REASON, Reader, SINK, TIER};
use crate::event::batch::Event;
use crate::event::otlp::json::item_objects;
use crate::event::signal::Signal;
use crate::protect::protected::Protected;

use super::{EXIT_FAILED, EXIT_OK};

/// Prints all letters below the spool's folder; 1 when it has none.
///
/// # Errors
/// What reading a folder or writing gave.
pub(super) fn dead_letters(
    root: &Path,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let mut n_events = 0;
    for route in &DeadLetters::folders(root)? {
        n_events += print(route, out)?;
    }
    if n_events > 0 {
        return Ok(EXIT_OK);
    }
    writeln!(err, "error: there are no dead letters in {}", DeadLetters::root(root).display())?;
    writeln!(err, "hint: Name the folder that the config has under spool.path")?;
    Ok(EXIT_FAILED)
}

fn print(route: &Path, out: &mut dyn Write) -> io::Result<usize> {
    let mut n_events = 0;
    for letter in Reader::open(route)? {
        let letter = letter?;
        for index in 0..letter.len() {
            serde_json::to_writer(&mut *out, &line(&letter, index))?;
            out.write_all(b"\n")?;
        }
        n_events += letter.len();
    }
    Ok(n_events)
}

/// One event as `{tier, sink, reason, refused, ts_ns, record_id, text}`.
fn line(letter: &Protected, index: usize) -> Value {
    let mut line = Map::new();
    for (name, attribute) in [("tier", TIER), ("sink", SINK), ("reason", REASON)] {
        let word = letter.origin.attribute(attribute).unwrap_or_default();
        line.insert(name.to_owned(), word.into());
    }
    // The sink did not say which of the letter's events it refused, only how many.
    if let Some(n_refused) = letter.origin.attribute(N_REFUSED) {
        line.insert("refused".to_owned(), format!("{n_refused} of {}", letter.len()).into());
    }
    if let Some(event) = letter.event(index) {
        line.insert("ts_ns".to_owned(), event.record.ts_ns.into());
        line.insert("record_id".to_owned(), event.record_id().to_string().into());
        line.insert("text".to_owned(), text_of(&event, index).into());
    }
    line.into()
}

/// A line as it stands; a span or a metric as OTLP's JSON, with its resource and scope.
fn text_of(event: &Event<'_>, index: usize) -> String {
    if event.batch.signal == Signal::Logs {
        return String::from_utf8_lossy(event.bytes).into_owned();
    }
    let mut text = String::new();
    item_objects(event.batch, index..index + 1, |_, object| {
        text = String::from_utf8_lossy(object).into_owned();
    });
    text
}
