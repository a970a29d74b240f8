//! What may change about a spool that is open: a tier's routes, what they do when their share is
//! full, and how long the tier's events are kept.
//!
//! Deliberately not the tiers themselves, their shares or the folder: those are the layout on disk,
//! and need a new start.
//!
//! # Why
//! A route that is taken off does not hold its tier's segments any longer, so what it still waited
//! for is dropped and counted. Where it stood is kept: should the sink come back while its events
//! are still there, it goes on from there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::telemetry::DropReason;

use super::Spool;
use super::error::SpoolError;
use super::open::retention_ns;
use super::options::{RouteOptions, TierId, WhenFull, check_route};
use super::place;
use super::route::{Route, signed};

impl Spool {
    /// Adds a route to `tier`. It begins where its sink stood when it last had one, else with the
    /// oldest event of the log. May read a segment: blocks.
    ///
    /// # Errors
    /// [`SpoolError::NoTier`]; [`SpoolError::Options`] for a sink that has a route there, one too
    /// many, or a name that is too long.
    pub fn add_route(&self, tier: TierId, options: RouteOptions) -> Result<(), SpoolError> {
        let tier = self.tiers.get(usize::from(tier.0)).ok_or(SpoolError::NoTier(tier.0))?;
        let stored = {
            let state = tier.lock();
            let others = state.routes.iter().map(|route| &*route.sink);
            check_route(&tier.name, &options.sink, others)?;
            let known = state.absent.iter().find(|(sink, _)| *sink == options.sink);
            known.map_or(0, |(_, position)| *position)
        };
        let at = place::segment_at(&tier.lock().segments, stored).map(|(_, segment)| *segment);
        let walked = at.and_then(|at| place::walk(&*tier.disk, &tier.dir, &at, stored));
        let mut state = tier.lock();
        let (position, unread) = place::place(&state.segments, stored, walked, state.durable);
        state.absent.retain(|(sink, _)| *sink != options.sink);
        options.counters.events_in.add(state.n_undecided);
        options.counters.spooled.add(signed(state.n_undecided));
        state.routes.push(Route::new(options, position, unread));
        state.moved = true;
        state.settle();
        drop(state);
        self.signal.nudge();
        Ok(())
    }

    /// Takes the route to `sink` off `tier`; what waited for it is counted as dropped
    /// (`route_removed`). `false` when there is none, or its cursor is still in use.
    pub fn remove_route(&self, tier: TierId, sink: &str) -> bool {
        let Some(tier) = self.tiers.get(usize::from(tier.0)) else { return false };
        let mut state = tier.lock();
        let Some(index) = state.route_of(sink).filter(|index| !state.routes[*index].taken) else {
            return false;
        };
        let route = state.routes.remove(index);
        let n_waiting = route.n_waiting() + state.n_undecided;
        route.counters.dropped(DropReason::RouteRemoved).add(n_waiting);
        route.counters.spooled.add(-signed(n_waiting));
        route.counters.spooled_bytes.set(0);
        route.counters.oldest_undelivered_ns.set(0);
        state.absent.push((route.sink.clone(), route.floor()));
        state.moved = true;
        state.settle();
        drop(state);
        // Segments that only this route waited for can go.
        self.signal.nudge();
        true
    }

    /// Changes what happens to the route to `sink` when the share of `tier` is used up.
    pub fn set_when_full(&self, tier: TierId, sink: &str, when_full: WhenFull) {
        let Some(tier) = self.tiers.get(usize::from(tier.0)) else { return };
        let mut state = tier.lock();
        if let Some(index) = state.route_of(sink) {
            state.routes[index].when_full = when_full;
        }
        drop(state);
        self.signal.nudge();
    }

    /// Changes how long events of `tier` are kept for cursors that lag.
    pub fn set_retention(&self, tier: TierId, retention: Duration) {
        if let Some(tier) = self.tiers.get(usize::from(tier.0)) {
            tier.retention_ns.store(retention_ns(retention), Ordering::Relaxed);
            self.signal.nudge();
        }
    }
}
