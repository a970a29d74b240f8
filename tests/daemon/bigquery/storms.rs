//! SIGKILL at random moments while BigQuery fails now and then: whole predictions, and requests and
//! predictions that come as two events.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::super::fake_bigquery::{Act, code};
use super::super::files::Random;
use super::kills::emptied;
use super::*;

/// Lines of the events with these numbers.
type Lines = fn(Range<usize>, &mut Random) -> String;

/// Now and then something fails.
fn storm(bigquery: &BigQuery, random: &mut Random) {
    let act = match random.below(24) {
        0 => Act::StoreAndBreak,
        1 => Act::Break,
        2 => Act::say(code::ABORTED),
        3 => Act::fail(code::UNAVAILABLE),
        4 => Act::StoreAndHang,
        5 => Act::Hang,
        6..10 => Act::Slow(random.below(30)),
        _ => return,
    };
    // One at a time, or a BigQuery that is asked rarely would only fail.
    bigquery.fake.recover();
    bigquery.fake.will([act]);
}

/// Writes until told to stop; how many there are.
fn write_on(path: PathBuf, seed: u64, lines: Lines, written: &AtomicUsize, is_over: &AtomicBool) {
    let mut random = Random::of(seed);
    let mut file = File::options().append(true).create(true).open(path).expect("opened");
    while !is_over.load(SeqCst) {
        let (from, n) = (written.load(SeqCst), 1 + random.below(20) as usize);
        file.write_all(lines(from..from + n, &mut random).as_bytes()).expect("written");
        written.store(from + n, SeqCst);
        std::thread::park_timeout(Duration::from_micros(random.below(16_000)));
    }
}

/// Kills and starts a daemon that has much to do, and waits at the end until all rows are there, as
/// `is_done` says of so many events.
fn raged(
    more: &str,
    lines: Lines,
    is_done: impl Fn(&BigQuery, usize) -> bool,
) -> (BigQuery, usize) {
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 300 } else { 20 };
    let mut random = Random::from_environment();
    let bigquery = BigQuery::start();
    let config = bigquery.config(&format!(", timeout: 300ms{more}"));
    let config = config.replace("max_age: 20ms", "max_age: 5ms, max_bytes: 32KiB");
    let mut place = Place::with(&config);
    let (written, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = {
        let (written, is_over) = (Arc::clone(&written), Arc::clone(&is_over));
        let (path, seed) = (place.path("model.log"), random.below(u64::MAX >> 33));
        std::thread::spawn(move || write_on(path, seed, lines, &written, &is_over))
    };
    for _ in 0..rounds {
        let mut daemon = place.daemon(&[]);
        if random.below(4) > 0 {
            let (seen, more) = (bigquery.n_rows(), random.below(200) as usize);
            until("some more rows", || {
                storm(&bigquery, &mut random);
                bigquery.n_rows() > seen + more
            });
        }
        std::thread::park_timeout(Duration::from_micros(random.below(60_000)));
        daemon.kill();
    }
    is_over.store(true, SeqCst);
    writer.join().expect("no panic");
    let n_written = written.load(SeqCst);
    bigquery.fake.recover();
    let mut daemon = place.daemon(&[]);
    // However many are left: each more is progress.
    while !is_done(&bigquery, n_written) {
        let seen = bigquery.n_rows();
        println!("{seen} rows of {n_written} events");
        until("more rows", || bigquery.n_rows() > seen + 1000 || is_done(&bigquery, n_written));
    }
    emptied(&daemon);
    daemon.stop();
    let n_streams = bigquery.fake.streams().len();
    println!("{n_written} events, {} rows, {rounds} kills, {n_streams} streams", bigquery.n_rows());
    // A process that is killed between the making of the first one and its first append has none.
    assert!(n_streams <= 3, "{n_streams}");
    (bigquery, n_written)
}

#[test]
fn kills_in_a_storm() {
    let lines: Lines = |range, _| predictions(range);
    let (bigquery, n) = raged("", lines, |bigquery, n| bigquery.n_rows() >= n);
    bigquery.assert_once(ids(0..n));
}

/// A request's two events, in any order, most of them soon after each other and some never.
fn halves(range: Range<usize>, random: &mut Random) -> String {
    let mut lines = Vec::new();
    for n in range {
        lines.push(format!(
            r#"{{"event":"request","request_id":"r-{n}","model":"fraud","features":{{"amount":{n}.50}}}}"#
        ));
        lines.push(format!(
            r#"{{"event":"prediction","request_id":"r-{n}","model":"fraud","prediction":"yes","latency_ms":{}}}"#,
            n % 40
        ));
    }
    for _ in 0..lines.len() {
        let (one, other) = (random.below(lines.len() as u64), random.below(lines.len() as u64));
        lines.swap(one as usize, other as usize);
    }
    text(&lines)
}

/// Events that the rows hold: a whole one is of two.
fn n_halves(bigquery: &BigQuery) -> usize {
    let is_whole = |row: &Row| word(row, "record_kind") == "prediction";
    bigquery.rows().iter().map(|row| if is_whole(row) { 2 } else { 1 }).sum()
}

/// Each half is in one row: with its other half, or alone and saying so.
#[test]
fn kills_between_halves() {
    let done = |bigquery: &BigQuery, n: usize| n_halves(bigquery) >= 2 * n;
    let (bigquery, n) = raged(", join_window: 400ms", halves, done);
    bigquery.assert_sound();
    let mut of_request: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in bigquery.rows() {
        let (kind, errors) = (word(&row, "record_kind"), row["logging_errors"].to_string());
        let is_whole = kind == "prediction";
        assert_eq!(errors.contains("NOT_JOINED"), !is_whole, "{row:?}");
        assert_eq!(row["features"].is_string(), kind != "prediction_only", "{row:?}");
        assert_eq!(row["prediction"].is_string(), kind != "request_only", "{row:?}");
        of_request.entry(word(&row, "request_id")).or_default().push(kind);
    }
    let mut n_joined = 0;
    for (request, mut kinds) in of_request.iter().map(|(id, kinds)| (id, kinds.clone())) {
        kinds.sort_unstable();
        n_joined += usize::from(kinds == ["prediction"]);
        let is_once = kinds == ["prediction"] || kinds == ["prediction_only", "request_only"];
        assert!(is_once, "{request}: {kinds:?}");
    }
    assert_eq!(of_request.len(), n);
    println!("{n_joined} of {n} requests are one row");
    assert!(n_joined * 2 > n, "{n_joined} of {n}");
}
