//! What stands on one line of the text formats: blanks, words, quoted strings, labels in braces.
//!
//! Knows nothing of what a line means.
//!
//! Source: Prometheus' exposition format 0.0.4 and its UTF-8 names, OpenMetrics 1.0 (ABNF).

use std::borrow::Cow;

use super::sample::{NAME, Pair};

/// Where a line is read.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a str,
    /// One blank and no other, as OpenMetrics has it.
    is_strict: bool,
}

/// What is wrong with a line.
pub(super) type Wrong = Cow<'static, str>;

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str, is_strict: bool) -> Self {
        Self { rest: line, is_strict }
    }

    /// Passes blanks; whether there was one.
    pub(super) fn blanks(&mut self) -> bool {
        let rest = match self.is_strict {
            true => self.rest.strip_prefix(' ').unwrap_or(self.rest),
            false => self.rest.trim_start_matches([' ', '\t']),
        };
        let passed = rest.len() < self.rest.len();
        self.rest = rest;
        passed
    }

    /// Passes blanks, of which there must be one.
    pub(super) fn blank(&mut self, before: &'static str) -> Result<(), Wrong> {
        match self.blanks() {
            true => Ok(()),
            false => Err(format!("expected a space before {before}").into()),
        }
    }

    /// Passes `byte`, if it comes next.
    pub(super) fn passes(&mut self, byte: char) -> bool {
        let rest = self.rest.strip_prefix(byte);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What comes up to a blank or the end.
    pub(super) fn token(&mut self) -> &'a str {
        let end = self.rest.find([' ', '\t']).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    /// A name of letters, digits and `_`, and of `:` where `is_metric`; empty where there is none.
    pub(super) fn name(&mut self, is_metric: bool) -> &'a str {
        let is_part = |(at, byte): (usize, u8)| {
            byte.is_ascii_alphabetic()
                || byte == b'_'
                || (byte == b':' && is_metric)
                || (byte.is_ascii_digit() && at > 0)
        };
        let n = self.rest.bytes().enumerate().take_while(|part| is_part(*part)).count();
        let (name, rest) = self.rest.split_at(n);
        self.rest = rest;
        name
    }

    /// A string behind its opening quote, up to and with the closing one.
    pub(super) fn quoted(&mut self) -> Result<Cow<'a, str>, Wrong> {
        let bytes = self.rest.as_bytes();
        let mut at = 0;
        let mut has_escapes = false;
        loop {
            match memchr::memchr2(b'"', b'\\', &bytes[at..]) {
                None => return Err("a quote that does not end".into()),
                Some(found) if bytes[at + found] == b'"' => {
                    let (text, rest) = self.rest.split_at(at + found);
                    self.rest = &rest[1..];
                    return Ok(if has_escapes { unescaped(text, true) } else { text.into() });
                }
                Some(found) => {
                    has_escapes = true;
                    // Whatever is escaped is no end; a character of more bytes is passed in parts.
                    at = (at + found + 2).min(bytes.len());
                }
            }
        }
    }

    /// Labels, behind the opening brace, up to and with the closing one. A quoted name without a
    /// value is the metric's.
    pub(super) fn labels(&mut self, labels: &mut Vec<Pair<'a>>) -> Result<(), Wrong> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if self.passes('}') {
                return Ok(());
            }
            let is_quoted = self.passes('"');
            let name = if is_quoted { self.quoted()? } else { self.name(false).into() };
            if name.is_empty() {
                return Err(expected("a label's name", self.rest));
            }
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if self.passes('=') {
                self.rest = self.rest.trim_start_matches([' ', '\t']);
                if !self.passes('"') {
                    return Err(expected("a quoted value", self.rest));
                }
                if name == NAME {
                    return Err("the name of a metric is no label here".into());
                }
                labels.push((name, self.quoted()?));
            } else if !is_quoted {
                return Err(expected("\"=\"", self.rest));
            } else if labels.iter().any(|(name, _)| name == NAME) {
                return Err("a second name of the metric".into());
            } else {
                labels.push((NAME.into(), name));
            }
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if !self.passes(',') && !self.rest.starts_with('}') {
                return Err(expected("\",\" or \"}\"", self.rest));
            }
        }
    }
}

/// That something else stands there.
pub(super) fn expected(what: &str, rest: &str) -> Wrong {
    match rest.chars().next() {
        None => format!("expected {what}, and the line ends").into(),
        Some(found) => format!("expected {what}, not {found:?}").into(),
    }
}

/// A text whose `\\`, `\n` and, where `has_quotes`, `\"` are undone; other backslashes stay.
pub(super) fn unescaped(text: &str, has_quotes: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let (meant, n) = match behind.as_bytes().first() {
            Some(b'n') => ('\n', 1),
            Some(b'\\') => ('\\', 1),
            Some(b'"') if has_quotes => ('"', 1),
            _ => ('\\', 0),
        };
        out.push(meant);
        rest = &behind[n..];
    }
    out.push_str(rest);
    out.into()
}
