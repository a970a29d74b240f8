//! What all sinks that speak HTTP share.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use reqwest::Url;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;
use crate::units::{ByteSize, HumanDuration};

use super::super::de::wrong;
use super::super::registry::registry;
use super::super::secret_text::SecretText;

/// An `http` or `https` URL without credentials, query and trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of `path` (which begins with a slash) below the endpoint. An endpoint that ends with
    /// that path already is taken as it is: both ways are in use.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        let base = self.0.strip_suffix(path).unwrap_or(&self.0);
        format!("{base}{path}")
    }
}

/// A URL of HTTP without credentials.
pub(in crate::config) fn http_url<'de, D: Deserializer<'de>>(
    de: D,
    hint: &str,
) -> Result<Url, D::Error> {
    let text = String::deserialize(de)?;
    let url = match Url::parse(&text) {
        Ok(url) => url,
        Err(error) => return Err(wrong(format_args!("this is not a URL: {error}"), hint)),
    };
    // "loki:3100" is a URL too, with the scheme "loki".
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("this URL begins neither with http:// nor with https://", hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "Write them as: auth: { type: basic, user: NAME, password: { file: … } }.";
        return Err(wrong("this URL holds a user or a password", hint));
    }
    Ok(url)
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        const HINT: &str = "Write scheme, host and port: \"http://loki:3100\".";
        let url = http_url(de, HINT)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("this URL holds a query or a fragment", HINT));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^https?://|\$\{",
            "description": "Scheme, host and port of the server.",
            "examples": ["http://loki:3100"],
        })
    }
}

registry! {
    /// How requests are authorised.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Auth {
        /// User and password (RFC 7617).
        "basic" => Basic(Basic),
        /// A token (RFC 6750).
        "bearer" => Bearer(Bearer),
    }
}

/// User and password.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: SecretText,
}

/// A token.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    /// The token.
    pub token: SecretText,
}

/// When a request is sent.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct RequestBatch {
    /// With at most that many bytes, before compression. Default: 1MiB.
    pub max_bytes: ByteSize,
    /// At the latest that long after its first event. Default: 1s.
    pub max_age: HumanDuration,
}

impl Default for RequestBatch {
    fn default() -> Self {
        Self { max_bytes: ByteSize::mib(1), max_age: HumanDuration::secs(1) }
    }
}

/// How fast a sink may be fed; one of the two.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// Events in a second. Default: no limit.
    pub events_per_second: Option<NonZeroU32>,
    /// Bytes in a second, before compression. Default: no limit.
    pub bytes_per_second: Option<ByteSize>,
}

/// How long a sink that fails is left alone. Waits double from `initial` to `max`, with full
/// jitter; sidewake never gives up.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// The longest first wait. Default: 500ms.
    pub initial: HumanDuration,
    /// The longest wait of all. Default: 30s.
    pub max: HumanDuration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { initial: HumanDuration::millis(500), max: HumanDuration::secs(30) }
    }
}

/// Whom to trust.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The only authorities (PEM) to trust, instead of the public ones that are built in.
    pub ca_file: Option<PathBuf>,
}

/// The longest wait for an answer.
pub(super) fn default_timeout() -> HumanDuration {
    HumanDuration::secs(30)
}

/// Requests under way at one time.
pub(super) fn default_concurrency() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(3)
}

impl Auth {
    /// The value of the `Authorization` header.
    #[must_use]
    pub fn header(&self) -> Secret {
        use base64::Engine as _;
        match self {
            Auth::Basic(basic) => {
                let pair = format!("{}:{}", basic.user, basic.password.value.expose());
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                Secret::new(format!("Basic {encoded}"))
            }
            Auth::Bearer(bearer) => Secret::new(format!("Bearer {}", bearer.token.value.expose())),
        }
    }
}
