//! Columns of a table, as the REST API tells them and as Storage Write does; and what a table may
//! say of itself at all.
//!
//! Owns the types, which of protobuf's types each takes, and the rules for a table's resource.
//! Knows neither rows nor requests.

use prost_types::field_descriptor_proto::Type as Proto;
use serde_json::{Value, json};

use super::super::bigquery_proto::storage::table_field_schema::{Mode as TableMode, Type};
use super::super::bigquery_proto::storage::{TableFieldSchema, TableSchema};

/// What is in a column, by its name in standard SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Bytes,
    Int64,
    Float64,
    Bool,
    Timestamp,
    Date,
    Time,
    Datetime,
    Numeric,
    Bignumeric,
    Geography,
    Interval,
    Json,
    Struct,
}

/// Names of the REST API, older ones too; the kind; its number in Storage Write.
const KINDS: &[(&[&str], Kind, Type)] = &[
    (&["STRING"], Kind::String, Type::String),
    (&["BYTES"], Kind::Bytes, Type::Bytes),
    (&["INT64", "INTEGER"], Kind::Int64, Type::Int64),
    (&["FLOAT64", "FLOAT"], Kind::Float64, Type::Double),
    (&["BOOL", "BOOLEAN"], Kind::Bool, Type::Bool),
    (&["TIMESTAMP"], Kind::Timestamp, Type::Timestamp),
    (&["DATE"], Kind::Date, Type::Date),
    (&["TIME"], Kind::Time, Type::Time),
    (&["DATETIME"], Kind::Datetime, Type::Datetime),
    (&["NUMERIC"], Kind::Numeric, Type::Numeric),
    (&["BIGNUMERIC"], Kind::Bignumeric, Type::Bignumeric),
    (&["GEOGRAPHY"], Kind::Geography, Type::Geography),
    (&["INTERVAL"], Kind::Interval, Type::Interval),
    (&["JSON"], Kind::Json, Type::Json),
    (&["STRUCT", "RECORD"], Kind::Struct, Type::Struct),
];

impl Kind {
    fn storage(self) -> Type {
        KINDS.iter().find(|(_, kind, _)| *kind == self).expect("every kind").2
    }

    /// Whether a field of this type of protobuf may go into such a column: strictly what is
    /// documented as preferred, so that nothing hangs on a conversion.
    pub(crate) fn takes(self, proto: Proto) -> bool {
        use Proto::{Bool, Bytes, Double, Enum, Float, Int32, Int64, Message, String, Uint32};
        match self {
            Self::String => matches!(proto, String | Enum),
            Self::Bytes => matches!(proto, Bytes | String),
            Self::Int64 => matches!(proto, Int64 | Int32 | Uint32 | Enum),
            Self::Float64 => matches!(proto, Double | Float),
            Self::Bool => matches!(proto, Bool | Int32 | Int64 | Uint32),
            Self::Timestamp => proto == Int64,
            Self::Date => proto == Int32,
            Self::Time | Self::Datetime => matches!(proto, String | Int64),
            Self::Numeric | Self::Bignumeric => {
                matches!(proto, String | Int32 | Int64 | Uint32 | Double | Float | Bytes)
            }
            Self::Geography | Self::Interval | Self::Json => proto == String,
            Self::Struct => proto == Message,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Nullable,
    Required,
    Repeated,
}

/// One column or one field of a STRUCT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) mode: Mode,
    pub(crate) columns: Vec<Column>,
}

/// The columns of `{"fields": […]}`.
pub(crate) fn columns_of(schema: &Value) -> Result<Vec<Column>, String> {
    let fields = schema["fields"].as_array().ok_or("a schema has fields")?;
    let columns: Vec<Column> = fields.iter().map(column_of).collect::<Result<_, _>>()?;
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            return Err(format!("Field {} already exists in schema", column.name));
        }
    }
    Ok(columns)
}

fn column_of(field: &Value) -> Result<Column, String> {
    let name = field["name"].as_str().unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_well = !name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || name.len() > 300 || !name.chars().all(is_word) || !starts_well {
        return Err(format!("Invalid field name \"{name}\""));
    }
    let said = field["type"].as_str().unwrap_or_default();
    let found = KINDS.iter().find(|(names, _, _)| names.contains(&said));
    let kind = found.ok_or_else(|| format!("{name}: \"{said}\" is no type"))?.1;
    let mode = match field["mode"].as_str() {
        None | Some("NULLABLE") => Mode::Nullable,
        Some("REQUIRED") => Mode::Required,
        Some("REPEATED") => Mode::Repeated,
        Some(other) => return Err(format!("{name}: \"{other}\" is no mode")),
    };
    let columns = match kind {
        Kind::Struct => columns_of(field)?,
        _ => Vec::new(),
    };
    Ok(Column { name: name.to_owned(), kind, mode, columns })
}

/// The same columns as Storage Write tells them.
pub(crate) fn told(columns: &[Column]) -> TableSchema {
    TableSchema { fields: columns.iter().map(told_one).collect() }
}

fn told_one(column: &Column) -> TableFieldSchema {
    let mode = match column.mode {
        Mode::Nullable => TableMode::Nullable,
        Mode::Required => TableMode::Required,
        Mode::Repeated => TableMode::Repeated,
    };
    TableFieldSchema {
        name: column.name.clone(),
        r#type: column.kind.storage().into(),
        mode: mode.into(),
        fields: column.columns.iter().map(told_one).collect(),
        ..TableFieldSchema::default()
    }
}

/// What a table says of itself, or why it may not.
pub(crate) fn judge(resource: &Value) -> Result<Vec<Column>, String> {
    const KNOWN: [&str; 16] = [
        "kind",
        "etag",
        "id",
        "selfLink",
        "tableReference",
        "schema",
        "timePartitioning",
        "requirePartitionFilter",
        "clustering",
        "labels",
        "description",
        "friendlyName",
        "expirationTime",
        "type",
        "location",
        "creationTime",
    ];
    let object = resource.as_object().ok_or("a table is an object")?;
    let columns = columns_of(&resource["schema"])?;
    if let Some(key) = object.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("Invalid JSON payload received. Unknown name \"{key}\""));
    }
    let top = |name: &str| columns.iter().find(|column| column.name == name);
    partitioning(&resource["timePartitioning"], top)?;
    if !(resource["requirePartitionFilter"].is_null()
        || resource["requirePartitionFilter"].is_boolean())
    {
        return Err("requirePartitionFilter is true or false".to_owned());
    }
    let clustered = resource["clustering"]["fields"].as_array();
    let clustered = clustered.map(Vec::as_slice).unwrap_or_default();
    if clustered.len() > 4 {
        return Err("at most 4 columns of clustering".to_owned());
    }
    for name in clustered {
        let column = name.as_str().and_then(top);
        let is_fit = column.is_some_and(|column| {
            let is_ordered = !matches!(
                column.kind,
                Kind::Float64
                    | Kind::Bytes
                    | Kind::Json
                    | Kind::Struct
                    | Kind::Interval
                    | Kind::Time
            );
            is_ordered && column.mode != Mode::Repeated
        });
        if !is_fit {
            return Err(format!("The field specified for clustering cannot be used: {name}"));
        }
    }
    labels(&resource["labels"])?;
    Ok(columns)
}

fn partitioning<'a>(said: &Value, top: impl Fn(&str) -> Option<&'a Column>) -> Result<(), String> {
    if said.is_null() {
        return Ok(());
    }
    if !matches!(said["type"].as_str(), Some("DAY" | "HOUR" | "MONTH" | "YEAR")) {
        return Err(format!("timePartitioning.type: {}", said["type"]));
    }
    if let Some(field) = said["field"].as_str() {
        let is_fit = top(field).is_some_and(|column| {
            matches!(column.kind, Kind::Timestamp | Kind::Date | Kind::Datetime)
                && column.mode != Mode::Repeated
        });
        if !is_fit {
            return Err(format!("The field specified for partitioning cannot be used: {field}"));
        }
    }
    let ms = &said["expirationMs"];
    let is_number = ms.as_str().is_some_and(|text| text.parse().is_ok_and(|ms: i64| ms > 0));
    if ms.is_null() || is_number {
        return Ok(());
    }
    Err(format!("timePartitioning.expirationMs is a whole number as a string: {ms}"))
}

fn labels(said: &Value) -> Result<(), String> {
    let Some(labels) = said.as_object() else { return Ok(()) };
    let is_good = |text: &str| {
        let is_letter = |c: char| c.is_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        text.chars().count() <= 63 && text.chars().all(is_letter)
    };
    for (key, value) in labels {
        let starts_well = key.starts_with(char::is_lowercase);
        if !(starts_well && is_good(key) && value.as_str().is_some_and(is_good)) {
            return Err(format!("Invalid label {key}: {value}"));
        }
    }
    Ok(())
}

/// Whether a schema may become another: the same columns first, in order and of the same types,
/// REQUIRED perhaps no longer; what is new is NULLABLE or REPEATED.
pub(crate) fn may_become(old: &[Column], new: &[Column]) -> Result<(), String> {
    for (index, column) in old.iter().enumerate() {
        let Some(now) = new.get(index).filter(|now| now.name == column.name) else {
            return Err(format!(
                "Provided Schema does not match Table. {} is missing",
                column.name
            ));
        };
        let is_relaxed = column.mode == Mode::Required && now.mode == Mode::Nullable;
        if now.kind != column.kind || !(now.mode == column.mode || is_relaxed) {
            return Err(format!("Provided Schema does not match Table. {} changed", column.name));
        }
        may_become(&column.columns, &now.columns)?;
    }
    match new[old.len()..].iter().find(|column| column.mode == Mode::Required) {
        Some(column) => Err(format!("Cannot add required fields to a schema: {}", column.name)),
        None => Ok(()),
    }
}

/// A schema of the REST API from triples of name, type and mode.
pub(crate) fn schema(columns: &[(&str, &str, &str)]) -> Value {
    let fields = columns
        .iter()
        .map(|(name, kind, mode)| json!({ "name": name, "type": kind, "mode": mode }));
    json!({ "fields": fields.collect::<Vec<_>>() })
}

/// GET tells types by their older names, whatever they were made by.
pub(crate) fn in_old_names(schema: &mut Value) {
    let Some(fields) = schema["fields"].as_array_mut() else { return };
    for field in fields {
        let old = match field["type"].as_str() {
            Some("INT64") => Some("INTEGER"),
            Some("FLOAT64") => Some("FLOAT"),
            Some("BOOL") => Some("BOOLEAN"),
            Some("STRUCT") => Some("RECORD"),
            _ => None,
        };
        if let Some(old) = old {
            field["type"] = json!(old);
        }
        if field.get("fields").is_some() {
            in_old_names(field);
        }
    }
}
