//! Which events of a tier's log a body holds.
//!
//! # Why
//! A position in the log names a frame. A body may end within one: a frame that is larger than a
//! body, or a body that was halved. Where it must be known what the next body begins with, after a
//! crash too, an event of a frame is named.

/// An event of a frame; the events before it are done with, or not its body's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Where the frame begins.
    pub frame: u64,
    /// The event's number in it.
    pub event: u32,
}

impl At {
    /// The beginning of the frame at `position`.
    #[must_use]
    pub fn frame(position: u64) -> Self {
        Self { frame: position, event: 0 }
    }
}

/// From one event to before another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first event.
    pub from: At,
    /// The first one behind.
    pub to: At,
}
