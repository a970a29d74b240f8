//! Memory stays within its budget while more comes by OTLP than can go: clients are told to come
//! again, and what was taken is delivered.
//!
//! `SIDEWAKE_SLOW=1` sends ten times as much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use prost::Message as _;

use super::fake_otlp::Act;
use super::files::Random;
use super::memory::{Watch, scale};
use super::otlp::{Receiver, config, free_port, ready, request, span, text};
use super::otlp_client::{OtlpClient, Outcome, Protocol};
use super::otlp_kills::rest;
use super::rig::Place;

const CLIENTS: usize = 24;
const SPANS: u64 = 1000;

/// What the clients were told.
#[derive(Default)]
struct Told {
    n_stored: AtomicU64,
    n_again: AtomicU64,
    is_over: AtomicBool,
}

/// Sends the same request again and again, as fast as it is taken.
async fn send_on(client: OtlpClient, body: Vec<u8>, told: Arc<Told>) {
    while !told.is_over.load(SeqCst) {
        match client.traces(body.clone()).await {
            Outcome::Stored { n_rejected } => {
                assert_eq!(n_rejected, 0);
                told.n_stored.fetch_add(SPANS, SeqCst);
            }
            Outcome::Again { has_delay } => {
                assert!(has_delay, "the client is told when");
                told.n_again.fetch_add(1, SeqCst);
                rest(20_000).await;
            }
            Outcome::Refused { code, words } => panic!("refused: {code} {words}"),
        }
    }
}

/// A request that the spool cannot pack to nothing.
fn body_of(n: u64) -> Vec<u8> {
    let mut random = Random::of(n);
    let mut letter = || match random.below(6) {
        0 => ' ',
        _ => char::from(b'a' + random.below(26) as u8),
    };
    let spans = (n * SPANS..(n + 1) * SPANS).map(|n| {
        let words: String = (0..200).map(|_| letter()).collect();
        let mut span = span(n, "nobody");
        span.attributes.push(text("words", &words));
        span
    });
    request(spans.collect()).encode_to_vec()
}

/// Twenty-four clients that always have a request of 550 KB under way, a receiver that is dead,
/// hangs, is slow, and is well, and a spool that holds a few seconds of it.
#[test]
fn more_comes_than_can_go() {
    let receiver = Receiver::start();
    let port = free_port();
    let route = "tiers: { application_logs: { sinks: [tempo] }, prediction_logs: { sinks: [tempo] }, \
                 traces: { sinks: [{ name: tempo, when_full: block }] } }\n";
    let more = ", timeout: 2s, compression: none";
    let config = config(&receiver, port, more).replace("\"@/spool\"", "\"@/spool\", max: 96MiB")
        + "memory: { limit: 32MiB }\n"
        + route;
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    let url = format!("http://127.0.0.1:{port}");
    ready(&receiver, &OtlpClient::new(&url, Protocol::Grpc));
    let watch = Watch::over(&daemon);
    let told = Arc::<Told>::default();
    receiver.fake.always(Act::Fail(14));
    let clients: Vec<_> = (0..CLIENTS as u64)
        .map(|n| {
            let protocol = if n % 2 == 0 { Protocol::Grpc } else { Protocol::Http };
            let client = OtlpClient::new(&url, protocol);
            let body = body_of(n);
            receiver.runtime.spawn(send_on(client, body, Arc::clone(&told)))
        })
        .collect();
    let states = [
        ("dead", Some(Act::Fail(14))),
        ("hanging", Some(Act::Hang)),
        ("slow", Some(Act::Slow(500))),
        ("well", None),
    ];
    for (state, act) in states {
        receiver.fake.recover();
        act.into_iter().for_each(|act| receiver.fake.always(act));
        // What is taken in a state, or sent away where nothing is.
        let (stored, again) = (told.n_stored.load(SeqCst), told.n_again.load(SeqCst));
        daemon.metrics_when("more was asked of it", |_| {
            let n_stored = told.n_stored.load(SeqCst) - stored;
            let n_again = told.n_again.load(SeqCst) - again;
            n_stored / SPANS + n_again >= 200 * scale() as u64
        });
        watch.assert_bounded(state);
    }
    told.is_over.store(true, SeqCst);
    for client in clients {
        receiver.runtime.block_on(client).expect("no client failed");
    }
    let (n_stored, n_again) = (told.n_stored.load(SeqCst), told.n_again.load(SeqCst));
    println!("{n_stored} spans stored, {n_again} requests sent away");
    assert!(n_again > 0, "it never was too much");
    let metrics = daemon.metrics_when("nothing is spooled", |metrics| {
        metrics.route("spooled_events", "traces", "tempo") == 0
    });
    watch.assert_bounded("the backlog");
    assert!(metrics.route("delivered_events_total", "traces", "tempo") >= n_stored);
    assert_eq!(metrics.dropped("traces", "tempo"), 0);
    metrics.assert_balanced();
    daemon.stop();
}
