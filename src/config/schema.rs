//! The JSON Schema of a config file, for editors: completion, descriptions, red underlines.
//!
//! Derived from the very structs that are read, descriptions from their docs. A schema cannot say all
//! that `validate` checks (names that must exist, conditions); it never refuses what `validate` takes.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, json_schema};

use serde_json::json;

use super::raw;

/// The schema as pretty JSON with a newline at its end.
#[must_use]
pub fn json() -> String {
    let mut schema =
        SchemaSettings::draft07().into_generator().into_root_schema_for::<raw::Config>();
    AllowReferences.transform(&mut schema);
    let text = serde_json::to_string_pretty(&schema);
    text.expect("BUG: a schema has only string keys") + "\n"
}

/// A component's schema with its `type`.
pub(super) fn tagged(word: &str, mut fields: Schema) -> Schema {
    let object = fields.ensure_object();
    let mut properties = serde_json::Map::new();
    properties.insert("type".to_owned(), json!({ "type": "string", "const": word }));
    if let Some(serde_json::Value::Object(others)) = object.remove("properties") {
        properties.extend(others);
    }
    object.insert("properties".to_owned(), properties.into());
    let mut required = vec![json!("type")];
    if let Some(serde_json::Value::Array(others)) = object.remove("required") {
        required.extend(others);
    }
    object.insert("required".to_owned(), required.into());
    object.insert("title".to_owned(), word.into());
    fields
}

/// A map of names to `T`.
pub(super) fn named<T: JsonSchema>(generator: &mut schemars::SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
}

/// What YAML and our reader take beyond the types: numbers, switches and words may come from the
/// environment and are text in the file then; text may look like a number; a switch may be a word.
struct AllowReferences;

impl Transform for AllowReferences {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let is_word = schema.get("enum").is_some();
        let more = match schema.get("type").and_then(serde_json::Value::as_str) {
            Some("string") if is_word => vec![reference()],
            Some("integer" | "number") => vec![reference()],
            Some("boolean") => {
                vec![json!({ "enum": ["on", "off", "yes", "no"] }), reference()]
            }
            Some("string") if schema.get("const").is_none() && schema.get("pattern").is_none() => {
                schema.insert("type".to_owned(), json!(["string", "number", "boolean"]));
                return;
            }
            _ => return,
        };
        let mut outer = json_schema!({});
        let inner = schema.ensure_object();
        for key in ["title", "description", "default"] {
            if let Some(value) = inner.remove(key) {
                outer.insert(key.to_owned(), value);
            }
        }
        let mut choices = vec![serde_json::Value::Object(std::mem::take(inner))];
        choices.extend(more);
        outer.insert("anyOf".to_owned(), choices.into());
        *schema = outer;
    }
}

fn reference() -> serde_json::Value {
    json!({ "type": "string", "pattern": r"\$\{" })
}
