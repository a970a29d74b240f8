//! Who the daemon is to Google: tokens by a service account's key, when they end early, and that
//! nothing of them is ever told.

use super::super::fake_bigquery::{Act, Options, RestAct, code};
use super::*;

const CREDENTIALS: &str = ", credentials: { file: \"@/account.json\" }";

fn guarded() -> BigQuery {
    BigQuery::with(Options { needs_token: true, ..Options::default() })
}

/// As a user, whose tokens are asked for; an account signs its own.
fn place(bigquery: &BigQuery) -> Place {
    place_with(bigquery, &bigquery.fake.user_json())
}

fn place_with(bigquery: &BigQuery, credentials: &str) -> Place {
    let place = Place::with(&bigquery.config(CREDENTIALS));
    std::fs::write(place.path("account.json"), credentials).expect("written");
    place
}

/// Neither the key nor a token is anywhere that people look at.
#[track_caller]
fn assert_no_secrets(daemon: &Daemon) {
    let told =
        [daemon.stderr(), daemon.stdout(), daemon.get("/status").1, daemon.get("/metrics").1];
    for text in told {
        for secret in ["ya29.", "PRIVATE KEY", "MIIE", "eyJ", "GOCSPX", "1//"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

/// Signed by the key that the file holds, and by nothing else.
#[test]
fn a_service_account() {
    let bigquery = guarded();
    let mut place = place_with(&bigquery, &bigquery.fake.account_json());
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    assert_no_secrets(&daemon);
    assert_eq!(bigquery.fake.n_tokens(), 1);
    daemon.stop();
    bigquery.assert_once(ids(0..100));
}

/// A user who may act as another account; and a workload elsewhere, as itself and as that account.
#[test]
fn impersonation_and_external_accounts() {
    for (is_external, is_impersonating) in [(false, true), (true, false), (true, true)] {
        let bigquery = guarded();
        let mut place = place(&bigquery);
        let file = match is_external {
            false => bigquery.fake.impersonation_json(),
            true => {
                let subject = place.path("subject").display().to_string();
                let (file, token) = bigquery.fake.external_json(&subject, is_impersonating);
                std::fs::write(subject, token).expect("written");
                file
            }
        };
        std::fs::write(place.path("account.json"), file).expect("written");
        place.append("model.log", &predictions(0..100));
        let mut daemon = place.daemon(&[]);
        delivered(&daemon, 100);
        assert_no_secrets(&daemon);
        daemon.stop();
        bigquery.assert_once(ids(0..100));
        let asked = |part: &str| bigquery.fake.called().iter().any(|one| one.path.contains(part));
        assert_eq!((asked("/sts"), asked(":generateAcc")), (is_external, is_impersonating));
    }
}

/// What the environment has: a file that it names, or a machine's own account.
#[test]
fn application_default_credentials() {
    for is_machine in [false, true] {
        let bigquery = guarded();
        let mut place = place(&bigquery);
        place.configure(&bigquery.config("").replace(", anonymous: true", ""));
        place.append("model.log", &predictions(0..100));
        let (host, file) = (bigquery.fake.rest_url(), place.path("account.json"));
        let mut daemon = place.run(&["run", "--config", "sidewake.yaml"], |command| {
            match is_machine {
                true => command.env("GCE_METADATA_HOST", host.trim_start_matches("http://")),
                false => command.env("GOOGLE_APPLICATION_CREDENTIALS", file),
            };
        });
        delivered(&daemon, 100);
        assert_no_secrets(&daemon);
        daemon.stop();
        bigquery.assert_once(ids(0..100));
        let asked = bigquery.fake.called();
        assert_eq!(asked.iter().any(|one| one.path.starts_with("/computeMeta")), is_machine);
    }
}

/// A token that is good no longer, long before its end: another one is asked for at once, by rows
/// and by what looks at the table alike.
#[test]
fn a_token_that_is_revoked() {
    let bigquery = guarded();
    let mut place = place(&bigquery);
    place.append("model.log", &predictions(0..100));
    let mut daemon = place.daemon(&[]);
    delivered(&daemon, 100);
    let n_tokens = bigquery.fake.n_tokens();
    bigquery.fake.revoke_tokens();
    // A connection that is open stays so: the next one is refused.
    bigquery.fake.will([Act::fail(code::UNAVAILABLE)]);
    place.append("model.log", &predictions(100..200));
    delivered(&daemon, 200);
    assert!(bigquery.fake.n_tokens() > n_tokens);
    assert_no_secrets(&daemon);
    daemon.stop();
    bigquery.assert_once(ids(0..200));
    assert_eq!(bigquery.fake.streams().len(), 1);
}

#[test]
fn unauthenticated_in_an_answer() {
    for act in [Act::say(code::UNAUTHENTICATED), Act::fail(code::UNAUTHENTICATED)] {
        let bigquery = guarded();
        let mut place = place(&bigquery);
        place.append("model.log", &predictions(0..100));
        let mut daemon = place.daemon(&[]);
        delivered(&daemon, 100);
        let n_tokens = bigquery.fake.n_tokens();
        bigquery.fake.will([act]);
        place.append("model.log", &predictions(100..200));
        delivered(&daemon, 200);
        assert!(bigquery.fake.n_tokens() > n_tokens);
        daemon.stop();
        bigquery.assert_once(ids(0..200));
    }
}

/// The server of tokens is sick, or does not answer; or knows the key a little later.
#[test]
fn tokens_that_come_late() {
    for act in [
        RestAct::Say(503, "backendError".to_owned()),
        RestAct::Break,
        RestAct::Hang,
        RestAct::Say(400, "invalid_grant".to_owned()),
        RestAct::Say(401, "invalid_client".to_owned()),
    ] {
        let bigquery = guarded();
        let mut place = place(&bigquery);
        let config = bigquery.config(&(CREDENTIALS.to_owned() + ", timeout: 1s"));
        place.configure(&config);
        bigquery.fake.will_token([act.clone()]);
        place.append("model.log", &predictions(0..100));
        let mut daemon = place.daemon(&[]);
        if matches!(act, RestAct::Hang) {
            until("a call", || !bigquery.fake.called().is_empty());
            bigquery.fake.release();
        }
        delivered(&daemon, 100);
        assert_no_secrets(&daemon);
        daemon.stop();
        bigquery.assert_once(ids(0..100));
    }
}

/// Tokens of few seconds: each ends while rows come.
#[test]
fn tokens_that_expire() {
    let life = std::time::Duration::from_secs(3);
    let bigquery =
        BigQuery::with(Options { needs_token: true, token_life: life, ..Options::default() });
    let mut place = place(&bigquery);
    let mut daemon = place.daemon(&[]);
    let mut n = 0;
    until("a second token", || {
        place.append("model.log", &predictions(n..n + 10));
        n += 10;
        bigquery.fake.will([Act::fail(code::UNAVAILABLE)]);
        delivered(&daemon, n as u64);
        bigquery.fake.n_tokens() >= 2
    });
    assert_no_secrets(&daemon);
    daemon.stop();
    bigquery.assert_once(ids(0..n));
}

/// A key that is none is a mistake of the config, told without its words.
#[test]
fn a_key_that_is_none() {
    let bigquery = guarded();
    let mut place = place(&bigquery);
    for (text, words) in [
        ("not JSON at all MIIEsecret", "no JSON"),
        (r#"{"type":"service_account","private_key":"MIIEsecret"}"#, "no credentials"),
    ] {
        std::fs::write(place.path("account.json"), text).expect("written");
        let mut daemon = place.daemon(&[]);
        let code = daemon.wait();
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
        let said = daemon.stderr();
        assert!(said.contains(words) && !said.contains("MIIE"), "{said}");
    }
}
