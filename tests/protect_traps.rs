//! The traps that redactors of ML logs are known to step into, one named case each.

use sidewake::protect::entity::EntitySet;
use sidewake::protect::policy::{Action, Policy, PolicySpec};
use sidewake::protect::replace::{Replacer, Work};
use sidewake::protect::views::Form;
use sidewake::protect::{context, context::KeyHint};

fn protect(line: &str) -> String {
    let spec = PolicySpec { detect: EntitySet::ALL, ..PolicySpec::default() };
    let policy = Policy::compile(&spec, false).expect("compiles");
    let replacer = Replacer { policy: &policy, keyring: None };
    let (mut work, mut out) = (Work::default(), Vec::new());
    if line.starts_with(['{', '[', '"']) {
        replacer.value(Action::Inspect, line.as_bytes(), KeyHint::NONE, &mut work, &mut out);
    } else {
        replacer.inspect(line.as_bytes(), Form::Text, KeyHint::NONE, &mut work, &mut out);
    }
    String::from_utf8(out).expect("UTF-8 stays UTF-8")
}

fn check(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(protect(line), *expected, "{line}");
    }
}

fn unaltered(lines: &[&str]) {
    for line in lines {
        assert_eq!(protect(line), *line);
    }
}

#[test]
fn trap_01_random_doubles() {
    unaltered(&[
        "0.4532015112830366",
        r#"{"score":0.4532015112830366}"#,
        r#"{"x":"0.4532015112830366"}"#,
    ]);
}

#[test]
fn trap_02_epochs() {
    unaltered(&[
        r#"{"ts":1767225600123456}"#,
        r#"{"ts":"1767225600123456"}"#,
        "at 1767225600 1767225600123 1767225600123456789",
    ]);
}

#[test]
fn trap_03_card_as_json_number() {
    check(&[(r#"{"card_number":4111111111111111,"n":1}"#, r#"{"card_number":null,"n":1}"#)]);
    unaltered(&[r#"{"n":4111111111111111}"#]);
}

#[test]
fn trap_04_card_spellings() {
    check(&[
        ("4111.1111.1111.1111", "[credit_card]"),
        ("4111\u{a0}1111\u{a0}1111\u{a0}1111", "[credit_card]"),
        ("４１１１１１１１１１１１１１１１", "[credit_card]"),
        ("4111%201111%201111%201111", "[credit_card]"),
        ("card_4111111111111111", "card_[credit_card]"),
        ("4111111111111111x", "[credit_card]x"),
    ]);
}

#[test]
fn trap_05_escapes_and_encodings() {
    check(&[
        (r#"{"x":"\u0034111111111111111"}"#, r#"{"x":"[credit_card]"}"#),
        (r#"{"x":"NDExMTExMTExMTExMTExMQ=="}"#, r#"{"x":"[credit_card]"}"#),
        (
            r#"{"x":"{\"y\":\"{\\\"z\\\":\\\"\\\\u0034111111111111111\\\"}\"}"}"#,
            r#"{"x":"{\"y\":\"{\\\"z\\\":\\\"[credit_card]\\\"}\"}"}"#,
        ),
    ]);
}

#[test]
fn trap_06_keys() {
    check(&[
        (r#"{"4111111111111111":1}"#, r#"{"[credit_card]":1}"#),
        (r#"{"scores":{"a@b.com":0.9}}"#, r#"{"scores":{"[email]":0.9}}"#),
    ]);
}

#[test]
fn trap_07_numbers_in_other_forms() {
    check(&[
        (r#"{"card":4111111111111111.0}"#, r#"{"card":null}"#),
        (r#"{"card":4.111111111111111e15}"#, r#"{"card":null}"#),
        (r#"{"card":"4.111111111111111e+15"}"#, r#"{"card":"[credit_card]"}"#),
    ]);
    unaltered(&[r#"{"card":1.2345678901234567e15}"#]);
}

#[test]
fn trap_09_tracebacks() {
    check(&[
        ("KeyError: 'bob@x.com'", "KeyError: '[email]'"),
        (
            "    connect('postgres://app:hunter2@db:5432/x')",
            "    connect('postgres://app:[secret]@db:5432/x')",
        ),
        (
            "ValueError: invalid literal for int() with base 10: '4111 1111 1111 1111'",
            "ValueError: invalid literal for int() with base 10: '[credit_card]'",
        ),
        (
            "    headers={'Authorization': 'Bearer abc123'}",
            "    headers={'Authorization': '[secret]'}",
        ),
    ]);
    unaltered(&["  File \"/app/serve.py\", line 212, in predict", "    raise ValueError(msg)"]);
}

#[test]
fn trap_10_names_of_spans() {
    check(&[("GET /users/bob@x.com", "GET /users/[email]")]);
}

#[test]
fn trap_12_types_stay() {
    check(&[(r#"{"ssn":123456789,"phone":2125550199}"#, r#"{"ssn":null,"phone":null}"#)]);
}

#[test]
fn trap_13_secrets() {
    check(&[
        ("X-Api-Key: abc", "X-Api-Key: [secret]"),
        (
            "env: HOME=/root AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG PATH=/bin",
            "env: HOME=/root AWS_SECRET_ACCESS_KEY=[secret] PATH=/bin",
        ),
        (
            "https://b.s3.amazonaws.com/o?X-Amz-Credential=AK%2F1&X-Amz-Signature=ab12&z=1",
            "https://b.s3.amazonaws.com/o?X-Amz-Credential=[secret]&X-Amz-Signature=[secret]&z=1",
        ),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.", "[jwt]"),
        (
            r#"{"k":"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"}"#,
            r#"{"k":"[pem]\n"}"#,
        ),
    ]);
}

#[test]
fn trap_16_broken_input() {
    for line in
        ["{\"a\":\"bob@x.com", "{\"a\":\"\\ud800bob@x.com\"}", "[\"bob@x.com\"", "\"bob@x.com\\"]
    {
        assert!(!protect(line).contains("bob"), "{line}");
    }
    let long = format!("{}bob@x.com{}", "x ".repeat(2_000_000), " y".repeat(2_000_000));
    assert!(!protect(&long).contains("bob@"));
}

#[test]
fn holes_of_the_prototype() {
    check(&[
        (r#"{"x":"+442071234567"}"#, r#"{"x":"[phone]"}"#),
        (r#"{"x":"xoxb-123456789012-abcdefghij"}"#, r#"{"x":"[api_key]"}"#),
        (r#"{"x":"b\u00f6b@x.com"}"#, r#"{"x":"[email]"}"#),
        (r#"{"db_password":"x"}"#, r#"{"db_password":"[masked]"}"#),
        (r#"{"x":"böb@bücher.de"}"#, r#"{"x":"[email]"}"#),
        (r#"{"x":"Basic dXNlcjpwYXNz"}"#, r#"{"x":"Basic [bearer_token]"}"#),
        (r#"{"x":"020 7123 4567"}"#, r#"{"x":"[phone]"}"#),
        (r#"{"x":"Ym9iQHguY29t"}"#, r#"{"x":"[email]"}"#),
        (
            r#"{"model_version":"1.2.3.4","ip":"1.2.3.4"}"#,
            r#"{"model_version":"1.2.3.4","ip":"[ip_address]"}"#,
        ),
    ]);
}

#[test]
fn lines_of_model_servers_stay() {
    unaltered(&[
        "INFO:     127.0.0.1:56234 - \"POST /v1/predict HTTP/1.1\" 200 OK",
        "I1123 22:36:00.123456 1 server.cc:619] successfully loaded 'iris' version 1",
        "INFO 11-23 22:36:00 [loggers.py:123] Avg prompt throughput: 1234.5 tokens/s, Running: 12",
        r#"{"request_id":"1b4e28ba-2fa1-11d2-883f-0016d3cca427","latency_ms":12.345678901234567}"#,
        r#"{"usage":{"prompt_tokens":1234,"eos_token":"</s>"},"max_tokens":512,"tokens":["a"]}"#,
        r#"{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#,
        r#"{"shape":[1,224,224,3],"hidden_sizes":"256-512-1024","dtype":"float32"}"#,
        r#"{"user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/91.0.44.12"}"#,
        "[2026-11-23 22:36:00,123] [PID:4711] epoch 12/100 loss=0.0345678901234567 lr=1e-05",
        "numpy==1.26.4 torch==2.3.1+cu121 cuda 12.1.105",
        "total_time=\"357.867572ms\" queue_time=\"49.382µs\" seed=\"Some(16512832409862145413)\"",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "[[0.1234567 0.7654321]\n [0.4532015 0.1128303]]",
    ]);
}

#[test]
fn hints_reach_numbers_only_where_a_key_says_so() {
    unaltered(&[
        r#"{"sepal length":4.9,"pred":"setosa","request_id":"6213930528999883190"}"#,
        r#"{"sepal length":4.8,"pred":"setosa","request_id":"6213930528999883190"}"#,
    ]);
    assert!(context::of_path(b"payment.card.number").has(KeyHint::CARD));
    unaltered(&[r#"{"order_number":4111111111111111,"amount":4111.11}"#]);
}
