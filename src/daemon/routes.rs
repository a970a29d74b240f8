//! From config to running routes: the sink of each (tier, sink) pair, its transport and its loop.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::config::{self, Config, Tier};
use crate::deliver::dead_letters;
use crate::deliver::transport::{self, Accounts, TransportOptions};
use crate::deliver::window::SINK;
use crate::deliver::{
    Budget, DeadLetters, DrainSwitch, Options, RateLimit, RateUnit, Retry, Route, RouteStatus,
    drain,
};
use crate::event::otlp::transport::http_path;
use crate::event::signal::Signal;
use crate::pipeline::classify::RULES;
use crate::secret::Secret;
use crate::sinks::files::{self, Files};
use crate::sinks::row;
use crate::sinks::row::schema::Schema;
use crate::sinks::{Sink, bigquery, console, loki, otlp, remote_write};
use crate::spool::{Spool, TierId};
use crate::telemetry::RouteCounters;

use super::{DaemonError, windows};

/// One route: its names and its books, which outlive the tasks that run it.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) tier_index: usize,
    /// The log in the spool that it reads.
    pub(super) log: TierId,
    pub(super) tier: String,
    pub(super) sink: String,
    pub(super) counters: Arc<RouteCounters>,
    pub(super) status: Arc<RouteStatus>,
}

/// Every route of the config, in the order of its tiers.
pub(super) fn prepare(config: &Config) -> Vec<Prepared> {
    let mut routes = Vec::new();
    for (tier_index, tier) in config.tiers.iter().enumerate() {
        for route in &tier.routes {
            routes.push(Prepared {
                tier_index,
                log: windows::log_of(config, tier_index),
                tier: tier.name.clone(),
                sink: route.sink.clone(),
                counters: Arc::default(),
                status: Arc::default(),
            });
        }
    }
    routes
}

impl Prepared {
    /// Whether it is the one from tier number `tier` to `sink`.
    pub(super) fn is(&self, tier: usize, sink: &str) -> bool {
        self.tier_index == tier && self.sink == sink
    }
}

/// A route that runs.
pub(super) struct Running {
    pub(super) prepared: Prepared,
    pub(super) letters: DeadLetters,
    switch: DrainSwitch,
    task: JoinHandle<()>,
}

impl Running {
    /// Runs `route` as a task of its own.
    /// `None` when the spool has no such route, or its cursor is in use.
    pub(super) fn spawn(prepared: Prepared, route: Route, spool: &Arc<Spool>) -> Option<Self> {
        let cursor = spool.cursor(prepared.log, &prepared.sink)?;
        let letters = route.dead_letters.clone();
        let (switch, drain) = drain();
        let task = tokio::spawn(route.run(cursor, drain));
        Some(Self { prepared, letters, switch, task })
    }

    /// Delivers what it can until `deadline`, and ends.
    pub(super) fn drain(&self, deadline: Instant) {
        self.switch.begin(deadline.into());
    }

    /// Lets land what is in flight until `deadline`, and ends.
    pub(super) fn halt(&self, deadline: Instant) {
        self.switch.halt(deadline.into());
    }

    /// Waits for the end, after which the cursor is free.
    pub(super) async fn ended(&mut self) {
        if let Err(error) = (&mut self.task).await {
            tracing::error!(tier = self.prepared.tier, sink = self.prepared.sink, %error, "a route failed");
        }
    }

    /// As [`Prepared::is`].
    pub(super) fn is(&self, tier: usize, sink: &str) -> bool {
        self.prepared.is(tier, sink)
    }
}

/// The routes' counters, by tier.
pub(super) fn by_tier<'a>(
    n_tiers: usize,
    routes: &(impl Iterator<Item = &'a Prepared> + Clone),
) -> Arc<[Vec<Arc<RouteCounters>>]> {
    let of_tier = |tier| {
        // What waits for its window is no reason to pace a source.
        let is_sink = |route: &&Prepared| usize::from(route.log.0) == tier && route.sink != SINK;
        let routes = routes.clone().filter(is_sink);
        routes.map(|route| Arc::clone(&route.counters)).collect()
    };
    (0..n_tiers).map(of_tier).collect()
}

/// Sets one route up.
pub(super) fn connect(
    config: &Config,
    prepared: &Prepared,
    shared: &Shared,
) -> Result<Route, DaemonError> {
    let tier = &config.tiers[prepared.tier_index];
    let Some(sink_config) = config.sink(&prepared.sink) else {
        unreachable!("BUG: the config named a sink that it does not define")
    };
    let mut transport_options = TransportOptions {
        idle_connections_max: 2,
        route: format!("{}-{}", prepared.tier, prepared.sink),
        counters: Arc::clone(&prepared.counters),
        accounts: shared.accounts.clone(),
        ..TransportOptions::default()
    };
    let (sink, mut options): (Arc<dyn Sink>, Options) = match sink_config {
        config::sinks::Sink::Loki(loki) => {
            transport_options.reach(&loki.tls, loki.proxy.as_ref());
            let options = request_options(&loki.batch, loki.concurrency, &loki.retry, &loki.rate);
            (Arc::new(loki_sink(loki, tier)), options)
        }
        config::sinks::Sink::Otlp(otlp) => {
            transport_options.reach(&otlp.tls, otlp.proxy.as_ref());
            let options = request_options(&otlp.batch, otlp.concurrency, &otlp.retry, &otlp.rate);
            (Arc::new(otlp_sink(otlp, tier)), options)
        }
        config::sinks::Sink::PrometheusRemoteWrite(sink) => {
            transport_options.reach(&sink.tls, sink.proxy.as_ref());
            let in_order = NonZeroUsize::MIN;
            const { assert!(remote_write::IN_ORDER == 1) };
            let options = request_options(&sink.batch, in_order, &sink.retry, &sink.rate);
            (Arc::new(remote_write_sink(sink)), options)
        }
        config::sinks::Sink::BigQuery(sink) => {
            transport_options.reach(&sink.tls, sink.proxy.as_ref());
            // Beside the log whose positions it names: one goes with the other.
            transport_options.state_folder =
                config.spool.path.as_ref().map(|path| path.join(&prepared.tier));
            let options = request_options(&sink.batch, sink.concurrency, &sink.retry, &sink.rate);
            (Arc::new(bigquery_sink(sink, tier, config)), options)
        }
        config::sinks::Sink::Files(files) => files_route(files, tier, config),
        config::sinks::Sink::Console(console) => console_route(console, tier),
    };
    options.budget = shared.budget.clone();
    let client = transport::connect(&sink.transport(), &transport_options)
        .map_err(|source| DaemonError::Sink { sink: prepared.sink.clone(), source })?;
    let dead_letters = match &config.spool.path {
        Some(path) => {
            let folder = DeadLetters::folder(path, &prepared.tier, &prepared.sink);
            DeadLetters::new(folder, dead_letters::MAX_BYTES)
        }
        None => DeadLetters::none(),
    };
    Ok(Route {
        tier: prepared.tier.clone(),
        sink_name: prepared.sink.clone(),
        sink,
        client,
        options,
        dead_letters,
        counters: Arc::clone(&prepared.counters),
        status: Arc::clone(&prepared.status),
    })
}

impl TransportOptions {
    /// Takes over whom the config trusts, and which way it goes.
    fn reach(&mut self, tls: &config::sinks::Tls, proxy: Option<&config::sinks::Endpoint>) {
        self.ca_file = tls.ca_file.clone();
        self.proxy = proxy.map(|proxy| proxy.as_str().to_owned());
    }
}

/// What all routes share.
pub(super) struct Shared {
    budget: Budget,
    accounts: Accounts,
}

impl Shared {
    /// Bodies may hold half of the memory budget. The other half is for what comes in, so that no
    /// sink that hangs holds up a source.
    pub(super) fn new(config: &Config) -> Self {
        let budget = Budget::new(config.memory_limit.0 as usize / 2);
        Self { budget, accounts: Accounts::default() }
    }
}

fn loki_sink(loki: &config::sinks::Loki, tier: &Tier) -> loki::Loki {
    let mut options = loki::Options::new(loki.endpoint.as_str(), &tier.name);
    options.tenant = loki.tenant.as_ref().map(|tenant| tenant.0.clone());
    options.authorization = loki.auth.as_ref().map(config::sinks::Auth::header);
    options.headers =
        loki.headers.0.iter().map(|(name, value)| (name.clone(), value.value.clone())).collect();
    options.labels = loki.labels.0.clone();
    options.max_line_bytes = loki.max_line.0 as usize;
    options.when_blocked = match loki.when_blocked {
        config::sinks::WhenBlocked::DeadLetters => loki::WhenBlocked::DeadLetters,
        config::sinks::WhenBlocked::Hold => loki::WhenBlocked::Hold,
    };
    options.compression = match loki.compression {
        config::sinks::Compression::Snappy => loki::Compression::Snappy,
        config::sinks::Compression::None => loki::Compression::None,
    };
    options.timeout = loki.timeout.0;
    loki::Loki::new(options)
}

fn otlp_sink(sink: &config::sinks::Otlp, tier: &Tier) -> otlp::Otlp {
    let protocol = match sink.protocol {
        config::sinks::OtlpProtocol::Grpc => otlp::Protocol::Grpc,
        config::sinks::OtlpProtocol::Http => otlp::Protocol::Http,
    };
    let own = match tier.signal {
        Signal::Traces => &sink.traces_endpoint,
        Signal::Metrics => &sink.metrics_endpoint,
        Signal::Logs => &sink.logs_endpoint,
    };
    let url = match (own, protocol) {
        (Some(own), _) => own.as_str().to_owned(),
        (None, otlp::Protocol::Grpc) => sink.endpoint.as_str().to_owned(),
        (None, otlp::Protocol::Http) => sink.endpoint.join(http_path(tier.signal)),
    };
    otlp::Otlp::new(otlp::Options {
        signal: tier.signal,
        tier: tier.name.clone(),
        url,
        protocol,
        compression: match sink.compression {
            config::sinks::OtlpCompression::None => otlp::Compression::None,
            config::sinks::OtlpCompression::Gzip => otlp::Compression::Gzip,
            config::sinks::OtlpCompression::Zstd => otlp::Compression::Zstd,
        },
        max_attribute_bytes: sink.max_attribute.0 as usize,
        headers: headers(&sink.headers, sink.auth.as_ref(), sink.tenant.as_ref()),
        timeout: sink.timeout.0,
    })
}

fn remote_write_sink(sink: &config::sinks::PrometheusRemoteWrite) -> remote_write::RemoteWrite {
    use config::sinks::RemoteWriteProtocol as Protocol;
    remote_write::RemoteWrite::new(remote_write::Options {
        url: sink.endpoint.as_str().to_owned(),
        protocol: match sink.protocol {
            Protocol::Auto => None,
            Protocol::One => Some(remote_write::Protocol::One),
            Protocol::Two => Some(remote_write::Protocol::Two),
        },
        headers: headers(&sink.headers, sink.auth.as_ref(), sink.tenant.as_ref()),
        timeout: sink.timeout.0,
    })
}

fn bigquery_sink(
    sink: &config::sinks::BigQuery,
    tier: &Tier,
    config: &Config,
) -> bigquery::BigQuery {
    use config::sinks::{BigQueryApi, Delivery};
    let api = match sink.api {
        BigQueryApi::StorageWrite => bigquery::Api::StorageWrite,
        BigQueryApi::InsertAll => bigquery::Api::InsertAll,
    };
    let url = |own: &Option<config::sinks::Endpoint>, default: &str| {
        own.as_ref().map_or(default, config::sinks::Endpoint::as_str).to_owned()
    };
    let own_labels = sink.labels.0.iter().cloned();
    let tier_label = ("sidewake_tier".to_owned(), tier.name.replace('.', "_"));
    let options = bigquery::Options {
        schema: Schema::of_kinds(&tier.kinds),
        table: sink.table.0.clone(),
        api,
        grpc_url: url(&sink.endpoint, "https://bigquerystorage.googleapis.com"),
        rest_url: url(&sink.rest_endpoint, "https://bigquery.googleapis.com"),
        credentials: match &sink.credentials {
            _ if sink.anonymous => bigquery::Credentials::None,
            Some(file) => bigquery::Credentials::Json(file.value.clone()),
            None => bigquery::Credentials::Default,
        },
        impersonated: sink.impersonate.clone(),
        is_exact: match sink.delivery {
            Some(delivery) => delivery == Delivery::ExactlyOnce,
            None => config.spool.path.is_some() && api == bigquery::Api::StorageWrite,
        },
        creates_table: sink.create_table,
        adds_columns: sink.add_columns,
        unmapped: sink.unmapped.clone(),
        retention: tier.retention.0,
        join_window: sink.join_window.0,
        labels: own_labels.chain([tier_label]).collect(),
        timeout: sink.timeout.0,
    };
    bigquery::BigQuery::new(options, row_names(tier, config))
}

/// What the config says of headers.
fn headers(
    written: &config::named::Named<config::secret_text::SecretText>,
    auth: Option<&config::sinks::Auth>,
    tenant: Option<&config::sinks::Tenant>,
) -> Vec<(String, Secret)> {
    let written = written.0.iter().map(|(name, value)| (name.clone(), value.value.clone()));
    let auth = auth.map(|auth| ("authorization".to_owned(), auth.header()));
    let tenant = tenant.map(|id| ("x-scope-orgid".to_owned(), Secret::new(id.0.clone())));
    written.chain(auth).chain(tenant).collect()
}

/// What all sinks that take requests have in common.
fn request_options(
    batch: &config::sinks::RequestBatch,
    concurrency: NonZeroUsize,
    retry: &config::sinks::Retry,
    rate: &config::sinks::Rate,
) -> Options {
    let bytes_rate = rate
        .bytes_per_second
        .and_then(|size| NonZeroU32::new(u32::try_from(size.0).unwrap_or(u32::MAX)));
    let by_events = |per_second| RateLimit { per_second, unit: RateUnit::Events };
    let by_bytes = |per_second| RateLimit { per_second, unit: RateUnit::Bytes };
    Options {
        batch_bytes: batch.max_bytes.0 as usize,
        batch_age: batch.max_age.0,
        concurrency: concurrency.get(),
        retry: Retry { initial: retry.initial.0, max: retry.max.0, ..Retry::default() },
        rate_limit: rate.events_per_second.map(by_events).or(bytes_rate.map(by_bytes)),
        ..Options::default()
    }
}

fn console_route(console: &config::sinks::Console, tier: &Tier) -> (Arc<dyn Sink>, Options) {
    let format = match console.format {
        config::sinks::ConsoleFormat::Json => console::Format::Json,
        config::sinks::ConsoleFormat::Pretty => console::Format::Pretty,
    };
    let options = console::Options { tier: tier.name.clone(), format };
    let batch_age = Duration::from_millis(100);
    (
        Arc::new(console::Console::new(options)),
        Options { batch_age, concurrency: 1, ..Options::default() },
    )
}

fn files_route(
    files: &config::sinks::Files,
    tier: &Tier,
    config: &Config,
) -> (Arc<dyn Sink>, Options) {
    let mut sink = Files::new(files.path.clone(), &tier.name);
    match files.formats.get(&tier.name) {
        Some(config::sinks::FileStoreFormat::Parquet) => sink.format = files::Format::Parquet,
        Some(config::sinks::FileStoreFormat::Jsonl) => sink.format = files::Format::Lines,
        None => {}
    }
    sink.schema = Schema::of_kinds(&tier.kinds);
    sink.names = row_names(tier, config);
    let batch_bytes = files.batch.max_bytes.map_or(sink.format.close_bytes(), |n| n.0 as usize);
    let batch_age = files.batch.max_age.0;
    (Arc::new(sink), Options { batch_bytes, batch_age, concurrency: 1, ..Options::default() })
}

/// Words for the numbers in records.
fn row_names(tier: &Tier, config: &Config) -> Arc<row::Names> {
    Arc::new(row::Names {
        classifier_rules: RULES.iter().map(|rule| (*rule).to_owned()).collect(),
        sampling_rules: sampling_rules(config),
        policy: tier.name.clone(),
    })
}

/// Words for the numbers of `pipeline::sample::rule`.
pub(super) fn sampling_rules(config: &Config) -> Vec<String> {
    use crate::pipeline::sample::rule;
    let mut words = vec![String::new(); usize::from(rule::KEEP)];
    for (number, word) in [
        (rule::WHOLE, "all"),
        (rule::RATE, "rate"),
        (rule::UPSTREAM, "upstream"),
        (rule::UNDECIDED, "undecided"),
        (rule::EARLY, "early"),
    ] {
        words[usize::from(number)] = word.to_owned();
    }
    words.extend(config.sample.keep.iter().cloned());
    words.extend(config.sample.rare.as_ref().map(|rare| format!("rare({})", rare.field)));
    words
}
