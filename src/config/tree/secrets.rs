//! Which parts of a config file are never shown, whatever the problem is.
//!
//! A secret should come from a file or a variable, but some are written down, and then a message
//! about their line must not carry them into a log. Over-hiding costs a reader a little, the other
//! way costs a key; so this goes by the names of keys and not by what the config knows of them. For
//! the same reason no message ever shows what came out of the environment: a token in the wrong
//! field is still a token.

use crate::diagnostic::{Diagnostic, Source, closest};
use crate::protect::context::{self, KeyHint};
use crate::protect::entity::{Entity, EntitySet};
use crate::protect::find;

use super::{Entry, Node, Value};

/// Keys whose scalar is a secret.
const SECRETS: [&str; 7] =
    ["token", "password", "secret", "key", "value", "authorization", "api_key"];
/// Keys whose map holds what may be secrets.
const MAPS: [&str; 2] = ["headers", "env"];
/// Keys whose map holds other people's names, `password: drop` among them.
const NAMES: [&str; 2] = ["fields", "labels"];

/// What no text of a config may show.
const SECRET_SHAPES: EntitySet = EntitySet::NONE
    .with(Entity::Pem)
    .with(Entity::Secret)
    .with(Entity::ApiKey)
    .with(Entity::BearerToken)
    .with(Entity::Jwt);

/// Hides all secrets below `root`.
pub(super) fn hide(root: &Node, source: &mut Source) {
    match &root.value {
        Value::Map(entries) => entries.iter().for_each(|entry| hide_entry(entry, source)),
        Value::List(items) => hide_items(items, source),
        Value::Scalar(scalar) if holds_secret(&scalar.text) => source.hide(root.span()),
        Value::Scalar(_) => {}
        Value::Null => {}
    }
}

fn hide_entry(entry: &Entry, source: &mut Source) {
    let key = entry.key.to_ascii_lowercase();
    let (key, node) = (key.as_str(), &entry.node);
    match &node.value {
        _ if NAMES.contains(&key) => {}
        Value::Scalar(scalar) if is_near(key, &SECRETS) && !is_reference(&scalar.text) => {
            source.hide(node.span());
        }
        // Not what is meant to stand there, and a secret all the same.
        Value::List(items) if is_near(key, &SECRETS) => {
            for item in items {
                match &item.value {
                    Value::Scalar(scalar) if !is_reference(&scalar.text) => {
                        source.hide(item.span());
                    }
                    _ => hide(item, source),
                }
            }
        }
        Value::Map(entries) if is_near(key, &MAPS) => {
            for entry in entries {
                match &entry.node.value {
                    Value::Scalar(scalar) if !is_reference(&scalar.text) => {
                        source.hide(entry.node.span());
                    }
                    _ => hide_entry(entry, source),
                }
            }
        }
        _ => hide(node, source),
    }
}

/// A secret under a misspelled key is one all the same.
fn is_near(key: &str, known: &[&str]) -> bool {
    closest(key, known.iter().copied()).is_some()
}

/// Whether a variable of that name is likely to hold a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|secret| *secret != "value" && name.contains(secret))
}

/// `${NAME}` tells nothing; with a default it may.
fn is_reference(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|text| text.strip_suffix('}'))
        .is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// A command's arguments may be secrets that only the option before them names.
fn hide_items(items: &[Node], source: &mut Source) {
    let mut is_told = false;
    for item in items {
        let text = match &item.value {
            Value::Scalar(scalar) => scalar.text.as_str(),
            _ => "",
        };
        match is_told && !is_reference(text) {
            true => source.hide(item.span()),
            false => hide(item, source),
        }
        is_told = text.strip_prefix("--").is_some_and(|name| context::is_secret(name.as_bytes()));
    }
}

/// Whether a text holds what would be masked in a log line too, or is a URL with a user.
fn holds_secret(text: &str) -> bool {
    let authority = text.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    let mut hits = Vec::new();
    find::find(text.as_bytes(), SECRET_SHAPES, KeyHint::NONE, &mut hits);
    authority.is_some_and(|authority| authority.contains('@')) || !hits.is_empty()
}

/// The same without a tree: hides what follows a secret's key on its line, unless it is a reference
/// or a map. Lines of a block below are not known here and not shown either, being other lines.
pub(super) fn hide_by_line(source: &mut Source) {
    let text = source.text().to_owned();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut hidden = None;
        for (at, _) in line.match_indices(':') {
            let key = line[..at].trim_end_matches(['"', '\'']);
            let word = key.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
            let key = key.get(word..).unwrap_or_default().to_ascii_lowercase();
            let value = line[at + 1..].trim();
            let is_secret = is_near(&key, &SECRETS) || value.starts_with("//");
            if is_secret && !value.starts_with(['{', '[']) && !is_reference(value) {
                hidden = hidden.or(Some(start + at + 1));
            }
        }
        for (at, _) in line.match_indices("--") {
            let rest = &line[at + 2..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '-' && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            if context::is_secret(name.as_bytes()) {
                let from = start + at + 2 + name.len();
                hidden = Some(hidden.map_or(from, |hidden: usize| hidden.min(from)));
            }
        }
        if let Some(from) = hidden {
            source.hide(from..start + line.trim_end().len());
        }
        start += line.len();
    }
}

/// `problem` with a scalar whose `text` came out of the variable `name`: shows it as `written`.
pub(super) fn conceal(problem: Diagnostic, text: &str, written: &str, name: &str) -> Diagnostic {
    let written = written.trim_matches(['"', '\'']);
    let message = problem.message.replace(&format!("\"{text}\""), &format!("\"{written}\""));
    let tells = |words: &str| {
        let mut parts = text.split(|c: char| !c.is_alphanumeric());
        parts.any(|part| part.len() > 4 && words.replace(written, "").contains(part))
    };
    let message = match tells(&message) {
        true => format!("what \"{written}\" stands for does not fit here"),
        false => message,
    };
    let hint = problem.hint.filter(|hint| !tells(hint));
    let note = format!("The value comes from the environment variable \"{name}\".");
    Diagnostic { message, hint, note: Some(note), ..problem }
}
