//! Lines that are no JSON object: understood by grammar, searched whole.
//!
//! Declared fields are honoured in them too: in the members of a JSON object that stands within the
//! line, and in whatever else looks like a key and its value ([`super::declared`]).

use std::ops::Range;

use crate::event::json::block::Native;
use crate::event::json::doc::{Doc, DocBuffers};
use crate::event::json::walk::walk;
use crate::event::record::{Flags, NO_SPAN, Record};
use crate::protect::context::KeyHint;
use crate::protect::entity::Entity;
use crate::protect::outputs::Outputs;
use crate::protect::views::Form;

use super::classify;
use super::cut_word;
use super::emit::{replacer, set_id};
use super::features::choose_features;
use super::meaning::plan_edits;
use super::process::{Pipeline, Place};
use super::text::{self, TextFields, TextUnderstanding};
use super::time;

impl Pipeline {
    /// A line that is no JSON. `repaired` stands in for its bytes where those were no UTF-8.
    pub(super) fn text_line(&mut self, place: Place, repaired: Option<&[u8]>, out: &mut Outputs) {
        let raw = out.padded().get(place.start..place.end).unwrap_or_default();
        let line = repaired.unwrap_or(raw);
        let mut read = text::understand_text(line, place.observed_ns);
        let mut inner = std::mem::take(&mut self.work.inner);
        let object = self.adopt_object(line, &mut read, &mut inner, place.observed_ns);
        let pem = self.pem.line(line);
        let mut record = text_record(place, &read);
        let tier = self.plan.tier_of(read.kind);
        let source = out.source();
        self.observe_text(line, &read, &record, source.1);
        if !self.is_held(tier, &record, source.1) {
            if self.is_text_kept(line, &read, &mut record) {
                self.work.splice.clear();
                if let Some((start, end)) = pem {
                    self.edit_pem(line, (start as u32, end as u32), tier);
                }
                if place.flags & Flags::TRUNCATED != 0 {
                    self.edit_cut_end(line, tier);
                }
                self.edit_declared(line, object.clone(), tier);
                if let Some(object) = object {
                    self.edit_object(line, object, &inner, tier);
                }
                let entities = self.plan.tiers[tier].policy.detect();
                let all = (0, line.len() as u32);
                self.search(line, all, Form::Text, KeyHint::NONE, tier, entities);
                self.gather(tier, place, repaired, record, out);
            } else {
                out.sample_out(tier, record.kind());
            }
        }
        self.work.inner = inner;
    }

    /// Walks the JSON object within the line, if there is one, and lets it say what it knows.
    fn adopt_object(
        &mut self,
        line: &[u8],
        read: &mut TextUnderstanding,
        inner: &mut DocBuffers,
        observed_ns: i64,
    ) -> Option<Range<usize>> {
        let object = read.json.clone()?;
        walk::<Native>(line, object.start, object.end, inner).ok()?;
        let doc = Doc { line: line.get(object.clone())?, found: inner };
        let understood = classify::understand(&doc, &self.plan.rules);
        read.adopt(&doc, &understood, observed_ns);
        Some(object)
    }

    fn is_text_kept(&mut self, line: &[u8], read: &TextUnderstanding, record: &mut Record) -> bool {
        if !self.plan.decides_about(read.kind) {
            return true;
        }
        let fields = TextFields { line, text: read };
        let keep_rule = self.plan.sampler.keep_rule_or_rare(&fields, &mut self.rarity);
        let text = |range: &Option<Range<usize>>| line.get(range.clone()?);
        self.is_log_kept(record, (text(&read.trace_id), text(&read.request_id)), keep_rule)
    }

    /// A line of a key's body, which nothing but the lines before it gives away.
    fn edit_pem(&mut self, line: &[u8], (start, end): (u32, u32), tier: usize) {
        let replacer = replacer(&self.plan, tier);
        if !replacer.policy.detect().has(Entity::Pem) {
            return;
        }
        let body = line.get(start as usize..end as usize).unwrap_or_default();
        self.work.splice.replace(start, end, |text| {
            replacer.hit(body, Form::Text, Entity::Pem, text);
            true
        });
    }

    /// The last word of a line that was cut: half a card or half an address is none to a detector
    /// and still one to a reader.
    fn edit_cut_end(&mut self, line: &[u8], tier: usize) {
        if self.plan.tiers[tier].policy.detect().is_empty() {
            return;
        }
        let start = cut_word::start(line);
        self.work.splice.replace(start as u32, line.len() as u32, |_| start < line.len());
    }

    /// The policy's actions on the members of an object that stands within the line.
    fn edit_object(&mut self, line: &[u8], object: Range<usize>, inner: &DocBuffers, tier: usize) {
        let base = object.start as u32;
        let doc = Doc { line: line.get(object).unwrap_or_default(), found: inner };
        let mut facts = std::mem::take(&mut self.work.facts_of_text);
        self.memo.facts_of(&doc, tier, &self.plan.tiers, &mut facts);
        let roles = classify::understand(&doc, &self.plan.rules).roles;
        choose_features(&doc, &self.plan.tiers[tier], &roles, &mut facts);
        let edits = plan_edits(&doc, 0..doc.members().len(), &facts);
        let span = |member: u32| {
            let member = inner.members.get(member as usize)?;
            Some((base + member.value.0, base + member.value.1))
        };
        self.planned_edits(line, &edits, span, tier);
        self.work.facts_of_text = facts;
    }
}

fn text_record(place: Place, read: &TextUnderstanding) -> Record {
    let mut record = Pipeline::record(place);
    record.kind = read.kind as u8;
    record.rule = read.rule;
    record.level = read.level as u8;
    if read.logfmt {
        record.flags |= Flags::LOGFMT;
    }
    if read.bad_json {
        record.flags |= Flags::BAD_JSON;
    }
    let (ts_ns, flags) = time::settle(read.time, place.observed_ns);
    record.ts_ns = ts_ns;
    record.flags |= flags;
    let span = |range: &Option<Range<usize>>| {
        range.as_ref().map_or((NO_SPAN, NO_SPAN), |range| (range.start as u32, range.end as u32))
    };
    set_id(&mut record, span(&read.request_id));
    record.trace_id_off = span(&read.trace_id).0;
    record.span_id_off = span(&read.span_id).0;
    record
}
