//! What the bodies of one route keep in memory, and its bound.
//!
//! # Why
//! Counted are the buffers that stay alive, not the bytes in use in them: a small frame may pin a
//! pooled slab. A destination that hangs keeps all of its bodies for as long as it hangs; without a
//! bound in bytes a few of these use up the slabs that sources read into.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The total of one route.
#[derive(Clone, Debug, Default)]
pub(super) struct Share(Arc<AtomicUsize>);

impl Share {
    /// A body that holds nothing yet.
    pub(super) fn begin(&self) -> Held {
        Held { share: self.clone(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// The part of one body, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    share: Share,
    bytes: usize,
}

impl Held {
    /// The body holds `more` than before.
    pub(super) fn grow(&mut self, more: usize) {
        self.bytes += more;
        self.share.0.fetch_add(more, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let share = Share::default();
        let (mut one, mut other) = (share.begin(), share.begin());
        one.grow(3);
        other.grow(4);
        one.grow(2);
        assert_eq!(share.bytes(), 9);
        drop(one);
        assert_eq!(share.bytes(), 4);
        drop(other);
        assert_eq!(share.bytes(), 0);
    }
}
