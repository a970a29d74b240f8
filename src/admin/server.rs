//! The HTTP side: hyper on one listener, bounded against whoever can reach it.
//!
//! Bounds: [`CONNECTIONS_MAX`] connections (more are closed at once), [`HEADER_TIMEOUT`] to send a
//! request's head, [`HEAD_BYTES_MAX`] of it, [`CONNECTION_AGE_MAX`] a connection, bodies unread.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::exposition::Exposition;
use super::panel::Panel;
use super::{metrics, status};

/// Connections at once; a scraper, a kubelet and a few people.
pub(super) const CONNECTIONS_MAX: usize = 32;
/// Longest wait for a request's head, also between requests of one connection.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest life of a connection: a slow reader must not keep its place for ever.
pub(super) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// hyper's least.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 10;
/// Pause after an accept that failed: out of descriptors, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct AdminError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: std::io::Error,
}

/// A bound listener.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`AdminError`] when the address cannot be had.
    pub async fn bind(address: SocketAddr) -> Result<Self, AdminError> {
        let refuse = |source| AdminError { address, source };
        let listener = TcpListener::bind(address).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `panel` until the future is dropped, and its connections with it.
    pub async fn serve(self, panel: Arc<Panel>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        // Without a place the stream is dropped, which closes it.
                        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                            connections.spawn(converse(stream, place, Arc::clone(&panel)));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not accept an admin connection");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn converse(stream: TcpStream, place: OwnedSemaphorePermit, panel: Arc<Panel>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &panel);
        async move { Ok::<_, Infallible>(response) }
    });
    let conversation = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // How a connection ends is the other side's business.
    let _ = tokio::time::timeout(CONNECTION_AGE_MAX, conversation).await;
    drop(place);
}

fn respond<B>(request: &Request<B>, panel: &Panel) -> Response<Full<Bytes>> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let (status, text, content_type) = match request.uri().path() {
        "/livez" => (StatusCode::OK, "ok\n".to_owned(), PLAIN),
        "/readyz" => match panel.readiness.obstacles() {
            obstacles if obstacles.is_empty() => (StatusCode::OK, "ok\n".to_owned(), PLAIN),
            obstacles => (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n", PLAIN),
        },
        "/status" => (StatusCode::OK, status::render(panel, SystemTime::now()), "application/json"),
        "/metrics" => {
            let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
            let is_openmetrics =
                accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
            let mut out = Exposition::new(is_openmetrics);
            metrics::write(panel, &mut out);
            let (text, content_type) = out.finish();
            (StatusCode::OK, text, content_type)
        }
        _ => (StatusCode::NOT_FOUND, "/livez /readyz /status /metrics\n".to_owned(), PLAIN),
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = Response::builder().header(CACHE_CONTROL, "no-store");
    let response = if is_read || status == StatusCode::NOT_FOUND {
        response.status(status).header(CONTENT_TYPE, content_type).body(text)
    } else {
        let response = response.status(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, "GET, HEAD");
        response.body(String::new())
    };
    // Every header above is a constant: the builder has nothing to refuse.
    response.unwrap_or_default().map(|text| Full::new(Bytes::from(text)))
}
