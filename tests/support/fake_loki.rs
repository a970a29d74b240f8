//! A strict Loki in this process: reads what a push really holds, refuses what Loki 3 refuses, in
//! its words, and can be told to misbehave. Messages follow Loki 3.7 `validation/validate.go`,
//! `distributor.go` and `ingester/stream.go`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;

use super::logproto::{Entry, PushRequest, Stream};

/// How the next request is treated.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answered with this status and body; nothing is stored.
    Answer(u16, &'static str),
    /// The same with a `Retry-After`.
    Later(u16, String),
    /// The connection closes before the body is read.
    CloseBeforeBody,
    /// Stored, then the connection closes: an unknown outcome.
    StoreAndClose,
    /// Never answered.
    Hang,
    /// The answer's body never ends.
    Drip,
}

/// What Loki would keep of one entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ts_ns: i64,
    pub(crate) line: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// How often the very same entry came.
    pub(crate) n_times: usize,
}

/// Limits of the tenant, Loki's defaults.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_age_ns: i64,
    pub(crate) max_line_bytes: usize,
    /// Bytes per second, and the burst: a larger request never passes.
    pub(crate) rate_bytes: usize,
    /// Compressed.
    pub(crate) max_body_bytes: usize,
}

#[derive(Debug)]
struct State {
    acts: VecDeque<Act>,
    stored: Vec<Stored>,
    /// Where entries of a time and line are in `stored`.
    places: HashMap<(i64, String), Vec<usize>>,
    headers: Vec<HeaderMap>,
    limits: Limits,
}

#[derive(Clone)]
pub(crate) struct FakeLoki {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

type Answer = Response<BoxBody<Bytes, std::io::Error>>;
/// Closes the connection.
type Closed = std::io::Error;

impl FakeLoki {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let limits = Limits {
            max_age_ns: 7 * 86_400_000_000_000,
            max_line_bytes: 256 << 10,
            rate_bytes: 4 << 20,
            max_body_bytes: 100 << 20,
        };
        let (acts, stored, headers) = Default::default();
        let state =
            Arc::new(Mutex::new(State { acts, stored, places: HashMap::new(), headers, limits }));
        let loki = Self { state, address };
        let serving = loki.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let loki = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| loki.serve(request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // An error is a connection that was told to close.
                    let _ = http.serve_connection(TokioIo::new(connection), service).await;
                });
            }
        });
        loki
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests are treated so, one each.
    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    /// Forgets what it was told to do.
    pub(crate) fn recover(&self) {
        self.state().acts.clear();
    }

    pub(crate) fn limit(&self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.state().limits);
    }

    pub(crate) fn stored(&self) -> Vec<Stored> {
        self.state().stored.clone()
    }

    pub(crate) fn n_stored(&self) -> usize {
        self.state().stored.len()
    }

    /// Headers of all requests.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.state().headers.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<Answer, Closed> {
        let close = || std::io::Error::other("told to close");
        let act = {
            let mut state = self.state();
            state.headers.push(request.headers().clone());
            state.acts.pop_front()
        };
        if matches!(act, Some(Act::CloseBeforeBody)) {
            return Err(close());
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| close())?.to_bytes();
        match act {
            Some(Act::Answer(status, words)) => Ok(answer(status, words)),
            Some(Act::Later(status, after)) => {
                let mut response = answer(status, "later");
                let after = after.parse().expect("a header");
                response.headers_mut().insert("retry-after", after);
                Ok(response)
            }
            Some(Act::StoreAndClose) => {
                self.push(&head, &body);
                Err(close())
            }
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Drip) => Ok(dripping()),
            Some(Act::CloseBeforeBody) | None => {
                let (status, words) = self.push(&head, &body);
                Ok(answer(status, &words))
            }
        }
    }

    /// What Loki does with a push, and says.
    fn push(&self, head: &hyper::http::request::Parts, body: &[u8]) -> (u16, String) {
        let is_push = head.method == "POST" && head.uri.path() == "/loki/api/v1/push";
        if !is_push {
            return (404, "404 page not found".to_owned());
        }
        let Some(tenant) = head.headers.get("x-scope-orgid").and_then(|id| id.to_str().ok()) else {
            return (401, "no org id".to_owned());
        };
        assert_eq!(head.headers["content-type"], "application/x-protobuf");
        let mut state = self.state();
        if body.len() > state.limits.max_body_bytes {
            return (413, format!("request body too large: {} bytes", body.len()));
        }
        let raw = match snap::raw::Decoder::new().decompress_vec(body) {
            Ok(raw) => raw,
            Err(_) => return (400, "snappy: corrupt input".to_owned()),
        };
        let request = match PushRequest::decode(raw.as_slice()) {
            Ok(request) => request,
            Err(error) => return (400, error.to_string()),
        };
        if request.streams.is_empty() {
            let words = "error at least one valid stream is required for ingestion";
            return (422, words.to_owned());
        }
        state.ingest(tenant, &request)
    }
}

impl State {
    fn ingest(&mut self, tenant: &str, request: &PushRequest) -> (u16, String) {
        let mut valid = Vec::new();
        let mut errors: BTreeMap<String, usize> = BTreeMap::new();
        for stream in &request.streams {
            assert_eq!(stream.hash, 0);
            let Some(labels) = parse_labels(&stream.labels) else {
                return (400, format!("couldn't parse labels: {}", stream.labels));
            };
            assert!(labels.len() <= 16, "too many labels: {}", stream.labels);
            for entry in &stream.entries {
                match self.validate(stream, entry) {
                    Ok(ts_ns) => valid.push((labels.clone(), ts_ns, entry)),
                    Err(words) => *errors.entry(words).or_default() += 1,
                }
            }
        }
        let total: usize = valid.iter().map(|(_, _, entry)| size(entry)).sum();
        if total > self.limits.rate_bytes {
            let (limit, lines) = (self.limits.rate_bytes, valid.len());
            let words = format!(
                "ingestion rate limit exceeded for user {tenant} (limit: {limit} bytes/sec) while \
                 attempting to ingest '{lines}' lines totaling '{total}' bytes, reduce log volume \
                 or contact your Loki administrator to see if the limit can be increased"
            );
            return (429, words);
        }
        for (labels, ts_ns, entry) in valid {
            self.store(labels, ts_ns, entry);
        }
        match errors.len() {
            0 => (204, String::new()),
            _ => (400, grouped(&errors)),
        }
    }

    fn validate(&self, stream: &Stream, entry: &Entry) -> Result<i64, String> {
        let timestamp = entry.timestamp.expect("a timestamp");
        assert!((0..1_000_000_000).contains(&timestamp.nanos), "{timestamp:?}");
        let ts_ns = timestamp.seconds * 1_000_000_000 + i64::from(timestamp.nanos);
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        let now_ns = since.as_nanos() as i64;
        let oldest_ns = now_ns - self.limits.max_age_ns;
        let labels = &stream.labels;
        if ts_ns < oldest_ns {
            return Err(format!(
                "entry for stream '{labels}' has timestamp too old: {}, oldest acceptable \
                 timestamp is: {}",
                seconds(ts_ns),
                seconds(oldest_ns)
            ));
        }
        if ts_ns > now_ns + 600_000_000_000 {
            let at = seconds(ts_ns);
            return Err(format!("entry for stream '{labels}' has timestamp too new: {at}"));
        }
        let (len, max) = (entry.line.len(), self.limits.max_line_bytes);
        if len > max {
            return Err(format!(
                "max entry size '{max}' bytes exceeded for stream '{labels}' while adding an entry \
                 with length '{len}' bytes"
            ));
        }
        for pair in &entry.structured_metadata {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(!pair.name.is_empty() && pair.name.chars().all(is_name), "{pair:?}");
            assert!(!pair.value.contains('\u{fffd}'), "{pair:?}");
        }
        Ok(ts_ns)
    }

    fn store(&mut self, labels: BTreeMap<String, String>, ts_ns: i64, entry: &Entry) {
        let pairs = entry.structured_metadata.iter();
        let metadata: BTreeMap<_, _> =
            pairs.map(|pair| (pair.name.clone(), pair.value.clone())).collect();
        assert_eq!(metadata.len(), entry.structured_metadata.len(), "a name twice");
        let stored = Stored { labels, ts_ns, line: entry.line.clone(), metadata, n_times: 1 };
        let same = |kept: &Stored| kept.labels == stored.labels && kept.metadata == stored.metadata;
        let places = self.places.entry((ts_ns, stored.line.clone())).or_default();
        match places.iter().find(|place| same(&self.stored[**place])) {
            Some(place) => self.stored[*place].n_times += 1,
            None => {
                places.push(self.stored.len());
                self.stored.push(stored);
            }
        }
    }
}

/// As Loki's `GroupedErrors`.
fn grouped(errors: &BTreeMap<String, usize>) -> String {
    let is_alone = errors.len() == 1 && errors.values().all(|n| *n == 1);
    let parts = errors.iter().map(|(words, n)| {
        if is_alone { words.clone() } else { format!("{n} errors like: {words}") }
    });
    parts.collect::<Vec<_>>().join("; ")
}

fn size(entry: &Entry) -> usize {
    let pairs = entry.structured_metadata.iter();
    entry.line.len() + pairs.map(|pair| pair.name.len() + pair.value.len()).sum::<usize>()
}

/// RFC 3339 in whole seconds, as Go's `time.RFC3339`.
fn seconds(ts_ns: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(ts_ns.div_euclid(1_000_000_000));
    time.expect("a time").format(&Rfc3339).expect("printed")
}

/// `{a="b", c="d"}` with PromQL's escapes; `None` for anything else.
fn parse_labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?;
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"")?;
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_sound = name.starts_with(is_first)
            && !name.starts_with("__")
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at + 1,
                (_, '\n') => return None,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    _ => return None,
                }),
                (_, c) => value.push(c),
            }
        };
        let is_new = labels.insert(name.to_owned(), value).is_none();
        if !is_sound || !is_new {
            return None;
        }
        rest = &quoted[end..];
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    (!labels.is_empty()).then_some(labels)
}

fn answer(status: u16, words: &str) -> Answer {
    let body = Full::new(Bytes::copy_from_slice(words.as_bytes()));
    let body = body.map_err(|never| match never {}).boxed();
    Response::builder().status(status).body(body).expect("a response")
}

fn dripping() -> Answer {
    let first = tokio_stream::once(Ok(Frame::data(Bytes::from_static(b"."))));
    let body = BodyExt::boxed(StreamBody::new(first.chain(tokio_stream::pending())));
    Response::builder().status(500).body(body).expect("a response")
}
