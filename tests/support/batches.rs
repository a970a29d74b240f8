//! Frames as the spool would give them.

use std::sync::Arc;
use std::time::SystemTime;

use sidewake::deliver::Frame;
use sidewake::event::batch::Batch;
use sidewake::event::frame;
use sidewake::event::origin::Origin;
use sidewake::event::record::Record;
use sidewake::event::slab::Slab;
use sidewake::protect::protected::Protected;
use sidewake::sinks::LogRange;

/// A frame at `from` whose position advances by one a line, from a source whose position is the
/// same. `edit` completes each record.
pub(crate) fn frame_of<L: AsRef<str>>(
    from: u64,
    lines: &[L],
    edit: impl Fn(&str, &mut Record),
) -> Frame {
    let mut slab = Slab::default();
    let mut table = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let line = line.as_ref();
        let mut record = Record::new(slab.len() as u32, line.len() as u32);
        record.source_off = index as u32;
        edit(line, &mut record);
        slab.extend_from_slice(line.as_bytes());
        slab.extend_from_slice(b"\n");
        table.push(record);
    }
    let attributes = [("k8s.pod.name", "fraud-0"), ("service.name", "fraud-detector")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let origin = Origin {
        source: "model".into(),
        stream: "stdout".into(),
        attributes: attributes.into(),
        ..Origin::default()
    };
    // The spool drops what is older than its tier's retention.
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    let observed_ns = now.as_nanos() as i64;
    let source_end = from + lines.len() as u64;
    let batch = Batch {
        table,
        slab,
        origin: Arc::new(origin),
        source_key: 7,
        source_base: from,
        source_end,
        observed_ns,
        ..Batch::default()
    };
    let parts = frame::encode(&batch);
    let bytes = [parts.head.as_slice(), &parts.table, parts.bytes].concat();
    let protected = Protected::from_frame(&bytes).expect("a sound frame");
    let to = from + lines.len().max(1) as u64;
    Frame { range: LogRange { from, to }, batch: Arc::new(protected) }
}
