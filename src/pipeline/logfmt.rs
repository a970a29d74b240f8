//! Logfmt: `level=info msg="model loaded" model=fraud`.
//!
//! Owns recognising it (three pairs at the head of the line), its pairs, and what they mean by the
//! same alias table as JSON's members. Values stay raw: quotes and escapes are as in JSON.

use std::ops::Range;

use super::classify::{self, Facts, Rule, Verdict, parse_level};
use super::condition::{Field, FieldSource, Found};
use super::latency::Unit;
use super::roles::token;
use super::roles::{Role, Roles, ids};
use super::text::TextUnderstanding;
use super::time;
use crate::event::json::doc::ValueKind;
use crate::event::record::{Kind, Level};

/// Pairs that a line must begin with to be logfmt.
const MIN_PAIRS: usize = 3;
/// Pairs that are looked at.
const MAX_PAIRS: usize = 48;

/// One `key=value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The key's bytes in the line.
    pub key: (u32, u32),
    /// The value's bytes in the line, quotes included.
    pub value: (u32, u32),
}

/// The pairs of a line, on the stack.
#[derive(Clone, Debug)]
pub struct Pairs {
    pairs: [Pair; MAX_PAIRS],
    len: usize,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { pairs: [Pair::default(); MAX_PAIRS], len: 0 }
    }
}

impl Pairs {
    /// The pairs in the order of the line.
    #[must_use]
    pub fn as_slice(&self) -> &[Pair] {
        &self.pairs[..self.len]
    }

    /// Reads the line's pairs. Says whether it is logfmt: it begins with three pairs whose keys
    /// are identifiers. Words between later pairs are passed over.
    pub fn read(&mut self, line: &[u8]) -> bool {
        self.len = 0;
        let mut at = 0;
        while at < line.len() && self.len < MAX_PAIRS {
            if line[at] == b' ' {
                at += 1;
                continue;
            }
            match pair(line, at) {
                Some((pair, end)) => {
                    self.pairs[self.len] = pair;
                    self.len += 1;
                    at = end;
                }
                None if self.len < MIN_PAIRS => return false,
                None => {
                    let rest = line.get(at..).unwrap_or_default();
                    at += memchr::memchr(b' ', rest).unwrap_or(rest.len());
                }
            }
        }
        self.len >= MIN_PAIRS
    }
}

fn pair(line: &[u8], start: usize) -> Option<(Pair, usize)> {
    let rest = line.get(start..)?;
    let in_key = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-@/".contains(byte);
    let key_len = rest.iter().take(64).take_while(in_key).count();
    if !rest.first()?.is_ascii_alphabetic() && rest.first() != Some(&b'_') {
        return None;
    }
    let value = rest.get(key_len..)?.strip_prefix(b"=")?;
    let value_len = match value.first() {
        Some(b'"') => quoted_len(value)?,
        _ => memchr::memchr(b' ', value).unwrap_or(value.len()),
    };
    let from = start + key_len + 1;
    let span =
        |start: usize, end: usize| Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?));
    let pair = Pair { key: span(start, start + key_len)?, value: span(from, from + value_len)? };
    Some((pair, from + value_len))
}

/// Length of a quoted value with both quotes; a space or the end must follow.
fn quoted_len(value: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', value.get(at..)?)?;
        if value[at] == b'"' {
            break;
        }
        at += 2;
    }
    matches!(value.get(at + 1), None | Some(b' ')).then_some(at + 1)
}

/// What was understood of a logfmt line.
#[derive(Clone, Debug)]
pub struct Logfmt {
    /// As for every text line.
    pub text: TextUnderstanding,
    /// Who plays which role, as indices into the pairs.
    pub roles: Roles,
}

/// Whether the line's first word is a pair: all that most other lines cost here.
#[must_use]
pub fn is_candidate(line: &[u8]) -> bool {
    let starts = line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    starts && memchr::memchr2(b'=', b' ', line).is_some_and(|at| line[at] == b'=')
}

/// Understands a line if it is logfmt.
#[must_use]
pub fn understand(line: &[u8], pairs: &mut Pairs, observed_ns: i64) -> Option<Logfmt> {
    if !is_candidate(line) || !pairs.read(line) {
        return None;
    }
    let mut facts = Facts::default();
    for (index, pair) in pairs.as_slice().iter().enumerate() {
        facts.note_field(slice(line, pair.key), index as u16, ValueKind::String);
    }
    let roles = facts.roles();
    let find = |role: Role| {
        let pair = pairs.as_slice().get(usize::from(roles.get(role)?))?;
        Some(inside(line, pair.value))
    };
    let read = |range: &Range<usize>| line.get(range.clone()).unwrap_or_default();
    let mut text = TextUnderstanding { logfmt: true, ..TextUnderstanding::default() };
    if let Some(level) = find(Role::Level) {
        text.level = parse_level(read(&level), false).unwrap_or(Level::Unset);
    }
    text.time = find(Role::Time).and_then(|range| time::parse(read(&range), observed_ns));
    text.request_id = find(Role::RequestId).filter(|range| !token::is_null(read(range)));
    text.message = find(Role::Message);
    // Without a unit of its own a text line's latency counts as milliseconds.
    text.latency = find(Role::Latency).filter(|range| {
        let key = roles.get(Role::Latency).and_then(|at| pairs.as_slice().get(usize::from(at)));
        let unit = key.map_or(Unit::Unknown, |pair| Unit::of_key(slice(line, pair.key)));
        unit == Unit::Millis || read(range).ends_with(b"s")
    });
    let within = |range: Range<usize>, part: fn(&[u8]) -> Option<Range<usize>>| {
        part(read(&range)).map(|part| range.start + part.start..range.start + part.end)
    };
    text.trace_id = find(Role::TraceId).and_then(|range| within(range, ids::trace_id));
    text.span_id = find(Role::SpanId).and_then(|range| within(range, ids::span_id));
    let default = Verdict::new(Kind::Application, Rule::TextLogfmt);
    let named = find(Role::EventName)
        .map(|range| classify::kind_of_message(read(&range), default))
        .filter(|verdict| verdict.kind != Kind::Application);
    let verdict = named.unwrap_or_else(|| {
        let structure = classify::structure_verdict(&facts, text.level).unwrap_or(default);
        let message = text.message.as_ref().map(read).unwrap_or_default();
        classify::kind_of_message(message, structure)
    });
    text.kind = verdict.kind;
    text.rule = verdict.rule;
    Some(Logfmt { text, roles })
}

fn slice(line: &[u8], (start, end): (u32, u32)) -> &[u8] {
    line.get(start as usize..end as usize).unwrap_or_default()
}

/// A value without its quotes.
fn inside(line: &[u8], (start, end): (u32, u32)) -> Range<usize> {
    let raw = slice(line, (start, end));
    let quote = usize::from(token::text(raw).len() != raw.len());
    start as usize + quote..end as usize - quote
}

/// The fields of a logfmt line, as conditions ask for them.
#[derive(Clone, Copy, Debug)]
pub struct LogfmtFields<'a> {
    /// The line.
    pub line: &'a [u8],
    /// Its pairs.
    pub pairs: &'a Pairs,
    /// What was understood of it.
    pub logfmt: &'a Logfmt,
}

impl FieldSource for LogfmtFields<'_> {
    fn level(&self) -> Level {
        self.logfmt.text.level
    }

    fn kind(&self) -> Kind {
        self.logfmt.text.kind
    }

    fn value(&self, _index: usize, field: &Field) -> Option<Found<'_>> {
        let found = |pair: &Pair| Found {
            token: slice(self.line, pair.value),
            key: slice(self.line, pair.key),
        };
        match field {
            Field::Role(role) => self
                .logfmt
                .roles
                .candidates(*role)
                .filter_map(|at| self.pairs.as_slice().get(usize::from(at)).map(found))
                .find(|found| !token::is_null(found.token)),
            Field::Path(path) => self
                .pairs
                .as_slice()
                .iter()
                .find(|pair| slice(self.line, pair.key) == path.as_bytes())
                .map(found),
            Field::Level | Field::Kind => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::condition::Condition;

    #[test]
    fn what_is_logfmt() {
        for (line, n_pairs) in [
            ("a=1 b=2 c=3", Some(3)),
            ("a=1 b=\"x y\" c=\"say \\\"hi\\\"\" and more d=4", Some(4)),
            ("a= b= c=", Some(3)),
            ("a=1 b=2", None),
            ("a=1 text b=2 c=3", None),
            ("a=1 b=\"open c=3 d=4", None),
            ("x = 1 y = 2 z = 3", None),
            ("https://x/?a=1 b=2 c=3", None),
            ("1=1 2=2 3=3", None),
            ("", None),
        ] {
            let mut pairs = Pairs::default();
            let is_logfmt = is_candidate(line.as_bytes()) && pairs.read(line.as_bytes());
            assert_eq!(is_logfmt.then_some(pairs.as_slice().len()), n_pairs, "{line}");
        }
    }

    /// Conditions read logfmt as they read JSON.
    #[test]
    fn conditions_on_logfmt() {
        let line = br#"level=warn msg="out of \"memory\"" model=fraud took=1.2s score= x.y=7"#;
        let mut pairs = Pairs::default();
        let logfmt = understand(line, &mut pairs, 0).expect("logfmt");
        let event = LogfmtFields { line, pairs: &pairs, logfmt: &logfmt };
        for (condition, expected) in [
            (r#"level == "warn""#, true),
            (r#"message ~ "\"memory\"""#, true),
            ("latency_ms == 1200", true),
            (r#"model_name in ["fraud"]"#, true),
            ("x.y > 6", true),
            ("exists(confidence)", false),
            (r#"kind == "prediction""#, true),
        ] {
            let compiled = Condition::parse(condition).expect(condition);
            assert_eq!(compiled.eval(&event), expected, "{condition}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line in "[a-c]=[a-z=\" \\\\é]{0,60}") {
            let mut pairs = Pairs::default();
            if let Some(logfmt) = understand(line.as_bytes(), &mut pairs, 0) {
                for pair in pairs.as_slice() {
                    prop_assert!(pair.value.1 as usize <= line.len());
                }
                prop_assert!(logfmt.text.logfmt);
            }
        }
    }
}
