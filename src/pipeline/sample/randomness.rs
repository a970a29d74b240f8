//! The 56 random bits that all signals of one request share.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::event::record::THRESHOLD_MASK;
use crate::pipeline::roles::ids;

/// 56 bits to compare with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Randomness(u64);

/// Part of the stored format: another seed would sample other requests than yesterday's.
const SEED: u64 = 0x7369_6465_7761_6b65; // "sidewake"

impl Randomness {
    /// Takes the low 56 bits.
    #[must_use]
    pub const fn new(bits: u64) -> Self {
        Self(bits & THRESHOLD_MASK)
    }

    /// The 56 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Of an event, in this order: the explicit `rv` that came along; the low 56 bits of the trace
    /// id (W3C trace context level 2); a hash of the request id; a hash of where the event stood
    /// in its source, which is stable over restarts and replays.
    ///
    /// `trace_id` may be in any form that [`ids::trace_value`] reads; others are passed over.
    /// `request_id` counts byte by byte, as it stands in the line.
    #[must_use]
    pub fn of_event(
        rv: Option<Randomness>,
        trace_id: Option<&[u8]>,
        request_id: Option<&[u8]>,
        (source_key, position): (u64, u64),
    ) -> Self {
        rv.or_else(|| trace_id.and_then(Self::of_trace_id))
            .or_else(|| request_id.filter(|id| !id.is_empty()).map(Self::of_request_id))
            .unwrap_or_else(|| Self::of_position(source_key, position))
    }

    /// The low 56 bits of a trace id.
    #[must_use]
    pub fn of_trace_id(trace_id: &[u8]) -> Option<Self> {
        // Truncation is the point: the trace id's right-most seven bytes are the random ones.
        ids::trace_value(trace_id).map(|value| Self::new(value as u64))
    }

    /// A hash of a request id.
    #[must_use]
    pub fn of_request_id(request_id: &[u8]) -> Self {
        Self::new(xxh3_64_with_seed(request_id, SEED))
    }

    /// A hash of an event's place in its source.
    #[must_use]
    pub fn of_position(source_key: u64, position: u64) -> Self {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&source_key.to_le_bytes());
        place[8..].copy_from_slice(&position.to_le_bytes());
        Self::new(xxh3_64_with_seed(&place, SEED))
    }

    /// Reads an `rv` value: exactly 14 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let lower = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 14 || !text.iter().all(lower) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        u64::from_str_radix(text, 16).ok().map(Self)
    }

    /// The `rv` of an `ot` entry in a tracestate.
    #[must_use]
    pub fn of_tracestate(tracestate: &[u8]) -> Option<Self> {
        ot_value(tracestate, b"rv").and_then(Self::parse)
    }
}

/// As an `rv` value.
impl fmt::Display for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014x}", self.0)
    }
}

/// The value of `key` in a tracestate's `ot` entry: `vendor=x, ot=th:c;rv:00…` → `c`.
pub(super) fn ot_value<'a>(tracestate: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let entry = tracestate
        .split(|byte| *byte == b',')
        .find_map(|entry| entry.trim_ascii().strip_prefix(b"ot="))?;
    entry.split(|byte| *byte == b';').find_map(|pair| {
        let rest = pair.strip_prefix(key)?;
        rest.strip_prefix(b":")
    })
}
