//! `metric_relabel`: rules that change, keep and drop series before they are stored.
//!
//! Source: Prometheus 3, `model/relabel`. As there, a regular expression must match all of the
//! text, and `.` a newline too.
//!
//! # Why
//! The engine is the `regex` crate, Prometheus' is RE2: both are of the same family, without
//! look-around. They differ where `\d`, `\w` and `\s` meet letters beyond ASCII, which match here.

use std::borrow::Cow;

use md5::{Digest, Md5};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::labels::{get, set};
use super::sample::Pair;

/// Most bytes that a compiled expression takes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RelabelAction")]
pub enum Action {
    /// Sets the target where the expression matches.
    #[default]
    Replace,
    /// Keeps what matches, and nothing else.
    Keep,
    /// Drops what matches.
    Drop,
    /// Keeps series whose target is what the source labels say.
    KeepEqual,
    /// Drops them.
    DropEqual,
    /// Sets the target to the source labels' hash, by the modulus.
    HashMod,
    /// Copies labels whose names match.
    LabelMap,
    /// Takes away labels whose names match.
    LabelDrop,
    /// Takes away those whose names do not.
    LabelKeep,
    /// Sets the target in small letters.
    Lowercase,
    /// In capitals.
    Uppercase,
}

impl Action {
    /// All actions, each with its word.
    const ALL: [(&str, Action); 11] = [
        ("replace", Action::Replace),
        ("keep", Action::Keep),
        ("drop", Action::Drop),
        ("keepequal", Action::KeepEqual),
        ("dropequal", Action::DropEqual),
        ("hashmod", Action::HashMod),
        ("labelmap", Action::LabelMap),
        ("labeldrop", Action::LabelDrop),
        ("labelkeep", Action::LabelKeep),
        ("lowercase", Action::Lowercase),
        ("uppercase", Action::Uppercase),
    ];

    /// Prometheus' word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, action)| *action == self).map_or("", |(word, _)| word)
    }

    /// Whether it sets or compares with a target label.
    #[must_use]
    pub fn has_target(self) -> bool {
        matches!(
            self,
            Self::Replace
                | Self::HashMod
                | Self::Lowercase
                | Self::Uppercase
                | Self::KeepEqual
                | Self::DropEqual
        )
    }
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// Labels whose values are joined.
    pub source_labels: Vec<String>,
    /// What stands between them.
    pub separator: String,
    /// The label that is set.
    pub target_label: String,
    /// What must match, see [`anchored`].
    pub regex: Regex,
    /// Of a hash.
    pub modulus: u64,
    /// What is set, with `$1` and `${name}`.
    pub replacement: String,
}

/// The expression `text` as rules mean it: of all of a text.
///
/// # Errors
/// Why it is none.
pub fn anchored(text: &str) -> Result<Regex, regex::Error> {
    let builder = |text: &str| regex::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
    // Alone first: `a)(b` is none, whatever stands around it.
    builder(text)?;
    builder(&format!("^(?s:{text})$"))
}

/// Applies the rules in order; whether the series stays.
pub(super) fn apply(rules: &[Rule], labels: &mut Vec<Pair<'_>>) -> bool {
    rules.iter().all(|rule| rule.apply(labels)) && !labels.is_empty()
}

impl Rule {
    fn apply(&self, labels: &mut Vec<Pair<'_>>) -> bool {
        let value = self.value(labels);
        match self.action {
            Action::Keep => return self.regex.is_match(&value),
            Action::Drop => return !self.regex.is_match(&value),
            Action::KeepEqual => return get(labels, &self.target_label) == value,
            Action::DropEqual => return get(labels, &self.target_label) != value,
            Action::Replace => self.replace(&value, labels),
            Action::HashMod => self.set(labels, self.hash(&value).to_string()),
            Action::Lowercase => self.set(labels, value.to_lowercase()),
            Action::Uppercase => self.set(labels, value.to_uppercase()),
            Action::LabelDrop => labels.retain(|(name, _)| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|(name, _)| self.regex.is_match(name)),
            Action::LabelMap => {
                let matching = labels.iter().filter(|(name, _)| self.regex.is_match(name));
                let mapped: Vec<_> = matching
                    .map(|(name, value)| {
                        let name = self.regex.replace(name, self.replacement.as_str());
                        (name.into_owned(), value.clone().into_owned())
                    })
                    .collect();
                for (name, value) in mapped.into_iter().filter(|(name, _)| !name.is_empty()) {
                    set(labels, name.into(), value.into());
                }
            }
        }
        true
    }

    /// The source labels' values; one alone is not copied.
    fn value(&self, labels: &[Pair<'_>]) -> String {
        let mut value = String::new();
        for (at, name) in self.source_labels.iter().enumerate() {
            if at > 0 {
                value.push_str(&self.separator);
            }
            value.push_str(get(labels, name));
        }
        value
    }

    fn set(&self, labels: &mut Vec<Pair<'_>>, value: String) {
        set(labels, Cow::Owned(self.target_label.clone()), Cow::Owned(value));
    }

    fn replace(&self, value: &str, labels: &mut Vec<Pair<'_>>) {
        let Some(found) = self.regex.captures(value) else { return };
        let expanded = |template: &str| {
            let mut out = String::new();
            found.expand(template, &mut out);
            out
        };
        let target = expanded(&self.target_label);
        if !target.is_empty() {
            set(labels, target.into(), expanded(&self.replacement).into());
        }
    }

    /// The last eight bytes of the MD5.
    fn hash(&self, value: &str) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = <[u8; 16]>::from(Md5::digest(value));
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) % self.modulus.max(1)
    }
}

#[cfg(test)]
mod tests;
