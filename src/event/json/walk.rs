//! The full walk of one JSON line into a flat list of members ([`super::doc`]).
//!
//! It runs for lines of a shape not seen before and for those that fit no skeleton. The grammar is
//! RFC 8259 plus Python's `NaN`, `Infinity` and `-Infinity`; nesting beyond [`DEPTH_MAX`] is
//! refused. What it refuses is not lost: the line is then text. Iterative, with an explicit stack,
//! so that no input can overflow ours. Deliberately does not decode anything.

use super::block::Block;
use super::doc::{DocBuffers, Member, ValueKind};
use super::scan::{NotJson, byte, number_end, string_end, word_len};

/// Deepest nesting of objects and arrays.
pub const DEPTH_MAX: usize = 63;

/// One open container.
#[derive(Clone, Copy)]
struct Open {
    /// Its own entry among the members; `u32::MAX` for the outermost object.
    member: u32,
    /// Path that its members' keys are appended to.
    path: (u32, u32),
    is_array: bool,
    /// For arrays: the path of its elements, written at the first element that needs it.
    element_path: (u32, u32),
}

/// Walks the JSON object that spans `start..end` of `bytes` exactly (surrounding spaces allowed).
/// All spans in `found` are relative to `start`.
///
/// # Errors
/// [`NotJson`] when it is not one whole JSON object within the limits; `found` is then meaningless.
pub fn walk<B: Block>(
    bytes: &[u8],
    start: usize,
    end: usize,
    found: &mut DocBuffers,
) -> Result<(), NotJson> {
    found.clear();
    let mut walker = Walker::<B>::new(bytes, start, start, end, found);
    walker.at = walker.skip_space(start);
    if byte(bytes, walker.at) != b'{' || walker.at >= end {
        return Err(NotJson);
    }
    walker.run_value(u32::MAX, (0, 0))?;
    walker.at = walker.skip_space(walker.at);
    if walker.at == end { Ok(()) } else { Err(NotJson) }
}

/// Walks the one container that begins at `start`; appends what lies in it to `found` under
/// `path` and returns the position behind it. Spans are relative to `base`.
///
/// # Errors
/// As [`walk`].
pub fn walk_container<B: Block>(
    bytes: &[u8],
    base: usize,
    start: usize,
    end: usize,
    path: (u32, u32),
    found: &mut DocBuffers,
) -> Result<usize, NotJson> {
    let mut walker = Walker::<B>::new(bytes, base, start, end, found);
    walker.run_value(u32::MAX, path)?;
    Ok(walker.at)
}

struct Walker<'a, B> {
    bytes: &'a [u8],
    base: usize,
    at: usize,
    end: usize,
    found: &'a mut DocBuffers,
    open: [Open; DEPTH_MAX],
    depth: usize,
    block: std::marker::PhantomData<B>,
}

impl<'a, B: Block> Walker<'a, B> {
    fn new(bytes: &'a [u8], base: usize, at: usize, end: usize, found: &'a mut DocBuffers) -> Self {
        let none = Open { member: u32::MAX, path: (0, 0), is_array: false, element_path: (0, 0) };
        let block = std::marker::PhantomData;
        Self { bytes, base, at, end, found, open: [none; DEPTH_MAX], depth: 0, block }
    }

    /// Walks from the bracket at `self.at` to behind its partner.
    fn run_value(&mut self, member: u32, path: (u32, u32)) -> Result<(), NotJson> {
        self.push(member, path)?;
        let mut is_first = true;
        while self.depth > 0 {
            let opened = self.element(is_first)?;
            is_first = opened;
        }
        Ok(())
    }

    /// One element of the innermost container, or its end. Returns whether a container was opened.
    fn element(&mut self, is_first: bool) -> Result<bool, NotJson> {
        self.at = self.skip_space(self.at);
        let open = self.open[self.depth - 1];
        let closing = if open.is_array { b']' } else { b'}' };
        let next = self.peek()?;
        if next == closing {
            self.pop();
            return Ok(false);
        }
        if !is_first {
            if next != b',' {
                return Err(NotJson);
            }
            self.at = self.skip_space(self.at + 1);
        }
        if open.is_array { self.array_element() } else { self.member() }
    }

    fn member(&mut self) -> Result<bool, NotJson> {
        if self.peek()? != b'"' {
            return Err(NotJson);
        }
        let key = self.at + 1;
        let (key_end, key_escaped) = string_end::<B>(self.bytes, key, self.end)?;
        self.at = self.skip_space(key_end + 1);
        if self.peek()? != b':' {
            return Err(NotJson);
        }
        self.at = self.skip_space(self.at + 1);
        let parent = self.open[self.depth - 1].path;
        let path = self.extend_path(parent, b".", key, key_end);
        self.value(path, self.span(key, key_end), key_escaped)
    }

    fn array_element(&mut self) -> Result<bool, NotJson> {
        let next = self.peek()?;
        if !matches!(next, b'"' | b'{' | b'[') {
            let len = self.scalar_end(next)? - self.at;
            self.at += len;
            return Ok(false);
        }
        let open = self.open[self.depth - 1];
        let path = if open.element_path == (0, 0) {
            let path = self.extend_path(open.path, b"[]", 0, 0);
            self.open[self.depth - 1].element_path = path;
            path
        } else {
            open.element_path
        };
        self.value(path, (0, 0), false)
    }

    /// Records the value at `self.at` and steps into it or over it.
    fn value(&mut self, path: (u32, u32), key: (u32, u32), escaped: bool) -> Result<bool, NotJson> {
        let start = self.at;
        let first = self.peek()?;
        let index = self.found.members.len() as u32;
        let depth = self.depth as u8;
        let mut record = |kind, end: usize, escaped| {
            let value = ((start - self.base) as u32, (end - self.base) as u32);
            self.found.members.push(Member { path, key, value, kind, depth, escaped });
        };
        match first {
            b'"' => {
                let (end, special) = string_end::<B>(self.bytes, start + 1, self.end)?;
                record(ValueKind::String, end + 1, escaped | special);
                self.at = end + 1;
                Ok(false)
            }
            b'{' | b'[' => {
                let kind = if first == b'{' { ValueKind::Object } else { ValueKind::Array };
                record(kind, start, escaped);
                self.push(index, path)?;
                Ok(true)
            }
            _ => {
                let end = self.scalar_end(first)?;
                let kind = match first {
                    b't' | b'f' => ValueKind::Bool,
                    b'n' | b'N' | b'I' => ValueKind::Null,
                    _ if byte(self.bytes, start + 1) == b'I' => ValueKind::Null,
                    _ => ValueKind::Number,
                };
                let value = (self.offset(start), self.offset(end));
                self.found.members.push(Member { path, key, value, kind, depth, escaped });
                self.at = end;
                Ok(false)
            }
        }
    }

    fn scalar_end(&self, first: u8) -> Result<usize, NotJson> {
        if first.is_ascii_digit() || (first == b'-' && byte(self.bytes, self.at + 1) != b'I') {
            return number_end::<B>(self.bytes, self.at, self.end);
        }
        match word_len(self.bytes, self.at, self.end) {
            0 => Err(NotJson),
            len => Ok(self.at + len),
        }
    }

    fn push(&mut self, member: u32, path: (u32, u32)) -> Result<(), NotJson> {
        let is_array = self.peek()? == b'[';
        let slot = self.open.get_mut(self.depth).ok_or(NotJson)?;
        *slot = Open { member, path, is_array, element_path: (0, 0) };
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.at += 1;
        self.depth -= 1;
        let end = self.offset(self.at);
        let member = self.open[self.depth].member;
        if let Some(member) = self.found.members.get_mut(member as usize) {
            member.value.1 = end;
        }
    }

    /// Writes `parent`, the separator (unless `parent` is empty) and a key's bytes as a new path.
    fn extend_path(
        &mut self,
        parent: (u32, u32),
        separator: &[u8],
        key: usize,
        key_end: usize,
    ) -> (u32, u32) {
        let paths = &mut self.found.paths;
        let start = paths.len();
        if parent.0 != parent.1 {
            paths.extend_from_within(parent.0 as usize..parent.1 as usize);
            paths.extend_from_slice(separator);
        } else if separator == b"[]" {
            paths.extend_from_slice(separator);
        }
        paths.extend_from_slice(self.bytes.get(key..key_end).unwrap_or_default());
        (start as u32, paths.len() as u32)
    }

    fn span(&self, start: usize, end: usize) -> (u32, u32) {
        (self.offset(start), self.offset(end))
    }

    fn offset(&self, at: usize) -> u32 {
        (at - self.base) as u32
    }

    #[inline]
    fn peek(&self) -> Result<u8, NotJson> {
        if self.at < self.end { Ok(byte(self.bytes, self.at)) } else { Err(NotJson) }
    }

    #[inline]
    fn skip_space(&self, mut at: usize) -> usize {
        while at < self.end && matches!(byte(self.bytes, at), b' ' | b'\t' | b'\r' | b'\n') {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::block::{Native, Swar};
    use super::super::doc::Doc;
    use super::*;

    fn walked<B: Block>(line: &[u8]) -> Option<Vec<(String, String, ValueKind)>> {
        let mut found = DocBuffers::default();
        walk::<B>(line, 0, line.len(), &mut found).ok()?;
        let doc = Doc { line, found: &found };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let members = doc.members().iter();
        Some(members.map(|m| (text(doc.path(m)), text(doc.value(m)), m.kind)).collect())
    }

    #[test]
    fn members_in_order_with_their_paths() {
        let line = br#" {"a":1,"b":{"c":"x","d":[1,"y",{"e":null},[2]]},"":true , "f": -1.5e3} "#;
        let expected = [
            ("a", "1"),
            ("b", r#"{"c":"x","d":[1,"y",{"e":null},[2]]}"#),
            ("b.c", r#""x""#),
            ("b.d", r#"[1,"y",{"e":null},[2]]"#),
            ("b.d[]", r#""y""#),
            ("b.d[]", r#"{"e":null}"#),
            ("b.d[].e", "null"),
            ("b.d[]", "[2]"),
            ("", "true"),
            ("f", "-1.5e3"),
        ];
        let found = walked::<Native>(line).expect("is JSON");
        let found: Vec<_> =
            found.iter().map(|(path, value, _)| (path.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn refusals() {
        for line in [
            "",
            "{",
            "{}x",
            "[]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":01}",
            "{\"a\":tru}",
            "{\"a\":[1,]}",
            "{\"a\":[1}",
            "{\"a\":\"\u{1}\"}",
            "{1:2}",
            "{\"a\":1}}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "\"x\"",
        ] {
            assert_eq!(walked::<Native>(line.as_bytes()), None, "{line}");
            assert_eq!(walked::<Swar>(line.as_bytes()), None, "{line}");
        }
        let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(walked::<Native>(deep(DEPTH_MAX - 1).as_bytes()).is_some());
        assert!(walked::<Native>(deep(DEPTH_MAX).as_bytes()).is_none());
        assert!(walked::<Native>(deep(200_000).as_bytes()).is_none());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<f64>()
                .prop_filter_map("finite", |x| serde_json::Number::from_f64(x).map(Value::Number)),
            any::<i64>().prop_map(|x| Value::Number(x.into())),
            "[a-z\"\\\\/\u{fc}\u{1f600}\u{1}@ 0-9]{0,20}".prop_map(Value::String),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::vec(("[a-z_\\.\"\u{e9}]{0,6}", inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Every value's span is exactly that value, for arbitrary JSON objects.
        #[test]
        fn spans_are_the_values(object in prop::collection::vec(("[a-z\\.]{0,5}", json()), 0..6)) {
            let object = serde_json::Value::Object(object.into_iter().collect());
            let line = object.to_string();
            let found = walked::<Native>(line.as_bytes()).expect("serde wrote it");
            prop_assert_eq!(&found, &walked::<Swar>(line.as_bytes()).expect("same"));
            for (_, value, _) in &found {
                prop_assert!(serde_json::from_str::<serde_json::Value>(value).is_ok());
            }
            let top = object.as_object().expect("object").values();
            let top: Vec<String> = top.map(|value| value.to_string()).collect();
            let mut depth_one = DocBuffers::default();
            walk::<Native>(line.as_bytes(), 0, line.len(), &mut depth_one).expect("same");
            let doc = Doc { line: line.as_bytes(), found: &depth_one };
            let members = doc.members().iter().filter(|m| m.depth == 1);
            let mine: Vec<String> =
                members.map(|m| String::from_utf8_lossy(doc.value(m)).into_owned()).collect();
            prop_assert_eq!(mine, top);
        }

        /// On any bytes at all: no panic, and never laxer than serde_json but for Python's words.
        #[test]
        fn never_laxer_than_serde_json(line in "[{}\\[\\]\",:0-9a-z\\\\ue.+ \u{fc}-]{0,40}") {
            let line = format!("{{\"a\":{line}}}");
            let mine = walked::<Native>(line.as_bytes()).is_some();
            prop_assert_eq!(mine, walked::<Swar>(line.as_bytes()).is_some());
            let theirs = serde_json::from_str::<serde_json::Value>(&line).is_ok();
            // Numbers beyond f64 are legal JSON that serde_json's tree cannot hold.
            let raw = serde_json::from_str::<serde::de::IgnoredAny>(&line).is_ok();
            if mine { prop_assert!(theirs || raw, "{}", line); }
            if theirs { prop_assert!(mine, "{}", line); }
        }
    }
}
