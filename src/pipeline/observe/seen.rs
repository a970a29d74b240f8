//! The pipeline's side of observing: each line once, and new labels as they may leave.

use crate::event::record::Record;
use crate::pipeline::condition::{Field, FieldSource};
use crate::pipeline::emit::replacer;
use crate::pipeline::fields::LineFields;
use crate::pipeline::meaning::Meaning;
use crate::pipeline::process::Pipeline;
use crate::pipeline::text::{TextFields, TextUnderstanding};
use crate::protect::policy::Action;

use super::registry::Labels;
use super::{Observer, labels_of};

impl Pipeline {
    /// Observes a JSON line of known meaning; `source_base` is where its record counts from.
    #[inline]
    pub(in crate::pipeline) fn observe_line(
        &mut self,
        (line, values): (&[u8], &[(u32, u32)]),
        meaning: &Meaning,
        record: &Record,
        source_base: u64,
    ) {
        let Some(mut observer) = self.take_observer(record, source_base) else { return };
        loop {
            let fields = LineFields { line, values, meaning, plan: &self.plan, record };
            if observer.observe(&fields, record.ts_ns) {
                break;
            }
            self.learn_labels(&mut observer);
        }
        self.observer = Some(observer);
    }

    /// The same of a line of text.
    pub(in crate::pipeline) fn observe_text(
        &mut self,
        line: &[u8],
        text: &TextUnderstanding,
        record: &Record,
        source_base: u64,
    ) {
        let Some(mut observer) = self.take_observer(record, source_base) else { return };
        let fields = TextFields { line, text };
        debug_assert_eq!(fields.kind(), record.kind());
        while !observer.observe(&fields, record.ts_ns) {
            self.learn_labels(&mut observer);
        }
        self.observer = Some(observer);
    }

    /// Hands over what was observed of a batch, which ends at `source_end` of a stream that can be
    /// read again.
    pub(in crate::pipeline) fn tell_observed(&mut self, now_ns: i64, source_end: Option<u64>) {
        if let Some(observer) = &mut self.observer {
            observer.hand_over(now_ns, source_end.map(|end| (self.source.0, end)));
        }
    }

    /// The observer, for an event that was not counted before a restart.
    fn take_observer(&mut self, record: &Record, source_base: u64) -> Option<Box<Observer>> {
        let is_new = source_base + u64::from(record.source_off) >= self.observed_to;
        if is_new { self.observer.take() } else { None }
    }

    #[cold]
    pub(in crate::pipeline) fn learn_labels(&mut self, observer: &mut Observer) {
        let Some((group, key)) = observer.unknown() else { return };
        let plan = std::sync::Arc::clone(&observer.plan);
        let names = plan.groups.get(group).map(|group| &*group.labels).unwrap_or_default();
        let each = labels_of(&key).zip(names);
        let labels: Labels = each
            .map(|(value, label)| {
                let path = match &label.from {
                    Field::Path(path) => path.as_bytes(),
                    _ => label.name.as_bytes(),
                };
                self.protected_label(path, &value, plan.tier).into()
            })
            .collect();
        observer.learn(group, key, labels);
    }

    /// A label's value as the tier's policy lets it leave.
    fn protected_label(&mut self, path: &[u8], value: &str, tier: usize) -> String {
        let facts = self.memo.of(path, tier, &self.plan.tiers);
        let mut out = Vec::new();
        match facts.action {
            Action::Keep => return value.to_owned(),
            Action::Inspect => {
                self.search_text(value.as_bytes(), facts.hint, tier);
                if self.work.splice.is_empty() {
                    return value.to_owned();
                }
                self.work.splice.apply(value.as_bytes(), &mut out);
            }
            action => {
                let replacer = replacer(&self.plan, tier);
                let replacing = &mut self.work.replacing;
                replacer.plain(action, value.as_bytes(), facts.hint, replacing, &mut out);
            }
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}
