//! What the YAML parser refused, in a user's words.

use std::ops::Range;

use serde_saphyr::Error;

use crate::diagnostic::{Diagnostic, Source};

use super::secrets;

/// What the parser says, what we say, and how to mend it.
const WORDS: [(&str, &str, &str); 18] = [
    ("tabs disallowed", "a tab stands where spaces must indent", "Indent with spaces."),
    ("unclosed quote", "a quote is not closed", "Close it on the same line with the same sign."),
    (
        "did not find expected ',' or '}'",
        "a \"{\" is not closed, or a comma is missing before this",
        "Write { key: value, key: value }.",
    ),
    (
        "did not find expected ',' or ']'",
        "a \"[\" is not closed, or a comma is missing before this",
        "Write [one, two].",
    ),
    (
        "illegal placement of ':'",
        "a key begins inside of a list or map that is not closed",
        "Look for a \"[\" or \"{\" above that has no \"]\" or \"}\".",
    ),
    (
        "mapping values are not allowed",
        "a \":\" stands where no key can be",
        "Quote the value if it holds \": \". Otherwise a \":\" is missing behind the key above, \
         or this line is indented deeper than its neighbours.",
    ),
    (
        "did not find expected key",
        "this line is indented unlike its neighbours",
        "Give all keys of one section the same number of spaces.",
    ),
    (
        "did not find expected '-'",
        "this line is neither an item of the list above nor outside of it",
        "Begin it with \"- \", or give it the indent of the list's key.",
    ),
    (
        "unexpected character",
        "a value cannot begin with this sign",
        "Put the value in double quotes.",
    ),
    (
        "mismatched bracket",
        "this bracket is closed by one of another kind",
        "Write [one, two] and { key: value }.",
    ),
    (
        "unclosed bracket",
        "this bracket is not closed",
        "Write [one, two] and { key: value }, each closed by its own bracket.",
    ),
    (
        "invalid trailing content",
        "something stands behind the closing quote of this value",
        "Put all of the value in one pair of quotes, or a comma between two values.",
    ),
    (
        "block sequence entries",
        "an item of a list stands where none can be",
        "Begin a list below its key: the key and \":\" alone on their line, then \"- item\" lines.",
    ),
    (
        "only valid inside a block",
        "a \"-\" stands inside of brackets",
        "Write [one, two], or \"- \" items on lines of their own without brackets.",
    ),
    (
        "expected ',' or ']'",
        "a \"[\" is not closed, or a comma is missing before this",
        "Write [one, two].",
    ),
    (
        "merge value",
        "\"<<\" takes what an anchor names, and this is no map",
        "Write <<: *name, with &name at the map to be merged.",
    ),
    (
        "recursion limit",
        "the document is too deep for a config",
        "Look for brackets that are not closed, or a file that is no config.",
    ),
    (
        "simple key",
        "a key is not followed by \":\"",
        "Write \"key: value\" with a space behind the colon.",
    ),
];

const HINT: &str =
    "Look at this line and the one above it: brackets, quotes, colons, the number of spaces.";

/// The parser's `error` about `source` as a diagnostic.
pub(super) fn diagnose(mut source: Source, error: &Error) -> Diagnostic {
    secrets::hide_by_line(&mut source);
    let span = span(&source, error);
    let place = span.map(|span| source.place(span));
    let new = |message: &str, hint: &str| {
        Diagnostic::new(source.name(), place.clone(), message).with_hint(hint)
    };
    if span_is_reference(&source, error) {
        return new(
            "\"${\" opens a map here",
            "Inside of { } and [ ], put references in quotes: \"${NAME}\".",
        );
    }
    match cause(error) {
        Error::MultipleDocuments { .. } => new(
            "a second YAML document begins here",
            "Keep one document in the file: remove the \"---\" between them.",
        ),
        Error::UnknownAnchor { .. } => new(
            "this alias names no anchor",
            "Define it above with \"&name\", or quote the value if it is text.",
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => new(
            "the document is too large or too deep for a config",
            "Look for an alias that is used inside of itself, or a file that is no config.",
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            new("this alias stands inside of the anchor that it names", "Write the value itself.")
        }
        error => {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            match WORDS.iter().find(|(theirs, ..)| said.contains(theirs)) {
                Some((_, message, hint)) => new(message, hint),
                None => new(&format!("this is not YAML: {said}"), HINT),
            }
        }
    }
}

/// The error itself, without what the parser wrapped around it.
fn cause(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => cause(error),
        error => error,
    }
}

/// In flow style, YAML takes the brace of an unquoted `${NAME}` for a map's.
fn span_is_reference(source: &Source, error: &Error) -> bool {
    span(source, error).is_some_and(|span| {
        let (before, after) = source.text().split_at(span.start);
        before.ends_with('$') && after.starts_with('{')
    })
}

fn span(source: &Source, error: &Error) -> Option<Range<usize>> {
    let location = error.location()?;
    let at = source.offset(location.line() as usize, location.column() as usize);
    Some(at..at)
}
