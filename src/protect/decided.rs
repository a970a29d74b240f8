//! A sealed batch after sampling decided about its events: the same events, fewer of them, with
//! thresholds, and spans with their trace state's `th`.
//!
//! Adds no byte that is not OpenTelemetry's threshold syntax, and so keeps the seal.

use super::protected::Protected;
use crate::event::batch::Batch;
use crate::event::otlp::edit::Edits;
use crate::event::otlp::subset;
use crate::event::otlp::wire::{Field, Reader, kind, push_bytes, tag};
use crate::event::record::{NO_SPAN, Record};
use crate::event::signal::Signal;
use crate::event::slab::Slab;

/// What became of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Whether it stays.
    pub is_kept: bool,
    /// Its record's threshold, with the rule.
    pub threshold: u64,
    /// A span's new trace state, where it changes.
    pub trace_state: Option<Vec<u8>>,
}

impl Decided {
    /// Kept, with the threshold that it has.
    #[must_use]
    pub fn as_it_is(threshold: u64) -> Self {
        Self { is_kept: true, threshold, trace_state: None }
    }
}

const TRACE_STATE: u32 = tag(3, kind::BYTES);

impl Protected {
    /// The events that stay, each as `decided` says; one entry an event.
    #[must_use]
    pub fn decided(&self, decided: &[Decided]) -> Self {
        let kept = || decided.iter().enumerate().filter(|(_, one)| one.is_kept);
        let mut batch = match self.signal {
            Signal::Logs => self.only(kept().map(|(index, _)| index)),
            Signal::Traces | Signal::Metrics => decided_items(self, decided),
        };
        for (record, (_, one)) in batch.table.iter_mut().zip(kept()) {
            record.threshold = one.threshold;
        }
        Self::seal(batch)
    }
}

fn decided_items(batch: &Batch, decided: &[Decided]) -> Batch {
    let mut edits = Edits::default();
    let mut table = Vec::new();
    let mut index = 0;
    // What was sealed is sound.
    let _ = subset::items(&batch.slab, |place| {
        let (one, record) = (decided.get(index), batch.table.get(index));
        index += 1;
        let (Some(one), Some(record)) = (one, record) else { return };
        if !one.is_kept {
            edits.remove(place.item);
            return;
        }
        let mut record = *record;
        if let Some(state) = &one.trace_state {
            write_state(&batch.slab, place.item, state, (&mut edits, &mut record));
        }
        table.push(record);
    });
    let mut bytes = Vec::new();
    let _ = edits.apply(&batch.slab, &mut bytes);
    let mut left = table.iter_mut();
    let _ = subset::items(&bytes, |place| {
        if let Some(record) = left.next() {
            record.off = place.item.start as u32;
            record.len = place.item.len() as u32;
        }
    });
    let origin = std::sync::Arc::clone(&batch.origin);
    let Batch { signal, source_key, source_base, source_end, observed_ns, .. } = *batch;
    let slab = Slab::from_vec(bytes);
    Batch { table, signal, slab, origin, source_key, source_base, source_end, observed_ns }
}

/// Replaces the span's trace state, or puts one in front of its fields; what lies behind moves.
fn write_state(
    bytes: &[u8],
    item: Field,
    state: &[u8],
    (edits, record): (&mut Edits, &mut Record),
) {
    let mut field = Vec::new();
    if !state.is_empty() {
        push_bytes(&mut field, 3, state);
    }
    let (mut start, mut end) = (item.start, item.start);
    let mut fields = Reader::of(bytes, item);
    while let Ok(Some(found)) = fields.read() {
        if found.tag == TRACE_STATE {
            (start, end) = (found.at, found.end);
        }
    }
    let growth = field.len() as i64 - (end - start) as i64;
    edits.fields(start, end, |out| out.extend_from_slice(&field));
    let behind = (start - item.start) as u32;
    for off in [&mut record.trace_id_off, &mut record.span_id_off, &mut record.request_id_off] {
        if *off != NO_SPAN && *off >= behind {
            *off = u32::try_from(i64::from(*off) + growth).unwrap_or(NO_SPAN);
        }
    }
}
