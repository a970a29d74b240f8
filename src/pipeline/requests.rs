//! OTLP requests: raw protobuf in, sealed batches out, without a struct between.
//!
//! One walk over the request finds every text in it; what must not stay becomes an edit, and so
//! does a span that is no span or that sampling does not keep. A request without edits goes on as
//! the bytes that were received. Deltas, where a sink wants sums, are added up before all of that.
//!
//! # Why
//! - *Spans that break OTLP's rules* (ids of another length, or all zeros) are taken out and told
//!   to the client: Tempo refuses the whole request for one of them.
//! - *A second walk* for the table of an edited request costs 50 ns a span, and only there; moving
//!   every offset by every edit would cost every request.

mod attributes;
mod memo;
mod observing;
mod sampling;
mod search;

use crate::event::batch::Batch;
use crate::event::otlp::{Malformed, walk};
use crate::event::record::Record;
use crate::event::request::Request;
use crate::event::signal::Signal;
use crate::event::slab::Slab;
use crate::protect::outputs::Sealed;
use crate::telemetry::Deltas;

use super::process::Pipeline;
pub(super) use memo::Memo;
pub(super) use sampling::with_threshold;
use search::Search;

/// Items of one request. A request of nothing but empty items would otherwise take more memory for
/// its table than its own bytes.
pub const ITEMS_MAX: usize = 1 << 18;

/// What became of a request.
#[derive(Debug)]
pub struct Processed {
    /// What goes to the spool: nothing for a request without items.
    pub sealed: Option<Sealed>,
    /// Items that it held.
    pub n_items: usize,
    /// Those of them that are taken out because no reader would have them.
    pub n_rejected: usize,
    /// What became of its points of delta temporality, where those are added up.
    pub deltas: Deltas,
}

/// Why a request cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is no such request.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// No tier takes the signal.
    #[error("no tier of the config takes {}", .0.as_str())]
    NoTier(Signal),
}

impl Pipeline {
    /// Takes a request of spans or metrics through.
    ///
    /// # Errors
    /// [`RequestError`]; nothing of the request is then kept.
    pub fn process_request(&mut self, mut request: Request) -> Result<Processed, RequestError> {
        let signal = request.signal;
        let observed_ns = request.observed_ns;
        let tier = self.plan.tier_of_signal(signal).ok_or(RequestError::NoTier(signal))?;
        let mut deltas = Deltas::default();
        if signal == Signal::Metrics
            && self.plan.is_cumulative
            && let Some(sums) = self.accumulator.request(&request.slab, observed_ns, &mut deltas)?
        {
            request.slab = Slab::from_vec(sums);
        }
        let mut memo = std::mem::take(&mut self.requests);
        memo.edits.clear();
        self.source = (request.source_key, request.source_base);
        let mut search = Search::new(self, &mut memo, (signal, tier), request.slab.padded());
        let walked = walk(&request.slab, signal, &mut search).map_err(RequestError::from);
        let processed = walked.and_then(|()| Ok(search.found()?)).and_then(|found| {
            let (n_items, n_rejected) = (found.n_items, found.n_rejected);
            let n_sampled_out = found.n_sampled_out;
            let (table, slab) = match memo.edits.is_empty() {
                true => (found.table, request.slab),
                false => self.edited(&mut memo, signal, tier, (found.table, &request.slab))?,
            };
            let batch = Batch {
                table,
                signal,
                slab,
                origin: request.origin,
                source_key: request.source_key,
                source_base: request.source_base,
                source_end: request.source_base + n_items as u64,
                observed_ns: request.observed_ns,
            };
            let is_used = !batch.is_empty() || n_sampled_out > 0;
            let sealed = is_used.then(|| Sealed::request(tier, batch, n_sampled_out));
            Ok(Processed { sealed, n_items, n_rejected, deltas })
        });
        self.requests = memo;
        self.tell_fates(observed_ns);
        self.tell_observed(observed_ns, None);
        processed
    }

    /// Applies the edits, and finds the places of the items that are left.
    fn edited(
        &mut self,
        memo: &mut Memo,
        signal: Signal,
        tier: usize,
        (table, raw): (Vec<Record>, &[u8]),
    ) -> Result<(Vec<Record>, Slab), RequestError> {
        let mut bytes = Vec::new();
        memo.edits.apply(raw, &mut bytes)?;
        let slab = Slab::from_vec(bytes);
        let mut search = Search::new(self, memo, (signal, tier), slab.padded()).indexing();
        walk(&slab, signal, &mut search)?;
        let mut placed = search.found()?.table;
        debug_assert_eq!(placed.len(), table.len(), "BUG: an edit lost or made an item");
        for (record, known) in placed.iter_mut().zip(table) {
            let Record { off, len, request_id_off, request_id_len, .. } = *record;
            let Record { trace_id_off, span_id_off, .. } = *record;
            *record = Record {
                off,
                len,
                request_id_off,
                request_id_len,
                trace_id_off,
                span_id_off,
                ..known
            };
        }
        Ok((placed, slab))
    }
}
