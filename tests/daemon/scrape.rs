//! Targets scraped by the real binary: what the official client holds arrives, value by value; what
//! fails, hangs, is huge or explodes is down and does no harm; and what is gone is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use prost::Message as _;
use serde_json::Value as Json;

use super::derived::labels;
use super::files::Random;
use super::otlp::Receiver;
use super::otlp_proto::common::KeyValue;
use super::otlp_proto::metrics::metric::Data;
use super::otlp_proto::metrics::number_data_point::Value as Number;
use super::otlp_proto::metrics::{Exemplar, Metric, NumberDataPoint, exemplar};
use super::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::rig::{Place, until};

/// Sources by name, metrics out to the receiver.
fn config(receiver: &Receiver, sources: &str, more: &str) -> String {
    format!(
        "service: {{ name: fraud-detector }}\n\
         sources:\n{sources}\
         sinks:\n  otlp: {{ type: otlp, endpoint: \"{}\", concurrency: 1, \
           batch: {{ max_age: 20ms }}, retry: {{ initial: 20ms, max: 200ms }} }}\n\
         derive: {{ enabled: false }}\n\
         spool: {{ type: disk, path: \"@/spool\"{more} }}\n",
        receiver.fake.url()
    )
}

/// A series of Prometheus: its name and labels, `job` and `instance` among them.
type Series = (String, BTreeMap<String, String>);

/// A series' samples in the order in which they came; `None` where it is gone.
#[derive(Debug, Default)]
struct Told {
    values: BTreeMap<Series, Vec<Option<f64>>>,
    /// By metric and labels: since when, in seconds.
    starts: BTreeMap<Series, f64>,
    /// By metric: its type and what it is about.
    kinds: BTreeMap<String, (String, String)>,
    exemplars: Vec<(String, BTreeMap<String, String>, f64)>,
    times: BTreeSet<u64>,
}

/// What the receiver has, said back as Prometheus has it.
fn told(receiver: &Receiver) -> Told {
    let mut told = Told::default();
    for raw in receiver.fake.raw() {
        let request = ExportMetricsServiceRequest::decode(&*raw).expect("a request of metrics");
        for resource in request.resource_metrics {
            let mut own = labels(&resource.resource.expect("a resource").attributes);
            let job = own.remove("service.name").expect("a job");
            let instance = own.remove("service.instance.id").expect("an instance");
            let who = BTreeMap::from([("job".to_owned(), job), ("instance".to_owned(), instance)]);
            for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                told.metric(&who, metric);
            }
        }
    }
    told
}

fn bound(value: f64) -> String {
    if value == f64::INFINITY { "+Inf".to_owned() } else { format!("{value:?}") }
}

impl Told {
    fn metric(&mut self, who: &BTreeMap<String, String>, metric: &Metric) {
        let kind = labels(&metric.metadata).remove("prometheus.type").expect("the mark");
        self.kinds.insert(metric.name.clone(), (kind, metric.description.clone()));
        match metric.data.as_ref().expect("points") {
            Data::Gauge(gauge) => self.numbers(who, &metric.name, &gauge.data_points),
            Data::Sum(sum) => {
                assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
                self.numbers(who, &metric.name, &sum.data_points);
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, 2);
                for point in &histogram.data_points {
                    let base = (who, &point.attributes, point.flags == 1);
                    self.since(base, &metric.name, point.start_time_unix_nano);
                    self.times.insert(point.time_unix_nano);
                    let mut total = 0;
                    let ends = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                    for (end, count) in ends.zip(&point.bucket_counts) {
                        total += count;
                        let le = Some(("le", bound(end)));
                        self.sample(base, &format!("{}_bucket", metric.name), le, total as f64);
                    }
                    if let Some(sum) = point.sum {
                        self.sample(base, &format!("{}_sum", metric.name), None, sum);
                    }
                    let count = point.count as f64;
                    self.sample(base, &format!("{}_count", metric.name), None, count);
                    self.exemplars(&metric.name, &point.exemplars);
                }
            }
            Data::Summary(summary) => {
                for point in &summary.data_points {
                    let base = (who, &point.attributes, point.flags == 1);
                    self.since(base, &metric.name, point.start_time_unix_nano);
                    self.sample(base, &format!("{}_sum", metric.name), None, point.sum);
                    let count = point.count as f64;
                    self.sample(base, &format!("{}_count", metric.name), None, count);
                }
            }
            Data::ExponentialHistogram(_) => panic!("{}: nobody asked for those", metric.name),
        }
    }

    fn numbers(&mut self, who: &BTreeMap<String, String>, name: &str, points: &[NumberDataPoint]) {
        for point in points {
            let base = (who, &point.attributes, point.flags == 1);
            let value = match point.value {
                Some(Number::AsDouble(value)) => value,
                other => {
                    assert!(point.flags == 1 && other.is_none(), "{name}: {other:?}");
                    0.0
                }
            };
            self.times.insert(point.time_unix_nano);
            self.since(base, name, point.start_time_unix_nano);
            self.sample(base, name, None, value);
            self.exemplars(name, &point.exemplars);
        }
    }

    fn series(
        (who, attributes, _): (&BTreeMap<String, String>, &Vec<KeyValue>, bool),
        name: &str,
        more: Option<(&str, String)>,
    ) -> Series {
        let mut all = labels(attributes);
        all.extend(who.clone());
        all.extend(more.map(|(name, value)| (name.to_owned(), value)));
        (name.to_owned(), all)
    }

    fn sample(
        &mut self,
        base: (&BTreeMap<String, String>, &Vec<KeyValue>, bool),
        name: &str,
        more: Option<(&str, String)>,
        value: f64,
    ) {
        let values = self.values.entry(Self::series(base, name, more)).or_default();
        values.push((!base.2).then_some(value));
    }

    fn since(
        &mut self,
        base: (&BTreeMap<String, String>, &Vec<KeyValue>, bool),
        name: &str,
        start_ns: u64,
    ) {
        if start_ns > 0 {
            self.starts.insert(Self::series(base, name, None), start_ns as f64 / 1e9);
        }
    }

    fn exemplars(&mut self, name: &str, all: &[Exemplar]) {
        for one in all {
            let mut of = labels(&one.filtered_attributes);
            let hex = |id: &[u8]| data_encoding::HEXLOWER.encode(id);
            if !one.trace_id.is_empty() {
                of.insert("trace_id".to_owned(), hex(&one.trace_id));
                of.insert("span_id".to_owned(), hex(&one.span_id));
            }
            let Some(exemplar::Value::AsDouble(value)) = one.value else { panic!("{one:?}") };
            self.exemplars.push((name.to_owned(), of, value));
        }
    }

    /// The values of `name` of `job`, in order.
    fn of_job(&self, name: &str, job: &str) -> Vec<Option<f64>> {
        let is_it = |(series, labels): &&Series| series == name && labels["job"] == job;
        let found = self.values.iter().filter(|(series, _)| is_it(series));
        found.flat_map(|(_, values)| values.clone()).collect()
    }
}

/// A value that compares, whatever it is.
fn key(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// What the official library says that it holds is what comes out, in both formats that it has.
#[test]
fn what_the_official_client_holds() {
    let Ok(python) = std::env::var("SIDEWAKE_TEST_CLIENT_PROMETHEUS") else {
        eprintln!("skipped: what_the_official_client_holds needs SIDEWAKE_TEST_CLIENT_PROMETHEUS");
        return;
    };
    let mut client = Command::new(python)
        .arg("tests/clients/expose.py")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client runs");
    let mut lines = BufReader::new(client.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("text");
    let (port, held) = (line(), line());
    let held: Vec<Json> = serde_json::from_str(&held).expect("JSON");
    for format in ["text", "openmetrics", ""] {
        let receiver = Receiver::start();
        receiver.fake.keep();
        let url = format!("http://127.0.0.1:{port}/metrics?format={format}");
        let source = format!("  model: {{ type: prometheus, targets: [\"{url}\"], every: 1s }}\n");
        let mut place = Place::with(&config(&receiver, &source, ""));
        let mut daemon = place.daemon(&[]);
        until("a scrape", || told(&receiver).of_job("up", "fraud-detector").len() > 1);
        let told = told(&receiver);
        assert_eq!(told.of_job("up", "fraud-detector")[0], Some(1.0), "{}", daemon.stderr());
        check_held(&held, &told, &port, format != "text");
        daemon.stop();
    }
    drop(client.stdin.take());
    assert!(client.wait().expect("ended").success());
}

fn check_held(held: &[Json], told: &Told, port: &str, is_openmetrics: bool) {
    let mut expected = BTreeMap::new();
    let mut n_exemplars = 0;
    for sample in held {
        let text = |name: &str| sample[name].as_str().expect(name).to_owned();
        let of = sample["labels"].as_object().expect("labels");
        let value = |value: &Json| value.as_str().expect("text").to_owned();
        let mut labels: BTreeMap<String, String> =
            of.iter().map(|(name, one)| (name.clone(), value(one))).collect();
        labels.insert("job".to_owned(), "fraud-detector".to_owned());
        labels.insert("instance".to_owned(), format!("127.0.0.1:{port}"));
        let (name, number) = (text("name"), text("value").parse::<f64>().expect("a number"));
        // OpenMetrics' times of creation are starts, and no series.
        if let Some(base) = name.strip_suffix("_created").filter(|_| is_openmetrics) {
            let metric = format!("{base}{}", if text("type") == "counter" { "_total" } else { "" });
            let start = told.starts.get(&(metric, labels)).expect("a start");
            assert!((start - number).abs() < 1e-3, "{name}: {start} {number}");
            continue;
        }
        if let Some(exemplar) = sample["exemplar"].as_array().filter(|_| is_openmetrics) {
            n_exemplars += 1;
            let of = exemplar[0].as_object().expect("labels");
            let of = of.iter().map(|(name, one)| (name.clone(), value(one))).collect();
            let metric = name.strip_suffix("_bucket").unwrap_or(&name).to_owned();
            let one = (metric, of, exemplar[1].as_f64().expect("a number"));
            assert!(told.exemplars.contains(&one), "{one:?} of {:#?}", told.exemplars);
        }
        if is_openmetrics && text("type") != "gaugehistogram" {
            let metric =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let (kind, help) = &told.kinds[metric.unwrap_or(&name)];
            assert_eq!((kind, help), (&text("type"), &text("help")), "{name}");
        }
        expected.insert((name, labels), key(number));
    }
    assert!(!is_openmetrics || n_exemplars > 3);
    let report = ["up", "scrape_"];
    let is_theirs = |(name, _): &&Series| !report.iter().any(|own| name.starts_with(own));
    let found = told.values.iter().filter(|(series, _)| is_theirs(series));
    let found: BTreeMap<_, _> =
        found.map(|(series, values)| (series.clone(), key(values[0].expect("a value")))).collect();
    assert_eq!(found, expected);
}

/// A target of our own: what it answers, by path, and what it was asked.
#[derive(Clone)]
pub(crate) struct Exposer {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Exposer {
    pub(crate) fn start(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (told, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, answer) = (Arc::clone(&told), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &told, &*answer));
            }
        });
        Self { address, asked }
    }

    fn asked(&self, path: &str) -> Vec<String> {
        let asked = self.asked.lock().expect("unpoisoned");
        let start = format!("get {path} ");
        asked.iter().filter(|head| head.starts_with(&start)).cloned().collect()
    }
}

/// One request; no answer is one that never ends.
fn serve(stream: &TcpStream, told: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Option<Vec<u8>>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if !matches!(reader.read_line(&mut head), Ok(n) if n > 0) {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    told.lock().expect("unpoisoned").push(head.to_lowercase());
    match answer(&path) {
        // Whoever hung up does not want it.
        Some(bytes) => {
            let mut stream = stream;
            drop(stream.write_all(&bytes));
        }
        None => drop(reader.read(&mut [0; 1])),
    }
}

pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(body).expect("memory");
    packer.finish().expect("memory")
}

const GZIP: &str = "content-encoding: gzip\r\n";

/// A target that answers in as many ways as there are paths.
fn misbehaving() -> Exposer {
    let bomb = gzip(&vec![b'#'; 100 << 20]);
    assert!(bomb.len() < 1 << 20);
    Exposer::start(move |path| {
        Some(match path {
            "/ok" => answer("200 OK", GZIP, &gzip(b"# TYPE a_total counter\na_total 1\n")),
            "/moved" => answer("302 Found", "location: /ok\r\n", b""),
            "/circle" => answer("302 Found", "location: /circle\r\n", b""),
            "/error" => answer("500 Internal Server Error", "", b"a 1\n"),
            "/broken" => answer("200 OK", "", b"a 1\nb x\n"),
            "/cut" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na 1\n".to_vec(),
            "/huge" => answer("200 OK", "", &vec![b'#'; 2 << 20]),
            "/endless" => [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![b'#'; 2 << 20]].concat(),
            "/bomb" => answer("200 OK", GZIP, &bomb),
            "/packed" => answer("200 OK", GZIP, b"no gzip"),
            "/zstd" => answer("200 OK", "content-encoding: zstd\r\n", b"x"),
            "/many" => answer("200 OK", "", "a 1\nb 1\nc 1\nd 1\n".as_bytes()),
            "/empty" => answer("200 OK", "", b""),
            _ => return None,
        })
    })
}

/// Each path, and what is said where it cannot be scraped.
const CASES: [(&str, Option<&str>); 14] = [
    ("ok", None),
    ("moved", None),
    ("empty", None),
    ("circle", Some("redirect")),
    ("error", Some("the target answers 500")),
    ("broken", Some("line 2: \\\"x\\\" is no value")),
    ("cut", Some("")),
    ("huge", Some("body_size_limit")),
    ("endless", Some("body_size_limit")),
    ("bomb", Some("body_size_limit")),
    ("packed", Some("the body cannot be unpacked")),
    ("zstd", Some("which was not asked for")),
    ("many", Some("more than 3 samples (sample_limit)")),
    ("hangs", Some("no answer after 1s (timeout)")),
];

/// Each way to fail is a target that is down, says why, and leaves the others alone.
#[test]
fn targets_that_misbehave() {
    let exposer = misbehaving();
    let sources = CASES.map(|(name, _)| {
        format!(
            "  {name}: {{ type: prometheus, targets: [\"http://{}/{name}\"], job: {name}, every: 1s, \
             body_size_limit: 1MiB, sample_limit: 3, auth: {{ type: bearer, token: seCret }} }}\n",
            exposer.address
        )
    });
    let receiver = Receiver::start();
    receiver.fake.keep();
    let mut place = Place::with(&config(&receiver, &sources.concat(), ""));
    let mut daemon = place.daemon(&[]);
    let ups = |name: &str| told(&receiver).of_job("up", name);
    until("all scraped twice", || CASES.iter().all(|(name, _)| ups(name).len() >= 2));
    for (name, error) in CASES {
        let up = if error.is_none() { 1.0 } else { 0.0 };
        assert!(ups(name).contains(&Some(up)), "{name}: {}", daemon.stderr());
        let Some(error) = error else { continue };
        let logs = daemon.stderr();
        let lines: Vec<&str> = logs
            .lines()
            .filter(|line| {
                line.contains("cannot be scraped") && line.contains(&format!("/{name}\""))
            })
            .collect();
        assert_eq!(lines.len(), 1, "{name}: once a minute: {lines:?}");
        assert!(lines[0].contains(error), "{name}: {}", lines[0]);
        let metrics = daemon.metrics();
        let n_errors = format!("sidewake_source_errors_total{{source=\"{name}\"}}");
        assert!(metrics.get(&n_errors) >= 2.0, "{name}");
    }
    assert!(!daemon.stderr().contains("seCret"));
    assert_eq!(told(&receiver).of_job("a_total", "moved")[0], Some(1.0));
    let head = &exposer.asked("/ok")[0];
    for header in [
        "accept: application/openmetrics-text;version=1.0.0;",
        "accept-encoding: gzip\r\n",
        "user-agent: sidewake/",
        "authorization: bearer secret\r\n",
        "x-prometheus-scrape-timeout-seconds: 1\r\n",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    daemon.stop();
}

/// What vanishes, and all there was when the daemon ends, is told to be gone; rules and labels do
/// what they say.
#[test]
fn what_is_gone_is_told() {
    let n_asked = std::sync::atomic::AtomicUsize::new(0);
    let exposer = Exposer::start(move |_| {
        let n = n_asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let gone = if n < 2 { "b{x=\"2\"} 5\n" } else { "" };
        let body =
            format!("# TYPE n_total counter\nn_total {n}\npython_gc 1\na{{x=\"1\"}} 4\n{gone}");
        Some(answer("200 OK", "", body.as_bytes()))
    });
    let source = format!(
        "  model:\n    type: prometheus\n    targets: [\"http://{}\"]\n    every: 1s\n    \
           labels: {{ instance: pod-1, zone: eu }}\n    metric_relabel:\n    \
           - {{ source_labels: [__name__], regex: 'python_.*', action: drop }}\n    \
           - {{ source_labels: [x], regex: '(.+)', target_label: y, replacement: 'v$1' }}\n",
        exposer.address
    );
    let receiver = Receiver::start();
    receiver.fake.keep();
    let mut place = Place::with(&config(&receiver, &source, ""));
    let mut daemon = place.daemon(&[]);
    let of = |name: &str| told(&receiver).of_job(name, "fraud-detector");
    until("it is gone", || of("b").contains(&None));
    assert_eq!(of("b"), [Some(5.0), Some(5.0), None]);
    daemon.stop();
    // What was not delivered in the end is delivered now.
    let mut daemon = place.daemon(&[]);
    daemon.metrics();
    until("all is gone", || of("a").contains(&None) && of("up").contains(&None));
    daemon.stop();
    let told = told(&receiver);
    assert!(told.of_job("python_gc", "fraud-detector").is_empty());
    let (_, labels) = told.values.keys().find(|(name, _)| name == "a").expect("a series");
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(labels.join(" "), "instance=pod-1 job=fraud-detector x=1 y=v1 zone=eu");
    assert!(!exposer.asked("/metrics").is_empty(), "the usual path");
}

/// While nothing can be stored nothing is scraped, and that is counted; then it goes on.
#[test]
fn a_full_spool() {
    let random = Mutex::new(Random::of(7));
    let exposer = Exposer::start(move |_| {
        let mut random = random.lock().expect("unpoisoned");
        let series =
            (0..8000).map(|n| format!("a{{n=\"{n}\",w=\"{:x}\"}} 1\n", random.below(u64::MAX)));
        Some(answer("200 OK", "", series.collect::<String>().as_bytes()))
    });
    let receiver = Receiver::start();
    receiver.fake.always(super::fake_otlp::Act::Fail(14));
    let source = format!(
        "  model: {{ type: prometheus, targets: [\"http://{}\"], every: 100ms }}\n",
        exposer.address
    );
    let tiers = "tiers: { metrics: { sinks: [{ name: otlp, when_full: block }] }, \
                 application_logs: { sinks: [otlp] }, prediction_logs: { sinks: [otlp] } }\n";
    let config = config(&receiver, &source, ", max: 64MiB, shares: { metrics: 10% }");
    let mut place = Place::with(&(config + tiers));
    let mut daemon = place.daemon(&[]);
    let skipped =
        "sidewake_source_skipped_scrapes_total{source=\"model\",reason=\"spool_unavailable\"}";
    daemon.metrics_when("scrapes are skipped", |metrics| metrics.get(skipped) >= 5.0);
    assert_eq!(daemon.stderr().matches("not scraped: the spool takes nothing").count(), 1);
    let n_before = exposer.asked("/metrics").len();
    receiver.fake.recover();
    until("it goes on", || exposer.asked("/metrics").len() > n_before + 2);
    daemon.metrics_when("delivered", |metrics| {
        metrics.route("delivered_events_total", "metrics", "otlp") > 0
    });
    daemon.stop();
}
