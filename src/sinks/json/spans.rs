//! Where the members of an object and the elements of an array lie in JSON text.
//!
//! Owns the grammar: it takes what `serde_json` takes as a map or a list of `RawValue`, finds the
//! same spans, and refuses all else. Makes nothing of a value, decodes no string but a key.
//!
//! # Why
//! - *Not `serde_json`*: it took a fourth of the time of a BigQuery row, byte by byte. Strings are
//!   most of a line, and here sixteen bytes of them are one step.
//! - *Not the hot path's walk* (`event::json::walk`): that one refuses half a surrogate pair, takes
//!   Python's words and stops at a depth. What is JSON here is decided by the text alone, as
//!   DuckDB and BigQuery would.
//! - *No depth is too deep*: open brackets are bits, so nothing overflows.

use std::borrow::Cow;

use crate::event::json::block::{Block, Native};
use crate::event::json::scan::{self, byte, load16};

/// Calls `each` with the members of the one object that `text` is, in their order: the key,
/// decoded, and the value as it stands. `None` when it is not one; what came before the fault was
/// told then.
///
/// `likely` are the [heads](head) that its members are likely to have, in that order: those are
/// compared instead of read. Whether all came, and no other, is returned.
pub(in crate::sinks) fn members<'a>(
    text: &'a str,
    likely: &[String],
    mut each: impl FnMut(Cow<'a, str>, &'a str),
) -> Option<bool> {
    let (mut reader, mut likely, mut is_like) = (Reader::new(text), likely.iter(), true);
    if reader.open(b'{')? == b'}' {
        return reader.close().map(|()| likely.len() == 0);
    }
    loop {
        let key = match likely.next().and_then(|head| reader.head(head)) {
            Some(key) => Cow::Borrowed(key),
            None => {
                is_like = false;
                reader.key()?
            }
        };
        let value = reader.value()?;
        each(key, value);
        match reader.peek() {
            b',' => reader.at += 1,
            b'}' => return reader.close().map(|()| is_like && likely.len() == 0),
            _ => return None,
        }
    }
}

/// What stands before the value of a member with this key; nothing that ever does for a key that
/// cannot stand there as it is.
pub(in crate::sinks) fn head(key: &str) -> String {
    let is_plain = !key.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\'));
    if is_plain { format!("\"{key}\":") } else { String::new() }
}

/// Calls `each` with the elements of the one array that `text` is, see [`members`].
pub(super) fn elements<'a>(text: &'a str, mut each: impl FnMut(&'a str)) -> Option<()> {
    let mut reader = Reader::new(text);
    if reader.open(b'[')? == b']' {
        return reader.close();
    }
    loop {
        each(reader.value()?);
        match reader.peek() {
            b',' => reader.at += 1,
            b']' => return reader.close(),
            _ => return None,
        }
    }
}

/// Whether `text` is one object, whatever its keys hold.
pub(super) fn is_object(text: &str) -> bool {
    let mut reader = Reader::new(text);
    reader.peek() == b'{' && reader.container(b'{').is_some() && reader.is_done()
}

/// How many members or elements the container that `text` is has.
pub(super) fn count(text: &str) -> Option<usize> {
    let mut reader = Reader::new(text);
    let bracket = Some(reader.peek()).filter(|byte| matches!(byte, b'{' | b'['))?;
    if reader.open(bracket)? == bracket + 2 {
        return Some(0);
    }
    let mut n = 0;
    loop {
        let first = reader.element(bracket == b'[')?;
        reader.step_over(first)?;
        n += 1;
        if reader.peek() != b',' {
            return Some(n);
        }
        reader.at += 1;
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Steps over spaces to the byte that is returned; zero, which is nothing of JSON's, at the
    /// end.
    #[inline(always)]
    fn peek(&mut self) -> u8 {
        let found = byte(self.bytes(), self.at);
        if found > b' ' { found } else { self.behind_spaces() }
    }

    fn behind_spaces(&mut self) -> u8 {
        while matches!(byte(self.bytes(), self.at), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        byte(self.bytes(), self.at)
    }

    /// Steps into a container; the byte that follows its bracket.
    fn open(&mut self, bracket: u8) -> Option<u8> {
        if self.peek() != bracket {
            return None;
        }
        self.at += 1;
        Some(self.peek())
    }

    /// Steps over the last bracket, behind which only spaces may stand.
    fn close(&mut self) -> Option<()> {
        self.at += 1;
        self.is_done().then_some(())
    }

    fn is_done(&mut self) -> bool {
        self.peek();
        self.at == self.text.len()
    }

    /// Steps over this head of a member, if it is there; its key.
    #[inline(always)]
    fn head(&mut self, head: &str) -> Option<&'a str> {
        self.peek();
        let is_there = self.bytes().get(self.at..)?.starts_with(head.as_bytes());
        if head.is_empty() || !is_there {
            return None;
        }
        let start = self.at;
        self.at += head.len();
        // A quote before the key, a quote and a colon behind it.
        self.text.get(start + 1..self.at - 2)
    }

    /// Steps over a key and its colon.
    #[inline]
    fn key(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at_string()?;
        let (end, is_plain) = string_end(self.bytes(), start)?;
        self.at = end + 1;
        self.colon()?;
        if is_plain {
            return Some(Cow::Borrowed(self.text.get(start..end)?));
        }
        serde_json::from_str(self.text.get(start - 1..=end)?).ok().map(Cow::Owned)
    }

    fn at_string(&mut self) -> Option<usize> {
        (self.peek() == b'"').then_some(self.at + 1)
    }

    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        if self.peek() != b':' {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Steps over a value.
    #[inline]
    fn value(&mut self) -> Option<&'a str> {
        let first = self.peek();
        let start = self.at;
        self.step_over(first)?;
        self.text.get(start..self.at)
    }

    /// Steps over a value that begins with `first`.
    #[inline(always)]
    fn step_over(&mut self, first: u8) -> Option<()> {
        match first {
            b'{' | b'[' => self.container(first),
            _ => self.scalar(first),
        }
    }

    /// Steps over a value that begins with `first` and is no container.
    #[inline(always)]
    fn scalar(&mut self, first: u8) -> Option<()> {
        let bytes = self.bytes();
        let word: &[u8] = match first {
            b'"' => {
                self.at = string_end(bytes, self.at + 1)?.0 + 1;
                return Some(());
            }
            b'-' | b'0'..=b'9' => {
                self.at = number_end(bytes, self.at)?;
                return Some(());
            }
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return None,
        };
        let is_word = bytes.get(self.at..)?.starts_with(word);
        self.at += word.len();
        is_word.then_some(())
    }

    /// Steps over a container that begins with `bracket`, and all that is in it.
    fn container(&mut self, bracket: u8) -> Option<()> {
        let (mut open, mut first) = (Open::default(), bracket);
        loop {
            match first {
                b'{' | b'[' => {
                    self.at += 1;
                    open.push(first == b'[');
                    let next = self.peek();
                    // An empty one ends below.
                    if next != first + 2 {
                        first = self.element(open.is_array())?;
                        continue;
                    }
                }
                _ => self.scalar(first)?,
            }
            loop {
                match (self.peek(), open.is_array()) {
                    (b',', is_array) => {
                        self.at += 1;
                        first = self.element(is_array)?;
                        break;
                    }
                    (b']', true) | (b'}', false) => {
                        self.at += 1;
                        open.pop();
                        if open.is_none() {
                            return Some(());
                        }
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Steps over the key, in an object, to the first byte of the value.
    #[inline(always)]
    fn element(&mut self, is_array: bool) -> Option<u8> {
        if !is_array {
            let start = self.at_string()?;
            self.at = string_end(self.bytes(), start)?.0 + 1;
            self.colon()?;
        }
        Some(self.peek())
    }
}

/// The containers that are open: a bit each, set for an array; the innermost is the lowest.
#[derive(Default)]
struct Open {
    bits: u64,
    depth: usize,
    /// What lies above those of `bits`, 64 each.
    above: Vec<u64>,
}

impl Open {
    #[inline(always)]
    fn push(&mut self, is_array: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.above.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_array);
        self.depth += 1;
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.above.pop().unwrap_or_default();
        }
    }

    fn is_array(&self) -> bool {
        self.bits & 1 == 1
    }

    fn is_none(&self) -> bool {
        self.depth == 0
    }
}

/// The closing quote of the string whose first byte inside the quotes is `start`, and whether it
/// holds no escape. `None` for a control byte, a bad escape, or no quote.
#[inline(always)]
fn string_end(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut at = start;
    loop {
        let ends = Native::load(&load16(bytes, at)).ends_text();
        if ends == 0 {
            at += 16;
            continue;
        }
        // Zeros stand behind the last byte, and zero is a control byte.
        at += ends.trailing_zeros() as usize;
        return match byte(bytes, at) {
            b'"' => Some((at, true)),
            b'\\' => escaped_string_end(bytes, at).map(|end| (end, false)),
            _ => None,
        };
    }
}

/// Continues [`string_end`] at the first backslash.
fn escaped_string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match byte(bytes, at) {
            b'"' => return Some(at),
            b'\\' => at += escape_len(bytes, at)?,
            0..=0x1f => return None,
            _ => {
                let ends = Native::load(&load16(bytes, at)).ends_text();
                at += (ends.trailing_zeros() as usize).min(16);
            }
        }
    }
}

/// The position behind the number that begins at `start`.
#[inline(always)]
fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = u32::from(Native::load(&load16(bytes, start)).range(b'0', b'9'));
    let sign = u32::from(byte(bytes, start) == b'-');
    let whole = (digits >> sign).trailing_ones();
    let has_zeros = whole > 1 && byte(bytes, start + sign as usize) == b'0';
    let mut len = sign + whole;
    let mut is_plain = whole > 0 && !has_zeros;
    if byte(bytes, start + len as usize) == b'.' {
        let fraction = (digits >> (len + 1)).trailing_ones();
        is_plain &= fraction > 0;
        len += 1 + fraction;
    }
    let at = start + len as usize;
    // Longer ones do not end in this block for sure.
    if is_plain && len < 15 && !matches!(byte(bytes, at), b'e' | b'E') {
        return Some(at);
    }
    scan::number_end::<Native>(bytes, start, bytes.len()).ok()
}

/// Length of the escape at `at`. Half a surrogate pair is one: it is JSON, if no character.
fn escape_len(bytes: &[u8], at: usize) -> Option<usize> {
    match byte(bytes, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = bytes.get(at + 2..at + 6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
