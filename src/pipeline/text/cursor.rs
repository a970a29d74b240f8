//! A place in a line, and steps forward from it.

use std::ops::Range;

use crate::event::record::Level;

/// A line and how far it has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// The place in the line.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// From here to the end, without trailing space.
    pub(super) fn rest_range(&self) -> Range<usize> {
        let rest = self.rest().trim_ascii_end();
        self.at..self.at + rest.len()
    }

    pub(super) fn skip(&mut self, n: usize) {
        self.at = (self.at + n).min(self.line.len());
    }

    pub(super) fn skip_spaces(&mut self) {
        let n = self.rest().iter().take_while(|byte| **byte == b' ').count();
        self.skip(n);
    }

    /// Skips a terminal's colour codes, `ESC [ … m`.
    pub(super) fn skip_ansi(&mut self) {
        while let [0x1b, b'[', codes @ ..] = self.rest() {
            let Some(end) = codes.iter().take(16).position(u8::is_ascii_alphabetic) else { return };
            self.skip(end + 3);
        }
    }

    /// Steps over `text` if it stands here.
    pub(super) fn eat(&mut self, text: &[u8]) -> bool {
        let eaten = self.rest().starts_with(text);
        if eaten {
            self.skip(text.len());
        }
        eaten
    }

    /// The bytes up to the next `end`, which is stepped over; `None` if none follows within `max`.
    pub(super) fn until(&mut self, end: u8, max: usize) -> Option<&'a [u8]> {
        let rest = self.rest();
        let len = memchr::memchr(end, rest.get(..max).unwrap_or(rest))?;
        self.skip(len + 1);
        rest.get(..len)
    }

    /// The bytes up to the next space or the end.
    pub(super) fn token(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let len = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        self.skip(len);
        rest.get(..len).unwrap_or_default()
    }

    /// A level's word in capitals, or before a colon in any case. Steps over it.
    pub(super) fn level(&mut self) -> Option<Level> {
        let rest = self.rest();
        let len = rest.iter().take(10).take_while(|byte| byte.is_ascii_alphabetic()).count();
        let word = rest.get(..len)?;
        let is_upper = word.iter().all(u8::is_ascii_uppercase);
        // Shorter words (`LOG`, `I`) begin too many other lines.
        if len < 4 || !(is_upper || rest.get(len) == Some(&b':')) {
            return None;
        }
        let level = Level::parse(word)?;
        self.skip(len);
        Some(level)
    }
}
