//! The real Loki 3 at `SIDEWAKE_TEST_LOKI` (`tests/backends/backends start loki` prints it): what
//! is delivered is queried back, and its true refusals are provoked. Without it each test says in
//! one line that it skipped.

mod support {
    pub(crate) mod batches;
    #[allow(dead_code, reason = "other tests use the rest")]
    pub(crate) mod log;
}

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sidewake::deliver::dead_letters::{MAX_BYTES, REASON, Reader};
use sidewake::deliver::transport::{TransportOptions, connect};
use sidewake::deliver::{DeadLetters, Options, Route, drain};
use sidewake::event::record::{Flags, Kind, Level, Record};
use sidewake::sinks::Sink;
use sidewake::sinks::loki::{self, Loki};
use sidewake::telemetry::RouteCounters;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use support::batches::frame_of;
use support::log::Log;

const HOUR_NS: i64 = 3_600_000_000_000;

/// The server, and names that no other test or run has used.
struct Server {
    host: String,
    /// A tenant of its own, or one with special limits.
    tenant: String,
    tier: String,
}

/// One entry as it was queried back.
#[derive(Debug, PartialEq)]
struct Found {
    ts_ns: i64,
    line: String,
    labels: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
}

fn now_ns() -> i64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as i64
}

impl Server {
    /// `special` names a tenant of the backends' `overrides.yaml`.
    fn find(test: &str, special: Option<&str>) -> Option<Self> {
        let Ok(url) = std::env::var("SIDEWAKE_TEST_LOKI") else {
            eprintln!("skipped: {test} needs SIDEWAKE_TEST_LOKI");
            return None;
        };
        let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let run = format!("{test}-{}", now_ns());
        let tenant = special.map_or_else(|| run.clone(), str::to_owned);
        Some(Self { host, tenant, tier: run })
    }

    fn options(&self) -> loki::Options {
        let mut options = loki::Options::new(&format!("http://{}", self.host), &self.tier);
        options.tenant = Some(self.tenant.clone());
        options
    }

    /// All entries of the tier, in order of time, once there are `n` of them.
    async fn query(&self, n: usize) -> Vec<Found> {
        let selector = format!("{{tier=\"{}\"}}", self.tier);
        let selector: String = selector.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!(
            "/loki/api/v1/query_range?query={selector}&direction=forward&limit=10000&start={}&end={}",
            now_ns() - 24 * HOUR_NS,
            now_ns() + HOUR_NS
        );
        // Loki gives no signal; its answer to a query takes long enough for this not to spin.
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(15) {
            let found = parse(&self.get(&path).await);
            if found.len() >= n {
                return found;
            }
        }
        panic!("{n} entries were not to be found; there are {:?}", parse(&self.get(&path).await));
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).await.expect("connected");
        // HTTP/1.0: the answer is not chunked, and ends with the connection.
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {}\r\nX-Scope-OrgID: {}\r\n\
             X-Loki-Response-Encoding-Flags: categorize-labels\r\n\r\n",
            self.host, self.tenant
        );
        stream.write_all(request.as_bytes()).await.expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }
}

fn parse(json: &str) -> Vec<Found> {
    let answer: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let map = |value: &serde_json::Value| -> BTreeMap<String, String> {
        serde_json::from_value(value.clone()).unwrap_or_default()
    };
    let mut found = Vec::new();
    for stream in answer["data"]["result"].as_array().expect("streams") {
        for value in stream["values"].as_array().expect("entries") {
            found.push(Found {
                ts_ns: value[0].as_str().and_then(|ts| ts.parse().ok()).expect("a time"),
                line: value[1].as_str().expect("a line").to_owned(),
                labels: map(&stream["stream"]),
                metadata: map(&value[2]["structuredMetadata"]),
            });
        }
    }
    found.sort_by_key(|entry| entry.ts_ns);
    found
}

struct Outcome {
    counters: Arc<RouteCounters>,
    letters: tempfile::TempDir,
}

impl Outcome {
    fn buried(&self) -> Vec<(String, String)> {
        let letters = Reader::open(self.letters.path()).expect("listed");
        let letters = letters.map(|letter| letter.expect("read"));
        letters
            .flat_map(|letter| {
                let reason = letter.origin.attribute(REASON).expect("a reason").to_owned();
                let lines = letter.events().map(|event| String::from_utf8_lossy(event.bytes));
                lines.map(|line| (line.into_owned(), reason.clone())).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Lines of one frame, and what completes their records.
type Lines<'a> = (&'a [String], &'a dyn Fn(&str, &mut Record));

async fn deliver(options: loki::Options, frames: &[Lines<'_>]) -> Outcome {
    let counters = Arc::<RouteCounters>::default();
    let log = Log::new(&counters);
    let mut from = 0;
    for (lines, edit) in frames {
        let frame = frame_of(from, lines, edit);
        from = frame.range.to;
        log.append(frame);
    }
    let letters = tempfile::tempdir().expect("a folder");
    let sink = Loki::new(options);
    let (_switch, drain) = drain();
    let mut delivery = Options { batch_age: Duration::from_millis(50), ..Options::default() };
    delivery.concurrency = 1;
    let route = Route {
        tier: "app".into(),
        sink_name: "loki".into(),
        client: connect(&sink.transport(), &TransportOptions::default()).expect("a client"),
        sink: Arc::new(sink),
        options: delivery,
        dead_letters: DeadLetters::new(letters.path().to_owned(), MAX_BYTES),
        counters: Arc::clone(&counters),
        status: Arc::default(),
    };
    let task = tokio::spawn(route.run(log.cursor(), drain));
    log.acked_to(from).await;
    log.end();
    task.await.expect("no panic");
    log.assert_balanced();
    Outcome { counters, letters }
}

fn numbered(n: usize, len: usize) -> Vec<String> {
    (0..n).map(|index| format!("{index:06} {}", "x".repeat(len))).collect()
}

/// Times a microsecond apart, in the order of the numbers in front of the lines.
fn in_order(begun_ns: i64) -> impl Fn(&str, &mut Record) {
    move |line, record| {
        let number: i64 = line[..6].parse().expect("a number");
        record.ts_ns = begun_ns + number * 1000;
    }
}

#[tokio::test]
async fn what_is_delivered_comes_back() {
    let Some(server) = Server::find("come-back", None) else { return };
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let lines: Vec<String> = (0..1000)
        .map(|index| format!("{index:06} {{\"request_id\":\"r-{index:06}\",\"trace_id\":\"{trace}\",\"é\":\"\u{1f980}\\n\"}}"))
        .collect();
    let begun_ns = now_ns() - 60_000_000_000;
    let order = in_order(begun_ns);
    let edit = |line: &str, record: &mut Record| {
        order(line, record);
        record.flags = Flags::JSON;
        record.kind = Kind::Prediction as u8;
        record.level = Level::Warn as u8;
        (record.request_id_off, record.request_id_len) = (22, 8);
        record.trace_id_off = line.find(trace).expect("there") as u32;
    };
    let (first, second) = lines.split_at(400);
    deliver(server.options(), &[(first, &edit), (second, &edit)]).await;
    let found = server.query(lines.len()).await;
    assert_eq!(found.len(), lines.len());
    for (index, (entry, line)) in found.iter().zip(&lines).enumerate() {
        assert_eq!(&entry.line, line);
        assert_eq!(entry.ts_ns, begun_ns + index as i64 * 1000);
        let labels = [
            ("service_name", "fraud-detector"),
            ("stream", "stdout"),
            ("tier", server.tier.as_str()),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut own = entry.labels.clone();
        own.retain(|name, _| name != "__stream_shard__");
        assert_eq!(own, BTreeMap::from(labels));
        for (name, value) in [
            ("kind", "prediction"),
            ("level", "warn"),
            ("pod", "fraud-0"),
            ("request_id", &format!("r-{index:06}")),
            ("trace_id", trace),
        ] {
            assert_eq!(entry.metadata.get(name).map(String::as_str), Some(value), "{entry:?}");
        }
    }
}

/// The same events delivered twice, as after a crash before the acknowledgement, are there once.
#[tokio::test]
async fn repeats_collapse() {
    let Some(server) = Server::find("repeats", None) else { return };
    let lines = numbered(300, 100);
    let order = in_order(now_ns() - 60_000_000_000);
    for _ in 0..2 {
        deliver(server.options(), &[(&lines, &order)]).await;
    }
    let found = server.query(lines.len()).await;
    assert_eq!(
        found.iter().map(|entry| &entry.line).collect::<Vec<_>>(),
        lines.iter().collect::<Vec<_>>()
    );
}

/// Loki takes entries with equal time, line and metadata for one; no two events have all equal.
#[tokio::test]
async fn equal_events_of_one_time_are_not_one() {
    let Some(server) = Server::find("twins", None) else { return };
    let lines = vec!["12:00:00 tick".to_owned(); 40];
    let ts_ns = now_ns() / 1_000_000_000 * 1_000_000_000;
    let edit = |_: &str, record: &mut Record| record.ts_ns = ts_ns;
    let (first, second) = lines.split_at(10);
    for _ in 0..2 {
        deliver(server.options(), &[(first, &edit), (second, &edit)]).await;
    }
    let found = server.query(lines.len()).await;
    assert_eq!(found.len(), lines.len());
    assert!(found.iter().all(|entry| entry.ts_ns == ts_ns && entry.line == lines[0]));
}

/// Its true 400: what is too old or too new is buried, the rest is stored and not sent again.
#[tokio::test]
async fn too_old_and_too_new() {
    let Some(server) = Server::find("too-old", None) else { return };
    let lines: Vec<String> = ["fine", "old-1", "old-2", "new"].map(str::to_owned).into();
    let edit = |line: &str, record: &mut Record| {
        record.ts_ns = now_ns();
        match line {
            "old-1" => record.ts_ns -= 8 * 24 * HOUR_NS,
            "old-2" => record.ts_ns -= 9 * 24 * HOUR_NS,
            "new" => record.ts_ns += HOUR_NS,
            _ => {}
        }
    };
    let outcome = deliver(server.options(), &[(&lines, &edit)]).await;
    let buried = outcome.buried();
    let names: Vec<_> = buried.iter().map(|(line, _)| line.as_str()).collect();
    assert_eq!(names, ["old-1", "old-2", "new"]);
    assert!(buried[0].1.contains("timestamp too"), "{}", buried[0].1);
    assert_eq!(outcome.counters.delivered.get(), 1);
    assert_eq!(outcome.counters.requests.get(), 1);
    let found = server.query(1).await;
    assert_eq!(found.iter().map(|entry| entry.line.as_str()).collect::<Vec<_>>(), ["fine"]);
}

/// Its true 400 for a line that only the server knows to be too long.
#[tokio::test]
async fn too_long() {
    let Some(server) = Server::find("too-long", Some("tiny")) else { return };
    let lines = vec!["fine".to_owned(), "l".repeat(5000)];
    let outcome =
        deliver(server.options(), &[(&lines, &|_, record| record.ts_ns = now_ns())]).await;
    let buried = outcome.buried();
    assert_eq!(buried.iter().map(|(line, _)| line.len()).collect::<Vec<_>>(), [5000]);
    assert_eq!(server.query(1).await[0].line, "fine");
}

/// Its true 429: a body above the tenant's burst is halved and waits its turn; nothing is lost.
#[tokio::test]
async fn above_the_burst() {
    let Some(server) = Server::find("burst", Some("tiny")) else { return };
    let lines = numbered(500, 300);
    let order = in_order(now_ns() - 60_000_000_000);
    let outcome = deliver(server.options(), &[(&lines, &order)]).await;
    assert_eq!(outcome.counters.delivered.get(), 500);
    assert!(outcome.counters.retries.get() > 0, "{:?}", outcome.counters);
    let found = server.query(lines.len()).await;
    assert_eq!(
        found.iter().map(|entry| &entry.line).collect::<Vec<_>>(),
        lines.iter().collect::<Vec<_>>()
    );
}

/// Its true 429 of one stream, of which it stores a part.
#[tokio::test]
async fn above_the_streams_burst() {
    let Some(server) = Server::find("stream-burst", Some("slow-stream")) else { return };
    let lines = numbered(250, 300);
    let order = in_order(now_ns() - 60_000_000_000);
    let outcome = deliver(server.options(), &[(&lines, &order)]).await;
    assert_eq!(outcome.counters.delivered.get(), 250);
    let found = server.query(lines.len()).await;
    assert_eq!(
        found.iter().map(|entry| &entry.line).collect::<Vec<_>>(),
        lines.iter().collect::<Vec<_>>()
    );
}

/// Its true 260: looks like success, and nothing is stored.
#[tokio::test]
async fn blocked() {
    let Some(server) = Server::find("blocked", Some("blocked")) else { return };
    let lines = numbered(3, 10);
    let order = in_order(now_ns());
    let outcome = deliver(server.options(), &[(&lines, &order)]).await;
    assert_eq!((outcome.counters.delivered.get(), outcome.counters.dead_letters.get()), (0, 3));
    assert!(outcome.buried()[0].1.starts_with("260 "), "{}", outcome.buried()[0].1);
}

/// What comes two hours late is taken, although the live stream is far ahead of it.
#[tokio::test]
async fn a_late_backlog_is_taken() {
    let Some(server) = Server::find("backlog", None) else { return };
    let (live, late) = (numbered(10, 10), numbered(20, 20));
    let order = in_order(now_ns());
    let late_order = in_order(now_ns() - 2 * HOUR_NS);
    let outcome = deliver(server.options(), &[(&live, &order), (&late, &late_order)]).await;
    assert_eq!(outcome.counters.delivered.get(), 30);
    let found = server.query(30).await;
    let (backlog, rest): (Vec<_>, Vec<_>) =
        found.iter().partition(|entry| entry.labels.get("backlog").is_some_and(|is| is == "true"));
    assert_eq!((backlog.len(), rest.len()), (20, 10));
    assert!(backlog.iter().all(|entry| entry.labels["pod"] == "fraud-0"));
}
