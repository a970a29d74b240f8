//! A target asked over HTTP: what is sent, and a body within bounds, packed and unpacked.
//!
//! Deliberately keeps no time: whoever asks gives up by dropping the question.
//!
//! Source: Prometheus 3, `scrape/scrape.go` (headers).
//!
//! # Why
//! - No proxy from the environment: a sidecar inherits variables that were meant for the model.
//! - Nothing unpacks but we: a library that does has no bound, and a few kilobytes of gzip may be
//!   gigabytes.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, Url};

use super::scrape::Format;
use crate::diagnostic::chain;
use crate::secret::Secret;
use crate::sources::SourceError;
use crate::sources::net::body::{BodyError, Packing, unpack};
use crate::sources::net::budget::Hold;
use crate::trust;

/// A target that moved says where to; one that leads in circles is none.
const REDIRECTS_MAX: usize = 3;
/// What is wanted, the best first; any name may come.
const TEXTS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const PROTOBUF: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,";
/// How long the scraper will wait.
const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";

/// What was exposed.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Vec<u8>,
    pub(super) format: Format,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// No connection, no answer, or one that broke off.
    #[error("{0}")]
    Http(String),
    /// Another status than 200.
    #[error("the target answers {0}")]
    Status(StatusCode),
    /// Larger than it may be.
    #[error("the body is larger than {0} bytes (body_size_limit)")]
    TooLarge(usize),
    /// Others take all memory that there is.
    #[error("too much is read at once for the memory that there is")]
    Busy,
    /// It cannot be unpacked.
    #[error("the body cannot be unpacked: {0}")]
    Packed(String),
    /// Packed or written in a way that was not asked for.
    #[error("the target answers with {0:?}, which was not asked for")]
    Unasked(String),
}

/// Asks targets.
pub(super) trait Fetch {
    /// What `url` exposes; `hold` pays for it.
    async fn fetch(&self, url: &Url, hold: &mut Hold) -> Result<Fetched, FetchError>;
}

/// What a client needs to know.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The value of the header `Authorization`.
    pub authorization: Option<Secret>,
    /// PEM file with the only authorities to trust, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long a scrape may take.
    pub timeout: Duration,
    /// The largest body, packed and unpacked.
    pub max_body_bytes: usize,
    /// Whether protobuf is wanted, which alone has native histograms.
    pub wants_native: bool,
}

/// Asks by reqwest.
pub(super) struct Client {
    inner: reqwest::Client,
    headers: HeaderMap,
    max_body_bytes: usize,
}

impl Client {
    /// # Errors
    /// [`SourceError::Options`] for what cannot work.
    pub(super) fn new(options: &ClientOptions, is_secured: bool) -> Result<Self, SourceError> {
        let refuse = |what: String| SourceError::Options { what };
        let tls = trust::client(options.ca_file.as_deref(), is_secured)
            .map_err(|error| refuse(error.to_string()))?;
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("sidewake/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(1)
            .no_proxy()
            .build()
            .map_err(|error| refuse(chain(&error)))?;
        let accept = format!("{}{TEXTS}", if options.wants_native { PROTOBUF } else { "" });
        let seconds = options.timeout.as_secs_f64().to_string();
        let mut headers = HeaderMap::new();
        for (name, value) in [(ACCEPT, accept), (ACCEPT_ENCODING, "gzip".to_owned())] {
            let value = HeaderValue::try_from(value).map_err(|error| refuse(error.to_string()))?;
            headers.insert(name, value);
        }
        let seconds = HeaderValue::try_from(seconds).map_err(|error| refuse(error.to_string()))?;
        headers.insert(TIMEOUT_HEADER, seconds);
        if let Some(secret) = &options.authorization {
            let what = "\"auth\": it has a character that no header can have";
            let value = HeaderValue::try_from(secret.expose());
            let mut value = value.map_err(|_| refuse(what.to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Self { inner, headers, max_body_bytes: options.max_body_bytes })
    }

    /// Receives a body as it comes, packed or not.
    async fn receive(&self, mut answer: Response, hold: &mut Hold) -> Result<Vec<u8>, FetchError> {
        let mut body = Vec::new();
        let said = answer.content_length().unwrap_or(0);
        if said > self.max_body_bytes as u64 {
            return Err(FetchError::TooLarge(self.max_body_bytes));
        }
        while let Some(chunk) = answer.chunk().await.map_err(|error| http(&error))? {
            let needed = body.len() + chunk.len();
            if needed > self.max_body_bytes {
                return Err(FetchError::TooLarge(self.max_body_bytes));
            }
            if body.capacity() < needed {
                let wanted = needed.max(body.capacity() * 2).min(self.max_body_bytes);
                if !hold.wait_for(wanted - body.capacity()).await {
                    return Err(FetchError::Busy);
                }
                body.reserve_exact(wanted - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Fetch for Client {
    async fn fetch(&self, url: &Url, hold: &mut Hold) -> Result<Fetched, FetchError> {
        let request = self.inner.get(url.clone()).headers(self.headers.clone());
        let answer = request.send().await.map_err(|error| http(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let format = format_of(&header("content-type").unwrap_or_default())?;
        let packing = header("content-encoding").unwrap_or_default();
        let packing = Packing::parse(packing.as_bytes())
            .filter(|packing| matches!(packing, Packing::None | Packing::Gzip))
            .ok_or(FetchError::Unasked(packing))?;
        let packed = self.receive(answer, hold).await?;
        let body = unpack(packed, packing, self.max_body_bytes, hold);
        let body = body.map_err(|error| match error {
            BodyError::TooLarge(most) => FetchError::TooLarge(most),
            BodyError::Busy => FetchError::Busy,
            BodyError::Packed(error) => FetchError::Packed(error.to_string()),
            other => FetchError::Packed(other.to_string()),
        })?;
        Ok(Fetched { body, format })
    }
}

fn http(error: &reqwest::Error) -> FetchError {
    // The URL is known, and may hold what is no log's business.
    let text = chain(error);
    let url = error.url().map(|url| format!(" for url ({url})"));
    FetchError::Http(match url {
        Some(url) => text.replace(&url, ""),
        None => text,
    })
}

/// The format that a `Content-Type` names. What is neither of ours is taken for the oldest, as
/// targets without the header and with `text/html` were common once.
fn format_of(content_type: &str) -> Result<Format, FetchError> {
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    match parts.next().unwrap_or_default().as_str() {
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        "application/vnd.google.protobuf" => {
            let is_other = |part: &String| {
                let other = |name: &str, value: &str| {
                    part.strip_prefix(name).is_some_and(|rest| rest.trim_matches('"') != value)
                };
                other("encoding=", "delimited")
                    || other("proto=", "io.prometheus.client.metricfamily")
            };
            match parts.any(|part| is_other(&part)) {
                true => Err(FetchError::Unasked(content_type.to_owned())),
                false => Ok(Format::Protobuf),
            }
        }
        _ => Ok(Format::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        for (content_type, format) in [
            ("", Format::Text),
            ("text/plain; version=0.0.4; charset=utf-8", Format::Text),
            ("text/plain;version=1.0.0;escaping=allow-utf-8", Format::Text),
            ("Application/OpenMetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
                 encoding=delimited",
                Format::Protobuf,
            ),
        ] {
            assert_eq!(format_of(content_type).expect("a format"), format, "{content_type}");
        }
        for other in ["encoding=text", "proto=other; encoding=delimited"] {
            assert!(format_of(&format!("application/vnd.google.protobuf; {other}")).is_err());
        }
    }

    #[test]
    fn what_cannot_work_is_refused_at_the_start() {
        let options = ClientOptions {
            authorization: None,
            ca_file: None,
            timeout: Duration::from_millis(2500),
            max_body_bytes: 1 << 20,
            wants_native: true,
        };
        let client = Client::new(&options, true).expect("a client");
        assert_eq!(client.headers[TIMEOUT_HEADER], "2.5");
        let accept = client.headers[ACCEPT].to_str().expect("text");
        assert!(accept.starts_with("application/vnd.google.protobuf;proto="), "{accept}");
        let broken = Secret::new("a\nb".to_owned());
        let broken = ClientOptions { authorization: Some(broken), ..options.clone() };
        assert!(Client::new(&broken, false).is_err());
        let missing = ClientOptions { ca_file: Some("/nowhere/ca.pem".into()), ..options };
        assert!(Client::new(&missing, false).is_err());
    }
}
