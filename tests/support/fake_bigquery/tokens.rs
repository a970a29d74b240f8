//! Tokens: a service account's by `/token`, a machine's by the metadata server, a workload's by
//! `/sts`, those of another account by its `:generateAccessToken`; and which are good.
//!
//! Owns what an assertion must say and be signed by. The account and its key are for tests alone:
//! nothing else knows them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

use super::grpc::percent_decoded;
use super::rest::Said;
use super::{Called, FakeBigQuery, State};

const KEY: &str = include_str!("../../fixtures/bigquery-account/key.pem");
const EMAIL: &str = "sidewake@test.iam.gserviceaccount.com";
const CLIENT_SECRET: &str = "GOCSPX-of-a-test";
const REFRESH_TOKEN: &str = "1//of-a-test";
/// Whose tokens may be had by impersonation.
const WRITER: &str = "writer@test.iam.gserviceaccount.com";
/// What a workload shows at `/sts`, and for whom.
const SUBJECT_TOKEN: &str = "eyJ-of-a-workload";
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/bigquery",
    "https://www.googleapis.com/auth/bigquery.insertdata",
    "https://www.googleapis.com/auth/cloud-platform",
];
/// How far a client's clock may be from ours.
const SKEW_SECS: i64 = 300;

/// Those that were given, and until when they are good.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    good: Vec<(String, Instant)>,
    n_given: usize,
    /// Tokens that the account signed itself, and whether each is still good.
    signed: BTreeMap<String, bool>,
}

impl Tokens {
    pub(crate) fn accept(&mut self, token: String, life: Duration) {
        self.good.push((token, Instant::now() + life));
    }

    pub(crate) fn revoke(&mut self) {
        self.good.clear();
        self.signed.values_mut().for_each(|is_good| *is_good = false);
    }

    pub(crate) fn n_given(&self) -> usize {
        self.n_given + self.signed.len()
    }

    fn give(&mut self, life: Duration) -> Value {
        self.n_given += 1;
        // As long as real ones, and with their dots at the end.
        let token = format!("ya29.{:0>180}..", self.n_given);
        self.accept(token.clone(), life);
        json!({ "access_token": token, "expires_in": life.as_secs(), "token_type": "Bearer" })
    }
}

/// The key file of the account.
pub(crate) fn account(token_url: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "test",
        "private_key_id": KEY_ID,
        "private_key": KEY,
        "client_email": EMAIL,
        "client_id": "100000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": token_url,
        "universe_domain": "googleapis.com",
    })
}

/// A user's file, as gcloud writes it.
pub(crate) fn user(token_url: &str) -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "test.apps.googleusercontent.com",
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
        "token_uri": token_url,
    })
}

/// A file by which `source` acts as another account.
pub(crate) fn impersonation(source: &Value, rest_url: &str) -> Value {
    json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": impersonation_url(rest_url),
        "delegates": [],
        "source_credentials": source,
    })
}

fn impersonation_url(rest_url: &str) -> String {
    format!("{rest_url}/v1/projects/-/serviceAccounts/{WRITER}:generateAccessToken")
}

/// A file by which a workload elsewhere, whose own token is in the file `subject`, has tokens; as
/// itself or as another account.
pub(crate) fn external(rest_url: &str, subject: &str, is_impersonating: bool) -> Value {
    let mut file = json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{rest_url}/sts"),
        "credential_source": { "file": subject },
    });
    if is_impersonating {
        file["service_account_impersonation_url"] = json!(impersonation_url(rest_url));
    }
    file
}

/// What stands in that file.
pub(crate) fn subject_token() -> &'static str {
    SUBJECT_TOKEN
}

/// Whether tokens are asked for by this path.
pub(crate) fn is_path(path: &str) -> bool {
    matches!(path, "/token" | "/sts")
        || path.starts_with("/computeMetadata/")
        || path.ends_with(":generateAccessToken")
}

impl State {
    /// Whether a request has a token that is good; that it has none is an offence.
    pub(crate) fn authorized(&mut self, header: &str, path: &str) -> Result<(), String> {
        let Some(token) = header.strip_prefix("Bearer ") else {
            self.offend(format!("no token: {path}"));
            return Err("no token".to_owned());
        };
        let now = Instant::now();
        if self.tokens.good.iter().any(|(good, until)| good == token && now < *until) {
            return Ok(());
        }
        if signed(token, 3620).is_ok()
            && *self.tokens.signed.entry(token.to_owned()).or_insert(true)
        {
            return Ok(());
        }
        self.refuse(format!("a token that is not good: {path}"));
        Err("not good, or no longer".to_owned())
    }
}

/// Gives a token, or says why not.
pub(crate) fn serve(
    fake: &FakeBigQuery,
    state: &mut State,
    called: &Called,
    path: &str,
    body: &[u8],
) -> Said {
    let life = fake.options.token_life;
    if path == "/token" {
        return match granted(called, body, &fake.token_url()) {
            Ok(()) => Said::ok(state.tokens.give(life)),
            Err(no) => {
                state.offend(format!("/token: {no}"));
                let body = json!({ "error": "invalid_grant", "error_description": no });
                Said { status: 400, body, is_metadata: false }
            }
        };
    }
    if path == "/sts" {
        return exchanged(state, called, body, life);
    }
    if path.ends_with(":generateAccessToken") {
        return impersonated(state, called, path, life);
    }
    let flavor = called.headers.get("metadata-flavor").map(String::as_str);
    let is_asked_well = called.method == "GET" && flavor == Some("Google");
    let known = "/computeMetadata/v1/instance/service-accounts/default/";
    let mut said = match path.strip_prefix(known) {
        _ if !is_asked_well => {
            state.offend(format!("metadata: {} with Metadata-Flavor {flavor:?}", called.method));
            Said::error(403, "forbidden", "Metadata-Flavor")
        }
        Some("token") => Said::ok(state.tokens.give(life)),
        Some("email") => Said::ok(json!(EMAIL)),
        _ => Said::error(404, "notFound", path),
    };
    said.is_metadata = true;
    said
}

/// A workload's own token for one of ours.
fn exchanged(state: &mut State, called: &Called, body: &[u8], life: Duration) -> Said {
    let wanted = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", SUBJECT_TOKEN),
        ("audience", AUDIENCE),
    ];
    let form = Form(body);
    let no = wanted.into_iter().find(|(name, value)| form.field(name).as_deref() != Ok(*value));
    if let Some((name, _)) = no.filter(|_| called.method == "POST") {
        state.offend(format!("/sts: {name}: {:?}", form.field(name)));
        return Said::error(400, "invalid_request", name);
    }
    let mut said = state.tokens.give(life);
    said["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:access_token");
    Said::ok(said)
}

/// A token of the account that may be acted as.
fn impersonated(state: &mut State, called: &Called, path: &str, life: Duration) -> Said {
    let header = called.headers.get("authorization").cloned().unwrap_or_default();
    if let Err(no) = state.authorized(&header, path) {
        return Said::error(401, "authError", &no);
    }
    let scopes = called.body["scope"].as_array().cloned().unwrap_or_default();
    let are_ours = !scopes.is_empty()
        && scopes.iter().all(|one| one.as_str().is_some_and(|one| SCOPES.contains(&one)));
    if called.method != "POST" || !path.contains(WRITER) || !are_ours {
        state.offend(format!("{path}: {}", called.body));
        return Said::error(403, "PERMISSION_DENIED", path);
    }
    let given = state.tokens.give(life);
    let until = time::OffsetDateTime::now_utc() + life;
    let until = until.format(&time::format_description::well_known::Rfc3339).expect("a time");
    Said::ok(json!({ "accessToken": given["access_token"], "expireTime": until }))
}

/// A form in the body of a request.
struct Form<'a>(&'a [u8]);

impl Form<'_> {
    fn field(&self, name: &str) -> Result<String, String> {
        let form = std::str::from_utf8(self.0).map_err(|error| error.to_string())?;
        let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next();
        found.and_then(percent_decoded).ok_or_else(|| format!("no {name}"))
    }
}

/// Whether a form holds an assertion that is ours.
fn granted(called: &Called, body: &[u8], token_url: &str) -> Result<(), String> {
    let kind = called.headers.get("content-type").map(String::as_str).unwrap_or_default();
    if called.method == "POST" && kind.starts_with("application/json") {
        let said = &called.body;
        let is_ours =
            said["client_secret"] == CLIENT_SECRET && said["refresh_token"] == REFRESH_TOKEN;
        return match said["grant_type"] == "refresh_token" && is_ours {
            true => Ok(()),
            false => Err(format!("no user's: {said}")),
        };
    }
    if called.method != "POST" || !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(format!("{} of {kind}", called.method));
    }
    let form = Form(body);
    let grant = form.field("grant_type")?;
    if grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
        return Err(format!("grant_type {grant}"));
    }
    asserted(&form.field("assertion")?, token_url)
}

/// An assertion, for which a token is given.
fn asserted(assertion: &str, token_url: &str) -> Result<(), String> {
    let said = signed(assertion, 3600)?;
    match said["aud"] == token_url {
        true => Ok(()),
        false => Err(format!("aud: {said}")),
    }
}

/// What is said in a JWT that the account signed. Google's own clients make one that is used by
/// itself a little older and longer, for clocks that are behind.
fn signed(assertion: &str, life_secs_max: i64) -> Result<Value, String> {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [head, claims, signature] = parts[..] else { return Err("no JWT".to_owned()) };
    let decode = |part: &str| {
        BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|error| format!("{part}: {error}"))
    };
    let json = |part: &str| {
        serde_json::from_slice::<Value>(&decode(part)?).map_err(|error| error.to_string())
    };
    let (header, said) = (json(head)?, json(claims)?);
    if header["alg"] != "RS256" || header["typ"] != "JWT" || header["kid"] != KEY_ID {
        return Err(format!("header {header}"));
    }
    if said["iss"] != EMAIL {
        return Err(format!("iss: {said}"));
    }
    let scope = said["scope"].as_str().unwrap_or_default();
    if scope.is_empty() || !scope.split(' ').all(|one| SCOPES.contains(&one)) {
        return Err(format!("scope {scope}"));
    }
    let number = |key: &str| said[key].as_i64().ok_or_else(|| format!("no {key}: {said}"));
    let (issued, expires) = (number("iat")?, number("exp")?);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64;
    if (issued - now).abs() > SKEW_SECS || expires <= now || expires - issued > life_secs_max {
        return Err(format!("iat {issued}, exp {expires}, now {now}"));
    }
    let text = &assertion[..head.len() + 1 + claims.len()];
    let pair = key_pair();
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    key.verify(text.as_bytes(), &decode(signature)?).map_err(|_| "the signature".to_owned())?;
    Ok(said)
}

/// The account's key.
pub(crate) fn key_pair() -> RsaKeyPair {
    let lines: String = KEY.lines().filter(|line| !line.starts_with("--")).collect();
    let der = BASE64.decode(lines.as_bytes()).expect("base64");
    RsaKeyPair::from_pkcs8(&der).expect("a key")
}
