//! The way from a source to the spool: the pipeline of one source, on that source's thread.
//!
//! Owns when a source waits: for memory, and for a tier that is full and blocks. Never waits for a
//! sink, and never on behalf of a source that cannot be read again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::chunk::Chunk;
use crate::event::record::Flags;
use crate::event::request::Request;
use crate::event::signal::Signal;
use crate::event::slab::Slab;
use crate::pipeline::Pipeline;
use crate::pipeline::requests::{Processed, RequestError};
use crate::protect::outputs::Sealed;
use crate::sources::echo::Echo;
use crate::sources::{Intake, IntakeClosed, NotTaken, Receipt, Taken};
use crate::spool::{Ticket, TierId, WriterGuard};
use crate::telemetry::RouteCounters;

use super::feed::{Current, Feed};
use super::positions::{Positions, TOLD_EVERY};

/// The most that a tier keeps in memory for its cursors. Half as much reads batches back from disk,
/// which costs a quarter of the throughput; twice as much costs 5 MB of peak RSS and buys nothing.
pub(super) const TAIL_BYTES_MAX: usize = 1 << 20;
/// A source that can be read again is paced while even the fastest route of a tier is further
/// behind than this: a file read faster than its sinks take it would only move from one disk file
/// to another, to be packed and read back. Less than a tier's tail, so that its cursors take
/// batches from memory; not much less, or the source sleeps and wakes for every chunk: at half of
/// the tail a record costs 45 % more, and what is read back is not even a tenth of it.
const PACE_BYTES: i64 = (TAIL_BYTES_MAX / 8 * 7) as i64;
/// The longest that pacing delays one chunk: with dead sinks files are still read at 25 MB/s.
const PACE_MAX: Duration = Duration::from_millis(20);
const PACE_STEP: Duration = Duration::from_micros(500);
/// How long a slab is waited for before the source is told to ask again.
const SLAB_WAIT: Duration = Duration::from_millis(20);

/// The intake of one source.
pub(super) struct Collector {
    pipeline: Pipeline,
    n_tiers: usize,
    feed: Arc<Feed>,
    /// Of the feed, as the pipeline follows it.
    generation: u64,
    /// The routes' counters, by tier.
    routes: Arc<[Vec<Arc<RouteCounters>>]>,
    /// The stream whose positions the pipeline knows.
    stream: Option<u64>,
    positions: Positions,
    /// Whether the source can be read again, so that positions in it mean something.
    can_reread: bool,
    /// Held while the source is busy, so that syncs gather what it appends (10 ms, 1 MiB).
    writer: Option<WriterGuard>,
    /// The last append of each tier.
    tickets: Vec<Option<Ticket>>,
    echo: Option<ProtectedEcho>,
}

/// Where protected lines are repeated.
#[derive(Clone, Debug)]
pub(super) struct ProtectedEcho {
    pub(super) stdout: Echo,
    pub(super) stderr: Echo,
}

impl Collector {
    pub(super) fn new(feed: Arc<Feed>, echo: Option<ProtectedEcho>) -> Self {
        // In this order: a replacement between the two is followed once more, for nothing.
        let generation = feed.generation();
        let Current { plan, routes, .. } = feed.current();
        let n_tiers = plan.tiers.len();
        let mut tickets = Vec::new();
        tickets.resize_with(n_tiers, || None);
        Self {
            pipeline: Pipeline::new(plan),
            n_tiers,
            feed,
            generation,
            routes,
            stream: None,
            positions: Positions::default(),
            can_reread: false,
            writer: None,
            tickets,
            echo,
        }
    }

    /// Takes over what a reload replaced.
    fn follow(&mut self) {
        let generation = self.feed.generation();
        if generation == self.generation {
            return;
        }
        let Current { plan, routes, .. } = self.feed.current();
        (self.generation, self.routes) = (generation, routes);
        self.pipeline.follow(plan);
        self.stream = None;
    }

    /// Waits a moment while every route of a tier lags.
    fn pace(&self) {
        let lags = |routes: &Vec<Arc<RouteCounters>>| {
            let fastest = routes.iter().map(|route| route.spooled_bytes.get()).min();
            fastest.is_some_and(|bytes| bytes > PACE_BYTES)
        };
        let until = Instant::now() + PACE_MAX;
        while self.routes.iter().any(lags) && Instant::now() < until {
            std::thread::sleep(PACE_STEP);
        }
    }

    fn append(&mut self, sealed: Vec<Sealed>) {
        for sealed in sealed {
            if let Some(tally) = &self.feed.tally {
                tally.note(&sealed, &self.pipeline.plan().rule_names);
            }
            let Sealed { tier, batch, sampled_out } = sealed;
            let sampled_out = sampled_out.total();
            let (spool, tier_id) = (&self.feed.spool, TierId(tier as u8));
            let ticket = if self.can_reread {
                spool.append_rereadable(tier_id, batch, sampled_out)
            } else {
                spool.append(tier_id, batch, sampled_out)
            };
            self.tickets[tier] = Some(ticket);
        }
    }

    /// How far each tier's log holds the stream; one that says nothing of it stands at its start.
    fn held(&self, source_key: u64) -> impl Iterator<Item = u64> {
        self.tiers().map(move |tier| self.feed.spool.held_to(tier, source_key).unwrap_or(0))
    }

    fn tiers(&self) -> impl Iterator<Item = TierId> + use<> {
        (0..self.n_tiers).map(|index| TierId(index as u8))
    }
}

impl Intake for Collector {
    fn push(&mut self, chunk: Chunk) -> Result<(), IntakeClosed> {
        self.follow();
        if self.stream != Some(chunk.source_key) {
            self.stream = Some(chunk.source_key);
            let held: Vec<u64> = self.held(chunk.source_key).collect();
            if self.can_reread {
                self.positions.begin(chunk.source_key, &held);
            }
            self.pipeline.resume(chunk.source_key, held);
        }
        let (key, end, observed_ns) = (chunk.source_key, chunk.source_end, chunk.observed_ns);
        self.writer.get_or_insert_with(|| self.feed.spool.writer());
        let sealed = self.pipeline.process(chunk);
        if let Some(echo) = &self.echo {
            echo.repeat(&sealed);
        }
        self.positions.note(key, end, observed_ns, &sealed);
        self.append(sealed);
        let told = self.positions.tell(key, TOLD_EVERY);
        self.append(told);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IntakeClosed> {
        let told = self.positions.tell_all();
        self.append(told);
        self.writer = None;
        for ticket in &mut self.tickets {
            if let Some(ticket) = ticket.take() {
                ticket.wait().map_err(|_| IntakeClosed)?;
            }
        }
        Ok(())
    }

    fn rest(&mut self) {
        self.writer = None;
    }

    fn held_to(&self, source_key: u64) -> Option<u64> {
        // A tier that holds nothing of the stream yet wants it from its beginning; one that holds
        // more than another skips what it has.
        self.held_furthest(source_key)?;
        let held = self.held(source_key).min()?;
        let derived = self.feed.derived.as_ref();
        Some(derived.map_or(held, |derived| derived.counted_to(source_key, held).min(held)))
    }

    fn held_furthest(&self, source_key: u64) -> Option<u64> {
        self.tiers().filter_map(|tier| self.feed.spool.held_to(tier, source_key)).max()
    }

    fn slab(&mut self, can_wait: bool) -> Option<Slab> {
        if !can_wait {
            let pooled = self.feed.pool.take(Duration::ZERO);
            return Some(
                pooled.unwrap_or_else(|| Slab::with_capacity(self.feed.pool.slab_bytes())),
            );
        }
        self.can_reread = true;
        // First: pacing looks often, and what is full stays so for long.
        if self.tiers().any(|tier| self.feed.spool.must_wait(tier)) {
            return None;
        }
        self.pace();
        self.feed.pool.take(SLAB_WAIT)
    }

    fn forget(&mut self, source_key: u64) {
        self.positions.forget(source_key);
        if let Some(derived) = &self.feed.derived {
            derived.forget(source_key);
        }
        self.feed.spool.forget_source(source_key);
    }

    fn push_request(&mut self, request: Request) -> Result<Taken, NotTaken> {
        self.follow();
        let processed = self.pipeline.process_request(request).map_err(|error| match error {
            RequestError::NoTier(signal) => NotTaken::NoTier(signal),
            RequestError::Malformed(error) => NotTaken::Malformed(error.to_string()),
        })?;
        let Processed { sealed, n_items, n_rejected, deltas } = processed;
        // Whoever sends requests can send them again, and is answered when they are durable.
        self.can_reread = true;
        self.append(sealed.into_iter().collect());
        Ok(Taken { n_items, n_rejected, deltas })
    }

    fn must_wait(&self, signal: Signal) -> bool {
        let plan = self.pipeline.plan();
        let is_wanted = |tier: &TierId| plan.takes(usize::from(tier.0), signal);
        // What is pending is bounded by the source: it holds each request until it is durable.
        self.tiers().filter(is_wanted).any(|tier| self.feed.spool.is_stuck(tier))
    }

    fn receipt(&mut self) -> Receipt {
        self.writer = None;
        let tickets: Vec<Ticket> = self.tickets.iter_mut().filter_map(Option::take).collect();
        Box::pin(async move {
            for ticket in tickets {
                ticket.durable().await.map_err(|_| IntakeClosed)?;
            }
            Ok(())
        })
    }

    fn begin(&mut self) -> Box<dyn Send> {
        Box::new(self.feed.spool.writer())
    }
}

impl ProtectedEcho {
    /// Repeats the kept lines of one chunk in the order in which they came.
    fn repeat(&self, sealed: &[Sealed]) {
        let mut lines: Vec<(u32, bool, &[u8])> = Vec::new();
        for part in sealed {
            let is_stderr = part.batch.origin.stream == "stderr";
            for event in part.batch.events() {
                let is_stderr = is_stderr || event.record.has(Flags::STDERR);
                lines.push((event.record.source_off, is_stderr, event.bytes));
            }
        }
        lines.sort_by_key(|line| line.0);
        for (to, wanted) in [(&self.stdout, false), (&self.stderr, true)] {
            let mut text = Vec::new();
            for (_, _, line) in lines.iter().filter(|line| line.1 == wanted) {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            if !text.is_empty() {
                to.offer(&text);
            }
        }
    }
}
