//! The seam to the condition language, and from its errors to places in the file.

use super::resolve::Resolver;

/// Why a condition does not compile, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// First byte of the wrong part.
    pub offset: usize,
    /// Bytes of the wrong part; 0 where something lacks.
    pub len: usize,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: String,
}

/// Whether `text` compiles as a condition.
///
/// Checks what no condition may be, whatever its language: empty, with a string or bracket that is
/// not closed, with `=` for `==`. The compiler of `pipeline::condition` takes its place.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_condition(text: &str) -> Result<(), ConditionError> {
    let error = |offset, len, message: &str, hint: &str| {
        Err(ConditionError { offset, len, message: message.to_owned(), hint: hint.to_owned() })
    };
    if text.trim().is_empty() {
        return error(0, text.len(), "this condition is empty", EXAMPLES);
    }
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => match string_end(&bytes[at + 1..]) {
                Some(len) => at += len + 1,
                None => {
                    return error(at, text.len() - at, "this string is not closed", STRING_HINT);
                }
            },
            b'(' | b'[' => open.push(at),
            b')' | b']' => {
                let opened = open.pop().map(|open| bytes[open]);
                if !matches!((opened, bytes[at]), (Some(b'('), b')') | (Some(b'['), b']')) {
                    return error(at, 1, "nothing is open that this could close", EXAMPLES);
                }
            }
            b'=' | b'!' | b'<' | b'>' if bytes.get(at + 1) == Some(&b'=') => at += 1,
            b'=' => return error(at, 1, "\"=\" is not a comparison", "Write ==."),
            _ => {}
        }
        at += 1;
    }
    match open.pop() {
        Some(at) => error(at, 1, "this bracket is not closed", EXAMPLES),
        None => Ok(()),
    }
}

const EXAMPLES: &str = "Write a comparison: level >= \"error\", latency_ms > 500, \
                        not (kind in [\"model\", \"data\"]).";
const STRING_HINT: &str = "Close it with a double quote. If it holds \" #\" or \": \", put the \
                           whole condition in single quotes: '…'.";

/// Bytes up to and with the closing quote.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// Where conditions stand in a config; `*` is every item of a list.
const PLACES: [&[&str]; 2] = [&["classify", "rules", "*", "when"], &["sample", "keep", "*"]];

impl Resolver<'_> {
    /// Checks all conditions, and points into those that are wrong.
    pub(super) fn conditions(&mut self) {
        for (node, text) in PLACES.iter().flat_map(|place| self.document.scalars(place)) {
            if let Err(ConditionError { offset, len, message, hint }) = check_condition(text) {
                self.problems.push(self.document.at_text(node, (offset, len), message, hint));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_condition_may_be() {
        for (text, wrong) in [
            ("", Some("")),
            ("  ", Some("  ")),
            ("level = \"error\"", Some("=")),
            ("message == \"a", Some("\"a")),
            ("(a > 1", Some("(")),
            ("a > 1)", Some(")")),
            ("a in [1, 2)", Some(")")),
            ("level >= \"error\" and (a != \"x\\\" = (\" or b in [1, 2])", None),
            ("path ~ \"a(b\"", None),
        ] {
            let got = check_condition(text).err().map(|e| &text[e.offset..e.offset + e.len]);
            assert_eq!(got, wrong, "{text}");
        }
    }
}
