//! From one config to another while everything runs.
//!
//! All that can fail is done before anything is touched: a config that does not hold leaves the
//! one before it whole. Then sources that go end at a position from which their successors go on,
//! routes that go let land what is in flight and leave the rest in the spool, and the others never
//! notice.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sd_notify::NotifyState;

use crate::config::Config;
use crate::deliver::Route;
use crate::diagnostic::chain;
use crate::pipeline::Plan;
use crate::sources::Stage;
use crate::spool::{RouteOptions, TierId};

use super::feed::Current;
use super::reload::{Changes, align, changes};
use super::retention::Kept;
use super::running::{Daemon, notify};
use super::sampling::Telling;
use super::start::{route_panels, when_full};
use super::windows;
use super::{inputs, plan, routes};

/// How long bodies in flight to a sink that goes are waited for; after that they are sent again.
const LAND_MAX: Duration = Duration::from_secs(2);
/// How long a source that goes may take to make durable what it has read.
const END_MAX: Duration = Duration::from_secs(10);

/// What a config needs to hold, made and not yet in use.
struct Next {
    config: Config,
    plan: Arc<Plan>,
    changes: Changes,
    sources: Vec<inputs::Prepared>,
    routes: Vec<(routes::Prepared, Route)>,
}

impl Daemon {
    /// Reads the config again and changes to it, or says why not.
    pub(super) async fn change_config(&mut self, code: &mut i32) {
        // Without a clock systemd would take the message for a wrong one.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, now]);
        }
        let outcome = match self.prepare_next() {
            Ok(next) => self.change_to(next, code).await,
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(()) => tracing::info!("the new config holds"),
            Err(error) => {
                tracing::error!(error, "the new config does not hold, the one before it does");
            }
        }
        self.panel.reloads.note(SystemTime::now(), outcome.err());
        notify(&[NotifyState::Ready]);
    }

    fn prepare_next(&self) -> Result<Next, String> {
        let Some(reload) = &self.reload else { return Err("there is no config file".to_owned()) };
        let mut config = (reload.load)()?;
        align(&mut config, &self.config);
        windows::adopt(&mut config);
        let changes = changes(&self.config, &config).map_err(|parts| {
            format!("a new start is needed for a change of: {}", parts.join(", "))
        })?;
        // What is known of requests stays.
        let windows = self.feed.current().plan.windows.clone();
        let plan = plan(&config).map_err(|error| chain(&error))?.with_windows(windows);
        let observation = self.feed.derived.as_ref().map(|all| Arc::clone(&all.observation));
        let plan = plan.with_observation(observation);
        let mut sources = Vec::new();
        for (name, source) in &config.sources {
            if changes.sources_new.contains(name) {
                let known = self.source_books.iter().find(|panel| panel.name == *name);
                let counters = known.map(|panel| Arc::clone(&panel.counters)).unwrap_or_default();
                let made = inputs::Prepared::new(&config, name, source, counters);
                sources.push(made.map_err(|error| chain(&error))?);
            }
        }
        let mut routes = Vec::new();
        for made in routes::prepare(&config) {
            let key = (made.tier_index, made.sink.clone());
            if changes.routes_new.contains(&key) {
                let known = self.books.iter().find(|books| books.is(key.0, &key.1));
                let prepared = known.cloned().unwrap_or(made);
                let route = routes::connect(&config, &prepared, &self.shared)
                    .map_err(|error| chain(&error))?;
                routes.push((prepared, route));
            }
        }
        Ok(Next { config, plan, changes, sources, routes })
    }

    async fn change_to(&mut self, next: Next, code: &mut i32) -> Result<(), String> {
        let Next { config, plan, changes, sources, routes } = next;
        let mut failures = self.end_sources(&changes.sources_gone, code).await;
        self.end_routes(&changes).await;
        for (prepared, _) in &routes {
            if !self.books.iter().any(|books| books.is(prepared.tier_index, &prepared.sink)) {
                self.books.push(prepared.clone());
            }
        }
        self.config = config;
        failures.extend(self.set_spool(&changes).await);
        for (prepared, route) in routes {
            match routes::Running::spawn(prepared, route, &self.spool) {
                Some(running) => self.routes.push(running),
                None => failures.push("a route is still in use".to_owned()),
            }
        }
        let running = self.routes.iter().map(|route| &route.prepared);
        let by_tier = routes::by_tier(self.config.tiers.len(), &running);
        let telling = Telling::new(&self.config, running).unwrap_or_else(|error| {
            failures.push(chain(&error));
            self.feed.current().telling
        });
        self.feed.replace(Current { plan, routes: by_tier, telling });
        let kept = Arc::new(Kept::new(&self.config, &self.routes));
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        for source in sources {
            let name = source.panel.name.clone();
            if self.sources.iter().any(|running| running.panel.name == name) {
                continue;
            }
            match source.spawn(&self.feed, self.echo.clone(), self.ended.clone()) {
                Ok(running) => self.begin_source(running),
                Err(error) => failures.push(format!("source {name}: {}", chain(&error))),
            }
        }
        self.panel.routes.set(route_panels(&self.books));
        self.panel.sources.set(self.source_books.clone());
        if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
    }

    fn begin_source(&mut self, running: inputs::Running) {
        let name = &running.panel.name;
        if !self.source_books.iter().any(|panel| panel.name == *name) {
            self.source_books.push(running.panel.clone());
        }
        self.sources.push(running);
    }

    /// Ends the sources `names`, each at a position that is durable; gives back what went wrong.
    async fn end_sources(&mut self, names: &[String], code: &mut i32) -> Vec<String> {
        let goes = |source: &&inputs::Running| names.contains(&source.panel.name);
        self.sources.iter().filter(goes).for_each(|source| source.stop.reach(Stage::Now));
        let until = tokio::time::Instant::now() + END_MAX;
        while self.sources.iter().any(|source| goes(&source)) {
            match tokio::time::timeout_at(until, self.ends.recv()).await {
                Ok(Some(end)) => self.note_end(end, code),
                Ok(None) | Err(_) => break,
            }
        }
        let stay = self.sources.iter().filter(goes);
        stay.map(|source| format!("source {} has not ended in time", source.panel.name)).collect()
    }

    async fn end_routes(&mut self, changes: &Changes) {
        let goes = |route: &routes::Running| {
            changes.routes_gone.iter().any(|(tier, sink)| route.is(*tier, sink))
        };
        let (gone, stay): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.routes).into_iter().partition(goes);
        self.routes = stay;
        let deadline = Instant::now() + LAND_MAX;
        gone.iter().for_each(|route| route.halt(deadline));
        for mut route in gone {
            route.ended().await;
        }
    }

    /// Tells the spool which routes there are now, and how long and how insistently they wait.
    async fn set_spool(&self, changes: &Changes) -> Vec<String> {
        let Changes { routes_gone, routes_new, .. } = changes;
        for (tier, sink) in routes_gone.iter().filter(|route| !routes_new.contains(route)) {
            self.spool.remove_route(windows::log_of(&self.config, *tier), sink);
        }
        let mut failures = Vec::new();
        for (tier, sink) in routes_new.iter().filter(|route| !routes_gone.contains(route)) {
            let Some(books) = self.books.iter().find(|books| books.is(*tier, sink)) else {
                continue;
            };
            let options = RouteOptions {
                sink: sink.clone(),
                when_full: when_full(&self.config.tiers[*tier], sink),
                counters: Arc::clone(&books.counters),
            };
            let (spool, tier) = (Arc::clone(&self.spool), books.log);
            // It may have to read a segment.
            let added = tokio::task::spawn_blocking(move || spool.add_route(tier, options)).await;
            match added {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failures.push(format!("sink {sink}: {}", chain(&error))),
                Err(error) => failures.push(format!("sink {sink}: {error}")),
            }
        }
        for (index, tier) in self.config.tiers.iter().enumerate() {
            let id = windows::log_of(&self.config, index);
            self.spool.set_retention(TierId(index as u8), tier.retention.0);
            self.spool.set_retention(id, tier.retention.0);
            for route in &tier.routes {
                self.spool.set_when_full(id, &route.sink, when_full(tier, &route.sink));
            }
        }
        failures
    }
}
