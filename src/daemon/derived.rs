//! Series that are derived: told from time to time by a thread of its own, and kept over a restart.
//!
//! Owns when series are told, and the file that they outlive the process in. What is observed, and
//! how it is said in OTLP, is `pipeline::observe`'s.
//!
//! # Why
//! What was counted is written down before it is told, and durably: a value that was sent is never
//! followed by a smaller one. With it is written how far each stream was counted, and a stream is
//! read again from there: lines that were counted after the last time are counted again, those
//! before are not. What cannot be read again, a pipe or a request, is counted again by nobody: a
//! SIGKILL loses what came since the last time, fifteen seconds at most.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::derive::{Derive, DeriveRule, MetricType};
use crate::config::{Config, tiers::Signal};
use crate::event::origin::Origin;
use crate::event::request::Request;
use crate::event::slab::Slab;
use crate::pipeline::condition::{Condition, Field};
use crate::pipeline::observe::registry::Registry;
use crate::pipeline::observe::rule::{Kinds, Label, Rule, Shape, built_in};
use crate::pipeline::observe::{Observation, export, grouped, spans};
use crate::sources::{Intake, new_source_key, now_ns};

use super::collector::Collector;
use super::feed::Feed;
use super::ticker::{Ticker, Work};

mod snapshot;

use snapshot::Snapshot;

/// The name of what is not received from anywhere.
const SOURCE: &str = "derived";

/// What is derived, and what of it is durable.
pub(super) struct Derived {
    pub(super) observation: Arc<Observation>,
    every: Duration,
    attributes: Vec<(String, String)>,
    file: Option<PathBuf>,
    /// How far each stream was counted that a restart would know.
    durable: Mutex<HashMap<u64, u64>>,
    /// Nothing was ever counted here: streams are counted from where they are read on.
    is_first: bool,
}

impl Derived {
    /// What `config` derives, with what was counted before.
    pub(super) fn new(config: &Config) -> Option<Arc<Self>> {
        let derive = config.derive.as_ref()?;
        let tier = config.tiers.iter().position(|tier| tier.signal == Signal::Metrics)?;
        let mut groups = grouped(rules(derive));
        let spans = Some(groups.len());
        groups.push(spans::group());
        let idle_ns = i64::try_from(derive.expire.0.as_nanos()).unwrap_or(i64::MAX);
        let registry = Registry::new(groups.len(), derive.max_series.get() as usize, idle_ns);
        let file = config.spool.path.as_ref().map(|spool| spool.join("derived.json"));
        let read = file.as_deref().and_then(snapshot::read);
        let is_first = read.is_none();
        let mut durable = HashMap::new();
        if let Some(read) = read {
            durable = read.counted_to();
            read.restore(&groups, &mut registry.lock(), now_ns());
        } else if let Some(file) = &file
            && let Err(error) = Snapshot::of(&groups, &registry.lock()).write(file)
        {
            tracing::warn!(%error, "cannot write down what is counted");
        }
        let observation = Observation { groups, registry: Arc::new(registry), tier, spans };
        Some(Arc::new(Self {
            observation: Arc::new(observation),
            every: derive.every.0,
            attributes: config.service.attributes.clone(),
            file,
            durable: Mutex::new(durable),
            is_first,
        }))
    }

    /// How far the stream was counted that a restart would know, if it is held up to `held`: from
    /// there it must be read again.
    pub(super) fn counted_to(&self, source_key: u64, held: u64) -> u64 {
        if self.file.is_none() {
            return held;
        }
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        match durable.get(&source_key) {
            Some(to) => *to,
            None if self.is_first => {
                durable.insert(source_key, held);
                self.observation.registry.lock().counted_to.entry(source_key).or_insert(held);
                held
            }
            // It began after the last time that anything was written down.
            None => 0,
        }
    }

    /// Forgets a stream that is never read again.
    pub(super) fn forget(&self, source_key: u64) {
        self.observation.registry.lock().counted_to.remove(&source_key);
    }
}

/// Who tells: the intake is a source's like any other.
struct Teller {
    derived: Arc<Derived>,
    intake: Collector,
    /// The stream of what is told, and how many metrics it has until now.
    source_key: u64,
    n_told: u64,
}

impl Teller {
    /// Writes down what was counted, and tells it. `is_last`: and that nothing more will be.
    fn tell(&mut self, is_last: bool) {
        let now_ns = now_ns();
        let Derived { observation, attributes, file, durable, .. } = &*self.derived;
        let Observation { groups, registry, .. } = &**observation;
        registry.expire(now_ns);
        let (bodies, snapshot) = {
            let mut state = registry.lock();
            let mut bodies = vec![export::request(groups, &mut state, attributes, now_ns)];
            if is_last {
                bodies.push(export::farewell(groups, &mut state, attributes, now_ns));
            }
            (bodies, Snapshot::of(groups, &state))
        };
        if let Some(file) = file {
            if let Err(error) = snapshot.write(file) {
                tracing::warn!(%error, "cannot write down what was counted: it is told later");
                return;
            }
            let counted_to = snapshot.counted_to();
            *durable.lock().unwrap_or_else(PoisonError::into_inner) = counted_to;
        }
        if self.intake.must_wait(Signal::Metrics) {
            return;
        }
        for body in bodies.into_iter().filter(|body| !body.is_empty()) {
            self.push(body, now_ns);
        }
        // A spool that is closed takes nothing, and says so by itself.
        let _ = self.intake.flush();
    }

    fn push(&mut self, body: Vec<u8>, observed_ns: i64) {
        let origin = Arc::new(Origin { source: SOURCE.into(), ..Origin::default() });
        let taken = self.intake.push_request(Request {
            signal: Signal::Metrics,
            slab: Slab::from_vec(body),
            origin,
            source_key: self.source_key,
            source_base: self.n_told,
            observed_ns,
        });
        match taken {
            Ok(taken) => self.n_told += taken.n_items as u64,
            Err(error) => tracing::warn!(%error, "derived metrics were not taken"),
        }
    }
}

/// The thread that tells.
///
/// # Errors
/// When the system has no more threads.
pub(super) fn start(derived: Arc<Derived>, feed: Arc<Feed>) -> std::io::Result<Ticker> {
    let intake = Collector::new(feed, None);
    let teller = Teller { derived, intake, source_key: new_source_key(), n_told: 0 };
    Ticker::start(SOURCE, teller)
}

impl Work for Teller {
    fn wait(&self) -> Duration {
        self.derived.every
    }

    fn run(&mut self, is_last: bool) {
        self.tell(is_last);
    }
}

/// The built-in rules and the config's own; what could not be read is an error of the config.
fn rules(derive: &Derive) -> Vec<Rule> {
    let own = derive.rules.iter().filter_map(|(name, rule)| own_rule(name, rule));
    built_in().into_iter().chain(own).collect()
}

fn own_rule(name: &str, rule: &DeriveRule) -> Option<Rule> {
    let field = |text: &String| Field::parse(text);
    let label = |(name, text): &(String, String)| {
        Some(Label { name: name.clone(), from: Field::parse(text)? })
    };
    let mut labels: Vec<Label> = rule.labels.iter().map(label).collect::<Option<_>>()?;
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    let kinds = rule.kinds.iter().map(|word| Kinds::one(word.0)).reduce(Kinds::and);
    Some(Rule {
        name: name.to_owned(),
        help: rule.help.clone(),
        unit: rule.unit.clone(),
        shape: match rule.shape {
            MetricType::Counter => Shape::Counter,
            MetricType::Gauge => Shape::Gauge,
            MetricType::Histogram => Shape::Histogram,
        },
        kinds: kinds.unwrap_or(Kinds::ALL),
        when: rule.when.as_deref().map(Condition::parse).transpose().ok()?,
        value: rule.value.as_ref().map(field).map_or(Some(None), |found| found.map(Some))?,
        factor: 1.0,
        labels,
    })
}
