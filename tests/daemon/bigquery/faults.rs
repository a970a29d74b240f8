//! BigQuery fails in each way that it can: every row once, and counted.

use super::super::fake_bigquery::{Act, CallAct, Options, StorageErrorCode as Storage, code};
use super::*;

/// What a failure cost.
#[derive(Debug)]
struct Cost {
    streams: usize,
    retries: u64,
}

/// Rows before, while and after `acts` are what BigQuery does: each lands once.
#[track_caller]
fn survived(what: &str, bigquery: &BigQuery, more: &str, fail: impl FnOnce(&FakeBigQuery)) -> Cost {
    let mut place = Place::with(&bigquery.config(more));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    fail(&bigquery.fake);
    place.append("model.log", &predictions(50..150));
    delivered(&daemon, 150);
    place.append("model.log", &predictions(150..200));
    let metrics = delivered(&daemon, 200);
    daemon.stop();
    println!("{what}: {:?}", bigquery.fake.refusals());
    bigquery.assert_once(ids(0..200));
    let cost = Cost {
        streams: bigquery.fake.streams().len(),
        retries: metrics.route("retries_total", TIER, "bq"),
    };
    println!("{what}: {cost:?}");
    cost
}

fn impatient() -> &'static str {
    ", timeout: 300ms"
}

/// Errors in the answer and errors that end the connection: the same stream goes on.
#[test]
fn errors_that_pass() {
    let in_band = [
        code::ABORTED,
        code::INTERNAL,
        code::UNAVAILABLE,
        code::DEADLINE_EXCEEDED,
        code::CANCELLED,
        code::NOT_FOUND,
    ];
    let acts = in_band.into_iter().flat_map(|code| [Act::say(code), Act::fail(code)]);
    let more = [
        Act::SayError(code::NOT_FOUND, Storage::TableNotFound),
        Act::Break,
        Act::StoreAndBreak,
        Act::UpdatedSchema,
    ];
    for act in acts.chain(more) {
        let (name, bigquery) = (format!("{act:?}"), BigQuery::start());
        let cost = survived(&name, &bigquery, impatient(), |fake| fake.will([act]));
        assert_eq!(cost.streams, 1, "{name}");
        let retries = u64::from(name != "UpdatedSchema");
        assert!(cost.retries >= retries && cost.retries < 4, "{name}: {cost:?}");
    }
}

/// The same several times in a row, and mixed.
#[test]
fn errors_one_upon_the_other() {
    let bigquery = BigQuery::start();
    let cost = survived("mixed", &bigquery, impatient(), |fake| {
        fake.will([
            Act::StoreAndBreak,
            Act::say(code::ABORTED),
            Act::fail(code::UNAVAILABLE),
            Act::Break,
            Act::say(code::INTERNAL),
            Act::fail(code::INTERNAL),
        ]);
    });
    assert_eq!(cost.streams, 1);
}

/// No answer in time: the connection is given up before another is made for the stream.
#[test]
fn no_answer() {
    for act in [Act::Hang, Act::StoreAndHang] {
        let (name, bigquery) = (format!("{act:?}"), BigQuery::start());
        let cost = survived(&name, &bigquery, impatient(), |fake| fake.will([act]));
        assert_eq!(cost.streams, 1, "{name}");
    }
}

/// The quota of appends: asked again later, and not sooner.
#[test]
fn a_quota_that_is_used_up() {
    let bigquery = BigQuery::start();
    let cost = survived("quota", &bigquery, "", |fake| {
        fake.will([Act::say(code::RESOURCE_EXHAUSTED)]);
    });
    assert_eq!((cost.streams, cost.retries), (1, 1));
}

/// A stream that is gone, over or behind: another one takes its place.
#[test]
fn streams_that_are_lost() {
    for (code, error) in [
        (code::NOT_FOUND, Storage::StreamNotFound),
        (code::INVALID_ARGUMENT, Storage::StreamFinalized),
        (code::FAILED_PRECONDITION, Storage::InvalidStreamState),
        (code::OUT_OF_RANGE, Storage::OffsetOutOfRange),
    ] {
        let (name, bigquery) = (format!("{error:?}"), BigQuery::start());
        let act = Act::SayError(code, error);
        let cost = survived(&name, &bigquery, "", |fake| fake.will([act]));
        assert_eq!((cost.streams, cost.retries), (2, 1), "{name}");
    }
}

/// What comes without its details, as something on the way may leave them out: rows that are there
/// are known to be, and a stream that is not found again and again is left.
#[test]
fn answers_without_details() {
    let bigquery = BigQuery::start();
    let acts = [Act::StoreAndBreak, Act::say(code::ALREADY_EXISTS)];
    let cost = survived("there", &bigquery, impatient(), |fake| fake.will(acts));
    assert_eq!(cost.streams, 1);
    let bigquery = BigQuery::start();
    let gone = vec![Act::say(code::NOT_FOUND); 3];
    let cost = survived("gone", &bigquery, impatient(), |fake| fake.will(gone));
    assert_eq!(cost.streams, 2);
}

/// Events that are much larger as rows than as lines: no request is larger than BigQuery takes.
#[test]
fn rows_that_are_more_than_a_request() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(
        &(bigquery.config("").replace("max_age: 20ms", "max_age: 20ms, max_bytes: 16MiB")
            + "memory: { limit: 96MiB }\n"),
    );
    let items = vec!["0.5"; 1000].join(",");
    let line = |n: usize| {
        let note = "x".repeat(4000);
        format!(
            r#"{{"event":"prediction","request_id":"r-{n}","model":"m","predictions":[{items}],"note":"{note}"}}"#
        )
    };
    place.append("model.log", &text(&(0..8).map(line).collect::<Vec<_>>()));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 8);
    daemon.stop();
    bigquery.assert_sound();
    assert_eq!(
        (bigquery.n_rows(), &*bigquery.fake.refusals()[0]),
        (8000, "no table ml.predictions")
    );
    assert_eq!(bigquery.fake.refusals().len(), 1, "none is too large");
    assert!(bigquery.fake.appends().iter().all(|append| append.n_bytes < 10_000_000));
}

/// `ALREADY_EXISTS` to rows that were never sent: somebody else wrote to the stream.
#[test]
fn another_writer_on_the_stream() {
    let bigquery = BigQuery::start();
    let act = Act::SayError(code::ALREADY_EXISTS, Storage::OffsetAlreadyExists);
    let cost = survived("another writer", &bigquery, "", |fake| fake.will([act]));
    assert_eq!((cost.streams, cost.retries), (2, 1));
}

/// The table goes while rows come, and with it its streams: it is made anew, and what comes then
/// lands there.
#[test]
fn a_table_that_is_dropped() {
    let bigquery = BigQuery::start();
    lands_in_a_new_table(&bigquery, &bigquery.config(""));
}

/// What comes behind the drop of the table, and nothing before it, is there at the end.
#[track_caller]
pub(super) fn lands_in_a_new_table(bigquery: &BigQuery, config: &str) {
    let mut place = Place::with(config);
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    bigquery.fake.drop_table(TABLE);
    place.append("model.log", &predictions(50..150));
    delivered(&daemon, 150);
    daemon.stop();
    bigquery.assert_once(ids(50..150));
}

/// Too large for one request, in an answer or as the connection's end: halves go, and a line that
/// is too large by itself is a dead letter.
#[test]
fn requests_that_are_too_large() {
    for too_large_ends in [false, true] {
        let options = Options { request_bytes_max: 24 << 10, too_large_ends, ..Options::default() };
        let bigquery = BigQuery::with(options);
        let mut place = Place::with(&bigquery.config(""));
        let long = "long ".repeat(8 << 10);
        let large = format!(
            r#"{{"event":"prediction","request_id":"large","model":"fraud","prediction":1,"note":"{long}"}}"#
        );
        let all = predictions(0..150) + &large + "\n" + &predictions(150..300);
        place.append("model.log", &all);
        let mut daemon = place.daemon(&[]);
        let metrics = settled(&daemon, 301);
        assert_eq!(metrics.route("dead_letter_events_total", TIER, "bq"), 1);
        assert_eq!(metrics.route("delivered_events_total", TIER, "bq"), 300);
        daemon.stop();
        bigquery.assert_once(ids(0..300));
        assert_eq!(bigquery.fake.streams().len(), 1, "{too_large_ends}");
    }
}

/// Streams that cannot be created at first, in each way.
#[test]
fn streams_that_come_late() {
    let bigquery = BigQuery::start();
    bigquery.fake.will_call([
        CallAct::Fail(code::UNAVAILABLE, "sick".to_owned()),
        CallAct::Break,
        CallAct::DoAndBreak,
        CallAct::Fail(code::NOT_FOUND, "not yet".to_owned()),
        CallAct::Fail(code::INTERNAL, "sick".to_owned()),
    ]);
    let cost = survived("late", &bigquery, "", |_| {});
    // One was made, and nobody was told.
    assert_eq!(cost.streams, 2);
}

/// Four at once on the default stream, without offsets.
#[test]
fn at_least_once_by_the_default_stream() {
    let bigquery = BigQuery::with(Options { in_flight_max: 4, ..Options::default() });
    let more = ", delivery: at_least_once, concurrency: 4";
    let config = bigquery.config(more).replace("max_age: 20ms", "max_age: 20ms, max_bytes: 16KiB");
    let mut place = Place::with(&config);
    place.append("model.log", &predictions(0..2000));
    bigquery.fake.will((0..4).map(|_| Act::Slow(20)));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 2000);
    bigquery.fake.will([Act::fail(code::UNAVAILABLE), Act::Serve, Act::say(code::ABORTED)]);
    place.append("model.log", &predictions(2000..3000));
    delivered(&daemon, 3000);
    // Stored, and not answered: twice, as the same record.
    bigquery.fake.will([Act::StoreAndBreak]);
    place.append("model.log", &predictions(3000..3010));
    delivered(&daemon, 3010);
    daemon.stop();
    bigquery.assert_sound();
    assert!(bigquery.fake.streams().is_empty());
    assert!(bigquery.fake.appends().iter().all(|one| one.offset.is_none()));
    let times = bigquery.times();
    assert_eq!(times.len(), 3010);
    assert!(times.iter().all(|(id, n)| *n <= 2 && (*n == 1 || id.len() > 5)), "{times:?}");
    let records: BTreeSet<String> =
        bigquery.rows().iter().map(|row| word(row, "record_id")).collect();
    assert_eq!(records.len(), 3010);
}

/// No more streams are to be had for a while: rows go to the default stream, say that they may be
/// there twice, and are counted; later a stream is used again.
#[test]
fn the_quota_of_streams() {
    let bigquery = BigQuery::start();
    // A stream was there, and is lost.
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 50);
    bigquery.fake.will([Act::SayError(code::NOT_FOUND, Storage::StreamNotFound)]);
    bigquery.fake.will_call([CallAct::FailFor(code::RESOURCE_EXHAUSTED, 2)]);
    place.append("model.log", &predictions(50..150));
    let metrics = delivered(&daemon, 150);
    assert_eq!(metrics.route("at_least_once_rows_total", TIER, "bq"), 100);
    let mut n = 150;
    until("a stream", || {
        place.append("model.log", &predictions(n..n + 10));
        n += 10;
        delivered(&daemon, n as u64);
        bigquery.fake.streams().len() == 2
    });
    let metrics = delivered(&daemon, n as u64);
    daemon.stop();
    bigquery.assert_once(ids(0..n));
    let marked = |row: &&Row| row["logging_errors"] == serde_json::json!(["AT_LEAST_ONCE"]);
    let n_marked = bigquery.rows().iter().filter(marked).count();
    assert_eq!(metrics.route("at_least_once_rows_total", TIER, "bq"), n_marked as u64);
    assert!((100..n).contains(&n_marked));
    let appends = bigquery.fake.appends();
    assert!(appends.last().is_some_and(|one| one.offset.is_some()));
    let by_default: usize = appends.iter().filter(|o| o.offset.is_none()).map(|o| o.n_rows).sum();
    assert_eq!(by_default, n_marked);
}

/// The same where the table has no column that could say so.
#[test]
fn the_quota_of_streams_and_a_table_without_the_column() {
    let bigquery = BigQuery::start();
    let columns = [
        ("event_ts", "TIMESTAMP", "NULLABLE"),
        ("request_id", "STRING", "NULLABLE"),
        ("record_id", "STRING", "NULLABLE"),
        ("attributes", "JSON", "NULLABLE"),
    ];
    let mut resource = serde_json::json!({
        "schema": super::super::fake_bigquery::schema::schema(&columns),
    });
    resource["timePartitioning"] =
        serde_json::json!({ "type": "DAY", "field": "event_ts", "expirationMs": "7776000000" });
    bigquery.fake.make_table(TABLE, resource);
    bigquery.fake.will_call([CallAct::Fail(code::RESOURCE_EXHAUSTED, "used up".to_owned())]);
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..50));
    let mut daemon = place.daemon(&[]);
    let metrics = delivered(&daemon, 50);
    assert_eq!(metrics.route("at_least_once_rows_total", TIER, "bq"), 50);
    daemon.stop();
    bigquery.assert_once(ids(0..50));
    assert!(bigquery.fake.appends().iter().all(|one| {
        one.rows.iter().all(|row| !row.windows(13).any(|part| part == b"AT_LEAST_ONCE"))
    }));
}

/// A connection that was idle is closed: the next rows open another one, and nothing failed.
#[test]
fn a_connection_that_was_idle() {
    let bigquery = BigQuery::start();
    let cost = survived("idle", &bigquery, "", |fake| fake.end_idle());
    assert_eq!(cost.streams, 1);
    assert!(cost.retries <= 1, "{cost:?}");
    let appends = bigquery.fake.appends();
    assert_ne!(appends[0].rpc, appends[appends.len() - 1].rpc);
}
