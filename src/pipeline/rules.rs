//! Own classification rules from the config: a condition and the kind it means.
//!
//! Owns compiling them, and asking them of a walked line ([`DocFields`]). The first rule that
//! holds wins over everything built in. A condition may read `kind`: it is the built-in verdict.

use super::classify::{OWN_RULE, Understanding, Verdict};
use super::condition::{Condition, ConditionError, Field, FieldSource, Found};
use super::roles::Role;
use super::roles::token::is_null;
use crate::event::json::doc::Doc;
use crate::event::record::{Kind, Level};

/// One rule as written: `{ when: 'logger == "audit"', kind: data }`.
#[derive(
    Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    /// A condition.
    pub when: String,
    /// `application`, `request`, `prediction`, `model` or `data`.
    pub kind: String,
}

/// What is wrong with rule number `index`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Its condition.
    #[error("rule {index}: {error}")]
    When {
        /// The rule's place in the list.
        index: usize,
        /// Where in the condition, and what.
        #[source]
        error: ConditionError,
    },
    /// Its kind.
    #[error("rule {index}: \"{kind}\" is not a kind")]
    Kind {
        /// The rule's place in the list.
        index: usize,
        /// What was written.
        kind: String,
    },
}

/// The compiled rules, in their order.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<(Condition, Kind)>,
    read_kind: bool,
}

impl Rules {
    /// Compiles the rules.
    ///
    /// # Errors
    /// All mistakes of all rules.
    pub fn compile(raw: &[RawRule]) -> Result<Self, Vec<RuleError>> {
        let mut rules = Vec::with_capacity(raw.len());
        let mut errors = Vec::new();
        for (index, raw) in raw.iter().enumerate() {
            let kind = Kind::parse(&raw.kind);
            if kind.is_none() {
                errors.push(RuleError::Kind { index, kind: raw.kind.clone() });
            }
            match (Condition::parse(&raw.when), kind) {
                (Ok(condition), Some(kind)) => rules.push((condition, kind)),
                (Ok(_), None) => {}
                (Err(error), _) => errors.push(RuleError::When { index, error }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let read_kind = rules.iter().any(|(condition, _)| condition.reads_kind());
        Ok(Self { rules, read_kind })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether any of them reads `kind`.
    #[must_use]
    pub fn read_kind(&self) -> bool {
        self.read_kind
    }

    /// The conditions, in their order.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.rules.iter().map(|(condition, _)| condition)
    }

    /// All fields that the rules read, some of them perhaps twice.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.conditions().flat_map(|condition| condition.fields())
    }

    /// The first rule that holds for the event.
    #[must_use]
    pub fn decide(&self, event: &dyn FieldSource) -> Option<Verdict> {
        let at = self.rules.iter().position(|(condition, _)| condition.eval(event))?;
        let rule = OWN_RULE.saturating_add(u8::try_from(at).unwrap_or(u8::MAX));
        Some(Verdict { kind: self.rules[at].1, rule })
    }
}

/// The fields of a walked and understood line.
#[derive(Clone, Copy, Debug)]
pub struct DocFields<'a> {
    doc: &'a Doc<'a>,
    understood: &'a Understanding,
}

impl<'a> DocFields<'a> {
    /// The fields of `doc`.
    #[must_use]
    pub fn new(doc: &'a Doc<'a>, understood: &'a Understanding) -> Self {
        Self { doc, understood }
    }

    /// The members that are `field`: the second is read where the first is null.
    pub fn members(&self, field: &Field) -> impl Iterator<Item = u16> + use<> {
        let roles = &self.understood.roles;
        let [first, second] = match field {
            Field::Level => [roles.get(Role::Level), None],
            Field::Kind => [None, None],
            Field::Role(role) => [roles.get(*role), roles.fallback(*role)],
            Field::Path(path) => {
                let is = |member| self.doc.path(member) == path.as_bytes();
                let at = self.doc.members().iter().position(is);
                [at.and_then(|at| u16::try_from(at).ok()), None]
            }
        };
        [first, second].into_iter().flatten()
    }
}

impl FieldSource for DocFields<'_> {
    fn level(&self) -> Level {
        self.understood.level
    }

    fn kind(&self) -> Kind {
        self.understood.kind
    }

    fn value(&self, _index: usize, field: &Field) -> Option<Found<'_>> {
        let mut found = self.members(field).filter_map(|member| {
            let member = self.doc.members().get(usize::from(member))?;
            Some(Found { token: self.doc.value(member), key: self.doc.path(member) })
        });
        let first = found.next()?;
        if !is_null(first.token) { Some(first) } else { found.next().or(Some(first)) }
    }
}
