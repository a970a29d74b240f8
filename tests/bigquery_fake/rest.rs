//! The REST API of the fake: tables, insertAll and tokens.

use std::time::SystemTime;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::client::{COLUMNS, Came, Grpc, Row, default_stream, first, further, rest};
use super::fake_bigquery::{FakeBigQuery, Options, RestAct, schema};

const TABLES: &str = "/bigquery/v2/projects/test/datasets/ml/tables";

fn resource(columns: &[(&str, &str, &str)]) -> Value {
    json!({
        "tableReference": { "projectId": "test", "datasetId": "ml", "tableId": "t" },
        "schema": schema::schema(columns),
        "timePartitioning": { "type": "DAY", "field": "at", "expirationMs": "7776000000" },
        "requirePartitionFilter": true,
        "clustering": { "fields": ["id"] },
        "labels": { "sidewake_tier": "predictions" },
    })
}

async fn call(fake: &FakeBigQuery, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let path = format!("{TABLES}{path}");
    let (status, _, body) =
        rest(fake, (method, &path), &[], &body.to_string()).await.expect("an answer");
    (status, body)
}

fn reason(body: &Value) -> &str {
    body["error"]["errors"][0]["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_table_is_made_read_and_changed() {
    let fake = FakeBigQuery::start(Options::default()).await;
    let (status, body) = call(&fake, "GET", "/t", &Value::Null).await;
    assert_eq!((status, reason(&body)), (404, "notFound"));
    let (status, made) = call(&fake, "POST", "", &resource(&COLUMNS)).await;
    assert_eq!(status, 200, "{made}");
    let (status, body) = call(&fake, "POST", "", &resource(&COLUMNS)).await;
    assert_eq!((status, reason(&body)), (409, "duplicate"));
    let (_, read) = call(&fake, "GET", "/t", &Value::Null).await;
    assert_eq!(read["timePartitioning"]["expirationMs"], "7776000000");
    assert_eq!(read["schema"]["fields"][1]["type"], "INTEGER", "by its older name");
    assert_eq!(fake.offences(), Vec::<String>::new());

    let mut wider = COLUMNS.to_vec();
    wider.push(("more", "STRING", "NULLABLE"));
    let patch = json!({ "schema": schema::schema(&wider), "labels": { "a": "b" } });
    let path = format!("{TABLES}/t");
    let etag = read["etag"].as_str().expect("an etag");
    let body = patch.to_string();
    let (status, _, _) =
        rest(&fake, ("PATCH", &path), &[("if-match", etag)], &body).await.expect("an answer");
    assert_eq!(status, 200);
    let (status, _, body) =
        rest(&fake, ("PATCH", &path), &[("if-match", etag)], &body).await.expect("an answer");
    assert_eq!((status, reason(&body)), (412, "conditionNotMet"));
    let table = &fake.tables()["ml.t"];
    assert_eq!(table["labels"], json!({ "sidewake_tier": "predictions", "a": "b" }));
    for columns in [&COLUMNS[..], &[&wider[..], &[("x", "JSON", "REQUIRED")]].concat()] {
        let patch = json!({ "schema": schema::schema(columns) });
        assert_eq!(call(&fake, "PATCH", "/t", &patch).await.0, 400, "{columns:?}");
    }
    assert_eq!(fake.offences().len(), 2);
}

#[tokio::test]
async fn tables_that_cannot_be() {
    let fake = FakeBigQuery::start(Options::default()).await;
    for (key, value) in [
        ("timePartitioning", json!({ "type": "DAY", "field": "id" })),
        ("timePartitioning", json!({ "type": "DAY", "expirationMs": 7_776_000_000_u64 })),
        ("clustering", json!({ "fields": ["tags"] })),
        ("labels", json!({ "Tier": "a" })),
        ("schema", json!({ "fields": [{ "name": "1", "type": "STRING" }] })),
        ("partitioning", json!({})),
        ("tableReference", json!({ "tableId": "t" })),
    ] {
        let mut wrong = resource(&COLUMNS);
        wrong[key] = value;
        let (status, body) = call(&fake, "POST", "", &wrong).await;
        assert_eq!((status, reason(&body)), (400, "invalid"), "{key}");
    }
    assert_eq!((fake.tables().len(), fake.offences().len()), (0, 7));
}

#[tokio::test]
async fn writers_learn_of_a_schema_when_they_do() {
    let fake = FakeBigQuery::start(Options::default()).await;
    fake.add_table("ml", "t", &COLUMNS);
    let mut client = Grpc::to(&fake).await;
    let mut rpc = client.append(&default_stream()).await;
    let rows = [Row::named("a")];
    rpc.say(&first(&default_stream(), None, &rows)).await.stored_at();
    fake.lag_schemas(true);
    let mut wider = COLUMNS.to_vec();
    wider.push(("more", "STRING", "NULLABLE"));
    let patch = json!({ "schema": schema::schema(&wider) });
    assert_eq!(call(&fake, "PATCH", "/t", &patch).await.0, 200);
    let mut n_columns = async || match rpc.say(&further(None, &rows)).await {
        Came::Said(said) => said.updated_schema.map(|schema| schema.fields.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(n_columns().await, None);
    fake.lag_schemas(false);
    assert_eq!(n_columns().await, Some(6));
    assert_eq!(n_columns().await, None, "told once");
}

#[tokio::test]
async fn rows_are_inserted() {
    let fake = FakeBigQuery::start(Options::default()).await;
    fake.add_table("ml", "t", &COLUMNS);
    let row = |id: &str, more: Value| {
        let mut row = json!({ "id": id });
        row.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("one"));
        json!({ "insertId": format!("i-{id}"), "json": row })
    };
    let good = json!({ "n": "7", "at": "2026-05-28T20:26:40.123456Z", "j": "{\"a\": 1.0}" });
    let good = row("a", good);
    let post = json!({ "rows": [good, row("b", json!({ "tags": ["x"] }))] });
    for _ in 0..2 {
        let (status, body) = call(&fake, "POST", "/t/insertAll", &post).await;
        assert_eq!((status, &body["insertErrors"]), (200, &Value::Null));
    }
    let rows = fake.rows("ml.t");
    assert_eq!(rows.len(), 2, "an insertId is remembered");
    let at = 1_780_000_000_123_456_i64;
    let whole = json!({ "id": "a", "n": 7, "at": at, "j": "{\"a\": 1.0}", "tags": [] });
    assert_eq!(json!(rows[0]), whole);
    assert_eq!(fake.offences(), Vec::<String>::new());

    let post = json!({ "rows": [row("c", json!({})), row("d", json!({ "no": 1 }))] });
    let (_, body) = call(&fake, "POST", "/t/insertAll", &post).await;
    let reasons = |body: &Value| -> Vec<(u64, String)> {
        let errors = body["insertErrors"].as_array().expect("errors").iter();
        let of = |one: &Value| {
            let reason = one["errors"][0]["reason"].as_str().expect("a reason");
            (one["index"].as_u64().expect("an index"), reason.to_owned())
        };
        errors.map(of).collect()
    };
    assert_eq!(reasons(&body), [(1, "invalid".to_owned()), (0, "stopped".to_owned())]);
    assert_eq!(fake.n_rows("ml.t"), 2);
    let mut skipping = post.clone();
    skipping["skipInvalidRows"] = json!(true);
    let (_, body) = call(&fake, "POST", "/t/insertAll", &skipping).await;
    assert_eq!(reasons(&body), [(1, "invalid".to_owned())]);
    assert_eq!(fake.n_rows("ml.t"), 3);

    fake.will_rest([
        RestAct::Say(403, "rateLimitExceeded".to_owned()),
        RestAct::InsertErrors(vec![(0, "backendError".to_owned())]),
        RestAct::DoAndBreak,
    ]);
    let post = json!({ "rows": [row("e", json!({})), row("f", json!({}))] });
    let (status, body) = call(&fake, "POST", "/t/insertAll", &post).await;
    assert_eq!((status, reason(&body)), (403, "rateLimitExceeded"));
    let (_, body) = call(&fake, "POST", "/t/insertAll", &post).await;
    assert_eq!(reasons(&body), [(0, "backendError".to_owned())]);
    let path = format!("{TABLES}/t/insertAll");
    assert!(rest(&fake, ("POST", &path), &[], &post.to_string()).await.is_none());
    assert_eq!(fake.n_rows("ml.t"), 5);
}

fn assertion(fake: &FakeBigQuery, life_secs: i64) -> String {
    let account: Value = serde_json::from_str(&fake.account_json()).expect("JSON");
    let pem = account["private_key"].as_str().expect("a key");
    let lines: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
    let der = BASE64.decode(lines.as_bytes()).expect("base64");
    let key = RsaKeyPair::from_pkcs8(&der).expect("a key");
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64;
    let head = json!({ "alg": "RS256", "typ": "JWT", "kid": account["private_key_id"] });
    let claims = json!({
        "iss": account["client_email"], "aud": account["token_uri"], "iat": now,
        "exp": now + life_secs, "scope": "https://www.googleapis.com/auth/bigquery",
    });
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .expect("signed");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

#[tokio::test]
async fn tokens_are_given_for_what_is_signed() {
    let options = Options { needs_token: true, ..Options::default() };
    let fake = FakeBigQuery::start(options).await;
    fake.add_table("ml", "t", &COLUMNS);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    let good = assertion(&fake, 3600);
    let body = format!("{grant}{good}");
    let (status, _, said) = rest(&fake, ("POST", "/token"), &form, &body).await.expect("said");
    assert_eq!((status, &said["expires_in"]), (200, &json!(3600)), "{said}");
    let bearer = format!("Bearer {}", said["access_token"].as_str().expect("a token"));
    let path = format!("{TABLES}/t");
    let with = [("authorization", bearer.as_str())];
    assert_eq!(rest(&fake, ("GET", &path), &with, "").await.expect("said").0, 200);
    assert_eq!(fake.offences(), Vec::<String>::new());

    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    for wrong in [assertion(&fake, 3601), forged, "a.b".to_owned()] {
        let body = format!("{grant}{wrong}");
        let (status, _, said) = rest(&fake, ("POST", "/token"), &form, &body).await.expect("said");
        assert_eq!((status, said["error"].as_str()), (400, Some("invalid_grant")));
    }
    assert_eq!((fake.offences().len(), fake.n_tokens()), (3, 1));

    let path = "/computeMetadata/v1/instance/service-accounts/default/token?scopes=a";
    let flavor = [("metadata-flavor", "Google")];
    let (status, headers, said) = rest(&fake, ("GET", path), &flavor, "").await.expect("said");
    assert_eq!((status, &headers["metadata-flavor"]), (200, &"Google".parse().expect("one")));
    assert!(said["access_token"].is_string());
    assert_eq!(rest(&fake, ("GET", path), &[], "").await.expect("said").0, 403);
    assert_eq!((fake.offences().len(), fake.n_tokens()), (4, 2));
}
