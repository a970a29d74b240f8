//! SIGKILL under a load of OTLP beside files: what a client was told is stored is stored, whatever
//! the destinations do.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use prost::Message as _;

use super::fake_otlp::{Act, Seen};
use super::files::Random;
use super::kills::{TIERS, write_on};
use super::loki::Loki;
use super::otlp::{Receiver, free_port, request, span};
use super::otlp_client::{OtlpClient, Outcome, Protocol};
use super::rig::{Place, until};

/// A daemon that starts needs longer than this to its first connection.
const START: Duration = Duration::from_millis(5);
/// Longer than it takes to write down an answer, on any machine.
const SOON: Duration = Duration::from_secs(2);

/// How often each span was sent until it was stored, by its number.
type Sent = HashMap<u64, usize>;

/// Sends until told to stop, each request again until it is stored, as exporters do.
async fn send_on(client: OtlpClient, seed: u64, first: u64, is_over: Arc<AtomicBool>) -> Sent {
    let (mut random, mut sent, mut n) = (Random::of(seed), Sent::new(), first);
    while !is_over.load(SeqCst) {
        let count = 1 + random.below(40);
        let body = request((n..n + count).map(|n| span(n, "nobody")).collect()).encode_to_vec();
        let mut n_tries = 1;
        loop {
            match client.traces(body.clone()).await {
                Outcome::Stored { n_rejected } => {
                    assert_eq!(n_rejected, 0);
                    break;
                }
                Outcome::Again { .. } => n_tries += 1,
                Outcome::Refused { code, words } => panic!("refused: {code} {words}"),
            }
            rest(2_000).await;
        }
        sent.extend((n..n + count).map(|n| (n, n_tries)));
        n += count;
        rest(random.below(6_000)).await;
    }
    sent
}

/// The load's own pace: nothing waits for it.
pub(crate) async fn rest(us: u64) {
    let _ = tokio::time::timeout(Duration::from_micros(us), std::future::pending::<()>()).await;
}

fn storm(receiver: &Receiver, random: &mut Random) {
    let act = match random.below(12) {
        0 => Act::Fail(14),
        1 => Act::Later(8, 5),
        2 => Act::Break,
        3 | 4 => Act::StoreAndBreak,
        _ => return,
    };
    receiver.fake.recover();
    receiver.fake.will([act]);
}

fn config(receiver: &Receiver, loki: &Loki, port: u16) -> String {
    let otlp = super::otlp::config(receiver, port, "");
    let logs = "sources:\n  logs: { type: file, include: [\"@/logs/*\"] }\n  otlp:";
    let (head, tail) = otlp.split_once("sources: { otlp:").expect("a source");
    let tail = tail.replacen("off } }", "off }", 1);
    let tail = tail.replacen("sinks:\n", &format!("sinks:\n  loki: {}\n", loki.sink()), 1);
    format!(
        "{head}{logs}{tail}tiers: {{ application_logs: {{ sinks: [loki] }}, \
         prediction_logs: {{ sinks: [loki] }}, traces: {{ sinks: [tempo] }} }}\n"
    )
}

/// Spans that came again although nobody asked for it, by why.
#[derive(Debug, Default)]
struct Repeats {
    /// The answer to the time before was broken off, or not read before the kill.
    unanswered: usize,
    /// It was read, and the process killed before that was written down.
    answered: usize,
    /// How many kills did so.
    answered_kills: BTreeSet<usize>,
    /// Answered, and no kill followed soon.
    unexplained: usize,
}

impl Repeats {
    fn of(seen: &HashMap<Vec<u8>, Seen>, sent: &Sent, kills: &[Instant]) -> Self {
        let mut repeats = Self::default();
        for (id, seen) in seen {
            let number = u64::from_be_bytes(id.as_slice().try_into().expect("eight bytes")) - 1;
            let before = &seen.answers[..seen.answers.len() - 1];
            // What the client sent twice is two spans to us.
            if sent.get(&number) != Some(&1) {
                continue;
            }
            for answer in before {
                let is_lost = |at: &Instant| {
                    let index = kills.partition_point(|kill| kill < at);
                    // Whose connection it was had been killed before it was taken, or answered.
                    index > 0 && answer.connected_at < kills[index - 1] + START
                };
                let Some(at) = answer.written_at().filter(|at| !is_lost(at)) else {
                    repeats.unanswered += 1;
                    continue;
                };
                let index = kills.partition_point(|kill| *kill < at);
                match kills.get(index).map(|kill| *kill - at) {
                    Some(gap) if gap < SOON => {
                        repeats.answered += 1;
                        repeats.answered_kills.insert(index);
                    }
                    _ => repeats.unexplained += 1,
                }
            }
        }
        repeats
    }
}

#[test]
fn kills_under_otlp_lose_nothing() {
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 1000 } else { 50 };
    let mut random = Random::from_environment();
    let (receiver, loki, port) = (Receiver::start(), Loki::start(), free_port());
    let mut place = Place::with(&config(&receiver, &loki, port));
    let folder = place.path("logs");
    fs::create_dir(&folder).expect("made");
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (is_over, seed) = (Arc::clone(&is_over), random.below(u64::MAX >> 33));
        std::thread::spawn(move || write_on(&folder, seed, &is_over))
    };
    let clients: Vec<_> = [Protocol::Grpc, Protocol::Http, Protocol::Grpc]
        .into_iter()
        .enumerate()
        .map(|(index, protocol)| {
            let client = OtlpClient::new(&format!("http://127.0.0.1:{port}"), protocol);
            let seed = random.below(u64::MAX >> 33);
            let sending = send_on(client, seed, (index as u64) << 40, Arc::clone(&is_over));
            receiver.runtime.spawn(sending)
        })
        .collect();
    let mut kills = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut daemon = place.daemon(&[]);
        if random.below(4) > 0 {
            let (seen, more) = (receiver.fake.n_spans(), random.below(200) as usize);
            until("some more spans", || {
                storm(&receiver, &mut random);
                receiver.fake.n_spans() > seen + more
            });
        }
        std::thread::park_timeout(Duration::from_micros(random.below(60_000)));
        kills.push(Instant::now());
        daemon.kill();
    }
    receiver.fake.recover();
    let mut daemon = place.daemon(&[]);
    is_over.store(true, SeqCst);
    let mut sent = Sent::new();
    for client in clients {
        sent.extend(receiver.runtime.block_on(client).expect("no panic"));
    }
    let n_written: usize = writer.join().expect("no panic").values().sum();
    until("all spans", || receiver.fake.n_spans() >= sent.len());
    until("all lines", || loki.n_stored() >= n_written);
    let routes = [(TIERS[0], "loki"), (TIERS[1], "loki"), ("traces", "tempo")];
    let metrics = daemon.metrics_when("nothing is spooled", |metrics| {
        routes.iter().all(|(tier, sink)| metrics.route("spooled_events", tier, sink) == 0)
    });
    metrics.assert_balanced();
    daemon.stop();
    let seen = receiver.fake.seen();
    let lost = sent.keys().filter(|n| !seen.contains_key(&(**n + 1).to_be_bytes()[..])).count();
    assert_eq!(lost, 0, "of {}", sent.len());
    let repeats = Repeats::of(&seen, &sent, &kills);
    let n_again = sent.values().filter(|n_tries| **n_tries > 1).count();
    println!(
        "{} spans ({n_again} sent again), {n_written} lines, {rounds} kills; came again: \
         {} unanswered, {} answered by {} kills",
        sent.len(),
        repeats.unanswered,
        repeats.answered,
        repeats.answered_kills.len()
    );
    assert_eq!(repeats.unexplained, 0, "{repeats:?}");
    assert!(repeats.answered_kills.len() <= 4 + rounds / 10, "{repeats:?}");
}
