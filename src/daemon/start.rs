//! The start of the daemon: everything that can fail comes before the first source runs, since a
//! child that ran would be left alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::admin::{Admin, Exposition, MetricKind, Panel, Readiness, RoutePanel, SourcePanel};
use crate::config::{self, Config};
use crate::deliver::window::SINK;
use crate::event::slab::Pool;
use crate::pipeline::Plan;
use crate::spool::{self, Backend, RecoveryReport, RouteOptions, Spool, TierOptions, TierStatus};
use crate::telemetry::SourceCounters;

use super::collector::TAIL_BYTES_MAX;
use super::config_file::ConfigFile;
use super::derived::{self, Derived};
use super::feed::{Current, Feed};
use super::inputs::{self, make_folder, protected_echo};
use super::retention::Kept;
use super::routes::{self, connect};
use super::running::{ChildSource, Daemon, notify};
use super::sampling;
use super::signals::Signals;
use super::ticker::Ticker;
use super::windows;
use super::{DaemonError, Reload, plan};

/// Bytes of a slab: one chunk of a busy source (512 KiB measured best per byte of memory).
const SLAB_BYTES: usize = 512 << 10;
/// How often retention is enforced where nobody else does it.
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);
/// How often readiness looks at the spool.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Ends of sources that wait to be noted.
const ENDS_MAX: usize = 16;

/// Starts everything that `config` names.
pub(super) async fn start(
    mut config: Config,
    reload: Option<Reload>,
) -> Result<Daemon, DaemonError> {
    windows::adopt(&mut config);
    let plan = plan(&config)?.with_windows(windows::plan(&config));
    let mut books = routes::prepare(&config);
    let sinks = books.len();
    books.extend(windows::prepare(&config));
    let spool = open_spool(&config, &books)?;
    let shared = routes::Shared::new(&config);
    let routes = start_routes(&config, &books[..sinks], &spool, &shared)?;
    let pool = Pool::new(SLAB_BYTES, (config.memory_limit.0 as usize / SLAB_BYTES).max(8));
    let echo = protected_echo(&config)?;
    let admin = bind_admin(&config).await?;
    let config_file = reload.as_ref().filter(|reload| reload.is_watched);
    let config_file = config_file.map(|reload| ConfigFile::new(reload.path.clone()));
    let feed = feed(&config, plan, &books, (&spool, &pool))?;
    let windows = windows::Running::start(&config, &books, &spool, &feed);
    let derived = feed.derived.clone();
    let derived = derived.map(|it| derived::start(it, Arc::clone(&feed))).transpose()?;
    let tally = feed.tally.clone();
    let sampling = tally.map(|it| sampling::Teller::new(Arc::clone(&feed), it));
    let sampling = sampling.map(|it| Ticker::start(sampling::SOURCE, it)).transpose()?;
    let prepared = prepare_sources(&config)?;
    let child = prepared.iter().find(|source| source.child.is_some());
    let child = child.map(|source| ChildSource::new(&source.panel.name));
    let children = prepared.iter().filter_map(|source| source.child.clone()).collect();
    let signals = Signals::listen(children, reload.is_some())?;
    let (ended, ends) = mpsc::channel(ENDS_MAX);
    let mut sources = Vec::new();
    for source in prepared {
        sources.push(source.spawn(&feed, echo.clone(), ended.clone())?);
    }
    let source_books: Vec<SourcePanel> = sources.iter().map(|one| one.panel.clone()).collect();
    let readiness = Arc::new(Readiness::default());
    readiness.set_sources_listen(true);
    readiness.set_spool_accepts(spool.is_accepting());
    let panel = Arc::new(panel(&config, &readiness, &source_books, &books, (&pool, &spool)));
    if let Some(admin) = admin {
        tracing::info!(address = %admin.address(), "admin listens");
        tokio::spawn(admin.serve(Arc::clone(&panel)));
    }
    let kept = Arc::new(Mutex::new(Arc::new(Kept::new(&config, &routes))));
    watch(Arc::clone(&kept), Arc::clone(&spool), Arc::clone(&readiness));
    Ok(Daemon {
        config,
        shared,
        spool,
        feed,
        routes,
        windows,
        derived,
        sampling,
        books,
        sources,
        source_books,
        ended,
        ends,
        signals,
        reload,
        config_file,
        panel,
        kept,
        readiness,
        echo,
        child,
        hurried: false,
    })
}

fn prepare_sources(config: &Config) -> Result<Vec<inputs::Prepared>, DaemonError> {
    let prepare = |(name, source): &(String, config::sources::Source)| {
        let counters = Arc::new(SourceCounters::default());
        inputs::Prepared::new(config, name, source, counters)
    };
    config.sources.iter().map(prepare).collect()
}

/// What all sources share. Not before the spool's folder is there and ours.
fn feed(
    config: &Config,
    plan: Arc<Plan>,
    books: &[routes::Prepared],
    (spool, pool): (&Arc<Spool>, &Arc<Pool>),
) -> Result<Arc<Feed>, DaemonError> {
    let derived = Derived::new(config);
    let observation = derived.as_ref().map(|derived| Arc::clone(&derived.observation));
    let plan = plan.with_observation(observation);
    let routes = routes::by_tier(config.tiers.len(), &books.iter());
    let telling = sampling::Telling::new(config, books.iter())?;
    let (current, tally) = (Current { plan, routes, telling }, sampling::tally(config));
    Ok(Arc::new(Feed::new(Arc::clone(spool), Arc::clone(pool), current, derived, tally)))
}

/// Each route as a task of its own.
fn start_routes(
    config: &Config,
    books: &[routes::Prepared],
    spool: &Arc<Spool>,
    shared: &routes::Shared,
) -> Result<Vec<routes::Running>, DaemonError> {
    let mut connected = Vec::new();
    for prepared in books {
        connected.push((prepared.clone(), connect(config, prepared, shared)?));
    }
    let run = |(prepared, route)| {
        let Some(running) = routes::Running::spawn(prepared, route, spool) else {
            unreachable!("BUG: every route has one cursor")
        };
        running
    };
    Ok(connected.into_iter().map(run).collect())
}

fn open_spool(config: &Config, books: &[routes::Prepared]) -> Result<Arc<Spool>, DaemonError> {
    let backend = match &config.spool.path {
        Some(path) => {
            make_folder(path)?;
            Backend::Disk { path: path.clone() }
        }
        None => Backend::Memory,
    };
    let mut tiers = Vec::new();
    for (number, (tier, name)) in windows::logs(config).enumerate() {
        let of_log = books.iter().filter(|route| usize::from(route.log.0) == number);
        tiers.push(TierOptions {
            name,
            share: windows::log_share(config, tier),
            retention: tier.retention.0,
            routes: of_log
                .map(|route| RouteOptions {
                    sink: route.sink.clone(),
                    when_full: when_full(tier, &route.sink),
                    counters: Arc::clone(&route.counters),
                })
                .collect(),
        });
    }
    let n_logs = tiers.len().max(1);
    let mut options = spool::Options::new(backend, tiers);
    options.max_bytes = config.spool.max.0;
    // Half the memory budget for what waits between the spool and delivery, over all tiers.
    let per_tier = config.memory_limit.0 as usize / 4 / n_logs;
    options.tail_bytes = per_tier.clamp(256 << 10, TAIL_BYTES_MAX);
    options.pending_bytes = options.tail_bytes;
    let (spool, report) = Spool::open(options)?;
    say_recovery(&report);
    Ok(spool)
}

fn say_recovery(report: &RecoveryReport) {
    for tier in &report.tiers {
        let is_clean = tier.quarantined.is_empty() && tier.missing.is_empty();
        if is_clean {
            continue;
        }
        let (n_quarantined, n_missing) = (tier.quarantined.len(), tier.missing.len());
        tracing::warn!(tier = tier.tier, n_quarantined, n_missing, "the spool was damaged");
    }
}

/// What the route of `tier` to `sink` does when its share of the spool is used up.
pub(super) fn when_full(tier: &config::Tier, sink: &str) -> spool::WhenFull {
    // What waits for its window waits if any sink of its tier does.
    let is_meant = |route: &&config::Route| sink == SINK || route.sink == sink;
    let mut routes = tier.routes.iter().filter(is_meant);
    match routes.any(|route| route.when_full == config::tiers::WhenFull::Block) {
        true => spool::WhenFull::Block,
        false => spool::WhenFull::DropOldest,
    }
}

/// Binds the admin server's address. Without one that was asked for, several daemons of one machine
/// share the default: the first has it, the others go without.
async fn bind_admin(config: &Config) -> Result<Option<Admin>, DaemonError> {
    let Some(address) = config.admin else { return Ok(None) };
    match Admin::bind(address).await {
        Ok(admin) => Ok(Some(admin)),
        Err(error) if config.admin_required => Err(error.into()),
        Err(error) => {
            let cause = error.source.to_string();
            tracing::warn!(%address, cause, "no admin server: its default address is not to be had");
            Ok(None)
        }
    }
}

fn panel(
    config: &Config,
    readiness: &Arc<Readiness>,
    sources: &[SourcePanel],
    books: &[routes::Prepared],
    (pool, spool): (&Arc<Pool>, &Arc<Spool>),
) -> Panel {
    let pool = Arc::clone(pool);
    let in_flight = Box::new(move |out: &mut Exposition| {
        let bytes = (pool.n_live() * pool.slab_bytes()) as f64;
        let help = "Bytes of slabs in use between the sources and the sinks.";
        out.family("sidewake_memory_in_flight_bytes", MetricKind::Gauge, help);
        out.sample(&[], bytes);
    });
    let spool = Arc::clone(spool);
    let of_spool = Box::new(move |out: &mut Exposition| spool_metrics(&spool.status(), out));
    Panel {
        service: config.service.name.clone(),
        readiness: Arc::clone(readiness),
        sources: sources.to_vec().into(),
        routes: route_panels(books).into(),
        reloads: Arc::default(),
        more: vec![in_flight, of_spool],
    }
}

/// Each tier's log on disk.
fn spool_metrics(tiers: &[TierStatus], out: &mut Exposition) {
    type Metric = (&'static str, MetricKind, &'static str, fn(&TierStatus) -> u64);
    let metrics: [Metric; 8] = [
        ("sidewake_spool_bytes", MetricKind::Gauge, "Bytes of the tier's segments.", |tier| {
            tier.stored_bytes
        }),
        ("sidewake_spool_limit_bytes", MetricKind::Gauge, "Bytes that they may have.", |tier| {
            tier.bytes_max
        }),
        (
            "sidewake_spool_writable",
            MetricKind::Gauge,
            "0 while the disk refuses, or the share is full and a route blocks.",
            |tier| u64::from(tier.stuck.is_none()),
        ),
        (
            "sidewake_spool_quarantined",
            MetricKind::Counter,
            "Stretches that could not be read and were put aside.",
            |tier| tier.n_quarantined,
        ),
        (
            "sidewake_spool_missing_bytes",
            MetricKind::Gauge,
            "Bytes of the log that somebody took away before the start.",
            |tier| tier.missing_bytes,
        ),
        (
            "sidewake_spool_forgotten_sources",
            MetricKind::Counter,
            "Streams whose positions had to be forgotten: files will be read again at a restart.",
            |tier| tier.n_forgotten_sources,
        ),
        ("sidewake_spool_written_bytes", MetricKind::Counter, "Bytes appended.", |tier| {
            tier.n_written_bytes
        }),
        ("sidewake_spool_syncs", MetricKind::Counter, "Syncs of what was appended.", |tier| {
            tier.n_syncs
        }),
    ];
    for (name, kind, help, read) in metrics {
        out.family(name, kind, help);
        for tier in tiers {
            out.sample(&[("tier", &tier.tier)], read(tier));
        }
    }
}

/// What `admin` shows of routes.
pub(super) fn route_panels(books: &[routes::Prepared]) -> Vec<RoutePanel> {
    let panel = |route: &routes::Prepared| RoutePanel {
        tier: route.tier.clone(),
        sink: route.sink.clone(),
        counters: Arc::clone(&route.counters),
        status: Arc::clone(&route.status),
    };
    books.iter().map(panel).collect()
}

/// Keeps readiness true to the spool, pets systemd's watchdog, and enforces retention.
fn watch(kept: Arc<Mutex<Arc<Kept>>>, spool: Arc<Spool>, readiness: Arc<Readiness>) {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(WATCH_INTERVAL);
        let mut retention_at = Instant::now();
        loop {
            every.tick().await;
            readiness.set_spool_accepts(spool.is_accepting());
            notify(&[sd_notify::NotifyState::Watchdog]);
            if retention_at <= Instant::now() {
                retention_at = Instant::now() + RETENTION_INTERVAL;
                let kept = Arc::clone(&kept.lock().unwrap_or_else(PoisonError::into_inner));
                tokio::task::spawn_blocking(move || kept.enforce());
            }
        }
    });
}
