//! Attributes by policy, and their values by the detectors.

use std::io::Write as _;

use crate::event::otlp::Field;
use crate::event::otlp::schema::Message;
use crate::event::otlp::walk::{Attribute, Value, tags};
use crate::event::otlp::wire::{push_bytes, push_fixed64, push_number};
use crate::event::record::{Flags, NO_SPAN};
use crate::pipeline::aliases::{self, Means};
use crate::pipeline::emit::replacer;
use crate::pipeline::facts::Facts;
use crate::pipeline::roles::Role;
use crate::protect::context::{self, KeyHint};
use crate::protect::policy::Action;
use crate::protect::views::{Form, inspect, plain};

use super::memo::KnownKey;
use super::search::{Open, Search};

impl Search<'_> {
    /// What the key of a top-level attribute says.
    #[inline(always)]
    pub(super) fn known(&mut self, key: Field) -> KnownKey {
        match self.memo.next_key(self.bytes, key, self.tier) {
            Some(known) => known,
            None => self.known_by_hash(key.of(self.bytes)),
        }
    }

    #[inline(never)]
    fn known_by_hash(&mut self, key: &[u8]) -> KnownKey {
        let (pipeline, tier) = (&mut *self.pipeline, self.tier);
        self.memo.key(key, tier, || {
            let facts = pipeline.memo.of(key, tier, &pipeline.plan.tiers);
            let entities = pipeline.plan.tiers[tier].policy.detect();
            let (hits, scratch) = (&mut pipeline.work.hits, &mut pipeline.work.scratch);
            hits.clear();
            let is_text = std::str::from_utf8(key).is_ok();
            let found = inspect(key, Form::Text, KeyHint::NONE, entities, scratch, hits);
            let mut meanings = aliases::lookup(key);
            let is_request_id = meanings.any(|hit| hit.means == Means::Role(Role::RequestId));
            let is_clean = is_text && !found;
            let is_inspected = facts.action == Action::Inspect && !facts.is_telling();
            let is_plain = is_clean && is_inspected && !is_request_id;
            KnownKey { facts, is_request_id, is_clean, is_plain }
        })
    }

    /// Whether a value under a plain key stays as it is.
    #[inline(always)]
    pub(super) fn is_plain_value(&mut self, value: &Value) -> bool {
        let Some(member) = value.member else { return true };
        match member.tag {
            tags::TEXT => !self.is_suspect(member),
            tags::INT | tags::DOUBLE | tags::BOOL => true,
            _ => false,
        }
    }

    /// Edits an attribute as the policy says. Whether its members must be walked.
    #[inline(never)]
    pub(super) fn protect_attribute(&mut self, attribute: Attribute) -> bool {
        if attribute.is_odd {
            self.memo.edits.remove(attribute.field);
            self.note(Flags::REDACTED);
            return false;
        }
        let known = match self.path.is_empty() {
            true => self.known(attribute.key),
            false => self.known_member(attribute.key.of(self.bytes)),
        };
        self.protect_known(attribute, known)
    }

    /// The same of one whose key is known.
    #[inline(never)]
    pub(super) fn protect_known(&mut self, attribute: Attribute, known: KnownKey) -> bool {
        if !known.is_clean {
            self.search(attribute.key, KeyHint::NONE);
        }
        if known.is_request_id && attribute.owner == Message::Span {
            self.note_request_id(attribute.value);
        }
        let Facts { action, .. } = known.facts;
        if action == Action::Drop {
            self.memo.edits.remove(attribute.field);
            self.note(Flags::REDACTED);
            return false;
        }
        let looks_inside = self.protect_value(attribute.value, known.facts);
        if looks_inside {
            if !self.path.is_empty() {
                self.path.push(b'.');
            }
            self.path.extend_from_slice(attribute.key.of(self.bytes));
            let path_len = self.path.len();
            self.open.push(Open { path_len, facts: known.facts, names_secret: false });
        }
        looks_inside
    }

    /// The same of a member of a list, whose whole path counts.
    fn known_member(&mut self, key: &[u8]) -> KnownKey {
        let mut path = self.path.clone();
        path.push(b'.');
        path.extend_from_slice(key);
        let (pipeline, tier) = (&mut *self.pipeline, self.tier);
        let facts = pipeline.memo.of(&path, tier, &pipeline.plan.tiers);
        KnownKey { facts, is_request_id: false, is_clean: false, is_plain: false }
    }

    /// An element of an array is what the array's key says it is.
    pub(super) fn protect_element(&mut self, value: Value) -> bool {
        let last = self.open.last_mut();
        let mut facts = last.as_ref().map_or_else(Facts::default, |open| open.facts);
        if let Some(open) = last {
            let text = value.text().map(|text| text.of(self.bytes)).unwrap_or_default();
            let is_option = text.starts_with(b"-");
            if std::mem::take(&mut open.names_secret) && !is_option {
                facts.action = Action::Mask;
            }
            let name = text.strip_prefix(b"--");
            open.names_secret = name.is_some_and(|name| context::is_secret(&plain(name)));
        }
        let looks_inside = self.protect_value(value, facts);
        if looks_inside {
            let path_len = self.path.len();
            self.open.push(Open { path_len, facts, names_secret: false });
        }
        looks_inside
    }

    fn protect_value(&mut self, value: Value, facts: Facts) -> bool {
        let Some(member) = value.member else { return false };
        match (facts.action, member.tag) {
            (Action::Keep, _) => {}
            (Action::Inspect, tags::TEXT) => {
                if facts.is_telling() || self.is_suspect(member) {
                    self.search(member, facts.hint);
                }
            }
            (Action::Inspect, tags::ARRAY | tags::LIST) => return true,
            (Action::Inspect, tags::INT | tags::DOUBLE) if !facts.hint.wants_numbers() => {}
            (Action::Inspect, tags::BOOL) => {}
            // Bytes that read as something that must not stay go as a whole.
            (Action::Inspect, tags::BYTES) => {
                if self.is_telling(member.of(self.bytes), facts.hint) {
                    self.remove_value(member);
                }
            }
            (action, tags::TEXT) => self.replace_text(member, action, facts.hint),
            (action, tags::INT | tags::DOUBLE | tags::BOOL) => {
                self.replace_number(member, action, facts.hint);
            }
            // What is no text and no number has no mask but its absence.
            _ => self.remove_value(member),
        }
        false
    }

    fn remove_value(&mut self, member: Field) {
        self.memo.edits.remove(member);
        self.note(Flags::REDACTED);
    }

    fn replace_text(&mut self, member: Field, action: Action, hint: KeyHint) {
        let pipeline = &mut *self.pipeline;
        let replacer = replacer(&pipeline.plan, self.tier);
        let (work, raw) = (&mut pipeline.work, member.of(self.bytes));
        let mut text = std::mem::take(&mut work.rewritten);
        text.clear();
        let is_changed = replacer.plain(action, raw, hint, &mut work.replacing, &mut text);
        if is_changed {
            self.memo.edits.value(member, |out| out.extend_from_slice(&text));
        }
        work.rewritten = text;
        if is_changed {
            self.note(Flags::REDACTED);
        }
    }

    /// A number becomes what its token of JSON would.
    fn replace_number(&mut self, member: Field, action: Action, hint: KeyHint) {
        let mut token = Vec::new();
        push_token(member, self.bytes, &mut token);
        let pipeline = &mut *self.pipeline;
        let replacer = replacer(&pipeline.plan, self.tier);
        let mut new = Vec::new();
        if replacer.value(action, &token, hint, &mut pipeline.work.replacing, &mut new) {
            self.memo.edits.fields(member.at, member.end, |out| push_member(&new, out));
            self.note(Flags::REDACTED);
        }
    }

    /// Notes where the request's id stands, in an edited request.
    pub(super) fn index_attribute(&mut self, attribute: Attribute) {
        if attribute.owner == Message::Span && self.known(attribute.key).is_request_id {
            let text = attribute.value.text().map(|text| text.of(self.bytes));
            // All masks are alike, and so no id.
            if text.is_some_and(|text| !text.starts_with(b"[")) {
                self.note_request_id(attribute.value);
            }
        }
    }

    fn note_request_id(&mut self, value: Value) {
        let (Some(item), Some(text)) = (&mut self.item, value.text()) else { return };
        let len = u16::try_from(text.len()).unwrap_or(0);
        if item.record.request_id_off == NO_SPAN && len > 0 {
            item.record.request_id_off = (text.start - item.field.start) as u32;
            item.record.request_id_len = len;
        }
    }
}

/// A number or a truth value as a token of JSON.
pub(super) fn push_token(member: Field, bytes: &[u8], out: &mut Vec<u8>) {
    let number = member.number_in(bytes);
    // Writing to memory cannot fail.
    let _ = match member.tag {
        tags::INT => write!(out, "{}", number.cast_signed()),
        tags::BOOL => write!(out, "{}", number != 0),
        _ => write!(out, "{:?}", f64::from_bits(number)),
    };
}

/// A token of JSON as a member of `AnyValue`: nothing for `null`.
fn push_member(token: &[u8], out: &mut Vec<u8>) {
    let text = std::str::from_utf8(token).unwrap_or_default();
    match (token, text.parse::<i64>(), text.parse::<f64>()) {
        ([b'"', inside @ .., b'"'], ..) => push_bytes(out, 1, inside),
        (b"true" | b"false", ..) => push_number(out, 2, u64::from(token == b"true")),
        (_, Ok(int), _) => push_number(out, 3, int.cast_unsigned()),
        (_, _, Ok(double)) => push_fixed64(out, 4, double.to_bits()),
        _ => {}
    }
}
