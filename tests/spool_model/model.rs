//! The reference: what was appended, in which order, and where each route must stand.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use sidewake::event::batch::Batch;
use sidewake::event::frame;
use sidewake::event::origin::Origin;
use sidewake::event::record::Record;
use sidewake::event::slab::Slab;
use sidewake::protect::protected::Protected;
use sidewake::spool::{Cursor, Ticket};
use sidewake::telemetry::{DropReason, RouteCounters};

use super::rng::Rng;

/// What is known of an appended batch.
#[derive(Debug)]
pub(crate) enum Fate {
    /// No answer yet.
    Waits(Ticket),
    /// Durable.
    Sure,
    /// The power went before the answer: it may be there.
    Unsure,
    /// The spool said that it dropped it. A crash may still bring it back.
    Dropped,
    /// Not there after a crash.
    Lost,
}

/// An appended batch. Its number is its index.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) fate: Fate,
    pub(crate) n_events: u64,
    pub(crate) source_key: u64,
    pub(crate) source_end: u64,
}

/// One route of a tier.
#[derive(Debug)]
pub(crate) struct RouteModel {
    pub(crate) sink: String,
    pub(crate) counters: Arc<RouteCounters>,
    pub(crate) cursor: Option<Cursor>,
    /// Items before this are settled; those before `read` were handed out.
    pub(crate) acked: usize,
    pub(crate) read: usize,
    /// Handed out and not settled: item and the end of its frame.
    pub(crate) in_flight: VecDeque<(usize, u64)>,
    /// Durable items that were passed without being handed out.
    pub(crate) skipped: BTreeSet<usize>,
}

/// One tier.
#[derive(Debug)]
pub(crate) struct TierModel {
    pub(crate) items: Vec<Item>,
    pub(crate) routes: Vec<RouteModel>,
    /// The next position of each source.
    pub(crate) positions: Vec<u64>,
}

impl RouteModel {
    pub(crate) fn new(sink: &str) -> Self {
        Self {
            sink: sink.to_owned(),
            counters: Arc::default(),
            cursor: None,
            acked: 0,
            read: 0,
            in_flight: VecDeque::new(),
            skipped: BTreeSet::new(),
        }
    }

    /// The identity of the counters, from the counters alone.
    pub(crate) fn assert_adds_up(&self) {
        let counters = &self.counters;
        let spooled = u64::try_from(counters.spooled.get()).expect("spooled is not negative");
        let out =
            counters.delivered.get() + counters.sampled_out.get() + self.n_dropped() + spooled;
        assert_eq!(counters.events_in.get(), out, "in = out for {}: {counters:?}", self.sink);
    }

    pub(crate) fn n_dropped(&self) -> u64 {
        DropReason::ALL.iter().map(|reason| self.counters.dropped(*reason).get()).sum()
    }

    pub(crate) fn n_dropped_for(&self, reason: DropReason) -> u64 {
        self.counters.dropped(reason).get()
    }
}

impl TierModel {
    /// Takes the answers that have come.
    pub(crate) fn poll(&mut self) {
        for item in &mut self.items {
            if let Fate::Waits(ticket) = &mut item.fate
                && let Some(result) = ticket.try_result()
            {
                item.fate = if result.is_ok() { Fate::Sure } else { Fate::Dropped };
            }
        }
    }

    /// The furthest durable position of the source with number `source`.
    pub(crate) fn held_to(&self, key: u64) -> Option<u64> {
        let sure = |item: &&Item| item.source_key == key && matches!(item.fate, Fate::Sure);
        self.items.iter().filter(sure).map(|item| item.source_end).max()
    }

    /// Events that route `route` must still get.
    pub(crate) fn n_owed(&self, route: &RouteModel) -> u64 {
        let owed = |item: &&Item| matches!(item.fate, Fate::Sure | Fate::Waits(_));
        self.items[route.acked..].iter().filter(owed).map(|item| item.n_events).sum()
    }
}

/// The lines of item `id` of tier `tier`: everything about them follows from the two numbers.
fn lines(tier: usize, id: usize, n_events: u64) -> Vec<Vec<u8>> {
    let mut rng = Rng::new((tier as u64) << 32 | id as u64);
    let line = |n| {
        let mut line = format!("tier {tier} item {id} line {n} ").into_bytes();
        let len = match rng.below(8) {
            0 => rng.below(1200),
            _ => rng.below(60),
        };
        // Half of it packs well, half does not; some of it looks like a frame.
        let noise = rng.one_in(2);
        line.extend((0..len).map(|_| if noise { rng.below(256) as u8 } else { b'x' }));
        line.retain(|byte| *byte != b'\n');
        if rng.one_in(10) {
            line.extend_from_slice(b"SWK1\0\0\0\0\x01");
        }
        line
    };
    (0..n_events).map(line).collect()
}

/// Item `id` of tier `tier` as the batch that is appended.
pub(crate) fn batch(
    tier: usize,
    id: usize,
    n_events: u64,
    source: (u64, u64, u64),
    observed_ns: i64,
) -> Protected {
    let mut slab = Slab::with_capacity(128);
    let mut table = Vec::new();
    for line in lines(tier, id, n_events) {
        table.push(Record::new(slab.len() as u32, line.len() as u32));
        slab.extend_from_slice(&line);
        slab.extend_from_slice(b"\n");
    }
    let origin = Arc::new(Origin { source: format!("item {id}"), ..Origin::default() });
    let (source_key, source_base, source_end) = source;
    let batch = Batch {
        table,
        slab,
        origin,
        source_key,
        source_base,
        source_end,
        observed_ns,
        ..Batch::default()
    };
    let parts = frame::encode(&batch);
    let bytes = [&parts.head, &*parts.table, parts.bytes].concat();
    Protected::from_frame(&bytes).expect("a sound frame")
}

/// Which item a batch that came out is; every byte of it is compared.
pub(crate) fn identify(tier: usize, batch: &Protected) -> usize {
    let name = batch.origin.source.strip_prefix("item ").expect("an item");
    let id: usize = name.parse().expect("a number");
    let expected = lines(tier, id, batch.len() as u64);
    let found: Vec<&[u8]> = batch.events().map(|event| event.bytes).collect();
    assert_eq!(found, expected, "the content of item {id}");
    id
}
