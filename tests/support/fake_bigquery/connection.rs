//! Connections of the fake's two ports, and how one is dropped.
//!
//! Owns TCP, HTTP and what is known of answers when a connection ends. Knows no message.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::super::watched::{LastAnswer, Receipt, Watched};
use super::{FakeBigQuery, grpc, rest};

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// What a request knows of its connection.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) at: std::time::Instant,
    last: LastAnswer,
    broken: Arc<Notify>,
}

impl Connection {
    /// Drops the connection, with all that is on it.
    pub(crate) fn break_off(&self) {
        // One permit is kept for a connection that does not wait yet.
        self.broken.notify_one();
    }

    /// An answer that is about to be written.
    pub(crate) fn answer(&self) -> Arc<Receipt> {
        let receipt = Receipt::new(self.at);
        *self.last.lock().expect("unpoisoned") = Some(Arc::clone(&receipt));
        receipt
    }
}

pub(crate) async fn serve_rest(fake: FakeBigQuery, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let fake = fake.clone();
        tokio::spawn(async move {
            let (connection, watched) = opened(&fake, stream);
            let service = service_fn(|request: Request<Incoming>| {
                let (fake, connection) = (fake.clone(), connection.clone());
                async move { rest::serve(&fake, &connection, request).await }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            let serving = builder.serve_connection(TokioIo::new(watched), service);
            tokio::select! {
                _ = serving => {}
                () = connection.broken.notified() => {}
            }
        });
    }
}

pub(crate) async fn serve_grpc(fake: FakeBigQuery, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let fake = fake.clone();
        tokio::spawn(async move {
            let (connection, watched) = opened(&fake, stream);
            let service = service_fn(|request: Request<Incoming>| {
                let (fake, connection) = (fake.clone(), connection.clone());
                async move {
                    Ok::<Response<Body>, std::io::Error>(
                        grpc::serve(&fake, &connection, request).await,
                    )
                }
            });
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.max_header_list_size(64 << 10);
            let serving = builder.serve_connection(TokioIo::new(watched), service);
            tokio::select! {
                _ = serving => {}
                () = connection.broken.notified() => {}
            }
            closed(&fake, &connection);
        });
    }
}

fn opened(fake: &FakeBigQuery, stream: TcpStream) -> (Connection, Watched) {
    let mut state = fake.state();
    state.n_connections += 1;
    let connection = Connection {
        number: state.n_connections,
        at: std::time::Instant::now(),
        last: Arc::new(Mutex::new(None)),
        broken: Arc::default(),
    };
    let answer = Arc::clone(&connection.last);
    (connection, Watched { connection: stream, answer })
}

/// An answer that was never read leaves in doubt as many as a client may have under way.
fn closed(fake: &FakeBigQuery, connection: &Connection) {
    let last = connection.last.lock().expect("unpoisoned").clone();
    if last.is_none_or(|last| last.written_at().is_some()) {
        return;
    }
    let mut state = fake.state();
    let of_it = state.appends.iter_mut().rev().filter(|one| one.connection == connection.number);
    for append in of_it.take(fake.options.in_flight_max) {
        append.is_answer_doubtful = true;
    }
}
