//! A byte buffer with readable padding behind its content, and the pool it comes from.
//!
//! The scanner loads 32 bytes at any offset of a line; the padding makes that safe at the end
//! without a branch. The pool keeps the number of live slabs and their size bounded: it *is* the
//! memory budget of what is in flight, and it spares the page faults of a fresh mapping (glibc maps
//! and unmaps buffers of this size at every use).
//!
//! Deliberately knows nothing of lines or events.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Zero bytes behind the content that may be read (not written) by wide loads.
pub const PAD: usize = 64;

/// Content of `len` bytes followed by [`PAD`] readable zeros. Returns to its pool when dropped.
#[derive(Debug, Default)]
pub struct Slab {
    /// Invariant: `buf.len() >= len + PAD`, or the slab is the empty default.
    buf: Vec<u8>,
    len: usize,
    pool: Option<Arc<Pool>>,
}

impl Slab {
    /// A slab outside any pool with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buf: vec![0; capacity + PAD], len: 0, pool: None }
    }

    /// A slab outside any pool that is `content`, with room made for the padding.
    #[must_use]
    pub fn from_vec(mut content: Vec<u8>) -> Self {
        let len = content.len();
        content.resize(len + PAD, 0);
        Self { buf: content, len, pool: None }
    }

    /// A slab outside any pool that holds `content`.
    #[must_use]
    pub fn from_bytes(content: &[u8]) -> Self {
        let mut slab = Self::with_capacity(content.len());
        slab.extend_from_slice(content);
        slab
    }

    /// Number of content bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that fit without growing.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buf.len().saturating_sub(PAD)
    }

    /// The content and the padding behind it, for wide loads.
    #[must_use]
    pub fn padded(&self) -> &[u8] {
        &self.buf
    }

    /// The content, to be changed in place.
    pub fn content_mut(&mut self) -> &mut [u8] {
        &mut self.buf[..self.len]
    }

    /// The free room behind the content, for `read(2)`; call [`Self::advance`] with what came.
    pub fn spare(&mut self) -> &mut [u8] {
        let end = self.capacity();
        &mut self.buf[self.len..end]
    }

    /// Takes `n` bytes of [`Self::spare`] into the content.
    ///
    /// # Panics
    /// If `n` is more than the spare room (`BUG`).
    pub fn advance(&mut self, n: usize) {
        assert!(self.len + n <= self.capacity(), "BUG: advanced past the slab's room");
        self.len += n;
    }

    /// Appends `bytes`, growing when they do not fit.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.buf[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Makes room for `additional` more bytes.
    pub fn reserve(&mut self, additional: usize) {
        let needed = self.len + additional + PAD;
        if needed > self.buf.len() {
            let grown = needed.max(self.buf.len() * 2);
            self.buf.resize(grown, 0);
        }
    }

    /// Cuts the content to `len` bytes and blanks what was cut, so that no byte of it stays.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.buf[len..self.len].fill(0);
            self.len = len;
        }
    }

    /// Empties the slab; its bytes are overwritten by the next use, and blanked when it goes back.
    pub fn clear(&mut self) {
        self.truncate(0);
    }
}

impl Deref for Slab {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.give_back(std::mem::take(&mut self.buf));
        }
    }
}

/// A bounded set of equal slabs.
#[derive(Debug)]
pub struct Pool {
    slab_bytes: usize,
    n_slabs_max: usize,
    state: Mutex<PoolState>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    free: Vec<Vec<u8>>,
    n_live: usize,
}

impl Pool {
    /// At most `n_slabs_max` slabs of `slab_bytes` each; none is made before it is asked for.
    #[must_use]
    pub fn new(slab_bytes: usize, n_slabs_max: usize) -> Arc<Self> {
        let state = Mutex::new(PoolState::default());
        Arc::new(Self { slab_bytes, n_slabs_max, state, freed: Condvar::new() })
    }

    /// Bytes of one slab.
    #[must_use]
    pub fn slab_bytes(&self) -> usize {
        self.slab_bytes
    }

    /// Slabs in use now, for the gauge `sidewake_memory_in_flight_bytes`.
    #[must_use]
    pub fn n_live(&self) -> usize {
        self.lock().n_live
    }

    /// A free slab, waiting at most `timeout` for one; `None` when all are still in use.
    #[must_use]
    pub fn take(self: &Arc<Self>, timeout: Duration) -> Option<Slab> {
        let state = self.lock();
        let full = |state: &mut PoolState| state.n_live >= self.n_slabs_max;
        let waited = self.freed.wait_timeout_while(state, timeout, full);
        let (mut state, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() && state.n_live >= self.n_slabs_max {
            return None;
        }
        state.n_live += 1;
        let buf = state.free.pop();
        drop(state);
        let buf = buf.unwrap_or_else(|| vec![0; self.slab_bytes + PAD]);
        Some(Slab { buf, len: 0, pool: Some(Arc::clone(self)) })
    }

    fn give_back(&self, buf: Vec<u8>) {
        let mut state = self.lock();
        state.n_live -= 1;
        // A slab that grew for one huge line is not kept: the budget counts equal slabs.
        if buf.len() == self.slab_bytes + PAD {
            state.free.push(buf);
        }
        drop(state);
        self.freed.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_keeps_its_padding() {
        let mut slab = Slab::with_capacity(4);
        slab.extend_from_slice(b"abcdef");
        assert_eq!(&*slab, b"abcdef");
        assert!(slab.padded().len() >= slab.len() + PAD);
        slab.truncate(2);
        assert_eq!(&slab.padded()[..8], b"ab\0\0\0\0\0\0");
    }

    #[test]
    fn pool_is_bounded_and_reuses() {
        let pool = Pool::new(16, 2);
        let first = pool.take(Duration::ZERO).expect("first");
        let _second = pool.take(Duration::ZERO).expect("second");
        assert!(pool.take(Duration::ZERO).is_none());
        drop(first);
        assert!(pool.take(Duration::ZERO).is_some());
    }
}
