//! OTLP, sent: spans, metrics and logs to Tempo, Jaeger, a collector, or another Sidewake.
//!
//! Spans and metrics go out as the bytes that came in: requests are concatenated, which protobuf
//! defines as one request with all their resources. Logs are made into log records
//! (`log_records`). What answers mean is `judge`'s. Deliberately does not retry or wait: that is
//! `deliver`'s.
//!
//! # Why
//! Requests of some size are sent from where they lie, in frames of their own: a copy of each body
//! is a MiB of memory a request under way.
//!
//! One body is one request, packed once: the same bytes at every attempt, so that a receiver that
//! stored a request whose answer was lost sees the same spans again, which Tempo and Jaeger merge.

use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Body, Encoder, LogRange, Refused, Response, Sink, Transport, Truncated, Verdict};
use crate::event::batch::Batch;
use crate::event::otlp::transport::{GRPC_HEAD_LEN, grpc_head, grpc_path};
use crate::event::signal::Signal;
use crate::protect::protected::Protected;
use crate::secret::Secret;

mod judge;
mod log_records;
mod long_attributes;

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    #[default]
    Grpc,
    /// Protobuf by HTTP `POST`.
    Http,
}

/// How requests are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Which every receiver takes.
    #[default]
    Gzip,
    /// Denser and cheaper; collectors take it.
    Zstd,
}

impl Compression {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// What an OTLP sink needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the tier carries.
    pub signal: Signal,
    /// The tier, an attribute of log records.
    pub tier: String,
    /// Where to: for HTTP the whole URL, for gRPC what stands before the service's path.
    pub url: String,
    /// See [`Protocol`].
    pub protocol: Protocol,
    /// See [`Compression`].
    pub compression: Compression,
    /// The longest attribute that the receiver keeps whole.
    pub max_attribute_bytes: usize,
    /// Fixed headers (tenant, authorization).
    pub headers: Vec<(String, Secret)>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// The OTLP sink of one route.
#[derive(Debug)]
pub struct Otlp {
    options: Options,
}

impl Otlp {
    /// A sink for the events of one tier.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }
}

impl Sink for Otlp {
    fn encoder(&self, _now_ns: i64) -> Box<dyn Encoder> {
        let Options { protocol, compression, max_attribute_bytes, .. } = self.options;
        let mut message = Vec::new();
        if protocol == Protocol::Grpc {
            message.extend_from_slice(&[0; GRPC_HEAD_LEN]);
        }
        let head_len = message.len();
        let tier = self.options.tier.clone();
        let (parts, n_shared, last) = (Vec::new(), 0, Vec::new());
        Box::new(RequestEncoder {
            protocol,
            compression,
            tier,
            message,
            head_len,
            parts,
            n_shared,
            last,
            max_attribute_bytes,
            truncated: Truncated::default(),
        })
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        match response.grpc {
            Some(grpc) => judge::grpc(grpc, response.body),
            None => judge::http(response),
        }
    }

    fn transport(&self) -> Transport {
        let Options { url, headers, timeout, protocol, signal, .. } = &self.options;
        let (headers, timeout) = (headers.clone(), *timeout);
        match protocol {
            Protocol::Http => {
                Transport::Http { url: url.clone(), headers, timeout, answer_headers: &[] }
            }
            Protocol::Grpc => {
                let url = format!("{}{}", url.trim_end_matches('/'), grpc_path(*signal));
                Transport::Grpc { url, headers, timeout }
            }
        }
    }
}

struct RequestEncoder {
    protocol: Protocol,
    compression: Compression,
    tier: String,
    /// The head, for gRPC, and the request until its first part.
    message: Vec<u8>,
    head_len: usize,
    /// What follows.
    parts: Vec<Bytes>,
    /// Bytes in them.
    n_shared: usize,
    /// What follows the parts.
    last: Vec<u8>,
    max_attribute_bytes: usize,
    truncated: Truncated,
}

/// Below, a copy costs less than a frame of HTTP/2 for itself.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// The bytes of a batch, as long as somebody sends them.
struct Shared(Arc<Protected>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0.slab
    }
}

impl RequestEncoder {
    fn part(&mut self, part: Bytes) {
        self.n_shared += part.len();
        self.parts.push(part);
    }

    /// Ends what follows the last part.
    fn end_last(&mut self) {
        if !self.last.is_empty() {
            let last = std::mem::take(&mut self.last);
            self.part(last.into());
        }
    }
}

impl Encoder for RequestEncoder {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        let out = if self.parts.is_empty() { &mut self.message } else { &mut self.last };
        let (max_bytes, truncated) = (self.max_attribute_bytes, &mut self.truncated);
        match batch.signal {
            Signal::Logs => log_records::push(batch, events, &self.tier, out),
            Signal::Traces | Signal::Metrics if events == (0..batch.len()) => {
                long_attributes::find(batch, max_bytes, truncated);
                out.extend_from_slice(&batch.slab);
            }
            Signal::Traces | Signal::Metrics => {
                let batch = batch.only(events);
                long_attributes::find(&batch, max_bytes, truncated);
                out.extend_from_slice(&batch.slab);
            }
        }
        Vec::new()
    }

    fn share(&mut self, batch: &Arc<Protected>) -> bool {
        let is_long = batch.slab.len() >= SHARED_BYTES_MIN;
        if batch.signal == Signal::Logs || self.compression != Compression::None || !is_long {
            return false;
        }
        long_attributes::find(batch, self.max_attribute_bytes, &mut self.truncated);
        self.end_last();
        self.part(Bytes::from_owner(Shared(Arc::clone(batch))));
        true
    }

    fn len(&self) -> usize {
        self.message.len() - self.head_len + self.n_shared + self.last.len()
    }

    fn finish(mut self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        self.end_last();
        let Self { protocol, compression, message, head_len, parts, .. } = *self;
        let Self { n_shared, truncated, .. } = *self;
        let packed = packed(&message[head_len..], head_len, compression);
        let is_packed = packed.is_some();
        body.bytes = packed.unwrap_or(message);
        if protocol == Protocol::Grpc {
            let head = grpc_head(is_packed, body.bytes.len() - head_len + n_shared)
                .ok_or("the request is larger than gRPC's messages can be")?;
            body.bytes[..GRPC_HEAD_LEN].copy_from_slice(&head);
        } else {
            body.headers.insert("content-type", "application/x-protobuf".to_owned());
        }
        body.parts = parts;
        body.truncated = truncated;
        if let Some(word) = compression.word().filter(|_| is_packed) {
            let name = match protocol {
                Protocol::Grpc => "grpc-encoding",
                Protocol::Http => "content-encoding",
            };
            body.headers.insert(name, word.to_owned());
        }
        Ok(())
    }
}

/// The packed request behind `head_len` bytes; `None` where it is not to be packed. Packing only
/// fails without memory, and the plain form needs less.
fn packed(request: &[u8], head_len: usize, compression: Compression) -> Option<Vec<u8>> {
    let head = vec![0; head_len];
    match compression {
        Compression::None => None,
        Compression::Gzip => {
            let mut packer = flate2::write::GzEncoder::new(head, flate2::Compression::fast());
            packer.write_all(request).ok()?;
            packer.finish().ok()
        }
        Compression::Zstd => {
            let mut packer = zstd::stream::write::Encoder::new(head, 1).ok()?;
            packer.write_all(request).ok()?;
            packer.finish().ok()
        }
    }
}
