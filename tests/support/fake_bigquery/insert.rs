//! insertAll: rows of JSON, some of them bad.
//!
//! Owns what becomes of a batch when rows of it are bad, what an insertId does, and how values of
//! JSON are stored, in the same form as those that come by Storage Write.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::rest::Said;
use super::rows::{Row, is_plausible, json_text};
use super::schema::{Column, Kind, Mode};
use super::{Options, RestAct, State};

const ROWS_MAX: usize = 50_000;
const INSERT_ID_BYTES_MAX: usize = 128;

pub(crate) fn insert(
    state: &mut State,
    options: &Options,
    name: &str,
    body: &Value,
    act: &RestAct,
    n_bytes: usize,
) -> Said {
    if n_bytes > options.request_bytes_max {
        state.refuse(format!("insertAll of {n_bytes} bytes"));
        let message = format!("Request payload size exceeds the limit: {n_bytes} bytes.");
        return Said::error(413, "uploadTooLarge", &message);
    }
    let rows = body["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() || rows.len() > ROWS_MAX {
        state.offend(format!("insertAll with {} rows", rows.len()));
        return Said::error(400, "invalid", "No rows present in the request, or too many.");
    }
    let is = |key: &str| body[key].as_bool().unwrap_or_default();
    let (skips, ignores) = (is("skipInvalidRows"), is("ignoreUnknownValues"));
    let table = state.tables.get_mut(name).expect("it is there");
    let (mut good, mut bad, mut offences) = (Vec::new(), Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        let id = row["insertId"].as_str();
        if id.is_some_and(|id| id.len() > INSERT_ID_BYTES_MAX) {
            offences.push(format!("insertId of row {index}: too long"));
        }
        match read(&row["json"], table.written(), ignores) {
            Ok(row) => good.push((index, id, row)),
            Err((location, message)) => {
                offences.push(format!("row {index} of insertAll: {location}: {message}"));
                bad.push(said(index, "invalid", &location, &message));
            }
        }
    }
    if !bad.is_empty() && !skips {
        let stopped = good.drain(..).map(|(index, _, _)| said(index, "stopped", "", ""));
        bad.extend(stopped);
    }
    if let RestAct::InsertErrors(rows) = act {
        good.retain(|(index, _, _)| !rows.iter().any(|(row, _)| row == index));
        bad.extend(rows.iter().map(|(index, reason)| said(*index, reason, "", "told to")));
    }
    for (_, id, row) in good {
        if id.is_none_or(|id| table.insert_ids.insert(id.to_owned())) {
            table.rows.push(row);
        }
    }
    offences.into_iter().for_each(|what| state.offend(what));
    let mut answer = json!({ "kind": "bigquery#tableDataInsertAllResponse" });
    if !bad.is_empty() {
        answer["insertErrors"] = Value::Array(bad);
    }
    Said::ok(answer)
}

fn said(index: usize, reason: &str, location: &str, message: &str) -> Value {
    let error =
        json!({ "reason": reason, "location": location, "debugInfo": "", "message": message });
    json!({ "index": index, "errors": [error] })
}

/// Where it is wrong, and what.
type Wrong = (String, String);

fn read(row: &Value, columns: &[Column], ignores: bool) -> Result<Row, Wrong> {
    let wrong = |at: &str, what: &str| (at.to_owned(), what.to_owned());
    let Some(object) = row.as_object() else { return Err(wrong("", "no row")) };
    let is_column = |key: &String| columns.iter().any(|one| one.name.eq_ignore_ascii_case(key));
    if let Some(key) = object.keys().find(|key| !is_column(key) && !ignores) {
        return Err(wrong(key, &format!("no such field: {key}.")));
    }
    let mut read_row = Row::new();
    for column in columns {
        let said = object.iter().find(|(key, _)| column.name.eq_ignore_ascii_case(key));
        let said = said.map(|(_, value)| value).filter(|value| !value.is_null());
        let at = |no: String| (column.name.clone(), no);
        let value = match (said, column.mode) {
            (None, Mode::Nullable) => Value::Null,
            (None, Mode::Repeated) => json!([]),
            (None, Mode::Required) => {
                return Err(wrong(&column.name, "Missing required field."));
            }
            (Some(Value::Array(list)), Mode::Repeated) => {
                let list: Result<Vec<Value>, String> =
                    list.iter().map(|one| value(one, column, ignores)).collect();
                Value::Array(list.map_err(at)?)
            }
            (Some(_), Mode::Repeated) => return Err(wrong(&column.name, "This is no array.")),
            (Some(one), _) => value(one, column, ignores).map_err(at)?,
        };
        read_row.insert(column.name.clone(), value);
    }
    Ok(read_row)
}

fn value(said: &Value, column: &Column, ignores: bool) -> Result<Value, String> {
    let not = |kind: &str| format!("Cannot convert value to {kind}: {said}");
    match column.kind {
        Kind::Struct => {
            let row = read(said, &column.columns, ignores).map_err(|(_, what)| what)?;
            Ok(Value::Object(row.into_iter().collect()))
        }
        Kind::Int64 => {
            let number = said.as_i64().or_else(|| said.as_str()?.parse().ok());
            number.map(Value::from).ok_or_else(|| not("integer"))
        }
        Kind::Float64 => {
            let number = said.as_f64().or_else(|| said.as_str()?.parse().ok());
            number.map(super::rows::float).ok_or_else(|| not("double"))
        }
        Kind::Bool => {
            let is_so = said.as_bool().or_else(|| said.as_str()?.parse().ok());
            is_so.map(Value::from).ok_or_else(|| not("bool"))
        }
        Kind::Timestamp => timestamp(said)
            .filter(|time| is_plausible(*time))
            .map(Value::from)
            .ok_or_else(|| not("timestamp")),
        Kind::Json => match said.as_str() {
            Some(text) => json_text(text),
            None => Ok(json!(said.to_string())),
        },
        Kind::Bytes => {
            let is_base64 = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).is_ok();
            said.as_str()
                .filter(|text| is_base64(text))
                .map(Value::from)
                .ok_or_else(|| not("bytes"))
        }
        _ => said.as_str().map(Value::from).ok_or_else(|| not("string")),
    }
}

/// RFC 3339, or seconds since 1970.
fn timestamp(said: &Value) -> Option<i64> {
    let of_text = |text: &str| {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos() / 1000).ok()
    };
    let of_seconds = |seconds: f64| (seconds * 1e6).round() as i64;
    said.as_str()
        .and_then(|text| of_text(text).or_else(|| text.parse().ok().map(of_seconds)))
        .or_else(|| said.as_f64().map(of_seconds))
}
