//! One line of a CRI log: `2026-01-02T03:04:05.678901234Z stdout F content`.
//!
//! The tag is `P` (the line goes on) or `F`, with further tags behind a colon
//! (`reference` of the format: kubernetes/design-proposals, kubelet-cri-logging).

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Piece;

/// Takes `line` (without newline) apart. What is not CRI is content as a whole.
pub(in crate::sources) fn parse(line: &mut [u8]) -> Piece {
    framed(line).unwrap_or(Piece::unframed(line.len()))
}

/// Whether `line` begins as CRI lines do.
pub(in crate::sources) fn is_cri(line: &[u8]) -> bool {
    framed(line).is_some()
}

fn framed(line: &[u8]) -> Option<Piece> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    // A line without content may lack the last space.
    let (tag, content) = word(rest).unwrap_or((rest, &[]));
    let is_stderr = match stream {
        b"stdout" => false,
        b"stderr" => true,
        _ => return None,
    };
    let is_partial = match tag.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let ts_ns = rfc3339_ns(time)?;
    let (start, len) = (line.len() - content.len(), content.len());
    Some(Piece { start, len, is_stderr, is_partial, ts_ns })
}

fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // No word of the framing is longer than a time with nanoseconds and an offset.
    let end = bytes.iter().take(40).position(|byte| *byte == b' ')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Nanoseconds since 1970 of an RFC 3339 time.
pub(super) fn rfc3339_ns(text: &[u8]) -> Option<i64> {
    let time = OffsetDateTime::parse(std::str::from_utf8(text).ok()?, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        const NS: i64 = 1_767_323_045_678_901_234;
        type Told<'a> = (&'a str, bool, bool, i64);
        let cases: &[(&str, Option<Told<'_>>)] = &[
            ("2026-01-02T03:04:05.678901234Z stdout F a b", Some(("a b", false, false, NS))),
            ("2026-01-02T05:04:05.678901234+02:00 stderr P x", Some(("x", true, true, NS))),
            ("2026-01-02T03:04:05Z stdout F:tag  x", Some((" x", false, false, NS - 678_901_234))),
            ("2026-01-02T03:04:05.678901234Z stdout F ", Some(("", false, false, NS))),
            ("2026-01-02T03:04:05.678901234Z stdout F", Some(("", false, false, NS))),
            ("2026-01-02T03:04:05.6Z stdwhat F x", None),
            ("2026-01-02T03:04:05.6Z stdout X x", None),
            ("yesterday stdout F x", None),
            ("{\"a\": \"stdout F x\"}", None),
            ("", None),
        ];
        for (line, expected) in cases {
            let found = framed(line.as_bytes())
                .map(|p| (&line[p.start..p.start + p.len], p.is_stderr, p.is_partial, p.ts_ns));
            assert_eq!(found, *expected, "{line:?}");
        }
        assert_eq!(parse(&mut b"no frame".to_vec()), Piece::unframed(8));
    }
}
