//! Clients: each a connection of its own with one request in flight, as exporters have it.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::Case;
use super::rng::Rng;
use super::shapes::{Shape, Template};

/// gRPC's head of a message.
const FRAME_HEAD: usize = 5;

/// Requests ready to be numbered.
pub(crate) struct Load {
    case: Case,
    templates: Vec<Template>,
    n_requests: u64,
    next: AtomicU64,
}

impl Load {
    pub(crate) fn new(case: Case, n_items: u64) -> Arc<Self> {
        let mut rng = Rng::new(7);
        // Enough different texts that no memo knows all of them.
        let n_templates = (16_000 / case.per_request).max(8);
        let templates =
            (0..n_templates).map(|_| Template::new(case.shape, case.per_request, &mut rng));
        let n_requests = n_items.div_ceil(case.per_request as u64);
        Arc::new(Self { case, templates: templates.collect(), n_requests, next: 0.into() })
    }

    pub(crate) fn n_items(&self) -> u64 {
        self.n_requests * self.case.per_request as u64
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.case.connections
    }

    pub(crate) fn item_bytes(&self) -> usize {
        self.templates[0].item_bytes()
    }

    /// The body of request `number`.
    fn body(&self, number: u64) -> Vec<u8> {
        let template = &self.templates[number as usize % self.templates.len()];
        let mut body = template.fill(number * self.case.per_request as u64, FRAME_HEAD);
        let head = vec![0; FRAME_HEAD];
        match self.case.packing {
            None => {}
            Some("gzip") => {
                let mut packer = flate2::write::GzEncoder::new(head, flate2::Compression::fast());
                packer.write_all(&body[FRAME_HEAD..]).expect("memory");
                body = packer.finish().expect("memory");
            }
            Some(_) => {
                let mut packer = zstd::stream::write::Encoder::new(head, 1).expect("memory");
                packer.write_all(&body[FRAME_HEAD..]).expect("memory");
                body = packer.finish().expect("memory");
            }
        }
        let len = (body.len() - FRAME_HEAD) as u32;
        body[0] = u8::from(self.case.packing.is_some());
        body[1..FRAME_HEAD].copy_from_slice(&len.to_be_bytes());
        body
    }
}

/// Sends all of `load` to `port` over `n_connections`; returns when all is answered with success.
pub(crate) fn send(load: &Arc<Load>, port: u16, n_connections: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let clients: Vec<_> =
            (0..n_connections).map(|_| tokio::spawn(client(Arc::clone(load), port))).collect();
        for client in clients {
            client.await.expect("a client");
        }
    });
}

async fn client(load: Arc<Load>, port: u16) {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.max_send_buf_size(4 << 20);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let service = match load.case.shape {
        Shape::Log => "logs.v1.LogsService",
        Shape::Plain | Shape::Rich => "trace.v1.TraceService",
    };
    let uri = format!("http://127.0.0.1:{port}/opentelemetry.proto.collector.{service}/Export");
    loop {
        let number = load.next.fetch_add(1, Relaxed);
        if number >= load.n_requests {
            return;
        }
        let body = Bytes::from(load.body(number));
        let frames: Vec<Bytes> = (0..body.len())
            .step_by(load.case.frame)
            .map(|at| body.slice(at..body.len().min(at + load.case.frame)))
            .collect();
        let frames = frames.into_iter().map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
        let mut request = hyper::Request::post(&uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(packing) = load.case.packing {
            request = request.header("grpc-encoding", packing);
        }
        let body = StreamBody::new(tokio_stream::iter(frames));
        let request = request.body(body).expect("a request");
        sender.ready().await.expect("a connection");
        let response = sender.send_request(request).await.expect("an answer");
        let head = response.headers().get("grpc-status").cloned();
        let collected = response.into_body().collect().await.expect("an answer");
        let trailer = collected.trailers().and_then(|all| all.get("grpc-status")).cloned();
        assert_eq!(head.or(trailer).expect("a status"), "0", "request {number}");
    }
}
