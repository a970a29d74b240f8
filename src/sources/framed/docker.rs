//! One line of docker's json-file driver:
//! `{"log":"content\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}`.
//!
//! A content without its newline goes on in the stream's next line (docker splits at 16 KiB).
//!
//! # Why
//! The driver writes `log` first, so that string is unescaped by hand, eight bytes at a time: logs
//! of models are JSON in JSON, with an escape every six bytes, and a parser would search for each
//! and make a `String` of every line. Other orders of members go through serde_json.

use std::borrow::Cow;

use memchr::memmem;

use super::{Piece, cri};

const HEAD: &[u8] = b"{\"log\":\"";

/// Takes `line` (without newline) apart, putting the unescaped content in the place of the escaped.
/// What is not of this framing is content as a whole. `scratch` is only for its memory.
pub(in crate::sources) fn parse(line: &mut [u8], scratch: &mut Vec<u8>) -> Piece {
    let Some(text) = line.strip_prefix(HEAD) else {
        return parse_any_order(line).unwrap_or(Piece::unframed(line.len()));
    };
    let (end, len) = match unescape(text, scratch) {
        Ok(ends) => ends,
        // Cut within the string: what is there is content, with its escapes.
        Err(Broken::Unterminated) => {
            return Piece { start: HEAD.len(), ..Piece::unframed(text.len()) };
        }
        Err(Broken::Escape) => return Piece::unframed(line.len()),
    };
    let rest = &text[end..];
    let is_stderr = memmem::find(rest, b"\"stream\":\"stderr\"").is_some();
    let ts_ns = time_in(rest).unwrap_or(0);
    // Unescaped text is never longer than the JSON it came from.
    line[HEAD.len()..HEAD.len() + len].copy_from_slice(&scratch[..len]);
    piece(line, HEAD.len(), len, is_stderr, ts_ns)
}

/// Whether `line` is one of this framing's.
pub(in crate::sources) fn is_docker(line: &[u8]) -> bool {
    line.starts_with(b"{")
        && serde_json::from_slice::<Members<'_>>(line)
            .is_ok_and(|members| cri::rfc3339_ns(members.time.as_bytes()).is_some())
}

#[derive(serde::Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

fn parse_any_order(line: &mut [u8]) -> Option<Piece> {
    let members: Members<'_> = serde_json::from_slice(line).ok()?;
    let log = members.log.into_owned();
    let (is_stderr, ts_ns) =
        (members.stream == "stderr", cri::rfc3339_ns(members.time.as_bytes())?);
    // Unescaped text is never longer than the JSON it came from.
    line.get_mut(..log.len())?.copy_from_slice(log.as_bytes());
    Some(piece(line, 0, log.len(), is_stderr, ts_ns))
}

fn piece(line: &[u8], start: usize, len: usize, is_stderr: bool, ts_ns: i64) -> Piece {
    let is_partial = line[start..start + len].last() != Some(&b'\n');
    Piece { start, len: len - usize::from(!is_partial), is_stderr, is_partial, ts_ns }
}

fn time_in(rest: &[u8]) -> Option<i64> {
    let start = memmem::rfind(rest, b"\"time\":\"")? + 8;
    let end = start + memchr::memchr(b'"', &rest[start..])?;
    cri::rfc3339_ns(&rest[start..end])
}

/// Why a string cannot be unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// Its closing quote is missing.
    Unterminated,
    /// It has an escape that JSON does not have.
    Escape,
}

/// Writes to the front of `out` what the JSON string `text` (behind its opening quote) stands for.
/// Returns where its closing quote is, and how much was written.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(usize, usize), Broken> {
    const WORD: usize = 8;
    if out.len() < text.len() + WORD {
        out.resize(text.len() + WORD, 0);
    }
    let (mut read, mut write) = (0, 0);
    loop {
        while let Some(word) = text[read..].first_chunk::<WORD>() {
            out[write..write + WORD].copy_from_slice(word);
            let n_plain = plain_bytes(u64::from_le_bytes(*word));
            (read, write) = (read + n_plain, write + n_plain);
            if n_plain < WORD {
                break;
            }
        }
        let byte = match *text.get(read).ok_or(Broken::Unterminated)? {
            b'"' => return Ok((read, write)),
            b'\\' => {
                let escape = *text.get(read + 1).ok_or(Broken::Unterminated)?;
                read += 1;
                match escape {
                    b'"' | b'\\' | b'/' => escape,
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'b' => 8,
                    b'f' => 12,
                    b'u' => {
                        let (char, len) = unicode(&text[read + 1..]).ok_or(Broken::Escape)?;
                        read += 1 + len;
                        // At most three bytes from six, four from twelve.
                        write += char.encode_utf8(&mut out[write..]).len();
                        continue;
                    }
                    _ => return Err(Broken::Escape),
                }
            }
            plain => plain,
        };
        out[write] = byte;
        (read, write) = (read + 1, write + 1);
    }
}

/// How many of the word's first bytes are neither quote nor backslash.
fn plain_bytes(word: u64) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Marks the high bit of each byte equal to `byte`; wrong ones only above a right one.
    let equal = |byte: u8| {
        let differs = word ^ (ONES * u64::from(byte));
        differs.wrapping_sub(ONES) & !differs & HIGHS
    };
    ((equal(b'"') | equal(b'\\')).trailing_zeros() / 8) as usize
}

/// The character of the four hex digits that `text` begins with (and of the low surrogate behind
/// them), and the bytes it took.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(text.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let high = unit(0)?;
    if (0xD800..0xDC00).contains(&high) && text.get(4..6) == Some(b"\\u") {
        let low = unit(6)?;
        if (0xDC00..0xE000).contains(&low) {
            let char = char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?;
            return Some((char, 10));
        }
    }
    Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        const TAIL: &str = r#","stream":"stderr","time":"2026-01-02T03:04:05.678901234Z"}"#;
        let cases = [
            (r#"{"log":"a b\n""#, "a b", false),
            (r#"{"log":"{\"e\":\"x\\n\"}\n""#, r#"{"e":"x\n"}"#, false),
            (r#"{"log":"part""#, "part", true),
            (r#"{"log":"\u00fc \ud83d\ude00 \ud83d!\t\/\n""#, "ü 😀 \u{fffd}!\t/", false),
            (r#"{"log":"""#, "", true),
            (r#"{"attrs":{"a":"b"},"log":"x\n""#, "x", false),
        ];
        for (head, expected, is_partial) in cases {
            let mut line = format!("{head}{TAIL}").into_bytes();
            // serde_json refuses half a surrogate pair; the driver does not write any.
            assert!(is_docker(&line) || head.contains("ud83d!"), "{head}");
            let piece = parse(&mut line, &mut Vec::new());
            let text = String::from_utf8_lossy(&line[piece.start..piece.start + piece.len]);
            assert_eq!(text, expected, "{head}");
            assert_eq!((piece.is_partial, piece.is_stderr), (is_partial, true), "{head}");
            assert_eq!(piece.ts_ns, 1_767_323_045_678_901_234, "{head}");
        }
    }

    /// Every string comes out as serde_json reads it, wherever its escapes lie in the words.
    #[test]
    fn unescapes_like_serde() {
        let parts =
            ["plain", "\\\"", "ü", "\\n", "\\u00e9", "x", "\\ud83d\\ude00", "12345678", "\\\\"];
        for seed in 0..5000_usize {
            let pick =
                |n: usize| parts[(seed / parts.len().pow(n as u32 % 4) + n * n) % parts.len()];
            let text = (0..seed % 12).map(pick).collect::<String>() + "\"";
            let expected: String = serde_json::from_str(&format!("\"{text}")).expect("JSON");
            let mut out = Vec::new();
            let (end, len) = unescape(text.as_bytes(), &mut out).expect("sound");
            assert_eq!((end, &out[..len]), (text.len() - 1, expected.as_bytes()), "{text}");
            for cut in 0..end {
                assert!(unescape(&text.as_bytes()[..cut], &mut out).is_err(), "{text} {cut}");
            }
        }
    }

    /// What is broken or another's stays as it is and is never lost.
    #[test]
    fn others_are_kept_whole() {
        for line in ["", "text", "{\"log\":1}", "{\"event\":\"x\"}", "{\"log\":\"\\x\"}"] {
            let mut bytes = line.as_bytes().to_vec();
            assert!(!is_docker(&bytes), "{line}");
            let piece = parse(&mut bytes, &mut Vec::new());
            let kept = &bytes[piece.start..piece.start + piece.len];
            assert_eq!(kept, line.as_bytes(), "{line}");
        }
        let cut = parse(&mut b"{\"log\":\"cut he".to_vec(), &mut Vec::new());
        assert_eq!((cut.start, cut.len, cut.is_partial), (8, 6, false));
    }
}
