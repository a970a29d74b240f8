//! Targets that expose metrics, scraped: the model's `/metrics`, in either text format or protobuf,
//! becomes OTLP in the form that [`crate::event::otlp::prometheus`] agrees on.
//!
//! A scrape is whole or it is nothing: what cannot be read to its end, or is more than a limit
//! allows, is as if the target had not answered. Its series are then gone, and `up` is 0.
//!
//! Bounds: one scrape of a target at a time; a body by `max_body_bytes`, packed and unpacked; all
//! bodies together by the budget of `net`; what is remembered of a target by `told`.
//!
//! # Why
//! - *Nothing waits.* While the spool takes nothing, scrapes are skipped and counted: a value that
//!   is told late is told under the wrong time, or refused.
//! - *Tasks on one thread*, like every source: reading 1 MB takes a few milliseconds.

mod family;
mod fetch;
mod labels;
mod lex;
mod native;
mod output;
mod points;
mod proto;
pub mod relabel;
mod replay;
mod sample;
mod scrape;
mod target;
mod text;
mod told;
mod values;

use std::rc::Rc;
use std::time::Duration;

use reqwest::Url;
use tokio::task::{LocalSet, spawn_local};
use xxhash_rust::xxh3::xxh3_64;

use self::fetch::Client;
use self::target::{Shared, Target};
use super::net::inlet::Inlet;
use super::{Context, Ended, Intake, Source, SourceError, Stop};

pub use family::{Limits, Refused, Treatment};
pub use fetch::ClientOptions;
pub use sample::ParseError;
pub use scrape::Format;

/// What a source that scrapes needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is scraped.
    pub targets: Vec<Url>,
    /// How often.
    pub every: Duration,
    /// The name of what is scraped.
    pub job: String,
    /// How it is asked.
    pub client: ClientOptions,
    /// What is done to its samples; the labels are those beside `job` and `instance`.
    pub treatment: Treatment,
    /// What all bodies in work may hold together.
    pub in_flight_bytes: usize,
}

/// The source, with its client.
pub struct Prometheus {
    context: Context,
    options: Options,
    client: Client,
}

impl Prometheus {
    /// # Errors
    /// [`SourceError::Options`] for what the client cannot use: authorities, a header.
    pub fn new(context: Context, options: Options) -> Result<Self, SourceError> {
        let is_secured = options.targets.iter().any(|url| url.scheme() == "https");
        let client = Client::new(&options.client, is_secured)?;
        Ok(Self { context, options, client })
    }
}

impl Source for Prometheus {
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let Self { context, options, client } = *self;
        let Options { every, in_flight_bytes, .. } = options;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let max_body_bytes = options.client.max_body_bytes;
        let seed = xxh3_64(rustix::system::uname().nodename().to_bytes());
        let inlet = Inlet::new(context, intake, max_body_bytes, in_flight_bytes);
        let timeout = options.client.timeout;
        let shared = Rc::new(Shared { inlet, client, every, timeout, seed });
        let local = LocalSet::new();
        let scraped = async {
            let mut running = Vec::new();
            for url in options.targets {
                let treatment = treatment(&options.treatment, &options.job, &url);
                let target = Target::new(Rc::clone(&shared), url, treatment);
                running.push(spawn_local(target.run(stop.clone())));
            }
            for task in running {
                if let Err(error) = task.await {
                    tracing::error!(%error, "BUG: a target's task failed");
                }
            }
        };
        runtime.block_on(local.run_until(scraped));
        drop((local, runtime));
        shared.inlet.flush()?;
        Ok(Ended::default())
    }
}

/// What is done to the samples of one target: with its `job` and `instance`, unless the config
/// names others.
fn treatment(of_all: &Treatment, job: &str, url: &Url) -> Treatment {
    let mut treatment = of_all.clone();
    let host = url.host_str().unwrap_or_default();
    let instance = match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    for (name, value) in [("job", job), ("instance", &instance)] {
        if treatment.labels.iter().all(|(known, _)| known != name) {
            treatment.labels.push((name.to_owned(), value.to_owned()));
        }
    }
    treatment
}

/// What an exposition becomes, scraped once at `time_ns` from a target that was not scraped before;
/// the series of the scrape itself are left out.
///
/// # Errors
/// [`Refused`].
pub fn requests(
    body: &[u8],
    format: Format,
    treatment: &Treatment,
    time_ns: i64,
) -> Result<Vec<Vec<u8>>, Refused> {
    let reading = scrape::read((body, format), treatment, &[], &mut told::Told::default(), time_ns);
    reading.map(scrape::Reading::requests)
}
