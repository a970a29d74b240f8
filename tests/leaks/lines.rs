//! Lines of a few shapes with changing values: what a service prints, and what nobody would.

use proptest::prelude::*;

use super::make::{self, Rng};

/// What stays the same from line to line.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Any scalar, drawn anew for each line.
    Any,
    /// The same text on every line.
    Fixed(String),
    Object(Vec<(String, Shape)>),
    /// Elements of one shape, their number drawn anew.
    Array(Box<Shape>),
    /// One of two.
    Either(Box<Shape>, Box<Shape>),
}

const KEYS: [&str; 48] = [
    "event",
    "message",
    "msg",
    "request_id",
    "timestamp",
    "time",
    "level",
    "features",
    "password",
    "user_id",
    "card_number",
    "prediction",
    "confidence",
    "trace_id",
    "traceparent",
    "span_id",
    "a",
    "b",
    "n",
    "text",
    "inputs",
    "outputs",
    "datatype",
    "bob@example.com",
    "latency_ms",
    "type",
    "logger",
    "score",
    "note",
    "error",
    "exception",
    "model_name",
    "model_version",
    "us\\u0065r_id",
    "ssn",
    "client_ip",
    "version",
    "",
    "x1",
    "x2",
    "ke\\\"y",
    "gr\u{f6}\u{df}e",
    "specversion",
    "instances",
    "status",
    "severity",
    "id",
    "phones",
];

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        6 => Just(Shape::Any),
        1 => any::<u64>().prop_map(|seed| Shape::Fixed(scalar(&mut Rng::new(seed)))),
    ];
    let key = prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned);
    let object = |inner: BoxedStrategy<Shape>, n| {
        prop::collection::vec(
            (prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned), inner),
            n,
        )
        .prop_map(Shape::Object)
    };
    let inner = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            3 => object(inner.clone().boxed(), 0..5),
            2 => inner.clone().prop_map(|one| Shape::Array(Box::new(one))),
            1 => (inner.clone(), inner)
                .prop_map(|(a, b)| Shape::Either(Box::new(a), Box::new(b))),
        ]
    });
    prop_oneof![
        12 => prop::collection::vec((key.clone(), inner), 0..8).prop_map(Shape::Object),
        1 => Just(Shape::Object((0..300).map(|n| (format!("k{n}"), Shape::Any)).collect())),
        1 => prop::collection::vec((key, Just(Shape::Any)), 30..60).prop_map(Shape::Object),
    ]
}

/// One line of the shape; now and then broken, or text.
pub(crate) fn line(shape: &Shape, rng: &mut Rng) -> String {
    let mut line = String::new();
    write(shape, rng, &mut line);
    match rng.below(40) {
        0 => {
            let cut = (0..=rng.below(line.len())).rev().find(|at| line.is_char_boundary(*at));
            line.truncate(cut.unwrap_or(0));
            line
        }
        1 => format!("INFO:root:{line}"),
        2 => format!("level=info user_id=7 msg=\"x\" {}", rng.noise(20)),
        3 => format!("  {line} "),
        4 => "-----BEGIN PRIVATE KEY-----".to_owned(),
        5 => "MIIEpAIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi3".to_owned(),
        _ => line,
    }
}

fn write(shape: &Shape, rng: &mut Rng, out: &mut String) {
    match shape {
        Shape::Any => out.push_str(&scalar(rng)),
        Shape::Fixed(text) => out.push_str(text),
        Shape::Object(members) => {
            out.push('{');
            for (n, (key, value)) in members.iter().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                out.push_str(&format!("\"{key}\":"));
                write(value, rng, out);
            }
            out.push('}');
        }
        Shape::Array(element) => {
            out.push('[');
            for n in 0..rng.below(4) {
                out.push_str(if n > 0 { ", " } else { "" });
                write(element, rng, out);
            }
            out.push(']');
        }
        Shape::Either(a, b) => write(if rng.below(4) == 0 { b } else { a }, rng, out),
    }
}

const WORDS: [&str; 34] = [
    "null",
    "true",
    "0",
    "-1.5e-7",
    "42",
    "1.0",
    "700",
    "0.2",
    "1795464000",
    "1795464000.25",
    "4111111111111111",
    "4111111111111111.0",
    "4.111111111111111e15",
    "123456789",
    "\"\"",
    "\"info\"",
    "\"ERROR\"",
    "\"prediction_completed\"",
    "\"request_received\"",
    "\"fraud\"",
    "\"serving\"",
    "\"drift kept\"",
    "\"Model fraud loaded in 3 s\"",
    "\"2026-11-23T20:00:00Z\"",
    "\"2026-11-23 20:00:00,123\"",
    "\"4bf92f3577b34da6a3ce929d0e0e4736\"",
    "\"00f067aa0ba902b7\"",
    "\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"",
    "\"r-\\u0031\"",
    "\"gr\u{f6}\u{df}e\"",
    "\"{\\\"password\\\":\\\"x1\\\"}\"",
    "99999999999999999999999999999999999999",
    "\"org.kubeflow.serving.inference.request\"",
    "[]",
];

fn scalar(rng: &mut Rng) -> String {
    if rng.below(3) > 0 {
        return rng.pick(&WORDS).to_owned();
    }
    let text = match rng.below(3) {
        0 => {
            let len = rng.below(90);
            rng.noise(len)
        }
        _ => make::GENERATORS[rng.below(make::GENERATORS.len())](rng),
    };
    format!("\"{text}\"")
}
