//! Rows of the companion tables, decoded as those of predictions are.

use super::*;

fn rows_of(schema: Schema, lines: &[&str]) -> Vec<BTreeMap<String, Value>> {
    rows(&encoded(&sink_of(schema, "attributes"), &batch(lines)))
}

#[test]
fn what_a_model_lives_through() {
    let lines = [
        r#"{"event":"model_loaded","model_name":"fraud","model_version":"3","load_time_ms":1834,
            "device":"cuda:0","bytes":0,"latency_ms":2.50,"level":"info"}"#,
        r#"{"message":"failed to load 'fraud' version 4: out of memory","model":"fraud"}"#,
        r#"{"event":"model_load","model":"fraud","error":"no such file","load_time":"1.5s"}"#,
    ];
    let lines = lines.map(|line| line.replace('\n', ""));
    let rows = rows_of(Schema::ModelEvents, &lines.each_ref().map(String::as_str));
    for (column, value) in [
        ("event", text("loaded")),
        ("message", text("model_loaded")),
        ("model_name", text("fraud")),
        ("model_version", text("3")),
        ("load_ms", Value::F64(1834.0)),
        ("device", text("cuda:0")),
        ("bytes", Value::I64(0)),
        ("sample_weight", Value::F64(1.0)),
        // What has no column here stays as it was said.
        ("attributes", text(r#"{"latency_ms":2.50,"level":"info"}"#)),
    ] {
        assert_eq!(rows[0].get(column), Some(&value), "{column}");
    }
    assert!(!rows[0].contains_key("request_id"));
    assert_eq!(
        (&rows[1]["event"], &rows[2]["event"]),
        (&text("load_failed"), &text("load_failed"))
    );
    assert_eq!(rows[2]["error_message"], text("no such file"));
    assert_eq!(rows[2]["load_ms"], Value::F64(1500.0));
}

#[test]
fn what_data_was_found_to_be_like() {
    let lines = [
        r#"{"event":"data_validation","dataset":"live","n_rows":1200,
            "null_rates":{"amount":0.0,"country":0.25},"drift_scores":{"amount":0.3},
            "window_start":"2026-01-04T10:00:00Z","features":["amount","country"]}"#,
        r#"{"event":"drift_detected","feature":"age","psi":0.31,"drift_detected":true,"model":"m"}"#,
    ];
    let lines = lines.map(|line| line.replace('\n', ""));
    let rows = rows_of(Schema::DataProfiles, &lines.each_ref().map(String::as_str));
    assert_eq!(rows.len(), 3);
    for (column, value) in [
        ("feature", text("amount")),
        ("null_rate", Value::F64(0.0)),
        ("drift_score", Value::F64(0.3)),
        ("dataset", text("live")),
        ("n", Value::I64(1200)),
        ("window_start", Value::I64(1_767_520_800_000_000)),
        ("row_index", Value::I64(0)),
        ("attributes", text(r#"{"features":["amount","country"]}"#)),
    ] {
        assert_eq!(rows[0].get(column), Some(&value), "{column}");
    }
    assert_eq!((&rows[1]["feature"], &rows[1]["null_rate"]), (&text("country"), &Value::F64(0.25)));
    assert_eq!(rows[1]["record_id"], text("0000000000000007-0000000000000000.1"));
    assert!(!rows[1].contains_key("drift_score"));
    assert_eq!((&rows[2]["psi"], &rows[2]["is_drift"]), (&Value::F64(0.31), &Value::Bool(true)));
    assert_eq!(rows[2]["model_name"], text("m"));
}

#[test]
fn what_sampling_saw() {
    let line = r#"{"event":"sampling_window","level":"info","timestamp":"2026-01-04T10:30:00Z",
        "window_start":"2026-01-04T10:29:00Z","window_end":"2026-01-04T10:30:00Z",
        "replica":"r","tier":"prediction_logs","stratum":"prediction","rule":"rate","seen":100,
        "kept":10,"sampled_out":90}"#
        .replace('\n', "");
    let row = &rows_of(Schema::SamplingWindows, &[&line])[0];
    for (column, value) in [
        ("event_ts", Value::I64(1_767_522_540_000_000)),
        ("window_start", Value::I64(1_767_522_540_000_000)),
        ("window_end", Value::I64(1_767_522_600_000_000)),
        ("seen", Value::I64(100)),
        ("sampled_out", Value::I64(90)),
        ("rule", text("rate")),
    ] {
        assert_eq!(row.get(column), Some(&value), "{column}");
    }
    assert!(!row.contains_key("attributes") && !row.contains_key("sink"));
}

/// A clock that was set in between: the row would be refused.
#[test]
fn a_window_from_another_time() {
    for start in ["1970-01-01T00:00:10Z", "2031-01-04T10:29:00Z"] {
        let line = format!(r#"{{"window_start":"{start}","window_end":"2026-01-04T10:30:00Z"}}"#);
        let row = &rows_of(Schema::SamplingWindows, &[&line])[0];
        assert_eq!(row["event_ts"], Value::I64(NOW_NS / 1000), "{start}");
        assert_ne!(row["window_start"], row["event_ts"]);
        let errors = row["logging_errors"].as_list().expect("a list");
        assert_eq!(errors, [text("CLOCK_CLAMPED")]);
    }
}

/// By insertAll each row of an event is known by an id of its own, as in the other tables.
#[test]
fn rows_of_insert_all() {
    let line = r#"{"event":"data_validation","null_rates":{"amount":0.0,"country":0.25}}"#;
    let sink = sink_by(Api::InsertAll, Schema::DataProfiles, "attributes");
    let body = encoded(&sink, &batch(&[line]));
    let whole = [&body.bytes[..], &body.parts[0], &body.parts[1]].concat();
    let request: serde_json::Value = serde_json::from_slice(&whole).expect("JSON");
    let found = request["rows"].as_array().expect("rows");
    let ids: Vec<&str> = found.iter().filter_map(|row| row["insertId"].as_str()).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    for (row, (feature, rate)) in found.iter().zip([("amount", 0.0), ("country", 0.25)]) {
        assert_eq!(row["json"]["record_id"], row["insertId"]);
        assert_eq!(
            (&row["json"]["feature"], &row["json"]["null_rate"]),
            (&feature.into(), &rate.into())
        );
    }
}
