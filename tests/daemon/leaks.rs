//! Planted secrets through every way in: none of them survives in anything that is written, sent
//! or said, and pseudonyms of one value are the same everywhere.

use std::fs;
use std::io::Read;

use super::fake_loki::Act;
use super::files::text;
use super::loki::Loki;
use super::rig::{Daemon, Place, until};

/// What must never be seen again, whatever the policy made of it.
const CANARIES: &[&str] = &[
    "ada.canary@example.com",
    "4111111111111111",
    "4111-1111-1111-1111",
    "536-22-1234",
    "GB82WEST12345698765432",
    "+14155552671",
    "203.0.113.77",
    "AKIAIOSFODNN7CANARY1",
    "hunter2-canary",
    "canary-bearer-token-0123456789",
    "zelda-canary",
    "street-canary",
    "1984-05-06",
    "7777.25",
    "canary-tail-that-is-cut",
    "not-listed-canary",
];

/// How often all of them are planted into a file: some segments' worth, in parts that are read one
/// by one, since a part is a frame and a segment holds whole frames.
const N_PLANTED: usize = 1000;
const N_PLANTED_AT_ONCE: usize = 40;

fn planted(n: usize) -> Vec<String> {
    vec![
        // A prediction with personal features: hashed, dropped, bucketed, truncated, and not
        // listed.
        format!(
            concat!(
                r#"{{"event":"prediction_completed","request_id":"c-{n}","user_id":"zelda-canary","#,
                r#""model_name":"fraud","model_version":"1","features":{{"amount":7777.25,"#,
                r#""user_name":"zelda-canary","street":"street-canary","birth_date":"1984-05-06","#,
                r#""comment":"fine; canary-tail-that-is-cut","secret_feature":"not-listed-canary","#,
                r#""mail":"ada.canary@example.com"}},"prediction":{{"label":"ok","score":0.5}}}}"#,
            ),
            n = n
        ),
        // The same person in the logs.
        format!(r#"{{"event":"seen","request_id":"c-{n}","user_id":"zelda-canary"}}"#),
        // Declared secrets and detected ones, in several spellings.
        format!(r#"{{"event":"login","request_id":"c-{n}","password":"hunter2-canary"}}"#),
        format!(r#"{{"event":"auth","db_password":"hunter2-canary","n":{n}}}"#),
        format!("mail from ada.canary@example.com, card 4111-1111-1111-1111, n={n}"),
        format!(
            r#"{{"msg":"card 4111111111111111 ssn 536-22-1234 iban GB82WEST12345698765432 {n}"}}"#
        ),
        format!(r#"{{"msg":"call +14155552671 from 203.0.113.77","n":{n}}}"#),
        format!(r#"{{"msg":"key AKIAIOSFODNN7CANARY1","n":{n}}}"#),
        format!("Authorization: Bearer canary-bearer-token-0123456789 n={n}"),
        format!(
            r#"{{"msg":"ada.canary@example\u002ecom and ada.canary\u0040example.com","n":{n}}}"#
        ),
        format!(
            r#"{{"msg":"{{\"inner\":\"ada.canary@example.com\",\"password\":\"hunter2-canary\"}}","n":{n}}}"#
        ),
        format!("broken {{\"password\": \"hunter2-canary\", \"n\": {n}"),
        format!("level=info user=ada.canary@example.com password=hunter2-canary n={n}"),
        "Traceback (most recent call last):\n  File \"serve.py\", line 3, in run\n    \
         login('ada.canary@example.com')\nValueError: no card 4111111111111111"
            .to_owned(),
    ]
}

const POLICY: &str = "
protect:
  key: \"canary-key-0123456789abcdef0123456789abcdef\"
  fields:
    password: drop
    user_id: hash
    \"features.user_name\": hash
    \"features.street\": drop
    \"features.birth_date\": { bucket: year }
    \"features.amount\": { bucket: 1000 }
    \"features.comment\": { truncate: 4 }
    \"features.mail\": mask
tiers:
  application_logs: { retention: 30 days, sinks: [loki, store] }
  prediction_logs:
    retention: 90 days
    sinks: [loki, store]
    features: [amount, user_name, street, birth_date, comment, mail]
  metrics: { retention: 1 year, sinks: [store] }
  traces: { retention: 7 days, sinks: [store] }
";

fn config(loki: &Loki, sources: &str) -> String {
    format!(
        "service: {{ name: fraud-detector }}\nsources: {{ {sources} }}\nsinks:\n  loki: {}\n  \
         store: {{ type: files, path: \"@/data\", batch: {{ max_age: 50ms }} }}\n\
         spool: {{ type: disk, path: \"@/data/spool\" }}\n{POLICY}",
        loki.sink()
    )
}

/// Looks into bytes, and into what compression hides in them.
fn assert_clean(what: &str, bytes: &[u8]) {
    for canary in CANARIES {
        let found = memchr::memmem::find(bytes, canary.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(120)..(at + 60).min(bytes.len())];
            panic!("{canary} in {what}: {}", String::from_utf8_lossy(around));
        }
    }
    let mut at = 0;
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    while let Some(found) = memchr::memmem::find(&bytes[at..], &magic) {
        at += found;
        let mut inner = Vec::new();
        let decoder = zstd::stream::read::Decoder::new(&bytes[at..]).expect("a decoder");
        // What only looks like a frame ends with an error.
        let _ = decoder.single_frame().read_to_end(&mut inner);
        if !inner.is_empty() {
            assert_clean(&format!("{what}, unpacked"), &inner);
        }
        at += magic.len();
    }
}

fn assert_clean_files(place: &Place) -> usize {
    let files = place.files("data");
    for file in &files {
        assert_clean(&file.display().to_string(), &fs::read(file).expect("read"));
    }
    files.len()
}

fn assert_clean_loki(loki: &Loki) {
    for entry in loki.fake.stored() {
        assert_clean("Loki", format!("{entry:?}").as_bytes());
        assert_clean("Loki", entry.line.as_bytes());
    }
}

/// What is said about it all: our own logs, the echo, the admin server.
fn assert_clean_words(daemon: &Daemon) {
    assert_clean("stdout", daemon.stdout().as_bytes());
    assert_clean("stderr", daemon.stderr().as_bytes());
    for page in ["/status", "/metrics"] {
        assert_clean(page, daemon.get(page).1.as_bytes());
    }
}

/// The pseudonym of a member, the same wherever the request is found.
fn assert_joined(place: &Place) {
    let (code, out, err) = place.output(&["show", "c-0", "--json", "--data-dir", "data"]);
    assert_eq!(code, 0, "{err}");
    assert_clean("show", out.as_bytes());
    let found: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let found = found["found"].as_array().expect("a list");
    let mut tokens: Vec<(String, String)> = Vec::new();
    for event in found {
        let mut event = event.clone();
        // Which fields were replaced, by their names.
        event["fields"].as_object_mut().map(|fields| fields.remove("redactions"));
        let text = event.to_string();
        for part in text.split("user_id").skip(1) {
            let token: String = part
                .trim_start_matches(['\\', '"', ':', ' '])
                .chars()
                .take_while(|c| !['"', '\\'].contains(c))
                .collect();
            tokens.push((event["tier"].as_str().expect("a tier").to_owned(), token));
        }
    }
    let of = |tier| tokens.iter().find(|(of, _)| of == tier).map(|(_, token)| token.clone());
    let (logs, predictions) = (of("application_logs"), of("prediction_logs"));
    assert!(logs.as_ref().is_some_and(|token| token.len() > 8), "{tokens:?}");
    assert_eq!(logs, predictions, "{found:#?}");
    let row = found.iter().find(|event| event["tier"] == "prediction_logs").expect("a row");
    let features = row["fields"]["features"].to_string();
    for (name, is_there) in [("amount", true), ("birth_date", true), ("secret_feature", false)] {
        assert_eq!(features.contains(name), is_there, "{features}");
    }
}

#[test]
fn no_secret_of_a_file_survives() {
    let loki = Loki::start();
    loki.fake.will(std::iter::repeat_n(Act::Answer(503, "sick"), 100_000));
    let config = config(&loki, "logs: { type: file, include: [\"@/model.log\"] }");
    // A small share is small segments: most are sealed, and packed while Loki is away.
    // Where even that were not enough, the file would wait.
    let share = "/data/spool\", max: 64MiB, shares: { application_logs: 2% }";
    let config = config.replace("/data/spool\"", share);
    let config = config.replace("[loki, store]", "[{ name: loki, when_full: block }, store]");
    let mut place = Place::with(&config);
    let mut daemon = place.daemon(&[]);
    for from in (0..N_PLANTED).step_by(N_PLANTED_AT_ONCE) {
        let to = from + N_PLANTED_AT_ONCE;
        place.append("model.log", &text(&(from..to).flat_map(planted).collect::<Vec<_>>()));
        daemon.metrics_when("the spool has a part", |metrics| {
            metrics.route("events_total", "prediction_logs", "loki") == to as u64
        });
    }
    let past = time::OffsetDateTime::now_utc() - time::Duration::days(10);
    let past = past.format(&time::format_description::well_known::Rfc3339).expect("printed");
    let late = format!(r#"{{"ts":"{past}","event":"late","password":"hunter2-canary"}}"#);
    place.append("model.log", &text(&[late]));
    let metrics = daemon.metrics_when("the store has all", |metrics| {
        let of = |tier| metrics.route("delivered_events_total", tier, "store");
        of("application_logs") == N_PLANTED as u64 * 13 + 1
            && of("prediction_logs") == N_PLANTED as u64
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("delivered_events_total", "application_logs", "loki"), 0);
    until("a packed segment", || {
        let files = place.files("data/spool").into_iter();
        let mut parts = files.filter(|path| path.to_string_lossy().contains("application_logs"));
        parts.any(|path| {
            let bytes = fs::read(path).unwrap_or_default();
            memchr::memmem::find(&bytes, &[0x28, 0xb5, 0x2f, 0xfd]).is_some()
        })
    });
    assert!(assert_clean_files(&place) > 4);
    assert_clean_words(&daemon);
    loki.fake.recover();
    let metrics = daemon.metrics_when("Loki has all", |metrics| {
        metrics.route("spooled_events", "application_logs", "loki") == 0
            && metrics.route("spooled_events", "prediction_logs", "loki") == 0
    });
    metrics.assert_balanced();
    assert_eq!(metrics.route("dead_letter_events_total", "application_logs", "loki"), 1);
    assert_clean_loki(&loki);
    assert_clean_words(&daemon);
    daemon.stop();
    assert_clean_files(&place);
    assert_joined(&place);
}

#[test]
fn no_secret_of_a_child_survives() {
    let loki = Loki::start();
    let script = "cat model.out; cat model.out >&2; printf \"%s\" \"mail ada.canary@example.com\"";
    let exec = format!("model: {{ type: exec, command: [sh, -c, '{script}'] }}");
    let mut place = Place::with(&config(&loki, &exec));
    place.append("model.out", &text(&(0..20).flat_map(planted).collect::<Vec<_>>()));
    let mut daemon = place.daemon(&[]);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.stderr());
    assert_clean("stdout", daemon.stdout().as_bytes());
    assert_clean("stderr", daemon.stderr().as_bytes());
    assert!(daemon.stdout().lines().count() > 20 * 14, "no echo: {}", daemon.stdout());
    assert!(loki.n_stored() > 20 * 14);
    assert_clean_loki(&loki);
    assert!(assert_clean_files(&place) > 4);
    assert_joined(&place);
}

/// The test's own eyes: what it must find, it finds, in the clear and packed.
#[test]
fn what_is_planted_is_found_where_it_survives() {
    let text = text(&planted(0));
    let seen = |bytes: Vec<u8>| {
        let found = std::panic::catch_unwind(|| assert_clean("itself", &bytes));
        found.is_err()
    };
    assert!(seen(text.clone().into_bytes()));
    let packed = zstd::encode_all(text.as_bytes(), 1).expect("packed");
    assert!(seen([b"head".to_vec(), packed].concat()));
    assert!(!seen(b"nothing here".to_vec()));
    let open = CANARIES.iter().filter(|canary| !text.contains(**canary)).collect::<Vec<_>>();
    assert!(open.is_empty(), "never planted: {open:?}");
}
