//! OTLP, received: gRPC and HTTP, protobuf and JSON, spans, metrics and logs.
//!
//! A request is answered with success when it is durable in the spool, and not before; what cannot
//! be stored now is refused so that the client sends it again. Both transports are served on every
//! address. Spans and metrics go on as the bytes that were received; log records become lines
//! (`log_lines`).
//!
//! Bounds: [`CONNECTIONS_MAX`] connections; a request by `max_request`, packed and unpacked; all
//! requests in work together by a share of the memory budget (`budget`); ten seconds for a head and
//! thirty for a body.
//!
//! # Why
//! One thread with a runtime of its own, like every source: the walk over 500 spans takes 100 µs,
//! which no other connection's timer notices, and nothing is shared that would need a lock.

mod body;
mod budget;
mod grpc;
mod http;
mod listen;
mod log_lines;
mod outcome;
mod reply;
mod serve;

use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use self::listen::{Bound, Listener, Stream};
use self::reply::Reply;
use self::serve::Server;
use super::{Context, Ended, Intake, Source, SourceError, Stage, Stop};

pub use listen::{Address, ServerTls};

/// Connections at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 256;
/// Longest wait for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in work have at the end.
const DRAIN: Duration = Duration::from_millis(1500);
/// Pause after an accept that failed: out of descriptors, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Largest HTTP/2 frame that clients may send: a request in one piece is copied once.
const FRAME_BYTES_MAX: u32 = 1 << 20;
/// What a stream and a connection may send ahead of being read.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What an OTLP source needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; each takes both transports.
    pub addresses: Vec<Address>,
    /// TLS for all of them.
    pub tls: Option<ServerTls>,
    /// Largest request, packed and unpacked.
    pub max_request_bytes: usize,
    /// What all requests in work may hold together.
    pub in_flight_bytes: usize,
}

/// The source, bound to its addresses.
pub struct Otlp {
    context: Context,
    options: Options,
    bound: Vec<Bound>,
    tls: Option<TlsAcceptor>,
}

impl Otlp {
    /// Binds the addresses.
    ///
    /// # Errors
    /// [`SourceError::Listen`] for one that cannot be had, [`SourceError::Options`] for files of
    /// TLS that cannot be used.
    pub fn bind(context: Context, options: Options) -> Result<Self, SourceError> {
        let mut bound = Vec::new();
        for address in &options.addresses {
            let socket = Bound::bind(address)
                .map_err(|source| SourceError::Listen { address: address.to_string(), source })?;
            tracing::info!(source = context.name, address = socket.address(), "listening for OTLP");
            bound.push(socket);
        }
        let tls = match &options.tls {
            Some(files) => {
                let config = listen::tls(files).map_err(|what| SourceError::Options { what })?;
                Some(TlsAcceptor::from(config))
            }
            None => None,
        };
        Ok(Self { context, options, bound, tls })
    }
}

impl Source for Otlp {
    fn run(self: Box<Self>, intake: Box<dyn Intake>, stop: Stop) -> Result<Ended, SourceError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Options { max_request_bytes, in_flight_bytes, .. } = self.options;
        let server = Server::new(self.context, intake, max_request_bytes, in_flight_bytes);
        let local = LocalSet::new();
        let served = serve(self.bound, self.tls, Rc::clone(&server), &stop);
        runtime.block_on(local.run_until(served))?;
        drop((local, runtime));
        server.flush()?;
        Ok(Ended::default())
    }
}

/// Serves until `stop` says so, and lets requests in work end.
async fn serve(
    bound: Vec<Bound>,
    tls: Option<TlsAcceptor>,
    server: Rc<Server>,
    stop: &Stop,
) -> Result<(), SourceError> {
    let graceful = Rc::new(GracefulShutdown::new());
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut accepting = Vec::new();
    for socket in bound {
        let acceptor = Acceptor {
            listener: socket.listen()?,
            tls: tls.clone(),
            server: Rc::clone(&server),
            places: Arc::clone(&places),
            graceful: Rc::clone(&graceful),
        };
        accepting.push(spawn_local(acceptor.run()));
    }
    stop.reached(Stage::Drain).await;
    for task in accepting {
        task.abort();
        // It ends by being aborted.
        let _ = task.await;
    }
    let Some(graceful) = Rc::into_inner(graceful) else { return Ok(()) };
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(DRAIN) => {}
        () = stop.reached(Stage::Now) => {}
    }
    Ok(())
}

struct Acceptor {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    server: Rc<Server>,
    places: Arc<Semaphore>,
    graceful: Rc<GracefulShutdown>,
}

impl Acceptor {
    async fn run(self) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let stream = match self.listener.accept().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (server, watcher) = (Rc::clone(&self.server), self.graceful.watcher());
            let tls = self.tls.clone();
            spawn_local(async move {
                match tls {
                    None => connection(stream, server, watcher).await,
                    Some(tls) => secured(stream, &tls, server, watcher).await,
                }
                drop(place);
            });
        }
    }
}

async fn secured(stream: Stream, tls: &TlsAcceptor, server: Rc<Server>, watcher: Watcher) {
    match tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, server, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
        Err(_) => tracing::debug!("a client did not speak TLS in time"),
    }
}

async fn connection(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    server: Rc<Server>,
    watcher: Watcher,
) {
    let mut builder = auto::Builder::new(LocalExecutor);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(100)
        .keep_alive_interval(Some(Duration::from_secs(60)));
    let service = service_fn(move |request| answer(Rc::clone(&server), request));
    let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "a connection broke off");
    }
}

async fn answer(
    server: Rc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let is_grpc = grpc::is_grpc(&request);
    Ok(if is_grpc {
        grpc::answer(&server, request).await
    } else {
        http::answer(&server, request).await
    })
}

/// Runs hyper's own tasks beside ours, on the same thread.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}
