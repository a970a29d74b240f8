//! What an understanding rests on, and that it holds for every line of the same shape. The kinds of
//! real lines are in `tests/classify_fixtures.rs`.

use proptest::prelude::*;

use super::*;
use crate::event::json::block::Native;
use crate::event::json::doc::{DocBuffers, ValueKind};
use crate::event::json::walk::walk;
use crate::pipeline::rules::RawRule;

fn with<T>(line: &str, read: impl FnOnce(&Doc<'_>) -> T) -> T {
    let mut found = DocBuffers::default();
    walk::<Native>(line.as_bytes(), 0, line.len(), &mut found).expect(line);
    read(&Doc { line: line.as_bytes(), found: &found })
}

fn understand_line(line: &str, rules: &Rules) -> Understanding {
    with(line, |doc| understand(doc, rules))
}

fn rules(when: &str, kind: &str) -> Rules {
    Rules::compile(&[RawRule { when: when.into(), kind: kind.into() }]).expect("rules")
}

/// The members' paths, to make expectations readable.
fn decided_by(line: &str, rules: &Rules) -> Vec<String> {
    with(line, |doc| {
        let understood = understand(doc, rules);
        let members = understood.decided_by.members().iter();
        let path = |at: &u16| doc.path(&doc.members()[usize::from(*at)]).to_vec();
        members.map(|at| String::from_utf8(path(at)).expect("a path")).collect()
    })
}

#[test]
fn values_that_decide_are_listed() {
    let none = Rules::default();
    let line = r#"{"event":"prediction_completed","level":"info","request_id":"a"}"#;
    assert_eq!(decided_by(line, &none), ["level", "event"]);
    assert!(!understand_line(line, &none).message_matters);
    let line = r#"{"event":"something happened","request_id":"a"}"#;
    assert!(decided_by(line, &none).is_empty());
    assert!(understand_line(line, &none).message_matters);
    let line = r#"{"specversion":"1.0","type":"com.example","id":"1"}"#;
    assert_eq!(decided_by(line, &none), ["type"]);
    let line = r#"{"activity":"TENSOR_QUEUE_INPUT","id":1}"#;
    assert_eq!(decided_by(line, &none), ["activity"]);
}

/// Own rules win, name their values where these are few, and ask again where they are many.
#[test]
fn own_rules() {
    let line = r#"{"event":"hello there","logger":"audit","amount":5,"level":"info"}"#;
    let audit = rules(r#"logger == "audit""#, "data");
    let understood = understand_line(line, &audit);
    assert_eq!((understood.kind, understood.rule), (Kind::Data, OWN_RULE));
    assert_eq!(rule_name(understood.rule), "own");
    assert_eq!(decided_by(line, &audit), ["level", "logger"]);
    assert!(!understood.rules_matter);
    let amount = rules("amount > 3", "model");
    let understood = understand_line(line, &amount);
    assert_eq!(understood.kind, Kind::Model);
    assert!(understood.rules_matter);
    let by_kind = rules(r#"kind == "application""#, "data");
    let understood = understand_line(line, &by_kind);
    assert!(understood.rules_matter, "the kind hangs on the message, and the rule on the kind");
    let other = rules(r#"logger == "other""#, "data");
    assert_eq!(understand_line(line, &other).kind, Kind::Application);
    let level = rules(r#"level >= "info""#, "model");
    assert_eq!(understand_line(line, &level).kind, Kind::Model);
}

#[test]
fn own_rules_report_every_mistake() {
    let raw = |when: &str, kind: &str| RawRule { when: when.into(), kind: kind.into() };
    let errors =
        Rules::compile(&[raw("level >", "data"), raw("a == 1", "dada")]).expect_err("two mistakes");
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["rule 0: expected a value", "rule 1: \"dada\" is not a kind"]);
}

/// The `id` of a CloudEvent is the request's, where it is an id.
#[test]
fn a_container_is_nobodys_id() {
    for (id, is_id) in [(r#""r-1""#, true), ("7", true), ("[]", false), (r#"{"a":1}"#, false)] {
        let line = format!(
            r#"{{"specversion":"1.0","type":"org.kubeflow.serving.inference.request","id":{id}}}"#
        );
        with(&line, |doc| {
            let roles = understand(doc, &Rules::default()).roles;
            assert_eq!(roles.has(Role::RequestId), is_id, "{line}");
        });
    }
}

#[test]
fn roles_by_order_with_a_fallback() {
    let line = concat!(
        r#"{"confidence":null,"prediction":{"label":"x","score":0.9},"#,
        r#""data":{"request_id":"in"},"request_id":"out","version":"1"}"#,
    );
    with(line, |doc| {
        let roles = understand(doc, &Rules::default()).roles;
        let text = |at: Option<u16>| at.map(|at| doc.text(&doc.members()[usize::from(at)]));
        assert_eq!(text(roles.get(Role::Confidence)), Some(&b"null"[..]));
        assert_eq!(text(roles.fallback(Role::Confidence)), Some(&b"0.9"[..]));
        assert_eq!(text(roles.get(Role::RequestId)), Some(&b"out"[..]));
        assert_eq!(text(roles.get(Role::Label)), Some(&b"x"[..]));
        assert_eq!(roles.get(Role::ModelVersion), None, "a version without a model");
    });
}

#[test]
fn rules_have_stable_numbers() {
    assert_eq!(rule_name(Rule::Default as u8), "default");
    assert_eq!(rule_name(Rule::EventPrediction as u8), "event.prediction");
    assert_eq!((Rule::StructurePrediction as u8, Rule::TextAccess as u8), (21, 29));
    assert_eq!(rule_name(Rule::TextTensorFlow as u8), "text.tensorflow");
    assert_eq!(Rule::TextTensorFlow as usize + 1, RULES.len());
    assert_eq!(rule_name(191), "unknown");
    let mut names = RULES.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}

/// Lines with every kind of decision in them.
const LINES: [&str; 9] = [
    r#"{"event":"prediction_completed","level":"info","request_id":"a","prediction":{"score":1}}"#,
    r#"{"event":"it was scored","level":"info","request_id":"a","prediction":0.1,"latency_ms":2}"#,
    r#"{"message":"hello","levelname":"INFO","model":"m","features":{"a":1},"request_id":"x"}"#,
    r#"{"specversion":"1","type":"azureml.inference.inputs","id":"a","data":[1],"xrequestid":"r"}"#,
    r#"{"event_name":"x","body":"y","severity_number":9,"confidence":null,"prediction_score":0.2}"#,
    r#"{"openinference.span.kind":"LLM","llm.model_name":"m","output.value":"o"}"#,
    r#"{"activity":"TENSOR_QUEUE_INPUT","id":1,"model_name":"m"}"#,
    r#"{"msg":"loading","load_time_ms":3,"model_name":"x","exc_info":"Traceback"}"#,
    r#"{"fields":{"message":"a b","request_id":"r"},"level":"WARN","target":"t","version":"1"}"#,
];

proptest! {
    /// The contract of a cached understanding: whatever the values outside `decided_by` become,
    /// the kind follows from the message by `kind_of_message`, and level and roles stay.
    #[test]
    fn an_understanding_holds_for_its_shape(
        at in 0..LINES.len(),
        values in prop::collection::vec(prop::sample::select(vec![
            "null", "true", "5", "0.5", "\"\"", "\"error\"", "\"model_loaded\"", "\"predict\"",
            "\"the model was loaded\"", "\"LLM\"", "\"azureml.inference.response\"", "\"20\"",
            "\"TENSOR_BACKEND_OUTPUT\"", "\"drift in the data\"", "\"prediction_completed\"",
        ]), 12),
    ) {
        let rules = Rules::default();
        let line = LINES[at];
        let (other, first) = with(line, |doc| {
            let understood = understand(doc, &rules);
            let mut other = String::new();
            let mut written = 0;
            for (index, member) in doc.members().iter().enumerate() {
                let fixed = understood.decided_by.members().contains(&(index as u16));
                if fixed || matches!(member.kind, ValueKind::Object | ValueKind::Array) {
                    continue;
                }
                other += &line[written..member.value.0 as usize];
                other += values[index % values.len()];
                written = member.value.1 as usize;
            }
            other += &line[written..];
            (other, understood)
        });
        let fresh = understand_line(&other, &rules);
        let message = with(&other, |doc| {
            let at = first.roles.get(Role::Message);
            at.map(|at| doc.text(&doc.members()[usize::from(at)]).to_vec())
        });
        let expected = match message {
            Some(message) if first.message_matters => kind_of_message(&message, first.otherwise),
            _ => Verdict { kind: first.kind, rule: first.rule },
        };
        prop_assert_eq!(Verdict { kind: fresh.kind, rule: fresh.rule }, expected, "{}", other);
        prop_assert_eq!(fresh.level, first.level, "{}", other);
        let mut roles = first.roles;
        // A weak model name is told only for kinds that have one.
        if fresh.roles.get(Role::ModelName).is_none() { roles.clear(Role::ModelName); }
        prop_assert_eq!(fresh.roles, roles, "{}", other);
    }

    /// Any object whatever.
    #[test]
    fn never_panics(
        keys in prop::collection::vec(("[a-z_.\\[\\]]{0,12}", "[1-9][0-9]{0,3}"), 0..200),
    ) {
        let members: Vec<_> = keys.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        understand_line(&format!("{{{}}}", members.join(",")), &Rules::default());
    }
}
