//! What was found, as a page for people and as JSON. Both are safe to print on a terminal: control
//! characters and those that turn the writing direction are shown as escapes.

mod page;
mod trace;

pub use page::page;

use super::Found;
use crate::sinks::json;

/// One JSON object on a line of its own: `{"id": …, "found": [{tier, file, ts_ns, kind, level,
/// source, record_id, text, fields: {…}}]}`, with the values' own text. JSON escapes control
/// characters by itself.
#[must_use]
pub fn to_json(id: &str, found: &[Found]) -> String {
    let mut out = b"{\"id\":".to_vec();
    json::write_string(&mut out, id);
    out.extend_from_slice(b",\"found\":[");
    for (index, event) in found.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_event(&mut out, event);
    }
    out.extend_from_slice(b"]}");
    visible(&String::from_utf8_lossy(&out)) + "\n"
}

fn write_event(out: &mut Vec<u8>, event: &Found) {
    let file = event.file.as_ref().map(|file| file.to_string_lossy().into_owned());
    for (separator, key, value) in [
        ('{', "tier", Some(event.tier.as_str())),
        (',', "file", file.as_deref()),
        (',', "kind", Some(event.kind.as_str())),
        (',', "level", Some(event.level.as_str())),
        (',', "source", Some(event.source.as_str())),
        (',', "record_id", Some(event.record_id.as_str())),
        (',', "text", event.text.as_deref()),
    ] {
        out.extend_from_slice(format!("{separator}\"{key}\":").as_bytes());
        match value {
            Some(value) => json::write_string(out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(format!(",\"ts_ns\":{},\"fields\":{{", event.ts_ns).as_bytes());
    for (index, (key, value)) in event.fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(out, key);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"}}");
}

/// `text` with what a terminal would obey shown as `\u{1b}`: control characters, and marks that
/// turn or hide the writing. In JSON output it only meets characters within strings that JSON
/// leaves raw, so those are written as JSON's own escapes.
fn escape(text: &str, write: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
        if c.is_control() || turns || hides {
            write(&mut out, c);
        } else {
            out.push(c);
        }
    }
    out
}

/// For JSON: a raw control character can only stand between tokens (as white space) or be above
/// U+007F within a string, where `\u0085` means the same.
fn visible(text: &str) -> String {
    escape(text, |out, c| match c {
        '\n' | '\r' | '\t' => out.push(' '),
        c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
    })
}

/// For people.
fn printable(text: &str) -> String {
    escape(text, |out, c| match c {
        '\t' => out.push_str("  "),
        c => out.extend(c.escape_default()),
    })
}
