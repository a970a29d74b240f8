//! The server as its clients see it, on a real socket.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::CONNECTIONS_MAX;
use super::*;
use crate::telemetry::DropReason;

async fn start(panel: Panel) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let admin = Admin::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = admin.address();
    (address, tokio::spawn(admin.serve(Arc::new(panel))))
}

async fn ask(address: std::net::SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("{head}\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    text
}

fn panel() -> Panel {
    let route = RoutePanel {
        tier: "app".into(),
        sink: "loki".into(),
        counters: Arc::default(),
        status: Arc::default(),
    };
    route.counters.events_in.add(7);
    route.counters.delivered.add(4);
    route.counters.spooled.set(2);
    route.counters.dropped(DropReason::SpoolFull).add(1);
    route.counters.oldest_undelivered_ns.set(1);
    route.status.failed(
        "app-loki",
        crate::deliver::status::State::Retrying,
        3,
        std::time::Duration::from_secs(2),
        "503 sick",
    );
    let source = SourcePanel { name: "mo\"del".into(), kind: "exec", counters: Arc::default() };
    source.counters.bytes_in.add(99);
    Panel {
        service: "fraud".into(),
        sources: vec![source].into(),
        routes: vec![route].into(),
        more: vec![Box::new(|out| {
            out.family("sidewake_memory_in_flight_bytes", MetricKind::Gauge, "Slabs in use.");
            out.sample(&[], 5);
        })],
        ..Panel::default()
    }
}

#[tokio::test]
async fn paths_and_methods() {
    let panel = panel();
    let readiness = Arc::clone(&panel.readiness);
    let (address, _task) = start(panel).await;
    for (head, status) in [
        ("GET /livez HTTP/1.1", "200"),
        ("HEAD /livez HTTP/1.1", "200"),
        ("GET /readyz HTTP/1.1", "503"),
        ("GET / HTTP/1.1", "404"),
        ("POST / HTTP/1.1", "404"),
        ("POST /status HTTP/1.1", "405"),
        ("DELETE /metrics HTTP/1.1", "405"),
        ("nonsense", "400"),
    ] {
        let answer = ask(address, head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
    }
    readiness.set_sources_listen(true);
    assert!(ask(address, "GET /readyz HTTP/1.1").await.contains("the spool does not accept\n"));
    readiness.set_spool_accepts(true);
    assert!(ask(address, "GET /readyz HTTP/1.1").await.starts_with("HTTP/1.1 200 "));
    readiness.set_stopping();
    assert!(ask(address, "GET /readyz HTTP/1.1").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn status_tells_what_is_wrong() {
    let (address, _task) = start(panel()).await;
    let answer = ask(address, "GET /status HTTP/1.1").await;
    let (_, json) = answer.split_once("\r\n\r\n").expect("a body");
    let status: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let route = &status["routes"][0];
    assert_eq!(route["state"], "retrying");
    assert_eq!(route["last_error"]["text"], "503 sick");
    assert_eq!(route["retrying"]["attempts"], 3);
    assert_eq!(route["lag"]["events"], 2);
    assert!(route["lag"]["oldest_age_seconds"].as_f64().expect("a number") > 1e9);
    assert_eq!(route["events"]["dropped"], serde_json::json!({ "spool_full": 1 }));
    assert_eq!(status["sources"][0]["bytes"], 99);
    assert_eq!(status["ready"], false);
}

#[tokio::test]
async fn metrics_are_well_formed() {
    let (address, _task) = start(panel()).await;
    let answer = ask(address, "GET /metrics HTTP/1.1").await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "sidewake_route_events_total{tier=\"app\",sink=\"loki\"} 7",
        "sidewake_route_delivered_events_total{tier=\"app\",sink=\"loki\"} 4",
        "sidewake_route_dropped_events_total{tier=\"app\",sink=\"loki\",reason=\"spool_full\"} 1",
        "sidewake_route_state{tier=\"app\",sink=\"loki\",state=\"retrying\"} 1",
        "sidewake_route_state{tier=\"app\",sink=\"loki\",state=\"waiting\"} 0",
        "sidewake_source_received_bytes_total{source=\"mo\\\"del\"} 99",
        "sidewake_memory_in_flight_bytes 5",
        "sidewake_ready 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert_families(text);
    let open = ask(address, "GET /metrics HTTP/1.1\r\naccept: application/openmetrics-text").await;
    assert!(open.contains("# TYPE sidewake_route_events counter\n") && open.ends_with("# EOF\n"));
}

/// Every sample follows its own HELP and TYPE, every family stands once, every name is ours or the
/// process's.
fn assert_families(text: &str) {
    let mut seen = std::collections::HashSet::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().expect("a name");
            assert!(seen.insert(family), "{family} twice");
            assert!(family.starts_with("sidewake_") || family.starts_with("process_"), "{family}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert_eq!(name, family);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else {
            let name = line.split(['{', ' ']).next().expect("a name");
            assert_eq!(name, family);
            let value = line.rsplit(' ').next().expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

/// Whoever holds all places gets no more of them, and frees them by going.
#[tokio::test]
async fn connections_are_bounded() {
    let (address, _task) = start(Panel::default()).await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        let mut some = [0u8; 16];
        stream.read_exact(&mut some).await.expect("answered");
        held.push(stream);
    }
    let mut one_more = TcpStream::connect(address).await.expect("connected");
    let n_read = one_more.read(&mut [0u8; 1]).await;
    assert!(matches!(n_read, Ok(0) | Err(_)), "{n_read:?}");
    drop(held);
    // The server frees the places when it sees the ends; until then we are turned away.
    loop {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let _ = stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await;
        let mut text = String::new();
        if stream.read_to_string(&mut text).await.is_ok() && text.contains("200 OK") {
            break;
        }
    }
}
