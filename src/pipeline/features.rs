//! The tier's `features:` policy: which members of a request's features stay.
//!
//! Chooses in every member that plays the role, a second `features` of the same object too, and in
//! each object of an array of them. Deliberately fails closed: what is not chosen goes.

use crate::event::json::doc::{Doc, Member, ValueKind};
use crate::protect::policy::{Action, Features};

use super::facts::Facts;
use super::plan::TierPlan;
use super::roles::{Role, Roles};

/// Marks the features that the tier does not keep as dropped. Returns whether it chose within an
/// array, of which a learned shape knows nothing.
pub(super) fn choose_features(
    doc: &Doc<'_>,
    tier: &TierPlan,
    roles: &Roles,
    facts: &mut [Facts],
) -> bool {
    if *tier.policy.features() == Features::All {
        return false;
    }
    let played = roles.candidates(Role::Features);
    let played: Vec<&Member> =
        played.filter_map(|index| doc.members().get(usize::from(index))).collect();
    let mut in_array = false;
    for (index, member) in doc.members().iter().enumerate() {
        if !played.iter().any(|first| doc.path(first) == doc.path(member)) {
            continue;
        }
        match member.kind {
            ValueKind::Object => choose(doc, tier, index, facts),
            ValueKind::Array => {
                let is_element = |inner: &&(usize, &Member)| {
                    inner.1.depth == member.depth + 1 && inner.1.kind == ValueKind::Object
                };
                for (element, _) in inside(doc, index).filter(|inner| is_element(&inner)) {
                    in_array = true;
                    choose(doc, tier, element, facts);
                }
            }
            _ => {}
        }
    }
    in_array
}

/// All that lies in the container at `index`.
fn inside<'a>(doc: &Doc<'a>, index: usize) -> impl Iterator<Item = (usize, &'a Member)> + use<'a> {
    let end = doc.members().get(index).map_or(0, |member| member.value.1);
    let later = doc.members().iter().enumerate().skip(index + 1);
    later.take_while(move |(_, member)| member.value.1 <= end)
}

/// Chooses among the members of the object at `index`.
fn choose(doc: &Doc<'_>, tier: &TierPlan, index: usize, facts: &mut [Facts]) {
    let depth = doc.members().get(index).map_or(0, |object| object.depth + 1);
    let names: Vec<(usize, &[u8])> = inside(doc, index)
        .filter(|(_, member)| member.depth == depth)
        .map(|(index, member)| (index, doc.key(member)))
        .collect();
    let keys: Vec<&[u8]> = names.iter().map(|(_, name)| *name).collect();
    let mut kept = Vec::new();
    tier.policy.keep_features(&keys, &mut kept);
    for ((index, _), is_kept) in names.iter().zip(kept) {
        if !is_kept && let Some(facts) = facts.get_mut(*index) {
            facts.action = Action::Drop;
        }
    }
}
