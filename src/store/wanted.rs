//! The ids of a search and the two ways to meet one: as the whole value of a column, and as a word
//! in a line.

use std::collections::BTreeSet;

use memchr::memmem;

/// The id that was asked for and the traces that were learned on the way.
#[derive(Debug)]
pub(super) struct Wanted {
    id: String,
    /// The id as JSON writes it.
    escaped: String,
    is_prefix: bool,
    traces: BTreeSet<String>,
}

impl Wanted {
    pub(super) fn new(id: String, is_prefix: bool) -> Self {
        let quoted = serde_json::Value::from(id.as_str()).to_string();
        let escaped = quoted[1..quoted.len() - 1].to_owned();
        Self { id, escaped, is_prefix, traces: BTreeSet::new() }
    }

    /// Traces are hex without case; all zeros is no trace.
    pub(super) fn add_trace(&mut self, trace: &str) {
        if trace.len() == 32 && trace.bytes().any(|byte| byte != b'0') {
            self.traces.insert(trace.to_ascii_lowercase());
        }
    }

    pub(super) fn n_traces(&self) -> usize {
        self.traces.len()
    }

    /// Whether a column's value is the id.
    pub(super) fn is_id(&self, value: &[u8]) -> bool {
        match self.is_prefix {
            true => value.starts_with(self.id.as_bytes()),
            false => value == self.id.as_bytes(),
        }
    }

    /// Whether a trace column's value is the id or a learned trace.
    pub(super) fn is_trace(&self, value: &[u8]) -> bool {
        let text = std::str::from_utf8(value).unwrap_or_default();
        self.is_id(value) || self.traces.contains(text)
    }

    /// Whether a column that tells by `may_hold` what it may hold can hold the id.
    pub(super) fn may_be_id(&self, may_hold: impl Fn(&str) -> bool) -> bool {
        self.is_prefix || may_hold(&self.id)
    }

    /// The same for a trace column.
    pub(super) fn may_be_trace(&self, may_hold: impl Fn(&str) -> bool) -> bool {
        self.is_prefix || may_hold(&self.id) || self.traces.iter().any(|trace| may_hold(trace))
    }

    /// Whether the id or a trace stands in `line` as a word.
    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        self.words(line).next().is_some()
    }

    /// Offsets at which the id or a trace stands in `text` as a word of its own: `r-1` is not in
    /// `r-12`, but in `r-1.` and, as a prefix, in `r-12`.
    pub(super) fn words<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let id = occurrences(text, self.escaped.as_bytes(), self.is_prefix);
        let traces = self.traces.iter();
        id.chain(traces.flat_map(|trace| occurrences(text, trace.as_bytes(), false)))
    }
}

fn occurrences<'a>(
    text: &'a [u8],
    needle: &'a [u8],
    is_prefix: bool,
) -> impl Iterator<Item = usize> + 'a {
    let is_word = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    // An empty needle is everywhere and means nothing.
    let n_max = if needle.is_empty() { 0 } else { usize::MAX };
    memmem::find_iter(text, needle).take(n_max).filter(move |&at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        // `\nr-1`: the letter of an escape is no letter of the word.
        let is_escape = at >= 2 && text[at - 2] == b'\\';
        let starts = is_escape || !is_word(before);
        starts && (is_prefix || !is_word(text.get(at + needle.len())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let exact = Wanted::new("r-1".to_owned(), false);
        let prefix = Wanted::new("r-1".to_owned(), true);
        for (line, is_exact, is_prefix) in [
            ("r-1", true, true),
            (r#"{"request_id":"r-1"}"#, true, true),
            ("id=r-1, ok", true, true),
            ("r-12", false, true),
            ("xr-1", false, false),
            ("r-1-2", false, true),
            (r"line\nr-1\tend", true, true),
            ("R-1", false, false),
        ] {
            assert_eq!(exact.is_in(line.as_bytes()), is_exact, "{line}");
            assert_eq!(prefix.is_in(line.as_bytes()), is_prefix, "{line}");
        }
        assert!(!Wanted::new(String::new(), true).is_in(b"anything"));
        let quoted = Wanted::new("a\"b".to_owned(), false);
        assert!(quoted.is_in(br#"{"id":"a\"b"}"#));
    }

    #[test]
    fn traces() {
        let mut wanted = Wanted::new("r-1".to_owned(), false);
        let trace = "0af7651916cd43dd8448eb211c80319c";
        wanted.add_trace(&trace.to_uppercase());
        wanted.add_trace(&"0".repeat(32));
        wanted.add_trace("short");
        assert_eq!(wanted.n_traces(), 1);
        assert!(wanted.is_trace(trace.as_bytes()) && !wanted.is_id(trace.as_bytes()));
        assert!(wanted.is_in(format!("trace={trace} x").as_bytes()));
    }
}
