//! Tail sampling's estimates: what a window keeps, weighted by the inverse of its probability,
//! stands for all requests, although whole requests are kept for what any of their spans did.

#[path = "support/estimate.rs"]
mod estimate;

use std::sync::Arc;
use std::time::Duration;

use sidewake::event::batch::Event;
use sidewake::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number};
use sidewake::event::record::{Kind, Level};
use sidewake::event::request::Request;
use sidewake::event::signal::Signal;
use sidewake::event::slab::Slab;
use sidewake::pipeline::condition::Condition;
use sidewake::pipeline::fates::Fates;
use sidewake::pipeline::plan::Windows;
use sidewake::pipeline::rules::Rules;
use sidewake::pipeline::sample::{Sampler, Threshold};
use sidewake::pipeline::window::decide;
use sidewake::pipeline::{Pipeline, Plan, TierPlan};
use sidewake::protect::policy::{Policy, PolicySpec};
use sidewake::protect::protected::Protected;

use estimate::{Estimate, Random};

const N_RUNS: u64 = 200;
const N_REQUESTS: u64 = 2_000;

fn plan() -> Arc<Plan> {
    let keep = [r#"level >= "error""#, "latency_ms > 100"]
        .map(|rule| Condition::parse(rule).expect("a condition"));
    let mut sampler = Sampler::new(keep.into());
    sampler.set_span_rate(Threshold::from_probability(0.1).expect("a rate"));
    let policy = Policy::compile(&PolicySpec::default(), false).expect("a policy");
    let tiers = vec![TierPlan { name: "traces".into(), policy }];
    let fates = Arc::new(Fates::new(1 << 16, Duration::from_secs(60)));
    Plan::new(tiers, [0; Kind::ALL.len()], Rules::default(), sampler, None)
        .with_items(&[(Signal::Traces, 0)])
        .with_windows(Some(Windows { tiers: vec![true], fates }))
}

/// A request: its root span takes its latency, its child may fail.
struct Drawn {
    trace_id: [u8; 16],
    latency_ms: f64,
    is_failed: bool,
}

fn draw(random: &mut Random) -> Drawn {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&random.next().to_be_bytes());
    trace_id[8..].copy_from_slice(&random.next().to_be_bytes());
    let latency_ms = -20.0 * (1.0 - random.unit()).ln();
    Drawn { trace_id, latency_ms, is_failed: random.unit() < 0.03 }
}

fn push_span(request: &Drawn, number: u8, out: &mut Vec<u8>) {
    const START: u64 = 1_700_000_000_000_000_000;
    push_message(out, 2, |out| {
        push_bytes(out, 1, &request.trace_id);
        push_bytes(out, 2, &[number + 1; 8]);
        let ms = if number == 0 { request.latency_ms } else { 0.1 };
        push_fixed64(out, 7, START);
        push_fixed64(out, 8, START + (ms * 1e6) as u64);
        if number == 1 && request.is_failed {
            push_message(out, 15, |out| push_number(out, 3, 2));
        }
    });
}

/// Each request's two spans in a request each, children first; what goes to the spool undecided.
fn spooled(plan: &Arc<Plan>, requests: &[Drawn]) -> Vec<Protected> {
    let mut pipeline = Pipeline::new(Arc::clone(plan));
    let mut take = |number: u8| {
        let mut spans = Vec::new();
        requests.iter().for_each(|request| push_span(request, number, &mut spans));
        let mut whole = Vec::new();
        push_message(&mut whole, 1, |out| push_bytes(out, 2, &spans));
        let request = Request {
            signal: Signal::Traces,
            slab: Slab::from_bytes(&whole),
            origin: Arc::default(),
            source_key: 1,
            source_base: u64::from(number) * N_REQUESTS,
            observed_ns: 1,
        };
        let processed = pipeline.process_request(request).expect("taken");
        processed.sealed.expect("a batch").batch
    };
    // The roots come before anybody knows that their children failed, as far as they are known.
    vec![take(0), take(1)]
}

fn decided(plan: &Plan, batches: &[Protected]) -> Vec<Protected> {
    let windows = plan.windows.as_ref().expect("windows");
    let decide = |batch| decide(batch, &plan.sampler, &windows.fates, false).0;
    batches.iter().filter_map(decide).collect()
}

fn number_of(event: &Event<'_>) -> usize {
    (event.source_position() % N_REQUESTS) as usize
}

#[test]
fn whole_requests_are_kept_and_weighted_totals_are_unbiased() {
    let names = ["requests", "latency", "slow requests", "failed requests"];
    let (mut n_held, mut bias) = ([0; 4], [0.0; 4]);
    for run in 0..N_RUNS {
        let mut random = Random(run);
        let requests: Vec<Drawn> = (0..N_REQUESTS).map(|_| draw(&mut random)).collect();
        let is = |yes: bool| f64::from(u8::from(yes));
        let values = |request: &Drawn| {
            let ms = request.latency_ms;
            [1.0, ms, is(ms > 40.0), is(request.is_failed)]
        };
        let plan = plan();
        let kept = decided(&plan, &spooled(&plan, &requests));
        let mut n_spans = vec![0; requests.len()];
        // What the record of the root span says.
        let mut kept_with = vec![None; requests.len()];
        for event in kept.iter().flat_map(|batch| batch.events()) {
            let number = number_of(&event);
            n_spans[number] += 1;
            if event.source_position() < N_REQUESTS {
                kept_with[number] = Some(event.record.probability());
            }
        }
        let mut estimates = [Estimate::default(); 4];
        for (request, kept_with) in requests.iter().zip(kept_with) {
            let all = estimates.iter_mut().zip(values(request));
            all.for_each(|(estimate, value)| estimate.add(value, kept_with));
        }
        for (number, request) in requests.iter().enumerate() {
            assert_ne!(n_spans[number], 1, "seed {run}: half of request {number} is kept");
            let is_told = request.is_failed || request.latency_ms > 100.0;
            assert!(!is_told || n_spans[number] == 2, "seed {run}: request {number} is gone");
        }
        assert_eq!(estimates[3].truth, estimates[3].sum, "seed {run}: outcomes count exactly");
        for (at, estimate) in estimates.iter().enumerate() {
            n_held[at] += u64::from(estimate.holds());
            bias[at] += (estimate.sum / estimate.truth - 1.0) / N_RUNS as f64;
        }
    }
    for (at, name) in names.iter().enumerate() {
        let share = n_held[at] as f64 / N_RUNS as f64;
        println!("{name}: the 95 % interval held in {share} of {N_RUNS} runs, bias {}", bias[at]);
        assert!(share >= 0.93, "{name}: the 95 % interval held in {share} of {N_RUNS} runs");
        assert!(bias[at].abs() < 0.02, "{name}: biased by {}", bias[at]);
    }
}

/// Two replicas that saw different halves of each request agree where only the bits decide.
#[test]
fn replicas_agree_on_the_probabilistic_part() {
    let mut random = Random(7);
    let requests: Vec<Drawn> = (0..N_REQUESTS)
        .map(|_| Drawn { is_failed: false, latency_ms: 1.0, ..draw(&mut random) })
        .collect();
    let kept_by = |which: usize| -> Vec<usize> {
        let plan = plan();
        let batch = spooled(&plan, &requests).swap_remove(which);
        let kept = decided(&plan, &[batch]);
        kept.iter().flat_map(|batch| batch.events()).map(|event| number_of(&event)).collect()
    };
    let (roots, children) = (kept_by(0), kept_by(1));
    assert_eq!(roots, children);
    assert!((140..260).contains(&roots.len()), "{}", roots.len());
}

/// What is kept of a request says why: by the rule of another span, or by the rate.
#[test]
fn records_and_spans_say_how_they_were_chosen() {
    let mut random = Random(3);
    let requests: Vec<Drawn> = (0..N_REQUESTS).map(|_| draw(&mut random)).collect();
    let plan = plan();
    for batch in decided(&plan, &spooled(&plan, &requests)) {
        for event in batch.events() {
            let request = &requests[number_of(&event)];
            let is_told = request.is_failed || request.latency_ms > 100.0;
            let (rule, p) = (event.record.sampling_rule(), event.record.probability());
            assert_eq!((rule >= 16, p == 1.0), (is_told, is_told), "rule {rule}, p {p}");
            let th = if is_told { &b"ot=th:0"[..] } else { b"ot=th:e666" };
            let state = memchr::memmem::find(event.bytes, th);
            assert!(state.is_some(), "{:?}", String::from_utf8_lossy(event.bytes));
            assert_eq!(event.trace_id().is_some(), event.record.level() != Level::Trace);
        }
    }
}
