//! Who we are to Google: tokens by Google's own library.
//!
//! Owns which credentials are used. Refreshing, caching and all forms of credential files (service
//! account, impersonation, external account, metadata server) are the library's.

use google_cloud_auth::credentials::{self, CacheableResource};
use http::Extensions;
use reqwest::header::HeaderMap;

use super::super::{Answer, TransportError};
use super::calls::unsent;
use crate::sinks::bigquery::Credentials;

/// Rows are written and the table is created and changed.
const SCOPES: [&str; 1] = ["https://www.googleapis.com/auth/bigquery"];

/// See the module.
pub(super) struct Token(Option<credentials::Credentials>);

impl Token {
    /// # Errors
    /// When the credentials are no such, or the environment has none.
    pub(super) fn new(
        credentials: &Credentials,
        impersonated: Option<&str>,
    ) -> Result<Self, TransportError> {
        // The library takes the process's own.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refuse = |error: &dyn std::fmt::Display| {
            TransportError::Http(format!("no credentials for Google Cloud: {error}"))
        };
        let source = match credentials {
            Credentials::None => return Ok(Self(None)),
            Credentials::Default => credentials::Builder::default().with_scopes(SCOPES).build(),
            Credentials::Json(text) => {
                let json: serde_json::Value = serde_json::from_str(text.expose())
                    .map_err(|error| refuse(&format!("the file is no JSON: {error}")))?;
                of_json(json)
            }
        };
        let source = source.map_err(|error| refuse(&error))?;
        let Some(principal) = impersonated else { return Ok(Self(Some(source))) };
        let acting = credentials::impersonated::Builder::from_source_credentials(source)
            .with_target_principal(principal)
            .with_scopes(SCOPES)
            .build();
        Ok(Self(Some(acting.map_err(|error| refuse(&error))?)))
    }

    /// Headers that authorise a request; or what is to be said instead.
    pub(super) async fn headers(&self) -> Result<HeaderMap, Answer> {
        let Some(credentials) = &self.0 else { return Ok(HeaderMap::new()) };
        match credentials.headers(Extensions::new()).await {
            Ok(CacheableResource::New { data, .. }) => Ok(data),
            Ok(CacheableResource::NotModified) => Ok(HeaderMap::new()),
            Err(error) => {
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
