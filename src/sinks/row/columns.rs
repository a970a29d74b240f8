//! The columns of those roles that are one scalar in one column, by their type.

use super::alias::Role;
use super::{MaybeText, Row};

pub(super) fn text<'r, 'a>(row: &'r mut Row<'a>, role: Role) -> Option<&'r mut MaybeText<'a>> {
    Some(match role {
        Role::ClientRequestId => &mut row.client_request_id,
        Role::ParentRequestId => &mut row.parent_request_id,
        Role::SessionId => &mut row.session_id,
        Role::ModelVersion => &mut row.model_version,
        Role::ModelDigest => &mut row.model_digest,
        Role::ModelUri => &mut row.model_uri,
        Role::Endpoint => &mut row.endpoint,
        Role::Variant => &mut row.variant,
        Role::Route => &mut row.route,
        Role::CodeVersion => &mut row.code_version,
        Role::FeatureSchemaHash => &mut row.feature_schema_hash,
        Role::ErrorType => &mut row.error_type,
        Role::ErrorMessage => &mut row.error_message,
        Role::ContentType => &mut row.content_type,
        _ => return None,
    })
}

pub(super) fn integer<'r>(row: &'r mut Row<'_>, role: Role) -> Option<&'r mut Option<i64>> {
    Some(match role {
        Role::FeatureCount => &mut row.feature_count,
        Role::PayloadBytes => &mut row.payload_bytes,
        Role::InputTokens => &mut row.input_tokens,
        Role::OutputTokens => &mut row.output_tokens,
        Role::MissingFeatures => &mut row.missing_features,
        Role::OutOfRange => &mut row.out_of_range,
        Role::UnseenCategories => &mut row.unseen_categories,
        Role::TypeMismatches => &mut row.type_mismatches,
        _ => return None,
    })
}

pub(super) fn double<'r>(row: &'r mut Row<'_>, role: Role) -> Option<&'r mut Option<f64>> {
    Some(match role {
        Role::PredictionValue => &mut row.prediction_value,
        Role::OutlierScore => &mut row.outlier_score,
        _ => return None,
    })
}

pub(super) fn duration<'r>(row: &'r mut Row<'_>, role: Role) -> Option<&'r mut Option<f64>> {
    Some(match role {
        Role::Latency => &mut row.latency_ms,
        Role::Queue => &mut row.queue_ms,
        Role::Preprocess => &mut row.preprocess_ms,
        Role::Inference => &mut row.inference_ms,
        Role::Postprocess => &mut row.postprocess_ms,
        Role::FirstToken => &mut row.ttft_ms,
        _ => return None,
    })
}
