//! Which names of which framework mean what: the alias table of `reference/ml.md` 2.3 for the
//! columns of the predictions table. A name is folded (lower case, without `.`, `_`, `-`) before it
//! is looked up, nested names are joined to a path, and where several members mean the same the
//! first of the table's order wins.
//!
//! Deliberately knows nothing of values: a member whose value does not fit its column stays with the
//! attributes ([`super::build`]).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// The column (or part of one) that a member fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "named as the columns of `Row`, which documents them")]
pub enum Role {
    RequestId,
    ClientRequestId,
    ParentRequestId,
    SessionId,
    TraceId,
    SpanId,
    Time,
    ModelName,
    ModelVersion,
    ModelDigest,
    ModelUri,
    Endpoint,
    Variant,
    Route,
    CodeVersion,
    FeatureSchemaHash,
    Features,
    FeatureCount,
    Payload,
    Prediction,
    PredictionLabel,
    PredictionValue,
    Confidence,
    ClassScores,
    Latency,
    Queue,
    Preprocess,
    Inference,
    Postprocess,
    FirstToken,
    Status,
    StatusCode,
    ErrorType,
    ErrorMessage,
    ContentType,
    PayloadBytes,
    OutlierScore,
    IsOutlier,
    Explanation,
    InputTokens,
    OutputTokens,
    FinishReasons,
    FeatureFlags,
    MissingFeatures,
    OutOfRange,
    UnseenCategories,
    TypeMismatches,
}

/// Number of roles.
pub const N_ROLES: usize = Role::TypeMismatches as usize + 1;

/// What a folded name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The role.
    pub role: Role,
    /// Position in the role's list; the lowest wins.
    pub rank: u8,
    /// The unit of a duration, where the name tells it.
    pub unit: Option<Unit>,
    /// The name always holds one element per item of a batch.
    pub batch: bool,
    /// The name holds a selection of the features, by its own word.
    pub sample: bool,
}

/// A dot marks a level: `prediction.score` also finds `score` within the object `prediction`.
const TABLE: &[(Role, &[&str])] = &[
    (
        Role::RequestId,
        &[
            "request_id",
            "req_id",
            "x-request-id",
            "http.request_id",
            "request.id",
            "ce-id",
            "ce-requestid",
            "inference_id",
            "eventMetadata.inferenceId",
            "eventMetadata.eventId",
            "databricks_request_id",
            "invocation_id",
            "prediction_id",
            "correlation_id",
            "puid",
            "meta.puid",
            "execution_id",
            "transaction_id",
            "event_id",
            "gen_ai.request.id",
            "gen_ai.response.id",
            "call_id",
            "id",
        ],
    ),
    (Role::ClientRequestId, &["client_request_id"]),
    (Role::ParentRequestId, &["parent_request_id", "parent_id"]),
    (Role::SessionId, &["session_id", "session.id", "conversation_id", "gen_ai.conversation.id"]),
    (
        Role::TraceId,
        &[
            "trace_id",
            "trace.id",
            "trace",
            "otelTraceID",
            "logging.googleapis.com/trace",
            "traceparent",
            "x-b3-traceid",
            "x-amzn-trace-id",
            "dd.trace_id",
        ],
    ),
    (Role::SpanId, &["span_id", "span.id", "otelSpanID", "x-b3-spanid", "dd.span_id"]),
    (
        Role::Time,
        &[
            "timestamp",
            "ts",
            "time",
            "@timestamp",
            "asctime",
            "eventTime",
            "eventMetadata.inferenceTime",
            "logging_time",
            "request_time",
            "timestamp_ms",
            "timestamp_ns",
            "startTime",
        ],
    ),
    (
        Role::ModelName,
        &[
            "model_name",
            "model",
            "model.name",
            "model_id",
            "model.id",
            "ml.model.name",
            "gen_ai.request.model",
            "gen_ai.response.model",
            "llm.model_name",
            "inferenceservicename",
            "inference_service",
            "ce-modelid",
            "deployment",
            "deployed_model_id",
            "served_entity_id",
            "served_model_name",
            "endpoint_name",
            "bento_name",
            "bento_meta.bento_name",
            "component",
            "model_group",
            "algorithm",
        ],
    ),
    (
        Role::ModelVersion,
        &[
            "model_version",
            "model.version",
            "ml.model.version",
            "version",
            "revision",
            "bento_version",
            "bento_meta.bento_version",
            "release",
        ],
    ),
    (Role::ModelDigest, &["model_digest", "model.digest", "model_hash", "model_sha256"]),
    (Role::ModelUri, &["model_uri", "model.uri", "artifact_uri", "model_path"]),
    (Role::Endpoint, &["endpoint", "http.target", "url.path", "http.path"]),
    (Role::Variant, &["variant", "ab_variant", "experiment_variant"]),
    (Role::Route, &["route", "http.route"]),
    (Role::CodeVersion, &["code_version", "git_sha", "git_commit", "commit_sha"]),
    (Role::FeatureSchemaHash, &["feature_schema_hash", "schema_hash"]),
    (
        Role::Features,
        &[
            "features",
            "feature_sample",
            "feature_values",
            "inputs",
            "input",
            "instances",
            "data.instances",
            "data.inputs",
            "instance",
            "dataframe_records",
            "dataframe_split",
            "model_inputs",
            "request",
            "request_payload",
            "full_request",
            "payload",
            "X",
            "input_value",
            "prompt",
            "messages",
            "gen_ai.input.messages",
            "input.value",
            "captureData.endpointInput",
        ],
    ),
    (Role::FeatureCount, &["feature_count", "num_features", "n_features"]),
    (Role::Payload, &["data.ndarray", "data.tensor", "data.data", "data"]),
    (
        Role::Prediction,
        &[
            "prediction",
            "predictions",
            "data.predictions",
            "predicted",
            "pred",
            "y_pred",
            "y_hat",
            "output",
            "outputs",
            "data.outputs",
            "output_value",
            "target_pred",
            "completion",
            "choices",
            "gen_ai.output.messages",
            "output.value",
            "captureData.endpointOutput",
            "response",
            "response_payload",
            "full_response",
            "result",
            "results",
        ],
    ),
    (
        Role::PredictionLabel,
        &["prediction_label", "predicted_label", "predicted_class", "label", "class"],
    ),
    (Role::PredictionValue, &["prediction_value", "predicted_value"]),
    (
        Role::Confidence,
        &[
            "confidence",
            "score",
            "prob",
            "proba",
            "probability",
            "probabilities",
            "y_pred_proba",
            "prediction_score",
            "predicted_proba",
            "certainty",
            "softmax",
            "prediction.score",
            "prediction.confidence",
            "prediction.probability",
            "logprob",
        ],
    ),
    (Role::ClassScores, &["class_scores", "scores", "class_probabilities"]),
    (
        Role::Latency,
        &[
            "latency",
            "duration",
            "elapsed",
            "response_time",
            "execution_duration",
            "execution_time",
            "processing_time",
            "total_time",
            "took",
            "time_taken",
            "request_duration",
        ],
    ),
    (Role::Queue, &["queue", "queue_time", "queue_duration"]),
    (Role::Preprocess, &["preprocess", "preprocess_time", "preprocessing"]),
    (Role::Inference, &["inference", "inference_time", "predict", "predict_time"]),
    (Role::Postprocess, &["postprocess", "postprocess_time", "postprocessing"]),
    (Role::FirstToken, &["ttft", "time_to_first_token"]),
    (Role::Status, &["status", "outcome"]),
    (
        Role::StatusCode,
        &["status_code", "http.status_code", "http.response.status_code", "http.status", "code"],
    ),
    (
        Role::ErrorType,
        &[
            "error_type",
            "error.type",
            "exception.type",
            "error_class",
            "error_information.error_class",
        ],
    ),
    (
        Role::ErrorMessage,
        &[
            "error_message",
            "error.message",
            "exception.message",
            "error_str",
            "error_msg",
            "error",
            "err",
            "exception",
            "exc_info",
            "traceback",
            "stack",
        ],
    ),
    (Role::ContentType, &["content_type", "datacontenttype", "http.content_type"]),
    (Role::PayloadBytes, &["payload_bytes", "request_bytes", "content_length"]),
    (Role::OutlierScore, &["outlier_score", "anomaly_score"]),
    (Role::IsOutlier, &["is_outlier", "outlier", "is_anomaly"]),
    (Role::Explanation, &["explanation", "shap_values", "explanations", "feature_importances"]),
    (
        Role::InputTokens,
        &[
            "input_tokens",
            "prompt_tokens",
            "gen_ai.usage.input_tokens",
            "usage.prompt_tokens",
            "usage.input_tokens",
        ],
    ),
    (
        Role::OutputTokens,
        &[
            "output_tokens",
            "completion_tokens",
            "gen_ai.usage.output_tokens",
            "usage.completion_tokens",
            "usage.output_tokens",
            "generated_tokens",
        ],
    ),
    (
        Role::FinishReasons,
        &["finish_reasons", "finish_reason", "gen_ai.response.finish_reasons", "stop_reason"],
    ),
    (Role::FeatureFlags, &["feature_flags"]),
    (Role::MissingFeatures, &["missing_features", "num_missing"]),
    (Role::OutOfRange, &["out_of_range"]),
    (Role::UnseenCategories, &["unseen_categories", "unseen"]),
    (Role::TypeMismatches, &["type_mismatches"]),
];

/// Names whose value has one element per item of a batch, in every protocol that has them.
const BATCHES: [&str; 5] =
    ["instances", "data.instances", "dataframe_records", "predictions", "data.predictions"];

struct Table {
    aliases: HashMap<String, Alias>,
    /// Folded paths of objects that hold members with a role.
    prefixes: HashSet<String>,
}

static INDEX: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { aliases: HashMap::new(), prefixes: HashSet::new() };
    for &(role, names) in TABLE {
        for (rank, name) in names.iter().enumerate() {
            let batch = BATCHES.contains(name);
            let sample = *name == "feature_sample";
            let alias = Alias { role, rank: rank as u8, unit: None, batch, sample };
            table.aliases.entry(fold(name)).or_insert(alias);
            for (at, _) in name.match_indices('.') {
                table.prefixes.insert(fold(&name[..at]));
            }
        }
    }
    table
});

fn fold(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '.' | '_' | '-'));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

/// What one member of an object of a known shape is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its meaning, if the table has its name.
    pub alias: Option<Alias>,
    /// Its folded path, if members below it may have a meaning.
    pub prefix: Option<String>,
}

/// Looks the members of an object up, remembering the last few shapes: the lines of one logging
/// call have the same keys in the same order, and comparing them is cheaper than folding them.
#[derive(Debug, Default)]
pub struct Lookup {
    shapes: Vec<Shape>,
}

#[derive(Debug)]
struct Shape {
    prefix: String,
    keys: Vec<String>,
    slots: Vec<Slot>,
}

/// Shapes that are remembered.
const N_SHAPES: usize = 16;
/// Objects with more members are not remembered: they are maps from ids, not shapes.
const N_KEYS: usize = 64;

impl Lookup {
    /// The slots of an object at the folded path `prefix` with these members, in their order.
    pub fn slots(&mut self, prefix: &str, members: &[(Cow<'_, str>, &str)]) -> Cow<'_, [Slot]> {
        let same = |shape: &Shape| {
            shape.prefix == prefix
                && shape.keys.len() == members.len()
                && shape.keys.iter().zip(members).all(|(key, (other, _))| key == other)
        };
        if let Some(found) = self.shapes.iter().position(same) {
            return Cow::Borrowed(&self.shapes[found].slots);
        }
        let slots: Vec<Slot> = members.iter().map(|(key, _)| slot(prefix, key)).collect();
        if members.len() > N_KEYS {
            return Cow::Owned(slots);
        }
        if self.shapes.len() == N_SHAPES {
            self.shapes.remove(0);
        }
        let keys = members.iter().map(|(key, _)| key.clone().into_owned()).collect();
        self.shapes.push(Shape { prefix: prefix.to_owned(), keys, slots });
        Cow::Borrowed(self.shapes.last().map_or(&[], |shape| &shape.slots))
    }
}

fn slot(prefix: &str, key: &str) -> Slot {
    let path = prefix.to_owned() + &fold(key);
    let alias = INDEX.aliases.get(&path).copied().map(|alias| match unit_of(key) {
        Some((_, unit)) => Alias { unit: Some(unit), ..alias },
        None => alias,
    });
    let alias = alias.or_else(|| duration(prefix, key));
    let prefix = INDEX.prefixes.contains(&path).then_some(path);
    Slot { alias, prefix }
}

/// `latency_ms`: a name of the table with a unit behind it.
fn duration(prefix: &str, key: &str) -> Option<Alias> {
    let (name, unit) = unit_of(key)?;
    let alias = INDEX.aliases.get(&(prefix.to_owned() + &fold(name)))?;
    let is_duration = Role::Latency as u8..=Role::FirstToken as u8;
    is_duration.contains(&(alias.role as u8)).then_some(Alias { unit: Some(unit), ..*alias })
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the units of time")]
pub enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
    Minutes,
}

impl Unit {
    /// The unit with this name, as it stands behind a key or a value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "ms" | "millis" | "milliseconds" | "msec" => Unit::Milliseconds,
            "us" | "µs" | "μs" | "micros" | "microseconds" | "usec" => Unit::Microseconds,
            "ns" | "nanos" | "nanoseconds" | "nsec" => Unit::Nanoseconds,
            "s" | "sec" | "secs" | "seconds" => Unit::Seconds,
            "m" | "min" | "minutes" => Unit::Minutes,
            _ => return None,
        })
    }

    /// Milliseconds in one of it.
    #[must_use]
    pub fn ms(self) -> f64 {
        match self {
            Unit::Nanoseconds => 1e-6,
            Unit::Microseconds => 1e-3,
            Unit::Milliseconds => 1.0,
            Unit::Seconds => 1e3,
            Unit::Minutes => 6e4,
        }
    }
}

/// Splits `latency_ms` or `latencyMs` into its name and its unit.
fn unit_of(key: &str) -> Option<(&str, Unit)> {
    let separated = key.rsplit_once(['_', '-', '.']);
    let separated =
        separated.and_then(|(name, word)| Some((name, Unit::parse(&word.to_ascii_lowercase())?)));
    separated.or_else(|| {
        let camel = ["Ms", "Us", "Ns", "Millis", "Micros", "Nanos", "Seconds"].into_iter();
        camel.into_iter().find_map(|word| {
            Some((key.strip_suffix(word)?, Unit::parse(&word.to_ascii_lowercase())?))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(prefix: &str, key: &str) -> Option<(Role, Option<Unit>)> {
        slot(prefix, key).alias.map(|alias| (alias.role, alias.unit))
    }

    #[test]
    fn names_fold_and_nest() {
        for key in ["request_id", "requestId", "RequestId", "request-id", "REQUEST.ID"] {
            assert_eq!(role("", key), Some((Role::RequestId, None)), "{key}");
        }
        assert_eq!(slot("", "eventMetadata").prefix.as_deref(), Some("eventmetadata"));
        assert_eq!(role("eventmetadata", "inferenceId"), Some((Role::RequestId, None)));
        assert_eq!(role("prediction", "score"), Some((Role::Confidence, None)));
        assert_eq!(role("", "event"), None);
    }

    #[test]
    fn durations_by_name() {
        for (key, expected) in [
            ("latency_ms", Some((Role::Latency, Some(Unit::Milliseconds)))),
            ("latencyMs", Some((Role::Latency, Some(Unit::Milliseconds)))),
            ("elapsed_seconds", Some((Role::Latency, Some(Unit::Seconds)))),
            ("duration", Some((Role::Latency, None))),
            ("inference_time_us", Some((Role::Inference, Some(Unit::Microseconds)))),
            ("execution_duration_ms", Some((Role::Latency, Some(Unit::Milliseconds)))),
            ("predict_ms", Some((Role::Inference, Some(Unit::Milliseconds)))),
            ("timestamp_ms", Some((Role::Time, Some(Unit::Milliseconds)))),
            ("confidence_ms", None),
            ("class", Some((Role::PredictionLabel, None))),
        ] {
            assert_eq!(role("", key), expected, "{key}");
        }
    }

    #[test]
    fn shapes_are_told_apart_by_every_key() {
        let mut lookup = Lookup::default();
        let first = [(Cow::Borrowed("request_id"), "1"), (Cow::Borrowed("a"), "1")];
        let second = [(Cow::Borrowed("a"), "1"), (Cow::Borrowed("request_id"), "1")];
        for _ in 0..2 {
            assert!(lookup.slots("", &first)[0].alias.is_some());
            assert!(lookup.slots("", &second)[0].alias.is_none());
        }
        assert_eq!(lookup.shapes.len(), 2);
    }
}
