//! The spool's own frames in a tier's log: frames of [`event::frame`](crate::event::frame) with
//! `source_key` 0 and no records, which no sink ever sees.
//!
//! ```text
//! source_base  kind      source_end    bytes
//!           1  mark      its position  none; all before it was synced when it was written
//!           2  snapshot  its position  24 a source: key u64, end u64, observed_ns i64
//!           3  footer    its position  40: base u64, n_events u64, oldest, newest i64, 0 u64
//! ```
//! A segment begins with a snapshot (which is a mark too); a mark opens each group that is written
//! after a sync; a sealed segment ends with a footer.
//!
//! # Why
//! Damage in front of a mark was durable once: it is rot, the frames behind it still count. Damage
//! with no mark behind it is the torn end of what was never acknowledged, and what follows it must
//! go too, or a source would be thought further than its bytes. Without marks the two look alike.
//! The footer lets a restart take a sealed segment on trust: only the last one is read whole.

use crate::event::batch::Batch;
use crate::event::frame::{self, Header};
use crate::event::slab::Slab;

/// Bytes of a mark, and of a snapshot or footer without its content.
pub(super) const MARK_LEN: usize = frame::HEADER_LEN + 14;
/// Bytes of a footer.
pub(super) const FOOTER_LEN: usize = MARK_LEN + 40;
/// Bytes of one source in a snapshot.
pub(super) const SOURCE_LEN: usize = 24;

/// Which of the spool's own frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnKind {
    Mark = 1,
    Snapshot = 2,
    Footer = 3,
}

impl OwnKind {
    /// The kind of the own frame that `header` opens; `None` for a source's frame.
    pub(super) fn of(header: &Header) -> Option<Self> {
        if header.source_key != 0 || header.n_records != 0 {
            return None;
        }
        match header.source_base {
            1 => Some(Self::Mark),
            2 => Some(Self::Snapshot),
            3 => Some(Self::Footer),
            _ => None,
        }
    }

    /// Whether a sound frame of this kind at its own position proves that all before was synced.
    pub(super) fn is_proof(self) -> bool {
        matches!(self, Self::Mark | Self::Snapshot)
    }
}

/// What one source's frames reached in a tier's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceEnd {
    pub(super) key: u64,
    pub(super) end: u64,
    pub(super) observed_ns: i64,
}

/// What a sealed segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// Logical position of the footer frame, the end of the segment's frames.
    pub(super) at: u64,
    pub(super) base: u64,
    pub(super) n_events: u64,
    pub(super) oldest_ns: i64,
    pub(super) newest_ns: i64,
}

/// A mark at position `at`.
pub(super) fn mark(at: u64) -> Vec<u8> {
    own(OwnKind::Mark, at, &[])
}

/// A snapshot at position `at`.
pub(super) fn snapshot(at: u64, sources: impl Iterator<Item = SourceEnd>) -> Vec<u8> {
    let mut payload = Vec::new();
    for source in sources {
        payload.extend_from_slice(&source.key.to_le_bytes());
        payload.extend_from_slice(&source.end.to_le_bytes());
        payload.extend_from_slice(&source.observed_ns.to_le_bytes());
    }
    own(OwnKind::Snapshot, at, &payload)
}

/// The sources in a snapshot frame; `None` when it is not one.
pub(super) fn read_snapshot(bytes: &[u8]) -> Option<Vec<SourceEnd>> {
    let batch = frame::decode(bytes).ok()?;
    let whole = batch.slab.len().is_multiple_of(SOURCE_LEN);
    if batch.source_base != OwnKind::Snapshot as u64 || !whole {
        return None;
    }
    let sources = batch.slab.chunks_exact(SOURCE_LEN).map(|chunk| SourceEnd {
        key: read_u64(chunk, 0),
        end: read_u64(chunk, 8),
        observed_ns: read_u64(chunk, 16).cast_signed(),
    });
    Some(sources.collect())
}

/// A footer as bytes, exactly [`FOOTER_LEN`] of them.
pub(super) fn footer(footer: &Footer) -> Vec<u8> {
    let mut payload = Vec::with_capacity(40);
    payload.extend_from_slice(&footer.base.to_le_bytes());
    payload.extend_from_slice(&footer.n_events.to_le_bytes());
    payload.extend_from_slice(&footer.oldest_ns.to_le_bytes());
    payload.extend_from_slice(&footer.newest_ns.to_le_bytes());
    payload.extend_from_slice(&0u64.to_le_bytes());
    own(OwnKind::Footer, footer.at, &payload)
}

/// Reads a footer; `None` for anything else.
pub(super) fn read_footer(bytes: &[u8]) -> Option<Footer> {
    let batch = frame::decode(bytes).ok()?;
    if batch.source_key != 0 || batch.source_base != OwnKind::Footer as u64 {
        return None;
    }
    let payload: &[u8; 40] = batch.slab.first_chunk()?;
    Some(Footer {
        at: batch.source_end,
        base: read_u64(payload, 0),
        n_events: read_u64(payload, 8),
        oldest_ns: read_u64(payload, 16).cast_signed(),
        newest_ns: read_u64(payload, 24).cast_signed(),
    })
}

fn own(kind: OwnKind, at: u64, payload: &[u8]) -> Vec<u8> {
    let batch = Batch {
        slab: Slab::from_bytes(payload),
        source_base: kind as u64,
        source_end: at,
        ..Batch::default()
    };
    let parts = frame::encode(&batch);
    let mut bytes = Vec::with_capacity(parts.len());
    bytes.extend_from_slice(&parts.head);
    bytes.extend_from_slice(parts.bytes);
    bytes
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at..at + 8).and_then(|bytes| bytes.first_chunk().copied());
    u64::from_le_bytes(word.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths are used to find a footer from the end of a file: they must not drift.
    #[test]
    fn own_frames_have_their_lengths_and_round_trip() {
        assert_eq!(mark(7).len(), MARK_LEN);
        let header = Header::parse(&mark(7)).expect("sound");
        assert_eq!((OwnKind::of(&header), header.source_end), (Some(OwnKind::Mark), 7));

        let written = Footer { at: 90, base: 5, n_events: 3, oldest_ns: -1, newest_ns: 9 };
        let bytes = footer(&written);
        assert_eq!(bytes.len(), FOOTER_LEN);
        assert_eq!(read_footer(&bytes), Some(written));
        assert_eq!(read_footer(&mark(7)), None);

        let sources = [SourceEnd { key: 1, end: 2, observed_ns: 3 }; 3];
        let bytes = snapshot(40, sources.into_iter());
        assert_eq!(bytes.len(), MARK_LEN + 3 * SOURCE_LEN);
        assert_eq!(read_snapshot(&bytes).as_deref(), Some(&sources[..]));
        assert_eq!(read_snapshot(&footer(&written)), None);
    }
}
