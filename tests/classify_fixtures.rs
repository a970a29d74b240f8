//! Real lines of model servers, and what must be understood of them without configuration.
//!
//! `tests/fixtures/lines/*.txt`: a line `> kind rule level request_id time [ms=…] [trace=…]` says
//! what is expected of the line below it; `-` stands for "none". Sources are named in the
//! reference that the lines were taken from; some are shortened.

use std::fs;
use std::path::Path;

use sidewake::event::json::block::Native;
use sidewake::event::json::doc::{Doc, DocBuffers};
use sidewake::event::json::walk::walk;
use sidewake::pipeline::classify::{rule_name, understand};
use sidewake::pipeline::condition::{Field, FieldSource};
use sidewake::pipeline::roles::{Role, ids};
use sidewake::pipeline::rules::{DocFields, Rules};
use sidewake::pipeline::text::understand_text;
use sidewake::pipeline::{latency, time};
use time::Parsed;

/// 2026-03-01T00:00:00Z: when all lines were read.
const OBSERVED_NS: i64 = 1_772_323_200_000_000_000;

#[derive(Debug, Default)]
struct Got {
    kind: &'static str,
    rule: &'static str,
    level: &'static str,
    request_id: Option<String>,
    time: Option<Parsed>,
    trace_id: Option<String>,
    latency_ms: Option<f64>,
}

/// The way that the pipeline takes: JSON by the walk, everything else as text, and JSON inside
/// text by the walk again.
fn classify(line: &[u8]) -> Got {
    let rules = Rules::default();
    let mut found = DocBuffers::default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if walk::<Native>(line, 0, line.len(), &mut found).is_ok() {
        let doc = Doc { line, found: &found };
        let understood = understand(&doc, &rules);
        let fields = DocFields::new(&doc, &understood);
        let value = |role| fields.value(0, &Field::Role(role));
        let inside = |role: Role| {
            let member = understood.roles.get(role).map(|at| &doc.members()[usize::from(at)])?;
            Some(doc.text(member)).filter(|text| !text.is_empty())
        };
        return Got {
            kind: understood.kind.as_str(),
            rule: rule_name(understood.rule),
            level: understood.level.as_str(),
            request_id: inside(Role::RequestId).map(text),
            time: inside(Role::Time).and_then(|text| time::parse(text, OBSERVED_NS)),
            trace_id: inside(Role::TraceId).and_then(|id| Some(text(&id[ids::trace_id(id)?]))),
            latency_ms: value(Role::Latency).and_then(|v| latency::millis(v.token, v.key)),
        };
    }
    let mut got = understand_text(line, OBSERVED_NS);
    if let Some(json) = got.json.clone()
        && walk::<Native>(line, json.start, json.end, &mut found).is_ok()
    {
        let doc = Doc { line: &line[json], found: &found };
        let understood = understand(&doc, &rules);
        got.adopt(&doc, &understood, OBSERVED_NS);
    }
    Got {
        kind: got.kind.as_str(),
        rule: rule_name(got.rule),
        level: got.level.as_str(),
        request_id: got.request_id.clone().map(|range| text(&line[range])),
        time: got.time,
        trace_id: got.trace_id.clone().map(|range| text(&line[range])),
        latency_ms: got.latency_ms(line),
    }
}

/// One line with its expectation.
struct Case {
    place: String,
    expected: Vec<String>,
    line: String,
}

fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(folder);
    let mut cases = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder).expect("the fixtures").flatten().collect();
    files.sort_by_key(fs::DirEntry::path);
    for file in files.iter().filter(|file| file.path().extension().is_some_and(|e| e == "txt")) {
        let name = file.file_name().to_string_lossy().into_owned();
        let content = fs::read_to_string(file.path()).expect("a fixture");
        let mut expected: Option<(usize, Vec<String>)> = None;
        for (number, line) in content.lines().enumerate() {
            if let Some(words) = line.strip_prefix("> ") {
                expected = Some((number, words.split(' ').map(str::to_owned).collect()));
            } else if let Some((number, expected)) = expected.take() {
                let place = format!("{name}:{}", number + 2);
                cases.push(Case { place, expected, line: line.to_owned() });
            }
        }
    }
    cases
}

fn or_dash(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("-")
}

/// What is wrong about a line, if anything.
fn mistakes(case: &Case, got: &Got) -> Vec<String> {
    let [kind, rule, level, request_id, at, rest @ ..] = &case.expected[..] else {
        return vec!["the expectation has five words at least".to_owned()];
    };
    let mut wrong = Vec::new();
    let mut check = |what: &str, got: &str, expected: &str| {
        if got != expected {
            wrong.push(format!("{what}: got {got}, expected {expected}"));
        }
    };
    check("kind", got.kind, kind);
    check("rule", got.rule, rule);
    check("level", or_dash(Some(got.level)), level);
    check("request id", or_dash(got.request_id.as_deref()), request_id);
    let ns = |parsed: Parsed| parsed.ns.to_string();
    let expected_ns = time::parse(at.as_bytes(), OBSERVED_NS).map(ns);
    assert_eq!(expected_ns.is_none(), at == "-", "{}: {at} is no time", case.place);
    check("time", or_dash(got.time.map(ns).as_deref()), or_dash(expected_ns.as_deref()));
    for extra in rest {
        match extra.split_once('=') {
            Some(("ms", ms)) => {
                let got = got.latency_ms.map(|ms| ((ms * 1e6).round() / 1e6).to_string());
                check("latency", or_dash(got.as_deref()), ms);
            }
            Some(("trace", id)) => check("trace", or_dash(got.trace_id.as_deref()), id),
            _ => check("expectation", extra, "ms=… or trace=…"),
        }
    }
    wrong
}

#[test]
fn every_line_is_understood() {
    let cases = cases("lines");
    let mut report = String::new();
    for case in &cases {
        let got = classify(case.line.as_bytes());
        for mistake in mistakes(case, &got) {
            report += &format!("{}: {mistake}\n    {}\n", case.place, case.line);
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(cases.len() >= 120, "only {} lines", cases.len());
}

/// What [`every_line_is_understood`] was tuned on says little; these lines were labelled first and
/// seen once: macro-F1 over the kinds, and the share of request ids found.
#[test]
fn held_out_lines() {
    let kinds = ["application", "request", "prediction", "model", "data"];
    let cases = cases("held_out");
    let mut report = String::new();
    let mut counts = [[0_u32; 5]; 5];
    let mut n_right_ids = 0;
    for case in &cases {
        let got = classify(case.line.as_bytes());
        let of = |kind: &str| kinds.iter().position(|known| *known == kind).expect("a kind");
        counts[of(&case.expected[0])][of(got.kind)] += 1;
        let id = or_dash(got.request_id.as_deref());
        n_right_ids += usize::from(id == case.expected[1]);
        if got.kind != case.expected[0] || id != case.expected[1] {
            report +=
                &format!("{}: {} {id} by {}\n    {}\n", case.place, got.kind, got.rule, case.line);
        }
    }
    let f1 = |kind: usize| {
        let right = f64::from(counts[kind][kind]);
        let expected: u32 = counts[kind].iter().sum();
        let said: u32 = counts.iter().map(|row| row[kind]).sum();
        2.0 * right / f64::from(expected + said)
    };
    let macro_f1 = (0..5).map(f1).sum::<f64>() / 5.0;
    let ids = n_right_ids as f64 / cases.len() as f64;
    assert!(macro_f1 >= 0.98, "macro-F1 {macro_f1:.3}\n{report}");
    assert!(ids >= 0.98, "request ids {ids:.3}\n{report}");
}
