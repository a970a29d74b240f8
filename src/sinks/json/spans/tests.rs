//! The spans against `serde_json`, which is right by definition.

use proptest::prelude::*;

#[path = "../../../../tests/fuzz/targets/raw.rs"]
mod raw;

use super::{head, members};
use crate::sinks::json::{array, count, is_object, object};

/// Both ways take the same and find the same in it.
fn check(text: &str) -> Result<(), TestCaseError> {
    let mine = object(text);
    let mine = mine.map(|all| all.into_iter().map(|(key, value)| (key.into_owned(), value)));
    let (mine, theirs) = (mine.map(|all| all.collect::<Vec<_>>()), raw::object(text));
    prop_assert_eq!(&mine, &theirs, "{}", text);
    let (elements, their_elements) = (array(text), raw::array(text));
    prop_assert_eq!(&elements, &their_elements, "{}", text);
    prop_assert_eq!(is_object(text), raw::is_object(text), "{}", text);
    let n = theirs.map(|all| all.len()).or(their_elements.map(|all| all.len()));
    prop_assert!(n.is_none() || count(text.trim()) == n, "{}", text);
    Ok(())
}

/// As a member's value, as an element, as a key, and beside others.
fn check_in_all_places(value: &str) -> Result<(), TestCaseError> {
    for (before, behind) in [
        ("", ""),
        ("{\"a\":", "}"),
        ("[", "]"),
        ("{", ":1}"),
        (" {\"a\" : [ 1, {\"b\":", "}] , \"c\":[]} "),
        ("[{},[", "],\"0123456789abcdef\"]"),
        ("{\"a\":{\"b\":{", ":[{}]}},\"a\":{\"b\":[[[]]]}}"),
    ] {
        check(&format!("{before}{value}{behind}"))?;
    }
    Ok(())
}

/// What is a value, and what only looks like one.
const VALUES: &[&str] = &[
    "true",
    "false",
    "null",
    "tru",
    "nul",
    "True",
    "nullx",
    "NaN",
    "-Infinity",
    "0",
    "-0",
    "01",
    "-01",
    "1.",
    ".5",
    "1.5",
    "-1.5e3",
    "1e",
    "1e+",
    "1E-09",
    "1e400",
    "+1",
    "-",
    "--1",
    "0x1",
    "1_000",
    "1234567890123456789012345678901234567890",
    "0.12345678901234567890123456789012345",
    "123456789012345678901234567890.5",
    "-12345678901234567890123456789.0e-7",
    r#""""#,
    r#"""#,
    r#""\""#,
    r#""a\"b""#,
    r#""\u00e9""#,
    r#""\u00E9x""#,
    r#""\u00g9""#,
    r#""\u12""#,
    r#""\ud83d\ude00""#,
    r#""\ud83d""#,
    r#""\ude00""#,
    r#""\ud83d\u0041""#,
    r#""\x""#,
    "\"\\",
    "\"tab\t\"",
    "\"nul\0\"",
    "\"del\u{7f}\"",
    "\"\u{fc}\u{1f600}\"",
    "\u{feff}1",
    "\u{c}1",
    "\u{a0}1",
    "1,",
    ",1",
    "1,,1",
    "1 1",
    "1:1",
    "[]",
    "{}",
    "[}",
    "{]",
    "[,]",
    "{,}",
    "[1",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "[1,]",
    "{1:1}",
    "{\"a\" 1}",
    "",
    " ",
    "]",
    "}",
];

#[test]
fn words_numbers_and_strings() {
    for value in VALUES {
        check_in_all_places(value).expect(value);
    }
}

/// Every byte that ends a run of plain text, at every place of a block and behind it.
#[test]
fn strings_of_every_length() {
    for len in 0..70 {
        for at in 0..len {
            for odd in ["\"", "\\", "\\n", "\\\\", "\u{1f}", "\u{7f}", "\u{fc}", "\\ud83d", "\\u00"]
            {
                let text = format!("\"{}{odd}{}\"", "a".repeat(at), "b".repeat(len - at - 1));
                check(&format!("{{\"k\":{text}}}")).expect("the same");
                check(&format!("{{{text}:1,\"k\":2}}")).expect("the same");
            }
        }
    }
}

#[test]
fn no_depth_is_too_deep() {
    for depth in [1, 62, 63, 64, 65, 127, 128, 129, 130, 192, 193, 100_000] {
        for (open, close) in
            [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]"), ("{\"a\":[[", "]]}")]
        {
            let deep = |behind: &str, value: &str| {
                format!("{{\"a\":{}{value}{}{behind}}}", open.repeat(depth), close.repeat(depth))
            };
            for text in [deep("", "1"), deep("]", "1"), deep("}", "{}"), deep(",\"b\":[]", "[]")] {
                check(&text).expect("the same");
            }
        }
    }
}

/// What is likely is no more than a guess.
#[test]
fn likely_heads_change_nothing() {
    let heads = |keys: &[&str]| keys.iter().map(|key| head(key)).collect::<Vec<_>>();
    let all = heads(&["a", "k\"", "\u{fc}", ""]);
    for text in [
        r#"{"a":1,"k\"":2,"ü":3,"":4}"#,
        r#"{"a":1,"b":2,"ü":3,"":4}"#,
        r#" {"a": 1, "b":2} "#,
        r#"{"b":1,"a":2}"#,
        r#"{"a" :1}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":1"#,
        r#"{"a"#,
        "{}",
    ] {
        let likely = heads(&["a", "ü", "k"]);
        for likely in [&all[..], &likely, &likely[..1], &[]] {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            let found = members(text, likely, |key, value| with.push((key, value)));
            let plain = members(text, &[], |key, value| without.push((key, value)));
            assert_eq!((&with, found.is_some()), (&without, plain.is_some()), "{text}");
            let is_like = text == "{}" && likely.is_empty();
            assert_eq!(found.unwrap_or_default(), is_like, "{text}");
        }
    }
    let likely = heads(&["a", "ü", ""]);
    for (text, is_like) in [
        (r#"{"a":1,"ü":3,"":4}"#, true),
        (r#" { "a":1 , "ü": 3, "":4 } "#, true),
        (r#"{"a":1,"ü":3}"#, false),
        (r#"{"a":1,"ü":3,"":4,"":4}"#, false),
        (r#"{"a":1,"ü":3,"" :4}"#, false),
    ] {
        assert_eq!(members(text, &likely, |_, _| {}), Some(is_like), "{text}");
    }
}

/// A line of the corpus, cut at each of its bytes, and one that is very deep.
#[test]
fn cut_anywhere() {
    for name in ["bento", "nested", "escaped", "duplicates", "half_a_pair"] {
        let path = format!("{}/tests/fuzz/corpus/json_spans/{name}", env!("CARGO_MANIFEST_DIR"));
        let line = std::fs::read_to_string(path).expect("a line");
        let keys: Vec<String> =
            object(&line).unwrap_or_default().iter().map(|(key, _)| head(key)).collect();
        for (at, _) in line.char_indices() {
            for text in [&line[..at], &line[at..]] {
                check(text).expect(name);
                let (mut with, mut without) = (Vec::new(), Vec::new());
                let found = members(text, &keys, |key, value| with.push((key, value)));
                let plain = members(text, &[], |key, value| without.push((key, value)));
                assert_eq!((with, found.is_some()), (without, plain.is_some()), "{text}");
            }
        }
    }
    for (open, close) in [("[", "]"), ("{\"\":", "}"), ("{\"0123456789abcdef\":[", "]}")] {
        let deep = open.repeat(200_000) + "0" + &close.repeat(200_000);
        check(&deep).expect("the same");
        check(&format!("{{\"a\":{deep}}}")).expect("the same");
        check(&format!("[{deep}]]")).expect("the same");
    }
}

/// Keys and texts that end at, just before and just behind the edge of a block, at each offset.
#[test]
fn edges_of_blocks() {
    for space in 0..18 {
        for key in [0, 1, 2, 14, 15, 16, 17, 31, 32, 33] {
            for value in [0, 1, 13, 14, 15, 16, 17, 32] {
                let (k, v) = ("k".repeat(key), "v".repeat(value));
                let pad = " ".repeat(space);
                let digits = format!("1{}", "0".repeat(value));
                for value in [format!("\"{v}\""), digits.clone(), format!("-{digits}.{digits}e+1")]
                {
                    let text = format!("{pad}{{\"{k}\":{value},\"{k}\":{value}}}");
                    check(&text).expect("the same");
                    check(&text[..text.len() - 1]).expect("the same");
                    for likely in [vec![head(&k), head(&k)], vec![head(&k)], vec![head("x"); 3]] {
                        let mut found = Vec::new();
                        let is_like =
                            members(&text, &likely, |key, value| found.push((key, value)));
                        assert_eq!(is_like, Some(likely == [head(&k), head(&k)]), "{text}");
                        assert_eq!(
                            found,
                            vec![(std::borrow::Cow::from(&*k), &*value); 2],
                            "{text}"
                        );
                    }
                }
            }
        }
    }
}

/// A value as text, with spaces anywhere.
fn value() -> impl Strategy<Value = String> {
    let string = r#"(\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud83d|[ -!#-\[\]-~]|[ü😀]){0,24}"#;
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?",
        string.prop_map(|text| format!("\"{text}\"")),
    ];
    let space = || prop::sample::select(&["", "", "", " ", "\t", "\r\n", "  "][..]);
    leaf.prop_recursive(6, 48, 6, move |inner| {
        let spaced = (space(), inner, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        let key = (space(), string, space()).prop_map(|(a, key, b)| format!("{a}\"{key}\"{b}"));
        prop_oneof![
            prop::collection::vec(spaced.clone(), 0..6)
                .prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec((key, spaced), 0..6).prop_map(|members| {
                let members: Vec<String> =
                    members.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_is_cut_the_same(value in value()) {
        check_in_all_places(&value)?;
    }

    /// JSON in which something was changed: mostly none any more.
    #[test]
    fn what_is_almost_json_too(value in value(), at in any::<prop::sample::Index>(), n in 0usize..3,
        new in r#"[{}\[\]",:0-9a-z\\ue.+ ü\x00-\x1f-]{0,2}"#,
    ) {
        let mut text: Vec<char> = value.chars().collect();
        let at = at.index(text.len() + 1);
        text.splice(at..(at + n).min(text.len()), new.chars());
        check_in_all_places(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn anything_at_all(text in r#"[{}\[\]",:0-9a-z\\ue.+ ü-]{0,40}"#) {
        check_in_all_places(&text)?;
    }
}
