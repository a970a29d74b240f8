//! How bodies travel: `http`, `grpc`, `bigquery`, `file` and `stdout`, behind one trait, so that
//! tests can stand in.
//!
//! A transport sends once and says what came back. It never retries, and never judges.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::span::Span;
use crate::sinks::{Contents, Transport};
use crate::telemetry::RouteCounters;
use crate::trust::TrustError;

mod bigquery;
mod file;
mod grpc;
mod http;
mod stdout;

pub use bigquery::Accounts;

/// Answers are read to this length and no further.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;

/// One body, ready to go; the same bytes at every attempt.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// What is sent.
    pub bytes: Bytes,
    /// What follows it, for HTTP.
    pub parts: Vec<Bytes>,
    /// Headers of this body beside the transport's own.
    pub headers: Vec<(&'static str, String)>,
    /// Files: the path below the root.
    pub file_name: String,
    /// 0 the first time.
    pub attempt: u32,
    /// What the sink says of it.
    pub contents: Contents,
    /// Which events it holds.
    pub span: Arc<Span>,
    /// How many those are.
    pub n_events: u64,
    /// How many of the span it does not hold, because they are dead letters.
    pub n_refused: u64,
    /// A process before this one wrote it down.
    pub is_resumed: bool,
}

/// What a process before this one was about to send, or had just sent.
#[derive(Clone, Debug, Default)]
pub struct Resumed {
    /// The body; none where it is settled.
    pub bytes: Bytes,
    /// Which events it holds.
    pub span: Span,
    /// How many.
    pub n_events: u64,
    /// How many of the span are dead letters.
    pub n_refused: u64,
    /// It is known to be stored.
    pub is_settled: bool,
}

impl Outgoing {
    /// Bytes of all of it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() + self.parts.iter().map(Bytes::len).sum::<usize>()
    }

    /// Whether nothing is sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; 200 from transports without one.
    pub status: u16,
    /// At most [`ANSWER_BYTES_MAX`] bytes.
    pub body: Vec<u8>,
    /// The `Retry-After` header, or gRPC's `RetryInfo`.
    pub retry_after: Option<Duration>,
    /// Code and message of gRPC.
    pub grpc: Option<(u32, String)>,
    /// Those headers that the sink asked for and the answer has.
    pub headers: Vec<(&'static str, String)>,
    /// The transport's own: the body was not sent.
    pub is_unsent: bool,
}

impl Answer {
    /// What a transport without statuses says of success.
    #[must_use]
    pub fn done() -> Self {
        Self { status: 200, ..Self::default() }
    }
}

/// No answer: refused connection, reset, timeout, full disk. The outcome may be unknown.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SendError(pub String);

/// What [`Client::send`] returns.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<Answer, SendError>> + Send + 'a>>;

/// A transport.
pub trait Client: Send + Sync + 'static {
    /// Sends `outgoing` once.
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a>;

    /// Whether it writes bodies down before it sends them, so that each is stored once: then they
    /// must come one after the other, in the order of the log.
    fn is_exact(&self) -> bool {
        false
    }

    /// The last body that a process before this one wrote down.
    fn resumed(&self) -> Option<Resumed> {
        None
    }
}

/// What a route's transport needs beside what the sink names.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// PEM file with the only authorities to trust, instead of the bundled ones (Mozilla's).
    pub ca_file: Option<PathBuf>,
    /// A proxy's URL. None is used unless named: the environment is not asked.
    pub proxy: Option<String>,
    /// Connections that are kept while idle.
    pub idle_connections_max: usize,
    /// The route's name, for the folder of unfinished files.
    pub route: String,
    /// Where a transport may keep what outlives the process.
    pub state_folder: Option<PathBuf>,
    /// The route's, for what only its transport knows.
    pub counters: Arc<RouteCounters>,
    /// What routes to BigQuery share.
    pub accounts: Accounts,
}

/// Why a transport cannot be set up. All of them are mistakes in the config.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The CA file cannot be read or holds no certificate.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The URL, the proxy or a header cannot be used.
    #[error("cannot set up HTTP: {0}")]
    Http(String),
    /// The folder of unfinished files cannot be made.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The client for a sink's transport.
///
/// # Errors
/// [`TransportError`] when the options cannot work.
pub fn connect(
    transport: &Transport,
    options: &TransportOptions,
) -> Result<Arc<dyn Client>, TransportError> {
    Ok(match transport {
        Transport::Http { url, headers, timeout, answer_headers } => {
            let client = http::HttpClient::new(url, headers, *timeout, options)?;
            Arc::new(client.telling(answer_headers))
        }
        Transport::Grpc { url, headers, timeout } => {
            Arc::new(grpc::GrpcClient::new(url, headers, *timeout, options)?)
        }
        Transport::BigQuery(destination) => bigquery::connect(destination, options)?,
        Transport::File { root } => Arc::new(file::FileClient::new(root, &options.route)?),
        Transport::Stdout => Arc::new(stdout::StdoutClient),
    })
}
