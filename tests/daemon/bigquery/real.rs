//! The whole daemon and the emulator at `SIDEWAKE_TEST_BIGQUERY`, asked by Google's own client;
//! without it, one line says so.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::super::files::Random;
use super::*;

/// One at a time, or the emulator waits for itself.
static ALONE: Mutex<()> = Mutex::new(());

/// The emulator, for one test.
struct Emulator {
    rest: String,
    grpc: String,
    /// Tells the tables of different runs apart.
    run: u128,
    _alone: MutexGuard<'static, ()>,
}

impl Emulator {
    /// That of the environment; where there is none, one line says which test goes without.
    fn of(test: &str) -> Option<Self> {
        let of = |name: &str| std::env::var(name).ok();
        let urls = (of("SIDEWAKE_TEST_BIGQUERY"), of("SIDEWAKE_TEST_BIGQUERY_GRPC"));
        let (Some(rest), Some(grpc)) = urls else {
            eprintln!(
                "skipped: {test} needs SIDEWAKE_TEST_BIGQUERY and SIDEWAKE_TEST_BIGQUERY_GRPC"
            );
            return None;
        };
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let run = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
        Some(Self { rest, grpc, run, _alone })
    }

    /// What Google's client prints for these arguments.
    fn ask(&self, args: &[&str]) -> Vec<Value> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
        let installed = Command::new(format!("{folder}/clients"))
            .args(["install", "bigquery"])
            .output()
            .expect("the script");
        let python = String::from_utf8(installed.stdout).expect("text");
        let output = Command::new(python.trim())
            .arg(format!("{folder}/bigquery_reader.py"))
            .args(["--rest", &self.rest, "--project", "test"])
            .args(args)
            .output()
            .expect("Python");
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {err}");
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// A table of this run. Its dataset is not `ml`: the emulator takes `ml.predict…` for a
    /// function.
    fn table(&self, dataset: &str, name: &str) -> String {
        format!("{dataset}.{name}_{}", self.run)
    }

    /// A sink by gRPC into a table.
    fn sink(&self, name: &str, table: &str) -> String {
        let Self { rest, grpc, .. } = self;
        format!(
            "  {name}: {{ type: bigquery, table: test.{table}, endpoint: \"{grpc}\", \
             rest_endpoint: \"{rest}\", anonymous: true, batch: {{ max_age: 20ms }} }}\n"
        )
    }
}

/// Killed now and then under load, and then asked for all: the very rows, each once, in a table as
/// the tier says.
#[test]
fn rows_are_read_back_by_googles_client() {
    let Some(emulator) = Emulator::of("rows_are_read_back_by_googles_client") else { return };
    let mut random = Random::from_environment();
    let table = emulator.table("daemon", "rows");
    emulator.ask(&["create", "daemon"]);
    let mut place = Place::with(&format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n{}\
         tiers: {{ {TIER}: {{ sinks: [bq] }} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        emulator.sink("bq", &table),
    ));
    for n in 0..6 {
        place.append("model.log", &predictions(n * 100..n * 100 + 100));
        let mut daemon = place.daemon(&[]);
        let wanted = random.below(2);
        daemon.metrics_when("some are read", |metrics| {
            metrics.route("requests_total", TIER, "bq") >= wanted
        });
        std::thread::park_timeout(Duration::from_millis(random.below(100)));
        daemon.kill();
    }
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("nothing waits", |metrics| {
        let of = |name| metrics.route(name, TIER, "bq");
        of("spooled_events") == 0
            && of("dead_letter_events_total") == 0
            && metrics.is_balanced()
            && metrics.get("sidewake_source_lag_bytes{source=\"logs\"}") == 0.0
    });
    daemon.stop();

    let found = &emulator.ask(&["table", &table])[0];
    assert_eq!(found["partitioning"]["expiration_ms"], json!(7_776_000_000_u64));
    assert_eq!(found["partitioning"]["field"], "event_ts");
    assert_eq!(found["clustering"], json!(["model_name", "request_id", "model_version"]));
    assert_rows(emulator.ask(&["rows", &table]), 600);
}

/// The same rows by insertAll, which the emulator has too: read back with their types.
#[test]
fn rows_of_insert_all_are_read_back_by_googles_client() {
    let Some(emulator) = Emulator::of("rows_of_insert_all_are_read_back_by_googles_client") else {
        return;
    };
    let table = emulator.table("inserted", "rows");
    emulator.ask(&["create", "inserted"]);
    let rest = &emulator.rest;
    let mut place = Place::with(&format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n  bq: {{ type: bigquery, table: test.{table}, api: insert_all, \
         rest_endpoint: \"{rest}\", anonymous: true, batch: {{ max_age: 20ms }} }}\n\
         tiers: {{ {TIER}: {{ sinks: [bq] }} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n"
    ));
    place.append("model.log", &predictions(0..300));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 300);
    daemon.stop();
    assert_rows(emulator.ask(&["rows", &table]), 300);
}

/// The rows of the first `n` predictions, each once.
#[track_caller]
fn assert_rows(mut rows: Vec<Value>, n: usize) {
    let number = |row: &Value| {
        let id = row["request_id"].as_str().expect("an id");
        id.trim_start_matches("r-").parse::<usize>().expect("a number")
    };
    rows.sort_by_key(number);
    let numbers: Vec<usize> = rows.iter().map(number).collect();
    assert_eq!(numbers, (0..n).collect::<Vec<_>>());
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row["latency_ms"], json!((n % 40) as f64));
        assert_eq!(row["prediction_label"], json!(["yes", "no"][n % 2]));
        assert_eq!(row["confidence"], json!(0.25 + (n % 2) as f64 / 2.0));
        let features: Value =
            serde_json::from_str(row["features"].as_str().expect("JSON")).expect("JSON");
        assert_eq!(
            features,
            json!({ "amount": n as f64 + 0.5, "region": format!("eu-{}", n % 3) })
        );
    }
}

/// The companion tables, each with its columns, expiring with its own tier.
#[test]
fn companions_are_read_back_by_googles_client() {
    let Some(emulator) = Emulator::of("companions_are_read_back_by_googles_client") else { return };
    let table = |kind: &str| emulator.table("companions", kind);
    emulator.ask(&["create", "companions"]);
    let sink = |kind: &str| emulator.sink(kind, &table(kind));
    let mut place = Place::with(&format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n{}{}{}\
         tiers:\n  \
           models: {{ kinds: [model], retention: 60 days, sinks: [models] }}\n  \
           profiles: {{ kinds: [data], retention: 1 year, sinks: [profiles] }}\n  \
           windows: {{ kinds: [sampling], sinks: [windows] }}\n  \
           {TIER}: {{ sinks: [models], retention: 60 days }}\n  \
           application_logs: {{ sinks: [models], retention: 60 days }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        sink("models"),
        sink("profiles"),
        sink("windows"),
    ));
    let lines = [
        r#"{"event":"model_loaded","model":"fraud","load_time_ms":12.5,"warm":true}"#,
        r#"{"event":"data_validation","dataset":"live","null_rates":{"amount":0.5,"age":0}}"#,
    ];
    place.append("model.log", &text(&lines.map(str::to_owned)));
    let mut daemon = place.daemon(&[]);
    daemon.metrics_when("both are delivered", |metrics| {
        let of = |tier, sink| metrics.route("delivered_events_total", tier, sink);
        of("models", "models") == 1 && of("profiles", "profiles") == 1
    });
    daemon.stop();

    let models = emulator.ask(&["rows", &table("models")]);
    assert_eq!(models.len(), 1, "{models:?}");
    assert_eq!((&models[0]["event"], &models[0]["load_ms"]), (&json!("loaded"), &json!(12.5)));
    assert_eq!(models[0]["attributes"], json!(r#"{"warm":true}"#));
    let profiles = emulator.ask(&["rows", &table("profiles")]);
    let rates: Vec<_> = profiles.iter().map(|row| (&row["feature"], &row["null_rate"])).collect();
    assert_eq!(rates, [(&json!("age"), &json!(0.0)), (&json!("amount"), &json!(0.5))]);
    let windows = emulator.ask(&["rows", &table("windows")]);
    let seen: i64 = windows.iter().filter_map(|row| row["seen"].as_i64()).sum();
    assert_eq!(seen, 2, "{windows:?}");
    for (kind, days, clustering) in [
        ("models", 60_u64, json!(["model_name", "event"])),
        ("profiles", 365, json!(["model_name", "feature"])),
        ("windows", 30, json!(["tier", "stratum"])),
    ] {
        let found = &emulator.ask(&["table", &table(kind)])[0];
        assert_eq!(found["partitioning"]["expiration_ms"], json!(days * 86_400_000));
        assert_eq!(found["clustering"], clustering, "{kind}");
    }
}

/// The local twin: the store's Parquet, loaded as it is into the table that the sink made, is the
/// very rows that the sink wrote there.
#[test]
fn the_stores_files_are_loaded_beside_the_rows() {
    let Some(emulator) = Emulator::of("the_stores_files_are_loaded_beside_the_rows") else {
        return;
    };
    let table = emulator.table("twin", "rows");
    emulator.ask(&["create", "twin"]);
    let mut place = Place::with(&format!(
        "service: {{ name: fraud-detector }}\n\
         sources: {{ logs: {{ type: file, include: [\"@/model.log\"] }} }}\n\
         sinks:\n{}  \
         store: {{ type: files, path: \"@/store\" }}\n\
         tiers: {{ {TIER}: {{ sinks: [bq, store] }}, application_logs: {{ sinks: [store] }} }}\n\
         spool: {{ type: disk, path: \"@/spool\" }}\n",
        emulator.sink("bq", &table),
    ));
    let batch = r#"{"request_id":"b","model":"m","instances":[{"x":1.50},{"x":2}],"predictions":[{"label":"a","probabilities":{"a":0.75,"b":0.25}},0.5],"mail":"a@example.com"}"#;
    place.append("model.log", &(predictions(0..50) + batch + "\n"));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 51);
    daemon.stop();
    let mut written = emulator.ask(&["rows", &table]);
    let is_parquet = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "parquet");
    let files: Vec<_> = place.files("store").into_iter().filter(is_parquet).collect();
    for file in &files {
        emulator.ask(&["load", &table, &file.display().to_string()]);
    }
    let mut both = emulator.ask(&["rows", &table]);
    let key = |row: &Value| row["record_id"].to_string();
    written.sort_by_key(key);
    both.sort_by_key(key);
    assert_eq!((written.len(), both.len()), (52, 104), "{files:?}");
    for (row, pair) in written.iter().zip(both.chunks(2)) {
        assert_eq!((row, row), (&pair[0], &pair[1]));
    }
}
