//! Where a batch lies in its tier's log. Shared by `spool`, which gives the positions, and `sinks`,
//! which may name what they write by them.

/// Positions in a tier's log, which name a batch that must be reproducible (a file, a stream).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogRange {
    /// Position of the first frame in the batch.
    pub from: u64,
    /// Position behind the last frame in the batch.
    pub to: u64,
}
