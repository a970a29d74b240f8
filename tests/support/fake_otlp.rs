//! A strict OTLP receiver in this process: gRPC and HTTP on one port, read by the official
//! definitions, and told to misbehave. Keeps each span's id, and what became of the answers.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message;
use tokio::net::TcpListener;

use super::otlp_proto::logs::ResourceLogs;
use super::otlp_proto::logs_service::ExportLogsServiceRequest;
use super::otlp_proto::metrics_service::ExportMetricsServiceRequest;
use super::otlp_proto::trace::{ResourceSpans, Span};
use super::otlp_proto::trace_service::ExportTraceServiceRequest;
use super::watched::{LastAnswer, Receipt, Watched};

/// How the next request is treated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// gRPC: this code; HTTP: the status that OTLP gives for it. Nothing is stored.
    Fail(u32),
    /// The same, to be tried again so many milliseconds later.
    Later(u32, u64),
    /// Stored, and the connection or stream broken off instead of an answer.
    StoreAndBreak,
    /// Broken off before anything is read.
    Break,
    /// Stored but for so many, which it says it refused.
    Reject(i64),
    /// Never answered.
    Hang,
    /// Stored, and answered so many milliseconds later.
    Slow(u64),
}

/// One span's times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Of each, what became of the answer.
    pub(crate) answers: Vec<Arc<Receipt>>,
}

#[derive(Debug, Default)]
struct State {
    acts: VecDeque<Act>,
    /// How every request is treated that no act is meant for.
    always: Option<Act>,
    spans: HashMap<Vec<u8>, Seen>,
    resource_spans: Vec<ResourceSpans>,
    resource_logs: Vec<ResourceLogs>,
    n_metrics: usize,
    headers: Vec<HeaderMap>,
    /// Messages as they came.
    raw: Vec<Vec<u8>>,
    /// What it received is kept whole, and not only counted.
    keeps: bool,
}

#[derive(Clone)]
pub(crate) struct FakeOtlp {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

type Body = BoxBody<Bytes, std::io::Error>;

impl FakeOtlp {
    /// Listens for as long as the runtime lives.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let fake = Self { state: Arc::default(), address };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = serving.clone();
                tokio::spawn(async move {
                    let connected_at = Instant::now();
                    let answer = LastAnswer::default();
                    let watched = Watched { connection: stream, answer: Arc::clone(&answer) };
                    let service = service_fn(move |request| {
                        let (fake, answer) = (fake.clone(), Arc::clone(&answer));
                        async move { fake.serve((connected_at, &answer), request).await }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // An error is a connection that was told to break.
                    let _ = builder.serve_connection(TokioIo::new(watched), service).await;
                });
            }
        });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    /// From now on.
    pub(crate) fn always(&self, act: Act) {
        self.state().always = Some(act);
    }

    pub(crate) fn recover(&self) {
        let mut state = self.state();
        state.acts.clear();
        state.always = None;
    }

    /// Keeps requests whole from now on.
    pub(crate) fn keep(&self) {
        self.state().keeps = true;
    }

    pub(crate) fn n_spans(&self) -> usize {
        self.state().spans.len()
    }

    pub(crate) fn seen(&self) -> HashMap<Vec<u8>, Seen> {
        self.state().spans.clone()
    }

    /// Every span that was kept, with nothing of its resource.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let state = self.state();
        let scopes = state.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    pub(crate) fn resource_spans(&self) -> Vec<ResourceSpans> {
        self.state().resource_spans.clone()
    }

    pub(crate) fn resource_logs(&self) -> Vec<ResourceLogs> {
        self.state().resource_logs.clone()
    }

    /// Every message that was kept, as it came.
    pub(crate) fn raw(&self) -> Vec<Vec<u8>> {
        self.state().raw.clone()
    }

    pub(crate) fn n_metrics(&self) -> usize {
        self.state().n_metrics
    }

    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.state().headers.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }

    async fn serve(
        &self,
        (connected_at, last): (Instant, &LastAnswer),
        request: Request<Incoming>,
    ) -> Result<Response<Body>, std::io::Error> {
        let broken = || std::io::Error::other("told to break");
        *last.lock().expect("unpoisoned") = None;
        let act = {
            let mut state = self.state();
            state.headers.push(request.headers().clone());
            state.acts.pop_front().or(state.always)
        };
        let header = |name: &str| {
            let value = request.headers().get(name).map(HeaderValue::as_bytes);
            value.unwrap_or_default().to_vec()
        };
        let is_grpc = header("content-type").starts_with(b"application/grpc");
        match act {
            Some(Act::Break) => return Err(broken()),
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Fail(code)) => return Ok(failed(is_grpc, code, None)),
            Some(Act::Later(code, ms)) => return Ok(failed(is_grpc, code, Some(ms))),
            _ => {}
        }
        let encoding = header(if is_grpc { "grpc-encoding" } else { "content-encoding" });
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map_err(|_| broken())?.to_bytes();
        let (is_packed, packed) = match is_grpc {
            true => {
                let len = u32::from_be_bytes(body[1..5].try_into().expect("four bytes"));
                assert_eq!(body.len(), 5 + len as usize, "one whole message");
                (body[0] == 1, &body[5..])
            }
            false => (!encoding.is_empty(), &body[..]),
        };
        let message = if is_packed { unpacked(packed, &encoding) } else { packed.to_vec() };
        let receipt = Receipt::new(connected_at);
        self.store(&path, &message, &receipt);
        if !matches!(act, Some(Act::StoreAndBreak)) {
            *last.lock().expect("unpoisoned") = Some(receipt);
        }
        match act {
            Some(Act::StoreAndBreak) => Err(broken()),
            Some(Act::Reject(n)) => Ok(taken(is_grpc, n)),
            Some(Act::Slow(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(taken(is_grpc, 0))
            }
            _ => Ok(taken(is_grpc, 0)),
        }
    }

    fn store(&self, path: &str, message: &[u8], answer: &Arc<Receipt>) {
        let mut state = self.state();
        if state.keeps {
            state.raw.push(message.to_vec());
        }
        if path.ends_with("TraceService/Export") || path == "/v1/traces" {
            let request = ExportTraceServiceRequest::decode(message).expect("a request of spans");
            for resource in &request.resource_spans {
                for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8), "{span:?}");
                    let seen = state.spans.entry(span.span_id.clone()).or_default();
                    seen.answers.push(Arc::clone(answer));
                }
            }
            if state.keeps {
                state.resource_spans.extend(request.resource_spans);
            }
        } else if path.ends_with("LogsService/Export") || path == "/v1/logs" {
            let request = ExportLogsServiceRequest::decode(message).expect("a request of logs");
            state.resource_logs.extend(request.resource_logs);
        } else {
            assert!(path.ends_with("MetricsService/Export") || path == "/v1/metrics", "{path}");
            let request = ExportMetricsServiceRequest::decode(message).expect("a request");
            let scopes = request.resource_metrics.iter().flat_map(|one| &one.scope_metrics);
            state.n_metrics += scopes.map(|scope| scope.metrics.len()).sum::<usize>();
        }
    }
}

fn unpacked(packed: &[u8], encoding: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match encoding {
        b"gzip" => {
            let mut reader = flate2::read::GzDecoder::new(packed);
            std::io::Read::read_to_end(&mut reader, &mut out).expect("gzip");
        }
        b"zstd" => out = zstd::decode_all(packed).expect("zstd"),
        other => panic!("packed by {other:?}"),
    }
    out
}

fn taken(is_grpc: bool, n_rejected: i64) -> Response<Body> {
    let mut message = Vec::new();
    if n_rejected > 0 {
        // partial_success { rejected_spans, error_message: "no" }
        let inner = [&[8, n_rejected as u8][..], b"\x12\x02no"].concat();
        message.extend_from_slice(&[10, inner.len() as u8]);
        message.extend_from_slice(&inner);
    }
    if !is_grpc {
        return Response::new(whole(message, None));
    }
    let frame = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(whole(frame, Some(trailers)));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    response
}

fn failed(is_grpc: bool, code: u32, later_ms: Option<u64>) -> Response<Body> {
    let mut response = Response::new(whole(Vec::new(), None));
    let headers = response.headers_mut();
    if is_grpc {
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(code));
        headers.insert("grpc-message", HeaderValue::from_static("told%20to fail"));
        if let Some(ms) = later_ms {
            headers.insert("grpc-status-details-bin", retry_info(code, ms));
        }
        return response;
    }
    if let Some(ms) = later_ms {
        headers.insert("retry-after", HeaderValue::from(ms.div_ceil(1000)));
    }
    let status = match code {
        8 => 429,
        14 => 503,
        3 => 400,
        16 => 401,
        _ => 500,
    };
    *response.status_mut() = status.try_into().expect("a status");
    response
}

/// A `google.rpc.Status` with a `RetryInfo`, built by hand from `error_details.proto`.
fn retry_info(code: u32, ms: u64) -> HeaderValue {
    let delay = Duration::from_millis(ms);
    let mut duration = vec![8];
    prost::encoding::encode_varint(delay.as_secs(), &mut duration);
    duration.push(16);
    prost::encoding::encode_varint(u64::from(delay.subsec_nanos()), &mut duration);
    let info = [&[10, duration.len() as u8][..], &duration].concat();
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let any = [&[10, url.len() as u8][..], url, &[18, info.len() as u8], &info].concat();
    let status = [&[8, code as u8, 26, any.len() as u8][..], &any].concat();
    let text = data_encoding::BASE64_NOPAD.encode(&status);
    HeaderValue::from_str(&text).expect("a header")
}

fn whole(data: Vec<u8>, trailers: Option<HeaderMap>) -> Body {
    let data = (!data.is_empty()).then(|| Frame::data(Bytes::from(data)));
    let frames = data.into_iter().chain(trailers.map(Frame::trailers));
    let frames: Vec<Result<Frame<Bytes>, std::io::Error>> = frames.map(Ok).collect();
    BodyExt::boxed(http_body_util::StreamBody::new(tokio_stream::iter(frames)))
}
