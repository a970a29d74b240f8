//! What `sidewake show` finds across tiers, files and the spool, and how it prints it.

#[path = "store_files/placed.rs"]
mod placed;
#[path = "store_files/support.rs"]
mod support;

use std::path::Path;

use sidewake::event::record::{Flags, Kind, Level};
use sidewake::sinks::LogRange;
use sidewake::sinks::files::{Files, Format, place};
use sidewake::sinks::row::schema::Schema;
use sidewake::store::render::{page, to_json};
use sidewake::store::{Found, Query, Search};
use support::NOON;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const RANGE: LogRange = LogRange { from: 0, to: 9 };

/// A prediction, its log lines and a span, in three tiers on two days, among others.
fn store() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("folder");
    let prediction = format!(
        concat!(
            r#"{{"event":"prediction_completed","request_id":"abc-123","#,
            r#""trace_id":"{TRACE}","model_name":"fraud_detector","#,
            r#""model_version":"v2.3.1","features":{{"amount":150.00,"#,
            r#""merchant_id":"M123"}},"prediction":{{"label":"fraud","score":0.87}},"#,
            r#""latency_ms":23}}"#,
        ),
        TRACE = TRACE
    );
    let mut others: Vec<String> =
        (0..3000).map(|n| format!(r#"{{"request_id":"abc-{n:05}","label":"x"}}"#)).collect();
    others.insert(1234, prediction);
    let lines: Vec<&str> = others.iter().map(String::as_str).collect();
    let batch = support::batch(&lines, |_, _| {});
    placed::write(root.path(), "prediction_logs", &[batch], RANGE);
    let mut logs = support::batch(
        &[
            r#"{"event":"features_fetched","request_id":"abc-123","n":2,"level":"info"}"#,
            "handling abc-123 took 23 ms",
            "handling abc-1234 took 5 ms",
            "Traceback (most recent call last):\n  File \"x.py\"\nKeyError: 'abc-123'",
            r#"{"message":"\u001b[31mred abc-123","other":1}"#,
        ],
        |line, record| {
            record.kind = Kind::Application as u8;
            record.level = Level::Info as u8;
            record.ts_ns = NOON - 1_000_000;
            if line.starts_with("Traceback") {
                record.level = Level::Error as u8;
                record.flags |= Flags::JOINED;
                record.ts_ns = NOON + 1_000_000;
            }
        },
    );
    logs.source_key = 8;
    placed::write(root.path(), "application_logs", &[logs], RANGE);
    // The span names no request: it joins by its trace, a day later.
    let span = format!(r#"{{"name":"model_inference","trace_id":"{TRACE}","duration_ms":11.5}}"#);
    let mut spans = support::batch(&[&span, r#"{"name":"other","trace_id":"0"}"#], |_, record| {
        record.kind = Kind::Application as u8;
        record.ts_ns = NOON + 2_000_000;
    });
    spans.source_key = 9;
    spans.observed_ns += 86_400_000_000_000;
    placed::write(root.path(), "traces", &[spans], RANGE);
    root
}

fn search(root: &Path, query: Query) -> Vec<Found> {
    let mut search = Search::new(query);
    // The second round looks for the traces that the first one found.
    for _ in 0..2 {
        search.scan(root).expect("a store");
    }
    assert!(search.problems.is_empty(), "{:?}", search.problems);
    search.finish()
}

fn query(id: &str) -> Query {
    Query { id: id.to_owned(), ..Query::default() }
}

#[test]
fn three_tiers_by_request_and_trace() {
    let root = store();
    let found = search(root.path(), query("abc-123"));
    let tiers: Vec<&str> = found.iter().map(|event| event.tier.as_str()).collect();
    let logs = "application_logs";
    assert_eq!(tiers, [logs, logs, logs, "prediction_logs", logs, "traces"]);
    let row = &found[3];
    assert_eq!(row.field("features"), Some(r#"{"amount":150.00,"merchant_id":"M123"}"#));
    assert_eq!(row.text_of("model_name").as_deref(), Some("fraud_detector"));
    assert_eq!(found[4].text.as_deref().map(|text| text.lines().count()), Some(3));
    assert_eq!(found[5].text_of("name").as_deref(), Some("model_inference"));
    assert!(found.iter().all(|event| event.file.as_ref().is_some_and(|file| file.exists())));
    // By its trace the same request is found, but for what names only the request.
    let by_trace = search(root.path(), query(TRACE));
    assert_eq!(by_trace.len(), 2);
    assert_eq!(search(root.path(), query("abc-12")), []);
    let prefix =
        search(root.path(), Query { id: "abc-1234".into(), is_prefix: true, ..Query::default() });
    assert_eq!(prefix.len(), 1);
    let prefix =
        search(root.path(), Query { id: "abc-0000".into(), is_prefix: true, ..Query::default() });
    assert_eq!(prefix.len(), 10);
}

#[test]
fn days_bound_the_search() {
    let root = store();
    let day = sidewake::sinks::files::name::day_of(NOON);
    let found = search(root.path(), Query { days: Some(day..=day), ..query("abc-123") });
    assert!(found.iter().all(|event| event.tier != "traces") && found.len() == 5);
    let next = day.next_day().expect("a day");
    assert_eq!(search(root.path(), Query { days: Some(next..=next), ..query("abc-123") }), []);
}

/// What no file holds yet looks the same, and is not found twice once a file holds it.
#[test]
fn the_spool_counts_too() {
    let root = tempfile::tempdir().expect("folder");
    let line = r#"{"request_id":"r-1","features":{"a":1.50},"prediction":2.5}"#;
    let batch = || support::batch(&[line, "about r-1", "about r-2"], |_, _| {});
    let mut spooled = Search::new(query("r-1"));
    spooled.add_events("prediction_logs", &batch());
    spooled.add_events("application_logs", &batch());
    let spooled = spooled.finish();
    assert_eq!(spooled.len(), 3);
    assert!(spooled.iter().all(|event| event.file.is_none()));
    placed::write(root.path(), "prediction_logs", &[batch()], RANGE);
    placed::write(root.path(), "application_logs", &[batch()], RANGE);
    let mut both = Search::new(query("r-1"));
    both.scan(root.path()).expect("a store");
    both.add_events("prediction_logs", &batch());
    both.add_events("application_logs", &batch());
    let both: Vec<Found> =
        both.finish().into_iter().map(|event| Found { file: None, ..event }).collect();
    assert_eq!(both, spooled);
}

#[test]
fn the_page() {
    let root = store();
    let found = search(root.path(), query("abc-123"));
    let page = page("abc-123", &found).replace(&*root.path().to_string_lossy(), "STORE");
    insta::assert_snapshot!(page);
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()));
    let missing = sidewake::store::render::page("\u{1b}]0;x\u{7}", &[]);
    assert_eq!(missing, "nothing found for \\u{1b}]0;x\\u{7}\n");
}

#[test]
fn json_output_is_json() {
    let root = store();
    let found = search(root.path(), query("abc-123"));
    let text = to_json("abc-123", &found);
    let text = text.strip_suffix('\n').expect("a line");
    assert!(text.chars().all(|c| !c.is_control()));
    assert!(text.contains(r#""amount":150.00"#), "numbers keep their text");
    let parsed: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(parsed["found"][3]["fields"]["request_id"], "abc-123");
    assert_eq!(parsed["found"][3]["ts_ns"], NOON);
    assert_eq!(parsed["found"].as_array().map(Vec::len), Some(6));
}

/// Half a file, a foreign file and a folder in the way are problems, and no end of the search.
#[test]
fn damage_is_reported_and_passed() {
    let root = store();
    let day = root.path().join("prediction_logs/2026-01-04");
    let whole = std::fs::read(day.join("0000000000000000-0000000000000009.parquet")).expect("read");
    for (name, bytes) in [
        ("0000000000000009-000000000000000a.parquet", &whole[..whole.len() / 2]),
        ("000000000000000a-000000000000000b.parquet", b""),
        ("000000000000000b-000000000000000c.jsonl", b"not json abc-123\n\xff abc-123\n{\n"),
        ("notes-abc-123.txt", b"abc-123"),
    ] {
        std::fs::write(day.join(name), bytes).expect("written");
    }
    let mut search = Search::new(query("abc-123"));
    for _ in 0..2 {
        search.scan(root.path()).expect("a store");
    }
    assert_eq!(search.problems.len(), 2);
    assert_eq!(search.finish().len(), 6);
}

/// Tables of their own, some of whose rows have no id, and one that has no column for any.
#[test]
fn companions_are_found_too() {
    let root = tempfile::tempdir().expect("folder");
    for (tier, kind, lines) in [
        (
            "model_events",
            Kind::Model,
            [
                r#"{"event":"model_loaded","model":"fraud","load_ms":12}"#,
                r#"{"event":"model_load_failed","request_id":"abc-123","device":"cuda:0","x":1}"#,
            ],
        ),
        (
            "data_profiles",
            Kind::Data,
            [
                r#"{"event":"drift","null_rates":{"a":0.5}}"#,
                r#"{"event":"drift","request_id":"abc-123","null_rates":{"a":0.5,"b":0.25}}"#,
            ],
        ),
        ("sampling", Kind::Sampling, [r#"{"seen":1,"tier":"abc-123"}"#, "{}"]),
    ] {
        let batch = support::batch(&lines, |_, record| record.kind = kind as u8);
        let mut files = Files::new(root.path().to_owned(), tier);
        (files.format, files.schema) = (Format::Parquet, Schema::of_kinds(&[kind]));
        let body = support::encode(&files, &[batch], RANGE);
        place::place(root.path(), &body.file_name, &body.bytes.into()).expect("placed");
    }
    let found = search(root.path(), query("abc-123"));
    let all: Vec<_> = found.iter().map(|one| (one.tier.as_str(), one.kind.as_str())).collect();
    assert_eq!(all.iter().filter(|one| **one == ("data_profiles", "data")).count(), 2, "{all:?}");
    assert!(all.len() == 3 && all.contains(&("model_events", "model")), "{all:?}");
    let page = page("abc-123", &found);
    for text in ["device=cuda:0", "null_rate=0.25", "feature=b", "  model  "] {
        assert!(page.contains(text), "{text} of {page}");
    }
}
