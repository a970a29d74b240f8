//! What a full walk of one JSON line found: every member with its path and the span of its value.
//!
//! A doc is built once per shape of line (it teaches the skeleton) and for lines that fit none. It
//! borrows the line and reuses its own two buffers; it is never kept. Deliberately not a tree: a
//! flat list in the order of the bytes, which is what classification, field policies and detectors
//! need.

use std::ops::Range;

/// What a JSON value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// A string; the span includes its quotes.
    String,
    /// A number, as it stands.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`, and Python's `NaN`, `Infinity`, `-Infinity`, which `json.dumps` writes.
    Null,
    /// `{…}`; its members follow it in the list.
    Object,
    /// `[…]`; those of its elements that are strings or containers follow it in the list.
    Array,
}

/// One member of an object, or one string or container element of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where in [`DocBuffers::paths`] its path stands: `prediction.score`, `inputs[].datatype`.
    /// Keys stand as in the line (escapes undecoded) but for `.` between the levels.
    pub path: (u32, u32),
    /// Span of the key's text within the line, without quotes; empty for array elements.
    pub key: (u32, u32),
    /// Span of the value's token within the line, quotes and brackets included.
    pub value: (u32, u32),
    /// What the value is.
    pub kind: ValueKind,
    /// 1 for members of the outermost object.
    pub depth: u8,
    /// The key or the (string) value holds a backslash, a control character or a non-ASCII byte.
    pub escaped: bool,
}

/// The reused buffers behind a [`Doc`].
#[derive(Debug, Default)]
pub struct DocBuffers {
    /// All members in the order of the line's bytes, containers before their content.
    pub members: Vec<Member>,
    /// The text of all paths.
    pub paths: Vec<u8>,
}

impl Member {
    /// Whether it is an element of an array; an empty key is a key.
    #[must_use]
    pub fn is_element(&self) -> bool {
        // No key begins at the line's first byte, which is the bracket.
        self.key == (0, 0)
    }
}

impl DocBuffers {
    /// Empties both, keeping their room.
    pub fn clear(&mut self) {
        self.members.clear();
        self.paths.clear();
    }
}

/// A walked line.
#[derive(Clone, Copy, Debug)]
pub struct Doc<'a> {
    /// The line, without its newline.
    pub line: &'a [u8],
    /// What was found.
    pub found: &'a DocBuffers,
}

impl<'a> Doc<'a> {
    /// All members in the order of the line's bytes.
    #[must_use]
    pub fn members(&self) -> &'a [Member] {
        &self.found.members
    }

    /// The member's path.
    #[must_use]
    pub fn path(&self, member: &Member) -> &'a [u8] {
        slice(&self.found.paths, member.path)
    }

    /// The member's key, undecoded, without quotes.
    #[must_use]
    pub fn key(&self, member: &Member) -> &'a [u8] {
        slice(self.line, member.key)
    }

    /// The value's token, quotes and brackets included.
    #[must_use]
    pub fn value(&self, member: &Member) -> &'a [u8] {
        slice(self.line, member.value)
    }

    /// The inside of a string value, undecoded; the token itself for every other kind.
    #[must_use]
    pub fn text(&self, member: &Member) -> &'a [u8] {
        let token = self.value(member);
        match member.kind {
            ValueKind::String => token.get(1..token.len().saturating_sub(1)).unwrap_or_default(),
            _ => token,
        }
    }

    /// The first member at `path`.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&'a Member> {
        self.members().iter().find(|member| self.path(member) == path.as_bytes())
    }
}

fn slice(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    let range: Range<usize> = start as usize..end as usize;
    bytes.get(range).unwrap_or_default()
}
