//! Lines around or nearly JSON: broken objects, Triton's trace arrays, Seldon's and KServe's
//! bodies behind ids and headers.

use std::ops::Range;

use memchr::memmem;

use super::TextUnderstanding;
use crate::event::json::doc::ValueKind;
use crate::event::record::{Kind, Level};
use crate::pipeline::classify::{self, Facts, Rule, Verdict};
use crate::pipeline::roles::{Role, ids};
use crate::pipeline::time;

/// Bytes of a broken object that are looked at.
const MAX_LEN: usize = 8192;
/// Keys of a broken object that are looked at.
const MAX_KEYS: usize = 64;

/// Reads `"key": value` pairs of an object that is no JSON: MLServer does not escape its messages,
/// and a line may have been cut. Values end at the next quote, which is right for all but the
/// value that broke the line.
pub(super) fn broken_object(line: &[u8], found: &mut TextUnderstanding, observed_ns: i64) {
    found.bad_json = true;
    found.set_rule(Rule::TextBrokenJson);
    let text = line.get(..MAX_LEN).unwrap_or(line);
    let mut facts = Facts::default();
    let mut values: [Range<usize>; MAX_KEYS] = [const { 0..0 }; MAX_KEYS];
    let mut n_keys = 0;
    let mut at = 0;
    while let Some((key, value)) = next_pair(text, at)
        && let Some(slot) = values.get_mut(n_keys)
    {
        let is_open = matches!(text.get(value.start), Some(b'{' | b'['));
        let kind = if is_open { ValueKind::Object } else { ValueKind::String };
        facts.note_field(text.get(key).unwrap_or_default(), n_keys as u16, kind);
        at = value.end;
        *slot = value;
        n_keys += 1;
    }
    let roles = facts.roles();
    let find = |role: Role| roles.get(role).and_then(|at| values.get(usize::from(at)).cloned());
    let read = |range: &Range<usize>| text.get(range.clone()).unwrap_or_default();
    if let Some(level) = find(Role::Level) {
        found.level = Level::parse(read(&level)).unwrap_or(Level::Unset);
    }
    found.time = find(Role::Time).and_then(|range| time::parse(read(&range), observed_ns));
    found.request_id = find(Role::RequestId).filter(|range| !range.is_empty());
    found.message = find(Role::Message);
    found.latency = None;
    if let Some(range) = find(Role::TraceId)
        && let Some(trace) = ids::trace_id(read(&range))
    {
        found.trace_id = Some(range.start + trace.start..range.start + trace.end);
    }
    let fallback = Verdict { kind: found.kind, rule: found.rule };
    let structure = classify::structure_verdict(&facts, found.level).unwrap_or(fallback);
    let message = found.message.as_ref().map(read).unwrap_or_default();
    found.set(classify::kind_of_message(message, structure));
}

/// The next `"key":` from `at` on, and its value: the inside of a string, a scalar, or the bracket
/// that opens a container.
fn next_pair(text: &[u8], mut at: usize) -> Option<(Range<usize>, Range<usize>)> {
    loop {
        let open = at + memchr::memchr(b'"', text.get(at..)?)?;
        let inside = text.get(open + 1..)?;
        let in_key = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-@/".contains(byte);
        let len = inside.iter().take_while(in_key).count();
        at = open + 1;
        if len == 0 || inside.get(len) != Some(&b'"') {
            continue;
        }
        let mut from = at + len + 1;
        if text.get(from) != Some(&b':') {
            at = from;
            continue;
        }
        from += 1;
        from += text.get(from..)?.iter().take_while(|byte| **byte == b' ').count();
        let value = text.get(from..)?;
        let key = at..at + len;
        return Some(match value.first()? {
            b'"' => {
                let end = memchr::memchr(b'"', value.get(1..)?).unwrap_or(value.len() - 1);
                (key, from + 1..from + 1 + end)
            }
            b'{' | b'[' => (key, from..from + 1),
            _ => {
                let ends = |byte: &u8| b",}] ".contains(byte);
                let len = value.iter().position(ends).unwrap_or(value.len());
                (key, from..from + len)
            }
        });
    }
}

/// `[{"id":9,"model_name":…,"request_id":"1",…}]`, `[{"id": 1, "timestamps": […] }]`.
pub(super) fn triton_trace(line: &[u8], found: &mut TextUnderstanding) {
    let head = line.get(..512).unwrap_or(line);
    let has = |key: &[u8]| memmem::find(head, key).is_some();
    if !has(b"\"id\"") || !(has(b"\"timestamps\"") || has(b"\"parent_id\"") || has(b"\"activity\""))
    {
        return;
    }
    found.set_rule(Rule::TextTritonTrace);
    let is_input = has(b"TENSOR_QUEUE_INPUT");
    found.kind = if is_input { Kind::Request } else { Kind::Prediction };
}

/// `seldon.default.model.tfsimple2.outputs<TAB>test-id2<TAB>{…}<TAB>…<TAB>traceparent=[00-…]`.
pub(super) fn seldon(line: &[u8], found: &mut TextUnderstanding) {
    let Some(tab) = memchr::memchr(b'\t', line) else { return };
    let (topic, rest) = line.split_at(tab);
    let verdict = if topic.ends_with(b".inputs") {
        Verdict::new(Kind::Request, Rule::TextSeldon)
    } else if topic.ends_with(b".outputs") {
        Verdict::new(Kind::Prediction, Rule::TextSeldon)
    } else {
        return;
    };
    found.set(verdict);
    let id = rest.get(1..).unwrap_or_default();
    let len = memchr::memchr(b'\t', id).unwrap_or(id.len());
    found.request_id = (len > 0).then_some(tab + 1..tab + 1 + len);
    let body = tab + 1 + len + 1;
    if line.get(body) == Some(&b'{') {
        let text = line.get(body..).unwrap_or_default();
        let end = memchr::memchr(b'\t', text).unwrap_or(text.len());
        found.json = Some(body..body + end);
    }
}

/// `ce-id: … | ce-inferenceservice: "iris" | ce-type: org.kubeflow.… | {…}`.
pub(super) fn cloud_event(line: &[u8], found: &mut TextUnderstanding, observed_ns: i64) {
    let mut start = 0;
    for part in line.split(|byte| *byte == b'|') {
        let trimmed = part.trim_ascii();
        let at = start + (part.len() - part.trim_ascii_start().len());
        start += part.len() + 1;
        let Some(colon) = memchr::memchr(b':', trimmed) else { continue };
        if trimmed.starts_with(b"{") {
            // A body may hold `|`, so it reaches to the end of the line.
            found.json = Some(at..line.trim_ascii_end().len());
            break;
        }
        let (key, value) = trimmed.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        let text = value.trim_ascii();
        let from = at + colon + 1 + (value.len() - value.trim_ascii_start().len());
        match key {
            b"ce-id" => found.request_id = (!text.is_empty()).then_some(from..from + text.len()),
            b"ce-time" => found.time = time::parse(text, observed_ns),
            b"ce-type" => {
                found.set_rule(Rule::TextKserveEvent);
                if let Some(verdict) = classify::inference_type(text) {
                    found.set(verdict);
                }
            }
            _ => {}
        }
    }
}
