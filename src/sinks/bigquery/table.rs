//! Tables as BigQuery describes them: columns, and the partitions that expire.
//!
//! Owns the schema of the table that is created, and the reading of one that is there. Asks nobody:
//! that is the transport's.
//!
//! Source: BigQuery REST v2, `Table`, `TableFieldSchema`, `TimePartitioning`.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::sinks::row::field::{Leaf, Shape};
use crate::sinks::row::schema::Schema;

/// The column by which tables are partitioned.
pub const PARTITION_COLUMN: &str = "event_ts";

/// Where rows go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableId {
    /// The project that owns the dataset.
    pub project: String,
    /// The dataset.
    pub dataset: String,
    /// The table.
    pub table: String,
}

impl TableId {
    /// `project.dataset.table`, as the console writes it; projects of a domain have a colon.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, table) = text.rsplit_once('.')?;
        let (project, dataset) = rest.rsplit_once('.')?;
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let is_project = !project.is_empty()
            && project.bytes().all(|b| b.is_ascii_alphanumeric() || b"-:.".contains(&b));
        let is_table = is_name(&table.replace('-', "_")) && table.len() <= 1024;
        (is_project && is_name(dataset) && is_table).then(|| Self {
            project: project.to_owned(),
            dataset: dataset.to_owned(),
            table: table.to_owned(),
        })
    }

    /// The name that streams begin with.
    #[must_use]
    pub fn path(&self) -> String {
        let Self { project, dataset, table } = self;
        format!("projects/{project}/datasets/{dataset}/tables/{table}")
    }

    /// The stream that every table has: at least once.
    #[must_use]
    pub fn default_stream(&self) -> String {
        self.path() + "/streams/_default"
    }
}

impl std::fmt::Display for TableId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.project, self.dataset, self.table)
    }
}

/// A table as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Table {
    /// Changes with every change.
    pub etag: String,
    /// Its columns.
    pub schema: TableSchema,
    /// How it is cut into partitions, if it is.
    pub time_partitioning: Option<TimePartitioning>,
    /// When the whole table goes, in milliseconds since 1970.
    pub expiration_time: Option<String>,
}

/// The columns of a table.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TableSchema {
    /// In their order.
    pub fields: Vec<Column>,
}

/// A column, or a member of one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Column {
    /// Its name, of which the case does not count.
    pub name: String,
    /// `STRING`, `INTEGER` and so on.
    pub r#type: String,
    /// `NULLABLE` where nothing is said, `REQUIRED`, `REPEATED`.
    pub mode: String,
    /// The members of a `RECORD`.
    pub fields: Vec<Column>,
    /// What else is said of it: descriptions, policy tags, lengths. A change of the table must
    /// repeat it, or it would be gone.
    #[serde(flatten)]
    pub others: serde_json::Map<String, Json>,
}

/// How a table is partitioned.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct TimePartitioning {
    /// `DAY`, `HOUR`, `MONTH`, `YEAR`.
    pub r#type: String,
    /// The column; by the time of writing where there is none.
    pub field: Option<String>,
    /// How long a partition stays, in milliseconds, as text.
    pub expiration_ms: Option<String>,
}

impl Column {
    /// The column of a row's field.
    #[must_use]
    pub fn of(name: &str, shape: Shape) -> Self {
        let leaf = |name: &str, leaf: Leaf, mode: &str| Self {
            name: name.to_owned(),
            r#type: type_of(leaf).to_owned(),
            mode: mode.to_owned(),
            ..Self::default()
        };
        let mode = |nullable: bool| if nullable { "NULLABLE" } else { "REQUIRED" };
        match shape {
            Shape::Leaf(kind, nullable) => leaf(name, kind, mode(nullable)),
            Shape::List(kind) => leaf(name, kind, "REPEATED"),
            Shape::Structs(members) => {
                let member = |(name, kind, nullable): &(&str, Leaf, bool)| {
                    leaf(name, *kind, mode(*nullable))
                };
                let fields = members.iter().map(member).collect();
                Self { r#type: "RECORD".to_owned(), fields, ..leaf(name, Leaf::Text, "REPEATED") }
            }
        }
    }

    /// As REST has it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut json = Json::Object(self.others.clone());
        json["name"] = Json::from(self.name.as_str());
        json["type"] = Json::from(self.r#type.as_str());
        if !self.mode.is_empty() {
            json["mode"] = Json::from(self.mode.as_str());
        }
        if !self.fields.is_empty() {
            json["fields"] = self.fields.iter().map(Self::to_json).collect();
        }
        json
    }

    /// Its type in words of SQL.
    #[must_use]
    pub fn kind(&self) -> String {
        let kind = match self.r#type.to_ascii_uppercase().as_str() {
            "RECORD" | "STRUCT" => {
                let of = |member: &Self| format!("{} {}", member.name, member.kind());
                format!("STRUCT<{}>", self.fields.iter().map(of).collect::<Vec<_>>().join(", "))
            }
            "INTEGER" => "INT64".to_owned(),
            "FLOAT" => "FLOAT64".to_owned(),
            "BOOLEAN" => "BOOL".to_owned(),
            other => other.to_owned(),
        };
        if self.is_repeated() { format!("ARRAY<{kind}>") } else { kind }
    }

    /// Whether a leaf of ours can be written into it.
    #[must_use]
    pub fn takes(&self, leaf: Leaf) -> bool {
        let names: &[&str] = match leaf {
            Leaf::Text => &["STRING"],
            Leaf::Json => &["JSON", "STRING"],
            Leaf::Integer => &["INTEGER", "INT64", "NUMERIC", "BIGNUMERIC"],
            Leaf::Double => &["FLOAT", "FLOAT64"],
            Leaf::Bool => &["BOOLEAN", "BOOL"],
            Leaf::Micros => &["TIMESTAMP"],
        };
        names.iter().any(|name| self.r#type.eq_ignore_ascii_case(name))
    }

    /// Whether it holds lists.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        self.mode.eq_ignore_ascii_case("REPEATED")
    }

    /// Whether every row must say it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.mode.eq_ignore_ascii_case("REQUIRED")
    }
}

fn type_of(leaf: Leaf) -> &'static str {
    match leaf {
        Leaf::Text => "STRING",
        Leaf::Json => "JSON",
        Leaf::Integer => "INTEGER",
        Leaf::Double => "FLOAT",
        Leaf::Bool => "BOOLEAN",
        Leaf::Micros => "TIMESTAMP",
    }
}

/// What `tables.insert` is asked for: the whole table, which keeps a partition for `retention_ms`.
#[must_use]
pub fn creation(
    schema: Schema,
    id: &TableId,
    retention_ms: u64,
    labels: &[(String, String)],
) -> Json {
    let TableId { project, dataset, table } = id;
    let fields = schema.shapes().iter().map(|(name, shape)| Column::of(name, *shape).to_json());
    let labels = labels.iter().map(|(name, value)| (name.clone(), Json::from(value.clone())));
    json!({
        "tableReference": { "projectId": project, "datasetId": dataset, "tableId": table },
        "description": schema.description(),
        "schema": { "fields": fields.collect::<Vec<_>>() },
        "timePartitioning": {
            "type": "DAY",
            "field": PARTITION_COLUMN,
            "expirationMs": retention_ms.to_string(),
        },
        "requirePartitionFilter": true,
        "clustering": { "fields": schema.clustering() },
        "labels": labels.collect::<serde_json::Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables() {
        for (text, expected) in [
            ("p.d.t", Some(("p", "d", "t"))),
            ("my-project.ml.predictions", Some(("my-project", "ml", "predictions"))),
            ("example.com:p.d.t_1", Some(("example.com:p", "d", "t_1"))),
            ("d.t", None),
            ("p..t", None),
            ("p.d.", None),
            ("p.d-e.t", None),
            ("p.d.t/x", None),
        ] {
            let found = TableId::parse(text);
            let found = found.as_ref().map(|id| (&*id.project, &*id.dataset, &*id.table));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_created_is_what_is_written() {
        let id = TableId::parse("p.d.t").expect("a table");
        let labels = [("tier".to_owned(), "x".to_owned())];
        let table = creation(Schema::Predictions, &id, 90 * 86_400_000, &labels);
        assert_eq!(table["timePartitioning"]["expirationMs"], "7776000000");
        let read: Table = serde_json::from_value(table).expect("a table");
        assert_eq!(read.schema.fields.len(), Schema::Predictions.shapes().len());
        let scores = read.schema.fields.iter().find(|column| column.name == "class_scores");
        let scores = scores.expect("a column");
        assert!(scores.is_repeated() && scores.r#type == "RECORD");
        assert_eq!(scores.fields[1], Column::of("score", Shape::Leaf(Leaf::Double, false)));
    }
}
