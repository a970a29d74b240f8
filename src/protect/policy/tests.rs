//! Which rule wins, and which features stay.

use super::*;
use crate::protect::context::of_path;

fn compile(fields: &[(&str, Action)]) -> Policy {
    let fields = fields.iter().map(|(p, a)| ((*p).to_owned(), *a)).collect();
    let spec = PolicySpec { detect: EntitySet::ALL, fields, ..PolicySpec::default() };
    Policy::compile(&spec, true).expect("compiles")
}

#[test]
fn patterns() {
    for (pattern, path, matches) in [
        ("email", "email", true),
        ("email", "user.email", true),
        ("email", "users[].email", true),
        ("email", "emails[]", false),
        ("emails", "emails[]", true),
        ("Email", "user.EMAIL", true),
        ("x-user-id", "x_user_id", true),
        ("user_*", "features.user_age", true),
        ("user_*", "features.a_user_age", false),
        ("*_id", "a.b.order_id", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "abcd", false),
        ("features.user_*", "features.user_age", true),
        ("features.user_*", "data.features.user_age", false),
        ("features.*", "features.a.b", false),
        ("features.**.b", "features.a.b", true),
        ("features.**.b", "features.b", true),
        ("**.email", "email", true),
        ("**.email", "a.b.c.email", true),
        ("**.user.email", "a.user.b.user.email", true),
        ("inputs[].name", "inputs[].name", true),
        ("inputs.name", "inputs[3].name", true),
        ("email", "e\\u006dail", true),
    ] {
        let policy = compile(&[(pattern, Action::Drop)]);
        let action = policy.action(path.as_bytes(), KeyHint::NONE);
        assert_eq!(action == Action::Drop, matches, "{pattern} on {path}");
    }
}

#[test]
fn the_most_exact_rule_wins() {
    let policy = compile(&[
        ("*", Action::Mask),
        ("a.*", Action::Hash),
        ("name", Action::Drop),
        ("a.name", Action::Keep),
        ("a.n*", Action::Truncate { chars: 3 }),
    ]);
    for (path, action) in [
        ("x", Action::Mask),
        ("a.x", Action::Hash),
        ("b.name", Action::Drop),
        ("a.name", Action::Keep),
        ("a.nick", Action::Truncate { chars: 3 }),
    ] {
        assert_eq!(policy.action(path.as_bytes(), KeyHint::NONE), action, "{path}");
    }
}

#[test]
fn secret_like_keys_are_masked_unless_spelt_out() {
    let act = |fields: &[(&str, Action)], path: &str| {
        compile(fields).action(path.as_bytes(), of_path(path.as_bytes()))
    };
    assert_eq!(act(&[], "db_password"), Action::Mask);
    assert_eq!(act(&[], "pa\\u0073sword"), Action::Mask);
    assert_eq!(act(&[("features.*", Action::Keep)], "features.token"), Action::Mask);
    assert_eq!(act(&[("*", Action::Truncate { chars: 4 })], "token"), Action::Mask);
    assert_eq!(act(&[("features.*", Action::Drop)], "features.token"), Action::Drop);
    assert_eq!(act(&[("features.token", Action::Keep)], "features.token"), Action::Keep);
    assert_eq!(act(&[("token", Action::Keep)], "features.token"), Action::Keep);
    assert_eq!(act(&[], "max_tokens"), Action::Inspect);
    let spec = PolicySpec { detect: EntitySet::NONE, ..PolicySpec::default() };
    let off = Policy::compile(&spec, false).expect("compiles");
    assert_eq!(off.action(b"password", KeyHint::SECRET), Action::Inspect);
}

#[test]
fn all_errors_at_once() {
    let spec = PolicySpec {
        detect: EntitySet::ALL,
        on_detect: vec![(Entity::Email, Action::Hash), (Entity::Jwt, Action::Inspect)],
        fields: vec![
            ("a..b".into(), Action::Drop),
            (" ".into(), Action::Drop),
            ("a.x**".into(), Action::Drop),
            ("a.**".into(), Action::Drop),
            ("id".into(), Action::Hash),
            ("w".into(), Action::Bucket(Bucket::Width(0.0))),
        ],
        features: Features::List(vec!["".into()]),
    };
    let errors = Policy::compile(&spec, false).expect_err("nine problems");
    assert_eq!(errors.len(), 9, "{errors:#?}");
}

#[test]
fn features_by_hash_and_not_by_order() {
    let spec = PolicySpec { features: Features::Sample(3), ..PolicySpec::default() };
    let policy = Policy::compile(&spec, false).expect("compiles");
    let names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
    let forward: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let backward: Vec<&[u8]> = forward.iter().rev().copied().collect();
    let chosen = |names: &[&[u8]]| {
        let mut kept = Vec::new();
        policy.keep_features(names, &mut kept);
        let mut chosen: Vec<Vec<u8>> = names
            .iter()
            .zip(kept)
            .filter(|(_, kept)| *kept)
            .map(|(name, _)| name.to_vec())
            .collect();
        chosen.sort();
        chosen
    };
    assert_eq!(chosen(&forward), chosen(&backward));
    assert_eq!(chosen(&forward).len(), 3);
    assert_eq!(chosen(&forward[..2]).len(), 2);
    let list = PolicySpec { features: Features::List(vec!["f1*".into()]), ..PolicySpec::default() };
    let policy = Policy::compile(&list, false).expect("compiles");
    let mut kept = Vec::new();
    policy.keep_features(&[b"f1", b"f2", b"f13"], &mut kept);
    assert_eq!(kept, [true, false, true]);
}
