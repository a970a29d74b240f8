//! What data was found to be like as typed rows, one for each feature (`reference/ml.md` 4.4).
//!
//! Owns the columns, which members fill them, and how a report on many features becomes a row for
//! each: maps by feature (`null_rates: {amount: 0.01}`), and objects by feature
//! (`columns: {amount: {mean: 12.5}}`, or a list of objects that say their feature).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use super::alias::{Role, fold};
use super::extras::{Extras, of};
use super::field::{Columns, Field, Place, Shape};
use super::{Json, MaybeText, Micros, Redaction, Row, Text, are_too_many};
use crate::sinks::json;

/// The roles that have a column here.
pub(super) const ROLES: [Role; 10] = [
    Role::RequestId,
    Role::TraceId,
    Role::SpanId,
    Role::Time,
    Role::ModelName,
    Role::ModelVersion,
    Role::CodeVersion,
    Role::FeatureSchemaHash,
    Role::ErrorType,
    Role::ErrorMessage,
];

table! {
    /// One row of the table of data profiles.
    DataProfile {
        /// Stable id of the event, with `.<row_index>` for its later rows: the dedupe key.
        record_id: Text<'a>,
        /// Position among the rows of this event.
        row_index: i64,
        /// The request that caused it, where the event names one.
        request_id: MaybeText<'a>,
        /// 32 hex digits.
        trace_id: MaybeText<'a>,
        /// 16 hex digits.
        span_id: MaybeText<'a>,
        /// When it was said.
        event_ts: Micros,
        /// When the event was read.
        ingest_ts: Micros,
        /// `event`, `observed` or `clamped`.
        ts_source: MaybeText<'a>,
        /// When the data begins that it is about.
        window_start: Option<Micros>,
        /// When that data ends.
        window_end: Option<Micros>,
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
        /// `service.version`, or what the event says.
        code_version: MaybeText<'a>,
        /// Hash of the feature names and types.
        feature_schema_hash: MaybeText<'a>,
        /// The dataset.
        dataset: MaybeText<'a>,
        /// The feature; none where the event is about all of the data.
        feature: MaybeText<'a>,
        /// Its type.
        data_type: MaybeText<'a>,
        /// Values that were looked at.
        n: Option<i64>,
        /// Of them without a value.
        null_n: Option<i64>,
        /// The part of them without a value, in [0, 1].
        null_rate: Option<f64>,
        /// Different values.
        distinct_n: Option<i64>,
        /// The smallest.
        min: Option<f64>,
        /// The largest.
        max: Option<f64>,
        /// Their mean.
        mean: Option<f64>,
        /// Their standard deviation.
        stddev: Option<f64>,
        /// Quantiles as they were said.
        quantiles: Option<Json<'a>>,
        /// A histogram as it was said.
        histogram: Option<Json<'a>>,
        /// Values outside their range.
        out_of_range: Option<i64>,
        /// Categories never seen in training.
        unseen: Option<i64>,
        /// Population stability index.
        psi: Option<f64>,
        /// Jensen-Shannon divergence.
        js: Option<f64>,
        /// Kolmogorov-Smirnov statistic.
        ks: Option<f64>,
        /// A distance that does not say which.
        drift_score: Option<f64>,
        /// Whether it was called drift.
        is_drift: Option<bool>,
        /// What was compared with.
        reference_id: MaybeText<'a>,
        /// Whether a check was passed.
        is_success: Option<bool>,
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

/// Names of the columns that hold a number of one feature; each may also be a map by feature.
mod names {
    pub(super) const N: [&str; 7] =
        ["n", "count", "n_rows", "row_count", "num_rows", "num_present", "total"];
    pub(super) const NULL_N: [&str; 7] =
        ["null_n", "null_count", "nulls", "missing", "num_missing", "missing_count", "n_missing"];
    pub(super) const NULL_RATE: [&str; 4] =
        ["null_rate", "missing_rate", "null_fraction", "null_ratio"];
    pub(super) const DISTINCT_N: [&str; 5] =
        ["distinct_n", "distinct_count", "n_unique", "unique_count", "cardinality"];
    pub(super) const MIN: [&str; 2] = ["min", "minimum"];
    pub(super) const MAX: [&str; 2] = ["max", "maximum"];
    pub(super) const MEAN: [&str; 2] = ["mean", "avg"];
    pub(super) const STDDEV: [&str; 3] = ["stddev", "std", "std_dev"];
    pub(super) const OUT_OF_RANGE: [&str; 2] = ["out_of_range", "out_of_range_count"];
    pub(super) const UNSEEN: [&str; 3] = ["unseen", "unseen_categories", "unseen_count"];
    pub(super) const PSI: [&str; 1] = ["psi"];
    pub(super) const JS: [&str; 3] = ["js", "js_divergence", "jensen_shannon"];
    pub(super) const KS: [&str; 3] = ["ks", "ks_statistic", "ks_lower"];
    pub(super) const DRIFT: [&str; 3] = ["drift_score", "drift", "drift_distance"];
    pub(super) const ALL: [&[&str]; 14] = [
        &N,
        &NULL_N,
        &NULL_RATE,
        &DISTINCT_N,
        &MIN,
        &MAX,
        &MEAN,
        &STDDEV,
        &OUT_OF_RANGE,
        &UNSEEN,
        &PSI,
        &JS,
        &KS,
        &DRIFT,
    ];
    pub(super) const FEATURE: [&str; 5] =
        ["feature", "feature_name", "column", "column_name", "variable"];
    /// Objects by feature, or lists of objects that say theirs.
    pub(super) const REPORTS: [&str; 8] = [
        "features",
        "columns",
        "profiles",
        "profile",
        "statistics",
        "stats",
        "variables",
        "feature_stats",
    ];
}

/// Every name that means something here, and their plurals.
#[cfg(test)]
pub(super) fn every_profile_name() -> impl Iterator<Item = &'static str> {
    let all = names::ALL.iter().copied().flatten().chain(&names::FEATURE).chain(&names::REPORTS);
    all.copied().chain(["null_rates", "drift_scores", "counts", "window_start", "dataset"])
}

const MESSAGES: [&str; 4] = ["event", "event_name", "message", "msg"];
const WINDOW_STARTS: [&str; 3] = ["window_start", "period_start", "from"];
const WINDOW_ENDS: [&str; 3] = ["window_end", "period_end", "to"];

impl<'a> DataProfile<'a> {
    /// What `row` is in this table.
    pub(super) fn of(row: &'a Row<'_>) -> Self {
        let mut extras = Extras::read(row.attributes.as_ref());
        Self {
            record_id: Cow::Borrowed(&row.record_id),
            row_index: row.row_index,
            request_id: row.named_request_id().map(Cow::Borrowed),
            trace_id: of(&row.trace_id),
            span_id: of(&row.span_id),
            event_ts: row.event_ts,
            ingest_ts: row.ingest_ts,
            ts_source: of(&row.ts_source),
            window_start: extras.time(&WINDOW_STARTS),
            window_end: extras.time(&WINDOW_ENDS),
            message: extras.text(&MESSAGES),
            classifier_rule: of(&row.classifier_rule),
            service: of(&row.service),
            namespace: of(&row.namespace),
            pod: of(&row.pod),
            model_name: Cow::Borrowed(&row.model_name),
            model_version: of(&row.model_version),
            code_version: of(&row.code_version),
            feature_schema_hash: of(&row.feature_schema_hash),
            dataset: extras.text(&["dataset", "dataset_name", "table"]),
            feature: extras.text(&names::FEATURE),
            data_type: extras.text(&["data_type", "dtype", "type"]),
            n: extras.integer(&names::N),
            null_n: extras.integer(&names::NULL_N),
            null_rate: extras.double(&names::NULL_RATE),
            distinct_n: extras.integer(&names::DISTINCT_N),
            min: extras.double(&names::MIN),
            max: extras.double(&names::MAX),
            mean: extras.double(&names::MEAN),
            stddev: extras.double(&names::STDDEV),
            quantiles: extras.json(&["quantiles", "percentiles"]),
            histogram: extras.json(&["histogram", "bins"]),
            out_of_range: extras.integer(&names::OUT_OF_RANGE),
            unseen: extras.integer(&names::UNSEEN),
            psi: extras.double(&names::PSI),
            js: extras.double(&names::JS),
            ks: extras.double(&names::KS),
            drift_score: extras.double(&names::DRIFT),
            is_drift: extras.boolean(&["is_drift", "drift_detected", "drifted"]),
            reference_id: extras.text(&["reference_id", "reference", "baseline"]),
            is_success: extras.boolean(&["is_success", "success", "passed", "valid"]),
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

/// Calls `each` with a row for every feature that `row` reports on, or with it alone.
pub(super) fn each_feature(row: &Row<'_>, each: &mut impl FnMut(&Row<'_>)) {
    let members = row.attributes.as_ref().and_then(|Json(text)| json::object(text));
    let Some(members) = members else { return each(row) };
    let mut own_bytes = 0;
    // By feature its own members.
    let mut features: BTreeMap<Cow<'_, str>, Vec<(Cow<'_, str>, &str)>> = BTreeMap::new();
    let mut shared = Vec::new();
    for (name, value) in &members {
        match by_feature(name, value) {
            Some(found) => {
                own_bytes += value.len();
                for (feature, inner) in found {
                    features.entry(feature).or_default().extend(inner);
                }
            }
            None => shared.push((name, *value)),
        }
    }
    if features.is_empty() {
        return each(row);
    }
    if are_too_many(features.len(), row.weight() - own_bytes) {
        let mut row = row.clone();
        row.logging_errors.push("BATCH_TOO_LARGE".into());
        return each(&row);
    }
    for (index, (feature, own)) in (0..).zip(&features) {
        let mut quoted = Vec::new();
        json::write_string(&mut quoted, feature);
        let quoted = String::from_utf8(quoted).unwrap_or_default();
        let first = std::iter::once(("feature", quoted.as_str()));
        let own_members = own.iter().map(|(name, value)| (&**name, *value));
        let others = shared.iter().map(|(name, value)| (&***name, *value));
        let attributes = json::object_of(first.chain(own_members).chain(others));
        let attributes = attributes.map(|text| Json(text.into()));
        let record_id = match index {
            0 => row.record_id.clone(),
            _ => format!("{}.{index}", row.record_id).into(),
        };
        each(&Row { record_id, row_index: index, attributes, ..row.clone() });
    }
}

/// Folded names, once for all lines: each member of each is looked up.
struct ByFeature {
    reports: HashSet<String>,
    /// The names of columns and their plurals, with the column's first name.
    columns: HashMap<String, &'static str>,
}

static BY_FEATURE: LazyLock<ByFeature> = LazyLock::new(|| {
    let mut columns = HashMap::new();
    for all in names::ALL {
        for name in all.iter().map(|name| fold(name)) {
            columns.entry(name.clone() + "s").or_insert(all[0]);
            columns.entry(name).or_insert(all[0]);
        }
    }
    ByFeature { reports: names::REPORTS.iter().map(|name| fold(name)).collect(), columns }
});

/// What one feature says of itself.
type Own<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// The features of a member that is a map by feature, each with its members.
fn by_feature<'a>(name: &str, value: &'a str) -> Option<Vec<(Cow<'a, str>, Own<'a>)>> {
    if !value.starts_with(['{', '[']) {
        return None;
    }
    let name = fold(name);
    if BY_FEATURE.reports.contains(&name) {
        return match value.as_bytes().first()? {
            b'{' => {
                let features = json::object(value)?;
                let read =
                    |(feature, inner): json::Member<'a>| Some((feature, json::object(inner)?));
                let found: Option<Vec<_>> = features.into_iter().map(read).collect();
                found.filter(|found| !found.is_empty())
            }
            b'[' => {
                let found: Option<Vec<_>> =
                    json::array(value)?.into_iter().map(says_its_feature).collect();
                found.filter(|found| !found.is_empty())
            }
            _ => None,
        };
    }
    let column = *BY_FEATURE.columns.get(&name)?;
    let features = json::object(value).filter(|features| !features.is_empty())?;
    let are_numbers = features.iter().all(|(_, inner)| json::number(inner).is_some());
    are_numbers.then(|| {
        let own = |(feature, inner)| (feature, vec![(Cow::Borrowed(column), inner)]);
        features.into_iter().map(own).collect()
    })
}

fn says_its_feature(element: &str) -> Option<(Cow<'_, str>, Own<'_>)> {
    let mut members = json::object(element)?;
    let is_name = |(name, _): &json::Member<'_>| {
        fold(name) == "name" || names::FEATURE.iter().any(|one| fold(one) == fold(name))
    };
    let at = members.iter().position(is_name)?;
    let (_, feature) = members.remove(at);
    Some((json::string(feature)?, members))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(attributes: &str) -> Vec<String> {
        let attributes = Some(Json(attributes.into()));
        let row = Row { record_id: "r".into(), attributes, ..Row::default() };
        let mut found = Vec::new();
        each_feature(&row, &mut |row| {
            let attributes = row.attributes.as_ref().map_or("", |Json(text)| text);
            found.push(format!("{} {attributes}", row.record_id));
        });
        found
    }

    #[test]
    fn a_row_for_each_feature() {
        for (attributes, rows) in [
            (r#"{"a":1}"#, vec![r#"r {"a":1}"#]),
            (
                r#"{"null_rates":{"x":0.50,"y":0},"mean":{"x":2},"dataset":"d"}"#,
                vec![
                    r#"r {"feature":"x","null_rate":0.50,"mean":2,"dataset":"d"}"#,
                    r#"r.1 {"feature":"y","null_rate":0,"dataset":"d"}"#,
                ],
            ),
            (
                r#"{"columns":{"x":{"min":1,"max":2}},"max":9}"#,
                vec![r#"r {"feature":"x","min":1,"max":2,"max":9}"#],
            ),
            (
                r#"{"columns":[{"name":"x","psi":0.1},{"column":"y","psi":0.2}]}"#,
                vec![r#"r {"feature":"x","psi":0.1}"#, r#"r.1 {"feature":"y","psi":0.2}"#],
            ),
            // Not by feature throughout: it stays as it is.
            (r#"{"columns":["x","y"]}"#, vec![r#"r {"columns":["x","y"]}"#]),
            (r#"{"null_rates":{"x":"?"}}"#, vec![r#"r {"null_rates":{"x":"?"}}"#]),
            (r#"{"null_rates":{}}"#, vec![r#"r {"null_rates":{}}"#]),
        ] {
            assert_eq!(features(attributes), rows, "{attributes}");
        }
    }
}
