//! Each detector on what it must find and on what it must leave alone.

use super::*;
use crate::event::json::block::Swar;

/// What `find` sees in `text`, as `entity:text`.
fn found(text: &str, hint: KeyHint) -> Vec<String> {
    let mut hits = Vec::new();
    find(text.as_bytes(), EntitySet::ALL, hint, &mut hits);
    hits.sort_by_key(|hit| (hit.start, hit.end));
    let show = |hit: &Hit| {
        let part = &text.as_bytes()[hit.start as usize..hit.end as usize];
        format!("{}:{}", hit.entity.as_str(), String::from_utf8_lossy(part))
    };
    hits.iter().map(show).collect()
}

fn check(cases: &[(&str, &[&str])]) {
    check_under(KeyHint::NONE, cases);
}

fn check_under(hint: KeyHint, cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        assert_eq!(found(text, hint), *expected, "{text}");
    }
}

#[test]
fn emails() {
    check(&[
        ("bob@x.com", &["email:bob@x.com"]),
        ("KeyError: 'bob@x.com'", &["email:bob@x.com"]),
        ("<bob.o'brien+tag@mail.example.co.uk>,", &["email:bob.o'brien+tag@mail.example.co.uk"]),
        ("user=bob@x.com&y=1", &["email:bob@x.com"]),
        ("böb@bücher.de", &["email:böb@bücher.de"]),
        ("mail 张伟@例子.中国 now", &["email:张伟@例子.中国"]),
        ("a@b.com,c@d.org", &["email:a@b.com", "email:c@d.org"]),
        ("\"john doe\"@x.com", &["email:\"john doe\"@x.com"]),
        ("bob@[10.0.0.1]", &["email:bob@[10.0.0.1]", "ip_address:10.0.0.1"]),
        ("to bob@x.com.", &["email:bob@x.com"]),
        ("b@x.xn--p1ai", &["email:b@x.xn--p1ai"]),
        ("“bob@x.com”", &["email:bob@x.com"]),
    ]);
    check(&[
        ("@app.route", &[]),
        ("pkg@1.2.3", &[]),
        ("npm i @scope/pkg@2.0.1", &[]),
        ("icon@2x.png", &[]),
        ("a@b", &[]),
        ("A @ B.T", &[]),
        ("x @ y.z", &[]),
        ("@", &[]),
        ("image@sha256:abcdef", &[]),
    ]);
}

#[test]
fn cards() {
    for text in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "378282246310005",
        "3782 822463 10005",
        "5555555555554444",
        "2221000000000009",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "3056 930902 5904",
        "4222222222222",
        "6200000000000005",
        "41111111 11111111",
        "4111-11111111-1111",
        "4111+1111+1111+1111",
        "4111_1111_1111_1111",
    ] {
        check(&[(text, &[&format!("credit_card:{text}")])]);
        let quoted = format!("paid with '{text}', thanks");
        check(&[(&quoted, &[&format!("credit_card:{text}")])]);
    }
    check(&[
        ("card_4111111111111111", &["credit_card:4111111111111111"]),
        ("4111111111111111abc", &["credit_card:4111111111111111"]),
        ("%B4111111111111111^DOE/J^2512", &["credit_card:4111111111111111"]),
        ("4111 1111 1111 1111 12/27 123", &["credit_card:4111 1111 1111 1111"]),
        ("exp 12/27 4111 1111 1111 1111", &["credit_card:4111 1111 1111 1111"]),
        ("4111111111111111.0", &["credit_card:4111111111111111"]),
        (
            "4111111111111111,5555555555554444",
            &["credit_card:4111111111111111", "credit_card:5555555555554444"],
        ),
        (
            "4111 1111 1111 1111 5555 5555 5555 4444",
            &["credit_card:4111 1111 1111 1111", "credit_card:5555 5555 5555 4444"],
        ),
    ]);
    check(&[
        ("4111111111111112", &[]),
        ("0.4532015112830366", &[]),
        ("-0.4532015112830366e-5", &[]),
        ("4.532015112830366e-05", &[]),
        ("1767225600123456", &[]),
        ("1767225600123", &[]),
        ("1767225600123456789", &[]),
        ("9999999999999999", &[]),
        ("45320151.12830366", &[]),
        ("[0.4532015112830366 0.4532015112830366]", &[]),
        ("4532.0151 1283.0366", &[]),
        ("ids 101 4532 0151 1283 0366 102 7592 2003 1037 2023 2003 1012", &[]),
        ("4f3a4111111111111111bc00d5e6f7a8", &[]),
        ("00004532-0151-4283-8366-000000000000", &[]),
        ("41111111111111111111", &[]),
        ("123456 4111111111", &[]),
    ]);
    check_under(KeyHint::CARD, &[("4111 1111 1111111 1", &["credit_card:4111 1111 1111111 1"])]);
    check_under(KeyHint::TRACE, &[("4111111111111111", &[])]);
}

/// BentoML's request ids are 64-bit numbers: one in a hundred has a card's prefix and check digit.
#[test]
fn a_request_id_of_64_bits_is_no_card() {
    let id = "6213930528999883190";
    check(&[(id, &["credit_card:6213930528999883190"])]);
    check(&[
        ("request_id=6213930528999883190 took 3 ms", &[]),
        ("requestId: \"6213930528999883190\"", &[]),
    ]);
    check_under(
        KeyHint::REQUEST,
        &[
            (id, &[]),
            ("4111111111111111", &["credit_card:4111111111111111"]),
            ("card 6213930528999883190", &["credit_card:6213930528999883190"]),
        ],
    );
}

#[test]
fn numbers_under_keys_that_say_so() {
    for (token, hint, entity) in [
        ("4111111111111111", KeyHint::CARD, Some(Entity::CreditCard)),
        ("4111111111111111.0", KeyHint::CARD, Some(Entity::CreditCard)),
        ("4.111111111111111e15", KeyHint::CARD, Some(Entity::CreditCard)),
        ("4.111111111111111E+15", KeyHint::CARD, Some(Entity::CreditCard)),
        ("411111111111111100e-2", KeyHint::CARD, Some(Entity::CreditCard)),
        ("4111111111111111.5", KeyHint::CARD, None),
        ("4.11e15", KeyHint::CARD, None),
        ("4111111111111111", KeyHint::NONE, None),
        ("4111111111111112", KeyHint::CARD, None),
        ("1.2345678901234567e15", KeyHint::CARD, None),
        ("123456789", KeyHint::SSN, Some(Entity::UsSsn)),
        ("12345678", KeyHint::SSN, Some(Entity::UsSsn)),
        ("900456789", KeyHint::SSN, None),
        ("2125550199", KeyHint::PHONE, Some(Entity::Phone)),
        ("555", KeyHint::PHONE, None),
        ("1e400", KeyHint::CARD, None),
        ("-", KeyHint::CARD, None),
    ] {
        assert_eq!(number(token.as_bytes(), EntitySet::ALL, hint), entity, "{token}");
    }
}

#[test]
fn every_social_security_number() {
    // All areas and all groups; serials at their borders.
    let mut hits = Vec::new();
    for area in 0..1000 {
        for group in 0..100 {
            for serial in [0, 1, 1000, 9999] {
                let text = format!("{area:03}-{group:02}-{serial:04}");
                let valid = !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0;
                hits.clear();
                find(text.as_bytes(), EntitySet::ALL, KeyHint::NONE, &mut hits);
                let found = hits.iter().any(|hit| hit.entity == Entity::UsSsn);
                assert_eq!(found, valid, "{text}");
            }
        }
    }
    for serial in 1..10_000 {
        hits.clear();
        let text = format!("ssn: 123-45-{serial:04}.");
        find(text.as_bytes(), EntitySet::ALL, KeyHint::NONE, &mut hits);
        assert_eq!((hits.len(), hits[0].start, hits[0].end), (1, 5, 16), "{text}");
    }
}

#[test]
fn social_security_numbers() {
    check(&[
        ("123 45 6789", &["us_ssn:123 45 6789"]),
        ("SSN123-45-6789", &["us_ssn:123-45-6789"]),
        ("ssn: 123456789", &["us_ssn:123456789"]),
        ("Social Security 123456789", &["us_ssn:123456789"]),
        ("a 123-45-6789 b 078-05-1120", &["us_ssn:123-45-6789", "us_ssn:078-05-1120"]),
    ]);
    check(&[
        ("123456789", &[]),
        ("ids 101 123 45 6789 102", &[]),
        ("5-123-45-6789", &[]),
        ("123-45-6789-0", &[]),
        ("1123-45-6789", &[]),
        ("123-45-67890", &[]),
    ]);
    check_under(KeyHint::SSN, &[("123456789", &["us_ssn:123456789"])]);
}

#[test]
fn ibans() {
    for text in [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "GB82 WEST 1234 5698 7654 32",
        "FR1420041010050500013M02606",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "de89370400440532013000",
        "CH93-0076-2011-6238-5295-7",
    ] {
        check(&[(text, &[&format!("iban:{text}")])]);
        let inside = format!("to {text}, and");
        check(&[(&inside, &[&format!("iban:{text}")])]);
    }
    check(&[
        ("DE89370400440532013001", &[]),
        ("XX89370400440532013000", &[]),
        ("aDE89370400440532013000", &[]),
        ("DE893704004405320130001", &[]),
        ("de893704-0044-4532-8130-00abcdef0123", &[]),
    ]);
}

#[test]
fn phones() {
    for text in [
        "+442071234567",
        "+44 20 7123 4567",
        "+44 (0)20 7123 4567",
        "+1 (212) 555-0199",
        "+1-212-555-0199",
        "+12125550199",
        "+49 30 123456",
        "+33 1 23 45 67 89",
        "+91 98765 43210",
        "(212) 555-0199",
        "(212)555-0199",
        "212-555-0199",
        "212.555.0199",
        "212 555 0199",
        "1-212-555-0199",
        "1 (212) 555-0199",
        "020 7123 4567",
        "(020) 7123 4567",
        "07700 900123",
        "01632 960001",
        "0161 496 0000",
        "030/1234567",
        "01 23 45 67 89",
        "01.23.45.67.89",
        "0412 345 678",
        "03-1234-5678",
        "0044 20 7123 4567",
        "+81 3-1234-5678",
        "0171 1234567",
    ] {
        let shown = format!("phone:{}", text.strip_prefix("1 (").map_or(text, |_| &text[2..]));
        check(&[(text, &[&shown])]);
        let inside = format!("call {text}, please");
        check(&[(&inside, &[&shown])]);
    }
    check(&[
        ("tel: 5550199", &["phone:5550199"]),
        ("phone=2125550199", &["phone:2125550199"]),
        ("212-555-0199x12", &["phone:212-555-0199"]),
        ("order 5 212-555-0199", &["phone:212-555-0199"]),
    ]);
    check_under(
        KeyHint::PHONE,
        &[
            ("5550199", &["phone:5550199"]),
            ("555-0199", &["phone:555-0199"]),
            ("+1.2125550199", &["phone:+1.2125550199"]),
            ("00442071234567", &["phone:00442071234567"]),
        ],
    );
}

#[test]
fn numbers_that_are_no_phones() {
    for text in [
        "2125550199",
        "5550199",
        "555-0199",
        "1767225600",
        "1767225600123",
        "2026-11-23",
        "2026-11-23 22:36:00",
        "2026-11-23T22:36:00.123456Z",
        "20261123 223600",
        "23-11-2026",
        "+1.2345678901",
        "+0.1234567890",
        "1e+10",
        "3.5e+123456789",
        "256-512-1024",
        "256 512 1024",
        "[312 555 2003]",
        "mlp-256-512-1024",
        "0.12 0.34 0.56",
        "101 2023 2003 1037 102",
        "224 224 3",
        "1, 212, 555, 1999",
        "0123456789",
        "00123456789",
        "v1.2.3",
        "120.0.6099.71",
        "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        "10-20-30",
        "100-2000",
        "212-555-01999",
        "12:34:56.789012",
        "2026/11/23",
        "01/02/2026",
        "020.1234567",
        "id a212-555-0199",
    ] {
        check(&[(text, &[])]);
    }
}

#[test]
fn addresses() {
    check(&[
        ("10.0.0.1", &["ip_address:10.0.0.1"]),
        ("from 192.168.1.77:56234 -", &["ip_address:192.168.1.77"]),
        ("http://10.1.2.3/x", &["ip_address:10.1.2.3"]),
        ("GET /hosts/10.1.2.3", &["ip_address:10.1.2.3"]),
        ("10.1.2.3/24.", &["ip_address:10.1.2.3"]),
        ("at 10.1.2.3.", &["ip_address:10.1.2.3"]),
        ("10.1.2.3.nip.io", &["ip_address:10.1.2.3"]),
        ("2001:db8::1", &["ip_address:2001:db8::1"]),
        ("[2001:db8::1]:8080", &["ip_address:2001:db8::1"]),
        ("peer:2001:db8::1: gone", &["ip_address:2001:db8::1"]),
        ("tag:2001:db8::1", &["ip_address:2001:db8::1"]),
        ("a:1:2:3:4:5:6:7:8", &["ip_address:a:1:2:3:4:5:6:7"]),
        ("x:1:2:3:4:5:6:7:8:443", &["ip_address:1:2:3:4:5:6:7:8"]),
        ("fe80::1%eth0", &["ip_address:fe80::1"]),
        (
            "2001:0db8:85a3:0000:0000:8a2e:0370:7334",
            &["ip_address:2001:0db8:85a3:0000:0000:8a2e:0370:7334"],
        ),
        ("::ffff:10.1.2.3", &["ip_address:::ffff:10.1.2.3", "ip_address:10.1.2.3"]),
        ("00:1b:63:84:45:e6", &["mac_address:00:1b:63:84:45:e6"]),
        ("00-1B-63-84-45-E6", &["mac_address:00-1B-63-84-45-E6"]),
        ("001b.6384.45e6", &["mac_address:001b.6384.45e6"]),
    ]);
    check(&[
        ("v1.2.3.4", &[]),
        ("version 1.2.3.4", &[]),
        ("torch==1.2.3.4", &[]),
        ("Chrome/91.0.44.12", &[]),
        ("curl/7.1.2.3", &[]),
        ("1.2.3.4.5", &[]),
        ("1.2.3.256", &[]),
        ("127.0.0.1:8000", &[]),
        ("0.0.0.0", &[]),
        ("::1", &[]),
        ("12:34:56", &[]),
        ("12:34:56:789", &[]),
        ("22:36:00.123456", &[]),
        ("std::vector", &[]),
        ("x[1::2]", &[]),
        ("a::b", &[]),
        ("dead::beef", &[]),
        ("20-26-11-23-10-30", &[]),
        ("0.1.2.", &[]),
    ]);
    check_under(KeyHint::VERSION, &[("1.2.3.4", &[])]);
    check_under(KeyHint::IP, &[("v1.2.3.4 Chrome/1.2.3.4", &["ip_address:1.2.3.4"])]);
}

#[test]
fn tokens() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.";
    check(&[(jwt, &[&format!("jwt:{jwt}")]), (none, &[&format!("jwt:{none}")])]);
    for key in [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "xoxb-123456789012-abcdefghij",
        "AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "sk-proj-abcdefghijklmnopqrstuvwx",
        "sk-T1zdp7dc4eC39HqLyjWDarjt",
        "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "glpat-abcdefghij1234567890",
        "SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ",
    ] {
        let text = format!("use {key} here");
        check(&[(&text, &[&format!("api_key:{key}")])]);
    }
    check(&[
        ("Bearer abc123def", &["bearer_token:abc123def"]),
        ("bearer mF_9.B5f-4.1JqM", &["bearer_token:mF_9.B5f-4.1JqM"]),
        ("Basic dXNlcjpwYXNz", &["bearer_token:dXNlcjpwYXNz"]),
        ("basic dXNlcjpwYXNz", &["bearer_token:dXNlcjpwYXNz"]),
    ]);
    check(&[
        ("the bearer of news", &[]),
        ("bearer authentication", &[]),
        ("basic training run", &[]),
        ("sk-learn-random-forest-model-v2", &[]),
        ("risk-adjusted-return-on-capital-1A", &[]),
        ("eyJust a word", &[]),
        ("dapier", &[]),
    ]);
}

#[test]
fn pem_blocks() {
    let block = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----";
    check(&[
        (&format!("a {block} b"), &[&format!("pem:{block}")]),
        ("x -----BEGIN EC PRIVATE KEY-----\nMHc", &["pem:-----BEGIN EC PRIVATE KEY-----\nMHc"]),
        ("MHc\n-----END KEY----- y", &["pem:MHc\n-----END KEY-----"]),
        ("-----------", &[]),
    ]);
    let mut state = pem::Block::default();
    let lines = ["before", "-----BEGIN X-----", "MII", "MII", "-----END X-----", "after"];
    let inside = lines.map(|line| state.line(line.as_bytes()));
    assert_eq!(inside, [None, None, Some((0, 3)), Some((0, 3)), None, None]);
}

#[test]
fn secrets_in_text() {
    for (text, secret) in [
        ("password=hunter2", "hunter2"),
        ("password: hunter2", "hunter2"),
        ("DB_PASSWORD = 'hunter2'", "hunter2"),
        ("{'password': 'hunter 2'}", "hunter 2"),
        (r#"{"api_key":"abc","x":1}"#, "abc"),
        (r#"{"password": 123456}"#, "123456"),
        (r#"{\"password\": \"hunter2\", \"x\": 1}"#, "hunter2"),
        (r#"{"credentials": {"user": "u", "pass": "}"}, "x": 1}"#, r#"{"user": "u", "pass": "}"}"#),
        ("secret=abc&x=1", "abc"),
        ("postgres://u:hunter2@db/x", "hunter2"),
        ("postgres://u:hun/ter2@db/x", "hun/ter2"),
        ("--password hunter2 --x", "hunter2"),
        ("--api-key=hunter2", "hunter2"),
        ("Cookie: a=b; c=d", "a=b; c=d"),
        ("Authorization: Token abc def", "Token abc def"),
        ("token: Bearer abc", "Bearer abc"),
        ("Api Key: abc", "abc"),
        ("os.environ['DB_PASSWORD'] = 'x y'", "x y"),
        ("https://s3/x?X-Amz-Signature=abc&y", "abc"),
        ("https://0123456789abcdef@sentry.io/1", "0123456789abcdef"),
        ("password=>x", "x"),
        ("n password=x", "x"),
        ("in 3 days.password=x", "x"),
    ] {
        let hits = found(text, KeyHint::NONE);
        assert!(hits.contains(&format!("secret:{secret}")), "{text}: {hits:?}");
    }
    check(&[
        ("max_tokens=512", &[]),
        ("tokens: 5", &[]),
        ("next token: the", &[]),
        ("password=", &[]),
        ("password: null", &[]),
        ("password=[secret]", &[]),
        ("password='[masked]'", &[]),
        ("password=****", &[]),
        ("time 12:30:00", &[]),
        ("http://host:8080/a@b", &[]),
        ("http://host/path", &[]),
        ("key: value", &[]),
        ("the secretary: x", &[]),
        ("--verbose yes", &[]),
        ("a=b", &[]),
    ]);
}

proptest::proptest! {
    #[test]
    fn never_panics_and_stays_inside(bytes in proptest::collection::vec(0u8.., 0..200)) {
        let mut hits = Vec::new();
        let hints = KeyHint::CARD.and(KeyHint::PHONE).and(KeyHint::SSN).and(KeyHint::IP);
        for hint in [KeyHint::NONE, hints] {
            find(&bytes, EntitySet::ALL, hint, &mut hits);
        }
        for hit in hits {
            proptest::prop_assert!(hit.start < hit.end && hit.end as usize <= bytes.len());
        }
    }

    #[test]
    fn never_panics_on_what_looks_like_it(
        text in "[0-9@:=.\\-/ \\\\\"'(){}+%eyJsk_pas,A-F\u{e9}]{0,60}",
    ) {
        let mut hits = Vec::new();
        find(text.as_bytes(), EntitySet::ALL, KeyHint::NONE, &mut hits);
        for hit in hits {
            proptest::prop_assert!(hit.start < hit.end && hit.end as usize <= text.len());
            proptest::prop_assert!(text.is_char_boundary(hit.start as usize));
        }
    }
}

/// One pass in blocks sees what a look at each byte sees, wherever it stands.
#[test]
fn seen_is_what_is_there() {
    fn plainly(text: &[u8]) -> Seen {
        let mut seen = Seen::default();
        let mut run = 0;
        for byte in text {
            seen.bits |= match byte {
                b'@' => Seen::AT,
                b':' => Seen::COLON | Seen::ASSIGN,
                b'=' => Seen::ASSIGN,
                b'.' => Seen::DOT,
                b'-' => Seen::DASH,
                b'\\' => Seen::BACKSLASH,
                b'%' => Seen::PERCENT,
                0x1b | 0x80.. => Seen::HIGH,
                _ => 0,
            };
            seen.n_digits += u32::from(byte.is_ascii_digit());
            let inside = byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
            run = if inside { run + 1 } else { 0 };
            seen.has_base64 |= run >= BASE64_MIN;
        }
        seen
    }
    for byte in 0..=255u8 {
        for filler in [b' ', 0, b'a', 0x1f] {
            for len in [0usize, 1, 11, 12, 13, 15, 16, 17, 63, 64, 65, 75, 76, 128, 140] {
                for place in [0, len / 2, len.saturating_sub(12), len.saturating_sub(1)] {
                    let mut text = vec![filler; len];
                    if let Some(slot) = text.get_mut(place) {
                        *slot = byte;
                    }
                    let wanted = plainly(&text);
                    assert_eq!(Seen::by::<Swar>(&text), wanted, "{}", text.escape_ascii());
                    assert_eq!(Seen::of(&text), wanted, "{}", text.escape_ascii());
                }
            }
        }
    }
    for from in 0..140 {
        for n in [11, 12, 13] {
            let mut text = [b' '; 160];
            text[from..from + n].fill(b'x');
            assert_eq!(Seen::of(&text).has_base64, n >= BASE64_MIN, "{n} at {from}");
        }
    }
}
