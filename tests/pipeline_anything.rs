//! The fast path against the slow one on lines of learned shapes with changing values, under a plan
//! that uses everything: two tiers with policies of their own, rates and keep rules on every kind
//! of
//! field, own rules, framed and out-of-order lines, and a resume in the middle of a chunk.

#[path = "leaks/lines.rs"]
mod lines;
#[path = "superset/make.rs"]
#[allow(dead_code, reason = "shared with the test of the prefilter, which uses more of it")]
mod make;
#[path = "leaks/run.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod run;

use std::sync::Arc;

use make::Rng;
use proptest::prelude::*;
use run::{OBSERVED_NS, Out, check_spans};
use sidewake::event::chunk::{Chunk, Line, Lines};
use sidewake::event::record::{Flags, Kind, Record};
use sidewake::event::slab::Slab;
use sidewake::pipeline::condition::Condition;
use sidewake::pipeline::rules::{RawRule, Rules};
use sidewake::pipeline::sample::{Sampler, Threshold};
use sidewake::pipeline::{Pipeline, Plan, TierPlan};
use sidewake::protect::entity::{Entity, EntitySet};
use sidewake::protect::policy::{Action, Bucket, Features, Policy, PolicySpec};
use sidewake::protect::pseudonym::Keyring;

fn everything() -> Arc<Plan> {
    let key = b"k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let keyring = Keyring::parse(key).expect("a key");
    let policy = |fields: &[(&str, Action)], features, on_detect| {
        let fields = fields.iter().map(|(name, action)| ((*name).to_owned(), *action)).collect();
        let spec = PolicySpec { detect: EntitySet::ALL, on_detect, fields, features };
        Policy::compile(&spec, true).expect("a sound policy")
    };
    let first = policy(
        &[
            ("user_id", Action::Drop),
            ("request_id", Action::Hash),
            ("note", Action::Keep),
            ("score", Action::Bucket(Bucket::Width(0.25))),
            ("b.text", Action::Truncate { chars: 5 }),
        ],
        Features::Sample(1),
        vec![(Entity::Email, Action::Hash), (Entity::IpAddress, Action::Keep)],
    );
    let second = policy(
        &[
            ("user_id", Action::Hash),
            ("timestamp", Action::Bucket(Bucket::Year)),
            ("a", Action::Drop),
            ("b.*", Action::Mask),
        ],
        Features::List(vec!["a".into(), "x*".into()]),
        vec![(Entity::CreditCard, Action::Drop)],
    );
    let tiers = vec![
        TierPlan { name: "application_logs".into(), policy: first },
        TierPlan { name: "prediction_logs".into(), policy: second },
    ];
    let mut tier_of_kind = [0; Kind::ALL.len()];
    tier_of_kind[Kind::Request as usize] = 1;
    tier_of_kind[Kind::Prediction as usize] = 1;
    let keep = [
        r#"level >= "error""#,
        "latency_ms > 500",
        "confidence < 0.3",
        r#"message ~ "kept""#,
        r#"model_name in ["fraud"]"#,
        r#"kind == "model""#,
        "exists(error)",
        "b.n > 7",
    ];
    let keep = keep.iter().map(|rule| Condition::parse(rule).expect(rule)).collect();
    let mut sampler = Sampler::new(keep);
    for kind in Kind::ALL {
        sampler.set_rate(kind, Threshold::from_probability(0.5).expect("a rate"));
    }
    let rule = |when: &str, kind: &str| RawRule { when: when.into(), kind: kind.into() };
    let rules = Rules::compile(&[
        rule("b.n > 100", "prediction"),
        rule(r#"logger == "serving" and exists(score)"#, "request"),
        rule(r#"note ~ "drift""#, "data"),
    ]);
    let rules = rules.expect("sound rules");
    Plan::new(tiers, tier_of_kind, rules, sampler, Some(Arc::new(keyring)))
}

/// The bytes with every line framed: with junk between, and in another order when `is_shuffled`.
fn framed(lines: &[String], is_shuffled: bool, rng: &mut Rng) -> Chunk {
    let (mut bytes, mut table) = (Vec::new(), Vec::new());
    for (n, line) in lines.iter().enumerate() {
        bytes.extend_from_slice(b"2026 stdout F bob@example.com "[..rng.below(30)].as_ref());
        table.push(Line {
            start: bytes.len() as u32,
            len: line.len() as u32,
            source_off: n as u32 * 10,
            flags: if n % 3 == 0 { Flags::JOINED } else { 0 },
            ts_ns: if n % 2 == 0 { 0 } else { OBSERVED_NS - 5 },
        });
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    if is_shuffled && table.len() > 1 {
        let (a, b) = (rng.below(table.len()), rng.below(table.len()));
        table.swap(a, b);
    }
    Chunk { lines: Lines::Table(table), ..run::chunk(&bytes) }
}

fn plain(lines: &[String]) -> Chunk {
    let bytes = lines.iter().fold(String::new(), |all, line| all + line + "\n");
    run::chunk(bytes.as_bytes())
}

fn copy(chunk: &Chunk) -> Chunk {
    let lines = match &chunk.lines {
        Lines::Plain => Lines::Plain,
        Lines::Table(table) => Lines::Table(table.clone()),
    };
    Chunk { slab: Slab::from_bytes(&chunk.slab), lines, ..run::chunk(&chunk.slab) }
}

/// What leaves, with what every sealed slab holds besides: nothing.
fn process(pipeline: &mut Pipeline, chunk: Chunk) -> (Vec<Out>, Vec<u64>) {
    let (mut lines, mut sampled_out) = (Vec::new(), Vec::new());
    for sealed in pipeline.process(chunk) {
        let mut n_bytes = 0;
        for event in sealed.batch.events() {
            let text = String::from_utf8(event.bytes.to_vec()).expect("only UTF-8 leaves");
            check_spans(event.record, &text);
            if event.record.has(Flags::JSON) {
                let parsed = serde_json::from_str::<&serde_json::value::RawValue>(&text);
                assert!(parsed.is_ok(), "no JSON: {text}");
            }
            n_bytes += text.len() + 1;
            lines.push((sealed.tier, Record { off: 0, ..*event.record }, text));
        }
        assert_eq!(n_bytes, sealed.batch.slab.len());
        let padding = &sealed.batch.slab.padded()[n_bytes..];
        assert!(padding.iter().all(|byte| *byte == 0), "bytes behind the lines");
        sampled_out.extend([sealed.tier as u64, sealed.sampled_out.total()]);
    }
    (lines, sampled_out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or_else(|| {
            if std::env::var_os("SIDEWAKE_SLOW").is_some() { 100_000 } else { 400 }
        })
    ))]

    #[test]
    fn fast_and_slow_agree(
        shapes in prop::collection::vec(lines::shape(), 1..4),
        seeds in prop::collection::vec(any::<u64>(), 3..14),
        framing in 0u8..3,
        resume in prop::option::of(0u64..60),
    ) {
        let plan = everything();
        let lines: Vec<String> = seeds
            .iter()
            .map(|seed| lines::line(&shapes[*seed as usize % shapes.len()], &mut Rng::new(*seed)))
            .collect();
        let mut rng = Rng::new(seeds[0]);
        let chunk = match framing {
            0 => plain(&lines),
            n => framed(&lines, n == 2, &mut rng),
        };
        let mut learning = Pipeline::new(Arc::clone(&plan));
        let mut forgetful = Pipeline::new(plan);
        forgetful.is_forgetful = true;
        for round in 0..3 {
            if let (1, Some(at)) = (round, resume) {
                learning.resume(0, vec![1000 + at * 3, 1000 + at]);
                forgetful.resume(0, vec![1000 + at * 3, 1000 + at]);
            }
            let fast = process(&mut learning, copy(&chunk));
            let slow = process(&mut forgetful, copy(&chunk));
            for (fast, slow) in fast.0.iter().zip(&slow.0) {
                prop_assert_eq!(fast, slow, "{:#?}", lines);
            }
            prop_assert_eq!(fast, slow, "{:#?}", lines);
        }
    }
}
