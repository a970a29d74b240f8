//! Golden bytes and measured cost of a push body. Decoding by an independent decoder is done by the
//! fake Loki in `tests/`.

use std::ops::Range;
use std::time::Instant;

use super::*;
use crate::event::batch::Batch;
use crate::event::origin::Origin;
use crate::event::record::{Flags, Kind, Level, Record};
use crate::event::slab::Slab;
use crate::sinks::{Body, LogRange};

const NOW_NS: i64 = 1_700_000_000_000_000_000;

fn batch(lines: &[&str]) -> Batch {
    let mut slab = Slab::with_capacity(64);
    let mut table = Vec::new();
    for line in lines {
        let mut record = Record::new(slab.len() as u32, line.len() as u32);
        record.ts_ns = NOW_NS + 5;
        record.level = Level::Info as u8;
        record.kind = Kind::Prediction as u8;
        slab.extend_from_slice(line.as_bytes());
        slab.extend_from_slice(b"\n");
        table.push(record);
    }
    let attributes = vec![
        ("k8s.pod.name".to_owned(), "fraud-0".to_owned()),
        ("service.name".to_owned(), "fraud".to_owned()),
    ];
    let origin =
        Origin { source: "model".into(), stream: "stdout".into(), attributes, ..Origin::default() };
    Batch { table, slab, origin: Arc::new(origin), observed_ns: NOW_NS, ..Batch::default() }
}

fn finish(encoder: Box<dyn Encoder>) -> Body {
    let mut body = Body::default();
    encoder.finish(LogRange::default(), &mut body).expect("encodes");
    body
}

fn unpacked(body: &Body) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(&body.bytes).expect("a snappy block")
}

#[test]
fn golden_body() {
    let sink = Loki::new(Options::new("http://loki:3100/", "app"));
    let mut batch = batch(&["hello r-1"]);
    (batch.source_key, batch.source_base, batch.table[0].source_off) = (10, 30, 1);
    (batch.table[0].request_id_off, batch.table[0].request_id_len) = (6, 3);
    let mut encoder = sink.encoder(NOW_NS);
    assert!(encoder.push(&batch, 0..1).is_empty());
    let body = finish(encoder);
    assert_eq!(body.headers["Content-Type"], "application/x-protobuf");
    let labels = br#"{service_name="fraud", stream="stdout", tier="app"}"#;
    let entry: &[&[u8]] = &[
        b"\x0a\x08\x08\x80\xe2\xcf\xaa\x06\x10\x05",
        b"\x12\x09hello r-1",
        b"\x1a\x12\x0a\x04kind\x12\x0aprediction",
        b"\x1a\x0d\x0a\x05level\x12\x04info",
        b"\x1a\x0e\x0a\x03pod\x12\x07fraud-0",
        b"\x1a\x2e\x0a\x09record_id\x12\x21000000000000000a-000000000000001f",
        b"\x1a\x11\x0a\x0arequest_id\x12\x03r-1",
    ];
    let entry = entry.concat();
    let tagged = |tag, len: usize| [tag, len as u8 | 0x80, (len >> 7) as u8];
    let head = tagged(0x12, entry.len());
    let stream = [&[0x0a, labels.len() as u8][..], labels, &head, &entry].concat();
    let head = tagged(0x0a, stream.len());
    let expected = [&head[..], &stream];
    assert_eq!(unpacked(&body), expected.concat());
    let Transport::Http { url, .. } = sink.transport() else { panic!("http") };
    assert_eq!(url, "http://loki:3100/loki/api/v1/push");
}

/// The same events and the same begin give the same bytes, whatever the sink encoded before, and
/// however many pieces the events come in.
#[test]
fn attempts_are_byte_identical() {
    let sink = Loki::new(Options::new("http://loki", "app"));
    let mut batch = batch(&["one", "two", "three", "four"]);
    batch.table[1].flags = Flags::STDERR;
    batch.table[2].ts_ns = NOW_NS - 2 * 3600 * 1_000_000_000;
    let encode = |pieces: &[Range<usize>]| {
        let mut encoder = sink.encoder(NOW_NS);
        for piece in pieces {
            encoder.push(&batch, piece.clone());
        }
        finish(encoder).bytes
    };
    let first = encode(&[0..1, 1..3, 3..4]);
    assert_eq!(encode(&[0..1, 1..3, 3..4]), first);
    assert_eq!(encode(&[0..4, 4..4]), first);
    let text =
        String::from_utf8_lossy(&unpacked(&Body { bytes: first, ..Body::default() })).into_owned();
    let backlog =
        r#"{backlog="true", pod="fraud-0", service_name="fraud", stream="stdout", tier="app"}"#;
    assert!(text.contains(backlog), "{text}");
    assert!(text.contains(r#"stream="stderr""#), "{text}");
}

#[test]
fn long_lines_are_refused_and_bad_utf8_is_replaced() {
    let mut options = Options::new("http://loki", "app");
    options.max_line_bytes = 8;
    options.compression = Compression::None;
    let sink = Loki::new(options);
    let mut batch = batch(&["short", "much too long", "abcd"]);
    batch.slab.content_mut()[20] = 0xff;
    let mut encoder = sink.encoder(NOW_NS);
    let refused = encoder.push(&batch, 0..3);
    assert_eq!(refused, [super::super::Refused { event: 1, reason: "line_too_long" }]);
    let raw = unpacked(&finish(encoder));
    let line = "\x12\x06\u{fffd}bcd".as_bytes();
    assert!(raw.windows(line.len()).any(|window| window == line), "{raw:?}");
}

/// `SIDEWAKE_SLOW=1 cargo test --release --lib encode_cost -- --nocapture` prints the figures.
#[test]
fn encode_cost() {
    if std::env::var_os("SIDEWAKE_SLOW").is_none() {
        return;
    }
    let lines: Vec<String> = (0..1300u64).map(prediction_line).collect();
    let mut batch = batch(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for record in &mut batch.table {
        (record.request_id_off, record.request_id_len) = (38, 14);
    }
    for compression in [Compression::None, Compression::Snappy] {
        let mut options = Options::new("http://loki", "app");
        options.compression = compression;
        let sink = Loki::new(options);
        for finished in [false, true] {
            let best = (0..40).map(|_| time_of_rounds(&sink, &batch, finished)).min();
            let ns = best.unwrap_or_default() / (10 * lines.len() as u128);
            let bytes = batch.slab.len() / lines.len();
            eprintln!("{compression:?} finished={finished}: {ns} ns per {bytes}-byte record");
        }
    }
}

fn time_of_rounds(sink: &Loki, batch: &Batch, finished: bool) -> u128 {
    let begun = Instant::now();
    for _ in 0..10 {
        let mut encoder = sink.encoder(NOW_NS);
        encoder.push(batch, 0..batch.len());
        if finished {
            std::hint::black_box(finish(encoder));
        }
    }
    begun.elapsed().as_nanos()
}

fn prediction_line(n: u64) -> String {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "{{\"event\":\"prediction\",\"request_id\":\"req-{:010x}\",\"timestamp\":\"2026-11-23T10:11:{:02}.{:06}Z\",\
         \"level\":\"info\",\"model\":\"fraud-detector\",\"version\":\"v2.3.1\",\"prediction\":{},\
         \"confidence\":0.{:04},\"latency_ms\":{}.{:02},\"features\":{{\"amount\":{}.{:02},\"country\":\"DE\",\
         \"merchant_category\":\"grocery\",\"n_transactions_24h\":{},\"account_age_days\":{},\
         \"device\":\"ios\",\"is_weekend\":false}},\"logger\":\"serve.api\"}}",
        mixed >> 24,
        n % 60,
        mixed % 1_000_000,
        mixed & 1,
        mixed % 10_000,
        mixed % 90,
        mixed % 100,
        mixed % 5000,
        mixed % 97,
        mixed % 40,
        mixed % 3000,
    )
}
