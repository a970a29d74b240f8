//! Tables that are there already: those that rows fit into, and those that nothing is written to.

use std::cell::Cell;

use serde_json::{Value, json};

use super::super::fake_bigquery::{Act, CallAct, Outcome, RestAct, StorageErrorCode, code};
use super::*;

/// What a table of somebody else may be like.
const FEW: [(&str, &str); 6] = [
    ("event_ts", "TIMESTAMP"),
    ("request_id", "STRING"),
    ("record_id", "STRING"),
    ("model_name", "STRING"),
    ("own_note", "STRING"),
    ("attributes", "JSON"),
];

fn partitioning(ms: &str) -> Value {
    json!({ "type": "DAY", "field": "event_ts", "expirationMs": ms })
}

const DAYS_90: &str = "7776000000";

fn resource(columns: &[(&str, &str)]) -> Value {
    let field = |(name, kind): &(&str, &str)| json!({ "name": name, "type": kind });
    json!({
        "schema": { "fields": columns.iter().map(field).collect::<Vec<_>>() },
        "timePartitioning": partitioning(DAYS_90),
    })
}

/// What has no column goes to the JSON column, by the name that its column would have.
#[test]
fn fewer_and_other_columns() {
    let bigquery = BigQuery::start();
    bigquery.fake.make_table(TABLE, resource(&FEW));
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    daemon.stop();
    bigquery.assert_once(ids(0..100));
    for (n, row) in bigquery.rows().iter().enumerate() {
        assert_eq!(row.len(), FEW.len());
        assert_eq!((&row["model_name"], &row["own_note"]), (&json!("fraud"), &Value::Null));
        let rest: Value =
            serde_json::from_str(row["attributes"].as_str().expect("JSON")).expect("JSON");
        assert_eq!(rest["note"], json!(format!("own {n}")));
        assert_eq!(rest["service"], json!("fraud-detector"));
        assert_eq!(rest["latency_ms"], json!((n % 40) as f64));
        assert_eq!(rest["features"]["region"], json!(format!("eu-{}", n % 3)));
        assert_eq!(rest.get("request_id"), None);
    }
    assert!(bigquery.fake.called().iter().all(|one| one.method == "GET"), "nothing is changed");
}

/// Columns are added behind those that there are, also when somebody else changes the table
/// between the look and the change, and when writers see them late.
#[test]
fn columns_are_added() {
    let bigquery = BigQuery::start();
    let mut own = resource(&FEW);
    own["schema"]["fields"][4]["description"] = json!("what we think");
    own["schema"]["fields"][1]["policyTags"] = json!({ "names": ["secret"] });
    bigquery.fake.make_table(TABLE, own);
    // Twice the first change comes too late.
    bigquery.fake.will_rest([RestAct::Serve, RestAct::Say(412, "conditionNotMet".to_owned())]);
    bigquery.fake.lag_schemas(true);
    let mut place = Place::with(&bigquery.config(", add_columns: true"));
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    let is_refused = |one: &super::super::fake_bigquery::Append| {
        one.outcome == Outcome::Refused(code::INVALID_ARGUMENT)
    };
    until("some that are not seen", || {
        bigquery.fake.appends().iter().filter(|o| is_refused(o)).count() > 1
    });
    bigquery.fake.lag_schemas(false);
    delivered(&daemon, 100);
    place.append("model.log", &predictions(100..150));
    delivered(&daemon, 150);
    daemon.stop();
    bigquery.assert_once(ids(0..150));
    assert_eq!(bigquery.fake.streams().len(), 1);
    let table = &bigquery.fake.tables()[TABLE];
    let names: Vec<&str> = table["schema"]["fields"]
        .as_array()
        .expect("columns")
        .iter()
        .map(|column| column["name"].as_str().expect("a name"))
        .collect();
    let before: Vec<&str> = FEW.iter().map(|(name, _)| *name).collect();
    assert_eq!(names[..FEW.len()], before);
    let fields = &table["schema"]["fields"];
    assert_eq!(fields[4]["description"], "what we think");
    assert_eq!(fields[1]["policyTags"]["names"][0], "secret");
    assert!(names.len() > 60 && names.contains(&"latency_ms"), "{names:?}");
    let patches = bigquery.fake.called();
    let patches: Vec<_> = patches.iter().filter(|one| one.method == "PATCH").collect();
    assert_eq!(patches.iter().map(|one| one.status).collect::<Vec<_>>(), [412, 200]);
    assert!(patches.iter().all(|one| one.headers.contains_key("if-match")));
    assert_eq!(bigquery.rows()[0]["latency_ms"], json!(0.0));
}

/// A refusal that a schema which is not seen yet causes, and a kill upon it: the next body is not
/// taken for the one before.
#[test]
fn a_kill_while_columns_are_not_seen() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    let unseen = Act::SayError(code::INVALID_ARGUMENT, StorageErrorCode::SchemaMismatchExtraFields);
    bigquery.fake.will([unseen, Act::Serve, Act::Hang]);
    place.append("model.log", &predictions(50..100));
    delivered(&daemon, 100);
    place.append("model.log", &predictions(100..150));
    until("the next body", || bigquery.fake.appends().len() >= 4);
    daemon.kill();
    bigquery.fake.recover();
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("nothing waits", |m| m.route("spooled_events", TIER, "bq") == 0);
    daemon.stop();
    bigquery.assert_once(ids(0..150));
    assert_eq!(bigquery.fake.streams().len(), 1);
}

/// The table changes while a body is stored and not answered: that body is asked for as it was.
#[test]
fn columns_that_go_while_an_answer_is_lost() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    let seen = Cell::new(bigquery.n_rows());
    bigquery.fake.will([Act::StoreAndBreak, Act::say(code::NOT_FOUND)]);
    bigquery.fake.will_rest([RestAct::Hang]);
    place.append("model.log", &predictions(50..100));
    until("the look at the table", || {
        bigquery.fake.called().iter().filter(|one| one.method == "GET").count() >= 2
    });
    assert!(bigquery.n_rows() > seen.get());
    let mut other = bigquery.fake.tables()[TABLE].clone();
    let fields = other["schema"]["fields"].as_array_mut().expect("columns");
    fields.retain(|column| column["name"] != "latency_ms");
    bigquery.fake.alter_table(TABLE, &other);
    bigquery.fake.recover();
    place.append("model.log", &predictions(100..150));
    delivered(&daemon, 150);
    daemon.stop();
    bigquery.assert_once(ids(0..150));
}

/// The table is made anew with other columns again and again before a body comes through.
#[test]
fn columns_that_change_often() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    bigquery.fake.make_table(TABLE, resource(&FEW));
    place.append("model.log", &predictions(0..1));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 1);
    bigquery.fake.will([
        Act::say(code::NOT_FOUND),
        Act::say(code::NOT_FOUND),
        Act::say(code::NOT_FOUND),
    ]);
    bigquery.fake.will_rest([RestAct::Hang]);
    place.append("model.log", &predictions(1..100));
    for (n, name) in ["service", "latency_ms", "confidence"].into_iter().enumerate() {
        until("the look at the table", || {
            bigquery.fake.called().iter().filter(|one| one.method == "GET").count() >= n + 2
        });
        let mut other = bigquery.fake.tables()[TABLE].clone();
        let kind = if name == "service" { "STRING" } else { "FLOAT" };
        let column = json!({ "name": name, "type": kind, "mode": "NULLABLE" });
        other["schema"]["fields"].as_array_mut().expect("columns").push(column);
        bigquery.fake.alter_table(TABLE, &other);
        bigquery.fake.will_rest([RestAct::Hang]);
        bigquery.fake.release();
    }
    bigquery.fake.recover();
    delivered(&daemon, 100);
    daemon.stop();
    bigquery.assert_once(ids(0..100));
}

/// Tables that keep rows for another time, or cannot hold them: nothing is written, people are told
/// what to do, and once it is done all rows flow.
#[test]
fn tables_that_nothing_is_written_to() {
    let mut shorter = resource(&FEW);
    shorter["timePartitioning"] = partitioning("86400000");
    let mut for_ever = resource(&FEW);
    for_ever["timePartitioning"] = json!({ "type": "DAY", "field": "event_ts" });
    let mut whole = resource(&FEW);
    whole["expirationTime"] = json!("1999999999999");
    let mut unpartitioned = resource(&FEW);
    unpartitioned.as_object_mut().expect("an object").remove("timePartitioning");
    let mut others = FEW;
    others[3] = ("model_name", "INT64");
    let mut required = resource(&FEW);
    required["schema"]["fields"][4]["mode"] = json!("REQUIRED");
    for (table, words) in [
        (shorter, vec!["expire after 1.0 days", "90.0 days", "bq update"]),
        (for_ever, vec!["never expire", "bq update", "7776000"]),
        (whole, vec!["expiration time", "bq update --expiration 0"]),
        (unpartitioned, vec!["not partitioned", "PARTITION BY"]),
        (resource(&others), vec!["column model_name is", "INT64", "STRING"]),
        (required, vec!["own_note is REQUIRED", "NULLABLE"]),
        (resource(&FEW[..5]), vec!["no column", "attributes", "add_columns: true"]),
    ] {
        assert_refused_until_mended(&table, &words);
    }
}

#[track_caller]
fn assert_refused_until_mended(table: &Value, words: &[&str]) {
    let bigquery = BigQuery::start();
    bigquery.fake.make_table(TABLE, table.clone());
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    let status = told(&daemon, "unauthorised");
    let told_all = words.iter().all(|word| status.contains(word));
    assert!(told_all, "{words:?}: {status}");
    let metrics = daemon.metrics_when("all is spooled", |metrics| {
        metrics.route("spooled_events", TIER, "bq") == 100 && metrics.is_balanced()
    });
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 0);
    daemon.stop();
    assert!(bigquery.fake.appends().is_empty() && bigquery.fake.calls().is_empty());
    assert!(bigquery.fake.called().iter().all(|one| one.method == "GET"));
    bigquery.fake.alter_table(TABLE, &resource(&FEW));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    daemon.stop();
    bigquery.assert_once(ids(0..100));
}

/// A table that is not there and may not be made, and a data set that is not there.
#[test]
fn tables_that_are_not_there() {
    for (more, table, words) in [
        (", create_table: false", TABLE, "create_table: true"),
        ("", "nowhere.predictions", "Not found: Dataset test:nowhere"),
    ] {
        let bigquery = BigQuery::start();
        let mut place = Place::with(&bigquery.config(more).replace(TABLE, table));
        place.append("model.log", &predictions(0..10));
        let mut daemon = place.daemon(&[]);
        let status = told(&daemon, "unauthorised");
        assert!(status.contains(words), "{status}");
        daemon.stop();
        bigquery.assert_sound();
        bigquery.fake.make_table(TABLE, resource(&FEW));
        place.configure(&bigquery.config(more));
        let mut daemon = place.daemon(&[]);
        delivered(&daemon, 10);
        daemon.stop();
        bigquery.assert_once(ids(0..10));
    }
}

/// Another one makes the same table at the same time; and every call fails once.
#[test]
fn a_table_that_somebody_else_makes() {
    for act in [
        RestAct::Say(409, "duplicate".to_owned()),
        RestAct::Say(503, "backendError".to_owned()),
        RestAct::Say(403, "rateLimitExceeded".to_owned()),
        RestAct::Break,
        RestAct::DoAndBreak,
    ] {
        let bigquery = BigQuery::start();
        let mut place = Place::with(&bigquery.config(""));
        bigquery.fake.will_rest([RestAct::Serve, act.clone()]);
        bigquery.fake.will_call([CallAct::Serve]);
        place.append("model.log", &predictions(0..50));
        let mut daemon = place.daemon(&[]);
        delivered(&daemon, 50);
        daemon.stop();
        bigquery.assert_once(ids(0..50));
    }
}

/// Nobody's permission: told, and nothing is lost.
#[test]
fn permission_denied() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    bigquery.fake.will([Act::fail(code::PERMISSION_DENIED)]);
    place.append("model.log", &predictions(50..100));
    let status = told(&daemon, "unauthorised");
    assert!(status.contains("PERMISSION_DENIED told to"), "{status}");
    daemon.stop();
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("nothing waits", |m| m.route("spooled_events", TIER, "bq") == 0);
    daemon.stop();
    bigquery.assert_once(ids(0..100));
    assert_eq!(bigquery.fake.streams().len(), 1);
}
