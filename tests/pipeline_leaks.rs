//! What must never leave: planted secrets in every spelling and place, and declared fields in
//! whatever a line is, JSON or not.

use std::sync::Arc;

#[path = "bench/plan.rs"]
mod plan;
#[path = "leaks/run.rs"]
mod run;

use plan::Protection;
use run::run;
use sidewake::event::record::Kind;
use sidewake::pipeline::rules::Rules;
use sidewake::pipeline::sample::Sampler;
use sidewake::pipeline::{Plan, TierPlan};
use sidewake::protect::entity::EntitySet;
use sidewake::protect::policy::{Action, Bucket, Policy, PolicySpec};
use sidewake::protect::pseudonym::Keyring;

/// No line that `lines` become holds `secret`.
fn check(lines: &[&str], secret: &str) {
    let plan = plan::plan(Protection::Fields, 1.0);
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    let out = run(&plan, &lines);
    assert_eq!(out.len(), 3 * lines.len());
    for (_, _, text) in out {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Each of these leaked or broke once.
#[test]
fn found_by_hand() {
    let mail = "bob@example.com";
    // A container behind an empty one.
    check(&[&format!(r#"{{"a":[],"b":["{mail}"]}}"#)], mail);
    check(&[r#"{"a":[],"b":["x"]}"#, &format!(r#"{{"a":[],"b":["{mail}"]}}"#)], mail);
    check(&[r#"{"a":[],"b":[],"c":["x"]}"#, r#"{"a":[],"b":[],"c":["pw=hunter2"]}"#], "hunter2");
    // Short values.
    check(&[r#"{"m":"pw=q1"}"#], "q1");
    check(&[r#"{"m":"ab1::"}"#, r#"{"ab1::":1}"#], "ab1::");
    // Numbers in arrays under a key that says what they are.
    for value in ["[4111111111111111]", "[[1,4111111111111111],2]", "[{\"a\":1},4111111111111111]"]
    {
        check(&[&format!(r#"{{"card_number":{value}}}"#)], "4111111111111111");
        check(&[r#"{"card_number":[1]}"#, &format!(r#"{{"card_number":{value}}}"#)], "411111");
    }
    // An empty key is a key.
    check(&[r#"{"":1,"password":"hunter2"}"#], "hunter2");
    check(&[r#"{"":1,"password":"hunter2","b":2}"#], "hunter2");
    check(&[r#"{"a":{"":{}, "password":"hunter2"}}"#], "hunter2");
    // JSON behind white space.
    check(&[r#"  {"user_id":"u-1234","password":"hunter2"}"#], "u-1234");
    // A value that is part of its line's shape says something else as well.
    for key in ["event", "level", "severity", "type"] {
        let line = format!(r#"{{"{key}":"login user_id=u-1234 done","x":1}}"#);
        check(&[&*line; 4], "u-1234");
    }
    // The second of two.
    check(&[r#"{"user_id":"u-1","user_id":"u-1234","x":1}"#], "u-1");
    check(&[r#"{"us\u0065r_id":"u-1234","x":1}"#], "u-1234");
}

/// Members beyond the 65,536th are members.
#[test]
fn lines_of_very_many_members() {
    let many = "\"a\":\"b\",".repeat(65_535);
    for member in [r#""m":"bob@example.com""#, r#""user_id":"bob@""#, r#""password":"bob@""#] {
        for first in ["", r#""timestamp":"2026-11-23T20:00:00Z","#] {
            for tail in ["", ",\"a\":1", ",\"a\":1,\"b\":2,\"c\":3"] {
                check(&[&format!("{{{first}{many}{member}{tail}}}")], "bob@");
            }
        }
    }
}

/// Declared fields are honoured in whatever a line is.
#[test]
fn declared_fields_in_text() {
    let secret = "u-1234";
    for line in [
        r#"{"user_id":"u-1234","x": cut"#,
        r#"{"user_id":"u-1234"#,
        r#"{"a":1,"user_id": u-1234}"#,
        r#"{"us\u0065r_id":"u-1234","x":"#,
        r#"{"user_id":["u-1","u-1234","x":"#,
        r#"{"user_id":{"a":"u-1234"}"#,
        r#"{"level":"INFO","message":"got {"user_id":"u-1234"} for "x""}"#,
        r#"{"level":"INFO","message":"got {'user_id': 'u-1234'} for "x""}"#,
        r#"{"user_id":"say "u-1234" twice","x":"#,
        r#"[{"user_id":"u-1234"}]"#,
        r#"{"x":"\ud83d","user_id":"u-1234"}"#,
        r#"INFO: request {"user_id":"u-1234","x":1} done"#,
        r#"INFO: request {\"user_id\": \"u-1234\"} done"#,
        "INFO: user_id=u-1234, done",
        "user_id=\"u-1234\" a=1 b=2",
        "a=1 b=2 c=3 user_id='u-1234'",
        "GET /x?a=1&user_id=u-1234&b=2 HTTP/1.1",
        "  File \"x.py\", line 3, user_id = 'u-1234'",
        "KeyError: {'user_id': 'u-1234', 'a': 1}",
        "--user-id=u-1234",
        "\u{1b}[32mINFO\u{1b}[0m user_id: u-1234",
        r#"{"event":"request_received","features":{"a":"u-1234","b":"u-1234"},"x":"#,
        r#"{"level":"INFO","message":"user_id=u-1234, done"}"#,
        r#"{"message":"login user_id: 'u-1234'","n":1}"#,
        r#"{"message":"got {\"user_id\": \"u-1234\", \"n\": 1} x"}"#,
        r#"{"message":"got {\"user_id\":\"u-1234\"}"}"#,
        r#"{"message":"{\"a\":\"{\\"user_id\\":\\"u-1234\\"}\"}"}"#,
        r#"{"message":"got {\"us\u0065r_id\":\"u-1234\"}"}"#,
        r#"{"message":"got {'user_id': 'u-1234'}\n{'n': 1}"}"#,
        r#"{"message":"{\"event\":\"request_received\",\"features\":{\"a\":\"u-1234\"}}"}"#,
        r#"{"a":{"b":["user_id=u-1234"]}}"#,
        r#"{"message":"user_id=UserId(\"u-1234\") x"}"#,
        "user_id=UserId(\"u-1234\") x",
        r#"{"message":"user_id=\u0022u-1234\u0022 x"}"#,
        r#"{"message":"GET /x?a=1&user_id=u-1234&b=2"}"#,
        r#"{"message":"user_id=u-1234"#,
    ] {
        check(&[line], secret);
        let pairs = (0..60).fold(String::new(), |all, n| format!("{all}k{n}=v "));
        check(&[&format!("{pairs}{line}")], secret);
    }
    let plan = plan::plan(Protection::Fields, 1.0);
    for line in [&b"{\"user_id\":\"u-1234\",\"x\":\"\xff\"}"[..], b"\xff user_id=u-1234"] {
        for (_, _, text) in run(&plan, &[line]) {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// The same person has the same pseudonym whatever the line is.
#[test]
fn pseudonyms_join_over_forms() {
    let plan = plan::plan(Protection::Fields, 1.0);
    let mut tokens = std::collections::BTreeSet::new();
    for line in [
        r#"{"user_id":"u-1234"}"#,
        r#"{"user_id":"u-1234","x": cut"#,
        "user_id=u-1234 a=1 b=2",
        "user_id=\"u-1234\" a=1 b=2",
        "{'user_id': 'u-1234'}",
    ] {
        for (_, _, text) in run(&plan, &[line.as_bytes()]) {
            let at = text.find("value:").unwrap_or_else(|| panic!("no pseudonym in {text}"));
            let end = text[at..].find(['"', ' ', '\'', '}', ',']).unwrap_or(text.len() - at);
            tokens.insert(text[at..at + end].to_owned());
        }
    }
    assert_eq!(tokens.len(), 1, "{tokens:?}");
}

/// A key over many lines is one: its body says nothing by itself.
#[test]
fn a_key_over_many_lines() {
    let body = "MIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi3xE4jLT0uTzb1QfEvkFCTbHpp";
    let lines =
        ["INFO key:", "-----BEGIN RSA PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED", "", body, body];
    let tail =
        [r#"{"a":1,"b":"x"}"#, "  AgMBAAE=", "-----END RSA PRIVATE KEY-----", "AgMBAAE=", "done"];
    let lines: Vec<&[u8]> = lines.iter().chain(&tail).map(|line| line.as_bytes()).collect();
    let out = run(&plan::plan(Protection::Detectors, 1.0), &lines);
    let texts: Vec<&str> = out.iter().take(10).map(|(_, _, text)| text.as_str()).collect();
    let expected = [
        "INFO key:",
        "[pem]",
        "Proc-Type: 4,ENCRYPTED",
        "[pem]",
        "[pem]",
        r#"{"a":1,"b":"x"}"#,
        "  [pem]",
        "[pem]",
        "AgMBAAE=",
        "done",
    ];
    assert_eq!(texts, expected);
}

fn with_fields(fields: &[(String, Action)]) -> Arc<Plan> {
    let keyring = Keyring::parse(&[b"k1=".as_slice(), &[b'0'; 64]].concat()).expect("a key");
    let spec =
        PolicySpec { detect: EntitySet::ALL, fields: fields.to_vec(), ..PolicySpec::default() };
    let policy = Policy::compile(&spec, true).expect("a sound policy");
    let tiers = vec![TierPlan { name: "logs".into(), policy }];
    let sampler = Sampler::new(Vec::new());
    Plan::new(tiers, [0; Kind::ALL.len()], Rules::default(), sampler, Some(Arc::new(keyring)))
}

/// All actions and kinds of patterns, wherever the field stands.
#[test]
fn every_action_in_every_form() {
    let fields: [(&str, Action); 7] = [
        ("user.name", Action::Hash),
        ("street", Action::Drop),
        ("comment", Action::Truncate { chars: 4 }),
        ("age", Action::Bucket(Bucket::Width(10.0))),
        ("gr\u{f6}\u{df}e", Action::Mask),
        ("items.*_name", Action::Mask),
        ("**.deep", Action::Hash),
    ];
    let fields = fields.map(|(pattern, action)| (pattern.to_owned(), action));
    let plan = with_fields(&fields);
    for line in [
        r#"{"user":{"name":"zelda"},"x":1}"#,
        r#"{"user":{"na\u006de":"zelda"}}"#,
        r#"{"user":[{"name":"zelda"},{"name":["zelda"]}]}"#,
        r#"{"street":{"a":["zelda",{"b":"zelda"}]},"x":1}"#,
        r#"{"comment":"fine zelda"}"#,
        r#"{"comment":"\u007a\u0065 zelda"}"#,
        r#"{"items":[{"first_name":"zelda"},{"last-name":"zelda"}]}"#,
        r#"{"a":{"b":{"c":{"deep":{"zelda":"zelda"}}}}}"#,
        r#"{"größe":"zelda","gr\u00f6\u00dfe":"zelda"}"#,
        r#"{"m":"{\"user\":{\"name\":\"zelda\"}}"}"#,
        r#"{"m":"{'user': {'name': 'zelda'}}"}"#,
        r#"{"m":"street=zelda, comment='fine zelda' größe=zelda x=1"}"#,
        r#"{"m":"a\tstreet: zelda\nuser.name=zelda"}"#,
        r#"{"m":"{\"comment\":\"\\u007a\\\" zelda\"}"}"#,
        r#"{"m":["street=zelda",{"n":"street=zelda"}]}"#,
        "{'user': {'name': 'zelda', 'age': 41}}",
        "{'items': [{'first_name': 'zelda'}, {'last_name': \"zelda\"}]}",
        "{'a': {'deep': {'b': ['zelda']}}}",
        "level=info street=zelda comment=\"fine zelda\" gr\u{f6}\u{df}e=zelda user.name=zelda",
        "level=info street=\"a \\\"b\\\" zelda\" n=1",
        "INFO user {\"user\": {\"name\": \"zelda\"}} stored",
        "INFO user {\"user\": {\"name\": \"zelda\"}, stored",
        "GET /?street=zelda&n=1",
        "  File \"x.py\", line 3\n    street = 'zelda'",
    ] {
        for (_, _, text) in run(&plan, &[line.as_bytes()]) {
            assert!(!text.contains("zelda"), "{text}");
        }
    }
    for (line, expected) in [
        (r#"{"m":"age=41 x"}"#, r#"{"m":"age=40 x"}"#),
        ("{'age': 41, 'x': 1}", "{'age': 40, 'x': 1}"),
        (r#"{"m":"{\"age\":41,\"x\":1}"}"#, r#"{"m":"{\"age\":40,\"x\":1}"}"#),
        (r#"{"m":"{\"street\":\"a\",\"x\":1}"}"#, r#"{"m":"{\"street\":\"\",\"x\":1}"}"#),
        (r#"{"m":"{\"street\":7,\"x\":1}"}"#, r#"{"m":"{\"street\":null,\"x\":1}"}"#),
        (r#"{"m":"name=ok page=41 at 12:30"}"#, r#"{"m":"name=ok page=41 at 12:30"}"#),
    ] {
        for (_, _, text) in run(&plan, &[line.as_bytes()]) {
            assert_eq!(text, expected);
        }
    }
}
