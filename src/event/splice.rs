//! Pending edits of one line and their application in one pass: the only way an event's bytes
//! change.
//!
//! Edits may be added in any order and may overlap; overlapping ones melt into one that covers all
//! of them (protection fails closed: what any edit wanted gone is gone). Deliberately knows nothing
//! of JSON: who adds an edit sees to it that the result is what it should be.

/// One replacement of a range of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    start: u32,
    end: u32,
    /// The replacement, as a range of [`Splice::texts`].
    text: (u32, u32),
}

/// The edits of one line; reused from line to line.
#[derive(Debug, Default)]
pub struct Splice {
    edits: Vec<Edit>,
    texts: Vec<u8>,
    is_sorted: bool,
}

impl Splice {
    /// Forgets all edits.
    pub fn clear(&mut self) {
        self.edits.clear();
        self.texts.clear();
        self.is_sorted = true;
    }

    /// Whether no edit is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Replaces `start..end` of the line by what `write` appends, unless `write` says that nothing
    /// changes.
    pub fn replace(&mut self, start: u32, end: u32, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let from = self.texts.len() as u32;
        if !write(&mut self.texts) {
            self.texts.truncate(from as usize);
            return;
        }
        let text = (from, self.texts.len() as u32);
        self.is_sorted &= self.edits.last().is_none_or(|last| last.end <= start);
        self.edits.push(Edit { start, end, text });
    }

    /// Writes the edited line to `out`, which is cleared first.
    pub fn apply(&mut self, line: &[u8], out: &mut Vec<u8>) {
        self.settle();
        out.clear();
        let mut done = 0;
        for edit in &self.edits {
            out.extend_from_slice(line.get(done..edit.start as usize).unwrap_or_default());
            let text = self.texts.get(edit.text.0 as usize..edit.text.1 as usize);
            out.extend_from_slice(text.unwrap_or_default());
            done = edit.end as usize;
        }
        out.extend_from_slice(line.get(done..).unwrap_or_default());
    }

    /// Where the span `start..end` of the line lies after [`Self::apply`]: moved, or, when an edit
    /// covered it exactly or around its quotes, the replacement's text without quotes. `None` when
    /// an
    /// edit cut it or took it away, and where a mask or `null` stands in its place.
    #[must_use]
    pub fn moved(&self, start: u32, end: u32) -> Option<(u32, u32)> {
        let mut shift = 0i64;
        for edit in &self.edits {
            if edit.end <= start {
                shift += i64::from(edit.text.1 - edit.text.0) - i64::from(edit.end - edit.start);
                continue;
            }
            if edit.start >= end {
                break;
            }
            let text = self.texts.get(edit.text.0 as usize..edit.text.1 as usize)?;
            let is_token = edit.start + 1 == start && edit.end == end + 1;
            let is_exact = edit.start == start && edit.end == end;
            let base = u32::try_from(i64::from(edit.start) + shift).ok()?;
            let (base, text) = match text {
                // A number becomes a string when it becomes a pseudonym.
                [b'"', inside @ .., b'"'] if is_exact || is_token => (base + 1, inside),
                text if is_exact => (base, text),
                _ => return None,
            };
            // All masks are alike, and so no id.
            let is_id = !text.is_empty() && text != b"null" && !text.starts_with(b"[");
            return is_id.then_some((base, base + text.len() as u32));
        }
        let moved = |at: u32| u32::try_from(i64::from(at) + shift).ok();
        Some((moved(start)?, moved(end)?))
    }

    /// Sorts, and melts overlapping edits into one with the longest text of them.
    fn settle(&mut self) {
        if self.is_sorted {
            return;
        }
        self.edits.sort_by_key(|edit| (edit.start, std::cmp::Reverse(edit.end)));
        let text_len = |edit: &Edit| edit.text.1 - edit.text.0;
        self.edits.dedup_by(|later, earlier| {
            let overlaps = later.start < earlier.end;
            if overlaps {
                // An edit that lies within another is that one's business; of two that cross,
                // the text that says more stays.
                if later.end > earlier.end && text_len(later) > text_len(earlier) {
                    earlier.text = later.text;
                }
                earlier.end = earlier.end.max(later.end);
            }
            overlaps
        });
        self.is_sorted = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, edits: &[(u32, u32, &str)], expected: &str) -> Splice {
        let mut splice = Splice::default();
        splice.clear();
        for &(start, end, text) in edits {
            splice.replace(start, end, |out| {
                out.extend_from_slice(text.as_bytes());
                true
            });
        }
        let mut out = Vec::new();
        splice.apply(line.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), expected);
        splice
    }

    #[test]
    fn edits_in_any_order() {
        check("abcdef", &[], "abcdef");
        check("abcdef", &[(4, 5, "XX"), (0, 1, "")], "bcdXXf");
        check("abcdef", &[(0, 6, "[gone]"), (2, 3, "y")], "[gone]");
        check("abcdef", &[(1, 3, "-"), (2, 5, "---")], "a---f");
        check("abcdef", &[(2, 4, "x"), (4, 6, "y")], "abxy");
    }

    #[test]
    fn spans_move_with_the_edits() {
        let line = r#"{"p":"secret","id":"r-1"}"#;
        let splice = check(line, &[(1, 14, "")], r#"{"id":"r-1"}"#);
        assert_eq!(splice.moved(20, 23), Some((7, 10)));
        assert_eq!(splice.moved(6, 12), None);
        let splice = check(line, &[(19, 24, "\"tok-0001\"")], r#"{"p":"secret","id":"tok-0001"}"#);
        assert_eq!(splice.moved(20, 23), Some((20, 28)));
        for (start, end, text) in [(19, 24, "null"), (20, 23, "[email]"), (19, 24, "\"[masked]\"")]
        {
            let edited = format!("{}{text}{}", &line[..start], &line[end..]);
            let splice = check(line, &[(start as u32, end as u32, text)], &edited);
            assert_eq!(splice.moved(20, 23), None, "{text}");
        }
        // A number's token is its text.
        let splice = check(r#"{"id":77}"#, &[(6, 8, "\"tok\"")], r#"{"id":"tok"}"#);
        assert_eq!(splice.moved(6, 8), Some((7, 10)));
        let splice = check(line, &[(19, 24, "\"tok-0001\"")], r#"{"p":"secret","id":"tok-0001"}"#);
        assert_eq!(splice.moved(6, 12), Some((6, 12)));
    }
}
