//! Declared fields in lines that are no JSON: the policy's actions on every `key=value` and
//! `"key": value` that the text shows.
//!
//! Fails closed. A value of JSON is replaced by a token of JSON, so that what was JSON in a text
//! stays so, and a dropped one is `null` there; anywhere else key and value go. Features of which
//! the
//! tier keeps only some go as a whole: broken text does not show which is which.

use std::ops::Range;

use crate::protect::find::pair::Pairs;
use crate::protect::policy::{Action, Features};

use super::aliases::{self, Means};
use super::emit::replacer;
use super::process::Pipeline;
use super::roles::Role;

impl Pipeline {
    /// Adds the edits for `line`, but for those inside of `object`, which was walked.
    pub(super) fn edit_declared(&mut self, line: &[u8], object: Option<Range<usize>>, tier: usize) {
        if !self.plan.tiers[tier].policy.declares_fields() {
            return;
        }
        let walked = object.unwrap_or(0..0);
        let mut pairs = Pairs::of(line);
        while let Some(pair) = pairs.next() {
            if walked.contains(&pair.key.0) {
                pairs.skip_to(walked.end);
                continue;
            }
            let key = line.get(pair.key.0..pair.key.1).unwrap_or_default();
            let facts = self.memo.of_text(key, pair.is_json, tier, &self.plan.tiers);
            let is_plain = matches!(facts.action, Action::Inspect | Action::Keep);
            if is_plain && !self.hides_features(key, tier) {
                continue;
            }
            let Some(span) = pairs.value(&pair) else { continue };
            let (start, end) = (span.0 as u32, span.1 as u32);
            let value = line.get(span.0..span.1).unwrap_or_default();
            if is_plain && memchr::memchr(b'{', value).is_none() {
                continue;
            }
            let action = if is_plain { Action::Drop } else { facts.action };
            pairs.skip_to(span.1);
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

    /// Whether these are features of which the tier keeps only some.
    fn hides_features(&self, key: &[u8], tier: usize) -> bool {
        *self.plan.tiers[tier].policy.features() != Features::All
            && is_features(&crate::protect::views::plain(key))
    }
}

fn is_features(key: &[u8]) -> bool {
    let last = key.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    aliases::lookup(last).any(|hit| hit.means == Means::Role(Role::Features))
}

/// Without quotes, so that a pseudonym is that of the value.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [open @ (b'"' | b'\'' | b'`'), inside @ .., close] if open == close => inside,
        [b'"' | b'\'' | b'`', inside @ ..] => inside,
        _ => value,
    }
}
