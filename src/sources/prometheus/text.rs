//! The text formats: Prometheus' 0.0.4 (and 1.0, which is the same with any names) and OpenMetrics
//! 1.0, a line at a time, borrowed from the body.
//!
//! Deliberately keeps no family: which samples belong together is decided elsewhere.
//!
//! Source: Prometheus' "Exposition formats", OpenMetrics 1.0; in doubt, what Prometheus 3 takes.

use std::borrow::Cow;

use super::lex::{Cursor, Wrong, expected, unescaped};
use super::replay::Lines;
use super::sample::{Exemplar, NAME, Pair, ParseError, Sample, time_of_ms, time_of_seconds, value};
use crate::event::otlp::prometheus::FamilyType;

/// What a line says.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// What a family is about.
    Help(Cow<'a, str>, Cow<'a, str>),
    /// What it is.
    Type(Cow<'a, str>, FamilyType),
    /// What its values are in.
    Unit(Cow<'a, str>, &'a str),
    /// A sample, whose labels were given out.
    Sample(Sample<'a>),
}

/// Reads an exposition.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a str,
    line: usize,
    is_openmetrics: bool,
    is_ended: bool,
    /// Bytes of the last sample's line from its value on.
    n_behind: usize,
    /// What the lines are but for their values.
    pub(super) lines: Lines,
}

impl<'a> Reader<'a> {
    /// # Errors
    /// A body that is no UTF-8.
    pub(super) fn new(body: &'a [u8], is_openmetrics: bool) -> Result<Self, ParseError> {
        let rest = std::str::from_utf8(body).map_err(|error| {
            let before = &body[..error.valid_up_to()];
            let line = memchr::memchr_iter(b'\n', before).count() + 1;
            ParseError::Line { line, reason: "not UTF-8".to_owned() }
        })?;
        let lines = Lines::default();
        Ok(Self { rest, line: 0, is_openmetrics, is_ended: false, n_behind: 0, lines })
    }

    /// The number of the line that was read last, from 0.
    pub(super) fn at(&self) -> usize {
        self.line.saturating_sub(1)
    }

    /// What the next line says that says something; a sample's labels are put into `labels`, its
    /// name first.
    ///
    /// # Errors
    /// A line that cannot be read, or the end of one of OpenMetrics that does not say so.
    pub(super) fn next(
        &mut self,
        labels: &mut Vec<Pair<'a>>,
    ) -> Result<Option<Line<'a>>, ParseError> {
        while !self.rest.is_empty() {
            self.line += 1;
            let end = memchr::memchr(b'\n', self.rest.as_bytes());
            let (line, rest) = match end {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, ""),
            };
            self.rest = rest;
            let read = match line.strip_prefix('#') {
                _ if self.is_ended => Err("something behind \"# EOF\"".into()),
                Some(comment) if self.is_openmetrics => self.openmetrics_comment(comment),
                Some(comment) => Self::comment(comment),
                None if self.is_openmetrics => self.sample(line, labels).map(Some),
                None => self.text_line(line, labels),
            };
            let is_sample = matches!(read, Ok(Some(Line::Sample(_))));
            self.lines.note(line, is_sample.then_some(line.len() - self.n_behind.min(line.len())));
            match read {
                Ok(None) => {}
                Ok(some) => return Ok(some),
                Err(reason) => return Err(self.wrong(reason)),
            }
        }
        if self.is_openmetrics && !self.is_ended {
            self.line += 1;
            return Err(self.wrong("\"# EOF\" is missing".into()));
        }
        Ok(None)
    }

    /// That the line that was read last is wrong.
    pub(super) fn wrong(&self, reason: Wrong) -> ParseError {
        ParseError::Line { line: self.line, reason: reason.into_owned() }
    }

    fn text_line(
        &mut self,
        line: &'a str,
        labels: &mut Vec<Pair<'a>>,
    ) -> Result<Option<Line<'a>>, Wrong> {
        let line = line.trim_start_matches([' ', '\t']);
        match line.strip_prefix('#') {
            _ if line.is_empty() => Ok(None),
            Some(comment) => Self::comment(comment),
            None => self.sample(line, labels).map(Some),
        }
    }

    /// What stands behind `#` in the older format.
    fn comment(comment: &'a str) -> Result<Option<Line<'a>>, Wrong> {
        let mut cursor = Cursor::new(comment, false);
        cursor.blanks();
        let word = cursor.token();
        if !matches!(word, "HELP" | "TYPE") {
            return Ok(None);
        }
        let name = family_name(&mut cursor)?;
        cursor.blanks();
        if word == "HELP" {
            return Ok(Some(Line::Help(name, unescaped(cursor.rest, false))));
        }
        let word = cursor.rest.trim_end_matches([' ', '\t']);
        match word {
            "counter" | "gauge" | "histogram" | "summary" | "untyped" => {
                let family_type = FamilyType::parse(word.as_bytes()).unwrap_or_default();
                Ok(Some(Line::Type(name, family_type)))
            }
            _ => Err(format!("{word:?} is no type").into()),
        }
    }

    /// What stands behind `#` in OpenMetrics, where nothing else does.
    fn openmetrics_comment(&mut self, comment: &'a str) -> Result<Option<Line<'a>>, Wrong> {
        if comment == " EOF" {
            self.is_ended = true;
            return Ok(None);
        }
        let mut cursor = Cursor::new(comment, true);
        cursor.blank("HELP, TYPE, UNIT or EOF")?;
        let word = cursor.token();
        if !matches!(word, "HELP" | "TYPE" | "UNIT") {
            return Err("neither HELP, TYPE, UNIT nor EOF behind \"#\"".into());
        }
        let name = family_name(&mut cursor)?;
        cursor.blank("what is said of it")?;
        let rest = cursor.rest;
        match word {
            "HELP" => Ok(Some(Line::Help(name, unescaped(rest, true)))),
            "TYPE" => match FamilyType::parse(rest.as_bytes()) {
                Some(family_type) if rest != "untyped" => Ok(Some(Line::Type(name, family_type))),
                _ => Err(format!("{rest:?} is no type").into()),
            },
            _ => {
                let stem = name.strip_suffix(rest);
                match rest.is_empty() || stem.is_some_and(|stem| stem.ends_with('_')) {
                    true => Ok(Some(Line::Unit(name, rest))),
                    false => Err(format!("{name:?} does not end with its unit {rest:?}").into()),
                }
            }
        }
    }

    fn sample(&mut self, line: &'a str, labels: &mut Vec<Pair<'a>>) -> Result<Line<'a>, Wrong> {
        labels.clear();
        let mut cursor = Cursor::new(line, self.is_openmetrics);
        let name = cursor.name(true);
        if !name.is_empty() {
            labels.push((NAME.into(), name.into()));
        } else if !cursor.rest.starts_with('{') {
            return Err(expected("a metric's name", cursor.rest));
        }
        let is_parted = !self.is_openmetrics && cursor.blanks();
        if cursor.passes('{') {
            cursor.labels(labels)?;
            if !labels.iter().any(|(name, _)| name == NAME) {
                return Err("a sample without a name".into());
            }
            unique(labels)?;
        } else if !(is_parted || self.is_openmetrics && cursor.rest.starts_with(' ')) {
            return Err(expected("a value", cursor.rest));
        }
        if self.is_openmetrics {
            cursor.blank("the value")?;
        }
        self.numbers(&mut cursor).map(Line::Sample)
    }

    /// What stands behind name and labels.
    fn numbers(&mut self, cursor: &mut Cursor<'a>) -> Result<Sample<'a>, Wrong> {
        if !self.is_openmetrics {
            cursor.blanks();
        }
        self.n_behind = cursor.rest.len();
        let token = cursor.token();
        let Some(value) = value(token) else { return Err(no_number("value", token)) };
        let mut sample = Sample { value, ..Sample::default() };
        let is_over = |cursor: &Cursor<'a>| cursor.rest.is_empty();
        if cursor.blanks() && (self.is_openmetrics || !is_over(cursor)) {
            if !(self.is_openmetrics && cursor.rest.starts_with('#')) {
                sample.time_ns = Some(self.time(cursor)?);
                let goes_on = cursor.blanks() && self.is_openmetrics;
                if goes_on && !cursor.rest.starts_with('#') {
                    return Err("expected the end of the line, not a space".into());
                }
            }
            if self.is_openmetrics && cursor.passes('#') {
                sample.exemplars.push(self.exemplar(cursor)?);
            }
        }
        match is_over(cursor) {
            true => Ok(sample),
            false => Err(expected("the end of the line", cursor.rest)),
        }
    }

    fn time(&self, cursor: &mut Cursor<'a>) -> Result<i64, Wrong> {
        let token = cursor.token();
        let time = if self.is_openmetrics { time_of_seconds(token) } else { time_of_ms(token) };
        time.ok_or_else(|| no_number("time", token))
    }

    fn exemplar(&self, cursor: &mut Cursor<'a>) -> Result<Exemplar<'a>, Wrong> {
        cursor.blank("the exemplar's labels")?;
        if !cursor.passes('{') {
            return Err(expected("an exemplar's labels", cursor.rest));
        }
        let mut labels = Vec::new();
        cursor.labels(&mut labels)?;
        if labels.iter().any(|(name, _)| name == NAME) {
            return Err("an exemplar has no name".into());
        }
        unique(&labels)?;
        cursor.blank("the exemplar's value")?;
        let token = cursor.token();
        let Some(value) = value(token) else { return Err(no_number("exemplar's value", token)) };
        let time_ns = match cursor.blanks() {
            true => Some(self.time(cursor)?),
            false => None,
        };
        Ok(Exemplar { labels, value, time_ns })
    }
}

/// The name behind HELP, TYPE or UNIT.
fn family_name<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, Wrong> {
    cursor.blank("a metric's name")?;
    let name = match cursor.passes('"') {
        true => cursor.quoted()?,
        false => cursor.name(true).into(),
    };
    let is_whole = cursor.rest.is_empty() || cursor.rest.starts_with([' ', '\t']);
    match name.is_empty() || !is_whole {
        true => Err(expected("a metric's name", cursor.rest)),
        false => Ok(name),
    }
}

fn unique(labels: &[Pair<'_>]) -> Result<(), Wrong> {
    for (at, (name, _)) in labels.iter().enumerate() {
        if labels[..at].iter().any(|(other, _)| other == name) {
            return Err(format!("label {name:?} is there twice").into());
        }
    }
    Ok(())
}

fn no_number(what: &str, token: &str) -> Wrong {
    let shown: String = token.chars().take(40).collect();
    match token.is_empty() {
        true => format!("expected a {what}").into(),
        false => format!("{shown:?} is no {what}").into(),
    }
}

#[cfg(test)]
mod tests;
