//! One event as a typed row, and the list of its table's columns: the fields of [`Row`] in their
//! order are the columns of the embedded store's Parquet and of the BigQuery table alike. How an
//! event becomes rows is [`build`]; which names of which framework fill which column is [`alias`].
//!
//! Predictions have companions with columns of their own ([`schema`]): what a model lives through,
//! what data was found to be like, what sampling saw and kept.

/// Declares the rows of a table, its schema and the order in which fields reach their columns at
/// once, so that the three cannot drift apart.
macro_rules! table {
    ($(#[$about:meta])+ $row:ident {
        $($(#[doc = $doc:literal])+ $name:ident: $type:ty,)+
    }) => {
        $(#[$about])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $row<'a> { $($(#[doc = $doc])+ pub $name: $type,)+ }

        impl<'a> $row<'a> {
            /// The columns in their order.
            pub const SHAPES: [(&'static str, Shape); [$(stringify!($name)),+].len()] =
                [$((stringify!($name), <$type as Field>::SHAPE)),+];

            /// Tells all that the row holds, field by field.
            pub(in crate::sinks) fn tell(&self, columns: &mut impl Columns) {
                let (mut field, mut leaf) = (0, 0);
                $(
                    self.$name.tell(Place { field, leaf }, columns);
                    field += 1;
                    leaf += const { <$type as Field>::SHAPE.n_leaves() };
                )+
                let _ = (field, leaf);
            }
        }
    };
}

pub mod alias;
pub mod build;
mod columns;
pub mod data_profile;
mod extras;
pub mod field;
mod logfmt;
mod mapping;
mod members;
pub mod model_event;
mod redactions;
pub mod sampling_window;
pub mod schema;
mod text;
mod values;

use std::borrow::Cow;

use field::{Columns, Element, Field, Leaf, Place, Shape, Value};

/// `service.name` where nobody said one, as OpenTelemetry has it.
pub const UNNAMED_SERVICE: &str = "unknown_service";

/// The longest event that becomes a row or a line; longer ones are refused as `line_too_long`.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// What the rows of one event may take together: they must fit into one request.
///
/// # Why
/// What all items of a batch share stands in each of their rows: a line of 256 KiB can hold a
/// hundred thousand items beside a text of half its length, and would be gigabytes of rows.
const EVENT_ROWS_BYTES_MAX: usize = 8 << 20;
/// What a row takes beside its texts, in a body and on its way there.
const ROW_BYTES: usize = 512;

/// Words for the numbers in a record, which the rows carry; config knows them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By [`crate::event::record::Record::rule`]; rule 0 has no name.
    pub classifier_rules: Vec<String>,
    /// By [`crate::event::record::Record::sampling_rule`].
    pub sampling_rules: Vec<String>,
    /// Name or digest of the tier's policy; empty where there is none.
    pub policy: String,
}

/// JSON text as it stood in the event, numbers to the byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json<'a>(pub Cow<'a, str>);

/// Microseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Micros(pub i64);

/// One class and its score.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScore<'a> {
    /// The class; its position where the source names none.
    pub label: Cow<'a, str>,
    /// Its score.
    pub score: f64,
}

/// One feature flag of the serving code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureFlag<'a> {
    /// The flag's name.
    pub key: Cow<'a, str>,
    /// The variant that served this request.
    pub variant: Cow<'a, str>,
}

/// What protection changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction<'a> {
    /// The field, `*` for the elements of a list; none where only the line as a whole is known to
    /// have been changed.
    pub path: Option<Cow<'a, str>>,
    /// What was found there.
    pub entity: Option<Cow<'a, str>>,
    /// `mask`, `hash`, `changed` (dropped, cut or made coarser), or `others`, which are too many.
    pub action: Cow<'a, str>,
    /// How often.
    pub n: Option<i64>,
}

/// A text column that is never null.
pub type Text<'a> = Cow<'a, str>;
/// A text column.
pub type MaybeText<'a> = Option<Cow<'a, str>>;

table! {
    /// One row of the predictions table (`reference/ml.md` 2.1; one per model output row).
    Row {
        /// Stable id of the event, with `.<row_index>` for later rows of a batch: the dedupe key.
        record_id: Text<'a>,
        /// The request; the record id where the event names none.
        request_id: Text<'a>,
        /// Position within the batch of this request.
        row_index: i64,
        /// Rows of the request, where the event is a batch.
        batch_size: Option<i64>,
        /// The key that supplied the request id, or `generated`.
        request_id_source: MaybeText<'a>,
        /// The id that the caller gave.
        client_request_id: MaybeText<'a>,
        /// The request that caused this one.
        parent_request_id: MaybeText<'a>,
        /// Session or conversation.
        session_id: MaybeText<'a>,
        /// 32 hex digits.
        trace_id: MaybeText<'a>,
        /// 16 hex digits.
        span_id: MaybeText<'a>,
        /// When it happened.
        event_ts: Micros,
        /// When the request came in, where the event tells.
        request_ts: Option<Micros>,
        /// When the answer went out, where the event tells.
        response_ts: Option<Micros>,
        /// When the event was read.
        ingest_ts: Micros,
        /// `event`, `observed` or `clamped`.
        ts_source: MaybeText<'a>,
        /// `prediction` (with its features), `request_only`, `prediction_only`, `error`; for other
        /// kinds that a rule sent here, the kind.
        record_kind: Text<'a>,
        /// The serving framework.
        framework: MaybeText<'a>,
        /// The rule that classified the event.
        classifier_rule: MaybeText<'a>,
        /// `service.name`.
        service: MaybeText<'a>,
        /// `k8s.namespace.name`.
        namespace: MaybeText<'a>,
        /// `k8s.pod.name`.
        pod: MaybeText<'a>,
        /// Endpoint that was called.
        endpoint: MaybeText<'a>,
        /// Traffic variant (canary, A/B).
        variant: MaybeText<'a>,
        /// HTTP route.
        route: MaybeText<'a>,
        /// The model; the service where the event names none, `unknown` where nobody named that.
        model_name: Text<'a>,
        /// Its version.
        model_version: MaybeText<'a>,
        /// Digest of its artefact.
        model_digest: MaybeText<'a>,
        /// Where its artefact lies.
        model_uri: MaybeText<'a>,
        /// Hash of the feature names and types.
        feature_schema_hash: MaybeText<'a>,
        /// `service.version`, or what the event says.
        code_version: MaybeText<'a>,
        /// `ok`, `error`, or the source's own word where it is neither.
        status: Text<'a>,
        /// HTTP or gRPC status.
        status_code: Option<i64>,
        /// Class of the error.
        error_type: MaybeText<'a>,
        /// Its message.
        error_message: MaybeText<'a>,
        /// Whole latency.
        latency_ms: Option<f64>,
        /// Waiting for a worker.
        queue_ms: Option<f64>,
        /// Preparing the input.
        preprocess_ms: Option<f64>,
        /// In the model.
        inference_ms: Option<f64>,
        /// Preparing the output.
        postprocess_ms: Option<f64>,
        /// Time to first token.
        ttft_ms: Option<f64>,
        /// Input features as logged.
        features: Option<Json<'a>>,
        /// Features that the model saw.
        feature_count: Option<i64>,
        /// Whether `features` holds all of them.
        features_complete: Option<bool>,
        /// Keyed hash of the features before redaction.
        features_hmac: MaybeText<'a>,
        /// Content type of the payload.
        content_type: MaybeText<'a>,
        /// Size of the payload.
        payload_bytes: Option<i64>,
        /// Where a payload lies that was too large for the row.
        payload_uri: MaybeText<'a>,
        /// Its digest.
        payload_sha256: MaybeText<'a>,
        /// Output as logged.
        prediction: Option<Json<'a>>,
        /// The predicted class.
        prediction_label: MaybeText<'a>,
        /// The predicted number.
        prediction_value: Option<f64>,
        /// Confidence of the prediction.
        confidence: Option<f64>,
        /// Scores of all classes.
        class_scores: Vec<ClassScore<'a>>,
        /// Outlier score.
        outlier_score: Option<f64>,
        /// Outlier verdict.
        is_outlier: Option<bool>,
        /// Explanation (attributions) as logged.
        explanation: Option<Json<'a>>,
        /// Tokens in.
        input_tokens: Option<i64>,
        /// Tokens out.
        output_tokens: Option<i64>,
        /// Why generation ended.
        finish_reasons: Vec<Cow<'a, str>>,
        /// Flags of the serving code.
        feature_flags: Vec<FeatureFlag<'a>>,
        /// Inclusion probability in (0, 1].
        sample_probability: f64,
        /// Its inverse: `SUM(sample_weight)` estimates the number of all events.
        sample_weight: f64,
        /// The sampling rule that kept the event.
        sample_rule: MaybeText<'a>,
        /// Its stratum.
        stratum: MaybeText<'a>,
        /// OpenTelemetry `th`.
        sample_threshold: MaybeText<'a>,
        /// OpenTelemetry `rv`.
        sample_randomness: MaybeText<'a>,
        /// What the source had kept of before it came here.
        upstream_probability: Option<f64>,
        /// The policy that protected the row.
        redaction_policy: MaybeText<'a>,
        /// The pseudonym key's id.
        redaction_key_id: MaybeText<'a>,
        /// What protection changed.
        redactions: Vec<Redaction<'a>>,
        /// Declared features that are missing.
        missing_features: Option<i64>,
        /// Features of another type than declared.
        type_mismatches: Option<i64>,
        /// Features outside their range.
        out_of_range: Option<i64>,
        /// Categories never seen in training.
        unseen_categories: Option<i64>,
        /// `exact`, `sampled_features`, `truncated`, `none`; null where only the policy could tell.
        replayable: MaybeText<'a>,
        /// What went wrong on the way here, in stable words.
        logging_errors: Vec<Cow<'a, str>>,
        /// Every member of the event that is in no other column.
        attributes: Option<Json<'a>>,
    }
}

/// Whether `n` rows are more than one event may become, each with so many bytes that are in all.
fn are_too_many(n: usize, shared_bytes: usize) -> bool {
    shared_bytes.saturating_add(ROW_BYTES).saturating_mul(n) > EVENT_ROWS_BYTES_MAX
}

/// The source of a request id that nobody gave.
const GENERATED: &str = "generated";

impl Row<'_> {
    /// The request's id, where the event names one.
    pub(in crate::sinks) fn named_request_id(&self) -> Option<&str> {
        let source = self.request_id_source.as_deref()?;
        (source != GENERATED).then_some(&self.request_id)
    }

    /// Bytes of its texts.
    fn weight(&self) -> usize {
        let mut texts = Texts(0);
        self.tell(&mut texts);
        texts.0
    }
}

/// Counts the bytes of texts.
struct Texts(usize);

impl Texts {
    fn add(&mut self, value: Value<'_>) {
        if let Value::Text(text) = value {
            self.0 += text.len();
        }
    }
}

impl Columns for Texts {
    fn value(&mut self, _: Place, value: Value<'_>) {
        self.add(value);
    }

    fn element(&mut self, _: Place, _: usize, leaves: &[Option<Value<'_>>]) {
        leaves.iter().flatten().for_each(|value| self.add(*value));
    }
}

impl Element for ClassScore<'_> {
    const LIST: Shape =
        Shape::Structs(&[("label", Leaf::Text, false), ("score", Leaf::Double, false)]);

    fn leaves(&self, each: impl FnOnce(&[Option<Value<'_>>])) {
        each(&[Some(Value::Text(&self.label)), Some(Value::Double(self.score))]);
    }
}

impl Element for FeatureFlag<'_> {
    const LIST: Shape =
        Shape::Structs(&[("key", Leaf::Text, false), ("variant", Leaf::Text, false)]);

    fn leaves(&self, each: impl FnOnce(&[Option<Value<'_>>])) {
        each(&[Some(Value::Text(&self.key)), Some(Value::Text(&self.variant))]);
    }
}

impl Element for Redaction<'_> {
    const LIST: Shape = Shape::Structs(&[
        ("path", Leaf::Text, true),
        ("entity", Leaf::Text, true),
        ("action", Leaf::Text, false),
        ("n", Leaf::Integer, true),
    ]);

    fn leaves(&self, each: impl FnOnce(&[Option<Value<'_>>])) {
        each(&[
            self.path.as_deref().map(Value::Text),
            self.entity.as_deref().map(Value::Text),
            Some(Value::Text(&self.action)),
            self.n.map(Value::Integer),
        ]);
    }
}

#[cfg(test)]
mod tests;
