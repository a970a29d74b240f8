//! Sampled records, weighted by the inverse of their probability, stand for all of them.
//!
//! Each run draws its own stream of events, samples it with a keep rule and a rate per kind, and
//! estimates totals from what was kept (Horvitz-Thompson). The true value must lie inside the 95 %
//! interval in at least 93 % of the runs; errors, which a keep rule holds, are counted exactly.

#[path = "support/estimate.rs"]
mod estimate;

use sidewake::event::record::{Kind, Level};
use sidewake::pipeline::condition::{Condition, Field, FieldSource, Found};
use sidewake::pipeline::sample::{Randomness, Sampler, Threshold};

use estimate::{Estimate, Random};

const N_RUNS: u64 = 400;
const N_EVENTS: u64 = 4_000;

struct Event {
    level: Level,
    kind: Kind,
    latency_ms: f64,
    token: String,
}

impl FieldSource for Event {
    fn level(&self) -> Level {
        self.level
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn value(&self, _index: usize, _field: &Field) -> Option<Found<'_>> {
        Some(Found { token: self.token.as_bytes(), key: b"latency_ms" })
    }
}

fn draw(random: &mut Random) -> Event {
    let kind = if random.unit() < 0.3 { Kind::Prediction } else { Kind::Application };
    let level = if random.unit() < 0.01 { Level::Error } else { Level::Info };
    let latency_ms = -20.0 * (1.0 - random.unit()).ln();
    Event { level, kind, latency_ms, token: format!("{latency_ms:.3}") }
}

fn sampler() -> Sampler {
    let keep = [r#"level >= "error""#, "latency_ms > 100"]
        .map(|rule| Condition::parse(rule).expect("a condition"));
    let mut sampler = Sampler::new(keep.into());
    let rate = |p| Threshold::from_probability(p).expect("a rate");
    sampler.set_rate(Kind::Application, rate(0.05));
    sampler.set_rate(Kind::Prediction, rate(0.2));
    sampler
}

#[test]
fn weighted_totals_are_unbiased() {
    let sampler = sampler();
    let names = ["events", "latency", "predictions", "slow events"];
    let mut n_held = [0; 4];
    let mut bias = [0.0; 4];
    for run in 0..N_RUNS {
        let mut random = Random(run);
        let mut estimates = [Estimate::default(); 4];
        let mut errors = Estimate::default();
        for n in 0..N_EVENTS {
            let event = draw(&mut random);
            let id = format!("run-{run}-request-{n}");
            let randomness = Randomness::of_request_id(id.as_bytes());
            let rule = sampler.keep_rule(&event);
            let decision = sampler.decide(event.kind, randomness, None, rule);
            let kept_with = decision.keep.then(|| decision.threshold.probability());
            let is = |yes: bool| f64::from(u8::from(yes));
            estimates[0].add(1.0, kept_with);
            estimates[1].add(event.latency_ms, kept_with);
            estimates[2].add(is(event.kind == Kind::Prediction), kept_with);
            estimates[3].add(is(event.latency_ms > 60.0), kept_with);
            errors.add(is(event.level == Level::Error), kept_with);
        }
        assert_eq!(errors.truth, errors.sum, "seed {run}: a keep rule counts exactly");
        for (at, estimate) in estimates.iter().enumerate() {
            n_held[at] += u64::from(estimate.holds());
            bias[at] += (estimate.sum / estimate.truth - 1.0) / N_RUNS as f64;
        }
    }
    for (at, name) in names.iter().enumerate() {
        let share = n_held[at] as f64 / N_RUNS as f64;
        assert!(share >= 0.93, "{name}: the 95 % interval held in {share} of {N_RUNS} runs");
        assert!(bias[at].abs() < 0.01, "{name}: biased by {}", bias[at]);
    }
}

/// Two replicas that know nothing of each other agree about every request, and both kinds of a
/// request's signals (by its id, by its trace) decide as their randomness says.
#[test]
fn replicas_agree() {
    let (here, there) = (sampler(), sampler());
    let mut n_kept = 0;
    for n in 0..10_000_u64 {
        let trace = format!("{:016x}{:016x}", Random(n).next(), Random(!n).next());
        let mut decisions = Vec::new();
        // A trace id outranks a request id, which one of the signals may not carry.
        for (replica, request_id) in [(&here, None), (&there, Some(&b"other"[..]))] {
            let trace_id = Some(trace.as_bytes());
            let randomness = Randomness::of_event(None, trace_id, request_id, (n, n));
            decisions.push(replica.decide(Kind::Application, randomness, None, None));
        }
        assert_eq!(decisions[0], decisions[1], "trace {trace}");
        n_kept += u64::from(decisions[0].keep);
    }
    assert!((400..600).contains(&n_kept), "5 % of 10,000, but {n_kept} were kept");
}
