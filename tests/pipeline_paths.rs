//! The fast path (learned skeletons) and the slow path (every line walked) must not differ in one
//! byte of what they make, on anything; and no planted secret may pass either.

#[path = "bench/corpus.rs"]
mod corpus;
#[path = "bench/plan.rs"]
mod plan;
#[path = "bench/rng.rs"]
mod rng;

use std::sync::Arc;

use plan::Protection;
use proptest::prelude::*;
use sidewake::event::chunk::{Chunk, Lines};
use sidewake::event::record::{Kind, Record};
use sidewake::event::slab::Slab;
use sidewake::pipeline::rules::{RawRule, Rules};
use sidewake::pipeline::sample::Sampler;
use sidewake::pipeline::{Pipeline, Plan, TierPlan};
use sidewake::protect::policy::{Policy, PolicySpec};

const OBSERVED_NS: i64 = 1_795_464_000_000_000_000;

fn chunk(bytes: &[u8]) -> Chunk {
    Chunk {
        slab: Slab::from_bytes(bytes),
        lines: Lines::Plain,
        origin: Arc::default(),
        source_key: 7,
        source_base: 1000,
        source_end: 1000 + bytes.len() as u64,
        observed_ns: OBSERVED_NS,
    }
}

/// Every line as (tier, record without its place, text), in order per tier.
fn run(pipeline: &mut Pipeline, bytes: &[u8]) -> Vec<(usize, Record, String)> {
    let mut lines = Vec::new();
    for sealed in pipeline.process(chunk(bytes)) {
        for event in sealed.batch.events() {
            let text = String::from_utf8(event.bytes.to_vec()).expect("only UTF-8 leaves");
            lines.push((sealed.tier, Record { off: 0, ..*event.record }, text));
        }
    }
    lines
}

fn check_equal(plan: &Arc<Plan>, bytes: &[u8]) -> Vec<(usize, Record, String)> {
    let mut learning = Pipeline::new(Arc::clone(plan));
    let mut forgetful = Pipeline::new(Arc::clone(plan));
    forgetful.is_forgetful = true;
    let mut all = Vec::new();
    // Twice: the second time nearly every line has a shape to fit.
    for _ in 0..2 {
        let fast = run(&mut learning, bytes);
        let slow = run(&mut forgetful, bytes);
        assert_eq!(fast.len(), slow.len());
        for (fast, slow) in fast.iter().zip(&slow) {
            assert_eq!(fast, slow);
        }
        all = fast;
    }
    all
}

#[test]
fn fast_and_slow_agree_on_the_corpora() {
    for protection in [Protection::Off, Protection::Detectors, Protection::Fields] {
        let plan = plan::plan(protection, 0.3);
        for bytes in [corpus::seeds(300), corpus::full(3000), corpus::hostile(1500)] {
            check_equal(&plan, &bytes);
        }
    }
}

/// The corpora plant personal data in known places; none of its digits or names may come out.
#[test]
fn nothing_planted_survives() {
    let plan = plan::plan(Protection::Fields, 1.0);
    for bytes in [corpus::full(6000), corpus::hostile(3000)] {
        for (_, _, text) in check_equal(&plan, &bytes) {
            for needle in [
                "@example.com",
                "4111 1111",
                "5500005555555559",
                "3782-822463",
                "DE89 3704",
                "+49 30 ",
                "AKIA",
                "pw-",
                "u0040example.com",
                "a%40b.co",
                "\"u-0",
            ] {
                assert!(!text.contains(needle), "{needle} in {text}");
            }
        }
    }
}

#[test]
fn kinds_and_ids_of_the_corpus() {
    let plan = plan::plan(Protection::Detectors, 1.0);
    for (tier, record, text) in check_equal(&plan, &corpus::seeds(50)) {
        assert_eq!((tier, record.kind()), (1, Kind::Prediction), "{text}");
        let start = record.request_id_off as usize;
        let id = &text[start..start + usize::from(record.request_id_len)];
        assert_eq!(id.len(), 36, "{text}");
        assert!(text.contains(&format!("\"request_id\":\"{id}\"")));
    }
}

/// An own rule wins over what the message says, whether its values belong to the shape or are read
/// anew from each line, and holds only for the lines that meet it.
#[test]
fn own_rules_win_line_by_line() {
    for (when, met, unmet) in [
        (r#"logger == "audit""#, r#""audit","amount":1"#, r#""other","amount":1"#),
        ("amount > 3", r#""audit","amount":5"#, r#""audit","amount":1"#),
    ] {
        let rule = RawRule { when: when.into(), kind: "data".into() };
        let rules = Rules::compile(&[rule]).expect("a sound rule");
        let policy = Policy::compile(&PolicySpec::default(), false).expect("a sound policy");
        let tiers = vec![TierPlan { name: "logs".into(), policy }];
        let sampler = Sampler::new(Vec::new());
        let plan = Plan::new(tiers, [0; Kind::ALL.len()], rules, sampler, None);
        for message in ["event", "note"] {
            let line = |rest| format!("{{\"{message}\":\"hello there\",\"logger\":{rest}}}\n");
            for [first, second] in [[met, unmet], [unmet, met]] {
                let text = line(first) + &line(second) + &line(first);
                for (_, record, text) in check_equal(&plan, text.as_bytes()) {
                    let kind = if text.contains(met) { Kind::Data } else { Kind::Application };
                    assert_eq!(record.kind(), kind, "{when}: {text}");
                }
            }
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "[a-z_]{0,12}",
        "[a-zA-Z0-9 .:@=%+/-]{0,40}",
        Just("bob@example.com".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("tab\\there".to_owned()),
        Just("b\\u00f6b@example.com".to_owned()),
        Just("größe".to_owned()),
        Just("2026-11-23T10:00:00Z".to_owned()),
        Just("error".to_owned()),
        Just("prediction_completed".to_owned()),
        Just("Model fraud loaded in 3 s".to_owned()),
    ];
    prop_oneof![
        text.prop_map(|text| format!("\"{text}\"")),
        any::<i32>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x}")),
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("4111111111111111".to_owned()),
        Just("[]".to_owned()),
        Just("[1,2.5,[3]]".to_owned()),
        Just("[\"a\",{\"email\":\"x@y.zz\",\"password\":\"p\"}]".to_owned()),
        Just("[{\"name\":\"x\",\"datatype\":\"FP32\"}]".to_owned()),
        Just("{\"a\":1,\"password\":\"hunter2\",\"b\":[{\"user_id\":7}]}".to_owned()),
        Just("{}".to_owned()),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "event",
        "message",
        "request_id",
        "timestamp",
        "level",
        "features",
        "password",
        "user_id",
        "card_number",
        "prediction",
        "confidence",
        "trace_id",
        "a",
        "b",
        "inputs",
        "bob@example.com",
        "latency_ms",
        "type",
    ]);
    let object = prop::collection::vec((key, value()), 0..7).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        format!("{{{}}}", members.join(","))
    });
    prop_oneof![
        8 => object,
        1 => "[ -~]{0,60}",
        1 => Just("INFO:root:mail to bob@example.com, card 4111 1111 1111 1111".to_owned()),
        1 => Just("level=info msg=\"hello\" user_id=77 password=x".to_owned()),
    ]
}

fn n_cases() -> u32 {
    if std::env::var_os("SIDEWAKE_SLOW").is_some() { 20_000 } else { 300 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(n_cases()))]

    /// Lines of few shapes with any values: what is learned must not change what comes out, and
    /// what was JSON stays JSON.
    #[test]
    fn fast_and_slow_agree_on_anything(lines in prop::collection::vec(line(), 1..12)) {
        let plan = plan::plan(Protection::Fields, 0.5);
        let text = format!("{}\n", lines.join("\n")).repeat(3);
        for (_, record, out) in check_equal(&plan, text.as_bytes()) {
            if record.has(sidewake::event::record::Flags::JSON) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{}", out);
            }
            prop_assert!(!out.contains("bob@example.com") && !out.contains("4111 1111 1111"), "{}", out);
            prop_assert!(!out.contains("hunter2") && !out.contains("\"password\""), "{}", out);
        }
    }

    #[test]
    fn any_bytes_at_all(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let plan = plan::plan(Protection::Fields, 1.0);
        let mut bytes = bytes;
        bytes.push(b'\n');
        check_equal(&plan, &bytes);
    }
}
