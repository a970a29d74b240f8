//! What holds, what is unknown, and that every mistake is pointed at.

use proptest::prelude::*;

use super::*;

/// An event written as `key token` lines.
#[derive(Default)]
struct Event {
    level: Option<Level>,
    kind: Option<Kind>,
    fields: Vec<(Field, &'static str, &'static str)>,
}

impl FieldSource for Event {
    fn level(&self) -> Level {
        self.level.unwrap_or(Level::Unset)
    }

    fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Application)
    }

    fn value(&self, _index: usize, field: &Field) -> Option<Found<'_>> {
        let (_, key, token) = self.fields.iter().find(|(known, ..)| known == field)?;
        Some(Found { token: token.as_bytes(), key: key.as_bytes() })
    }
}

fn fraud() -> Event {
    let path = |path: &str| Field::Path(path.into());
    Event {
        level: Some(Level::Warn),
        kind: Some(Kind::Prediction),
        fields: vec![
            (Field::Role(Role::Latency), "latency_us", "600000"),
            (Field::Role(Role::Confidence), "confidence", "\"0.55\""),
            (Field::Role(Role::ModelName), "model_name", "\"fraud\""),
            (Field::Role(Role::Message), "event", r#""CUDA out\u0020of \"memory\"""#),
            (Field::Role(Role::Status), "status", "500"),
            (path("prediction.label"), "label", "\"fr\\u0061ud\""),
            (path("features.amount"), "amount", "1500.5"),
            (path("cold"), "cold", "false"),
            (path("nothing"), "nothing", "null"),
            (path("x-tag"), "x-tag", "\"a\""),
        ],
    }
}

#[test]
fn holds_or_not() {
    for (source, expected) in [
        (r#"level >= "error""#, false),
        (r#"level >= "warning""#, true),
        (r#"level in ["warn", "fatal"]"#, true),
        (r#"level != "info""#, true),
        (r#"kind == "prediction""#, true),
        (r#"kind in ["model", "data"]"#, false),
        ("latency_ms > 500", true),
        ("latency_ms > 600", false),
        ("latency_ms == 600", true),
        ("confidence < 0.6", true),
        (r#"model_name == "fraud""#, true),
        (r#"model_name != "fraud""#, false),
        (r#"prediction.label == "fraud""#, true),
        (r#"prediction.label in ["abuse", "fraud"]"#, true),
        ("features.amount > 1_000", true),
        ("features.amount <= 1e3", false),
        (r#"status == 500 and status == "500""#, true),
        ("status in [500, 503,]", true),
        ("cold == false", true),
        ("not cold == true", true),
        (r#"message ~ "out of""#, true),
        (r#"message ~ '*of "memory"'"#, true),
        (r#"message ~ "CUDA*core""#, false),
        (r#"x-tag == "a""#, true),
        (r#"field("x-tag") == "a""#, true),
        ("exists(confidence)", true),
        ("exists(nothing)", false),
        ("exists(features.amount) and not exists(absent)", true),
        (r#"not (level >= "error" or confidence > 0.6)"#, true),
        (r#"level >= "error" or latency_ms > 500 and cold == true"#, false),
        (r#"(level >= "error" or latency_ms > 500) and cold == false"#, true),
    ] {
        let condition =
            Condition::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(condition.eval(&fraud()), expected, "{source}");
    }
}

/// A missing field makes a comparison unknown, and `not` does not make it true.
#[test]
fn three_values() {
    for (source, expected) in [
        ("absent > 1", false),
        ("not absent > 1", false),
        ("absent != 1", false),
        ("nothing == \"x\"", false),
        ("not nothing == \"x\"", false),
        ("not absent in [1, 2]", false),
        ("absent > 1 or cold == false", true),
        ("absent > 1 and cold == false", false),
        ("not (absent > 1 and cold == true)", true),
        ("not (absent > 1 or cold == true)", false),
        ("prediction.label > 1", false),
        ("not prediction.label > 1", false),
    ] {
        let condition =
            Condition::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(condition.eval(&fraud()), expected, "{source}");
    }
    let no_level = Event::default();
    for source in [r#"level < "error""#, r#"not level < "error""#, r#"level != "info""#] {
        let condition =
            Condition::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert!(!condition.eval(&no_level), "{source}");
    }
}

#[test]
fn fields_are_listed_once() {
    let source = r#"a.b > 1 and a.b < 5 and latency_ms > 1 and level > "info" and c == 2"#;
    let condition = Condition::parse(source).expect("a condition");
    assert_eq!(condition.paths().collect::<Vec<_>>(), ["a.b", "c"]);
    assert_eq!(condition.fields().len(), 3);
}

/// Each mistake as a person sees it.
#[test]
fn errors_point() {
    let mut golden = String::new();
    for source in [
        "",
        "level",
        "level >= 3",
        r#"level >= "eror""#,
        r#"level >= "loud""#,
        "level = \"error\"",
        "level >= error",
        r#"kind == "predictions""#,
        r#"kind > "model""#,
        "confidence < \"0.6\"",
        "confidance < 0.6",
        "latency_ms > 500ms",
        "model_name == 3",
        r#"model_name > "a""#,
        r#"confidence ~ "0.6""#,
        "message ~ 3",
        "a == 1 && b == 2",
        "a == 1 b == 2",
        "a == ",
        "(a == 1",
        "a == 1)",
        "a in 1",
        "a in [1 2]",
        "a == null",
        "a not in [1]",
        "!exists(a)",
        "exists(kind)",
        "exists a",
        r#""fraud" == label"#,
        r#"a == "open"#,
        r#"a == "\q""#,
        "a == 1.2.3",
        "a # 1",
        "field(x) == 1",
        "and a == 1",
    ] {
        let error = Condition::parse(source).expect_err(source);
        let caret = "^".repeat(error.len.max(1));
        let (at, hint) = (error.offset, &error.hint);
        golden += &format!("{source}\n{:at$}{caret} {error}\n  hint: {hint}\n\n", "");
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("{}a == 1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Condition::parse(&deep).is_err());
    let deep = format!("{}a == 1", "not ".repeat(900));
    assert!(Condition::parse(&deep).is_err());
    let long = vec!["a == 1"; 100_000].join(" or ");
    assert!(Condition::parse(&long).is_err());
}

proptest! {
    #[test]
    fn never_panics(source in any::<String>()) {
        let _ = Condition::parse(&source);
    }

    /// Words of the language in any order; what compiles is evaluated.
    #[test]
    fn never_panics_on_its_own_words(
        words in prop::collection::vec(prop::sample::select(vec![
            "level", "kind", "latency_ms", "a.b", "==", "!=", "<", ">=", "~", "in", "[", "]", ",",
            "(", ")", "and", "or", "not", "exists", "field", "\"error\"", "'*'", "5", "0.5",
            "true", "é", "\"",
        ]), 0..12),
    ) {
        let source = words.join(" ");
        match Condition::parse(&source) {
            Ok(condition) => { let _ = condition.eval(&fraud()); }
            Err(error) => {
                prop_assert!(error.offset + error.len <= source.len());
                prop_assert!(source.is_char_boundary(error.offset));
                prop_assert!(!error.message.is_empty());
            }
        }
    }

    /// Any token bytes whatever.
    #[test]
    fn eval_never_panics(token in "\\PC{0,20}", escaped in "\"(\\\\[u\"x0-9]|[a-z]){0,8}\"") {
        for token in [token, escaped] {
            let event = Event {
                fields: vec![
                    (Field::Path("a".into()), "a", token.clone().leak()),
                    (Field::Role(Role::Latency), "latency_ms", token.clone().leak()),
                    (Field::Role(Role::Confidence), "softmax", token.leak()),
                ],
                ..Event::default()
            };
            for source in ["a == \"x\"", "a ~ \"*x?\"", "a > 1", "latency_ms > 1", "confidence < 1",
                "a in [1, true, \"y\"]", "exists(a)"] {
                let condition = Condition::parse(source).expect("a condition");
                let _ = condition.eval(&event);
            }
        }
    }
}
