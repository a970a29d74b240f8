//! PEM blocks (RFC 7468) of any label, and the state that carries one over lines.
//!
//! Necessary condition: `-----BEGIN ` or `-----END `; inside of an open block ([`Block`]) every
//! line.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Hit;
use crate::protect::entity::Entity;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

/// What either mark begins with; most texts have none, and finding that out must cost little.
fn has_dashes(text: &[u8]) -> bool {
    static DASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("-----"));
    DASHES.find(text).is_some()
}

pub(super) fn find(text: &[u8], hits: &mut Vec<Hit>) {
    if !has_dashes(text) {
        return;
    }
    let mut floor = 0;
    while let Some((start, end)) = next(text, floor) {
        hits.push(Hit::new(start, end, Entity::Pem));
        floor = end;
    }
}

/// The next block at or behind `floor`: to its end mark, or to the end of the text. An end without
/// a beginning closes a block that began before the text.
fn next(text: &[u8], floor: usize) -> Option<(usize, usize)> {
    let rest = &text[floor..];
    let begin = memchr::memmem::find(rest, BEGIN);
    let from = begin.unwrap_or(0);
    let Some(end) = memchr::memmem::find(&rest[from..], END).map(|n| n + from) else {
        return begin.map(|start| (floor + start, text.len()));
    };
    let label = end + END.len();
    let close =
        memchr::memmem::find(&rest[label..], b"-----").map_or(rest.len(), |n| label + n + 5);
    Some((floor + from, floor + close))
}

/// Whether the lines of one stream are inside of a block: its body holds nothing that a line by
/// itself could be known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    lines_left: u16,
}

impl Block {
    /// Lines after which a block without an end is taken for closed: a 16384-bit key has 200.
    const LINES_MAX: u16 = 512;

    /// Takes the next line; the range of it that belongs to a block which an earlier line opened.
    /// Only what could be a body is taken, so that a beginning that is cut off costs no log.
    pub fn line(&mut self, text: &[u8]) -> Option<(usize, usize)> {
        let inside = self.lines_left > 0;
        if !inside && !has_dashes(text) {
            return None;
        }
        let begin = memchr::memmem::rfind(text, BEGIN);
        let end = memchr::memmem::rfind(text, END);
        if begin > end {
            self.lines_left = Self::LINES_MAX;
        } else if end.is_some() {
            self.lines_left = 0;
        } else {
            self.lines_left = self.lines_left.saturating_sub(1);
        }
        let body = text.trim_ascii();
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        if !inside || body.is_empty() || !body.iter().all(is_base64) {
            return None;
        }
        let start = text.len() - text.trim_ascii_start().len();
        Some((start, start + body.len()))
    }
}
