//! What follows from an answer: what is sent again and what is not, in which order, and how soon.

use std::time::Duration;

use super::fake_remote_write::{Act, Speaks};
use super::rig::until;
use super::served::{FRAUD, Served, UP, gauge, point};

#[test]
fn any_success_will_do() {
    let served = Served::start(Speaks::Both, "");
    for (n, status) in [(1, 200), (2, 202), (3, 204)] {
        served.fake.will([Act::Store(status, "a body that nobody reads".to_owned())]);
        served.send_one(n);
        assert_eq!(served.settled(n), (n, 0));
    }
    assert_eq!((served.times(UP), served.fake.requests().len()), (vec![1, 2, 3], 3));
    served.end();
}

/// Later samples wait behind those that are tried again: nothing overtakes.
#[test]
fn order_under_retry() {
    for version in ["1.0", "2.0"] {
        let served = Served::start(Speaks::Both, &format!(", protocol: {version}"));
        for round in 0..20u64 {
            served.fake.will([500, 503, 502, 504, 429].map(Act::status));
            served.fake.will([Act::Break]);
            for n in 1..=5 {
                served.send_one(round * 5 + n);
            }
            if round % 4 == 3 {
                served.settled(round * 5 + 5);
            }
        }
        assert_eq!(served.settled(100), (100, 0));
        assert_eq!(served.times(UP), (1..=100).collect::<Vec<u64>>());
        assert_eq!(served.fake.n_repeated(), 0, "nothing twice");
        served.end();
    }
}

/// An answer that was lost is the one reason to store something twice; it is the same.
#[test]
fn lost_answers() {
    let served = Served::start(Speaks::Both, "");
    served.fake.will([Act::StoreAndBreak]);
    served.send_one(1);
    assert_eq!(served.settled(1), (1, 0));
    let requests = served.fake.requests();
    assert_eq!((requests.len(), &requests[0].raw), (2, &requests[1].raw));
    assert_eq!((served.times(UP), served.fake.n_repeated()), (vec![1], 1));
    served.end();
}

/// The waits grow, and are no busy loop.
#[test]
fn backoff() {
    let served = Served::start(Speaks::Both, "");
    served.fake.will((0..8).map(|_| Act::status(503)));
    served.send_one(1);
    served.settled(1);
    let requests = served.fake.requests();
    assert_eq!(requests.len(), 9);
    let whole = requests[8].at.duration_since(requests[0].at);
    // Eight waits with full jitter between 0 and 20, 40, 80, 100, … ms: 320 ms on average.
    assert!(whole > Duration::from_millis(20), "{whole:?}");
    assert_eq!(requests[3].headers.get("retry-attempt").map(String::as_str), Some("3"));
    served.end();
}

#[test]
fn retry_after_is_kept() {
    let served = Served::start(Speaks::Both, "");
    served.fake.will([Act::Say(429, "Retry-After: 1\r\n".to_owned(), String::new())]);
    served.send_one(1);
    served.settled(1);
    let requests = served.fake.requests();
    assert!(requests[1].at.duration_since(requests[0].at) >= Duration::from_millis(900));
    served.end();
}

/// Refused for good: a dead letter with the receiver's words, and no second request.
#[test]
fn other_4xx_are_not_sent_again() {
    let served = Served::start(Speaks::Both, "");
    served.send_one(1);
    served.settled(1);
    for (n, status) in [(2, 400), (3, 402), (4, 409), (5, 422), (6, 451)] {
        let n_before = served.fake.requests().len();
        let words = format!("words of {status} {}", "x".repeat(70_000));
        served.fake.will([Act::Say(status, String::new(), words)]);
        served.send_one(n);
        assert_eq!(served.settled(n), (1, n - 1));
        assert_eq!(served.fake.requests().len(), n_before + 1, "{status}");
        let (code, letters, _) = served.place.output(&["spool", "dead-letters", "spool"]);
        assert_eq!(code, 0);
        assert!(letters.contains(&format!("words of {status}")), "{letters}");
    }
    served.send_one(7);
    assert_eq!(served.settled(7), (2, 5));
    served.end();
}

/// What people repair is kept until they did.
#[test]
fn credentials_and_addresses() {
    for status in [401, 403, 404] {
        let served = Served::start(Speaks::Both, "");
        served.fake.will([Act::Say(status, String::new(), "who are you".to_owned())]);
        served.send_one(1);
        until("the route says so", || {
            let (_, answer) = served.daemon.get("/status");
            answer.contains("unauthorised") && answer.contains("who are you")
        });
        assert_eq!(served.settled(0), (0, 0));
        assert_eq!(served.fake.requests().len(), 1, "{status}");
        served.end();
    }
}

fn several(n: u64) -> Vec<super::otlp_proto::metrics::Metric> {
    (0..8).map(|i| gauge(&format!("m{i}"), vec![point(&[], n, i as f64)])).collect()
}

#[test]
fn too_large_is_halved() {
    let served = Served::start(Speaks::Both, "");
    served.fake.will([Act::status(413), Act::status(413)]);
    served.send(FRAUD, several(1));
    assert_eq!(served.settled(8), (8, 0));
    let sizes: Vec<usize> = served.fake.requests().iter().map(|one| one.series.len()).collect();
    assert_eq!(sizes, [8, 4, 2, 2, 4]);
    served.end();
}

/// A metric is not cut: it is sent whole, however long, and where that is too much for the receiver
/// it is a dead letter that says so, and no other waits behind it.
#[test]
fn a_metric_of_more_points_than_a_body() {
    let served = Served::start(Speaks::Both, ", batch: { max_age: 20ms, max_bytes: 16KiB }");
    let long = |n: u64| {
        let points = (0..2000).map(|i| point(&[("i", &i.to_string())], n, 1.0)).collect();
        vec![gauge("long", points), gauge("short", vec![point(&[], n, 1.0)])]
    };
    served.send(FRAUD, long(1));
    assert_eq!(served.settled(2), (2, 0));
    let longest = served.fake.requests().iter().map(|one| one.series.len()).max();
    assert_eq!(longest, Some(2000));
    served.fake.will([Act::status(413)]);
    served.send(FRAUD, long(2));
    assert_eq!(served.settled(4), (3, 1));
    let (_, letters, _) = served.place.output(&["spool", "dead-letters", "spool"]);
    assert!(letters.contains("\"reason\":\"too_large\""), "{}", &letters[..300]);
    assert_eq!(buried(&served), ["long"]);
    served.end();
}

/// 1.0 stores nothing for the sake of one sample: that one is searched for.
#[test]
fn a_bad_series_costs_no_other_in_1_0() {
    let served = Served::start(Speaks::Both, ", protocol: 1.0");
    let bad = || Act::Say(400, String::new(), "out of order sample".to_owned());
    served.fake.will([bad(), bad(), bad(), bad()]);
    served.send(FRAUD, several(1));
    assert_eq!(served.settled(8), (7, 1));
    let sizes: Vec<usize> = served.fake.requests().iter().map(|one| one.series.len()).collect();
    assert_eq!(sizes, [8, 4, 2, 1, 1, 2, 4]);
    served.end();
}

/// 2.0 says how many it wrote, and its words which ones it did not: those alone are buried.
#[test]
fn partial_writes_in_2_0() {
    let served = Served::start(Speaks::Both, "");
    served.fake.will([Act::StoreBut(3)]);
    served.send(FRAUD, several(1));
    assert_eq!(served.settled(8), (5, 3));
    assert_eq!(served.fake.requests().len(), 1);
    assert_eq!(buried(&served), ["m5", "m6", "m7"]);
    served.end();
}

/// Where the words name less than is missing, or nothing, a letter too many is written.
#[test]
fn partial_writes_of_few_words() {
    for words in ["out of order", "out of order sample for series {__name__=\"m1\"}"] {
        let served = Served::start(Speaks::Both, "");
        let headers = "X-Prometheus-Remote-Write-Samples-Written: 6\r\n".to_owned();
        served.fake.will([Act::Say(400, headers, words.to_owned())]);
        served.send(FRAUD, several(1));
        assert_eq!(served.settled(8), (6, 2));
        assert_eq!(buried(&served).len(), 8, "{words}");
        served.end();
    }
}

/// Names of the metrics in the dead letters.
fn buried(served: &Served) -> Vec<String> {
    let (code, letters, _) = served.place.output(&["spool", "dead-letters", "spool"]);
    assert_eq!(code, 0);
    let names = letters.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text: serde_json::Value =
            serde_json::from_str(line["text"].as_str().expect("text")).expect("JSON");
        text["name"].as_str().expect("a name").to_owned()
    });
    names.collect()
}

/// Samples that are there already, all but the newest of a series, are refused when an answer was
/// lost. They are no dead letters; what is late for another reason is.
#[test]
fn late_because_it_is_there() {
    let served = Served::start(Speaks::Both, "");
    served.send_one(100);
    served.settled(1);
    served.fake.will((0..3).map(|_| Act::status(503)));
    served.fake.will([Act::Store(204, String::new()), Act::StoreAndBreak]);
    served.send_one(101);
    until("it is tried", || served.fake.n_requests() > 1);
    for n in 102..=104 {
        served.send_one(n);
    }
    assert_eq!(served.settled(5), (5, 0));
    assert_eq!(served.times(UP), (100..=104).collect::<Vec<u64>>());
    assert_eq!(served.fake.n_repeated(), 3);
    served.fake.will([Act::Break]);
    served.send_one(99);
    assert_eq!(served.settled(6), (5, 1), "it is not there");
    assert_eq!(served.fake.offences().len(), 1);
}

/// A restart and an outage on the way: every sample once, in order.
#[test]
fn restarts_keep_the_order() {
    let mut served = Served::start(Speaks::Both, "");
    served.fake.will((0..3).map(|_| Act::status(503)));
    for n in 1..=10 {
        served.send_one(n);
    }
    served.daemon.kill();
    served.daemon = served.place.daemon(&[]);
    until("all samples", || served.times(UP).len() == 10);
    assert_eq!(served.times(UP), (1..=10).collect::<Vec<u64>>());
    served.end();
}
