//! Plans for benchmarks and tests: two tiers, all detectors, the corpus' declared fields.

use std::sync::Arc;

use sidewake::event::record::Kind;
use sidewake::pipeline::rules::Rules;
use sidewake::pipeline::sample::{Sampler, Threshold};
use sidewake::pipeline::{Plan, TierPlan};
use sidewake::protect::entity::EntitySet;
use sidewake::protect::policy::{Action, Features, Policy, PolicySpec};
use sidewake::protect::pseudonym::Keyring;

/// What a plan protects.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Protection {
    Off,
    Detectors,
    Fields,
}

/// `application` lines are kept at `rate`.
pub(crate) fn plan(protection: Protection, rate: f64) -> Arc<Plan> {
    let keyring =
        Keyring::parse(b"k1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
            .expect("a key");
    let mut spec = PolicySpec::default();
    if protection != Protection::Off {
        spec.detect = EntitySet::ALL;
    }
    if protection == Protection::Fields {
        spec.fields = vec![("password".into(), Action::Drop), ("user_id".into(), Action::Hash)];
        spec.features = Features::Sample(5);
    }
    let tier = |name: &str| TierPlan {
        name: name.into(),
        policy: Policy::compile(&spec, true).expect("a sound policy"),
    };
    let tiers = vec![tier("application_logs"), tier("prediction_logs")];
    let mut tier_of_kind = [0; Kind::ALL.len()];
    tier_of_kind[Kind::Request as usize] = 1;
    tier_of_kind[Kind::Prediction as usize] = 1;
    let mut sampler = Sampler::new(Vec::new());
    if rate < 1.0 {
        sampler.set_rate(Kind::Application, Threshold::from_probability(rate).expect("a rate"));
    }
    Plan::new(tiers, tier_of_kind, Rules::default(), sampler, Some(Arc::new(keyring)))
}
