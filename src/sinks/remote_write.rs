//! Prometheus remote write, 2.0 and 1.0: metrics to Prometheus, Mimir, Thanos, VictoriaMetrics.
//!
//! Owns the options, the transport, and which of the two forms a body has; what metrics become is
//! `convert`'s, the message is `write`'s, the meaning of answers is `judge`'s. Deliberately does
//! not retry, wait or add anything up between bodies.
//!
//! # Why
//! - **Which form.** 2.0 carries what 1.0 cannot (types and help at each series, start times), and
//!   says what was written; what receivers speak is only known by asking. So 2.0 is tried, one
//!   answer that shows that it is not understood makes the route speak 1.0, the very body included,
//!   and 2.0 is tried again an hour later.
//! - **One body at a time** ([`IN_ORDER`]). Receivers take a series' samples in the order of time
//!   only: a body that overtook another one that is being retried would have the other one refused
//!   for good.
//! - **State.** What the receiver speaks, and how far each `target_info` has come, belongs to the
//!   route and not to a body: the first is a fact about the receiver, the second keeps a body that
//!   comes late from being refused for the sake of a sample that is ours.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::scratch::Scratch;
use super::{Body, Contents, Encoder, LogRange, Refused, Response, Sink, Transport, Verdict};
use crate::event::batch::Batch;
use crate::event::otlp::wire::{Reader, kind, tag};
use crate::event::signal::Signal;
use crate::secret::Secret;

mod accused;
mod convert;
mod floats;
mod index;
mod judge;
mod labels;
mod names;
mod native;
mod read;
mod resources;
mod scratch;
mod store;
mod symbols;
mod values;
mod write;

#[cfg(test)]
mod tests;

/// Bodies in flight at one time: see the module.
pub const IN_ORDER: usize = 1;

/// What a receiver of 2.0 says that it wrote: samples, histograms, exemplars.
pub const WRITTEN_HEADERS: [&str; 3] = [
    "x-prometheus-remote-write-samples-written",
    "x-prometheus-remote-write-histograms-written",
    "x-prometheus-remote-write-exemplars-written",
];

/// How long 1.0 is spoken before 2.0 is tried again.
const PROBE_AFTER_NS: i64 = 3_600_000_000_000;
/// Series of `target_info` that are remembered.
const TARGETS_MAX: usize = 4096;
/// One body is filled while another is finished.
const SCRATCHES_MAX: usize = 2;

/// A version of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 1.0, which every receiver knows.
    One,
    /// 2.0.
    Two,
}

/// What a sink of remote write needs to know, resolved.
#[derive(Clone, Debug)]
pub struct Options {
    /// The whole URL.
    pub url: String,
    /// The only version to speak; both where there is none.
    pub protocol: Option<Protocol>,
    /// Fixed headers (tenant, authorization).
    pub headers: Vec<(String, Secret)>,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

/// The sink of one route.
#[derive(Debug)]
pub struct RemoteWrite {
    options: Options,
    shared: Arc<Shared>,
}

/// What outlives a body.
#[derive(Debug, Default)]
struct Shared {
    /// When the newest body was begun: a sink has no other clock.
    now_ns: AtomicI64,
    /// Since when 1.0 is spoken; 0 is never.
    one_since_ns: AtomicI64,
    /// The receiver has shown that it speaks 2.0.
    knows_two: AtomicBool,
    scratches: Mutex<Vec<Scratch>>,
    /// The newest time of each `target_info`.
    targets: Mutex<HashMap<u64, i64>>,
}

impl RemoteWrite {
    /// A sink that speaks to one receiver.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, shared: Arc::default() }
    }

    /// What the next body is encoded as.
    fn protocol(&self, now_ns: i64) -> Protocol {
        if let Some(protocol) = self.options.protocol {
            return protocol;
        }
        let since_ns = self.shared.one_since_ns.load(Relaxed);
        let is_recent = now_ns.saturating_sub(since_ns) < PROBE_AFTER_NS;
        if since_ns != 0 && is_recent { Protocol::One } else { Protocol::Two }
    }
}

impl Sink for RemoteWrite {
    fn encoder(&self, now_ns: i64) -> Box<dyn Encoder> {
        self.shared.now_ns.fetch_max(now_ns, Relaxed);
        let protocol = self.protocol(now_ns);
        let pooled = self.shared.scratches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = Box::new(pooled.unwrap_or_default());
        scratch.begin(protocol);
        Box::new(WriteEncoder { protocol, shared: Arc::clone(&self.shared), scratch })
    }

    fn judge(&self, response: &Response<'_>) -> Verdict {
        let shared = &self.shared;
        let sent = match response.contents.form {
            1 => Protocol::One,
            _ => Protocol::Two,
        };
        match judge::form(response, sent, shared.knows_two.load(Relaxed)) {
            judge::Form::Known => {
                shared.knows_two.store(true, Relaxed);
                shared.one_since_ns.store(0, Relaxed);
            }
            judge::Form::Unknown => {
                let words = String::from_utf8_lossy(response.body);
                let words = format!("not understood as 2.0: {words}");
                let reason = judge::shortened(response.status, &words);
                if self.options.protocol.is_some() {
                    return Verdict::Unauthorised { reason };
                }
                shared.one_since_ns.store(shared.now_ns.load(Relaxed).max(1), Relaxed);
                shared.knows_two.store(false, Relaxed);
                return Verdict::Reencode { reason };
            }
            judge::Form::Untold => {}
        }
        judge::judge(response, sent)
    }

    fn accused(
        &self,
        named: &[String],
        pieces: &[(&Batch, Range<usize>)],
        may_be_stored: bool,
    ) -> Option<Vec<Vec<usize>>> {
        let shared = Arc::default();
        let (protocol, scratch) = (Protocol::Two, Box::default());
        let mut encoder = WriteEncoder { protocol, shared, scratch };
        accused::accused(named, pieces, may_be_stored, &mut |batch, events| {
            encoder.scratch.begin(protocol);
            encoder.push(batch, events);
            accused::series(&encoder.scratch)
        })
    }

    fn transport(&self) -> Transport {
        let Options { url, headers, timeout, .. } = &self.options;
        Transport::Http {
            url: url.clone(),
            headers: headers.clone(),
            timeout: *timeout,
            answer_headers: &WRITTEN_HEADERS,
        }
    }
}

struct WriteEncoder {
    protocol: Protocol,
    shared: Arc<Shared>,
    scratch: Box<Scratch>,
}

const RESOURCES: u32 = tag(1, kind::BYTES);
const RESOURCE: u32 = tag(1, kind::BYTES);
const SCOPES: u32 = tag(2, kind::BYTES);
const ITEMS: u32 = tag(2, kind::BYTES);

impl Encoder for WriteEncoder {
    fn push(&mut self, batch: &Batch, events: Range<usize>) -> Vec<Refused> {
        if batch.signal != Signal::Metrics {
            return events.map(|event| Refused { event, reason: "no_metric" }).collect();
        }
        let (bytes, mut number, mut refused) = (&batch.slab[..], 0, Vec::new());
        let mut resources = Reader::new(bytes, 0, bytes.len());
        while let Ok(Some(of_resource)) = resources.read()
            && number < events.end
        {
            if of_resource.tag != RESOURCES {
                continue;
            }
            let mut resource = None;
            let mut scopes = Reader::of(bytes, of_resource);
            while let Ok(Some(scope)) = scopes.read() {
                let mut items = Reader::of(bytes, scope);
                while scope.tag == SCOPES
                    && let Ok(Some(item)) = items.read()
                {
                    if item.tag != ITEMS {
                        continue;
                    }
                    let event = number;
                    number += 1;
                    if !events.contains(&event) {
                        continue;
                    }
                    let resource = *resource.get_or_insert_with(|| {
                        // It may stand behind its metrics.
                        let mut fields = Reader::of(bytes, of_resource);
                        let mut wire = &[][..];
                        while let Ok(Some(field)) = fields.read() {
                            if field.tag == RESOURCE {
                                wire = field.of(bytes);
                            }
                        }
                        self.scratch.resource(wire, &batch.origin)
                    });
                    let at_ns = batch.observed_ns;
                    let scratch = &mut self.scratch;
                    if let Err(reason) = convert::push_metric(scratch, bytes, item, resource, at_ns)
                    {
                        refused.push(Refused { event, reason });
                    }
                }
            }
        }
        refused
    }

    fn len(&self) -> usize {
        self.scratch.len()
    }

    fn finish(self: Box<Self>, _range: LogRange, body: &mut Body) -> Result<(), String> {
        let Self { protocol, shared, mut scratch } = *self;
        let mut targets = shared.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if targets.len() >= TARGETS_MAX {
            targets.clear();
        }
        scratch.push_targets(|key, (newest_ms, is_stale)| {
            let is_new = !targets.contains_key(&key);
            let last_ms = targets.entry(key).or_insert(newest_ms);
            // Of one time the body before may have said that there is more of the resource.
            let is_due = *last_ms < newest_ms || *last_ms == newest_ms && (!is_stale || is_new);
            *last_ms = newest_ms.max(*last_ms);
            is_due
        });
        drop(targets);
        let Scratch { symbols, store, press, .. } = &mut *scratch;
        let n_items = write::write(protocol, symbols, store, press, &mut body.bytes);
        let (form, version, kind) = match protocol {
            Protocol::One => (1, "0.1.0", ""),
            // Without a space: receivers compare the text.
            Protocol::Two => (2, "2.0.0", ";proto=io.prometheus.write.v2.Request"),
        };
        body.contents = Contents { form, n_items };
        body.headers.insert("content-type", format!("application/x-protobuf{kind}"));
        body.headers.insert("content-encoding", "snappy".to_owned());
        body.headers.insert("x-prometheus-remote-write-version", version.to_owned());
        let mut scratches = shared.scratches.lock().unwrap_or_else(PoisonError::into_inner);
        if scratches.len() < SCRATCHES_MAX && scratch.is_small() {
            scratches.push(*scratch);
        }
        Ok(())
    }
}
