//! A connection that knows what became of its answers: written when, and read or not.
//!
//! # Why
//! A kernel answers for a process that is gone: with FIN when it had read all that had come, with
//! RST when something lay unread. So an answer that a killed process never saw can be told from one
//! that it had.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Result};
use tokio::net::TcpStream;

/// What a push got, or not.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// When the connection was taken that it went to.
    pub(crate) connected_at: Instant,
    written_at: Mutex<Option<Instant>>,
}

impl Receipt {
    /// To a push that came by a connection taken at `connected_at`.
    pub(crate) fn new(connected_at: Instant) -> Arc<Self> {
        Arc::new(Self { connected_at, written_at: Mutex::new(None) })
    }

    /// When it was written; `None` where it was not, or not read by whom it was for.
    pub(crate) fn written_at(&self) -> Option<Instant> {
        *self.written_at.lock().expect("unpoisoned")
    }

    fn written(&self) {
        // What a connection says later is no answer.
        self.written_at.lock().expect("unpoisoned").get_or_insert_with(Instant::now);
    }

    fn unread(&self) {
        *self.written_at.lock().expect("unpoisoned") = None;
    }
}

/// The answer to the last push of a connection; none while the next one comes.
pub(crate) type LastAnswer = Arc<Mutex<Option<Arc<Receipt>>>>;

/// See the module.
pub(crate) struct Watched {
    pub(crate) connection: TcpStream,
    pub(crate) answer: LastAnswer,
}

impl Watched {
    fn last(&self) -> Option<Arc<Receipt>> {
        self.answer.lock().expect("unpoisoned").clone()
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.connection).poll_read(cx, buf);
        if matches!(polled, Poll::Ready(Err(_))) {
            self.last().iter().for_each(|answer| answer.unread());
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        let polled = Pin::new(&mut self.connection).poll_write(cx, buf);
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.last().iter().for_each(|answer| answer.written());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
