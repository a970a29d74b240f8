//! The delivery loop on a paused clock: when bodies go, what is sent again, what is acknowledged,
//! what ends in the dead letters. The log asserts every acknowledgement, the counters must balance.

mod support {
    pub(crate) mod batches;
    mod chaos;
    pub(crate) mod clock;
    #[allow(dead_code, reason = "other tests use the rest")]
    pub(crate) mod log;
    pub(crate) mod plain;
}

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sidewake::deliver::dead_letters::{MAX_BYTES, REASON, Reader};
use sidewake::deliver::{
    Budget, DeadLetters, DrainSwitch, Options, RateLimit, RateUnit, Route, RouteStatus, drain,
};
use sidewake::telemetry::{DropReason, RouteCounters};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use support::batches::frame_of;
use support::clock::pass;
use support::log::Log;
use support::plain::{Destination, Plain, Reply};

/// A running route and everything around it.
struct Rig {
    log: Log,
    destination: Destination,
    counters: Arc<RouteCounters>,
    status: Arc<RouteStatus>,
    switch: DrainSwitch,
    task: JoinHandle<()>,
    letters: tempfile::TempDir,
    begun: Instant,
}

fn one_at_a_time() -> Options {
    Options { concurrency: 1, ..Options::default() }
}

impl Rig {
    fn start(options: Options, replies: Vec<Reply>, is_file: bool) -> Self {
        let counters = Arc::<RouteCounters>::default();
        let log = Log::new(&counters);
        let letters = tempfile::tempdir().expect("a folder");
        let destination = Destination::new(replies);
        let status = Arc::<RouteStatus>::default();
        let (switch, drain) = drain();
        let route = Route {
            tier: "app".into(),
            sink_name: "plain".into(),
            sink: Arc::new(Plain { is_file }),
            client: Arc::new(destination.clone()),
            options,
            dead_letters: DeadLetters::new(letters.path().to_owned(), MAX_BYTES),
            counters: Arc::clone(&counters),
            status: Arc::clone(&status),
        };
        let task = tokio::spawn(route.run(log.cursor(), drain));
        Self { log, destination, counters, status, switch, task, letters, begun: Instant::now() }
    }

    /// Appends one frame of those lines.
    fn append(&self, from: u64, lines: &[&str]) {
        self.log.append(frame_of(from, lines, |_, _| {}));
    }

    /// Waits for the end of the log and of the route.
    async fn finish(self) -> (Vec<String>, Arc<RouteCounters>, tempfile::TempDir) {
        self.log.end();
        self.task.await.expect("no panic");
        self.log.assert_balanced();
        let texts = self.destination.received().into_iter().map(|body| body.text);
        (texts.collect(), self.counters, self.letters)
    }
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

/// A body goes when it is old enough, also when nothing ever follows.
#[tokio::test(start_paused = true)]
async fn a_body_goes_at_its_age() {
    let rig = Rig::start(one_at_a_time(), vec![], false);
    rig.append(0, &["a"]);
    pass(Duration::from_millis(700)).await;
    rig.append(1, &["b"]);
    rig.log.acked_to(2).await;
    let received = rig.destination.received();
    assert_eq!(received[0].text, "a\nb\n");
    assert_eq!((received[0].at - rig.begun).as_millis(), 1000);
    assert_eq!(rig.finish().await.0.len(), 1);
}

/// A body is closed before it grows beyond its bound, and a frame larger than it is cut.
#[tokio::test(start_paused = true)]
async fn a_body_goes_at_its_size() {
    let options = Options { batch_bytes: 300, ..one_at_a_time() };
    let rig = Rig::start(options, vec![], false);
    rig.append(0, &["a", "b"]);
    rig.append(2, &["c", "d"]);
    rig.append(4, &["e", "f", "g", "h"]);
    rig.append(8, &["i"]);
    rig.log.acked_to(9).await;
    let (texts, counters, _) = rig.finish().await;
    assert_eq!(texts, ["a\nb\nc\nd\n", "e\nf\ng\n", "h\n", "i\n"]);
    assert_eq!(counters.delivered.get(), 9);
}

/// The same bytes again until they are taken, waiting as long as the destination asks.
#[tokio::test(start_paused = true)]
async fn retry_after_is_followed_and_bytes_stay_the_same() {
    let replies = vec![Reply::Later(Duration::from_secs(20)), Reply::Broken, Reply::Status(503)];
    let rig = Rig::start(one_at_a_time(), replies, false);
    rig.append(0, &["a"]);
    rig.log.acked_to(1).await;
    let received = rig.destination.received();
    assert!(received.iter().all(|body| body.text == "a\n"));
    assert_eq!(received.iter().map(|body| body.attempt).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let wait = received[1].at - received[0].at;
    assert!(wait >= Duration::from_secs(20) && wait <= Duration::from_millis(20_500), "{wait:?}");
    // The second and third failure in a row.
    assert!(received[2].at - received[1].at <= Duration::from_secs(1));
    assert!(received[3].at - received[2].at <= Duration::from_secs(2));
    assert_eq!(rig.status.snapshot().last_error.expect("remembered").text, "503");
    let (_, counters, _) = rig.finish().await;
    assert_eq!((counters.requests.get(), counters.retries.get()), (4, 3));
}

/// Wrong credentials keep the data and are tried slowly.
#[tokio::test(start_paused = true)]
async fn unauthorised_keeps_the_data() {
    let rig = Rig::start(one_at_a_time(), vec![Reply::Status(401); 3], false);
    rig.append(0, &["a"]);
    rig.log.acked_to(1).await;
    assert_eq!((Instant::now() - rig.begun).as_secs(), 181);
    assert_eq!(rig.finish().await.1.delivered.get(), 1);
}

/// Answers out of order move the cursor only over what is wholly done; a cut frame counts as one.
#[tokio::test(start_paused = true)]
async fn acknowledged_in_order() {
    let slow = |seconds| Reply::Slow(Duration::from_secs(seconds), 200);
    let options = Options { batch_bytes: 150, concurrency: 3, ..Options::default() };
    let rig = Rig::start(options, vec![slow(9), slow(5), slow(1), slow(1)], false);
    rig.append(0, &["a"]);
    rig.append(1, &["b", "c"]);
    rig.append(3, &["d"]);
    pass(Duration::from_secs(8)).await;
    assert_eq!(rig.log.acked(), 0);
    rig.log.assert_balanced();
    rig.log.acked_to(1).await;
    assert_eq!((Instant::now() - rig.begun).as_secs(), 9);
    rig.log.acked_to(4).await;
    assert_eq!(rig.finish().await.1.delivered.get(), 4);
}

/// What bodies in flight hold has a bound; when one lands, the next is read.
#[tokio::test(start_paused = true)]
async fn reading_rests_while_bodies_hold_too_much() {
    let frame = |n| frame_of(n, &["a line"], |_, _| {});
    let budget = frame(0).batch.memory() * 5 / 2;
    let batch_age = Duration::ZERO;
    let options =
        Options { budget: Budget::new(budget), batch_age, concurrency: 16, ..Options::default() };
    let slow = Reply::Slow(Duration::from_secs(10), 200);
    let rig = Rig::start(options, vec![slow; 9], false);
    (0..9).for_each(|n| rig.log.append(frame(n)));
    for round in 1..=3 {
        pass(Duration::from_secs(9)).await;
        assert_eq!(rig.destination.received().len(), round * 3);
        pass(Duration::from_secs(1)).await;
    }
    rig.log.acked_to(9).await;
    assert_eq!(rig.finish().await.1.delivered.get(), 9);
}

/// A body that alone holds too much goes, whatever its age: nothing else would be given back.
#[tokio::test(start_paused = true)]
async fn a_body_that_holds_too_much_goes() {
    let options = Options { budget: Budget::new(1), ..Options::default() };
    let rig = Rig::start(options, vec![], false);
    (0..3).for_each(|n| rig.append(n, &["a"]));
    rig.log.acked_to(3).await;
    assert_eq!((Instant::now() - rig.begun).as_millis(), 0);
    assert_eq!(rig.finish().await.0, ["a\n"; 3]);
}

/// Halved until it fits; what does not fit alone is buried, and nothing else is lost or repeated.
#[tokio::test(start_paused = true)]
async fn split_by_halves() {
    let too_large = Reply::Status(413);
    let taken = Reply::Status(200);
    let replies =
        vec![too_large.clone(), taken.clone(), too_large.clone(), too_large.clone(), taken];
    let rig = Rig::start(one_at_a_time(), replies, false);
    rig.append(0, &["a", "b"]);
    rig.append(2, &["c", "d"]);
    rig.log.acked_to(4).await;
    let (texts, counters, letters) = rig.finish().await;
    assert_eq!(texts, ["a\nb\nc\nd\n", "a\nb\n", "c\nd\n", "c\n", "d\n"]);
    assert_eq!((counters.delivered.get(), counters.dead_letters.get()), (3, 1));
    assert_eq!(buried(letters.path()), [("c".to_owned(), "too_large".to_owned())]);
}

/// Halved until what the destination refuses is alone: only that is buried, with its words.
#[tokio::test(start_paused = true)]
async fn bad_events_are_isolated() {
    let (refused, taken) = (Reply::Status(409), Reply::Status(200));
    let replies = vec![refused.clone(), taken, refused.clone(), refused];
    let rig = Rig::start(one_at_a_time(), replies, false);
    rig.append(0, &["a", "b", "c", "d"]);
    rig.log.acked_to(4).await;
    let (texts, counters, letters) = rig.finish().await;
    assert_eq!(texts, ["a\nb\nc\nd\n", "a\nb\n", "c\nd\n", "c\n", "d\n"]);
    assert_eq!((counters.delivered.get(), counters.dead_letters.get()), (3, 1));
    assert_eq!(buried(letters.path()), [("c".to_owned(), "409".to_owned())]);
}

/// Another form of a body comes before what follows it, and a second refusal of forms is one.
#[tokio::test(start_paused = true)]
async fn bodies_in_another_form() {
    let (unknown, taken) = (Reply::Status(415), Reply::Status(200));
    let replies = vec![unknown.clone(), taken, unknown.clone(), unknown];
    let rig = Rig::start(Options { batch_age: Duration::ZERO, ..one_at_a_time() }, replies, false);
    for (from, line) in [(0, "a"), (1, "b"), (2, "c")] {
        rig.append(from, &[line]);
        rig.log.acked_to(from + 1).await;
    }
    let (texts, counters, letters) = rig.finish().await;
    assert_eq!(texts, ["a\n", "a\n", "b\n", "b\n", "c\n"]);
    assert_eq!((counters.delivered.get(), counters.dead_letters.get()), (2, 1));
    assert_eq!(buried(letters.path()), [("b".to_owned(), "415".to_owned())]);
}

/// What the encoder or the destination refuses for good ends in the dead letters with its reason.
#[tokio::test(start_paused = true)]
async fn refused_events_are_buried() {
    let replies =
        vec![Reply::Status(400), Reply::Status(200), Reply::Partly(Some(3)), Reply::Partly(None)];
    let rig = Rig::start(Options { batch_age: Duration::ZERO, ..one_at_a_time() }, replies, false);
    for (from, lines) in [
        (0, &["no", "refuse-1"][..]),
        (2, &["refuse-2", "yes", "refuse-3"]),
        (5, &["ok", "long-one", "ok"]),
        (8, &["x", "y", "z"]),
        (11, &["refuse-4"]),
    ] {
        rig.append(from, lines);
        rig.log.acked_to(from + lines.len() as u64).await;
    }
    let (texts, counters, letters) = rig.finish().await;
    assert_eq!(texts, ["no\n", "yes\n", "ok\nlong-one\nok\n", "x\ny\nz\n"]);
    let reason = |line: &str, reason: &str| (line.to_owned(), reason.to_owned());
    assert_eq!(
        buried(letters.path()),
        [
            reason("no", "400"),
            reason("refuse-1", "refused_line"),
            reason("refuse-2", "refused_line"),
            reason("refuse-3", "refused_line"),
            reason("long-one", "207"),
            // Not told which two of the three: all are kept, two are counted.
            reason("x", "207"),
            reason("y", "207"),
            reason("z", "207"),
            reason("refuse-4", "refused_line"),
        ]
    );
    assert_eq!((counters.delivered.get(), counters.dead_letters.get()), (4, 8));
}

/// A body that never passes goes to the dead letters when the config says so.
#[tokio::test(start_paused = true)]
async fn attempts_may_be_bounded() {
    let mut options = one_at_a_time();
    options.retry.attempts_max = Some(3);
    let rig = Rig::start(options, vec![Reply::Broken; 3], false);
    rig.append(0, &["a"]);
    rig.log.acked_to(1).await;
    let (texts, counters, letters) = rig.finish().await;
    assert_eq!((texts.len(), counters.dead_letters.get()), (3, 1));
    assert_eq!(buried(letters.path())[0].1, "retries_exhausted: connection reset");
}

#[tokio::test(start_paused = true)]
async fn rate_limited() {
    let per_second = NonZeroU32::new(2).expect("not zero");
    let rate_limit = Some(RateLimit { per_second, unit: RateUnit::Events });
    let options = Options { batch_age: Duration::ZERO, rate_limit, ..Options::default() };
    let rig = Rig::start(options, vec![], false);
    for from in 0..10 {
        rig.append(from, &["a"]);
    }
    rig.log.acked_to(10).await;
    let took = Instant::now() - rig.begun;
    assert!(took >= Duration::from_secs(4) && took < Duration::from_millis(4100), "{took:?}");
    rig.finish().await;
}

/// Files hold nothing: after a failure the cursor is rewound and the same range is written again
/// under the same name, whatever else has come meanwhile.
#[tokio::test(start_paused = true)]
async fn files_are_repeated_as_they_were() {
    let replies = vec![Reply::Broken, Reply::Slow(Duration::from_secs(1), 503)];
    let rig = Rig::start(one_at_a_time(), replies, true);
    rig.append(0, &["a", "refuse"]);
    rig.append(2, &["b"]);
    pass(Duration::from_millis(1001)).await;
    rig.append(3, &["c"]);
    rig.log.acked_to(4).await;
    let received = rig.destination.received();
    let seen: Vec<_> =
        received.iter().map(|body| (body.name.as_str(), body.text.as_str())).collect();
    assert_eq!(seen, [("0-3", "a\nb\n"), ("0-3", "a\nb\n"), ("0-3", "a\nb\n"), ("3-4", "c\n")]);
    let (_, counters, letters) = rig.finish().await;
    assert_eq!((counters.delivered.get(), counters.dead_letters.get()), (3, 1));
    assert_eq!(buried(letters.path()).len(), 1);
}

/// What a file cannot take at all is buried too, although nothing was held.
#[tokio::test(start_paused = true)]
async fn refused_files_are_buried() {
    let rig = Rig::start(one_at_a_time(), vec![Reply::Status(400), Reply::Status(400)], true);
    rig.append(0, &["a", "b"]);
    rig.log.acked_to(2).await;
    let (_, counters, letters) = rig.finish().await;
    assert_eq!((counters.delivered.get(), counters.dead_letters.get()), (0, 2));
    assert_eq!(buried(letters.path()).len(), 2);
}

/// Full dead letters drop, and say so.
#[tokio::test(start_paused = true)]
async fn without_room_for_letters_events_are_dropped_and_counted() {
    let counters = Arc::<RouteCounters>::default();
    let log = Log::new(&counters);
    let (_switch, drain) = drain();
    let route = Route {
        tier: "app".into(),
        sink_name: "plain".into(),
        sink: Arc::new(Plain { is_file: false }),
        client: Arc::new(Destination::new([Reply::Status(400)])),
        options: Options::default(),
        dead_letters: DeadLetters::none(),
        counters: Arc::clone(&counters),
        status: Arc::default(),
    };
    log.append(frame_of(0, &["a", "b"], |_, _| {}));
    log.end();
    route.run(log.cursor(), drain).await;
    log.assert_balanced();
    assert_eq!(counters.dropped(DropReason::DeadLettersFull).get(), 2);
}

/// Frames that only carry a position are acknowledged in their turn, without a body.
#[tokio::test(start_paused = true)]
async fn positions_pass_in_order() {
    let rig = Rig::start(one_at_a_time(), vec![], false);
    rig.append(0, &[]);
    rig.log.acked_to(1).await;
    rig.append(1, &["a"]);
    rig.append(2, &[]);
    pass(Duration::from_millis(500)).await;
    assert_eq!(rig.log.acked(), 1);
    rig.log.acked_to(3).await;
    assert_eq!(rig.finish().await.0, ["a\n"]);
}

/// Draining flushes the open body at once and reads what is left, within the deadline.
#[tokio::test(start_paused = true)]
async fn draining_flushes_at_once() {
    let options = Options { batch_age: Duration::from_secs(60), ..one_at_a_time() };
    let rig = Rig::start(options, vec![Reply::Slow(Duration::from_secs(3), 200)], false);
    rig.append(0, &["a"]);
    tokio::task::yield_now().await;
    rig.switch.begin(rig.begun + Duration::from_secs(10));
    rig.log.acked_to(1).await;
    rig.task.await.expect("no panic");
    assert_eq!((Instant::now() - rig.begun).as_secs(), 3);
    rig.log.assert_balanced();
}

/// A dead destination does not hold the process up, and loses nothing: the next start delivers.
#[tokio::test(start_paused = true)]
async fn draining_leaves_the_rest_in_the_log() {
    for replies in [vec![Reply::Broken; 9], vec![Reply::Slow(Duration::from_secs(99), 200)]] {
        let rig = Rig::start(one_at_a_time(), replies, false);
        rig.append(0, &["a"]);
        pass(Duration::from_secs(2)).await;
        rig.switch.begin(Instant::now() + Duration::from_secs(5));
        rig.task.await.expect("no panic");
        assert!((Instant::now() - rig.begun).as_secs() <= 7);
        assert_eq!(rig.log.acked(), 0);
        rig.log.assert_balanced();

        let destination = Destination::new([]);
        let (_switch, drain) = drain();
        let route = Route {
            tier: "app".into(),
            sink_name: "plain".into(),
            sink: Arc::new(Plain { is_file: false }),
            client: Arc::new(destination.clone()),
            options: Options::default(),
            dead_letters: DeadLetters::none(),
            counters: Arc::clone(&rig.counters),
            status: Arc::default(),
        };
        rig.log.end();
        route.run(rig.log.cursor(), drain).await;
        assert_eq!(destination.received()[0].text, "a\n");
        rig.log.assert_balanced();
    }
}
