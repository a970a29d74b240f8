//! A connection that knows how its other end went: with all read that was sent to it, or not.
//!
//! # Why
//! A kernel answers for a process that is gone: with FIN when it had read all that had come, with
//! RST when something lay unread. So an answer that a killed process never saw can be told from one
//! that it had.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Result};
use tokio::net::TcpStream;

/// An answer that was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) at: Instant,
    /// When the connection was taken that it went to.
    pub(crate) connected_at: Instant,
}

/// See the module.
pub(crate) struct Watched<'a> {
    pub(crate) connection: TcpStream,
    /// Set when a read meets a reset.
    pub(crate) was_reset: &'a AtomicBool,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let polled = Pin::new(&mut self.connection).poll_read(cx, buf);
        if matches!(polled, Poll::Ready(Err(_))) {
            self.was_reset.store(true, SeqCst);
        }
        polled
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
