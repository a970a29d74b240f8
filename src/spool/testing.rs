//! What the unit tests of the spool share.

use std::sync::Arc;

use crate::event::batch::Batch;
use crate::event::frame;
use crate::event::origin::Origin;
use crate::event::record::Record;
use crate::event::signal::Signal;
use crate::event::slab::Slab;
use crate::protect::protected::Protected;

/// The frame of a batch of source `key` that covers `base..end` and holds `lines`.
pub(super) fn frame_of(key: u64, base: u64, end: u64, lines: &[&[u8]]) -> Vec<u8> {
    signal_frame(Signal::Logs, (key, base, end), lines)
}

fn signal_frame(signal: Signal, (key, base, end): (u64, u64, u64), lines: &[&[u8]]) -> Vec<u8> {
    let mut slab = Slab::with_capacity(64);
    let mut table = Vec::new();
    for line in lines {
        table.push(Record::new(slab.len() as u32, line.len() as u32));
        slab.extend_from_slice(line);
        slab.extend_from_slice(b"\n");
    }
    let origin = Arc::new(Origin { source: "model".into(), ..Origin::default() });
    let (source_key, source_base, source_end) = (key, base, end);
    let observed_ns = base.cast_signed();
    let batch =
        Batch { table, signal, slab, origin, source_key, source_base, source_end, observed_ns };
    let parts = frame::encode(&batch);
    [&parts.head, &*parts.table, parts.bytes].concat()
}

/// The same as a batch.
pub(super) fn batch_of(key: u64, base: u64, end: u64, lines: &[&[u8]]) -> Protected {
    Protected::from_frame(&frame_of(key, base, end, lines)).expect("a sound frame")
}

/// A request with one span, as far as the spool looks into it.
pub(super) fn request_of(base: u64) -> Protected {
    let frame = signal_frame(Signal::Traces, (1, base, base + 1), &[b"x"]);
    Protected::from_frame(&frame).expect("a sound frame")
}
