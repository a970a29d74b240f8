//! What sources that are called over a network share: sockets, TLS, HTTP's connections, the bytes
//! of a request within bounds, and the one way of a request into the intake.
//!
//! Deliberately knows no protocol: which paths there are, what a body means and how an outcome is
//! written is each source's own ([`Answers`]).
//!
//! Bounds: [`CONNECTIONS_MAX`] connections; all requests in work together by a share of the memory
//! budget (`budget`); ten seconds for a head and thirty for a body.
//!
//! # Why
//! One thread with a runtime of its own, like every source: the walk over 500 spans takes 100 µs,
//! which no other connection's timer notices, and nothing is shared that would need a lock.

pub(super) mod body;
pub(super) mod budget;
mod greeting;
pub(super) mod head;
pub(super) mod inlet;
pub(super) mod listen;
pub(super) mod outcome;
pub(super) mod reply;

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
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use self::greeting::Greeted;
use self::listen::{Bound, Listener, Stream};
use self::reply::Reply;
use super::{SourceError, Stage, Stop};

/// Connections at once; more wait to be accepted.
pub(super) const CONNECTIONS_MAX: usize = 256;
/// How long requests in work have at the end.
pub(super) const DRAIN: Duration = Duration::from_millis(1500);
/// Longest wait for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after an accept that failed: out of descriptors, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Largest HTTP/2 frame that clients may send: a request in one piece is copied once.
const FRAME_BYTES_MAX: u32 = 1 << 20;
/// What a stream and a connection may send ahead of being read.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// A protocol over HTTP.
pub(super) trait Answers: 'static {
    /// Answers a request, on the source's own thread.
    fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Reply>> + 'static;
}

/// Serves until `stop` says so, and lets requests in work end. Within a `LocalSet`.
pub(super) async fn serve(
    bound: Vec<Bound>,
    tls: Option<TlsAcceptor>,
    server: Rc<impl Answers>,
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

struct Acceptor<S> {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    server: Rc<S>,
    places: Arc<Semaphore>,
    graceful: Rc<GracefulShutdown>,
}

impl<S: Answers> Acceptor<S> {
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

async fn secured(stream: Stream, tls: &TlsAcceptor, server: Rc<impl Answers>, watcher: Watcher) {
    match tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, server, watcher).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
        Err(_) => tracing::debug!("a client did not speak TLS in time"),
    }
}

async fn connection(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
    server: Rc<impl Answers>,
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
    let service = service_fn(move |request| {
        let server = Rc::clone(&server);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let stream = Greeted::within(HEADER_TIMEOUT, stream);
    let served = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "a connection broke off");
    }
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
