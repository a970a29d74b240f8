use super::*;
use crate::protect::policy::PolicySpec;

const KEY: &[u8] = b"k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn policy(on_detect: &[(Entity, Action)]) -> Policy {
    let spec = PolicySpec {
        detect: EntitySet::ALL,
        on_detect: on_detect.to_vec(),
        ..PolicySpec::default()
    };
    Policy::compile(&spec, true).expect("compiles")
}

fn value(policy: &Policy, action: Action, token: &str, hint: KeyHint) -> String {
    let keyring = Keyring::parse(KEY).expect("a key");
    let replacer = Replacer { policy, keyring: Some(&keyring) };
    let (mut work, mut out) = (Work::default(), Vec::new());
    let changed = replacer.value(action, token.as_bytes(), hint, &mut work, &mut out);
    let out = String::from_utf8(out).expect("UTF-8");
    assert_eq!(changed, out != token, "{token}");
    out
}

#[test]
fn declared_fields() {
    let policy = policy(&[]);
    let width = |width| Action::Bucket(Bucket::Width(width));
    let year = Action::Bucket(Bucket::Year);
    let cut = |chars| Action::Truncate { chars };
    for (action, token, expected) in [
        (Action::Keep, r#""bob@x.com""#, r#""bob@x.com""#),
        (Action::Drop, r#""x""#, "null"),
        (Action::Mask, r#""x""#, r#""[masked]""#),
        (Action::Mask, "12", "null"),
        (Action::Mask, "true", "null"),
        (Action::Mask, "null", "null"),
        (Action::Mask, r#"{"a":1}"#, "null"),
        (Action::Mask, "[1]", "null"),
        (Action::Hash, "null", "null"),
        (cut(3), r#""abcdef""#, r#""abc""#),
        (cut(3), r#""a\u00e9\n\n""#, r#""a\u00e9\n""#),
        (cut(2), r#""\ud83d\ude00bc""#, r#""\ud83d\ude00b""#),
        (cut(2), r#""éèê""#, r#""éè""#),
        (cut(9), r#""éèê""#, r#""éèê""#),
        (cut(0), r#""éèê""#, r#""""#),
        (cut(7), r#""4111 1111 1111 1111""#, r#""[credit""#),
        (cut(3), "123456", "123456"),
        (cut(3), r#"{"a":1}"#, "null"),
        (year, r#""1984-05-17""#, r#""1984""#),
        (year, r#""1984-05-17T10:00:00Z""#, r#""1984""#),
        (year, r#""17.05.1984""#, r#""1984""#),
        (year, r#""05/17/1984""#, r#""1984""#),
        (year, r#""1984""#, r#""1984""#),
        (year, r#""17 May""#, r#""[masked]""#),
        (year, "1984", "1984"),
        (year, "19840517", "1984"),
        (year, "453600000", "1984"),
        (year, "1767225600", "2026"),
        (year, "1767225600123", "2026"),
        (year, "1767225600123456", "2026"),
        (year, "1767225600.5", "2026"),
        (year, "7", "null"),
        (width(10.0), "47", "40"),
        (width(10.0), "-0.5", "-10"),
        (width(0.25), "0.6", "0.5"),
        (width(10.0), r#""47""#, r#""40""#),
        (width(10.0), r#""abc""#, r#""[masked]""#),
        (width(10.0), "true", "null"),
        (width(10.0), "0", "0"),
    ] {
        assert_eq!(value(&policy, action, token, KeyHint::NONE), expected, "{action} {token}");
    }
    assert_eq!(value(&policy, Action::Mask, "true", KeyHint::SECRET), "true");
}

#[test]
fn pseudonyms_join_whatever_way_they_were_found() {
    let policy = policy(&[(Entity::Email, Action::Hash), (Entity::CreditCard, Action::Hash)]);
    let declared = value(&policy, Action::Hash, r#""Bob@x.com""#, KeyHint::NONE);
    assert!(declared.starts_with("\"email:k1:"), "{declared}");
    for token in [r#""bob@x.com""#, r#""bob\u0040x.com""#, r#""bob%40x.com""#] {
        assert_eq!(value(&policy, Action::Inspect, token, KeyHint::NONE), declared);
    }
    let card = value(&policy, Action::Inspect, r#""4111-1111-1111-1111""#, KeyHint::NONE);
    for token in ["4111111111111111", "4111111111111111.0", "4.111111111111111e15"] {
        assert_eq!(value(&policy, Action::Inspect, token, KeyHint::CARD), card);
        assert_eq!(value(&policy, Action::Inspect, token, KeyHint::NONE), token);
    }
    let id = value(&policy, Action::Hash, r#""u-17""#, KeyHint::NONE);
    assert!(id.starts_with("\"value:k1:") && id.len() == 37, "{id}");
    assert_eq!(value(&policy, Action::Hash, "17", KeyHint::NONE).len(), 37);
}

#[test]
fn findings() {
    let policy = policy(&[(Entity::Phone, Action::Drop), (Entity::IpAddress, Action::Keep)]);
    for (token, expected) in [
        (r#""a bob@x.com b""#, r#""a [email] b""#),
        (r#""tel +44 20 7123 4567.""#, r#""tel .""#),
        (r#""10.0.0.1""#, r#""10.0.0.1""#),
        (r#""b\u00f6b@x.com""#, r#""[email]""#),
        (
            r#""{\"password\": \"x\\\"y\", \"a\": 1}""#,
            r#""{\"password\": \"[secret]\", \"a\": 1}""#,
        ),
        (
            r#"{"password":"x","a":["b@x.com",1.5,{"db_pass":{"u":"x"}}],"b@x.com":41}"#,
            r#"{"password":"[masked]","a":["[email]",1.5,{"db_pass":null}],"[email]":41}"#,
        ),
        (r#"{"card":4111111111111111,"n":[1,2]}"#, r#"{"card":null,"n":[1,2]}"#),
        (r#"[ ]"#, r#"[ ]"#),
    ] {
        assert_eq!(value(&policy, Action::Inspect, token, KeyHint::NONE), expected, "{token}");
    }
}

#[test]
fn text() {
    let policy = policy(&[]);
    let replacer = Replacer { policy: &policy, keyring: None };
    let mut work = Work::default();
    let mut plain = |action, text: &str| {
        let mut out = Vec::new();
        replacer.plain(action, text.as_bytes(), KeyHint::NONE, &mut work, &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    assert_eq!(plain(Action::Inspect, "to bob@x.com"), "to [email]");
    assert_eq!(plain(Action::Mask, "x"), "[masked]");
    assert_eq!(plain(Action::Drop, "x"), "");
    assert_eq!(plain(Action::Truncate { chars: 2 }, "äöü"), "äö");
    assert_eq!(plain(Action::Bucket(Bucket::Year), "1984-05-17"), "1984");
    // A policy without keys cannot hash; should it be asked to, it masks.
    assert_eq!(plain(Action::Hash, "x"), "[masked]");
}
