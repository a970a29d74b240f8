//! An error of the deserializer in a user's words: which thing, what is wrong, what to write.

use crate::diagnostic::{Diagnostic, offer};

use super::super::tree::{Document, Step, Value};
use super::fault::{Error, Fault};

/// What a lacking field could be, where a word says more than a rule.
const EXAMPLES: [(&str, &str); 8] = [
    ("type", "type: file"),
    ("command", "command: [python, serve.py]"),
    ("include", "include: [/var/log/model/*.log]"),
    ("path", "path: /var/lib/sidewake"),
    ("endpoint", "endpoint: \"http://loki:3100\""),
    ("when", "when: logger == \"drift\""),
    ("kind", "kind: prediction"),
    ("token", "token: { file: /run/secrets/token }"),
];

/// The diagnostic of `error`; `None` where it only follows from one that was reported before.
pub(super) fn diagnose(document: &Document, error: &Error) -> Option<Diagnostic> {
    let path = error.path();
    let subject = subject(&path);
    let (message, hint) = match &error.fault {
        Fault::UnknownField { field, known } => {
            let noun = if path.is_empty() { "section" } else { "field" };
            let heading = if path.is_empty() { "Sections" } else { "Fields" };
            let hint = match known {
                [] => format!("{} has no fields. Remove this one.", capital(&subject)),
                known => offer(field, heading, known.iter().copied()),
            };
            (format!("{subject} has no {noun} \"{field}\""), Some(hint))
        }
        Fault::UnknownWord { word, known } => {
            let hint = offer(word, "Values", known.iter().copied());
            (format!("{subject} cannot be \"{word}\""), Some(hint))
        }
        Fault::MissingField(field) => {
            if was_reported(document, &path, field) {
                return None;
            }
            let example = EXAMPLES.iter().find(|(name, _)| name == field);
            let example = example.map_or_else(|| format!("{field}: …"), |(_, e)| (*e).to_owned());
            let hint = format!("Add it, for example: {example}");
            (format!("{subject} has no \"{field}\", which it needs"), Some(hint))
        }
        Fault::Shape { found: "nothing", wanted } => {
            let hint = format!("Write {wanted} behind the colon, or remove the line.");
            (format!("{subject} has no value"), Some(hint))
        }
        Fault::Shape { wanted, found } => {
            let message = format!("{subject} must be {wanted}, not {found}");
            (message, shape_hint(document, &path, wanted))
        }
        Fault::Wrong { message, hint } => (message.clone(), hint.clone()),
    };
    let problem = document.problem(error.at.as_ref().map(|at| at.span.clone()), message);
    let problem = Diagnostic { hint, ..problem };
    Some(document.conceal(&path, problem))
}

/// Whether the struct at `path` had `field` until it was skipped for an error of its own. A secret's
/// `value` comes from its `file`.
fn was_reported(document: &Document, path: &[Step], field: &str) -> bool {
    let Some((_, node)) = document.find(path) else { return false };
    let Value::Map(entries) = &node.value else { return false };
    let source = |key: &str| key == field || (field == "value" && key == "file");
    entries.iter().any(|entry| source(&entry.key) && !document.has(&entry.node))
}

/// How to write what is there in the form that is wanted.
fn shape_hint(document: &Document, path: &[Step], wanted: &str) -> Option<String> {
    let (_, node) = document.find(path)?;
    let written = document.written(node);
    match &node.value {
        Value::Scalar(_) if wanted == "a list" => {
            let items: Vec<&str> = written.split_whitespace().collect();
            let hides = document.source.hides(&node.span());
            (!hides).then(|| format!("Write [{}].", items.join(", ")))
        }
        // `- message ~ "a: b"` is a map to YAML.
        Value::Map(_) if wanted == "text" => Some(
            "If this is meant as text: put all of it in single quotes, since it holds \": \"."
                .to_owned(),
        ),
        _ => None,
    }
}

/// The thing at `path`: `the config`, `section "spool"`, `sink "loki"`, `"batch" of sink "loki"`.
pub(crate) fn subject(path: &[Step]) -> String {
    let (path, item) = match path {
        [path @ .., Step::Item(index)] => (path, Some(index + 1)),
        path => (path, None),
    };
    let keys: Vec<&str> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        })
        .collect();
    let noun = |section: &str| match section {
        "sources" => Some("source"),
        "sinks" => Some("sink"),
        "tiers" => Some("tier"),
        _ => None,
    };
    let words = match keys.as_slice() {
        [] => "the config".to_owned(),
        [section] => format!("section \"{section}\""),
        [section, name, rest @ ..] => match (noun(section), rest) {
            (Some(noun), []) => format!("{noun} \"{name}\""),
            (Some(noun), rest) => format!("\"{}\" of {noun} \"{name}\"", rest.join(".")),
            (None, _) => format!("\"{}\"", keys.join(".")),
        },
    };
    match item {
        Some(number) => format!("item {number} of {words}"),
        None => words,
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
