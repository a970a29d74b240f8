//! A line of JSON read in the order of its bytes, without a tree and without a copy: members and
//! elements are told to a closure, which reads the value or skips it.
//!
//! Strict: what is no JSON of RFC 8259 ends the reading with `None`, Python's `NaN` included.
//! Deliberately decodes nothing but what a caller asks [`Text`] for.

use std::borrow::Cow;

use crate::event::json::block::Native;
use crate::event::json::scan::{byte, number_end, string_end, word_len};

/// Deepest nesting that is read; the pipeline takes no deeper line for JSON.
const DEPTH_MAX: usize = 64;

/// A string, with its quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    quoted: &'a [u8],
    /// It has escapes, or bytes beyond ASCII.
    is_special: bool,
}

impl<'a> Text<'a> {
    /// The text that it stands for.
    pub(super) fn decoded(self) -> Cow<'a, [u8]> {
        let inside = self.quoted.get(1..self.quoted.len() - 1).unwrap_or_default();
        if !self.is_special || memchr::memchr(b'\\', inside).is_none() {
            return Cow::Borrowed(inside);
        }
        // The scan took its escapes, so that it has a text.
        let text: String = serde_json::from_slice(self.quoted).unwrap_or_default();
        Cow::Owned(text.into_bytes())
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    depth: usize,
}

impl<'a> Scan<'a> {
    /// Reads `bytes[at..end]`; what follows is only loaded.
    pub(super) fn new(bytes: &'a [u8], at: usize, end: usize) -> Self {
        let mut scan = Self { bytes, at, end, depth: 0 };
        scan.skip_space();
        scan
    }

    /// Reads one value that was taken out by [`Self::value`].
    pub(super) fn of(token: &'a [u8]) -> Self {
        Self::new(token, 0, token.len())
    }

    fn skip_space(&mut self) {
        while self.at < self.end && matches!(self.bytes[self.at], b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Whether nothing follows.
    pub(super) fn is_done(&mut self) -> bool {
        self.skip_space();
        self.at >= self.end
    }

    /// The next byte; zero behind the end.
    pub(super) fn peek(&self) -> u8 {
        if self.at < self.end { byte(self.bytes, self.at) } else { 0 }
    }

    fn take(&mut self, wanted: u8) -> bool {
        let is_there = self.peek() == wanted;
        self.at += usize::from(is_there);
        is_there
    }

    /// The string that stands here.
    pub(super) fn text(&mut self) -> Option<Text<'a>> {
        let start = self.at;
        if !self.take(b'"') {
            return None;
        }
        let (close, is_special) = string_end::<Native>(self.bytes, self.at, self.end).ok()?;
        self.at = close + 1;
        Some(Text { quoted: self.bytes.get(start..self.at)?, is_special })
    }

    /// The number or the word that stands here.
    pub(super) fn scalar(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.at = match self.peek() {
            b'-' | b'0'..=b'9' => number_end::<Native>(self.bytes, start, self.end).ok()?,
            b't' | b'f' | b'n' => match word_len(self.bytes, start, self.end) {
                0 => return None,
                len => start + len,
            },
            _ => return None,
        };
        self.bytes.get(start..self.at)
    }

    /// Passes the value that stands here, and gives its token.
    pub(super) fn value(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.skip()?;
        self.bytes.get(start..self.at)
    }

    fn skip(&mut self) -> Option<()> {
        match self.peek() {
            b'"' => self.text().map(|_| ()),
            b'{' => self.members(|scan, _| scan.skip()),
            b'[' => self.elements(Self::skip),
            _ => self.scalar().map(|_| ()),
        }
    }

    /// The members of the object that stands here; `each` reads the value.
    pub(super) fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, Text<'a>) -> Option<()>,
    ) -> Option<()> {
        self.items((b'{', b'}'), |scan| {
            let key = scan.text()?;
            scan.skip_space();
            if !scan.take(b':') {
                return None;
            }
            scan.skip_space();
            each(scan, key)
        })
    }

    /// The elements of the array that stands here, each read by `each`.
    pub(super) fn elements(&mut self, each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.items((b'[', b']'), each)
    }

    fn items(
        &mut self,
        (open, close): (u8, u8),
        mut each: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        if self.depth >= DEPTH_MAX || !self.take(open) {
            return None;
        }
        self.depth += 1;
        self.skip_space();
        if !self.take(close) {
            loop {
                each(self)?;
                self.skip_space();
                if self.take(close) {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
                self.skip_space();
            }
        }
        self.depth -= 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    /// What is JSON is what serde_json takes for it, whatever stands behind it.
    #[test]
    fn json_is_that_of_serde_json() {
        let deep = format!("{}1{}", "[".repeat(63), "]".repeat(63));
        for text in [
            "1",
            "-0",
            "1.5e9",
            "01",
            "-",
            "1.",
            "true",
            "nul",
            "null",
            "NaN",
            "-Infinity",
            "\"a\"",
            "\"\\u00e9\\n\"",
            "\"\\x\"",
            "\"a",
            "[]",
            "[ ]",
            "[1 , \"b\",{}]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{}",
            "{ \"a\" : 1 , \"b\":[{\"c\":null}] }",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "{\"a\":1 \"b\":2}",
            "[1}",
            "{\"a\":1]",
            "",
            " ",
            "{\"a\":\"\u{fc}\"}",
            &deep,
        ] {
            let expected = serde_json::from_str::<IgnoredAny>(text).is_ok();
            for behind in ["", "\n{\"a\":1}"] {
                let bytes = [text, behind].concat();
                let mut scan = Scan::new(bytes.as_bytes(), 0, text.len());
                let is_json = scan.value().is_some() && scan.is_done();
                assert_eq!(is_json, expected, "{text}");
            }
        }
        let deeper = format!("[[{deep}]]");
        assert!(Scan::of(deeper.as_bytes()).value().is_none());
    }

    #[test]
    fn texts_are_those_of_serde_json() {
        for text in
            ["\"\"", "\"plain\"", "\"\\\"q\\\\ \\u00e9 \\ud83d\\ude00\"", "\"\u{fc}\u{1f600}\""]
        {
            let expected: String = serde_json::from_str(text).expect("a text");
            let found = Scan::of(text.as_bytes()).text().expect("a text");
            assert_eq!(&*found.decoded(), expected.as_bytes());
        }
    }
}
