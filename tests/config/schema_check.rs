//! As much of JSON Schema (draft 7) as our own schema uses, to check examples against it.

use std::collections::BTreeSet;

use serde_json::Value;

/// What `schema` has against `value`.
pub(crate) fn complaints(schema: &Value, value: &Value) -> Vec<String> {
    check(schema, schema, value, "$")
}

/// The names of all fields in `schema`.
pub(crate) fn fields(schema: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(schema, &mut names);
    names
}

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                names.extend(properties.keys().cloned());
            }
            object.values().for_each(|value| collect(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

fn check(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let Value::Object(rules) = schema else {
        return if *schema == Value::Bool(false) {
            vec![format!("{path}: not allowed")]
        } else {
            vec![]
        };
    };
    let mut wrong = Vec::new();
    for (rule, want) in rules {
        match rule.as_str() {
            "$ref" => {
                let pointer = want.as_str().and_then(|text| text.strip_prefix('#'));
                let target = pointer.and_then(|pointer| root.pointer(pointer));
                wrong.extend(check(root, target.expect("the schema has its target"), value, path));
            }
            "type" if !has_type(want, value) => wrong.push(format!("{path}: is not {want}")),
            "const" if want != value => wrong.push(format!("{path}: is not {want}")),
            "enum" if !array(want).contains(value) => wrong.push(format!("{path}: not in {want}")),
            "pattern" if value.as_str().is_some_and(|text| !matches(want, text)) => {
                wrong.push(format!("{path}: does not match {want}"));
            }
            "allOf" => {
                array(want).iter().for_each(|s| wrong.extend(check(root, s, value, path)));
            }
            "anyOf" | "oneOf" => {
                let all: Vec<_> = array(want).iter().map(|s| check(root, s, value, path)).collect();
                let fitting = all.iter().filter(|complaints| complaints.is_empty()).count();
                if fitting == 0 || (rule == "oneOf" && fitting > 1) {
                    wrong.push(format!("{path}: fits {fitting} of {rule}: {all:?}"));
                }
            }
            "required" => wrong.extend(
                array(want)
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|name| value.is_object() && value.get(name).is_none())
                    .map(|name| format!("{path}: lacks {name}")),
            ),
            "items" => {
                for (n, item) in array(value).iter().enumerate() {
                    wrong.extend(check(root, want, item, &format!("{path}[{n}]")));
                }
            }
            "properties" => {
                for (name, item) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = want.get(name) {
                        wrong.extend(check(root, schema, item, &format!("{path}.{name}")));
                    }
                }
            }
            "additionalProperties" => {
                for (name, item) in value.as_object().into_iter().flatten() {
                    if rules.get("properties").and_then(|known| known.get(name)).is_none() {
                        wrong.extend(check(root, want, item, &format!("{path}.{name}")));
                    }
                }
            }
            "propertyNames" => {
                for (name, _) in value.as_object().into_iter().flatten() {
                    let name = Value::String(name.clone());
                    wrong.extend(check(root, want, &name, &format!("{path}, key")));
                }
            }
            _ => {}
        }
    }
    wrong
}

fn matches(pattern: &Value, text: &str) -> bool {
    let pattern = pattern.as_str().expect("a pattern is text");
    regex::Regex::new(pattern).expect("a pattern compiles").is_match(text)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn has_type(want: &Value, value: &Value) -> bool {
    match want {
        Value::Array(types) => types.iter().any(|one| has_type(one, value)),
        one => match one.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("number") => value.is_number(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("boolean") => value.is_boolean(),
            Some("null") => value.is_null(),
            _ => false,
        },
    }
}
