//! What the bodies of one route keep in memory, and its bound: an equal part of what all routes may
//! keep, so that it shrinks and grows as routes come and go.
//!
//! # Why
//! Counted are the buffers that stay alive, not the bytes in use in them: a small frame may pin a
//! pooled slab. A destination that hangs keeps all of its bodies for as long as it hangs; without a
//! bound in bytes a few of these use up the slabs that sources read into.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What the bodies of all routes may keep. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Whole>);

#[derive(Debug)]
struct Whole {
    max_bytes: usize,
    n_routes: AtomicUsize,
}

/// The part of one route.
#[derive(Debug)]
pub(super) struct Share {
    whole: Budget,
    bytes: Arc<AtomicUsize>,
}

impl Budget {
    /// A budget of `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Whole { max_bytes, n_routes: AtomicUsize::new(0) }))
    }

    /// One more route has a part, until it is dropped.
    pub(super) fn join(&self) -> Share {
        self.0.n_routes.fetch_add(1, Relaxed);
        Share { whole: self.clone(), bytes: Arc::default() }
    }
}

impl Share {
    /// A body that holds nothing yet.
    pub(super) fn begin(&self) -> Held {
        Held { of_route: Arc::clone(&self.bytes), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// What it may come to, at this moment.
    pub(super) fn max_bytes(&self) -> usize {
        let Whole { max_bytes, n_routes } = &*self.whole.0;
        max_bytes / n_routes.load(Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.whole.0.n_routes.fetch_sub(1, Relaxed);
    }
}

/// The part of one body, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    of_route: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    /// What it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The body holds `more` than before.
    pub(super) fn grow(&mut self, more: usize) {
        self.bytes += more;
        self.of_route.fetch_add(more, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of_route.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let share = Budget::new(0).join();
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

    #[test]
    fn routes_have_equal_parts() {
        let budget = Budget::new(12);
        let one = budget.join();
        assert_eq!(one.max_bytes(), 12);
        let others = [budget.join(), budget.join()];
        assert_eq!([one.max_bytes(), others[1].max_bytes()], [4, 4]);
        drop(others);
        assert_eq!(one.max_bytes(), 12);
    }
}
