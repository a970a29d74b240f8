//! Searching JSON lines: by bytes first, and only the lines that hold the id are read.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Found;
use super::wanted::Wanted;
use crate::sinks::json;

/// The events of one file that name an id. A line that is not JSON (a foreign edit) is skipped.
pub(super) fn search(bytes: &[u8], wanted: &Wanted) -> Vec<Found> {
    let mut starts: Vec<usize> = wanted.words(bytes).map(|at| line_start(bytes, at)).collect();
    starts.sort_unstable();
    starts.dedup();
    starts.into_iter().filter_map(|start| read(line_at(bytes, start), wanted)).collect()
}

fn line_start(bytes: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |newline| newline + 1)
}

fn line_at(bytes: &[u8], start: usize) -> &[u8] {
    let rest = &bytes[start..];
    &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]
}

fn read(line: &[u8], wanted: &Wanted) -> Option<Found> {
    let members = json::object(std::str::from_utf8(line).ok()?)?;
    let (known, mut fields): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(key, _)| key == "_sidewake");
    let (_, known) = known.last()?;
    let known = json::object(known)?;
    let word = |name: &str| {
        let value = known.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        value.and_then(json::string).map(std::borrow::Cow::into_owned)
    };
    // What we wrote beside the event names no id that the event does not, but for these two.
    let own = &line[..memchr::memmem::rfind(line, b"\"_sidewake\"").unwrap_or(line.len())];
    let ids = [word("request_id"), word("trace_id")];
    let is_named = wanted.is_in(own)
        || ids.iter().flatten().any(|id| wanted.is_trace(id.to_ascii_lowercase().as_bytes()))
        || ids[0].as_ref().is_some_and(|id| wanted.is_id(id.as_bytes()));
    if !is_named {
        return None;
    }
    // An event wrapped for a member `_sidewake` of its own.
    if let [(key, event)] = fields.as_slice()
        && key == "event"
        && let Some(event) = json::object(event)
    {
        fields = event;
    }
    let text = ["message", "msg", "event"].into_iter().find_map(|name| {
        let value = fields.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        value.and_then(json::string)
    });
    let mut fields: Vec<(String, String)> = fields
        .iter()
        .filter(|(_, value)| *value != "null")
        .map(|(key, value)| (key.clone().into_owned(), (*value).to_owned()))
        .collect();
    let text = text.map(std::borrow::Cow::into_owned);
    fields.push((KNOWN.to_owned(), known_text(&known)));
    Some(Found {
        tier: String::new(),
        file: None,
        ts_ns: word("ts").and_then(|ts| parse_ts(&ts)).unwrap_or_default(),
        kind: word("kind").unwrap_or_default(),
        level: word("level").unwrap_or_default(),
        source: word("source").unwrap_or_default(),
        record_id: word("record_id").unwrap_or_default(),
        fields,
        text,
    })
}

/// The member in which the writer noted what it knew.
const KNOWN: &str = "_sidewake";

fn known_text(known: &[json::Member<'_>]) -> String {
    let mut out = Vec::new();
    for (key, value) in known.iter().filter(|(_, value)| *value != "null") {
        out.push(if out.is_empty() { b'{' } else { b',' });
        json::write_string(&mut out, key);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

/// The trace that the writer noted beside the event.
pub(super) fn trace_of(found: &Found) -> Option<String> {
    let known = json::object(found.field(KNOWN)?)?;
    let (_, trace) = known.iter().find(|(key, _)| key == "trace_id")?;
    json::string(trace).map(std::borrow::Cow::into_owned)
}

/// Nanoseconds since 1970 of an RFC 3339 time.
pub(super) fn parse_ts(ts: &str) -> Option<i64> {
    let ts = OffsetDateTime::parse(ts, &Rfc3339).ok()?;
    i64::try_from(ts.unix_timestamp_nanos()).ok()
}
