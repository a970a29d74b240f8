//! Lines that begin with a level: uvicorn, Python's `logging`, vLLM, Ray, TGI.

use memchr::memmem;

use super::dated;
use super::{Cursor, TextUnderstanding};
use crate::event::record::{Kind, Level};
use crate::pipeline::classify::Rule;
use crate::pipeline::time;

/// Who wrote the line, by the `(Name pid=123)` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    None,
    Ray,
    Vllm,
}

/// Steps over `(APIServer pid=90458) ` or `(ServeReplica:SayHello pid=71162, ip=…) `.
pub(super) fn process_tag(at: &mut Cursor<'_>) -> Tag {
    let mut behind = *at;
    if !behind.eat(b"(") {
        return Tag::None;
    }
    let Some(tag) = behind.until(b')', 128) else { return Tag::None };
    if memmem::find(tag, b" pid=").is_none() && tag != b"raylet" {
        return Tag::None;
    }
    behind.skip_spaces();
    behind.skip_ansi();
    *at = behind;
    let is_vllm = [&b"APIServer"[..], b"EngineCore", b"Worker", b"VllmWorker"]
        .iter()
        .any(|name| tag.starts_with(name));
    if is_vllm { Tag::Vllm } else { Tag::Ray }
}

pub(super) fn leveled(
    at: &mut Cursor<'_>,
    found: &mut TextUnderstanding,
    observed_ns: i64,
    tag: Tag,
) {
    let Some(level) = at.level() else {
        if tag == Tag::Ray {
            found.set_rule(Rule::TextRay);
        }
        found.message = Some(at.rest_range());
        return;
    };
    found.level = level;
    found.set_rule(Rule::TextLevel);
    at.skip_ansi();
    if at.eat(b":") {
        return behind_colon(at, found);
    }
    at.skip_spaces();
    if let Some((time, len)) = time::parse_month_day(at.rest(), observed_ns) {
        found.time = Some(time);
        at.skip(len);
        return vllm(at, found);
    }
    if let Some((time, len)) = time::parse_prefix(at.rest(), observed_ns) {
        found.time = Some(time);
        at.skip(len);
        found.set_rule(Rule::TextRay);
        return ray(at, found);
    }
    if tgi_generate(at, found) {
        return;
    }
    found.message = Some(at.rest_range());
}

/// `INFO:     10.0.0.1:5 - "POST …` (uvicorn) or `INFO:logger:message` (Python's `logging`).
fn behind_colon(at: &mut Cursor<'_>, found: &mut TextUnderstanding) {
    if !at.rest().starts_with(b" ") {
        let mut behind = *at;
        if let Some(logger) = behind.until(b':', 80)
            && !logger.is_empty()
            && !logger.contains(&b' ')
        {
            *at = behind;
            at.skip_spaces();
            found.set_rule(Rule::TextPython);
            dated::message(at, found);
            return;
        }
    }
    at.skip_spaces();
    at.skip_ansi();
    if !dated::access(at, found) {
        dated::message(at, found);
    }
}

/// `[logger.py:49] Received request chatcmpl-…: params: SamplingParams(…)`.
fn vllm(at: &mut Cursor<'_>, found: &mut TextUnderstanding) {
    found.set_rule(Rule::TextVllm);
    at.skip_spaces();
    if at.eat(b"[") {
        at.until(b']', 128);
        at.skip_spaces();
    } else if memmem::find(at.rest().get(..64).unwrap_or(at.rest()), b".py:").is_some() {
        // Before 0.8.5 there was no opening bracket: `logger.py:37] Received …`.
        at.until(b']', 64);
        at.skip_spaces();
    }
    found.message = Some(at.rest_range());
    let received = at.eat(b"Received request ");
    if received || at.eat(b"Added request ") || at.eat(b"Finished request ") {
        let start = at.at();
        let id = at.token();
        let id = id.strip_suffix(b":").or_else(|| id.strip_suffix(b".")).unwrap_or(id);
        found.request_id = (!id.is_empty()).then_some(start..start + id.len());
        if received {
            found.kind = Kind::Request;
            found.set_rule(Rule::TextVllmRequest);
        }
    }
}

/// `SayHello SayHello#kKGBoa replica.py:482 - HANDLE __call__ OK 0.3ms`.
fn ray(at: &mut Cursor<'_>, found: &mut TextUnderstanding) {
    at.skip_spaces();
    let rest = at.rest();
    if let Some(dashes) = memmem::find(rest, b" -- ") {
        // `default_Model lk29x1 0a6ed3e1-… -- POST /predict 200 12.3ms`: the id is the last word.
        let names = rest.get(..dashes).unwrap_or_default();
        let word = memchr::memrchr(b' ', names).map_or(0, |space| space + 1);
        let id = at.at() + word..at.at() + dashes;
        let dashed = names.get(word..).is_some_and(|id| {
            id.len() == 36 && id.iter().filter(|byte| **byte == b'-').count() == 4
        });
        found.request_id = dashed.then_some(id);
        at.skip(dashes + 4);
    } else if let Some(dash) = memmem::find(rest, b" - ") {
        at.skip(dash + 3);
    }
    found.message = Some(at.rest_range());
    trailing_latency(at, found);
}

/// The line's last word, if it is a number with a unit.
pub(super) fn trailing_latency(at: &Cursor<'_>, found: &mut TextUnderstanding) {
    let rest = at.rest().trim_ascii_end();
    let Some(space) = memchr::memrchr(b' ', rest) else { return };
    let word = rest.get(space + 1..).unwrap_or_default();
    if word.first().is_some_and(u8::is_ascii_digit) && word.ends_with(b"ms") {
        let start = at.at() + space + 1;
        found.latency = Some(start..start + word.len());
    }
}

/// TGI: `generate{parameters=… total_time="357.8ms" … seed="None"}: target: file: Success`, or
/// `completions{total_time=…}:generate{…}`. The one line per request; it has no id.
pub(super) fn tgi_generate(at: &Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    let rest = at.rest();
    let in_name = |byte: &&u8| byte.is_ascii_lowercase() || **byte == b'_';
    let name_len = rest.iter().take(32).take_while(in_name).count();
    if name_len == 0 || rest.get(name_len) != Some(&b'{') {
        return false;
    }
    let Some(key) = memmem::find(rest, b"total_time=\"") else { return false };
    let from = key + b"total_time=\"".len();
    let value = rest.get(from..).unwrap_or_default();
    let Some(len) = memchr::memchr(b'"', value) else { return false };
    found.latency = Some(at.at() + from..at.at() + from + len);
    found.set_rule(Rule::TextTgiGenerate);
    if found.level < Level::Error {
        found.kind = Kind::Prediction;
    }
    true
}
