//! Rows of protobuf, read by the descriptor that was sent with them.
//!
//! Owns what a descriptor may be, how it must fit the table's columns, and how a row becomes JSON:
//! integers and microseconds as numbers, BYTES in base64, JSON as its text, what is absent as null.
//! Knows no stream and no request.

use std::collections::BTreeMap;
use std::time::SystemTime;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage};
use prost_types::field_descriptor_proto::{Label, Type as Proto};
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::schema::{Column, Kind, Mode};

/// A row as it is stored: every column of the table, by name.
pub(crate) type Row = BTreeMap<String, Value>;

/// Why rows by a descriptor cannot be taken.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// No client may send it.
    Never(String),
    /// The table has no such column, now.
    Extra(String),
    /// The table has another type, or wants more.
    Other(String),
}

/// Partitions take nothing older, and nothing later.
const OLDEST: i64 = -10 * 366 * 86_400_000_000;
const LATEST: i64 = 366 * 86_400_000_000;

/// What the rows of a connection look like.
#[derive(Clone, Debug)]
pub(crate) struct Shape(MessageDescriptor);

impl Shape {
    /// Reads a descriptor, which must hold all that it needs.
    pub(crate) fn new(descriptor: &DescriptorProto) -> Result<Self, Unfit> {
        let never = |what: String| Err(Unfit::Never(format!("descriptor: {what}")));
        let name = descriptor.name();
        if name.is_empty() || name.contains('.') {
            return never(format!("its name is \"{name}\""));
        }
        alone(descriptor, &mut vec![descriptor])?;
        let file = FileDescriptorProto {
            name: Some("row.proto".to_owned()),
            message_type: vec![descriptor.clone()],
            ..FileDescriptorProto::default()
        };
        match DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file: vec![file] }) {
            Ok(pool) => Ok(Self(pool.get_message_by_name(name).expect("the only one"))),
            Err(error) => never(error.to_string()),
        }
    }

    /// Whether the table's columns can hold what these rows have.
    pub(crate) fn fits(&self, columns: &[Column]) -> Result<(), Unfit> {
        fits(&self.0, columns, "")
    }

    /// Reads one row; what is wrong with it, if anything is.
    pub(crate) fn row(
        &self,
        bytes: &[u8],
        columns: &[Column],
        partitioned_by: Option<&str>,
    ) -> Result<Row, String> {
        let message = DynamicMessage::decode(self.0.clone(), bytes)
            .map_err(|error| format!("cannot be parsed: {error}"))?;
        let row: Row = values(&message, columns)?.into_iter().collect();
        if let Some(time) = partitioned_by.and_then(|name| row.get(name)).and_then(Value::as_i64) {
            let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_micros() as i64;
            if !(OLDEST..=LATEST).contains(&(time - now)) {
                return Err(format!("no partition for {time}"));
            }
        }
        Ok(row)
    }
}

/// Only types that are nested in the one descriptor, no group and no extension.
fn alone<'a>(
    descriptor: &'a DescriptorProto,
    around: &mut Vec<&'a DescriptorProto>,
) -> Result<(), Unfit> {
    let never = |what: String| Err(Unfit::Never(format!("descriptor: {what}")));
    if !descriptor.extension.is_empty() || !descriptor.oneof_decl.is_empty() {
        return never(format!("{} has extensions or oneofs", descriptor.name()));
    }
    for field in &descriptor.field {
        let name = field.name();
        match field.r#type() {
            Proto::Uint64 | Proto::Fixed64 => {
                return never(format!("{name}: uint64 is not supported"));
            }
            Proto::Group => return never(format!("{name}: groups are not supported")),
            Proto::Message | Proto::Enum => {
                let last = field.type_name().rsplit('.').next().unwrap_or_default();
                let is_nested = around.iter().any(|one| {
                    one.nested_type.iter().any(|nested| nested.name() == last)
                        || one.enum_type.iter().any(|nested| nested.name() == last)
                });
                if last.is_empty() || !is_nested {
                    return never(format!("{name}: {} is not nested in it", field.type_name()));
                }
            }
            _ if field.type_name.is_some() => {
                return never(format!("{name}: a scalar with a type_name"));
            }
            _ => {}
        }
        if field.r#type.is_none() || field.label.is_none() || field.number() <= 0 {
            return never(format!("{name}: it lacks type, label or number"));
        }
    }
    for nested in &descriptor.nested_type {
        around.push(nested);
        alone(nested, around)?;
        around.pop();
    }
    Ok(())
}

fn fits(message: &MessageDescriptor, columns: &[Column], within: &str) -> Result<(), Unfit> {
    for field in message.fields() {
        let path = format!("{within}{}", field.name());
        let Some(column) = column_named(columns, field.name()) else {
            return Err(Unfit::Extra(path));
        };
        let said = field.field_descriptor_proto();
        if !column.kind.takes(said.r#type()) {
            let proto = said.r#type().as_str_name();
            return Err(Unfit::Other(format!("{path}: {proto} into {:?}", column.kind)));
        }
        if (said.label() == Label::Repeated) != (column.mode == Mode::Repeated) {
            return Err(Unfit::Other(format!("{path}: {:?}", column.mode)));
        }
        if let Some(inner) = field.kind().as_message() {
            fits(inner, &column.columns, &format!("{path}."))?;
        }
    }
    let has = |column: &Column| {
        message.fields().any(|field| field.name().eq_ignore_ascii_case(&column.name))
    };
    match columns.iter().find(|column| column.mode == Mode::Required && !has(column)) {
        Some(column) => Err(Unfit::Other(format!("{within}{} is required", column.name))),
        None => Ok(()),
    }
}

fn column_named<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

fn values(message: &DynamicMessage, columns: &[Column]) -> Result<Vec<(String, Value)>, String> {
    if let Some(field) = message.unknown_fields().next() {
        return Err(format!("field {} is not in the descriptor", field.number()));
    }
    let descriptor = message.descriptor();
    let mut found = Vec::new();
    for column in columns {
        let mut fields = descriptor.fields();
        let field = fields.find(|field| field.name().eq_ignore_ascii_case(&column.name));
        let field = field.filter(|field| message.has_field(field));
        let value = match (field, column.mode) {
            (Some(field), Mode::Repeated) => {
                let list = message.get_field(&field);
                let list = list.as_list().ok_or("not a list")?;
                let list: Result<Vec<Value>, String> =
                    list.iter().map(|one| value(one, column)).collect();
                Value::Array(list?)
            }
            (Some(field), _) => value(&message.get_field(&field), column)?,
            (None, Mode::Repeated) => json!([]),
            (None, Mode::Nullable) => Value::Null,
            (None, Mode::Required) => return Err(format!("{} is required", column.name)),
        };
        found.push((column.name.clone(), value));
    }
    Ok(found)
}

/// A value of protobuf in a column of this kind.
fn value(value: &prost_reflect::Value, column: &Column) -> Result<Value, String> {
    use prost_reflect::Value as Proto;
    let name = &column.name;
    Ok(match (value, column.kind) {
        (Proto::String(text), Kind::Json) => {
            json_text(text).map_err(|no| format!("{name}: {no}"))?
        }
        (Proto::I64(time), Kind::Timestamp) => {
            if !is_plausible(*time) {
                return Err(format!("{name}: {time} are no microseconds of our days"));
            }
            json!(time)
        }
        (Proto::I32(day), Kind::Date) if !(0..36_500).contains(day) => {
            return Err(format!("{name}: {day} is no day of ours"));
        }
        (Proto::Message(message), Kind::Struct) => {
            Value::Object(values(message, &column.columns)?.into_iter().collect())
        }
        (Proto::String(text), _) => json!(text),
        (Proto::Bytes(bytes), _) => json!(data_encoding::BASE64.encode(bytes)),
        (Proto::Bool(is_so), _) => json!(is_so),
        (Proto::I64(number), Kind::Bool) => json!(*number != 0),
        (Proto::I64(number), _) => json!(number),
        (Proto::I32(number) | Proto::EnumNumber(number), _) => json!(number),
        (Proto::U32(number), _) => json!(number),
        (Proto::F64(number), _) => float(*number),
        (Proto::F32(number), _) => float(f64::from(*number)),
        (other, kind) => return Err(format!("{name}: {other:?} in {kind:?}")),
    })
}

/// The text of a JSON column, as it is.
pub(crate) fn json_text(text: &str) -> Result<Value, String> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(json!(text)),
        Err(error) => Err(format!("no JSON: {error}")),
    }
}

/// JSON has no number for what is none.
pub(crate) fn float(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => json!("NaN"),
        None => json!(if number > 0.0 { "Infinity" } else { "-Infinity" }),
    }
}

/// Microseconds of the years 2000 to 2100: not milliseconds, not nanoseconds.
pub(crate) fn is_plausible(time: i64) -> bool {
    (946_684_800_000_000..4_102_444_800_000_000).contains(&time)
}
