//! logfmt as a JSON object, so that rows are built from one form only. Values stay text but for
//! those that are JSON scalars as they stand.

use crate::sinks::json;

/// `key=value key2="quoted \"value\""` as one JSON object; `None` when there is no pair.
pub(super) fn to_json(line: &str) -> Option<String> {
    let mut out = Vec::with_capacity(line.len() + 64);
    let mut rest = line.trim_start();
    while let Some((key, tail)) = split_key(rest) {
        out.push(if out.is_empty() { b'{' } else { b',' });
        json::write_string(&mut out, key);
        out.push(b':');
        rest = write_value(&mut out, tail).trim_start();
    }
    if out.is_empty() {
        return None;
    }
    out.push(b'}');
    String::from_utf8(out).ok()
}

/// The next key and what stands behind its `=`; words without one are skipped.
fn split_key(line: &str) -> Option<(&str, &str)> {
    let mut rest = line;
    loop {
        let end = rest.find([' ', '=', '"'])?;
        if rest.as_bytes()[end] == b'=' && end > 0 {
            return Some((&rest[..end], &rest[end + 1..]));
        }
        rest = &rest[end + 1..];
    }
}

/// Writes the value at the head of `rest` and returns what follows it.
fn write_value<'a>(out: &mut Vec<u8>, rest: &'a str) -> &'a str {
    if let Some(quoted) = rest.strip_prefix('"')
        && let Some(end) = quoted_end(quoted)
    {
        let token = &rest[..end + 2];
        // Most writers escape as JSON does; what they escape otherwise is taken as it stands.
        match serde_json::from_str::<String>(token) {
            Ok(_) => out.extend_from_slice(token.as_bytes()),
            Err(_) => json::write_string(out, &quoted[..end]),
        }
        return &quoted[end + 1..];
    }
    let (value, tail) = rest.split_once(' ').unwrap_or((rest, ""));
    let starts = value.as_bytes().first().copied().unwrap_or_default();
    let scalar = matches!(starts, b'-' | b'0'..=b'9') || ["true", "false", "null"].contains(&value);
    if scalar && serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok() {
        out.extend_from_slice(value.as_bytes());
    } else {
        json::write_string(out, value);
    }
    tail
}

fn quoted_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        for (line, expected) in [
            ("request_id=r-1 latency_ms=2.50", r#"{"request_id":"r-1","latency_ms":2.50}"#),
            (
                r#"level=info msg="a \"b\" c" ok=true"#,
                r#"{"level":"info","msg":"a \"b\" c","ok":true}"#,
            ),
            ("INFO model=iris x= y=01", r#"{"model":"iris","x":"","y":"01"}"#),
            (r#"a="open b=1"#, r#"{"a":"\"open","b":1}"#),
            (r#"p="C:\x" b=1"#, r#"{"p":"C:\\x","b":1}"#),
        ] {
            assert_eq!(to_json(line).as_deref(), Some(expected), "{line}");
        }
        for line in ["", "no pairs here", "=", "= =", "\"a=b"] {
            assert!(to_json(line).is_none_or(|json| json::is_object(&json)), "{line}");
        }
    }
}
