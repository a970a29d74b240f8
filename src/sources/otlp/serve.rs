//! What all connections share: the intake, and the one way of a request into it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::body::BodyError;
use super::budget::Budget;
use super::log_lines::LogLines;
use super::outcome::Outcome;
use crate::event::origin::Origin;
use crate::event::request::Request;
use crate::event::signal::Signal;
use crate::event::slab::Slab;
use crate::sources::{Context, Intake, NotTaken};

/// How long a request waits to become durable before its client is told to send it again: less
/// than the ten seconds that exporters wait for an answer. What was appended by then is stored when
/// there is room again, and comes twice: the same spans, which receivers merge.
const STORE_TIMEOUT: Duration = Duration::from_secs(8);

/// See the module. For one thread.
pub(super) struct Server {
    intake: RefCell<Box<dyn Intake>>,
    pub(super) budget: Rc<Budget>,
    pub(super) max_request_bytes: usize,
    context: Context,
    origin: Arc<Origin>,
    source_key: u64,
    /// Items received until now: each one's number is its position.
    n_items: Cell<u64>,
    log_lines: RefCell<LogLines>,
}

impl Server {
    pub(super) fn new(
        context: Context,
        intake: Box<dyn Intake>,
        max_request_bytes: usize,
        in_flight_bytes: usize,
    ) -> Rc<Self> {
        Rc::new(Self {
            intake: RefCell::new(intake),
            budget: Budget::new(in_flight_bytes),
            max_request_bytes,
            origin: context.origin("", Vec::new()),
            source_key: crate::sources::new_source_key(),
            n_items: Cell::new(0),
            log_lines: RefCell::new(LogLines::new(&context)),
            context,
        })
    }

    /// See [`Intake::begin`].
    pub(super) fn begin(&self) -> Box<dyn Send> {
        self.intake.borrow_mut().begin()
    }

    /// Takes a request in and waits until it is durable.
    pub(super) async fn export(&self, signal: Signal, message: Vec<u8>) -> Outcome {
        let (receipt, n_rejected) = {
            let mut intake = self.intake.borrow_mut();
            if intake.must_wait(signal) {
                return Outcome::Busy("the spool takes nothing at the moment".to_owned());
            }
            self.context.counters.bytes_in.add(message.len() as u64);
            let n_rejected = match self.push(&mut **intake, signal, message) {
                Ok(n_rejected) => n_rejected,
                Err(outcome) => return outcome,
            };
            (intake.receipt(), n_rejected)
        };
        match timeout(STORE_TIMEOUT, receipt).await {
            Ok(Ok(())) => Outcome::Taken { n_rejected },
            Ok(Err(_)) => Outcome::Busy("the spool could not store it".to_owned()),
            Err(_) => Outcome::Busy("the spool has not stored it yet".to_owned()),
        }
    }

    fn push(
        &self,
        intake: &mut dyn Intake,
        signal: Signal,
        message: Vec<u8>,
    ) -> Result<usize, Outcome> {
        let (base, observed_ns) = (self.n_items.get(), crate::sources::now_ns());
        let place = (self.source_key, base, observed_ns);
        let (n_items, n_rejected) = match signal {
            Signal::Logs => {
                let chunks = self.log_lines.borrow_mut().chunks(&message, place);
                let chunks = chunks.map_err(|error| self.malformed(error.to_string()))?;
                let end = chunks.last().map_or(base, |chunk| chunk.source_end);
                for chunk in chunks {
                    let pushed = intake.push(chunk);
                    pushed.map_err(|error| Outcome::Busy(error.to_string()))?;
                }
                (end - base, 0)
            }
            Signal::Traces | Signal::Metrics => {
                let request = Request {
                    signal,
                    slab: Slab::from_vec(message),
                    origin: Arc::clone(&self.origin),
                    source_key: self.source_key,
                    source_base: base,
                    observed_ns,
                };
                let taken = intake.push_request(request).map_err(|error| match error {
                    NotTaken::Malformed(words) => self.malformed(words),
                    NotTaken::NoTier(signal) => Outcome::NoTier(signal),
                    NotTaken::Closed => Outcome::Busy(error.to_string()),
                })?;
                (taken.n_items as u64, taken.n_rejected)
            }
        };
        self.n_items.set(base + n_items);
        self.context.counters.events_in.add(n_items);
        self.context.counters.rejected.add(n_rejected as u64);
        Ok(n_rejected)
    }

    /// A request that cannot be read.
    pub(super) fn malformed(&self, words: String) -> Outcome {
        self.context.counters.errors.add(1);
        tracing::debug!(source = self.context.name, words, "a request was refused");
        Outcome::Malformed(words)
    }

    /// A request of which there is no body.
    pub(super) fn refused(&self, error: &BodyError) -> Outcome {
        match error {
            BodyError::Busy | BodyError::Slow => Outcome::Busy(error.to_string()),
            BodyError::TooLarge(_) => {
                self.context.counters.errors.add(1);
                Outcome::TooLarge(error.to_string())
            }
            BodyError::Broken(_) | BodyError::Packed(_) => self.malformed(error.to_string()),
        }
    }

    /// Makes all durable that was taken.
    pub(super) fn flush(&self) -> Result<(), crate::sources::IntakeClosed> {
        self.intake.borrow_mut().flush()
    }
}
