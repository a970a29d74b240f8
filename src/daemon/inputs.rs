//! From the config of a source to a thread that reads it, and how that thread is ended.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::admin::SourcePanel;
use crate::config::{self, Config, Echo as EchoMode};
use crate::sources::echo::Echo;
use crate::sources::exec::{self, ChildHandle};
use crate::sources::pipe::LineOptions;
use crate::sources::{Context, Ended, Source, SourceError, Stop};
use crate::sources::{fifo, file, jaeger, otlp, prometheus, stdin};
use crate::telemetry::SourceCounters;

use super::DaemonError;
use super::collector::{Collector, ProtectedEcho};
use super::feed::Feed;

/// A source that has ended.
pub(super) type SourceEnd = (String, Result<Ended, SourceError>);

/// A source that runs.
pub(super) struct Running {
    pub(super) panel: SourcePanel,
    pub(super) stop: Stop,
}

/// A source that is ready to run.
pub(super) struct Prepared {
    pub(super) panel: SourcePanel,
    pub(super) child: Option<ChildHandle>,
    source: Box<dyn Source>,
}

impl Prepared {
    /// Makes what the config calls `name`; nothing runs yet.
    ///
    /// # Errors
    /// A folder or a descriptor that is not to be had.
    pub(super) fn new(
        config: &Config,
        name: &str,
        source: &config::sources::Source,
        counters: Arc<SourceCounters>,
    ) -> Result<Self, DaemonError> {
        let context = context(config, name, source, &counters);
        let (source, kind, child) = build(config, source, context)?;
        let panel = SourcePanel { name: name.to_owned(), kind, counters };
        Ok(Self { panel, child, source })
    }

    /// Runs it on a thread of its own, which tells `ended` of its end.
    ///
    /// # Errors
    /// When the system has no more threads or descriptors.
    pub(super) fn spawn(
        self,
        feed: &Arc<Feed>,
        echo: Option<ProtectedEcho>,
        ended: mpsc::Sender<SourceEnd>,
    ) -> Result<Running, DaemonError> {
        let Self { panel, child, source } = self;
        // Only what the child says is repeated: files are somebody else's output.
        let intake = Collector::new(Arc::clone(feed), echo.filter(|_| child.is_some()));
        let stop = Stop::new()?;
        let (name, its_stop) = (panel.name.clone(), stop.clone());
        let thread = std::thread::Builder::new().name(format!("source-{name}"));
        thread.stack_size(512 << 10).spawn(move || {
            let end = source.run(Box::new(intake), its_stop);
            // The daemon may have left already.
            let _ = ended.blocking_send((name, end));
        })?;
        Ok(Running { panel, stop })
    }
}

/// Makes a folder of ours.
///
/// # Errors
/// [`DaemonError::Folder`].
pub(super) fn make_folder(path: &Path) -> Result<(), DaemonError> {
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

/// A source that can run, its type, and the child that it will have.
type Built = (Box<dyn Source>, &'static str, Option<ChildHandle>);

fn build(
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
        config::sources::Source::Otlp(otlp) => {
            let name = context.name.clone();
            let source = otlp::Otlp::bind(context, otlp_options(config, otlp))
                .map_err(|source| DaemonError::Source { name, source })?;
            (Box::new(source), "otlp", None)
        }
        config::sources::Source::Jaeger(jaeger) => {
            let name = context.name.clone();
            let source = jaeger::Jaeger::bind(context, jaeger_options(config, jaeger))
                .map_err(|source| DaemonError::Source { name, source })?;
            (Box::new(source), "jaeger", None)
        }
        config::sources::Source::Prometheus(scraped) => {
            let name = context.name.clone();
            let source = scraped_options(config, scraped)
                .and_then(|options| prometheus::Prometheus::new(context, options))
                .map_err(|source| DaemonError::Source { name, source })?;
            (Box::new(source), "prometheus", None)
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

fn otlp_options(config: &Config, otlp: &config::sources::Otlp) -> otlp::Options {
    let mut addresses = Vec::new();
    for listen in [&otlp.grpc, &otlp.http] {
        let Some(address) = address(listen) else { continue };
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let tls = otlp.tls.as_ref().map(|tls| otlp::ServerTls {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
        client_ca_file: tls.client_ca_file.clone(),
    });
    otlp::Options {
        addresses,
        tls,
        max_request_bytes: otlp.max_request.0 as usize,
        in_flight_bytes: config.memory_limit.0 as usize / 4,
    }
}

fn jaeger_options(config: &Config, jaeger: &config::sources::Jaeger) -> jaeger::Options {
    jaeger::Options {
        compact: address(&jaeger.compact).map(|at| at.to_string()),
        binary: address(&jaeger.binary).map(|at| at.to_string()),
        http: address(&jaeger.http),
        in_flight_bytes: config.memory_limit.0 as usize / 4,
    }
}

fn scraped_options(
    config: &Config,
    scraped: &config::sources::Prometheus,
) -> Result<prometheus::Options, SourceError> {
    let rules = scraped.metric_relabel.iter().map(config::sources::Relabel::rule);
    let relabel = rules.collect::<Result<_, _>>();
    let refuse = |error: regex::Error| SourceError::Options { what: error.to_string() };
    let limit = |limit: Option<NonZeroUsize>| limit.map(NonZeroUsize::get);
    Ok(prometheus::Options {
        targets: scraped.targets.iter().map(|target| target.0.clone()).collect(),
        every: scraped.every.0,
        job: scraped.job.clone().unwrap_or_else(|| config.service.name.clone()),
        client: prometheus::ClientOptions {
            authorization: scraped.auth.as_ref().map(config::sinks::Auth::header),
            ca_file: scraped.tls.ca_file.clone(),
            timeout: scraped.timeout().0,
            max_body_bytes: scraped.body_size_limit(config.memory_limit).0 as usize,
            wants_native: scraped.native_histograms,
        },
        treatment: prometheus::Treatment {
            labels: scraped.labels.0.clone(),
            honor_labels: scraped.honor_labels,
            honor_timestamps: scraped.honor_timestamps,
            relabel: relabel.map_err(refuse)?,
            limits: prometheus::Limits {
                samples: Some(scraped.sample_limit.get()),
                labels: limit(scraped.label_limit),
                name_bytes: limit(scraped.label_name_length_limit),
                value_bytes: limit(scraped.label_value_length_limit),
            },
        },
        in_flight_bytes: config.memory_limit.0 as usize / 4,
    })
}

fn address(listen: &config::sources::ListenAddress) -> Option<otlp::Address> {
    Some(match listen {
        config::sources::ListenAddress::Off => return None,
        config::sources::ListenAddress::Tcp(at) => otlp::Address::Tcp(at.to_string()),
        config::sources::ListenAddress::Unix(path) => otlp::Address::Unix(path.clone()),
    })
}

/// Whether what the child writes is repeated as it came: when asked for, or on a terminal.
fn is_raw(config: &Config, fd: impl std::os::fd::AsFd) -> bool {
    match config.echo {
        Some(EchoMode::Raw) => true,
        Some(_) => false,
        None => rustix::termios::isatty(fd),
    }
}

/// Where the protected lines of a child are repeated, if they are.
///
/// # Errors
/// When there are no descriptors.
pub(super) fn protected_echo(config: &Config) -> Result<Option<ProtectedEcho>, DaemonError> {
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
