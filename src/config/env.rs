//! What a config may ask of the world around it: environment variables and secret files.
//!
//! Owns the references `${NAME}` and `${NAME:-default}` and their expansion in one value.
//! Everything that reads the process or the disk for the config goes through [`Env`], so that tests
//! bring their own world. Deliberately knows no YAML: it sees one scalar at a time, after parsing,
//! so that what a variable holds can neither become YAML nor move the position of anything.

use std::io;
use std::path::Path;

/// The world around a config.
pub trait Env {
    /// The value of an environment variable; `None` where it is not set.
    fn var(&self, name: &str) -> Option<String>;

    /// The content of a file that holds a secret.
    ///
    /// # Errors
    /// Whatever reading the file gave.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether variables that are not set are taken for granted: values with them go unchecked.
    fn is_assumed(&self) -> bool {
        false
    }
}

/// A world in which everything a config names is there. For checks where nothing is, as in CI; what
/// comes of it must not run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assumed;

impl Env for Assumed {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        // As long as a key.
        Ok(b"assumed-".repeat(8))
    }

    fn is_assumed(&self) -> bool {
        true
    }
}

/// The process' own environment and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

impl Env for Process {
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// A scalar with its references replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    /// The text that the config means.
    pub(super) text: String,
    /// The first variable whose value (not default) went into the text.
    pub(super) variable: Option<String>,
}

/// A reference that cannot be replaced: where in the scalar, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadReference {
    pub(super) offset: usize,
    pub(super) len: usize,
    pub(super) fault: ReferenceFault,
}

/// Why a reference cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReferenceFault {
    /// The variable is not set and no default is given.
    Unset(String),
    /// `${` without `}`.
    Open,
    /// What stands between the braces is no reference.
    Name(String),
}

/// Replaces the references in `text`; `None` where there are none, as in most scalars. `$${` stands
/// for the characters `${`. As in a shell, a default also replaces an empty value.
pub(super) fn expand(text: &str, env: &dyn Env) -> Result<Option<Expanded>, BadReference> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = Expanded { text: String::new(), variable: None };
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[at..start].ends_with('$') {
            out.text.push_str(&text[at..start - 1]);
            out.text.push_str("${");
            at = start + 2;
            continue;
        }
        out.text.push_str(&text[at..start]);
        let bad = |len, fault| BadReference { offset: start, len, fault };
        let inner = &text[start + 2..];
        let Some(len) = inner.find('}') else {
            return Err(bad(text.len() - start, ReferenceFault::Open));
        };
        let inner = &inner[..len];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return Err(bad(len + 3, ReferenceFault::Name(inner.to_owned())));
        }
        match (env.var(name), default) {
            (Some(value), None) => out.take(name, &value),
            (Some(value), Some(_)) if !value.is_empty() => out.take(name, &value),
            (_, Some(default)) => out.text.push_str(default),
            (None, None) => return Err(bad(len + 3, ReferenceFault::Unset(name.to_owned()))),
        }
        at = start + len + 3;
    }
    out.text.push_str(&text[at..]);
    Ok(Some(out))
}

impl Expanded {
    fn take(&mut self, name: &str, value: &str) {
        self.text.push_str(value);
        self.variable.get_or_insert_with(|| name.to_owned());
    }
}

fn is_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.bytes().all(word) && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;

    impl Env for Two {
        fn var(&self, name: &str) -> Option<String> {
            match name {
                "A" => Some("x: ${B}".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }

        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// What a variable holds is text: it is neither expanded again nor parsed.
    #[test]
    fn references_are_replaced_once() {
        for (text, want, variable) in [
            ("${A}", "x: ${B}", Some("A")),
            ("a${A}b${EMPTY}c", "ax: ${B}bc", Some("A")),
            ("${NO:-d}", "d", None),
            ("${NO:-}", "", None),
            ("${EMPTY:-d}", "d", None),
            ("${EMPTY}", "", Some("EMPTY")),
            ("${NO:-a:-b}", "a:-b", None),
            ("$${A}", "${A}", None),
            ("$${", "${", None),
            ("ü${NO:-ö}$x", "üö$x", None),
        ] {
            let got = expand(text, &Two).expect(text).expect("there is a reference");
            assert_eq!((got.text.as_str(), got.variable.as_deref()), (want, variable), "{text}");
        }
        assert_eq!(expand("$A costs 5$", &Two), Ok(None));
    }

    #[test]
    fn faults_point_at_the_reference() {
        use ReferenceFault::{Name, Open, Unset};
        for (text, offset, len, fault) in [
            ("a ${NO} b", 2, 5, Unset("NO".into())),
            ("${A", 0, 3, Open),
            ("${}", 0, 3, Name(String::new())),
            ("${1X}", 0, 5, Name("1X".into())),
            ("${A-b}", 0, 6, Name("A-b".into())),
        ] {
            assert_eq!(expand(text, &Two), Err(BadReference { offset, len, fault }), "{text}");
        }
    }
}
