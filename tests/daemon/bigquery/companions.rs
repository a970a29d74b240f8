//! Companion tables: each kind of event that has one goes there by its tier, and sampling says what
//! it saw.

use serde_json::json;

use super::super::files::text;
use super::super::rig::{Place, until};
use super::{BigQuery, TABLE, TIER, id, predictions, word};

/// A tier for each kind that has a table, beside the predictions, of which a tenth is kept.
fn config(bq: &BigQuery) -> String {
    let (grpc, rest) = (bq.fake.grpc_url(), bq.fake.rest_url());
    let sink = |name: &str, table: &str| {
        format!(
            "  {name}: {{ type: bigquery, table: test.{table}, anonymous: true, endpoint: \"{grpc}\", \
             rest_endpoint: \"{rest}\", batch: {{ max_age: 20ms }} }}\n"
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

#[test]
fn each_kind_has_its_table_and_sampling_says_what_it_saw() {
    let bq = BigQuery::start();
    let mut place = Place::with(&config(&bq));
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
