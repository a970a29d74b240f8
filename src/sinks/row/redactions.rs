//! What protection did to an event, by the marks that it left: field by field, what was found there
//! and what was done, and how often.
//!
//! Owns the walk from marks to fields. What a mark looks like is [`crate::protect::marks`]'s.

use std::borrow::Cow;

use super::Redaction;
use crate::protect::marks::{Mark, marks};
use crate::sinks::json;

/// Different redactions that one row tells; the others are one more, without a field.
const REDACTIONS_MAX: usize = 64;
/// Levels of a path that are told.
const DEPTH_MAX: usize = 16;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 256;

/// Those of one event.
#[derive(Debug, Default)]
pub(super) struct Redactions {
    pub(super) all: Vec<Redaction<'static>>,
    /// Of the pseudonyms among them.
    pub(super) key_id: Option<String>,
}

impl Redactions {
    /// Those of an event that protection changed: JSON, or text.
    pub(super) fn of(line: &str) -> Self {
        let mut found = Self::default();
        // A line of text may begin with a bracket too: `[INFO] mail to [email]`.
        match line.trim_start().as_bytes().first() {
            Some(b'{') => found.walk(line),
            Some(b'[') if json::array(line).is_some() => found.walk(line),
            _ => {}
        }
        if found.all.is_empty() && !json::is_object(line) {
            found.add(line, || "message".to_owned());
        }
        if found.all.is_empty() {
            // Dropped, cut or made coarser: that leaves no mark.
            found.all.push(Redaction {
                path: None,
                entity: None,
                action: "changed".into(),
                n: None,
            });
        }
        found
    }

    /// Reads JSON, or what almost is: strings, with the keys that lead to them.
    fn walk(&mut self, line: &str) {
        let bytes = line.as_bytes();
        // By level the key there; none within a list. Deeper ones are only counted: brackets cost
        // a line one byte each.
        let mut keys: Vec<Option<&str>> = Vec::new();
        let (mut depth, mut at) = (0_usize, 0);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'{' | b'[' => {
                    if depth < DEPTH_MAX {
                        keys.push((*byte == b'{').then_some(""));
                    }
                    depth += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    keys.truncate(depth);
                }
                b'"' => {
                    let end = json::closing_quote(bytes, at).unwrap_or(bytes.len());
                    let text = line.get(at + 1..end).unwrap_or_default();
                    at = end + 1;
                    let behind = bytes.get(at..).unwrap_or_default().trim_ascii_start();
                    let is_key = behind.first() == Some(&b':');
                    if let (Some(Some(key)), true) = (keys.last_mut(), is_key)
                        && depth <= DEPTH_MAX
                    {
                        *key = text;
                    }
                    self.add(text, || path(&keys));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Adds what is marked in `text`, which stands at a path.
    fn add(&mut self, text: &str, path: impl FnOnce() -> String) {
        let mut marks = marks(text).peekable();
        if marks.peek().is_none() {
            return;
        }
        let path = path();
        for Mark { entity, key_id } in marks {
            let action = if key_id.is_some() { "hash" } else { "mask" };
            if let (Some(id), None) = (key_id, &self.key_id) {
                self.key_id = Some(id.to_owned());
            }
            let entity = entity.map(|entity| entity.as_str());
            let is_full = self.all.len() >= REDACTIONS_MAX;
            let same = self.all.iter_mut().find(|one| {
                one.path.as_deref() == Some(&*path)
                    && one.entity.as_deref() == entity
                    && one.action == action
            });
            match (same, is_full) {
                (Some(one), _) => one.n = one.n.map(|n| n + 1),
                (None, false) => self.all.push(Redaction {
                    path: Some(path.clone().into()),
                    entity: entity.map(Cow::Borrowed),
                    action: action.into(),
                    n: Some(1),
                }),
                (None, true) => self.add_to_others(),
            }
        }
    }

    fn add_to_others(&mut self) {
        match self.all.last_mut().filter(|one| one.path.is_none()) {
            Some(others) => others.n = others.n.map(|n| n + 1),
            None => {
                let action = "others".into();
                self.all.push(Redaction { path: None, entity: None, action, n: Some(1) });
            }
        }
    }
}

/// `features.contacts.*.mail`: a star for the elements of a list.
fn path(keys: &[Option<&str>]) -> String {
    let names = keys.iter().map(|key| key.unwrap_or("*"));
    let mut path = String::new();
    for name in names {
        if path.len() + name.len() >= PATH_BYTES_MAX {
            break;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Vec<String> {
        let show = |one: &Redaction<'_>| {
            let (path, entity) = (one.path.as_deref(), one.entity.as_deref());
            format!("{} {} {} {:?}", path.unwrap_or("-"), entity.unwrap_or("-"), one.action, one.n)
        };
        Redactions::of(line).all.iter().map(show).collect()
    }

    #[test]
    fn field_by_field() {
        for (line, expected) in [
            (
                r#"{"features":{"mail":"[email]","n":1},"to":[{"a":"[phone] or [phone]"},"[phone]"]}"#,
                vec![
                    "features.mail email mask Some(1)",
                    "to.*.a phone mask Some(2)",
                    "to.* phone mask Some(1)",
                ],
            ),
            (r#"{"a\"b":"x","pass":"[masked]"}"#, vec!["pass - mask Some(1)"]),
            (
                r#"{"u":"email:k2:MZXW6YTBOI3TQOJRGIZTINJWG4~k1:GEZDGNBVGY3TQOJQGEZDGNBVGY"}"#,
                vec!["u email hash Some(1)"],
            ),
            ("from [ip_address]", vec!["message ip_address mask Some(1)"]),
            (r#"{"age":null}"#, vec!["- - changed None"]),
            (r#"{"cut":"[email] ab"#, vec!["cut email mask Some(1)"]),
            // Cut within a character, behind a mask, and behind a backslash.
            (r#"{"cut":"[email] ü"#, vec!["cut email mask Some(1)"]),
            (r#"{"cut":"to [email]"#, vec!["cut email mask Some(1)"]),
            (r#"{"cut":"to [email]\"#, vec!["cut email mask Some(1)"]),
            // Text that only begins like JSON.
            ("[INFO] \"a\" mail to [email]", vec!["message email mask Some(1)"]),
            ("{'mail': '[email]'}", vec!["message email mask Some(1)"]),
            (r#"["a","[email]"]"#, vec!["* email mask Some(1)"]),
            // Keys are searched as well.
            (
                r#"{"by":{"[email]":null,"x":"[email]"}}"#,
                vec!["by.[email] email mask Some(1)", "by.x email mask Some(1)"],
            ),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
        let key = Redactions::of(r#"{"u":"email:k2:MZXW6YTBOI3TQOJRGIZTINJWG4"}"#).key_id;
        assert_eq!(key.as_deref(), Some("k2"));
    }

    #[test]
    fn no_row_tells_without_end() {
        let members: Vec<String> = (0..100).map(|n| format!(r#""k{n}":"[email]""#)).collect();
        let told = told(&format!("{{{}}}", members.join(",")));
        assert_eq!(told.len(), REDACTIONS_MAX + 1);
        assert_eq!(told.last().map(String::as_str), Some("- - others Some(36)"));
    }

    #[test]
    fn deep_lines_cost_no_more_than_their_text() {
        let open = "{\"a\":[".repeat(1 << 18);
        let line = format!("{open}\"[email]\",{{\"k\":\"[phone]\"}}");
        let mut path = ["a", "*"].repeat(DEPTH_MAX / 2).join(".");
        assert_eq!(
            told(&line),
            [format!("{path} email mask Some(1)"), format!("{path} phone mask Some(1)")]
        );
        let closed = format!("{line}{},\"b\":\"[email]\"}}", "]}".repeat((1 << 18) - 1) + "]");
        path.push_str(" email mask Some(1)");
        assert_eq!(told(&closed)[0], path);
        assert_eq!(told(&closed)[2], "b email mask Some(1)");
    }
}
