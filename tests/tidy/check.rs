//! How a rule is tested: a small input, and how each offence that it must find begins.

use super::Rule;
use super::file::File;

/// Runs one rule on one file; `expected` are the beginnings of all offences, in order.
pub(crate) fn check(rule: Rule, path: &str, text: &str, expected: &[&str]) {
    let mut found = Vec::new();
    rule(&File::new(path, text), &mut found);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let is_right = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
    assert!(is_right, "{path}: {text:?}\nfound    {found:?}\nexpected {expected:?}");
}
