//! Lines that are not JSON: which tool wrote them, and what of their parts can be found.
//!
//! Owns [`understand_text`], a set of hand-written grammars behind a look at the first bytes, and
//! [`TextUnderstanding`]. A grammar finds the parts that the pipeline needs (time, level, ids,
//! latency, message, an embedded JSON object) and nothing else. Deliberately never refuses a line:
//! what no grammar knows is an application line with whatever ids are written in it. Logfmt is in
//! [`super::logfmt`], and tried here.
//!
//! # Why
//! No regular expressions: the first byte rules out nearly all grammars, and those that are left
//! compare a few fixed words, so that a line which fits none costs less than 300 ns.

mod cursor;
mod dated;
mod glog;
mod ids;
mod json_like;
mod leveled;
pub mod traceback;

use std::ops::Range;

use super::classify::{Rule, Understanding, Verdict};
use super::condition::{Field, FieldSource, Found};
use super::latency;
use super::logfmt;
use super::roles::{Role, token};
use super::time::{self, Parsed};
use crate::event::json::doc::Doc;
use crate::event::record::{Kind, Level};
use cursor::Cursor;

/// What was understood of a line that is not JSON. All ranges are bytes of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextUnderstanding {
    /// The line's kind.
    pub kind: Kind,
    /// The rule that decided it: the grammar, or the words of the message.
    pub rule: u8,
    /// Its level.
    pub level: Level,
    /// The time it states, not yet settled against the time of reading.
    pub time: Option<Parsed>,
    /// The request id's text.
    pub request_id: Option<Range<usize>>,
    /// The 32 hex digits of the trace id.
    pub trace_id: Option<Range<usize>>,
    /// The 16 hex digits of the span id.
    pub span_id: Option<Range<usize>>,
    /// How long it took, with its unit; milliseconds where none is written.
    pub latency: Option<Range<usize>>,
    /// The message behind time, level and names.
    pub message: Option<Range<usize>>,
    /// A JSON object within the line, to be walked; see [`Self::adopt`].
    pub json: Option<Range<usize>>,
    /// It is logfmt.
    pub logfmt: bool,
    /// It begins as JSON and is none.
    pub bad_json: bool,
}

impl Default for TextUnderstanding {
    fn default() -> Self {
        Self {
            kind: Kind::Application,
            rule: Rule::Default as u8,
            level: Level::Unset,
            time: None,
            request_id: None,
            trace_id: None,
            span_id: None,
            latency: None,
            message: None,
            json: None,
            logfmt: false,
            bad_json: false,
        }
    }
}

impl TextUnderstanding {
    fn set(&mut self, verdict: Verdict) {
        self.kind = verdict.kind;
        self.rule = verdict.rule;
    }

    /// The grammar decides; a message's words may still speak where it said `application`.
    fn set_rule(&mut self, rule: Rule) {
        self.rule = rule as u8;
    }

    /// The latency in milliseconds.
    #[must_use]
    pub fn latency_ms(&self, line: &[u8]) -> Option<f64> {
        latency::millis(line.get(self.latency.clone()?)?, b"latency_ms")
    }

    /// Takes over what the JSON object in [`Self::json`] says and the text around it did not.
    pub fn adopt(&mut self, doc: &Doc<'_>, understood: &Understanding, observed_ns: i64) {
        let Some(start) = self.json.as_ref().map(|json| json.start) else { return };
        let find = |role: Role| {
            let member = doc.members().get(usize::from(understood.roles.get(role)?))?;
            let (from, text) = (member.value.0 as usize, doc.text(member));
            let quote = usize::from(text.len() != doc.value(member).len());
            Some((start + from + quote, text))
        };
        if self.kind == Kind::Application && understood.kind != Kind::Application {
            self.kind = understood.kind;
            self.rule = understood.rule;
        }
        if self.level == Level::Unset {
            self.level = understood.level;
        }
        if self.time.is_none() {
            self.time = find(Role::Time).and_then(|(_, text)| time::parse(text, observed_ns));
        }
        if self.request_id.is_none() {
            let id = find(Role::RequestId).filter(|(_, text)| !token::is_null(text));
            self.request_id = id.map(|(at, text)| at..at + text.len());
        }
        if self.trace_id.is_none() {
            self.trace_id = find(Role::TraceId).and_then(|(at, text)| {
                super::roles::ids::trace_id(text).map(|range| at + range.start..at + range.end)
            });
        }
    }
}

/// Understands a line that is not one JSON object. `observed_ns` gives the year to times without
/// one. Free of allocation.
#[must_use]
pub fn understand_text(line: &[u8], observed_ns: i64) -> TextUnderstanding {
    let mut found = TextUnderstanding::default();
    if logfmt::is_candidate(line)
        && let Some(logfmt) = logfmt::understand(line, &mut logfmt::Pairs::default(), observed_ns)
    {
        return logfmt.text;
    }
    let mut at = Cursor::new(line);
    at.skip_ansi();
    let tag = leveled::process_tag(&mut at);
    match at.rest() {
        [b'{', ..] => json_like::broken_object(line, &mut found, observed_ns),
        [b'[', b'{', b'"', ..] => json_like::triton_trace(line, &mut found),
        [b'[', ..] => dated::bracketed(&mut at, &mut found, observed_ns),
        [b'0'..=b'9', ..] => dated::dated_or_access(&mut at, &mut found, observed_ns),
        [b'I' | b'W' | b'E' | b'F' | b'D', b'0'..=b'9', b'0'..=b'9', ..] => {
            glog::glog(&mut at, &mut found, observed_ns);
        }
        rest if rest.starts_with(b"Traceback (most recent call last)") => {
            found.set_rule(Rule::TextTraceback);
            found.level = Level::Error;
        }
        rest if rest.starts_with(b"seldon.") => json_like::seldon(line, &mut found),
        rest if rest.starts_with(b"ce-") => json_like::cloud_event(line, &mut found, observed_ns),
        [b'A'..=b'Z' | b'a'..=b'z', ..] => leveled::leveled(&mut at, &mut found, observed_ns, tag),
        _ => {}
    }
    ids::find(line, &mut found);
    words(line, &mut found);
    found
}

/// Lets the message's words speak where the grammar did not.
fn words(line: &[u8], found: &mut TextUnderstanding) {
    if found.kind != Kind::Application {
        return;
    }
    // Access lines hold paths (`/v1/models/fraud/ready`), not messages.
    let is_access = found.rule == Rule::TextAccess as u8
        || found.rule == Rule::TextBento as u8
        || found.rule == Rule::TextTorchServeMetric as u8;
    if is_access || found.rule == Rule::TextTraceback as u8 {
        return;
    }
    let message = found.message.clone().unwrap_or(0..line.len());
    let text = line.get(message).unwrap_or_default();
    found.set(super::classify::kind_of_message(
        text,
        Verdict { kind: found.kind, rule: found.rule },
    ));
}

/// The fields of a text line, as conditions ask for them.
#[derive(Clone, Copy, Debug)]
pub struct TextFields<'a> {
    /// The line.
    pub line: &'a [u8],
    /// What was understood of it.
    pub text: &'a TextUnderstanding,
}

impl FieldSource for TextFields<'_> {
    fn level(&self) -> Level {
        self.text.level
    }

    fn kind(&self) -> Kind {
        self.text.kind
    }

    fn value(&self, _index: usize, field: &Field) -> Option<Found<'_>> {
        let Field::Role(role) = field else { return None };
        let (range, key): (_, &[u8]) = match role {
            Role::Message => (self.text.message.clone().unwrap_or(0..self.line.len()), b""),
            Role::RequestId => (self.text.request_id.clone()?, b""),
            Role::TraceId => (self.text.trace_id.clone()?, b""),
            Role::SpanId => (self.text.span_id.clone()?, b""),
            Role::Latency => (self.text.latency.clone()?, b"latency_ms"),
            _ => return None,
        };
        Some(Found { token: self.line.get(range)?, key })
    }
}

#[cfg(test)]
mod tests;
