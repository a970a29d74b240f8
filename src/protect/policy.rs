//! What one tier does to fields and to what detectors find, compiled from plain data.
//!
//! A pattern without a dot names a key at any depth (`password`, `user_*`); one with a dot names a
//! whole path from the outermost object (`features.user_*`), in which `*` stays within one key and
//! `**` reaches over any number of them (`**.email`). Case does not matter and `-` is `_`; `[]` of
//! array elements is left out. Where several match, the most exact wins: a path without stars, a
//! name without, a path with, a name with; then the longer one, then the first.
//!
//! Deliberately asks nothing of values: see [`super::views`] for detection and [`super::replace`]
//! for what is written.
//!
//! # Why
//! Secret-like keys are masked without being declared, because the field that nobody thought of is
//! the one that leaks. A rule lets such a key through only if it spells the key out: `features.*:
//! keep` was not written with a password in mind.

mod pattern;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::context::KeyHint;
use super::entity::{Entity, EntitySet};
use super::views;
use pattern::Pattern;

/// Seed of the choice of features: all replicas and all versions choose the same.
const FEATURE_SEED: u64 = 0x5349_4445_5741_4b45;

/// What happens to a value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Action {
    /// Searched by the detectors; what they find gets the entity's own action.
    #[default]
    Inspect,
    /// Passes as it is, unsearched.
    Keep,
    /// The member goes, key and all.
    Drop,
    /// A mask stands in its place: `"[masked]"`, or `null` for what is no string.
    Mask,
    /// A keyed pseudonym stands in its place.
    Hash,
    /// The first characters stay, searched by the detectors.
    Truncate {
        /// How many characters.
        chars: u32,
    },
    /// A coarser value stands in its place.
    Bucket(Bucket),
}

/// How coarse a bucket is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bucket {
    /// The year of a date or of an epoch.
    Year,
    /// The lower end of an interval of this width, counted from zero.
    Width(f64),
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Action::Inspect => f.write_str("inspect"),
            Action::Keep => f.write_str("keep"),
            Action::Drop => f.write_str("drop"),
            Action::Mask => f.write_str("mask"),
            Action::Hash => f.write_str("hash"),
            Action::Truncate { chars } => write!(f, "truncate: {chars}"),
            Action::Bucket(Bucket::Year) => f.write_str("bucket: year"),
            Action::Bucket(Bucket::Width(width)) => write!(f, "bucket: {width}"),
        }
    }
}

/// Which members of a request's features a tier keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Features {
    /// All of them.
    #[default]
    All,
    /// Those that one of these patterns of names matches.
    List(Vec<String>),
    /// So many, chosen by a hash of their names: always the same, whatever their order.
    Sample(usize),
}

/// What a tier's policy is made from.
#[derive(Clone, Debug, Default)]
pub struct PolicySpec {
    /// What detectors look for.
    pub detect: EntitySet,
    /// What happens to what they find, where it is not `mask`: `keep`, `drop`, `mask` or `hash`.
    pub on_detect: Vec<(Entity, Action)>,
    /// Pattern and action of each declared field.
    pub fields: Vec<(String, Action)>,
    /// Which features stay.
    pub features: Features,
}

/// Why a policy cannot be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Empty, or with an empty part.
    #[error("`{pattern}` is no field pattern: {why}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Pseudonyms without a key could be undone with a dictionary.
    #[error("`{what}` is to be hashed, and there is no key")]
    KeyMissing {
        /// The pattern or the entity.
        what: String,
    },
    /// An action that makes no sense for a part of a text.
    #[error(
        "what detectors find can be kept, dropped, masked or hashed; `{entity}` has `{action}`"
    )]
    OnDetect {
        /// The entity's word.
        entity: &'static str,
        /// What was asked for.
        action: String,
    },
    /// A bucket without width.
    #[error("the width of a bucket must be a number above zero; `{pattern}` has {width}")]
    Width {
        /// The field's pattern.
        pattern: String,
        /// What was asked for.
        width: f64,
    },
}

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Policy {
    detect: EntitySet,
    on_detect: [Action; Entity::COUNT],
    rules: Vec<Rule>,
    features: Features,
    feature_patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    action: Action,
}

impl Policy {
    /// Compiles `spec`; `keyed` says whether there is a key for pseudonyms.
    ///
    /// # Errors
    /// All that is wrong with it, not only the first.
    pub fn compile(spec: &PolicySpec, keyed: bool) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        let mut on_detect = [Action::Mask; Entity::COUNT];
        for (entity, action) in &spec.on_detect {
            errors.extend(check_on_detect(*entity, *action, keyed));
            on_detect[*entity as usize] = *action;
        }
        let mut rules = Vec::new();
        for (pattern, action) in &spec.fields {
            errors.extend(check_action(pattern, *action, keyed));
            match Pattern::parse(pattern) {
                Ok(pattern) => rules.push(Rule { pattern, action: *action }),
                Err(error) => errors.push(error),
            }
        }
        // A stable sort: among equals the first that was written wins.
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.pattern.rank()));
        let names = match &spec.features {
            Features::List(names) => names.as_slice(),
            Features::All | Features::Sample(_) => &[],
        };
        let (mut feature_patterns, mut bad) = (Vec::new(), Vec::new());
        for name in names {
            Pattern::parse(name).map_or_else(|e| bad.push(e), |p| feature_patterns.push(p));
        }
        errors.append(&mut bad);
        if !errors.is_empty() {
            return Err(errors);
        }
        let features = spec.features.clone();
        // What is kept anyway need not be found, and must not swallow what overlaps it.
        let detect =
            spec.detect.iter().filter(|e| on_detect[*e as usize] != Action::Keep).collect();
        Ok(Self { detect, on_detect, rules, features, feature_patterns })
    }

    /// What detectors look for.
    #[must_use]
    pub fn detect(&self) -> EntitySet {
        self.detect
    }

    /// What happens to a finding of `entity`.
    #[must_use]
    pub fn on_detect(&self, entity: Entity) -> Action {
        self.on_detect[entity as usize]
    }

    /// What happens to the value at `path`, as the walk writes it (`prediction.score`,
    /// `inputs[].datatype`; escapes in keys undecoded). `hint` is [`super::context::of_path`]'s.
    /// Looks at the value's own path only: a container's action is for all of its bytes.
    #[must_use]
    pub fn action(&self, path: &[u8], hint: KeyHint) -> Action {
        let path = views::plain(path);
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(&path));
        let declared = rule.map_or(Action::Inspect, |rule| rule.action);
        let Some(secret) = self.secret(hint) else {
            return declared;
        };
        let meant = rule.is_some_and(|rule| rule.pattern.names_key());
        match declared {
            Action::Drop | Action::Mask | Action::Hash => declared,
            _ if meant => declared,
            _ => secret,
        }
    }

    /// Whether any field is declared: actions of [`Self::action`] that come from no hint.
    #[must_use]
    pub fn declares_fields(&self) -> bool {
        !self.rules.is_empty() || self.features != Features::All
    }

    /// What the declared fields say of `key` in a text that shows no path. With `is_member` the
    /// key stood in an object that was not read: then the last key of a path is enough.
    #[must_use]
    pub fn declared(&self, key: &[u8], is_member: bool) -> Action {
        let key = views::plain(key);
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(&key));
        let declared = rule.map_or(Action::Inspect, |rule| rule.action);
        if !is_member || declared != Action::Inspect {
            return declared;
        }
        let mut ends = self.rules.iter().filter(|rule| rule.pattern.ends_with(&key));
        let protects = |rule: &&Rule| !matches!(rule.action, Action::Inspect | Action::Keep);
        ends.find(protects).map_or(declared, |rule| rule.action)
    }

    /// What happens to an undeclared value whose key says that it is a secret.
    #[must_use]
    pub fn secret(&self, hint: KeyHint) -> Option<Action> {
        let secret = hint.has(KeyHint::SECRET) && self.detect.has(Entity::Secret);
        secret.then(|| self.on_detect(Entity::Secret))
    }

    /// Which of a request's features stay: `kept[i]` for `names[i]`.
    pub fn keep_features(&self, names: &[&[u8]], kept: &mut Vec<bool>) {
        kept.clear();
        match &self.features {
            Features::All => kept.resize(names.len(), true),
            Features::List(_) => kept.extend(names.iter().map(|name| {
                let name = views::plain(name);
                self.feature_patterns.iter().any(|pattern| pattern.matches(&name))
            })),
            Features::Sample(n) => {
                let rank = |name: &[u8]| xxh3_64_with_seed(&views::plain(name), FEATURE_SEED);
                let mut ranks: Vec<(u64, &[u8], usize)> =
                    names.iter().enumerate().map(|(i, name)| (rank(name), *name, i)).collect();
                ranks.sort_unstable();
                kept.resize(names.len(), false);
                ranks.iter().take(*n).for_each(|(_, _, i)| kept[*i] = true);
            }
        }
    }

    /// The declared rules, the most exact first, as they were written.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Action)> {
        self.rules.iter().map(|rule| (rule.pattern.source(), rule.action))
    }

    /// Which features stay.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }
}

fn check_on_detect(entity: Entity, action: Action, keyed: bool) -> Option<PolicyError> {
    let entity = entity.as_str();
    match action {
        Action::Hash if !keyed => Some(PolicyError::KeyMissing { what: entity.to_owned() }),
        Action::Keep | Action::Drop | Action::Mask | Action::Hash => None,
        other => Some(PolicyError::OnDetect { entity, action: other.to_string() }),
    }
}

fn check_action(pattern: &str, action: Action, keyed: bool) -> Option<PolicyError> {
    let pattern = pattern.to_owned();
    match action {
        Action::Hash if !keyed => Some(PolicyError::KeyMissing { what: pattern }),
        Action::Bucket(Bucket::Width(width)) if !width.is_finite() || width <= 0.0 => {
            Some(PolicyError::Width { pattern, width })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
