//! Every action on tables; the cases are those that Prometheus' own tests try.

use super::*;

fn rule(action: Action) -> Rule {
    Rule {
        action,
        source_labels: Vec::new(),
        separator: ";".to_owned(),
        target_label: String::new(),
        regex: anchored("(.*)").expect("an expression"),
        modulus: 0,
        replacement: "$1".to_owned(),
    }
}

fn from(action: Action, sources: &[&str], regex: &str) -> Rule {
    let source_labels = sources.iter().map(|name| (*name).to_owned()).collect();
    Rule { source_labels, regex: anchored(regex).expect("an expression"), ..rule(action) }
}

fn to(rule: Rule, target_label: &str, replacement: &str) -> Rule {
    Rule { target_label: target_label.into(), replacement: replacement.into(), ..rule }
}

fn of(text: &str) -> Vec<Pair<'static>> {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned().into(), value.to_owned().into())).collect()
}

/// The labels behind the rules, sorted; `None` for what is dropped.
fn applied(rules: &[Rule], text: &str) -> Option<String> {
    let mut labels = of(text);
    let stays = apply(rules, &mut labels);
    labels.sort();
    let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    stays.then(|| pairs.join(" "))
}

#[test]
fn actions_that_match() {
    use Action::*;
    for (rules, before, behind) in [
        (
            vec![to(from(Replace, &["a"], "f(.*)"), "d", "ch${1}-ch${1}")],
            "a=foo b=bar c=baz",
            Some("a=foo b=bar c=baz d=choo-choo"),
        ),
        (
            vec![
                to(from(Replace, &["a", "b"], "f(.*);(.*)r"), "a", "b${1}${2}m"),
                to(from(Replace, &["c", "a"], "(b).*b(.*)ba(.*)"), "d", "$1$2$2$3"),
            ],
            "a=foo b=bar c=baz",
            Some("a=boobam b=bar c=baz d=boooom"),
        ),
        (vec![to(from(Replace, &["a"], ".*(b).*"), "d", "$1")], "a=foo", Some("a=foo")),
        // A part of it is no match.
        (vec![from(Drop, &["a"], "o")], "a=foo", Some("a=foo")),
        (vec![from(Drop, &["a"], ".*o.*")], "a=foo", None),
        (vec![from(Drop, &["a"], "x|foo")], "a=foo", None),
        (vec![from(Keep, &["a"], "no-match")], "a=foo", None),
        (vec![from(Keep, &["a"], "f..")], "a=foo", Some("a=foo")),
        // Nothing is what a label that is missing holds.
        (vec![from(Keep, &["missing"], "")], "a=foo", Some("a=foo")),
        // An empty replacement takes the label away.
        (vec![to(from(Replace, &["a"], ".*"), "a", "")], "a=foo b=bar", Some("b=bar")),
        (vec![to(from(Replace, &["a"], "(.*)"), "", "x")], "a=foo", Some("a=foo")),
        // The target, too, is a template.
        (
            vec![to(from(Replace, &["a"], "some-([^-]+)-([^,]+)"), "${1}", "${2}")],
            "a=some-name-value",
            Some("a=some-name-value name=value"),
        ),
        (
            vec![to(from(Replace, &["a"], "some-([^-]+)-([^,]+)"), "${3}", "${2}")],
            "a=some-name-value",
            Some("a=some-name-value"),
        ),
        (
            vec![to(from(Replace, &["a"], "(?P<x>f)oo"), "b", "$x$$${x}1$x1")],
            "a=foo",
            Some("a=foo b=f$f1"),
        ),
    ] {
        assert_eq!(applied(&rules, before).as_deref(), behind, "{rules:?} on {before}");
    }
}

#[test]
fn actions_of_names_hashes_and_letters() {
    use Action::*;
    for (rules, before, behind) in [
        (
            vec![Rule { modulus: 1000, ..to(from(HashMod, &["c"], "(.*)"), "d", "$1") }],
            "a=foo b=bar c=baz",
            Some("a=foo b=bar c=baz d=976"),
        ),
        (
            vec![Rule { modulus: 1000, ..to(from(HashMod, &["a"], "(.*)"), "d", "$1") }],
            "a=foo,bar",
            Some("a=foo,bar d=630"),
        ),
        (
            vec![to(from(LabelMap, &[], "(b.*)"), "", "$1")],
            "a=foo b1=bar b2=baz",
            Some("a=foo b1=bar b2=baz"),
        ),
        (
            vec![to(from(LabelMap, &[], "meta_(my.*)"), "", "$1")],
            "meta_my_a=a0 meta_other=a1",
            Some("meta_my_a=a0 meta_other=a1 my_a=a0"),
        ),
        (vec![from(LabelDrop, &[], "(b.*)")], "a=foo b1=bar b2=baz", Some("a=foo")),
        (vec![from(LabelKeep, &[], "(b.*)")], "a=foo b1=bar b2=baz", Some("b1=bar b2=baz")),
        // A series without labels is none.
        (vec![from(LabelKeep, &[], "x")], "a=foo", None),
        (
            vec![
                to(from(Lowercase, &["a"], "(.*)"), "low", "$1"),
                to(from(Uppercase, &["a"], "(.*)"), "up", "$1"),
            ],
            "a=bAr",
            Some("a=bAr low=bar up=BAR"),
        ),
        (vec![to(from(DropEqual, &["a"], "(.*)"), "b", "$1")], "a=x b=x", None),
        (vec![to(from(DropEqual, &["a"], "(.*)"), "b", "$1")], "a=x b=y", Some("a=x b=y")),
        (vec![to(from(KeepEqual, &["a"], "(.*)"), "b", "$1")], "a=x b=x", Some("a=x b=x")),
        (vec![to(from(KeepEqual, &["a"], "(.*)"), "b", "$1")], "a=x b=y", None),
    ] {
        assert_eq!(applied(&rules, before).as_deref(), behind, "{rules:?} on {before}");
    }
}

#[test]
fn a_match_is_of_all_of_it() {
    assert!(anchored(".*").expect("one").is_match("a\nb"), "a newline is a character");
    assert!(!anchored("a").expect("one").is_match("a\n"));
    assert!(!anchored("a|b").expect("one").is_match("ab"));
    for broken in ["(", "a)(b", "[", "(?=x)", "a{100000}{10000}"] {
        assert!(anchored(broken).is_err(), "{broken}");
    }
}
