//! `key=value` and `"key": value` in any text, as far as text shows them: where declared fields are
//! looked for in lines that are no JSON.
//!
//! Reads what broken JSON, logfmt, dicts in tracebacks, headers and query strings have in common. A
//! value reaches to the end of its quotes, brackets or word; what is never closed reaches to the
//! end of the text. Deliberately judges no key: the caller knows which are declared. A number is a
//! key only in quotes: fields have names, and clocks, ratios and places in files (`12:30`, `py:7`)
//! are no pairs.
//!
//! # Why
//! Fails closed: a quote within a value of JSON closes it only where JSON could go on, because
//! servers that do not escape their messages write such quotes.

use super::secret::{bracket_len, call_len};

/// Longest key that is looked at.
const KEY_MAX: usize = 128;

/// One key and its value, as ranges of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key without quotes.
    pub key: (usize, usize),
    /// Behind the `=` or `:`.
    behind: usize,
    /// A key in quotes of any kind and a colon: a member of an object, whose path does not show.
    pub is_member: bool,
    /// A key in double quotes and a colon: the value is a token of JSON.
    pub is_json: bool,
}

/// The pairs of a text in the order of their marks; those inside of a value too.
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Pairs<'a> {
    /// The pairs of `text`.
    #[must_use]
    pub fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The value of `pair` with its quotes or brackets; none where the text ends. Found only when
    /// asked for: in brackets that nothing closes each value reaches to the end of the text.
    #[must_use]
    pub fn value(&self, pair: &Pair) -> Option<(usize, usize)> {
        value_behind(self.text, pair.behind, pair.is_json)
    }

    /// Goes on behind `at`, over what a value holds.
    pub fn skip_to(&mut self, at: usize) {
        self.at = self.at.max(at);
    }
}

impl Iterator for Pairs<'_> {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        loop {
            let rest = self.text.get(self.at..)?;
            let mark = self.at + memchr::memchr2(b'=', b':', rest)?;
            self.at = mark + 1;
            if self.text[mark..].starts_with(b"://") {
                continue;
            }
            let Some((key, quote)) = key_before(self.text, mark) else { continue };
            let is_member = quote.is_some() && self.text[mark] == b':';
            let is_json = is_member && quote == Some(b'"');
            return Some(Pair { key, behind: mark + 1, is_member, is_json });
        }
    }
}

/// The key that ends before `mark`, over spaces, a bracket and quotes; and what quotes it.
fn key_before(text: &[u8], mark: usize) -> Option<((usize, usize), Option<u8>)> {
    let from = mark.saturating_sub(KEY_MAX);
    let head = text[from..mark].trim_ascii_end();
    let head = head.strip_suffix(b"]").unwrap_or(head);
    if let [inside @ .., quote @ (b'"' | b'\'' | b'`')] = head {
        // JSON inside of a string has its quotes escaped.
        let slashes = inside.iter().rev().take_while(|byte| **byte == b'\\').count();
        let inside = &inside[..inside.len() - slashes];
        let start = memchr::memrchr(*quote, inside)? + 1;
        return (start < inside.len())
            .then_some(((from + start, from + inside.len()), Some(*quote)));
    }
    let is_key =
        |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte) || **byte >= 0x80;
    let len = head.iter().rev().take_while(is_key).count();
    let key = &head[head.len() - len..];
    let lead = key.iter().take_while(|byte| b"-.".contains(byte)).count();
    let start = from + head.len() - len + lead;
    (lead < len && is_name(&key[lead..])).then_some(((start, from + head.len()), None))
}

/// Whether a key without quotes could be a field's: a number is none, nor the `2026-01-02T10` of a
/// time.
fn is_name(key: &[u8]) -> bool {
    let is_letter = |byte: &&u8| byte.is_ascii_alphabetic() || **byte >= 0x80;
    let n_letters = key.iter().filter(is_letter).take(2).count();
    let is_numbered = key.first().is_some_and(u8::is_ascii_digit);
    n_letters == 2 || (n_letters == 1 && !is_numbered)
}

/// The value that begins behind a mark at `at`; none where the text ends or nothing stands there.
fn value_behind(text: &[u8], mut at: usize, is_json: bool) -> Option<(usize, usize)> {
    at += text.get(at..)?.iter().take(1).filter(|byte| b"=>".contains(byte)).count();
    at += text.get(at..)?.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let is_quote = |at: usize| text.get(at).is_some_and(|byte| b"\"'`".contains(byte));
    // Python's prefixes of literals, and escaped quotes.
    if text.get(at).is_some_and(|byte| b"bruf".contains(byte)) && is_quote(at + 1) {
        at += 1;
    }
    let slashes = text.get(at..)?.iter().take_while(|byte| **byte == b'\\').count();
    if slashes > 0 && is_quote(at + slashes) {
        at += slashes;
    }
    let rest = text.get(at..)?;
    let len = match rest.first()? {
        b'{' | b'[' | b'(' => bracket_len(rest),
        b'"' | b'\'' | b'`' => quoted_len(rest, slashes, is_json),
        _ => word_len(rest),
    };
    (len > 0).then_some((at, at + len))
}

/// Bytes of the quoted value that begins `text`, quotes included.
fn quoted_len(text: &[u8], slashes: usize, is_json: bool) -> usize {
    let quote = text[0];
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr(quote, rest)) {
        let end = at + found;
        at = end + 1;
        let escapes = text[1..end].iter().rev().take_while(|byte| **byte == b'\\').count();
        // As deep in escapes as the opening quote: any deeper one is part of the value.
        let is_open = escapes > slashes && (slashes > 0 || escapes % 2 == 1);
        let behind = text[end + 1..].trim_ascii_start();
        let goes_on = matches!(behind.first(), None | Some(b',' | b'}' | b']' | b')' | b'\\'));
        if !is_open && (!is_json || goes_on) {
            return end + 1;
        }
    }
    text.len()
}

/// Bytes of a value without quotes.
fn word_len(text: &[u8]) -> usize {
    let ends = |at: usize| match text[at] {
        b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b'&' | b'<' | b'>' | b')' | b'}' | b']'
        | b'|' | b'"' => true,
        // `O'Brien` goes on, `'user=7'` does not.
        b'\'' | b'`' => text.get(at + 1).is_none_or(|next| !next.is_ascii_alphanumeric()),
        b'\\' => text.get(at + 1).is_some_and(|next| b"\"'n\\".contains(next)),
        _ => false,
    };
    let end = (0..text.len()).find(|at| ends(*at)).unwrap_or(text.len());
    let Some(open) = memchr::memchr(b'(', &text[..end]) else { return end };
    // `UserId("u 1")`.
    call_len(&text[open..]).map_or(end, |len| end.max(open + len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values() {
        for (text, expected) in [
            (r#"{"user_id":"u-1","x":"#, &[("user_id", "\"u-1\"")][..]),
            (r#"{"user_id": "u-1"#, &[("user_id", "\"u-1")]),
            (r#"{"a":"say "hi" to","n":7.5}"#, &[("a", "\"say \"hi\" to\""), ("n", "7.5")]),
            (r#"{"a":{"b":[1,"x"#, &[("a", "{\"b\":[1,\"x"), ("b", "[1,\"x")]),
            (r#"{\"a\": \"u 1\", \"b\":2}"#, &[("a", "\"u 1\\\""), ("b", "2")]),
            (r#""us\u0065r":1"#, &[(r"us\u0065r", "1")]),
            ("user_id=77 x", &[("user_id", "77")]),
            ("--user-id=O'Brien&b='c d' e", &[("user-id", "O'Brien"), ("b", "'c d'")]),
            ("d['k'] = u'v' # x", &[("k", "'v'")]),
            ("a.b: true, c:=2", &[("a.b", "true"), ("c", "2")]),
            ("see http://x/?k=v#f", &[("k", "v#f")]),
            ("=1 : 2 \"\":3 k=", &[]),
            ("at 12:30 \"1\": 2 v1=3 _:4", &[("1", "2"), ("v1", "3")]),
            ("2026-01-02T10:30 2fa=1 größe=2", &[("2fa", "1"), ("größe", "2")]),
            ("a=Id(\"x y\"), b=x(y c=f(1) d", &[("a", "Id(\"x y\")"), ("b", "x(y"), ("c", "f(1)")]),
        ] {
            let pairs = Pairs::of(text.as_bytes());
            let found: Vec<_> = pairs
                .clone()
                .filter_map(|pair| Some((pair.key, pairs.value(&pair)?)))
                .map(|(key, value)| (&text[key.0..key.1], &text[value.0..value.1]))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-b\"'\\\\:={\\[}\\]() ,é`-]{0,40}") {
            let pairs = Pairs::of(text.as_bytes());
            for pair in pairs.clone() {
                proptest::prop_assert!(pair.key.0 < pair.key.1);
                if let Some(value) = pairs.value(&pair) {
                    proptest::prop_assert!(pair.key.1 <= value.0);
                    proptest::prop_assert!(value.0 < value.1 && value.1 <= text.len());
                }
            }
        }
    }
}
