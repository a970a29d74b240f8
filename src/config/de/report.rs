//! An error of the deserializer in a user's words: which thing, what is wrong, what to write.

use crate::diagnostic::{Diagnostic, closest, list, offer};

use super::super::tree::{Document, Entry, Step, Value};
use super::fault::{Error, Fault};

/// What a lacking field could be, where a word says more than a rule.
const EXAMPLES: [(&str, &str); 9] = [
    ("command", "command: [python, serve.py]"),
    ("include", "include: [/var/log/model/*.log]"),
    ("path", "path: /var/lib/sidewake/store"),
    ("endpoint", "endpoint: \"http://loki:3100\""),
    ("when", "when: 'logger == \"drift\"'"),
    ("kind", "kind: prediction"),
    ("name", "name: loki"),
    ("token", "token: { file: /run/secrets/token }"),
    ("password", "password: { file: /run/secrets/password }"),
];

/// The `type` that is most likely meant, by section.
const TYPES: [(&str, &str); 3] = [("sources", "exec"), ("sinks", "loki"), ("spool", "disk")];

fn example(path: &[Step], field: &str) -> String {
    let of = |known: &[(&str, &str)], word: &str| {
        known.iter().find(|(name, _)| *name == word).map(|(_, text)| (*text).to_owned())
    };
    let found = match (field, path) {
        ("type", [.., Step::Key(last)]) if last == "auth" => Some("type: bearer".to_owned()),
        ("type", [Step::Key(section), ..]) => of(&TYPES, section).map(|t| format!("type: {t}")),
        _ => of(&EXAMPLES, field),
    };
    found.unwrap_or_else(|| format!("{field}: …"))
}

/// The diagnostic of `error`; `None` where it only follows from one that was reported before.
pub(super) fn diagnose(document: &Document, error: &Error) -> Option<Diagnostic> {
    let path = error.path();
    if nothing_left(document, &path) {
        return None;
    }
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
            let subject = match path.as_slice() {
                [Step::Key(key)] => format!("\"{key}\""),
                _ => subject,
            };
            (format!("{subject} cannot be \"{word}\""), Some(hint))
        }
        Fault::MissingField(field) => {
            if was_reported(document, &path, field) {
                return None;
            }
            let hint = format!("Add it, for example: {}", example(&path, field));
            (format!("{subject} has no \"{field}\", which it needs"), Some(hint))
        }
        Fault::Shape { found: "nothing", wanted, .. } => {
            let hint = format!("Write {wanted} behind the colon, or remove the line.");
            (format!("{subject} has no value"), Some(hint))
        }
        Fault::Shape { wanted, found, fields } => {
            let message = format!("{subject} must be {wanted}, not {found}");
            (message, Some(shape_hint(document, &path, wanted, fields)))
        }
        Fault::Wrong { message, hint } => (message.clone(), hint.clone()),
    };
    let problem = document.problem(error.at.as_ref().map(|at| at.span.clone()), message);
    let problem = Diagnostic { hint, ..problem };
    Some(document.conceal(&path, problem))
}

/// Whether everything in the map at `path` was reported: what it lacks now only follows.
fn nothing_left(document: &Document, path: &[Step]) -> bool {
    match document.find(path).map(|(_, node)| &node.value) {
        Some(Value::Map(entries)) if !entries.is_empty() && !path.is_empty() => {
            !entries.iter().any(|entry| document.has(&entry.node))
        }
        _ => false,
    }
}

/// Whether the struct at `path` had `field`, or something spelled like it, until it was skipped for
/// an error of its own. A secret's `value` comes from its `file`.
fn was_reported(document: &Document, path: &[Step], field: &str) -> bool {
    let Some((_, node)) = document.find(path) else { return false };
    let Value::Map(entries) = &node.value else { return false };
    let meant = |key: &str| closest(key, [field]).is_some() || (field == "value" && key == "file");
    entries.iter().any(|entry| meant(&entry.key) && !document.has(&entry.node))
}

/// How to write what is there in the form that is wanted.
fn shape_hint(document: &Document, path: &[Step], wanted: &str, fields: &[&str]) -> String {
    let node = document.find(path).map(|(_, node)| node);
    match (wanted, node.map(|node| (node, &node.value))) {
        ("a list", Some((node, Value::Scalar(_)))) if !document.source.hides(&node.span()) => {
            let items: Vec<&str> = document.written(node).split_whitespace().collect();
            format!("Write [{}].", items.join(", "))
        }
        ("a list", _) => "Write [one, two], or one item a line with \"- \" before it.".to_owned(),
        ("text", Some((_, Value::Map(entries)))) => quoted(document, entries),
        ("a map of fields", _) => match fields {
            [] => "Write { name: value }, or one name a line below it, indented.".to_owned(),
            ["type"] => "Write { type: …, … }, or one field a line below it, indented.".to_owned(),
            fields => {
                format!("Write {{ field: value }}. Fields: {}.", list(fields.iter().copied()))
            }
        },
        ("text" | "one word", _) => "Write one value, without brackets.".to_owned(),
        _ => format!("Write {wanted}."),
    }
}

/// `- message ~ "a: b"` is a map to YAML; this is the text that was meant.
fn quoted(document: &Document, entries: &[Entry]) -> String {
    let all = match entries {
        [Entry { key_span, node, .. }] => key_span.start..node.span().end,
        _ => 0..0,
    };
    let written = document.source.text().get(all.clone()).unwrap_or_default();
    let is_plain = !written.is_empty() && !written.contains(['\'', '\n']);
    match is_plain && !document.source.hides(&all) {
        true => format!("Text that holds \": \" stands in quotes: '{written}'"),
        false => "Write one value. Text that holds \": \" stands in quotes.".to_owned(),
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
