//! The binary between an OTLP client and a real receiver, and the receiver's queries.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::SystemTime;

use prost::Message as _;
use serde_json::Value;

use super::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::rig::{Daemon, Place, until};

pub(crate) struct Real {
    queries: String,
    write: String,
    running: Option<(Place, Daemon, u16)>,
    sent_ms: u64,
    n_started: u32,
}

impl Real {
    /// The receiver, if the environment knows one.
    pub(crate) fn find(queries: &str, write: &str, path: &str) -> Option<Self> {
        let of = |name: &str| std::env::var(format!("SIDEWAKE_TEST_{name}")).ok();
        let (Some(queries_at), Some(write_at)) = (of(queries), of(write)) else {
            eprintln!("skipped: it needs SIDEWAKE_TEST_{queries} and SIDEWAKE_TEST_{write}");
            return None;
        };
        let write = format!("{write_at}{path}");
        Some(Self { queries: queries_at, write, running: None, sent_ms: 0, n_started: 0 })
    }

    /// Starts the daemon; gives the name of a job that nobody had before.
    pub(crate) fn start(&mut self, protocol: &str, more: &str) -> String {
        let name = self.name();
        let options = format!("protocol: {protocol}{more}");
        self.start_as(&options, |port, sink| {
            format!(
                "service: {{ name: fraud }}\n\
                 sources: {{ otlp: {{ type: otlp, grpc: off, http: \"127.0.0.1:{port}\" }} }}\n\
                 {sink}"
            )
        });
        name
    }

    /// Starts it with the config that `config` makes of a port for OTLP and the part of the sink.
    pub(crate) fn start_with(&mut self, config: impl FnOnce(u16, &str) -> String) {
        self.start_as("protocol: auto", config);
    }

    fn start_as(&mut self, options: &str, config: impl FnOnce(u16, &str) -> String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let sink = format!(
            "sinks:\n  rw: {{ type: prometheus_remote_write, endpoint: \"{}\", {options}, \
               batch: {{ max_age: 20ms }}, retry: {{ initial: 20ms, max: 200ms }} }}\n  \
               none: {{ type: files, path: \"@/store\" }}\n\
             tiers: {{ metrics: {{ sinks: [rw] }}, traces: {{ sinks: [none] }}, \
               application_logs: {{ sinks: [none] }}, prediction_logs: {{ sinks: [none] }} }}\n\
             spool: {{ type: disk, path: \"@/spool\" }}\n",
            self.write
        );
        let mut place = Place::with(&config(port, &sink));
        let daemon = place.daemon(&[]);
        until("the source listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        self.running = Some((place, daemon, port));
    }

    /// A job that nobody had before.
    pub(crate) fn name(&mut self) -> String {
        self.n_started += 1;
        format!("real-{}-{}-{}", std::process::id(), self.now_ms(), self.n_started)
    }

    /// Adds to a file beside the config.
    pub(crate) fn append(&self, name: &str, text: &str) {
        self.running().0.append(name, text);
    }

    fn running(&self) -> &(Place, Daemon, u16) {
        self.running.as_ref().expect("started")
    }

    pub(crate) fn stop(&mut self) {
        if let Some((_, mut daemon, _)) = self.running.take() {
            daemon.stop();
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as u64
    }

    /// A time at which all that was sent last is there to be asked for.
    pub(crate) fn sent_ms(&self) -> u64 {
        self.sent_ms
    }

    pub(crate) fn send(&mut self, request: &ExportMetricsServiceRequest) {
        self.sent_ms = self.now_ms() + 100;
        let body = request.encode_to_vec();
        let (_, _, port) = self.running();
        let mut stream = TcpStream::connect(("127.0.0.1", *port)).expect("connected");
        let head = format!(
            "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("asked");
        stream.write_all(&body).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }

    /// Waits until so many events are accounted for; delivered and dead letters.
    pub(crate) fn settled(&self, n_events: u64) -> (u64, u64) {
        let of = |metrics: &super::http::Metrics| {
            let of = |name| metrics.route(name, "metrics", "rw");
            (of("delivered_events_total"), of("dead_letter_events_total"))
        };
        let (_, daemon, _) = self.running();
        let metrics = daemon.metrics_when("all is settled", |metrics| {
            let (delivered, letters) = of(metrics);
            delivered + letters >= n_events
        });
        of(&metrics)
    }

    /// What the dead letters say.
    pub(crate) fn letters(&self) -> String {
        let (place, _, _) = self.running();
        let (code, letters, _) = place.output(&["spool", "dead-letters", "spool"]);
        assert_eq!(code, 0);
        letters
    }

    /// The one series that a query finds.
    pub(crate) fn result(&self, query: &str, at_ms: u64) -> Option<Value> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let time = at_ms as f64 / 1000.0;
        let answer = self.json(&format!("/api/v1/query?query={query}&time={time}"));
        let found = answer["data"]["result"].as_array()?;
        assert!(found.len() < 2, "{answer}");
        found.first().cloned()
    }

    pub(crate) fn value(&self, query: &str, at_ms: u64) -> Option<Value> {
        self.result(query, at_ms).map(|found| found["value"][1].clone())
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).unwrap_or_default()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let address = self.queries.trim_start_matches("http://");
        super::http::get(address, path).map(|(_, body)| body).unwrap_or_default()
    }
}
