//! One line of docker's json-file driver:
//! `{"log":"content\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}`.
//!
//! A content without its newline goes on in the stream's next line (docker splits at 16 KiB).
//!
//! # Why
//! The driver writes `log` first, so the string is unescaped in place, by hand: a JSON parser would
//! make a `String` of every line, since each ends with an escape. Other orders of members go
//! through serde_json.

use std::borrow::Cow;

use memchr::memchr2;
use memchr::memmem;

use super::{Piece, cri};

const HEAD: &[u8] = b"{\"log\":\"";

/// Takes `line` (without newline) apart, unescaping the content within it. What is not of this
/// framing is content as a whole.
pub(in crate::sources) fn parse(line: &mut [u8]) -> Piece {
    if !line.starts_with(HEAD) {
        return parse_any_order(line).unwrap_or(Piece::unframed(line.len()));
    }
    let Some(end) = string_end(&line[HEAD.len()..]).map(|end| end + HEAD.len()) else {
        // Cut within the string: what is there is content, with its escapes.
        return Piece { start: HEAD.len(), ..Piece::unframed(line.len() - HEAD.len()) };
    };
    let rest = &line[end..];
    let is_stderr = memmem::find(rest, b"\"stream\":\"stderr\"").is_some();
    let ts_ns = time_in(rest).unwrap_or(0);
    match unescape(&mut line[HEAD.len()..end]) {
        Some(len) => piece(line, HEAD.len(), len, is_stderr, ts_ns),
        None => Piece::unframed(line.len()),
    }
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

/// The closing quote of the string that `bytes` begins in.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

fn time_in(rest: &[u8]) -> Option<i64> {
    let start = memmem::rfind(rest, b"\"time\":\"")? + 8;
    let end = start + string_end(&rest[start..])?;
    cri::rfc3339_ns(&rest[start..end])
}

/// Replaces JSON escapes by what they stand for, in place; returns the new length. `None` for an
/// escape that JSON does not have.
fn unescape(text: &mut [u8]) -> Option<usize> {
    let (mut read, mut write) = (0, 0);
    loop {
        let plain = memchr::memchr(b'\\', &text[read..]).unwrap_or(text.len() - read);
        text.copy_within(read..read + plain, write);
        (read, write) = (read + plain, write + plain);
        let Some(escape) = text.get(read + 1).copied() else { return Some(write) };
        read += 2;
        let byte = match escape {
            b'"' | b'\\' | b'/' => escape,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let (char, len) = unicode(&text[read..])?;
                read += len;
                // At most three bytes from six, four from twelve.
                write += char.encode_utf8(&mut text[write..]).len();
                continue;
            }
            _ => return None,
        };
        text[write] = byte;
        write += 1;
    }
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
            let piece = parse(&mut line);
            let text = String::from_utf8_lossy(&line[piece.start..piece.start + piece.len]);
            assert_eq!(text, expected, "{head}");
            assert_eq!((piece.is_partial, piece.is_stderr), (is_partial, true), "{head}");
            assert_eq!(piece.ts_ns, 1_767_323_045_678_901_234, "{head}");
        }
    }

    /// What is broken or another's stays as it is and is never lost.
    #[test]
    fn others_are_kept_whole() {
        for line in ["", "text", "{\"log\":1}", "{\"event\":\"x\"}", "{\"log\":\"\\x\"}"] {
            let mut bytes = line.as_bytes().to_vec();
            assert!(!is_docker(&bytes), "{line}");
            let piece = parse(&mut bytes);
            let kept = &bytes[piece.start..piece.start + piece.len];
            assert_eq!(kept, line.as_bytes(), "{line}");
        }
        let cut = parse(&mut b"{\"log\":\"cut he".to_vec());
        assert_eq!((cut.start, cut.len, cut.is_partial), (8, 6, false));
    }
}
