//! Attributes that are longer than the receiver keeps: found, so that they can be told of.
//!
//! Source: Tempo's distributor, `processAttributes`: of spans, events, links, scopes and resources
//! it cuts each key and each text at `max_attribute_bytes` (2,048 by default), and tells nobody but
//! its own `tempo_distributor_attributes_truncated_total`. Other values it leaves alone. Cuts
//! nothing itself.
//!
//! # Why
//! A request is only walked where one could be: in a span, or in what lies between two of them,
//! that is longer than the limit. Most are not, and cost one look at their table.

use crate::event::batch::Batch;
use crate::event::otlp::walk::{Attribute, Visit, tags, walk};
use crate::event::signal::Signal;
use crate::sinks::Truncated;

/// Bytes of a key that are told.
const KEY_TOLD_MAX: usize = 64;

/// Adds to `truncated` what of `batch` is longer than `max_bytes`.
pub(super) fn find(batch: &Batch, max_bytes: usize, truncated: &mut Truncated) {
    if batch.signal != Signal::Traces || !could_hold(batch, max_bytes) {
        return;
    }
    let mut finder = Finder { bytes: &batch.slab, max_bytes, truncated };
    // What was walked when it came is well-formed.
    let _ = walk(&batch.slab, batch.signal, &mut finder);
}

/// Whether an item, or what lies between two of them, is longer.
fn could_hold(batch: &Batch, max_bytes: usize) -> bool {
    let mut shared_from = 0;
    for record in &batch.table {
        let (off, len) = (record.off as usize, record.len as usize);
        if len > max_bytes || off.saturating_sub(shared_from) > max_bytes {
            return true;
        }
        shared_from = off + len;
    }
    batch.slab.len().saturating_sub(shared_from) > max_bytes
}

struct Finder<'a> {
    bytes: &'a [u8],
    max_bytes: usize,
    truncated: &'a mut Truncated,
}

impl Visit for Finder<'_> {
    fn attribute(&mut self, attribute: Attribute) -> bool {
        let text = attribute.value.member.filter(|member| member.tag == tags::TEXT);
        for field in text.into_iter().chain([attribute.key]) {
            if field.len() > self.max_bytes {
                let key = attribute.key.of(self.bytes);
                self.truncated.note(|| {
                    let key = String::from_utf8_lossy(&key[..key.len().min(KEY_TOLD_MAX)]);
                    format!("{key}: {} bytes", field.len())
                });
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::otlp::wire::{kind, push_bytes, tag};
    use crate::event::record::Record;
    use crate::event::slab::Slab;

    fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, bytes)| push_bytes(&mut out, *number, bytes));
        out
    }

    fn attribute(key: &str, member: u32, value: &[u8]) -> Vec<u8> {
        message(&[(1, key.as_bytes()), (2, &message(&[(member, value)]))])
    }

    /// A request of one span with these attributes, and these of its resource.
    fn batch(own: &[Vec<u8>], of_resource: &[Vec<u8>]) -> Batch {
        let span: Vec<u8> = own.iter().flat_map(|one| message(&[(9, one)])).collect();
        let resource: Vec<u8> = of_resource.iter().flat_map(|one| message(&[(1, one)])).collect();
        let scope = message(&[(2, &span)]);
        let request = message(&[(1, &message(&[(1, &resource), (2, &scope)]))]);
        let off = request.len() - span.len();
        assert_eq!(tag(2, kind::BYTES), 18);
        Batch {
            table: vec![Record::new(off as u32, span.len() as u32)],
            slab: Slab::from_vec(request),
            signal: Signal::Traces,
            ..Batch::default()
        }
    }

    #[test]
    fn what_would_be_cut_is_told() {
        const TEXT: u32 = 1;
        const LIST: u32 = 6;
        let long = vec![b'x'; 2049];
        let long_key = "k".repeat(2049);
        let kept = attribute("kept", TEXT, &long[1..]);
        let prompt = attribute("prompt", TEXT, &long);
        let in_list = attribute("list", LIST, &message(&[(1, &prompt)]));
        let named = attribute(&long_key, TEXT, b"v");
        let told_key = format!("{}: 2049 bytes", "k".repeat(KEY_TOLD_MAX));
        for (own, of_resource, n_values, example) in [
            (vec![kept.clone()], vec![kept.clone()], 0, ""),
            (vec![kept.clone(), prompt.clone()], vec![], 1, "prompt: 2049 bytes"),
            (vec![], vec![prompt.clone()], 1, "prompt: 2049 bytes"),
            (vec![named], vec![prompt.clone()], 2, "prompt: 2049 bytes"),
            (vec![attribute(&long_key, TEXT, b"v")], vec![], 1, told_key.as_str()),
            (vec![in_list], vec![], 0, ""),
        ] {
            let mut truncated = Truncated::default();
            find(&batch(&own, &of_resource), 2048, &mut truncated);
            assert_eq!((truncated.n_values, truncated.example.as_str()), (n_values, example));
        }
    }
}
