//! Derived metrics: names as Prometheus has them, fields that can be read, whether any are made.

use crate::pipeline::condition::Field;
use crate::pipeline::observe::rule::built_in;
use crate::units::HumanDuration;

use super::super::Tier;
use super::super::derive::{Derive, DeriveRule, MetricType};
use super::super::tiers::Signal;
use super::super::tree::{Step, steps};
use super::Resolver;

/// More often, telling costs more than counting.
const EVERY_MIN: HumanDuration = HumanDuration::secs(1);

impl Resolver<'_> {
    /// What is derived, if anything.
    pub(super) fn derive(&mut self, derive: Derive, tiers: &[Tier]) -> Option<Derive> {
        if derive.every < EVERY_MIN {
            let message = format!("{} is too often", derive.every);
            self.at_value(
                &steps!["derive", "every"],
                message,
                format!("Write {EVERY_MIN} or more."),
            );
        }
        if derive.expire < derive.every {
            let message = "a series would be forgotten before it is told".to_owned();
            let hint = format!("Write {} (derive.every) or more.", derive.every);
            self.at_value(&steps!["derive", "expire"], message, hint);
        }
        for (name, rule) in &derive.rules {
            self.derive_rule(name, rule);
        }
        let asked = !self.document.keys(&steps!["derive"]).is_empty();
        let has_tier = !self.document.keys(&steps!["tiers", "metrics"]).is_empty();
        let takes_metrics = tiers.iter().any(|tier| tier.signal == Signal::Metrics);
        let is_on = derive.enabled.unwrap_or(asked || has_tier) && takes_metrics;
        is_on.then_some(derive)
    }

    fn derive_rule(&mut self, name: &str, rule: &DeriveRule) {
        let path = steps!["derive", "rules", name];
        if !is_metric_name(name) {
            let hint = "Use letters, digits, \"_\" and \":\", no digit first.";
            self.at_key(&path, format!("\"{name}\" cannot be the name of a metric"), hint);
        } else if built_in().iter().any(|known| known.name == name) {
            let hint = "Give it another name.";
            self.at_key(&path, format!("a metric \"{name}\" is derived already"), hint);
        }
        let is_counter = rule.shape == MetricType::Counter;
        if is_counter && !name.ends_with("_total") {
            let hint = format!("Call it {name}_total.");
            self.at_key(
                &path,
                format!("the name of the counter \"{name}\" lacks \"_total\""),
                hint,
            );
        }
        if !is_counter && rule.value.is_none() {
            let hint = "Name the field that holds the value: value: latency_ms.";
            self.at_key(&path, format!("\"{name}\" has no value"), hint);
        }
        if let Some(value) = &rule.value {
            self.derive_field(&steps!["derive", "rules", name, "value"], value, false);
        }
        for (label, field) in &rule.labels {
            let place = steps!["derive", "rules", name, "labels", label.as_str()];
            let is_free = !label.starts_with("__") && !matches!(&**label, "le" | "quantile");
            if !is_label_name(label) || !is_free {
                let hint = "Use letters, digits and \"_\", no digit first, not \"__\" in front, and \
                            neither \"le\" nor \"quantile\".";
                self.at_key(&place, format!("\"{label}\" cannot be the name of a label"), hint);
            }
            self.derive_field(&place, field, true);
        }
    }

    fn derive_field(&mut self, path: &[Step], text: &str, is_label: bool) {
        let message = match Field::parse(text) {
            None => format!("\"{text}\" is no field"),
            Some(Field::Level | Field::Kind) if !is_label => format!("\"{text}\" is no number"),
            Some(_) => return,
        };
        let hint = "Write a field's path as it stands in the event, features.amount, or one of the \
                    names that conditions know: model_name, latency_ms.";
        self.at_value(path, message, hint);
    }
}

fn is_metric_name(name: &str) -> bool {
    is_word(name, |byte| byte == b':')
}

fn is_label_name(name: &str) -> bool {
    is_word(name, |_| false)
}

/// Letters, digits and `_`, no digit first; and what else is allowed.
fn is_word(name: &str, is_allowed: impl Fn(u8) -> bool) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || is_allowed(byte);
    name.bytes().all(is_sound)
        && !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
}
