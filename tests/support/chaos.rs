//! The delivery loop against a destination that fails at random: nothing is lost, the counters
//! balance, and the cursor only moves over what is done. Prints its seed; `SIDEWAKE_SEED` repeats
//! one, `SIDEWAKE_SLOW=1` tries many.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sidewake::deliver::dead_letters::{MAX_BYTES, Reader};
use sidewake::deliver::{Budget, DeadLetters, Options, Route, drain};
use sidewake::telemetry::RouteCounters;

use crate::support::batches::frame_of;
use crate::support::clock::pass;
use crate::support::log::Log;
use crate::support::plain::{Destination, Plain, Reply};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn reply(random: &mut Random, is_file: bool) -> Reply {
    match random.below(if is_file { 5 } else { 12 }) {
        0 => Reply::Broken,
        1 => Reply::Status(503),
        2 => Reply::Slow(Duration::from_millis(random.below(5000)), 200),
        3 => Reply::Later(Duration::from_secs(random.below(30))),
        5 => Reply::Status(413),
        6 => Reply::Status(401),
        7 => Reply::Status(400),
        8 => Reply::Partly(Some(6)),
        _ => Reply::Status(200),
    }
}

async fn round(seed: u64) {
    let mut random = Random(seed);
    let is_file = random.below(4) == 0;
    let replies: Vec<_> = (0..random.below(60)).map(|_| reply(&mut random, is_file)).collect();
    let counters = Arc::<RouteCounters>::default();
    let log = Log::new(&counters);
    let letters = tempfile::tempdir().expect("a folder");
    let destination = Destination::new(replies);
    let (_switch, drain) = drain();
    let route = Route {
        tier: "app".into(),
        sink_name: "plain".into(),
        sink: Arc::new(Plain { is_file }),
        client: Arc::new(destination.clone()),
        options: Options {
            batch_bytes: 100 + random.below(2000) as usize,
            batch_age: Duration::from_millis(random.below(2000)),
            concurrency: 1 + random.below(5) as usize,
            budget: Budget::new(1 + random.below(3000) as usize),
            ..Options::default()
        },
        dead_letters: DeadLetters::new(letters.path().to_owned(), MAX_BYTES),
        counters: Arc::clone(&counters),
        status: Arc::default(),
    };
    let task = tokio::spawn(route.run(log.cursor(), drain));
    let mut expected = Vec::new();
    let mut from = 0;
    for _ in 0..30 {
        let lines: Vec<String> = (0..random.below(40))
            .map(|index| {
                let word = if random.below(20) == 0 { "refuse" } else { "line" };
                format!("{word}-{}", from + index)
            })
            .collect();
        let frame = frame_of(from, &lines, |_, _| {});
        from = frame.range.to;
        expected.extend(lines);
        log.append(frame);
        pass(Duration::from_millis(random.below(1500))).await;
    }
    log.end();
    task.await.expect("no panic");
    log.assert_balanced();
    assert_eq!(log.acked(), from);
    assert_eq!(counters.spooled.get(), 0);

    let mut seen: HashMap<String, usize> = HashMap::new();
    for body in destination.received() {
        for line in body.text.lines() {
            *seen.entry(line.to_owned()).or_default() += 1;
        }
    }
    for letter in Reader::open(letters.path()).expect("listed") {
        for event in letter.expect("read").events() {
            let line = String::from_utf8_lossy(event.bytes).into_owned();
            *seen.entry(line).or_default() += 1;
        }
    }
    for line in &expected {
        assert!(seen.contains_key(line), "lost {line}");
    }
    assert_eq!(seen.len(), expected.len(), "something came that was never sent");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_whatever_the_destination_does() {
    let drawn = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    let seed = std::env::var("SIDEWAKE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(drawn);
    println!("SIDEWAKE_SEED={seed}");
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 2000 } else { 40 };
    for index in 0..rounds {
        round(seed.wrapping_add(index)).await;
    }
}
