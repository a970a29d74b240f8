//! The loop of one route: what to read, when to close a body, what to acknowledge.
//!
//! One task owns the cursor and all decisions; flights are tasks of its own that end before it does
//! (or are aborted with it).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::acks::{Acks, Tally};
use super::drain::Drain;
use super::flight::{Crew, Landing, Resumption};
use super::frames::{Frame, Frames};
use super::gate::Gate;
use super::held::{Budget, Share};
use super::letters::Sender;
use super::limit::Limiter;
use super::load::{Load, Piece};
use super::retry::Jitter;
use super::span::{At, Undone};
use super::waiting::Waiting;
use super::{Options, Route};
use crate::sinks::{LogRange, Transport};
use crate::telemetry::DropReason;

/// See the module.
pub(super) struct Loop<F> {
    crew: Arc<Crew>,
    frames: F,
    drain: Drain,
    options: Options,
    /// The body that is being filled.
    open: Option<Load>,
    /// Closed bodies that wait for a place, with their numbers. Reading rests while there is one.
    ready: VecDeque<(u64, Load)>,
    /// Pieces of a frame larger than a body: each is its own body, encoded when its turn comes.
    cut: VecDeque<CutPiece>,
    acks: Acks,
    /// What all bodies keep in memory.
    share: Share,
    flights: JoinSet<(u64, Landing)>,
    /// A file's range that must be encoded again as it was.
    replay: Option<Replay>,
    /// Reading rests until then: the disk is sick.
    resume_at: Option<Instant>,
    /// After a restart: what is to be done of what was read before.
    undone: Option<Undone>,
    /// Events that a body left out for a later one.
    waiting: Option<Waiting>,
    /// More than a body of them waits: the next body takes all, as they are.
    is_crowded: bool,
    /// Where the last frame that was read ends.
    read_to: u64,
    /// Where the cursor is.
    acked_to: u64,
    /// Counted, and not yet passed by the cursor, because an older event waits.
    carried: Tally,
    /// Of a body that a process before this one had sent: what became of it, as far as that is not
    /// counted yet.
    resumed: Tally,
    /// Nothing more will be read.
    ended: bool,
    /// Nothing was sent yet: what comes first may have been on its way when a process was killed.
    is_fresh: bool,
}

struct CutPiece {
    piece: Piece,
    range: LogRange,
    is_last: bool,
}

#[derive(Clone, Copy)]
struct Replay {
    until: u64,
    holds: bool,
}

enum Event {
    Landed(Result<(u64, Landing), JoinError>),
    Frame(Option<Frame>),
    Due,
    Resume,
    Draining,
    DeadlinePassed,
}

impl<F: Frames> Loop<F> {
    pub(super) fn new(route: Route, frames: F, drain: Drain) -> Self {
        let Route { tier, sink_name, sink, client, mut options, dead_letters, counters, status } =
            route;
        let is_file = matches!(sink.transport(), Transport::File { .. });
        // One file at a time: what is not held can only be encoded again in order. And what lands
        // exactly once lands in the order of the log.
        let is_single = is_file || client.is_exact();
        options.concurrency = if is_single { 1 } else { options.concurrency.max(1) };
        // Files hold nothing: they take no part of it.
        let share = if is_file { Budget::new(usize::MAX).join() } else { options.budget.join() };
        let crew = Crew {
            sink,
            client,
            name: format!("{tier}-{sink_name}"),
            sender: Sender { tier, sink: sink_name },
            gate: Gate::new(options.retry.clone(), Jitter::from_random_state()),
            limiter: options.rate_limit.map(Limiter::new),
            attempts_max: options.retry.attempts_max,
            dead_letters,
            counters,
            status,
            is_file,
        };
        Self {
            crew: Arc::new(crew),
            frames,
            drain,
            options,
            open: None,
            ready: VecDeque::new(),
            cut: VecDeque::new(),
            acks: Acks::default(),
            share,
            flights: JoinSet::new(),
            replay: None,
            resume_at: None,
            undone: None,
            waiting: None,
            is_crowded: false,
            read_to: 0,
            acked_to: 0,
            carried: Tally::default(),
            resumed: Tally::default(),
            ended: false,
            is_fresh: true,
        }
    }

    pub(super) async fn run(mut self) {
        self.resume().await;
        loop {
            if self.drain.halts() {
                self.read_no_more();
            }
            self.launch();
            self.show();
            if self.is_over() {
                break;
            }
            match self.next_event().await {
                Event::Landed(landed) => self.land(landed),
                Event::Frame(Some(frame)) => {
                    self.take(frame).await;
                    // A backlog is always ready: answers that came meanwhile, this route's and the
                    // others', are not kept waiting for all of it.
                    tokio::task::yield_now().await;
                }
                Event::Frame(None) => {
                    self.ended = true;
                    self.close();
                }
                Event::Due => {
                    self.open_waiting();
                    self.close();
                }
                Event::Resume => self.resume_at = None,
                Event::Draining => {}
                Event::DeadlinePassed => break,
            }
        }
        // Aborts what is still in flight: unknown outcomes are sent again after the restart.
        self.flights.shutdown().await;
        self.crew.status.stopped();
    }

    /// Goes on where a process before this one ended, if its transport knows more of that than the
    /// cursor.
    async fn resume(&mut self) {
        self.read_to = self.frames.position();
        self.acked_to = self.read_to;
        let Some(resumed) = self.crew.client.resumed() else { return };
        let span = &resumed.span;
        if Undone::new(Vec::new(), span.to).is_over(self.frames.position()) {
            // Whatever became of it, its events are done with.
            return;
        }
        self.acks.begin(None, wall_clock_ns());
        self.show();
        let resumption = self.crew.resume(&resumed, self.drain.clone()).await;
        self.acks = Acks::default();
        match resumption {
            Resumption::Stored(tally) => {
                self.resumed = tally;
                self.undone = Some(Undone::new(span.undone(false), span.to));
            }
            Resumption::Void => self.undone = Some(Undone::new(span.undone(true), span.to)),
            Resumption::Abandoned => self.read_no_more(),
        }
    }

    fn is_over(&self) -> bool {
        let is_resting = self.resume_at.is_some() && self.drain.deadline().is_some();
        let is_empty = self.open.is_none() && self.ready.is_empty() && self.cut.is_empty();
        self.flights.is_empty() && (is_resting || (self.ended && is_empty))
    }

    async fn next_event(&mut self) -> Event {
        // With nothing in flight nothing would ever be given back.
        let has_room = self.flights.is_empty() || self.share.bytes() < self.share.max_bytes();
        let has_none_ready = self.ready.is_empty() && self.cut.is_empty();
        let may_read = !self.ended && has_none_ready && has_room && self.resume_at.is_none();
        let deadline = self.drain.deadline();
        if deadline.is_some() && may_read {
            if let Some(frame) = self.frames.try_next() {
                return Event::Frame(Some(frame));
            }
            if self.open.is_some() || (self.waiting.is_some() && !self.drain.halts()) {
                return Event::Due;
            }
            if self.flights.is_empty() {
                return Event::Frame(None);
            }
        }
        let has_place = self.flights.len() < self.options.concurrency;
        let is_replaying = self.replay.is_some();
        let due = self.open.as_ref().filter(|_| has_place && !is_replaying);
        let due = due.map(|open| open.begun_at + self.options.batch_age);
        let may_open = has_place && has_none_ready && self.open.is_none();
        let due = due.or_else(|| self.waiting_due().filter(|_| may_open));
        tokio::select! {
            biased;
            () = at(deadline) => Event::DeadlinePassed,
            Some(landed) = self.flights.join_next() => Event::Landed(landed),
            _ = self.drain.begun(), if deadline.is_none() => Event::Draining,
            () = at(due) => Event::Due,
            () = at(self.resume_at) => Event::Resume,
            frame = self.frames.next(), if may_read && deadline.is_none() => Event::Frame(frame),
        }
    }

    /// When what waits has waited long enough.
    fn waiting_due(&self) -> Option<Instant> {
        let due_ns = self.waiting.as_ref()?.due_ns(self.crew.sink.window());
        let left_ns = due_ns.saturating_sub(wall_clock_ns()).max(0);
        Some(Instant::now() + Duration::from_nanos(left_ns.cast_unsigned()))
    }

    /// Puts a frame into the open body, or into bodies of its own.
    async fn take(&mut self, frame: Frame) {
        let Frame { range, batch } = frame;
        self.read_to = range.to;
        if self.replay.is_some_and(|replay| range.from >= replay.until) {
            // The spool gave the range up meanwhile; nothing of it is left to repeat.
            self.replay = None;
        }
        if batch.is_empty() {
            self.pass_position(range, batch.observed_ns);
        } else {
            let piece = Piece::whole(&batch, range.from);
            if self.crew.is_file {
                self.fill_file(piece, range).await;
            } else if self.undone.as_ref().is_some_and(|undone| !undone.is_over(range.from)) {
                self.fill_undone(&piece, range);
            } else {
                self.undone = None;
                self.fill(piece, range);
            }
        }
        let is_replayed = self.replay.is_some_and(|replay| range.to >= replay.until);
        let is_heavy = self.flights.is_empty() && self.share.bytes() >= self.share.max_bytes();
        let is_long = |open: &Load| open.len() >= self.options.batch_bytes;
        let is_full =
            self.replay.is_none() && (is_heavy || self.open.as_ref().is_some_and(is_long));
        if is_replayed || is_full {
            self.close();
        }
    }

    fn fill(&mut self, piece: Piece, range: LogRange) {
        let weight = piece.weight();
        let max = self.options.batch_bytes;
        if self.open.as_ref().is_some_and(|open| open.len() + weight > max) {
            self.close();
        }
        if weight > max {
            self.cut(vec![piece], range);
            return;
        }
        let mut open = self.take_open(range, &piece);
        open.push(piece, true, &self.crew.sender);
        open.end(range.to);
        self.open = Some(open);
    }

    /// Of a frame that was read before, by another process: what is to be done.
    fn fill_undone(&mut self, piece: &Piece, range: LogRange) {
        let undone = self.undone.as_ref();
        let ranges = undone.map(|undone| undone.of_frame(range.from, piece.events.len()));
        let ranges = ranges.unwrap_or_default();
        let n_undone: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        self.count_done((piece.events.len() - n_undone) as u64, piece.batch.observed_ns);
        if ranges.is_empty() {
            self.pass_position(range, piece.batch.observed_ns);
        }
        let pieces: Vec<Piece> = ranges.into_iter().map(|events| piece.with(events)).collect();
        let weight: usize = pieces.iter().map(Piece::weight).sum();
        if weight > self.options.batch_bytes {
            self.cut(pieces, range);
            return;
        }
        let n_pieces = pieces.len();
        for (n, piece) in (1..).zip(pieces) {
            let behind = At { frame: range.from, event: piece.events.end as u32 };
            self.fill(piece, range);
            if let Some(open) = self.open.as_mut().filter(|_| n < n_pieces) {
                // The frame is not over with it.
                (open.to, open.ack_to) = (behind, None);
            }
        }
    }

    /// Events that a process before this one was done with, and did not count. Those of its last
    /// body are known; those before it were delivered, or are dead letters that it had counted.
    fn count_done(&mut self, n_events: u64, observed_ns: i64) {
        let mut part = self.resumed.at_most(n_events);
        self.resumed = self.resumed.less(part);
        part.delivered += n_events - part.n_events();
        let number = self.acks.begin(None, observed_ns);
        self.acknowledge(number, part);
    }

    /// Bodies of their own for pieces of one frame, which are more than a body together.
    fn cut(&mut self, pieces: Vec<Piece>, range: LogRange) {
        // The open body, if there is one, must come before the pieces.
        self.close();
        let max = self.options.batch_bytes;
        let pieces: Vec<Piece> = pieces.into_iter().flat_map(|piece| piece.cut(max)).collect();
        let n_pieces = pieces.len();
        self.cut.extend(pieces.into_iter().enumerate().map(|(index, piece)| CutPiece {
            piece,
            range,
            is_last: index + 1 == n_pieces,
        }));
    }

    /// As [`Self::fill`], off the runtime's threads: a columnar encoder takes its time.
    async fn fill_file(&mut self, piece: Piece, range: LogRange) {
        let open = self.take_open(range, &piece);
        let holds = self.replay.is_some_and(|replay| replay.holds);
        let sender = self.crew.sender.clone();
        let push = move || {
            let mut open = open;
            open.push(piece, holds, &sender);
            open
        };
        match tokio::task::spawn_blocking(push).await {
            Ok(mut open) => {
                open.end(range.to);
                self.open = Some(open);
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The open body, or one that `piece` begins.
    fn take_open(&mut self, range: LogRange, piece: &Piece) -> Load {
        match self.open.take() {
            Some(open) => open,
            None => self.begin(range, piece),
        }
    }

    fn begin(&mut self, range: LogRange, piece: &Piece) -> Load {
        self.begin_at(range.from, piece.batch.observed_ns)
    }

    /// A body from `position` on, with what waited for it.
    fn begin_at(&mut self, position: u64, observed_ns: i64) -> Load {
        let waiting = self.waiting.take();
        let observed_ns =
            waiting.as_ref().map_or(observed_ns, |waiting| waiting.oldest_ns().min(observed_ns));
        let now_ns = wall_clock_ns();
        let mut load = Load::begin(&*self.crew.sink, &self.share, position, observed_ns, now_ns);
        for piece in waiting.into_iter().flat_map(Waiting::into_pieces) {
            load.push(piece, true, &self.crew.sender);
        }
        load
    }

    /// A frame without events: its position is acknowledged in its turn.
    fn pass_position(&mut self, range: LogRange, observed_ns: i64) {
        if let Some(open) = &mut self.open {
            open.end(range.to);
            return;
        }
        let to = self.waiting.as_ref().map_or(range.to, |waiting| waiting.frame().min(range.to));
        let number = self.acks.begin(Some(to), observed_ns);
        self.acknowledge(number, Tally::default());
    }

    /// A body of nothing but what waited long enough.
    fn open_waiting(&mut self) {
        if self.open.is_none() && self.waiting.is_some() {
            let mut load = self.begin_at(self.read_to, i64::MAX);
            load.end(self.read_to);
            self.open = Some(load);
        }
    }

    /// Closes the open body.
    fn close(&mut self) {
        if let Some(load) = self.open.take() {
            self.replay = None;
            let closed = self.closed(load);
            self.ready.push_back(closed);
        }
    }

    /// Starts flights while there are places and bodies.
    fn launch(&mut self) {
        while self.flights.len() < self.options.concurrency {
            let Some((number, mut load)) = self.ready.pop_front().or_else(|| self.next_cut())
            else {
                return;
            };
            load.may_be_stored = std::mem::take(&mut self.is_fresh);
            let flight = Arc::clone(&self.crew).fly(load, self.drain.clone());
            self.flights.spawn(async move { (number, flight.await) });
        }
    }

    fn next_cut(&mut self) -> Option<(u64, Load)> {
        let CutPiece { piece, range, is_last } = self.cut.pop_front()?;
        let mut load = self.begin(range, &piece);
        let behind = At { frame: range.from, event: piece.events.end as u32 };
        load.push(piece, true, &self.crew.sender);
        load.range = range;
        load.to = if is_last { At::frame(range.to) } else { behind };
        load.ack_to = is_last.then_some(range.to);
        Some(self.closed(load))
    }

    /// A body that takes nothing more, and its number.
    fn closed(&mut self, mut load: Load) -> (u64, Load) {
        // At the end of the process nothing comes that could be waited for.
        let is_last = self.drain.deadline().is_some() && !self.drain.halts();
        let defers = !is_last && !self.is_crowded;
        let waiting = if defers { load.defer(wall_clock_ns()) } else { Vec::new() };
        self.waiting = Waiting::of(waiting, &self.share);
        let n_bytes = self.waiting.as_ref().map_or(0, Waiting::bytes);
        self.is_crowded = n_bytes > self.options.batch_bytes;
        if let Some(waiting) = &self.waiting {
            load.left = waiting.runs();
            load.ack_to = load.ack_to.map(|to| to.min(waiting.frame()));
        }
        if let Some(undone) = &self.undone {
            undone.add_to(&mut load.left, &mut load.to);
        }
        (self.acks.begin(load.ack_to, load.oldest_ns), load)
    }

    fn land(&mut self, landed: Result<(u64, Landing), JoinError>) {
        match landed {
            Ok((number, Landing::Over(tally))) => self.acknowledge(number, tally),
            Ok((_, Landing::Rewind { range, not_before, holds })) => {
                self.open = None;
                self.ready.clear();
                self.acks = Acks::default();
                self.frames.rewind(range.from);
                // The end of the log was read before; it will be again.
                self.ended = false;
                self.replay = Some(Replay { until: range.to, holds });
                self.resume_at = Some(not_before);
            }
            // The others will find the same.
            Ok((_, Landing::Abandoned)) => self.read_no_more(),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    /// What is not in flight stays in the spool.
    fn read_no_more(&mut self) {
        self.ended = true;
        self.open = None;
        self.waiting = None;
        self.ready.clear();
        self.cut.clear();
    }

    fn acknowledge(&mut self, number: u64, tally: Tally) {
        let Some((to, passed)) = self.acks.land(number, tally) else { return };
        // What was counted before the cursor may pass it is told when it does.
        self.carried.add(passed);
        let mut n_settled = 0;
        if to > self.acked_to {
            self.acked_to = to;
            n_settled = self.frames.ack(to);
        }
        let passed = self.carried.at_most(n_settled);
        // What is left when all is done with was given up by the spool, and is counted there.
        let is_all = self.acks.is_empty()
            && self.open.is_none()
            && self.cut.is_empty()
            && self.waiting.is_none()
            && self.undone.is_none();
        self.carried = if is_all { Tally::default() } else { self.carried.less(passed) };
        let counters = &self.crew.counters;
        counters.delivered.add(passed.delivered);
        counters.dead_letters.add(passed.dead_letters);
        counters.dropped(DropReason::DeadLettersFull).add(passed.dead_letters_full);
        counters.dropped(DropReason::SpoolError).add(passed.spool_error);
    }

    /// What the operator sees of this moment.
    fn show(&self) {
        let cut = self.cut.front().map(|cut| cut.piece.batch.observed_ns);
        let open = self.open.as_ref().map(|open| open.oldest_ns);
        let oldest_ns = self.acks.oldest_ns().or(cut).or(open);
        self.crew.counters.oldest_undelivered_ns.set(oldest_ns.unwrap_or(0));
        self.crew.status.busy(oldest_ns.is_some());
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Nanoseconds since 1970; 0 for a clock before it.
pub(super) fn wall_clock_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
