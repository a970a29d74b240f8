//! HTTP `POST` by reqwest over rustls with ring.
//!
//! # Why
//! - No redirects: a telemetry body goes where the config says or nowhere.
//! - No proxy from the environment: a sidecar inherits variables that were meant for the model.
//! - The answer is bounded: a gateway's error page is not worth more than 64 KiB.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::super::retry::parse_retry_after;
use super::{
    ANSWER_BYTES_MAX, Answer, Client, Outgoing, SendError, Sending, TransportError,
    TransportOptions,
};
use crate::diagnostic::chain;
use crate::secret::Secret;
use crate::trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Below the idle timeouts of the usual load balancers (60 s and more), so that they do not close
/// under us.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a gRPC connection may be silent, and how long a ping's answer may take.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest HTTP/2 frame that is taken; what is sent follows the server's own bound.
const FRAME_BYTES_MAX: u32 = 64 << 10;

/// See the module.
pub(super) struct HttpClient {
    inner: reqwest::Client,
    url: reqwest::Url,
    headers: HeaderMap,
    /// Headers of answers that the sink wants to know.
    answer_headers: &'static [&'static str],
}

impl HttpClient {
    pub(super) fn new(
        url: &str,
        headers: &[(String, Secret)],
        timeout: Duration,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        Self::build(url, headers, Purpose::Http(timeout), options)
    }

    /// The same for gRPC, which is HTTP/2 and nothing else.
    pub(super) fn for_grpc(
        url: &str,
        headers: &[(String, Secret)],
        timeout: Duration,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        Self::build(url, headers, Purpose::GrpcCalls(timeout), options)
    }

    fn build(
        url: &str,
        headers: &[(String, Secret)],
        purpose: Purpose,
        options: &TransportOptions,
    ) -> Result<Self, TransportError> {
        let inner = client(url, purpose, options)?;
        let url = parsed(url)?;
        let headers = headers.iter().map(|(name, value)| header(name, value));
        let headers = headers.collect::<Result<_, _>>()?;
        Ok(Self { inner, url, headers, answer_headers: &[] })
    }

    /// The same, which tells those headers of answers.
    pub(super) fn telling(self, answer_headers: &'static [&'static str]) -> Self {
        Self { answer_headers, ..self }
    }

    /// Sends `outgoing` and returns what comes back, its body unread.
    pub(super) async fn request(
        &self,
        outgoing: &Outgoing,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut request =
            self.inner.post(self.url.clone()).headers(self.headers.clone()).body(body(outgoing));
        for (name, value) in &outgoing.headers {
            request = request.header(*name, value);
        }
        if outgoing.attempt > 0 {
            // Mimir and its kin compute their Retry-After from it.
            request = request.header("Retry-Attempt", outgoing.attempt);
        }
        request.send().await
    }

    async fn post(&self, outgoing: &Outgoing) -> Result<Answer, reqwest::Error> {
        read(self.request(outgoing).await?, self.answer_headers, ANSWER_BYTES_MAX).await
    }
}

/// All of `outgoing`.
pub(super) fn body(outgoing: &Outgoing) -> reqwest::Body {
    match outgoing.parts.is_empty() {
        true => outgoing.bytes.clone().into(),
        false => reqwest::Body::wrap(Parts::of(outgoing)),
    }
}

/// What came back, with at most `bytes_max` of its body.
pub(super) async fn read(
    mut response: reqwest::Response,
    answer_headers: &[&'static str],
    bytes_max: usize,
) -> Result<Answer, reqwest::Error> {
    let header =
        |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let now = SystemTime::now();
    let retry_after =
        header(RETRY_AFTER).and_then(|value| parse_retry_after(value, header(DATE), now));
    let asked = answer_headers.iter();
    let headers =
        asked.filter_map(|name| Some((*name, header((*name).try_into().ok()?)?.to_owned())));
    let headers = headers.collect();
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            // The connection is given up with what is unread.
            break;
        }
    }
    Ok(Answer { status, body, retry_after, headers, ..Answer::default() })
}

/// What a client is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Requests that are answered within a time.
    Http(Duration),
    /// Calls of gRPC that are.
    GrpcCalls(Duration),
    /// Streams of gRPC, which last as long as they want.
    Grpc,
}

/// A client for the host of `url`, whose TLS and proxy are those of the options.
pub(super) fn client(
    url: &str,
    purpose: Purpose,
    options: &TransportOptions,
) -> Result<reqwest::Client, TransportError> {
    let tls = trust::client(options.ca_file.as_deref(), parsed(url)?.scheme() == "https")?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("sidewake/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(options.idle_connections_max.max(1))
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        let proxy = reqwest::Proxy::all(proxy).map_err(|error| refuse(&error.without_url()))?;
        builder = builder.proxy(proxy);
    }
    builder = match purpose {
        Purpose::Http(timeout) | Purpose::GrpcCalls(timeout) => builder.timeout(timeout),
        Purpose::Grpc => builder,
    };
    if matches!(purpose, Purpose::GrpcCalls(_) | Purpose::Grpc) {
        builder = builder
            .http2_prior_knowledge()
            .http2_max_frame_size(FRAME_BYTES_MAX)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE);
    }
    builder.build().map_err(|error| refuse(&chain(&error)))
}

fn parsed(url: &str) -> Result<reqwest::Url, TransportError> {
    reqwest::Url::parse(url).map_err(|error| refuse(&error))
}

fn refuse(error: &dyn std::fmt::Display) -> TransportError {
    TransportError::Http(error.to_string())
}

/// A body of several pieces, which nobody puts together.
struct Parts {
    left: VecDeque<Bytes>,
    n_bytes: usize,
}

impl Parts {
    fn of(outgoing: &Outgoing) -> Self {
        let all = std::iter::once(&outgoing.bytes).chain(&outgoing.parts);
        let left = all.filter(|bytes| !bytes.is_empty()).cloned().collect();
        Self { left, n_bytes: outgoing.len() }
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.left.pop_front();
        self.n_bytes -= next.as_ref().map_or(0, Bytes::len);
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.n_bytes as u64)
    }
}

impl Client for HttpClient {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        Box::pin(async move {
            self.post(outgoing).await.map_err(|error| SendError(chain(&error.without_url())))
        })
    }
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), TransportError> {
    let refuse =
        || TransportError::Http(format!("header \"{name}\" has a character it cannot have"));
    let mut value = HeaderValue::from_str(value.expose()).map_err(|_| refuse())?;
    value.set_sensitive(true);
    Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_at_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("ca.pem");
        std::fs::write(&empty, "no certificate").expect("written");
        let options = TransportOptions::default();
        let with_ca = TransportOptions { ca_file: Some(empty), ..options.clone() };
        let with_proxy = TransportOptions { proxy: Some("::".to_owned()), ..options.clone() };
        let broken = [("X-Scope-OrgID".to_owned(), Secret::new("a\nb".to_owned()))];
        for (url, headers, options, is_sound) in [
            ("http://loki:3100/push", &broken[..0], &options, true),
            ("https://loki:3100/push", &broken[..0], &options, true),
            ("loki", &broken[..0], &options, false),
            ("http://loki", &broken[..], &options, false),
            ("https://loki", &broken[..0], &with_ca, false),
            ("http://loki", &broken[..0], &with_proxy, false),
        ] {
            let client = HttpClient::new(url, headers, Duration::from_secs(1), options);
            assert_eq!(client.is_ok(), is_sound, "{url}: {:?}", client.err());
        }
    }
}
