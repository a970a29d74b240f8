//! The names under which everything is counted; nowhere else. All begin with `sidewake_`; labels
//! are names from the config and words of closed sets, which bounds the number of series.

use std::time::{SystemTime, UNIX_EPOCH};

use super::exposition::{
    Exposition, MetricKind,
    MetricKind::{Counter, Gauge},
};
use super::panel::{Panel, Reloads, RoutePanel, SourcePanel};
use super::process;
use crate::deliver::status::State;
use crate::telemetry::{
    DeltaOutcome, DropReason, LossReason, RouteCounters, SkipReason, SourceCounters,
};

type SourceMetric = (&'static str, MetricKind, &'static str, fn(&SourceCounters) -> i64);
type RouteMetric = (&'static str, MetricKind, &'static str, fn(&RouteCounters) -> i64);

/// Label `source`.
const SOURCES: [SourceMetric; 6] = [
    ("sidewake_source_received_events", Counter, "Events cut out of what was read.", |c| {
        whole(c.events_in.get())
    }),
    ("sidewake_source_received_bytes", Counter, "Bytes read.", |c| whole(c.bytes_in.get())),
    (
        "sidewake_source_truncated_events",
        Counter,
        "Lines longer than the limit, kept with their head.",
        |c| whole(c.truncated.get()),
    ),
    ("sidewake_source_errors", Counter, "Reads that failed, requests that were none.", |c| {
        whole(c.errors.get())
    }),
    ("sidewake_source_rejected", Counter, "Items with ids that are none.", |c| {
        whole(c.rejected.get())
    }),
    ("sidewake_source_lag_bytes", Gauge, "Bytes known to be unread (files).", |c| {
        c.lag_bytes.get()
    }),
];

/// Labels `tier` and `sink`. In events:
/// `in = delivered + sampled_out + dead_letter + dropped + spooled`.
const ROUTES: [RouteMetric; 11] = [
    (
        "sidewake_route_events",
        Counter,
        "Events meant for the route, those found in the spool at start included.",
        |c| whole(c.events_in.get()),
    ),
    ("sidewake_route_delivered_events", Counter, "Events that the sink took.", |c| {
        whole(c.delivered.get())
    }),
    ("sidewake_route_sampled_out_events", Counter, "Events that sampling did not keep.", |c| {
        whole(c.sampled_out.get())
    }),
    (
        "sidewake_route_dead_letter_events",
        Counter,
        "Events refused for good and written to the dead letters.",
        |c| whole(c.dead_letters.get()),
    ),
    (
        "sidewake_route_spooled_events",
        Gauge,
        "Events in the spool that the route has still to deliver.",
        |c| c.spooled.get(),
    ),
    (
        "sidewake_route_spooled_bytes",
        Gauge,
        "Bytes in the spool that the route has still to deliver.",
        |c| c.spooled_bytes.get(),
    ),
    ("sidewake_route_requests", Counter, "Bodies sent, repeats included.", |c| {
        whole(c.requests.get())
    }),
    ("sidewake_route_retries", Counter, "Bodies sent again.", |c| whole(c.retries.get())),
    (
        "sidewake_route_truncated_values",
        Counter,
        "Values that were delivered and are longer than the receiver keeps.",
        |c| whole(c.truncated.get()),
    ),
    (
        "sidewake_route_at_least_once_rows",
        Counter,
        "Rows delivered at least once where exactly once was asked for: no stream could be created.",
        |c| whole(c.at_least_once_rows.get()),
    ),
    ("sidewake_route_sent_bytes", Counter, "Bytes of bodies sent.", |c| whole(c.sent_bytes.get())),
];

/// A counter as a sample; beyond 2^63 it would stand still rather than turn negative.
fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// All of it.
pub(super) fn write(panel: &Panel, out: &mut Exposition) {
    out.family("sidewake_build_info", Gauge, "Always 1.");
    out.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    out.family("sidewake_ready", Gauge, "1 when /readyz says so.");
    out.sample(&[], u8::from(panel.readiness.obstacles().is_empty()));
    write_reloads(&panel.reloads, out);
    write_sources(&panel.sources.get(), out);
    write_routes(&panel.routes.get(), out);
    for more in &panel.more {
        more(out);
    }
    process::write(out);
}

fn write_reloads(reloads: &Reloads, out: &mut Exposition) {
    out.family("sidewake_config_reloads", Counter, "Times that the config was read again.");
    for (result, n) in [("ok", &reloads.ok), ("failed", &reloads.failed)] {
        out.sample(&[("result", result)], n.get());
    }
    out.family(
        "sidewake_config_last_reload_successful",
        Gauge,
        "0 while the config's file says something that does not hold here.",
    );
    let is_sound = reloads.last().is_none_or(|last| last.error.is_none());
    out.sample(&[], u8::from(is_sound));
}

fn write_sources(sources: &[SourcePanel], out: &mut Exposition) {
    if sources.is_empty() {
        return;
    }
    for (name, kind, help, read) in SOURCES {
        out.family(name, kind, help);
        for source in sources {
            out.sample(&[("source", &source.name)], read(&source.counters));
        }
    }
    let mut hearing = sources.iter().filter(|source| source.hears_datagrams()).peekable();
    if hearing.peek().is_some() {
        let help = "Datagrams dropped, by reason; nobody else is told.";
        out.family("sidewake_source_lost_datagrams", Counter, help);
    }
    for source in hearing {
        for reason in LossReason::ALL {
            let labels = [("source", source.name.as_str()), ("reason", reason.as_str())];
            out.sample(&labels, source.counters.lost_datagrams(reason).get());
        }
    }
    write_skipped(sources, out);
    write_deltas(sources, out);
}

fn write_deltas(sources: &[SourcePanel], out: &mut Exposition) {
    let mut taking = sources.iter().filter(|source| source.takes_deltas()).peekable();
    if taking.peek().is_some() {
        let help =
            "Points of delta temporality that a sink wants cumulative, by what became of them.";
        out.family("sidewake_source_delta_points", Counter, help);
    }
    for source in taking {
        for outcome in DeltaOutcome::ALL {
            let labels = [("source", source.name.as_str()), ("outcome", outcome.as_str())];
            out.sample(&labels, source.counters.deltas[outcome as usize].get());
        }
    }
}

fn write_skipped(sources: &[SourcePanel], out: &mut Exposition) {
    let mut scraping = sources.iter().filter(|source| source.scrapes()).peekable();
    if scraping.peek().is_some() {
        let help = "Scrapes that were left out, by reason.";
        out.family("sidewake_source_skipped_scrapes", Counter, help);
    }
    for source in scraping {
        for reason in SkipReason::ALL {
            let labels = [("source", source.name.as_str()), ("reason", reason.as_str())];
            out.sample(&labels, source.counters.skipped_scrapes(reason).get());
        }
    }
}

fn write_routes(routes: &[RoutePanel], out: &mut Exposition) {
    if routes.is_empty() {
        return;
    }
    for (name, kind, help, read) in ROUTES {
        out.family(name, kind, help);
        for route in routes {
            out.sample(&labels(route), read(&route.counters));
        }
    }
    out.family("sidewake_route_dropped_events", Counter, "Events dropped, by reason.");
    for route in routes {
        for reason in DropReason::ALL {
            let [tier, sink] = labels(route);
            let n_events = route.counters.dropped(reason).get();
            out.sample(&[tier, sink, ("reason", reason.as_str())], n_events);
        }
    }
    out.family(
        "sidewake_route_lag_seconds",
        Gauge,
        "Age of the oldest undelivered event; 0 when none waits.",
    );
    for route in routes {
        out.sample(&labels(route), lag_seconds(&route.counters, SystemTime::now()));
    }
    out.family("sidewake_route_state", Gauge, "1 for the state that the route is in.");
    for route in routes {
        let now = route.status.snapshot().state;
        for state in State::ALL {
            let [tier, sink] = labels(route);
            out.sample(&[tier, sink, ("state", state.as_str())], u8::from(state == now));
        }
    }
}

fn labels(route: &RoutePanel) -> [(&'static str, &str); 2] {
    [("tier", &route.tier), ("sink", &route.sink)]
}

/// Age of the oldest undelivered event of a route.
pub(super) fn lag_seconds(counters: &RouteCounters, now: SystemTime) -> f64 {
    let oldest_ns = counters.oldest_undelivered_ns.get();
    if oldest_ns <= 0 {
        return 0.0;
    }
    let now_ns = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as f64;
    ((now_ns - oldest_ns as f64) / 1e9).max(0.0)
}
