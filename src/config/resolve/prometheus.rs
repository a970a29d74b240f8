//! The source that scrapes: times that fit, limits that can be held, rules that mean something.

use crate::units::{ByteSize, HumanDuration};

use super::super::sources::{Prometheus, Relabel, RelabelAction};
use super::super::tree::Step;
use super::Resolver;

/// More often, asking costs more than what is learned.
const EVERY_MIN: HumanDuration = HumanDuration::millis(100);
/// Smaller bodies hold no metrics of a model.
const BODY_MIN: ByteSize = ByteSize::kib(4);

impl Resolver<'_> {
    pub(super) fn prometheus(
        &mut self,
        path: &[Step],
        source: &Prometheus,
        memory_limit: ByteSize,
    ) {
        let field = |name: &str| [path, &[Step::from(name)]].concat();
        if source.targets.is_empty() && self.document.is_whole(&field("targets")) {
            let message = "a source that scrapes needs a target";
            let hint = "Write [\"http://127.0.0.1:8000/metrics\"].";
            self.at_value(&field("targets"), message, hint);
        }
        for (at, target) in source.targets.iter().enumerate() {
            if source.targets[..at].contains(target) {
                let place = [&field("targets")[..], &[Step::from(at)]].concat();
                self.at_value(&place, "this target is there twice", "Remove one of them.");
            }
        }
        if source.every < EVERY_MIN {
            let message = format!("{} is too often", source.every);
            self.at_value(&field("every"), message, format!("Write {EVERY_MIN} or more."));
        }
        let timeout = source.timeout();
        if timeout.0.is_zero() || timeout > source.every {
            let message =
                format!("a scrape cannot take {timeout} and begin every {}", source.every);
            let hint = format!("Write more than 0s, up to {} (\"every\").", source.every);
            self.at_value(&field("timeout"), message, hint);
        }
        let most = ByteSize(memory_limit.0 / 4);
        let body = source.body_size_limit(memory_limit);
        if source.body_size_limit.is_some() && (body < BODY_MIN || body > most) {
            let message = format!("{body} is out of range for the largest body");
            let hint = format!("Write {BODY_MIN} to {most} (a quarter of \"memory.limit\").");
            self.at_value(&field("body_size_limit"), message, hint);
        }
        for (name, value) in &source.labels {
            let place = [&field("labels")[..], &[Step::from(name.as_str())]].concat();
            if name.is_empty() || name.starts_with("__") {
                let hint = "Use a name that does not begin with \"__\".";
                self.at_key(&place, format!("\"{name}\" cannot be the name of a label"), hint);
            } else if value.is_empty() {
                let message = format!("label \"{name}\" has no value");
                self.at_value(&place, message, "Write a value, or remove the label.");
            }
        }
        for (at, rule) in source.metric_relabel.iter().enumerate() {
            let place = [&field("metric_relabel")[..], &[Step::from(at)]].concat();
            self.relabel(&place, rule);
        }
    }

    /// As Prometheus checks its own.
    fn relabel(&mut self, path: &[Step], rule: &Relabel) {
        use RelabelAction as A;
        let field = |name: &str| [path, &[Step::from(name)]].concat();
        let word = rule.action.word();
        if rule.action.has_target() && rule.target_label.is_empty() {
            let message = format!("\"{word}\" needs a label to work on");
            self.at_value(path, message, "Name it: target_label: NAME.");
        }
        if rule.action == A::HashMod && rule.modulus.is_none() {
            let message = "\"hashmod\" needs a number to divide by";
            self.at_value(path, message, "Write it: modulus: 8.");
        }
        let unused: &[&str] = match rule.action {
            A::LabelDrop | A::LabelKeep => {
                &["source_labels", "separator", "target_label", "modulus", "replacement"]
            }
            A::KeepEqual | A::DropEqual => &["separator", "regex", "modulus", "replacement"],
            A::Lowercase | A::Uppercase => &["modulus", "replacement"],
            _ => &[],
        };
        for name in unused {
            if self.document.find(&field(name)).is_some() {
                let message = format!("\"{word}\" does not use \"{name}\"");
                self.at_key(&field(name), message, "Remove it, or choose another action.");
            }
        }
    }
}
