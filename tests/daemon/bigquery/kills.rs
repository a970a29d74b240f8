//! SIGKILL in each phase of an append; files that are damaged, gone or those of another config
//! meanwhile.

use std::fs::{self, File};
use std::path::PathBuf;

use rustix::process::Signal;

use super::super::fake_bigquery::{Act, CallAct, RestAct, code};
use super::*;

/// Waits until nothing is on its way.
#[track_caller]
pub(super) fn emptied(daemon: &Daemon) {
    daemon.metrics_when("none on its way", |metrics| {
        metrics.route("spooled_events", TIER, "bq") == 0 && metrics.is_balanced()
    });
}

/// The place's outbox.
fn outbox(place: &Place) -> PathBuf {
    let found = place
        .files("spool")
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "outbox"));
    found.expect("an outbox")
}

/// Kills where BigQuery is when `act` holds it up; what is then stored is `n_stored` of 200.
#[track_caller]
fn killed_at(act: Act, n_stored: usize) {
    let name = format!("{act:?}");
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    bigquery.fake.will([act]);
    place.append("model.log", &predictions(100..200));
    until("the append", || bigquery.fake.n_appends() > 1);
    until("what is stored", || bigquery.n_rows() == n_stored);
    daemon.kill();
    bigquery.fake.recover();
    place.append("model.log", &predictions(200..300));
    let mut daemon = place.daemon(&[]);
    until("all rows", || bigquery.n_rows() >= 300);
    emptied(&daemon);
    daemon.stop();
    bigquery.assert_once(ids(0..300));
    assert_eq!(bigquery.fake.streams().len(), 1, "{name}");
}

#[test]
fn sent_and_not_stored() {
    killed_at(Act::Hang, 100);
}

/// The next process is told that BigQuery has it.
#[test]
fn stored_and_not_answered() {
    killed_at(Act::StoreAndHang, 200);
}

/// While the table or the stream is made, asked for or denied.
#[test]
fn before_the_first_row() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..100));
    for n in 1..4 {
        bigquery.fake.will_rest((1..n).map(|_| RestAct::Serve).chain([RestAct::Hang]));
        let called = bigquery.fake.called().len();
        let mut daemon = place.daemon(&[]);
        until("a call", || bigquery.fake.called().len() >= called + n.min(2));
        daemon.kill();
        bigquery.fake.recover();
    }
    bigquery.fake.will_call([CallAct::DoAndBreak]);
    let mut daemon = place.daemon(&[]);
    until("a stream", || !bigquery.fake.calls().is_empty());
    daemon.kill();
    let mut daemon = place.daemon(&[]);
    until("all rows", || bigquery.n_rows() >= 100);
    emptied(&daemon);
    daemon.stop();
    bigquery.assert_once(ids(0..100));
    assert!(bigquery.fake.streams().len() <= 3);
}

/// Each restart goes on with the stream of the one before.
#[test]
fn a_stream_survives_restarts() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    for n in 0..8 {
        place.append("model.log", &predictions(n * 50..n * 50 + 50));
        let mut daemon = place.daemon(&[]);
        until("the rows", || bigquery.n_rows() >= n * 50 + 50);
        if n % 2 == 0 { daemon.kill() } else { daemon.stop() }
    }
    bigquery.assert_once(ids(0..400));
    assert_eq!(bigquery.fake.streams().len(), 1);
}

/// Somebody else wrote to the stream, and the process is killed when it has heard so: the next one
/// does not take those rows for its own.
#[test]
fn a_stream_that_was_left_stays_so() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    let stream = bigquery.fake.streams()[0].name.clone();
    bigquery.fake.grow(&stream, 1000);
    bigquery
        .fake
        .will_call(std::iter::repeat_n(CallAct::Fail(code::UNAVAILABLE, "sick".to_owned()), 1000));
    place.append("model.log", &predictions(100..200));
    until("no new stream", || bigquery.fake.calls().len() > 1);
    daemon.kill();
    bigquery.fake.recover();
    let mut daemon = place.daemon(&[]);
    until("all rows", || bigquery.n_rows() >= 200);
    emptied(&daemon);
    daemon.stop();
    bigquery.assert_once(ids(0..200));
    assert_eq!(bigquery.fake.streams().len(), 2);
}

/// As after a loss of power: the outbox is cut, changed or gone. Rows that were uncertain may be
/// there twice, as the same record, and none is lost.
#[test]
fn a_damaged_outbox() {
    type Damage = fn(&PathBuf);
    let damages: [(&str, Damage); 5] = [
        ("gone", |path| fs::remove_file(path).expect("removed")),
        ("empty", |path| cut(path, 0)),
        ("a head cut", |path| cut(path, 100)),
        ("a body cut", |path| cut(path, 4096 + 500)),
        ("a body changed", |path| {
            let mut bytes = fs::read(path).expect("read");
            *bytes.last_mut().expect("not empty") ^= 0xff;
            fs::write(path, bytes).expect("written");
        }),
    ];
    for (name, damage) in damages {
        for act in [Act::Hang, Act::StoreAndHang] {
            let bigquery = BigQuery::start();
            let mut place = Place::with(&bigquery.config(""));
            place.append("model.log", &predictions(0..100));
            let mut daemon = place.daemon(&[]);
            delivered(&daemon, 100);
            bigquery.fake.will([act]);
            place.append("model.log", &predictions(100..200));
            until("the append", || bigquery.fake.n_appends() > 1);
            daemon.kill();
            damage(&outbox(&place));
            bigquery.fake.recover();
            let mut daemon = place.daemon(&[]);
            place.append("model.log", &predictions(200..300));
            until("all rows", || bigquery.times().len() >= 300);
            emptied(&daemon);
            daemon.stop();
            bigquery.assert_sound();
            let times = bigquery.times();
            assert_eq!(times.len(), 300, "{name}");
            let twice = times.iter().filter(|(_, n)| **n > 1);
            assert!(twice.count() <= 100 && times.values().all(|n| *n <= 2), "{name}");
            let records: BTreeSet<String> =
                bigquery.rows().iter().map(|row| word(row, "record_id")).collect();
            assert_eq!(records.len(), 300, "{name}");
            assert!(bigquery.fake.streams().len() <= 2, "{name}");
        }
    }
}

fn cut(path: &PathBuf, len: u64) {
    File::options().write(true).open(path).expect("there").set_len(len).expect("cut");
}

/// A log that begins anew is not the one that the outbox is about.
#[test]
fn a_spool_that_is_gone() {
    for act in [Act::Hang, Act::StoreAndHang, Act::Serve] {
        let bigquery = BigQuery::start();
        let mut place = Place::with(&bigquery.config(""));
        place.append("model.log", &predictions(0..100));
        let mut daemon = place.daemon(&[]);
        delivered(&daemon, 100);
        bigquery.fake.will([act]);
        place.append("model.log", &predictions(100..400));
        until("the append", || bigquery.fake.n_appends() > 1);
        daemon.kill();
        fs::remove_dir_all(place.path("spool").join(TIER)).expect("removed");
        bigquery.fake.recover();
        place.append("model.log", &predictions(400..450));
        let mut daemon = place.daemon(&[]);
        until("all rows", || bigquery.times().len() >= 450);
        emptied(&daemon);
        daemon.stop();
        bigquery.assert_sound();
        assert_eq!(bigquery.times().len(), 450);
    }
}

/// Another table, and back: each gets what is its own, and nothing goes to the other.
#[test]
fn another_table_between_runs() {
    for act in [Act::Hang, Act::StoreAndHang, Act::Serve] {
        let bigquery = BigQuery::start();
        let (here, there) = (TABLE, "ml.predictions2");
        let mut place = Place::with(&bigquery.config("").replace(here, there));
        place.append("model.log", &predictions(0..100));
        let mut daemon = place.daemon(&[]);
        delivered(&daemon, 100);
        bigquery.fake.will([act]);
        place.append("model.log", &predictions(100..200));
        until("the append", || bigquery.fake.n_appends() > 1);
        daemon.kill();
        let n_there = bigquery.fake.n_rows(there);
        bigquery.fake.recover();
        place.configure(&bigquery.config(""));
        let mut daemon = place.daemon(&[]);
        place.append("model.log", &predictions(200..300));
        until("the rows", || bigquery.times().contains_key("r-299"));
        emptied(&daemon);
        daemon.stop();
        bigquery.assert_sound();
        let times = bigquery.times();
        assert!(times.values().all(|n| *n == 1));
        assert!(bigquery.fake.n_rows(there) <= n_there + 100, "nothing new goes there");
        let there: BTreeSet<String> =
            bigquery.fake.rows(there).iter().map(|row| word(row, "request_id")).collect();
        assert!((0..300).all(|n| times.contains_key(&id(n)) || there.contains(&id(n))));
        assert!(!there.contains("r-200"));
    }
}

/// Exactly once, at least once, and exactly once again.
#[test]
fn another_delivery_between_runs() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    bigquery.fake.will([Act::Hang]);
    place.append("model.log", &predictions(100..200));
    until("the append", || bigquery.fake.n_appends() > 1);
    daemon.kill();
    bigquery.fake.recover();
    until("its end", || !bigquery.fake.appends()[1].is_acknowledged());
    let n_rows = bigquery.n_rows();
    place.configure(&bigquery.config(", delivery: at_least_once"));
    let mut daemon = place.daemon(&[]);
    until("the rows", || bigquery.n_rows() >= n_rows + 100);
    emptied(&daemon);
    daemon.stop();
    place.configure(&bigquery.config(""));
    place.append("model.log", &predictions(200..300));
    let mut daemon = place.daemon(&[]);
    until("the rows", || bigquery.times().len() >= 300);
    emptied(&daemon);
    daemon.stop();
    bigquery.assert_once(ids(0..300));
}

/// A reload sets the route up while the old one still runs.
#[test]
fn reloads_under_load() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    let mut daemon = place.daemon(&["--no-watch-config"]);
    let metric = "sidewake_config_reloads_total{result=\"ok\"}";
    for n in 0..10 {
        let acts = if n % 2 == 0 {
            [Act::Slow(50), Act::Slow(50)]
        } else {
            [Act::Slow(20), Act::StoreAndBreak]
        };
        bigquery.fake.will(acts);
        place.append("model.log", &predictions(n * 50..n * 50 + 25));
        until("an append", || bigquery.n_rows() > n * 50);
        place.append("model.log", &predictions(n * 50 + 25..n * 50 + 50));
        place.configure(&bigquery.config(&format!(", timeout: {}s", 10 + n)));
        let before = daemon.metrics().get(metric);
        daemon.signal(Signal::HUP);
        daemon.metrics_when("the reload", |metrics| metrics.get(metric) > before);
    }
    delivered(&daemon, 500);
    daemon.stop();
    bigquery.assert_once(ids(0..500));
    assert_eq!(bigquery.fake.streams().len(), 1);
}

/// Dead letters are sent beside the daemon, by a way of their own.
#[test]
fn dead_letters_are_replayed_beside_the_daemon() {
    let bigquery = BigQuery::start();
    let mut place = Place::with(&bigquery.config(""));
    bigquery.fake.will([Act::RowErrors((0..10).collect())]);
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    settled(&daemon, 100);
    let (code, out, err) = place.output(&["spool", "replay", "--config", "sidewake.yaml"]);
    assert_eq!(code, 0, "{out} {err}");
    until("the letters", || bigquery.n_rows() == 100);
    place.append("model.log", &predictions(100..200));
    settled(&daemon, 200);
    daemon.stop();
    bigquery.assert_once(ids(0..200));
    assert_eq!(bigquery.fake.streams().len(), 1);
}
