//! One body from its last event to its landing: finish, send, judge, and what follows from it.
//!
//! Knows nothing of the log's order; `route` does. A flight that is aborted has counted nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::acks::Tally;
use super::dead_letters::{DeadLetters, Fate};
use super::drain::Drain;
use super::gate::{Failure, Gate, Ticket};
use super::letters::{Letter, Sender};
use super::limit::Limiter;
use super::load::{Load, Piece, halves_of, parted};
use super::span::{At, Run, Span, runs};
use super::status::{RouteStatus, State};
use super::transport::{Answer, Client, Outgoing, Resumed, SendError};
use crate::sinks::{
    Body, Contents, Encoder, Grpc, LogRange, Others, Response, Sink, Suspects, Truncated, Verdict,
};
use crate::telemetry::RouteCounters;

/// Attempts to write dead letters before their events are dropped and counted.
const LETTER_ATTEMPTS_MAX: u32 = 5;
const LETTER_RETRY: Duration = Duration::from_millis(200);
/// A destination may change its form while a body waits, but not at every attempt; and what it
/// refused in another form too, it refuses.
const REENCODED_MAX: u32 = 8;
/// What is said of events that never came into a body.
const REFUSED: &str = "refused by the encoder";

/// What all flights of a route share.
pub(super) struct Crew {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) client: Arc<dyn Client>,
    pub(super) sender: Sender,
    /// The route's name in logs.
    pub(super) name: String,
    pub(super) gate: Gate,
    pub(super) limiter: Option<Limiter>,
    pub(super) attempts_max: Option<u32>,
    pub(super) dead_letters: DeadLetters,
    pub(super) counters: Arc<RouteCounters>,
    pub(super) status: Arc<RouteStatus>,
    /// Finishing and writing take long and block: files.
    pub(super) is_file: bool,
}

/// How a flight ended.
#[derive(Debug)]
pub(super) enum Landing {
    /// All its events are accounted for.
    Over(Tally),
    /// A file could not be made and nothing of it is held: encode the range again. `holds` asks to
    /// keep its events this time, because they will have to be buried.
    Rewind { range: LogRange, not_before: Instant, holds: bool },
    /// The process ends before it can be sent.
    Abandoned,
}

/// A body and what it is made of.
struct Part {
    encoder: Box<dyn Encoder>,
    pieces: Vec<Piece>,
    n_events: usize,
    past: Past,
}

/// What a body was before it was encoded.
#[derive(Clone, Debug)]
struct Past {
    /// What it leaves to be done, and where it ends.
    left: Vec<Run>,
    to: At,
    /// Events of the span that are dead letters already.
    n_refused: u64,
    /// How often it was encoded for another form of the destination; [`REENCODED_MAX`] when the
    /// destination itself refused one.
    n_reencoded: u32,
    /// It may be stored already: it was sent before, and nobody read the answer.
    may_be_stored: bool,
}

/// What is known of a body that was finished.
struct Finished {
    truncated: Truncated,
    contents: Contents,
    /// See [`Body::events`].
    events: Vec<(u32, u32)>,
}

/// What became of a body that a process before this one wrote down.
#[derive(Debug)]
pub(super) enum Resumption {
    /// It is stored.
    Stored(Tally),
    /// It is not, and will not be as it is: its events are to be encoded anew.
    Void,
    /// The process ends before it can be sent.
    Abandoned,
}

enum End {
    Over(Tally),
    /// Some events are done with, dead letters or delivered; the others must be sent.
    Without(Vec<Piece>, Tally),
    /// Two halves, and whether they may be stored already.
    Split(Vec<Piece>, Vec<Piece>, bool),
    /// Whether they may be stored already, and how much that counts.
    Reencode(Vec<Piece>, bool, u32),
    Rewind {
        not_before: Instant,
        holds: bool,
    },
    Abandoned,
}

impl Crew {
    pub(super) async fn fly(self: Arc<Self>, load: Load, mut drain: Drain) -> Landing {
        let Load { encoder, pieces, mut letters, n_events, range, left, to, now_ns, .. } = load;
        let (_held, may_be_stored) = (load.held, load.may_be_stored);
        let mut tally = Tally::default();
        let mut n_refused = 0;
        if self.client.is_exact() && !letters.is_empty() {
            // First: what is sent is all that a next process knows of the span.
            let buried = self.bury(std::mem::take(&mut letters), None, REFUSED).await;
            n_refused = buried.n_events();
            tally.add(buried);
        }
        let past = Past { left, to, n_refused, n_reencoded: 0, may_be_stored };
        let mut parts = VecDeque::from([Part { encoder, pieces, n_events, past }]);
        while let Some(part) = parts.pop_front() {
            if part.n_events == 0 {
                continue;
            }
            let past = part.past.clone();
            match self.deliver(part, range, &mut drain).await {
                End::Over(more) => tally.add(more),
                End::Without(rest, more) => {
                    tally.add(more);
                    let n_refused = past.n_refused + more.n_events() - more.delivered;
                    let past = Past { n_refused, n_reencoded: 0, ..past };
                    parts.push_front(self.encode(rest, past, now_ns));
                }
                End::Split(first, second, may_be_stored) => {
                    let past = Past { may_be_stored, n_reencoded: 0, ..past };
                    let behind = Past { n_refused: 0, ..past.clone() };
                    let left = runs(&second).into_iter().chain(past.left).collect();
                    let before = Past { left, ..past };
                    parts.push_front(self.encode(second, behind, now_ns));
                    parts.push_front(self.encode(first, before, now_ns));
                }
                End::Reencode(pieces, may_be_stored, more) => {
                    let n_reencoded = past.n_reencoded + more;
                    let past = Past { n_reencoded, may_be_stored, ..past };
                    parts.push_front(self.encode(pieces, past, now_ns));
                }
                End::Rewind { not_before, holds } => {
                    return Landing::Rewind { range, not_before, holds };
                }
                End::Abandoned => return Landing::Abandoned,
            }
        }
        // Last, so that a rewound file does not bury its refused events twice.
        if !letters.is_empty() {
            tally.add(self.bury(letters, None, REFUSED).await);
        }
        Landing::Over(tally)
    }

    /// Encodes events that were encoded before: nothing is refused now that was not refused then.
    fn encode(&self, pieces: Vec<Piece>, past: Past, now_ns: i64) -> Part {
        let mut encoder = self.sink.encoder(now_ns);
        let mut n_events = 0;
        for piece in &pieces {
            n_events += piece.events.len();
            let is_whole = piece.events == (0..piece.batch.len());
            if !(is_whole && encoder.share(&piece.batch)) {
                encoder.push(&piece.batch, piece.events.clone());
            }
        }
        Part { encoder, pieces, n_events, past }
    }

    async fn deliver(&self, part: Part, range: LogRange, drain: &mut Drain) -> End {
        let Part { encoder, pieces, n_events, past } = part;
        let Past { left, to, n_refused, n_reencoded, mut may_be_stored } = past;
        let span = Arc::new(Span { held: runs(&pieces), left, to });
        let n_bytes = encoder.len();
        let (mut outgoing, finished) = match self.finish(encoder, range).await {
            Ok(finished) => finished,
            Err(reason) => return self.give_up(&pieces, &reason).await,
        };
        (outgoing.span, outgoing.n_events) = (span, n_events as u64);
        (outgoing.contents, outgoing.n_refused) = (finished.contents, n_refused);
        loop {
            let Some(ticket) = self.gate.pass(drain).await else { return End::Abandoned };
            if let Some(limiter) = &self.limiter {
                limiter.pass(n_bytes, n_events).await;
            }
            self.count_request(&outgoing);
            let answer = self.client.send(&outgoing).await;
            let retry_after = answer.as_ref().ok().and_then(|answer| answer.retry_after);
            let (failure, state, reason) = match self.judge(&answer, finished.contents) {
                Verdict::Retry { reason } => (Failure::Sick(retry_after), State::Retrying, reason),
                Verdict::Unauthorised { reason } => {
                    (Failure::Unauthorised, State::Unauthorised, reason)
                }
                Verdict::Reencode { reason } if n_reencoded >= REENCODED_MAX => {
                    ticket.succeed();
                    let verdict = Verdict::Refused { reason };
                    return self.settle(verdict, &pieces, (n_events, &[]), may_be_stored).await;
                }
                Verdict::Reencode { .. } if !pieces.is_empty() => {
                    ticket.succeed();
                    self.status.answered(&self.name, false);
                    let is_unsent = answer.is_ok_and(|answer| answer.is_unsent);
                    let more = if is_unsent { 1 } else { REENCODED_MAX };
                    return End::Reencode(pieces, may_be_stored, more);
                }
                Verdict::RowsRefused { rows, others: Others::Unstored } => {
                    ticket.succeed();
                    return self.bury_rows(&pieces, &finished.events, rows).await;
                }
                Verdict::RowsRefused { rows, others: Others::StoredBut { rows: again, pause } } => {
                    self.note_some(ticket, pause, retry_after);
                    return self.keep_some(&pieces, &finished.events, (rows, again)).await;
                }
                other => {
                    ticket.succeed();
                    self.note_truncated(&other, &finished.truncated);
                    return self
                        .settle(other, &pieces, (n_events, &finished.events), may_be_stored)
                        .await;
                }
            };
            may_be_stored |= is_unknown(&answer);
            let not_before = self.note_failure(ticket, failure, state, &reason);
            outgoing.attempt += 1;
            if self.attempts_max.is_some_and(|max| outgoing.attempt >= max) && !self.is_file {
                return self.give_up(&pieces, &format!("retries_exhausted: {reason}")).await;
            }
            if self.is_file {
                return End::Rewind { not_before, holds: false };
            }
        }
    }

    async fn finish(
        &self,
        encoder: Box<dyn Encoder>,
        range: LogRange,
    ) -> Result<(Outgoing, Finished), String> {
        let finish = move || {
            let mut body = Body::default();
            encoder.finish(range, &mut body).map(|()| body)
        };
        let body = if self.is_file {
            tokio::task::spawn_blocking(finish).await.map_err(|error| error.to_string())??
        } else {
            finish()?
        };
        let outgoing = Outgoing {
            bytes: body.bytes.into(),
            parts: body.parts,
            headers: body.headers.into_iter().collect(),
            file_name: body.file_name,
            ..Outgoing::default()
        };
        let Body { truncated, contents, events, .. } = body;
        Ok((outgoing, Finished { truncated, contents, events }))
    }

    fn judge(&self, answer: &Result<Answer, SendError>, contents: Contents) -> Verdict {
        match answer {
            Ok(Answer { status, body, grpc, headers, is_unsent, .. }) => {
                let grpc = grpc.as_ref().map(|(code, message)| Grpc { code: *code, message });
                let (status, is_unsent) = (*status, *is_unsent);
                let said = Response { status, body, grpc, headers, contents, is_unsent };
                self.sink.judge(&said)
            }
            Err(error) => Verdict::Retry { reason: error.to_string() },
        }
    }

    /// What follows from a verdict after which the body is not sent again.
    async fn settle(
        &self,
        verdict: Verdict,
        pieces: &[Piece],
        (n_events, rows): (usize, &[(u32, u32)]),
        may_be_stored: bool,
    ) -> End {
        let is_taken = matches!(verdict, Verdict::Delivered | Verdict::PartlyRefused { .. });
        self.status.answered(&self.name, is_taken);
        match verdict {
            Verdict::PartlyRefused { n_refused, reason, suspects } => {
                let events = self.suspected(pieces, &suspects, may_be_stored);
                End::Over(self.bury_some(pieces, n_events, n_refused, &reason, events).await)
            }
            Verdict::Split | Verdict::Isolate { .. } if n_events > 1 && !pieces.is_empty() => {
                let (first, second) = halves_of(pieces, rows);
                End::Split(first, second, may_be_stored)
            }
            Verdict::Split => self.give_up(pieces, "too_large").await,
            Verdict::Refused { reason }
            | Verdict::Isolate { reason }
            | Verdict::Reencode { reason } => self.give_up(pieces, &reason).await,
            _ => {
                let delivered = n_events as u64;
                End::Over(Tally { delivered, ..Tally::default() })
            }
        }
    }

    /// All events of `pieces` to the dead letters.
    async fn give_up(&self, pieces: &[Piece], reason: &str) -> End {
        if pieces.is_empty() {
            return End::Rewind { not_before: Instant::now(), holds: true };
        }
        let letters = pieces.iter().filter_map(|piece| {
            self.sender.letter(&piece.batch, piece.events.clone(), reason, None)
        });
        End::Over(self.bury(letters.collect(), None, reason).await)
    }

    /// Events that the destination's words point at, by piece; `None` where they do not tell.
    fn suspected(
        &self,
        pieces: &[Piece],
        suspects: &Suspects,
        may_be_stored: bool,
    ) -> Option<Vec<Vec<usize>>> {
        if !suspects.named.is_empty() {
            let of: Vec<_> =
                pieces.iter().map(|piece| (&**piece.batch, piece.events.clone())).collect();
            return self.sink.accused(&suspects.named, &of, may_be_stored);
        }
        let is_suspect = |piece: &Piece, index: &usize| {
            piece.batch.event(*index).is_some_and(|event| suspects.cover(&event))
        };
        let of = |piece: &Piece| -> Vec<usize> {
            piece.events.clone().filter(|index| is_suspect(piece, index)).collect()
        };
        let found: Vec<Vec<usize>> = pieces.iter().map(of).collect();
        let is_told = suspects.are_known() && found.iter().any(|events| !events.is_empty());
        is_told.then_some(found)
    }

    /// The refused events to the dead letters, the others are delivered. Where the destination's
    /// words do not tell which (`told`), all of them are written and as many counted as it said: a
    /// letter too many is better than an event lost.
    async fn bury_some(
        &self,
        pieces: &[Piece],
        n_events: usize,
        n_refused: usize,
        reason: &str,
        told: Option<Vec<Vec<usize>>>,
    ) -> Tally {
        let n_told = told.as_ref().map(|told| told.iter().map(Vec::len).sum::<usize>());
        let n_refused = n_told.unwrap_or(n_refused).min(n_events);
        if n_refused == 0 {
            return Tally { delivered: n_events as u64, ..Tally::default() };
        }
        let untold = told.is_none().then_some(n_refused);
        let mut told = told.unwrap_or_default().into_iter();
        let letters = pieces.iter().filter_map(|piece| {
            let events = told.next().unwrap_or_else(|| piece.events.clone().collect());
            self.sender.letter(&piece.batch, events, reason, untold)
        });
        let mut tally = self.bury(letters.collect(), Some(n_refused as u64), reason).await;
        tally.delivered += (n_events - n_refused) as u64;
        tally
    }

    /// The events of some rows to the dead letters, each with what was said of its first one.
    async fn bury_rows(
        &self,
        pieces: &[Piece],
        events: &[(u32, u32)],
        rows: Vec<(usize, String)>,
    ) -> End {
        let rows = by_event(events, rows);
        let numbers: Vec<usize> = rows.iter().map(|(event, _)| *event).collect();
        let (rest, refused) = parted(pieces, &numbers);
        if refused.is_empty() {
            // Rows that nobody sent: without a way to leave them out, all of it is refused.
            let words = rows.into_iter().next().map(|(_, words)| words).unwrap_or_default();
            return self.give_up(pieces, &words).await;
        }
        let tally = self.bury_each(&refused, &rows).await;
        if rest.is_empty() { End::Over(tally) } else { End::Without(rest, tally) }
    }

    /// The events of some rows to the dead letters, those of others to be sent again; all that are
    /// left are delivered.
    async fn keep_some(
        &self,
        pieces: &[Piece],
        events: &[(u32, u32)],
        (refused, again): (Vec<(usize, String)>, Vec<usize>),
    ) -> End {
        let refused = by_event(events, refused);
        let again = by_event(events, again.into_iter().map(|row| (row, String::new())));
        let is_of = |rows: &[(usize, String)], number: usize| {
            rows.binary_search_by_key(&number, |(event, _)| *event).is_ok()
        };
        let n_events: usize = pieces.iter().map(|piece| piece.events.len()).sum();
        let (mut gone, mut bad) = (Vec::new(), Vec::new());
        for number in 0..n_events {
            let is_refused = is_of(&refused, number);
            if is_refused {
                bad.push(number);
            }
            if is_refused || !is_of(&again, number) {
                gone.push(number);
            }
        }
        let (_, letters) = parted(pieces, &bad);
        let mut tally = match letters.is_empty() {
            true => Tally::default(),
            false => self.bury_each(&letters, &refused).await,
        };
        tally.delivered += (gone.len() - bad.len()) as u64;
        let (rest, _) = parted(pieces, &gone);
        if rest.is_empty() { End::Over(tally) } else { End::Without(rest, tally) }
    }

    /// Events by their numbers to the dead letters, each with the words that `rows` has for it.
    async fn bury_each(&self, refused: &[(Piece, usize)], rows: &[(usize, String)]) -> Tally {
        let words = |number: usize| {
            let found = rows.binary_search_by_key(&number, |(event, _)| *event);
            found.ok().and_then(|at| rows.get(at)).map_or("", |(_, words)| words.as_str())
        };
        let letters = refused.iter().filter_map(|(piece, number)| {
            self.sender.letter(&piece.batch, piece.events.clone(), words(*number), None)
        });
        let first = refused.first().map_or("", |(_, number)| words(*number)).to_owned();
        self.bury(letters.collect(), None, &first).await
    }

    /// Sends what a process before this one wrote down.
    pub(super) async fn resume(&self, resumed: &Resumed, mut drain: Drain) -> Resumption {
        let Resumed { bytes, span, n_events, n_refused, is_settled } = resumed.clone();
        let span = Arc::new(span);
        let tally = Tally { delivered: n_events, dead_letters: n_refused, ..Tally::default() };
        if is_settled {
            return Resumption::Stored(tally);
        }
        let mut outgoing =
            Outgoing { bytes, span, n_events, n_refused, is_resumed: true, ..Outgoing::default() };
        loop {
            let Some(ticket) = self.gate.pass(&mut drain).await else {
                return Resumption::Abandoned;
            };
            self.count_request(&outgoing);
            let answer = self.client.send(&outgoing).await;
            let retry_after = answer.as_ref().ok().and_then(|answer| answer.retry_after);
            let (failure, state, reason) = match self.judge(&answer, Contents::default()) {
                Verdict::Retry { reason } => (Failure::Sick(retry_after), State::Retrying, reason),
                Verdict::Unauthorised { reason } => {
                    (Failure::Unauthorised, State::Unauthorised, reason)
                }
                verdict => {
                    ticket.succeed();
                    let is_stored = verdict == Verdict::Delivered;
                    self.status.answered(&self.name, is_stored);
                    return if is_stored { Resumption::Stored(tally) } else { Resumption::Void };
                }
            };
            self.note_failure(ticket, failure, state, &reason);
            outgoing.attempt += 1;
        }
    }

    /// Writes letters; counts `n_counted` events, or all that are in them.
    async fn bury(&self, letters: Vec<Letter>, n_counted: Option<u64>, reason: &str) -> Tally {
        let in_them = letters.iter().map(|letter| letter.n_events).sum();
        let n_events = n_counted.unwrap_or(in_them);
        self.status.refused(&self.name, n_events, reason);
        let letters: Arc<[Letter]> = letters.into();
        for attempt in 1.. {
            match self.dead_letters.write(Arc::clone(&letters)).await {
                Fate::Written => return Tally { dead_letters: n_events, ..Tally::default() },
                Fate::Full => return Tally { dead_letters_full: n_events, ..Tally::default() },
                Fate::Failed(error) if attempt >= LETTER_ATTEMPTS_MAX => {
                    let text = format!("cannot write dead letters: {error}");
                    self.status.refused(&self.name, n_events, &text);
                    break;
                }
                Fate::Failed(_) => tokio::time::sleep(LETTER_RETRY * attempt).await,
            }
        }
        Tally { spool_error: n_events, ..Tally::default() }
    }

    fn note_truncated(&self, verdict: &Verdict, truncated: &Truncated) {
        let is_taken = matches!(verdict, Verdict::Delivered | Verdict::PartlyRefused { .. });
        if is_taken && truncated.n_values > 0 {
            self.counters.truncated.add(truncated.n_values);
            self.status.truncated(&self.name, truncated);
        }
    }

    fn count_request(&self, outgoing: &Outgoing) {
        self.counters.requests.add(1);
        self.counters.sent_bytes.add(outgoing.len() as u64);
        if outgoing.attempt > 0 {
            self.counters.retries.add(1);
        }
    }

    /// Some rows are to be sent again: at once, or after a wait for the given reason.
    fn note_some(&self, ticket: Ticket<'_>, pause: Option<String>, retry_after: Option<Duration>) {
        if let Some(reason) = pause {
            self.note_failure(ticket, Failure::Sick(retry_after), State::Retrying, &reason);
        } else {
            ticket.succeed();
            self.status.answered(&self.name, true);
        }
    }

    fn note_failure(
        &self,
        ticket: Ticket<'_>,
        failure: Failure,
        state: State,
        reason: &str,
    ) -> Instant {
        let (n_failures, not_before) = ticket.fail(failure);
        let wait = not_before.saturating_duration_since(Instant::now());
        self.status.failed(&self.name, state, n_failures, wait, reason);
        not_before
    }
}

/// What was said of rows, by the numbers of their events, in order: of each what was said first.
fn by_event(
    events: &[(u32, u32)],
    rows: impl IntoIterator<Item = (usize, String)>,
) -> Vec<(usize, String)> {
    let of_row = |(row, words): (usize, String)| match events.get(row) {
        _ if events.is_empty() => vec![(row, words)],
        Some((one, other)) if one == other => vec![(*one as usize, words)],
        Some((one, other)) => vec![(*one as usize, words.clone()), (*other as usize, words)],
        None => Vec::new(),
    };
    let mut rows: Vec<(usize, String)> = rows.into_iter().flat_map(of_row).collect();
    rows.sort_by_key(|(event, _)| *event);
    rows.dedup_by_key(|(event, _)| *event);
    rows
}

/// Whether nobody can tell from it what became of the body: there is no answer, or one of something
/// between the destination and us.
fn is_unknown(answer: &Result<Answer, SendError>) -> bool {
    answer.as_ref().map_or(true, |answer| matches!(answer.status, 408 | 502 | 504))
}
