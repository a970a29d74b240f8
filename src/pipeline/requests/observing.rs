//! Each span is observed, before sampling decides about it.
//!
//! # Why
//! What is counted is read from the span once more: some twenty nanoseconds where anything is
//! derived, and nothing at all of the walk where nothing is.

use crate::event::batch::TRACE_ID_LEN;
use crate::event::otlp::schema::Message;
use crate::event::otlp::walk::Attribute;
use crate::event::otlp::wire::{Reader, kind, tag};
use crate::pipeline::observe::spans::Seen;

use super::search::Search;

const NAME: u32 = tag(5, kind::BYTES);
const KIND: u32 = tag(6, kind::VARINT);
const STATUS: u32 = tag(15, kind::BYTES);
const STATUS_CODE: u32 = tag(3, kind::VARINT);
const SERVICE: &[u8] = b"service.name";

impl Search<'_> {
    /// Takes note of whose the spans are that follow.
    pub(super) fn note_service(&mut self, attribute: &Attribute) {
        if attribute.owner == Message::Resource
            && attribute.key.of(self.bytes) == SERVICE
            && let Some(text) = attribute.value.text()
        {
            self.service = Some(text);
        }
    }

    /// Counts the span in work.
    pub(super) fn observe_span(&mut self) {
        let Some(item) = &self.item else { return };
        let bytes = self.bytes;
        let (mut name, mut kind, mut status) = (&b""[..], 0, 0);
        let mut fields = Reader::of(bytes, item.field);
        while let Ok(Some(field)) = fields.read() {
            match field.tag {
                NAME => name = field.of(bytes),
                KIND => kind = field.number_in(bytes),
                STATUS => {
                    let mut parts = Reader::of(bytes, field);
                    while let Ok(Some(part)) = parts.read() {
                        if part.tag == STATUS_CODE {
                            status = part.number_in(bytes);
                        }
                    }
                }
                _ => {}
            }
        }
        let at = item.field.start + item.record.trace_id_off as usize;
        let trace_id: Option<[u8; TRACE_ID_LEN]> =
            bytes.get(at..).and_then(|id| id.first_chunk()).copied();
        let duration_ns = item.end_ns.saturating_sub(item.record.ts_ns).max(0);
        let span = Seen {
            service: self.service.map(|field| field.of(bytes)).unwrap_or_default(),
            name,
            kind,
            status,
            seconds: duration_ns as f64 / 1e9,
            ts_ns: item.record.ts_ns,
            trace_id,
        };
        let Some(mut observer) = self.pipeline.observer.take() else { return };
        while !observer.observe_span(&span) {
            self.pipeline.learn_labels(&mut observer);
        }
        self.pipeline.observer = Some(observer);
    }
}
