//! What requests in work may hold in memory, all together. For one thread.
//!
//! A request larger than all of it goes alone. Who waits too long is told to come again: nothing of
//! a request is lost by that, for its client still has it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// How long a request waits for memory before it is sent away.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(in crate::sources) struct Budget {
    max_bytes: usize,
    used_bytes: Cell<usize>,
    freed: Notify,
}

/// Bytes that one request may hold, until it is dropped.
#[derive(Debug)]
pub(in crate::sources) struct Hold {
    budget: Rc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(in crate::sources) fn new(max_bytes: usize) -> Rc<Self> {
        Rc::new(Self { max_bytes, used_bytes: Cell::new(0), freed: Notify::new() })
    }

    /// Nothing yet.
    pub(in crate::sources) fn begin(self: &Rc<Self>) -> Hold {
        Hold { budget: Rc::clone(self), bytes: 0 }
    }
}

impl Hold {
    /// Takes `more` bytes; whether they are there.
    pub(in crate::sources) fn grow(&mut self, more: usize) -> bool {
        let Budget { used_bytes, max_bytes, .. } = &*self.budget;
        let used = used_bytes.get();
        let is_alone = used == self.bytes;
        if !is_alone && used + more > *max_bytes {
            return false;
        }
        used_bytes.set(used + more);
        self.bytes += more;
        true
    }

    /// The same, waiting a moment for others to end.
    pub(in crate::sources) async fn wait_for(&mut self, more: usize) -> bool {
        let budget = Rc::clone(&self.budget);
        let granted = timeout(WAIT_MAX, async {
            loop {
                let freed = budget.freed.notified();
                if self.grow(more) {
                    return;
                }
                freed.await;
            }
        });
        granted.await.is_ok()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.used_bytes.set(self.budget.used_bytes.get() - self.bytes);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_together_and_a_large_one_alone() {
        let budget = Budget::new(100);
        let mut first = budget.begin();
        assert!(first.grow(300), "alone");
        let mut second = budget.begin();
        assert!(!second.grow(1));
        assert!(!second.wait_for(1).await, "sent away");
        let waiting = async {
            let mut third = budget.begin();
            third.wait_for(60).await && third.grow(40) && third.grow(1)
        };
        let freeing = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (granted, ()) = tokio::join!(waiting, freeing);
        assert!(granted, "it is alone by then");
        assert!(second.grow(100) && !budget.begin().grow(1));
    }
}
