//! Events on our own standard output, for people and for pipes.
//!
//! Owns two forms: `json` (one object a line, the event itself under `event` as JSON where it is
//! JSON and as text where it is not) and `pretty` (time, level, kind, the line as it is). Does not
//! write: the transport does. It is also the shortest example of a sink.

use std::fmt::Write as _;
use std::ops::Range;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Body, Encoder, LogRange, Refused, Response, Sink, Transport, Verdict};
use crate::event::batch::{Batch, Event};
use crate::event::otlp::json::item_objects;
use crate::event::record::{Flags, Record};
use crate::event::signal::Signal;

/// How an event looks on the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a terminal.
    Pretty,
}

/// What a console sink needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tier this route serves, a member of each object.
    pub tier: String,
    /// See [`Format`].
    pub format: Format,
}

/// The console sink of one route.
#[derive(Debug)]
pub struct Console {
    options: Options,
}

impl Console {
    /// A sink that prints the events of one tier.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Sink for Console {
    fn encoder(&self, _now_ns: i64) -> Box<dyn Encoder> {
        Box::new(Lines { options: self.options.clone(), bytes: Vec::new() })
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        match response.status {
            200 => Verdict::Delivered,
            status => Verdict::Retry { reason: format!("status {status}") },
        }
    }

    fn transport(&self) -> Transport {
        Transport::Stdout
    }
}

struct Lines {
    options: Options,
    bytes: Vec<u8>,
}

impl Lines {
    fn write(&mut self, event: &Event<'_>, bytes: &[u8], is_json: bool) {
        match self.options.format {
            Format::Json => push_json(event, (bytes, is_json), &self.options.tier, &mut self.bytes),
            Format::Pretty => push_pretty(event, bytes, &mut self.bytes),
        }
        self.bytes.push(b'\n');
    }
}

impl Encoder for Lines {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        if batch.signal == Signal::Logs {
            for event in events.filter_map(|index| batch.event(index)) {
                self.write(&event, event.bytes, event.record.has(Flags::JSON));
            }
        } else {
            item_objects(batch, events, |index, object| {
                if let Some(event) = batch.event(index) {
                    self.write(&event, object, true);
                }
            });
        }
        Vec::new()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn finish(self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        body.bytes = self.bytes;
        Ok(())
    }
}

/// One line of the `json` form, in the order of its members.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    tier: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    level: &'static str,
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling_probability: Option<f64>,
    event: Payload<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    Json(&'a RawValue),
    Text(String),
}

fn push_json(event: &Event<'_>, (bytes, is_json): (&[u8], bool), tier: &str, out: &mut Vec<u8>) {
    let record = event.record;
    let text = String::from_utf8_lossy(bytes);
    // A raw value is copied as it stands, so it must lie on one line for the output to do so.
    let is_one_line = is_json && memchr::memchr(b'\n', bytes).is_none();
    let raw = is_one_line.then(|| serde_json::from_str(&text).ok()).flatten();
    let line = Line {
        time: time_of(record),
        tier,
        kind: event.kind_word(),
        level: record.level().as_str(),
        service: event.batch.origin.attribute("service.name"),
        sampling_probability: (record.sampling_threshold() > 0).then(|| record.probability()),
        event: raw.map_or_else(|| Payload::Text(text.to_string()), Payload::Json),
    };
    // Writing to memory cannot fail, and no member has a key that is not text.
    let _ = serde_json::to_writer(out, &line);
}

fn push_pretty(event: &Event<'_>, bytes: &[u8], out: &mut Vec<u8>) {
    let record = event.record;
    let mut head = String::new();
    let _ = write!(
        head,
        "{} {:5} {:11} ",
        time_of(record),
        record.level().as_str().to_ascii_uppercase(),
        event.kind_word()
    );
    out.extend_from_slice(head.as_bytes());
    // The line comes from a model's output: no byte of it may steer the terminal.
    let text = String::from_utf8_lossy(bytes);
    let safe = text.chars().map(|c| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '\u{fffd}',
        c => c,
    });
    out.extend_from_slice(safe.collect::<String>().as_bytes());
}

/// RFC 3339 with nanoseconds where there are any; the number itself beyond year 9999.
fn time_of(record: &Record) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(record.ts_ns)).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| record.ts_ns.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::origin::Origin;
    use crate::event::record::{Kind, Level};
    use crate::event::slab::Slab;

    fn printed(format: Format, line: &str, flags: u16) -> String {
        let mut record = Record::new(0, line.len() as u32);
        record.ts_ns = 1_700_000_000_250_000_000;
        record.flags = flags;
        record.kind = Kind::Prediction as u8;
        record.level = Level::Warn as u8;
        let attributes = vec![("service.name".to_owned(), "fraud".to_owned())];
        let batch = Batch {
            table: vec![record],
            slab: Slab::from_bytes(line.as_bytes()),
            origin: Arc::new(Origin { attributes, ..Origin::default() }),
            ..Batch::default()
        };
        let sink = Console::new(Options { tier: "app".into(), format });
        let mut encoder = sink.encoder(0);
        assert!(encoder.push(&batch, 0..1).is_empty());
        let mut body = Body::default();
        encoder.finish(LogRange::default(), &mut body).expect("encodes");
        String::from_utf8(body.bytes).expect("text")
    }

    #[test]
    fn json_lines() {
        let head = r#"{"time":"2023-11-14T22:13:20.25Z","tier":"app","kind":"prediction","level":"warn","service":"fraud","event":"#;
        for (line, flags, event) in [
            (r#"{"a": 1.50}"#, Flags::JSON, r#"{"a": 1.50}"#),
            ("Traceback:\n  x", 0, r#""Traceback:\n  x""#),
            ("{broken", Flags::JSON, r#""{broken""#),
            ("{\n}", Flags::JSON, r#""{\n}""#),
        ] {
            assert_eq!(printed(Format::Json, line, flags), format!("{head}{event}}}\n"));
        }
    }

    #[test]
    fn pretty_lines_cannot_steer_a_terminal() {
        assert_eq!(
            printed(Format::Pretty, "a\x1b[31mb", 0),
            "2023-11-14T22:13:20.25Z WARN  prediction  a\u{fffd}[31mb\n"
        );
    }
}
