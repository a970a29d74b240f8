//! The embedded store's files, read back by readers that share no code with the writer.

#![expect(clippy::print_stdout, reason = "says in one line what it skipped")]

#[path = "store_files/placed.rs"]
mod placed;
#[path = "store_files/python.rs"]
mod python;
#[path = "store_files/support.rs"]
mod support;

use serde_json::{Value, json};
use sidewake::event::record::{Flags, Kind, Level, THRESHOLD_ONE};
use sidewake::sinks::LogRange;
use support::NOON;

/// Rows by pyarrow and again by DuckDB; times as microseconds.
const DUMP: &str = r#"
import sys, json, duckdb, pyarrow as pa, pyarrow.parquet as pq
path = sys.argv[1]
table = pq.read_table(path)
as_int = lambda f: pa.field(f.name, pa.int64()) if pa.types.is_timestamp(f.type) else f
fields = [as_int(f) for f in table.schema]
types = {f.name: str(f.type) for f in table.schema}
nulls = {f.name: f.nullable for f in table.schema}
rows = table.cast(pa.schema(fields)).to_pylist()
meta = pq.read_metadata(path)
duck = duckdb.sql(f"select request_id, row_index, features::varchar, epoch_us(event_ts), "
    f"class_scores, confidence, typeof(features), typeof(event_ts) from '{path}'").fetchall()
print(json.dumps({"rows": rows, "types": types, "nulls": nulls, "duck": duck,
    "groups": meta.num_row_groups, "metadata": {k.decode(): v.decode()
    for k, v in meta.metadata.items() if k.startswith(b"sidewake")}}))
"#;

const SEED: &str = concat!(
    r#"{"event":"prediction_completed","request_id":"abc-123","#,
    r#""model_name":"fraud_detector","model_version":"v2.3.1","#,
    r#""feature_count":45,"feature_sample":{"amount":150.0,"#,
    r#""merchant_id":"M123"},"prediction":{"label":"fraud","score":0.87},"#,
    r#""confidence":0.87,"latency_ms":23,"timestamp":"2026-01-04T10:30:00Z"}"#,
);

const RANGE: LogRange = LogRange { from: 0x10, to: 0x2f };

fn dump(path: &std::path::Path) -> Option<Value> {
    let python = python::interpreter()?;
    let printed = python::run(&python, &["-c", DUMP, &path.to_string_lossy()]).expect("readable");
    Some(serde_json::from_str(&printed).expect("JSON"))
}

/// Asserts that each of `expected`'s members stands in `row`.
fn assert_row(row: &Value, expected: &Value) {
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&row[key], value, "{key}");
    }
}

#[test]
fn typed_rows_by_independent_readers() {
    let root = tempfile::tempdir().expect("folder");
    let exact = r#"{"a":1.10,"b":123456789012345678901234567890,"c":1e-400,"d":"ü\u00e9"}"#;
    let trace = "0AF7651916CD43DD8448EB211C80319C";
    let lines = [
        SEED.to_owned(),
        format!(
            concat!(
                r#"{{"request_id":"r-2","trace_id":"{trace}","features":{exact},"#,
                r#""prediction":"setosa","model":"iris:v3","#,
                r#""probabilities":{{"setosa":0.75,"virginica":0.25}},"status":"timeout","#,
                r#""elapsed":"1.5s"}}"#,
            ),
            trace = trace,
            exact = exact
        ),
        r#"{"requestId":"r-3","error":"boom","latency_ms":"fast","is_outlier":true}"#.to_owned(),
        "plain text, no JSON \"at\" all".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let batch = support::batch(&lines, |line, record| {
        record.threshold = THRESHOLD_ONE / 4 * 3;
        if line.starts_with("plain") {
            record.flags |= Flags::TIME_OBSERVED | Flags::PARTIAL | Flags::REDACTED;
        }
    });
    let path = placed::write(root.path(), "prediction_logs", &[batch], RANGE);
    let name = "prediction_logs/2026-01-04/0000000000000010-000000000000002f.parquet";
    assert_eq!(path, root.path().join(name));
    let Some(dump) = dump(&path) else { return };
    let rows = dump["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    check_json_rows(rows, trace, exact);
    check_odd_rows(rows);
    check_schema(&dump, exact);
}

fn check_json_rows(rows: &[Value], trace: &str, exact: &str) {
    assert_row(
        &rows[0],
        &json!({
            "record_id": "0000000000000007-0000000000000000", "request_id": "abc-123",
            "request_id_source": "request_id", "row_index": 0, "batch_size": null,
            "event_ts": NOON / 1000, "ingest_ts": NOON / 1000 + 1_000_000, "ts_source": "event",
            "record_kind": "prediction", "service": "fraud-detector", "namespace": "ml",
            "pod": "fraud-0", "model_name": "fraud_detector", "model_version": "v2.3.1",
            "features": "{\"amount\":150.0,\"merchant_id\":\"M123\"}", "feature_count": 45,
            "features_complete": false, "replayable": "sampled_features",
            "prediction": "{\"label\":\"fraud\",\"score\":0.87}", "prediction_label": "fraud",
            "prediction_value": null, "confidence": 0.87, "class_scores": [], "latency_ms": 23.0,
            "status": "ok", "sample_probability": 0.25, "sample_weight": 4.0,
            "sample_threshold": "c", "redactions": [], "logging_errors": [],
            "attributes": "{\"event\":\"prediction_completed\"}",
        }),
    );
    assert_row(
        &rows[1],
        &json!({
            "trace_id": trace.to_lowercase(), "features": exact, "feature_count": 4,
            "features_complete": true, "replayable": "exact", "prediction": "\"setosa\"",
            "prediction_label": "setosa", "model_name": "iris", "model_version": "v3",
            "class_scores": [
                {"label": "setosa", "score": 0.75}, {"label": "virginica", "score": 0.25}
            ],
            "confidence": 0.75, "status": "timeout", "latency_ms": 1500.0, "attributes": null,
        }),
    );
}

fn check_odd_rows(rows: &[Value]) {
    assert_row(
        &rows[2],
        &json!({
            "request_id": "r-3", "request_id_source": "requestId", "record_kind": "error",
            "status": "error", "error_message": "boom", "latency_ms": null, "is_outlier": true,
            "logging_errors": ["LATENCY_UNIT_UNKNOWN"], "attributes": "{\"latency_ms\":\"fast\"}",
            "model_name": "fraud-detector", "replayable": "none",
        }),
    );
    assert_row(
        &rows[3],
        &json!({
            "request_id_source": "generated", "request_id": rows[3]["record_id"],
            "attributes": "{\"message\":\"plain text, no JSON \\\"at\\\" all\"}",
            "ts_source": "observed", "logging_errors": ["PARTIAL_LINE"],
            "redactions": [{"path": null, "entity": null, "action": "changed", "n": null}],
        }),
    );
}

fn check_schema(dump: &Value, exact: &str) {
    let duck = &dump["duck"][1];
    assert_eq!(duck[0], "r-2");
    assert_eq!(duck[2], exact);
    assert_eq!(duck[3], NOON / 1000);
    assert_eq!(duck[5], 0.75);
    assert_eq!((&duck[6], &duck[7]), (&json!("JSON"), &json!("TIMESTAMP WITH TIME ZONE")));
    let required = [
        "record_id",
        "request_id",
        "row_index",
        "event_ts",
        "ingest_ts",
        "record_kind",
        "model_name",
        "status",
        "sample_probability",
        "sample_weight",
        "class_scores",
        "finish_reasons",
        "feature_flags",
        "redactions",
        "logging_errors",
    ];
    for (column, nullable) in dump["nulls"].as_object().expect("columns") {
        assert_eq!(nullable.as_bool(), Some(!required.contains(&column.as_str())), "{column}");
    }
    assert_eq!(dump["types"]["event_ts"], "timestamp[us, tz=UTC]");
    assert_eq!(dump["metadata"]["sidewake.log_from"], "0000000000000010");
    assert_eq!(dump["metadata"]["sidewake.log_to"], "000000000000002f");
    assert_eq!(dump["metadata"]["sidewake.version"], env!("CARGO_PKG_VERSION"));
}

/// KServe's request and response, MLflow's records: one row per item; lengths that disagree: one
/// row.
#[test]
fn batches_become_one_row_per_item() {
    let root = tempfile::tempdir().expect("folder");
    let batch = support::batch(
        &[
            concat!(
                r#"{"specversion":"1.0","type":"org.kubeflow.serving.inference.request","#,
                r#""request_id":"k-1","data":{"instances":[[6.80,2.8],[6.0,3.4]]}}"#,
            ),
            concat!(
                r#"{"request_id":"k-1","instances":[[6.80,2.8],[6.0,3.4]],"#,
                r#""predictions":[1,{"label":"b","score":0.5}],"confidence":0.9}"#,
            ),
            r#"{"request_id":"k-2","instances":[[1],[2],[3]],"predictions":[1,1]}"#,
        ],
        |line, record| {
            if line.contains("inference.request") {
                record.kind = Kind::Request as u8;
            }
        },
    );
    let path = placed::write(root.path(), "prediction_logs", &[batch], RANGE);
    let Some(dump) = dump(&path) else { return };
    let rows = dump["rows"].as_array().expect("rows");
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("row_index"), [0, 1, 0, 1, 0].map(Value::from));
    assert_eq!(column("batch_size")[..4], [2, 2, 2, 2].map(Value::from));
    assert_eq!(column("features")[1..4], ["[6.0,3.4]", "[6.80,2.8]", "[6.0,3.4]"].map(Value::from));
    assert_eq!(column("prediction_label")[2..4], [Value::Null, "b".into()]);
    assert_eq!(column("prediction_value")[2..4], [json!(1.0), Value::Null]);
    assert_eq!(column("confidence")[2..4], [json!(0.9), json!(0.5)]);
    assert_eq!(
        column("record_kind")[..3],
        ["request_only", "request_only", "prediction"].map(Value::from)
    );
    assert_eq!(rows[4]["logging_errors"], json!(["BATCH_LENGTH_MISMATCH"]));
    assert_eq!(rows[4]["features"], "[[1],[2],[3]]");
    let first = rows[0]["record_id"].as_str().expect("id");
    assert_eq!(rows[1]["record_id"], format!("{first}.1"));
}

/// Many row groups: nulls, lists and long texts land in their own rows.
#[test]
fn row_groups_join_seamlessly() {
    let root = tempfile::tempdir().expect("folder");
    let line = |n: usize| {
        let scores = if n.is_multiple_of(3) { r#","scores":{"a":0.5,"b":0.25}"# } else { "" };
        let label = if n.is_multiple_of(7) { "" } else { r#","label":"x""# };
        let pad = "p".repeat(if n.is_multiple_of(500) { 100_000 } else { n % 50 });
        format!(r#"{{"request_id":"r-{n}","features":{{"n":{n},"pad":"{pad}"}}{scores}{label}}}"#)
    };
    let lines: Vec<String> = (0..12_000).map(line).collect();
    let batches: Vec<_> = lines
        .chunks(1000)
        .map(|chunk| {
            let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
            support::batch(&chunk, |_, _| {})
        })
        .collect();
    let path = placed::write(root.path(), "prediction_logs", &batches, RANGE);
    let Some(dump) = dump(&path) else { return };
    assert!(dump["groups"].as_u64().expect("a number") > 3);
    let rows = dump["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 12_000);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row["request_id"], format!("r-{n}"));
        let n_scores = if n.is_multiple_of(3) { 2 } else { 0 };
        assert_eq!(row["class_scores"].as_array().map(Vec::len), Some(n_scores), "{n}");
        assert_eq!(row["prediction_label"].is_null(), n.is_multiple_of(7), "{n}");
        let features = row["features"].as_str().expect("features");
        assert!(features.starts_with(&format!("{{\"n\":{n},")), "{n}");
    }
}

/// JSON lines by Python's json and DuckDB's reader; the event's own text is a prefix of its line.
#[test]
fn json_lines_by_independent_readers() {
    let root = tempfile::tempdir().expect("folder");
    let lines = [
        r#"{"event":"model_loaded","model":"iris","load_ms":1.50,"request_id":"r-\u00e4"}"#,
        "GET /predict 200\t\"ü\"",
        r#"{"_sidewake":"mine","a":1}"#,
        "{\n  \"pretty\": true\n}",
        "{}",
        r#"{"loss":NaN}"#,
        r#"{"broken": 1"#,
    ];
    let batch = support::batch(&lines, |line, record| {
        record.kind = Kind::Model as u8;
        record.level = Level::Warn as u8;
        if line.starts_with("GET") {
            record.flags |= Flags::STDERR | Flags::TIME_NAIVE;
            record.ts_ns = NOON + 123_456_789;
        }
    });
    let path = placed::write(root.path(), "application_logs", &[batch], RANGE);
    let text = std::fs::read_to_string(&path).expect("readable");
    let written: Vec<&str> = text.lines().collect();
    assert_eq!(written.len(), lines.len());
    assert!(written[0].starts_with(lines[0].trim_end_matches('}')));
    let Some(python) = python::interpreter() else { return };
    let script = "import sys, json, duckdb\np = sys.argv[1]\n\
        rows = [json.loads(l) for l in open(p)]\n\
        duck = duckdb.sql(f\"select _sidewake.ts::varchar, _sidewake.level, message from '{p}'\")\n\
        print(json.dumps({'rows': rows, 'duck': duck.fetchall()}))";
    let printed = python::run(&python, &["-c", script, &path.to_string_lossy()]).expect("read");
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    let rows = &printed["rows"];
    let known = &rows[0]["_sidewake"];
    assert_eq!(known["request_id"], "r-ä");
    let expected = ["ts", "level", "kind", "tier", "source", "stream", "trace_id"];
    let keys: Vec<&str> = known.as_object().expect("known").keys().map(String::as_str).collect();
    assert_eq!(keys[..7], expected);
    assert_eq!(known["kind"], "model");
    assert_eq!(rows[1]["message"], lines[1]);
    assert_eq!(rows[1]["_sidewake"]["ts"], "2026-01-04T10:30:00.123456Z");
    assert_eq!(rows[1]["_sidewake"]["flags"], json!(["stderr", "time_naive"]));
    assert_eq!(rows[2]["event"], json!({"_sidewake": "mine", "a": 1}));
    assert_eq!(rows[3]["pretty"], true);
    assert_eq!(rows[4].as_object().map(serde_json::Map::len), Some(1));
    assert_eq!(rows[5]["loss"], Value::Null);
    assert_eq!(rows[6]["message"], lines[6]);
    assert_eq!(printed["duck"][1][1], "warn");
    assert_eq!(printed["duck"][1][2], lines[1]);
}

/// After a crash the same events may be cut elsewhere: the new file replaces the old one.
#[test]
fn a_later_cut_replaces_an_earlier_one() {
    let root = tempfile::tempdir().expect("folder");
    for tier in ["prediction_logs", "application_logs"] {
        let batch = || support::batch(&[SEED, "text"], |_, _| {});
        let mut other = batch();
        other.source_key = 99;
        for (to, batch) in [(5, batch()), (9, batch()), (7, other)] {
            placed::write(root.path(), tier, &[batch], LogRange { from: 0, to });
        }
        let folder = root.path().join(tier).join("2026-01-04");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy()[..33].to_owned())
            .collect();
        names.sort_unstable();
        let kept = [7, 9].map(|to| format!("{:016x}-{to:016x}", 0));
        assert_eq!(names, kept, "{tier}");
    }
}

/// A repeat gives the very bytes and the very name, or it would not overwrite itself.
#[test]
fn a_repeat_is_identical() {
    let root = tempfile::tempdir().expect("folder");
    for tier in ["prediction_logs", "application_logs"] {
        let once = || {
            let batch = support::batch(&[SEED, "text"], |_, _| {});
            let path = placed::write(root.path(), tier, &[batch], RANGE);
            (path.clone(), std::fs::read(path).expect("readable"))
        };
        assert_eq!(once(), once());
    }
}
