//! A dead letter: the refused events of one frame, alone, with the reason, as a frame of their own.
//!
//! The reason travels as attributes of the origin, so that a letter explains itself wherever it is
//! read. Only events of a `Protected` come in here, and only they go out.

use crate::event::batch::Batch;
use crate::event::frame;
use crate::protect::protected::Protected;

/// Why the events were refused, in the destination's or the encoder's words.
pub const REASON: &str = "sidewake.dead_letter.reason";
/// The tier they belong to.
pub const TIER: &str = "sidewake.dead_letter.tier";
/// The sink that refused them.
pub const SINK: &str = "sidewake.dead_letter.sink";
/// How many of the letter's events were refused, where the destination did not say which: the
/// others are stored there.
pub const N_REFUSED: &str = "sidewake.dead_letter.refused";

/// The events of a letter as they were before they were refused.
pub(super) fn opened(letter: Protected) -> Protected {
    letter.without_attributes(|name| [REASON, TIER, SINK, N_REFUSED].contains(&name))
}

/// Events that cannot be delivered, as bytes of a frame.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) frame: Vec<u8>,
    pub(super) n_events: u64,
    /// When its events were observed.
    pub(super) observed_ns: i64,
}

/// Which route a letter comes from.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) tier: String,
    pub(super) sink: String,
}

impl Sender {
    /// The letter of those `events` (indices into `batch`'s table); none when there are none.
    pub(super) fn letter(
        &self,
        batch: &Batch,
        events: impl IntoIterator<Item = usize>,
        reason: &str,
        n_refused: Option<usize>,
    ) -> Option<Letter> {
        let refused_ones = batch.only(events);
        if refused_ones.is_empty() {
            return None;
        }
        let mut origin = (*batch.origin).clone();
        let refused = n_refused.map(|n| (N_REFUSED, n.to_string()));
        let ours = [(REASON, reason), (SINK, self.sink.as_str()), (TIER, self.tier.as_str())]
            .map(|(name, value)| (name, value.to_owned()));
        let ours = ours.into_iter().chain(refused);
        origin.attributes.extend(ours.map(|(name, value)| (name.to_owned(), value)));
        origin.attributes.sort();
        let n_events = refused_ones.len() as u64;
        let batch = Batch { origin: origin.into(), ..refused_ones };
        // Packing only fails without memory; the plain form needs less.
        let packed = frame::encode_packed(&batch).map(|parts| joined(&parts));
        let frame = packed.unwrap_or_else(|_| joined(&frame::encode(&batch)));
        Some(Letter { frame, n_events, observed_ns: batch.observed_ns })
    }
}

fn joined(parts: &frame::Parts<'_>) -> Vec<u8> {
    [parts.head.as_slice(), &parts.table, parts.bytes].concat()
}
