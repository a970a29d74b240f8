//! Envelopes of known tools: what they look like, and what is in them (ml.md 2.4, step 1).

use super::{DecidedBy, Facts, Rule, Verdict};
use crate::event::json::doc::Doc;
use crate::event::record::Kind;
use crate::pipeline::aliases::Mark;
use crate::pipeline::roles::{Role, Roles};

/// The verdict of the first envelope that fits.
pub(super) fn verdict(
    doc: &Doc<'_>,
    facts: &Facts,
    roles: &mut Roles,
    decided_by: &mut DecidedBy,
) -> Option<Verdict> {
    cloud_event(doc, facts, roles, decided_by)
        .or_else(|| capture(facts))
        .or_else(|| open_inference_protocol(facts))
        .or_else(|| triton_trace(doc, facts, decided_by))
        .or_else(|| tables(facts))
        .or_else(|| language_models(doc, facts, decided_by))
        .or_else(|| bare_bodies(facts, roles))
}

/// `Prediction` with an output, else `Request`.
fn by_output(has_output: bool, rule: Rule) -> Verdict {
    Verdict::new(if has_output { Kind::Prediction } else { Kind::Request }, rule)
}

fn cloud_event(
    doc: &Doc<'_>,
    facts: &Facts,
    roles: &mut Roles,
    decided_by: &mut DecidedBy,
) -> Option<Verdict> {
    let index = facts.ce_type?;
    let member = doc.members().get(usize::from(index))?;
    if !facts.has(Mark::SpecVersion) && !doc.key(member).starts_with(b"ce") {
        return None;
    }
    decided_by.push(index);
    let verdict = inference_type(doc.text(member))?;
    // Azure's `id` names the event; its request is `xrequestid` or `correlationid`. KServe's and
    // Seldon's `id` is the request's.
    if verdict.rule != Rule::AzureMl as u8
        && !roles.has(Role::RequestId)
        && let Some(id) = facts.ce_id
    {
        roles.set(Role::RequestId, id, None);
    }
    Some(verdict)
}

/// The verdict of a CloudEvent's type, if it is one of an inference.
pub(in crate::pipeline) fn inference_type(ce_type: &[u8]) -> Option<Verdict> {
    let (rule, what) = if let Some(rest) = ce_type.strip_prefix(b"org.kubeflow.serving.inference.")
    {
        (Rule::Kserve, rest)
    } else if let Some(rest) = ce_type.strip_prefix(b"io.seldon.serving.inference.") {
        (Rule::Seldon, rest)
    } else {
        (Rule::AzureMl, ce_type.strip_prefix(b"azureml.inference.")?)
    };
    let kind = match what {
        b"request" | b"inputs" | b"model_inputs" => Kind::Request,
        b"response" | b"outputs" | b"model_outputs" => Kind::Prediction,
        b"outlier" | b"drift" => Kind::Data,
        _ => return None,
    };
    Some(Verdict::new(kind, rule))
}

/// SageMaker data capture and BentoML monitoring.
fn capture(facts: &Facts) -> Option<Verdict> {
    if facts.has(Mark::CaptureData) && facts.has(Mark::EventMetadata) {
        return Some(by_output(facts.has(Mark::CaptureOutput), Rule::SageMaker));
    }
    if facts.has(Mark::BentoMeta) {
        return Some(Verdict::new(Kind::Prediction, Rule::BentoRow));
    }
    (facts.has(Mark::MetaData) && facts.has(Mark::ColumnsRole))
        .then_some(Verdict::new(Kind::Data, Rule::BentoSchema))
}

fn open_inference_protocol(facts: &Facts) -> Option<Verdict> {
    if facts.has(Mark::OutputsDatatype) {
        return Some(Verdict::new(Kind::Prediction, Rule::Oip));
    }
    facts.has(Mark::InputsDatatype).then_some(Verdict::new(Kind::Request, Rule::Oip))
}

/// Times and tensors of one request: all of them belong to its prediction but the input tensors.
fn triton_trace(doc: &Doc<'_>, facts: &Facts, decided_by: &mut DecidedBy) -> Option<Verdict> {
    if let Some(index) = facts.activity {
        decided_by.push(index);
        let activity = doc.members().get(usize::from(index)).map(|member| doc.text(member));
        match activity {
            Some(b"TENSOR_QUEUE_INPUT") => {
                return Some(Verdict::new(Kind::Request, Rule::TritonTrace));
            }
            Some(activity) if activity.starts_with(b"TENSOR_") => {
                return Some(Verdict::new(Kind::Prediction, Rule::TritonTrace));
            }
            _ => {}
        }
    }
    let is_trace = facts.has(Mark::TritonTimestamps)
        || (facts.has(Mark::TritonParent) && facts.is_strong(Role::ModelName));
    is_trace.then_some(Verdict::new(Kind::Prediction, Rule::TritonTrace))
}

/// Rows of inference tables.
fn tables(facts: &Facts) -> Option<Verdict> {
    let has = |role| facts.is_strong(role) || facts.is_weak(role);
    let (input, output) = (has(Role::Features), has(Role::Prediction));
    if facts.has(Mark::Databricks) && (input || output) {
        return Some(by_output(output, Rule::Databricks));
    }
    (facts.has(Mark::VertexModel) && (input || output)).then(|| by_output(output, Rule::Vertex))
}

fn language_models(doc: &Doc<'_>, facts: &Facts, decided_by: &mut DecidedBy) -> Option<Verdict> {
    if let Some(index) = facts.span_kind {
        decided_by.push(index);
        let kind = doc.members().get(usize::from(index)).map(|member| doc.text(member));
        return match kind {
            Some(b"LLM" | b"EMBEDDING" | b"RERANKER") => {
                Some(by_output(facts.has(Mark::GenAiOutput), Rule::OpenInference))
            }
            _ => Some(Verdict::new(Kind::Application, Rule::OpenInference)),
        };
    }
    if facts.has_gen_ai && (facts.is_strong(Role::ModelName) || facts.is_strong(Role::Features)) {
        return Some(by_output(facts.has(Mark::GenAiOutput), Rule::GenAi));
    }
    if facts.has(Mark::CallType)
        && (facts.has(Mark::ResponseCost) || facts.is_strong(Role::OutputTokens))
    {
        return Some(Verdict::new(Kind::Prediction, Rule::LiteLlm));
    }
    (facts.has(Mark::Choices) && (facts.has(Mark::Usage) || facts.is_strong(Role::ModelName)))
        .then_some(Verdict::new(Kind::Prediction, Rule::OpenAi))
}

/// Bodies with no log line around them.
fn bare_bodies(facts: &Facts, roles: &Roles) -> Option<Verdict> {
    if roles.has(Role::Message) || roles.has(Role::EventName) || roles.has(Role::Level) {
        return None;
    }
    if facts.has(Mark::Predictions) {
        return Some(Verdict::new(Kind::Prediction, Rule::TfServing));
    }
    (facts.has(Mark::Instances) && !facts.is_strong(Role::Prediction))
        .then_some(Verdict::new(Kind::Request, Rule::TfServing))
}
