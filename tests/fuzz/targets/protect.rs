//! What must not leave: detection in all spellings, what is written instead, patterns and keys.

use serde::de::IgnoredAny;
use sidewake::event::json::block::Native;
use sidewake::event::json::shapes::could_hold;
use sidewake::protect::context::{self, KeyHint};
use sidewake::protect::entity::EntitySet;
use sidewake::protect::find;
use sidewake::protect::policy::{Action, Bucket, Policy, PolicySpec};
use sidewake::protect::pseudonym::Keyring;
use sidewake::protect::replace::{Replacer, Work};
use sidewake::protect::views::{self, Form, Scratch};

const KEY: &[u8] = b"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Any value in any form: findings are sorted, apart and in it; what is written instead keeps the
/// syntax.
pub(crate) fn inspect(raw: &[u8]) {
    let policy = policy(&[]);
    let replacer = Replacer { policy: &policy, keyring: None };
    for form in [Form::Text, Form::JsonString, Form::Key] {
        if form != Form::Text && !is_json_inside(raw) {
            continue;
        }
        let mut hits = Vec::new();
        let found = views::inspect(
            raw,
            form,
            KeyHint::NONE,
            EntitySet::ALL,
            &mut Scratch::default(),
            &mut hits,
        );
        assert_eq!(found, !hits.is_empty());
        assert!(hits.iter().all(|hit| hit.start < hit.end && hit.end as usize <= raw.len()));
        assert!(hits.windows(2).all(|pair| pair[0].end <= pair[1].start), "{hits:?}");

        let mut work = Work::default();
        let mut out = Vec::new();
        assert_eq!(replacer.inspect(raw, form, KeyHint::NONE, &mut work, &mut out), found);
        assert_eq!(found, out != raw);
        assert!(form == Form::Text || is_json_inside(&out), "no JSON any more");
        assert!(std::str::from_utf8(raw).is_err() || std::str::from_utf8(&out).is_ok());
    }
}

fn is_json_inside(raw: &[u8]) -> bool {
    serde_json::from_slice::<String>(&[b"\"", raw, b"\""].concat()).is_ok()
}

/// The prefilter is a superset of the validators, on plain text, which is all that it is asked.
pub(crate) fn prefilter_is_a_superset(value: &[u8]) {
    let text: Vec<u8> = value.iter().map(|byte| byte & 0x7f).collect();
    let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7f) && !matches!(byte, b'\\' | b'"');
    if !text.iter().all(is_plain) {
        return;
    }
    let mut hits = Vec::new();
    find::find(&text, EntitySet::ALL, KeyHint::NONE, &mut hits);
    if !hits.is_empty() {
        assert!(could_hold::<Native>(&text, 0, text.len()), "{hits:?}");
    }
    let mut spelt = Vec::new();
    let (hint, all) = (KeyHint::NONE, EntitySet::ALL);
    if views::inspect(&text, Form::JsonString, hint, all, &mut Scratch::default(), &mut spelt) {
        assert!(could_hold::<Native>(&text, 0, text.len()), "{spelt:?}");
    }
}

/// Something personal stands alone among any other text: whatever the rest is, it goes, in a string,
/// in a string in JSON in a string, and percent-encoded.
pub(crate) fn planted(around: &[u8]) {
    const PLANTED: [&str; 4] =
        ["bob@example.com", "4111111111111111", "078-05-1120", "DE89370400440532013000"];
    let around = String::from_utf8_lossy(around);
    let at = (0..=around.len() / 2).rev().find(|at| around.is_char_boundary(*at)).unwrap_or(0);
    let (before, behind) = around.split_at(at);
    let policy = policy(&[]);
    let replacer = Replacer { policy: &policy, keyring: None };
    let mut work = Work::default();
    // What stands around may hold it too, as a part of something that is not personal at all.
    for planted in PLANTED.into_iter().filter(|planted| !around.contains(planted)) {
        let plain = format!("{before} , {planted} , {behind}");
        let escaped = inside(&plain);
        let nested = inside(&format!("{{\"text\":\"{escaped}\"}}"));
        for (form, raw) in
            [(Form::Text, &plain), (Form::JsonString, &escaped), (Form::JsonString, &nested)]
        {
            let mut out = Vec::new();
            replacer.inspect(raw.as_bytes(), form, KeyHint::NONE, &mut work, &mut out);
            let is_there = memchr::memmem::find(&out, planted.as_bytes()).is_some();
            assert!(!is_there, "{planted} survives in {:?}", String::from_utf8_lossy(&out));
        }
    }
}

/// The inside of a JSON string.
fn inside(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("text can be quoted");
    quoted[1..quoted.len() - 1].to_owned()
}

/// A JSON value under every action is a JSON value again.
pub(crate) fn replace_value(token: &[u8]) {
    if serde_json::from_slice::<IgnoredAny>(token).is_err() || token != token.trim_ascii() {
        return;
    }
    // What the walk refuses (a lone surrogate, bad UTF-8) never comes here as a value.
    let mut found = sidewake::event::json::doc::DocBuffers::default();
    let line = [b"{\"a\":", token, b"}"].concat();
    if sidewake::event::json::walk::walk::<Native>(&line, 0, line.len(), &mut found).is_err() {
        return;
    }
    let policy = policy(&[]);
    let keyring = Keyring::parse(KEY).expect("a key");
    let replacer = Replacer { policy: &policy, keyring: Some(&keyring) };
    let mut work = Work::default();
    for action in [
        Action::Inspect,
        Action::Keep,
        Action::Drop,
        Action::Mask,
        Action::Hash,
        Action::Truncate { chars: 3 },
        Action::Bucket(Bucket::Year),
        Action::Bucket(Bucket::Width(10.0)),
    ] {
        for hint in [KeyHint::NONE, KeyHint::SECRET, KeyHint::CARD.and(KeyHint::PHONE)] {
            let mut out = Vec::new();
            let is_changed = replacer.value(action, token, hint, &mut work, &mut out);
            assert_eq!(is_changed, out != token, "{action}");
            let shown = String::from_utf8_lossy(&out);
            assert!(serde_json::from_slice::<IgnoredAny>(&out).is_ok(), "{action}: {shown}");
        }
    }
}

/// A field pattern as it is written, and a path that it is asked about: the first two lines.
pub(crate) fn field_pattern(text: &[u8]) {
    let mut lines = text.splitn(2, |byte| *byte == b'\n');
    let (pattern, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let hint = context::of_path(path);
    let Ok(pattern) = std::str::from_utf8(pattern) else { return };
    let spec = PolicySpec {
        detect: EntitySet::ALL,
        fields: vec![(pattern.to_owned(), Action::Drop)],
        ..PolicySpec::default()
    };
    if let Ok(policy) = Policy::compile(&spec, false) {
        let _ = policy.action(path, hint);
        // A pattern without stars and indices names itself.
        let is_literal = pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if is_literal {
            let own = pattern.as_bytes();
            assert_eq!(policy.action(own, context::of_path(own)), Action::Drop, "{pattern}");
        }
    }
}

/// A key file is refused without showing what is in it.
pub(crate) fn key_file(file: &[u8]) {
    match Keyring::parse(file) {
        Ok(keyring) => {
            let shown = format!("{keyring:?}");
            assert!(file.len() < 32 || !shown.contains(&*String::from_utf8_lossy(file)));
            let mut token = Vec::new();
            let entity = sidewake::protect::entity::Entity::Email;
            keyring.token(entity, b"bob@example.com", &mut token);
            let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b":~_-".contains(b);
            assert!(token.iter().all(is_plain), "{:?}", token.escape_ascii().to_string());
        }
        Err(error) => assert!(error.to_string().len() < 160, "{error}"),
    }
}

fn policy(fields: &[(String, Action)]) -> Policy {
    let spec =
        PolicySpec { detect: EntitySet::ALL, fields: fields.to_vec(), ..PolicySpec::default() };
    Policy::compile(&spec, true).expect("the policy compiles")
}
