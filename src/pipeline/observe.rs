//! Metrics of what passes: every event is seen here before sampling decides about it.
//!
//! Owns the rules and their series, from an event to the OTLP request that tells them. A pipeline
//! counts by itself, in tables of its own, and hands over what it counted at the end of each batch;
//! `registry` adds it up for all sources. Knows neither timers nor disks: when series are told, and
//! how they outlive the process, is the daemon's.
//!
//! # Why
//! - *Before sampling*: a rate that is computed from a tenth of the traffic is a guess, and rare
//!   labels are not in it.
//! - *Groups*: rules with the same labels share one look-up. Labels are compared as they stand in
//!   the line, so that what is known costs a hash and no allocation; only a set of labels that is
//!   new is decoded and protected, by the policy of the tier that metrics go to.
//! - *Positions*: what was counted of each stream is known, and kept with the sums. A line that is
//!   read again after a restart is counted if it was not, and not if it was.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::record::{Kind, Level};

pub mod export;
pub mod histogram;
pub mod registry;
pub mod rule;
mod seen;
pub mod spans;

use super::condition::{Field, FieldSource, Found, number};
use super::roles::Role;
use super::roles::ids;
use super::roles::token::{self, Token};
use registry::{Exemplar, Labels, Registry, Value};
use rule::{Kinds, Label, Rule};

/// Sets of labels that one pipeline remembers of a group; beyond that it begins anew.
const SLOTS_MAX: usize = 4096;
/// The longest value of a label.
const LABEL_BYTES_MAX: usize = 128;
/// What separates labels in a key: no byte of UTF-8.
const SEPARATOR: u8 = 0xff;

/// Rules that share their labels.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    /// The kinds that any of them is about.
    kinds: Kinds,
    /// In the order of their names.
    pub labels: Vec<Label>,
    /// At least one.
    pub rules: Vec<Rule>,
}

/// What is observed, and where it adds up.
#[derive(Debug)]
pub struct Observation {
    /// The groups, in the registry's order.
    pub groups: Vec<GroupPlan>,
    /// Where it adds up.
    pub registry: Arc<Registry>,
    /// The tier whose policy labels follow.
    pub tier: usize,
    /// The group that spans are counted in ([`spans::group`]).
    pub spans: Option<usize>,
}

/// Groups rules by their labels.
#[must_use]
pub fn grouped(rules: Vec<Rule>) -> Vec<GroupPlan> {
    let mut groups: Vec<GroupPlan> = Vec::new();
    for rule in rules {
        match groups.iter_mut().find(|group| group.labels == rule.labels) {
            Some(group) => {
                group.kinds = group.kinds.and(rule.kinds);
                group.rules.push(rule);
            }
            None => {
                let (kinds, labels) = (rule.kinds, rule.labels.clone());
                groups.push(GroupPlan { kinds, labels, rules: vec![rule] });
            }
        }
    }
    groups
}

impl Observation {
    /// Every field that is read.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        let of_events = self.groups.iter().filter(|group| group.kinds != Kinds::NONE);
        let rules = of_events.flat_map(|group| &group.rules);
        // What was predicted may be said by the prediction itself.
        rules.flat_map(Rule::fields).chain([&PREDICTION, &TRACE_ID, &REQUEST_ID])
    }
}

const PREDICTION: Field = Field::Role(Role::Prediction);
const TRACE_ID: Field = Field::Role(Role::TraceId);
const REQUEST_ID: Field = Field::Role(Role::RequestId);

/// A field and its number among the plan's: where events know it without looking for it.
#[derive(Clone, Debug)]
struct Place {
    number: usize,
    field: Field,
}

impl Place {
    fn of(field: &Field, fields: &[Field]) -> Self {
        // Level and kind have no number, and are asked for by themselves.
        let number = fields.iter().position(|known| known == field).unwrap_or(usize::MAX);
        Self { number, field: field.clone() }
    }

    #[inline]
    fn found<'a>(&self, event: &'a dyn FieldSource) -> Option<Found<'a>> {
        event.value_at(self.number, &self.field)
    }
}

/// Where a group's labels and the values of its rules are.
#[derive(Debug)]
struct Places {
    labels: Vec<Place>,
    values: Vec<Option<Place>>,
}

/// Where the rest is.
#[derive(Debug)]
struct Others {
    prediction: Place,
    trace_id: Place,
    request_id: Place,
}

/// What one pipeline observed since it last said so.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) plan: Arc<Observation>,
    places: Vec<Places>,
    others: Others,
    groups: Vec<Local>,
    /// The key in work.
    key: Vec<u8>,
    /// Which slot the event in work has in each group.
    found: Vec<Option<u32>>,
    /// The first group whose labels are not known, and their key.
    unknown: Option<(usize, Vec<u8>)>,
}

#[derive(Debug, Default)]
struct Local {
    by_key: HashMap<Box<[u8]>, u32>,
    slots: Vec<Slot>,
    touched: Vec<u32>,
    /// The slot of the last event.
    last: u32,
}

#[derive(Debug)]
struct Slot {
    key: Box<[u8]>,
    labels: Labels,
    values: Vec<Value>,
    n_events: u64,
}

impl Observer {
    /// `fields` are the plan's.
    pub(super) fn new(plan: Arc<Observation>, fields: &[Field]) -> Self {
        let mut groups = Vec::new();
        groups.resize_with(plan.groups.len(), Local::default);
        let place = |field: &Field| Place::of(field, fields);
        let places = plan.groups.iter().map(|group| Places {
            labels: group.labels.iter().map(|label| place(&label.from)).collect(),
            values: group.rules.iter().map(|rule| rule.value.as_ref().map(place)).collect(),
        });
        let places = places.collect();
        let others = Others {
            prediction: place(&PREDICTION),
            trace_id: place(&TRACE_ID),
            request_id: place(&REQUEST_ID),
        };
        let (key, found) = (Vec::new(), Vec::new());
        Self { plan, places, others, groups, key, found, unknown: None }
    }

    /// Counts `event`, seen at `ts_ns`. `false` when one of its sets of labels is new: then
    /// [`Self::unknown`] has it, nothing was counted, and the event comes again.
    pub(super) fn observe(&mut self, event: &dyn FieldSource, ts_ns: i64) -> bool {
        let kind = event.kind();
        let plan = Arc::clone(&self.plan);
        self.found.clear();
        for (index, (group, local)) in plan.groups.iter().zip(&mut self.groups).enumerate() {
            if !group.kinds.have(kind) {
                self.found.push(None);
                continue;
            }
            self.key.clear();
            for label in &self.places[index].labels {
                push_label(event, label, &self.others.prediction, &mut self.key);
                self.key.push(SEPARATOR);
            }
            let Some(slot) = local.find(&self.key) else {
                self.unknown = Some((index, self.key.clone()));
                return false;
            };
            self.found.push(Some(slot));
        }
        for (index, (group, local)) in plan.groups.iter().zip(&mut self.groups).enumerate() {
            if let Some(slot) = self.found[index] {
                let places = (&*self.places[index].values, &self.others);
                local.count(slot, (group, places), event, ts_ns);
            }
        }
        true
    }

    /// The labels that were not known: their group, and each with its value as it stands in the
    /// line.
    pub(super) fn unknown(&mut self) -> Option<(usize, Vec<u8>)> {
        self.unknown.take()
    }

    /// Takes the set of labels `key` of group `group` in, as it may leave.
    pub(super) fn learn(&mut self, group: usize, key: Vec<u8>, labels: Labels) {
        let rules = self.plan.groups.get(group).map(|group| &*group.rules).unwrap_or_default();
        let values = rules.iter().map(|rule| Value::of(rule.shape)).collect();
        if let Some(local) = self.groups.get_mut(group) {
            let key: Box<[u8]> = key.into();
            local.by_key.insert(key.clone(), local.slots.len() as u32);
            local.slots.push(Slot { key, labels, values, n_events: 0 });
        }
    }

    /// Hands over what was counted; how far a stream is counted now, if it can be read again.
    pub(super) fn hand_over(&mut self, now_ns: i64, counted_to: Option<(u64, u64)>) {
        let registry = Arc::clone(&self.plan.registry);
        let mut state = registry.lock();
        if let Some((source_key, end)) = counted_to {
            let counted = state.counted_to.entry(source_key).or_default();
            *counted = end.max(*counted);
        }
        for (index, local) in self.groups.iter_mut().enumerate() {
            for slot in local.touched.drain(..) {
                let Slot { labels, values, n_events, .. } = &mut local.slots[slot as usize];
                let seen = (now_ns, std::mem::take(n_events));
                registry.add(&mut state, (index, labels), values, seen);
            }
            if local.slots.len() > SLOTS_MAX {
                *local = Local::default();
            }
        }
    }
}

impl Local {
    fn find(&mut self, key: &[u8]) -> Option<u32> {
        // Most events are like the one before.
        if self.slots.get(self.last as usize).is_some_and(|slot| *slot.key == *key) {
            return Some(self.last);
        }
        self.last = *self.by_key.get(key)?;
        Some(self.last)
    }

    fn count(
        &mut self,
        index: u32,
        (group, (places, others)): (&GroupPlan, (&[Option<Place>], &Others)),
        event: &dyn FieldSource,
        ts_ns: i64,
    ) {
        self.add(index, |values| {
            let mut is_counted = false;
            for ((rule, place), value) in group.rules.iter().zip(places).zip(values) {
                is_counted |= count((rule, place.as_ref(), others), value, event, ts_ns);
            }
            is_counted
        });
    }

    /// Counts an event of the set of labels `index`, where `count` says that it is one.
    fn add(&mut self, index: u32, count: impl FnOnce(&mut [Value]) -> bool) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if count(&mut slot.values) {
            if slot.n_events == 0 {
                self.touched.push(index);
            }
            slot.n_events += 1;
        }
    }
}

/// Counts `event` by `rule`; whether it is one of the rule's.
fn count(
    (rule, place, others): (&Rule, Option<&Place>, &Others),
    value: &mut Value,
    event: &dyn FieldSource,
    ts_ns: i64,
) -> bool {
    if !rule.kinds.have(event.kind()) || rule.when.as_ref().is_some_and(|when| !when.eval(event)) {
        return false;
    }
    let observed = match place {
        None => 1.0,
        Some(place) => {
            let found = place.found(event).and_then(|found| number(&place.field, found));
            let Some(observed) = found else { return false };
            observed * rule.factor
        }
    };
    match value {
        // A counter that went back would be taken for a restart.
        Value::Counter(sum) => *sum += observed.max(0.0),
        Value::Gauge(last) => *last = Some(observed),
        Value::Histogram(all, exemplars) => {
            if all.observe(observed) && exemplars.first().is_none_or(|one| observed > one.value) {
                exemplars.clear();
                exemplars.extend(exemplar(event, others, observed, ts_ns));
            }
        }
    }
    true
}

/// The value with whose it is, if that is said.
fn exemplar(event: &dyn FieldSource, others: &Others, value: f64, ts_ns: i64) -> Option<Exemplar> {
    let of = |place: &Place| place.found(event).map(|found| token::text(found.token));
    let trace_id = of(&others.trace_id).and_then(ids::trace_value).map(u128::to_be_bytes);
    let request_id = of(&others.request_id).and_then(|id| std::str::from_utf8(id).ok());
    let request_id = request_id.filter(|id| id.len() <= LABEL_BYTES_MAX).unwrap_or_default();
    let is_known = trace_id.is_some() || !request_id.is_empty();
    is_known.then(|| Exemplar { value, ts_ns, trace_id, request_id: request_id.into() })
}

/// Appends a label's value as it stands in the line.
fn push_label(event: &dyn FieldSource, from: &Place, prediction: &Place, out: &mut Vec<u8>) {
    match &from.field {
        Field::Kind => out.extend_from_slice(Kind::as_str(event.kind()).as_bytes()),
        Field::Level => out.extend_from_slice(Level::as_str(event.level()).as_bytes()),
        Field::Role(Role::Label) => {
            let label = from.found(event).filter(|found| !token::is_null(found.token));
            let class = || prediction.found(event).filter(is_class);
            if let Some(found) = label.or_else(class) {
                push_token(found.token, out);
            }
        }
        Field::Role(_) | Field::Path(_) => {
            if let Some(found) = from.found(event) {
                push_token(found.token, out);
            }
        }
    }
}

/// Whether a prediction is a class: a word, a truth value or a whole number.
fn is_class(found: &Found<'_>) -> bool {
    match Token::of(found.token) {
        Token::Bool(_) => true,
        Token::Number(digits) => digits.len() < 7 && digits.iter().all(u8::is_ascii_digit),
        Token::Text(text) => text.len() <= LABEL_BYTES_MAX,
        Token::Null | Token::Container(_) => false,
    }
}

fn push_token(token: &[u8], out: &mut Vec<u8>) {
    match Token::of(token) {
        Token::Null | Token::Container(_) => {}
        _ => out.extend_from_slice(token),
    }
}

/// The values of a key's labels, decoded, not longer than a label may be.
pub(super) fn labels_of(key: &[u8]) -> impl Iterator<Item = String> {
    let mut parts = key.split(|byte| *byte == SEPARATOR);
    // Behind the last separator is nothing.
    let n_labels = parts.clone().count().saturating_sub(1);
    std::iter::from_fn(move || parts.next()).take(n_labels).map(|part| {
        let decoded: Vec<u8> = token::Unescaped::new(token::text(part)).collect();
        let mut text = String::from_utf8_lossy(&decoded).into_owned();
        text.truncate(text.floor_char_boundary(LABEL_BYTES_MAX));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event of a few fields.
    struct Event(Kind, Vec<(Field, &'static str)>);

    impl FieldSource for Event {
        fn level(&self) -> Level {
            Level::Info
        }

        fn kind(&self) -> Kind {
            self.0
        }

        fn value(&self, _: usize, field: &Field) -> Option<Found<'_>> {
            let (_, token) = self.1.iter().find(|(known, _)| known == field)?;
            Some(Found { token: token.as_bytes(), key: b"latency_ms" })
        }
    }

    fn prediction(model: &'static str, label: &'static str, ms: &'static str) -> Event {
        let fields = [
            (Role::ModelName, model),
            (Role::Label, label),
            (Role::Latency, ms),
            (Role::RequestId, "\"r-1\""),
        ];
        Event(Kind::Prediction, fields.map(|(role, token)| (Field::Role(role), token)).into())
    }

    fn observer() -> Observer {
        let groups = grouped(rule::built_in());
        let registry = Arc::new(Registry::new(groups.len(), 100, i64::MAX));
        Observer::new(Arc::new(Observation { groups, registry, tier: 0, spans: None }), &[])
    }

    fn observe(observer: &mut Observer, event: &Event) {
        while !observer.observe(event, 5) {
            let (group, key) = observer.unknown().expect("labels");
            let labels = labels_of(&key).map(String::into_boxed_str).collect();
            observer.learn(group, key, labels);
        }
    }

    #[test]
    fn predictions_are_counted_by_what_they_say() {
        let mut observer = observer();
        for (model, label, ms) in [
            ("\"fraud\"", "\"yes\"", "10"),
            ("\"fraud\"", "\"no\"", "20.5"),
            ("\"fraud\"", "\"yes\"", "\"no number\""),
            ("\"churn\"", "null", "1"),
        ] {
            observe(&mut observer, &prediction(model, label, ms));
        }
        observe(&mut observer, &Event(Kind::Application, Vec::new()));
        observer.hand_over(7, Some((1, 400)));
        let state = observer.plan.registry.lock();
        assert_eq!(state.counted_to[&1], 400);
        let sum = |group: usize, labels: &[&str]| {
            let labels: Labels = labels.iter().map(|label| Box::from(*label)).collect();
            let series = state.groups[group].series.get(&labels)?;
            Some(match &series.values[0] {
                Value::Counter(sum) => *sum,
                Value::Histogram(all, _) => all.sum,
                Value::Gauge(_) => f64::NAN,
            })
        };
        // label, model, version
        assert_eq!(sum(0, &["yes", "fraud", ""]), Some(2.0));
        assert_eq!(sum(0, &["no", "fraud", ""]), Some(1.0));
        assert_eq!(sum(0, &["", "churn", ""]), Some(1.0));
        let seconds = sum(1, &["fraud", ""]).expect("durations");
        assert!((seconds - 0.0305).abs() < 1e-12, "{seconds}");
        // kind, level
        assert_eq!(sum(2, &["prediction", "info"]), Some(4.0));
        assert_eq!(sum(2, &["application", "info"]), Some(1.0));
        let durations = &state.groups[1].series[&Labels::from(["fraud".into(), "".into()])];
        let Value::Histogram(all, exemplars) = &durations.values[0] else { panic!("a histogram") };
        assert_eq!((all.count, exemplars.len()), (2, 1));
        assert_eq!((exemplars[0].value, &*exemplars[0].request_id), (0.0205, "r-1"));
    }

    #[test]
    fn keys_are_labels() {
        let key =
            [&b"\"a\\u00e9\\n\""[..], &[SEPARATOR], &[SEPARATOR], b"7", &[SEPARATOR]].concat();
        assert_eq!(labels_of(&key).collect::<Vec<_>>(), ["a\u{e9}\n", "", "7"]);
        let long = [&[b'x'; 300][..], &[SEPARATOR]].concat();
        assert_eq!(labels_of(&long).next().map(|label| label.len()), Some(LABEL_BYTES_MAX));
    }
}
