//! Who we are to Google: tokens by Google's own library.
//!
//! Owns which credentials are used, and when they are begun anew. Refreshing, caching and all forms
//! of credential files (service account, impersonation, external account, metadata server) are the
//! library's.
//!
//! # Why
//! The library keeps a token until it is about to expire, and an error that it takes for final for
//! ever. But tokens are revoked, and a key that is not known yet, or a clock that is wrong, are
//! mended: so after a refusal the library begins anew, though not at every one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use google_cloud_auth::credentials::{self, CacheableResource};
use http::Extensions;
use reqwest::header::HeaderMap;

use super::super::{Answer, TransportError};
use super::calls::unsent;
use crate::sinks::bigquery::{Credentials, Options};

/// Rows are written and the table is created and changed.
const SCOPES: [&str; 1] = ["https://www.googleapis.com/auth/bigquery"];

/// A refusal within this long after the library began anew tells nothing new.
const RENEWED_FOR: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Token {
    credentials: Credentials,
    impersonated: Option<String>,
    /// Longest wait for a token.
    timeout: Duration,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    by_google: Option<credentials::Credentials>,
    renewed_at: Option<Instant>,
}

impl Token {
    /// # Errors
    /// When the credentials are no such, or the environment has none.
    pub(super) fn new(options: &Options) -> Result<Self, TransportError> {
        let mut token = Self {
            credentials: options.credentials.clone(),
            impersonated: options.impersonated.clone(),
            timeout: options.timeout,
            made: Mutex::default(),
        };
        let by_google = token.make()?;
        token.made = Mutex::new(Made { by_google, renewed_at: None });
        Ok(token)
    }

    fn make(&self) -> Result<Option<credentials::Credentials>, TransportError> {
        // The library takes the process's own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refuse = |error: &dyn std::fmt::Display| {
            TransportError::Http(format!("no credentials for Google Cloud: {error}"))
        };
        let source = match &self.credentials {
            Credentials::None => return Ok(None),
            Credentials::Default => credentials::Builder::default().with_scopes(SCOPES).build(),
            Credentials::Json(text) => {
                let json: serde_json::Value = serde_json::from_str(text.expose())
                    .map_err(|error| refuse(&format!("the file is no JSON: {error}")))?;
                of_json(json)
            }
        };
        let source = source.map_err(|error| refuse(&error))?;
        let Some(principal) = &self.impersonated else { return Ok(Some(source)) };
        let acting = credentials::impersonated::Builder::from_source_credentials(source)
            .with_target_principal(principal.as_str())
            .with_scopes(SCOPES)
            .build();
        Ok(Some(acting.map_err(|error| refuse(&error))?))
    }

    /// Begins anew after a refusal; whether that may help.
    fn renew(&self) -> bool {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = made.renewed_at.is_some_and(|at| at.elapsed() < RENEWED_FOR);
        if made.by_google.is_none() || is_new {
            return false;
        }
        let Ok(by_google) = self.make() else { return false };
        *made = Made { by_google, renewed_at: Some(Instant::now()) };
        true
    }

    /// Begins anew after a refusal, with these words; what is said instead of it, where that may
    /// help.
    pub(super) fn renewed(&self, words: &str) -> Option<Answer> {
        self.renew().then(|| unsent(503, format!("a new token is asked for: {words}")))
    }

    /// Headers that authorise a request; or what is to be said instead.
    pub(super) async fn headers(&self) -> Result<HeaderMap, Answer> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).by_google.clone();
        let Some(credentials) = made else { return Ok(HeaderMap::new()) };
        let headers = credentials.headers(Extensions::new());
        match tokio::time::timeout(self.timeout, headers).await {
            Err(_) => Err(unsent(503, format!("no token from Google within {:?}", self.timeout))),
            Ok(Ok(CacheableResource::New { data, .. })) => Ok(data),
            Ok(Ok(CacheableResource::NotModified)) => Ok(HeaderMap::new()),
            Ok(Err(error)) => {
                let status = if error.is_transient() { 503 } else { 401 };
                Err(unsent(
                    status,
                    format!("no token from Google: {}", crate::diagnostic::chain(&error)),
                ))
            }
        }
    }
}

fn of_json(
    json: serde_json::Value,
) -> Result<credentials::Credentials, google_cloud_auth::build_errors::Error> {
    let scopes = SCOPES;
    match json.get("type").and_then(serde_json::Value::as_str) {
        Some("external_account") => {
            credentials::external_account::Builder::new(json).with_scopes(scopes).build()
        }
        Some("impersonated_service_account") => {
            credentials::impersonated::Builder::new(json).with_scopes(scopes).build()
        }
        Some("authorized_user") => {
            credentials::user_account::Builder::new(json).with_scopes(scopes).build()
        }
        _ => {
            let specifier = credentials::service_account::AccessSpecifier::from_scopes(scopes);
            credentials::service_account::Builder::new(json)
                .with_access_specifier(specifier)
                .build()
        }
    }
}
