//! The middle alone: requests through the pipeline, nothing received, stored or sent.

use std::sync::Arc;

use sidewake::event::request::Request;
use sidewake::event::signal::Signal;
use sidewake::event::slab::Slab;
use sidewake::pipeline::Pipeline;

use super::Case;
use super::plan::{Protection, plan};
use super::rng::Rng;
use super::shapes::Template;
use super::spent::thread_cpu_ns;

/// CPU nanoseconds a span of the best of `rounds`.
pub(crate) fn run(case: Case, rounds: usize) -> f64 {
    let mut rng = Rng::new(7);
    let n_templates = (16_000 / case.per_request).max(8);
    let templates: Vec<Template> =
        (0..n_templates).map(|_| Template::new(case.shape, case.per_request, &mut rng)).collect();
    let mut pipeline =
        Pipeline::new(plan(Protection::Detectors, 1.0).with_items(&[(Signal::Traces, 1)]));
    let mut best = f64::MAX;
    for round in 0..rounds as u64 {
        let mut spent = 0;
        for (number, template) in templates.iter().enumerate() {
            let first = (round * 1_000_000) + (number * case.per_request) as u64;
            let request = Request {
                signal: Signal::Traces,
                slab: Slab::from_vec(template.fill(first, 0)),
                origin: Arc::default(),
                source_key: 1,
                source_base: first,
                observed_ns: 1_795_464_000_000_000_000,
            };
            let start = thread_cpu_ns();
            let processed = pipeline.process_request(request).expect("a sound request");
            spent += thread_cpu_ns() - start;
            assert!(processed.sealed.is_some(), "spans go on");
        }
        best = best.min(spent as f64 / (templates.len() * case.per_request) as f64);
    }
    best
}
