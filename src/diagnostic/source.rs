//! Text with a name, in which a range of bytes can be shown as a line with a caret.
//!
//! Owns lines, columns (in characters, from 1), what of a long line is shown, and the hiding of
//! secrets in it. Deliberately does not find the secrets: whoever parsed the text says where.

use std::ops::Range;

/// Longest part of a line that is shown, in characters.
const SHOWN_MAX: usize = 100;
/// Characters shown before the caret when a longer line is cut.
const LEAD: usize = 60;

/// A file's text.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    hidden: Vec<Range<usize>>,
}

/// A place in a [`Source`], with the line as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line, cut if long, secrets replaced by asterisks, tabs by spaces.
    pub shown: String,
    /// Characters of `shown` before the caret.
    pub indent: usize,
    /// Carets, at least 1.
    pub width: usize,
}

impl Source {
    /// `text` under the name that messages shall give it.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), hidden: Vec::new() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Shows asterisks for `range` from now on.
    pub fn hide(&mut self, range: Range<usize>) {
        self.hidden.push(range);
    }

    /// Whether a part of `range` is hidden.
    #[must_use]
    pub fn hides(&self, range: &Range<usize>) -> bool {
        self.hidden.iter().any(|hidden| hidden.start < range.end && range.start < hidden.end)
    }

    /// The byte offset of `line` and `column`, both from 1; the text's end where there is no such
    /// place.
    #[must_use]
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let mut start = 0;
        for _ in 1..line {
            match self.text[start..].find('\n') {
                Some(len) => start += len + 1,
                None => return self.text.len(),
            }
        }
        let mut chars = self.text[start..].char_indices();
        chars.nth(column.saturating_sub(1)).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// `file:line:column` of a byte, for use in sentences.
    #[must_use]
    pub fn locate(&self, offset: usize) -> String {
        let place = self.place(offset..offset);
        format!("{}:{}:{}", self.name, place.line, place.column)
    }

    /// The place of a range of bytes; of a range over several lines, its part on the first.
    /// Offsets outside of the text or inside of a character are moved to the next border before.
    #[must_use]
    pub fn place(&self, range: Range<usize>) -> Place {
        let start = self.border(range.start);
        let end = self.border(range.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |len| start + len);
        let end = end.min(line_end);
        let column = self.text[line_start..start].chars().count();
        let width = self.text[start..end].chars().count().max(1);
        let (shown, indent) = window(self.masked(line_start..line_end), column, width);
        let width = width.min(shown.chars().count().saturating_sub(indent).max(1));
        let line = self.text[..line_start].matches('\n').count() + 1;
        Place { line, column: column + 1, shown, indent, width }
    }

    fn border(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// The characters of `range` as they may be shown: one for one, so that columns stay true.
    fn masked(&self, range: Range<usize>) -> Vec<char> {
        let hidden = |at: usize| self.hidden.iter().any(|hidden| hidden.contains(&at));
        let start = range.start;
        let line = self.text[range].trim_end_matches('\r').char_indices();
        line.map(|(at, c)| match c {
            _ if hidden(start + at) => '*',
            // Also keeps escape sequences in a config from reaching the terminal.
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
    }
}

/// What is shown of a line with a caret at `column` (from 0), and the caret's place in that.
fn window(line: Vec<char>, column: usize, width: usize) -> (String, usize) {
    if line.len() <= SHOWN_MAX {
        return (line.into_iter().collect(), column);
    }
    let from = if column + width <= SHOWN_MAX { 0 } else { column.saturating_sub(LEAD) };
    let to = (from + SHOWN_MAX).min(line.len());
    let mut shown: String = line[from..to].iter().collect();
    if to < line.len() {
        shown.push('…');
    }
    if from == 0 { (shown, column) } else { (format!("…{shown}"), column - from + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caret(text: &str, needle: &str) -> (usize, usize, String) {
        let start = text.find(needle).expect("the needle is in the text");
        let place = Source::new("t", text).place(start..start + needle.len());
        let under: String = place.shown.chars().skip(place.indent).take(place.width).collect();
        (place.line, place.column, under)
    }

    /// The caret stands under exactly the text that is meant.
    #[test]
    fn carets_stand_under_their_text() {
        let long = format!("{}needle{}", "ü".repeat(300), "x".repeat(300));
        for (text, needle, line, column) in [
            ("a: b", "b", 1, 4),
            ("a:\n  bü: ç", "ç", 2, 7),
            ("x\r\ny: z\r\n", "z", 2, 4),
            (long.as_str(), "needle", 1, 301),
        ] {
            assert_eq!(caret(text, needle), (line, column, needle.to_owned()), "{text}");
        }
    }

    #[test]
    fn odd_ranges_are_shown_and_do_not_panic() {
        let source = Source::new("t", "ab\ncd");
        assert_eq!(source.place(1..4).width, 1, "only the part on the first line");
        assert_eq!((source.place(99..99).line, source.place(99..99).column), (2, 3));
        assert_eq!(Source::new("t", "").place(0..0).line, 1);
        assert_eq!(Source::new("t", "ü").place(1..2).column, 1);
        assert_eq!((source.offset(2, 2), source.offset(9, 9)), (4, 5));
        let long = "y".repeat(400);
        assert!(Source::new("t", &long).place(0..400).width <= SHOWN_MAX + 1);
    }

    #[test]
    fn secrets_and_escape_sequences_are_not_shown() {
        let text = "token: hunter2 \x1b[31m";
        let mut source = Source::new("t", text);
        source.hide(7..14);
        assert_eq!(source.place(0..5).shown, "token: *******  [31m");
        assert!(source.hides(&(10..11)) && !source.hides(&(0..7)));
    }
}
