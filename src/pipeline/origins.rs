//! Origins that came with the events: a client's resource attributes, protected by each tier's
//! policy like the fields of a line.
//!
//! What the source's own attributes say (config, environment) is protected along with them, as they
//! lie in one list by then. The last one's result is kept: a client sends the same resource with
//! every request.

use std::sync::Arc;

use crate::event::origin::Origin;
use crate::protect::context::KeyHint;
use crate::protect::outputs::{Outputs, Sealed};
use crate::protect::policy::Action;

use super::emit::replacer;
use super::process::Pipeline;

/// The last origin of a tier: as it came, and as it may leave.
#[derive(Debug)]
pub(super) struct Known {
    tier: usize,
    raw: Arc<Origin>,
    protected: Arc<Origin>,
}

impl Pipeline {
    pub(super) fn seal_received(&mut self, out: Outputs, position_tier: usize) -> Vec<Sealed> {
        let raw = Arc::clone(out.origin());
        out.seal_as(position_tier, |tier| self.protected_origin(&raw, tier))
    }

    fn protected_origin(&mut self, raw: &Arc<Origin>, tier: usize) -> Arc<Origin> {
        let known = self.origins.iter().find(|known| known.tier == tier);
        if let Some(known) = known.filter(|known| known.raw == *raw) {
            return Arc::clone(&known.protected);
        }
        let attributes = raw.attributes.iter().filter_map(|(key, value)| {
            let kept = self.protected_attribute(key.as_bytes(), value.as_bytes(), tier)?;
            Some((self.searched(key.as_bytes(), KeyHint::NONE, tier), kept))
        });
        let attributes: Vec<(String, String)> = attributes.collect();
        let (source, stream) = (raw.source.clone(), raw.stream.clone());
        let protected = Arc::new(Origin { source, stream, attributes, is_received: false });
        self.origins.retain(|known| known.tier != tier);
        let (raw, known) = (Arc::clone(raw), Arc::clone(&protected));
        self.origins.push(Known { tier, raw, protected: known });
        protected
    }

    /// The value that may leave; `None` for an attribute that is dropped.
    fn protected_attribute(&mut self, key: &[u8], value: &[u8], tier: usize) -> Option<String> {
        let facts = self.memo.of(key, tier, &self.plan.tiers);
        match facts.action {
            Action::Drop => None,
            Action::Keep => Some(text_of(value)),
            Action::Inspect => Some(self.searched(value, facts.hint, tier)),
            action => {
                let mut text = Vec::new();
                let replacer = replacer(&self.plan, tier);
                replacer.plain(action, value, facts.hint, &mut self.work.replacing, &mut text);
                Some(text_of(&text))
            }
        }
    }

    fn searched(&mut self, text: &[u8], hint: KeyHint, tier: usize) -> String {
        self.search_text(text, hint, tier);
        let mut rewritten = Vec::new();
        self.work.splice.apply(text, &mut rewritten);
        text_of(&rewritten)
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
