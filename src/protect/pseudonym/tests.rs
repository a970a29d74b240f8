//! Known answers, joins over spellings and tiers, rotation, key files.

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn token(ring: &Keyring, entity: Entity, value: &str) -> String {
    let mut out = Vec::new();
    ring.token(entity, value.as_bytes(), &mut out);
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn known_answer() {
    // Checked against Python's hmac: subkey = HMAC(key, b"sidewake/pseudonym/v1/email\x01").
    let ring = Keyring::parse(format!("k1={HEX}").as_bytes()).expect("a key");
    assert_eq!(token(&ring, Entity::Email, "bob@x.com"), KNOWN);
}

const KNOWN: &str = "email:k1:LYAH66FDQAN4NRPTTJW4FLNX2O";

#[test]
fn the_same_person_joins() {
    let ring = Keyring::parse(format!("k1={HEX}").as_bytes()).expect("a key");
    let same = |entity, values: &[&str]| {
        let first = token(&ring, entity, values[0]);
        for value in values {
            assert_eq!(token(&ring, entity, value), first, "{value}");
        }
        first
    };
    let a = same(
        Entity::Email,
        &["bob@x.com", "Bob@X.com", " bob@x.com ", "bob\\u0040x.com", "bob%40x.com", "ｂob＠x.com"],
    );
    let b = same(Entity::Email, &["böb@bücher.de", "BÖB@BÜCHER.DE"]);
    let c = same(Entity::CreditCard, &["4111111111111111", "4111 1111-1111.1111"]);
    let d = same(
        Entity::Phone,
        &["+1 (212) 555-0199", "(212) 555-0199", "212-555-0199", "+12125550199"],
    );
    let e = same(Entity::Phone, &["+44 (0)20 7123 4567", "0044 20 7123 4567", "+442071234567"]);
    let f = same(Entity::IpAddress, &["2001:db8::1", "2001:0DB8:0:0:0:0:0:1"]);
    let g = same(Entity::Iban, &["DE89 3704 0044 0532 0130 00", "de89370400440532013000"]);
    let mut all = vec![a, b, c, d, e, f, g, token(&ring, Entity::Value, "bob@x.com")];
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 8);
}

#[test]
fn rotation_emits_both() {
    let old = Keyring::parse(format!("k1={HEX}").as_bytes()).expect("a key");
    let new_hex = HEX.replace("00", "ff");
    let both =
        Keyring::parse(format!("# rotated\nk2={new_hex}\nk1={HEX}\n").as_bytes()).expect("keys");
    let new = Keyring::parse(format!("k2={new_hex}").as_bytes()).expect("a key");
    let previous = token(&old, Entity::Email, "a@b.c").replace("email:", "");
    let current = token(&new, Entity::Email, "a@b.c");
    assert_eq!(token(&both, Entity::Email, "a@b.c"), format!("{current}~{previous}"));
    assert!(both.rotates() && !new.rotates());
    assert_eq!(both.key_id(), "k2");
}

#[test]
fn key_files() {
    let raw: Vec<u8> = (0..32).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&raw);
    let hex = Keyring::parse(HEX.as_bytes()).expect("hex");
    for file in [raw.clone(), format!("{HEX}\n").into_bytes(), base64.clone().into_bytes()] {
        let ring = Keyring::parse(&file).expect("a key");
        assert_eq!(token(&ring, Entity::Email, "x"), token(&hex, Entity::Email, "x"));
        assert_eq!(ring.key_id().len(), 5);
    }
    let named = Keyring::parse(format!("k1={base64}").as_bytes()).expect("base64");
    assert_eq!(named.key_id(), "k1");
    let short = |id: &str, n_bytes| Err(KeyError::Short { id: id.into(), n_bytes });
    for (file, error) in [
        ("", Err(KeyError::Empty)),
        ("  \n", Err(KeyError::Empty)),
        ("short", short("key", 5)),
        ("k1=00ff", short("k1", 2)),
        ("k1=!!!!", Err(KeyError::Encoding { id: "k1".into() })),
        (&format!("a={HEX}\na={HEX}"), Err(KeyError::Twice { id: "a".into() })),
        (&format!("a={HEX}\nb={HEX}\nc={HEX}"), Err(KeyError::Many { n: 3 })),
    ] {
        assert_eq!(Keyring::parse(file.as_bytes()).map(|_| ()), error, "{file}");
    }
    assert!(!format!("{hex:?}").contains("0001"));
}
