//! What a line of a given shape means: its kind and tier, where its roles stand, what the policy of
//! its tier does to its members.
//!
//! Worked out once per learned shape, and per line for lines without one; the per-line work in
//! [`super::process`] is the same for both, over a list of value spans. For a walked line that list
//! has one span per member; for a fitted skeleton one span per value, and the meaning was
//! [`Meaning::remap`]ped to it.

use crate::event::json::doc::{Doc, ValueKind};
use crate::event::json::skeleton::Gate;
use crate::event::record::Level;
use crate::protect::context::KeyHint;
use crate::protect::policy::Action;

use super::classify::Verdict;
use super::facts::{Facts, KeyMemo};
use super::features::choose_features;
use super::plan::Plan;
use super::roles::Role;
use super::rules::DocFields;

/// "This role is played by no value."
pub(super) const NO_VALUE: u16 = u16::MAX;

/// Where one of the fields that conditions ask for stands on lines of this shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its key, which may name a unit.
    pub key: Box<[u8]>,
    /// Where its token is.
    pub from: ReadFrom,
}

/// See [`Reading`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The value with this index.
    Value(u16),
    /// It belongs to the shape: the token itself.
    Constant(Box<[u8]>),
}

/// One edit that the policy demands on every line of this shape.
#[derive(Clone, Debug)]
pub struct PlannedEdit {
    /// First value that it covers. A walked line may have more members than a `u16` can count.
    pub first: u32,
    /// Last value that it covers (the same, but for runs of dropped members).
    pub last: u32,
    /// How far before the first value's token it begins (the key of a dropped member).
    pub back: u32,
    /// How far behind the last value's token it ends (the comma behind a dropped first member).
    pub forward: u32,
    /// What replaces it.
    pub action: Action,
    /// What the key said.
    pub hint: KeyHint,
}

/// Everything that is constant over the lines of a shape.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// The kind and the rule that said so, which the message and own rules overrule line by line:
    /// what an own rule said of the line that was learned is in it only where it holds for all.
    pub verdict: Verdict,
    /// The verdict where neither the message nor an own rule says anything.
    pub otherwise: Verdict,
    /// Own rules read values that differ from line to line.
    pub rules_matter: bool,
    /// The level that the line carries.
    pub level: Level,
    /// Index of the tier.
    pub tier: usize,
    /// The value to parse as time.
    pub time: u16,
    /// The time is searched where it turns out to be none (the policy does not replace it).
    pub is_time_searched: bool,
    /// The value that identifies the request.
    pub request_id: u16,
    /// The value that holds the trace id, in any form.
    pub trace_id: u16,
    /// The value that holds the span id.
    pub span_id: u16,
    /// The message, where it decides the kind of each line; else [`NO_VALUE`].
    pub message: u16,
    /// What the conditions of the plan look at, in the plan's order: where to read it, the second
    /// place where the first holds null; none where the shape has no such member.
    pub fields: Box<[Vec<Reading>]>,
    /// What the policy demands.
    pub edits: Box<[PlannedEdit]>,
    /// What the key of each value said.
    pub hints: Box<[KeyHint]>,
    /// Members whose values decided something above: they belong to the shape.
    pub decided_by: Box<[u16]>,
    /// Whether lines of this shape may be learned at all.
    pub learnable: bool,
}

impl Meaning {
    /// Reads a walked line. Also fills `facts` with what is known of each member's key.
    #[must_use]
    pub fn of(doc: &Doc<'_>, plan: &Plan, memo: &mut KeyMemo, facts: &mut Vec<Facts>) -> Self {
        let read = super::classify::understand(doc, &plan.rules);
        let verdict = if read.rules_matter {
            read.otherwise
        } else {
            Verdict { kind: read.kind, rule: read.rule }
        };
        let tier = plan.tier_of(read.kind);
        memo.facts_of(doc, tier, &plan.tiers, facts);
        let policy = &plan.tiers[tier];
        let is_chosen_in_array = choose_features(doc, policy, &read.roles, facts);
        let edits = plan_edits(doc, 0..doc.members().len(), facts);
        let role = |role| read.roles.get(role).unwrap_or(NO_VALUE);
        let event = DocFields::new(doc, &read);
        let fields = plan.fields().iter().map(|wanted| {
            event.members(wanted).filter_map(|member| reading(doc, member)).collect()
        });
        let decided_by: Box<[u16]> = read.decided_by.members().into();
        let learnable = !read.decided_by.too_many
            && !is_chosen_in_array
            && !keeps_what_must_be_searched(doc, facts)
            && decided_by.iter().all(|&index| !in_array(doc, index) && !is_container(doc, index))
            && [Role::Time, Role::RequestId, Role::TraceId, Role::SpanId]
                .into_iter()
                .filter_map(|role| read.roles.get(role))
                .all(|index| !in_array(doc, index) && !decided_by.contains(&index))
            && plan
                .fields()
                .iter()
                .flat_map(|field| event.members(field))
                .all(|m| !in_array(doc, m));
        Self {
            verdict,
            otherwise: read.otherwise,
            rules_matter: read.rules_matter,
            level: read.level,
            tier,
            time: role(Role::Time),
            is_time_searched: facts
                .get(usize::from(role(Role::Time)))
                .is_some_and(|facts| facts.action == Action::Inspect),
            request_id: role(Role::RequestId),
            trace_id: role(Role::TraceId),
            span_id: role(Role::SpanId),
            message: if read.message_matters { role(Role::Message) } else { NO_VALUE },
            fields: fields.collect(),
            edits: edits.into(),
            hints: facts.iter().map(|facts| facts.hint).collect(),
            decided_by,
            learnable,
        }
    }

    /// What the skeleton must do with each member's value.
    #[must_use]
    pub fn gate(&self, index: usize, facts: &[Facts]) -> Gate {
        let index16 = u16::try_from(index).unwrap_or(NO_VALUE);
        if self.decided_by.contains(&index16) {
            return Gate::Literal;
        }
        let facts = facts.get(index).copied().unwrap_or_default();
        match facts.action {
            // A time that parses cannot be anything else; one that does not is searched after all.
            Action::Inspect if index16 == self.time => Gate::Pass,
            Action::Inspect if facts.is_telling() => Gate::Always,
            Action::Inspect => Gate::Prefilter,
            _ => Gate::Pass,
        }
    }

    /// The same meaning over a skeleton's values. `None` when it cannot be said of them: a planned
    /// edit or a role stands on a member that is no value.
    #[must_use]
    pub fn remap(&self, doc: &Doc<'_>, value_of: &[u16], n_values: usize) -> Option<Self> {
        let value = |member: u16| value_of.get(usize::from(member)).copied().unwrap_or(NO_VALUE);
        let required = |member: u16| match value(member) {
            _ if member == NO_VALUE => Some(NO_VALUE),
            NO_VALUE => None,
            value => Some(value),
        };
        let mut edits = self.edits.clone();
        for edit in &mut edits {
            edit.first = u32::from(required(u16::try_from(edit.first).ok()?)?);
            edit.last = u32::from(required(u16::try_from(edit.last).ok()?)?);
        }
        let mut hints = vec![KeyHint::default(); n_values];
        for (member, &value) in value_of.iter().enumerate() {
            if let Some(hint) = hints.get_mut(usize::from(value)) {
                *hint = self.hints.get(member).copied().unwrap_or_default();
            }
        }
        // What lies in an object differs from line to line, though the object is no value.
        let constant = |member: u16| {
            let member = doc.members().get(usize::from(member))?;
            (member.kind != ValueKind::Object).then(|| doc.value(member))
        };
        let remapped = |reading: &Reading| {
            let ReadFrom::Value(member) = reading.from else { return Some(reading.clone()) };
            let from = match value(member) {
                NO_VALUE => ReadFrom::Constant(constant(member)?.into()),
                value => ReadFrom::Value(value),
            };
            Some(Reading { key: reading.key.clone(), from })
        };
        let fields = self.fields.iter().map(|places| places.iter().map(remapped).collect());
        let fields: Option<Box<[Vec<Reading>]>> = fields.collect();
        Some(Self {
            time: required(self.time)?,
            request_id: required(self.request_id)?,
            trace_id: required(self.trace_id)?,
            span_id: required(self.span_id)?,
            message: required(self.message)?,
            fields: fields?,
            edits,
            hints: hints.into(),
            ..self.clone()
        })
    }
}

/// Whether the member lies in an array, where the number of values is not part of the shape.
fn in_array(doc: &Doc<'_>, index: u16) -> bool {
    let Some(member) = doc.members().get(usize::from(index)) else { return true };
    doc.path(member).windows(2).any(|pair| pair == b"[]")
}

/// Whether the member's value cannot be part of a shape.
fn is_container(doc: &Doc<'_>, index: u16) -> bool {
    let member = doc.members().get(usize::from(index));
    member.is_none_or(|member| matches!(member.kind, ValueKind::Array | ValueKind::Object))
}

/// Whether an array is kept and something in it is not: `keep` is said of a field, not of the
/// fields of objects in it, and a shape passes a kept array as a whole.
fn keeps_what_must_be_searched(doc: &Doc<'_>, facts: &[Facts]) -> bool {
    let members = doc.members();
    let is_kept = |index: usize| facts.get(index).is_some_and(|it| it.action == Action::Keep);
    let holds_others = |index: usize, end: u32| {
        let mut inside = (index + 1..members.len()).take_while(|&at| members[at].value.0 < end);
        inside.any(|at| !is_kept(at))
    };
    members.iter().enumerate().any(|(index, member)| {
        member.kind == ValueKind::Array && is_kept(index) && holds_others(index, member.value.1)
    })
}

fn reading(doc: &Doc<'_>, member: u16) -> Option<Reading> {
    let key = doc.key(doc.members().get(usize::from(member))?).into();
    Some(Reading { key, from: ReadFrom::Value(member) })
}

/// The edits that the members' actions demand, in the order of the line. Members inside a replaced
/// container are covered by it; runs of dropped members of one object go together with the commas
/// that would be left over.
#[must_use]
pub(super) fn plan_edits(
    doc: &Doc<'_>,
    range: std::ops::Range<usize>,
    facts: &[Facts],
) -> Vec<PlannedEdit> {
    let members = doc.members();
    let mut edits: Vec<PlannedEdit> = Vec::new();
    let mut covered_to = 0;
    for index in range {
        let (Some(member), Some(facts_here)) = (members.get(index), facts.get(index)) else {
            break;
        };
        let is_plain = matches!(facts_here.action, Action::Inspect | Action::Keep);
        if is_plain || member.value.0 < covered_to {
            continue;
        }
        covered_to = member.value.1;
        let mut edit = PlannedEdit {
            first: index as u32,
            last: index as u32,
            back: 0,
            forward: 0,
            action: facts_here.action,
            hint: facts_here.hint,
        };
        // An element of an array has no key to take away: it is masked instead.
        if edit.action == Action::Drop && member.is_element() {
            edit.action = Action::Mask;
        }
        if edit.action == Action::Drop {
            let last = last_of_run(doc, index, facts);
            covered_to = members[last].value.1;
            edit.last = last as u32;
            (edit.back, edit.forward) = removal(doc, index, last);
        }
        edits.push(edit);
    }
    edits
}

/// The last member of the run of dropped siblings that begins at `index`.
fn last_of_run(doc: &Doc<'_>, index: usize, facts: &[Facts]) -> usize {
    let mut last = index;
    while let Some(next) = next_sibling(doc, last) {
        if facts.get(next).is_none_or(|facts| facts.action != Action::Drop) {
            break;
        }
        last = next;
    }
    last
}

/// How far a run of dropped members reaches before its first value and behind its last.
fn removal(doc: &Doc<'_>, first: usize, last: usize) -> (u32, u32) {
    let members = doc.members();
    let (start, end) = (members[first].value.0, members[last].value.1);
    let key_quote = members[first].key.0 - 1;
    match previous_sibling(doc, first) {
        Some(previous) => (start - members[previous].value.1, 0),
        None => {
            let next = next_sibling(doc, last).map_or(end, |next| members[next].key.0 - 1);
            (start - key_quote, next - end)
        }
    }
}

/// The next member of the same object.
fn next_sibling(doc: &Doc<'_>, index: usize) -> Option<usize> {
    let members = doc.members();
    let this = members.get(index)?;
    let later = members.get(index + 1..)?.iter().enumerate();
    let mut outside = later.skip_while(|(_, member)| member.value.0 < this.value.1);
    let (offset, next) = outside.next()?;
    // Between siblings stands one comma and no closing bracket.
    let between = doc.line.get(this.value.1 as usize..next.key.0 as usize)?;
    let is_sibling = next.depth == this.depth && !between.iter().any(|b| b"}]".contains(b));
    is_sibling.then_some(index + 1 + offset)
}

/// The member of the same object before this one.
fn previous_sibling(doc: &Doc<'_>, index: usize) -> Option<usize> {
    let members = doc.members();
    let this = members.get(index)?;
    let before = members.get(..index)?.iter().rposition(|member| {
        member.depth == this.depth && member.value.1 <= this.key.0 && !member.is_element()
    })?;
    (next_sibling(doc, before) == Some(index)).then_some(before)
}
