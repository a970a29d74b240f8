//! insertAll, for where there is no gRPC: the same rows, and each once whatever REST answers.

use serde_json::{Value, json};

use super::super::fake_bigquery::{Called, Options, RestAct};
use super::*;

/// As [`BigQuery::config`], by insertAll.
fn config(bigquery: &BigQuery, more: &str) -> String {
    let grpc = format!("endpoint: \"{}\", ", bigquery.fake.grpc_url());
    bigquery.config(&format!(", api: insert_all{more}")).replace(&grpc, "")
}

/// With bodies of all lines that are there at once.
fn slow(config: &str) -> String {
    config.replace("max_age: 20ms", "max_age: 500ms")
}

/// Requests that rows came by.
fn inserts(bigquery: &BigQuery) -> Vec<Called> {
    let is_insert = |one: &Called| one.path.ends_with("/predictions/insertAll");
    bigquery.fake.called().into_iter().filter(is_insert).collect()
}

fn n_rows(called: &Called) -> usize {
    called.body["rows"].as_array().map_or(0, Vec::len)
}

/// A table of somebody else, which keeps rows as long as the tier.
fn make_table(bigquery: &BigQuery, columns: &[(&str, &str, &str)]) {
    let mut table = json!({ "schema": super::super::fake_bigquery::schema::schema(columns) });
    table["timePartitioning"] =
        json!({ "type": "DAY", "field": "event_ts", "expirationMs": "7776000000" });
    bigquery.fake.make_table(TABLE, table);
}

fn insert_ids(called: &Called) -> Vec<String> {
    let rows = called.body["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["insertId"].as_str().expect("an id").to_owned()).collect()
}

/// Lines of all kinds: predictions, batches, scores, text, halves and who stays alone.
fn lines() -> String {
    let mut lines: Vec<String> = predictions(0..40).lines().map(str::to_owned).collect();
    for n in 0..10 {
        lines.push(format!(
            r#"{{"event":"request","request_id":"h-{n}","model":"fraud","features":{{"x":{n}.10}},"caller":"web"}}"#
        ));
        lines.push(format!(
            r#"{{"event":"prediction","request_id":"b-{n}","model":"fraud","instances":[{{"a":1}},{{"a":2}}],"predictions":[0.1,0.{n}]}}"#
        ));
        if n > 0 {
            lines.push(format!(
                r#"{{"event":"prediction","request_id":"h-{n}","model":"fraud","prediction":"yes","latency_ms":0,"input_tokens":0}}"#
            ));
        }
    }
    lines.push(
        r#"{"event":"prediction","request_id":"s","model":"m","features":{"t":"a\"b\\c\u0001é"},"prediction":"","class_scores":{"y":0.2,"n":0.8},"confidence":0.0,"flag":false}"#
            .to_owned(),
    );
    lines.push(
        r#"{"event":"prediction","request_id":"nan","prediction":NaN,"latency_ms":1}"#.to_owned(),
    );
    text(&lines)
}

/// Two sinks read the same events: column by column one way stores what the other does.
#[test]
fn rows_are_those_of_the_other_way() {
    let bigquery = BigQuery::start();
    let config = bigquery.config(", join_window: 2s");
    let (head, sink) = config.split_once("  bq: ").expect("the sink");
    let (sink, tail) = sink.split_once('\n').expect("the tiers");
    let grpc = format!("endpoint: \"{}\", ", bigquery.fake.grpc_url());
    let other = sink.replace(TABLE, "ml.inserted").replace(&grpc, "");
    let other = other.replace("join_window", "api: insert_all, join_window");
    let tail = tail.replace("[bq] }", "[bq, other] }, application_logs: { sinks: [screen] }");
    let other = format!("{other}\n  screen: {{ type: console }}");
    let mut place = Place::with(&format!("{head}  bq: {sink}\n  other: {other}\n{tail}"));
    place.append("model.log", &lines());
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("all is settled", |metrics| {
        ["bq", "other"].iter().all(|sink| {
            metrics.route("events_total", TIER, sink) >= 71
                && metrics.route("spooled_events", TIER, sink) == 0
        })
    });
    daemon.stop();
    bigquery.assert_sound();
    let sorted = |table: &str| {
        let mut rows = bigquery.fake.rows(table);
        rows.sort_by_key(|row| word(row, "record_id"));
        rows
    };
    let (appended, inserted) = (sorted(TABLE), sorted("ml.inserted"));
    assert_eq!(appended.len(), 40 + 20 + 10 + 2);
    assert_eq!(inserted.len(), appended.len());
    for (left, right) in appended.iter().zip(&inserted) {
        for (column, value) in left {
            assert_eq!(right[column], *value, "{column} of {left:?}");
        }
    }
    let of = |id: &str| inserted.iter().find(|row| row["request_id"] == id).expect("a row");
    let whole = of("h-3");
    assert_eq!(
        (&whole["record_kind"], &whole["features"]),
        (&json!("prediction"), &json!(r#"{"x":3.10}"#))
    );
    assert_eq!(of("h-0")["logging_errors"], json!(["NOT_JOINED"]));
    assert_eq!((&whole["input_tokens"], &whole["output_tokens"]), (&json!(0), &Value::Null));
    let (one, other) = (&bigquery.fake.tables()[TABLE], &bigquery.fake.tables()["ml.inserted"]);
    assert_eq!(
        (&one["schema"], &one["timePartitioning"]),
        (&other["schema"], &other["timePartitioning"])
    );
}

/// The table is made first; each request says what it must, and rows are known by their ids.
#[test]
fn a_table_is_made_and_rows_land() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&config(&bigquery, ""));
    place.append("model.log", &predictions(0..300));
    let mut daemon = place.daemon(&[]);
    let metrics = delivered(&daemon, 300);
    assert_eq!(metrics.route("retries_total", TIER, "bq"), 0);
    daemon.stop();
    bigquery.assert_once(ids(0..300));
    let called = bigquery.fake.called();
    let methods: Vec<&str> = called.iter().map(|one| &*one.method).take(3).collect();
    assert_eq!(methods, ["GET", "POST", "POST"]);
    assert!(bigquery.fake.appends().is_empty() && bigquery.fake.calls().is_empty());
    for called in inserts(&bigquery) {
        assert_eq!(called.headers["content-type"], "application/json");
        assert!(insert_ids(&called).iter().all(|id| (1..=128).contains(&id.len())));
    }
}

/// One row that BigQuery does not take, where it stores the others, and where it stops them.
#[test]
fn bad_rows_are_dead_letters_and_their_neighbours_land() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&slow(&config(&bigquery, "")));
    bigquery.fake.will_rest([RestAct::Serve, RestAct::Serve]);
    bigquery.fake.will_rest([RestAct::InsertErrors(vec![(7, "invalid".to_owned())])]);
    place.append("model.log", &predictions(0..500));
    let mut daemon = place.daemon(&[]);
    let metrics = settled(&daemon, 500);
    assert_eq!(metrics.route("delivered_events_total", TIER, "bq"), 499);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 1);
    daemon.stop();
    let all = inserts(&bigquery);
    assert_eq!(all.iter().map(n_rows).collect::<Vec<_>>(), [500], "none is sent again");
    bigquery.assert_once(ids(0..500).filter(|id| id != "r-7"));
    let letters = rows::letters(&place);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].0.contains(r#""r-7""#) && letters[0].1 == "invalid: told to", "{letters:?}");
}

#[test]
fn rows_that_are_stopped_are_sent_again() {
    let bigquery = BigQuery::start();
    let columns = [
        ("event_ts", "TIMESTAMP", "NULLABLE"),
        ("request_id", "STRING", "NULLABLE"),
        ("record_id", "STRING", "NULLABLE"),
        ("model_version", "STRING", "REQUIRED"),
        ("attributes", "JSON", "NULLABLE"),
    ];
    make_table(&bigquery, &columns);
    let mut place = Place::with(&slow(&config(&bigquery, "")));
    let bad = r#"{"event":"prediction","request_id":"bad","model":"m","features":{"x":1},"prediction":1}"#;
    place.append("model.log", &(predictions(0..250) + bad + "\n" + &predictions(250..499)));
    let mut daemon = place.daemon(&[]);
    let metrics = settled(&daemon, 500);
    assert_eq!(metrics.route("delivered_events_total", TIER, "bq"), 499);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 1);
    daemon.stop();
    let all = inserts(&bigquery);
    assert_eq!(all.iter().map(n_rows).collect::<Vec<_>>(), [500, 499]);
    let mut left = insert_ids(&all[0]);
    left.remove(250);
    assert_eq!(insert_ids(&all[1]), left, "unchanged");
    assert_eq!(bigquery.n_rows(), 499);
    assert!(bigquery.times().values().all(|n| *n == 1));
    let letters = rows::letters(&place);
    assert_eq!(letters[0].1, "invalid: model_version: Missing required field.");
}

/// Rows before, while and after `acts` are what BigQuery does: each lands once; how many retries
/// it took.
#[track_caller]
fn survived(what: &str, acts: impl IntoIterator<Item = RestAct>) -> (u64, BigQuery) {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&slow(&config(&bigquery, ", timeout: 1s")));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    bigquery.fake.will_rest(acts);
    place.append("model.log", &predictions(50..150));
    delivered(&daemon, 150);
    let metrics = daemon.metrics();
    daemon.stop();
    println!("{what}: {:?}", bigquery.fake.refusals());
    bigquery.assert_once(ids(0..150));
    (metrics.route("retries_total", TIER, "bq"), bigquery)
}

/// Whatever passes is waited for, and the very same rows with the same ids are sent again.
#[test]
fn errors_that_pass() {
    let say = |status, reason: &str| RestAct::Say(status, reason.to_owned());
    let rows = |rows: &[usize], reason: &str| {
        RestAct::InsertErrors(rows.iter().map(|row| (*row, reason.to_owned())).collect())
    };
    for act in [
        say(403, "rateLimitExceeded"),
        say(403, "quotaExceeded"),
        say(500, "backendError"),
        say(502, "backendError"),
        say(503, "backendError"),
        say(408, "timeout"),
        say(429, "rateLimitExceeded"),
        say(404, "notFound"),
        RestAct::Break,
        RestAct::DoAndBreak,
        RestAct::Hang,
        // Rows that were never sent: what is stored is known again.
        rows(&[100], "invalid"),
    ] {
        let name = format!("{act:?}");
        let (retries, bigquery) = survived(&name, [act]);
        assert_eq!(retries, 1, "{name}");
        let all = inserts(&bigquery);
        let [.., first, again] = &all[..] else { panic!("{name}") };
        assert_eq!(insert_ids(first), insert_ids(again), "{name}");
        assert_eq!(n_rows(first), 100, "{name}");
    }
    for (rows, n_again) in [(rows(&[3, 7], "stopped"), 2), (rows(&[0], "timeout"), 1)] {
        let name = format!("{rows:?}");
        let (_, bigquery) = survived(&name, [rows]);
        assert_eq!(inserts(&bigquery).last().map(n_rows), Some(n_again), "{name}");
    }
    // The body as a whole, and nobody says for the sake of which row.
    let (retries, bigquery) = survived("400", [say(400, "invalid")]);
    assert_eq!(retries, 0);
    assert_eq!(inserts(&bigquery).len(), 4);
}

/// Too large for BigQuery, or for something on the way: halves go, and a line that is too large by
/// itself is a dead letter.
#[test]
fn requests_that_are_too_large() {
    let bigquery = BigQuery::with(Options { request_bytes_max: 64 << 10, ..Options::default() });
    let mut place = Place::with(&slow(&config(&bigquery, "")));
    let long = "long ".repeat(16 << 10);
    let large = format!(
        r#"{{"event":"prediction","request_id":"large","model":"fraud","prediction":1,"features":{{"note":"{long}"}}}}"#
    );
    place.append("model.log", &(predictions(0..150) + &large + "\n" + &predictions(150..300)));
    let mut daemon = place.daemon(&[]);
    let metrics = settled(&daemon, 301);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 1);
    daemon.stop();
    bigquery.assert_once(ids(0..300));
    assert_eq!(rows::letters(&place)[0].1, "too_large");
}

/// A batch whose rows are more bytes than BigQuery takes at once, since each quote in them becomes
/// four bytes, is not even sent.
#[test]
fn what_is_over_the_limits_is_not_sent() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&config(&bigquery, ""));
    let (items, long) = (vec!["1"; 1500].join(","), "\\\"".repeat(2200));
    let batch = format!(
        r#"{{"event":"prediction","request_id":"many","model":"fraud","predictions":[{items}],"note":"{long}"}}"#
    );
    place.append("model.log", &(batch + "\n" + &predictions(0..20)));
    let mut daemon = place.daemon(&[]);
    let metrics = settled(&daemon, 21);
    assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 1);
    daemon.stop();
    bigquery.assert_once(ids(0..20));
    assert_eq!(bigquery.fake.refusals().len(), 1, "{:?}", bigquery.fake.refusals());
    assert_eq!(rows::letters(&place)[0].1, "too_large");
}

/// An answer that is too long to be read says nothing: halves are sent, and have shorter ones.
#[test]
fn answers_that_are_too_long() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&slow(&config(&bigquery, "")));
    let long = "long ".repeat(20_000);
    let errors = vec![(0, long.clone()), (1, long)];
    bigquery.fake.will_rest([RestAct::Serve, RestAct::Serve, RestAct::InsertErrors(errors)]);
    place.append("model.log", &predictions(0..2));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 2);
    daemon.stop();
    bigquery.assert_once(ids(0..2));
    assert_eq!(inserts(&bigquery).iter().map(n_rows).collect::<Vec<_>>(), [2, 1, 1]);
}

/// A token that is good no longer: another one is asked for at once.
#[test]
fn a_token_that_is_revoked() {
    let bigquery = BigQuery::with(Options { needs_token: true, ..Options::default() });
    let more = ", credentials: { file: \"@/account.json\" }";
    let mut place = Place::with(&config(&bigquery, more));
    std::fs::write(place.path("account.json"), bigquery.fake.user_json()).expect("written");
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    let n_tokens = bigquery.fake.n_tokens();
    bigquery.fake.revoke_tokens();
    place.append("model.log", &predictions(100..200));
    delivered(&daemon, 200);
    assert!(bigquery.fake.n_tokens() > n_tokens);
    daemon.stop();
    bigquery.assert_once(ids(0..200));
}

/// No right to write: the data stays, and the operator is told.
#[test]
fn access_that_is_denied() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&config(&bigquery, ""));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    bigquery.fake.will_rest([RestAct::Say(403, "accessDenied".to_owned())]);
    place.append("model.log", &predictions(50..100));
    assert!(told(&daemon, "unauthorised").contains("accessDenied"));
    daemon.stop();
}

/// The table goes while rows come: it is made anew.
#[test]
fn a_table_that_is_dropped() {
    let bigquery = BigQuery::start();
    faults::lands_in_a_new_table(&bigquery, &config(&bigquery, ""));
}

/// Columns that were just added are seen late where rows come in: no row is refused for that.
#[test]
fn columns_that_are_seen_late() {
    let bigquery = BigQuery::start();
    let columns = [
        ("event_ts", "TIMESTAMP", "NULLABLE"),
        ("request_id", "STRING", "NULLABLE"),
        ("record_id", "STRING", "NULLABLE"),
        ("attributes", "JSON", "NULLABLE"),
    ];
    make_table(&bigquery, &columns);
    bigquery.fake.lag_schemas(true);
    let mut place = Place::with(&config(&bigquery, ", add_columns: true"));
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    until("two requests", || inserts(&bigquery).len() > 1);
    bigquery.fake.lag_schemas(false);
    delivered(&daemon, 100);
    daemon.stop();
    assert_eq!(bigquery.n_rows(), 100);
    assert!(bigquery.times().values().all(|n| *n == 1));
    assert!(bigquery.rows().iter().all(|row| row["model_name"] == "fraud"));
}

/// Killed now and then: what was sent and not acknowledged is sent again with the same ids, by
/// which it is known.
#[test]
fn killed_and_begun_again() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&config(&bigquery, ""));
    for n in 0..5 {
        place.append("model.log", &predictions(n * 100..n * 100 + 100));
        let n_before = inserts(&bigquery).len();
        let mut daemon = place.daemon(&[]);
        until("a request", || inserts(&bigquery).len() > n_before);
        daemon.kill();
    }
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("nothing waits", |metrics| {
        metrics.route("spooled_events", TIER, "bq") == 0
            && metrics.is_balanced()
            && metrics.get("sidewake_source_lag_bytes{source=\"logs\"}") == 0.0
    });
    daemon.stop();
    bigquery.assert_once(ids(0..500));
}
