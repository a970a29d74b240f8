//! The compiled rules that a pipeline runs by: what was config, resolved and shared by all sources.

use std::sync::Arc;

use crate::event::record::Kind;
use crate::event::signal::Signal;
use crate::protect::policy::Policy;
use crate::protect::pseudonym::Keyring;

use super::condition::Field;
use super::fates::Fates;
use super::observe::Observation;
use super::rules::Rules;
use super::sample::Sampler;

/// One tier as the pipeline sees it.
#[derive(Debug)]
pub struct TierPlan {
    /// Its name in the config.
    pub name: String,
    /// What it does to fields.
    pub policy: Policy,
}

/// The tiers that decide when a window is over, and what they decide by.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Whether each tier has one.
    pub tiers: Vec<bool>,
    /// What is known of requests.
    pub fates: Arc<Fates>,
}

/// All of it. Built once per config, never changed.
#[derive(Debug)]
pub struct Plan {
    /// The tiers, in the order of the spool's.
    pub tiers: Vec<TierPlan>,
    /// The tier of each kind, by [`Kind`] as a number.
    pub tier_of_kind: [usize; Kind::ALL.len()],
    /// Own classification rules.
    pub rules: Rules,
    /// The tiers of spans and metrics, where the config has one.
    pub tier_of_items: [Option<usize>; Signal::ALL.len()],
    /// Metrics of delta temporality are added up, for a sink that knows no others.
    pub is_cumulative: bool,
    /// Rates per kind and keep rules.
    pub sampler: Sampler,
    /// The words for the numbers of [`super::sample::rule`], where they are told.
    pub rule_names: Arc<[String]>,
    /// Tail sampling, where a tier has a window.
    pub windows: Option<Windows>,
    /// What is measured of events, where a tier takes metrics.
    pub observation: Option<Arc<Observation>>,
    /// Key material for pseudonyms, where the config has any.
    pub keyring: Option<Arc<Keyring>>,
    fields: Vec<Field>,
}

impl Plan {
    /// Puts a plan together.
    ///
    /// # Panics
    /// If a kind is mapped to a tier that is not there (`BUG`: the config checks it).
    #[must_use]
    pub fn new(
        tiers: Vec<TierPlan>,
        tier_of_kind: [usize; Kind::ALL.len()],
        rules: Rules,
        sampler: Sampler,
        keyring: Option<Arc<Keyring>>,
    ) -> Arc<Self> {
        let all_there = tier_of_kind.iter().all(|&tier| tier < tiers.len());
        assert!(all_there, "BUG: a kind is routed to a tier that does not exist");
        let keep = sampler.keep_rules().iter().flat_map(|condition| condition.fields());
        let mut fields: Vec<Field> = Vec::new();
        let rare = sampler.rare().map(|rare| &rare.field);
        for field in keep.chain(rare).chain(rules.fields()) {
            if !fields.contains(field) {
                fields.push(field.clone());
            }
        }
        let tier_of_items = [None; Signal::ALL.len()];
        let windows = None;
        Arc::new(Self {
            tiers,
            tier_of_kind,
            tier_of_items,
            is_cumulative: false,
            rules,
            sampler,
            rule_names: Arc::default(),
            windows,
            observation: None,
            keyring,
            fields,
        })
    }

    /// The same, adding up metrics of delta temporality or not.
    #[must_use]
    pub fn with_cumulative(self: Arc<Self>, is_cumulative: bool) -> Arc<Self> {
        Arc::new(Self { is_cumulative, ..self.unshared() })
    }

    /// The same with the words for its sampling rules.
    #[must_use]
    pub fn with_rule_names(self: Arc<Self>, rule_names: Vec<String>) -> Arc<Self> {
        Arc::new(Self { rule_names: rule_names.into(), ..self.unshared() })
    }

    /// The same with windows.
    #[must_use]
    pub fn with_windows(self: Arc<Self>, windows: Option<Windows>) -> Arc<Self> {
        Arc::new(Self { windows, ..self.unshared() })
    }

    /// The same, observing.
    #[must_use]
    pub fn with_observation(self: Arc<Self>, observation: Option<Arc<Observation>>) -> Arc<Self> {
        let mut plan = self.unshared();
        for field in observation.iter().flat_map(|observation| observation.fields()) {
            if !matches!(field, Field::Level | Field::Kind) && !plan.fields.contains(field) {
                plan.fields.push(field.clone());
            }
        }
        Arc::new(Self { observation, ..plan })
    }

    /// The same with tiers for spans and metrics.
    ///
    /// # Panics
    /// As [`Plan::new`].
    #[must_use]
    pub fn with_items(self: Arc<Self>, tier_of_items: &[(Signal, usize)]) -> Arc<Self> {
        let mut plan = self.unshared();
        for &(signal, tier) in tier_of_items {
            assert!(tier < plan.tiers.len(), "BUG: a signal is routed to a tier that is not there");
            plan.tier_of_items[signal as usize] = Some(tier);
        }
        Arc::new(plan)
    }

    /// What was just made, and is nobody else's yet.
    fn unshared(self: Arc<Self>) -> Self {
        Arc::into_inner(self).unwrap_or_else(|| unreachable!("BUG: a shared plan"))
    }

    /// Whether anything depends on what an event of `kind` says of itself: its own fate, or that of
    /// its request's other signals.
    #[must_use]
    pub fn decides_about(&self, kind: Kind) -> bool {
        self.sampler.is_sampled(kind) || self.windows.is_some()
    }

    /// Whether any of `signal` goes to `tier`.
    #[must_use]
    pub fn takes(&self, tier: usize, signal: Signal) -> bool {
        match signal {
            Signal::Logs => self.tier_of_kind.contains(&tier),
            Signal::Traces | Signal::Metrics => self.tier_of_signal(signal) == Some(tier),
        }
    }

    /// The tier of spans or metrics; none of logs, which go by their kind.
    #[must_use]
    pub fn tier_of_signal(&self, signal: Signal) -> Option<usize> {
        self.tier_of_items[signal as usize]
    }

    /// The tier of events of `kind`.
    #[must_use]
    pub fn tier_of(&self, kind: Kind) -> usize {
        self.tier_of_kind[kind as usize]
    }

    /// Every field that a keep rule, an own rule or a metric looks at, once each.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}
