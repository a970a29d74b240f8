//! Schedule, failures, the farewell and a spool that takes nothing, on a paused clock.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};

use super::super::fetch::{FetchError, Fetched};
use super::super::scrape::Format;
use super::super::scrape::tests::told;
use super::*;
use crate::event::chunk::Chunk;
use crate::event::request::Request;
use crate::event::slab::Slab;
use crate::sources::{Context, Intake, IntakeClosed, Taken};
use crate::telemetry::Deltas;

/// Keeps what is pushed.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    requests: Vec<Vec<u8>>,
    is_full: bool,
}

impl Kept {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("unpoisoned")
    }

    /// The values of `up` in order, and how many points are gone.
    fn ups(&self) -> (Vec<String>, usize) {
        let requests = &self.state().requests;
        let mut ups = Vec::new();
        let mut n_gone = 0;
        for request in requests {
            for (key, points) in told(std::slice::from_ref(request)) {
                n_gone += points.iter().filter(|point| point.contains("gone")).count();
                if key.contains(" up gauge") {
                    let value = points[0].split_whitespace().nth(1).unwrap_or_default();
                    ups.push(value.to_owned());
                }
            }
        }
        (ups, n_gone)
    }
}

impl Intake for Kept {
    fn push(&mut self, _: Chunk) -> Result<(), IntakeClosed> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IntakeClosed> {
        Ok(())
    }

    fn held_to(&self, _: u64) -> Option<u64> {
        None
    }

    fn slab(&mut self, _: bool) -> Option<Slab> {
        None
    }

    fn push_request(&mut self, request: Request) -> Result<Taken, NotTaken> {
        assert_eq!(request.signal, Signal::Metrics);
        self.state().requests.push(request.slab.to_vec());
        Ok(Taken { n_items: 1, n_rejected: 0, deltas: Deltas::default() })
    }

    fn must_wait(&self, _: Signal) -> bool {
        self.state().is_full
    }
}

/// Answers, each after a while; behind the last one, as the last one did.
struct Script {
    answers: Vec<(Duration, Option<&'static str>)>,
    asked_at: RefCell<Vec<Instant>>,
    n_asked: Cell<usize>,
}

impl Fetch for Script {
    async fn fetch(&self, _: &Url, _: &mut Hold) -> Result<Fetched, FetchError> {
        let n = self.n_asked.replace(self.n_asked.get() + 1);
        self.asked_at.borrow_mut().push(Instant::now());
        let (after, answer) = self.answers[n.min(self.answers.len() - 1)];
        tokio::time::sleep(after).await;
        match answer {
            Some(body) => Ok(Fetched { body: body.as_bytes().to_vec(), format: Format::Text }),
            None => Err(FetchError::Http("refused".to_owned())),
        }
    }
}

const EVERY: Duration = Duration::from_secs(15);

struct Rig {
    shared: Rc<Shared<Script>>,
    kept: Kept,
    stop: Stop,
    task: tokio::task::JoinHandle<()>,
}

/// A target that answers so, within a `LocalSet`.
fn rig(answers: &[(u64, Option<&'static str>)]) -> Rig {
    let kept = Kept::default();
    let client = Script {
        answers: answers.iter().map(|(ms, body)| (Duration::from_millis(*ms), *body)).collect(),
        asked_at: RefCell::default(),
        n_asked: Cell::default(),
    };
    let inlet = Inlet::new(Context::default(), Box::new(kept.clone()), 1 << 20, 1 << 20);
    let timeout = Duration::from_secs(10);
    let shared = Rc::new(Shared { inlet, client, every: EVERY, timeout, seed: 7 });
    let url = Url::parse("http://model:8000/metrics?token=x").expect("a URL");
    let labels = vec![("job".to_owned(), "j".to_owned())];
    let treatment = Treatment { labels, ..Treatment::default() };
    let target = Target::new(Rc::clone(&shared), url, treatment);
    assert_eq!(target.name, "http://model:8000/metrics");
    let stop = Stop::new().expect("descriptors");
    let task = tokio::task::spawn_local(target.run(stop.clone()));
    Rig { shared, kept, stop, task }
}

impl Rig {
    fn skipped(&self, reason: SkipReason) -> u64 {
        self.shared.inlet.context.counters.skipped_scrapes(reason).get()
    }

    /// Waits until so many were asked, and a little more.
    async fn asked(&self, n: usize) {
        while self.shared.client.n_asked.get() < n {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(11)).await;
    }

    async fn end(self) -> (Vec<String>, usize) {
        self.stop.reach(Stage::Drain);
        self.task.await.expect("ended");
        self.kept.ups()
    }
}

#[tokio::test(start_paused = true)]
async fn at_fixed_times_whatever_a_scrape_takes() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let begun = Instant::now();
            let rig = rig(&[(9000, Some("a 1\n")), (0, Some("a 1\n")), (5000, Some("a 2\n"))]);
            rig.asked(5).await;
            let asked = rig.shared.client.asked_at.borrow().clone();
            assert!(asked[0] - begun <= EVERY, "the first within an interval");
            for pair in asked.windows(2) {
                assert_eq!((pair[1] - pair[0]).as_secs(), 15);
            }
            assert_eq!(rig.skipped(SkipReason::Overrun), 0);
            let (ups, n_gone) = rig.end().await;
            assert_eq!(ups, ["1.0", "1.0", "1.0", "1.0", "1.0", "gone"]);
            assert_eq!(n_gone, 6, "what is about the scrape, and the one series");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_hangs_and_comes_back() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let rig = rig(&[
                (0, Some("a 1\nb 2\n")),
                (0, None),
                (60_000, Some("a 1\n")),
                (0, Some("a x\n")),
                (0, Some("a 1\n")),
            ]);
            rig.asked(5).await;
            assert_eq!(rig.shared.inlet.context.counters.errors.get(), 3);
            let (ups, n_gone) = rig.end().await;
            assert_eq!(ups, ["1.0", "0.0", "0.0", "0.0", "1.0", "gone"]);
            assert_eq!(n_gone, 2 + 6);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_is_not_asked() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let rig = rig(&[(0, Some("a 1\n"))]);
            rig.asked(1).await;
            rig.kept.state().is_full = true;
            tokio::time::sleep(EVERY * 4).await;
            assert_eq!(rig.skipped(SkipReason::SpoolUnavailable), 4);
            assert_eq!(rig.shared.client.n_asked.get(), 1);
            rig.kept.state().is_full = false;
            rig.asked(2).await;
            let (ups, n_gone) = rig.end().await;
            assert_eq!(ups, ["1.0", "1.0", "gone"]);
            assert_eq!(n_gone, 6, "nothing was gone meanwhile");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_scrape_under_way_does_not_delay_the_end() {
    tokio::task::LocalSet::new()
        .run_until(async {
            let rig = rig(&[(9000, Some("a 1\n"))]);
            while rig.shared.client.n_asked.get() == 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let begun = Instant::now();
            let (ups, n_gone) = rig.end().await;
            assert!(ups.is_empty() && n_gone == 0, "nothing was ever told");
            assert_eq!(begun.elapsed(), Duration::ZERO);
        })
        .await;
}

#[test]
fn a_time_of_its_own() {
    let second = 1_000_000_000;
    for key in [0, 1, 7 * second as u64 + 3, u64::MAX] {
        for now in [0, 1, 1_700_000_000 * second, i64::MAX] {
            let wait = wait(key, EVERY, now);
            assert!(wait < EVERY);
            let at = now as u128 + wait.as_nanos();
            assert_eq!(at % EVERY.as_nanos(), u128::from(key) % EVERY.as_nanos());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_is_told_once_a_minute() {
    let mut trouble = Trouble::default();
    let mut told = Vec::new();
    for _ in 0..9 {
        trouble.log(|n| told.push(n));
        tokio::time::sleep(EVERY).await;
    }
    assert_eq!(told, [1, 5, 9]);
}
