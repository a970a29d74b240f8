//! The floor: what no relay with these transports can go below. Each request is received whole,
//! sent on as it is, and answered when it is answered. Nothing is looked at, nothing is stored.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// Relays from `port` to the receiver at `to`; never returns.
pub(crate) fn run(port: u16, to: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let client = client();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            let client = client.clone();
            let service = service_fn(move |request| relay(request, client.clone(), to));
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder
                .max_frame_size(1 << 20)
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(1 << 20);
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
}

/// As `deliver` has it.
fn client() -> reqwest::Client {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
    builder.http2_prior_knowledge().build().expect("a client")
}

type Reply = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

async fn relay(
    request: Request<Incoming>,
    client: reqwest::Client,
    to: u16,
) -> Result<Response<Reply>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        if bytes.is_empty() && data.len() >= 5 {
            let len = u32::from_be_bytes([data[1], data[2], data[3], data[4]]);
            bytes.reserve_exact(len as usize + 5);
        }
        bytes.extend_from_slice(&data);
        if body.is_end_stream() {
            break;
        }
    }
    let mut request = client
        .post(format!("http://127.0.0.1:{to}{}", head.uri.path()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(bytes);
    if let Some(packing) = head.headers.get("grpc-encoding") {
        request = request.header("grpc-encoding", packing);
    }
    let answer = request.send().await.expect("an answer");
    answer.bytes().await.expect("an answer");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", hyper::header::HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)];
    let frames = tokio_stream::iter(frames.map(Ok).into_iter().collect::<Vec<_>>());
    let mut response = Response::new(StreamBody::new(frames));
    let grpc = hyper::header::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    Ok(response)
}
