//! Lines by somebody who means it: hidden, cut and glued secrets that must not pass, and numbers
//! and names of machine learning that must.

#[path = "bench/plan.rs"]
mod plan;
#[path = "leaks/run.rs"]
mod run;

use plan::Protection;
use run::run;
use sidewake::event::chunk::{Line, Lines};
use sidewake::event::record::Flags;
use sidewake::pipeline::Pipeline;

/// Every line whose secret survives in what it becomes, all of them at once.
fn survivors(cases: &[(&str, &str)]) -> Vec<String> {
    let plan = plan::plan(Protection::Detectors, 1.0);
    let mut found = Vec::new();
    for (line, secret) in cases {
        for (_, _, text) in run(&plan, &[line.as_bytes()]) {
            if text.contains(secret) && found.last() != Some(&text) {
                found.push(text);
            }
        }
    }
    found
}

#[track_caller]
fn none_survives(cases: &[(&str, &str)]) {
    let found = survivors(cases);
    assert!(found.is_empty(), "{found:#?}");
}

#[track_caller]
fn all_unaltered(lines: &[&str]) {
    let plan = plan::plan(Protection::Detectors, 1.0);
    let mut altered = Vec::new();
    for line in lines {
        for (_, _, text) in run(&plan, &[line.as_bytes()]) {
            if text != *line && altered.last() != Some(&text) {
                altered.push(text);
            }
        }
    }
    assert!(altered.is_empty(), "{altered:#?}");
}

#[test]
fn what_encoders_hide() {
    none_survives(&[
        (r#"{"m":"bob\u0040example.com"}"#, "bob"),
        (r#"{"m":"\u0062\u006f\u0062@example.com"}"#, "example"),
        (r#"{"m":"bob%40example.com"}"#, "bob"),
        (r#"{"m":"bob%2540example%252Ecom"}"#, "bob"),
        (r#"{"m":"bob\\u0040example.com"}"#, "bob"),
        (r#"{"m":"{\"a\":\"{\\\"b\\\":\\\"bob@example.com\\\"}\"}"}"#, "bob"),
        (r#"{"m":"{\"a\":\"{\\\"password\\\":\\\"q1w2e3\\\"}\"}"}"#, "q1w2e3"),
        (
            r#"{"m":"{\"a\":\"{\\\"b\\\":\\\"{\\\\\\\"password\\\\\\\":\\\\\\\"q1w2e3\\\\\\\"}\\\"}\"}"}"#,
            "q1w2e3",
        ),
        (r#"{"m":"４１１１　１１１１　１１１１　１１１１"}"#, "１１１１"),
        ("card ４１１１-1111-１１１１-1111 x", "1111"),
        ("card 4111\u{a0}1111\u{a0}1111\u{a0}1111", "1111"),
        ("card 4111\u{2009}1111\u{2013}1111\u{2013}1111", "1111"),
        ("card 41\u{200b}11111\u{200b}111111111", "1111"),
        ("card 4111\u{2011}1111\u{2011}1111\u{2011}1111", "1111"),
        ("bob\u{200b}@exam\u{ad}ple.com", "bob"),
        ("bob\u{61c}@exam\u{e0020}ple.com", "bob"),
        ("ｂｏｂ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ｂｏｂ"),
        (r#"{"ｐａｓｓｗｏｒｄ":"q1w2e3"}"#, "q1w2e3"),
        ("pass\u{200b}word=q1w2e3", "q1w2e3"),
        (r#"{"m":"eyJwYXNzd29yZCI6ICJxMXcyZTMifQ=="}"#, "eyJwYXNzd29yZ"),
        (r#"{"m":"eyJwYXNzd29yZCI6ICJxMXcyZTMifQ"}"#, "eyJwYXNzd29yZ"),
        (r#"{"m":"bWFpbCBib2JAZXhhbXBsZS5jb20_Pz8-"}"#, "bWFpbCBib2J"),
        ("raw=bWFpbCBib2JAZXhhbXBsZS5jb20/Pz8+", "bWFpbCBib2J"),
        (r#"{"m":"\ud83d\ude00bob\u0040example.com\ud83d"}"#, "bob"),
        ("\u{1b}[1mpassword\u{1b}[0m=\u{1b}[31mq1w2e3\u{1b}[0m", "q1w2e3"),
        (r"b'bob\x40example.com'", "bob"),
    ]);
}

#[test]
fn keys_that_are_secrets() {
    none_survives(&[
        (r#"{"db_password":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"apiKey":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"Authorization":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"x-api-key":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"aws_secret_access_key":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"client-secret":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"a":{"credentials":{"user":"q1w2e3"}}}"#, "q1w2e3"),
        (r#"{"cvv":737}"#, "737"),
        (r#"{"passwords":["q1w2e3",["q1w2e3"]]}"#, "q1w2e3"),
        (r#"{"pass\u0077ord":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"PGPASSWORD":"q1w2e3","DB_PASS":"q1w2e3","dbpass":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"password":"x","password":"q1w2e3"}"#, "q1w2e3"),
        (r#"{"headers":{"Cookie":"a=q1w2e3; b=2"}}"#, "q1w2e3"),
        ("{'password': 'q1w2e3'}", "q1w2e3"),
        ("{'a': {'api_key': b'q1w2e3'}, 'b': 1}", "q1w2e3"),
        ("user[password]=q1w2e3", "q1w2e3"),
        ("level=info db_password=\"q1 w2\\\" e3\" n=1", "e3"),
        ("Password:          q1w2e3", "q1w2e3"),
        ("Password:\tq1w2e3", "q1w2e3"),
        ("db_password            = q1w2e3", "q1w2e3"),
        ("db_password\t=\tq1w2e3", "q1w2e3"),
        ("Config(password=Password('q1w2e3'), n=1)", "q1w2e3"),
        ("password=it's-q1w2e3 n=1", "q1w2e3"),
        ("Authorization: Digest username=\"u\", response=\"q1w2e3\"", "q1w2e3"),
        ("Authorization: Token token=\"q1w2e3\"", "q1w2e3"),
        ("Cookie: name=it's; sid=q1w2e3", "q1w2e3"),
        ("Cookie: a=\"x\"; sid=\"q1w2e3\"", "q1w2e3"),
        ("curl -H 'Authorization: Bearer q1w2e3q1w2e3' http://x", "q1w2e3"),
        ("Command '['curl', '--password', 'q1w2e3']' returned 1", "q1w2e3"),
        (r#"{"argv":["serve","--api-key","q1w2e3","-v"]}"#, "q1w2e3"),
        ("--password   q1w2e3", "q1w2e3"),
        ("java -jar x.jar -password q1w2e3", "q1w2e3"),
        ("\"password\"=>\"q1w2e3\", :token => 'q1w2e3'", "q1w2e3"),
        (r"password\x3dq1w2e3", "q1w2e3"),
        (r#"{"m":"pass\\u0077ord=q1w2e3"}"#, "q1w2e3"),
        (r#"{"access_tokens":["q1w2e3"]}"#, "q1w2e3"),
        ("-Djavax.net.ssl.keyStorePassword=q1w2e3", "q1w2e3"),
        ("config.password.value=q1w2e3", "q1w2e3"),
        (r#"{"password":{"value":"q1w2e3"},"secrets":{"a":"q1w2e3"}}"#, "q1w2e3"),
        (r#"{"a":"password","b":"q1"} {"password":"q1w2e3"}"#, "q1w2e3"),
        ("\u{feff}{\"password\":\"q1w2e3\"}", "q1w2e3"),
        ("{\"password\"\u{a0}:\u{a0}\"q1w2e3\"}", "q1w2e3"),
        ("password\u{ff1d}q1w2e3", "q1w2e3"),
        ("password\u{ff1a} q1w2e3", "q1w2e3"),
        ("{\"password\":'q1w2e3'}", "q1w2e3"),
        ("{\"password\":q1w2e3}", "q1w2e3"),
        ("{password:\"q1w2e3\"}", "q1w2e3"),
        ("[('x-api-key', 'q1w2e3'), ('accept', '*/*')]", "q1w2e3"),
        ("[(b'authorization', b'q1w2e3')]", "q1w2e3"),
        (r#"{"m":"password: q1w2e3"}"#, "q1w2e3"),
        (r#"{"m":"password:\tq1w2e3"}"#, "q1w2e3"),
        (r#"{"q1":{"name":"a"},"the password is q1w2e3 in a key: password=q1w2e3":1}"#, "=q1w2e3"),
        ("postgres://u:q1w2e3@db:5432/x", "q1w2e3"),
        ("postgres://u:q1w/2e3@db:5432/x", "2e3"),
        ("redis://:q1w2e3@h", "q1w2e3"),
        ("GET /x?access_token=q1w2e3&b=2 HTTP/1.1", "q1w2e3"),
        ("https://x.blob.core.windows.net/a?sv=1&sig=q1w2e3%3D", "q1w2e3"),
        ("AccountName=x;AccountKey=q1w2e3==;Suffix=y", "q1w2e3"),
        ("vault hvs.CAESIJ0123456789abcdefghijklmn", "CAESIJ"),
        (r#"{"m":"lsv2_pt_0123456789abcdef0123456789abcdef_0123456789"}"#, "0123"),
        (r#"{"m":"pcsk_0123456789_abcdefghijklmnopqrstuvwxyz"}"#, "0123"),
        (r#"{"m":"tvly-dev-abcdefghijklmnopqrstuvwx"}"#, "abcd"),
        (r#"{"m":"PMAK-0123456789abcdef01234567-0123456789abcdef0123456789"}"#, "0123"),
        (r#"{"m":"NRAK-0123456789ABCDEFGHIJKLMNOPQ"}"#, "0123"),
        ("proxy auth: Basic dXNlcjpxMXcyZTM=", "dXNlcjpxMXcyZTM"),
    ]);
}

#[test]
fn personal_data() {
    none_survives(&[
        (r#"{"bob@example.com":1}"#, "bob"),
        (r#"{"a":{"4111111111111111":1}}"#, "4111111111111111"),
        ("mail böb@bücher.de", "böb"),
        ("mail bob@@example.com", "bob"),
        (r#"{"card":{"number":4111111111111111}}"#, "4111111111111111"),
        (r#"{"phone":4915112345678}"#, "4915112345678"),
        (r#"{"mobile":"0151 12345678"}"#, "12345678"),
        ("call 020 7123 4567 now", "7123"),
        ("+49 (0) 151 12345678", "12345678"),
        ("+44 (0)20 7123 4567", "7123"),
        ("+49-151-12345678", "12345678"),
        ("+33 1 23 45 67 89", "45 67"),
        ("+1.415.555.2671", "2671"),
        ("tel. 030 12345678", "12345678"),
        ("(030) 12345678", "12345678"),
        ("call 1-800-555-0199", "0199"),
        ("call 415.555.2671 or (415)555-2671", "2671"),
        ("00 44 20 7123 4567", "7123"),
        (r#"{"contact":{"phone":{"number":4915112345678}}}"#, "15112345678"),
        ("ssn 536 - 22 - 1234", "1234"),
        ("card 4111 - 1111 - 1111 - 1111", "1111"),
        (";4111111111111111=27121010000?", "4111"),
        ("BOB@CORP.EXAMPLE bob%x@relay.example bob@corp.example:25", "BOB"),
        ("GB82WEST 12345698765432", "WEST"),
        ("from [2001:db8::77]:8080 x", "2001:db8"),
        ("from fe80::1234:77%eth0 x", "fe80::1234"),
        ("from ::ffff:203.0.113.77 x", "203.0.113.77"),
        ("peer=2001:db8::77 x", "2001:db8"),
        ("agent 203.0.113.77 connected", "203.0.113.77"),
        ("refused: Gateway/203.0.113.77:443", "203.0.113.77"),
        (r#"{"ssn":"536.22.1234"}"#, "536.22"),
        (r#"{"m":"ssn 536221234"}"#, "536221234"),
        (r#"{"ssn":536221234}"#, "536221234"),
        (r#"{"request_id":"bob@example.com"}"#, "bob"),
        (r#"{"m":"GB82 WEST 1234 5698 7654 32"}"#, "WEST"),
        ("gb82west12345698765432", "west"),
        (
            r#"{"m":"-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKC\n-----END RSA PRIVATE KEY-----\n"}"#,
            "MIIE",
        ),
        (r#"{"m":"{\"k\":\"-----BEGIN RSA PRIVATE KEY-----\\nMIIEpAIBAAKC\\n\"}"}"#, "MIIE"),
    ]);
}

#[test]
fn bytes_that_are_no_text() {
    let plan = plan::plan(Protection::Detectors, 1.0);
    for line in [
        &b"mail jos\xe9@example.com"[..],
        b"mail bob@b\xfccher.de",
        b"{\"m\":\"b\xf6b@example.com\"}",
        b"password=q1\xffw2e3 bob@example.com",
    ] {
        for (_, _, text) in run(&plan, &[line]) {
            let is_clean =
                ["jos", "bob", "cher", "w2e3", "example"].iter().all(|s| !text.contains(s));
            assert!(is_clean, "{text}");
        }
    }
}

#[test]
fn numbers_and_names_of_models_pass() {
    all_unaltered(&[
        r#"{"id":"3f1c0a9e-5b7d-4c2e-9a1f-0d3c5e7b9a1d","id2":"12345678-1234-1234-1234-123456789012"}"#,
        r#"{"ts":"2026-11-26T07:25:16.123456Z","t2":1795464000123,"t3":1795464000.123456}"#,
        r#"{"version":"1.2.3.4","build":"10.0.19041.1","agent":"Mozilla/5.0 Chrome/120.0.6099.109"}"#,
        r#"{"sha":"4bf92f3577b34da6a3ce929d0e0e4736","md5":"00000000000000004111111111111111"}"#,
        r#"{"auc":0.4532015112830366,"loss":4.532015112830366e-05,"n":4532015112830366}"#,
        r#"{"shape":[1,224,224,3],"dims":"1x224x224x3","layers":"256-512-1024"}"#,
        r#"{"order":"ORD-2026-0001234567","order_number":202600012345,"sku":"12-3456-789"}"#,
        r#"{"max_tokens":512,"prompt_tokens":17,"tokenizer":"bpe","eos_token":"</s>","token_ids":[1,2]}"#,
        r#"{"epoch_ms":1795464000123,"epoch_us":1795464000123456,"epoch_ns":1795464000123456789}"#,
        "epoch 12/100 loss=0.4532 val_loss=0.5123 lr=1e-05 step=1234567 eta 0:12:34",
        "2026-11-26 07:25:16,123 INFO serve.py:123 loaded model v2.3.1 in 12.34s",
        "10:30:00.123456789 12:34:56 ratio 16:9 x[1::2] a::b std::vec::Vec",
        "torch==2.1.0.1 numpy>=1.26.4 CUDA 12.1.105 driver 535.104.05",
        "user=7 keys=12 passes=3 password_length=12 token_count=77",
        "primary key: id, sort key: ts, key=value, cache key: abc",
        "bounding box (123, 456, 789, 1011) conf 0.98 class 3",
        r#"{"embedding":[0.0123456789012345,-0.4111111111111111,1.5e-7]}"#,
        r#"{"pass@1":0.4512,"pass@10":0.7712,"token_accuracy":0.93,"token_loss":1.25}"#,
        r#"{"pad_token":"[PAD]","bos_token_id":1,"decoder_start_token_id":2,"token_type_ids":[0]}"#,
        r#"{"num_key_value_heads":8,"key_dim":64,"key_padding_mask":true,"sort_key":"ts"}"#,
        r#"{"phone_verified_at":1795464000123,"mobile":true,"card_count":12,"ip_count":3}"#,
        r#"{"tok_s":123.4567,"tokens_per_second":1234.5678901,"prompt_eval_count":1234567890}"#,
        "Unexpected token '<' at position 0; next token: the, tokens: 512",
        "pass@1=0.4512 pass@10: 0.7712 passed=12 bypass=1",
        r#"{"path":"/v1/models/fraud:predict","status":"200","took":"12ms"}"#,
        "GET /v1/models/fraud/versions/1.2.3.4 HTTP/1.1 200",
        "gpu 0: 40537MiB / 81559MiB, 63C, 287W; pid 1234567",
        "tensor(0.4532, device='cuda:0') dtype=torch.float32 size=[1, 3, 640, 640]",
    ]);
}

/// A line that was cut at its limit ends with half of what stood there.
#[test]
fn what_a_cut_leaves_of_a_secret() {
    let plan = plan::plan(Protection::Detectors, 1.0);
    for (line, half) in [
        ("mail to bob@exam", "bob"),
        (r#"{"a":"x","m":"mail bob@exam"#, "bob"),
        ("paid with 4111 1111 1111 11", "4111"),
        (r#"{"a":"x","iban":"GB82 WEST 1234 5"#, "GB82"),
        ("key ghp_abcdefghij", "ghp_"),
        ("key eyJhbGciOiJIUz", "eyJ"),
        ("call +44 20 7123", "7123"),
        ("Bearer abcde", "abcde"),
    ] {
        let text = format!("{line}\n");
        let mut chunk = run::chunk(text.as_bytes());
        let len = line.len() as u32;
        let cut = Line { len, flags: Flags::TRUNCATED, ..Line::default() };
        chunk.lines = Lines::Table(vec![cut]);
        let out = run::process(&mut Pipeline::new(plan.clone()), chunk);
        assert_eq!(out.len(), 1);
        assert!(!out[0].2.contains(half), "{}", out[0].2);
    }
}

/// A row of beginnings without ends is read once, not once for each of them.
#[test]
fn rows_of_beginnings() {
    let plan = plan::plan(Protection::Fields, 1.0);
    for part in [
        "password=a(b ",
        "('password', (",
        "('password', '",
        "[b'password', b'",
        "cookie: a=\"x ",
        "cookie: x\" ",
        "cookie: a='x\\\" ",
        "--password ",
        "-token -",
        "'--password', (",
        "user_id=a(b ",
        "'user_id': {",
        "\"user_id\": \"a ",
        "a@@",
        "1 - 1 - ",
        "4111 - 1111 - ",
        "password:          ",
        "\\tuser_id",
        "eyJhbGci ",
        "536 - 22 - 1234 - ",
    ] {
        let text = part.repeat((256 << 10) / part.len());
        for line in [text.clone(), serde_json::json!({ "m": text }).to_string()] {
            let begun = std::time::Instant::now();
            let mut pipeline = Pipeline::new(plan.clone());
            run::process(&mut pipeline, run::chunk(format!("{line}\n").as_bytes()));
            let took = begun.elapsed();
            assert!(took.as_secs() < 20, "{part} took {took:?}");
        }
    }
}
