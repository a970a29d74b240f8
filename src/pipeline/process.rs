//! The data path on one screen: raw chunk in, sealed batches out, for one stream.
//!
//! For each line: fit a learned shape, or walk it, or read it as text → kind, tier → sampling (a
//! dropped event costs nothing further) → edits (policy, then detectors on the suspects) → gather.
//! Synchronous and pure: no I/O, no clock (time came in with the chunk), no tokio.
//!
//! Invariants: a line that fits a skeleton yields the same record, hits and bytes as the same line
//! walked (a property test holds it); what is neither JSON nor plain text is still searched whole.

use std::sync::Arc;

use crate::event::chunk::{Chunk, Line, Lines};
use crate::event::json::block::Native;
use crate::event::json::doc::{Doc, DocBuffers, Member, ValueKind};
use crate::event::json::skeleton::Found;
use crate::event::json::walk::walk;
use crate::event::record::{Flags, Record};
use crate::event::splice::Splice;
use crate::protect::context::KeyHint;
use crate::protect::find::{Hit, pem};
use crate::protect::outputs::{Outputs, Sealed};
use crate::protect::views::{Form, Scratch, inspect};

use super::accumulate::Accumulator;
use super::facts::{Facts, KeyMemo};
use super::fates::Note;
use super::lessons::Lessons;
use super::meaning::Meaning;
use super::observe::Observer;
use super::origins;
use super::plan::Plan;
use super::requests::Memo;
use super::sample::Rarity;

/// The pure middle for one stream. Keeps what it learned from line to line.
#[derive(Debug)]
pub struct Pipeline {
    pub(super) plan: Arc<Plan>,
    pub(super) lessons: Lessons,
    pub(super) memo: KeyMemo,
    pub(super) work: Work,
    /// A key that began on an earlier line of text.
    pub(super) pem: pem::Block,
    /// What the batch in work says about its requests, where that is asked.
    pub(super) notes: Vec<Note>,
    /// The stream of the batch in work, and the position that its records count from.
    pub(super) source: (u64, u64),
    /// Received origins, protected.
    pub(super) origins: Vec<origins::Known>,
    /// What was learned from requests.
    pub(super) requests: Memo,
    /// Per tier the stream position below which its log already holds everything.
    pub(super) held_to: Vec<u64>,
    /// How often values came that may be rare.
    pub(super) rarity: Rarity,
    /// Counts what passes, where anything is measured.
    pub(super) observer: Option<Box<Observer>>,
    /// The stream position below which all was counted already.
    pub(super) observed_to: u64,
    /// What series of deltas have come to.
    pub(super) accumulator: Accumulator,
    /// For tests: walk every line, as if no shape had ever been learned.
    pub is_forgetful: bool,
}

/// Buffers reused from line to line; nothing in here outlives a line.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) found: Found,
    pub(super) doc: DocBuffers,
    pub(super) values: Vec<(u32, u32)>,
    pub(super) facts: Vec<Facts>,
    pub(super) splice: Splice,
    pub(super) hits: Vec<Hit>,
    pub(super) scratch: Scratch,
    pub(super) replacing: crate::protect::replace::Work,
    pub(super) inner: DocBuffers,
    pub(super) facts_of_text: Vec<Facts>,
    pub(super) rewritten: Vec<u8>,
    pub(super) repaired: Vec<u8>,
}

/// Where a line lies and what its framing said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// First byte in the slab.
    pub(super) start: usize,
    /// Position of its newline in the slab.
    pub(super) end: usize,
    pub(super) source_off: u32,
    pub(super) flags: u16,
    /// The framing's time, or [`observed`].
    pub(super) observed_ns: i64,
}

/// When a line was read that carries no time: its chunk's time and a nanosecond a byte before it,
/// so that lines of one chunk keep their order where only times order them (Loki shows entries of
/// one time in the order of a hash). A byte takes longer than that to be read.
fn observed(chunk_ns: i64, source_off: u32) -> i64 {
    chunk_ns + i64::from(source_off)
}

impl Pipeline {
    /// A pipeline that runs by `plan`.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let held_to = vec![0; plan.tiers.len()];
        let observation = plan.observation.clone();
        let observer = observation.map(|all| Box::new(Observer::new(all, plan.fields())));
        Self {
            plan,
            lessons: Lessons::default(),
            memo: KeyMemo::default(),
            work: Work::default(),
            pem: pem::Block::default(),
            notes: Vec::new(),
            source: (0, 0),
            origins: Vec::new(),
            requests: Memo::default(),
            held_to,
            rarity: Rarity::default(),
            observer,
            observed_to: 0,
            accumulator: Accumulator::default(),
            is_forgetful: false,
        }
    }

    /// Goes on by another plan of the same tiers. What was learned by the old one is forgotten; a
    /// key that began on an earlier line has still to end, and series that are added up go on.
    /// [`Pipeline::resume`] comes next.
    pub fn follow(&mut self, plan: Arc<Plan>) {
        debug_assert_eq!(plan.tiers.len(), self.plan.tiers.len());
        let pem = std::mem::take(&mut self.pem);
        let accumulator = std::mem::take(&mut self.accumulator);
        let is_forgetful = self.is_forgetful;
        *self = Self { pem, accumulator, is_forgetful, ..Self::new(plan) };
    }

    /// What it runs by.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Tells what the tiers' logs hold of the stream already (after a restart): events before these
    /// positions are neither gathered nor counted again. What is measured of the stream
    /// `source_key` goes on where it was counted up to.
    pub fn resume(&mut self, source_key: u64, held_to: Vec<u64>) {
        debug_assert_eq!(held_to.len(), self.plan.tiers.len());
        self.held_to = held_to;
        let observation = self.plan.observation.as_ref();
        self.observed_to = observation.map_or(0, |all| all.registry.counted_to(source_key));
    }

    /// Takes `chunk` through: one sealed batch per tier that it concerns.
    #[must_use]
    pub fn process(&mut self, chunk: Chunk) -> Vec<Sealed> {
        let position_tier = self.plan.tier_of(crate::event::record::Kind::Application);
        let (observed_ns, source_end) = (chunk.observed_ns, chunk.source_end);
        let (mut out, lines) = Outputs::of(chunk, self.plan.tiers.len());
        self.source = out.source();
        match lines {
            Lines::Plain => self.plain_lines(&mut out),
            Lines::Table(lines) => {
                for line in &lines {
                    self.framed_line(line, &mut out);
                }
            }
        }
        self.tell_fates(observed_ns);
        self.tell_observed(observed_ns, Some(source_end));
        if out.origin().is_received {
            return self.seal_received(out, position_tier);
        }
        out.seal(position_tier)
    }

    fn plain_lines(&mut self, out: &mut Outputs) {
        let limit = out.len();
        let mut at = 0;
        while at < limit {
            let observed_ns = observed(out.observed_ns(), at as u32);
            let place =
                |end| Place { start: at, end, source_off: at as u32, flags: 0, observed_ns };
            let fitted = self.fit(out, at, limit);
            let end = match fitted {
                Some((lesson, end)) => {
                    if !self.fitted_line(lesson, place(end), out) {
                        self.unknown_line(place(end), false, out);
                    }
                    end
                }
                None => {
                    let rest = out.padded().get(at..limit).unwrap_or_default();
                    let end = at + memchr::memchr(b'\n', rest).unwrap_or(rest.len() - 1);
                    self.unknown_line(place(end), true, out);
                    end
                }
            };
            at = end + 1;
        }
    }

    fn framed_line(&mut self, line: &Line, out: &mut Outputs) {
        let (start, end) = (line.start as usize, line.start as usize + line.len as usize);
        let source_off = line.source_off;
        let observed_ns = match line.ts_ns {
            0 => observed(out.observed_ns(), source_off),
            ts_ns => ts_ns,
        };
        let place = Place { start, end, source_off, flags: line.flags, observed_ns };
        match self.fit(out, start, end + 1) {
            Some((lesson, found_end)) if found_end == end => {
                if !self.fitted_line(lesson, place, out) {
                    self.unknown_line(place, false, out);
                }
            }
            _ => self.unknown_line(place, true, out),
        }
    }

    #[inline]
    fn fit(&mut self, out: &Outputs, at: usize, limit: usize) -> Option<(usize, usize)> {
        if self.is_forgetful {
            return None;
        }
        self.lessons.fit(out.padded(), at, limit, &mut self.work.found)
    }

    /// A line that fits no learned shape: JSON of a new one, text, or broken.
    fn unknown_line(&mut self, place: Place, teaches: bool, out: &mut Outputs) {
        let line = out.padded().get(place.start..place.end).unwrap_or_default();
        if line.is_empty() {
            return;
        }
        let mut doc_buffers = std::mem::take(&mut self.work.doc);
        let mut facts = std::mem::take(&mut self.work.facts);
        let is_json = line.trim_ascii_start().first() == Some(&b'{')
            && walk::<Native>(out.padded(), place.start, place.end, &mut doc_buffers).is_ok();
        if is_json {
            let doc = Doc { line, found: &doc_buffers };
            let meaning = Meaning::of(&doc, &self.plan, &mut self.memo, &mut facts);
            if teaches
                && !self.is_forgetful
                && self.lessons.wants(&doc, &meaning)
                && self.shape_is_plain(&doc, &meaning, &facts)
            {
                self.lessons.learn(&doc, &meaning, &facts);
            }
            self.walked_line(&doc_buffers, &meaning, &facts, place, out);
        } else if std::str::from_utf8(line).is_ok() {
            self.text_line(place, None, out);
        } else {
            self.broken_utf8(place, out);
        }
        self.work.doc = doc_buffers;
        self.work.facts = facts;
    }

    /// Bytes that are no UTF-8 cannot go to any sink as text: each bad sequence becomes U+FFFD, and
    /// the repaired line is read again.
    #[cold]
    fn broken_utf8(&mut self, place: Place, out: &mut Outputs) {
        let line = out.padded().get(place.start..place.end).unwrap_or_default();
        let mut repaired = std::mem::take(&mut self.work.repaired);
        repaired.clear();
        repaired.extend_from_slice(String::from_utf8_lossy(line).as_bytes());
        let place = Place { flags: place.flags | Flags::BAD_UTF8, ..place };
        self.text_line(place, Some(&repaired), out);
        self.work.repaired = repaired;
    }

    /// Whether keys and deciding values may stand as they are on every line of the shape: a key
    /// with escapes has other spellings, and what holds personal data or says a declared field like
    /// a text must be edited each time.
    fn shape_is_plain(&mut self, doc: &Doc<'_>, meaning: &Meaning, facts: &[Facts]) -> bool {
        let entities = self.plan.tiers[meaning.tier].policy.detect();
        let (hits, scratch) = (&mut self.work.hits, &mut self.work.scratch);
        hits.clear();
        let mut is_clean = |text, form, hint| !inspect(text, form, hint, entities, scratch, hits);
        let members = doc.members();
        let mut deciding = meaning.decided_by.iter().filter_map(|&i| {
            let hint = facts.get(usize::from(i)).map_or(KeyHint::NONE, |facts| facts.hint);
            Some((members.get(usize::from(i))?, hint))
        });
        let form_of = |member: &Member| match member.kind {
            ValueKind::String => Form::JsonString,
            _ => Form::Number,
        };
        let is_plain = |key: &[u8]| key.iter().all(|&b| b != b'\\' && b < 0x80);
        members
            .iter()
            .map(|member| doc.key(member))
            .all(|key| is_plain(key) && is_clean(key, Form::Key, KeyHint::NONE))
            && deciding.all(|(member, hint)| is_clean(doc.text(member), form_of(member), hint))
            && self.says_no_field(doc, meaning)
    }

    fn says_no_field(&mut self, doc: &Doc<'_>, meaning: &Meaning) -> bool {
        self.work.splice.clear();
        for &index in &meaning.decided_by {
            if let Some(member) = doc.members().get(usize::from(index))
                && member.kind == ValueKind::String
            {
                let inside = (member.value.0 + 1, member.value.1 - 1);
                self.edit_declared_in_string(doc.line, inside, meaning.tier);
            }
        }
        self.work.splice.is_empty()
    }

    /// A record with what the place says.
    pub(super) fn record(place: Place) -> Record {
        let mut record = Record::new(0, 0);
        record.source_off = place.source_off;
        record.flags = place.flags;
        record.ts_ns = place.observed_ns;
        record
    }
}
