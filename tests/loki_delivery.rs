//! Route, Loki sink and HTTP client against a strict fake on a real socket.

mod support {
    pub(crate) mod batches;
    #[allow(dead_code, reason = "shared with the tests of the daemon, which use more of it")]
    pub(crate) mod fake_loki;
    #[allow(dead_code, reason = "other tests use the rest")]
    pub(crate) mod log;
    pub(crate) mod logproto;
    #[allow(dead_code, reason = "shared with the tests of the daemon, which use more of it")]
    pub(crate) mod watched;
}

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sidewake::deliver::dead_letters::{MAX_BYTES, REASON, Reader};
use sidewake::deliver::status::State;
use sidewake::deliver::transport::{TransportOptions, connect};
use sidewake::deliver::{DeadLetters, Options, Route, RouteStatus, drain};
use sidewake::event::record::{Flags, Kind, Level, Record};
use sidewake::secret::Secret;
use sidewake::sinks::Sink;
use sidewake::sinks::loki::{self, Loki};
use sidewake::telemetry::RouteCounters;

use support::batches::frame_of;
use support::fake_loki::{Act, FakeLoki};
use support::log::Log;

/// What a run leaves behind.
struct Outcome {
    counters: Arc<RouteCounters>,
    letters: tempfile::TempDir,
}

fn now_ns() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as i64
}

/// Fast waits, so that real time is not spent waiting.
fn impatient() -> Options {
    let mut options = Options { batch_age: Duration::from_millis(20), ..Options::default() };
    options.retry.initial = Duration::from_millis(5);
    options.retry.max = Duration::from_millis(40);
    options.retry.unauthorised = Duration::from_millis(20);
    options.concurrency = 1;
    options
}

fn sink_options(fake: &FakeLoki) -> loki::Options {
    let mut options = loki::Options::new(&fake.url(), "application_logs");
    options.tenant = Some("ml".to_owned());
    options.timeout = Duration::from_millis(500);
    options
}

/// Delivers everything in the log and returns when it is acknowledged.
async fn deliver(
    log: &Log,
    counters: &Arc<RouteCounters>,
    sink: loki::Options,
    options: Options,
) -> Outcome {
    let letters = tempfile::tempdir().expect("a folder");
    let sink = Loki::new(sink);
    let (_switch, drain) = drain();
    let route = Route {
        tier: "application_logs".into(),
        sink_name: "loki".into(),
        client: connect(&sink.transport(), &TransportOptions::default()).expect("a client"),
        sink: Arc::new(sink),
        options,
        dead_letters: DeadLetters::new(letters.path().to_owned(), MAX_BYTES),
        counters: Arc::clone(counters),
        status: Arc::default(),
    };
    log.end();
    route.run(log.cursor(), drain).await;
    log.assert_balanced();
    Outcome { counters: Arc::clone(counters), letters }
}

fn new_log() -> (Log, Arc<RouteCounters>) {
    let counters = Arc::<RouteCounters>::default();
    (Log::new(&counters), counters)
}

/// A log of `n` numbered lines in frames of ten, a millisecond apart.
fn numbered(n: u64) -> (Log, Arc<RouteCounters>, Vec<String>) {
    let (log, counters) = new_log();
    let lines: Vec<String> = (0..n).map(|index| format!("line {index:05}")).collect();
    let begun_ns = now_ns() - 60_000_000_000;
    for (index, chunk) in lines.chunks(10).enumerate() {
        log.append(frame_of(index as u64 * 10, chunk, |line, record| {
            let number: i64 = line[5..].parse().expect("a number");
            record.ts_ns = begun_ns + number * 1_000_000;
        }));
    }
    (log, counters, lines)
}

fn buried(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for letter in Reader::open(folder).expect("listed") {
        let letter = letter.expect("read");
        let reason = letter.origin.attribute(REASON).expect("a reason").to_owned();
        for event in letter.events() {
            found.push((String::from_utf8_lossy(event.bytes).into_owned(), reason.clone()));
        }
    }
    found
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Every line, label and pair arrives as it was, in order, once.
#[tokio::test]
async fn lines_labels_and_metadata_arrive() {
    let fake = FakeLoki::start().await;
    let (log, counters) = new_log();
    let ts_ns = now_ns() - 1_000_000_000;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let span = "b7ad6b7169203331";
    let first =
        format!(r#"{{"request_id":"r-\u00e9\"1","trace_id":"{trace}","span_id":"{span}"}}"#);
    let lines = [first.as_str(), "Traceback:\n  é\u{1f980}", ""];
    log.append(frame_of(0, &lines, |line, record: &mut Record| {
        record.ts_ns = ts_ns;
        if line.starts_with('{') {
            record.flags = Flags::JSON;
            record.kind = Kind::Prediction as u8;
            record.level = Level::Info as u8;
            (record.request_id_off, record.request_id_len) = (15, 11);
            record.trace_id_off = line.find(trace).expect("there") as u32;
            record.span_id_off = line.find(span).expect("there") as u32;
            record.threshold = 1 << 55;
        } else {
            record.flags = Flags::STDERR | Flags::TRUNCATED;
        }
    }));
    let mut sink = sink_options(&fake);
    sink.labels = vec![("team".into(), "a\"b\\c\nd".into())];
    sink.authorization = Some(Secret::new("Bearer s3cret".to_owned()));
    deliver(&log, &counters, sink, impatient()).await;

    let stored = fake.stored();
    assert_eq!(stored.iter().map(|entry| entry.line.as_str()).collect::<Vec<_>>(), lines);
    assert!(stored.iter().all(|entry| entry.ts_ns == ts_ns && entry.n_times == 1));
    let labels = [
        ("service_name", "fraud-detector"),
        ("stream", "stdout"),
        ("team", "a\"b\\c\nd"),
        ("tier", "application_logs"),
    ];
    assert_eq!(stored[0].labels, map(&labels));
    assert_eq!(stored[1].labels["stream"], "stderr");
    assert_eq!(
        stored[0].metadata,
        map(&[
            ("kind", "prediction"),
            ("level", "info"),
            ("pod", "fraud-0"),
            ("record_id", "0000000000000007-0000000000000000"),
            ("request_id", "r-é\"1"),
            ("sampling_probability", "0.5"),
            ("span_id", span),
            ("trace_id", trace),
        ])
    );
    let text = [
        ("flags", "truncated"),
        ("kind", "application"),
        ("pod", "fraud-0"),
        ("record_id", "0000000000000007-0000000000000001"),
    ];
    assert_eq!(stored[1].metadata, map(&text));
    let headers = &fake.headers()[0];
    assert_eq!(headers["x-scope-orgid"], "ml");
    assert_eq!(headers["authorization"], "Bearer s3cret");
    assert!(headers.get("retry-attempt").is_none());
}

/// Events that have all in common but what they are: each arrives, and a repeat of all of them is
/// still known as one.
#[tokio::test]
async fn equal_events_of_one_time_are_not_one() {
    let fake = FakeLoki::start().await;
    fake.will([Act::StoreAndClose]);
    let ts_ns = now_ns() / 1_000_000_000 * 1_000_000_000;
    let (log, counters) = new_log();
    for frame in 0..3 {
        let lines = ["12:00:00 tick", "12:00:00 tock", "12:00:00 tick"];
        log.append(frame_of(frame * 3, &lines, |_, record| record.ts_ns = ts_ns));
    }
    deliver(&log, &counters, sink_options(&fake), impatient()).await;
    let stored = fake.stored();
    let times = |word| stored.iter().filter(|entry| entry.line.ends_with(word)).count();
    assert_eq!((times("tick"), times("tock")), (6, 3));
    assert!(stored.iter().any(|entry| entry.n_times == 2), "nothing was sent again");
}

/// Through every way to fail: nothing lost, order kept, repeats only where the outcome was unknown.
#[tokio::test]
async fn nothing_is_lost_in_a_storm() {
    let fake = FakeLoki::start().await;
    fake.will([
        Act::Answer(503, "upstream connect error"),
        Act::CloseBeforeBody,
        Act::StoreAndClose,
        Act::Answer(500, ""),
        Act::Hang,
        Act::Drip,
        Act::Answer(429, "Per stream rate limit exceeded (limit: 3MB/sec) while attempting"),
        Act::Answer(401, "no org id"),
        Act::Answer(404, "404 page not found"),
        Act::StoreAndClose,
    ]);
    let (log, counters, lines) = numbered(200);
    let options = Options { batch_bytes: 4000, ..impatient() };
    let outcome = deliver(&log, &counters, sink_options(&fake), options).await;
    let stored = fake.stored();
    assert_eq!(
        stored.iter().map(|entry| &entry.line).collect::<Vec<_>>(),
        lines.iter().collect::<Vec<_>>()
    );
    let repeated = stored.iter().filter(|entry| entry.n_times > 1).count();
    assert!(repeated > 0 && stored.iter().all(|entry| entry.n_times <= 3), "{repeated}");
    assert_eq!((outcome.counters.delivered.get(), outcome.counters.retries.get()), (200, 10));
    let attempts: Vec<_> =
        fake.headers().into_iter().map(|headers| headers.get("retry-attempt").cloned()).collect();
    assert_eq!(attempts[0], None);
    assert_eq!(attempts[2].as_ref().expect("sent"), "2");
}

/// An outage shows in the route's status while it lasts, and is over when it is.
#[tokio::test]
async fn an_outage_shows() {
    let fake = FakeLoki::start().await;
    let (log, counters) = new_log();
    let status = Arc::<RouteStatus>::default();
    let sink = Loki::new(sink_options(&fake));
    let (switch, drain) = drain();
    let route = Route {
        tier: "application_logs".into(),
        sink_name: "loki".into(),
        client: connect(&sink.transport(), &TransportOptions::default()).expect("a client"),
        sink: Arc::new(sink),
        options: impatient(),
        dead_letters: DeadLetters::none(),
        counters: Arc::clone(&counters),
        status: Arc::clone(&status),
    };
    fake.will(vec![Act::Answer(503, "sick"); 1000]);
    let task = tokio::spawn(route.run(log.cursor(), drain));
    log.append(frame_of(0, &["a"], |_, record| record.ts_ns = now_ns()));
    while fake.headers().len() < 2 {
        tokio::task::yield_now().await;
    }
    let shown = status.snapshot();
    assert_eq!(shown.state, State::Retrying);
    assert_eq!(shown.last_error.expect("an error").text, "503 sick");
    assert!(counters.oldest_undelivered_ns.get() > 0);
    fake.recover();
    log.acked_to(1).await;
    switch.begin(tokio::time::Instant::now() + Duration::from_secs(5));
    task.await.expect("no panic");
    let shown = status.snapshot();
    assert_eq!((shown.state, shown.outage), (State::Stopped, None));
    assert_eq!(counters.oldest_undelivered_ns.get(), 0);
}

/// `Retry-After` from a real answer, as seconds and as a date against the answer's own clock.
#[tokio::test]
async fn retry_after_is_read() {
    let fake = FakeLoki::start().await;
    let later = SystemTime::now() + Duration::from_secs(2);
    fake.will([Act::Later(503, "1".to_owned()), Act::Later(429, httpdate::fmt_http_date(later))]);
    let (log, counters, _) = numbered(1);
    let begun = std::time::Instant::now();
    deliver(&log, &counters, sink_options(&fake), impatient()).await;
    let took = begun.elapsed();
    // A date has whole seconds: between one and two of the second wait are left.
    assert!(took >= Duration::from_millis(1000) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(fake.headers().len(), 3);
}

/// A partial 400: what it names is buried, all else is stored once and not sent again.
#[tokio::test]
async fn partial_refusals_are_not_sent_again() {
    let fake = FakeLoki::start().await;
    let (log, counters) = new_log();
    let day_ns = 86_400_000_000_000;
    log.append(frame_of(0, &["fine", "old-1", "old-2", "new", "long"], |line, record| {
        record.ts_ns = now_ns();
        match line {
            "old-1" => record.ts_ns -= 8 * day_ns,
            "old-2" => record.ts_ns -= 9 * day_ns,
            "new" => record.ts_ns += day_ns,
            _ => {}
        }
    }));
    let outcome = deliver(&log, &counters, sink_options(&fake), impatient()).await;
    let stored = fake.stored();
    assert_eq!(
        stored.iter().map(|entry| (entry.line.as_str(), entry.n_times)).collect::<Vec<_>>(),
        [("fine", 1), ("long", 1)]
    );
    let buried = buried(outcome.letters.path());
    assert_eq!(
        buried.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>(),
        ["old-1", "old-2", "new"]
    );
    assert!(buried[0].1.starts_with("400 "), "{}", buried[0].1);
    assert_eq!((outcome.counters.delivered.get(), outcome.counters.dead_letters.get()), (2, 3));
}

/// Lines longer than the sink knows to be taken never leave; those that only Loki knows to be too
/// long are named by it.
#[tokio::test]
async fn long_lines_are_buried() {
    let fake = FakeLoki::start().await;
    fake.limit(|limits| limits.max_line_bytes = 100);
    let (log, counters) = new_log();
    let (long, longer) = ("l".repeat(150), "L".repeat(250));
    log.append(frame_of(0, &["fine", &long, &longer], |_, record| record.ts_ns = now_ns()));
    let mut sink = sink_options(&fake);
    sink.max_line_bytes = 200;
    let outcome = deliver(&log, &counters, sink, impatient()).await;
    assert_eq!(fake.n_stored(), 1);
    let mut buried = buried(outcome.letters.path());
    buried.sort();
    assert_eq!(buried[0], (longer, "line_too_long".to_owned()));
    assert_eq!(buried[1].0, long);
}

/// 413 and a 429 above the burst: halved until it fits.
#[tokio::test]
async fn bodies_are_halved() {
    for limit in
        [(|limits| limits.max_body_bytes = 300) as fn(&mut support::fake_loki::Limits), |limits| {
            limits.rate_bytes = 500;
        }]
    {
        let fake = FakeLoki::start().await;
        fake.limit(limit);
        let (log, counters, lines) = numbered(100);
        let outcome = deliver(&log, &counters, sink_options(&fake), impatient()).await;
        let stored = fake.stored();
        assert_eq!(
            stored.iter().map(|entry| &entry.line).collect::<Vec<_>>(),
            lines.iter().collect::<Vec<_>>()
        );
        assert!(stored.iter().all(|entry| entry.n_times == 1));
        assert_eq!(outcome.counters.delivered.get(), 100);
    }
}

/// 260 is no success: an operator blocked ingestion.
#[tokio::test]
async fn blocked_ingestion() {
    for (when_blocked, stored, dead_letters) in
        [(loki::WhenBlocked::DeadLetters, 0, 10), (loki::WhenBlocked::Hold, 10, 0)]
    {
        let fake = FakeLoki::start().await;
        fake.will([Act::Answer(260, "ingestion blocked for user 'ml' until '2030'")]);
        let (log, counters, _) = numbered(10);
        let mut sink = sink_options(&fake);
        sink.when_blocked = when_blocked;
        let outcome = deliver(&log, &counters, sink, impatient()).await;
        assert_eq!(fake.n_stored(), stored);
        assert_eq!(outcome.counters.dead_letters.get(), dead_letters);
    }
}

/// What comes late goes to a stream of its own pod, whichever frame it is in.
#[tokio::test]
async fn a_late_backlog_has_its_own_stream() {
    let fake = FakeLoki::start().await;
    let (log, counters) = new_log();
    log.append(frame_of(0, &["late", "live"], |line, record| {
        record.ts_ns = now_ns() - if line == "late" { 2 * 3600 * 1_000_000_000 } else { 0 };
    }));
    deliver(&log, &counters, sink_options(&fake), impatient()).await;
    let stored = fake.stored();
    let late = stored.iter().find(|entry| entry.line == "late").expect("stored");
    let live = stored.iter().find(|entry| entry.line == "live").expect("stored");
    assert_eq!((late.labels["backlog"].as_str(), late.labels["pod"].as_str()), ("true", "fraud-0"));
    assert!(!late.metadata.contains_key("pod"));
    assert!(!live.labels.contains_key("backlog"));
    assert_eq!(live.metadata["pod"], "fraud-0");
}
