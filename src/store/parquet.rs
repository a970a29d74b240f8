//! Searching the predictions' Parquet files: row groups that cannot hold the id are passed by their
//! bloom filters, of the others the three id columns are read, and only rows that match are read
//! whole.

use parquet::basic::LogicalType;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::FileMetaData;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, FileReader, RowGroupReader};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::record::{Field, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Found;
use super::wanted::Wanted;
use crate::event::record::Kind;
use crate::sinks::json;
use crate::sinks::row::schema::Schema;

/// The rows of one file that have the id.
pub(super) fn search<R: ChunkReader + 'static>(
    reader: R,
    wanted: &Wanted,
) -> std::result::Result<Vec<Found>, String> {
    rows(reader, wanted).map_err(|error| error.to_string())
}

fn rows<R: ChunkReader + 'static>(reader: R, wanted: &Wanted) -> Result<Vec<Found>> {
    let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
    let file = SerializedFileReader::new_with_options(reader, options)?;
    let schema = file.metadata().file_metadata().schema_descr();
    let json_columns: Vec<String> = schema
        .root_schema()
        .get_fields()
        .iter()
        .filter(|field| field.get_basic_info().logical_type_ref() == Some(&LogicalType::Json))
        .map(|field| field.name().to_owned())
        .collect();
    let kind = kind(file.metadata().file_metadata());
    let mut found: Vec<Found> = Vec::new();
    for index in 0..file.num_row_groups() {
        let group = file.get_row_group(index)?;
        let matching = matching_rows(group.as_ref(), wanted)?;
        if !matching.contains(&true) {
            continue;
        }
        for (row, is_match) in group.get_row_iter(None)?.zip(matching) {
            if is_match {
                let found_row = read(row?, &json_columns);
                let kind = if found_row.kind.is_empty() { kind } else { &found_row.kind };
                found.push(Found { kind: kind.to_owned(), ..found_row });
            }
        }
    }
    Ok(found)
}

/// The kind of all events of a table of one kind, whose rows do not say it.
fn kind(metadata: &FileMetaData) -> &'static str {
    let pairs = metadata.key_value_metadata();
    let table = pairs.and_then(|all| all.iter().find(|pair| pair.key == "sidewake.table"));
    let name = table.and_then(|pair| pair.value.as_deref()?.split('/').next());
    let of_one = |kind: &Kind| {
        let schema = Schema::of_kinds(&[*kind]);
        schema != Schema::default() && Some(schema.as_str()) == name
    };
    Kind::ALL.into_iter().find(of_one).map_or("", Kind::as_str)
}

/// Which rows of the group have the id.
fn matching_rows(group: &dyn RowGroupReader, wanted: &Wanted) -> Result<Vec<bool>> {
    let n_rows = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
    let mut matching = vec![false; n_rows];
    let schema = group.metadata().schema_descr();
    for (name, is_trace) in
        [("request_id", false), ("client_request_id", false), ("trace_id", true)]
    {
        let path = |column: &parquet::schema::types::ColumnDescPtr| column.path().string() == name;
        let Some(index) = schema.columns().iter().position(path) else { continue };
        let filter = group.get_column_bloom_filter(index);
        let may_hold = |id: &str| filter.is_none_or(|filter| filter.check(id));
        let may_match =
            if is_trace { wanted.may_be_trace(may_hold) } else { wanted.may_be_id(may_hold) };
        let ColumnReader::ByteArrayColumnReader(mut column) = group.get_column_reader(index)?
        else {
            continue;
        };
        if !may_match {
            continue;
        }
        let mut values: Vec<ByteArray> = Vec::new();
        let mut levels: Vec<i16> = Vec::new();
        let nullable = schema.column(index).max_def_level() > 0;
        let mut n_read = 0;
        while n_read < n_rows {
            let levels = nullable.then_some(&mut levels);
            let (n, ..) = column.read_records(n_rows - n_read, levels, None, &mut values)?;
            if n == 0 {
                break;
            }
            n_read += n;
        }
        let mut values = values.iter();
        for (row, matches) in matching.iter_mut().enumerate().take(n_read) {
            if nullable && levels.get(row) != Some(&1) {
                continue;
            }
            let Some(value) = values.next() else { break };
            let value = value.data();
            *matches |= if is_trace { wanted.is_trace(value) } else { wanted.is_id(value) };
        }
    }
    Ok(matching)
}

fn read(row: Row, json_columns: &[String]) -> Found {
    let mut ts_ns = 0;
    let mut fields = Vec::new();
    for (name, field) in row.into_columns() {
        if let ("event_ts", Field::TimestampMicros(us)) = (name.as_str(), &field) {
            ts_ns = us.saturating_mul(1000);
        }
        if let Some(value) = value(&field, json_columns.contains(&name)) {
            fields.push((name, value));
        }
    }
    let mut found = Found {
        tier: String::new(),
        file: None,
        ts_ns,
        kind: String::new(),
        level: String::new(),
        source: String::new(),
        record_id: String::new(),
        fields,
        text: None,
    };
    found.kind = found.text_of("record_kind").unwrap_or_default();
    found.source = found.text_of("service").unwrap_or_default();
    found.record_id = found.text_of("record_id").unwrap_or_default();
    if found.kind == "error" {
        found.level = "error".to_owned();
        found.text = found.text_of("error_message");
    }
    found
}

/// A value as JSON text; `None` for nulls and empty lists.
fn value(field: &Field, is_json: bool) -> Option<String> {
    Some(match field {
        Field::Null => return None,
        Field::Str(text)
            if is_json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() =>
        {
            text.clone()
        }
        Field::Str(text) => quoted(text),
        Field::TimestampMicros(us) => {
            let ts = OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::microseconds(*us));
            quoted(&ts.format(&Rfc3339).unwrap_or_default())
        }
        Field::Group(row) => {
            let members = row.get_column_iter().filter_map(|(name, field)| {
                Some(format!("{}:{}", quoted(name), value(field, false)?))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Field::ListInternal(list) if list.elements().is_empty() => return None,
        Field::ListInternal(list) => {
            let elements = list
                .elements()
                .iter()
                .map(|element| value(element, false).unwrap_or("null".into()));
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        }
        Field::Double(number) => serde_json::Value::from(*number).to_string(),
        other => other.to_string(),
    })
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::write_string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}
