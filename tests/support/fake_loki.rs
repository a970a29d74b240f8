//! A strict Loki in this process: reads what a push really holds, refuses what Loki 3 refuses, in
//! its words, and can be told to misbehave. Messages follow Loki 3.7 `validation/validate.go`,
//! `distributor.go` and `ingester/stream.go`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

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
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::IntervalStream;

use super::logproto::{Entry, PushRequest, Stream};
use super::watched::{LastAnswer, Receipt, Watched};

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
    /// The same, and the connection is reset.
    StoreAndReset,
    /// Stored, and answered so much later.
    Slow(Duration),
    /// Never answered.
    Hang,
    /// The same, and the body is not read.
    NeverRead,
    /// The answer's body never ends.
    Drip,
    /// The same, a byte at a time for ever. Nothing is stored.
    Loris(u16),
    /// The answer's body never ends and comes as fast as it is read. Nothing is stored.
    Flood(u16),
    /// Answered with a `Retry-After` that is a date, so many seconds from then.
    LaterAt(u16, u64),
    /// Sent to another address.
    Redirect(u16, String),
}

/// How a connection is treated that comes now, before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As HTTP wants it.
    Well,
    /// Taken, and never read.
    Deaf,
    /// An answer whose head comes a byte at a time for ever.
    DrippingHead,
}

/// What Loki would keep of one entry.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) ts_ns: i64,
    pub(crate) line: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// How often the very same entry came.
    pub(crate) n_times: usize,
    /// To its last time.
    answer: Arc<Receipt>,
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
    /// What is done when nothing else is said.
    habit: Option<Act>,
    stored: Vec<Stored>,
    /// Where entries of a time and line are in `stored`.
    places: HashMap<(i64, String), Vec<usize>>,
    /// Of each entry that came again: the answer to its time before that.
    came_again: Vec<Arc<Receipt>>,
    headers: Vec<HeaderMap>,
    came_at: Vec<Instant>,
    limits: Limits,
    manner: Manner,
    n_connections: usize,
    /// Set where entries are only counted: too many to be kept and compared.
    count: Option<Count>,
}

/// What came, where it is only counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) entries: u64,
    pub(crate) line_bytes: u64,
}

#[derive(Clone)]
pub(crate) struct FakeLoki {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    /// Who listens, and its connections; none while it is down.
    listening: Arc<Mutex<Option<JoinSet<()>>>>,
}

type Answer = Response<BoxBody<Bytes, std::io::Error>>;
/// Closes the connection.
type Closed = std::io::Error;

impl FakeLoki {
    pub(crate) async fn start() -> Self {
        let limits = Limits {
            max_age_ns: 7 * 86_400_000_000_000,
            max_line_bytes: 256 << 10,
            rate_bytes: 4 << 20,
            max_body_bytes: 100 << 20,
        };
        let (acts, stored, headers, came_at) = Default::default();
        let (habit, manner, n_connections, count) = (None, Manner::Well, 0, None);
        let state = State {
            acts,
            habit,
            stored,
            places: HashMap::new(),
            came_again: Vec::new(),
            headers,
            came_at,
            limits,
            manner,
            n_connections,
            count,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (state, listening) = (Arc::new(Mutex::new(state)), Arc::default());
        let loki = Self { state, address, listening };
        loki.listen(listener);
        loki
    }

    fn listen(&self, listener: TcpListener) {
        let (loki, mut tasks) = (self.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                let loki = loki.clone();
                connections.spawn(async move { loki.talk(connection).await });
                while connections.try_join_next().is_some() {}
            }
        });
        *self.listening.lock().expect("unpoisoned") = Some(tasks);
    }

    async fn talk(&self, mut connection: TcpStream) {
        let connected_at = Instant::now();
        let manner = {
            let mut state = self.state();
            state.n_connections += 1;
            state.manner
        };
        match manner {
            Manner::Well => {}
            Manner::Deaf => std::future::pending().await,
            Manner::DrippingHead => {
                let begin = b"HTTP/1.1 204 No Content\r\nX-Long: ".iter();
                for byte in begin.chain(std::iter::repeat(&b'.')) {
                    if connection.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        let connection = connection.into_std().expect("a socket");
        // What is set on one is set on both, and the socket closes with the last of them.
        let other = TcpStream::from_std(connection.try_clone().expect("a socket")).expect("one");
        let connection = TcpStream::from_std(connection).expect("a socket");
        let answer = LastAnswer::default();
        let service = service_fn(|request| self.serve(&other, (connected_at, &answer), request));
        let http = hyper::server::conn::http1::Builder::new();
        let watched = Watched { connection, answer: Arc::clone(&answer) };
        // An error is a connection that was told to close.
        let _ = http.serve_connection(TokioIo::new(watched), service).await;
    }

    /// Refuses connections and breaks those that are open.
    pub(crate) async fn go_down(&self) {
        let tasks = self.listening.lock().expect("unpoisoned").take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }

    /// Listens again, at the same address.
    pub(crate) async fn come_up(&self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                // For a moment another process may have the port.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        self.listen(listener);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests are treated so, one each.
    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().acts.extend(acts);
    }

    /// All requests are treated so, until it recovers.
    pub(crate) fn always(&self, act: Act) {
        self.state().habit = Some(act);
    }

    /// Forgets what it was told to do.
    pub(crate) fn recover(&self) {
        let mut state = self.state();
        state.acts.clear();
        state.habit = None;
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

    /// Of each entry that came again: the answer to its time before that.
    pub(crate) fn came_again(&self) -> Vec<Arc<Receipt>> {
        self.state().came_again.clone()
    }

    /// Headers of all requests.
    pub(crate) fn headers(&self) -> Vec<HeaderMap> {
        self.state().headers.clone()
    }

    /// How connections are treated from now on, beside those that are open.
    pub(crate) fn receive(&self, manner: Manner) {
        self.state().manner = manner;
    }

    pub(crate) fn n_connections(&self) -> usize {
        self.state().n_connections
    }

    /// From now on counts entries and keeps none.
    pub(crate) fn count_only(&self) {
        self.state().count = Some(Count::default());
    }

    pub(crate) fn count(&self) -> Count {
        self.state().count.expect("told to count")
    }

    /// When each request came.
    pub(crate) fn came_at(&self) -> Vec<Instant> {
        self.state().came_at.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("unpoisoned")
    }

    async fn serve(
        &self,
        socket: &TcpStream,
        (connected_at, last): (Instant, &LastAnswer),
        request: Request<Incoming>,
    ) -> Result<Answer, Closed> {
        let close = || std::io::Error::other("told to close");
        let act = {
            let mut state = self.state();
            state.headers.push(request.headers().clone());
            state.came_at.push(Instant::now());
            state.acts.pop_front().or_else(|| state.habit.clone())
        };
        match act {
            Some(Act::CloseBeforeBody) => return Err(close()),
            Some(Act::NeverRead) => std::future::pending().await,
            _ => {}
        }
        let stored = Receipt::new(connected_at);
        *last.lock().expect("unpoisoned") = None;
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| close())?.to_bytes();
        let with = |mut response: Answer, name: &'static str, value: &str| {
            response.headers_mut().insert(name, value.parse().expect("a header"));
            response
        };
        match act {
            Some(Act::Answer(status, words)) => Ok(answer(status, words)),
            Some(Act::Later(status, after)) => {
                Ok(with(answer(status, "later"), "retry-after", &after))
            }
            Some(Act::LaterAt(status, seconds)) => {
                let at = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
                Ok(with(answer(status, "later"), "retry-after", &at))
            }
            Some(Act::Redirect(status, to)) => Ok(with(answer(status, "moved"), "location", &to)),
            Some(Act::StoreAndClose) => {
                self.push(&head, &body, &stored);
                Err(close())
            }
            Some(Act::StoreAndReset) => {
                self.push(&head, &body, &stored);
                socket.set_zero_linger().expect("set");
                Err(close())
            }
            Some(Act::Slow(wait)) => {
                let (status, words) = self.push(&head, &body, &stored);
                *last.lock().expect("unpoisoned") = Some(stored);
                tokio::time::sleep(wait).await;
                Ok(answer(status, &words))
            }
            Some(Act::Hang) => std::future::pending().await,
            Some(Act::Drip) => Ok(dripping()),
            Some(Act::Loris(status)) => {
                Ok(unending(status, Bytes::from_static(b"."), Duration::from_millis(20)))
            }
            Some(Act::Flood(status)) => {
                Ok(unending(status, Bytes::from(vec![b'!'; 64 << 10]), Duration::from_millis(1)))
            }
            Some(Act::CloseBeforeBody | Act::NeverRead) | None => {
                let (status, words) = self.push(&head, &body, &stored);
                *last.lock().expect("unpoisoned") = Some(stored);
                Ok(answer(status, &words))
            }
        }
    }

    /// What Loki does with a push, and says; `answer` is what will become of that.
    fn push(
        &self,
        head: &hyper::http::request::Parts,
        body: &[u8],
        answer: &Arc<Receipt>,
    ) -> (u16, String) {
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
        state.ingest(tenant, &request, answer)
    }
}

impl State {
    fn ingest(
        &mut self,
        tenant: &str,
        request: &PushRequest,
        answer: &Arc<Receipt>,
    ) -> (u16, String) {
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
            self.store(labels, ts_ns, entry, answer);
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

    fn store(
        &mut self,
        labels: BTreeMap<String, String>,
        ts_ns: i64,
        entry: &Entry,
        answer: &Arc<Receipt>,
    ) {
        let pairs = entry.structured_metadata.iter();
        let metadata: BTreeMap<_, _> =
            pairs.map(|pair| (pair.name.clone(), pair.value.clone())).collect();
        assert_eq!(metadata.len(), entry.structured_metadata.len(), "a name twice");
        if let Some(count) = &mut self.count {
            count.entries += 1;
            count.line_bytes += entry.line.len() as u64;
            return;
        }
        let (line, answer) = (entry.line.clone(), Arc::clone(answer));
        let stored = Stored { labels, ts_ns, line, metadata, n_times: 1, answer };
        let same = |kept: &Stored| kept.labels == stored.labels && kept.metadata == stored.metadata;
        let places = self.places.entry((ts_ns, stored.line.clone())).or_default();
        match places.iter().find(|place| same(&self.stored[**place])) {
            Some(place) => {
                let kept = &mut self.stored[*place];
                kept.n_times += 1;
                self.came_again.push(std::mem::replace(&mut kept.answer, stored.answer));
            }
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

/// A body of one byte that does not end.
fn dripping() -> Answer {
    let first = tokio_stream::once(Ok(Frame::data(Bytes::from_static(b"."))));
    let body = BodyExt::boxed(StreamBody::new(first.chain(tokio_stream::pending())));
    Response::builder().status(500).body(body).expect("a response")
}

/// A body of `part` again and again.
fn unending(status: u16, part: Bytes, every: Duration) -> Answer {
    let ticks = IntervalStream::new(tokio::time::interval(every));
    let parts = ticks.map(move |_| Ok(Frame::data(part.clone())));
    let body = BodyExt::boxed(StreamBody::new(parts));
    Response::builder().status(status).body(body).expect("a response")
}
