//! One request of either transport, from its message to what it comes to.

use std::cell::RefCell;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{Request, Response};

use super::log_lines::LogLines;
use super::{grpc, http};
use crate::event::signal::Signal;
use crate::sources::net::Answers;
use crate::sources::net::inlet::Inlet;
use crate::sources::net::outcome::Outcome;
use crate::sources::net::reply::Reply;

/// What all connections share. For one thread.
pub(super) struct Server {
    pub(super) inlet: Inlet,
    log_lines: RefCell<LogLines>,
}

impl Server {
    pub(super) fn new(inlet: Inlet) -> Rc<Self> {
        let log_lines = RefCell::new(LogLines::new(&inlet.context));
        Rc::new(Self { inlet, log_lines })
    }

    /// Takes a request in and waits until it is durable.
    pub(super) async fn export(&self, signal: Signal, message: Vec<u8>) -> Outcome {
        let inlet = &self.inlet;
        if inlet.must_wait(signal) {
            return inlet.full();
        }
        match self.push(signal, message) {
            Ok(n_rejected) => inlet.stored(signal, n_rejected).await,
            Err(outcome) => outcome,
        }
    }

    /// How many items no reader would have.
    fn push(&self, signal: Signal, message: Vec<u8>) -> Result<usize, Outcome> {
        let (inlet, n_bytes) = (&self.inlet, message.len());
        if signal != Signal::Logs {
            let taken = inlet.push(signal, message, n_bytes);
            return taken.map(|taken| taken.n_told()).map_err(|why| inlet.not_taken(why));
        }
        let chunks = self.log_lines.borrow_mut().chunks(&message, inlet.at());
        let chunks = chunks.map_err(|error| inlet.malformed(error.to_string()))?;
        let pushed = inlet.push_lines(chunks, n_bytes);
        pushed.map(|()| 0).map_err(|error| Outcome::Busy(error.to_string()))
    }
}

impl Answers for Server {
    async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Response<Reply> {
        if grpc::is_grpc(&request) {
            grpc::answer(&self, request).await
        } else {
            http::answer(&self, request).await
        }
    }
}
