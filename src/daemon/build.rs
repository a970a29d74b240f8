//! From the resolved config to what the pipeline runs by.

use std::sync::Arc;

use crate::config::{self, Config};
use crate::event::record::Kind;
use crate::event::signal::Signal;
use crate::pipeline::condition::{Condition, Field};
use crate::pipeline::rules::{RawRule, Rules};
use crate::pipeline::sample::{Rare, Sampler, Threshold};
use crate::pipeline::{Plan, TierPlan};
use crate::protect::entity::Entity;
use crate::protect::policy::{Action, Bucket, Features, Policy, PolicySpec};

use super::DaemonError;

/// The pipeline's plan.
///
/// # Errors
/// [`DaemonError::Policy`] for what the config's own checks should have found.
pub fn plan(config: &Config) -> Result<Arc<Plan>, DaemonError> {
    let keyring = config.key.clone().map(Arc::new);
    let (tiers, tier_of_kind) = tier_plans(config)?;
    let rules: Vec<RawRule> = config
        .classify
        .iter()
        .map(|rule| RawRule { when: rule.when.clone(), kind: rule.kind.0.as_str().to_owned() })
        .collect();
    let rules = Rules::compile(&rules).map_err(|errors| refused(&errors))?;
    let signals = config.tiers.iter().map(|tier| tier.signal).zip(0..);
    let items: Vec<(Signal, usize)> =
        signals.filter(|(signal, _)| *signal != Signal::Logs).collect();
    let plan = Plan::new(tiers, tier_of_kind, rules, sampler(config)?, keyring).with_items(&items);
    let plan = plan.with_rule_names(super::routes::sampling_rules(config));
    Ok(plan.with_cumulative(wants_sums(config)))
}

/// The tiers as the pipeline sees them, and the tier of each kind.
///
/// # Errors
/// As [`plan`].
pub(super) fn tier_plans(
    config: &Config,
) -> Result<(Vec<TierPlan>, [usize; Kind::ALL.len()]), DaemonError> {
    let mut tiers = Vec::new();
    for (tier, policy) in config.tiers.iter().zip(policies(config)?) {
        tiers.push(TierPlan { name: tier.name.clone(), policy });
    }
    let mut tier_of_kind = [0; Kind::ALL.len()];
    for (index, tier) in config.tiers.iter().enumerate() {
        for kind in &tier.kinds {
            tier_of_kind[*kind as usize] = index;
        }
    }
    Ok((tiers, tier_of_kind))
}

/// Whether a sink of a tier of metrics knows cumulative ones only.
fn wants_sums(config: &Config) -> bool {
    let tiers = config.tiers.iter().filter(|tier| tier.signal == Signal::Metrics);
    let mut sinks = tiers.flat_map(|tier| &tier.routes).filter_map(|to| config.sink(&to.sink));
    sinks.any(config::sinks::Sink::is_cumulative)
}

/// Each tier's policy, in the order of the config's tiers.
///
/// # Errors
/// As [`plan`].
pub fn policies(config: &Config) -> Result<Vec<Policy>, DaemonError> {
    let is_keyed = config.key.is_some();
    let compile = |tier| Policy::compile(&spec(tier), is_keyed).map_err(|errors| refused(&errors));
    config.tiers.iter().map(compile).collect()
}

fn refused<E: std::fmt::Display>(errors: &[E]) -> DaemonError {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    DaemonError::Policy(texts.join("; "))
}

fn sampler(config: &Config) -> Result<Sampler, DaemonError> {
    let keep = config.sample.keep.iter().map(|text| Condition::parse(text));
    let keep: Result<Vec<Condition>, _> = keep.collect();
    let mut sampler = Sampler::new(keep.map_err(|error| refused(&[error]))?);
    for kind in Kind::ALL {
        let rate = config.sample.rate.of(kind).get();
        if rate < 1.0 {
            let threshold = Threshold::from_probability(rate);
            sampler.set_rate(kind, threshold.ok_or_else(|| refused(&["a rate of 0"]))?);
        }
    }
    let rare = config.sample.rare.as_ref().and_then(|rare| {
        let field = Field::parse(&rare.field)?;
        Some(Rare { field, below: rare.below.get() })
    });
    sampler.set_rare(rare);
    let spans = config.sample.rate.spans.get();
    if spans < 1.0 {
        let threshold = Threshold::from_probability(spans);
        sampler.set_span_rate(threshold.ok_or_else(|| refused(&["a rate of 0"]))?);
    }
    Ok(sampler)
}

fn spec(tier: &config::Tier) -> PolicySpec {
    let mut spec = PolicySpec::default();
    for (detector, action) in &tier.detect {
        let Some(entity) = Entity::parse(detector.as_str()) else { continue };
        spec.detect = spec.detect.with(entity);
        let action = match action {
            config::protect::DetectAction::Mask => Action::Mask,
            config::protect::DetectAction::Hash => Action::Hash,
            config::protect::DetectAction::Drop => Action::Drop,
            config::protect::DetectAction::Keep => Action::Keep,
        };
        spec.on_detect.push((entity, action));
    }
    spec.fields = tier.fields.iter().map(|(name, a)| (name.clone(), action(a))).collect();
    spec.features = match &tier.features {
        config::tiers::Features::All => Features::All,
        config::tiers::Features::Only(names) => Features::List(names.clone()),
        config::tiers::Features::Sample(n) => Features::Sample(n.get() as usize),
    };
    spec
}

fn action(action: &config::protect::Action) -> Action {
    match action {
        config::protect::Action::Keep => Action::Keep,
        config::protect::Action::Drop => Action::Drop,
        config::protect::Action::Mask => Action::Mask,
        config::protect::Action::Hash => Action::Hash,
        config::protect::Action::Truncate(chars) => Action::Truncate { chars: chars.get() },
        config::protect::Action::Bucket(config::protect::Bucket::Year) => {
            Action::Bucket(Bucket::Year)
        }
        config::protect::Action::Bucket(config::protect::Bucket::Width(width)) => {
            Action::Bucket(Bucket::Width(*width))
        }
    }
}
