//! A BigQuery that only counts: it has no table, lets one be created, and takes every append. It
//! checks nothing but that offsets follow each other; the strict one is `tests/support`'s.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidewake::event::otlp::wire::{Reader, push_bytes};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What was received so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) rows: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Appends that are none, or at an offset that was not next.
    pub(crate) strange: AtomicU64,
}

type Reply = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

/// Listens on a free loopback port; serves until the process ends.
pub(crate) fn start() -> (u16, Arc<Counts>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let counts = Arc::<Counts>::default();
    let shared = Arc::clone(&counts);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(serve(listener, shared));
    });
    (port, counts)
}

async fn serve(listener: std::net::TcpListener, counts: Arc<Counts>) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket");
        let counts = Arc::clone(&counts);
        let service = service_fn(move |request| answer(request, Arc::clone(&counts)));
        tokio::spawn(async move {
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, counts: Arc<Counts>) -> Result<Reply, Infallible> {
    let path = request.uri().path().to_owned();
    if path.ends_with("/AppendRows") {
        return Ok(append(request, counts));
    }
    let method = request.method().clone();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if path.ends_with("/CreateWriteStream") {
        let parent = Reader::new(&body, 5, body.len()).read();
        let parent = parent.expect("sound").expect("a parent");
        let name = [parent.of(&body), b"/streams/one"].concat();
        let mut stream = Vec::new();
        push_bytes(&mut stream, 1, &name);
        let frames = [Frame::data(framed(&stream)), ending()];
        let frames = tokio_stream::iter(frames.map(Ok).into_iter().collect::<Vec<_>>());
        return Ok(grpc(StreamBody::new(frames).boxed()));
    }
    let (status, body) = match method {
        // The table is as it was to be created.
        Method::POST => (StatusCode::OK, body),
        _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"{}")),
    };
    let mut response = Response::new(Full::new(body).boxed());
    *response.status_mut() = status;
    Ok(response)
}

/// Takes appends for as long as there are any.
fn append(request: Request<Incoming>, counts: Arc<Counts>) -> Reply {
    let (answers, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let (mut body, mut buffer, mut next) = (request.into_body(), BytesMut::new(), 0);
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            buffer.extend_from_slice(&data);
            while let Some(head) = buffer.first_chunk::<5>() {
                let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                if buffer.len() < 5 + len {
                    buffer.reserve(len);
                    break;
                }
                buffer.advance(5);
                take(&buffer.split_to(len), &mut next, &counts);
                // An append's result, which names no offset.
                let stored = Ok(Frame::data(framed(&[0x0a, 0])));
                if answers.send(stored).await.is_err() {
                    return;
                }
            }
        }
        let _ = answers.send(Ok(ending())).await;
    });
    grpc(StreamBody::new(ReceiverStream::new(receiver)).boxed())
}

/// Counts the rows of an `AppendRowsRequest`.
fn take(message: &[u8], next: &mut u64, counts: &Counts) {
    let (mut n_rows, mut offset) = (0, 0);
    let mut fields = Reader::new(message, 0, message.len());
    while let Ok(Some(field)) = fields.read() {
        let mut inner = Reader::of(message, field);
        match field.number() {
            2 => {
                let value = inner.read().ok().flatten();
                offset = value.map_or(0, |value| value.number_in(message));
            }
            4 => {
                while let Ok(Some(part)) = inner.read() {
                    let mut rows = Reader::of(message, part);
                    while part.number() == 2 && matches!(rows.read(), Ok(Some(_))) {
                        n_rows += 1;
                    }
                }
            }
            _ => {}
        }
    }
    counts.strange.fetch_add(u64::from(n_rows == 0 || offset != *next), Relaxed);
    *next = offset + n_rows;
    counts.rows.fetch_add(n_rows, Relaxed);
    counts.appends.fetch_add(1, Relaxed);
    counts.bytes.fetch_add(message.len() as u64, Relaxed);
}

fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat().into()
}

fn ending() -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Frame::trailers(trailers)
}

fn grpc(body: http_body_util::combinators::BoxBody<Bytes, Infallible>) -> Reply {
    let mut response = Response::new(body);
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}
