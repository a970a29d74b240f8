//! Ids and embedded objects in text. Real tools' lines are in `tests/classify_fixtures.rs`.

use proptest::prelude::*;

use super::*;
use crate::event::json::doc::{Doc, DocBuffers};

const NOW: i64 = 1_767_522_600_000_000_000;

/// Every range that is given lies in the line.
fn check(line: &[u8]) {
    let found = understand_text(line, NOW);
    let ranges = [
        &found.request_id,
        &found.trace_id,
        &found.span_id,
        &found.latency,
        &found.message,
        &found.json,
    ];
    for range in ranges.into_iter().flatten() {
        assert!(line.get(range.clone()).is_some(), "{range:?} of {}", line.escape_ascii());
    }
    if let Some(id) = &found.trace_id {
        assert!(id.len() == 32 && line[id.clone()].iter().all(u8::is_ascii_hexdigit));
    }
    let _ = found.latency_ms(line);
}

fn id(line: &str) -> Option<&str> {
    understand_text(line.as_bytes(), NOW).request_id.map(|range| &line[range])
}

/// Ids as people write them into messages.
#[test]
fn request_ids() {
    for (line, expected) in [
        ("requestId: abc-123, next", Some("abc-123")),
        ("[request id: abc-9] timed out", Some("abc-9")),
        ("handled request_id=abc in 3 ms", Some("abc")),
        ("Request ID: \"abc\".", Some("abc")),
        ("x-request-id=[test-id2] rest", Some("test-id2")),
        ("{'request_id': 'q'} text", Some("q")),
        ("request id: abc. Retrying", Some("abc")),
        ("aborted chatcmpl-a269fdcb7c6ce890", Some("chatcmpl-a269fdcb7c6ce890")),
        ("requests idle: 3", None),
        ("the request identity is unknown", None),
        ("request_id=", None),
        ("INFO:app: request_id=null, retrying", None),
        ("request_id: None; the next request_id: abc", Some("abc")),
        ("level=info request_id=null msg=\"started\"", None),
        ("{'request_id': None, 'level': 'INFO'", None),
        ("request_id", None),
        ("cmpl-xyz", None),
        ("", None),
    ] {
        assert_eq!(id(line), expected, "{line}");
    }
}

/// A terminal's colours do not hide the level.
#[test]
fn colours() {
    let line = b"\x1b[32mINFO\x1b[0m:     127.0.0.1:40172 - \"GET /healthz HTTP/1.1\" 200 OK";
    let found = understand_text(line, NOW);
    assert_eq!((found.level, found.rule), (Level::Info, Rule::TextAccess as u8));
    check(line);
}

/// Text around JSON keeps what it said itself and takes the rest from the object.
#[test]
fn an_embedded_object_adds_what_is_missing() {
    use crate::event::json::{block::Native, walk::walk};
    let line = br#"INFO:app:{"event":"prediction_completed","level":"error","request_id":"r-1"}"#;
    let adopted = |line: &[u8]| {
        let mut text = understand_text(line, NOW);
        let json = text.json.clone().expect("an object");
        let mut found = DocBuffers::default();
        walk::<Native>(line, json.start, json.end, &mut found).expect("JSON");
        let doc = Doc { line: &line[json], found: &found };
        let understood = crate::pipeline::classify::understand(&doc, &Default::default());
        text.adopt(&doc, &understood, NOW);
        text
    };
    let text = adopted(line);
    assert_eq!((text.kind, text.level), (Kind::Prediction, Level::Info));
    assert_eq!(&line[text.request_id.expect("an id")], b"r-1");
    let line = br#"INFO:app:{"event":"model_loaded","request_id":null,"level":"info"}"#;
    assert_eq!(adopted(line).request_id, None);
}

proptest! {
    #[test]
    fn never_panics(line in prop::collection::vec(any::<u8>(), 0..120)) {
        check(&line);
    }

    /// Pieces of all grammars in any order.
    #[test]
    fn never_panics_on_pieces_of_grammars(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..16),
    ) {
        check(pieces.concat().as_bytes());
    }
}

const PIECES: &[&str] = &[
    "INFO",
    ":",
    " ",
    "     ",
    "[",
    "]",
    "(",
    ") ",
    "pid=1",
    "2026-01-04 10:30:00,123",
    "02-13 11:33:33",
    "I0802 18:11:47.1",
    "{",
    "}",
    "\"a\":",
    "\"level\":\"",
    "\t",
    "seldon.x.inputs",
    "ce-id: ",
    "|",
    "request_id=",
    "trace=",
    "span=",
    "e438b82ad361ac2d5481bcfc494074d2",
    "00-",
    "-73bd1ee54a94d8fb-01",
    " - ",
    " -- ",
    "\"GET ",
    "ACCESS_LOG",
    "kserve.trace",
    "predict_ms: ",
    "1.5",
    "ms",
    "generate{",
    "total_time=\"",
    "[mlserver",
    "1 --- [",
    " : ",
    "k=v ",
    "é",
    "\u{1b}[3",
    "m",
    "cmpl-",
    "abcdef01",
    "Received request ",
    "=",
    "\"",
    "\\",
    "requestId",
    ": I ",
    "x.cc:1] ",
    "_id",
];
