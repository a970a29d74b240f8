//! What this module's own tests stand on.

use std::sync::Arc;

use crate::event::batch::Batch;
use crate::event::frame;
use crate::event::record::Record;
use crate::event::slab::Slab;
use crate::protect::protected::Protected;

/// A batch of plain lines.
pub(super) fn batch(lines: &[&str]) -> Batch {
    let mut slab = Slab::default();
    let mut table = Vec::new();
    for line in lines {
        table.push(Record::new(slab.len() as u32, line.len() as u32));
        slab.extend_from_slice(line.as_bytes());
        slab.extend_from_slice(b"\n");
    }
    Batch { table, slab, observed_ns: 1, ..Batch::default() }
}

/// The same as the spool would give it.
pub(super) fn protected(lines: &[&str]) -> Arc<Protected> {
    let batch = batch(lines);
    let parts = frame::encode(&batch);
    let bytes = [parts.head.as_slice(), &parts.table, parts.bytes].concat();
    Arc::new(Protected::from_frame(&bytes).expect("a sound frame"))
}
