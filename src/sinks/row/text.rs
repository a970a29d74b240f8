//! A line of text as a JSON object: the text is its `message`, and what it says in a form that can
//! be told for sure is members beside that: the first JSON object in it (behind a topic's name,
//! headers or a logger's prefix), else its timings (`predict_ms: 1.87`, `queue_time="49µs"`).
//! Deliberately knows no framework: which member fills which column is the alias table's.

use serde_json::value::RawValue;

use crate::sinks::json;

/// The object; what is nothing but text has one member.
pub(super) fn to_object(text: &str) -> String {
    object_within(text).unwrap_or_else(|| with_message(text, &timings(text)))
}

/// The first JSON object in a text, with the text around it as its `message`. A list of one object
/// is that object.
fn object_within(text: &str) -> Option<String> {
    let start = text.find('{')?;
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<&RawValue>();
    let object = values.next()?.ok()?.get();
    let members: Vec<json::Member<'_>> = json::object(object)?;
    if members.is_empty() || members.iter().any(|(key, _)| key == "message") {
        return None;
    }
    let (before, after) = (text[..start].trim(), text[start + object.len()..].trim());
    if (before, after) == ("[", "]") {
        return Some(object.to_owned());
    }
    let around = format!("{before} {after}");
    Some(with_message(around.trim(), &format!(",{}", &object[1..])))
}

/// An object that begins with `message` and goes on with `rest`.
fn with_message(message: &str, rest: &str) -> String {
    let mut object = b"{\"message\":".to_vec();
    json::write_string(&mut object, message);
    object.extend_from_slice(rest.as_bytes());
    String::from_utf8(object).expect("BUG: JSON is written as UTF-8")
}

/// `,"predict_ms":1.87}` for every name of a duration with a value whose unit is known.
fn timings(text: &str) -> String {
    let mut members = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}'));
    let mut name = "";
    for word in &mut words {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, value.trim_matches('"')),
            None => (name, word),
        };
        name = word.strip_suffix(':').unwrap_or("");
        let is_number = serde_json::from_str::<f64>(value).is_ok();
        let is_known = key.ends_with("_ms") && is_number
            || key.ends_with("_time")
                && !is_number
                && value.starts_with(|c: char| c.is_ascii_digit())
                && value.ends_with('s');
        if !is_known || names.contains(&key) {
            continue;
        }
        names.push(key);
        members.push(b',');
        json::write_string(&mut members, key);
        members.push(b':');
        match is_number {
            true => members.extend_from_slice(value.as_bytes()),
            false => json::write_string(&mut members, value),
        }
    }
    members.push(b'}');
    String::from_utf8(members).expect("BUG: JSON is written as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_says_in_json_is_read() {
        for (text, object) in [
            (
                "outputs\tid-2\t{\"modelName\":\"m_1\", \"n\":1.50}\t\tx-request-id=[id-2]",
                r#"{"message":"outputs\tid-2 x-request-id=[id-2]","modelName":"m_1", "n":1.50}"#,
            ),
            (
                r#"ce-id: 3 | {"predictions": [1, 1]}"#,
                r#"{"message":"ce-id: 3 |","predictions": [1, 1]}"#,
            ),
            (r#"[{"id":9,"model_name":"m"}]"#, r#"{"id":9,"model_name":"m"}"#),
            // Nothing to gain, or not to be told apart: all of it is the message.
            ("plain text", r#"{"message":"plain text"}"#),
            ("a set {} and {", r#"{"message":"a set {} and {"}"#),
            (r#"{"cut": "in the mid"#, r#"{"message":"{\"cut\": \"in the mid"}"#),
            (r#"x {"message":"y"}"#, r#"{"message":"x {\"message\":\"y\"}"}"#),
        ] {
            assert_eq!(to_object(text), object, "{text}");
        }
    }

    #[test]
    fn timings_with_a_unit_are_read() {
        for (text, members) in [
            (
                "requestId: a, preprocess_ms: 0.02, n_ms: x, predict_ms: 1.87",
                r#","preprocess_ms":0.02,"predict_ms":1.87}"#,
            ),
            (
                r#"generate{total_time="357.8ms" queue_time="49µs"}: ok"#,
                r#","total_time":"357.8ms","queue_time":"49µs"}"#,
            ),
            ("up_time=3 date_time=2026-01-04T10:30:00Z took_ms: 1 took_ms: 2", r#","took_ms":1}"#),
            ("nothing_ms:", "}"),
        ] {
            assert_eq!(timings(text), members, "{text}");
        }
    }
}
