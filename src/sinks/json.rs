//! Reading one JSON text without building a tree: members and elements as borrowed spans, scalars
//! on demand. Numbers are never re-printed: what goes into a column is the source's own text.
//!
//! Deliberately not the hot path's scanner (`event::json`): here every line is validated in full,
//! because a file with one line that is not JSON is a file that DuckDB refuses.

use std::borrow::Cow;

mod spans;

pub(in crate::sinks) use spans::{head, members};

/// A member of an object: its key, decoded, and its value as it stands.
pub type Member<'a> = (Cow<'a, str>, &'a str);

/// The members of `text` in their order; `None` when it is not one JSON object.
#[must_use]
pub fn object(text: &str) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::with_capacity(16);
    spans::members(text, &[], |key, value| members.push((key, value)))?;
    Some(members)
}

/// The elements of `text`; `None` when it is not one JSON array.
#[must_use]
pub fn array(text: &str) -> Option<Vec<&str>> {
    let mut elements = Vec::new();
    spans::elements(text, |element| elements.push(element))?;
    Some(elements)
}

/// The bytes as text, what is no UTF-8 replaced. (The standard library's lossy reading takes ten
/// times as long on text that is fine, which all but a few lines are.)
#[must_use]
pub fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Whether `text` is one JSON object.
#[must_use]
pub fn is_object(text: &str) -> bool {
    spans::is_object(text)
}

/// Number of members of an object or elements of an array; `None` for everything else. `text` is
/// JSON.
#[must_use]
pub fn count(text: &str) -> Option<usize> {
    spans::count(text)
}

/// The decoded text of a string; a number as it stands; `None` for everything else.
#[must_use]
pub fn text(value: &str) -> Option<Cow<'_, str>> {
    match value.as_bytes().first()? {
        b'"' => string(value),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(value)),
        _ => None,
    }
}

/// The decoded text of a string token. One with half a surrogate pair stays undecoded: it is JSON
/// as Python writes it, and no character.
#[must_use]
pub fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = unquoted(value)?;
    // All bytes, without an end before the last: most are few, and sixteen are one step then.
    if !inner.bytes().fold(false, |found, byte| found | (byte == b'\\')) {
        return Some(Cow::Borrowed(inner));
    }
    Some(serde_json::from_str::<String>(value).map_or(Cow::Borrowed(inner), Cow::Owned))
}

fn unquoted(value: &str) -> Option<&str> {
    let is_string = value.len() > 1 && value.as_bytes()[0] == b'"' && value.ends_with('"');
    is_string.then(|| &value[1..value.len() - 1])
}

/// The finite value of a number, or of a string that holds one.
#[must_use]
pub fn number(value: &str) -> Option<f64> {
    let text = unquoted(value).unwrap_or(value);
    // Only what begins like a JSON number: Rust would take "inf" and "nan" too.
    if !matches!(text.as_bytes().first()?, b'-' | b'0'..=b'9') {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The value of a whole number, or of a string that holds one.
#[must_use]
pub fn integer(value: &str) -> Option<i64> {
    let text = unquoted(value).unwrap_or(value);
    text.parse().ok()
}

/// What stands between the braces of `object`; `None` where it has none.
#[must_use]
pub fn inside(object: &[u8]) -> Option<&[u8]> {
    let inside = object.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    Some(inside.trim_ascii())
}

/// An object of these members, whose values are JSON; `None` where there are none.
#[must_use]
pub fn object_of<'m>(members: impl Iterator<Item = (&'m str, &'m str)>) -> Option<String> {
    let mut out = Vec::with_capacity(128);
    for (name, value) in members {
        out.push(if out.is_empty() { b'{' } else { b',' });
        write_string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    if out.is_empty() {
        return None;
    }
    out.push(b'}');
    String::from_utf8(out).ok()
}

/// Appends `text` as a JSON string.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    serde_json::to_writer(&mut *out, text).expect("BUG: a vector takes every write");
}

/// Puts `null` where Python wrote `NaN`, `Infinity` or `-Infinity`, which are not JSON; `None` when
/// there is none.
#[must_use]
pub fn without_nan(text: &str) -> Option<String> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let rest = &bytes[at..];
        let literals: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
        match rest[0] {
            b'"' => at += closing_quote(rest, 0).map_or(rest.len(), |quote| quote + 1),
            b'N' | b'I' | b'-' => {
                let found = literals.into_iter().find(|literal| rest.starts_with(literal));
                if let Some(literal) = found {
                    out.push_str(&text[copied..at]);
                    out.push_str("null");
                    copied = at + literal.len();
                }
                at += found.map_or(1, <[u8]>::len);
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[copied..]);
    (copied > 0).then_some(out)
}

/// The quote at the end of the string that begins at `at`, valid or not; `None` where none ends it.
#[must_use]
pub fn closing_quote(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at + 1;
    loop {
        end += memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            return Some(end);
        }
        end += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_the_sources_own_text() {
        let line = r#"{"a": 1.50, "b\"": {"c":[1 ,2]}, "d":"x\ny"}"#;
        let members = object(line).expect("an object");
        let values: Vec<&str> = members.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, ["1.50", r#"{"c":[1 ,2]}"#, r#""x\ny""#]);
        assert_eq!(members[1].0, "b\"");
        assert_eq!(text(values[2]).as_deref(), Some("x\ny"));
        assert_eq!(array("[1e400, -0.0,[]]"), Some(vec!["1e400", "-0.0", "[]"]));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for line in ["", "[]", "{", "{}x", r#"{"a":1.2.3}"#, r#"{"a":NaN}"#, "{\"a\":\"\n\"}"] {
            assert!(object(line).is_none() && !is_object(line), "{line}");
        }
    }

    #[test]
    fn scalars() {
        assert_eq!(number("0.87"), Some(0.87));
        assert_eq!(number("\"1.234\""), Some(1.234));
        for not in ["\"inf\"", "NaN", "null", "\"\"", "1e999", "\"1.2s\""] {
            assert_eq!(number(not), None, "{not}");
        }
        assert_eq!(integer("23"), Some(23));
        assert_eq!(integer("23.5"), None);
        assert_eq!(text("6413930528999883196").as_deref(), Some("6413930528999883196"));
        assert_eq!(string(r#""\ud800""#).as_deref(), Some(r"\ud800"));
    }

    #[test]
    fn members_are_counted() {
        for (text, n) in [
            ("{}", 0),
            ("[ \n]", 0),
            ("[[]]", 1),
            ("[{\"a\":1,\"b\":[2,3]},\"x,y\",null]", 3),
            (r#"{"a\",":1, "b":{"c":[],"d":{}}}"#, 2),
            ("[-1.5e3]", 1),
        ] {
            assert_eq!(count(text), Some(n), "{text}");
        }
        assert_eq!((count("1"), count("")), (None, None));
    }

    #[test]
    fn python_literals_become_null_outside_strings() {
        let line = r#"{"a":NaN,"b":[-Infinity,Infinity,-1],"NaN":"\"NaN"}"#;
        let repaired = without_nan(line).expect("some");
        assert_eq!(repaired, r#"{"a":null,"b":[null,null,-1],"NaN":"\"NaN"}"#);
        assert_eq!(without_nan(r#"{"a":"NaN \" Infinity","b":-1}"#), None);
    }
}
