//! How sure the model was, as one number.

use super::token::{self, Token};

/// Reads a confidence: a number, a number in a string, the largest of a list or map of numbers
/// (`softmax`, `probabilities`); `exp` of it where the key says `logprob`.
///
/// `key` is the member's key or path. Values outside 0..=1 are returned as they are (`score` is
/// not always a probability): the reader compares, it does not judge.
#[must_use]
pub fn read(raw: &[u8], key: &[u8]) -> Option<f64> {
    let value = match Token::of(raw) {
        Token::Number(_) | Token::Text(_) => token::number(raw),
        Token::Container(inside) => largest(inside),
        Token::Bool(_) | Token::Null => None,
    }?;
    Some(if is_log(key) { value.exp() } else { value })
}

fn is_log(key: &[u8]) -> bool {
    let has_g = || key.iter().any(|byte| matches!(byte, b'g' | b'G'));
    key.len() >= 7 && has_g() && key.windows(7).any(|part| part.eq_ignore_ascii_case(b"logprob"))
}

/// The largest number that stands as a value in a container. Strings in it are skipped, so a
/// label with digits in its name does not count.
fn largest(container: &[u8]) -> Option<f64> {
    let mut best: Option<f64> = None;
    let mut at = 0;
    while let Some(&byte) = container.get(at) {
        match byte {
            b'"' => at = skip_string(container, at),
            b'-' | b'0'..=b'9' => {
                let rest = container.get(at..).unwrap_or_default();
                let is_number =
                    |b: &u8| matches!(b, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E');
                let len = rest.iter().take_while(|b| is_number(b)).count();
                if let Some(number) = token::number(rest.get(..len).unwrap_or_default()) {
                    best = Some(best.map_or(number, |best| best.max(number)));
                }
                at += len;
            }
            _ => at += 1,
        }
    }
    best
}

fn skip_string(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidences() {
        for (raw, key, expected) in [
            ("0.87", "confidence", Some(0.87)),
            ("\"0.87\"", "confidence", Some(0.87)),
            ("[0.1, 0.7, 0.2]", "probabilities", Some(0.7)),
            (r#"{"fraud":0.9,"class_99":0.1}"#, "softmax", Some(0.9)),
            (r#"["99", "a\"5"]"#, "softmax", None),
            ("0", "logprob", Some(1.0)),
            ("null", "confidence", None),
            ("true", "confidence", None),
            ("\"high\"", "confidence", None),
            ("[]", "probabilities", None),
            ("[1,", "probabilities", Some(1.0)),
        ] {
            assert_eq!(read(raw.as_bytes(), key.as_bytes()), expected, "{raw}");
        }
    }
}
