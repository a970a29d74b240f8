//! What a JSON line is about, and which of its members play which role.
//!
//! Owns [`understand`], the classifier over one walked line: envelope fingerprints first, then
//! event names, then structure, then the words of a free message, then `application`. Every
//! answer names the rule that gave it ([`RULES`]). Lines that are not JSON go to
//! [`super::text`] and [`super::logfmt`], which use the same roles and the same words.
//!
//! # Why
//! An answer is reused for every line of the same shape, so it says what it rests on. It depends
//! on the members' paths and on which of them are containers (the shape; whether a scalar is a
//! string, a number or null does not belong to it), on the *values* of the members in
//! [`Understanding::decided_by`], and, where [`Understanding::message_matters`], on the message
//! through [`kind_of_message`] alone. Whoever caches it by shape must treat the values of
//! `decided_by` as part of the shape. A value that was looked at and did not decide is listed too,
//! for another value might have.

mod envelope;
mod facts;
mod message;
mod rule;
mod structure;

use super::aliases::Mark;
use super::condition::FieldSource;
use super::roles::{Role, Roles};
use super::rules::{DocFields, Rules};
use crate::event::json::doc::Doc;
use crate::event::record::{Kind, Level};
pub(super) use envelope::inference_type;
pub(super) use facts::Facts;
pub use message::kind_of_message;
pub use rule::{OWN_RULE, RULES, Rule, rule_name};
pub(super) use structure::verdict as structure_verdict;

/// A kind, and the number of the rule that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The kind.
    pub kind: Kind,
    /// A number that [`rule_name`] knows.
    pub rule: u8,
}

impl Verdict {
    /// Nothing spoke for another kind.
    pub const DEFAULT: Self = Self { kind: Kind::Application, rule: Rule::Default as u8 };

    pub(super) const fn new(kind: Kind, rule: Rule) -> Self {
        Self { kind, rule: rule as u8 }
    }
}

/// The members whose values an answer rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecidedBy {
    members: [u16; DecidedBy::MAX],
    len: u8,
    /// There were more than fit: the answer is for this line only.
    pub too_many: bool,
}

impl DecidedBy {
    /// How many members fit.
    pub const MAX: usize = 8;

    /// Their indices in `doc.members()`, in the order in which they were looked at.
    #[must_use]
    pub fn members(&self) -> &[u16] {
        &self.members[..usize::from(self.len)]
    }

    pub(super) fn push(&mut self, member: u16) {
        if self.members().contains(&member) {
            return;
        }
        match self.members.get_mut(usize::from(self.len)) {
            Some(free) => {
                *free = member;
                self.len += 1;
            }
            None => self.too_many = true,
        }
    }
}

/// What was understood of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Understanding {
    /// The line's kind.
    pub kind: Kind,
    /// The number of the rule that decided the kind; [`rule_name`] names it.
    pub rule: u8,
    /// The line's level.
    pub level: Level,
    /// Who plays which role.
    pub roles: Roles,
    /// Whose values all this rests on.
    pub decided_by: DecidedBy,
    /// For another line of this shape, call [`kind_of_message`] with its message and
    /// [`Self::otherwise`].
    pub message_matters: bool,
    /// The verdict where neither the message nor an own rule says anything.
    pub otherwise: Verdict,
    /// For another line of this shape, ask [`Rules::decide`] again: an own rule reads values that
    /// differ from line to line.
    pub rules_matter: bool,
}

/// Understands a walked line. Deterministic, and free of allocation.
#[must_use]
pub fn understand(doc: &Doc<'_>, rules: &Rules) -> Understanding {
    let mut decided_by = DecidedBy::default();
    let facts = Facts::gather(doc);
    let mut roles = facts.roles();
    let level = level(doc, &facts, &roles, &mut decided_by);
    let text = |member: u16| doc.members().get(usize::from(member)).map(|member| doc.text(member));

    let mut message_matters = false;
    let mut otherwise = Verdict::DEFAULT;
    let mut verdict = envelope::verdict(doc, &facts, &mut roles, &mut decided_by);
    if verdict.is_none()
        && let Some(member) = roles.get(Role::EventName)
    {
        decided_by.push(member);
        verdict = text(member).and_then(message::name_verdict);
    }
    if verdict.is_none() {
        otherwise = structure::verdict(&facts, level).unwrap_or(Verdict::DEFAULT);
        if let Some(member) = roles.get(Role::Message) {
            let text = text(member).unwrap_or_default();
            if message::name_verdict(text).is_some() {
                decided_by.push(member);
            } else {
                message_matters = true;
            }
            verdict = Some(kind_of_message(text, otherwise));
        }
    }
    let verdict = verdict.unwrap_or(otherwise);
    if !message_matters {
        otherwise = verdict;
    }
    if !matches!(verdict.kind, Kind::Request | Kind::Prediction | Kind::Model)
        && !facts.is_strong(Role::ModelName)
    {
        roles.clear(Role::ModelName);
    }
    let mut understood = Understanding {
        kind: verdict.kind,
        rule: verdict.rule,
        level,
        roles,
        decided_by,
        message_matters,
        otherwise,
        rules_matter: false,
    };
    apply_own_rules(doc, rules, &mut understood);
    understood
}

fn apply_own_rules(doc: &Doc<'_>, rules: &Rules, understood: &mut Understanding) {
    if rules.is_empty() {
        return;
    }
    let event = DocFields::new(doc, understood);
    let verdict = rules.decide(&event);
    // Words of few values may become part of a shape; anything else is asked anew for each line.
    const FEW: [Role; 5] =
        [Role::Level, Role::Logger, Role::EventName, Role::ModelName, Role::ModelVersion];
    let is_few_valued =
        |member: u16| FEW.iter().any(|role| understood.roles.get(*role) == Some(member));
    let mut decided_by = understood.decided_by;
    let mut rules_matter = understood.message_matters && rules.read_kind();
    for member in rules.fields().flat_map(|field| event.members(field)) {
        if is_few_valued(member) {
            decided_by.push(member);
        } else {
            rules_matter = true;
        }
    }
    understood.decided_by = decided_by;
    understood.rules_matter = rules_matter;
    if let Some(verdict) = verdict {
        understood.kind = verdict.kind;
        understood.rule = verdict.rule;
        // The rule holds for every line of the shape, and what it says goes before the message.
        understood.message_matters &= rules_matter;
    }
}

/// The level that the line states; an exception without any level is an error.
fn level(doc: &Doc<'_>, facts: &Facts, roles: &Roles, decided_by: &mut DecidedBy) -> Level {
    if let Some(index) = roles.get(Role::Level)
        && let Some(member) = doc.members().get(usize::from(index))
    {
        decided_by.push(index);
        let is_otel = facts.is_otel_severity(index);
        let text = doc.text(member);
        return parse_level(text, is_otel).unwrap_or(Level::Unset);
    }
    // `error` may be an empty string in every line; an exception is there only if it happened.
    if facts.has(Mark::Exception) { Level::Error } else { Level::Unset }
}

/// Reads a level as [`Level::parse`] does, or a number of OpenTelemetry's scale of 1 to 24.
pub(super) fn parse_level(text: &[u8], is_otel: bool) -> Option<Level> {
    if !is_otel {
        return Level::parse(text);
    }
    let number: u8 = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(match number {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17..=20 => Level::Error,
        21..=24 => Level::Fatal,
        _ => return None,
    })
}

/// Asks the own rules again for another line of a known shape; see
/// [`Understanding::rules_matter`].
#[must_use]
pub fn own_verdict(rules: &Rules, event: &dyn FieldSource, otherwise: Verdict) -> Verdict {
    rules.decide(event).unwrap_or(otherwise)
}

#[cfg(test)]
pub(super) mod tests;
