use super::*;
use crate::protect::context;

fn found(raw: &[u8], form: Form) -> Vec<(Entity, String)> {
    let (mut scratch, mut hits) = (Scratch::default(), Vec::new());
    inspect(raw, form, KeyHint::NONE, EntitySet::ALL, &mut scratch, &mut hits);
    let text = |hit: &Hit| &raw[hit.start as usize..hit.end as usize];
    hits.iter().map(|hit| (hit.entity, String::from_utf8_lossy(text(hit)).into_owned())).collect()
}

fn check(form: Form, entity: Entity, cases: &[(&str, &str)]) {
    for (raw, hit) in cases {
        assert_eq!(found(raw.as_bytes(), form), [(entity, (*hit).to_owned())], "{raw}");
    }
}

#[test]
fn escapes() {
    check(
        Form::JsonString,
        Entity::Email,
        &[
            (r"bob\u0040x.com", r"bob\u0040x.com"),
            (r"a b\u00f6b@x.com b", r"b\u00f6b@x.com"),
            (r"\nbob@x.com\n", r"bob@x.com"),
            (r"\u0062ob@x.co\u006d\u0020x", r"\u0062ob@x.co\u006d"),
            (r#"{\"mail\":\"bob@x.com\"}"#, "bob@x.com"),
            (r#"{\"a\":\"{\\\"mail\\\":\\\"bob\\\\u0040x.com\\\"}\"}"#, r"bob\\\\u0040x.com"),
            (r"DOMAIN\\bob@x.com", "bob@x.com"),
            (r"\ud83d\ude00bob@x.com", "bob@x.com"),
            (r"bob\\x40x.com", r"bob\\x40x.com"),
        ],
    );
    check(
        Form::JsonString,
        Entity::CreditCard,
        &[
            (r"\u00341111111\/1 \u0034111111111111111", r"\u0034111111111111111"),
            (r"\n100%4111111111111111", r"%4111111111111111"),
        ],
    );
}

#[test]
fn percent_signs() {
    check(
        Form::JsonString,
        Entity::Email,
        &[
            ("/u?m=bob%40x.com&y", "bob%40x.com"),
            ("bob%2540x.com", "bob%2540x.com"),
            ("%62ob%40x%2Ecom", "%62ob%40x%2Ecom"),
            (r"bob\u002540x.com", r"bob\u002540x.com"),
        ],
    );
    check(
        Form::Text,
        Entity::CreditCard,
        &[
            ("pan=4111%201111%201111%201111&", "4111%201111%201111%201111"),
            ("%EF%BC%94111111111111111", "%EF%BC%94111111111111111"),
        ],
    );
}

#[test]
fn look_alikes() {
    check(
        Form::JsonString,
        Entity::CreditCard,
        &[
            ("４１１１１１１１１１１１１１１１", "４１１１１１１１１１１１１１１１"),
            ("x 4111\u{a0}1111\u{a0}1111\u{a0}1111 y", "4111\u{a0}1111\u{a0}1111\u{a0}1111"),
            (
                "4111\u{2011}1111\u{2011}1111\u{2011}1111",
                "4111\u{2011}1111\u{2011}1111\u{2011}1111",
            ),
            ("4111\u{200b}111111111111", "4111\u{200b}111111111111"),
            ("٤١١١١١١١١١١١١١١١", "٤١١١١١١١١١١١١١١١"),
            (r"\uff14111111111111111", r"\uff14111111111111111"),
        ],
    );
    check(
        Form::JsonString,
        Entity::Email,
        &[("ｂｏｂ＠ｘ．ｃｏｍ", "ｂｏｂ＠ｘ．ｃｏｍ"), ("bob@bücher。de", "bob@bücher。de")],
    );
}

#[test]
fn colours() {
    let line = "user\x1b[0m=\x1b[35mx\x1b[0m ip\x1b[0m=\x1b[1;35m10.1.2.3\x1b[0m";
    check(Form::Text, Entity::IpAddress, &[(line, "10.1.2.3\x1b[0m")]);
    let line = r"password\u001b[0m=\u001b[35mhunter2\u001b[0m x";
    check(Form::JsonString, Entity::Secret, &[(line, r"hunter2\u001b[0m")]);
    check(Form::Text, Entity::Phone, &[("\x1b[1m212-555-0199 x", "212-555-0199")]);
    assert_eq!(found(b"\x1b[31mred\x1b[0m \x1b", Form::Text), []);
}

#[test]
fn base64_words() {
    let encode = |text: &str| data_encoding::BASE64.encode(text.as_bytes());
    let url = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    for (secret, entity) in [
        ("bob@x.com", Entity::Email),
        ("4111111111111111", Entity::CreditCard),
        ("{\"password\":\"hunter2\"}", Entity::Secret),
        ("name: böb, mail bob@x.com", Entity::Email),
        ("ünï: bob@x.com", Entity::Email),
        ("123-45-6789", Entity::UsSsn),
    ] {
        for word in [encode(secret), url(secret), encode(&encode(secret))] {
            for around in ["", "data:", "x ", "v1/", "a_b-"] {
                let raw = format!("{around}{word}");
                let hits = found(raw.as_bytes(), Form::JsonString);
                assert_eq!(hits.len(), 1, "{raw}");
                assert_eq!(hits[0].0, entity, "{raw}");
                assert!(hits[0].1.ends_with(&word), "{raw}: {hits:?}");
            }
        }
    }
    for raw in
        ["authentication", "SGVsbG8gd29ybGQsIGhvdyBhcmU=", "0123456789abcdef0123456789abcdef"]
    {
        assert_eq!(found(raw.as_bytes(), Form::JsonString), [], "{raw}");
    }
}

#[test]
fn too_deep_is_a_hit() {
    let mut text = "bob@x.com\"".to_owned();
    for _ in 0..16 {
        text = serde_json::to_string(&text).expect("JSON");
    }
    let raw = &text[1..text.len() - 1];
    assert_eq!(found(raw.as_bytes(), Form::JsonString), [(Entity::Secret, raw.to_owned())]);
}

#[test]
fn keys_and_bytes_of_no_text() {
    check(Form::Key, Entity::CreditCard, &[("4111111111111111", "4111111111111111")]);
    check(Form::Key, Entity::Email, &[("a@b.com", "a@b.com")]);
    assert_eq!(found(b"b\xf6b@x.com \xff", Form::Text).len(), 1);
    assert_eq!(found(b"\\", Form::JsonString), []);
    assert_eq!(found(b"%", Form::Text), []);
    assert_eq!(found(b"", Form::Text), []);
}

#[test]
fn plain_text() {
    for (raw, expected) in [
        ("abc", "abc"),
        (r"a\u0062c", "abc"),
        (r"a\\u0062c", "abc"),
        ("a%62c", "abc"),
        ("ａbc", "abc"),
        ("é", "é"),
        (r"\q%zz", r"\q%zz"),
    ] {
        assert_eq!(&*plain(raw.as_bytes()), expected.as_bytes(), "{raw}");
    }
    assert!(context::of_path("ｐassword".as_bytes()).has(KeyHint::SECRET));
}

proptest::proptest! {
    #[test]
    fn hits_are_sorted_apart_and_on_borders(
        raw in concat!(
            r"(\\u00[0-9a-f]{2}|\\n|\\\\|%[0-9A-F]{2}|[0-9]{1,5}|@|x\.com|é|４|",
            r#"[ -~&&[^\\"]]){0,24}"#,
        ),
    ) {
        let (mut scratch, mut hits) = (Scratch::default(), Vec::new());
        for form in [Form::JsonString, Form::Text] {
            hits.clear();
            inspect(raw.as_bytes(), form, KeyHint::NONE, EntitySet::ALL, &mut scratch, &mut hits);
            let mut end = 0;
            for hit in &hits {
                proptest::prop_assert!(hit.start >= end && hit.start < hit.end);
                proptest::prop_assert!(raw.is_char_boundary(hit.start as usize));
                proptest::prop_assert!(raw.is_char_boundary(hit.end as usize));
                end = hit.end;
                // Replaced by a mask, what was JSON is JSON.
                let (head, tail) = (&raw[..hit.start as usize], &raw[hit.end as usize..]);
                let edited = format!("\"{head}[x]{tail}\"");
                let was = serde_json::from_str::<String>(&format!("\"{raw}\"")).is_ok();
                let is = serde_json::from_str::<String>(&edited).is_ok();
                proptest::prop_assert!(!was || is, "{hit:?} cuts an escape");
            }
        }
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(0u8.., 0..300)) {
        let (mut scratch, mut hits) = (Scratch::default(), Vec::new());
        for form in [Form::JsonString, Form::Text, Form::Key, Form::Number] {
            inspect(&bytes, form, KeyHint::CARD, EntitySet::ALL, &mut scratch, &mut hits);
        }
    }
}
