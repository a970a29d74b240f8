//! Everything that `admin` shows, as the daemon puts it together once at the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::exposition::Exposition;
use crate::deliver::RouteStatus;
use crate::telemetry::{RouteCounters, SourceCounters};

/// One source.
#[derive(Clone, Debug)]
pub struct SourcePanel {
    /// Its name in the config.
    pub name: String,
    /// `exec`, `file`, …
    pub kind: &'static str,
    /// Its counters.
    pub counters: Arc<SourceCounters>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct RoutePanel {
    /// The tier's name.
    pub tier: String,
    /// The sink's name in the config.
    pub sink: String,
    /// Its counters.
    pub counters: Arc<RouteCounters>,
    /// What it is doing.
    pub status: Arc<RouteStatus>,
}

/// Whether the process may be called ready; set by the daemon, the sources and the spool.
#[derive(Debug, Default)]
pub struct Readiness {
    sources_listen: AtomicBool,
    spool_accepts: AtomicBool,
    stopping: AtomicBool,
}

impl Readiness {
    /// All sources have begun (files are watched, ports are bound).
    pub fn set_sources_listen(&self, yes: bool) {
        self.sources_listen.store(yes, Relaxed);
    }

    /// The spool takes appends.
    pub fn set_spool_accepts(&self, yes: bool) {
        self.spool_accepts.store(yes, Relaxed);
    }

    /// The process is on its way out.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// What stands in the way; nothing when ready.
    #[must_use]
    pub fn obstacles(&self) -> Vec<&'static str> {
        [
            (!self.sources_listen.load(Relaxed), "sources do not listen yet"),
            (!self.spool_accepts.load(Relaxed), "the spool does not accept"),
            (self.stopping.load(Relaxed), "stopping"),
        ]
        .into_iter()
        .filter_map(|(is_so, text)| is_so.then_some(text))
        .collect()
    }
}

/// Metrics of a part that `admin` does not know (the spool, the slab pool), written when scraped.
pub type MoreMetrics = Box<dyn Fn(&mut Exposition) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub struct Panel {
    /// `service.name`, for `/status`.
    pub service: String,
    /// See [`Readiness`].
    pub readiness: Arc<Readiness>,
    /// All sources.
    pub sources: Vec<SourcePanel>,
    /// All routes.
    pub routes: Vec<RoutePanel>,
    /// See [`MoreMetrics`].
    pub more: Vec<MoreMetrics>,
}
