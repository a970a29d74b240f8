//! The rows. Adding a name here is all it takes to know a new logger.
//!
//! Names are written as their tool writes them; only their folded form counts. Sources: the log
//! lines of some twenty inference servers and loggers, structlog, python-json-logger, ECS,
//! OpenTelemetry semantic conventions (`gen_ai.*` in both the old and the new names), Datadog,
//! Google Cloud Logging, AWS X-Ray.

use super::super::roles::Role;
use super::Mark;
use super::Means::{Data, Load};
use super::Means::{Mark as Marked, Role as Plays};
use super::Row;
use super::Weight::{Strong, Weak};

const fn strong(role: Role, names: &'static [&'static str]) -> Row {
    Row { means: Plays(role), weight: Strong, rank: 0, names }
}

/// Weak names come after all strong ones of their role.
const fn weak(role: Role, names: &'static [&'static str]) -> Row {
    Row { means: Plays(role), weight: Weak, rank: 64, names }
}

const fn mark(mark: Mark, names: &'static [&'static str]) -> Row {
    Row { means: Marked(mark), weight: Strong, rank: 0, names }
}

/// All rows; at most 254, each with at most 64 names.
#[rustfmt::skip] // one row of the table, one paragraph
pub const ROWS: &[Row] = &[
    strong(Role::Time, &[
        "timestamp", "@timestamp", "time", "ts", "asctime", "event_time",
        "eventMetadata.inferenceTime", "inferenceTime", "logging_time", "request_time",
        "timestamp_ms", "timestamp_ns", "startTime", "created", "datetime", "created_at",
        "prediction_timestamp", "ce-time", "time.timestamp", "time.repr", "date", "t",
        "recordedtime",
    ]),
    strong(Role::Level, &[
        "level", "levelname", "severity", "severity_text", "log.level", "lvl", "levelno",
        "severity_number", "priority",
    ]),
    strong(Role::Message, &[
        "event", "message", "msg", "body", "text", "event.message", "log_message", "log",
    ]),
    strong(Role::EventName, &["event_name", "event_type", "event.action", "event_kind"]),
    strong(Role::Logger, &[
        "logger", "logger_name", "log.logger", "name", "target", "channel",
    ]),
    strong(Role::RequestId, &[
        "request_id", "req_id", "x-request-id", "http.request_id", "ml.request.id",
        "ce-requestid", "inference_id", "eventMetadata.inferenceId",
        "eventMetadata.eventId", "databricks_request_id", "invocation_id", "prediction_id",
        "correlation_id", "puid", "meta.puid", "x-correlation-id", "execution_id",
        "transaction_id", "event_id", "client_request_id", "gen_ai.request.id",
        "gen_ai.response.id", "call_id", "aws_request_id", "rid",
    ]),
    strong(Role::TraceId, &[
        "trace_id", "otelTraceID", "dd.trace_id", "logging.googleapis.com/trace",
        "traceparent", "x-b3-traceid", "x-amzn-trace-id", "trace",
    ]),
    strong(Role::SpanId, &[
        "span_id", "otelSpanID", "x-b3-spanid", "logging.googleapis.com/spanId",
        "dd.span_id",
    ]),
    strong(Role::ModelName, &[
        "model_name", "model", "model_id", "ml.model.name", "gen_ai.request.model",
        "gen_ai.response.model", "llm.model_name", "inferenceservicename",
        "inference_service", "Ce-Modelid", "ce-inferenceservice", "deployed_model_id",
        "served_entity_id", "served_model_name", "request_metadata.model_name",
        "bento_name", "bento_meta.bento_name", "model_group", "model_slug",
    ]),
    // Ray's `deployment` is a model; everybody's `component` is not.
    weak(Role::ModelName, &["deployment", "endpoint_name", "algorithm", "component"]),
    strong(Role::ModelVersion, &[
        "model_version", "ml.model.version", "bento_version", "bento_meta.bento_version",
        "request_metadata.model_version",
    ]),
    weak(Role::ModelVersion, &["version", "revision", "variant", "release"]),
    strong(Role::Features, &[
        "features", "feature_sample", "feature_values", "instances", "instance",
        "dataframe_records", "dataframe_split", "data.ndarray", "model_inputs",
        "feature_vector", "input_features", "endpointInput.data",
        "captureData.endpointInput.data", "full_request", "request_payload",
        "gen_ai.input.messages", "input.value", "gen_ai.prompt",
    ]),
    weak(Role::Features, &[
        "inputs", "input", "input_data", "request", "payload", "X", "prompt", "messages",
        "rows",
    ]),
    strong(Role::FeatureCount, &[
        "feature_count", "num_features", "n_features", "ml.feature.count",
        "features_count",
    ]),
    strong(Role::Prediction, &[
        "prediction", "predictions", "predicted", "pred", "preds", "y_pred", "y_hat",
        "predicted_value", "prediction_value", "ml.prediction.value", "prediction_result",
        "predicted_label", "prediction_label", "predicted_class", "target_pred",
        "model_output", "model_outputs", "endpointOutput.data",
        "captureData.endpointOutput.data", "captureData.endpointOutput",
        "response_payload", "full_response", "gen_ai.output.messages", "output.value",
        "gen_ai.completion",
    ]),
    weak(Role::Prediction, &[
        "outputs", "output", "results", "result", "response", "label", "class", "scores",
        "completion", "choices", "classification", "detections",
    ]),
    strong(Role::Label, &[
        "prediction.label", "predicted_label", "predicted_class", "prediction.class",
        "ml.prediction.label", "prediction.predicted_class",
    ]),
    weak(Role::Label, &["label", "class"]),
    strong(Role::Confidence, &[
        "confidence", "y_pred_proba", "predicted_proba", "predicted_probability",
        "prediction_confidence", "prediction_score", "prediction.probability",
        "ml.prediction.confidence", "certainty", "confidence_score", "softmax",
    ]),
    weak(Role::Confidence, &[
        "score", "probability", "proba", "prob", "probabilities", "logprob",
    ]),
    strong(Role::Latency, &[
        "latency_ms", "duration_ms", "elapsed_ms", "response_time_ms",
        "execution_duration_ms", "execution_time_ms", "inference_ms", "predict_ms",
        "inference_time_ms", "prediction_time_ms", "ml.inference.duration_ms",
        "processing_time_ms", "total_ms", "latency_us", "latency_ns", "latency_s",
        "latency_seconds", "duration_s", "duration_seconds", "elapsed_seconds",
        "processing_time", "response_time", "total_time", "inference_time", "took",
        "duration", "elapsed", "time_taken", "latency", "took_ms", "duration_us",
        "duration_ns",
    ]),
    strong(Role::Status, &[
        "status", "status_code", "http.status_code", "http.response.status_code", "code",
        "outcome", "response_code",
    ]),
    strong(Role::Error, &[
        "error", "err", "exception", "exc_info", "error_str",
        "error_information.error_class", "error.message", "error.type", "exception.type",
        "exception.message", "exception.stacktrace", "traceback", "stack", "stack_trace",
        "error.stack_trace",
    ]),
    strong(Role::SessionId, &["session_id", "gen_ai.conversation.id"]),
    strong(Role::InputTokens, &[
        "input_tokens", "prompt_tokens", "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens", "usage.prompt_tokens", "usage.input_tokens",
        "llm.token_count.prompt",
    ]),
    strong(Role::OutputTokens, &[
        "output_tokens", "completion_tokens", "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens", "usage.completion_tokens", "usage.output_tokens",
        "llm.token_count.completion",
    ]),
    Row { means: Data, weight: Strong, rank: 0, names: &[
        "schema", "columns", "dtypes", "null_rate", "null_rates", "null_count",
        "null_counts", "missing", "missing_rate", "missing_values", "num_missing",
        "missing_features", "completeness", "distinct_count", "out_of_range",
        "out_of_range_count", "unseen", "unseen_categories", "drift_score",
        "drift_detected", "drift_share", "psi", "kl_divergence", "js_distance",
        "wasserstein", "n_rows", "row_count", "num_present", "dataset", "expectation",
        "expectation_type", "expectation_config", "success_percent", "anomaly_info",
        "schema_valid", "validation_errors", "type_mismatches", "duplicate_rows",
        "drifted_columns", "p_value",
    ] },
    // Statistics are data quality only beside a word of the row above.
    Row { means: Data, weight: Weak, rank: 0, names: &[
        "min", "max", "mean", "std", "stddev", "quantiles", "range", "feature", "column",
        "feature_name", "baseline", "reference", "rows", "threshold",
    ] },
    Row { means: Load, weight: Strong, rank: 0, names: &[
        "load_time", "load_time_ms", "load_time_s", "load_duration", "load_duration_ms",
        "model_load_time", "model_load_ms", "num_gpu_blocks", "load_seconds",
    ] },
    Row { means: Load, weight: Weak, rank: 0, names: &[
        "checkpoint", "weights", "artifact", "artifact_uri", "model_path", "gpu_memory",
        "model_uri", "gpu_memory_gb", "device", "model_size_mb", "warmup_ms",
    ] },
    mark(Mark::SpecVersion, &["specversion", "ce-specversion"]),
    mark(Mark::CeType, &["type", "ce-type"]),
    mark(Mark::CeId, &["id", "ce-id"]),
    mark(Mark::CaptureData, &["captureData"]),
    mark(Mark::CaptureOutput, &["captureData.endpointOutput"]),
    mark(Mark::EventMetadata, &["eventMetadata"]),
    mark(Mark::InputsDatatype, &["inputs[].datatype"]),
    mark(Mark::OutputsDatatype, &["outputs[].datatype"]),
    mark(Mark::BentoMeta, &["bento_meta"]),
    mark(Mark::MetaData, &["meta_data"]),
    mark(Mark::ColumnsRole, &["columns[].role"]),
    mark(Mark::TritonTimestamps, &["timestamps[].ns"]),
    mark(Mark::TritonActivity, &["activity"]),
    mark(Mark::TritonParent, &["parent_id"]),
    mark(Mark::Databricks, &["databricks_request_id", "served_entity_id"]),
    mark(Mark::VertexModel, &["deployed_model_id"]),
    mark(Mark::SpanKind, &["openinference.span.kind"]),
    mark(Mark::CallType, &["call_type"]),
    mark(Mark::ResponseCost, &["response_cost"]),
    mark(Mark::Choices, &["choices"]),
    mark(Mark::Usage, &["usage"]),
    mark(Mark::Instances, &["instances", "dataframe_split", "dataframe_records"]),
    mark(Mark::Predictions, &["predictions"]),
    mark(Mark::GenAiOutput, &[
        "gen_ai.output.messages", "gen_ai.completion", "gen_ai.response.finish_reasons",
        "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens",
        "gen_ai.response.id", "llm.token_count.completion", "output.value",
    ]),
    mark(Mark::SeverityNumber, &["severity_number"]),
    mark(Mark::Exception, &[
        "exception", "exc_info", "exception.type", "exception.message", "exception.stacktrace",
        "traceback", "stack_trace", "error.stack_trace",
    ]),
];
