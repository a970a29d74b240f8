//! How a row's fields become Parquet columns: the mapping of Rust types to schema nodes and the
//! writer's settings per column. The columns are those of [`crate::sinks::row::schema`].
//!
//! # Why
//! JSON columns are strings with Parquet's JSON logical type: a number keeps its source's text, and
//! no reader's float conversion comes between a logged feature and its replay. Lists are required
//! groups (an empty list, never null), as BigQuery's arrays are.
//!
//! No page index and no page statistics: row groups are small, so there is nothing to skip inside
//! one, and with 76 columns the index would outweigh the data of a quiet minute's file.
//! A column pays for what it can use. Ids, times and JSON are new in every row: no dictionary,
//! zstd. All others are a dictionary of a few words, which zstd shrinks no further, and a codec
//! made for each of 76 columns of each row group took a twelfth of the time. Bounds (statistics)
//! stand where people filter; ids that they look for carry a bloom filter.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::group::ROWS_MAX;
use crate::sinks::row::field::{Leaf, Shape};
use crate::sinks::row::schema::Schema;

fn physical(leaf: Leaf) -> (Physical, Option<LogicalType>) {
    match leaf {
        Leaf::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Leaf::Json => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Leaf::Integer => (Physical::INT64, None),
        Leaf::Double => (Physical::DOUBLE, None),
        Leaf::Bool => (Physical::BOOLEAN, None),
        Leaf::Micros => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
    }
}

fn leaf_node(leaf: Leaf, name: &str, nullable: bool) -> Result<TypePtr> {
    let (physical, logical) = physical(leaf);
    let repetition = if nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    let node = Type::primitive_type_builder(name, physical)
        .with_logical_type(logical)
        .with_repetition(repetition);
    Ok(Arc::new(node.build()?))
}

fn node(shape: Shape, name: &str) -> Result<TypePtr> {
    let element = match shape {
        Shape::Leaf(leaf, nullable) => return leaf_node(leaf, name, nullable),
        Shape::List(leaf) => leaf_node(leaf, "element", false)?,
        Shape::Structs(members) => {
            let node =
                |(name, leaf, nullable): &(&str, Leaf, bool)| leaf_node(*leaf, name, *nullable);
            let members: Result<Vec<TypePtr>> = members.iter().map(node).collect();
            group("element", Repetition::REQUIRED, None, members?)?
        }
    };
    let list = group("list", Repetition::REPEATED, None, vec![element])?;
    group(name, Repetition::REQUIRED, Some(LogicalType::List), vec![list])
}

/// The paths of a field's leaves.
fn paths(shape: Shape, name: &str) -> Vec<ColumnPath> {
    let below = |leaf: &str| {
        let path = [name, "list", "element", leaf].map(str::to_owned);
        ColumnPath::new(path.into_iter().filter(|part| !part.is_empty()).collect())
    };
    match shape {
        Shape::Leaf(..) => vec![ColumnPath::from(name)],
        Shape::List(_) => vec![below("")],
        Shape::Structs(members) => members.iter().map(|(leaf, ..)| below(leaf)).collect(),
    }
}

/// The leaves of a field, each with its largest definition and repetition level.
pub(super) fn leaves(shape: Shape) -> Vec<(Leaf, i16, i16)> {
    match shape {
        Shape::Leaf(leaf, nullable) => vec![(leaf, i16::from(nullable), 0)],
        Shape::List(leaf) => vec![(leaf, 1, 1)],
        Shape::Structs(members) => {
            let leaf =
                |&(_, leaf, nullable): &(&str, Leaf, bool)| (leaf, 1 + i16::from(nullable), 1);
            members.iter().map(leaf).collect()
        }
    }
}

fn group(
    name: &str,
    repetition: Repetition,
    logical: Option<LogicalType>,
    fields: Vec<TypePtr>,
) -> Result<TypePtr> {
    let node = Type::group_type_builder(name)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_fields(fields);
    Ok(Arc::new(node.build()?))
}

/// The table's schema.
///
/// # Errors
/// None for the columns as they stand; the crate's builders are fallible.
pub(super) fn schema(of: Schema) -> Result<TypePtr> {
    let fields: Result<Vec<TypePtr>> =
        of.shapes().iter().map(|(name, shape)| node(*shape, name)).collect();
    Ok(Arc::new(Type::group_type_builder(of.as_str()).with_fields(fields?).build()?))
}

/// Ids that people look for.
const BLOOM_FILTERED: [&str; 3] = ["request_id", "client_request_id", "trace_id"];

/// Columns whose values hardly ever repeat: a dictionary would hold each of them twice.
const DISTINCT: [&str; 13] = [
    "record_id",
    "request_id",
    "client_request_id",
    "parent_request_id",
    "trace_id",
    "span_id",
    "event_ts",
    "request_ts",
    "response_ts",
    "latency_ms",
    "confidence",
    "prediction_value",
    "sample_randomness",
];

/// Other columns with long or varied values.
const VARIED: [&str; 7] = [
    "ingest_ts",
    "session_id",
    "error_message",
    "payload_uri",
    "payload_sha256",
    "class_scores",
    "redactions",
];

/// Text columns by whose bounds people cut what they read.
const BOUNDED: [&str; 8] = [
    "request_id",
    "client_request_id",
    "trace_id",
    "model_name",
    "model_version",
    "status",
    "error_type",
    "prediction_label",
];

/// The writer's settings.
///
/// # Errors
/// None for the settings as they stand.
pub(super) fn properties(of: Schema) -> Result<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("sidewake version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_data_page_size_limit(128 << 10)
        .set_max_row_group_row_count(None);
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1)?);
    for (name, shape) in of.shapes() {
        let is_json = matches!(shape, Shape::Leaf(Leaf::Json, _));
        let is_text = matches!(shape, Shape::Leaf(Leaf::Text, _));
        let is_distinct = is_json || DISTINCT.contains(name);
        for path in paths(*shape, name) {
            if is_json || (is_text && !BOUNDED.contains(name)) {
                builder =
                    builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            }
            if is_distinct {
                builder = builder.set_column_dictionary_enabled(path.clone(), false);
            }
            if is_distinct || VARIED.contains(name) {
                builder = builder.set_column_compression(path, zstd);
            }
        }
    }
    let has = |wanted: &&str| of.shapes().iter().any(|(name, _)| name == wanted);
    Ok(BLOOM_FILTERED.into_iter().filter(has).fold(builder, with_bloom_filter).build())
}

fn with_bloom_filter(builder: WriterPropertiesBuilder, name: &str) -> WriterPropertiesBuilder {
    let path = ColumnPath::from(name);
    builder
        .set_column_bloom_filter_enabled(path.clone(), true)
        .set_column_bloom_filter_fpp(path.clone(), 0.01)
        .set_column_bloom_filter_max_ndv(path, u64::from(ROWS_MAX))
}
