//! The walk over one request: its table, its edits, and what becomes of each item.

use crate::event::batch::{SPAN_ID_LEN, TRACE_ID_LEN};
use crate::event::json::block::Native;
use crate::event::json::shapes::{Suspicion, suspicion_of_any};
use crate::event::otlp::schema::Message;
use crate::event::otlp::walk::{Attribute, Value};
use crate::event::otlp::wire::{kind, tag};
use crate::event::otlp::{Field, Malformed, Visit};
use crate::event::record::{Flags, Level, NO_SPAN, Record};
use crate::event::signal::Signal;
use crate::pipeline::facts::Facts;
use crate::pipeline::process::Pipeline;
use crate::protect::context::KeyHint;
use crate::protect::find;

use super::ITEMS_MAX;
use super::memo::Memo;

/// Bytes of a small item: what a table is made for before its items are counted.
const ITEM_BYTES: usize = 192;
/// Status code `STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// See the module.
pub(super) struct Search<'a> {
    pub(super) pipeline: &'a mut Pipeline,
    pub(super) memo: &'a mut Memo,
    pub(super) tier: usize,
    signal: Signal,
    /// The request and the padding behind it.
    pub(super) bytes: &'a [u8],
    /// Nothing is searched and nothing decided: that was done before.
    is_indexing: bool,
    /// Spans are sampled or wait for an outcome.
    pub(super) is_deciding: bool,
    /// Spans are counted.
    is_observing: bool,
    /// Whose they are: the name of the service.
    pub(super) service: Option<Field>,
    pub(super) item: Option<Item>,
    found: Found,
    /// The path of the list that is walked, and where its parts end.
    pub(super) path: Vec<u8>,
    pub(super) open: Vec<Open>,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) table: Vec<Record>,
    pub(super) n_items: usize,
    pub(super) n_rejected: usize,
    pub(super) n_sampled_out: u64,
}

/// The span or metric that is walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) field: Field,
    /// Edits before it.
    edits_before: usize,
    pub(super) record: Record,
    pub(super) end_ns: i64,
    pub(super) trace_state: Option<Field>,
    /// The trace state was edited already.
    pub(super) is_state_edited: bool,
}

impl Item {
    /// Whether a span has the ids that it must have.
    fn is_whole(&self) -> bool {
        self.record.trace_id_off != NO_SPAN && self.record.span_id_off != NO_SPAN
    }
}

/// A list or an array whose members are walked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) path_len: usize,
    pub(super) facts: Facts,
    /// The element before names a secret: `["--password", "…"]`.
    pub(super) names_secret: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        pipeline: &'a mut Pipeline,
        memo: &'a mut Memo,
        (signal, tier): (Signal, usize),
        bytes: &'a [u8],
    ) -> Self {
        Self {
            is_observing: signal == Signal::Traces && pipeline.observer.is_some(),
            service: None,
            is_deciding: pipeline.plan.sampler.samples_spans() || pipeline.plan.windows.is_some(),
            pipeline,
            memo,
            tier,
            signal,
            bytes,
            is_indexing: false,
            item: None,
            found: Found {
                table: Vec::with_capacity(bytes.len() / ITEM_BYTES),
                ..Found::default()
            },
            path: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Only makes the table.
    pub(super) fn indexing(mut self) -> Self {
        (self.is_indexing, self.is_observing) = (true, false);
        self
    }

    /// What was found.
    ///
    /// # Errors
    /// [`Malformed`] for more than [`ITEMS_MAX`] items.
    pub(super) fn found(self) -> Result<Found, Malformed> {
        if self.found.n_items > ITEMS_MAX {
            return Err(Malformed { at: 0, what: "more items than a request may have (262,144)" });
        }
        Ok(self.found)
    }

    /// Whether the exact detectors must look at a text: the filter says so, or it is not of plain
    /// ASCII.
    #[inline(always)]
    pub(super) fn is_suspect(&mut self, field: Field) -> bool {
        let Err(place) = self.memo.passed(self.bytes, field) else { return false };
        match suspicion_of_any::<Native>(self.bytes, field.start, field.end) {
            Suspicion::None => {
                if let Some(place) = place {
                    self.memo.note_passed(place);
                }
                false
            }
            Suspicion::Label => self.is_suspect_label(field),
            Suspicion::Any => true,
        }
    }

    /// `orders:7f3a`, `https://…`: what is declared of a field in text, or names a secret there.
    #[inline(never)]
    fn is_suspect_label(&self, field: Field) -> bool {
        let declares = self.pipeline.plan.tiers[self.tier].policy.declares_fields();
        declares || !find::is_clean_label(field.of(self.bytes))
    }

    /// Searches a text; what is found becomes an edit of `field`. Whether there was anything.
    #[inline(never)]
    pub(super) fn search(&mut self, field: Field, hint: KeyHint) -> bool {
        let raw = field.of(self.bytes);
        if raw.is_empty() || self.memo.is_clean(raw, hint, self.tier) {
            return false;
        }
        // Invalid bytes become U+FFFD, as in lines: no reader of protobuf takes them.
        let text = String::from_utf8_lossy(raw);
        let is_repaired = matches!(text, std::borrow::Cow::Owned(_));
        let text = text.as_bytes();
        self.pipeline.search_text(text, hint, self.tier);
        let pipeline = &mut *self.pipeline;
        if pipeline.work.splice.is_empty() && !is_repaired {
            self.memo.note_clean(raw, hint, self.tier);
            return false;
        }
        let mut rewritten = std::mem::take(&mut pipeline.work.rewritten);
        pipeline.work.splice.apply(text, &mut rewritten);
        self.memo.edits.value(field, |out| out.extend_from_slice(&rewritten));
        pipeline.work.rewritten = rewritten;
        let flags = if is_repaired { Flags::BAD_UTF8 } else { 0 };
        self.note(flags | Flags::REDACTED);
        true
    }

    /// Whether bytes that are meant to be no text read as something that must not stay.
    pub(super) fn is_telling(&mut self, bytes: &[u8], hint: KeyHint) -> bool {
        let text = String::from_utf8_lossy(bytes);
        self.pipeline.search_text(text.as_bytes(), hint, self.tier);
        !self.pipeline.work.splice.is_empty()
    }

    /// Notes on the item in work what was done to it; what is shared by many is nobody's.
    pub(super) fn note(&mut self, flags: u16) {
        if let Some(item) = &mut self.item {
            item.record.flags |= flags;
        }
    }

    /// Takes the item in work out of the request.
    fn take_out(&mut self, item: &Item) {
        self.memo.edits.forget_after(item.edits_before);
        self.memo.edits.remove(item.field);
    }

    fn end_span(&mut self, mut item: Item) -> Option<Record> {
        if !item.is_whole() {
            self.take_out(&item);
            self.found.n_rejected += 1;
            return None;
        }
        if !self.is_kept(&mut item) {
            self.take_out(&item);
            self.found.n_sampled_out += 1;
            return None;
        }
        Some(item.record)
    }
}

impl Visit for Search<'_> {
    fn begin_item(&mut self, field: Field) {
        let mut record = Record::new(field.start as u32, field.len() as u32);
        record.source_off = self.found.n_items as u32;
        self.found.n_items += 1;
        self.item = Some(Item {
            field,
            edits_before: self.memo.edits.len(),
            record,
            end_ns: 0,
            trace_state: None,
            is_state_edited: false,
        });
    }

    fn begin_resource(&mut self) {
        self.service = None;
    }

    fn end_item(&mut self) {
        if self.is_observing && self.item.as_ref().is_some_and(Item::is_whole) {
            self.observe_span();
        }
        let Some(item) = &self.item else { return };
        let is_indexed = self.signal != Signal::Traces || self.is_indexing;
        let record = match is_indexed || item.is_whole() && !self.is_deciding {
            true => Some(item.record),
            false => self.item.take().and_then(|item| self.end_span(item)),
        };
        self.item = None;
        // Beyond the bound the request is refused, so nothing need be gathered.
        if let Some(record) = record
            && self.found.n_items <= ITEMS_MAX
        {
            self.found.table.push(record);
        }
    }

    #[inline]
    fn number(&mut self, message: Message, field: Field) {
        const START: u32 = tag(7, kind::FIXED64);
        const END: u32 = tag(8, kind::FIXED64);
        const CODE: u32 = tag(3, kind::VARINT);
        const POINT_TIME: u32 = tag(3, kind::FIXED64);
        let Some(item) = &mut self.item else { return };
        let time = |bytes| i64::try_from(field.number_in(bytes)).unwrap_or(i64::MAX);
        match (message, field.tag) {
            (Message::Span, START) => item.record.ts_ns = time(self.bytes),
            (Message::Span, END) => item.end_ns = time(self.bytes),
            (Message::Status, CODE) if field.number_in(self.bytes) == ERROR => {
                item.record.level = Level::Error as u8;
            }
            (
                Message::NumberPoint
                | Message::HistogramPoint
                | Message::ExponentialPoint
                | Message::SummaryPoint,
                POINT_TIME,
            ) => item.record.ts_ns = item.record.ts_ns.max(time(self.bytes)),
            _ => {}
        }
    }

    #[inline]
    fn id(&mut self, message: Message, field: Field) {
        let is_set = || field.of(self.bytes).iter().any(|byte| *byte != 0);
        let own = self.item.as_mut().filter(|_| message == Message::Span);
        let off = |item: &Item| (field.start - item.field.start) as u32;
        match (own, field.number(), field.len()) {
            (Some(item), 1, TRACE_ID_LEN) if is_set() => item.record.trace_id_off = off(item),
            (Some(item), 2, SPAN_ID_LEN) if is_set() => item.record.span_id_off = off(item),
            (_, _, TRACE_ID_LEN | SPAN_ID_LEN | 0) => {}
            // What is no id could be anything.
            _ => self.opaque(field),
        }
    }

    #[inline(always)]
    fn text(&mut self, message: Message, field: Field) {
        const TRACE_STATE: u32 = 3;
        if self.is_indexing {
            return;
        }
        let is_edited = self.is_suspect(field) && self.search(field, KeyHint::NONE);
        if message == Message::Span
            && field.number() == TRACE_STATE
            && let Some(item) = &mut self.item
        {
            item.trace_state = Some(field);
            item.is_state_edited |= is_edited;
        }
    }

    fn opaque(&mut self, field: Field) {
        if self.is_indexing || field.is_empty() {
            return;
        }
        if self.is_telling(field.of(self.bytes), KeyHint::NONE) {
            self.memo.edits.remove(field);
            self.note(Flags::REDACTED);
        }
    }

    #[inline(always)]
    fn attribute(&mut self, attribute: Attribute) -> bool {
        if self.is_indexing {
            self.index_attribute(attribute);
            return false;
        }
        if self.is_observing {
            self.note_service(&attribute);
        }
        if attribute.is_odd || !self.path.is_empty() {
            return self.protect_attribute(attribute);
        }
        let known = self.known(attribute.key);
        if known.is_plain && self.is_plain_value(&attribute.value) {
            return false;
        }
        self.protect_known(attribute, known)
    }

    fn element(&mut self, value: Value) -> bool {
        !self.is_indexing && self.protect_element(value)
    }

    fn leave(&mut self) {
        self.open.pop();
        let path_len = self.open.last().map_or(0, |open| open.path_len);
        self.path.truncate(path_len);
    }
}
