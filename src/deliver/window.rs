//! Tail sampling between two logs: what is undecided waits here for its window, and what is kept
//! goes on to the log that the sinks read.
//!
//! Owns when a batch is decided, and that each is decided once: the kept log holds, beside the
//! events, how far the undecided one was decided, and both become durable in one sync. The decision
//! itself is `pipeline::window`'s.
//!
//! # Why
//! - *Two logs.* A decision must outlive a restart and be one for all sinks of the tier, however
//!   far they lag behind. What is kept, in a log of its own, is that decision, in a form that every
//!   sink reads already; it costs a second write of what is kept.
//! - *A crash between the two appends' writes* decides those batches again: their events come
//!   twice, byte-identical.
//! - *The end of the process ends every window*: no signal of these requests comes any more here,
//!   and an undecided event would have to wait for a start that a pod may never see.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::Plan;
use crate::pipeline::tally::Tally;
use crate::pipeline::window::decide;
use crate::protect::outputs::Sealed;
use crate::spool::{Cursor, Entry, Spool, Ticket, TierId};
use crate::telemetry::RouteCounters;

use super::drain::Drain;
use super::route::wall_clock_ns;
use super::status::RouteStatus;

/// The sink's name of the route that decides; no sink of a config can have it.
pub const SINK: &str = "sample.window";
/// Decided and not yet durable at once.
const GROUP_BYTES: usize = 1 << 20;
/// How often a full log is asked for room, and a fast one whether it must be decided early.
const LOOK: Duration = Duration::from_millis(100);

/// One tier's window.
pub struct Window<P> {
    /// The reader of the undecided log.
    pub cursor: Cursor,
    /// Where both logs are.
    pub spool: Arc<Spool>,
    /// The log that the sinks read.
    pub kept: TierId,
    /// The stream as which the undecided log's positions stand in the kept one. Never 0.
    pub position_key: u64,
    /// How long an event waits.
    pub window: Duration,
    /// Bytes of undecided events beyond which the oldest are decided early.
    pub early_bytes: i64,
    /// The plan that holds now.
    pub plan: P,
    /// What counts what is decided, where that is told, and the tier's index there.
    pub tally: Option<(usize, Arc<Tally>)>,
    /// The books of the route [`SINK`].
    pub counters: Arc<RouteCounters>,
    /// Its status.
    pub status: Arc<RouteStatus>,
}

impl<P: Fn() -> Arc<Plan> + Send> Window<P> {
    /// Decides until the drain is over.
    pub async fn run(mut self, mut drain: Drain) {
        while let Some(entry) = self.next(&mut drain).await {
            if self.group(entry, &drain).await.is_none() {
                break;
            }
        }
        self.status.stopped();
    }

    /// The next entry, once it is to be decided; `None` at the end.
    async fn next(&mut self, drain: &mut Drain) -> Option<Entry> {
        let entry = match self.cursor.try_next() {
            Some(entry) => entry,
            None if drain.deadline().is_some() => return None,
            None => {
                self.status.busy(false);
                self.counters.oldest_undelivered_ns.set(0);
                tokio::select! {
                    entry = self.cursor.next() => entry?,
                    _ = drain.begun() => self.cursor.try_next()?,
                }
            }
        };
        self.status.busy(true);
        self.counters.oldest_undelivered_ns.set(entry.batch.observed_ns);
        while !self.is_due(&entry, drain) {
            let left = self.due_ns(&entry).saturating_sub(wall_clock_ns()).max(0);
            let left = Duration::from_nanos(left.cast_unsigned()).min(LOOK);
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = drain.begun() => {}
            }
        }
        // A reload takes nothing more up.
        (!drain.halts()).then_some(entry)
    }

    fn due_ns(&self, entry: &Entry) -> i64 {
        let window = i64::try_from(self.window.as_nanos()).unwrap_or(i64::MAX);
        entry.batch.observed_ns.saturating_add(window)
    }

    fn is_due(&self, entry: &Entry, drain: &Drain) -> bool {
        drain.deadline().is_some() || self.is_crowded() || wall_clock_ns() >= self.due_ns(entry)
    }

    fn is_crowded(&self) -> bool {
        self.counters.spooled_bytes.get() > self.early_bytes
    }

    /// Decides `first` and what else is due, and waits until that is durable. `None` when nothing
    /// can be stored any more.
    async fn group(&mut self, first: Entry, drain: &Drain) -> Option<()> {
        let plan = (self.plan)();
        let (mut next, mut bytes) = (Some(first), 0);
        let (mut to, mut ticket) = (0, None);
        while let Some(entry) = next.take() {
            self.wait_for_room(drain).await?;
            bytes += entry.batch.memory();
            to = entry.range.to;
            ticket = self.decide(&plan, &entry).or(ticket);
            if bytes >= GROUP_BYTES {
                break;
            }
            next = self.cursor.try_next();
            if let Some(waits) = next.take_if(|entry| !self.is_due(entry, drain)) {
                self.cursor.rewind(waits.range.from);
            }
        }
        if let Some(ticket) = ticket {
            ticket.durable().await.ok()?;
        }
        let n_events = self.cursor.ack(to);
        self.counters.delivered.add(n_events);
        Some(())
    }

    /// While the kept log is full and blocks, so does this one.
    async fn wait_for_room(&self, drain: &Drain) -> Option<()> {
        while self.spool.must_wait(self.kept) {
            if drain.deadline().is_some() {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
        Some(())
    }

    fn decide(&self, plan: &Plan, entry: &Entry) -> Option<Ticket> {
        let to = entry.range.to;
        let held = self.spool.held_to(self.kept, self.position_key).unwrap_or(0);
        if to <= held {
            return None;
        }
        let windows = plan.windows.as_ref()?;
        let is_early = self.is_crowded();
        let (kept, n_dropped) = decide(&entry.batch, &plan.sampler, &windows.fates, is_early);
        if let Some((tier, tally)) = &self.tally {
            tally.note_decided(&plan.rule_names, *tier, &entry.batch, kept.as_deref());
        }
        let n_left = match kept {
            Some(kept) => {
                drop(self.spool.append_rereadable(self.kept, kept, n_dropped));
                0
            }
            None => n_dropped,
        };
        let (key, observed_ns) = (self.position_key, entry.batch.observed_ns);
        let position = Sealed::position(usize::from(self.kept.0), key, to, observed_ns);
        Some(self.spool.append_rereadable(self.kept, position.batch, n_left))
    }
}
