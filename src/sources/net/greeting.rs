//! A connection whose first bytes have to come within a time.
//!
//! # Why
//! Which version of HTTP is spoken is read off the first bytes, and hyper waits for them without an
//! end: clients that connect and say nothing would hold all places.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// HTTP/2's preface; hardly a request of HTTP/1.1 is shorter.
const BYTES: usize = 24;

/// See the module.
#[derive(Debug)]
pub(super) struct Greeted<S> {
    stream: S,
    /// Bytes that have still to come, and until when.
    awaited: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> Greeted<S> {
    pub(super) fn within(time: Duration, stream: S) -> Self {
        Self { stream, awaited: Some((BYTES, Box::pin(sleep(time)))) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, awaited } = self.get_mut();
        let Some((n_awaited, deadline)) = awaited else {
            return Pin::new(stream).poll_read(context, buffer);
        };
        if deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let n_before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(context, buffer))?;
        *n_awaited = n_awaited.saturating_sub(buffer.filled().len() - n_before);
        if *n_awaited == 0 {
            *awaited = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_and_a_greeting_may_rest() {
        let within = Duration::from_secs(10);
        for (said, is_enough) in
            [(&b""[..], false), (b"PRI * HTTP/2.0", false), (&[b'x'; 24], true)]
        {
            let (mut client, server) = tokio::io::duplex(100);
            let mut greeted = Greeted::within(within, server);
            client.write_all(said).await.expect("sent");
            let mut buffer = [0; 100];
            if !said.is_empty() {
                assert_eq!(greeted.read(&mut buffer).await.expect("read"), said.len());
            }
            let more = tokio::time::timeout(within * 2, greeted.read(&mut buffer)).await;
            assert_eq!(more.is_err(), is_enough, "waits for ever after {said:?}");
        }
    }
}
