//! The life of the daemon: start, wait, shut down.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::admin::{Admin, Panel, Readiness, RoutePanel, SourcePanel};
use crate::config::{self, Config, Echo as EchoMode};
use crate::deliver::{Drain, DrainSwitch, drain};
use crate::event::slab::Pool;
use crate::pipeline::Plan;
use crate::sources::echo::Echo;
use crate::sources::exec::{self, ChildHandle};
use crate::sources::pipe::LineOptions;
use crate::sources::{Context, Ended, Source, SourceError, Stage, Stop, fifo, file, stdin};
use crate::spool::{self, Backend, RecoveryReport, RouteOptions, Spool, TierId, TierOptions};
use crate::telemetry::{RouteCounters, SourceCounters};

use super::collector::{Collector, ProtectedEcho};
use super::retention::Kept;
use super::routes::{self, Prepared};
use super::signals::{Notice, Signals};
use super::{DaemonError, RunOptions, plan};

/// Bytes of a slab: one chunk of a busy source (512 KiB measured best per byte of memory).
const SLAB_BYTES: usize = 512 << 10;
/// The most that a tier keeps in memory for its cursors. Half as much reads batches back from disk,
/// which costs a quarter of the throughput; twice as much costs 5 MB of peak RSS and buys nothing.
pub(super) const TAIL_BYTES_MAX: usize = 1 << 20;
/// How often retention is enforced where nobody else does it.
const RETENTION_INTERVAL: Duration = Duration::from_secs(600);
/// How often readiness looks at the spool.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// What draining the sources may take of the grace period after a signal.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// A source that has ended.
type SourceEnd = (String, Result<Ended, SourceError>);

/// The source that runs the model.
struct ChildSource {
    name: String,
    is_running: bool,
}

struct Daemon {
    spool: Arc<Spool>,
    routes: JoinSet<()>,
    drain: DrainSwitch,
    stop: Stop,
    sources: mpsc::Receiver<SourceEnd>,
    n_sources: usize,
    signals: Signals,
    readiness: Arc<Readiness>,
    echo: Option<ProtectedEcho>,
    child: Option<ChildSource>,
    /// A second signal to stop came: nothing is waited for that is safe already.
    hurried: bool,
}

pub(super) async fn run(config: &Config, options: RunOptions) -> Result<i32, DaemonError> {
    let mut daemon = start(config).await?;
    notify(&[sd_notify::NotifyState::Ready]);
    let mut code = 0;
    let stopped = daemon.wait(&mut code).await;
    notify(&[sd_notify::NotifyState::Stopping]);
    daemon.shut_down(options.grace, stopped, &mut code).await;
    Ok(code)
}

async fn start(config: &Config) -> Result<Daemon, DaemonError> {
    let plan = plan(config)?;
    let prepared = routes::prepare(config);
    let spool = open_spool(config, &prepared)?;
    let (drain, drained) = drain();
    let (tasks, kept) = start_routes(config, &prepared, &spool, &drained)?;
    let readiness = Arc::new(Readiness::default());
    let pool = Pool::new(SLAB_BYTES, (config.memory_limit.0 as usize / SLAB_BYTES).max(8));
    let stop = Stop::new()?;
    let echo = protected_echo(config)?;
    // Whatever can fail comes before the first source: a child that ran would be left alone.
    let admin = bind_admin(config).await?;
    // Each source ends once.
    let (ended, sources) = mpsc::channel(config.sources.len().max(1));
    let mut panels = Vec::new();
    let mut children = Vec::new();
    let mut child_source = None;
    let mut ready_sources = Vec::new();
    let feed = Feed {
        plan,
        spool: Arc::clone(&spool),
        pool: Arc::clone(&pool),
        echo: echo.clone(),
        routes: routes::by_tier(config.tiers.len(), &prepared),
    };
    for (name, source) in &config.sources {
        let counters = Arc::new(SourceCounters::default());
        let context = context(config, name, source, &counters);
        let (source, kind, child) = build_source(config, source, context)?;
        // Only what the child says is repeated: files are somebody else's output.
        let repeats = child.is_some();
        if let Some(handle) = child {
            children.push(handle);
            child_source = Some(ChildSource { name: name.clone(), is_running: true });
        }
        panels.push(SourcePanel { name: name.clone(), kind, counters });
        ready_sources.push((name, source, repeats));
    }
    let signals = Signals::listen(children)?;
    for (name, source, repeats) in ready_sources {
        let echo = feed.echo.clone().filter(|_| repeats);
        feed.spawn((name, source), echo, stop.clone(), ended.clone())?;
    }
    readiness.set_sources_listen(true);
    readiness.set_spool_accepts(spool.is_accepting());
    if let Some(admin) = admin {
        serve_admin(admin, config, &readiness, panels, &prepared, &pool);
    }
    watch(kept, Arc::clone(&spool), Arc::clone(&readiness));
    let n_sources = config.sources.len();
    Ok(Daemon {
        spool,
        routes: tasks,
        drain,
        stop,
        sources,
        n_sources,
        signals,
        readiness,
        echo,
        child: child_source,
        hurried: false,
    })
}

/// Each route as a task of its own, and what is kept of them beside the spool.
fn start_routes(
    config: &Config,
    prepared: &[Prepared],
    spool: &Arc<Spool>,
    drained: &Drain,
) -> Result<(JoinSet<()>, Kept), DaemonError> {
    let mut tasks = JoinSet::new();
    let mut kept = Kept::new(config);
    for prepared in prepared {
        let route = routes::connect(config, prepared)?;
        let cursor = spool.cursor(TierId(prepared.tier_index as u8), &prepared.sink);
        let Some(cursor) = cursor else { unreachable!("BUG: every route has one cursor") };
        kept.keep_letters(prepared.tier_index, route.dead_letters.clone());
        tasks.spawn(route.run(cursor, drained.clone()));
    }
    Ok((tasks, kept))
}

impl Daemon {
    /// Waits for a signal to stop, or for all sources to end. Returns when the signal came.
    async fn wait(&mut self, code: &mut i32) -> Option<Instant> {
        let mut stopped = None;
        // The model's end is ours, whatever else still listens.
        while self.n_sources > 0 && !self.has_ended_child() {
            tokio::select! {
                ended = self.sources.recv() => self.note_end(ended, code),
                notice = self.signals.next() => if notice == Notice::Stop {
                    stopped = Some(Instant::now());
                    // A child was sent the signal and ends by itself; its output is read to the
                    // end.
                    break;
                },
            }
        }
        stopped
    }

    fn has_ended_child(&self) -> bool {
        self.child.as_ref().is_some_and(|child| !child.is_running)
    }

    fn note_end(&mut self, ended: Option<SourceEnd>, code: &mut i32) {
        self.n_sources -= 1;
        let Some((name, end)) = ended else { return };
        let counts = match &mut self.child {
            Some(child) if child.name == name => {
                child.is_running = false;
                true
            }
            // Whatever becomes of other sources, our exit code is the child's.
            Some(_) => false,
            None => true,
        };
        let ended_with = match end {
            Ok(Ended { exit_code }) => exit_code,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(source = name, cause, "{error}");
                Some(error.exit_code())
            }
        };
        *code = ended_with.filter(|_| counts).unwrap_or(*code);
    }

    /// Sources drain, the spool syncs, delivery uses what is left of the grace period. A second
    /// signal cuts delivery short; what is spooled stays for the next start.
    async fn shut_down(mut self, grace: Duration, stopped: Option<Instant>, code: &mut i32) {
        self.readiness.set_stopping();
        let begun = stopped.unwrap_or_else(Instant::now);
        let deadline = begun + grace;
        self.drain_sources(begun, deadline, code).await;
        let spool = Arc::clone(&self.spool);
        let sync_by = Instant::now() + Duration::from_secs(2);
        let closed = tokio::task::spawn_blocking(move || spool.close(sync_by)).await;
        if !closed.unwrap_or(false) {
            tracing::error!("the spool could not make everything durable in time");
        }
        let deadline = deadline.max(Instant::now() + Duration::from_millis(500));
        self.drain.begin(deadline.into());
        while !self.hurried {
            tokio::select! {
                done = self.routes.join_next() => if done.is_none() { break },
                notice = self.signals.next() => self.hurried = notice == Notice::Stop,
            }
        }
        if self.hurried {
            tracing::warn!("stopping at once; what is spooled is delivered after the restart");
        }
        if let Some(echo) = &self.echo {
            for echo in [&echo.stdout, &echo.stderr] {
                if !echo.close(Duration::from_millis(200)) {
                    tracing::warn!("the reader of our output is slow: the echo ends early");
                }
            }
        }
    }

    async fn drain_sources(&mut self, begun: Instant, deadline: Instant, code: &mut i32) {
        // A child ends when it likes, within the grace period; other sources have two seconds.
        if self.child.is_some() {
            let until = deadline.checked_sub(DRAIN_MAX).unwrap_or(begun).max(Instant::now());
            self.sources_end_by(until, code, Self::has_ended_child).await;
        }
        for stage in [Stage::Drain, Stage::Now] {
            self.stop.reach(stage);
            let until = Instant::now() + DRAIN_MAX;
            self.sources_end_by(until, code, |daemon| daemon.n_sources == 0).await;
        }
    }

    /// Waits for sources to end, until `is_enough`. A second signal to stop ends the wait, and
    /// later the one for delivery.
    async fn sources_end_by(
        &mut self,
        until: Instant,
        code: &mut i32,
        is_enough: impl Fn(&Self) -> bool,
    ) {
        while self.n_sources > 0 && !is_enough(self) {
            tokio::select! {
                ended = self.sources.recv() => self.note_end(ended, code),
                () = tokio::time::sleep_until(until.into()) => return,
                notice = self.signals.next() => if notice == Notice::Stop {
                    self.hurried = true;
                    return;
                },
            }
        }
    }
}

fn open_spool(config: &Config, prepared: &[Prepared]) -> Result<Arc<Spool>, DaemonError> {
    let backend = match &config.spool.path {
        Some(path) => {
            make_folder(path)?;
            Backend::Disk { path: path.clone() }
        }
        None => Backend::Memory,
    };
    let mut tiers = Vec::new();
    for (index, tier) in config.tiers.iter().enumerate() {
        let share = config.spool.shares.iter().find(|(name, _)| *name == tier.name);
        let of_tier = prepared.iter().filter(|route| route.tier_index == index);
        let when_full = |sink: &str| {
            let route = tier.routes.iter().find(|route| route.sink == sink);
            match route.map(|route| route.when_full) {
                Some(config::tiers::WhenFull::Block) => spool::WhenFull::Block,
                _ => spool::WhenFull::DropOldest,
            }
        };
        tiers.push(TierOptions {
            name: tier.name.clone(),
            share: share.map_or(0.25, |(_, share)| *share),
            retention: tier.retention.0,
            routes: of_tier
                .map(|route| RouteOptions {
                    sink: route.sink.clone(),
                    when_full: when_full(&route.sink),
                    counters: Arc::clone(&route.counters),
                })
                .collect(),
        });
    }
    let mut options = spool::Options::new(backend, tiers);
    options.max_bytes = config.spool.max.0;
    // Half the memory budget for what waits between the spool and delivery, over all tiers.
    let per_tier = config.memory_limit.0 as usize / 4 / config.tiers.len().max(1);
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

fn make_folder(path: &Path) -> Result<(), DaemonError> {
    std::fs::create_dir_all(path)
        .map_err(|source| DaemonError::Folder { path: path.to_owned(), source })
}

fn context(
    config: &Config,
    name: &str,
    source: &config::sources::Source,
    counters: &Arc<SourceCounters>,
) -> Context {
    let mut attributes = config.service.attributes.clone();
    for (key, value) in &source.attributes().0 {
        attributes.retain(|(known, _)| known != key);
        attributes.push((key.clone(), value.clone()));
    }
    attributes.sort();
    Context { name: name.to_owned(), attributes, counters: Arc::clone(counters) }
}

type Built = (Box<dyn Source>, &'static str, Option<ChildHandle>);

fn build_source(
    config: &Config,
    source: &config::sources::Source,
    context: Context,
) -> Result<Built, DaemonError> {
    let lines = LineOptions {
        max_line_bytes: source.max_line().0 as usize,
        join_tracebacks: source.traceback(),
        ..LineOptions::default()
    };
    Ok(match source {
        config::sources::Source::Exec(exec) => {
            let mut options = exec::Options::new(exec.command.clone());
            options.env = exec.env.0.clone();
            options.working_dir.clone_from(&exec.working_dir);
            options.lines = lines;
            let reads_stdin = |(_, other): &(String, config::sources::Source)| {
                matches!(other, config::sources::Source::Stdin(_))
            };
            if config.sources.iter().any(reads_stdin) {
                options.stdin = exec::StdinOf::Null;
            }
            if is_raw(config, rustix::stdio::stdout()) {
                options.echo_stdout = Some(Echo::stdout()?);
            }
            if is_raw(config, rustix::stdio::stderr()) {
                options.echo_stderr = Some(Echo::stderr()?);
            }
            let source = exec::Exec::new(context, options);
            let child = source.child();
            (Box::new(source), "exec", Some(child))
        }
        config::sources::Source::Stdin(_) => {
            (Box::new(stdin::Stdin::new(context, stdin::Options { lines })), "stdin", None)
        }
        config::sources::Source::Fifo(fifo) => {
            let create_mode = fifo.create.then_some(fifo.mode.0);
            let options = fifo::Options { path: fifo.path.clone(), create_mode, lines };
            (Box::new(fifo::Fifo::new(context, options)), "fifo", None)
        }
        config::sources::Source::File(file) => {
            let state_dir = config.spool.path.clone();
            let state_dir = state_dir.unwrap_or_else(|| config.data_dir.clone()).join("sources");
            make_folder(&state_dir)?;
            let source = file::Files::new(context, file_options(file, state_dir, lines));
            (Box::new(source), "file", None)
        }
    })
}

fn file_options(
    file: &config::sources::File,
    state_dir: PathBuf,
    lines: LineOptions,
) -> file::Options {
    let mut options = file::Options::new(file.include.clone(), state_dir);
    options.exclude.clone_from(&file.exclude);
    options.format = match file.format {
        config::sources::FileFormat::Auto => file::Format::Auto,
        config::sources::FileFormat::Plain => file::Format::Plain,
        config::sources::FileFormat::Cri => file::Format::Cri,
        config::sources::FileFormat::Docker => file::Format::Docker,
    };
    options.start_at = match file.start_at {
        config::sources::StartAt::Beginning => file::StartAt::Beginning,
        config::sources::StartAt::End => file::StartAt::End,
    };
    options.rescan_interval = file.poll.0;
    options.lines = lines;
    options
}

/// Whether what the child writes is repeated as it came: when asked for, or on a terminal.
fn is_raw(config: &Config, fd: impl std::os::fd::AsFd) -> bool {
    match config.echo {
        Some(EchoMode::Raw) => true,
        Some(_) => false,
        None => rustix::termios::isatty(fd),
    }
}

fn protected_echo(config: &Config) -> Result<Option<ProtectedEcho>, DaemonError> {
    let is_exec = |(_, source): &(String, config::sources::Source)| {
        matches!(source, config::sources::Source::Exec(_))
    };
    let wanted = match config.echo {
        Some(mode) => mode == EchoMode::Protected,
        None => !rustix::termios::isatty(rustix::stdio::stdout()),
    };
    if !wanted || !config.sources.iter().any(is_exec) {
        return Ok(None);
    }
    Ok(Some(ProtectedEcho { stdout: Echo::stdout()?, stderr: Echo::stderr()? }))
}

/// What every source's thread needs.
struct Feed {
    plan: Arc<Plan>,
    spool: Arc<Spool>,
    pool: Arc<Pool>,
    echo: Option<ProtectedEcho>,
    /// The routes' counters, by tier.
    routes: Arc<[Vec<Arc<RouteCounters>>]>,
}

impl Feed {
    fn spawn(
        &self,
        (name, source): (&str, Box<dyn Source>),
        echo: Option<ProtectedEcho>,
        stop: Stop,
        ended: mpsc::Sender<SourceEnd>,
    ) -> Result<(), DaemonError> {
        let (plan, spool) = (Arc::clone(&self.plan), Arc::clone(&self.spool));
        let (pool, routes) = (Arc::clone(&self.pool), Arc::clone(&self.routes));
        let intake = Collector::new(plan, spool, pool, echo, routes);
        let name = name.to_owned();
        let thread = std::thread::Builder::new().name(format!("source-{name}"));
        thread.stack_size(512 << 10).spawn(move || {
            let end = source.run(Box::new(intake), stop);
            // The daemon may have left already.
            let _ = ended.blocking_send((name, end));
        })?;
        Ok(())
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

fn serve_admin(
    admin: Admin,
    config: &Config,
    readiness: &Arc<Readiness>,
    sources: Vec<SourcePanel>,
    prepared: &[Prepared],
    pool: &Arc<Pool>,
) {
    tracing::info!(address = %admin.address(), "admin listens");
    let routes = prepared.iter().map(|route| RoutePanel {
        tier: route.tier.clone(),
        sink: route.sink.clone(),
        counters: Arc::clone(&route.counters),
        status: Arc::clone(&route.status),
    });
    let pool = Arc::clone(pool);
    let in_flight = Box::new(move |out: &mut crate::admin::Exposition| {
        let bytes = (pool.n_live() * pool.slab_bytes()) as f64;
        let help = "Bytes of slabs in use between the sources and the sinks.";
        let kind = crate::admin::MetricKind::Gauge;
        out.family("sidewake_memory_in_flight_bytes", kind, help);
        out.sample(&[], bytes);
    });
    let panel = Panel {
        service: config.service.name.clone(),
        readiness: Arc::clone(readiness),
        sources,
        routes: routes.collect(),
        more: vec![in_flight],
    };
    tokio::spawn(admin.serve(Arc::new(panel)));
}

/// Keeps readiness true to the spool, pets systemd's watchdog, and enforces retention.
fn watch(kept: Kept, spool: Arc<Spool>, readiness: Arc<Readiness>) {
    let kept = Arc::new(kept);
    tokio::spawn(async move {
        let mut every = tokio::time::interval(WATCH_INTERVAL);
        let mut retention_at = Instant::now();
        loop {
            every.tick().await;
            readiness.set_spool_accepts(spool.is_accepting());
            notify(&[sd_notify::NotifyState::Watchdog]);
            if retention_at <= Instant::now() {
                retention_at = Instant::now() + RETENTION_INTERVAL;
                let kept = Arc::clone(&kept);
                tokio::task::spawn_blocking(move || kept.enforce());
            }
        }
    });
}

/// Tells systemd, when it is there.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is no socket, and that is no error.
    let _ = sd_notify::notify(states);
}
