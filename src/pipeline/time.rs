//! Event times: every spelling that model servers use, to nanoseconds since 1970, and what to do
//! with a time that cannot be true.
//!
//! Owns [`parse`] (a whole value), [`parse_prefix`] (the time at the head of a text line) and
//! [`Policy`] (the clamp). Knows no clock: the time of reading comes in with the batch. A time
//! without a zone is read as UTC and says so ([`Parsed::naive`]).
//!
//! # Why
//! Hand-written, because the format is unknown: one look at the separators picks the form, where a
//! format-driven parser would be tried form by form. RFC 3339, which nearly all lines carry, costs
//! about 20 ns. The oracle in the tests is the `time` crate.

mod calendar;
mod epoch;
mod forms;

use crate::event::record::Flags;

pub use forms::{parse_glog, parse_month_day};

/// A time read from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub ns: i64,
    /// It carried no zone and was read as UTC.
    pub naive: bool,
}

/// Reads a whole value: a string's inside or a number's token. `observed_ns` gives the year to
/// forms that have none.
///
/// Knows: RFC 3339 with `T`, `t` or a space, any fraction behind `.` or `,`, offsets `Z`,
/// `+00:00`, `+0000`, `+00`, ` UTC`, or none; `2026/01/04 …`; structlog's `2025-04-18 08:53.13`;
/// basic ISO `20260104T103000Z`; glog's `0802 18:11:47.100537`; vLLM's `02-13 11:33:33`; access
/// logs' `10/Oct/2000:13:55:36 -0700`; epoch seconds, milli-, micro- and nanoseconds as integers
/// or decimals.
#[must_use]
pub fn parse(text: &[u8], observed_ns: i64) -> Option<Parsed> {
    let text = text.trim_ascii();
    if let Some((parsed, len)) = parse_prefix(text, observed_ns)
        && len == text.len()
    {
        return Some(parsed);
    }
    epoch::parse(text)
}

/// Reads the time at the head of `text` and says how many bytes it took. Epoch numbers are not
/// looked for: at the head of a text line any number may stand.
#[must_use]
pub fn parse_prefix(text: &[u8], observed_ns: i64) -> Option<(Parsed, usize)> {
    match text {
        [_, _, _, _, b'-' | b'/', ..] => forms::iso(text),
        [_, _, b'-', _, _, b' ', ..] => forms::parse_month_day(text, observed_ns),
        [_, _, b'/', b'A'..=b'Z', ..] => forms::common_log(text),
        [_, _, _, _, b' ', ..] => forms::parse_glog(text, observed_ns),
        [_, _, _, _, _, _, _, _, b'T', ..] => forms::basic_iso(text),
        _ => None,
    }
}

/// How far from the time of reading an event's own time may lie.
///
/// # Why
/// A time far off is worse than none: rows older than a table's partitions vanish on arrival, and
/// Loki refuses entries from the future. So it is replaced by the time of reading and flagged; the
/// event's own text keeps what it said. A naive local time east of Greenwich looks like the
/// future and falls under the same rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Largest age in nanoseconds.
    pub behind_ns: i64,
    /// Largest lead in nanoseconds.
    pub ahead_ns: i64,
}

impl Policy {
    /// 90 days behind (the longest default retention), 10 minutes ahead (Loki's
    /// `creation_grace_period`).
    pub const DEFAULT: Self =
        Self { behind_ns: 90 * 86_400 * 1_000_000_000, ahead_ns: 600 * 1_000_000_000 };

    /// The event time to store, and which of [`Flags`]' `TIME_*` bits go with it.
    #[must_use]
    pub fn settle(self, parsed: Option<Parsed>, observed_ns: i64) -> (i64, u16) {
        let Some(Parsed { ns, naive }) = parsed else {
            return (observed_ns, Flags::TIME_OBSERVED);
        };
        let naive = if naive { Flags::TIME_NAIVE } else { 0 };
        let lead = ns.saturating_sub(observed_ns);
        if lead > self.ahead_ns || lead < -self.behind_ns {
            return (observed_ns, naive | Flags::TIME_CLAMPED);
        }
        (ns, naive)
    }
}

/// [`Policy::settle`] with [`Policy::DEFAULT`].
#[must_use]
pub fn settle(parsed: Option<Parsed>, observed_ns: i64) -> (i64, u16) {
    Policy::DEFAULT.settle(parsed, observed_ns)
}

#[cfg(test)]
mod tests;
