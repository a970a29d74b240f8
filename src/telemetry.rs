//! Floor 0: our own counters. One struct per owner, plain atomics, bumped per batch and never per
//! event; `admin` prints them. The names as printed stand in `admin::metrics`, nowhere else.
//!
//! Per route the identity `in = delivered + sampled_out + dead_letters + dropped + spooled` holds
//! in input events at every quiet moment; `in` counts what was found in the spool at start too.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Sets the value.
    pub fn set(&self, n: i64) {
        self.0.store(n, Relaxed);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Why an event was dropped without reaching a sink or its dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DropReason {
    /// The route's share of the spool was full and its policy is `drop_oldest`.
    SpoolFull = 0,
    /// The disk refused the write and the policy is not to wait.
    SpoolError = 1,
    /// A segment could not be read back and was quarantined.
    Quarantined = 2,
    /// The retention of the tier passed before the sink took it.
    Expired = 3,
    /// The dead letters of the route were full.
    DeadLettersFull = 4,
    /// The config took the sink off the tier while events waited for it.
    RouteRemoved = 5,
}

impl DropReason {
    /// All reasons in the order of their numbers.
    pub const ALL: [DropReason; 6] = [
        DropReason::SpoolFull,
        DropReason::SpoolError,
        DropReason::Quarantined,
        DropReason::Expired,
        DropReason::DeadLettersFull,
        DropReason::RouteRemoved,
    ];

    /// The label value in `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DropReason::SpoolFull => "spool_full",
            DropReason::SpoolError => "spool_error",
            DropReason::Quarantined => "quarantined",
            DropReason::Expired => "expired",
            DropReason::DeadLettersFull => "dead_letters_full",
            DropReason::RouteRemoved => "route_removed",
        }
    }
}

/// Why a datagram was dropped: its client is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum LossReason {
    /// The kernel dropped it: more came than was read.
    ReceiveBufferFull = 0,
    /// The spool takes nothing: full, and its routes block; or the disk refuses.
    SpoolUnavailable = 1,
    /// No tier of the config takes what is in it.
    NoTier = 2,
}

impl LossReason {
    /// All reasons in the order of their numbers.
    pub const ALL: [LossReason; 3] =
        [LossReason::ReceiveBufferFull, LossReason::SpoolUnavailable, LossReason::NoTier];

    /// The label value in `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LossReason::ReceiveBufferFull => "receive_buffer_full",
            LossReason::SpoolUnavailable => "spool_unavailable",
            LossReason::NoTier => "no_tier",
        }
    }
}

/// Why a target was not scraped when it was time to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum SkipReason {
    /// The spool takes nothing: full, and its routes block; or the disk refuses.
    SpoolUnavailable = 0,
    /// What the scrape before came to was not stored yet.
    Overrun = 1,
}

impl SkipReason {
    /// All reasons in the order of their numbers.
    pub const ALL: [SkipReason; 2] = [SkipReason::SpoolUnavailable, SkipReason::Overrun];

    /// The label value in `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::SpoolUnavailable => "spool_unavailable",
            SkipReason::Overrun => "overrun",
        }
    }
}

/// What became of a point of delta temporality that a tier wants cumulative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum DeltaOutcome {
    /// Added to its series.
    Accumulated = 0,
    /// Its series has it already: it is told once more as what it came to.
    Repeated = 1,
    /// Older than what its series has; it is not kept.
    OutOfOrder = 2,
    /// It begins a series that there is no memory for; it is not kept.
    TooManySeries = 3,
    /// It has no time or no value, or buckets that do not fit; it is not kept.
    Invalid = 4,
}

impl DeltaOutcome {
    /// All outcomes in the order of their numbers.
    pub const ALL: [DeltaOutcome; 5] = [
        DeltaOutcome::Accumulated,
        DeltaOutcome::Repeated,
        DeltaOutcome::OutOfOrder,
        DeltaOutcome::TooManySeries,
        DeltaOutcome::Invalid,
    ];

    /// The label value in `/metrics`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            DeltaOutcome::Accumulated => "accumulated",
            DeltaOutcome::Repeated => "repeated",
            DeltaOutcome::OutOfOrder => "out_of_order",
            DeltaOutcome::TooManySeries => "too_many_series",
            DeltaOutcome::Invalid => "invalid",
        }
    }

    /// Whether the point goes on.
    #[must_use]
    pub fn is_told(self) -> bool {
        matches!(self, Self::Accumulated | Self::Repeated)
    }
}

/// How many points of a request had each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deltas([u64; DeltaOutcome::ALL.len()]);

impl Deltas {
    /// Counts a point.
    pub fn count(&mut self, outcome: DeltaOutcome) {
        self.0[outcome as usize] += 1;
    }

    /// How many had `outcome`.
    #[must_use]
    pub fn of(&self, outcome: DeltaOutcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Those that are not kept.
    #[must_use]
    pub fn n_refused(&self) -> u64 {
        let refused = DeltaOutcome::ALL.into_iter().filter(|outcome| !outcome.is_told());
        refused.map(|outcome| self.of(outcome)).sum()
    }
}

/// One source's counters.
#[derive(Debug, Default)]
pub struct SourceCounters {
    /// Events cut out of the source's bytes.
    pub events_in: Counter,
    /// Bytes read.
    pub bytes_in: Counter,
    /// Lines longer than the limit, kept with their head.
    pub truncated: Counter,
    /// Reads that failed, requests that were none; see the log for the reason.
    pub errors: Counter,
    /// Items that no reader would have and that are not kept: their client was told; or points of
    /// a scrape that no reader could tell from another.
    pub rejected: Counter,
    /// Bytes known to be unread, where the source can tell (files).
    pub lag_bytes: Gauge,
    /// Datagrams dropped, by [`LossReason`].
    pub lost_datagrams: [Counter; LossReason::ALL.len()],
    /// Scrapes that were left out, by [`SkipReason`].
    pub skipped_scrapes: [Counter; SkipReason::ALL.len()],
    /// Points of delta temporality that were to become cumulative, by [`DeltaOutcome`].
    pub deltas: [Counter; DeltaOutcome::ALL.len()],
}

impl SourceCounters {
    /// The counter of one reason.
    #[must_use]
    pub fn lost_datagrams(&self, reason: LossReason) -> &Counter {
        &self.lost_datagrams[reason as usize]
    }

    /// The counter of one reason.
    #[must_use]
    pub fn skipped_scrapes(&self, reason: SkipReason) -> &Counter {
        &self.skipped_scrapes[reason as usize]
    }

    /// Adds what became of a request's points.
    pub fn add_deltas(&self, deltas: &Deltas) {
        for outcome in DeltaOutcome::ALL {
            self.deltas[outcome as usize].add(deltas.of(outcome));
        }
    }
}

/// One route's counters, in input events unless said otherwise.
#[derive(Debug, Default)]
pub struct RouteCounters {
    /// Events that were meant for this route: the tier's, and what the spool held at start.
    pub events_in: Counter,
    /// Taken by the sink.
    pub delivered: Counter,
    /// Not kept by sampling.
    pub sampled_out: Counter,
    /// Refused by the sink for good and written to the dead letters.
    pub dead_letters: Counter,
    /// Dropped, by [`DropReason`].
    pub dropped: [Counter; DropReason::ALL.len()],
    /// In the spool and not yet passed by this route's cursor.
    pub spooled: Gauge,
    /// Bytes in the spool and not yet passed by this route's cursor.
    pub spooled_bytes: Gauge,
    /// Bodies sent, answered or not.
    pub requests: Counter,
    /// Bodies that had to be sent again.
    pub retries: Counter,
    /// Values that the sink took, but is known to cut.
    pub truncated: Counter,
    /// Rows that were to land once and went a way on which they may land twice.
    pub at_least_once_rows: Counter,
    /// Bytes of bodies sent.
    pub sent_bytes: Counter,
    /// Observed time (ns since 1970) of the oldest event not yet delivered; 0 when none waits.
    pub oldest_undelivered_ns: Gauge,
}

impl RouteCounters {
    /// The counter of one reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> &Counter {
        &self.dropped[reason as usize]
    }
}
