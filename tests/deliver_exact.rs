//! Events that belong together, and a destination that counts: whatever it answers, and whenever
//! the process dies, each event lands in one row, once. Prints its seed; `SIDEWAKE_SEED` repeats
//! one, `SIDEWAKE_SLOW=1` tries many.
//!
//! Another destination counts nothing, but knows rows again, and stores some rows of a body and not
//! others: there an event may land twice where a process died, as another row.
//!
//! The sink puts `r-7` and `p-7` into one row and leaves who is alone for a later body; the
//! transport writes bodies down as that of BigQuery does. Neither is the real one: here it is the
//! loop that is tried.

mod support {
    pub(crate) mod batches;
    pub(crate) mod clock;
    #[allow(dead_code, reason = "other tests use the rest")]
    pub(crate) mod log;
}

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use sidewake::deliver::dead_letters::{MAX_BYTES, Reader};
use sidewake::deliver::transport::{Answer, Outgoing, Resumed, SendError, Sending};
use sidewake::deliver::{Client, DeadLetters, Options, Route, drain};
use sidewake::event::batch::Batch;
use sidewake::sinks::{
    Body, Encoder, LogRange, Others, Refused, Response, Sink, Transport, Verdict,
};
use sidewake::telemetry::RouteCounters;

use support::batches::frame_of;
use support::clock::pass;
use support::log::Log;

/// By the wall's clock, which does not pause.
const WINDOW: Duration = Duration::from_millis(15);

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

struct Pairs;

#[derive(Default)]
struct PairsEncoder {
    rows: Vec<(String, u32, u32)>,
    /// By number of the pair: the half, its event, and when that was observed.
    halves: HashMap<String, (String, u32, i64)>,
    n_events: u32,
}

impl Sink for Pairs {
    fn encoder(&self, _now_ns: i64) -> Box<dyn Encoder> {
        Box::<PairsEncoder>::default()
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        let reason = response.status.to_string();
        match response.status {
            200 => Verdict::Delivered,
            413 => Verdict::Split,
            415 => Verdict::Reencode { reason },
            207 | 422 => {
                let (mut refused, mut again) = (Vec::new(), Vec::new());
                for line in String::from_utf8_lossy(response.body).lines() {
                    let (row, word) = line.split_once(' ').expect("a row and a word");
                    let row = row.parse().expect("a number");
                    match word {
                        "bad" => refused.push((row, reason.clone())),
                        _ => again.push(row),
                    }
                }
                let pause = (again.len() % 2 == 1).then_some(reason);
                let others = match response.status {
                    422 => Others::Unstored,
                    _ => Others::StoredBut { rows: again, pause },
                };
                Verdict::RowsRefused { rows: refused, others }
            }
            _ => Verdict::Retry { reason },
        }
    }

    fn transport(&self) -> Transport {
        Transport::Stdout
    }

    fn window(&self) -> Duration {
        WINDOW
    }
}

impl Encoder for PairsEncoder {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        let mut refused = Vec::new();
        for index in events {
            let event = batch.event(index).expect("in the batch");
            let line = String::from_utf8(event.bytes.to_vec()).expect("text");
            if line.starts_with("refuse") {
                refused.push(Refused { event: index, reason: "refused_line" });
                continue;
            }
            let number = self.n_events;
            self.n_events += 1;
            let Some(id) = line.strip_prefix("r-").or(line.strip_prefix("p-")) else {
                self.rows.push((line, number, number));
                continue;
            };
            match self.halves.remove(id) {
                Some((other, first, _)) => {
                    self.rows.push((format!("{other}+{line}"), first, number));
                }
                None => {
                    let half = (line.clone(), number, batch.observed_ns);
                    self.halves.insert(id.to_owned(), half);
                }
            }
        }
        refused
    }

    fn len(&self) -> usize {
        (self.rows.len() + self.halves.len()) * 8
    }

    fn defer(&mut self, now_ns: i64) -> Vec<usize> {
        let window_ns = WINDOW.as_nanos() as i64;
        let (waiting, alone): (Vec<_>, Vec<_>) =
            self.halves.drain().map(|(_, half)| half).partition(|half| now_ns - half.2 < window_ns);
        self.rows.extend(alone.into_iter().map(|(line, number, _)| (line, number, number)));
        let mut gone: Vec<u32> = waiting.into_iter().map(|half| half.1).collect();
        gone.sort_unstable();
        let moved = |number: u32| number - gone.partition_point(|one| *one < number) as u32;
        for (_, first, last) in &mut self.rows {
            (*first, *last) = (moved(*first), moved(*last));
        }
        gone.into_iter().map(|number| number as usize).collect()
    }

    fn finish(mut self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        let alone = self.halves.drain().map(|(_, (line, number, _))| (line, number, number));
        self.rows.extend(alone);
        let lines: Vec<&str> = self.rows.iter().map(|(line, ..)| line.as_str()).collect();
        body.bytes = lines.join("\n").into_bytes();
        body.events = self.rows.iter().map(|(_, first, last)| (*first, *last)).collect();
        Ok(())
    }
}

/// The destination and what a process wrote down before it sent it.
#[derive(Default)]
struct World {
    rows: Vec<String>,
    outbox: Option<Resumed>,
    /// The body in the outbox is among the rows.
    is_stored: bool,
    random: u64,
    is_well: bool,
    /// Bodies are written down, and stored whole or not at all.
    is_exact: bool,
}

impl World {
    /// Stores those rows: what it does not count it knows again.
    fn store<'a>(&mut self, rows: impl Iterator<Item = &'a str>) {
        for row in rows {
            if self.is_exact || !self.rows.iter().any(|stored| stored == row) {
                self.rows.push(row.to_owned());
            }
        }
    }

    fn has_some(&self, rows: &[&str]) -> bool {
        self.is_stored || rows.iter().any(|row| self.rows.iter().any(|stored| stored == row))
    }

    /// Stores some of the rows, as `random` will; what it says of the others.
    fn store_some(&mut self, rows: &[&str], random: &mut Random) -> Vec<u8> {
        let (mut stored, mut said) = (Vec::new(), String::new());
        for (index, row) in rows.iter().enumerate() {
            match random.below(3) {
                _ if row.contains("bad") => said += &format!("{index} bad\n"),
                0 => said += &format!("{index} again\n"),
                _ => stored.push(*row),
            }
        }
        self.store(stored.into_iter());
        said.into_bytes()
    }
}

#[derive(Clone)]
struct Table(Arc<Mutex<World>>);

impl Table {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("unpoisoned")
    }

    fn take(&self, outgoing: &Outgoing) -> Result<Answer, SendError> {
        let mut world = self.world();
        if world.is_exact && outgoing.attempt == 0 && !outgoing.is_resumed {
            let Outgoing { bytes, span, n_events, n_refused, .. } = outgoing.clone();
            let span = (*span).clone();
            let resumed = Resumed { bytes, span, n_events, n_refused, is_settled: false };
            world.outbox = Some(resumed);
            world.is_stored = false;
        }
        let lost = || Err(SendError("lost".to_owned()));
        let answer = |status, body| Ok(Answer { status, body, ..Answer::default() });
        let mut random = Random(world.random);
        let drawn = if world.is_well { 9 } else { random.below(12) };
        world.random = random.0;
        let text = String::from_utf8(outgoing.bytes.to_vec()).expect("text");
        let rows: Vec<&str> = text.lines().collect();
        let bad = rows.iter().enumerate().filter(|(_, row)| row.contains("bad"));
        let bad: Vec<u8> =
            bad.flat_map(|(index, _)| format!("{index} bad\n").into_bytes()).collect();
        match drawn {
            0 => return lost(),
            1 => return answer(503, Vec::new()),
            2 if rows.len() > 1 && !world.is_stored => return answer(413, Vec::new()),
            // Said twice it is for good, which it may not be of what is stored.
            3 if !outgoing.is_resumed && !world.has_some(&rows) => {
                return answer(415, Vec::new());
            }
            5..=7 if !world.is_exact => {
                return answer(207, world.store_some(&rows, &mut random));
            }
            _ if !bad.is_empty() => return answer(422, bad),
            _ => {}
        }
        if !world.is_stored {
            world.store(rows.into_iter());
            world.is_stored = world.is_exact;
        }
        if drawn == 4 {
            return lost();
        }
        if let Some(outbox) = &mut world.outbox {
            outbox.is_settled = drawn != 5;
        }
        answer(200, Vec::new())
    }
}

impl Client for Table {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        Box::pin(async move {
            let drawn = self.world().random;
            pass(Duration::from_millis(drawn % 50)).await;
            let answer = self.take(outgoing);
            pass(Duration::from_millis(drawn % 70)).await;
            answer
        })
    }

    fn is_exact(&self) -> bool {
        self.world().is_exact
    }

    fn resumed(&self) -> Option<Resumed> {
        self.world().outbox.clone()
    }
}

struct Rig {
    log: Log,
    table: Table,
    counters: Arc<RouteCounters>,
    letters: tempfile::TempDir,
    options: Options,
}

impl Rig {
    fn run(&self) -> (tokio::task::JoinHandle<()>, sidewake::deliver::DrainSwitch) {
        let (switch, drain) = drain();
        let route = Route {
            tier: "rows".into(),
            sink_name: "table".into(),
            sink: Arc::new(Pairs),
            client: Arc::new(self.table.clone()),
            options: self.options.clone(),
            dead_letters: DeadLetters::new(self.letters.path().to_owned(), MAX_BYTES),
            counters: Arc::clone(&self.counters),
            status: Arc::default(),
        };
        (tokio::spawn(route.run(self.log.cursor(), drain)), switch)
    }
}

/// Lines of one frame: halves and wholes, some that are refused here or there.
fn frame_lines(random: &mut Random, from: u64, open: &mut Vec<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for index in 0..random.below(12) {
        let id = format!("{}-{index}", from);
        match random.below(10) {
            0 => lines.push(format!("refuse-{id}")),
            1 => lines.push(format!("bad-{id}")),
            2 | 3 => lines.push(format!("whole-{id}")),
            4 => lines.push(format!("r-bad{id}")),
            5..=7 if !open.is_empty() => {
                let at = random.below(open.len() as u64) as usize;
                lines.push(open.swap_remove(at));
            }
            n => {
                let (one, other) = if n % 2 == 0 { ("r", "p") } else { ("p", "r") };
                lines.push(format!("{one}-{id}"));
                open.push(format!("{other}-{id}"));
            }
        }
    }
    lines
}

async fn round(seed: u64) {
    let mut random = Random(seed);
    let counters = Arc::<RouteCounters>::default();
    let dies = random.below(3) > 0;
    let is_exact = random.below(3) > 0;
    let world = World { random: seed, is_exact, ..World::default() };
    let rig = Rig {
        log: Log::new(&counters),
        table: Table(Arc::new(Mutex::new(world))),
        counters,
        letters: tempfile::tempdir().expect("a folder"),
        options: Options {
            batch_bytes: 60 + random.below(2000) as usize,
            batch_age: Duration::from_millis(random.below(800)),
            concurrency: 1 + random.below(4) as usize,
            ..Options::default()
        },
    };
    let (mut task, mut _switch) = rig.run();
    let (mut expected, mut open, mut from, mut durable) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..25 {
        let lines = frame_lines(&mut random, from, &mut open);
        let frame = frame_of(from, &lines, |_, _| {});
        from = frame.range.to;
        expected.extend(lines);
        rig.log.append(frame);
        pass(Duration::from_millis(random.below(900))).await;
        if random.below(3) == 0 {
            durable = rig.log.acked();
        }
        if dies && random.below(5) == 0 {
            task.abort();
            let _ = task.await;
            rig.log.forget_acked(durable);
            (task, _switch) = rig.run();
        }
    }
    rig.table.world().is_well = true;
    // Before the end of the log: only its window ends what waits.
    let all = tokio::time::timeout(Duration::from_secs(36_000), rig.log.acked_to(from)).await;
    assert!(all.is_ok(), "acknowledged {} of {from}, {dies} {:?}", rig.log.acked(), rig.counters);
    rig.log.end();
    task.await.expect("no panic");
    check(&rig, &expected, dies);
}

fn check(rig: &Rig, expected: &[String], dies: bool) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let world = rig.table.world();
    for line in world.rows.iter().flat_map(|row| row.split('+')) {
        *seen.entry(line.to_owned()).or_default() += 1;
    }
    let may_repeat = dies && !world.is_exact;
    for (line, n) in &seen {
        assert!(*n == 1 || may_repeat, "{line} came {n} times");
    }
    for letter in Reader::open(rig.letters.path()).expect("listed") {
        for event in letter.expect("read").events() {
            let line = String::from_utf8_lossy(event.bytes).into_owned();
            let n = seen.entry(line).or_default();
            *n += usize::from(*n == 0 || !dies);
        }
    }
    for line in expected {
        let n = seen.remove(line).unwrap_or_default();
        assert!(n == 1 || n > 1 && may_repeat, "{line} {n} {dies} {:?}", rig.options);
    }
    assert!(seen.is_empty(), "something came that was never sent: {seen:?}");
    if !dies {
        rig.log.assert_balanced();
        assert_eq!(rig.counters.spooled.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn each_event_lands_once() {
    let drawn = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64;
    let seed = std::env::var("SIDEWAKE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(drawn);
    println!("SIDEWAKE_SEED={seed}");
    let rounds = if std::env::var_os("SIDEWAKE_SLOW").is_some() { 5000 } else { 100 };
    for index in 0..rounds {
        round(seed.wrapping_add(index)).await;
    }
}
