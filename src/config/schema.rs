//! The JSON Schema of a config file, for editors: completion, descriptions, red underlines.
//!
//! Derived from the very structs that are read, descriptions from their docs. A schema cannot say
//! all that `validate` checks (names that must exist, conditions); it never refuses what `validate`
//! takes.

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
        if let Some(serde_json::Value::Array(words)) = schema.get_mut("oneOf")
            && words.iter().all(|word| word.get("const").is_some())
        {
            words.push(reference());
            return;
        }
        let is_word = schema.get("enum").is_some();
        let is_free = !["enum", "const", "pattern"].iter().any(|rule| schema.get(*rule).is_some());
        let types = match schema.get("type") {
            Some(serde_json::Value::String(one)) => vec![one.clone()],
            Some(serde_json::Value::Array(some)) => {
                some.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
            }
            _ => return,
        };
        let has = |wanted: &str| types.iter().any(|one| one == wanted);
        let also = |more: &[&str]| {
            let more = more.iter().copied().filter(|more| !has(more));
            json!(types.iter().map(String::as_str).chain(more).collect::<Vec<_>>())
        };
        if schema.get("default").is_some_and(serde_json::Value::is_null) {
            schema.remove("default");
        }
        let more = if has("object") && schema.get("required").is_none() {
            // A section whose fields are all commented out.
            schema.insert("type".to_owned(), also(&["null"]));
            return;
        } else if has("string") && is_free {
            schema.insert("type".to_owned(), also(&["number", "boolean"]));
            return;
        } else if has("boolean") {
            vec![json!({ "enum": ["on", "off", "yes", "no"] }), reference()]
        } else if has("integer") || has("number") || is_word {
            vec![reference()]
        } else {
            return;
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
