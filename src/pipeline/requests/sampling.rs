//! Whether a span is kept, and what its trace state says of that afterwards.
//!
//! Source: OpenTelemetry probability sampling, "Downstream samplers": a threshold may be raised and
//! is written back as `th`; randomness (`rv`) stays; of an inconsistent span `th` is erased.

use crate::event::batch::TRACE_ID_LEN;
use crate::event::otlp::walk::tags;
use crate::event::otlp::wire::{Reader, kind, push_bytes, tag};
use crate::event::record::{Kind, Level};
use crate::pipeline::condition::{Field, FieldSource, Found};
use crate::pipeline::roles::Role;
use crate::pipeline::sample::{Decision, Randomness, Threshold};
use crate::pipeline::window::Keys;

use super::attributes::push_token;
use super::search::{Item, Search};

const TRACE_STATE: u32 = 3;
const ATTRIBUTES: u32 = tag(9, kind::BYTES);

impl Search<'_> {
    /// Decides about the span in work; a kept one gets its threshold.
    pub(super) fn is_kept(&mut self, item: &mut Item) -> bool {
        if !self.is_deciding {
            return true;
        }
        let plan = std::sync::Arc::clone(&self.pipeline.plan);
        let state = item.trace_state.map(|state| state.of(self.bytes)).unwrap_or_default();
        let randomness = Randomness::of_tracestate(state)
            .or_else(|| self.trace_randomness(item))
            .unwrap_or(Randomness::new(0));
        let keep_rule = match plan.sampler.keep_rules() {
            [] => None,
            _ => plan.sampler.keep_rule(&SpanFields::of(item, self.bytes)),
        };
        if plan.windows.is_some() {
            let keys = self.keys(item);
            let tier = (self.tier, plan.sampler.samples_spans());
            let kept = self.pipeline.await_window(&mut item.record, tier, keys, keep_rule);
            // One that met a rule is decided here, and says so like those that follow it.
            if let Some(kept) = kept.filter(|_| keep_rule.is_none() || !tier.1) {
                return kept;
            }
        }
        let incoming = Threshold::of_tracestate(state);
        let decision = plan.sampler.decide_span(randomness, incoming, keep_rule);
        item.record.threshold = decision.packed();
        if decision.keep {
            self.write_threshold(item, state, &decision);
        }
        decision.keep
    }

    fn keys(&self, item: &Item) -> Keys {
        let at = item.field.start + item.record.request_id_off as usize;
        let len = usize::from(item.record.request_id_len);
        let request_id = self.bytes.get(at..at + len).filter(|_| len > 0);
        let trace = self.trace_randomness(item).map(Randomness::bits);
        Keys { trace, ..Keys::of(None, request_id) }
    }

    fn trace_randomness(&self, item: &Item) -> Option<Randomness> {
        let at = item.field.start + item.record.trace_id_off as usize;
        let id: [u8; TRACE_ID_LEN] = *self.bytes.get(at..)?.first_chunk()?;
        Some(Randomness::new(u128::from_be_bytes(id) as u64))
    }

    fn write_threshold(&mut self, item: &Item, state: &[u8], decision: &Decision) {
        let th = (!decision.inconsistent).then_some(decision.threshold);
        let new = with_threshold(state, th);
        if new == state || item.is_state_edited {
            return;
        }
        let edits = &mut self.memo.edits;
        match item.trace_state.filter(|field| !field.is_empty()) {
            Some(field) => edits.value(field, |out| out.extend_from_slice(&new)),
            None => {
                let start = item.field.start;
                edits.fields(start, start, |out| push_bytes(out, TRACE_STATE, &new));
            }
        }
    }
}

/// `state` with `th` in its `ot` entry, which becomes the first: a vendor's changed entry comes
/// first (W3C trace context).
pub(in crate::pipeline) fn with_threshold(state: &[u8], th: Option<Threshold>) -> Vec<u8> {
    let entries = || state.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let ours = entries().find_map(|entry| entry.strip_prefix(b"ot="));
    let pairs = ours.unwrap_or_default().split(|byte| *byte == b';');
    let mut own: Vec<Vec<u8>> = th.map(|th| format!("th:{th}").into_bytes()).into_iter().collect();
    own.extend(pairs.filter(|pair| !pair.is_empty() && !pair.starts_with(b"th:")).map(Into::into));
    let mut new = Vec::new();
    if !own.is_empty() {
        new.extend_from_slice(b"ot=");
        new.extend_from_slice(&own.join(&b';'));
    }
    for entry in entries().filter(|entry| !entry.is_empty() && !entry.starts_with(b"ot=")) {
        if !new.is_empty() {
            new.push(b',');
        }
        new.extend_from_slice(entry);
    }
    new
}

/// A span as the conditions see it.
struct SpanFields<'a> {
    level: Level,
    latency_ms: String,
    /// Keys and tokens of its attributes.
    attributes: Vec<(&'a [u8], std::borrow::Cow<'a, [u8]>)>,
    trace_id: String,
}

impl<'a> SpanFields<'a> {
    fn of(item: &Item, bytes: &'a [u8]) -> Self {
        let duration_ns = item.end_ns.saturating_sub(item.record.ts_ns).max(0);
        let at = item.field.start + item.record.trace_id_off as usize;
        let trace_id = bytes.get(at..at + TRACE_ID_LEN).unwrap_or_default();
        let mut attributes = Vec::new();
        let mut fields = Reader::of(bytes, item.field);
        while let Ok(Some(field)) = fields.read() {
            if field.tag == ATTRIBUTES {
                attributes.extend(attribute(bytes, field));
            }
        }
        Self {
            level: item.record.level(),
            latency_ms: format!("{}", duration_ns as f64 / 1e6),
            attributes,
            trace_id: data_encoding::HEXLOWER.encode(trace_id),
        }
    }
}

fn attribute(
    bytes: &[u8],
    field: crate::event::otlp::Field,
) -> Option<(&[u8], std::borrow::Cow<'_, [u8]>)> {
    let (mut key, mut value) = (&bytes[..0], None);
    let mut parts = Reader::of(bytes, field);
    while let Ok(Some(part)) = parts.read() {
        match part.number() {
            1 => key = part.of(bytes),
            2 => value = Reader::of(bytes, part).read().ok().flatten(),
            _ => {}
        }
    }
    let member = value?;
    let token = match member.tag {
        tags::TEXT => member.of(bytes).into(),
        tags::INT | tags::BOOL | tags::DOUBLE => {
            let mut token = Vec::new();
            push_token(member, bytes, &mut token);
            token.into()
        }
        _ => return None,
    };
    Some((key, token))
}

impl FieldSource for SpanFields<'_> {
    fn level(&self) -> Level {
        self.level
    }

    fn kind(&self) -> Kind {
        Kind::Application
    }

    fn value(&self, _: usize, field: &Field) -> Option<Found<'_>> {
        let named = |wanted: &dyn Fn(&[u8]) -> bool| {
            let found = self.attributes.iter().find(|(key, _)| wanted(key));
            found.map(|(key, token)| Found { token, key })
        };
        match field {
            Field::Role(Role::Latency) => {
                Some(Found { token: self.latency_ms.as_bytes(), key: b"latency_ms" })
            }
            Field::Role(Role::TraceId) => {
                Some(Found { token: self.trace_id.as_bytes(), key: b"trace_id" })
            }
            Field::Role(role) => named(&|key| {
                let mut meanings = crate::pipeline::aliases::lookup(key);
                meanings.any(|hit| hit.means == crate::pipeline::aliases::Means::Role(*role))
            }),
            Field::Path(path) => named(&|key| key == path.as_bytes()),
            Field::Level | Field::Kind => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_in_trace_states() {
        let th = Threshold::parse(b"c");
        for (state, th, new) in [
            ("", th, "ot=th:c"),
            ("", None, ""),
            ("a=1", th, "ot=th:c,a=1"),
            ("a=1, ot=rv:0123456789abcd;th:8 ,b=2", th, "ot=th:c;rv:0123456789abcd,a=1,b=2"),
            ("ot=th:8,a=1", None, "a=1"),
            ("ot=th:0", Some(Threshold::ALL), "ot=th:0"),
        ] {
            let got = with_threshold(state.as_bytes(), th);
            assert_eq!(String::from_utf8(got).expect("text"), new, "{state}");
        }
    }
}
