//! Declared fields in text, be it a line or a string of a JSON line: the policy's actions on every
//! `key=value` and `"key": value` that the text shows.
//!
//! Fails closed. A value of JSON is replaced by a token of JSON, so that what was JSON in a text
//! stays so, and a dropped one is `null` there; anywhere else key and value go. Within a string of
//! JSON only what stands between quotes is replaced, and no escape is cut. Features of which the
//! tier keeps only some go as a whole: broken text does not show which is which.

use std::ops::Range;

use crate::protect::find::pair::{Pair, Pairs};
use crate::protect::policy::{Action, Features};
use crate::protect::views;

use super::aliases::{self, Means};
use super::emit::replacer;
use super::facts::Facts;
use super::process::Pipeline;
use super::roles::Role;

/// A pair of a text whose value must not stay.
struct Declared {
    pair: Pair,
    /// The value.
    span: (usize, usize),
    /// With the action for it: features that the tier hides are dropped.
    facts: Facts,
}

impl Pipeline {
    /// Adds the edits for `line`, but for those inside of `object`, which was walked.
    pub(super) fn edit_declared(&mut self, line: &[u8], object: Option<Range<usize>>, tier: usize) {
        if !self.plan.tiers[tier].policy.declares_fields() {
            return;
        }
        let walked = object.unwrap_or(0..0);
        let mut pairs = Pairs::of(line);
        while let Some(declared) = self.next_declared(line, &mut pairs, &walked, tier) {
            let Declared { pair, span, facts } = declared;
            let (start, end, action) = (span.0 as u32, span.1 as u32, facts.action);
            let value = line.get(span.0..span.1).unwrap_or_default();
            let (work, replacer) = (&mut self.work, replacer(&self.plan, tier));
            let replacing = &mut work.replacing;
            if pair.is_json {
                work.splice.replace(start, end, |text| {
                    replacer.value(action, value, facts.hint, replacing, text)
                });
            } else if action == Action::Drop {
                work.splice.replace(pair.key.0 as u32, end, |_| true);
            } else {
                work.splice.replace(start, end, |text| {
                    replacer.plain(action, unquoted(value), facts.hint, replacing, text)
                });
            }
        }
    }

    /// Adds the edits for what the string whose inside is `line[start..end]` says like a text:
    /// messages hold pairs, and JSON of their own.
    pub(super) fn edit_declared_in_string(
        &mut self,
        line: &[u8],
        (start, end): (u32, u32),
        tier: usize,
    ) {
        if !self.plan.tiers[tier].policy.declares_fields() {
            return;
        }
        let raw = line.get(start as usize..end as usize).unwrap_or_default();
        let mut pairs = Pairs::of(raw);
        while let Some(declared) = self.next_declared(raw, &mut pairs, &(0..0), tier) {
            let Declared { pair, span, facts } = declared;
            let action = facts.action;
            let value = raw.get(span.0..span.1).unwrap_or_default();
            let quoted = inside_quotes(value);
            let is_quoted = quoted != (0, value.len());
            let inside = views::whole_units(raw, (span.0 + quoted.0, span.0 + quoted.1));
            let from = if pair.is_json || is_quoted { inside.0 } else { pair.key.0 };
            let value = raw.get(inside.0..inside.1).unwrap_or_default();
            let (work, replacer) = (&mut self.work, replacer(&self.plan, tier));
            let replacing = &mut work.replacing;
            let from = if action == Action::Drop { from } else { inside.0 };
            work.splice.replace(
                start + from as u32,
                start + inside.1 as u32,
                |text| match action {
                    Action::Drop if pair.is_json && !is_quoted => {
                        text.extend_from_slice(b"null");
                        true
                    }
                    Action::Drop => true,
                    _ => replacer.string(action, value, facts.hint, replacing, text),
                },
            );
        }
    }

    /// The next pair of `text` outside of `walked` whose value must not stay, and what becomes of
    /// it.
    fn next_declared(
        &mut self,
        text: &[u8],
        pairs: &mut Pairs<'_>,
        walked: &Range<usize>,
        tier: usize,
    ) -> Option<Declared> {
        while let Some(pair) = pairs.next() {
            if walked.contains(&pair.key.0) {
                pairs.skip_to(walked.end);
                continue;
            }
            let (mut facts, is_hidden) = self.facts_of(text, &pair, tier);
            let is_plain = matches!(facts.action, Action::Inspect | Action::Keep);
            if is_plain && !is_hidden {
                continue;
            }
            let Some(span) = pairs.value(&pair) else { continue };
            let value = text.get(span.0..span.1).unwrap_or_default();
            if is_plain && memchr::memchr(b'{', value).is_none() {
                continue;
            }
            if is_plain {
                facts.action = Action::Drop;
            }
            pairs.skip_to(span.1);
            return Some(Declared { pair, span, facts });
        }
        None
    }

    /// What is declared of a key in `text`, and whether it names features that the tier hides.
    /// Where an escape may stand before the key (`\tuser_id`), it is looked at without its letter
    /// too.
    fn facts_of(&mut self, text: &[u8], pair: &Pair, tier: usize) -> (Facts, bool) {
        let key = text.get(pair.key.0..pair.key.1).unwrap_or_default();
        let behind = key.get(escape_len(text, pair.key.0)..).unwrap_or_default();
        let keys = [key, behind].into_iter().filter(|key| !key.is_empty());
        for key in keys {
            let facts = self.memo.of_text(key, pair.is_member, tier, &self.plan.tiers);
            let is_plain = matches!(facts.action, Action::Inspect | Action::Keep);
            let is_hidden = is_plain && self.hides_features(key, tier);
            if !is_plain || is_hidden {
                return (facts, is_hidden);
            }
        }
        (Facts::default(), false)
    }

    /// Whether these are features of which the tier keeps only some.
    fn hides_features(&self, key: &[u8], tier: usize) -> bool {
        *self.plan.tiers[tier].policy.features() != Features::All && is_features(&views::plain(key))
    }
}

/// Bytes from `at` on that belong to an escape whose backslash stands before; all of the text where
/// none does.
fn escape_len(text: &[u8], at: usize) -> usize {
    let is_escape = at > 0 && text.get(at - 1) == Some(&b'\\');
    match text.get(at).filter(|_| is_escape) {
        Some(b'n' | b't' | b'r' | b'b' | b'f') => 1,
        Some(b'u') => 5,
        Some(b'x') => 3,
        _ => text.len(),
    }
}

fn is_features(key: &[u8]) -> bool {
    let last = key.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    aliases::lookup(last).any(|hit| hit.means == Means::Role(Role::Features))
}

/// Without quotes, so that a pseudonym is that of the value.
fn unquoted(value: &[u8]) -> &[u8] {
    let (start, end) = inside_quotes(value);
    value.get(start..end).unwrap_or(value)
}

/// What of a value lies between its quotes, and before the backslashes of an escaped one.
fn inside_quotes(value: &[u8]) -> (usize, usize) {
    match value {
        [open @ (b'"' | b'\'' | b'`'), inside @ .., close] if open == close => {
            let slashes = inside.iter().rev().take_while(|byte| **byte == b'\\').count();
            (1, value.len() - 1 - slashes)
        }
        [b'"' | b'\'' | b'`', ..] => (1, value.len()),
        _ => (0, value.len()),
    }
}
