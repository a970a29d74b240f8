//! Tail sampling: what is noted of an event while it goes to the spool undecided, and the decision
//! when its window is over.
//!
//! An undecided event carries the rule [`UNDECIDED`] and its request's [`Key`] where a decided one
//! has its threshold; one that met a keep rule is decided at once. [`decide`] then gives every
//! event of a batch its fate: kept by a rule that any signal of its request met, else by the rate
//! of its kind and the bits that all signals of the request share.
//!
//! # Why
//! The bits of the keep rules are taken while values are still in clear; what waits in the spool is
//! protected already. Thresholds still follow from attributes of the request only, so that its
//! inclusion probability is exact: 1 where a rule holds for any of its signals, else its rate.

use crate::event::otlp::wire::{Reader, kind, tag};
use crate::event::record::{Record, UNDECIDED};
use crate::event::signal::Signal;
use crate::protect::decided::Decided;
use crate::protect::protected::Protected;

use super::fates::{Fates, Key, Note};
use super::process::Pipeline;
use super::requests::with_threshold;
use super::sample::{Decision, Randomness, Sampler, Threshold, rule};

/// The keys of one event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys {
    pub(super) trace: Option<Key>,
    pub(super) request: Option<Key>,
}

impl Keys {
    pub(super) fn of(trace_id: Option<&[u8]>, request_id: Option<&[u8]>) -> Self {
        let request = request_id.filter(|id| !id.is_empty()).map(Randomness::of_request_id);
        Self {
            trace: trace_id.and_then(Randomness::of_trace_id).map(Randomness::bits),
            request: request.map(Randomness::bits),
        }
    }

    fn own(self) -> Option<Key> {
        self.trace.or(self.request)
    }
}

impl Pipeline {
    /// Whether a log line stays, by its trace's and its request's id and the keep rule that it met.
    /// Worth asking only of kinds that the plan [decides about](super::plan::Plan::decides_about).
    pub(super) fn is_log_kept(
        &mut self,
        record: &mut Record,
        (trace_id, request_id): (Option<&[u8]>, Option<&[u8]>),
        keep_rule: Option<u8>,
    ) -> bool {
        let kind = record.kind();
        if self.plan.windows.is_some() {
            let tier = (self.plan.tier_of(kind), self.plan.sampler.is_sampled(kind));
            let keys = Keys::of(trace_id, request_id);
            if let Some(kept) = self.await_window(record, tier, keys, keep_rule) {
                return kept;
            }
        }
        let position = (self.source.0, self.source.1 + u64::from(record.source_off));
        let randomness = Randomness::of_event(None, trace_id, request_id, position);
        let decision = self.plan.sampler.decide(kind, randomness, None, keep_rule);
        record.threshold = decision.packed();
        decision.keep
    }

    /// Notes what the event says about its request; where its tier has a window, marks the record
    /// and says that it is kept until then. `None`: the event is decided here and now.
    pub(super) fn await_window(
        &mut self,
        record: &mut Record,
        (tier, is_sampled): (usize, bool),
        keys: Keys,
        keep_rule: Option<u8>,
    ) -> Option<bool> {
        let windows = self.plan.windows.as_ref()?;
        let rule = keep_rule.map(|n| rule::KEEP.saturating_add(n));
        let is_joined = keys.trace.is_some() && keys.request.is_some();
        if let Some(key) = keys.own().filter(|_| rule.is_some() || is_joined) {
            let request = keys.request.filter(|_| is_joined);
            self.notes.push(Note { key, request, rule });
        }
        if let Some(rule) = rule {
            record.threshold = u64::from(rule) << 56;
            return Some(true);
        }
        if !is_sampled {
            return Some(true);
        }
        if !windows.tiers.get(tier).copied().unwrap_or(false) {
            return None;
        }
        // Without an id it is a request of its own, known by its place.
        let key = keys.own().unwrap_or_else(|| {
            let source = self.source;
            Randomness::of_position(source.0, source.1 + u64::from(record.source_off)).bits()
        });
        record.threshold = u64::from(UNDECIDED) << 56 | key;
        Some(true)
    }

    /// Hands what was noted of a batch to those who decide.
    pub(super) fn tell_fates(&mut self, now_ns: i64) {
        if let Some(windows) = &self.plan.windows {
            windows.fates.note(now_ns, &self.notes);
            self.notes.clear();
        }
    }
}

/// Decides about the events of `batch`; one that decides before the window is over `is_early` and
/// says so in the records. Returns what is kept, if anything, and how many are not.
#[must_use]
pub fn decide(
    batch: &Protected,
    sampler: &Sampler,
    fates: &Fates,
    is_early: bool,
) -> (Option<Protected>, u64) {
    let mut decided = Vec::with_capacity(batch.len());
    let mut n_kept = 0;
    for event in batch.events() {
        let record = event.record;
        if record.sampling_rule() != UNDECIDED {
            decided.push(Decided::as_it_is(record.threshold));
            n_kept += 1;
            continue;
        }
        let fate = fates.of(record.undecided_key());
        let state = trace_state(batch.signal, event.bytes);
        let own = Randomness::of_tracestate(state).unwrap_or(fate.randomness);
        let keep_rule = fate.rule.map(|rule| rule.saturating_sub(rule::KEEP));
        let decision = match batch.signal {
            Signal::Logs => sampler.decide(record.kind(), own, None, keep_rule),
            Signal::Traces | Signal::Metrics => {
                sampler.decide_span(own, Threshold::of_tracestate(state), keep_rule)
            }
        };
        n_kept += usize::from(decision.keep);
        decided.push(of_decision(&decision, state, batch.signal, is_early));
    }
    let n_dropped = (batch.len() - n_kept) as u64;
    ((n_kept > 0).then(|| batch.decided(&decided)), n_dropped)
}

fn of_decision(decision: &Decision, state: &[u8], signal: Signal, is_early: bool) -> Decided {
    if !decision.keep {
        return Decided { is_kept: false, ..Decided::default() };
    }
    let mut threshold = decision.packed();
    if is_early && decision.rule < rule::KEEP {
        threshold = u64::from(rule::EARLY) << 56 | decision.threshold.bits();
    }
    let th = (!decision.inconsistent).then_some(decision.threshold);
    let new = (signal == Signal::Traces).then(|| with_threshold(state, th));
    Decided { is_kept: true, threshold, trace_state: new.filter(|new| new != state) }
}

/// The trace state of a span; nothing of anything else.
fn trace_state(signal: Signal, span: &[u8]) -> &[u8] {
    const TRACE_STATE: u32 = tag(3, kind::BYTES);
    let mut found = &span[..0];
    if signal == Signal::Traces {
        let mut fields = Reader::new(span, 0, span.len());
        while let Ok(Some(field)) = fields.read() {
            if field.tag == TRACE_STATE {
                found = field.of(span);
            }
        }
    }
    found
}

/// What a batch that was spooled before a restart says about its requests.
pub fn recall(batch: &crate::event::batch::Batch, notes: &mut Vec<Note>) {
    for event in batch.events() {
        let record = event.record;
        let trace_id = event.trace_id();
        let keys = Keys::of(trace_id.as_deref(), event.request_id());
        let rule = record.sampling_rule();
        let rule = (rule >= rule::KEEP).then_some(rule);
        let is_joined = keys.trace.is_some() && keys.request.is_some();
        if let Some(key) = keys.own().filter(|_| rule.is_some() || is_joined) {
            notes.push(Note { key, request: keys.request.filter(|_| is_joined), rule });
        }
    }
}
