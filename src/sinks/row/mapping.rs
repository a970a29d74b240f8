//! Lets the members of one line fill the columns of one row, then draws what follows from them:
//! identity, output, features, status, and the rows of a batch.
//!
//! # Why
//! A column has at most one owner among the members. A member that loses its column to a better
//! name goes back to the attributes, so a line is never stored with less than it said.

use std::borrow::Cow;

use super::alias::{Alias, N_ROLES, Role};
use super::members::Members;
use super::schema::Schema;
use super::values::Output;
use super::{GENERATED, Json, MaybeText, Row, UNNAMED_SERVICE, are_too_many, columns, values};
use crate::event::batch::Event;
use crate::event::record::{Flags, Kind, Level};
use crate::pipeline::time;
use crate::sinks::json;

/// A line's members on their way into a row.
pub(super) struct Mapping<'r, 'a> {
    event: Event<'a>,
    row: &'r mut Row<'a>,
    members: &'r mut Members<'a>,
    schema: Schema,
    /// Per role the rank and index of the member that fills it.
    chosen: [Option<(u8, u32)>; N_ROLES],
    /// The id that the pipeline found in the line.
    request_id: Option<Cow<'a, str>>,
}

impl<'r, 'a> Mapping<'r, 'a> {
    pub(super) fn new(
        event: Event<'a>,
        row: &'r mut Row<'a>,
        members: &'r mut Members<'a>,
        schema: Schema,
    ) -> Self {
        let request_id = event.request_id().map(|raw| {
            let text = json::utf8(raw);
            if !text.contains('\\') {
                return text;
            }
            let decoded = serde_json::from_str(&format!("\"{text}\""));
            decoded.map_or(text, |decoded: String| Cow::Owned(decoded))
        });
        Self { event, row, members, schema, chosen: [None; N_ROLES], request_id }
    }

    /// Calls `each` with the row, or with the rows of a batch.
    pub(super) fn emit(mut self, each: &mut impl FnMut(&Row<'_>)) {
        for index in 0..self.members.0.len() {
            self.offer(index);
        }
        self.conclude_identity();
        self.conclude_output();
        self.conclude_features();
        self.conclude_status();
        let (features, prediction) = (self.items(Role::Features), self.items(Role::Prediction));
        self.release(features.as_deref(), prediction.as_deref());
        self.row.attributes = self.members.attributes().map(|text| Json(text.into()));
        match (features, prediction) {
            (Some(features), Some(prediction)) if features.len() != prediction.len() => {
                self.row.logging_errors.push("BATCH_LENGTH_MISMATCH".into());
                each(self.row);
            }
            (None, None) => self.schema.split(self.row, each),
            (features, prediction) => {
                self.explode(features.as_deref(), prediction.as_deref(), each);
            }
        }
    }

    /// Members whose columns the items of a batch fill with their own stay with the attributes.
    fn release(&mut self, features: Option<&[&str]>, prediction: Option<&[&str]>) {
        let chosen = |role: Role| self.chosen[role as usize].map(place);
        let mut released = Vec::new();
        if features.is_some() {
            released.extend(chosen(Role::FeatureCount));
        }
        let is_own = |role: Role, output: &Output<'_>| match role {
            Role::PredictionLabel => output.label.is_some(),
            Role::PredictionValue => output.value.is_some(),
            Role::Confidence => output.confidence.is_some(),
            _ => !output.scores.is_empty(),
        };
        let of_outputs =
            [Role::PredictionLabel, Role::PredictionValue, Role::Confidence, Role::ClassScores];
        for role in of_outputs {
            let says = |item: &&str| is_own(role, &values::output(item));
            if let (Some(index), Some(items)) = (chosen(role), prediction)
                && items.iter().any(says)
            {
                released.push(index);
            }
        }
        released.into_iter().for_each(|index| self.members.0[index].taken = false);
    }

    /// Bytes that all items of a batch say, beside their own features or output.
    fn shared_bytes(&self, has_features: bool, has_prediction: bool) -> usize {
        let own = [(&self.row.features, has_features), (&self.row.prediction, has_prediction)];
        let own =
            own.into_iter().filter(|(_, is_own)| *is_own).filter_map(|(json, _)| json.as_ref());
        self.row.weight() - own.map(|Json(text)| text.len()).sum::<usize>()
    }

    /// Lets a member fill its role, if its value fits and no better name did.
    fn offer(&mut self, index: usize) {
        let value = self.members.0[index].value;
        let Some(alias) = self.members.0[index].alias else { return };
        let Some(alias) = self.by_value(alias, value) else { return };
        if !self.schema.wants(alias.role) {
            return;
        }
        let before = self.chosen[alias.role as usize];
        if before.is_some_and(|(rank, _)| rank <= alias.rank)
            || value == "null"
            || self.set(alias, value, index).is_none()
        {
            return;
        }
        self.chosen[alias.role as usize] = Some((alias.rank, index as u32));
        // A list of classes may say more of each than its label and score.
        let is_whole = alias.role != Role::ClassScores || values::are_only_scores(value);
        self.members.0[index].taken = is_whole;
        if let Some((_, replaced)) = before {
            self.members.0[replaced as usize].taken = false;
        }
    }

    /// Names that mean different columns by their value: they stand behind the column's own names.
    fn by_value(&self, alias: Alias, value: &str) -> Option<Alias> {
        let behind = |role| Some(Alias { role, rank: alias.rank.saturating_add(100), ..alias });
        match alias.role {
            Role::Status if json::integer(value).is_some() => behind(Role::StatusCode),
            Role::Confidence if value.starts_with(['{', '[']) => behind(Role::ClassScores),
            // An envelope's `data` is input or output as the event's kind says.
            Role::Payload if !value.starts_with(['{', '[']) => None,
            Role::Payload => match self.event.record.kind() {
                Kind::Request => behind(Role::Features),
                Kind::Prediction => behind(Role::Prediction),
                _ => None,
            },
            _ => Some(alias),
        }
    }

    /// Fills the role with `value`; `None` when it does not fit.
    fn set(&mut self, alias: Alias, value: &'a str, index: usize) -> Option<()> {
        let key = &self.members.0[index].key;
        let row = &mut *self.row;
        match alias.role {
            Role::RequestId => return self.set_request_id(value, index),
            Role::TraceId => return set_hex(&mut row.trace_id, value, 32),
            Role::SpanId => return set_hex(&mut row.span_id, value, 16),
            Role::Time => return self.is_event_time(value).then_some(()),
            Role::ModelName => {
                row.model_name = json::text(value).filter(|name| !name.is_empty())?;
            }
            Role::Features => row.features = Some(features(value, key)?),
            Role::Prediction => row.prediction = Some(prediction(value, key)?),
            Role::PredictionLabel => row.prediction_label = Some(values::label(value)?),
            Role::Confidence => {
                let number = json::number(value)?;
                let is_log = key.eq_ignore_ascii_case("logprob");
                let confidence = if is_log { number.exp() } else { number };
                row.confidence = Some(confidence).filter(|it| it.is_finite());
                row.confidence?;
            }
            Role::ClassScores => {
                let scores = values::class_scores(value);
                row.class_scores = (!scores.is_empty()).then_some(scores)?;
            }
            Role::Status => {
                let word = json::string(value).filter(|word| !word.is_empty())?;
                row.status = values::status(word);
            }
            Role::StatusCode => row.status_code = Some(json::integer(value)?),
            Role::IsOutlier => row.is_outlier = Some(values::boolean(value)?),
            Role::Explanation => row.explanation = Some(Json(value.into())),
            Role::FinishReasons => row.finish_reasons = values::texts(value)?,
            Role::FeatureFlags => row.feature_flags = values::feature_flags(value)?,
            role => {
                if let Some(column) = columns::text(row, role) {
                    *column = Some(json::text(value).filter(|text| !text.is_empty())?);
                } else if let Some(column) = columns::integer(row, role) {
                    *column = Some(json::integer(value)?);
                } else if let Some(column) = columns::double(row, role) {
                    *column = Some(json::number(value)?);
                } else {
                    *columns::duration(row, role)? = Some(values::duration_ms(value, alias.unit)?);
                }
            }
        }
        Some(())
    }

    /// Only the id that the pipeline found, or where it found none the first by name; a bare `id`
    /// may be anybody's.
    fn set_request_id(&mut self, value: &'a str, index: usize) -> Option<()> {
        let id = json::text(value)?;
        match &self.request_id {
            Some(found) => (*found == id).then_some(()),
            None if id.is_empty() || self.members.0[index].key == "id" => None,
            None => {
                self.row.request_id = id;
                Some(())
            }
        }
    }

    /// Whether the value is the time that the pipeline read; any other time stays as it is.
    fn is_event_time(&self, value: &str) -> bool {
        let ts_ns = self.event.record.ts_ns;
        if self.event.record.has(Flags::TIME_OBSERVED) || self.event.record.has(Flags::TIME_CLAMPED)
        {
            return false;
        }
        let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let read = time::parse(text.unwrap_or(value).as_bytes(), self.event.batch.observed_ns);
        read.is_some_and(|time| time.ns == ts_ns)
    }

    fn conclude_identity(&mut self) {
        let row = &mut *self.row;
        let source = self.chosen[Role::RequestId as usize].map(place);
        row.request_id_source = source.map(|index| self.members.path(index));
        if let Some(id) = self.request_id.take() {
            row.request_id = id;
            row.request_id_source.get_or_insert("line".into());
        } else if row.request_id.is_empty() {
            let client = row.client_request_id.clone();
            let source = if client.is_some() { "client_request_id" } else { GENERATED };
            row.request_id = client.unwrap_or_else(|| row.record_id.clone());
            row.request_id_source = Some(source.into());
        }
        if row.model_name.is_empty() {
            // A version beside no model is the version of anything.
            if let Some(index) = self.chosen[Role::ModelVersion as usize].map(place)
                && matches!(&*self.members.0[index].key, "version" | "revision" | "release")
            {
                self.members.0[index].taken = false;
                row.model_version = None;
            }
            let service = row.service.clone().filter(|name| name != UNNAMED_SERVICE);
            row.model_name = service.unwrap_or("unknown".into());
        } else if row.model_version.is_none()
            && let Some((name, version)) = values::split_model(&row.model_name)
        {
            row.model_version = Some(version.to_owned().into());
            row.model_name = name.to_owned().into();
        }
    }

    /// Label, value and confidence out of the output, where the line does not say them beside it.
    fn conclude_output(&mut self) {
        let row = &mut *self.row;
        row.latency_ms = row.latency_ms.or(row.inference_ms);
        let unit_unknown = |m: &super::members::Member<'_>| {
            m.alias.is_some_and(|alias| alias.role == Role::Latency)
                && !m.taken
                && m.value != "null"
        };
        if row.latency_ms.is_none() && self.members.0.iter().any(unit_unknown) {
            row.logging_errors.push("LATENCY_UNIT_UNKNOWN".into());
        }
        if row.prediction.is_none() {
            let alone = [Role::PredictionLabel, Role::PredictionValue, Role::ClassScores];
            let chosen = alone.into_iter().find_map(|role| self.chosen[role as usize]).map(place);
            row.prediction = chosen.map(|index| Json(self.members.0[index].value.into()));
        }
        if let Some(Json(Cow::Borrowed(text))) = row.prediction {
            let read = self.chosen[Role::Prediction as usize]
                .map(|chosen| self.members.children(place(chosen)))
                .filter(|members| !members.is_empty());
            let output = match read {
                Some(members) => values::output_of(members.iter().map(|m| (&*m.key, m.value))),
                None => values::output(text),
            };
            row.prediction_label = row.prediction_label.take().or(output.label);
            row.prediction_value = row.prediction_value.or(output.value);
            row.confidence = row.confidence.or(output.confidence);
            if row.class_scores.is_empty() {
                row.class_scores = output.scores;
            }
        }
        row.confidence = row.confidence.or_else(|| values::largest(&row.class_scores));
    }

    fn conclude_features(&mut self) {
        let row = &mut *self.row;
        let chosen = self.chosen[Role::Features as usize].map(place);
        let alias = chosen.and_then(|index| self.members.0[index].alias);
        let record = self.event.record;
        let Some(Json(text)) = &row.features else {
            row.replayable = Some("none".into());
            return;
        };
        let is_batch = alias.is_some_and(|alias| alias.batch);
        let n_logged = if is_batch { None } else { values::count(text) };
        let is_short = n_logged.zip(row.feature_count).is_some_and(|(n, all)| n < all);
        let is_sample = alias.is_some_and(|alias| alias.sample) || is_short;
        row.feature_count = row.feature_count.or(n_logged);
        row.features_complete = Some(!is_sample && !record.has(Flags::TRUNCATED));
        row.replayable = match () {
            () if record.has(Flags::TRUNCATED) => Some("truncated".into()),
            () if is_sample => Some("sampled_features".into()),
            () if record.has(Flags::REDACTED) => None,
            () => Some("exact".into()),
        };
    }

    fn conclude_status(&mut self) {
        let row = &mut *self.row;
        if row.status.is_empty() {
            let failed = row.status_code.is_some_and(|code| code >= 400)
                || row.error_type.is_some()
                || row.error_message.is_some();
            row.status = if failed { "error".into() } else { "ok".into() };
        }
        let kind = self.event.record.kind();
        let is_error = row.status == "error" || self.event.record.level() >= Level::Error;
        row.record_kind = match (kind, row.features.is_some(), row.prediction.is_some()) {
            (Kind::Request | Kind::Prediction, _, false) if is_error => "error".into(),
            (Kind::Request, ..) => "request_only".into(),
            (Kind::Prediction, true, _) => "prediction".into(),
            (Kind::Prediction, false, _) => "prediction_only".into(),
            (other, ..) => other.as_str().into(),
        };
        match &*row.record_kind {
            "request_only" => row.request_ts = Some(row.event_ts),
            "prediction" | "prediction_only" => row.response_ts = Some(row.event_ts),
            _ => {}
        }
    }

    /// The items of a member that holds a batch by its name.
    fn items(&self, role: Role) -> Option<Vec<&'a str>> {
        let index = self.chosen[role as usize].map(place)?;
        let member = &self.members.0[index];
        let is_batch = member.alias.is_some_and(|alias| alias.batch);
        is_batch.then(|| json::array(member.value)).flatten().filter(|items| !items.is_empty())
    }

    fn explode(
        self,
        features: Option<&[&'a str]>,
        prediction: Option<&[&'a str]>,
        each: &mut impl FnMut(&Row<'_>),
    ) {
        let n = features.or(prediction).map_or(0, <[_]>::len);
        let shared_bytes = self.shared_bytes(features.is_some(), prediction.is_some());
        let is_too_large = are_too_many(n, shared_bytes);
        let shared = self.row;
        if is_too_large {
            // All that it says stays, in one row.
            shared.batch_size = Some(n as i64);
            shared.logging_errors.push("BATCH_TOO_LARGE".into());
            return each(shared);
        }
        let mut row = shared.clone();
        row.batch_size = Some(n as i64);
        for index in 0..n {
            row.row_index = index as i64;
            if index > 0 {
                row.record_id = format!("{}.{index}", shared.record_id).into();
            }
            if let Some(features) = features {
                row.features = Some(Json(features[index].into()));
                row.feature_count = values::count(features[index]);
            }
            if let Some(prediction) = prediction {
                let output = values::output(prediction[index]);
                row.prediction = Some(Json(prediction[index].into()));
                row.prediction_label = output.label.or_else(|| shared.prediction_label.clone());
                row.prediction_value = output.value.or(shared.prediction_value);
                row.confidence = output.confidence.or(shared.confidence);
                let fresh = (!output.scores.is_empty()).then_some(output.scores);
                row.class_scores = fresh.unwrap_or_else(|| shared.class_scores.clone());
            }
            each(&row);
        }
    }
}

/// Where a role's member stands.
fn place((_, index): (u8, u32)) -> usize {
    index as usize
}

/// `request` and its like name many things; features are containers, or texts for a model.
fn features<'a>(value: &'a str, key: &str) -> Option<Json<'a>> {
    let may_be_text = !matches!(key, "request" | "payload" | "X" | "messages");
    let fits = value.starts_with(['{', '[']) || (may_be_text && value.starts_with('"'));
    fits.then_some(Json(value.into()))
}

/// `result` and `response` name the outcome of anything; an output under these is a container.
fn prediction<'a>(value: &'a str, key: &str) -> Option<Json<'a>> {
    let may_be_scalar = !matches!(key, "result" | "results" | "response");
    (may_be_scalar || value.starts_with(['{', '['])).then_some(Json(value.into()))
}

/// The id as lower-case hex: the pipeline's, or a plain one where it found none. Longer forms
/// (`traceparent`) hold more than the id and stay with the attributes.
fn set_hex<'a>(column: &mut MaybeText<'a>, value: &'a str, digits: usize) -> Option<()> {
    let text = json::string(value)?;
    if let Some(found) = column {
        return found.eq_ignore_ascii_case(&text).then_some(());
    }
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_zero = text.bytes().all(|byte| byte == b'0');
    *column = (is_hex && !is_zero).then(|| text.to_ascii_lowercase().into());
    column.is_some().then_some(())
}
