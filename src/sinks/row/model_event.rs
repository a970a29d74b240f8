//! What a model lives through as a typed row: loads, failures, unloads (`reference/ml.md` 2.1).
//!
//! Owns the columns and which members fill them. What all rows have in common was read before.

use std::borrow::Cow;

use super::alias::{Role, Unit};
use super::extras::{Extras, of};
use super::field::{Columns, Field, Place, Shape};
use super::{Json, MaybeText, Micros, Redaction, Row, Text};

/// The roles that have a column here.
pub(super) const ROLES: [Role; 12] = [
    Role::RequestId,
    Role::TraceId,
    Role::SpanId,
    Role::Time,
    Role::ModelName,
    Role::ModelVersion,
    Role::ModelDigest,
    Role::ModelUri,
    Role::CodeVersion,
    Role::StatusCode,
    Role::ErrorType,
    Role::ErrorMessage,
];

table! {
    /// One row of the table of model events.
    ModelEvent {
        /// Stable id of the event: the dedupe key.
        record_id: Text<'a>,
        /// The request that caused it, where the event names one.
        request_id: MaybeText<'a>,
        /// 32 hex digits.
        trace_id: MaybeText<'a>,
        /// 16 hex digits.
        span_id: MaybeText<'a>,
        /// When it happened.
        event_ts: Micros,
        /// When the event was read.
        ingest_ts: Micros,
        /// `event`, `observed` or `clamped`.
        ts_source: MaybeText<'a>,
        /// `load_start`, `loaded`, `load_failed`, `unloaded`, `error`, or `other`.
        event: Text<'a>,
        /// The event's own name or words.
        message: MaybeText<'a>,
        /// The rule that classified the event.
        classifier_rule: MaybeText<'a>,
        /// `service.name`.
        service: MaybeText<'a>,
        /// `k8s.namespace.name`.
        namespace: MaybeText<'a>,
        /// `k8s.pod.name`.
        pod: MaybeText<'a>,
        /// The model; the service where the event names none, `unknown` where nobody named that.
        model_name: Text<'a>,
        /// Its version.
        model_version: MaybeText<'a>,
        /// Digest of its artefact.
        model_digest: MaybeText<'a>,
        /// Where its artefact lies.
        model_uri: MaybeText<'a>,
        /// `service.version`, or what the event says.
        code_version: MaybeText<'a>,
        /// How long loading took.
        load_ms: Option<f64>,
        /// Size of the model.
        bytes: Option<i64>,
        /// Where it runs.
        device: MaybeText<'a>,
        /// HTTP or gRPC status.
        status_code: Option<i64>,
        /// Class of the error.
        error_type: MaybeText<'a>,
        /// Its message.
        error_message: MaybeText<'a>,
        /// Inclusion probability in (0, 1].
        sample_probability: f64,
        /// Its inverse.
        sample_weight: f64,
        /// The sampling rule that kept the event.
        sample_rule: MaybeText<'a>,
        /// The policy that protected the row.
        redaction_policy: MaybeText<'a>,
        /// What protection changed.
        redactions: Vec<Redaction<'a>>,
        /// What went wrong on the way here, in stable words.
        logging_errors: Vec<Cow<'a, str>>,
        /// Every member of the event that is in no other column.
        attributes: Option<Json<'a>>,
    }
}

const NAMES: [&str; 8] =
    ["event", "event_name", "action", "lifecycle", "message", "msg", "state", "status"];
const DEVICES: [&str; 4] = ["device", "device_id", "accelerator", "gpu"];
const SIZES: [&str; 5] = ["bytes", "model_bytes", "size_bytes", "model_size_bytes", "memory_bytes"];
/// Durations by their names, with the unit that each tells.
const LOADS: [(&str, Unit); 13] = [
    ("load_ms", Unit::Milliseconds),
    ("load_time_ms", Unit::Milliseconds),
    ("load_duration_ms", Unit::Milliseconds),
    ("model_load_ms", Unit::Milliseconds),
    ("model_load_time_ms", Unit::Milliseconds),
    ("duration_ms", Unit::Milliseconds),
    ("elapsed_ms", Unit::Milliseconds),
    ("load_time_s", Unit::Seconds),
    ("load_seconds", Unit::Seconds),
    ("load_time_seconds", Unit::Seconds),
    ("load_duration_seconds", Unit::Seconds),
    ("duration_seconds", Unit::Seconds),
    ("elapsed_seconds", Unit::Seconds),
];
/// Durations whose value must tell the unit (`1.2s`).
const LOADS_WITH_UNIT: [&str; 5] =
    ["load_time", "load_duration", "model_load_time", "duration", "elapsed"];

impl<'a> ModelEvent<'a> {
    /// What `row` is in this table.
    pub(super) fn of(row: &'a Row<'_>) -> Self {
        let mut extras = Extras::read(row.attributes.as_ref());
        let message = extras.text(&NAMES);
        let timed = LOADS.iter().find_map(|(name, unit)| extras.duration_ms(name, Some(*unit)));
        let load_ms = timed
            .or_else(|| LOADS_WITH_UNIT.iter().find_map(|name| extras.duration_ms(name, None)));
        let is_failed = row.error_message.is_some() || row.error_type.is_some();
        Self {
            record_id: Cow::Borrowed(&row.record_id),
            request_id: row.named_request_id().map(Cow::Borrowed),
            trace_id: of(&row.trace_id),
            span_id: of(&row.span_id),
            event_ts: row.event_ts,
            ingest_ts: row.ingest_ts,
            ts_source: of(&row.ts_source),
            event: event(message.as_deref().unwrap_or(""), load_ms.is_some(), is_failed).into(),
            message,
            classifier_rule: of(&row.classifier_rule),
            service: of(&row.service),
            namespace: of(&row.namespace),
            pod: of(&row.pod),
            model_name: Cow::Borrowed(&row.model_name),
            model_version: of(&row.model_version),
            model_digest: of(&row.model_digest),
            model_uri: of(&row.model_uri),
            code_version: of(&row.code_version),
            load_ms,
            bytes: extras.integer(&SIZES),
            device: extras.text(&DEVICES),
            status_code: row.status_code,
            error_type: of(&row.error_type),
            error_message: of(&row.error_message),
            sample_probability: row.sample_probability,
            sample_weight: row.sample_weight,
            sample_rule: of(&row.sample_rule),
            redaction_policy: of(&row.redaction_policy),
            redactions: row.redactions.clone(),
            logging_errors: row.logging_errors.clone(),
            attributes: extras.rest(),
        }
    }
}

/// What happened, by the event's words.
fn event(words: &str, is_timed: bool, is_failed: bool) -> &'static str {
    let words = words.to_ascii_lowercase();
    let has = |any: &[&str]| any.iter().any(|part| words.contains(part));
    let is_failure = is_failed || has(&["fail", "error", "exception", "could not", "unable"]);
    match () {
        () if is_failure && has(&["load", "start", "init"]) => "load_failed",
        () if is_failure => "error",
        () if has(&["unload", "removed", "stopped", "shutdown", "shut down"]) => "unloaded",
        () if has(&["loaded", "ready", "load_complete", "load_success", "warmed"]) || is_timed => {
            "loaded"
        }
        () if has(&["load", "starting", "initializ", "download", "warm"]) => "load_start",
        () => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened() {
        for (words, is_timed, is_failed, expected) in [
            ("model_loaded", false, false, "loaded"),
            ("successfully loaded 'densenet_onnx' version 1", false, false, "loaded"),
            ("Loading model weights", false, false, "load_start"),
            ("model_load", true, false, "loaded"),
            ("model_load_failed", false, false, "load_failed"),
            ("failed to load 'm' version 1", false, false, "load_failed"),
            ("model_load", false, true, "load_failed"),
            ("model_unloaded", false, false, "unloaded"),
            ("cuda out of memory", false, true, "error"),
            ("model_card", false, false, "other"),
        ] {
            assert_eq!(event(words, is_timed, is_failed), expected, "{words}");
        }
    }
}
