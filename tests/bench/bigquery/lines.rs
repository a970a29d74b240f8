//! The lines of this benchmark: deterministic, from a seed.

use std::fmt::Write as _;

use super::corpus;
use super::rng::Rng;

/// What the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Predictions of one shape that come whole, about 380 bytes.
    Whole,
    /// Of 20 lines 8 predictions with 20 numbers as features, 4 batches of 4 items, and 4 requests
    /// with their 4 predictions behind them.
    Mix,
}

impl Shape {
    pub(crate) const ALL: [Self; 2] = [Self::Whole, Self::Mix];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Mix => "mix",
        }
    }

    /// `n` lines, and the rows that they are.
    pub(crate) fn lines(self, n: usize) -> (Vec<u8>, u64) {
        let mut rng = Rng::new(5);
        let (mut out, mut n_rows) = (String::with_capacity(n * 400), 0);
        let mut i = 0;
        while i < n {
            let (lines, rows) = match self {
                Self::Whole => (1, 1),
                Self::Mix => match i % 20 {
                    0..8 => (1, 1),
                    8..12 => (1, 4),
                    _ => (2, 1),
                },
            };
            match (self, lines, rows) {
                (Self::Whole, ..) => corpus::prediction(&mut rng, i as u64, &mut out),
                (_, 2, _) => halves(&mut rng, &mut out),
                (_, _, 4) => batch(&mut rng, &mut out),
                _ => features(&mut rng, &mut out),
            }
            out.push('\n');
            i += lines;
            n_rows += rows;
        }
        (out.into_bytes(), n_rows)
    }
}

fn features(rng: &mut Rng, out: &mut String) {
    let _ = write!(
        out,
        "{{\"event\":\"prediction\",\"request_id\":\"{}\",\"model\":\"churn\",\
         \"model_version\":\"41\",\"features\":{{",
        rng.uuid()
    );
    for n in 0..20 {
        let comma = if n > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\"f{n:02}\":{:.4}", rng.unit() * 40.0);
    }
    let _ = write!(
        out,
        "}},\"prediction\":{:.6},\"latency_ms\":{:.2},\"level\":\"info\",\
         \"timestamp\":\"2026-11-23T08:30:00.250Z\",\"region\":\"{}\"}}",
        rng.unit(),
        rng.unit() * 30.0,
        rng.pick(&["eu-1", "eu-2", "us-1"]),
    );
}

fn batch(rng: &mut Rng, out: &mut String) {
    let _ = write!(
        out,
        "{{\"event\":\"prediction\",\"request_id\":\"{}\",\"model_name\":\"prices\",\
         \"instances\":[",
        rng.uuid()
    );
    for n in 0..4 {
        let comma = if n > 0 { "," } else { "" };
        let (a, b, c) = (rng.unit(), rng.unit(), rng.below(90));
        let _ = write!(out, "{comma}{{\"area\":{a:.3},\"ratio\":{b:.3},\"age\":{c}}}");
    }
    out.push_str("],\"predictions\":[");
    for n in 0..4 {
        let _ = write!(out, "{}{:.3}", if n > 0 { "," } else { "" }, rng.unit() * 900.0);
    }
    out.push_str("],\"latency_ms\":12,\"timestamp\":\"2026-11-23T08:30:00.250Z\"}");
}

fn halves(rng: &mut Rng, out: &mut String) {
    let id = rng.uuid();
    let _ = write!(
        out,
        "{{\"event\":\"request_received\",\"request_id\":\"{id}\",\"model_name\":\"fraud\",\
         \"features\":{{"
    );
    for n in 0..8 {
        let _ = write!(out, "{}\"f{n}\":{:.4}", if n > 0 { "," } else { "" }, rng.unit());
    }
    let _ = write!(
        out,
        "}},\"caller\":\"web\",\"timestamp\":\"2026-11-23T08:30:00.250Z\"}}\n\
         {{\"event\":\"prediction_completed\",\"request_id\":\"{id}\",\"model_name\":\"fraud\",\
         \"prediction\":{{\"label\":\"{}\",\"score\":{:.6}}},\"latency_ms\":{},\
         \"timestamp\":\"2026-11-23T08:30:00.290Z\"}}",
        rng.pick(&["fraud", "legit"]),
        rng.unit(),
        3 + rng.below(90),
    );
}
