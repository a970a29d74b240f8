//! Batches and bodies for the tests of the embedded store.

use std::sync::Arc;

use sidewake::event::batch::Batch;
use sidewake::event::origin::Origin;
use sidewake::event::record::{Flags, Kind, Record};
use sidewake::event::slab::Slab;
use sidewake::sinks::files::Files;
use sidewake::sinks::{Body, LogRange, Sink};

/// 2026-01-04T10:30:00Z.
pub(crate) const NOON: i64 = 1_767_522_600_000_000_000;

/// A batch of lines as the pipeline would hand them on; `describe` sets what it found in each.
pub(crate) fn batch(lines: &[&str], describe: impl Fn(&str, &mut Record)) -> Batch {
    let mut slab = Slab::with_capacity(1024);
    let mut table = Vec::new();
    for line in lines {
        let off = slab.len() as u32;
        let mut record = Record::new(off, line.len() as u32);
        record.ts_ns = NOON;
        record.source_off = off;
        record.kind = Kind::Prediction as u8;
        record.flags = if line.starts_with('{') { Flags::JSON } else { 0 };
        span(line, "\"request_id\":\"", |start, end| {
            record.request_id_off = start;
            record.request_id_len = (end - start) as u16;
        });
        span(line, "\"trace_id\":\"", |start, _| record.trace_id_off = start);
        describe(line, &mut record);
        slab.extend_from_slice(line.as_bytes());
        slab.extend_from_slice(b"\n");
        table.push(record);
    }
    let attributes = vec![
        ("k8s.namespace.name".to_owned(), "ml".to_owned()),
        ("k8s.pod.name".to_owned(), "fraud-0".to_owned()),
        ("service.name".to_owned(), "fraud-detector".to_owned()),
    ];
    let origin =
        Origin { source: "model".into(), stream: "stdout".into(), attributes, ..Origin::default() };
    let source_end = slab.len() as u64;
    Batch {
        table,
        slab,
        origin: Arc::new(origin),
        source_key: 7,
        source_base: 0,
        source_end,
        observed_ns: NOON + 1_000_000_000,
        ..Batch::default()
    }
}

fn span(line: &str, before: &str, found: impl FnOnce(u32, u32)) {
    if let Some(start) = line.find(before).map(|at| at + before.len())
        && let Some(len) = line[start..].find('"')
    {
        found(start as u32, (start + len) as u32);
    }
}

/// The body that a sink makes of some batches.
pub(crate) fn encode(files: &Files, batches: &[Batch], range: LogRange) -> Body {
    let mut encoder = files.encoder(0);
    for batch in batches {
        assert_eq!(encoder.push(batch, 0..batch.len()), vec![]);
    }
    let mut body = Body::default();
    encoder.finish(range, &mut body).expect("a body");
    body
}
