//! Whatever a line holds, the embedded store takes it without a panic, as readable files, and loses
//! nothing of it.

#[path = "store_files/support.rs"]
mod support;

use proptest::prelude::*;
use serde_json::Value;
use sidewake::event::record::{Flags, Kind, Record};
use sidewake::sinks::LogRange;
use sidewake::sinks::files::Files;
use sidewake::sinks::row::Row;
use sidewake::sinks::row::build::Builder;
use sidewake::store::{Query, Search};

/// Keys of the alias table in several spellings, and some that mean nothing.
fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "request_id",
        "requestId",
        "client_request_id",
        "trace_id",
        "span_id",
        "model",
        "model_name",
        "model_version",
        "version",
        "features",
        "feature_sample",
        "feature_count",
        "inputs",
        "instances",
        "prediction",
        "predictions",
        "label",
        "class",
        "confidence",
        "score",
        "probabilities",
        "scores",
        "latency_ms",
        "duration",
        "inference_ms",
        "queue_ms",
        "status",
        "status_code",
        "code",
        "error",
        "error_type",
        "exception",
        "is_outlier",
        "outlier_score",
        "prompt_tokens",
        "finish_reason",
        "feature_flags",
        "data",
        "meta",
        "http",
        "usage",
        "eventMetadata",
        "captureData",
        "request",
        "response",
        "result",
        "id",
        "explanation",
        "session_id",
        "endpoint",
        "component",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[a-z_.\"\\\\é]{0,6}"]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        prop::num::f64::NORMAL.prop_map(|n| format!("{n:e}")),
        Just("123456789012345678901234567890.10".to_owned()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        prop::sample::select(vec!["\"1.5ms\"", "\"ok\"", "\"a:b\"", "\"\\ud800\"", "0.50", "\"\""])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|elements| format!("[{}]", elements.join(", "))),
            prop::collection::vec((key(), inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn object(members: &[(String, String)]) -> String {
    let members =
        members.iter().map(|(key, value)| format!("{}:{value}", Value::from(key.as_str())));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Lines that are JSON, lines that almost are, and lines that are anything.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let json =
        || prop::collection::vec((key(), value()), 0..8).prop_map(|members| object(&members));
    let broken =
        (json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        });
    let cut = (json(), any::<prop::sample::Index>()).prop_map(|(text, at)| {
        let bytes = text.into_bytes();
        bytes[..at.index(bytes.len())].to_vec()
    });
    let logfmt = prop::collection::vec((key(), value()), 0..6).prop_map(|pairs| {
        let pairs = pairs.iter().map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join(" ").into_bytes()
    });
    let any_bytes = prop::collection::vec(any::<u8>(), 0..200);
    let whole = json().prop_map(String::into_bytes);
    prop_oneof![4 => whole, 1 => broken, 1 => cut, 1 => logfmt, 1 => any_bytes]
}

/// Whether every member of a JSON line stands in a column or, to the byte, in the attributes.
fn loses_nothing(line: &str, row: &Row<'_>) -> Result<(), TestCaseError> {
    let Some(members) = sidewake::sinks::json::object(line) else { return Ok(()) };
    let attributes = row.attributes.as_ref().map_or("{}", |json| &json.0);
    let attributes = sidewake::sinks::json::object(attributes);
    let attributes = attributes.ok_or_else(|| TestCaseError::fail("attributes are no JSON"))?;
    let columns = format!("{:?}", Row { attributes: None, ..row.clone() }).to_lowercase();
    for (key, value) in &members {
        if *value == "null" || attributes.iter().any(|(k, v)| k == key && v == value) {
            continue;
        }
        prop_assert!(in_columns(value, &columns), "{key}: {value} is lost from {line}\n{columns}");
    }
    Ok(())
}

/// Whether a value, or for an object that was looked into every value in it, is in the columns.
fn in_columns(value: &str, columns: &str) -> bool {
    let forms = [
        format!("{value:?}"),
        format!("{:?}", value.trim_matches('"')),
        format!("some({value}"),
        sidewake::sinks::json::text(value).map_or(String::new(), |text| format!("{text:?}")),
        sidewake::sinks::json::number(value).map_or(String::new(), |n| format!("({n:?}")),
        sidewake::sinks::json::number(value).map_or(String::new(), |n| format!("score: {n:?}")),
    ];
    // A model's name and version may stand in one value and go to two columns.
    let decoded = sidewake::sinks::json::text(value).unwrap_or_default();
    if let Some((name, version)) = decoded.split_once(':')
        && [name, version].iter().all(|part| columns.contains(&format!("{part:?}").to_lowercase()))
    {
        return true;
    }
    let is_there = |form: &String| !form.is_empty() && columns.contains(&form.to_lowercase());
    if forms.iter().any(is_there) || ["\"ok\"", "\"1.5ms\"", "\"a:b\"", "0", "1"].contains(&value) {
        return true;
    }
    let below = sidewake::sinks::json::object(value)
        .map(|members| members.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
        .or_else(|| sidewake::sinks::json::array(value));
    below.is_some_and(|below| {
        below.into_iter().all(|value| value == "null" || in_columns(value, columns))
    })
}

fn describe(record: &mut Record, flags: u16, kind: usize, ts_ns: i64) {
    record.flags = flags;
    record.kind = Kind::ALL[kind] as u8;
    record.ts_ns = ts_ns;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// One line: at least one row (or a refusal with its reason), valid columns, nothing lost.
    #[test]
    fn every_line_is_a_row(line in line(), flags: u16, kind in 0usize..5, ts_ns: i64) {
        let text = String::from_utf8_lossy(&line).into_owned();
        let batch = support::batch(&[&text], |_, record| {
            describe(record, flags | Flags::TIME_OBSERVED, kind, ts_ns);
        });
        let event = batch.event(0).expect("one");
        let mut n_rows = 0;
        let mut checked = Ok(());
        let built = Builder::default().rows(event, |row| {
            n_rows += 1;
            assert!(!row.request_id.is_empty());
            assert!(!row.model_name.is_empty() && !row.status.is_empty());
            for json in [&row.features, &row.prediction, &row.explanation, &row.attributes] {
                let json = json.as_ref().map_or("null", |json| &json.0);
                assert!(serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok(), "{json}");
            }
            if row.batch_size.is_none() && checked.is_ok() {
                checked = loses_nothing(&text, row);
            }
        });
        checked?;
        prop_assert!(built.is_err() || n_rows > 0);
    }

    /// Many lines: both formats are whole files that the store's own reader takes, line for line.
    #[test]
    fn every_file_is_readable(lines in prop::collection::vec(line(), 1..20), flags: u16) {
        let lines: Vec<String> = lines.iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .chain([r#"{"request_id":"the-last-one"}"#.to_owned()])
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let batch = [support::batch(&lines, |line, record| {
            let is_last = line.contains("the-last-one");
            describe(record, if is_last { Flags::JSON } else { flags }, 2, support::NOON);
        })];
        let files = Files::new("unused".into(), "application_logs");
        let body = support::encode(&files, &batch, LogRange::default());
        let text = String::from_utf8(body.bytes).expect("UTF-8");
        prop_assert_eq!(text.lines().count(), lines.len());
        for line in text.lines() {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok(), "{}", line);
        }
        let root = tempfile::tempdir().expect("folder");
        let files = Files::new(root.path().to_owned(), "prediction_logs");
        let body = support::encode(&files, &batch, LogRange::default());
        let path = root.path().join(body.file_name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, body.bytes).expect("written");
        let mut search = Search::new(Query { id: "the-last-one".into(), ..Query::default() });
        search.scan(root.path()).expect("a store");
        prop_assert!(search.problems.is_empty());
        prop_assert_eq!(search.finish().len(), 1);
    }
}

fn cases() -> u32 {
    if std::env::var_os("SIDEWAKE_SLOW").is_some() { 100_000 } else { 500 }
}
