//! From an understood line to a gathered one: sampling, edits, the record.
//!
//! One set of functions for fitted and walked lines, over a list of value spans, so that the fast
//! path and the slow path cannot differ in what they do, only in how they found the values.

use crate::event::json::block::Native;
use crate::event::json::doc::{Doc, DocBuffers, Member, ValueKind};
use crate::event::json::shapes::could_hold;
use crate::event::record::{Flags, NO_SPAN, Record};
use crate::protect::context::{self, KeyHint};
use crate::protect::entity::Entity;
use crate::protect::outputs::Outputs;
use crate::protect::policy::Action;
use crate::protect::replace::Replacer;
use crate::protect::views::{Form, inspect, plain};

use super::classify::{kind_of_message, own_verdict};
use super::facts::Facts;
use super::fields::{LineFields, token, unquoted};
use super::meaning::{Meaning, NO_VALUE, PlannedEdit, plan_edits};
use super::numbers;
use super::plan::Plan;
use super::process::{Pipeline, Place};
use super::roles::ids;
use super::time;

impl Pipeline {
    /// A line that fits lesson `lesson`; its values are in `work.found`. Returns whether it was
    /// dealt with: a line whose own words put it into another tier than its shape's must be walked.
    #[inline]
    pub(super) fn fitted_line(&mut self, lesson: usize, place: Place, out: &mut Outputs) -> bool {
        let values = std::mem::take(&mut self.work.found.values);
        // Lent out for the line, so that the meaning can be read while the buffers are written.
        let known = self.lessons.lend();
        let dealt = known
            .get(lesson)
            .is_some_and(|lesson| self.fitted_values(&lesson.meaning, &values, place, out));
        self.lessons.give_back(known);
        self.work.found.values = values;
        dealt
    }

    #[inline]
    fn fitted_values(
        &mut self,
        meaning: &Meaning,
        values: &[(u32, u32)],
        place: Place,
        out: &mut Outputs,
    ) -> bool {
        let line = out.padded().get(place.start..place.end).unwrap_or_default();
        let (mut record, tier) = self.understood(line, meaning, values, place);
        if tier != meaning.tier {
            return false;
        }
        let source = out.source();
        self.observe_line((line, values), meaning, &record, source.1);
        if self.is_held(tier, &record, source.1) {
            return true;
        }
        if !self.is_kept(line, meaning, values, &mut record) {
            out.sample_out(tier, record.kind());
            return true;
        }
        self.work.splice.clear();
        if !meaning.edits.is_empty() {
            self.planned_edits(line, &meaning.edits, |v| values.get(v as usize).copied(), tier);
        }
        if !self.work.found.suspects.is_empty() {
            self.search_suspects(line, meaning, values, tier);
        }
        if meaning.is_time_searched && !time_is_known(record) {
            self.search_value(line, meaning, values, meaning.time, tier);
        }
        set_spans(&mut record, line, meaning, values);
        self.gather(tier, place, None, record, out);
        true
    }

    /// A line that was walked into `buffers`.
    pub(super) fn walked_line(
        &mut self,
        buffers: &DocBuffers,
        meaning: &Meaning,
        facts: &[Facts],
        place: Place,
        out: &mut Outputs,
    ) {
        let line = out.padded().get(place.start..place.end).unwrap_or_default();
        let mut values = std::mem::take(&mut self.work.values);
        values.clear();
        values.extend(buffers.members.iter().map(|member| member.value));
        let (mut record, tier) = self.understood(line, meaning, &values, place);
        let source = out.source();
        self.observe_line((line, &values), meaning, &record, source.1);
        if !self.is_held(tier, &record, source.1) {
            if self.is_kept(line, meaning, &values, &mut record) {
                self.work.splice.clear();
                self.planned_edits(line, &meaning.edits, |v| values.get(v as usize).copied(), tier);
                let doc = Doc { line, found: buffers };
                let time = if time_is_known(record) { meaning.time } else { NO_VALUE };
                self.search_members(&doc, 0..buffers.members.len(), facts, time, tier);
                set_spans(&mut record, line, meaning, &values);
                self.gather(tier, place, None, record, out);
            } else {
                out.sample_out(tier, record.kind());
            }
        }
        self.work.values = values;
    }

    /// What the line is: its record so far and its tier.
    #[inline]
    fn understood(
        &self,
        line: &[u8],
        meaning: &Meaning,
        values: &[(u32, u32)],
        place: Place,
    ) -> (Record, usize) {
        let mut record = Self::record(place);
        let mut verdict = meaning.verdict;
        if meaning.message != NO_VALUE {
            let message = token(line, values, meaning.message).map(unquoted).unwrap_or_default();
            verdict = kind_of_message(message, meaning.otherwise);
        }
        record.level = meaning.level as u8;
        record.kind = verdict.kind as u8;
        if meaning.rules_matter {
            let fields = LineFields { line, values, meaning, plan: &self.plan, record: &record };
            verdict = own_verdict(&self.plan.rules, &fields, verdict);
        }
        record.kind = verdict.kind as u8;
        record.rule = verdict.rule;
        record.flags |= Flags::JSON;
        (record, self.plan.tier_of(verdict.kind))
    }

    /// Settles the time and decides by sampling whether the event is kept.
    #[inline]
    fn is_kept(
        &mut self,
        line: &[u8],
        meaning: &Meaning,
        values: &[(u32, u32)],
        record: &mut Record,
    ) -> bool {
        let observed_ns = record.ts_ns;
        let parsed = token(line, values, meaning.time)
            .and_then(|token| time::parse(unquoted(token), observed_ns));
        let (ts_ns, flags) = time::settle(parsed, observed_ns);
        record.ts_ns = ts_ns;
        record.flags |= flags;
        if !self.plan.decides_about(record.kind()) {
            return true;
        }
        let fields = LineFields { line, values, meaning, plan: &self.plan, record };
        let keep_rule = self.plan.sampler.keep_rule_or_rare(&fields, &mut self.rarity);
        let id = |value| token(line, values, value).map(unquoted);
        self.is_log_kept(record, (id(meaning.trace_id), id(meaning.request_id)), keep_rule)
    }

    /// Whether the tier's log held this event already before a restart.
    #[inline]
    pub(super) fn is_held(&self, tier: usize, record: &Record, source_base: u64) -> bool {
        let held_to = self.held_to.get(tier).copied().unwrap_or(0);
        source_base + u64::from(record.source_off) < held_to
    }

    /// Adds the edits that the policy planned for this shape.
    pub(super) fn planned_edits(
        &mut self,
        line: &[u8],
        edits: &[PlannedEdit],
        values: impl Fn(u32) -> Option<(u32, u32)>,
        tier: usize,
    ) {
        let replacer = replacer(&self.plan, tier);
        let work = &mut self.work;
        for edit in edits {
            let (Some((start, _)), Some((_, end))) = (values(edit.first), values(edit.last)) else {
                continue;
            };
            let value = line.get(start as usize..end as usize).unwrap_or_default();
            let (start, end) = (start - edit.back.min(start), end + edit.forward);
            let replacing = &mut work.replacing;
            work.splice.replace(start, end, |text| {
                edit.action == Action::Drop
                    || replacer.value(edit.action, value, edit.hint, replacing, text)
            });
        }
    }

    /// Searches the values that the prefilter or their keys made suspect.
    fn search_suspects(
        &mut self,
        line: &[u8],
        meaning: &Meaning,
        values: &[(u32, u32)],
        tier: usize,
    ) {
        let found = std::mem::take(&mut self.work.found);
        let mut containers = 0..found.containers.len();
        for &value in &found.suspects {
            if line.get(values[usize::from(value)].0 as usize) == Some(&b'[') {
                let hint = meaning.hints.get(usize::from(value)).copied().unwrap_or_default();
                self.search_numbers(line, values[usize::from(value)], hint, tier);
                // Containers are suspects in their order, but not each of them is one.
                let index = containers.find(|&index| found.containers[index].0 == value);
                self.search_container(line, &found, index, tier);
            } else {
                self.search_value(line, meaning, values, value, tier);
            }
        }
        self.work.found = found;
    }

    fn search_container(
        &mut self,
        line: &[u8],
        found: &crate::event::json::skeleton::Found,
        index: Option<usize>,
        tier: usize,
    ) {
        let members = &found.nested.members;
        let from_of = |index: usize| found.containers.get(index).map(|&(_, from)| from as usize);
        let Some(index) = index else { return };
        let from = from_of(index).unwrap_or(members.len());
        let to = from_of(index + 1).unwrap_or(members.len());
        if from == to {
            return;
        }
        let doc = Doc { line, found: &found.nested };
        let mut facts = std::mem::take(&mut self.work.facts);
        self.memo.facts_of(&doc, tier, &self.plan.tiers, &mut facts);
        let edits = plan_edits(&doc, from..to, &facts);
        self.planned_edits(line, &edits, |m| Some(members.get(m as usize)?.value), tier);
        self.search_members(&doc, from..to, &facts, NO_VALUE, tier);
        self.work.facts = facts;
    }

    /// Searches the numbers that are elements of an array, where its key says what they may be.
    fn search_numbers(&mut self, line: &[u8], array: (u32, u32), hint: KeyHint, tier: usize) {
        if !hint.wants_numbers() {
            return;
        }
        let entities = self.plan.tiers[tier].policy.detect();
        for span in numbers::elements(line, array) {
            self.search(line, span, Form::Number, hint, tier, entities);
        }
    }

    fn search_value(
        &mut self,
        line: &[u8],
        meaning: &Meaning,
        values: &[(u32, u32)],
        value: u16,
        tier: usize,
    ) {
        let Some(&(start, end)) = values.get(usize::from(value)) else { return };
        let hint = meaning.hints.get(usize::from(value)).copied().unwrap_or_default();
        let (span, form) = if line.get(start as usize) == Some(&b'"') {
            ((start + 1, end - 1), Form::JsonString)
        } else {
            ((start, end), Form::Number)
        };
        let entities = self.plan.tiers[tier].policy.detect();
        self.search(line, span, form, hint, tier, entities);
    }

    /// Searches keys and values of walked members: all that the prefilter lets pass.
    fn search_members(
        &mut self,
        doc: &Doc<'_>,
        range: std::ops::Range<usize>,
        facts: &[Facts],
        known_time: u16,
        tier: usize,
    ) {
        let entities = self.plan.tiers[tier].policy.detect();
        for index in range.clone() {
            let Some(member) = doc.members().get(index) else { return };
            let facts = facts.get(index).copied().unwrap_or_default();
            let (start, end) = (member.key.0 as usize, member.key.1 as usize);
            let is_odd = member.escaped;
            if is_odd || could_hold::<Native>(doc.line, start, end) {
                self.search(doc.line, member.key, Form::Key, Default::default(), tier, entities);
            }
            let is_known_time = known_time != NO_VALUE && index == usize::from(known_time);
            if facts.action != Action::Inspect || is_known_time {
                continue;
            }
            let (start, end) = member.value;
            let is_told = facts.is_telling();
            match member.kind {
                ValueKind::String if names_argument(doc, index, &range) => {
                    self.mask_secret(doc.line, (start + 1, end - 1), tier);
                }
                ValueKind::String => {
                    let span = (start + 1, end - 1);
                    let could = || could_hold::<Native>(doc.line, span.0 as usize, span.1 as usize);
                    if is_told || is_odd || could() {
                        self.search(doc.line, span, Form::JsonString, facts.hint, tier, entities);
                    }
                }
                ValueKind::Number if is_told => {
                    self.search(doc.line, (start, end), Form::Number, facts.hint, tier, entities);
                }
                ValueKind::Array => self.search_numbers(doc.line, (start, end), facts.hint, tier),
                _ => {}
            }
        }
    }

    /// A string that is a secret whatever it holds.
    fn mask_secret(&mut self, line: &[u8], (start, end): (u32, u32), tier: usize) {
        let replacer = replacer(&self.plan, tier);
        if replacer.policy.detect().has(Entity::Secret) && start < end {
            let found = line.get(start as usize..end as usize).unwrap_or_default();
            self.work.splice.replace(start, end, |text| {
                replacer.hit(found, Form::JsonString, Entity::Secret, text);
                true
            });
        }
    }

    /// Searches one span of the line exactly and adds an edit per hit.
    #[inline(never)]
    pub(super) fn search(
        &mut self,
        line: &[u8],
        (start, end): (u32, u32),
        form: Form,
        hint: KeyHint,
        tier: usize,
        entities: crate::protect::entity::EntitySet,
    ) {
        if form == Form::JsonString {
            self.edit_declared_in_string(line, (start, end), tier);
        }
        let raw = line.get(start as usize..end as usize).unwrap_or_default();
        let work = &mut self.work;
        work.hits.clear();
        inspect(raw, form, hint, entities, &mut work.scratch, &mut work.hits);
        let replacer = replacer(&self.plan, tier);
        for hit in &work.hits {
            let found = raw.get(hit.start as usize..hit.end as usize).unwrap_or_default();
            work.splice.replace(start + hit.start, start + hit.end, |text| {
                replacer.hit(found, form, hit.entity, text);
                replacer.policy.on_detect(hit.entity) != Action::Keep
            });
        }
    }

    /// Searches a text that stands for itself, with the fields that it declares; the splice then
    /// has its edits, and no others.
    pub(super) fn search_text(&mut self, text: &[u8], hint: KeyHint, tier: usize) {
        self.work.splice.clear();
        self.edit_declared(text, None, tier);
        let entities = self.plan.tiers[tier].policy.detect();
        self.search(text, (0, text.len() as u32), Form::Text, hint, tier, entities);
    }

    /// Gathers the line, edited if edits are pending.
    #[inline]
    pub(super) fn gather(
        &mut self,
        tier: usize,
        place: Place,
        repaired: Option<&[u8]>,
        mut record: Record,
        out: &mut Outputs,
    ) {
        if self.work.splice.is_empty() {
            match repaired {
                None => out.put(tier, place.start, place.end, record),
                Some(line) => out.put_rewritten(tier, line, place.end, record),
            }
            return;
        }
        let line = match repaired {
            Some(line) => line,
            None => out.padded().get(place.start..place.end).unwrap_or_default(),
        };
        let mut rewritten = std::mem::take(&mut self.work.rewritten);
        self.work.splice.apply(line, &mut rewritten);
        record.flags |= Flags::REDACTED;
        let moved = |off: u32, len: u32| {
            let span = (off != NO_SPAN).then(|| self.work.splice.moved(off, off + len)).flatten();
            span.unwrap_or((NO_SPAN, NO_SPAN))
        };
        let request_id = moved(record.request_id_off, u32::from(record.request_id_len));
        // Only untouched hex digits are a trace or span id.
        let whole = |(start, end): (u32, u32), len: u32| {
            let text = rewritten.get(start as usize..end as usize).unwrap_or_default();
            let is_hex = text.len() == len as usize && text.iter().all(u8::is_ascii_hexdigit);
            if is_hex { start } else { NO_SPAN }
        };
        let trace_id = whole(moved(record.trace_id_off, 32), 32);
        let span_id = whole(moved(record.span_id_off, 16), 16);
        set_id(&mut record, request_id);
        record.trace_id_off = trace_id;
        record.span_id_off = span_id;
        out.put_rewritten(tier, &rewritten, place.end, record);
        self.work.rewritten = rewritten;
    }
}

pub(super) fn replacer(plan: &Plan, tier: usize) -> Replacer<'_> {
    Replacer { policy: &plan.tiers[tier].policy, keyring: plan.keyring.as_deref() }
}

/// Whether the string is the argument of an option before it in its array that names a secret:
/// `["--password", "hunter2"]`.
fn names_argument(doc: &Doc<'_>, index: usize, range: &std::ops::Range<usize>) -> bool {
    let at = |index| doc.members().get(index).filter(|member: &&Member| member.is_element());
    let Some(argument) = at(index) else { return false };
    let before = index.checked_sub(1).filter(|before| range.contains(before)).and_then(at);
    before.is_some_and(|option| {
        let name = doc.text(option).strip_prefix(b"--");
        name.is_some_and(|name| context::is_secret(&plain(name)))
            && doc.path(option) == doc.path(argument)
            && !doc.text(argument).starts_with(b"-")
    })
}

/// Whether the time member was a plausible time, and so nothing that must be searched for. Digits
/// that read as a time far off may be a card.
fn time_is_known(record: Record) -> bool {
    !record.has(Flags::TIME_OBSERVED) && !record.has(Flags::TIME_CLAMPED)
}

pub(super) fn set_id(record: &mut Record, (start, end): (u32, u32)) {
    if start == NO_SPAN || end <= start {
        record.request_id_off = NO_SPAN;
        record.request_id_len = 0;
        return;
    }
    // An id of 64 KiB is none, and half of one would be another.
    let len = u16::try_from(end - start).ok();
    record.request_id_off = if len.is_some() { start } else { NO_SPAN };
    record.request_id_len = len.unwrap_or(0);
}

/// Notes where the ids stand in the line.
#[inline]
fn set_spans(record: &mut Record, line: &[u8], meaning: &Meaning, values: &[(u32, u32)]) {
    let inside = |value: u16| {
        let &(start, end) = values.get(usize::from(value))?;
        let is_string = line.get(start as usize) == Some(&b'"');
        Some(if is_string { (start + 1, end - 1) } else { (start, end) })
    };
    if meaning.request_id != NO_VALUE {
        let is_null = token(line, values, meaning.request_id) == Some(b"null");
        let span = inside(meaning.request_id).filter(|_| !is_null);
        set_id(record, span.unwrap_or((NO_SPAN, NO_SPAN)));
    }
    if meaning.trace_id != NO_VALUE
        && let Some((start, end)) = inside(meaning.trace_id)
        && let Some(text) = line.get(start as usize..end as usize)
        && let Some(found) = ids::trace_id(text)
    {
        record.trace_id_off = start + found.start as u32;
    }
    if meaning.span_id != NO_VALUE
        && let Some((start, end)) = inside(meaning.span_id)
        && let Some(text) = line.get(start as usize..end as usize)
        && let Some(found) = ids::span_id(text)
    {
        record.span_id_off = start + found.start as u32;
    }
}
