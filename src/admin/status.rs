//! `/status`: what a person asks first, as JSON. Its members are stable; times are RFC 3339.

use std::time::SystemTime;

use serde::Serialize;

use super::metrics::lag_seconds;
use super::panel::{Panel, RoutePanel, SourcePanel};
use super::process;
use crate::deliver::status::{Outage, State};
use crate::telemetry::DropReason;
use crate::units::to_the_second;

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    service: &'a str,
    ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    obstacles: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    /// The last time that the config was read again, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    config_reload: Option<Reload>,
    routes: Vec<Route<'a>>,
    sources: Vec<Source<'a>>,
}

#[derive(Serialize)]
struct Reload {
    at: String,
    /// Why the config before it still holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Route<'a> {
    tier: &'a str,
    sink: &'a str,
    state: &'static str,
    lag: Lag,
    #[serde(skip_serializing_if = "Option::is_none")]
    retrying: Option<Retrying>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_delivered_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<Failure>,
    events: Events,
}

/// What has still to be delivered.
#[derive(Serialize)]
struct Lag {
    events: i64,
    bytes: i64,
    /// Age of the oldest undelivered event.
    oldest_age_seconds: f64,
}

#[derive(Serialize)]
struct Retrying {
    attempts: u32,
    since: String,
    next: String,
}

#[derive(Serialize)]
struct Failure {
    text: String,
    at: String,
}

#[derive(Serialize)]
struct Events {
    r#in: u64,
    delivered: u64,
    sampled_out: u64,
    dead_letters: u64,
    dropped: std::collections::BTreeMap<&'static str, u64>,
    spooled: i64,
}

#[derive(Serialize)]
struct Source<'a> {
    name: &'a str,
    r#type: &'static str,
    events: u64,
    bytes: u64,
    truncated: u64,
    errors: u64,
    lag_bytes: i64,
}

/// The whole answer.
pub(super) fn render(panel: &Panel, now: SystemTime) -> String {
    let obstacles = panel.readiness.obstacles();
    let (routes, sources) = (panel.routes.get(), panel.sources.get());
    let reload = panel.reloads.last();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        service: &panel.service,
        ready: obstacles.is_empty(),
        obstacles,
        resident_bytes: process::resident_bytes(),
        config_reload: reload.map(|last| Reload { at: to_the_second(last.at), error: last.error }),
        routes: routes.iter().map(|route| route_of(route, now)).collect(),
        sources: sources.iter().map(source_of).collect(),
    };
    // Only text, numbers and lists of them: there is nothing that could not be written.
    let mut text = serde_json::to_string_pretty(&status).unwrap_or_default();
    text.push('\n');
    text
}

fn route_of(route: &RoutePanel, now: SystemTime) -> Route<'_> {
    let counters = &route.counters;
    let shown = route.status.snapshot();
    let dropped = DropReason::ALL.map(|reason| (reason.as_str(), counters.dropped(reason).get()));
    let spooled = counters.spooled.get();
    // A route that rests while events wait is not at rest: they are younger than its next look.
    let is_behind = shown.state == State::Waiting && spooled > 0;
    let state = if is_behind { State::Delivering } else { shown.state };
    Route {
        tier: &route.tier,
        sink: &route.sink,
        state: state.as_str(),
        lag: Lag {
            events: spooled,
            bytes: counters.spooled_bytes.get(),
            oldest_age_seconds: lag_seconds(counters, now),
        },
        retrying: shown.outage.map(|Outage { n_failures, since, next }| Retrying {
            attempts: n_failures,
            since: to_the_second(since),
            next: to_the_second(next),
        }),
        last_delivered_at: shown.last_delivered_at.map(to_the_second),
        last_error: shown
            .last_error
            .map(|error| Failure { text: error.text, at: to_the_second(error.at) }),
        events: Events {
            r#in: counters.events_in.get(),
            delivered: counters.delivered.get(),
            sampled_out: counters.sampled_out.get(),
            dead_letters: counters.dead_letters.get(),
            dropped: dropped.into_iter().filter(|(_, n_events)| *n_events > 0).collect(),
            spooled,
        },
    }
}

fn source_of(source: &SourcePanel) -> Source<'_> {
    let counters = &source.counters;
    Source {
        name: &source.name,
        r#type: source.kind,
        events: counters.events_in.get(),
        bytes: counters.bytes_in.get(),
        truncated: counters.truncated.get(),
        errors: counters.errors.get(),
        lag_bytes: counters.lag_bytes.get(),
    }
}
