//! The one way of a request into the intake, shared by all connections of a source.
//!
//! Owns the position of what comes in, which is the number of items until then, what is counted,
//! and the wait until it is durable.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::body::BodyError;
use super::budget::Budget;
use super::outcome::Outcome;
use crate::event::chunk::Chunk;
use crate::event::origin::Origin;
use crate::event::request::Request;
use crate::event::signal::Signal;
use crate::event::slab::Slab;
use crate::sources::{Context, Intake, IntakeClosed, NotTaken, Taken};

/// How long a request waits to become durable before its client is told to send it again: less
/// than the ten seconds that exporters wait for an answer. What was appended by then is stored when
/// there is room again, and comes twice: the same spans, which receivers merge.
const STORE_TIMEOUT: Duration = Duration::from_secs(8);

/// See the module. For one thread.
pub(in crate::sources) struct Inlet {
    intake: RefCell<Box<dyn Intake>>,
    pub(in crate::sources) budget: Rc<Budget>,
    pub(in crate::sources) max_request_bytes: usize,
    pub(in crate::sources) context: Context,
    origin: Arc<Origin>,
    source_key: u64,
    /// Items received until now: each one's number is its position.
    n_items: Cell<u64>,
}

/// Where items begin: the stream, the number of the first of them, and the time.
pub(in crate::sources) type At = (u64, u64, i64);

impl Inlet {
    pub(in crate::sources) fn new(
        context: Context,
        intake: Box<dyn Intake>,
        max_request_bytes: usize,
        in_flight_bytes: usize,
    ) -> Self {
        Self {
            intake: RefCell::new(intake),
            budget: Budget::new(in_flight_bytes),
            max_request_bytes,
            origin: context.origin("", Vec::new()),
            source_key: crate::sources::new_source_key(),
            n_items: Cell::new(0),
            context,
        }
    }

    /// See [`Intake::begin`].
    pub(in crate::sources) fn begin(&self) -> Box<dyn Send> {
        self.intake.borrow_mut().begin()
    }

    /// See [`Intake::must_wait`].
    pub(in crate::sources) fn must_wait(&self, signal: Signal) -> bool {
        self.intake.borrow().must_wait(signal)
    }

    /// Where the next items begin.
    pub(in crate::sources) fn at(&self) -> At {
        (self.source_key, self.n_items.get(), crate::sources::now_ns())
    }

    /// Takes a message of spans or metrics, `n_bytes` as it was received.
    pub(in crate::sources) fn push(
        &self,
        signal: Signal,
        message: Vec<u8>,
        n_bytes: usize,
    ) -> Result<Taken, NotTaken> {
        let (source_key, source_base, observed_ns) = self.at();
        let (slab, origin) = (Slab::from_vec(message), Arc::clone(&self.origin));
        let request = Request { signal, slab, origin, source_key, source_base, observed_ns };
        let counters = &self.context.counters;
        counters.bytes_in.add(n_bytes as u64);
        let taken = self.intake.borrow_mut().push_request(request)?;
        self.count(taken.n_items as u64);
        counters.rejected.add(taken.n_rejected as u64);
        counters.add_deltas(&taken.deltas);
        Ok(taken)
    }

    /// Takes lines, which begin where [`Self::at`] said; `n_bytes` as they were received.
    pub(in crate::sources) fn push_lines(
        &self,
        chunks: Vec<Chunk>,
        n_bytes: usize,
    ) -> Result<(), IntakeClosed> {
        self.context.counters.bytes_in.add(n_bytes as u64);
        let base = self.n_items.get();
        let end = chunks.last().map_or(base, |chunk| chunk.source_end);
        let mut intake = self.intake.borrow_mut();
        for chunk in chunks {
            intake.push(chunk)?;
        }
        self.count(end - base);
        Ok(())
    }

    fn count(&self, n_items: u64) {
        self.n_items.set(self.n_items.get() + n_items);
        self.context.counters.events_in.add(n_items);
    }

    /// Waits until all that was taken is durable.
    pub(in crate::sources) async fn stored(&self, signal: Signal, n_rejected: usize) -> Outcome {
        let receipt = self.intake.borrow_mut().receipt();
        match timeout(STORE_TIMEOUT, receipt).await {
            Ok(Ok(())) => Outcome::Taken { signal, n_rejected },
            Ok(Err(_)) => Outcome::Busy("the spool could not store it".to_owned()),
            Err(_) => Outcome::Busy("the spool has not stored it yet".to_owned()),
        }
    }

    /// Nothing can be stored at the moment.
    pub(in crate::sources) fn full(&self) -> Outcome {
        Outcome::Busy("the spool takes nothing at the moment".to_owned())
    }

    /// A request that was not taken.
    pub(in crate::sources) fn not_taken(&self, why: NotTaken) -> Outcome {
        match why {
            NotTaken::Malformed(words) => self.malformed(words),
            NotTaken::NoTier(signal) => Outcome::NoTier(signal),
            NotTaken::Closed => Outcome::Busy(why.to_string()),
        }
    }

    /// A request that cannot be read.
    pub(in crate::sources) fn malformed(&self, words: String) -> Outcome {
        self.context.counters.errors.add(1);
        tracing::debug!(source = self.context.name, words, "a request was refused");
        Outcome::Malformed(words)
    }

    /// A request of which there is no body.
    pub(in crate::sources) fn refused(&self, error: &BodyError) -> Outcome {
        match error {
            BodyError::Busy | BodyError::Slow => Outcome::Busy(error.to_string()),
            BodyError::TooLarge(_) => {
                self.context.counters.errors.add(1);
                Outcome::TooLarge(error.to_string())
            }
            BodyError::Broken(_) | BodyError::PackedByNone | BodyError::Packed(_) => {
                self.malformed(error.to_string())
            }
        }
    }

    /// Makes all durable that was taken.
    pub(in crate::sources) fn flush(&self) -> Result<(), IntakeClosed> {
        self.intake.borrow_mut().flush()
    }
}
