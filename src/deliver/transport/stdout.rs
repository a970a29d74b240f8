//! Our own standard output. The one place in the library that writes to it.

use std::io::Write;

use super::{Answer, Client, Outgoing, SendError, Sending};

/// See the module.
pub(super) struct StdoutClient;

impl Client for StdoutClient {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        let bytes = outgoing.bytes.clone();
        Box::pin(async move {
            // A full pipe blocks: on a thread of its own, not the runtime's.
            let write = move || {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&bytes).and_then(|()| stdout.flush())
            };
            match tokio::task::spawn_blocking(write).await {
                Ok(Ok(())) => Ok(Answer::done()),
                Ok(Err(error)) => Err(SendError(format!("cannot write to stdout: {error}"))),
                Err(error) => Err(SendError(error.to_string())),
            }
        })
    }
}
