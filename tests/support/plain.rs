//! A sink of plain lines and a destination in memory, for tests on a paused clock.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidewake::deliver::Client;
use sidewake::deliver::transport::{Answer, Outgoing, SendError, Sending};
use sidewake::event::batch::Batch;
use sidewake::sinks::{
    Body, Encoder, LogRange, Refused, Response, Sink, Suspects, Transport, Verdict,
};
use tokio::time::Instant;

use super::clock::pass;

/// Lines as they are. A line that begins with `refuse` is refused by the encoder.
pub(crate) struct Plain {
    pub(crate) is_file: bool,
}

struct Lines(Vec<u8>);

impl Sink for Plain {
    fn encoder(&self, _now_ns: i64) -> Box<dyn Encoder> {
        Box::new(Lines(Vec::new()))
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        let reason = response.status.to_string();
        match response.status {
            200 => Verdict::Delivered,
            207 => {
                let longer_than = response.body.first().map(|bound| usize::from(*bound));
                let suspects = Suspects { longer_than, ..Suspects::default() };
                Verdict::PartlyRefused { n_refused: 2, reason, suspects }
            }
            400 => Verdict::Refused { reason },
            401 => Verdict::Unauthorised { reason },
            409 => Verdict::Isolate { reason },
            413 => Verdict::Split,
            415 => Verdict::Reencode { reason },
            _ => Verdict::Retry { reason },
        }
    }

    fn transport(&self) -> Transport {
        if self.is_file {
            return Transport::File { root: PathBuf::new() };
        }
        Transport::Http {
            url: String::new(),
            headers: Vec::new(),
            timeout: Duration::ZERO,
            answer_headers: &[],
        }
    }
}

impl Encoder for Lines {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        let mut refused = Vec::new();
        for index in events {
            let event = batch.event(index).expect("in the batch");
            if event.bytes.starts_with(b"refuse") {
                refused.push(Refused { event: index, reason: "refused_line" });
                continue;
            }
            self.0.extend_from_slice(event.bytes);
            self.0.push(b'\n');
        }
        refused
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn finish(self: Box<Self>, range: LogRange, body: &mut Body) -> Result<(), String> {
        body.bytes = self.0;
        body.file_name = format!("{}-{}", range.from, range.to);
        Ok(())
    }
}

/// How the destination answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16),
    /// 503 with a `Retry-After`.
    Later(Duration),
    /// 207 that blames lines longer than this, if anything.
    Partly(Option<u8>),
    /// No answer.
    Broken,
    /// The answer comes after this time.
    Slow(Duration, u16),
}

/// One body as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: Instant,
    pub(crate) text: String,
    pub(crate) name: String,
    pub(crate) attempt: u32,
}

/// A destination that answers by a script, then with 200.
#[derive(Clone)]
pub(crate) struct Destination {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Destination {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = replies.into_iter().collect();
        Self { replies: Arc::new(Mutex::new(replies)), received: Arc::default() }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("unpoisoned").clone()
    }
}

impl Client for Destination {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Sending<'a> {
        let text = String::from_utf8(outgoing.bytes.to_vec()).expect("text");
        let received = Received {
            at: Instant::now(),
            text,
            name: outgoing.file_name.clone(),
            attempt: outgoing.attempt,
        };
        self.received.lock().expect("unpoisoned").push(received);
        let reply = self.replies.lock().expect("unpoisoned").pop_front();
        Box::pin(async move {
            let answer = |status, body, retry_after| {
                Ok(Answer { status, body, retry_after, ..Answer::default() })
            };
            match reply.unwrap_or(Reply::Status(200)) {
                Reply::Status(status) => answer(status, Vec::new(), None),
                Reply::Later(wait) => answer(503, Vec::new(), Some(wait)),
                Reply::Partly(bound) => answer(207, bound.into_iter().collect(), None),
                Reply::Broken => Err(SendError("connection reset".to_owned())),
                Reply::Slow(wait, status) => {
                    pass(wait).await;
                    answer(status, Vec::new(), None)
                }
            }
        })
    }
}
