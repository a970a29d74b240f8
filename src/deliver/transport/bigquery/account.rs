//! What routes with the same access share: token, HTTP clients, and the connection on which rows of
//! all their tables go to default streams.
//!
//! Owns who shares with whom, and when a table has a connection of its own. Streams of our own have
//! one each, which is their client's.
//!
//! Source: BigQuery Storage Write API, "Connection pooling and management" (multiplexing is for
//! default streams), "Quotas and limits" (10,000 connections of a project).
//!
//! # Why
//! - **One for all tables**: a sidecar with four tables beside each of five thousand models would
//!   need twice the connections that a project may have.
//! - **Nobody pays for another table**: what ends a connection ends it for all who use it, and its
//!   words are about one of them. Where several tables waited, none is told those words: each asks
//!   again, and for a while on a connection of its own, where what is said is said to it.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::super::http::{self, Purpose};
use super::super::{TransportError, TransportOptions};
use super::append::Connection;
use super::calls::{Calls, Instead};
use super::token::Token;
use crate::sinks::bigquery::{Credentials, Options};

/// How long tables keep apart after one connection failed for several of them.
const APART: Duration = Duration::from_secs(600);

/// The accounts that are in use.
#[derive(Clone, Default)]
pub struct Accounts(Arc<Mutex<Vec<Weak<Account>>>>);

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts")
    }
}

/// See the module.
pub(super) struct Account {
    access: Access,
    pub(super) calls: Calls,
    pub(super) rest: reqwest::Client,
    pub(super) token: Arc<Token>,
    connections: tokio::sync::Mutex<Connections>,
}

/// All by which one way to Google differs from another.
#[derive(PartialEq)]
struct Access {
    grpc_url: String,
    rest_url: String,
    credentials: Credentials,
    impersonated: Option<String>,
    timeout: Duration,
    ca_file: Option<PathBuf>,
    proxy: Option<String>,
}

/// Those of default streams.
#[derive(Default)]
struct Connections {
    shared: Option<Arc<Connection>>,
    apart_until: Option<Instant>,
    /// By stream, while they are apart.
    own: HashMap<String, Option<Arc<Connection>>>,
}

impl Accounts {
    /// That of a route: one that there is, or a new one.
    ///
    /// # Errors
    /// When the credentials are no such, or the addresses cannot be used.
    pub(super) fn of(
        &self,
        config: &Options,
        options: &TransportOptions,
    ) -> Result<Arc<Account>, TransportError> {
        let access = Access {
            grpc_url: config.grpc_url.clone(),
            rest_url: config.rest_url.clone(),
            credentials: config.credentials.clone(),
            impersonated: config.impersonated.clone(),
            timeout: config.timeout,
            ca_file: options.ca_file.clone(),
            proxy: options.proxy.clone(),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|account| account.strong_count() > 0);
        let same = |account: &Arc<Account>| account.access == access;
        if let Some(found) = known.iter().filter_map(Weak::upgrade).find(same) {
            return Ok(found);
        }
        let grpc = http::client(&config.grpc_url, Purpose::Grpc, options)?;
        let rest = http::client(&config.rest_url, Purpose::Http(config.timeout), options)?;
        let token = Arc::new(Token::new(config)?);
        let calls = Calls::new(grpc, config, Arc::clone(&token));
        let connections = tokio::sync::Mutex::default();
        let account = Arc::new(Account { access, calls, rest, token, connections });
        known.push(Arc::downgrade(&account));
        Ok(account)
    }
}

impl Account {
    /// The connection for the default stream `stream`.
    pub(super) async fn connection(&self, stream: &str) -> Result<Arc<Connection>, Instead> {
        let mut all = self.connections.lock().await;
        if all.shared.as_ref().is_some_and(|shared| shared.failed_many()) {
            all.shared = None;
            all.apart_until = Some(Instant::now() + APART);
            tracing::warn!(
                "a connection to BigQuery ended for several tables: each has its own now"
            );
        }
        if all.apart_until.is_some_and(|until| Instant::now() < until) {
            let own = all.own.entry(stream.to_owned()).or_default();
            return self.calls.connection(own, stream).await;
        }
        (all.apart_until, all.own) = (None, HashMap::new());
        self.calls.connection(&mut all.shared, stream).await
    }
}
