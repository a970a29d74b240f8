//! Runs lines through the whole middle, by the learned shapes and without any, three times over.

use std::sync::Arc;

use sidewake::event::chunk::{Chunk, Lines};
use sidewake::event::record::{Flags, NO_SPAN, Record};
use sidewake::event::slab::Slab;
use sidewake::pipeline::{Pipeline, Plan};

pub(crate) const OBSERVED_NS: i64 = 1_795_464_000_000_000_000;

/// A line as it leaves, of whatever tier.
pub(crate) type Out = (usize, Record, String);

pub(crate) fn chunk(bytes: &[u8]) -> Chunk {
    Chunk {
        slab: Slab::from_bytes(bytes),
        lines: Lines::Plain,
        origin: Arc::default(),
        source_key: 7,
        source_base: 1000,
        source_end: 1000 + bytes.len() as u64,
        observed_ns: OBSERVED_NS,
    }
}

pub(crate) fn process(pipeline: &mut Pipeline, chunk: Chunk) -> Vec<Out> {
    let mut lines = Vec::new();
    for sealed in pipeline.process(chunk) {
        for event in sealed.batch.events() {
            let text = String::from_utf8(event.bytes.to_vec()).expect("only UTF-8 leaves");
            check_spans(event.record, &text);
            lines.push((sealed.tier, Record { off: 0, ..*event.record }, text));
        }
    }
    lines
}

/// What lines become, each of them seen three times so that it has taught its shape; both paths
/// agree on it, and what was JSON is JSON.
pub(crate) fn run(plan: &Arc<Plan>, lines: &[&[u8]]) -> Vec<Out> {
    let mut learning = Pipeline::new(Arc::clone(plan));
    let mut forgetful = Pipeline::new(Arc::clone(plan));
    forgetful.is_forgetful = true;
    let mut text = Vec::new();
    lines.iter().for_each(|line| text.extend_from_slice(&[line, &b"\n"[..]].concat()));
    let mut all = Vec::new();
    for _ in 0..3 {
        let fast = process(&mut learning, chunk(&text));
        let slow = process(&mut forgetful, chunk(&text));
        for (fast, slow) in fast.iter().zip(&slow) {
            assert_eq!(fast, slow, "{}", String::from_utf8_lossy(&text));
        }
        assert_eq!(fast.len(), slow.len());
        all.extend(fast);
    }
    for (_, record, text) in &all {
        if record.has(Flags::JSON) && !text.contains("NaN") && !text.contains("Infinity") {
            let parsed = serde_json::from_str::<&serde_json::value::RawValue>(text);
            assert!(parsed.is_ok(), "no JSON: {text}");
        }
    }
    all
}

/// Spans lie in the line, and hold what an id could be.
pub(crate) fn check_spans(record: &Record, text: &str) {
    let hex = |off: u32, len: usize| {
        if off != NO_SPAN {
            let id = text.get(off as usize..off as usize + len);
            let is_hex = id.is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(is_hex, "{off} in {text} is {id:?}");
        }
    };
    hex(record.trace_id_off, 32);
    hex(record.span_id_off, 16);
    if record.request_id_off == NO_SPAN {
        return;
    }
    let off = record.request_id_off as usize;
    let id = text.get(off..off + usize::from(record.request_id_len));
    let id = id.unwrap_or_else(|| panic!("request_id outside of {text}"));
    let word = id.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or("-");
    let is_mask = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(!id.is_empty() && id != "null" && !is_mask, "{id:?} in {text}");
}
