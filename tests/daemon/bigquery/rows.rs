//! Rows and the table that they land in: values, offsets, batches of predictions.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::super::fake_bigquery::{Act, Outcome};
use super::*;

/// The table is made as the tier says; each row has what its line says, and each append begins
/// where the one before ended.
#[test]
fn a_table_is_made_and_rows_land_once() {
    let bigquery = BigQuery::start();
    let labels = ", labels: { team: fraud }";
    let mut place = Place::with(&bigquery.config(labels));
    place.append("model.log", &predictions(0..300));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 300);
    place.append("model.log", &predictions(300..600));
    let metrics = delivered(&daemon, 600);
    assert_eq!(metrics.route("retries_total", TIER, "bq"), 0);
    daemon.stop();
    bigquery.assert_once(ids(0..600));

    let table = &bigquery.fake.tables()[TABLE];
    let partitioning = json!({ "type": "DAY", "field": "event_ts", "expirationMs": "7776000000" });
    assert_eq!(table["timePartitioning"], partitioning);
    assert_eq!(table["requirePartitionFilter"], true);
    let clustering = json!({ "fields": ["model_name", "request_id", "model_version"] });
    assert_eq!(table["clustering"], clustering);
    assert_eq!(table["labels"], json!({ "team": "fraud", "sidewake_tier": TIER }));
    let n_columns = sidewake::sinks::row::Row::SHAPES.len();
    assert_eq!(table["schema"]["fields"].as_array().map(Vec::len), Some(n_columns));

    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    for (n, row) in bigquery.rows().iter().enumerate() {
        assert_values(n, row, now);
    }
    let appends = bigquery.fake.appends();
    assert_eq!(bigquery.fake.streams().len(), 1);
    let mut next = 0;
    for append in &appends {
        assert_eq!(append.outcome, Outcome::Stored);
        assert_eq!(append.offset, Some(next));
        assert!(append.trace_id.starts_with("sidewake:"), "{}", append.trace_id);
        next += append.n_rows as i64;
    }
    assert_eq!(next, 600);
    assert!(appends.iter().all(|one| one.connection == appends[0].connection));
}

fn assert_values(n: usize, row: &Row, now: Duration) {
    assert_eq!(row["request_id"], json!(format!("r-{n}")));
    assert_eq!(row["model_name"], json!("fraud"));
    assert_eq!(row["model_version"], json!(format!("v{}", n % 2)));
    // JSON columns keep every digit.
    let features = format!(r#"{{"amount":{n}.50,"region":"eu-{}"}}"#, n % 3);
    assert_eq!(row["features"], json!(features));
    assert_eq!(row["prediction_label"], json!(["yes", "no"][n % 2]));
    assert_eq!(row["confidence"], json!(0.25 + (n % 2) as f64 / 2.0));
    assert_eq!(row["latency_ms"], json!((n % 40) as f64));
    assert_eq!(row["service"], json!("fraud-detector"));
    assert_eq!(row["record_kind"], json!("prediction"));
    assert_eq!(row["sample_weight"], json!(1.0));
    assert_eq!(row["logging_errors"], json!([]));
    assert_eq!(row["session_id"], json!(null));
    let rest: serde_json::Value =
        serde_json::from_str(row["attributes"].as_str().expect("JSON")).expect("JSON");
    assert_eq!(rest["note"], json!(format!("own {n}")));
    let age = now.as_micros() as i64 - row["event_ts"].as_i64().expect("a time");
    assert!((0..600_000_000).contains(&age), "{age}");
}

/// One event of many rows: each its own record, all of one request, and those of an event that is
/// refused are refused together.
#[test]
fn a_batch_of_predictions_is_a_row_each() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    let line = |n: usize| {
        let rows = |of: &dyn Fn(usize) -> String| (0..4).map(of).collect::<Vec<_>>().join(",");
        format!(
            r#"{{"event":"prediction","request_id":"b-{n}","model":"fraud","instances":[{}],"predictions":[{}]}}"#,
            rows(&|row| format!(r#"{{"amount":{row}}}"#)),
            rows(&|row| format!("0.{row}")),
        )
    };
    place.append("model.log", &text(&(0..50).map(line).collect::<Vec<_>>()));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    daemon.stop();
    bigquery.assert_sound();
    assert_eq!(bigquery.n_rows(), 200);
    assert!(bigquery.times().values().all(|n| *n == 4));
    let records: BTreeSet<String> =
        bigquery.rows().iter().map(|row| word(row, "record_id")).collect();
    assert_eq!(records.len(), 200);
    for row in bigquery.rows() {
        assert_eq!(row["batch_size"], json!(4), "{row:?}");
        assert!(row["row_index"].as_i64().is_some_and(|n| (0..4).contains(&n)));
    }
}

/// The rows that BigQuery names are dead letters with the
/// reason, and all others are stored.
#[test]
fn bad_rows_are_dead_letters_and_their_neighbours_land() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(", batch: { max_age: 500ms }").replacen(
        "batch: { max_age: 20ms }, ",
        "",
        1,
    ));
    bigquery.fake.will([Act::RowErrors(vec![7])]);
    place.append("model.log", &predictions(0..500));
    let mut daemon = place.daemon(&[]);
    let metrics = settled(&daemon, 500);
    assert_eq!(metrics.route("delivered_events_total", TIER, "bq"), 499);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 1);
    daemon.stop();
    assert_eq!(bigquery.fake.appends()[0].n_rows, 500, "one body");
    bigquery.assert_once(ids(0..500).filter(|id| id != "r-7"));
    let letters = letters(&place);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].0.contains(r#""r-7""#), "{letters:?}");
    assert!(letters[0].1.contains("told to"), "{letters:?}");
    assert_eq!(bigquery.fake.streams().len(), 1);
}

/// The rows of one event are refused together, whichever of them is bad; two bad ones of an event
/// are one letter.
#[test]
fn bad_rows_of_batches_take_their_event_along() {
    let bigquery = BigQuery::start();
    // A prediction alone would wait for its request, and come behind the others.
    let mut place = Place::with(&bigquery.config(", join_window: 0s"));
    let line = |n: usize| {
        format!(
            r#"{{"event":"prediction","request_id":"b-{n}","model":"fraud","predictions":[0.1,0.2,0.3]}}"#
        )
    };
    let single = r#"{"event":"prediction","request_id":"one","model":"fraud","prediction":1}"#;
    let mut lines = vec![single.to_owned()];
    lines.extend((0..30).map(line));
    // Rows 1 to 3 are those of b-0, and so on: b-1 twice, b-20 once.
    bigquery.fake.will([Act::RowErrors(vec![4, 6, 62])]);
    place.append("model.log", &text(&lines));
    let mut daemon = place.daemon(&[]);
    let metrics = settled(&daemon, 31);
    assert_eq!(metrics.route("delivered_events_total", TIER, "bq"), 29);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 2);
    daemon.stop();
    bigquery.assert_sound();
    let times = bigquery.times();
    assert_eq!(times["one"], 1);
    for n in 0..30 {
        let expected = if [1, 20].contains(&n) { None } else { Some(&3) };
        assert_eq!(times.get(&format!("b-{n}")), expected, "b-{n}");
    }
    let found: Vec<String> = letters(&place).into_iter().map(|(text, _)| text).collect();
    assert_eq!(found, [lines[2].clone(), lines[21].clone()]);
}

/// Text and reason of each dead letter.
pub(super) fn letters(place: &Place) -> Vec<(String, String)> {
    let (code, printed, err) = place.output(&["spool", "dead-letters", "spool"]);
    assert_eq!(code, 0, "{err}");
    let each = printed.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let field = |name: &str| line[name].as_str().expect("text").to_owned();
        (field("text"), field("reason"))
    });
    each.collect()
}

/// Each row says what protection did to which field.
#[test]
fn what_was_redacted() {
    let bq = BigQuery::start();
    let mut place = Place::with(&bq.config(""));
    place.append(
        "model.log",
        &text(&[r#"{"event":"prediction","request_id":"r-0","model":"m","prediction":"ok","features":{"mails":["a@example.com","b@example.com"],"password":"hunter2"}}"#.to_owned()]),
    );
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 1);
    daemon.stop();
    let row = &bq.rows()[0];
    assert_eq!(
        row["redactions"],
        json!([
            { "path": "features.mails.*", "entity": "email", "action": "mask", "n": 2 },
            { "path": "features.password", "entity": null, "action": "mask", "n": 1 },
        ]),
        "{row:?}"
    );
    assert_eq!(row["redaction_policy"], json!(TIER));
}
