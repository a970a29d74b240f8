//! The page for people: what was predicted and how sure it was, the features, then everything that
//! was logged on the way in the order of time.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::{printable, trace};
use crate::sinks::json;
use crate::sinks::row::UNNAMED_SERVICE;
use crate::store::Found;
use crate::store::lines::parse_ts;

const MOMENT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");

/// Under these a line says its level, which its head shows.
const LEVEL_KEYS: [&str; 4] = ["level", "levelname", "lvl", "severity"];

/// Longest value in a table before it is cut; `--json` has it whole.
const CELL_CHARS_MAX: usize = 120;

/// The page; says so when nothing was found.
#[must_use]
pub fn page(id: &str, found: &[Found]) -> String {
    let mut out = String::new();
    if found.is_empty() {
        line(&mut out, &format!("nothing found for {}", printable(id)));
        return out;
    }
    let is_row = |event: &&Found| event.field("record_kind").is_some();
    let mut features = None;
    for row in found.iter().filter(is_row) {
        let are_shown = features.is_some() && row.field("features") == features;
        request(&mut out, row, are_shown);
        features = row.field("features").or(features);
    }
    let (spans, lines): (Vec<&Found>, Vec<&Found>) =
        found.iter().filter(|event| !is_row(event)).partition(|event| trace::is_span(event));
    trace::push_traces(&spans, &mut out);
    if !lines.is_empty() {
        let plural = if lines.len() == 1 { "" } else { "s" };
        line(&mut out, &format!("log ({} line{plural})", lines.len()));
        lines.iter().for_each(|event| log_line(&mut out, event, id));
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// One prediction: a header, then its features, unless the row above had the very same.
fn request(out: &mut String, row: &Found, are_shown: bool) {
    let text = |name: &str| row.text_of(name).map(|text| printable(&text));
    let joined = |names: &[&str]| {
        let words: Vec<String> = names.iter().filter_map(|name| text(name)).collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    let size = text("batch_size").filter(|size| size != "1");
    let place = size.map(|size| {
        let index = text("row_index").and_then(|index| index.parse::<u64>().ok());
        format!(" (row {} of {size})", index.unwrap_or_default() + 1)
    });
    let request_id = text("request_id").unwrap_or_default();
    line(out, &format!("request {request_id}{}", place.unwrap_or_default()));
    let verdict = text("prediction_label").or_else(|| text("prediction_value"));
    let verdict = match (verdict, text("confidence")) {
        (Some(verdict), Some(confidence)) => Some(format!("{verdict} (confidence {confidence})")),
        (verdict, confidence) => verdict.or(confidence.map(|c| format!("confidence {c}"))),
    };
    let cells = [
        ("time", Some(format!("{} UTC", moment(row.ts_ns)))),
        ("kind", Some(printable(&row.kind))),
        ("model", joined(&["model_name", "model_version"]).filter(|name| name != "unknown")),
        ("verdict", verdict),
        ("latency", text("latency_ms").map(|ms| format!("{ms} ms"))),
        ("status", joined(&["status", "status_code", "error_type", "error_message"])),
        ("trace", joined(&["trace_id", "span_id"])),
        (
            "service",
            joined(&["service", "namespace", "pod"]).filter(|name| name != UNNAMED_SERVICE),
        ),
        (
            "sampled",
            text("sample_probability")
                .filter(|p| p != "1.0")
                .map(|p| format!("with probability {p}")),
        ),
        ("replay", text("replayable")),
        ("problems", text("logging_errors")),
        ("stored in", Some(stored_in(row))),
    ];
    let cells = cells.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    table(out, cells.collect());
    for (title, column) in
        [("features", "features"), ("prediction", "prediction"), ("attributes", "attributes")]
    {
        let Some(value) = row.field(column) else { continue };
        let mut cells = members(value);
        if cells.is_empty() {
            cells = vec![(String::new(), cell(value))];
        }
        if title == "features" && are_shown {
            line(out, &format!("\n{title}: the same {} as above", cells.len()));
            continue;
        }
        let of = text("feature_count").filter(|_| title == "features");
        let of = of.map(|all| format!(" ({} of {all})", cells.len())).unwrap_or_default();
        line(out, &format!("\n{title}{of}"));
        table(out, cells);
    }
    out.push('\n');
}

fn stored_in(event: &Found) -> String {
    match &event.file {
        Some(file) => printable(&file.to_string_lossy()),
        None => format!("{} (spool, not yet a file)", printable(&event.tier)),
    }
}

/// An object's members, or a list's elements by their position.
fn members(value: &str) -> Vec<(String, String)> {
    if let Some(members) = json::object(value) {
        let member = |(key, value): &json::Member<'_>| (printable(key), cell(value));
        return members.iter().map(member).collect();
    }
    let elements = json::array(value).unwrap_or_default();
    elements.iter().enumerate().map(|(n, value)| (n.to_string(), cell(value))).collect()
}

/// A value in one line; strings without their quotes.
fn cell(value: &str) -> String {
    let text = printable(&json::string(value).unwrap_or(value.into()));
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Two columns, the first as wide as its widest name.
fn table(out: &mut String, cells: Vec<(String, String)>) {
    let width = cells.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in cells {
        // Writing to a string does not fail.
        let _ = writeln!(out, "  {name:width$}  {value}");
    }
}

fn log_line(out: &mut String, event: &Found, id: &str) {
    let level = if event.level.is_empty() { "-" } else { &event.level };
    let head = format!(
        "  {}  {:5}  {:11}  {}  ",
        moment(event.ts_ns),
        printable(level),
        printable(&event.kind),
        printable(&event.source),
    );
    let text = event.text.as_deref().unwrap_or_default();
    let mut lines = text.lines().map(printable);
    let mut first = lines.next().unwrap_or_default();
    for (key, value) in &event.fields {
        // The head of the line and of the page have said these.
        let is_said = json::string(value).is_some_and(|value| {
            value == text
                || (key == "request_id" && value == id)
                || (LEVEL_KEYS.contains(&&**key) && value.eq_ignore_ascii_case(&event.level))
                || parse_ts(&value) == Some(event.ts_ns)
        });
        if key != "_sidewake" && !is_said {
            let _ = write!(first, " {}={}", printable(key), cell(value));
        }
    }
    line(out, &format!("{head}{}", first.trim_start()));
    // A traceback's further lines stand below, indented.
    for further in lines {
        line(out, &format!("      {further}"));
    }
}

fn moment(ts_ns: i64) -> String {
    let ts = OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::nanoseconds(ts_ns));
    ts.format(MOMENT).unwrap_or_default()
}
