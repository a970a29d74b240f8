//! JSON as OTLP's `AnyValue`, in one pass: integers are integers, numbers with a point or an
//! exponent are doubles, `null` is a value without a member.

use super::scan::{Scan, Text};
use crate::event::otlp::wire::{push_bytes, push_fixed64, push_message, push_number};

/// Appends the members of an `AnyValue` that is the JSON `token`.
pub(super) fn push_any_value(out: &mut Vec<u8>, token: &[u8]) {
    let start = out.len();
    if push_next(&mut Scan::of(token), out).is_none() {
        out.truncate(start);
        push_bytes(out, 1, token);
    }
}

/// Appends the members of the object `token` as `KeyValue`s of field `number`; nothing for what is
/// no object.
pub(super) fn push_attributes(out: &mut Vec<u8>, number: u32, token: &[u8]) {
    let start = out.len();
    if push_members(&mut Scan::of(token), number, out).is_none() {
        out.truncate(start);
    }
}

/// Appends a text as field `number`.
pub(super) fn push_decoded(out: &mut Vec<u8>, number: u32, text: Text<'_>) {
    push_bytes(out, number, &text.decoded());
}

fn push_members(scan: &mut Scan<'_>, number: u32, out: &mut Vec<u8>) -> Option<()> {
    scan.members(|scan, key| {
        push_message(out, number, |out| {
            push_decoded(out, 1, key);
            push_message(out, 2, |out| push_next(scan, out))
        })
    })
}

fn push_next(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Option<()> {
    match scan.peek() {
        b'"' => push_decoded(out, 1, scan.text()?),
        b'{' => push_message(out, 6, |out| push_members(scan, 1, out))?,
        b'[' => push_message(out, 5, |out| {
            scan.elements(|scan| push_message(out, 1, |out| push_next(scan, out)))
        })?,
        _ => match scan.scalar()? {
            b"true" => push_number(out, 2, 1),
            b"false" => push_number(out, 2, 0),
            b"null" => {}
            number => push_token(out, number)?,
        },
    }
    Some(())
}

fn push_token(out: &mut Vec<u8>, token: &[u8]) -> Option<()> {
    let text = std::str::from_utf8(token).ok()?;
    // An integer has no negative zero.
    match (text.parse::<i64>().ok().filter(|_| token != b"-0"), text.parse::<u64>()) {
        (Some(int), _) => push_number(out, 3, int.cast_unsigned()),
        // OTLP's integers end there; a double would not be the same number.
        (None, Ok(_)) => push_bytes(out, 1, token),
        (None, Err(_)) => match text.parse::<f64>().ok()? {
            double if double.is_finite() => push_fixed64(out, 4, double.to_bits()),
            _ => push_bytes(out, 1, token),
        },
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types() {
        let bytes = |push: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            push(&mut out);
            out
        };
        let text = |text: &'static str| bytes(&|out| push_bytes(out, 1, text.as_bytes()));
        let int = |n: i64| bytes(&|out| push_number(out, 3, n.cast_unsigned()));
        let double = |n: f64| bytes(&|out| push_fixed64(out, 4, n.to_bits()));
        for (json, expected) in [
            ("1", int(1)),
            ("-7", int(-7)),
            ("9223372036854775807", int(i64::MAX)),
            ("-9223372036854775808", int(i64::MIN)),
            ("9223372036854775808", text("9223372036854775808")),
            ("18446744073709551616", double(18_446_744_073_709_551_616.0)),
            ("-9223372036854775809", double(-9_223_372_036_854_775_809.0)),
            ("-0", double(-0.0)),
            ("1.0", double(1.0)),
            ("0.1e-3", double(0.1e-3)),
            ("1e999", text("1e999")),
            ("true", bytes(&|out| push_number(out, 2, 1))),
            ("null", Vec::new()),
            ("\"a\\n\\u00fc\"", text("a\n\u{fc}")),
            ("[]", bytes(&|out| push_bytes(out, 5, b""))),
            ("{}", bytes(&|out| push_bytes(out, 6, b""))),
            ("broken", text("broken")),
        ] {
            assert_eq!(bytes(&|out| push_any_value(out, json.as_bytes())), expected, "{json}");
        }
    }

    #[test]
    fn attributes_are_members() {
        let mut out = Vec::new();
        push_attributes(&mut out, 6, br#"{"a\"":[1,null,{"b":2.5}], "c" : ""}"#);
        let mut expected = Vec::new();
        push_message(&mut expected, 6, |out| {
            push_bytes(out, 1, b"a\"");
            push_message(out, 2, |out| {
                push_message(out, 5, |out| {
                    push_message(out, 1, |out| push_number(out, 3, 1));
                    push_bytes(out, 1, b"");
                    push_message(out, 1, |out| {
                        push_message(out, 6, |out| {
                            push_message(out, 1, |out| {
                                push_bytes(out, 1, b"b");
                                push_message(out, 2, |out| push_fixed64(out, 4, 2.5f64.to_bits()));
                            });
                        });
                    });
                });
            });
        });
        push_message(&mut expected, 6, |out| {
            push_bytes(out, 1, b"c");
            push_message(out, 2, |out| push_bytes(out, 1, b""));
        });
        assert_eq!(out, expected);
        out.clear();
        push_attributes(&mut out, 6, b"\"none\"");
        assert!(out.is_empty());
    }
}
