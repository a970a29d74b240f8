//! Lines that begin with a time (TorchServe, BentoML, MLServer, KServe, Spring Boot, loguru,
//! gunicorn, Python's `logging`) or with an address (access logs).

use memchr::memmem;

use super::leveled::{tgi_generate, trailing_latency};
use super::{Cursor, TextUnderstanding};
use crate::event::record::{Kind, Level};
use crate::pipeline::classify::Rule;
use crate::pipeline::time;

/// Words looked at for a level, at most.
const MAX_TOKENS: usize = 6;

pub(super) fn dated_or_access(
    at: &mut Cursor<'_>,
    found: &mut TextUnderstanding,
    observed_ns: i64,
) {
    let Some((time, len)) = time::parse_prefix(at.rest(), observed_ns) else {
        access(at, found);
        return;
    };
    found.time = Some(time);
    at.skip(len);
    behind_time(at, found);
}

/// `[2026-01-04 10:30:00 +0000] [7] [INFO] Booting worker` (gunicorn), `[INFO] …`, `[time] …`.
pub(super) fn bracketed(at: &mut Cursor<'_>, found: &mut TextUnderstanding, observed_ns: i64) {
    let whole = *at;
    at.eat(b"[");
    if let Some((time, len)) = time::parse_prefix(at.rest(), observed_ns) {
        found.time = Some(time);
        at.skip(len);
        if at.eat(b"]") {
            let is_gunicorn =
                at.rest().starts_with(b" [") && at.rest().get(2).is_some_and(u8::is_ascii_digit);
            behind_time(at, found);
            if is_gunicorn && found.rule == Rule::TextAsctime as u8 {
                found.set_rule(Rule::TextGunicorn);
            }
            return;
        }
    }
    *at = whole;
    if let Some(level) = bracketed_level(at) {
        found.level = level;
        found.set_rule(Rule::TextLevel);
        message(at, found);
    }
}

/// `[INFO]`, `[INFO ]`. Steps over it.
fn bracketed_level(at: &mut Cursor<'_>) -> Option<Level> {
    let mut behind = *at;
    if !behind.eat(b"[") {
        return None;
    }
    let level = behind.level()?;
    behind.skip_spaces();
    if !behind.eat(b"]") {
        return None;
    }
    *at = behind;
    Some(level)
}

fn behind_time(at: &mut Cursor<'_>, found: &mut TextUnderstanding) {
    if super::glog::tensorflow(at, found) {
        return;
    }
    found.set_rule(Rule::TextAsctime);
    at.skip_spaces();
    if kserve_trace(at, found) || mlserver(at, found) || loguru(at, found) {
        return;
    }
    let mut level = bracketed_level(at);
    if let Some(known) = level {
        found.level = known;
        at.skip_spaces();
        if torchserve(at, found) || bento(at, found) {
            return;
        }
    }
    // `name - LEVEL - message`, `LEVEL 1 --- [thread] class : message`, `[7] [LEVEL] message`.
    for _ in 0..MAX_TOKENS {
        if level.is_some() {
            break;
        }
        at.skip_spaces();
        level = bracketed_level(at).or_else(|| at.level());
        if level.is_none() {
            at.token();
        }
    }
    match level {
        Some(level) => found.level = level,
        None => return,
    }
    at.skip_spaces();
    if tgi_generate(at, found) {
        return;
    }
    java(at, found);
    if at.eat(b"- ") || at.eat(b": ") {
        at.skip_spaces();
    }
    message(at, found);
}

/// `1 kserve.trace requestId: abc-123, preprocess_ms: 0.02, …, predict_ms: 1.87, …`.
fn kserve_trace(at: &Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    let head = at.rest().get(..64).unwrap_or(at.rest());
    let Some(name) = memmem::find(head, b"kserve.trace") else { return false };
    found.set_rule(Rule::TextKserveTrace);
    found.kind = Kind::Prediction;
    found.message = Some(at.at() + name..at.rest_range().end);
    if let Some(key) = memmem::find(at.rest(), b"predict_ms: ") {
        let from = key + b"predict_ms: ".len();
        let value = at.rest().get(from..).unwrap_or_default();
        let in_number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
        let len = value.iter().take_while(in_number).count();
        found.latency = Some(at.at() + from..at.at() + from + len);
    }
    true
}

/// `[mlserver][iris:v1] INFO - Loaded model 'iris' successfully.`
fn mlserver(at: &mut Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    if !at.rest().starts_with(b"[mlserver") {
        return false;
    }
    found.set_rule(Rule::TextMlServer);
    while at.eat(b"[") {
        if at.until(b']', 256).is_none() {
            return true;
        }
    }
    at.skip_spaces();
    found.level = at.level().unwrap_or(Level::Unset);
    at.skip_spaces();
    at.eat(b"- ");
    message(at, found);
    true
}

/// `| INFO     | module:function:12 - message`.
fn loguru(at: &mut Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    let mut behind = *at;
    if !behind.eat(b"| ") {
        return false;
    }
    let Some(level) = behind.level() else { return false };
    *at = behind;
    found.level = level;
    found.set_rule(Rule::TextLoguru);
    if let Some(dash) = memmem::find(at.rest(), b" - ") {
        at.skip(dash + 3);
    }
    message(at, found);
    true
}

/// `ACCESS_LOG - /127.0.0.1:64003 "POST /predictions/resnet-18 HTTP/1.1" 200 118`, `TS_METRICS -
/// …`, and everything else whose thread or class names TorchServe.
fn torchserve(at: &mut Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    let mut behind = *at;
    let _thread = behind.token();
    behind.skip_spaces();
    let name = behind.token();
    let is_metric = matches!(name, b"TS_METRICS" | b"MODEL_METRICS");
    let is_access = name == b"ACCESS_LOG";
    let is_known = name == b"MODEL_LOG" || name.starts_with(b"org.pytorch.serve");
    if !(is_metric || is_access || is_known) {
        return false;
    }
    behind.skip_spaces();
    behind.eat(b"- ");
    *at = behind;
    found.set_rule(if is_metric { Rule::TextTorchServeMetric } else { Rule::TextTorchServe });
    message(at, found);
    if is_access {
        found.set_rule(Rule::TextAccess);
        // The last number is the time in milliseconds.
        let rest = at.rest().trim_ascii_end();
        if let Some(space) = memchr::memrchr(b' ', rest)
            && rest.get(space + 1..).is_some_and(|word| word.iter().all(u8::is_ascii_digit))
        {
            found.latency = Some(at.at() + space + 1..at.at() + rest.len());
        }
    }
    true
}

/// `[entry_service:Summarization:1] 44.1.1.104:7181 (scheme=http,…) (status=200,…) 1.972ms
/// (trace=…,span=…,sampled=0,service.name=…)`.
fn bento(at: &mut Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    let mut behind = *at;
    if !behind.eat(b"[") {
        return false;
    }
    let Some(component) = behind.until(b']', 128) else { return false };
    let is_bento = component.starts_with(b"entry_service")
        || component.starts_with(b"service")
        || component.starts_with(b"cli")
        || component.starts_with(b"api_server")
        || component.starts_with(b"runner");
    if !is_bento {
        return false;
    }
    *at = behind;
    at.skip_spaces();
    let is_access = memmem::find(at.rest(), b"(scheme=").is_some();
    found.set_rule(if is_access { Rule::TextBento } else { Rule::TextAsctime });
    message(at, found);
    if is_access
        && let Some(ms) = memmem::find(at.rest(), b"ms (trace=")
        && let Some(space) = memchr::memrchr(b' ', at.rest().get(..ms).unwrap_or_default())
    {
        found.latency = Some(at.at() + space + 1..at.at() + ms + 2);
    }
    true
}

/// `1 --- [nio-8000-exec-2] i.s.e.api.rest.RestClientController      : message`.
fn java(at: &mut Cursor<'_>, found: &mut TextUnderstanding) {
    let head = at.rest().get(..160).unwrap_or(at.rest());
    let Some(dashes) = memmem::find(head, b" --- [") else { return };
    let Some(colon) = memmem::find(at.rest().get(dashes..).unwrap_or_default(), b" : ") else {
        return;
    };
    found.set_rule(Rule::TextJava);
    at.skip(dashes + colon + 3);
}

/// `10.80.23.18:51408 - "POST /v1/chat/completions HTTP/1.1" 200 OK`, and the Common Log Format.
/// Says whether it is one.
pub(super) fn access(at: &mut Cursor<'_>, found: &mut TextUnderstanding) -> bool {
    let mut behind = *at;
    let address = behind.token();
    let in_address = |byte: &u8| byte.is_ascii_hexdigit() || b".:[]%-".contains(byte);
    if address.len() < 3 || !address.iter().all(in_address) || !behind.eat(b" - ") {
        return false;
    }
    let Some(quote) = memchr::memchr(b'"', behind.rest().get(..160).unwrap_or(behind.rest()))
    else {
        return false;
    };
    let before = behind.rest().get(..quote).unwrap_or_default();
    let request = behind.rest().get(quote + 1..).unwrap_or_default();
    let methods: [&[u8]; 7] =
        [b"GET ", b"POST ", b"PUT ", b"DELETE ", b"HEAD ", b"OPTIONS ", b"PATCH "];
    if !methods.iter().any(|method| request.starts_with(method)) {
        return false;
    }
    if let Some(open) = memchr::memchr(b'[', before)
        && let Some((time, _)) = time::parse_prefix(before.get(open + 1..).unwrap_or_default(), 0)
    {
        found.time = Some(time);
    }
    found.set_rule(Rule::TextAccess);
    found.message = Some(at.rest_range());
    trailing_latency(at, found);
    true
}

/// The rest is the message; a JSON object at its head or end is worth a walk.
pub(super) fn message(at: &mut Cursor<'_>, found: &mut TextUnderstanding) {
    at.skip_spaces();
    let range = at.rest_range();
    let text = at.rest().trim_ascii_end();
    if text.ends_with(b"}")
        && let Some(open) = memchr::memchr(b'{', text)
        && text.get(open + 1..).is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\""))
    {
        found.json = Some(range.start + open..range.end);
    }
    found.message = Some(range);
}
