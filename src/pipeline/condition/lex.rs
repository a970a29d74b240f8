//! Words, strings, numbers and signs of a condition, each with its place.

use super::ConditionError;

/// Where a word stands: first byte and the byte behind it.
pub(super) type Place = (usize, usize);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A field's name or a keyword.
    Name(String),
    Text(String),
    Number(f64),
    /// One of `== != < <= > >= ~ ( ) [ ] ,`.
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not `<`.
const SIGNS: [&str; 12] = ["==", "!=", "<=", ">=", "<", ">", "~", "(", ")", "[", "]", ","];

/// Signs of other languages, and what they are called here.
const FOREIGN: [(&str, &str); 6] =
    [("=~", "~"), ("&&", "and"), ("||", "or"), ("<>", "!="), ("!", "not"), ("=", "==")];

/// Cuts a condition into words; the last one is [`Word::End`].
pub(super) fn words(source: &str) -> Result<Vec<(Word, Place)>, ConditionError> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(rest) = source.get(at..)
        && let Some(first) = rest.chars().next()
    {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (word, len) = word(rest, at)?;
        words.push((word, (at, at + len)));
        at += len;
    }
    words.push((Word::End, (source.len(), source.len())));
    Ok(words)
}

fn word(rest: &str, at: usize) -> Result<(Word, usize), ConditionError> {
    let first = rest.chars().next().unwrap_or_default();
    if let Some((foreign, ours)) = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign))
        && !["==", "!="].iter().any(|sign| rest.starts_with(sign))
    {
        let message = format!("\"{foreign}\" is not an operator here");
        let error = ConditionError::new((at, at + foreign.len()), message);
        return Err(error.hint(format!("Write \"{ours}\".")));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Word::Sign(sign), sign.len()));
    }
    match first {
        '"' | '\'' => text(rest, at, first),
        '-' | '+' | '.' | '0'..='9' => number(rest, at),
        _ if starts_name(first) => {
            let len = rest.find(|c| !continues_name(c)).unwrap_or(rest.len());
            Ok((Word::Name(rest[..len].to_owned()), len))
        }
        _ => {
            let error = ConditionError::new(
                (at, at + first.len_utf8()),
                format!("\"{}\" has no meaning here", first.escape_default()),
            );
            Err(error.hint("Write text in double quotes, and odd field names as field(\"name\")."))
        }
    }
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '@'
}

/// Dots lead into objects; dashes, slashes and `[]` occur in keys and paths. There is no
/// arithmetic that they could be mistaken for.
fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '@')
}

fn text(rest: &str, at: usize, quote: char) -> Result<(Word, usize), ConditionError> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((offset, c)) = chars.next() {
        match c {
            _ if c == quote => return Ok((Word::Text(text), offset + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c @ ('"' | '\'' | '\\'))) => text.push(c),
                Some((end, c)) => {
                    let place = (at + offset, at + end + c.len_utf8());
                    let error = ConditionError::new(place, format!("unknown escape \"\\{c}\""));
                    return Err(error.hint(r#"Known are \n, \t, \\, \" and \'."#));
                }
                None => break,
            },
            _ => text.push(c),
        }
    }
    let error = ConditionError::new((at, at + rest.len()), "text has no closing quote");
    Err(error.hint(format!("Add {quote} at the end.")))
}

fn number(rest: &str, at: usize) -> Result<(Word, usize), ConditionError> {
    // Everything up to a space or sign belongs to it, so that `5ms` is one mistake and not two.
    let ends = |c: char| c.is_whitespace() || matches!(c, ')' | ']' | ',' | '(' | '[' | '<' | '>');
    let len = rest.find(ends).unwrap_or(rest.len());
    let digits = &rest[..len];
    match digits.replace('_', "").parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Word::Number(number), len)),
        _ => {
            let error =
                ConditionError::new((at, at + len), format!("\"{digits}\" is not a number"));
            Err(error.hint(
                "Write a plain number: 500, 0.6, 1e3. latency_ms counts milliseconds; text goes \
                 in double quotes.",
            ))
        }
    }
}
