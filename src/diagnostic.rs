//! Floor 0: a problem in a file: where it is, what is wrong, why, and how to mend it.
//!
//! Owns the shape of every error message about a config (`error: file:line:column: message`, the
//! line, a caret, `note:`, `hint:`) and its rendering, plain and coloured. Deliberately knows
//! neither YAML nor the config: a [`Source`] is text, a place in it is a range of bytes.
//!
//! # Why
//! A [`Diagnostic`] copies the one line that it shows, already without secrets, so that it outlives
//! the text and nobody who prints it later can print more. annotate-snippets, which would come for
//! free with the YAML parser, was not used: it renders rustc's frame (`-->`, gutters of several
//! lines), and the short shape here is what a log line in a pod can carry.

mod source;
mod suggest;

use std::fmt;
use std::fmt::Write as _;

pub use source::{Place, Source};
pub use suggest::{closest, list, offer, slip};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file's name as the user gave it.
    pub file: String,
    /// Where in the file; `None` for a problem with the file as a whole.
    pub place: Option<Place>,
    /// What is wrong: lower case, no full stop, user text in double quotes.
    pub message: String,
    /// What else one has to know to understand it, as a full sentence.
    pub note: Option<String>,
    /// How to mend it, as full sentences with the exact text to write.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A problem at `place` in `file`.
    #[must_use]
    pub fn new(file: &str, place: Option<Place>, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), place, message: message.into(), note: None, hint: None }
    }

    /// The same with a note.
    #[must_use]
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Where it sorts among the problems of one file: whole-file problems first.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        self.place.as_ref().map_or((0, 0), |place| (place.line, place.column))
    }

    /// The lines to print, each ended by a newline.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, style);
        out
    }

    fn write(&self, out: &mut String, style: Style) -> fmt::Result {
        let Paint { error, frame, hint, off } = style.paint();
        write!(out, "{error}error:{off} {}:", self.file)?;
        if let Some(place) = &self.place {
            write!(out, "{}:{}:", place.line, place.column)?;
        }
        writeln!(out, " {}", self.message)?;
        if let Some(place) = &self.place {
            let number = format!("{:>2}", place.line);
            writeln!(out, "{frame}{number} |{off} {}", place.shown)?;
            let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(place.indent));
            let carets = "^".repeat(place.width);
            writeln!(out, "{frame}{gutter} |{off} {indent}{error}{carets}{off}")?;
        }
        if let Some(text) = &self.note {
            writeln!(out, "{hint}note:{off} {text}")?;
        }
        if let Some(text) = &self.hint {
            writeln!(out, "{hint}hint:{off} {text}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

/// All of `problems` by position, with an empty line between them.
#[must_use]
pub fn render_all(problems: &[Diagnostic], style: Style) -> String {
    let rendered: Vec<String> = problems.iter().map(|problem| problem.render(style)).collect();
    rendered.join("\n")
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// How a diagnostic is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    #[default]
    Plain,
    /// With ANSI colours, for a terminal.
    Coloured,
}

struct Paint {
    error: &'static str,
    frame: &'static str,
    hint: &'static str,
    off: &'static str,
}

impl Style {
    /// Colours where standard error is a terminal that has not asked for none.
    #[must_use]
    pub fn of_stderr() -> Self {
        let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if !wants_none && std::io::IsTerminal::is_terminal(&std::io::stderr()) {
            Style::Coloured
        } else {
            Style::Plain
        }
    }

    fn paint(self) -> Paint {
        match self {
            Style::Plain => Paint { error: "", frame: "", hint: "", off: "" },
            Style::Coloured => {
                Paint { error: "\x1b[1;31m", frame: "\x1b[34m", hint: "\x1b[36m", off: "\x1b[0m" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "routes:\n  errors:\n    to: [main, lokii]\n";

    fn sample() -> Diagnostic {
        let source = Source::new("config/sidewake.yaml", TEXT);
        let start = TEXT.find("lokii").expect("it is in the text");
        Diagnostic::new(
            source.name(),
            Some(source.place(start..start + 5)),
            "route \"errors\" sends to sink \"lokii\", which is not defined",
        )
        .with_hint("Did you mean \"loki\"? Defined sinks: bigquery, loki, main.")
    }

    /// The shape that users and their tools know: never change it by accident.
    #[test]
    fn renders_the_house_shape() {
        assert_eq!(
            sample().render(Style::Plain),
            "error: config/sidewake.yaml:3:16: route \"errors\" sends to sink \"lokii\", \
             which is not defined\n \
             3 |     to: [main, lokii]\n   \
               |                ^^^^^\n\
             hint: Did you mean \"loki\"? Defined sinks: bigquery, loki, main.\n"
        );
    }

    #[test]
    fn colours_add_nothing_but_colours() {
        let coloured = sample().render(Style::Coloured);
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\x1b') {
            plain.push_str(before);
            rest = after.split_once('m').expect("every escape ends in m").1;
        }
        plain.push_str(rest);
        assert_eq!(plain, sample().render(Style::Plain));
    }

    #[test]
    fn whole_file_problems_show_no_line() {
        let problem = Diagnostic::new("x.yaml", None, "cannot be read: no such file");
        assert_eq!(problem.to_string(), "error: x.yaml: cannot be read: no such file");
        assert!(problem.position() < sample().position());
    }
}
