//! Rust source seen as classes of bytes: code, comment or literal.
//!
//! Owns what a rule must know so that a brace in a string or an `unwrap` in a comment fools nobody:
//! nested block comments, raw and byte and C strings with any number of hashes, character literals
//! against lifetimes, raw identifiers. Does not parse: rules look at [`Source::code`], in which
//! every byte that is not code is a space, and which has the same offsets and lines as the file.

use std::ops::Range;

/// What a byte of a source file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Tokens and white space.
    Code,
    /// Any comment, documentation included, with its slashes.
    Comment,
    /// A string, byte, C or character literal, with its prefix and quotes.
    Literal,
}

/// One lexed file.
pub(crate) struct Source {
    /// The file as it is.
    pub(crate) text: String,
    /// The class of each byte of `text`.
    pub(crate) classes: Vec<Class>,
    /// `text` with a space for each byte that is not code; newlines stay.
    pub(crate) code: String,
    /// Offset of the first byte of each line.
    line_starts: Vec<usize>,
}

impl Source {
    /// Lexes a file. Never fails: what is not Rust is code of some kind.
    pub(crate) fn new(text: &str) -> Self {
        let classes = classify(text.as_bytes());
        let masked = text.bytes().zip(&classes).map(|(byte, class)| match (class, byte) {
            (_, b'\n') | (Class::Code, 0..=0x7f) => byte,
            _ => b' ',
        });
        let code = String::from_utf8(masked.collect()).expect("BUG: only ASCII is left");
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { text: text.to_owned(), classes, code, line_starts }
    }

    /// The line number (from 1) of the byte at `at`.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// The spans of all lines, without their newlines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Range<usize>> {
        let ends = self.line_starts.iter().skip(1).map(|next| next - 1);
        let lines = self.line_starts.iter().copied().zip(ends.chain([self.text.len()]));
        lines.map(|(start, end)| start..end).filter(|line| line.start < self.text.len())
    }

    /// The identifiers and keywords of the code, with where they stand.
    pub(crate) fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let bytes = self.code.as_bytes();
            while at < bytes.len() && !is_word(bytes[at]) {
                at += 1;
            }
            let start = at;
            while at < bytes.len() && is_word(bytes[at]) {
                at += 1;
            }
            (start < at).then(|| (start, &self.code[start..at]))
        })
    }

    /// The byte of code at or behind `at` that is not white space, and where it stands.
    pub(crate) fn next_code(&self, at: usize) -> Option<(usize, u8)> {
        let rest = self.code.as_bytes().iter().enumerate().skip(at);
        rest.map(|(at, byte)| (at, *byte)).find(|(_, byte)| !byte.is_ascii_whitespace())
    }

    /// The position of the bracket that closes the one at `open`, or the end of the file.
    pub(crate) fn closing(&self, open: usize) -> usize {
        let mut depth = 0usize;
        for (at, byte) in self.code.bytes().enumerate().skip(open) {
            match byte {
                b'{' | b'(' | b'[' => depth += 1,
                b'}' | b')' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.code.len()
    }

    /// The next `{` or `;` that no bracket encloses, from `at`: where an item's body begins or the
    /// item ends. A block in angle brackets (`Foo<{ N }>`) is no body.
    pub(crate) fn body_or_end(&self, mut at: usize) -> Option<(usize, u8)> {
        let bytes = self.code.as_bytes();
        let mut before = b' ';
        while at < bytes.len() {
            match bytes[at] {
                b'{' if before == b'<' => at = self.closing(at),
                b'(' | b'[' => at = self.closing(at),
                b'{' | b';' => return Some((at, bytes[at])),
                _ => {}
            }
            if bytes.get(at).is_some_and(|byte| !byte.is_ascii_whitespace()) {
                before = bytes[at];
            }
            at += 1;
        }
        None
    }
}

/// Whether a byte may stand in an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn classify(bytes: &[u8]) -> Vec<Class> {
    let mut classes = vec![Class::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let is_inside_word = at > 0 && is_word(bytes[at - 1]);
        let (len, class) = match rest {
            [b'/', b'/', ..] => (line_len(rest), Class::Comment),
            [b'/', b'*', ..] => (block_comment_len(rest), Class::Comment),
            [b'"', ..] => (quoted_len(rest, 0), Class::Literal),
            [b'\'', ..] => match char_len(rest) {
                0 => (1, Class::Code),
                len => (len, Class::Literal),
            },
            [b'r' | b'b' | b'c', ..] if !is_inside_word => match prefixed_len(rest) {
                0 => (1, Class::Code),
                len => (len, Class::Literal),
            },
            _ => (1, Class::Code),
        };
        classes[at..at + len].fill(class);
        at += len;
    }
    classes
}

fn line_len(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

fn block_comment_len(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a literal with escapes whose opening quote is at `open`.
fn quoted_len(rest: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == rest[open] => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal at a `'`; 0 where it begins a lifetime or a label.
fn char_len(rest: &[u8]) -> usize {
    match rest.get(1) {
        Some(b'\\') => quoted_len(rest, 0),
        Some(b'\'' | b'\n') | None => 0,
        Some(first) => {
            let len = match first {
                0..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0.. => 4,
            };
            if rest.get(1 + len) == Some(&b'\'') { len + 2 } else { 0 }
        }
    }
}

/// The length of a literal with a prefix (`b'x'`, `r#"…"#`, `c"…"`); 0 where none begins.
fn prefixed_len(rest: &[u8]) -> usize {
    match rest {
        [b'b', b'\'', ..] => quoted_len(rest, 1),
        [b'b' | b'c', b'"', ..] => quoted_len(rest, 1),
        [b'b' | b'c', b'r', ..] => raw_len(rest, 2),
        [b'r', ..] => raw_len(rest, 1),
        _ => 0,
    }
}

/// The length of a raw string whose hashes begin at `at`; 0 for a raw identifier or a plain word.
fn raw_len(rest: &[u8], at: usize) -> usize {
    let n_hashes = rest[at..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + n_hashes;
    if rest.get(open) != Some(&b'"') {
        return 0;
    }
    let mut end = b"\"".to_vec();
    end.resize(1 + n_hashes, b'#');
    let inside = &rest[open + 1..];
    let found = inside.windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |at| open + 1 + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of `text`, its runs of spaces melted into one.
    fn code(text: &str) -> String {
        let source = Source::new(text);
        assert_eq!(source.code.len(), text.len());
        source.code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_code_is_left() {
        for (text, expected) in [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d */ e", "a e"),
            ("a /* never closed { ", "a"),
            ("/// doc {\nfn f() {}", "fn f() {}"),
            (r#"a "b \" { c" d"#, "a d"),
            (r#"a "\\" b"#, "a b"),
            (r##"a r"\" b"##, "a b"),
            (r###"a r#"quote " and }"# b"###, "a b"),
            (r####"a r##"one "# and }"## b"####, "a b"),
            (r###"a br#"x"y"# b"###, "a b"),
            (r##"a cr"x" c"y" b"z" d"##, "a d"),
            ("let r#fn = 1;", "let r#fn = 1;"),
            ("for bar in car", "for bar in car"),
            ("a '{' b '\\'' c '\\u{7d}' d", "a b c d"),
            ("fn f<'a>(x: &'a str) -> Foo<'_> {", "fn f<'a>(x: &'a str) -> Foo<'_> {"),
            ("'outer: loop { break 'outer; }", "'outer: loop { break 'outer; }"),
            ("match b { b'\\'' => 1, b'\"' => 2 }", "match b { => 1, => 2 }"),
            ("a '\u{fc}' b '\u{1f600}' c", "a b c"),
            ("a \"\u{fc} {\" b", "a b"),
            ("x(\"http://a\") // \"b\n y", "x( ) y"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_words_and_brackets() {
        let source = Source::new("fn f(x: [u8; 3]) -> T<{ 1 }> {\n  \"}\";\n}\nlast");
        assert_eq!(source.lines().map(|line| &source.text[line]).last(), Some("last"));
        let (open, byte) = source.body_or_end(0).expect("a body");
        assert_eq!((source.line_of(open), byte), (1, b'{'));
        assert_eq!(source.line_of(source.closing(open)), 3);
        let words: Vec<_> = source.words().map(|(_, word)| word).collect();
        assert_eq!(words, ["fn", "f", "x", "u8", "3", "T", "1", "last"]);
        assert_eq!(Source::new("fn f();").body_or_end(0), Some((6, b';')));
    }
}
