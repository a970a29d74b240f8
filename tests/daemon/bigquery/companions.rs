//! Companion tables: each kind of event that has one goes there by its tier, and sampling says what
//! it saw. And what tables have in common: one connection, on which none pays for another.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::fake_bigquery::{Act, code};

use super::super::files::text;
use super::super::rig::{Place, until};
use super::{BigQuery, TABLE, TIER, id, predictions, word};

/// A tier for each kind that has a table, beside the predictions, of which a tenth is kept.
fn config(bq: &BigQuery, more: &str) -> String {
    let (grpc, rest) = (bq.fake.grpc_url(), bq.fake.rest_url());
    let sink = |name: &str, table: &str| {
        format!(
            "  {name}: {{ type: bigquery, table: test.{table}, anonymous: true, endpoint: \"{grpc}\", \
             rest_endpoint: \"{rest}\", batch: {{ max_age: 20ms }}{more} }}\n"
        )
    };
    let sinks = [
        sink("bq", TABLE),
        sink("models", "ml.model_events"),
        sink("profiles", "ml.data_profiles"),
        sink("windows", "ml.sampling_windows"),
    ];
    format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n{}\
         sample: {{ rate: {{ prediction: 10%, application: 50% }}, keep: ['confidence < 0.5'] }}\n\
         tiers:\n  \
           {TIER}: {{ sinks: [bq] }}\n  \
           model_events: {{ kinds: [model], retention: 90 days, sinks: [models] }}\n  \
           data_profiles: {{ kinds: [data], retention: 1 year, sinks: [profiles] }}\n  \
           sampling_windows: {{ kinds: [sampling], retention: 90 days, sinks: [windows] }}\n  \
           application_logs: {{ retention: 90 days, sinks: [bq] }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        sinks.concat()
    )
}

/// Lines of each kind that has a table.
fn of_each_kind(n: usize) -> String {
    let line = |n: usize| {
        let prediction = predictions(n..n + 1).trim_end().to_owned();
        let load = format!(r#"{{"event":"model_loaded","model":"fraud","load_time_ms":{n}}}"#);
        let check = format!(r#"{{"event":"data_validation","dataset":"live","n_rows":{n}}}"#);
        [prediction, load, check]
    };
    text(&(0..n).flat_map(line).collect::<Vec<_>>())
}

/// At least once, rows of all tables go by one connection; and where that ends, each is told what
/// is said of it alone.
#[test]
fn tables_share_a_connection() {
    let bq = BigQuery::start();
    let fast = ", delivery: at_least_once, retry: { initial: 20ms, max: 100ms }";
    let mut place = Place::with(&config(&bq, fast).replace("prediction: 10%", "prediction: 100%"));
    let n_rows = || {
        let of = |table: &str| bq.fake.n_rows(&format!("ml.{table}"));
        (bq.n_rows(), of("model_events"), of("data_profiles"))
    };
    place.append("model.log", &of_each_kind(20));
    let mut daemon = place.daemon(&[]);
    until("all rows", || n_rows() == (20, 20, 20));
    let appends = bq.fake.appends();
    let distinct = |of: fn(&super::super::fake_bigquery::Append) -> String| {
        appends.iter().map(of).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(distinct(|append| append.rpc.to_string()), 1, "one connection");
    assert_eq!(distinct(|append| append.stream.clone()), 3, "of three tables");

    // One of them is denied while others wait: none of those is taken to be.
    bq.fake.will([Act::Slow(100), Act::fail(code::PERMISSION_DENIED)]);
    place.append("model.log", &of_each_kind(20));
    until("all rows", || {
        let (predictions, models, profiles) = n_rows();
        predictions >= 40 && models >= 40 && profiles >= 40
    });
    daemon.stop();
    bq.assert_sound();
}

#[test]
fn each_kind_has_its_table_and_sampling_says_what_it_saw() {
    let bq = BigQuery::start();
    let mut place = Place::with(&config(&bq, ""));
    let n = 400;
    let others = [
        r#"{"event":"model_loaded","model":"fraud","model_version":"v1","load_time_ms":1834}"#,
        r#"{"event":"data_validation","dataset":"live","n_rows":9,"null_rates":{"amount":0.5,"age":0}}"#,
        "plain words",
    ];
    place.append("model.log", &(predictions(0..n) + &text(&others.map(str::to_owned))));
    let mut daemon = place.daemon(&[]);
    let rows = |table: &str| bq.fake.rows(&format!("ml.{table}"));
    until("all companions", || rows("model_events").len() + rows("data_profiles").len() == 3);
    daemon.metrics_when("all is delivered", |metrics| {
        metrics.route("events_total", TIER, "bq") == n as u64
            && metrics.route("spooled_events", TIER, "bq") == 0
    });
    daemon.stop();
    bq.assert_sound();

    let model = &rows("model_events")[0];
    assert_eq!((&model["event"], &model["load_ms"]), (&json!("loaded"), &json!(1834.0)));
    assert_eq!(model["service"], "fraud-detector");
    let profiles = rows("data_profiles");
    let rates: Vec<_> = profiles.iter().map(|row| (&row["feature"], &row["null_rate"])).collect();
    assert_eq!(rates, [(&json!("age"), &json!(0.0)), (&json!("amount"), &json!(0.5))]);

    // What was seen is what there was, and what was kept is what can be counted in the table.
    let windows = rows("sampling_windows");
    let sum = |stratum: &str, rule: Option<&str>, column: &str| -> i64 {
        let is_meant = |row: &&super::Row| {
            row.get("stratum") == Some(&json!(stratum))
                && rule.is_none_or(|rule| row["rule"] == json!(rule))
        };
        windows.iter().filter(is_meant).map(|row| row[column].as_i64().expect("a count")).sum()
    };
    assert_eq!(sum("prediction", None, "seen"), n as i64);
    let is_prediction = |row: &&super::Row| row["record_kind"] == json!("prediction");
    let all = bq.rows();
    let stored: Vec<_> = all.iter().filter(is_prediction).collect();
    assert_eq!(sum("prediction", None, "kept"), stored.len() as i64);
    assert_eq!(sum("prediction", None, "sampled_out"), (n - stored.len()) as i64);
    let kept_by =
        |rule: &str| stored.iter().filter(|row| row["sample_rule"] == json!(rule)).count();
    for rule in ["confidence < 0.5", "rate"] {
        assert_eq!(sum("prediction", Some(rule), "kept"), kept_by(rule) as i64, "{rule}");
    }
    // Each second one has a confidence of 0.25.
    assert_eq!(sum("prediction", Some("confidence < 0.5"), "seen"), n as i64 / 2);
    assert_eq!((sum("model", None, "kept"), sum("data", None, "kept")), (1, 1));
    assert_eq!(sum("application", None, "seen"), 1);
    assert!(windows.iter().all(|row| word(row, "service") == "fraud-detector"));
    assert!(stored.iter().any(|row| word(row, "request_id") == id(0)));
}

/// The local store has the same columns, and finds requests by them.
#[test]
fn the_store_has_the_same_columns() {
    let mut place = Place::with(
        "service: { name: fraud-detector }\n\
         sources: { logs: { type: file, include: [\"@/model.log\"] } }\n\
         sinks: { store: { type: files, path: \"@/store\", \
         formats: { models: parquet, profiles: parquet } } }\n\
         tiers: { models: { kinds: [model] }, profiles: { kinds: [data] } }\n\
         spool: { type: disk, path: \"@/spool\" }\n",
    );
    let lines = [
        r#"{"event":"model_loaded","model":"m","load_time_ms":12.5,"warm":true,"request_id":"r-9"}"#,
        r#"{"event":"data_validation","null_rates":{"age":0.5},"request_id":"r-9"}"#,
    ];
    place.append("model.log", &text(&lines.map(str::to_owned)));
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("both came", |metrics| {
        let of = |tier| metrics.route("events_total", tier, "store");
        of("models") == 1 && of("profiles") == 1
    });
    daemon.stop();
    let files = place.files("store");
    let of = |tier: &str| {
        let is_of = |path: &&std::path::PathBuf| path.to_string_lossy().contains(tier);
        let found = files.iter().find(is_of).and_then(|path| path.extension());
        found.is_some_and(|extension| extension == "parquet")
    };
    assert!(of("/models/") && of("/profiles/"), "{files:?}");
    let (code, out, err) = place.output(&["show", "r-9", "--config", "sidewake.yaml", "--json"]);
    assert_eq!(code, 0, "{err}");
    let found: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let fields: Vec<&serde_json::Value> =
        found["found"].as_array().expect("a list").iter().map(|one| &one["fields"]).collect();
    let has = |column: &str, value: serde_json::Value| {
        fields.iter().any(|fields| fields[column] == value)
    };
    assert!(has("event", json!("loaded")) && has("load_ms", json!(12.5)), "{out}");
    assert!(has("feature", json!("age")) && has("null_rate", json!(0.5)), "{out}");
    assert!(has("attributes", json!({ "warm": true })), "{out}");
}
