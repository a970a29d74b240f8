//! The kind by what a line holds: output, input, model, request, latency (ml.md 2.4, step 3).

use super::{Facts, Rule, Verdict};
use crate::event::record::{Kind, Level};
use crate::pipeline::roles::Role;

/// The verdict of the members alone.
///
/// # Why
/// `result`, `response`, `payload` or `score` stand in many a web service's log, so a weak word
/// counts only beside a telling one: `result` with a request id and a duration is no prediction,
/// `label` with `score` is.
pub(in crate::pipeline) fn verdict(facts: &Facts, level: Level) -> Option<Verdict> {
    let strong = |role| facts.is_strong(role);
    let weak = |role| facts.is_weak(role);
    let model = strong(Role::ModelName);
    let context = model || strong(Role::FeatureCount);

    let output = strong(Role::Prediction)
        || (weak(Role::Prediction)
            && (context
                || strong(Role::Features)
                || strong(Role::Confidence)
                || weak(Role::Confidence)));
    let confidence = strong(Role::Confidence)
        || (weak(Role::Confidence) && (context || output || strong(Role::Features)));
    let input = strong(Role::Features) || (weak(Role::Features) && context);
    let tied = model || strong(Role::RequestId) || strong(Role::Latency) || input;
    let (n_data, n_data_all) = facts.n_data();
    let is_data = n_data >= 1 && n_data_all >= 2;

    let (kind, rule) = if is_data && n_data >= 2 && !strong(Role::Prediction) && !input {
        (Kind::Data, Rule::StructureData)
    } else if (output || confidence) && tied {
        (Kind::Prediction, Rule::StructurePrediction)
    } else if input && !output {
        (Kind::Request, Rule::StructureRequest)
    } else if is_data {
        (Kind::Data, Rule::StructureData)
    } else if facts.n_load > 0 || (facts.n_load_weak >= 2 && model) {
        (Kind::Model, Rule::StructureModel)
    } else if level >= Level::Error && model && !output {
        (Kind::Model, Rule::StructureModelError)
    } else {
        return None;
    };
    Some(Verdict::new(kind, rule))
}
