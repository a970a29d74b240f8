//! Rows, decoded by the descriptor that was sent with them, by a library of others.

use std::collections::BTreeMap;

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};

use super::table::Table;
use super::*;
use crate::event::origin::Origin;
use crate::event::otlp::wire::{Reader, kind, tag};
use crate::event::record::{Kind, Record};
use crate::event::slab::Slab;

mod companions;

const NOW_NS: i64 = 1_767_522_600_000_000_000;

fn sink(unmapped: &str) -> BigQuery {
    sink_of(Schema::Predictions, unmapped)
}

fn sink_of(schema: Schema, unmapped: &str) -> BigQuery {
    sink_by(Api::StorageWrite, schema, unmapped)
}

fn sink_by(api: Api, schema: Schema, unmapped: &str) -> BigQuery {
    let options = Options {
        schema,
        table: TableId::parse("p.d.t").expect("a table"),
        api,
        grpc_url: String::new(),
        rest_url: String::new(),
        credentials: Credentials::None,
        impersonated: None,
        is_exact: true,
        creates_table: true,
        adds_columns: false,
        unmapped: unmapped.to_owned(),
        retention: Duration::from_secs(90 * 86_400),
        join_window: Duration::from_secs(10),
        labels: Vec::new(),
        timeout: Duration::from_secs(1),
    };
    BigQuery::new(options, Arc::default())
}

fn batch(lines: &[&str]) -> Batch {
    let (mut slab, mut table) = (Slab::default(), Vec::new());
    for (n, line) in lines.iter().enumerate() {
        let mut record = Record::new(slab.len() as u32, line.len() as u32);
        record.source_off = n as u32;
        record.kind = Kind::Prediction as u8;
        record.ts_ns = NOW_NS + n as i64;
        slab.extend_from_slice(line.as_bytes());
        slab.extend_from_slice(b"\n");
        table.push(record);
    }
    Batch {
        table,
        signal: Signal::Logs,
        slab,
        origin: Arc::new(Origin::default()),
        source_key: 7,
        source_base: 0,
        source_end: lines.len() as u64,
        observed_ns: NOW_NS,
    }
}

fn encoded(sink: &BigQuery, batch: &Batch) -> Body {
    let mut encoder = sink.encoder(NOW_NS);
    let refused = encoder.push(batch, 0..batch.len());
    assert!(refused.is_empty());
    let mut body = Body::default();
    encoder.finish(LogRange::default(), &mut body).expect("a body");
    body
}

/// The rows by the names of their columns; what is not set is not there.
fn rows(body: &Body) -> Vec<BTreeMap<String, Value>> {
    let whole = [&body.bytes[..], &body.parts[0]].concat();
    let (mut descriptor, mut rows) = (None, Vec::new());
    let mut fields = Reader::new(&whole, 0, whole.len());
    while let Some(field) = fields.read().expect("sound") {
        let mut inner = Reader::of(&whole, field);
        while let Some(part) = inner.read().expect("sound") {
            match (field.number(), part.tag == tag(1, kind::BYTES)) {
                (1, true) => descriptor = Some(part.of(&whole).to_vec()),
                (2, true) => rows.push(part.of(&whole).to_vec()),
                other => panic!("{other:?}"),
            }
        }
    }
    let descriptor = described(&descriptor.expect("a descriptor"));
    let decode = |row: Vec<u8>| {
        let message = DynamicMessage::decode(descriptor.clone(), &row[..]).expect("a row");
        assert_eq!(message.unknown_fields().count(), 0);
        let fields = message.fields();
        fields.map(|(field, value)| (field.name().to_owned(), value.clone())).collect()
    };
    rows.into_iter().map(decode).collect()
}

fn described(bytes: &[u8]) -> MessageDescriptor {
    let message = DescriptorProto::decode(bytes).expect("a descriptor");
    let file = FileDescriptorProto {
        name: Some("row.proto".to_owned()),
        syntax: Some("proto2".to_owned()),
        message_type: vec![message],
        ..FileDescriptorProto::default()
    };
    let set = FileDescriptorSet { file: vec![file] };
    let pool = DescriptorPool::from_file_descriptor_set(set).expect("a sound descriptor");
    pool.get_message_by_name("Row").expect("the row")
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Zero, false and empty are values and no NULL; numbers of JSON keep every digit.
#[test]
fn one_prediction() {
    let line = r#"{"event":"prediction","request_id":"r-1","model":"fraud","latency_ms":0,
        "features":{"amount":12345678901234567890.10,"flag":false},"prediction":"",
        "confidence":0.0,"input_tokens":0,"extra":{"a":[1.50]}}"#
        .replace('\n', "");
    let body = encoded(&sink("attributes"), &batch(&[&line]));
    assert_eq!((body.contents.n_items, body.events.len()), (1, 0));
    let row = &rows(&body)[0];
    for (column, value) in [
        ("request_id", text("r-1")),
        ("row_index", Value::I64(0)),
        ("model_name", text("fraud")),
        ("latency_ms", Value::F64(0.0)),
        ("confidence", Value::F64(0.0)),
        ("input_tokens", Value::I64(0)),
        ("features", text(r#"{"amount":12345678901234567890.10,"flag":false}"#)),
        ("features_complete", Value::Bool(true)),
        ("event_ts", Value::I64(NOW_NS / 1000)),
        ("sample_weight", Value::F64(1.0)),
        ("record_kind", text("prediction")),
    ] {
        assert_eq!(row.get(column), Some(&value), "{column}");
    }
    assert!(!row.contains_key("output_tokens") && !row.contains_key("error_message"));
    let Some(Value::String(rest)) = row.get("attributes") else { panic!("no attributes") };
    assert!(rest.contains(r#""extra":{"a":[1.50]}"#), "{rest}");
}

/// A batch is a row an item, and a row knows its event.
#[test]
fn rows_know_their_events() {
    let lines = [
        r#"{"request_id":"a","features":{"x":1},"prediction":"yes"}"#,
        r#"{"request_id":"b","instances":[{"x":1},{"x":2}],"predictions":[0.5,0.7]}"#,
        r#"{"request_id":"c","features":{"x":1},"prediction":"no"}"#,
    ];
    let body = encoded(&sink("attributes"), &batch(&lines));
    assert_eq!(body.events, [(0, 0), (1, 1), (1, 1), (2, 2)]);
    let rows = rows(&body);
    let ids: Vec<&Value> = rows.iter().map(|row| &row["request_id"]).collect();
    assert_eq!(ids, [&text("a"), &text("b"), &text("b"), &text("c")]);
    assert_eq!((&rows[2]["row_index"], &rows[2]["batch_size"]), (&Value::I64(1), &Value::I64(2)));
}

/// What all items share stands in each of their rows: a line must not become more than a request.
#[test]
fn batches_that_are_too_large_stay_one_row() {
    let line = |n: usize, n_shared: usize| {
        let items = vec!["0.5"; n].join(",");
        format!(r#"{{"request_id":"b","predictions":[{items}],"note":"{}"}}"#, "x".repeat(n_shared))
    };
    for (n, n_shared, n_rows) in [(1000, 100, 1000), (1000, 10_000, 1), (100_000, 0, 1)] {
        let line = line(n, n_shared);
        let body = encoded(&sink("attributes"), &batch(&[&line]));
        let rows = rows(&body);
        assert_eq!(rows.len(), n_rows, "{n} {n_shared}");
        assert_eq!(rows[0]["batch_size"], Value::I64(n as i64));
        let Value::String(rest) = &rows[0]["attributes"] else { panic!("no attributes") };
        assert!(rest.len() > n_shared && body.parts[0].len() < 9 << 20);
        let errors = rows[0].get("logging_errors");
        let too_large = Value::List(vec![text("BATCH_TOO_LARGE")]);
        assert_eq!(errors, (n_rows == 1).then_some(&too_large));
    }
}

/// A table with few columns: what has none stands in its JSON column, as JSON.
#[test]
fn what_has_no_column() {
    let sink = sink("rest");
    let columns = serde_json::json!({ "schema": { "fields": [
        { "name": "REQUEST_ID", "type": "STRING" },
        { "name": "event_ts", "type": "TIMESTAMP", "mode": "REQUIRED" },
        { "name": "rest", "type": "JSON" } ] } });
    let table: Table = serde_json::from_value(columns).expect("a table");
    let before = encoded(&sink, &batch(&["{}"])).contents;
    assert!(sink.destination.fits(before));
    let layout = Layout::new(Schema::Predictions, &table, "rest").expect("a layout");
    assert!(sink.destination.learn(layout.clone()) && !sink.destination.learn(layout));
    assert!(!sink.destination.fits(before));
    let line = r#"{"request_id":"a\"b","features":{"x":1.0},"class_scores":[0.2,0.8],"more":"y"}"#;
    let body = encoded(&sink, &batch(&[line]));
    let row = &rows(&body)[0];
    assert_eq!(row.keys().collect::<Vec<_>>(), ["REQUEST_ID", "event_ts", "rest"]);
    assert_eq!(row["REQUEST_ID"], text("a\"b"));
    let Value::String(rest) = &row["rest"] else { panic!("no text") };
    let rest: serde_json::Value = serde_json::from_str(rest).expect("JSON");
    assert_eq!(rest["features"], serde_json::json!({ "x": 1.0 }));
    assert_eq!(rest["more"], "y");
    assert_eq!(rest["sample_probability"], 1.0);
    assert!(rest["class_scores"].as_array().is_some_and(|scores| scores.len() == 2), "{rest}");
}

/// A clock that is wrong by months would put the row where it is gone at once.
#[test]
fn wrong_clocks() {
    let mut batch = batch(&["{}", "{}", "{}"]);
    batch.table[1].ts_ns -= 91 * 86_400_000_000_000;
    batch.table[2].ts_ns += 2 * 86_400_000_000_000;
    let rows = rows(&encoded(&sink("attributes"), &batch));
    for (row, source) in rows.iter().zip(["event", "clamped", "clamped"]) {
        assert_eq!(row["ts_source"], text(source));
        assert_eq!(row["event_ts"], Value::I64(NOW_NS / 1000));
    }
    let errors = Value::List(vec![text("CLOCK_CLAMPED")]);
    assert_eq!(rows[1]["logging_errors"], errors);
}

/// Halves meet in whatever order, and the whole says what both said; who is alone waits, and not
/// for ever.
#[test]
fn halves_of_a_request() {
    let sink = sink("attributes");
    let lines = [
        r#"{"event":"request","request_id":"a","features":{"x":1.50},"caller":"web","status":"received","latency_ms":0.5}"#,
        r#"{"request_id":"c","features":{"x":1},"prediction":"whole"}"#,
        r#"{"event":"prediction","request_id":"b","prediction":"no","latency_ms":7}"#,
        r#"{"event":"prediction","request_id":"a","prediction":"yes","latency_ms":5,"node":"n1"}"#,
        r#"{"event":"request","request_id":"b","features":{"x":2}}"#,
        r#"{"event":"request","request_id":"d","features":{"x":3}}"#,
    ];
    let mut batch = batch(&lines);
    for index in [0, 4, 5] {
        batch.table[index].kind = Kind::Request as u8;
    }
    let body_at = |closed_ns: i64| {
        let mut encoder = sink.encoder(NOW_NS);
        assert!(encoder.push(&batch, 0..lines.len()).is_empty());
        let waiting = encoder.defer(closed_ns);
        let mut body = Body::default();
        encoder.finish(LogRange::default(), &mut body).expect("a body");
        (waiting, body)
    };
    let (waiting, body) = body_at(NOW_NS + 1_000_000_000);
    assert_eq!(waiting, [5]);
    assert_eq!(body.events, [(1, 1), (0, 3), (2, 4)]);
    let rows = rows(&body);
    let ids: Vec<&Value> = rows.iter().map(|row| &row["request_id"]).collect();
    assert_eq!(ids, [&text("c"), &text("a"), &text("b")]);
    let whole = &rows[1];
    for (column, value) in [
        ("record_kind", text("prediction")),
        ("features", text(r#"{"x":1.50}"#)),
        ("prediction_label", text("yes")),
        ("latency_ms", Value::F64(5.0)),
        ("status", text("ok")),
        ("replayable", text("exact")),
        ("feature_count", Value::I64(1)),
        ("record_id", text("0000000000000007-0000000000000003")),
        ("request_ts", Value::I64(NOW_NS / 1000)),
        ("response_ts", Value::I64(NOW_NS / 1000)),
    ] {
        assert_eq!(whole.get(column), Some(&value), "{column}");
    }
    let Value::String(rest) = &whole["attributes"] else { panic!("no attributes") };
    let rest: serde_json::Value = serde_json::from_str(rest).expect("JSON");
    // What both say differently is there twice.
    let request = serde_json::json!({
        "event": "request", "caller": "web", "status": "received", "latency_ms": 0.5,
    });
    assert_eq!((&rest["node"], &rest["request"]), (&"n1".into(), &request));

    let (waiting, body) = body_at(NOW_NS + 11_000_000_000);
    assert!(waiting.is_empty());
    let alone = &self::rows(&body)[3];
    assert_eq!(alone["record_kind"], text("request_only"));
    assert_eq!(alone["logging_errors"], Value::List(vec![text("NOT_JOINED")]));
}

/// The same lines both ways: each row has the same columns with the same values, its record_id is
/// its insertId.
#[test]
fn rows_of_insert_all() {
    let lines = [
        r#"{"request_id":"a\"b","features":{"x":1.50},"class_scores":{"y":0.2,"n":0.8},"latency_ms":0}"#,
        r#"{"request_id":"b","instances":[{"x":1},{"x":2}],"predictions":[0.5,0.7],"input_tokens":0}"#,
        r#"{"event":"request","request_id":"c","features":{"x":2}}"#,
        "no JSON at all \u{1}",
    ];
    let mut batch = batch(&lines);
    batch.table[2].kind = Kind::Request as u8;
    let expected = rows(&encoded(&sink("attributes"), &batch));
    let sink = sink_by(Api::InsertAll, Schema::Predictions, "attributes");
    let mut encoder = sink.encoder(NOW_NS);
    assert!(encoder.push(&batch, 0..batch.len()).is_empty());
    let mut body = Body::default();
    encoder.finish(LogRange::default(), &mut body).expect("a body");
    assert_eq!(body.contents.n_items, 5);
    let whole = [&body.bytes[..], &body.parts[0], &body.parts[1]].concat();
    let request: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    assert_eq!(request["skipInvalidRows"], false);
    let found = request["rows"].as_array().expect("rows");
    assert_eq!(found.len(), expected.len());
    for (row, expected) in found.iter().zip(&expected) {
        assert_eq!(row["insertId"], row["json"]["record_id"]);
        let object = row["json"].as_object().expect("an object");
        assert_eq!(object.len(), expected.len(), "{object:?}");
        for (column, value) in expected {
            let (found, place) = (&object[column], format!("{column} of {}", row["insertId"]));
            match value {
                Value::String(text) => assert_eq!(found, text, "{place}"),
                Value::F64(number) => assert_eq!(found, number, "{place}"),
                Value::Bool(is_so) => assert_eq!(found, is_so, "{place}"),
                Value::I64(time) if column.ends_with("_ts") => {
                    assert_eq!(*time, NOW_NS / 1000);
                    assert_eq!(found, "2026-01-04T10:30:00.000000Z", "{place}");
                }
                Value::I64(number) => assert_eq!(found, &number.to_string(), "{place}"),
                Value::List(list) => {
                    assert_eq!(found.as_array().map(Vec::len), Some(list.len()), "{place}");
                }
                other => panic!("{place}: {other:?}"),
            }
        }
    }
}
