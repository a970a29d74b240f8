//! Everything that `admin` shows, as the daemon puts it together at the start, and after a reload.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::exposition::Exposition;
use crate::deliver::RouteStatus;
use crate::telemetry::{Counter, RouteCounters, SourceCounters};

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

impl SourcePanel {
    /// Whether what it does not take is lost without anybody being told.
    #[must_use]
    pub fn hears_datagrams(&self) -> bool {
        self.kind == "jaeger"
    }

    /// Whether metrics come in whose points may be deltas.
    #[must_use]
    pub fn takes_deltas(&self) -> bool {
        self.kind == "otlp"
    }

    /// Whether it asks at times of its own, and may have to leave some out.
    #[must_use]
    pub fn scrapes(&self) -> bool {
        self.kind == "prometheus"
    }
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

/// A list that a reload replaces.
#[derive(Debug)]
pub struct Live<T>(Mutex<Arc<[T]>>);

impl<T> Live<T> {
    /// What it holds now.
    #[must_use]
    pub fn get(&self) -> Arc<[T]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces all of it.
    pub fn set(&self, items: Vec<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = items.into();
    }
}

impl<T> From<Vec<T>> for Live<T> {
    fn from(items: Vec<T>) -> Self {
        Self(Mutex::new(items.into()))
    }
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

/// How reading the config again went.
#[derive(Debug, Default)]
pub struct Reloads {
    /// Configs that took effect.
    pub ok: Counter,
    /// Configs that were refused; the one before went on.
    pub failed: Counter,
    last: Mutex<Option<LastReload>>,
}

/// The last time that the config was read again.
#[derive(Clone, Debug)]
pub struct LastReload {
    /// When.
    pub at: SystemTime,
    /// Why it did not take effect.
    pub error: Option<String>,
}

impl Reloads {
    /// Notes one more reload.
    pub fn note(&self, at: SystemTime, error: Option<String>) {
        if error.is_some() {
            self.failed.add(1);
        } else {
            self.ok.add(1);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastReload { at, error });
    }

    /// The last one, if there was one.
    #[must_use]
    pub fn last(&self) -> Option<LastReload> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    /// All sources. Those that a reload took away stay: counters do not go backwards.
    pub sources: Live<SourcePanel>,
    /// All routes, likewise.
    pub routes: Live<RoutePanel>,
    /// How reading the config again went.
    pub reloads: Arc<Reloads>,
    /// See [`MoreMetrics`].
    pub more: Vec<MoreMetrics>,
}
