//! What the threads of all sources share, and the part of it that a reload replaces.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::slab::Pool;
use crate::pipeline::Plan;
use crate::pipeline::tally::Tally;
use crate::spool::Spool;
use crate::telemetry::RouteCounters;

use super::derived::Derived;
use super::sampling::Telling;

/// See the module.
pub(super) struct Feed {
    pub(super) spool: Arc<Spool>,
    pub(super) pool: Arc<Pool>,
    /// What is measured of events, if anything.
    pub(super) derived: Option<Arc<Derived>>,
    /// What counts what sampling keeps, where that is told.
    pub(super) tally: Option<Arc<Tally>>,
    current: Mutex<Current>,
    /// Number of `current`: one load tells a source that nothing changed.
    generation: AtomicU64,
}

/// What one config makes of events.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) plan: Arc<Plan>,
    /// The routes' counters, by tier.
    pub(super) routes: Arc<[Vec<Arc<RouteCounters>>]>,
    /// How sampling windows are told, if they are.
    pub(super) telling: Option<Arc<Telling>>,
}

impl Feed {
    pub(super) fn new(
        spool: Arc<Spool>,
        pool: Arc<Pool>,
        current: Current,
        derived: Option<Arc<Derived>>,
        tally: Option<Arc<Tally>>,
    ) -> Self {
        let (current, generation) = (Mutex::new(current), AtomicU64::new(0));
        Self { spool, pool, derived, tally, current, generation }
    }

    /// The number of the config that holds.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What holds now. May be newer than the generation asked for before it, never older.
    pub(super) fn current(&self) -> Current {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the next chunk of each source on, `next` holds.
    pub(super) fn replace(&self, next: Current) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = next;
        self.generation.fetch_add(1, Ordering::Release);
    }
}
