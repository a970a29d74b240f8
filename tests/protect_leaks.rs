//! No decoding of the output holds a secret that was in the input, in whatever spelling and place;
//! and what was JSON stays JSON.

use proptest::prelude::*;
use sidewake::protect::context::KeyHint;
use sidewake::protect::entity::EntitySet;
use sidewake::protect::policy::{Action, Policy, PolicySpec};
use sidewake::protect::pseudonym::Keyring;
use sidewake::protect::replace::{Replacer, Work};
use sidewake::protect::views::Form;

const KEY: &[u8] = b"k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Secrets, and what of them must not be found afterwards.
const SECRETS: [(&str, &str); 22] = [
    ("bob.builder@example.com", "builder@"),
    ("böb@bücher.de", "böb@"),
    ("4111111111111111", "4111111111111111"),
    ("4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("5555-5555-5555-4444", "5555-5555-5555-4444"),
    ("123-45-6789", "123-45-6789"),
    ("DE89 3704 0044 0532 0130 00", "3704 0044"),
    ("GB82WEST12345698765432", "WEST1234"),
    ("+44 20 7123 4567", "7123 4567"),
    ("(212) 555-0199", "555-0199"),
    ("192.168.17.33", "192.168.17.33"),
    ("2001:db8::8a2e:370:7334", "8a2e:370"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "eyJzdWIiOiIx"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7"),
    ("password=hunter2hunter2", "hunter2hunter2"),
    ("password:      hunter2hunter2", "hunter2hunter2"),
    ("password=Secret('hunter2hunter2')", "hunter2hunter2"),
    ("('x-api-key', 'hunter2hunter2')", "hunter2hunter2"),
    ("'--password', 'hunter2hunter2'", "hunter2hunter2"),
    ("Authorization: Token token='hunter2hunter2'", "hunter2hunter2"),
    ("postgres://app:hunter2hunter2@db/x", "hunter2hunter2"),
    ("Bearer mF_9.B5f-4.1JqM", "B5f-4.1JqM"),
];

/// What may stand behind a secret.
const AFTER: [&str; 10] = ["", " ", ", then", "\"", "'", "\n", ")", "}", "é", "."];

/// One way to hide a text; each is undone by [`reveal`].
fn spell(kind: u8, text: &str) -> String {
    match kind {
        0 => text.to_owned(),
        1 => text.chars().map(escaped).collect(),
        2 => text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
        3 => text.chars().map(full_width).collect(),
        4 => text.replace(' ', "\u{a0}").replace('-', "\u{2011}"),
        5 => data_encoding::BASE64.encode(text.as_bytes()),
        6 => data_encoding::BASE64URL_NOPAD.encode(text.as_bytes()),
        7 => serde_json::json!({ "inner": text }).to_string(),
        8 => serde_json::json!({ "a": serde_json::json!([{ "b": text }]).to_string() }).to_string(),
        _ => text
            .chars()
            .map(|c| {
                if c == '@' || c == ' ' || c == '%' {
                    format!("%{:02x}", c as u32)
                } else {
                    c.to_string()
                }
            })
            .collect(),
    }
}

/// `\u0041`, as text: the JSON string around it is made later.
fn escaped(c: char) -> String {
    let mut units = [0u16; 2];
    c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn full_width(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(c as u32 + 0xFEE0).expect("full-width forms"),
        other => other,
    }
}

/// All texts that a reader could decode `text` to, by this test's own means.
fn reveal(text: &str, depth: usize, found: &mut Vec<String>) {
    found.push(text.to_owned());
    if depth == 0 {
        return;
    }
    let narrow = |c: char| match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).expect("ASCII"),
        '\u{a0}' => ' ',
        '\u{2011}' => '-',
        other => other,
    };
    let mut next: Vec<String> = vec![text.chars().map(narrow).collect()];
    next.extend(serde_json::from_str::<String>(text));
    next.extend(serde_json::from_str::<String>(&format!("\"{text}\"")));
    if let Ok(value) = serde_json::from_str::<serde_json::Value>(text) {
        strings(&value, &mut next);
    }
    next.push(unpercent(text));
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
    for word in text.split(|c| !is_base64(c)).filter(|word| word.len() >= 8) {
        let word = word.replace('-', "+").replace('_', "/");
        let word = word.trim_end_matches('=');
        let even = &word[..word.len() - usize::from(word.len() % 4 == 1)];
        let mut spec = data_encoding::BASE64_NOPAD.specification();
        spec.check_trailing_bits = false;
        let lax = spec.encoding().expect("an encoding");
        next.extend(
            lax.decode(even.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
        );
    }
    next.retain(|other| other != text);
    next.iter().for_each(|other| reveal(other, depth - 1, found));
}

fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        serde_json::Value::Object(members) => members.iter().for_each(|(key, member)| {
            found.push(key.clone());
            strings(member, found);
        }),
        _ => {}
    }
}

fn unpercent(text: &str) -> String {
    let (bytes, mut out, mut i) = (text.as_bytes(), Vec::new(), 0);
    while i < bytes.len() {
        let digits = bytes.get(i + 1..i + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        let value = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[i], value) {
            (b'%', Some(value)) => {
                out.push(value);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn policy(hash: bool) -> Policy {
    let all = EntitySet::ALL;
    let on_detect = all.iter().filter(|_| hash).map(|entity| (entity, Action::Hash)).collect();
    let spec = PolicySpec { detect: all, on_detect, ..PolicySpec::default() };
    Policy::compile(&spec, true).expect("compiles")
}

/// Words that may stand around a secret without changing what it is.
fn surroundings() -> impl Strategy<Value = String> {
    proptest::string::string_regex(
        "([a-z]{0,9}[ ,;:]|[ ]?[0-9]{1,3}\\. |é |\\{\"|\\[|'|\\\\|\"|\n|%|=|/|\\()?",
    )
    .expect("a pattern")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn nothing_leaks(
        (secret, needle) in proptest::sample::select(&SECRETS[..]),
        first in 0u8..10,
        second in 0u8..10,
        before in surroundings(),
        after in proptest::sample::select(&AFTER[..]),
        place in 0u8..5,
        hash: bool,
    ) {
        // Words that make a version of an address.
        prop_assume!(!["ver", "ua"].iter().any(|word| before.starts_with(word)));
        // Base64 inside of base64 counts; a word of it needs its borders.
        let spelled = spell(second, &spell(first, secret));
        let text = format!("{before}{spelled}{after}");
        let line = match place {
            0 => text.clone(),
            1 => serde_json::json!({ "a": text, "n": 1 }).to_string(),
            2 => serde_json::json!({ text.clone(): [1.5, true, null] }).to_string(),
            3 => serde_json::json!([{ "x": { "y": [text] } }]).to_string(),
            _ => {
                let inner = serde_json::json!({ "t": text }).to_string();
                serde_json::json!({ "m": inner }).to_string()
            }
        };
        let policy = policy(hash);
        let keyring = Keyring::parse(KEY).expect("a key");
        let replacer = Replacer { policy: &policy, keyring: Some(&keyring) };
        let (mut work, mut out) = (Work::default(), Vec::new());
        match place {
            0 => replacer.inspect(line.as_bytes(), Form::Text, KeyHint::NONE, &mut work, &mut out),
            _ => {
                let (action, hint) = (Action::Inspect, KeyHint::NONE);
                replacer.value(action, line.as_bytes(), hint, &mut work, &mut out)
            }
        };
        let output = String::from_utf8(out).expect("UTF-8 stays UTF-8");
        if place > 0 {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&output).is_ok(), "{output}");
        }
        let mut found = Vec::new();
        reveal(&output, 6, &mut found);
        for text in found {
            prop_assert!(!text.contains(needle), "{line}\n-> {output}\n-> {text}");
        }
    }

    #[test]
    fn json_stays_json(value in json(), hash: bool) {
        let line = value.to_string();
        let policy = policy(hash);
        let keyring = Keyring::parse(KEY).expect("a key");
        let replacer = Replacer { policy: &policy, keyring: Some(&keyring) };
        let (mut work, mut out) = (Work::default(), Vec::new());
        for action in [
            Action::Inspect,
            Action::Mask,
            Action::Hash,
            Action::Drop,
            Action::Truncate { chars: 3 },
        ] {
            out.clear();
            replacer.value(action, line.as_bytes(), KeyHint::CARD, &mut work, &mut out);
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&out);
            prop_assert!(parsed.is_ok(), "{action} {line}\n-> {}", String::from_utf8_lossy(&out));
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let word = prop_oneof![
        "[ -~é４\\\\\"\n\u{200b}]{0,20}",
        "(password|token|card|bob@x\\.com|4111111111111111|%40|\\\\u0040)[ -~]{0,6}",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        Just(4_111_111_111_111_111u64.into()),
        word.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((word.clone(), inner), 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn cases() -> u32 {
    if std::env::var_os("SIDEWAKE_SLOW").is_some() { 300_000 } else { 3000 }
}
