//! A collector that only counts: reads each request to its last item and ticks off its span id.
//! It runs in a process of its own, so that its cost is nobody's.

use std::convert::Infallible;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::Case;
use super::shapes::Shape;

/// What was received so far.
pub(crate) struct Counts {
    seen: Vec<AtomicU64>,
    /// Different items.
    pub(crate) items: AtomicU64,
    /// Items that came again.
    pub(crate) repeated: AtomicU64,
    /// Requests that are none, and items that nobody sent.
    pub(crate) strange: AtomicU64,
    pub(crate) requests: AtomicU64,
}

impl Counts {
    fn tick_off(&self, id: &[u8]) {
        let number = id.first_chunk().map_or(0, |id| u64::from_be_bytes(*id)).wrapping_sub(1);
        let Some(word) = self.seen.get((number / 64) as usize).filter(|_| id.len() == 8) else {
            self.strange.fetch_add(1, Relaxed);
            return;
        };
        let bit = 1 << (number % 64);
        let is_new = word.fetch_or(bit, Relaxed) & bit == 0;
        if is_new { &self.items } else { &self.repeated }.fetch_add(1, Relaxed);
    }
}

/// Listens on a free loopback port; serves until the process ends.
pub(crate) fn start(case: Case, n_items: u64) -> (u16, Arc<Counts>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let mut seen = Vec::new();
    seen.resize_with(n_items as usize / 64 + 1, AtomicU64::default);
    let [items, repeated, strange, requests] = Default::default();
    let counts = Arc::new(Counts { seen, items, repeated, strange, requests });
    let shared = Arc::clone(&counts);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(serve(listener, case, shared));
    });
    (port, counts)
}

async fn serve(listener: std::net::TcpListener, case: Case, counts: Arc<Counts>) {
    listener.set_nonblocking(true).expect("a socket");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a socket");
        let counts = Arc::clone(&counts);
        let service = service_fn(move |request| answer(request, case, Arc::clone(&counts)));
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .max_frame_size(case.frame.max(16 << 10) as u32)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20);
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
    }
}

type Reply = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

async fn answer(
    request: Request<Incoming>,
    case: Case,
    counts: Arc<Counts>,
) -> Result<Response<Reply>, Infallible> {
    let packing = request.headers().get("grpc-encoding").cloned();
    if let Ok(body) = request.into_body().collect().await {
        let is_sound = read(&body.to_bytes(), packing.as_ref().map(|word| word.as_bytes()))
            .and_then(|message| count(&message, case.shape, &counts));
        counts.strange.fetch_add(u64::from(is_sound.is_none()), Relaxed);
        counts.requests.fetch_add(1, Relaxed);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", hyper::header::HeaderValue::from_static("0"));
    let frames = [Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)];
    let frames = tokio_stream::iter(frames.map(Ok).into_iter().collect::<Vec<_>>());
    let mut response = Response::new(StreamBody::new(frames));
    let grpc = hyper::header::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    Ok(response)
}

/// The one message of a body.
fn read(body: &[u8], packing: Option<&[u8]>) -> Option<Vec<u8>> {
    let (head, message) = body.split_first_chunk::<5>()?;
    let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if len != message.len() {
        return None;
    }
    match (head[0], packing) {
        (0, _) => Some(message.to_vec()),
        (1, Some(b"gzip")) => {
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(message).read_to_end(&mut out).ok()?;
            Some(out)
        }
        (1, Some(b"zstd")) => zstd::stream::decode_all(message).ok(),
        _ => None,
    }
}

/// Ticks off the items of one request; `None` where it is none.
fn count(mut message: &[u8], shape: Shape, counts: &Counts) -> Option<()> {
    let id_of = if shape == Shape::Log { 10 } else { 2 };
    while !message.is_empty() {
        let mut resource = field(&mut message)?.1;
        while !resource.is_empty() {
            let (number, mut scope) = field(&mut resource)?;
            while number == 2 && !scope.is_empty() {
                let (number, mut item) = field(&mut scope)?;
                let mut id = &[][..];
                while number == 2 && !item.is_empty() {
                    let (number, value) = field(&mut item)?;
                    id = if number == id_of { value } else { id };
                }
                if number == 2 {
                    counts.tick_off(id);
                }
            }
        }
    }
    Some(())
}

/// The next field's number and, of a length-delimited one, its value.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let tag = varint(bytes)?;
    let length = match tag & 7 {
        0 => {
            varint(bytes)?;
            0
        }
        1 => 8,
        2 => varint(bytes)? as usize,
        5 => 4,
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((tag >> 3, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
