//! A value's token as it stands in the line: what it is, its text, its number.
//!
//! Owns reading one raw token without building anything: strings are unescaped byte by byte on the
//! way, and only when they hold a backslash. Deliberately lax about tokens that are no JSON
//! (logfmt's bare words): those are strings.

/// A raw token, told apart by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// The inside of a string, escapes and all; or a bare word.
    Text(&'a [u8]),
    /// A number as it stands.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`, `NaN` and the infinities, or nothing at all.
    Null,
    /// An object or array, brackets included.
    Container(&'a [u8]),
}

impl<'a> Token<'a> {
    /// What `raw` is.
    #[must_use]
    pub fn of(raw: &'a [u8]) -> Self {
        match raw {
            [b'"', inside @ .., b'"'] => Token::Text(inside),
            b"true" | b"True" => Token::Bool(true),
            b"false" | b"False" => Token::Bool(false),
            b"" | b"null" | b"None" | b"NaN" | b"Infinity" | b"-Infinity" => Token::Null,
            [b'{', ..] | [b'[', ..] => Token::Container(raw),
            [b'-' | b'0'..=b'9', ..] if parse_number(raw).is_some() => Token::Number(raw),
            _ => Token::Text(raw),
        }
    }
}

/// Whether `raw` says that there is no value.
#[must_use]
pub fn is_null(raw: &[u8]) -> bool {
    matches!(Token::of(raw), Token::Null)
}

/// The text of a token: the inside of a string, else the token itself.
#[must_use]
pub fn text(raw: &[u8]) -> &[u8] {
    match raw {
        [b'"', inside @ .., b'"'] => inside,
        _ => raw,
    }
}

/// The number that a token is, or that its string spells (`"1.234"`: some loggers quote
/// everything). Never NaN or infinite.
#[must_use]
pub fn number(raw: &[u8]) -> Option<f64> {
    parse_number(text(raw).trim_ascii())
}

fn parse_number(text: &[u8]) -> Option<f64> {
    plain_decimal(text).or_else(|| any_number(text))
}

/// `12`, `0.25`: up to fifteen digits with a point among them, as nearly all numbers are. Exact:
/// both numbers that are divided are, and the quotient is rounded once (Clinger, "How to read
/// floating point numbers accurately").
fn plain_decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    let (mut digits, mut n_digits, mut point) = (0u64, 0, None);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits = digits * 10 + u64::from(byte - b'0');
                n_digits += 1;
            }
            b'.' if point.is_none() && at > 0 && at + 1 < text.len() => point = Some(at),
            _ => return None,
        }
    }
    let n_fraction = point.map_or(0, |at| text.len() - 1 - at);
    (n_digits <= 15).then(|| digits as f64 / POWERS[n_fraction])
}

fn any_number(text: &[u8]) -> Option<f64> {
    // `inf`, `nan` and `infinity` are numbers to Rust's parser, and are none in a line.
    if !matches!(text.first()?, b'-' | b'+' | b'.' | b'0'..=b'9')
        || !text.last().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.')
    {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// The bytes of a JSON string's inside with its escapes decoded, as UTF-8.
///
/// Broken escapes come out as they stand; a lone surrogate as U+FFFD. Cheap to clone, so that a
/// matcher can go back.
#[derive(Clone, Debug)]
pub struct Unescaped<'a> {
    rest: &'a [u8],
    pending: [u8; 4],
    n_pending: u8,
}

impl<'a> Unescaped<'a> {
    /// Decodes `inside`, a string without its quotes.
    #[must_use]
    pub fn new(inside: &'a [u8]) -> Self {
        Self { rest: inside, pending: [0; 4], n_pending: 0 }
    }

    fn push(&mut self, decoded: char) -> Option<u8> {
        let mut utf8 = [0; 4];
        let n = decoded.encode_utf8(&mut utf8).len();
        // Kept in reverse, so that the next byte is always the last one.
        for (at, byte) in utf8[..n].iter().enumerate() {
            self.pending[n - 1 - at] = *byte;
        }
        self.n_pending = n as u8;
        self.pop()
    }

    fn pop(&mut self) -> Option<u8> {
        let at = self.n_pending.checked_sub(1)?;
        self.n_pending = at;
        Some(self.pending[usize::from(at)])
    }

    fn escape(&mut self) -> Option<u8> {
        let (plain, skip) = match self.rest.first()? {
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'r' => (b'\r', 1),
            b'b' => (8, 1),
            b'f' => (12, 1),
            same @ (b'"' | b'\\' | b'/') => (*same, 1),
            b'u' => return self.unicode(),
            _ => return Some(b'\\'),
        };
        self.rest = &self.rest[skip..];
        Some(plain)
    }

    fn unicode(&mut self) -> Option<u8> {
        let Some(high) = hex4(self.rest.get(1..)) else { return Some(b'\\') };
        self.rest = &self.rest[5..];
        if !(0xd800..0xe000).contains(&high) {
            return self.push(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if let [b'\\', b'u', digits @ ..] = self.rest
            && let Some(low @ 0xdc00..0xe000) = hex4(Some(digits))
            && high < 0xdc00
        {
            self.rest = &self.rest[6..];
            let scalar = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return self.push(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.push(char::REPLACEMENT_CHARACTER)
    }
}

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let Some(byte) = self.pop() {
            return Some(byte);
        }
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        if *first == b'\\' { self.escape().or(Some(b'\\')) } else { Some(*first) }
    }
}

fn hex4(digits: Option<&[u8]>) -> Option<u32> {
    digits?
        .get(..4)?
        .iter()
        .try_fold(0, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The short way gives the very double, or leaves it to the long one.
        #[test]
        fn plain_decimals_are_exact(whole in 0u64..10_000_000, fraction in "[0-9]{0,9}") {
            for text in [format!("{whole}"), format!("{whole}.{fraction}"), format!("0.{fraction}")] {
                if let Some(short) = plain_decimal(text.as_bytes()) {
                    prop_assert_eq!(short.to_bits(), text.parse::<f64>().expect("one").to_bits());
                }
                prop_assert_eq!(parse_number(text.as_bytes()), any_number(text.as_bytes()));
            }
        }
    }

    #[test]
    fn tokens() {
        assert_eq!(Token::of(br#""a""#), Token::Text(b"a"));
        assert_eq!(Token::of(b"-1.5e3"), Token::Number(b"-1.5e3"));
        assert_eq!(Token::of(b"1.2.3"), Token::Text(b"1.2.3"));
        assert_eq!(Token::of(b"NaN"), Token::Null);
        assert_eq!(Token::of(b"[1]"), Token::Container(b"[1]"));
        assert_eq!(Token::of(b"bare"), Token::Text(b"bare"));
    }

    #[test]
    fn numbers() {
        for (raw, expected) in [
            ("23", Some(23.0)),
            ("\"1.234\"", Some(1.234)),
            ("1e3", Some(1000.0)),
            ("\"23ms\"", None),
            ("inf", None),
            ("\"nan\"", None),
            ("1e999", None),
            ("", None),
            ("\"\"", None),
            ("true", None),
        ] {
            assert_eq!(number(raw.as_bytes()), expected, "{raw}");
        }
    }

    #[test]
    fn broken_escapes_come_out_as_they_stand() {
        let decode = |text: &str| String::from_utf8(Unescaped::new(text.as_bytes()).collect());
        assert_eq!(decode(r"a\"), Ok(r"a\".into()));
        assert_eq!(decode(r"\u12"), Ok(r"\u12".into()));
        assert_eq!(decode(r"\ud800x"), Ok("\u{fffd}x".into()));
        assert_eq!(decode(r"\q"), Ok(r"\q".into()));
    }

    proptest! {
        /// serde_json's own escapes, and the same text with every character escaped.
        #[test]
        fn unescapes_as_serde_json_does(text in any::<String>()) {
            let plain = serde_json::to_string(&text).expect("a string");
            let all: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            for inside in [&plain[1..plain.len() - 1], &all] {
                let decoded: Vec<u8> = Unescaped::new(inside.as_bytes()).collect();
                prop_assert_eq!(&decoded[..], text.as_bytes());
            }
        }
    }
}
