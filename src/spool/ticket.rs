//! The answer to an append.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::SpoolError;
use super::signal::{Signal, Waiting};

/// Tells when a batch is durable. Dropping it is fine for sources that learn from
/// [`super::Spool::held_to`] how far they came.
#[derive(Debug)]
#[must_use = "wait for it, or drop it to say that nobody waits"]
pub struct Ticket {
    result: oneshot::Receiver<Result<(), SpoolError>>,
    signal: Arc<Signal>,
}

/// The spool's half of a ticket.
pub(super) type Answer = oneshot::Sender<Result<(), SpoolError>>;

impl Ticket {
    pub(super) fn new(signal: Arc<Signal>) -> (Answer, Self) {
        let (answer, result) = oneshot::channel();
        (answer, Self { result, signal })
    }

    /// Resolves when the batch is durable. Cancel safe in that the batch stays appended.
    ///
    /// # Errors
    /// Why it never will be; the batch is counted as dropped unless the spool was closed.
    pub async fn durable(mut self) -> Result<(), SpoolError> {
        if let Ok(result) = self.result.try_recv() {
            return result;
        }
        let _waiting = Waiting::new(&self.signal);
        (&mut self.result).await.unwrap_or(Err(SpoolError::Closed))
    }

    /// [`Ticket::durable`] for a thread of its own.
    ///
    /// # Errors
    /// As [`Ticket::durable`].
    ///
    /// # Panics
    /// On a runtime's thread.
    pub fn wait(self) -> Result<(), SpoolError> {
        let _waiting = Waiting::new(&self.signal);
        self.result.blocking_recv().unwrap_or(Err(SpoolError::Closed))
    }

    /// The answer if it is there.
    pub fn try_result(&mut self) -> Option<Result<(), SpoolError>> {
        match self.result.try_recv() {
            Ok(result) => Some(result),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(SpoolError::Closed)),
        }
    }
}
