//! Ids written anywhere in a line: `requestId: x`, `[request id: x]`, `trace=…,span=…`.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;

use super::TextUnderstanding;
use crate::pipeline::roles::{ids, token};

/// Every text line is searched for these, so their searchers are built once. The first letter is
/// left out: it comes in both cases.
static REQUEST: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("equest"));
static TRACE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("race"));
static COMPLETION: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new("cmpl-"));

/// Longest request id that is taken from a text.
const MAX_LEN: usize = 128;

/// Fills in the ids that the grammar did not find.
pub(super) fn find(line: &[u8], found: &mut TextUnderstanding) {
    let is_there = |id: &Range<usize>| line.get(id.clone()).is_some_and(|id| !token::is_null(id));
    found.request_id = found.request_id.take().filter(is_there);
    if found.request_id.is_none() {
        found.request_id = named_request(line).or_else(|| completion_id(line));
    }
    if found.trace_id.is_some() {
        return;
    }
    for at in TRACE.find_iter(line) {
        let Some(value) = value_behind(line, at + 4) else { continue };
        let text = line.get(value.clone()).unwrap_or_default();
        let Some(trace) = ids::trace_id(text) else { continue };
        found.trace_id = Some(value.start + trace.start..value.start + trace.end);
        found.span_id = match ids::span_id(text) {
            Some(span) => Some(value.start + span.start..value.start + span.end),
            None => span(line, value.end),
        };
        return;
    }
}

fn span(line: &[u8], from: usize) -> Option<Range<usize>> {
    let at = from + memmem::find(line.get(from..)?, b"span")?;
    let value = value_behind(line, at + 4)?;
    let span = ids::span_id(line.get(value.clone())?)?;
    Some(value.start + span.start..value.start + span.end)
}

/// The value of a key such as `request_id`, `requestId`, `x-request-id`, `Request ID`.
fn named_request(line: &[u8]) -> Option<Range<usize>> {
    REQUEST.find_iter(line).find_map(|at| {
        let first = line.get(at.checked_sub(1)?)?;
        if !first.eq_ignore_ascii_case(&b'r') {
            return None;
        }
        let behind = at + REQUEST.needle().len();
        let rest = line.get(behind..)?;
        let skip = usize::from(matches!(rest.first()?, b'_' | b'-' | b' '));
        let is_id = rest.get(skip..skip + 2)?.eq_ignore_ascii_case(b"id");
        let id = is_id.then(|| value_behind(line, behind + skip + 2)).flatten()?;
        (!token::is_null(line.get(id.clone())?)).then_some(id)
    })
}

/// The value behind a key that ends at `at`, or in the rest of its word: `_id="x"`, `: x`,
/// `parent=[00-…]`.
fn value_behind(line: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = line.get(at..)?;
    let in_key = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let mut from = rest.iter().take(8).take_while(|byte| in_key(byte)).count();
    from += usize::from(matches!(rest.get(from), Some(b'"' | b'\'')));
    if !matches!(rest.get(from), Some(b':' | b'=')) {
        return None;
    }
    from += 1;
    from += usize::from(rest.get(from) == Some(&b' '));
    from += usize::from(matches!(rest.get(from), Some(b'"' | b'\'' | b'[' | b'(')));
    let in_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:/#".contains(byte);
    let value = rest.get(from..)?;
    let len = value.iter().take(MAX_LEN).take_while(|byte| in_id(byte)).count();
    let text = value.get(..len)?;
    // A sentence goes on behind an id: `request id: abc. Retrying`.
    let text = text.strip_suffix(b".").or_else(|| text.strip_suffix(b":")).unwrap_or(text);
    let start = at + from;
    (!text.is_empty()).then_some(start..start + text.len())
}

/// OpenAI-style ids, which name themselves: `chatcmpl-a269…`, `cmpl-…`.
fn completion_id(line: &[u8]) -> Option<Range<usize>> {
    let at = COMPLETION.find(line)?;
    let start = if line.get(..at)?.ends_with(b"chat") { at - 4 } else { at };
    let hex = line.get(at + 5..)?;
    let in_id = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    let len = hex.iter().take(MAX_LEN).take_while(|byte| in_id(byte)).count();
    (len >= 8).then_some(start..at + 5 + len)
}
